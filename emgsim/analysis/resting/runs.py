"""Runs of activity at rest: found, measured and named."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from emgsim.analysis.conditioning import Conditioned, Floats, bridged
from emgsim.analysis.resting.episodes import (
    DenseRun,
    Episode,
    dense_episodes,
    dense_runs,
)
from emgsim.analysis.resting.families import strongest
from emgsim.analysis.resting.floor import conditioned, has_long_piece, white
from emgsim.analysis.resting.foreign import STEEP, Foreign, Steepness, foreign, steepness_of
from emgsim.analysis.resting.leaking import end_plate_noise
from emgsim.analysis.resting.naming import Named, name_train
from emgsim.analysis.resting.screening import (
    LONG_S,
    belongs,
    is_covered,
    is_left_of,
    is_noise,
    is_within,
    says_nothing,
)
from emgsim.analysis.resting.sources import FOUND_AT, sources_in
from emgsim.analysis.resting.trains import Train, measured, trains_of, without_echoes
from emgsim.errors import NotAnalysableError
from emgsim.recording import FoundRun, Recording

OVER_NOISE = 5.5  # an event over the upper quartile of what end-plate noise has
SHORTEST_S = 0.5
MARGIN_S = 0.03  # at each end of a stretch: half a potential, or the effort that ends the rest
MOST_OF_CUT = 6  # discharges, of a train of 3 /s in 2 s; a lone one is no train that was cut
LEAST_SURE = 0.6  # probability of a name that rests on so few
FAST_BESIDE_S = 0.03  # of a neuromyotonic discharge
ARTEFACT = Named(kind="artefact", probability=1.0, probabilities={"artefact": 1.0})
DENERVATION = ("fibrillation", "positive_sharp_wave")
PERSISTENT_S = 1.0  # a train of less is +/-; Daube
GRADE_BORDERS = (1.0, 3.0, 9.0)  # mean number of sources at once, of 2+ to 4+


def resting_runs(
    recording: Recording,
    *,
    channel: int = 0,
    start_s: float | None = None,
    stop_s: float | None = None,
) -> tuple[FoundRun, ...]:
    """Find and name all that discharges by itself in a stretch without contraction.

    Parameters
    ----------
    recording
        Unfiltered; missing samples are NaN.
    channel
        Column that is searched; mean potentials are of all columns.
    start_s, stop_s
        The stretch, on the recording's clock; the whole recording if not given.

    Returns
    -------
    tuple of FoundRun
        By onset. Of single sources every discharge is given; end-plate noise, cramp and insertional
        bursts are one run each, without discharges. Artefacts are runs of kind ``"artefact"``, with
        the times of their pulses.

    Raises
    ------
    ValueError
        If there is no such channel, or the stretch ends before it begins.
    NotAnalysableError
        If fewer than `SHORTEST_S` of samples are there.
    """
    stretch = _stretch(recording, channel, start_s, stop_s)
    artefacts, left_uv = foreign(stretch.samples_uv[:, channel], stretch.rate_hz)
    found = [_artefact(one, stretch) for one in artefacts]
    if artefacts:
        stretch = _with(stretch, channel, left_uv)
    if _heard_s(stretch, channel) >= SHORTEST_S:
        found += _of_muscle(stretch, channel)
    return tuple(sorted(found, key=lambda run: run.onset_s))


def _of_muscle(stretch: Recording, channel: int) -> list[FoundRun]:
    """Return the runs of a stretch whose artefacts are taken for missing samples."""
    signal = conditioned(stretch.samples_uv[:, channel], stretch.rate_hz, stretch.start_s)
    flat = white(signal)
    leaking = end_plate_noise(signal, flat)
    leaks = [_span_s(flat, episode) for episode in leaking]
    dense = [run for run in dense_runs(flat, dense_episodes(flat)) if not is_within(run, leaks)]
    heard = _without_margins(_without(flat, dense))
    units = sources_in(heard, found_at=_found_at(flat, leaking))
    trains = without_echoes(trains_of(stretch, channel, flat, units))
    bands = steepness_of(bridged(stretch.samples_uv[:, channel]), stretch.rate_hz)
    named = [(train, _named(train, bands, stretch)) for train in trains]
    is_unsure = stretch.duration_s < LONG_S or not has_long_piece(signal)
    found = [
        _run(train, name)
        for train, name in named
        if not says_nothing(train, name, is_unsure=is_unsure)
        and not any(belongs(train, run) for run in dense)
        and not any(is_noise(train, name, span_s) for span_s in leaks)
        and not any(is_left_of(train, name, other) for other in trains)
    ]
    found += [_dense(run, stretch, channel, bands) for run in dense]
    found += [_leak(span_s, stretch) for span_s in leaks if not is_covered(span_s, found)]
    return _graded(found, stretch.duration_s)


def _stretch(
    recording: Recording, channel: int, start_s: float | None, stop_s: float | None
) -> Recording:
    n = len(recording.channels)
    if not 0 <= channel < n:
        raise ValueError(f"channel must be in 0..{n - 1}, got {channel}")
    first = recording.start_s if start_s is None else start_s
    last = recording.start_s + recording.duration_s if stop_s is None else stop_s
    if not last > first:
        raise ValueError(f"stop_s must be > start_s ({first:g}), got {last:g}")
    stretch = recording.cut(first, last)
    seconds = _heard_s(stretch, channel)
    if seconds < SHORTEST_S:
        raise NotAnalysableError(
            f"not analysable: {seconds:.3g} s of rest, at least {SHORTEST_S:g} s are needed",
            where=f"channel {recording.channels[channel].name!r}",
            todo="give a longer stretch without contraction",
        )
    return stretch


def _heard_s(stretch: Recording, channel: int) -> float:
    return float(np.count_nonzero(np.isfinite(stretch.samples_uv[:, channel]))) / stretch.rate_hz


def _with(stretch: Recording, channel: int, column_uv: Floats) -> Recording:
    samples_uv = np.array(stretch.samples_uv, dtype=np.float64)
    samples_uv[:, channel] = column_uv
    return replace(stretch, samples_uv=samples_uv)


def _artefact(one: Foreign, stretch: Recording) -> FoundRun:
    measures = {"duration_s": one.offset_s - one.onset_s}
    if one.pulses_s.size > 1:
        measures["rate_hz"] = 1 / float(np.median(np.diff(one.pulses_s)))
    span_s = (stretch.start_s + one.onset_s, stretch.start_s + one.offset_s)
    run = _without_discharges("artefact", *span_s, measures, stretch)
    return replace(run, discharge_times_s=stretch.start_s + one.pulses_s)


def _without(signal: Conditioned, dense: list[DenseRun]) -> Conditioned:
    usable = signal.usable.copy()
    for run in dense:
        if run.times_s.size:
            at = np.rint((run.times_s - signal.start_s) * signal.rate_hz).astype(np.int64)
            beside = round(FAST_BESIDE_S * signal.rate_hz)
            for place in at.tolist():
                usable[max(place - beside, 0) : place + beside] = False
            continue
        first, last = (
            round((t - signal.start_s) * signal.rate_hz) for t in (run.onset_s, run.offset_s)
        )
        usable[max(first, 0) : last + 1] = False
    return replace(signal, usable=usable)


def _without_margins(signal: Conditioned) -> Conditioned:
    """Return a signal that is not usable at its ends."""
    usable = signal.usable.copy()
    margin = round(MARGIN_S * signal.rate_hz)
    usable[:margin] = usable[-margin:] = False
    return replace(signal, usable=usable)


def _found_at(flat: Conditioned, leaking: list[Episode]) -> float:
    """Return the least height of an event that begins a source; more above end-plate noise."""
    if not leaking:
        return FOUND_AT
    height = strongest(flat.samples, flat.rate_hz)
    inside = np.concatenate([height[episode.first : episode.last] for episode in leaking])
    return max(FOUND_AT, OVER_NOISE * float(np.quantile(inside, 0.75)))


def _span_s(flat: Conditioned, episode: Episode) -> tuple[float, float]:
    first, last = flat.start_s + np.array([episode.first, episode.last]) / flat.rate_hz
    return float(first), float(last)


def _named(train: Train, bands: Steepness, stretch: Recording) -> Named:
    if bands.edge_share((train.times_s - stretch.start_s) * bands.rate_hz) > STEEP:
        return ARTEFACT
    n = train.times_s.size
    if stretch.duration_s >= LONG_S or n > MOST_OF_CUT:
        return name_train(train.form, train.rhythm)
    named = name_train(train.form, train.rhythm, is_cut=n > 1)
    return named if named.probability > LEAST_SURE else replace(named, kind="unknown")


def _dense(run: DenseRun, recording: Recording, channel: int, bands: Steepness) -> FoundRun:
    length_s = run.offset_s - run.onset_s
    if run.times_s.size:
        gains = np.ones(run.times_s.size)
        train = measured(recording, channel, run.times_s, gains, 0.0)
        at = (run.times_s - recording.start_s) * recording.rate_hz
        steep = bands.edge_share(at, are_placed=False)
        sure = Named(kind=run.kind, probability=1.0, probabilities={run.kind: 1.0})
        return _run(train, ARTEFACT if steep > STEEP else sure)
    measures = {"duration_s": length_s}
    if run.kind == "insertional_burst":
        measures["insertional_length_s"] = length_s
    if run.kind == "tremor":
        measures["rate_hz"] = run.rate_hz
    return _without_discharges(run.kind, run.onset_s, run.offset_s, measures, recording)


def _leak(span_s: tuple[float, float], recording: Recording) -> FoundRun:
    measures = {"duration_s": span_s[1] - span_s[0]}
    return _without_discharges("end_plate_noise", *span_s, measures, recording)


def _without_discharges(
    kind: str, onset_s: float, offset_s: float, measures: dict[str, float], recording: Recording
) -> FoundRun:
    return FoundRun(
        kind=kind,
        onset_s=onset_s,
        offset_s=offset_s,
        discharge_times_s=np.zeros(0),
        potential_uv=np.zeros((0, len(recording.channels))),
        potential_start_s=0.0,
        measures=measures,
    )


def _graded(runs: list[FoundRun], duration_s: float) -> list[FoundRun]:
    """Grade denervation by how many of its sources discharge at once (Daube: +/- to 4+)."""
    out = []
    for run in runs:
        if run.kind in DENERVATION:
            same = [r.offset_s - r.onset_s for r in runs if r.kind == run.kind]
            out.append(replace(run, grade=_grade(same, duration_s)))
        else:
            out.append(run)
    return out


def _grade(lengths_s: list[float], duration_s: float) -> float:
    if max(lengths_s) < PERSISTENT_S:
        return 0.5
    at_once = sum(lengths_s) / duration_s
    return float(1 + np.searchsorted(GRADE_BORDERS, at_once, side="right"))


def _run(train: Train, named: Named) -> FoundRun:
    rhythm = {key: value for key, value in asdict(train.rhythm).items() if np.isfinite(value)}
    return FoundRun(
        kind=named.kind,
        onset_s=float(train.times_s[0]),
        offset_s=float(train.times_s[-1]),
        discharge_times_s=train.times_s,
        potential_uv=train.potential_uv,
        potential_start_s=train.start_s,
        probability=named.probability,
        measures={**rhythm, **asdict(train.form), "snr_db": train.snr_db, "norm": train.norm},
    )
