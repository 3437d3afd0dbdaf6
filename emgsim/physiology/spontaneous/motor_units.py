"""Activity of whole motor units: fasciculation, myokymia, neuromyotonia, cramp, multiplets."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.parameters.spontaneous import (
    Cramp,
    Fasciculation,
    Multiplets,
    Myokymia,
    Neuromyotonia,
)
from emgsim.physiology.spontaneous.rhythms import (
    Span,
    changing_train,
    clock,
    log_normal,
    scattered,
    spells,
    train,
)
from emgsim.physiology.spontaneous.source import Discharges
from emgsim.physiology.spontaneous.surroundings import Site, units_near

Floats = NDArray[np.float64]
Generator = np.random.Generator
UnitActivity = Fasciculation | Myokymia | Neuromyotonia | Cramp | Multiplets

REFRACTORY_S = 3e-3  # of a motor axon between discharges of its own accord [P]
F_WAVE_S = (32e-3, 35e-3)  # a fasciculation's repeat from the spinal cord [S]
LEAST_GAP_S = 0.02  # between discharges of one cluster [P]
RATE_FALL = 0.15  # over a mean neuromyotonic burst [P]
BURST_S = (0.1, 0.9)  # myokymic (G)
IN_BURST_HZ = (5.0, 60.0)


def _units(activity: UnitActivity, site: Site, rng: Generator) -> Iterator[tuple[int, Generator]]:
    """Yield the order of each unit that discharges, and its stream."""
    n = math.ceil(activity.generators.at(activity.grade))
    places, *each = rng.spawn(1 + n)
    yield from zip(units_near(site, n, activity.reach_mm, places), each, strict=False)


def _whole(
    site: Site, order: int, times_s: Floats, span: Span, gains: Floats | None = None
) -> Discharges:
    return Discharges(site.unit_fibres(order), times_s, span, gains, unit=order)


def fasciculations(
    activity: Fasciculation, site: Site, span: Span, rng: Generator
) -> Iterator[Discharges]:
    """Yield units that discharge by a Poisson process each, some in clusters."""
    units = list(_units(activity, site, rng))
    rate_hz = 1 / activity.interval_s / len(units)
    for order, own in units:
        first, more = own.spawn(2)
        times_s = train(first, span, rate_hz, 1.0)
        followed = [_followed(activity, float(time_s), more) for time_s in times_s]
        times_s = np.sort(np.concatenate([*followed, np.zeros(0)]))
        times_s = times_s[np.diff(times_s, prepend=-1.0) > REFRACTORY_S]
        yield _whole(site, order, times_s[span.holds(times_s)], span)


def _followed(activity: Fasciculation, time_s: float, rng: Generator) -> Floats:
    """Return a discharge and those that follow it."""
    times_s = [time_s]
    while rng.uniform() < activity.cluster_share:
        gap_s = LEAST_GAP_S + rng.exponential(activity.cluster_gap_s - LEAST_GAP_S)
        times_s.append(times_s[-1] + gap_s)
    repeated, late_s = rng.uniform(), rng.uniform(*F_WAVE_S)
    if repeated < activity.repeat_share:
        times_s.append(time_s + late_s)
    return np.array(times_s)


def myokymia(activity: Myokymia, site: Site, span: Span, rng: Generator) -> Iterator[Discharges]:
    """Yield units in bursts of some discharges, the bursts at a rate of their own."""
    for order, own in _units(activity, site, rng):
        begins, inside = own.spawn(2)
        mean_s = (activity.spikes - 1) / activity.rate_hz
        onsets_s = train(
            begins, span, activity.bursts_hz, activity.bursts_cov, shortest_s=1.5 * mean_s
        )
        bursts = [onset_s + _burst_s(activity, inside) for onset_s in onsets_s]
        yield _joined(site, order, bursts, span)


def _joined(site: Site, order: int, groups: list[Floats], span: Span) -> Discharges:
    times_s = np.sort(np.concatenate([*groups, np.zeros(0)]))
    return _whole(site, order, times_s[span.holds(times_s)], span)


def _burst_s(activity: Myokymia, rng: Generator) -> Floats:
    """Return a burst's times after its onset; what chance makes of it stays within G's limits."""
    n = int(np.clip(round(activity.spikes + rng.standard_normal()), 2, 10))
    shortest_s, longest_s = BURST_S
    rate_hz = np.clip(activity.rate_hz, (n - 1) / longest_s, (n - 1) / shortest_s)
    rate_hz = float(np.clip(rate_hz, *IN_BURST_HZ))
    return _group_s(n, 1 / rate_hz, activity.isi_cov, rng)


def _group_s(n: int, interval_s: float, cov: float, rng: Generator) -> Floats:
    """Return ``n`` times from 0 on, whose mean interval is exact."""
    share = scattered(rng, n - 1, cov)
    return np.concatenate([[0.0], np.cumsum(interval_s * share / share.mean())])


def neuromyotonia(
    activity: Neuromyotonia, site: Site, span: Span, rng: Generator
) -> Iterator[Discharges]:
    """Yield units in bursts that begin at full size, shrink, and stop."""
    for order, own in _units(activity, site, rng):
        times_s, gains = (
            np.concatenate(part) for part in zip(*_fast_bursts(activity, span, own), strict=True)
        )
        heard = span.holds(times_s)
        yield _whole(site, order, times_s[heard], span, gains[heard])


def _fast_bursts(
    activity: Neuromyotonia, span: Span, rng: Generator
) -> Iterator[tuple[Floats, Floats]]:
    """Yield times and gains of each burst."""
    begin_s = span.onset_s
    while begin_s < span.offset_s:
        length_s = float(np.clip(log_normal(rng, activity.burst_s, 0.3), 0.1, 3.0))
        clock_s = clock(Span(begin_s, begin_s + length_s))
        gone = (clock_s - begin_s) / activity.burst_s
        rate_hz = activity.rate_hz * (1 - RATE_FALL * np.minimum(gone, 1.0))
        times_s = changing_train(rng, clock_s, rate_hz, activity.isi_cov, at_once=True)
        yield times_s, activity.last_gain ** ((times_s - begin_s) / activity.burst_s)
        begin_s = float(clock_s[-1]) + rng.exponential(activity.pause_s)


def cramp(activity: Cramp, site: Site, span: Span, rng: Generator) -> Iterator[Discharges]:
    """Yield many units that join one by one, falter, and leave one by one."""
    for order, own in _units(activity, site, rng):
        rate_hz = float(np.clip(log_normal(own, activity.rate_hz, activity.rate_spread), 20, 150))
        joins, leaves = own.uniform(0, activity.build_s, 2)
        falters, beats = own.spawn(2)
        times_s = train(beats, span, rate_hz, activity.isi_cov, shortest_s=REFRACTORY_S)
        end_s = span.offset_s - (leaves if activity.offset_s is not None else 0.0)
        there = Span(span.onset_s + joins, end_s)
        if there.length_s <= 0:
            continue
        on = spells(falters, there, activity.on_s, activity.off_s, begins_on=True)
        is_on = np.any([part.holds(times_s) for part in on], axis=0)
        yield _whole(site, order, times_s[is_on], there)


def multiplets(
    activity: Multiplets, site: Site, span: Span, rng: Generator
) -> Iterator[Discharges]:
    """Yield units that discharge in sets of a few."""
    for order, own in _units(activity, site, rng):
        begins, inside = own.spawn(2)
        n, interval_s = activity.spikes, activity.interval_s
        onsets_s = train(
            begins, span, activity.sets_hz, activity.sets_cov, shortest_s=n * interval_s
        )
        sets = [onset_s + _group_s(n, interval_s, activity.isi_cov, inside) for onset_s in onsets_s]
        yield _joined(site, order, sets, span)
