"""Where a run's numbers come from: versions, commit, machine, digests, and the run before."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest

from emgsim.records.journal import JOURNAL, Journal, digest
from emgsim.records.provenance import ROOT, checkout, digests, host, previous, table, versions


def git(folder: Path, *words: str) -> str:
    """Run git as somebody."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_versions_are_those_of_what_the_numbers_depend_on() -> None:
    """Packages and interpreter."""
    found = versions()
    assert found["numpy"] == np.__version__
    assert found["python"] == platform.python_version()
    assert {"emgsim", "scipy", "numba", "pyvisa"} <= set(found)


def test_the_commit_is_that_of_the_checkout_and_a_change_of_the_code_is_told(
    tmp_path: Path,
) -> None:
    """A note beside the code is no change of it; outside of a checkout nothing is claimed."""
    assert checkout(tmp_path) == {}
    git(tmp_path, "init", "-q")
    assert checkout(tmp_path) == {}  # no commit yet
    (tmp_path / "emgsim").mkdir()
    (tmp_path / "emgsim" / "core.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    clean = {"commit": git(tmp_path, "rev-parse", "HEAD"), "is_dirty": False}
    (tmp_path / "notes.txt").write_text("mine")
    assert checkout(tmp_path) == clean
    (tmp_path / "emgsim" / "core.py").write_text("x = 2\n")
    assert checkout(tmp_path) == {**clean, "is_dirty": True}
    (tmp_path / "emgsim" / "core.py").write_text("x = 1\n")
    (tmp_path / "emgsim" / "new.py").write_text("x = 1\n")
    assert checkout(tmp_path) == {**clean, "is_dirty": True}


def test_the_code_itself_is_looked_for_where_it_is() -> None:
    """The root holds the package; in a checkout the commit is that of the checkout."""
    assert (ROOT / "emgsim" / "__init__.py").is_file()
    if (ROOT / ".git").exists():
        assert checkout()["commit"] == git(ROOT, "rev-parse", "HEAD")


def test_without_git_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed, or too slow to wait for."""
    git(tmp_path, "init", "-q")

    def slow(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("git", 1)

    with monkeypatch.context() as patch:
        patch.setattr("emgsim.records.provenance.subprocess.run", slow)
        assert checkout(tmp_path) == {}
    monkeypatch.setattr("emgsim.records.provenance.shutil.which", lambda _: None)
    assert checkout(tmp_path) == {}


def test_a_first_line_has_versions_commit_and_machine() -> None:
    """As plain values."""
    assert set(json.loads(json.dumps(table()))) == {"versions", "checkout", "host"}
    assert host()["system"] == platform.system()
    assert host()["cores"] >= 1


def test_digests_are_those_of_tables_and_of_bytes(tmp_path: Path) -> None:
    """The order of keys makes no difference, a comment in the file does."""
    (tmp_path / "a.toml").write_text("x = 1")
    (tmp_path / "b.toml").write_text("x = 1  # one")
    one = digests({"rig": {"x": 1, "y": 2}}, {"rig": tmp_path / "a.toml"})
    other = digests({"rig": {"y": 2, "x": 1}}, {"rig": tmp_path / "b.toml"})
    assert one["rig"] == other["rig"]
    assert one["rig_file"] == digest(tmp_path / "a.toml") != other["rig_file"]
    assert digests({"rig": {"x": 2}})["rig"] != one["rig"]


def test_the_run_before_is_the_newest_completed_one(tmp_path: Path) -> None:
    """What is aborted may still be gone on with, and its record would change."""
    assert previous(tmp_path / "nowhere") == {}
    for day, status in ((1, "completed"), (2, "completed"), (3, "aborted"), (4, "")):
        folder = tmp_path / f"2026010{day}T000000000Z-biceps-virtual"
        with Journal(folder) as journal:
            journal.append("run_started", run_id=folder.name)
            if status:
                journal.append("run_ended", status=status, exit_code=0, ended="")
        (folder / "record.json").write_text(str(day))
    damaged = tmp_path / "20260105T000000000Z-biceps-virtual"
    damaged.mkdir()
    (damaged / JOURNAL).write_text("?\n?\n")
    (damaged / "record.json").write_text("5")
    newest = tmp_path / "20260102T000000000Z-biceps-virtual"
    assert previous(tmp_path) == {
        "run_id": newest.name, "sha256": digest(newest / "record.json")
    }  # fmt: skip
