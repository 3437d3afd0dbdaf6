"""Drift: how seldom an unchanged series alarms, how soon a drift is seen, when a limit comes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.regression.drift import (
    Trend,
    chart,
    days_until,
    mean_runs,
    scores,
    threshold,
    trend,
)

Draw = Callable[[np.random.Generator, int], np.ndarray]
DRAWS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "uniform": lambda rng, n: rng.random(n),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n),
    "counts": lambda rng, n: rng.poisson(1.0, n).astype(float),
}
SERIES, LONGEST = 200, 1200


def run_length(values: np.ndarray, limit: float) -> float:
    """Return after how many runs a series alarms, infinity if it never does."""
    signal = chart(scores(values.tolist(), [0] * len(values)), limit).signal
    return math.inf if signal is None else signal + 1.0


@pytest.mark.parametrize("name", DRAWS)
def test_an_unchanged_series_alarms_as_seldom_as_is_said(name: str) -> None:
    """Whatever the distribution: a mean of 200 runs at least, but for what 200 series can tell.

    Run lengths are nearly exponential, so that their mean has a relative error of 1 / sqrt(200);
    three of them below 200 runs are 158. Equal values, of counts, make alarms rarer still.
    """
    rng, limit = np.random.default_rng(11), threshold(200)
    lengths = [min(run_length(DRAWS[name](rng, LONGEST), limit), LONGEST) for _ in range(SERIES)]
    assert np.mean(lengths) > 200 * (1 - 3 / math.sqrt(SERIES))
    if name != "counts":  # and it is no chart that never alarms
        assert np.mean(lengths) < 200 * (1 + 6 / math.sqrt(SERIES))


@pytest.mark.parametrize(
    ("drift", "runs"),
    [(0.05, 65), (0.1, 45)],  # SD per run
)
def test_a_drift_is_seen_soon(drift: float, runs: int) -> None:
    """Of 0.05 SD a run in 65, of 0.1 SD in 45 runs, in 19 of 20 series, of ten watched ones."""
    rng, limit = np.random.default_rng(12), threshold(1000 * 10)
    lengths = [
        run_length(rng.standard_normal(runs) + drift * np.arange(runs), limit) for _ in range(200)
    ]
    assert np.mean(np.isfinite(lengths)) >= 0.95


def test_a_drift_began_about_where_it_is_said_to() -> None:
    """Forty steady runs, then 0.15 SD a run: the sum began near the fortieth."""
    rng = np.random.default_rng(13)
    began = []
    for _ in range(50):
        values = rng.standard_normal(100) + 0.15 * np.clip(np.arange(100) - 40, 0, None)
        found = chart(scores(values.tolist(), [0] * 100), threshold(5000))
        assert found.signal is not None
        assert found.since is not None
        began.append(found.since)
    assert 35 < np.median(began) < 55


def test_a_step_where_something_else_changed_is_no_drift() -> None:
    """Values are ranked among those that were made alike; the same step without a change is one."""
    rng = np.random.default_rng(14)
    values = (rng.standard_normal(80) + 5 * (np.arange(80) >= 40)).tolist()
    limit = threshold(1000)
    assert chart(scores(values, [0] * 40 + [1] * 40), limit).signal is None
    assert chart(scores(values, [0] * 80), limit).signal is not None


def test_a_drift_is_seen_over_the_changes_of_something_else() -> None:
    """Two devices taken in turn, each with its own level: both drift, and together they tell."""
    rng = np.random.default_rng(15)
    turns = np.arange(80) % 2
    values = (rng.standard_normal(80) + 0.1 * np.arange(80) + 20 * turns).tolist()
    assert chart(scores(values, turns.tolist()), threshold(1000)).signal is not None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_the_scores_know_ranks_alone(values: list[float]) -> None:
    """Turned over they change their sign, and any stretching leaves them as they are."""
    alike = [0] * len(values)
    found = scores(values, alike)
    assert scores([-value for value in values], alike) == pytest.approx([-z for z in found])
    assert scores([float(np.float64(v) * 4) for v in values], alike) == found


def test_equal_values_never_drift() -> None:
    """A count of lost samples that is always nought has no scatter to be compared with."""
    assert scores([0.0] * 50, [0] * 50) == [0.0] * 50


def test_the_threshold_is_that_of_the_mean_run_length() -> None:
    """One is the inverse of the other; h = 8 at k = 0.25 has 368 runs (Montgomery's table: 370)."""
    assert mean_runs(8.01) == pytest.approx(370, rel=0.01)
    assert mean_runs(threshold(5000)) == pytest.approx(5000, rel=1e-6)
    with pytest.raises(ValueError, match=">= 10"):
        threshold(1)


def test_the_slope_and_its_interval_are_those_of_theil_and_sen() -> None:
    """By pencil: of 0, 1, 2, 30 at days 0 to 3 the slopes are 1, 1, 1, 10, 14.5 and 28."""
    line = trend([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 30.0], [0] * 4)
    assert line is not None
    assert line.slope_per_day == pytest.approx((1 + 10) / 2)
    assert (line.low_per_day, line.high_per_day) == (1.0, 28.0)  # four runs tell next to nothing
    assert (line.level, line.days_ago) == (1.5, 1.5)


@pytest.mark.parametrize("groups", [1, 3])
def test_the_interval_of_the_slope_holds_the_slope_as_often_as_it_says(groups: int) -> None:
    """95 % of 400 series of 24 runs, of heavy tails and with steps; 3 SE below it are 92 %."""
    rng, held = np.random.default_rng(16), 0
    for _ in range(400):
        days = np.sort(rng.uniform(0, 50, 24))
        alike = [int(day * groups / 50.1) for day in days]
        values = 0.02 * days + 7 * np.array(alike) + rng.standard_t(3, 24)
        line = trend(days.tolist(), values.tolist(), alike)
        assert line is not None
        held += line.low_per_day <= 0.02 <= line.high_per_day
    assert held >= 0.92 * 400


def test_runs_at_one_time_have_no_slope() -> None:
    """Nor do runs that were all made otherwise."""
    assert trend([0.0, 0.0], [1.0, 2.0], [0, 0]) is None
    assert trend([0.0, 1.0], [1.0, 2.0], [0, 1]) is None


def line(slope: float, low: float, high: float, level: float = 1.0) -> Trend:
    """Return a line whose level is that of ten days ago."""
    return Trend(slope_per_day=slope, low_per_day=low, high_per_day=high, level=level, days_ago=10)


def test_the_days_until_a_limit_are_those_of_the_line() -> None:
    """By pencil: from 1 + 10 * 0.1 = 2 to 5 at 0.1 a day, and the same of both ends."""
    assert days_until(line(0.1, 0.05, 0.2), None, 5.0) == pytest.approx((30.0, 10.0, 70.0))
    assert days_until(line(-0.1, -0.2, -0.05), -1.0, 5.0) == pytest.approx((10.0, 0.0, 30.0))


def test_a_limit_that_is_passed_is_reached_and_one_behind_never() -> None:
    """Nor is one reached of which nobody knows whether it is approached."""
    assert days_until(line(0.1, 0.05, 0.2, level=9.0), None, 5.0) == (0.0, 0.0, 0.0)
    assert days_until(line(0.1, 0.05, 0.2), 0.0, None)[0] == math.inf
    assert days_until(line(0.1, -0.05, 0.2), None, 5.0)[0] == math.inf
