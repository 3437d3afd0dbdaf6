"""When generators discharge: the renewal law, clocks that change, spells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.physiology.spontaneous.rhythms import (
    Span,
    changing_train,
    clock,
    drift,
    log_normal,
    renewals,
    spells,
    train,
)


def generator(seed: int = 0) -> np.random.Generator:
    """Return a generator."""
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("cov", "shortest"), [(0.0, 0.0), (0.05, 0.0), (0.8, 0.1), (1.2, 0.02)])
def test_renewals_have_the_mean_and_the_scatter_that_were_asked_for(cov, shortest):
    """Mean interval 1, CoV within 3 %, none below the shortest."""
    points = renewals(generator(), 40_000.0, cov, shortest=shortest, at_once=True)
    intervals = np.diff(points)
    assert intervals.mean() == pytest.approx(1.0, abs=5 * max(cov, 1e-9) / 200)
    assert intervals.std() == pytest.approx(cov, rel=0.03, abs=1e-12)
    assert intervals.min() >= shortest - 1e-12


def test_renewals_with_a_cov_of_1_are_a_poisson_process():
    """Counts in windows vary as their mean does, and windows are independent."""
    points = renewals(generator(1), 50_000.0, 1.0, at_once=False)
    counts = np.bincount(points.astype(int) // 5, minlength=10_000)
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=0.05)
    assert abs(np.corrcoef(counts[1:], counts[:-1])[0, 1]) < 0.03


@given(
    seed=st.integers(0, 10_000),
    cov=st.floats(0.0, 1.2),
    shortest=st.floats(0.0, 0.5),
    until=st.floats(0.0, 300.0),
    more=st.floats(0.0, 300.0),
    at_once=st.booleans(),
)
def test_a_longer_process_begins_as_a_shorter_one_does(seed, cov, shortest, until, more, at_once):
    """All points before the end are the same, in order, and inside."""
    short = renewals(generator(seed), until, cov, shortest=shortest, at_once=at_once)
    long = renewals(generator(seed), until + more, cov, shortest=shortest, at_once=at_once)
    assert np.array_equal(short, long[: short.size])
    assert np.all(np.diff(short) >= 0)
    assert short.size == 0 or (short[0] >= 0 and short[-1] < until)


def test_a_shortest_interval_that_leaves_no_room_is_refused():
    """It must be below the mean."""
    with pytest.raises(ValueError, match=r"shortest must be in 0\.\.1 .*, got 1\.5"):
        train(generator(), Span(0.0, 1.0), 500.0, 0.1, shortest_s=3e-3)


def test_a_changing_train_is_as_dense_as_its_rate_is_high():
    """Counts follow the integral of the rate; at an even rate it is a plain train."""
    clock_s = clock(Span(2.0, 12.0))
    rate_hz = 20.0 + 100.0 * (clock_s - 2.0) / 10.0
    times_s = changing_train(generator(2), clock_s, rate_hz, 0.1, at_once=True)
    assert times_s[0] == 2.0
    assert np.count_nonzero(times_s < 7.0) == pytest.approx(20 * 5 + 10 * 5**2 / 2, abs=6)
    assert times_s.size == pytest.approx(20 * 10 + 10 * 10**2 / 2, abs=8)
    even = changing_train(generator(3), clock_s, np.full(clock_s.size, 50.0), 0.1)
    plain = train(generator(3), Span(2.0, 12.0), 50.0, 0.1)
    np.testing.assert_allclose(even[: plain.size], plain, atol=1e-9)


def test_a_drift_has_its_size_and_its_memory():
    """The SD is the one asked for; a time constant later 1/e of it is remembered."""
    course = drift(generator(4), 200_000, 0.1, 50.0)
    assert course.std() == pytest.approx(0.1, rel=0.05)
    assert np.corrcoef(course[50:], course[:-50])[0, 1] == pytest.approx(np.exp(-1), abs=0.03)


def test_spells_are_on_for_their_share_of_the_time():
    """On 2 s and off 6 s on the average: a quarter of the time, in order, inside the span."""
    span = Span(5.0, 40_005.0)
    found = spells(generator(5), span, 2.0, 6.0, begins_on=False)
    assert sum(part.length_s for part in found) / span.length_s == pytest.approx(0.25, abs=0.01)
    edges = np.array(found).ravel()
    assert np.all(np.diff(edges) >= 0)
    assert span.onset_s <= edges[0] <= edges[-1] <= span.offset_s


def test_log_normal_sizes_have_their_median():
    """Half of them are larger than the median."""
    rng = generator(6)
    sizes = np.array([log_normal(rng, 5.0, 0.5) for _ in range(4000)])
    assert np.median(sizes) == pytest.approx(5.0, rel=0.05)
    assert np.log(sizes).std() == pytest.approx(0.5, rel=0.05)
