"""How motor units are recruited: in which order, at which rate, and how fast they fire then.

A unit *starts*, and is active, with three discharges on end no more than 250 ms apart. The
onset and recruitment intervals are those of Petajan 1974, the ratio of the fastest rate to the
number of active units is that of the rule of five (Daube).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LONGEST_S = 0.25  # 4 per second: below it a unit does not fire steadily
BEFORE = 3  # intervals of the first unit that give its rate when the second starts


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
    rate is one over the median of its intervals. None if no unit is.

    Raises
    ------
    ValueError
        If the stretch has no length.
    """
    if not stop_s > begin_s:
        raise ValueError(f"stop_s must be > begin_s = {begin_s}, got {stop_s}")
    inside = [train[(train >= begin_s) & (train < stop_s)] for train in trains_s]
    rates = [1 / float(np.median(np.diff(t))) for t in inside if _start_s(t) < np.inf]
    return RecruitmentRatio(fastest_hz=max(rates), active_units=len(rates)) if rates else None
