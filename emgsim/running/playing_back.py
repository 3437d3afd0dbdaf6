"""A real recording through the wires: what the chain did to it, without any truth.

What is played is the recording itself, so that the device is compared with what a file says, and
nothing has to be known of where its discharges are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np

from emgsim import chain
from emgsim.bench.levels import longest_playback_s
from emgsim.bench.outlook import SMALLEST
from emgsim.bench.program import QUIETEST_MARKER_UV, Program, program_for
from emgsim.bench.rig import Rig
from emgsim.bench.station import refuse_unarmed
from emgsim.errors import UsageError
from emgsim.recording import Recording
from emgsim.records import provenance
from emgsim.records.journal import Journal, read_journal
from emgsim.records.record import RunRecord, fold
from emgsim.running.agreement import agreement
from emgsim.running.aligning import aligned, chain_measured, keep_fit, tell_broken_off
from emgsim.running.bounds import Ending, journalled, run_name
from emgsim.running.excerpt import PLAYED, Excerpt
from emgsim.running.gating import gated
from emgsim.running.logbook import Logbook, Progress
from emgsim.running.passes import play_channels
from emgsim.running.playback import Playback
from emgsim.running.played import SPOOL
from emgsim.running.resuming import Done
from emgsim.running.run import write_reports
from emgsim.verdict import Measurement

FINEST = 1000  # milliseconds: the longest that is sought in which there are whole samples


def program_of(excerpt: Excerpt, rig: Rig, channel: int = 0) -> Program:
    """Return the playback of one channel on a rig, whose end lies on a whole millisecond.

    Its markers are as loud as the loudest of all channels: they are the same in each. A rate such
    as 23 437.5 Hz has 375 samples in 16 ms and no whole number in one: silence is added until there
    is one, or the generator would have to play a little faster.

    Raises
    ------
    UsageError
        If the generator's memory, as the rig file declares it, holds less.
    """
    recording = excerpt.recording
    one = replace(
        recording,
        samples_uv=recording.samples_uv[:, [channel]],
        channels=(recording.channels[channel],),
    )
    loudest_uv = max(QUIETEST_MARKER_UV, float(np.max(np.abs(recording.samples_uv))))
    program = program_for(one, rig.profile.band_hz[1], marker_uv=loudest_uv)
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
    UsageError
        If several channels are to be analysed: there is one plan for one channel.
    EmgsimError
        What ended it; the journal and the record keep all that came before.
    """
    if analyse and len(excerpt.names) > 1:
        raise UsageError(
            f"--analyse is of one channel, got {len(excerpt.names)}",
            where=str(excerpt.file),
            todo="choose one with --channel NAME, or leave --analyse out",
        )
    refuse_unarmed(rig)
    for k in range(min(rig.n_sources, len(excerpt.names))):
        program_of(excerpt, rig.of(k), k)  # before there is a folder
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
                _carry_out(excerpt, rig, seed, logbook, analyse=analyse)
        finally:
            ending.append(journal, fold(read_journal(folder)))
            record = write_reports(folder)
    progress(f"report      {folder / 'report.html'}")
    return folder, record


def _carry_out(excerpt: Excerpt, rig: Rig, seed: int, logbook: Logbook, *, analyse: bool) -> None:
    """Play, align and measure one channel, or several: as many at once as there are generators."""
    recording = excerpt.recording
    with logbook.stage("read") as say:
        logbook.keep(PLAYED, recording)
        peak_uv = float(np.max(np.abs(recording.samples_uv)))
        what = excerpt.names[0] if len(excerpt.names) == 1 else f"{len(excerpt.names)} channels"
        say(
            f"{what}: {recording.duration_s:g} s at {recording.rate_hz:g} Hz, peak {peak_uv:.0f} uV"
        )
    playback = Playback(rig, seed, logbook, Done())
    if len(excerpt.names) > 1:
        n = rig.n_sources
        programs = (program_of(excerpt, rig.of(k % n), k) for k in range(len(excerpt.names)))
        play_channels(excerpt, programs, rig, playback, logbook)
        return
    paths = _play_one(recording, program_of(excerpt, rig), rig, playback, logbook)
    if analyse:
        _analyse(recording, paths, logbook)


def _play_one(
    recording: Recording, program: Program, rig: Rig, playback: Playback, logbook: Logbook
) -> dict[str, chain.Path]:
    """Play one channel, align it, keep it, measure it, and return the paths."""
    try:
        played = playback.played(program)
    finally:
        tell_broken_off(rig, playback.broken_off, logbook)
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
