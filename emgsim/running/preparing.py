"""The command that makes a device ready before a rig is opened: it flashes it, or cycles its power.

No shell reads it. What it said and how it ended go into the record, whatever became of it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress

from emgsim.errors import InstrumentError, UsageError
from emgsim.records.journal import Journal, Line

TIMEOUT_S = 600.0
LAST_WORDS = 2000  # characters of its output that are kept


def words_of(command: str) -> list[str]:
    """Return the words of a command.

    Raises
    ------
    UsageError
        If its quotes do not close, or its first word is no program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--prepare {command!r} is no command: {error}") from error
    if not words or shutil.which(words[0]) is None:
        raise UsageError(
            f"--prepare {command!r} begins with no program",
            todo="name a program that may be run; for pipes and && name a script",
        )
    return words


def prepare(command: str, journal: Journal, timeout_s: float = TIMEOUT_S) -> Line:
    """Run a command to its end, and journal its exit status, time and last words.

    Parameters
    ----------
    command
        Split into words as a shell would; no shell runs.
    journal
        Of the run.
    timeout_s
        How long it may take. Then it is killed with all that it started.

    Returns
    -------
    dict
        ``command, timeout_s, exit_status, seconds, output``; the exit status is negative for a
        signal, and None if it took too long.

    Raises
    ------
    UsageError
        If it is no command.
    InstrumentError
        If it did not end with exit status 0.
    """
    words = words_of(command)
    began_s = time.perf_counter()
    with tempfile.TemporaryFile() as said:  # a pipe would be held open by what it leaves behind
        status = _finished(words, said.fileno(), timeout_s)
        said.seek(0)
        output = said.read().decode("utf-8", errors="replace").strip()[-LAST_WORDS:]
    values = {
        "command": command,
        "timeout_s": timeout_s,
        "exit_status": status,
        "seconds": round(time.perf_counter() - began_s, 3),
        "output": output,
    }
    journal.append("prepare", values=values)
    if status != 0:
        ended = f"took longer than {timeout_s:g} s" if status is None else f"ended with {status}"
        last = output.rpartition("\n")[2]
        raise InstrumentError(
            f"the command that prepares the rig {ended}" + (f": {last}" if last else ""),
            where=command,
            todo="run it by itself until it ends with 0; the record has its output; nothing was "
            "opened",
        )
    return values


def _finished(words: list[str], output: int, timeout_s: float) -> int | None:
    """Return the exit status of a process, None if it took too long; nothing of it runs on."""
    try:
        process = subprocess.Popen(  # noqa: S603 - a command that the user has given, no shell
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its children can be ended with it
        )
    except OSError as error:
        raise InstrumentError(
            f"the command that prepares the rig cannot be started: {error.strerror}",
            where=words[0],
            todo="check that it is a program that may be run",
        ) from error
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
