"""Is it still the same? Two one-sided tests against a margin, with three answers.

A single run against a tolerance passes an unchanged device only three times out of four. Here a few
runs are compared with the runs of a baseline. Where the interval of the difference lies within the
margin they are *equivalent* (TOST: Schuirmann 1987, doi:10.1007/BF01068419); where it lies wholly
beyond the margin they have *changed*; else there are *not enough data*, and more runs would tell.

Both groups are taken to scatter alike, so that one new run can be compared with many old ones. A
margin says how large a difference matters; it is declared, not estimated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.float64]
Answer = Literal["equivalent", "changed", "not enough data"]

ALPHA = 0.05  # of each one-sided test
LEAST_FREEDOM = 2  # degrees of freedom below which a scatter is not known at all
LARGE = 1.5  # margins: the change for which the power is told


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How a measurement's new values differ from its baseline's.

    Attributes
    ----------
    difference
        Mean of the new values minus that of the old.
    low, high
        Its 90 % interval: as both tests are one-sided, each at 5 %.
    margin
        The largest difference that does not matter.
    p_changed
        Of a difference no larger than the margin; after `answered_together` Holm's adjusted one.
    p_equivalent
        Of a difference beyond the margin.
    power
        Probability that a change of 1.5 margins would be found with as many values of this scatter.
    answer
        As the module says.
    """

    difference: float
    low: float
    high: float
    margin: float
    n_before: int
    n_now: int
    p_changed: float
    p_equivalent: float
    power: float
    answer: Answer


def compare_means(before: Sequence[float], now: Sequence[float], margin: float) -> Comparison:
    """Compare new values of a measurement with those of its baseline.

    Parameters
    ----------
    before, now
        One value per run, finite.
    margin
        Largest difference that does not matter, in their unit, more than 0.

    Raises
    ------
    ValueError
        If there are no values on a side, one of them is not finite, or the margin is not positive.
    """
    old, new = np.asarray(before, np.float64), np.asarray(now, np.float64)
    if old.size == 0 or new.size == 0 or not np.isfinite([*old, *new]).all():
        raise ValueError(
            f"a comparison needs finite values on both sides, got {old.size} and {new.size}: "
            f"{[*old, *new][:5]}"
        )
    if not margin > 0:
        raise ValueError(f"margin must be > 0, got {margin:g}")
    difference = float(new.mean() - old.mean())
    freedom = old.size + new.size - 2
    if freedom < LEAST_FREEDOM:
        return _unknown(difference, margin, old.size, new.size)
    squares = float(((old - old.mean()) ** 2).sum() + ((new - new.mean()) ** 2).sum())
    error = math.sqrt(squares / freedom * (1 / old.size + 1 / new.size))
    wide = float(special.stdtrit(freedom, 1 - ALPHA)) * error
    p_changed = _beyond(abs(difference) - margin, error, freedom)
    p_equivalent = _beyond(margin - abs(difference), error, freedom)
    found = Comparison(
        difference=difference,
        low=difference - wide,
        high=difference + wide,
        margin=margin,
        n_before=old.size,
        n_now=new.size,
        p_changed=p_changed,
        p_equivalent=p_equivalent,
        power=_power(margin, error, freedom),
        answer="not enough data",
    )
    return replace(found, answer=_answer(found))


def answered_together(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Answer the comparisons of one family, so that 5 % of unchanged *families* seem changed.

    The probabilities of a change are adjusted after Holm 1979 (Scand J Stat 6:65-70). Those of
    equivalence are not: that all of them are equivalent is claimed only if each one is.
    """
    order = np.argsort([one.p_changed for one in comparisons], kind="stable")
    answered = list(comparisons)
    highest = 0.0
    for rank, index in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(order) - rank) * comparisons[index].p_changed))
        one = replace(comparisons[index], p_changed=highest)
        answered[index] = replace(one, answer=_answer(one))
    return answered


def _answer(one: Comparison) -> Answer:
    if one.p_equivalent <= ALPHA:
        return "equivalent"
    return "changed" if one.p_changed <= ALPHA else "not enough data"


def _unknown(difference: float, margin: float, n_before: int, n_now: int) -> Comparison:
    """Return the comparison of so few values that nobody knows how they scatter."""
    return Comparison(
        difference=difference,
        low=-math.inf,
        high=math.inf,
        margin=margin,
        n_before=n_before,
        n_now=n_now,
        p_changed=1.0,
        p_equivalent=1.0,
        power=0.0,
        answer="not enough data",
    )


def _beyond(distance: float, error: float, freedom: int) -> float:
    """Return the probability of a distance as large by chance, of a one-sided t test."""
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(special.stdtr(freedom, -distance / error))


def _power(margin: float, error: float, freedom: int) -> float:
    if error == 0:
        return 1.0
    needed = special.stdtrit(freedom, 1 - ALPHA)
    return float(stats.nct.sf(needed, freedom, (LARGE - 1) * margin / error))
