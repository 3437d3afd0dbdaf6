"""Verdicts with a guard band (ILAC-G8:09/2019): a table by pencil, and laws for any numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.verdict import Limit, Measurement, judge, requirement_ids

INSIDE = Limit(measurement="x.gain", low=1.0, high=2.0, unit="mV")


def measured(
    value: float, low: float | None = None, high: float | None = None, unit: str = "mV"
) -> Measurement:
    """Return a measurement with its interval."""
    return Measurement(id="x.gain", value=value, unit=unit, low=low, high=high)


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (1.5, 1.4, 1.6, "pass"),
        (1.5, None, None, "pass"),
        (1.0, 1.0, 2.0, "pass"),  # the bounds belong to the limits
        (1.1, 0.9, 1.3, "conditional_pass"),
        (1.9, 1.7, 2.1, "conditional_pass"),
        (0.9, 0.7, 1.1, "conditional_fail"),
        (2.1, 1.9, 2.3, "conditional_fail"),
        (2.1, 2.0, 2.2, "conditional_fail"),  # it touches
        (0.5, 0.4, 0.6, "fail"),
        (2.5, None, None, "fail"),
        (math.nan, 1.4, 1.6, "inconclusive"),
        (1.5, math.nan, 1.6, "inconclusive"),
        (1.5, 1.4, math.nan, "inconclusive"),
        (math.inf, None, None, "fail"),
    ],
)
def test_the_verdict_follows_value_and_interval(
    value: float, low: float | None, high: float | None, verdict: str
) -> None:
    """Four verdicts, and NaN is never one of them."""
    judged = judge(measured(value, low, high), INSIDE)
    assert judged.verdict == verdict
    assert judged.limit is INSIDE


@pytest.mark.parametrize(
    ("limit", "verdicts"),
    [
        (Limit(measurement="x", low=1.0), ["fail", "pass", "pass"]),
        (Limit(measurement="x", high=2.0), ["pass", "pass", "fail"]),
    ],
)
def test_a_limit_may_have_one_side(limit: Limit, verdicts: list[str]) -> None:
    """An absent bound holds everything on its side."""
    values = (0.5, 1.5, 2.5)
    assert [judge(measured(v, unit=""), limit).verdict for v in values] == verdicts


finite = st.floats(-1e6, 1e6)


@given(value=finite, spread=st.floats(0, 1e3), low=finite, width=st.floats(0, 1e3))
def test_a_wider_interval_never_makes_a_verdict_firmer(
    value: float, spread: float, low: float, width: float
) -> None:
    """Doubt turns pass into conditional pass and fail into conditional fail, and no other way."""
    limit = Limit(measurement="x", low=low, high=low + width)
    sure = judge(measured(value, unit=""), limit).verdict
    doubtful = judge(measured(value, value - spread, value + spread, unit=""), limit).verdict
    assert sure in ("pass", "fail")
    assert doubtful in (sure, f"conditional_{sure}")


@given(numbers=st.lists(st.floats(), min_size=3, max_size=3), lost=st.integers(0, 2))
def test_nan_never_passes(numbers: list[float], lost: int) -> None:
    """Whichever of the three numbers it is."""
    numbers[lost] = math.nan
    assert judge(measured(*numbers), INSIDE).verdict == "inconclusive"


def test_a_limit_in_another_unit_is_refused() -> None:
    """The message names the measurement and both units."""
    with pytest.raises(ValueError, match=r"limit of x\.gain is in 'mV', the value in 'uV'"):
        judge(measured(1.5, unit="uV"), INSIDE)


def test_judging_leaves_the_measurement_as_it_was() -> None:
    """A pure function: the argument keeps its open verdict."""
    measurement = measured(1.5)
    judge(measurement, INSIDE)
    assert (measurement.verdict, measurement.limit) == ("not_judged", None)


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (INSIDE, "1 .. 2 mV"),
        (Limit(measurement="x", low=0.95, unit="1"), ">= 0.95"),
        (Limit(measurement="x", high=50.0, unit="us"), "<= 50 us"),
        (Limit(measurement="x", low=0.0, high=0.0), "0 .. 0"),
    ],
)
def test_a_limit_prints_itself(limit: Limit, text: str) -> None:
    """As it stands in a report: bounds, then unit; a plain number has none."""
    assert str(limit) == text


def test_a_limit_serves_one_requirement_or_several() -> None:
    """A single id stands for a list of one; each is kept once, in its order."""
    assert requirement_ids("SRS-042") == ("SRS-042",)
    assert requirement_ids(["b/2", "a_1", "b/2"]) == ("b/2", "a_1")
    assert requirement_ids([]) == ()


@pytest.mark.parametrize("said", ["", "SRS 042", "A, B", "-1", "x" * 65, 42, [7], ["A", "ü"], None])
def test_what_is_no_id_of_a_requirement_is_refused(said: object) -> None:
    """It could not be searched for in a report: the message has it, and the rule."""
    with pytest.raises(ValueError, match="1 to 64 letters"):
        requirement_ids(said)  # type: ignore[arg-type]
