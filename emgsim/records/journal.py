"""A run's journal: lines in a file that nothing but the loss of its disk can take away.

The journal is the source: JSON lines, appended and flushed to the disk one by one, so that a run
that dies keeps everything it had. The record is a pure fold of the journal.

Kinds of lines, each with its data::

    run_started   run_id, scenario, rig, seed, detector, versions, started, checkout, host,
                  digests, previous, prepare
    resumed       when, host, done                    stages of before that are not done again
    arm           values                              who armed the rig, and until when
    prepare       values                              command, exit_status, seconds, output
    stage         name, seconds                       a stage that has ended
    identity      role, maker, model, serial, firmware
    plan          values                              the level plan
    capture       path, file, n_samples, gaps         what a path recorded
    alignment     path, values, fit                   fit: what a resumed run goes on with
    diagnosis     name, path, part, start_s, stop_s, within_s, value, unit, statistic,
                  threshold, todo, text               a fault of the rig, and how sure that is
    budget        path, rows                          [{"name", "uv_rms"}]
    findings      path, file, n_units
    score         path, rows                          one row per true unit, matched or not
    strata        path, rows                          counts by what makes discharges hard to find
    measurement   id, value, unit, low, high, note, limit, verdict
    reading       id, test, title, states, bound, uncertainty, coverage_factor, freedom, ratio,
                  method, conditions, rests_on, components, stimulus_error_pct, curves: how a
                  measurement of metrology was made
    skipped       id, title, why                      a test that could not be made here
    certificate   id, of, due, has_expired            that measurements rest on
    device        values                              what its profile declares
    file          name, sha256
    spool         name, sha256                        raw samples, kept until they are aligned
    safe_state    confirmed, why                      the output was switched off, and queried
    error         what, where, todo, exit_code
    run_ended     status, exit_code, ended

Of two measurements of one id the later one counts. What a reader does not know it passes over.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import time
from contextlib import suppress
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any, Literal, Self

from emgsim.errors import InputError, UsageError
from emgsim.verdict import Measurement

JOURNAL = "journal.jsonl"
GLANCE_S = 0.1  # longer than whoever looks whether a journal is written holds it
Line = dict[str, Any]

TABLES = {  # a kind of line: where the record has it, and by what
    "identity": ("identities", "role"),
    "capture": ("captures", "path"),
    "findings": ("findings", "path"),
    "reading": ("readings", "id"),
    "certificate": ("certificates", "id"),
}
VALUES = ("plan", "arm", "prepare", "device")
BY_PATH = {
    "alignment": ("alignments", "values"),
    "budget": ("budgets", "rows"),
    "score": ("scores", "rows"),
    "strata": ("strata", "rows"),
}
LISTS = {
    "stage": "stages",
    "error": "errors",
    "resumed": "resumed",
    "diagnosis": "diagnoses",
    "skipped": "skipped",
}
SINGLE = ("run_started", "run_ended", "measurement", "file", "spool", "safe_state")
KINDS = frozenset((*TABLES, *VALUES, *BY_PATH, *LISTS, *SINGLE))


class Journal:
    """Append-only lines in a run's folder, each on the disk before the next step is taken.

    While it is open nobody else can write it. A last line that a crash has torn is cut off.

    Raises
    ------
    UsageError
        If another process is writing it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._file = (folder / JOURNAL).open("a+b", buffering=0)
        try:
            _lock(self._file, folder)
            _mend(self._file)
            for place in (folder, folder.parent):  # else the file's name could be lost
                sync(place)
        except BaseException:
            self._file.close()
            raise

    def append(self, kind: str, **data: Any) -> None:
        """Write one line and wait until the disk has it.

        Raises
        ------
        ValueError
            If the kind is none of `KINDS`, or a number is none that JSON has.
        UsageError
            If the disk does not take it; the journal is then as it was before.
        """
        if kind not in KINDS:
            raise ValueError(f"a line's kind must be one of {sorted(KINDS)}, got {kind!r}")
        line = json.dumps({"kind": kind, **data}, default=plain, allow_nan=False)
        self._write(line.encode() + b"\n")

    def _write(self, line: bytes) -> None:
        number = self._file.fileno()
        size = os.fstat(number).st_size
        try:
            while line:
                line = line[os.write(number, line) :]
            os.fsync(number)
        except OSError as error:
            with suppress(OSError):  # half a line would spoil the next one
                os.ftruncate(number, size)
            raise UsageError(
                f"cannot write the journal: {error.strerror}",
                where=str(self.folder / JOURNAL),
                todo="make room, e.g. with `emgsim runs prune`, then go on with "
                "`emgsim run --resume`",
            ) from error

    def measurement(self, measurement: Measurement) -> None:
        """Write a measurement; NaN and infinity become null, as JSON has neither."""
        self.append("measurement", **finite(asdict(measurement)))

    def file(self, name: str, kind: Literal["file", "spool"] = "file") -> None:
        """Write the digest of a file in the folder, once the disk has the file."""
        with (self.folder / name).open("rb") as written:
            os.fsync(written.fileno())
        self.append(kind, name=name, sha256=digest(self.folder / name))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def is_written(folder: Path) -> bool:
    """Tell whether a process is writing the journal of a folder."""
    with suppress(FileNotFoundError), (folder / JOURNAL).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def write_whole(path: Path, text: str) -> None:
    """Write a file so that whoever reads it finds all of it, or what was there before."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _lock(file: FileIO, folder: Path) -> None:
    # The kernel lets go of it when the process ends, however it ends.
    ends_s = time.monotonic() + GLANCE_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > ends_s:
                raise UsageError(
                    "the run is still going on: another process writes its journal",
                    where=str(folder / JOURNAL),
                    todo="wait until it has ended, or end that process",
                ) from error
            time.sleep(GLANCE_S / 10)


def _mend(file: FileIO) -> None:
    """Cut a torn last line off; a whole one that only lacks its end gets it."""
    file.seek(0)
    text = file.readall()
    last = text[text.rfind(b"\n") + 1 :]
    if not last:
        return
    try:
        json.loads(last)
        file.write(b"\n")
    except ValueError:
        file.truncate(len(text) - len(last))
    os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def finite(values: Line) -> Line:
    """Return a table with null in place of NaN and infinity, as JSON has neither."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def plain(value: Any) -> Any:
    """Return as JSON has it what JSON does not know: arrays, numbers of numpy, paths."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a journal line cannot hold a {type(value).__name__}")


def read_journal(folder: Path) -> list[Line]:
    """Read a run's journal; a last line that was cut off by a crash is left out.

    Raises
    ------
    InputError
        If the folder has no journal, or one that was edited.
    """
    path = folder / JOURNAL
    try:
        rows = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(
            f"cannot read the journal: {error.strerror}",
            where=str(path),
            todo="name the folder of a run, e.g. reports/runs/<run id>",
        ) from error
    lines = []
    for number, row in enumerate(rows, start=1):
        try:
            lines.append(_line(row))
        except ValueError as error:
            if number == len(rows):  # behind the last end of a line
                break
            raise InputError(
                f"line {number} is no line of a journal",
                where=str(path),
                todo="the journal was edited or damaged; nothing behind that line can be trusted",
            ) from error
    return lines


def _line(row: bytes) -> Line:
    line = json.loads(row)
    if not isinstance(line, dict) or not isinstance(line.get("kind"), str):
        raise ValueError("it has no kind")
    return line


def digest(path: Path) -> str:
    """Return the SHA-256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
