"""Complex repetitive discharges: a ring of neighbouring fibres, one exciting the next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters.spontaneous import ComplexRepetitiveDischarge
from emgsim.physiology.spontaneous.rhythms import Span, log_normal, train
from emgsim.physiology.spontaneous.source import Discharges
from emgsim.physiology.spontaneous.surroundings import Site, neighbours

Generator = np.random.Generator

DELAYS_S = (0.2e-3, 2e-3)  # ephaptic, from one fibre to the next (G)
LEFT = 2  # fibres of a ring that never drop
CYCLE_SHARE = 0.9  # of the period that the ring's delays may take: a cycle is over before the next


def complex_repetitive(
    activity: ComplexRepetitiveDischarge, site: Site, span: Span, rng: Generator
) -> Iterator[Discharges]:
    """Yield rings between their dropouts: all is abrupt, and each cycle like the last."""
    for own in rng.spawn(math.ceil(activity.generators.at(activity.grade))):
        ring = _ring(activity, site, own)
        cycle_s = float(ring.delay_s.max())
        rate_hz = log_normal(own, activity.rate_hz, activity.rate_spread)
        rate_hz = float(np.clip(rate_hz, 5.0, min(100.0, CYCLE_SHARE / cycle_s)))
        places, beats = own.spawn(2)
        times_s = train(beats, span, rate_hz, activity.isi_cov, at_once=True)
        for part, left in _steps(ring, activity.drops, span, places):
            yield Discharges(left, times_s[part.holds(times_s)], part)


def _ring(activity: ComplexRepetitiveDischarge, site: Site, rng: Generator) -> UnitFibres:
    """Return the fibres in the order in which they are excited, the pacemaker first."""
    fibres = neighbours(site, activity.ring_fibres, activity.reach_mm, activity.diameter_share, rng)
    n = fibres.n_fibres
    delays_s = np.clip(activity.delay_s * rng.uniform(0.4, 1.6, n), *DELAYS_S)
    return replace(
        fibres,
        delay_s=np.cumsum(delays_s) - delays_s[:1],
        jitter_s=np.full(n, activity.jitter_s),
    )


def _steps(
    ring: UnitFibres, drops: int, span: Span, rng: Generator
) -> Iterator[tuple[Span, UnitFibres]]:
    """Yield the ring between dropouts; the pacemaker stays."""
    n_drops = min(drops, ring.n_fibres - LEFT)
    borders = span.onset_s + span.length_s * np.sort(rng.uniform(0.1, 0.9, n_drops))
    edges = [span.onset_s, *borders.tolist(), span.offset_s]
    fallen = 1 + rng.permutation(ring.n_fibres - 1)
    for k in range(n_drops + 1):
        yield (
            Span(edges[k], edges[k + 1]),
            ring.subset(np.delete(np.arange(ring.n_fibres), fallen[:k])),
        )
