"""Where numbers come from: the code, its packages, the machine, the files, the run before."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from emgsim.errors import InputError
from emgsim.records.journal import Line, digest, read_journal
from emgsim.records.record import RECORD

PACKAGES = ("emgsim", "numpy", "scipy", "numba", "simpy", "pyserial", "pyvisa", "pyvisa-py")
ROOT = Path(__file__).parents[2]  # beside the package: a checkout, or where it is installed
GIT_TIMEOUT_S = 10.0


def versions() -> dict[str, str]:
    """Return the versions of all that a run's numbers may depend on."""
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def checkout(root: Path = ROOT) -> Line:
    """Return the commit of the checkout that the code runs from, and whether the code is another.

    Empty if the code is installed, or git cannot be asked.
    """
    if not (root / ".git").exists() or (git := shutil.which("git")) is None:
        return {}
    try:
        commit, changes = (
            _asked(git, root, "rev-parse", "HEAD"),
            _asked(git, root, "status", "-s", "emgsim"),
        )
    except subprocess.TimeoutExpired:
        return {}
    if commit.returncode or changes.returncode:
        return {}
    return {"commit": commit.stdout.strip(), "is_dirty": bool(changes.stdout)}


def _asked(git: str, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - no shell, and nothing of a user's in the words
        [git, "-C", str(root), *words],
        capture_output=True,
        text=True,
        timeout=GIT_TIMEOUT_S,
        check=False,
        env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},  # looking must not disturb a commit
    )


def host() -> Line:
    """Return the machine: its operating system, its processor, and how many of its cores."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
    }


def digests(tables: Mapping[str, Line], files: Mapping[str, Path] | None = None) -> dict[str, str]:
    """Return the SHA-256 of each resolved table, and of the bytes of each file.

    Parameters
    ----------
    tables
        By name, e.g. ``scenario``; keys may stand in any order.
    files
        By name; here the name has ``_file`` at its end.
    """
    texts = {name: json.dumps(table, sort_keys=True) for name, table in tables.items()}
    found = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    return found | {f"{name}_file": digest(path) for name, path in (files or {}).items()}


def previous(out: Path) -> Line:
    """Return id and digest of the record of the newest completed run in a folder of runs.

    Empty if there is none. Of completed ones alone, as the record of another one changes when it
    is resumed.
    """
    for path in sorted(out.glob(f"*/{RECORD}"), reverse=True):
        if _is_completed(path.parent):
            return {"run_id": path.parent.name, "sha256": digest(path)}
    return {}


def _is_completed(folder: Path) -> bool:
    try:
        lines = read_journal(folder)
    except InputError:  # it has no journal, or a damaged one: it is nobody's predecessor
        return False
    return bool(lines) and lines[-1].get("status") == "completed"


def table() -> Line:
    """Return what is the same for every run of this process, as a journal's first line has it."""
    return {"versions": versions(), "checkout": checkout(), "host": host()}
