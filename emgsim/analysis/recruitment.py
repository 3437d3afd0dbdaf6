"""How motor units are recruited: in which order, at which rate, and how fast they fire then.

A unit *starts*, and is active, with three discharges on end no more than 250 ms apart. The
onset and recruitment intervals are those of Petajan 1974, the ratio of the fastest rate to the
number of active units is that of the rule of five (Daube).

A decomposition may tell one unit in two trains, which would make reduced recruitment look early.
`whole_trains` puts together what the discharges themselves show to be one neuron's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.trains import (
    LOCK_RANGE_S,
    LOCKED,
    SHORTEST_S,
    checked,
    lags_within,
)

Floats = NDArray[np.float64]

LONGEST_S = 0.25  # 4 per second: below it a unit does not fire steadily
BEFORE = 3  # intervals of the first unit that give its rate when the second starts
# A second train of one unit is that of a template that stands now here, now there in its potential,
# so that lags scatter by milliseconds [C]
LOCK_WINDOW_S = 0.003
FEWEST = 5  # discharges that tell anything: two of three follow some other by chance
# Meetings of two neurons within 20 ms: of 22 and 22 discharges in 4.5 s, the halves of one at ten a
# second, chance makes four
FEWEST_MEETINGS = 3.0  # expected by chance: less proves nothing
MET = 0.1  # of them: no two neurons avoid each other so
REGULAR = 0.9  # of the intervals of a union near their mean, as one neuron's are


@dataclass(frozen=True, kw_only=True)
class Start:
    """When a unit begins to fire steadily, and how slowly it does so."""

    unit: int  # its place among the trains
    at_s: float
    interval_s: float  # onset interval: the median of its first intervals


@dataclass(frozen=True, kw_only=True)
class RecruitmentOnset:
    """How fast the first unit fires when the second one starts (Petajan 1974)."""

    first_unit: int  # its place among the trains
    second_unit: int
    at_s: float
    interval_s: float  # recruitment interval

    @property
    def frequency_hz(self) -> float:
        """Recruitment frequency: one over the recruitment interval."""
        return 1 / self.interval_s


@dataclass(frozen=True, kw_only=True)
class RecruitmentRatio:
    """The fastest rate over the number of active units (the rule of five, Daube)."""

    fastest_hz: float
    active_units: int

    @property
    def ratio_hz(self) -> float:
        """Fastest rate for each active unit; 3-5 are normal."""
        return self.fastest_hz / self.active_units


def recruitment_order(trains_s: Sequence[Floats]) -> tuple[Start, ...]:
    """Return the units that start, in the order in which they do.

    Parameters
    ----------
    trains_s
        Discharge times of each unit, sorted.

    Examples
    --------
    >>> late, early = np.arange(2.0, 4.0, 0.1), np.arange(1.0, 4.0, 0.125)
    >>> [(start.unit, start.at_s, start.interval_s) for start in recruitment_order([late, early])]
    [(1, 1.0, 0.125), (0, 2.0, 0.1)]
    """
    found = []
    for unit, train in enumerate(trains_s):
        at_s = _start_s(train)
        if at_s < np.inf:
            first = np.diff(train[train >= at_s])[:BEFORE]
            interval_s = float(np.median(first))
            found.append(Start(unit=unit, at_s=at_s, interval_s=round(interval_s, 9)))
    return tuple(sorted(found, key=lambda start: start.at_s))


def recruitment_onset(trains_s: Sequence[Floats]) -> RecruitmentOnset | None:
    """Return how fast the first unit fires when the second starts, during a slow increase.

    A unit starts with the first of three discharges no more than 250 ms apart. The recruitment
    interval is the median of the last three intervals of the first unit before that moment.

    Parameters
    ----------
    trains_s
        Discharge times of each unit, sorted.

    Returns
    -------
    RecruitmentOnset or None
        None if the recording does not show it: fewer than two units start, or the first has not
        yet fired four times, or has fallen silent.
    """
    starts = recruitment_order(trains_s)
    if len(starts) < 2:
        return None
    first, second = starts[:2]
    train, at_s = trains_s[first.unit], second.at_s
    past = train[(train >= first.at_s) & (train <= at_s)]
    intervals_s = np.diff(past)[-BEFORE:]
    if intervals_s.size < BEFORE or at_s - past[-1] > LONGEST_S:
        return None
    return RecruitmentOnset(
        first_unit=first.unit,
        second_unit=second.unit,
        at_s=at_s,
        interval_s=float(np.median(intervals_s)),
    )


def _start_s(train_s: Floats) -> float:
    """Return when a unit begins to fire steadily; infinite if it never does."""
    steady = np.diff(train_s) <= LONGEST_S
    on_end = [k for k, both in enumerate(pairwise(steady)) if all(both)]
    return float(train_s[on_end[0]]) if on_end else float("inf")


def recruitment_ratio(
    trains_s: Sequence[Floats], begin_s: float, stop_s: float
) -> RecruitmentRatio | None:
    """Return the fastest rate over the number of units active in a stretch of steady effort.

    A unit is active if it fires three times or more on end there, no more than 250 ms apart; its
    rate is one over the median of its intervals. What two trains tell of one unit counts once
    (`whole_trains`). None if no unit is active.

    Parameters
    ----------
    trains_s
        Discharge times of each unit, sorted.
    begin_s, stop_s
        The stretch.

    Raises
    ------
    ValueError
        If the stretch has no length.
    """
    if not stop_s > begin_s:
        raise ValueError(f"stop_s must be > begin_s = {begin_s}, got {stop_s}")
    inside = [train[(train >= begin_s) & (train < stop_s)] for train in trains_s]
    active = whole_trains([train for train in inside if _start_s(train) < np.inf])
    if not active:
        return None
    rates = [1 / float(np.median(np.diff(train))) for train in active]
    return RecruitmentRatio(fastest_hz=max(rates), active_units=len(active))


# -- split units -----------------------------------------------------------------------------------


def whole_trains(trains_s: Sequence[Floats]) -> tuple[Floats, ...]:
    """Return one train for each unit of which a decomposition has told two.

    Trains that fill each other's gaps are the halves of one: chance would have let them meet, and
    their union fires as regularly as one neuron. A train of which every third discharge follows
    another one's at one lag is told from a part of its potential, and left out: two neurons
    synchronise no more than a tenth (De Luca et al. 1993, J Neurophysiol 70:2010 [M]).

    Parameters
    ----------
    trains_s
        Discharge times of each unit in one stretch, sorted.

    Returns
    -------
    tuple of array
        The most regular train first.

    Examples
    --------
    >>> unit = np.arange(0.0, 4.0, 0.1)
    >>> [train.size for train in whole_trains([unit[::2], unit[1::2]])]
    [40]
    >>> [train.size for train in whole_trains([unit, unit[::2] + 0.004])]
    [40]
    """
    whole: list[Floats] = []
    for train in sorted(trains_s, key=lambda train: -checked(train).expected):
        halves = [k for k, other in enumerate(whole) if _are_halves(train, other)]
        if halves:
            whole[halves[0]] = np.sort(np.concatenate([train, whole[halves[0]]]))
        elif not any(_follows(train, other) for other in whole):
            whole.append(train)
    return tuple(whole)


def _are_halves(one: Floats, other: Floats) -> bool:
    """Tell whether two trains never meet, and make one regular train together."""
    if min(one.size, other.size) < FEWEST:
        return False
    both = np.sort(np.concatenate([one, other]))
    by_chance = one.size * other.size * 2 * SHORTEST_S / float(np.ptp(both))
    if by_chance < FEWEST_MEETINGS:
        return False
    meetings = lags_within(one, other, SHORTEST_S).size
    return meetings <= MET * by_chance and checked(both).expected >= REGULAR


def _follows(train: Floats, other: Floats) -> bool:
    """Tell whether a large share of a train's discharges follows the other's at one lag."""
    lags = lags_within(train, other, LOCK_RANGE_S)
    crowd = np.searchsorted(lags, lags + LOCK_WINDOW_S, "right") - np.arange(lags.size)
    return bool(lags.size and crowd.max() >= max(FEWEST, LOCKED * train.size))
