"""Bland-Altman and the paired difference, by pencil and against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from emgsim.scoring import bland_altman, clopper_pearson, paired_difference


def test_limits_of_agreement_by_pencil() -> None:
    """Differences 1, 2, 3: bias 2, SD 1, limits 2 -+ 1.96, bias within 2 -+ 4.303 / sqrt(3)."""
    found = bland_altman(np.array([11.0, 22.0, 33.0]), np.array([10.0, 20.0, 30.0]))
    assert (found.n, found.bias, found.sd) == (3, 2.0, 1.0)
    assert (found.lower, found.upper) == pytest.approx((0.04, 3.96), abs=1e-3)
    assert found.bias_interval == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-3)


def test_percent_is_of_the_true_value() -> None:
    """110 for 100 and 180 for 200 are +10 and -10 %."""
    found = bland_altman(np.array([110.0, 180.0]), np.array([100.0, 200.0]), in_percent=True)
    assert found.bias == pytest.approx(0.0)
    assert found.upper == pytest.approx(1.96 * 10 * math.sqrt(2), rel=1e-3)


@pytest.mark.parametrize("n", [5, 20, 100])
def test_the_limits_intervals_are_nearly_the_exact_ones(n: int) -> None:
    """They lie within a tenth of their width of those by the noncentral t distribution."""
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n)
    found = bland_altman(x, np.zeros(n))
    t = stats.nct.ppf([0.025, 0.975], n - 1, 1.959964 * math.sqrt(n))
    exact = x.mean() + t * x.std(ddof=1) / math.sqrt(n)
    assert found.upper_interval == pytest.approx(tuple(exact), abs=0.1 * (exact[1] - exact[0]))
    mirrored = bland_altman(-x, np.zeros(n))
    assert mirrored.lower_interval == pytest.approx(
        (-found.upper_interval.high, -found.upper_interval.low)
    )


def test_pairs_without_a_value_are_left_out_and_counted() -> None:
    """NaN on either side; of one pair there are no limits."""
    found = bland_altman(np.array([1.0, np.nan, 3.0]), np.array([1.0, 2.0, np.nan]))
    assert (found.n, found.bias) == (1, 0.0)
    assert math.isnan(found.upper)
    assert math.isnan(bland_altman(np.zeros(0), np.zeros(0)).bias)


@pytest.mark.parametrize(
    ("found", "true", "message"),
    [
        ([1.0, 2.0], [1.0], r"expected one shape \(n,\), got \(2,\) and \(1,\)"),
        ([np.inf], [1.0], "must be finite"),
        ([1.0], [0.0], "true must be > 0 for differences in percent, got 0.0"),
    ],
)
def test_what_cannot_be_compared_is_an_error(found, true, message: str) -> None:
    """Thing, rule and value."""
    with pytest.raises(ValueError, match=message):
        bland_altman(np.array(found), np.array(true), in_percent=True)


def test_the_paired_interval_is_students() -> None:
    """The same as scipy's paired t test gives."""
    rng = np.random.default_rng(1)
    a = rng.uniform(0.9, 1.0, 12)
    b = a - 0.01 + 0.005 * rng.standard_normal(12)
    theirs = stats.ttest_rel(b, a).confidence_interval()
    assert paired_difference(a, b, margin=0.02).interval == pytest.approx(tuple(theirs))


@pytest.mark.parametrize(
    ("loss", "spread", "verdict"),
    [(0.0, 0.002, "non_inferior"), (0.01, 0.03, "not_shown"), (0.05, 0.002, "inferior")],
)
def test_a_verdict_goes_by_the_whole_interval(loss: float, spread: float, verdict: str) -> None:
    """Against a margin of 0.02: clearly within, anywhere, clearly beyond."""
    reference = np.full(10, 0.95)
    tested = reference - loss + spread * np.linspace(-1, 1, 10)
    assert paired_difference(reference, tested, margin=0.02).verdict == verdict


def test_ten_equal_pairs_prove_little_and_a_thousand_much() -> None:
    """Where nothing differs, each recording is one trial: no proof from ten of them."""
    ten, many = (paired_difference(np.ones(n), np.ones(n), margin=0.02) for n in (10, 1000))
    assert ten.interval.low == -clopper_pearson(0, 10).high
    assert (ten.verdict, many.verdict) == ("not_shown", "non_inferior")


def test_a_single_pair_shows_nothing() -> None:
    """One recording, or none, has no spread; a pair without a value is none."""
    judged = paired_difference([0.9, math.nan], [0.9, 0.9], margin=0.02)
    assert (judged.n, judged.verdict) == (1, "not_shown")
    assert paired_difference([], [], margin=0.02).verdict == "not_shown"


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_a_margin_must_be_declared(margin: float) -> None:
    """A margin of nought can never be shown."""
    with pytest.raises(ValueError, match="margin must be finite and > 0"):
        paired_difference([1.0], [1.0], margin=margin)
