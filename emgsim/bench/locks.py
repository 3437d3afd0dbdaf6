"""One lock per physical resource and host: who holds an instrument, since when and until when.

A lock is an ``flock`` on a file that every user of the host can open. It is never broken by force:
the kernel drops it when the last process that holds the descriptor has ended. That is the guard,
to which the descriptors are handed, so that nobody gets an instrument whose output is still on.
The file stays, and what is written in it counts only while it is locked.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from emgsim.errors import LinkError

ENVIRONMENT = "EMGSIM_LOCK_DIR"
FOLDER = "emgsim-locks"
SHARED = (Path("/run/lock"), Path("/tmp"))  # noqa: S108 - one place for all users, unlike TMPDIR
POLL_S = 0.05
OPEN_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


def lock_folder() -> Path:
    """Return the folder of the lock files, and make it for all users when it is missing.

    It is ``EMGSIM_LOCK_DIR``, or ``emgsim-locks`` in ``/run/lock``, or in ``/tmp`` where that is
    not open to all users: two users must not look for the same lock in two places.
    """
    named = os.environ.get(ENVIRONMENT)
    folder = Path(named) if named else next(filter(_is_open_to_all, SHARED), SHARED[-1]) / FOLDER
    try:
        folder.mkdir(parents=True)
        folder.chmod(0o1777)  # past the umask; sticky, so that nobody removes what others hold
    except FileExistsError:
        pass
    except OSError as error:
        raise _unusable(folder, error) from error
    return folder


@contextmanager
def hold(
    keys: Iterable[str], *, wait_s: float = 0.0, run_id: str = "", expires_s: float = 7200.0
) -> Iterator[tuple[int, ...]]:
    """Hold the locks of all keys while the context lasts: all of them or none.

    Parameters
    ----------
    keys
        Names of physical resources, such as ``awg:MY00000000`` or ``usb:A1B2``.
    wait_s
        How long to wait for others.
    run_id
        What the locks are held for, told to those who find them taken.
    expires_s
        How long they are expected to be held, told likewise; nobody is thrown out.

    Yields
    ------
    tuple of int
        Descriptors of the lock files, for `emgsim.bench.guard.Guard`. Children do not inherit them
        otherwise.

    Raises
    ------
    LinkError
        If a lock is still taken after ``wait_s``, or the lock files cannot be used.
    """
    names = sorted(set(keys))
    note = _note(run_id, expires_s)
    ends_s = time.monotonic() + wait_s
    while isinstance(held := _take_all(lock_folder(), names, note), str):
        if time.monotonic() >= ends_s:
            raise _busy(held, lock_folder(), wait_s)
        time.sleep(POLL_S)
    try:
        yield tuple(held)
    finally:
        for descriptor in held:
            # Never LOCK_UN: it would unlock for the guard too, which shares the descriptor.
            os.close(descriptor)


def _take_all(folder: Path, names: list[str], note: dict[str, Any]) -> list[int] | str:
    """Return the descriptors of all locks, or the first key that somebody else holds."""
    held: list[int] = []
    try:
        for name in names:
            descriptor = _opened(_path(folder, name))
            held.append(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(descriptor, {"key": name} | note)
    except BlockingIOError:
        _close(held)
        return name
    except OSError as error:
        _close(held)
        raise _unusable(folder, error) from error
    except BaseException:
        _close(held)
        raise
    return held


def _opened(path: Path) -> int:
    """Open a lock file, and create it for all users when it is missing."""
    # Without O_CREAT first: where fs.protected_regular is set, nobody but its owner may open a
    # file of a sticky folder with it.
    with suppress(FileNotFoundError):
        return os.open(path, OPEN_FLAGS)
    try:
        descriptor = os.open(path, OPEN_FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:  # somebody else was quicker
        return os.open(path, OPEN_FLAGS)
    os.fchmod(descriptor, 0o666)  # past the umask
    return descriptor


def _path(folder: Path, name: str) -> Path:
    return folder / f"{quote(name, safe='')}.lock"


def _note(run_id: str, expires_s: float) -> dict[str, Any]:
    now = datetime.now(UTC).replace(microsecond=0)
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "user": _user(),
        "run_id": run_id,
        "since": now.isoformat(),
        "until": (now + timedelta(seconds=expires_s)).isoformat(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def _write(descriptor: int, note: dict[str, Any]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(note).encode() + b"\n", 0)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _busy(name: str, folder: Path, wait_s: float) -> LinkError:
    path = _path(folder, name)
    try:
        holder = json.loads(path.read_text("utf-8"))
        by = (
            f"by {holder['user']}, process {holder['pid']} on {holder['host']}, "
            f"run {holder['run_id'] or 'without a name'}, since {holder['since']}, "
            f"expected until {holder['until']}{_state(holder)}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        by = "by somebody who has not yet said who it is"
    return LinkError(
        f"{name} is held {by}" + (f"; waited {wait_s:g} s" if wait_s else ""),
        where=str(path),
        todo="wait for that run, end it in an orderly way, or use another rig; "
        "a lock is free as soon as its holder and its guard have ended",
    )


def _state(holder: dict[str, Any]) -> str:
    """Say what is odd about a holder."""
    if holder["host"] == socket.gethostname() and not Path(f"/proc/{int(holder['pid'])}").exists():
        return " (it has died; its guard holds on until the outputs are off)"
    is_late = datetime.fromisoformat(holder["until"]) < datetime.now(UTC)
    return " (that time is over)" if is_late else ""


def _is_open_to_all(folder: Path) -> bool:
    """Tell whether every user may make files there, and only their owner remove them."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IWOTH and mode & stat.S_ISVTX)


def _unusable(folder: Path, error: OSError) -> LinkError:
    return LinkError(
        f"the lock files cannot be used: {error}",
        where=str(folder),
        todo=f"make the folder writable for all users, or name another one in {ENVIRONMENT}",
    )
