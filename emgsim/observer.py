"""What a perfect observer finds in an examination: the truth, as far as eye and ear could have it.

He knows which unit made each discharge and which fibre each potential at rest, and measures them by
the rules of the house on the samples without noise. What the analysis of the same samples loses
against him is lost by the algorithm, what that of a device loses beyond it, by the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.contractions import Row, effort_measures
from emgsim.analysis.jitter import jitter_pairs
from emgsim.analysis.mixtures import CRISP_US
from emgsim.analysis.muaps import FEWEST, Sweeps, sweeps_of
from emgsim.analysis.near_fibre import near_fibre_jiggle
from emgsim.analysis.plan import SAME_S, Stretch
from emgsim.analysis.quantification import AFTER_S, BEFORE_S, quantified_sweeps
from emgsim.analysis.resting.runs import DENERVATION, GRADE_BORDERS, PERSISTENT_S
from emgsim.analysis.stretches import joined
from emgsim.analysis.trains import train_measures
from emgsim.recording import Event, Findings, FoundRun, FoundUnit, Recording, Truth
from emgsim.scoring.detectability import detectability
from emgsim.seeds import stream

Floats = NDArray[np.float64]

# Peak to peak of a MUAP over the rms of all else, from which on he tells it apart. Of healthy
# muscles it gives as many units as the analysis finds; 6, as scoring asks for, gave half of them.
TOLD_RATIO = 4.0  # [C]
LEAST_UV = 15.0  # peak to peak of a potential at rest: smaller ones are lost in any noise [P]
SILENT_S = 0.1  # without a discharge: insertional activity is over, as the analysis has it
MOST_NOISE_US = 20.0  # of a pair's jitter that may be the other units'
SPLIT_US = 5.0  # jitter below it is that of one fibre, split (Stalberg & Trontelj)
PROVOKED = "insertional_burst"
EPISODES = ("rest", "contraction")


def observe(recording: Recording, truth: Truth, stretches: Sequence[Stretch]) -> Findings:
    """Return what a perfect observer finds in each stretch of an examination, joined.

    Parameters
    ----------
    recording
        The samples as the simulator made them; channel 0 is measured.
    truth
        Of the whole recording.
    stretches
        What was done when; the needle rests in each.

    Returns
    -------
    Findings
        As `emgsim.analysis.stretches.analyse_stretches` puts them together: units of slight
        efforts whose MUAP is four times the rms of all else, runs at rest of what is larger than
        15 uV, efforts, and each insertion's length. Nothing is uncertain.

    Raises
    ------
    ValueError
        If the needle moved in a stretch.
    """
    parts = []
    for stretch in stretches:
        here = truth.at(stretch.onset_s + SAME_S, stretch.offset_s - SAME_S)
        piece = recording.cut(stretch.onset_s, stretch.offset_s)
        span = {"onset_s": stretch.onset_s, "offset_s": stretch.offset_s}
        found = _in_stretch(stretch, piece, here)
        parts.append(replace(found, measures=tuple(row | span for row in found.measures)))
    return replace(
        joined(parts), muap_rate_hz=truth.muap_rate_hz, plan="the truth, to a perfect observer"
    )


def _in_stretch(stretch: Stretch, piece: Recording, truth: Truth) -> Findings:
    if stretch.kind == "insertion":
        return Findings(units=(), measures=(_insertion(stretch, truth),))
    events = _episodes(stretch, truth)
    units = _units(piece, truth) if stretch.kind == "slight" else ()
    rows: tuple[Row, ...] = ()
    if stretch.kind in ("slight", "strong"):
        rows = effort_measures(
            piece.samples_uv[:, 0], piece.rate_hz, start_s=piece.start_s, units=units, events=events
        )
    runs = () if stretch.kind == "strong" else _runs(events, truth)
    return Findings(units=units, events=events, runs=runs, measures=rows)


def _episodes(stretch: Stretch, truth: Truth) -> tuple[Event, ...]:
    return tuple(
        replace(
            event,
            onset_s=max(event.onset_s, stretch.onset_s),
            offset_s=min(event.offset_s, stretch.offset_s),
        )
        for event in truth.events
        if event.kind in EPISODES
    )


# -- rest ------------------------------------------------------------------------------------------


def _insertion(stretch: Stretch, truth: Truth) -> Row:
    """Return how long the needle's movement is answered, from its end to the first silence."""
    answers = [t for k, t in _audible(truth, stretch) if truth.spontaneous[k].kind == PROVOKED]
    times_s = np.sort(np.concatenate([np.zeros(0), *answers]))
    silent = np.diff(times_s, prepend=stretch.onset_s) > SILENT_S
    first = int(np.argmax(silent)) if silent.any() else times_s.size
    last_s = float(times_s[first - 1]) if first else stretch.onset_s
    row: Row = {"id": "insertion.length_s", "value": last_s - stretch.onset_s, "unit": "s"}
    return row | {"low": None, "high": None}


def _runs(events: Sequence[Event], truth: Truth) -> tuple[FoundRun, ...]:
    """Return what discharges by itself in the rests, each source as what it is."""
    found: list[FoundRun] = []
    for rest in (event for event in events if event.kind == "rest"):
        runs = [
            FoundRun(
                kind=truth.spontaneous[k].kind,
                onset_s=float(times_s[0]),
                offset_s=float(times_s[-1]),
                discharge_times_s=times_s,
                potential_uv=truth.spontaneous[k].potential_uv,
                potential_start_s=truth.spontaneous[k].potential_start_s,
            )
            for k, times_s in _audible(truth, rest)
        ]
        found += _graded(runs, rest.offset_s - rest.onset_s)
    return tuple(sorted(found, key=lambda run: run.onset_s))


def _audible(truth: Truth, span: Stretch | Event) -> Iterator[tuple[int, Floats]]:
    """Yield each source that can be seen in a span, by its number, with its times there."""
    for k, source in enumerate(truth.spontaneous):
        here = source.between(span.onset_s, span.offset_s)
        size_uv = float(np.ptp(source.potential_uv[:, 0])) if source.potential_uv.size else 0.0
        times_s = here.discharge_times_s[size_uv * here.gains > LEAST_UV]
        if times_s.size:
            yield k, times_s


def _graded(runs: Sequence[FoundRun], seconds: float) -> Iterator[FoundRun]:
    """Grade denervation by how many of its sources discharge at once, as the analysis does."""
    for run in runs:
        lengths_s = [one.offset_s - one.onset_s for one in runs if one.kind == run.kind]
        at_once = sum(lengths_s) / seconds
        grade = float(1 + np.searchsorted(GRADE_BORDERS, at_once, side="right"))
        lasts = max(lengths_s) >= PERSISTENT_S
        yield replace(run, grade=grade if lasts else 0.5) if run.kind in DENERVATION else run


# -- slight effort ---------------------------------------------------------------------------------


def _units(piece: Recording, truth: Truth) -> tuple[FoundUnit, ...]:
    """Return the units that stand out, the largest first, measured on the samples."""
    ratios = detectability(piece, truth)
    seen = [unit for unit in truth.units if ratios[unit.id] >= TOLD_RATIO]
    seen.sort(key=lambda unit: -unit.peak_to_peak_uv)
    found = tuple(
        FoundUnit(
            id=unit.id,
            discharge_times_s=np.sort(unit.spike_times_s),
            muap_uv=unit.muap_uv,
            muap_start_s=unit.muap_start_s - unit.arrival_s,
            measures={
                **train_measures(np.sort(unit.spike_times_s)),
                "peak_to_peak_uv": unit.peak_to_peak_uv,
            },
        )
        for unit in seen
    )
    return measured(piece, found)


def measured(recording: Recording, units: Sequence[FoundUnit]) -> tuple[FoundUnit, ...]:
    """Return units with the measures of their MUAPs, of their jiggle and of their jitter.

    Parameters
    ----------
    recording
        What they discharge in, the other units and all.
    units
        With the times of all their discharges.
    """
    trains_s = [_whole(unit.discharge_times_s, recording) for unit in units]
    cut = sweeps_of(recording, trains_s, 0, before_s=BEFORE_S, after_s=AFTER_S) if units else ()
    found = []
    for k, (unit, sweeps) in enumerate(zip(units, cut, strict=True)):
        measures = unit.measures | _of_sweeps(sweeps)
        if measures.get("rise_time_us", np.inf) <= CRISP_US:
            others_s = [train_s for j, train_s in enumerate(trains_s) if j != k]
            measures |= _jitter(recording, trains_s[k], others_s)
        found.append(replace(unit, measures=measures))
    return tuple(found)


def _of_sweeps(sweeps: Sweeps) -> dict[str, float]:
    """Return the measures of a MUAP, and how much it changes from discharge to discharge."""
    if np.count_nonzero(sweeps.kept) < FEWEST:
        return {}
    muap = quantified_sweeps(sweeps, resamples=0, rng=stream(0, "muap resamples"))
    jiggle = near_fibre_jiggle(sweeps)
    near = (
        {}
        if jiggle is None
        else {"near_fibre_jiggle_us": jiggle.overall_us, "widest_jiggle_us": jiggle.widest_us}
    )
    return {**muap.measures, "jiggle_cad": muap.jiggle.cad, "jiggle_ccc": muap.jiggle.ccc, **near}


def _jitter(recording: Recording, train_s: Floats, others_s: Sequence[Floats]) -> dict[str, float]:
    """Return mean jitter and blocking of a unit's fibre pairs that are clear and two fibres."""
    pairs = [
        pair
        for pair in jitter_pairs(recording, train_s, others_s=others_s)
        if pair.noise_us <= MOST_NOISE_US and pair.mcd_us > SPLIT_US
    ]
    if not pairs:
        return {}
    return {
        "mcd_us": float(np.mean([pair.mcd_us for pair in pairs])),
        "blocked_share": float(np.mean([pair.blocking_share for pair in pairs])),
    }


def _whole(train_s: Floats, recording: Recording) -> Floats:
    """Return the discharges whose MUAP is in the recording as a whole."""
    first_s = recording.start_s + BEFORE_S
    last_s = recording.start_s + recording.duration_s - AFTER_S
    return np.asarray(train_s[(train_s > first_s) & (train_s < last_s)])
