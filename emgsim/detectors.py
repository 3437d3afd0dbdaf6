"""Algorithms under test: each gets a recording's file and writes findings, in a process of its own.

Three kinds of detector, all run in the same way: the built-in one; a function of an installed
package (entry point group ``emgsim.detectors``), which takes a `Recording` and returns `Findings`;
and any command. None of them can see the truth, the name of the path, or the run's folder.

``python -m emgsim.detectors NAME RECORDING FINDINGS`` runs an installed one on a file.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from emgsim.errors import EmgsimError, InputError, NotAnalysableError, UsageError
from emgsim.files.findings import read_findings, refuse_impossible, write_findings
from emgsim.files.npz import write_npz
from emgsim.files.reading import read_recording
from emgsim.recording import Findings, Recording

GROUP = "emgsim.detectors"
BUILT_IN = "emgsim"
RECORDING, FINDINGS = "{recording}", "{findings}"  # in a command
TIMEOUT_S = 600.0
LOOK_S = 0.05  # how often a detector is asked whether it is done
LAST_WORDS = 400  # characters of a failed detector's output that its error quotes
MOST_BYTES = 100_000_000  # that it may say or find; an hour of 100 units takes a tenth of it
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # a core has one detector


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A detector: its name, and the words of its command with places for the two files."""

    name: str
    words: tuple[str, ...]
    timeout_s: float = TIMEOUT_S

    def command(self, recording: Path, findings: Path) -> list[str]:
        """Return the command for two files."""
        return [
            word.replace(RECORDING, str(recording)).replace(FINDINGS, str(findings))
            for word in self.words
        ]

    def table(self) -> dict[str, Any]:
        """Return what tells one version of the detector from another, as plain values.

        The version of an installed one's package; the digests of the files that a command names.
        """
        entry = _foreign().get(self.name)
        files = () if entry or self.name == BUILT_IN else shlex.split(self.name)
        return {
            "name": self.name,
            "version": entry.dist.version if entry and entry.dist else "",
            "files": {
                word: hashlib.sha256(Path(word).read_bytes()).hexdigest()
                for word in files
                if Path(word).is_file() and os.access(word, os.R_OK)
            },
            "timeout_s": self.timeout_s,
        }


def detector_names() -> dict[str, str]:
    """Return the names that there are, each with where it comes from."""
    foreign = {name: entry.value for name, entry in sorted(_foreign().items())}
    return {BUILT_IN: "the analysis of this package"} | foreign


def find_detector(
    text: str = BUILT_IN, *, plan_file: Path | None = None, timeout_s: float = TIMEOUT_S
) -> Detector:
    """Return the detector of a name, or of a command.

    Parameters
    ----------
    text
        ``emgsim``, the name of an installed detector, or a command. A command has the places
        ``{recording}`` and ``{findings}``; without them both files are added at its end.
    plan_file
        Plan of the built-in detector.
    timeout_s
        How long it may take for one recording.

    Raises
    ------
    UsageError
        If it is neither a name nor a program, or has one place only.
    """
    if not timeout_s > 0:
        raise UsageError(f"a detector's timeout must be > 0 s, got {timeout_s:g}")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--detector {text!r} is no command: {error}") from error
    if text == BUILT_IN:
        plan = [] if plan_file is None else ["--plan", str(plan_file)]
        words = [sys.executable, "-m", "emgsim", "analyse", RECORDING, *plan, "-o", FINDINGS]
    elif text in _foreign():
        words = [sys.executable, "-m", "emgsim.detectors", text, RECORDING, FINDINGS]
    elif not words or shutil.which(words[0]) is None:
        raise UsageError(
            f"--detector {text!r} is neither a detector nor a program",
            todo=f"use one of {', '.join(detector_names())}, or a command",
        )
    named = [any(place in word for word in words) for place in (RECORDING, FINDINGS)]
    if any(named) != all(named):
        raise UsageError(
            f"--detector {text!r} must name both {RECORDING} and {FINDINGS}, or neither"
        )
    if not any(named):
        words += [RECORDING, FINDINGS]
    return Detector(name=text, words=tuple(words), timeout_s=timeout_s)


def detect(
    detector: Detector, recordings: Mapping[str, Recording], folder: Path
) -> dict[str, Findings]:
    """Run a detector on every path's recording, side by side on the cores there are.

    What it found is kept in ``findings-<path>.json`` and what it said in ``detector-<path>.log``,
    both also if it failed. When one fails or the user interrupts, all are ended.

    Parameters
    ----------
    detector
        From `find_detector`.
    recordings
        By path.
    folder
        Where findings and logs are kept.

    Raises
    ------
    InputError
        If what it wrote is no findings, or none that the recording can hold, or the built-in one
        could not read the recording.
    NotAnalysableError
        If it wrote none, ended with an error, took too long, or wrote without end.
    """
    is_over = threading.Event()
    with ThreadPoolExecutor(min(len(recordings), os.cpu_count() or 1)) as pool:
        paths = {
            pool.submit(_one, detector, path, recording, folder, is_over): path
            for path, recording in recordings.items()
        }
        try:
            found = {paths[future]: future.result() for future in as_completed(paths)}
        except BaseException:  # a failure, or the user's interruption: no other one may run on
            is_over.set()
            for future in paths:
                future.cancel()
            raise
    return {path: found[path] for path in recordings}


class _EndedError(Exception):
    """A detector was ended because another one failed, or the user interrupted."""


def _one(
    detector: Detector, path: str, recording: Recording, folder: Path, is_over: threading.Event
) -> Findings:
    """Run a detector on one path; keep what it wrote and said."""
    whose = f"the detector {detector.name!r} on the {path} path"
    kept, log = folder / f"findings-{path}.json", folder / f"detector-{path}.log"
    with TemporaryDirectory(prefix="emgsim-") as place:
        given, written = Path(place) / "recording.npz", Path(place) / "findings.json"
        write_npz(given, recording)
        try:
            with log.open("wb") as out, _started(whose, detector, given, written, out) as process:
                code = _finished(whose, process, detector.timeout_s, (log, written), is_over)
        finally:
            for file in (log, written):
                if file.is_file() and file.stat().st_size > MOST_BYTES:
                    os.truncate(file, MOST_BYTES)
            if is_written := written.is_file():
                shutil.copyfile(written, kept)
            if not (said := _last_words(log)):
                log.unlink()
    where = str(log if said else folder)
    if detector.name == BUILT_IN and not code:
        log.unlink(missing_ok=True)  # names a temporary file: no two runs would be the same
    if code:
        raise _failure(detector, f"{whose} ended with {_ending(code)}", said, where, code)
    if not is_written:
        raise NotAnalysableError(
            f"{whose} wrote no findings", where=where, todo=f"write them to the file {FINDINGS}"
        )
    try:
        found = read_findings(kept)
        refuse_impossible(found, recording, str(kept))
    except InputError as error:
        raise InputError(f"{whose}: {error.what}", where=error.where, todo=error.todo) from error
    return found


def _last_words(log: Path) -> str:
    """Return the end of what a detector said, however much that was."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4 * LAST_WORDS))  # bytes; a character has up to four
        return file.read().decode("utf-8", errors="replace").strip()


def _started(
    whose: str, detector: Detector, given: Path, written: Path, out: BinaryIO
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            detector.command(given, written),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | ONE_THREAD,
            start_new_session=True,  # so that its children can be ended with it
        )
    except OSError as error:
        raise NotAnalysableError(
            f"{whose} cannot be started: {error.strerror}",
            where=detector.words[0],
            todo="check that it is a program that may be run",
        ) from error


def _finished(
    whose: str,
    process: subprocess.Popen[bytes],
    timeout_s: float,
    growing: tuple[Path, ...],
    is_over: threading.Event,
) -> int:
    """Return the exit code of a process at its end; nothing of it runs on afterwards."""
    ends_s = time.monotonic() + timeout_s
    try:
        while (code := process.poll()) is None:
            if is_over.wait(LOOK_S):
                raise _EndedError
            if time.monotonic() > ends_s:
                raise NotAnalysableError(
                    f"{whose} took longer than {timeout_s:g} s",
                    where=str(growing[0].parent),
                    todo="give it more with --detector-timeout-s, or mend it",
                )
            _refuse_flood(whose, growing)
        _refuse_flood(whose, growing)
        return code
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _refuse_flood(whose: str, growing: tuple[Path, ...]) -> None:
    """Refuse what would fill the disk."""
    for file in growing:
        if file.is_file() and (size := file.stat().st_size) > MOST_BYTES:
            raise NotAnalysableError(
                f"{whose} wrote {size / 1e6:.0f} MB, and may write {MOST_BYTES / 1e6:.0f}",
                where=str(growing[0].parent),
                todo="let it write one list of times for each unit, and say less",
            )


def _failure(detector: Detector, what: str, said: str, where: str, code: int) -> EmgsimError:
    """Return the error of a detector that failed; the built-in one's code tells its kind."""
    is_ours = detector.name == BUILT_IN
    kind = InputError if is_ours and code == InputError.exit_code else NotAnalysableError
    tail = said.rpartition("error: ")[2] if is_ours else said[-LAST_WORDS:]
    return kind(
        f"{what}: {tail}" if tail else what,
        where=where,
        todo="run it by itself on a recording of `emgsim simulate`",
    )


def _ending(code: int) -> str:
    if code > 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _foreign() -> dict[str, EntryPoint]:
    """Return the installed detectors; the name of the built-in one cannot be taken over."""
    return {e.name: e for e in entry_points(group=GROUP) if e.name != BUILT_IN}


def _loaded(name: str) -> Callable[[Recording], Any]:
    entry = _foreign()[name]
    where = f"entry point {entry.name} = {entry.value} of {GROUP}"
    try:
        function = entry.load()
    except Exception as error:  # whatever a stranger's module does when it is imported
        raise InputError(
            f"the detector {name!r} cannot be imported: {error}",
            where=where,
            todo="repair or remove the package that offers it",
        ) from error
    if not callable(function):
        raise InputError(
            f"a detector must be a function of a Recording, got {function!r}", where=where
        )
    return function  # type: ignore[no-any-return]


def main(arguments: list[str]) -> None:
    """Run an installed detector on a file, and write what it found."""
    name, recording, out = arguments
    found = _loaded(name)(read_recording(Path(recording))[0])
    if not isinstance(found, Findings):
        raise InputError(f"a detector must return Findings, got {type(found).__name__}")
    write_findings(Path(out), found)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except EmgsimError as mistake:
        sys.exit(str(mistake))
