"""A real recording through the wires: what the chain did to it, without any truth.

What is played is the recording itself, so that the device is compared with what a file says, and
nothing has to be known of where its discharges are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from emgsim import chain
from emgsim.bench.levels import longest_playback_s
from emgsim.bench.outlook import SMALLEST
from emgsim.bench.program import Program, program_for
from emgsim.bench.rig import Rig
from emgsim.bench.station import refuse_unarmed
from emgsim.errors import InputError, UsageError
from emgsim.files.reading import read_recording
from emgsim.recording import Recording
from emgsim.records import provenance
from emgsim.records.journal import Journal, read_journal
from emgsim.records.record import RunRecord, fold
from emgsim.running.agreement import agreement
from emgsim.running.aligning import aligned, chain_measured, keep_fit, tell_broken_off
from emgsim.running.bounds import Ending, journalled, run_name
from emgsim.running.gating import gated
from emgsim.running.logbook import Logbook, Progress
from emgsim.running.playback import Playback
from emgsim.running.played import SPOOL
from emgsim.running.resuming import Done
from emgsim.running.run import write_reports
from emgsim.verdict import Measurement

SCHEMA = "emgsim.playback/1"
PLAYED = "recording"  # the path: what the file holds
FINEST = 1000  # milliseconds: the longest that is sought in which there are whole samples


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """What of which recording is played.

    Attributes
    ----------
    file
        It was read from.
    recording
        One channel without gaps; its first sample is at 0 s.
    channel
        Its name in the file.
    start_s
        Of the excerpt, after the first sample in the file.
    scale_uv_per_unit
        That was given for it, if any.
    """

    file: Path
    recording: Recording
    channel: str
    start_s: float = 0.0
    scale_uv_per_unit: float | None = None

    @property
    def id(self) -> str:
        """Name of a run that plays it."""
        return re.sub(r"[^a-z0-9_-]+", "_", self.file.stem.lower()).strip("_") or PLAYED

    def table(self) -> dict[str, Any]:
        """Return it as plain values, for the record."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "title": f"{self.file.name}, played",
            "file": self.file.name,
            "channel": self.channel,
            "rate_hz": self.recording.rate_hz,
            "start_s": self.start_s,
            "duration_s": self.recording.duration_s,
            "scale_uv_per_unit": self.scale_uv_per_unit,
        }


def excerpt_of(
    file: Path,
    *,
    channels: Sequence[str] = (),
    scale_uv_per_unit: float | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Excerpt:
    """Read what is to be played of a recording.

    Parameters
    ----------
    file
        Of any format that `emgsim.files.read_recording` reads.
    channels
        The name of the one to be played; none is needed where the file has only one.
    scale_uv_per_unit
        As of `read_recording`.
    start_s, duration_s
        Of the excerpt, after the first sample; by default all that follows.

    Raises
    ------
    InputError
        If it cannot be read, has several channels, lacks samples in the excerpt, or is silent.
    UsageError
        If the excerpt lies outside the recording.
    """
    whole, _ = read_recording(file, channels=channels, scale_uv_per_unit=scale_uv_per_unit)
    if len(whole.channels) != 1:
        names = ", ".join(repr(channel.name) for channel in whole.channels)
        raise InputError(
            f"a rig plays one channel, and the recording has {len(whole.channels)}: {names}",
            where=str(file),
            todo="choose one with --channel NAME",
        )
    stop_s = whole.duration_s if duration_s is None else start_s + duration_s
    if not 0 <= start_s < whole.duration_s or stop_s > whole.duration_s + 0.5 / whole.rate_hz:
        raise UsageError(
            f"an excerpt must lie within the {whole.duration_s:g} s of the recording, got "
            f"{start_s:g} .. {stop_s:g} s",
            where=str(file),
            todo="give other --start-s and --duration-s",
        )
    recording = replace(replace(whole, start_s=0.0).cut(start_s, stop_s), start_s=0.0)
    _refuse_unplayable(recording, file, start_s)
    return Excerpt(
        file=file,
        recording=recording,
        channel=whole.channels[0].name,
        start_s=start_s,
        scale_uv_per_unit=scale_uv_per_unit,
    )


def _refuse_unplayable(recording: Recording, file: Path, start_s: float) -> None:
    """Refuse what has holes, or nothing in it."""
    uv, rate_hz = recording.samples_uv[:, 0], recording.rate_hz
    known = np.isfinite(uv)
    if not known.all():
        edges = np.flatnonzero(np.diff(known.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        first, last = edges[np.argmax(np.ptp(edges, axis=1))] if edges.size else (0, 0)
        lost = int(np.argmin(known))
        raise InputError(
            f"{np.count_nonzero(~known)} samples of the recording are missing, the first at "
            f"{start_s + lost / rate_hz:.6g} s: a gap cannot be played",
            where=str(file),
            todo=f"play what has none, e.g. --start-s {start_s + first / rate_hz:.6f} --duration-s "
            f"{(last - first) / rate_hz:.6f}",
        )
    if not np.any(uv):
        raise InputError(
            "the recording is zero throughout: nothing could be compared with it",
            where=str(file),
            todo="choose another channel or excerpt",
        )


def program_of(excerpt: Excerpt, rig: Rig) -> Program:
    """Return the playback of an excerpt on a rig, whose end lies on a whole millisecond.

    A rate such as 23 437.5 Hz has 375 samples in 16 ms and no whole number in one: silence is
    added until there is one, or the generator would have to play a little faster.

    Raises
    ------
    UsageError
        If the generator's memory, as the rig file declares it, holds less.
    """
    program = program_for(excerpt.recording, rig.profile.band_hz[1])
    whole_ms = Fraction(program.rate_hz / 1000).limit_denominator(FINEST)
    tail = np.zeros(-program.samples_uv.size % whole_ms.numerator)
    program = replace(program, samples_uv=np.concatenate([program.samples_uv, tail]))
    caps = replace(SMALLEST, max_points=rig.source.max_points)
    longest_s = longest_playback_s(caps, rig.profile.band_hz[1])
    around_s = program.duration_s - excerpt.recording.duration_s
    if program.duration_s > longest_s:
        raise UsageError(
            f"{excerpt.recording.duration_s:.6g} s do not fit the generator's "
            f"{rig.source.max_points} points; the longest possible is "
            f"{max(0.0, longest_s - around_s):.4g} s",
            where=f"rig {rig.id}, source.max_points",
            todo="cut it with --start-s and --duration-s, or use a generator with more memory",
        )
    return program


def play_back(
    excerpt: Excerpt,
    rig: Rig,
    *,
    out: Path = Path("reports/runs"),
    seed: int = 0,
    analyse: bool = False,
    files: Mapping[str, Path] | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Path, RunRecord]:
    """Play a recording through a rig, and write what became of it into a run's folder.

    Parameters
    ----------
    excerpt
        What is played.
    rig
        Through what.
    out
        Folder in which the run's own folder is made.
    seed
        Of a virtual rig's noise.
    analyse
        Whether the recording and what became of it are analysed, and compared.
    files
        The rig's file, by ``rig``: the record holds the digest of its bytes.
    progress
        Called with one line per stage.

    Returns
    -------
    folder : Path
        Holds ``journal.jsonl, record.json, junit.xml, report.html, wave/*.npz``.
    record : RunRecord
        Its scenario is what the excerpt's ``table`` says.

    Raises
    ------
    EmgsimError
        What ended it; the journal and the record keep all that came before.
    """
    refuse_unarmed(rig)
    program = program_of(excerpt, rig)
    began = datetime.now(UTC)
    folder = out / run_name(began, excerpt.id, rig.id)
    tables = {"scenario": excerpt.table(), "rig": rig.resolved()}
    ending = Ending()
    with Journal(folder) as journal:
        journal.append(
            "run_started",
            run_id=folder.name,
            started=began.isoformat(timespec="seconds"),
            seed=seed,
            **tables,
            **provenance.table(),
            digests=provenance.digests(tables, {"recording": excerpt.file, **(files or {})}),
            previous=provenance.previous(out),
        )
        try:
            kept = "everything captured so far"
            with journalled(journal, ending, kept=kept, is_resumable=False):
                logbook = Logbook(journal, progress)
                paths = _carry_out(excerpt, program, rig, seed, logbook)
                if analyse:
                    _analyse(excerpt.recording, paths, logbook)
        finally:
            ending.append(journal, fold(read_journal(folder)))
            record = write_reports(folder)
    progress(f"report      {folder / 'report.html'}")
    return folder, record


def _carry_out(
    excerpt: Excerpt, program: Program, rig: Rig, seed: int, logbook: Logbook
) -> dict[str, chain.Path]:
    """Play, align, measure, and return the paths."""
    recording = excerpt.recording
    with logbook.stage("read") as say:
        logbook.keep(PLAYED, recording)
        peak_uv = float(np.max(np.abs(recording.samples_uv)))
        say(
            f"{excerpt.channel}: {recording.duration_s:g} s at {recording.rate_hz:g} Hz, "
            f"peak {peak_uv:.0f} uV"
        )
    playback = Playback(rig, seed, logbook, Done())
    try:
        played = playback.played(program)
    finally:
        if playback.broken_off is not None:
            tell_broken_off(rig, program, *playback.broken_off, logbook)
    with logbook.stage("align") as say:
        paths = aligned(rig, program, played, recording.duration_s, logbook)
        for path in paths.values():
            logbook.keep(path.name, path.recording)
            keep_fit(path, program, logbook)
        measured = _measured(
            [
                *chain_measured(rig, program, played, paths, logbook),
                *(m for p in paths.values() for m in chain.fidelity_measurements(p, program)),
            ],
            logbook,
        )
        added, budget = (measured[f"noise.{name}_uv.device"].value for name in ("added", "budget"))
        say(
            f"rms {measured['amplitude.rms_error_pct.device'].value:+.2f} %, added noise "
            f"{added:.3g} uV of a budget of {budget:.3g}"
        )
    (logbook.folder / SPOOL).unlink(missing_ok=True)
    return paths


def _measured(found: Iterable[Measurement], logbook: Logbook) -> dict[str, Measurement]:
    """Journal measurements, inconclusive where they rest on a stimulus that was wrong."""
    measured: dict[str, Measurement] = {}
    for one in found:
        measured[one.id] = gated(one, measured)
        logbook.journal.measurement(measured[one.id])
    return measured


def _analyse(recording: Recording, paths: Mapping[str, chain.Path], logbook: Logbook) -> None:
    """Compare what is found in the recording with what is found in what became of it."""
    others = {name: paths[name].recording for name in ("loopback", "device")}
    with logbook.stage("analyse") as say:
        found = _measured(agreement(recording, others, logbook, name=PLAYED), logbook)
        say(", ".join(f"{id} {m.value:.3g}" for id, m in found.items()))
