"""Intervals agree with references that are not ours, and hold the truth as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from emgsim.scoring import (
    average_interval,
    bootstrap,
    clopper_pearson,
    median_interval,
    pooled_interval,
    wilson,
)
from emgsim.scoring.intervals import LEAST_RECORDINGS, Z95, _bca

OUTCOMES = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(OUTCOMES)
def test_proportions_agree_with_scipy(outcome: tuple[int, int]) -> None:
    """Wilson's and the exact interval are those of scipy.stats."""
    k, n = outcome
    theirs = stats.binomtest(k, n)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        found = theirs.proportion_ci(0.95, method)
        assert ours(k, n) == pytest.approx((found.low, found.high), abs=1e-9)


@given(OUTCOMES)
def test_intervals_of_misses_mirror_those_of_hits(outcome: tuple[int, int]) -> None:
    """To count failures in place of successes turns the interval round."""
    k, n = outcome
    for interval in (wilson, clopper_pearson):
        low, high = interval(k, n)
        assert interval(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)
        assert 0 <= low <= k / n <= high <= 1


def test_no_miss_of_many_has_the_bound_of_its_closed_form() -> None:
    """0 of n: the upper end is 1 - 0.025^(1/n), about 3.7 / n."""
    assert clopper_pearson(0, 100).high == pytest.approx(1 - 0.025**0.01, rel=1e-9)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_a_share_beyond_all_is_an_error(interval) -> None:
    """Eleven of ten is a mistake of the caller, and of nothing there is no interval."""
    with pytest.raises(ValueError, match=r"successes must be in 0\.\.n = 10, got 11"):
        interval(11, 10)
    assert all(map(math.isnan, interval(0, 0)))


@pytest.mark.parametrize("n", [5, 10, 30, 100])
def test_the_exact_interval_holds_every_proportion_95_times_in_100(n: int) -> None:
    """Every outcome weighed by its probability, over a grid of p; Wilson's on average."""
    k, p = np.arange(n + 1), np.linspace(0.01, 0.99, 99)[:, None]
    chance = stats.binom.pmf(k, n, p)

    def coverage(interval) -> np.ndarray:
        low, high = np.array([interval(int(i), n) for i in k]).T
        return np.sum(chance * ((low <= p) & (p <= high)), axis=1)

    assert coverage(clopper_pearson).min() >= 0.95
    assert 0.93 <= coverage(wilson).mean() <= 0.97


def test_recordings_that_vary_as_trials_do_count_as_trials() -> None:
    """Forty recordings of independent discharges: nearly the exact interval of all of them."""
    rng = np.random.default_rng(1)
    n = np.full(400, 50)
    k = rng.binomial(n, 0.9)
    low, high = pooled_interval(k, n)
    exact = clopper_pearson(float(k.sum()), float(n.sum()))
    assert high - low == pytest.approx(exact.high - exact.low, rel=0.15)
    assert average_interval(k, n) == pytest.approx((low, high), abs=1e-12)


def test_the_effective_trials_are_those_of_their_formula() -> None:
    """By scipy's distributions: ratio variance, kurtosis, Student's quantile, exact interval."""
    k, n = np.array([8, 9, 10, 30, 4]), np.array([10, 10, 10, 40, 10])
    p = k.sum() / n.sum()
    off = k - p * n
    variance = 5 / 4 * np.sum(off**2) / n.sum() ** 2
    freedom = min(4.0, 10 / (stats.kurtosis(np.concatenate([off, -off]), fisher=False) - 1))
    trials = p * (1 - p) / variance * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, freedom)) ** 2
    hits, misses = p * trials, (1 - p) * trials
    low = stats.beta.ppf(0.025, hits, misses + 1)
    high = stats.beta.ppf(0.975, hits + 1, misses)
    assert pooled_interval(k, n) == pytest.approx((low, high), rel=1e-9)


def test_recordings_that_differ_widen_the_interval() -> None:
    """Half of them perfect and half of them void: as wide as one trial each."""
    k, n = np.tile([0, 100], 20), np.full(40, 100)
    low, high = pooled_interval(k, n)
    one_each = clopper_pearson(20, 40)
    assert (low, high) == pytest.approx(tuple(one_each), abs=0.02)


def test_perfect_recordings_are_as_many_trials() -> None:
    """Twenty without a miss bound the loss by 20 trials, however many discharges they hold."""
    n = np.full(20, 1000)
    for interval in (pooled_interval, average_interval):
        assert interval(n, n) == clopper_pearson(20, 20)
        assert interval(0 * n, n) == clopper_pearson(0, 20)


def test_recordings_without_discharges_say_nothing() -> None:
    """They are left out, and one alone has no interval."""
    with_void = pooled_interval([8, 0, 9, 7], [10, 0, 10, 10])
    assert with_void == pooled_interval([8, 9, 7], [10, 10, 10])
    assert all(map(math.isnan, pooled_interval([8, 0], [10, 0])))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12))
def test_an_interval_over_recordings_holds_its_share(rows: list[tuple[int, int]]) -> None:
    """Whatever the recordings: within 0 and 1, and around the share itself."""
    found = np.array([a for a, _ in rows], float)
    true = found + np.array([b for _, b in rows], float)
    some = true > 0
    if np.count_nonzero(some) > 1:
        for (low, high), value in (
            (pooled_interval(found, true), found.sum() / true.sum()),
            (average_interval(found, true), np.mean(found[some] / true[some])),
        ):
            assert -1e-12 <= low - 1e-12 <= value <= high + 1e-12 <= 1 + 2e-12


def test_pooled_shares_are_covered_where_recordings_differ() -> None:
    """Beta-binomial recordings, p from 0.5 to 0.99: 93 to 97 % on average, over 1,050 repeats."""
    rng, held = np.random.default_rng(2), []
    for p in (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99):
        for _ in range(150):
            n = rng.integers(50, 151, 20)
            k = rng.binomial(n, rng.beta(19 * p, 19 * (1 - p), 20))
            low, high = pooled_interval(k, n)
            held.append(low <= p <= high)
    assert 0.93 <= np.mean(held) <= 0.97


def test_the_bootstrap_agrees_with_scipy_but_for_its_widening() -> None:
    """Of 200 values BCa by hand and scipy's differ by little; ours is a little wider."""
    values = np.random.default_rng(3).gamma(2.0, size=200)

    def mean(drawn: np.ndarray) -> np.ndarray:
        return drawn @ values / 200

    ours = bootstrap(mean, 200, np.random.default_rng(4), n_resamples=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, rng=np.random.default_rng(5), method="BCa"
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.05 * width)


def test_the_correction_is_efrons() -> None:
    """Of 30 very skew values, without widening: scipy's BCa, which is no percentile interval."""
    values = np.random.default_rng(3).gamma(0.5, size=30)
    drawn = np.random.default_rng(4).multinomial(30, np.full(30, 1 / 30), size=40_000)
    means, left_out = drawn @ values / 30, (values.sum() - values) / 29
    ours = _bca(means, values.mean(), left_out, Z95)
    plain = np.quantile(means, [0.025, 0.975])
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, rng=np.random.default_rng(5), method="BCa"
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02 * width)
    assert ours.low - plain[0] > 0.03 * width
    assert ours.high - plain[1] > 0.04 * width


def test_the_same_stream_gives_the_same_interval() -> None:
    """And another one nearly the same."""
    values = np.random.default_rng(6).standard_normal(40)
    one, again, other = (median_interval(values, np.random.default_rng(k)) for k in (1, 1, 2))
    assert one == again
    assert one == pytest.approx(other, abs=0.2)


def test_the_median_of_resamples_is_numpys() -> None:
    """The weighted median by counting is the median of what was drawn, of ragged recordings too."""
    rng = np.random.default_rng(7)
    values, of = rng.standard_normal(60), np.repeat(np.arange(12), 5)
    of[:3] = 11  # recordings of unequal length
    seen = []

    class Spy:
        """Draws as a generator would, and keeps what it drew."""

        def multinomial(self, *args, **kwargs):
            drawn = rng.multinomial(*args, **kwargs)
            seen.append(drawn)
            return drawn

    low, high = median_interval(values, Spy(), recordings=of)
    medians = [
        np.median(np.concatenate([np.repeat(values[of == k], m) for k, m in enumerate(row)]))
        for row in seen[0]
    ]
    assert min(np.abs(np.array(medians) - low)) < 1e-12
    assert min(np.abs(np.array(medians) - high)) < 1e-12
    assert np.quantile(medians, 0.005) <= low < np.median(values)
    assert np.median(values) < high <= np.quantile(medians, 0.995)


def test_too_few_recordings_have_no_interval() -> None:
    """Resampling nine says nothing that holds."""
    rng = np.random.default_rng(8)
    assert all(map(math.isnan, median_interval(np.arange(LEAST_RECORDINGS - 1.0), rng)))
    assert not any(map(math.isnan, median_interval(np.arange(float(LEAST_RECORDINGS)), rng)))


def test_values_that_are_unknown_are_left_out() -> None:
    """NaN is no value, and recordings must be given for every value or for none."""
    rng = np.random.default_rng(9)
    values = rng.standard_normal(30)
    with_nan = np.insert(values, 7, np.nan)
    one, other = (median_interval(v, np.random.default_rng(1)) for v in (values, with_nan))
    assert one == other
    with pytest.raises(ValueError, match=r"recordings: expected shape \(30,\), got \(2,\)"):
        median_interval(values, rng, recordings=[0, 1])


def test_a_statistic_that_is_mostly_undefined_has_no_interval() -> None:
    """A number from the few resamples that have one would be a number from nothing."""

    def rarely(drawn: np.ndarray) -> np.ndarray:
        return np.where(drawn[:, 0] >= 1, 1.0, np.nan)

    assert all(map(math.isnan, bootstrap(rarely, 20, np.random.default_rng(1))))
