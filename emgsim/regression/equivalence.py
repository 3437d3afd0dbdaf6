"""Is it still the same? Two one-sided tests against a margin, with three answers.

A single run against a tolerance passes an unchanged device only three times out of four. Here a few
runs are compared with the runs of a baseline. Where the interval of the difference lies within the
margin they are *equivalent* (TOST: Schuirmann 1987, doi:10.1007/BF01068419); where it lies wholly
beyond the margin they have *changed*; else there are *not enough data*, and more runs would tell.

One or two new runs do not show how they scatter, and are taken to scatter as the old ones do. From
`LEAST_OWN` runs a side on that is not taken for granted: an answer must then hold by Student's
test, of a scatter that both share, and by Welch's (1947, doi:10.2307/2332510), of one for each.
Runs that a change has made scatter more would else seem changed, or equivalent, far more often than
in 5 %.

A margin says how large a difference matters; it is declared, not estimated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.float64]
Answer = Literal["equivalent", "changed", "not enough data"]

ALPHA = 0.05  # of each one-sided test
LEAST_FREEDOM = 2  # degrees of freedom below which a scatter is not known at all
LEAST_OWN = 3  # runs of a side from which on its own scatter counts
LARGE = 1.5  # margins: the change for which the power is told


class Error(NamedTuple):
    """Standard error of a difference of means, and its degrees of freedom."""

    standard: float
    freedom: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How a measurement's new values differ from its baseline's.

    Attributes
    ----------
    difference
        Mean of the new values minus that of the old.
    low, high
        Its 90 % interval, the widest of the errors': as both tests are one-sided, each at 5 %.
    margin
        The largest difference that does not matter.
    p_changed
        Of a difference no larger than the margin; after `answered_together` Holm's adjusted one.
    p_equivalent
        Of a difference beyond the margin.
    power
        Probability that a change of 1.5 margins would be found with as many values of this scatter;
        after `answered_together` that it would be in a family of so many of which nothing else has
        changed.
    answer
        As the module says.
    errors
        Of the difference, after Student and after Welch; none where the scatter is not known.
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
    errors: tuple[Error, ...] = ()


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
    if old.size + new.size - 2 < LEAST_FREEDOM:
        return _unknown(difference, margin, old.size, new.size)
    errors = _errors(old, new)
    wide = max(float(special.stdtrit(e.freedom, 1 - ALPHA)) * e.standard for e in errors)
    found = Comparison(
        difference=difference,
        low=difference - wide,
        high=difference + wide,
        margin=margin,
        n_before=old.size,
        n_now=new.size,
        p_changed=max(_beyond(abs(difference) - margin, e) for e in errors),
        p_equivalent=max(_beyond(margin - abs(difference), e) for e in errors),
        power=_power(margin, errors, ALPHA),
        answer="not enough data",
        errors=errors,
    )
    return replace(found, answer=_answer(found))


def answered_together(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Answer the comparisons of one family, so that 5 % of unchanged *families* seem changed.

    The probabilities of a change are adjusted after Holm 1979 (Scand J Stat 6:65-70). Those of
    equivalence are not: that all of them are equivalent is claimed only if each one is. The power
    is that of the first step, at which a lone change must be found.
    """
    order = np.argsort([one.p_changed for one in comparisons], kind="stable")
    answered = list(comparisons)
    highest = 0.0
    for rank, index in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(order) - rank) * comparisons[index].p_changed))
        one = comparisons[index]
        power = _power(one.margin, one.errors, ALPHA / len(order))
        one = replace(one, p_changed=highest, power=power)
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


def _errors(old: Floats, new: Floats) -> tuple[Error, ...]:
    """Return the errors of the difference of two means by which an answer must hold."""
    freedom = old.size + new.size - 2
    squares = float(((old - old.mean()) ** 2).sum() + ((new - new.mean()) ** 2).sum())
    student = Error(math.sqrt(squares / freedom * (1 / old.size + 1 / new.size)), freedom)
    if squares == 0 or min(old.size, new.size) < LEAST_OWN:
        return (student,)
    parts = np.array([side.var(ddof=1) / side.size for side in (old, new)])
    fewer = np.array([old.size - 1, new.size - 1])
    shares = parts / parts.sum()  # squares of small parts would vanish
    welch = Error(math.sqrt(float(parts.sum())), float(1 / (shares**2 / fewer).sum()))
    return student, welch


def _beyond(distance: float, error: Error) -> float:
    """Return the probability of a distance as large by chance, of a one-sided t test."""
    if error.standard == 0:
        return 0.0 if distance > 0 else 1.0
    return float(special.stdtr(error.freedom, -distance / error.standard))


def _power(margin: float, errors: Sequence[Error], alpha: float) -> float:
    """Return the power of the test of an error, the smallest of several; 0 of none."""
    return min((_power_of(margin, error, alpha) for error in errors), default=0.0)


def _power_of(margin: float, error: Error, alpha: float) -> float:
    if error.standard == 0:
        return 1.0
    needed = special.stdtrit(error.freedom, 1 - alpha)
    return float(stats.nct.sf(needed, error.freedom, (LARGE - 1) * margin / error.standard))
