"""The detection curve finds the curve that made the data, and says where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from emgsim.recording import Channel, Recording
from emgsim.scoring import compare, detection_curve, detections
from emgsim.scoring.detection import _Curve, _fit


def drawn(n: int, seed: int, middle_db: float = 8.0, width_db: float = 1.5):
    """Return SNR from -10 to 25 dB, and what was detected of it."""
    rng = np.random.default_rng(seed)
    snr_db = rng.uniform(-10, 25, n)
    return snr_db, rng.random(n) < special.expit((snr_db - middle_db) / width_db)


def test_the_points_of_a_known_curve_are_found() -> None:
    """2,000 detections: 50 % at 8 dB and 99 % at 14.9 dB, each within its interval."""
    curve = detection_curve(*drawn(2000, 1))
    at_99 = 8 + 1.5 * math.log(99)
    assert curve.snr_50_db == pytest.approx(8.0, abs=0.5)
    assert curve.snr_99_db == pytest.approx(at_99, abs=1.5)
    assert curve.snr_50_interval.low < 8.0 < curve.snr_50_interval.high
    assert curve.snr_99_interval.low < at_99 < curve.snr_99_interval.high
    assert curve.probability(curve.snr_50_db) == pytest.approx(0.5)
    assert curve.probability(curve.snr_99_db) == pytest.approx(0.99)


@given(st.integers(0, 10_000))
def test_the_fit_is_a_maximum_of_the_penalised_likelihood(seed: int) -> None:
    """A search from there finds nothing better, however the data separate, whatever was drawn."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(12)
    y = (z + rng.choice([0.0, 0.5, 2.0]) * rng.standard_normal(12) > 0).astype(float)

    def cost(beta: np.ndarray) -> float:
        eta = beta[0] + beta[1] * z
        information = special.expit(eta) * special.expit(-eta)
        det = information.sum() * (information @ z**2) - (information @ z) ** 2
        likelihood = np.sum(y * eta - np.logaddexp(0.0, eta))
        return -(likelihood + 0.5 * math.log(max(det, 1e-300)))

    beta = np.array(_fit(z, y))
    theirs = optimize.minimize(cost, beta, method="Nelder-Mead", options={"fatol": 1e-12})
    assert cost(beta) <= theirs.fun + 1e-7


def test_a_clean_cut_has_a_finite_curve() -> None:
    """All found above 8 dB and none below: maximum likelihood has no answer, this fit has."""
    snr_db, _ = drawn(200, 2)
    curve = detection_curve(snr_db, snr_db > 8)
    assert curve.snr_50_db == pytest.approx(8.0, abs=0.5)
    assert 8 < curve.snr_99_db < 10


def test_what_falls_has_no_point_and_says_so() -> None:
    """Found below and missed above: no SNR reaches 99 %."""
    snr_db, _ = drawn(200, 3)
    curve = detection_curve(snr_db, snr_db < 8)
    assert curve.snr_99_db == math.inf
    assert math.isnan(curve.probability(8.0))


def test_alike_recordings_widen_the_interval() -> None:
    """Twenty recordings whose curves lie 4 dB SD apart: drawn as wholes, the interval is wider."""
    rng = np.random.default_rng(4)
    of = np.repeat(np.arange(20), 20)
    snr_db = rng.uniform(-10, 25, 400)
    middle_db = 8 + 4 * rng.standard_normal(20)[of]
    seen = rng.random(400) < special.expit((snr_db - middle_db) / 1.5)
    apart, alone = (detection_curve(snr_db, seen, recordings=k).snr_50_interval for k in (of, None))
    assert apart.high - apart.low > 1.3 * (alone.high - alone.low)


def test_what_hardly_rises_leaves_a_side_unbounded() -> None:
    """A third found, whatever the SNR: no SNR is so large that 99 % could not be beyond it."""
    snr_db, _ = drawn(100, 5)
    seen = np.random.default_rng(6).random(100) < 0.3 + 0.004 * snr_db
    curve = detection_curve(snr_db, seen)
    assert math.isfinite(curve.snr_99_db)
    assert curve.snr_99_interval.high == math.inf
    assert curve.snr_99_interval.low > 25


def test_an_interval_ends_where_the_likelihood_has_fallen_far_enough() -> None:
    """At both ends of both intervals the loss is Student's quantile squared: of 299 and of 95 %."""
    snr_db, seen = drawn(300, 7)
    curve = detection_curve(snr_db, seen)
    z = (snr_db - snr_db.mean()) / snr_db.std()
    inner = _Curve(z, seen.astype(float), np.arange(300))
    for share, interval in ((0.5, curve.snr_50_interval), (0.99, curve.snr_99_interval)):
        for end_db in interval:
            loss = inner.loss((end_db - snr_db.mean()) / snr_db.std(), share)
            assert loss == pytest.approx(1.96793**2, rel=2e-3)


def test_the_loss_is_that_of_a_search_over_all_curves_through_the_point() -> None:
    """Brent's search over slopes finds no curve of a larger penalised likelihood."""
    snr_db, seen = drawn(60, 8)
    z, y = (snr_db - snr_db.mean()) / snr_db.std(), seen.astype(float)
    curve = _Curve(z, y, np.arange(60))

    def likelihood(log_slope: float, point: float) -> float:
        eta = special.logit(0.99) + math.exp(log_slope) * (z - point)
        w = special.expit(eta) * special.expit(-eta)
        det = w.sum() * (w @ z**2) - (w @ z) ** 2
        return float(np.sum(y * eta - np.logaddexp(0, eta)) + 0.5 * math.log(det))

    free = np.array(_fit(z, y))
    best = likelihood(math.log(free[1]), (special.logit(0.99) - free[0]) / free[1])
    for point in (0.6, 1.0, 2.0):
        found = optimize.minimize_scalar(
            lambda b, at=point: -likelihood(b, at), bounds=(-2.0, 4.0), method="bounded"
        )
        assert curve.loss(point, 0.99) == pytest.approx(2 * (best + found.fun), abs=1e-3)


def test_too_few_recordings_have_no_interval() -> None:
    """Of four recordings nothing can be said of how recordings differ."""
    snr_db, seen = drawn(80, 9)
    for n, is_none in ((4, True), (5, False)):
        curve = detection_curve(snr_db, seen, recordings=np.arange(80) % n)
        assert math.isnan(curve.snr_50_interval.low) is is_none
        assert math.isfinite(curve.snr_50_db)


@pytest.mark.parametrize(
    ("snr_db", "seen", "message"),
    [
        ([1.0, 2.0], [True], "expected one shape"),
        ([1.0, -np.inf], [True, False], "snr_db must be finite"),
        ([3.0, 3.0], [True, False], "snr_db must take two values or more"),
        ([], [], "snr_db must take two values or more"),
        ([1.0, 2.0], [True, True], "both found and missed ones, got 2 of 2"),
        ([1.0, 2.0], [False, False], "both found and missed ones, got 0 of 2"),
    ],
)
def test_where_there_is_no_curve_it_is_an_error(snr_db, seen, message: str) -> None:
    """Thing, rule and value."""
    with pytest.raises(ValueError, match=message):
        detection_curve(np.array(snr_db), np.array(seen, bool))


def test_scores_give_the_points_of_a_curve(findings_of, truth_of, regular) -> None:
    """Two recordings of a found and a missed unit; one that is silent meanwhile, one of no size."""
    found, missed, tiny = (regular(9.0, k, 4.0) for k in (1, 2, 3))
    silent, sizes_uv = np.array([-1.0, 100.0]), (200.0, 20.0, 50.0, 0.0)
    truth = truth_of(found, missed, silent, tiny, sizes_uv=sizes_uv)
    samples = 10.0 * np.random.default_rng(1).standard_normal((50_000, 1))
    recording = Recording(samples_uv=samples, rate_hz=10_000.0, channels=(Channel(name="n"),))
    score = compare(findings_of(found + 0.001), truth, recording=recording,
                    render=lambda _: np.zeros(50_000))  # fmt: skip
    snr_db, seen, of = detections([score, score])
    assert seen.tolist() == [True, False] * 2
    assert of.tolist() == [0, 0, 1, 1]
    assert snr_db[:2] == pytest.approx([20.0, 0.0], abs=0.3)
    assert detections([])[0].size == 0
