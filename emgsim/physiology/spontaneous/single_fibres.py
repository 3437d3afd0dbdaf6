"""Activity of single fibres: insertional, of denervated fibres, and myotonic."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters.spontaneous import (
    Fibrillation,
    InsertionalBurst,
    MyotonicDischarge,
    PositiveSharpWave,
)
from emgsim.physiology.spontaneous.rhythms import (
    Span,
    changing_train,
    clock,
    drift,
    log_normal,
    spells,
)
from emgsim.physiology.spontaneous.source import Discharges, Wave
from emgsim.physiology.spontaneous.surroundings import (
    Site,
    blocked_at,
    denervated_fibres,
    excited_away,
    fresh_fibres,
)

Floats = NDArray[np.float64]
Generator = np.random.Generator

DRIFT_STEP_S = 0.05
REFRACTORY_S = 3e-3  # of a muscle fibre [M]
TAILS = 3.0  # time constants of the insertional burst until it stops
LEAST_RATE, LEAST_GAIN = 0.4, 0.2  # of a myotonic run, over its peak's (G)
LENGTH_SPREAD, PEAK_SPREAD = 0.15, 0.05  # of a run's length and rate, of their logarithm [P]
BEGIN_S = 1.0  # a myotonic or unsustained run comes within it from the onset [P]


def insertional(
    activity: InsertionalBurst, site: Site, span: Span, rng: Generator
) -> Iterator[Discharges]:
    """Yield the fibres that the needle excites, each at a rate that decays when it rests."""
    n = math.ceil(activity.generators.at(activity.grade))
    rest_s = span.onset_s + activity.movement_s
    heard = Span(span.onset_s, min(rest_s + activity.after_s, span.offset_s))
    for own in rng.spawn(n):
        fibre = excited_away(fresh_fibres(site, 1, activity.reach_mm, own), site.tip)
        wave = Wave()
        if own.uniform() < activity.blocked_share:
            fibre = blocked_at(fibre, site.tip, activity.past_mm * own.uniform(size=1))
            wave = Wave(repolarisation_s=activity.repolarisation_s, slowing=activity.slowing)
        clock_s = clock(Span(span.onset_s, rest_s + activity.after_s))
        since = np.maximum(clock_s - rest_s, 0.0) / max(activity.after_s / TAILS, 1e-9)
        rate_hz = activity.rate_hz * np.exp(-since)
        shortest = REFRACTORY_S * activity.rate_hz
        times_s = changing_train(own, clock_s, rate_hz, 1.0 - shortest, shortest=shortest)
        yield Discharges(fibre, times_s[heard.holds(times_s)], heard, membrane=wave)


def denervation(
    activity: Fibrillation | PositiveSharpWave, site: Site, span: Span, rng: Generator
) -> Iterator[Discharges]:
    """Yield denervated fibres in trains, of which so many as the grade says run at once."""
    mean = activity.generators.at(activity.grade)
    n = math.ceil(mean)
    places, *each = rng.spawn(1 + n)
    fibres = denervated_fibres(site, n, activity.reach_mm, activity.diameter_share, places)
    wave = Wave()
    if isinstance(activity, PositiveSharpWave):
        fibres = blocked_at(
            fibres, site.tip, activity.past_mm * places.uniform(size=fibres.n_fibres)
        )
        wave = Wave(repolarisation_s=activity.repolarisation_s, slowing=activity.slowing)
    for k in range(fibres.n_fibres):
        trains, chance = each[k].spawn(2)
        on = _trains(activity, span, mean / n, trains, is_first=k == 0)
        times_s = _pacemaker(activity, span, chance)
        is_on = np.any([part.holds(times_s) for part in on], axis=0)
        if np.any(is_on):
            heard = Span(on[0].onset_s, on[-1].offset_s)
            yield Discharges(fibres.subset(np.array([k])), times_s[is_on], heard, membrane=wave)


def _trains(
    activity: Fibrillation | PositiveSharpWave,
    span: Span,
    share: float,
    rng: Generator,
    *,
    is_first: bool,
) -> list[Span]:
    """Return when a generator is on: for a share of the time, the first one from the beginning."""
    if activity.grade == 0.5:
        onset_s = span.onset_s + rng.uniform(0.0, BEGIN_S)
        return [Span(onset_s, min(onset_s + activity.unsustained_s, span.offset_s))]
    if share >= 1:
        return [span]
    off_s = activity.train_s * (1 - share) / share
    begins_on = rng.uniform() < share or is_first
    return spells(rng, span, activity.train_s, off_s, begins_on=begins_on)


def _pacemaker(activity: Fibrillation | PositiveSharpWave, span: Span, rng: Generator) -> Floats:
    """Return the times of a fibre that would discharge throughout: regular, and drifting slowly."""
    highest_hz = 40.0 if isinstance(activity, PositiveSharpWave) else 30.0
    rate_hz = np.clip(log_normal(rng, activity.rate_hz, activity.rate_spread), 0.5, highest_hz)
    is_irregular = rng.uniform() < activity.irregular_share
    wander, beats = rng.spawn(2)
    clock_s = clock(span, DRIFT_STEP_S)
    steps = activity.drift_time_s / DRIFT_STEP_S
    wandering = np.exp(drift(wander, clock_s.size, activity.drift_sd, steps))
    course_hz = np.minimum(rate_hz * wandering, highest_hz)
    cov = activity.irregular_cov if is_irregular else activity.isi_cov
    shortest = REFRACTORY_S * rate_hz
    return changing_train(beats, clock_s, course_hz, cov, shortest=float(shortest))


def myotonic(
    activity: MyotonicDischarge, site: Site, span: Span, rng: Generator
) -> Iterator[Discharges]:
    """Yield fibres in runs whose rate and amplitude wax and wane together."""
    for own in rng.spawn(math.ceil(activity.generators.at(activity.grade))):
        fibre, wave = _myotonic_fibre(activity, site, own)
        runs = list(_runs(activity, span, own))
        times_s, gains = (np.concatenate(part) for part in zip(*runs, strict=True))
        heard = span.holds(times_s)
        if np.any(heard):
            whole = Span(float(times_s[0]), span.offset_s)
            yield Discharges(fibre, times_s[heard], whole, gains[heard], membrane=wave)


def _myotonic_fibre(
    activity: MyotonicDischarge, site: Site, rng: Generator
) -> tuple[UnitFibres, Wave]:
    fibre = excited_away(fresh_fibres(site, 1, activity.reach_mm, rng), site.tip)
    if activity.form == "fibrillation":
        return fibre, Wave()
    fibre = blocked_at(fibre, site.tip, activity.past_mm * rng.uniform(size=1))
    return fibre, Wave(repolarisation_s=activity.repolarisation_s, slowing=activity.slowing)


def _runs(
    activity: MyotonicDischarge, span: Span, rng: Generator
) -> Iterator[tuple[Floats, Floats]]:
    """Yield times and gains of each run; the first begins soon after the onset."""
    begin_s = span.onset_s + BEGIN_S * rng.uniform()
    while True:
        wax_s = (
            np.clip(log_normal(rng, activity.wax_s, LENGTH_SPREAD), 0.5, 2.0) * activity.does_wax
        )
        wane_s = np.clip(log_normal(rng, activity.wane_s, LENGTH_SPREAD), 2.0, 18.0)
        peak_hz = np.clip(log_normal(rng, activity.peak_rate_hz, PEAK_SPREAD), 50.0, 150.0)
        clock_s = clock(Span(begin_s, begin_s + float(wax_s + wane_s)))
        bump = _bump(clock_s - begin_s, float(wax_s), float(wane_s))
        rate_hz = peak_hz * (LEAST_RATE + (1 - LEAST_RATE) * bump)
        times_s = changing_train(rng, clock_s, rate_hz, activity.isi_cov, at_once=True)
        yield times_s, LEAST_GAIN + (1 - LEAST_GAIN) * np.interp(times_s, clock_s, bump)
        begin_s = float(clock_s[-1]) + rng.exponential(activity.pause_s)
        if begin_s >= span.offset_s:
            return


def _bump(since_s: Floats, rise_s: float, fall_s: float) -> Floats:
    """Return half a cosine up from 0 to 1, and another down to 0."""
    up = np.clip(since_s / rise_s, 0.0, 1.0) if rise_s > 0 else np.ones_like(since_s)
    down = np.clip((since_s - rise_s) / fall_s, 0.0, 1.0)
    return np.asarray(0.5 * (np.cos(np.pi * down) - np.cos(np.pi * up)))
