"""What grows after a lesion: sprouts of the neighbours adopt denervated fibres.

Each orphan waits for a sprout for a time of its own. It then goes to the unit of the fibre nearest
to it, if one is in reach and that unit has not yet as many fibres as it can feed. Its new end plate
jitters and blocks, and matures over months; the fibre shrinks while it waits.

The sprout runs from the parent fibre's end plate to the orphan's own, mostly along the muscle. It
conducts slowly, and the longer it is the later the fibre answers. Grown sprouts conduct about as
fast as other terminal branches, but some stay slow: regrown nerves regain 80 % of their velocity
and a mean diameter below it (Brain Behav 2012, 2:382 [S]). So most fibres of an old, large unit
answer together and a few do not, which makes its polyphasic potentials.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from emgsim.physiology.body import Body, joined, with_diameter
from emgsim.physiology.conditions.safety import safety_factors, with_safety
from emgsim.physiology.fibres import UnitFibres, fibre_counts
from emgsim.physiology.parameters import Muscle

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_FIBRES = 5.0  # times those of the healthy unit; Gordon, Thompson & Jansen [M]
SPROUT_MM = 0.8  # reach, with ALONG: 60-70 % end up within 0.2 mm of a parent fibre [M]; fitted
NEIGHBOURS = 8  # fibres that an orphan asks, one after the other [P]
ALONG = 0.2  # what a mm along the fibres, in the empty tubes, counts beside one across [P]
FIRST_SPROUTS_MONTHS = 0.5  # 1-3 weeks [M]
SPROUTING_MONTHS = 1.5  # time constant; of tension in the cat 1-2, Gordon 1982 [S]
MATURING_MONTHS = 3.0  # time constant: mature and stable after 6-12 [M]
FROM_NODE_MM = 0.3  # from the parent's last node, where sprouts begin, to its end plate [P]
USUAL_WAY_MM, WAY_SHAPE = 0.9, 2.0  # of branches whose parent is not known, gamma: as found here
EARLY_SPROUT_M_S, LATE_SPROUT_M_S = 0.25, 2.0  # medians: with ways of 0.9 mm they make mean delays
#   of 4 ms, then 0.6; 4 and 0.5 [M]. Young sprouts conduct at 0.2-1 m/s [M], terminal branches at 2
#   [R iemg]
EARLY_SPROUT_SPREAD, LATE_SPROUT_SPREAD = 0.4, 0.75  # between sprouts, of the velocity's logarithm:
#   most young ones are in the published range; the late one is fitted to 20-40 % polyphasic
EARLY_SAFETY, LATE_SAFETY = 0.40, 0.75  # of the old end plate's: jitter of 85 us, then 26;
#   40-100 falling to 20-30; Hakelien & Stalberg [M]
EARLY_SPREAD, LATE_SPREAD = 0.30, 0.10  # of its logarithm: block of 5-30 %, then < 2 % [M]
ATROPHY, ATROPHY_MONTHS = 0.5, 2.0  # of the diameter: -50 % over 3-6 months [M]
RECOVERY_MONTHS = 3.0  # of the diameter after adoption [P]
FIBRILLATING = 0.12  # of the orphans in a minute at the peak, 0.05-0.2 [P]
RISE_MONTHS = 0.3  # of that share, after the delay: peak at 1-3 months [M]
FIBROSIS_FROM_MONTHS, FIBROSIS_MONTHS = 3.0, 8.0  # they vanish over 6-24 months [M]


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """Units that are lost, how long ago each was, and what may grow."""

    units: Integers  # (n_lost,)
    months: Floats  # (n_lost,)
    reinnervation: float
    delay_months: float  # until fibrillations


def struck(body: Body, lesion: Lesion, rng: np.random.Generator) -> Body:
    """Return the body after the lesion, and after what has grown since."""
    if lesion.units.size == 0:
        return body
    fallen = joined([body.units[unit] for unit in lesion.units])
    counts = _n_fibres(body)[lesion.units]
    months = np.repeat(lesion.months, counts)
    body = _orphaned(body, fallen, np.repeat(lesion.units, counts), months, lesion)
    sprout_months = FIRST_SPROUTS_MONTHS + SPROUTING_MONTHS * rng.standard_exponential(months.size)
    sprout_months[rng.uniform(size=months.size) >= lesion.reinnervation] = np.inf
    host, way_mm = _hosts(body, fallen, sprout_months, months)
    taken = np.flatnonzero(host >= 0)
    since = (months - sprout_months)[taken]
    left = 1.0 + ATROPHY * np.expm1(-sprout_months[taken] / ATROPHY_MONTHS)
    regained = 1.0 - (1.0 - left) * np.exp(-since / RECOVERY_MONTHS)
    found = fallen.subset(taken)
    found = with_diameter(found, regained * found.diameter_um, body.muscle)
    adopted = reinnervated(found, since, way_mm[taken], body.muscle, rng)
    first = body.orphans.n_fibres - fallen.n_fibres
    return without_orphans(given(body, adopted, host[taken]), first + taken)


def _orphaned(
    body: Body, fallen: UnitFibres, of_unit: Integers, months: Floats, lesion: Lesion
) -> Body:
    """Return the body with the lesion's units empty, and their fibres orphans at its end."""
    is_lost = body.is_lost.copy()
    is_lost[lesion.units] = True
    none = np.zeros(0, np.int64)
    empty = set(lesion.units.tolist())
    return replace(
        body,
        units=tuple(u.subset(none) if k in empty else u for k, u in enumerate(body.units)),
        end_plates=tuple(none if k in empty else e for k, e in enumerate(body.end_plates)),
        is_lost=is_lost,
        orphans=joined([body.orphans, _shrunk(fallen, months, body.muscle)]),
        orphan_units=np.concatenate([body.orphan_units, of_unit]),
        fibrillates=np.concatenate([body.fibrillates, _fibrillation(months, lesion.delay_months)]),
    )


def _fibrillation(months: Floats, delay_months: float) -> Floats:
    """Return the probability that a fibre fibrillates within a minute, months after its loss."""
    rise = -np.expm1(-np.maximum(0.0, months - delay_months) / RISE_MONTHS)
    fibrosis = np.exp(-np.maximum(0.0, months - FIBROSIS_FROM_MONTHS) / FIBROSIS_MONTHS)
    return np.asarray(FIBRILLATING * rise * fibrosis)


def _hosts(
    body: Body, fallen: UnitFibres, sprout_months: Floats, months: Floats
) -> tuple[Integers, Floats]:
    """Return the unit that has adopted each fibre, -1 for none, and the way of its sprout in mm.

    All ask the unit of the nearest fibre first; whom it cannot feed asks that of the next one.
    """
    host, way_mm = np.full(fallen.n_fibres, -1), np.zeros(fallen.n_fibres)
    alive, counts = innervated(body), _n_fibres(body)
    if alive.size == 0:
        return host, way_mm
    owner, parents = np.repeat(alive, counts[alive]), joined([body.units[unit] for unit in alive])
    tree = cKDTree(_places(parents, ALONG))
    found = tree.query(_places(fallen, ALONG), k=NEIGHBOURS, distance_upper_bound=SPROUT_MM)[1]
    room = np.floor(MOST_FIBRES * fibre_counts(body.healthy)).astype(np.int64) - counts
    for parent in np.asarray(found).T:
        wanted = np.append(owner, -1)[parent]  # none: the number after the last
        asking = np.flatnonzero((host < 0) & (wanted >= 0) & (sprout_months < months))
        fed = asking[_first_come(wanted[asking], sprout_months[asking], room)]
        host[fed] = wanted[fed]
        from_to_mm = _places(parents.subset(parent[fed])) - _places(fallen.subset(fed))
        way_mm[fed] = FROM_NODE_MM + np.linalg.norm(from_to_mm, axis=1)
        np.subtract.at(room, wanted[fed], 1)
    return host, way_mm


def _first_come(unit: Integers, time: Floats, room: Integers) -> Integers:
    """Return which of those who ask are fed: the earliest of each unit, while there is room."""
    order = np.lexsort((time, unit))
    rank = np.arange(order.size) - np.searchsorted(unit[order], unit[order])
    return np.asarray(order[rank < room[unit[order]]])


def _places(fibres: UnitFibres, along: float = 1.0) -> Floats:
    """Return where end plates lie, ``(n_fibres, 3)``; along the muscle a mm counts ``along``."""
    return np.column_stack([fibres.x_mm, fibres.y_mm, along * fibres.end_plate_mm])


def _shrunk(fibres: UnitFibres, months: Floats, muscle: Muscle) -> UnitFibres:
    """Return fibres after months without a nerve."""
    left = 1.0 + ATROPHY * np.expm1(-months / ATROPHY_MONTHS)
    return with_diameter(fibres, left * fibres.diameter_um, muscle)


def reinnervated(
    fibres: UnitFibres, months: Floats, way_mm: Floats, muscle: Muscle, rng: np.random.Generator
) -> UnitFibres:
    """Return fibres months after sprouts of some length have reached them, as thick as they come.

    All arrays have the shape ``(n_fibres,)``.
    """
    n, youth = fibres.n_fibres, np.exp(-months / MATURING_MONTHS)
    sprout_s = sprout_delays_s(way_mm, youth, rng)
    share = LATE_SAFETY + (EARLY_SAFETY - LATE_SAFETY) * youth
    spread = LATE_SPREAD + (EARLY_SPREAD - LATE_SPREAD) * youth
    factor = safety_factors(fibres) * share * np.exp(spread * rng.standard_normal(n))
    return with_safety(replace(fibres, delay_s=fibres.delay_s + sprout_s), factor, muscle)


def sprout_delays_s(way_mm: Floats, youth: Floats, rng: np.random.Generator) -> Floats:
    """Return how late sprouts are, shape ``(n,)``; youth falls from 1 to 0 as they mature."""
    slowness = (1.0 - youth) / LATE_SPROUT_M_S + youth / EARLY_SPROUT_M_S
    uneven = LATE_SPROUT_SPREAD + (EARLY_SPROUT_SPREAD - LATE_SPROUT_SPREAD) * youth
    return 1e-3 * way_mm * slowness * np.exp(uneven * rng.standard_normal(way_mm.size))


def usual_ways_mm(n: int, rng: np.random.Generator) -> Floats:
    """Return lengths of ``n`` new branches of which nobody knows where they began."""
    return rng.gamma(WAY_SHAPE, USUAL_WAY_MM / WAY_SHAPE, n)


def sprouted(body: Body, share: float, rng: np.random.Generator) -> Body:
    """Return the body with a share of each unit's fibres on sprouts that are years old.

    Their end plates transmit as surely as others: jitter grows by 1-2 us in 30 years (F.3).
    """

    def later(unit: UnitFibres) -> UnitFibres:
        is_adopted = rng.uniform(size=unit.n_fibres) < share
        sprout_s = sprout_delays_s(usual_ways_mm(unit.n_fibres, rng), np.zeros(1), rng)
        return replace(unit, delay_s=unit.delay_s + sprout_s * is_adopted)

    return replace(body, units=tuple(later(unit) for unit in body.units))


def given(body: Body, fibres: UnitFibres, unit: Integers) -> Body:
    """Return the body with more fibres in units ``(n_fibres,)``, each with its own end plate."""
    units, end_plates = list(body.units), list(body.end_plates)
    for k in np.unique(unit):
        more = fibres.subset(unit == k)
        fresh = end_plates[k].max(initial=-1) + 1 + np.arange(more.n_fibres)
        units[k] = joined([units[k], more])
        end_plates[k] = np.concatenate([end_plates[k], fresh])
    return replace(body, units=tuple(units), end_plates=tuple(end_plates))


def without_orphans(body: Body, orphan: Integers) -> Body:
    """Return the body without some of its orphans."""
    stays = np.ones(body.orphans.n_fibres, dtype=np.bool_)
    stays[orphan] = False
    return replace(
        body,
        orphans=body.orphans.subset(stays),
        orphan_units=body.orphan_units[stays],
        fibrillates=body.fibrillates[stays],
    )


def _n_fibres(body: Body) -> Integers:
    return np.array([unit.n_fibres for unit in body.units])


def innervated(body: Body) -> Integers:
    """Return the units whose axon reaches the muscle, blocked or not."""
    return np.flatnonzero(_n_fibres(body) > 0)
