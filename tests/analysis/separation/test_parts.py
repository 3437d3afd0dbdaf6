"""Whitening, peeling, picking and quality, on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.analysis.separation.cancellation import cancelled_sources, heard, matched_filter
from emgsim.analysis.separation.peeling import add, potentials, residual
from emgsim.analysis.separation.picking import between_samples, grouped, peaks, two_means
from emgsim.analysis.separation.quality import (
    agreement,
    cov_isi,
    distinct,
    pulse_to_noise_db,
    silhouette,
)
from emgsim.analysis.separation.sources import independent
from emgsim.analysis.separation.whitening import (
    extended,
    extended_covariance,
    projected,
    whitening_matrix,
)


def noise(n: int, m: int, seed: int = 1) -> np.ndarray:
    """White noise in float32."""
    return np.random.default_rng(seed).standard_normal((n, m)).astype(np.float32)


def source_of(heights: list[float]) -> np.ndarray:
    """A source with one sample high every 100 samples."""
    source = np.zeros(100 * (len(heights) + 1), np.float32)
    source[100 : 100 * len(heights) + 1 : 100] = heights
    return source


def test_a_window_holds_its_samples_in_order_of_time():
    """Two channels, three samples a window: oldest first, channels side by side."""
    samples = np.arange(10, dtype=np.float32).reshape(5, 2)
    assert extended(samples, 3)[1].tolist() == [2, 3, 4, 5, 6, 7]


def test_the_covariance_of_windows_is_that_of_all_windows():
    """Computed from a few blocks, it equals the plain product but for the ends."""
    samples = noise(5000, 3)
    windows = extended(samples, 4)
    assert extended_covariance(samples, 4) == pytest.approx(
        windows.T @ windows / len(windows), abs=0.01
    )


def test_white_windows_are_uncorrelated_and_of_unit_power():
    """The covariance of what comes out is the identity."""
    samples = noise(20_000, 3)
    samples[1:] += 0.7 * samples[:-1] + 0.3 * samples[1:, ::-1]
    matrix = whitening_matrix(extended_covariance(samples, 4))
    white = projected(samples, matrix)
    assert white.T @ white / len(white) == pytest.approx(np.eye(len(matrix)), abs=0.02)


def test_few_outputs_are_the_same_as_many():
    """The way without copies gives what the windows give."""
    samples, matrix = noise(500, 3), noise(5, 12)
    many = projected(samples, matrix)
    assert projected(samples, matrix[:2]) == pytest.approx(many[:, :2], abs=1e-5)


def test_the_two_groups_of_values_have_their_means():
    """0, 1 and 10, 12: 0.5 and 11."""
    assert two_means(np.array([10.0, 0.0, 12.0, 1.0])) == (0.5, 11.0)


def test_the_top_lies_between_samples():
    """A parabola sampled a quarter beside its top."""
    source = (10 - (np.arange(9) - 4.25) ** 2).astype(np.float32)
    assert between_samples(source, np.array([4])) == pytest.approx([4.25], abs=1e-5)


def test_of_two_near_peaks_the_higher_is_kept():
    """A unit does not discharge twice within 20 ms."""
    source = np.zeros(200, np.float32)
    source[[100, 110, 150]] = [1.0, 2.0, 1.0]
    assert peaks(source, 1000.0).tolist() == [110, 150]


def test_high_peaks_are_discharges_and_low_ones_are_not():
    """Ten of height 2 and ten of height 0.5."""
    at, score = grouped(source_of([2.0, 0.5] * 10), 1000.0)
    assert at.tolist() == list(range(100, 2001, 200))
    assert score == pytest.approx(1.0)


def test_the_silhouette_compares_both_distances():
    """Squared peaks 9 and 11 against 0: own 1 + 1, other 81 + 121."""
    source = source_of([3.0, 1e-6, np.sqrt(11.0), 1e-6])
    assert silhouette(source, 1000.0) == pytest.approx(1 - 2 / 202, rel=1e-5)


def test_the_pulse_to_noise_ratio_is_of_mean_squares():
    """1 at discharges over 0.1 elsewhere: 20 dB."""
    source = np.full(1000, 0.1, np.float32)
    source[[100, 500]] = 1.0
    assert pulse_to_noise_db(source, np.array([100.0, 500.2]), 1000.0) == pytest.approx(20.0)


def test_intervals_of_100_and_200_ms_vary_by_a_third():
    """Standard deviation 50 over mean 150; a pause of a second does not count."""
    intervals = np.array([100.0, 200.0] * 5)
    train = np.concatenate([[0.0], np.cumsum(intervals)])
    train = np.concatenate([train, train + train[-1] + 1000.0])
    assert cov_isi(train, 1000.0) == pytest.approx(1 / 3)


def test_a_shifted_train_is_the_same_train():
    """A constant lag within 50 ms does not matter."""
    train = np.cumsum(np.random.default_rng(1).uniform(60, 140, 50))
    assert agreement(train, train + 30.0, 1000.0) == 1.0
    assert agreement(train, train[::2], 1000.0) == pytest.approx(0.5)
    assert agreement(train, train + 80_000.0, 1000.0) == 0.0


def test_of_two_trains_alike_the_more_regular_is_kept():
    """And a third one that is like neither stays."""
    rng = np.random.default_rng(1)
    one, other = (np.cumsum(rng.uniform(60, 140, 50)) for _ in range(2))
    assert distinct([one, other, one[:45] + 5], [0.3, 0.2, 0.1], 1000.0) == [1, 2]


@given(st.floats(0.0, 0.999), st.floats(0.0, 0.999))
def test_overlapping_potentials_are_told_apart(first, second):
    """Two units that overlap, between samples: both potentials come back, and nothing is left."""
    rng = np.random.default_rng(2)
    waves = np.zeros((2, 30, 3), np.float32)
    waves[:, 8:22] = rng.standard_normal((2, 14, 3))
    trains = [np.cumsum(rng.integers(40, 80, 60)) + shift for shift in (first, second)]
    samples = np.zeros((6000, 3), np.float32)
    for train, wave in zip(trains, waves, strict=True):
        add(samples, train, wave, 10)
    learned = potentials(samples, trains, 10, 30)
    assert learned == pytest.approx(waves, abs=0.05)
    left = residual(samples, trains, learned, 10)
    assert np.square(left).sum() < 1e-3 * np.square(samples).sum()


def test_a_wave_beyond_both_ends_is_cut():
    """Discharges at the ends of a recording add what is inside."""
    samples = np.zeros((20, 1), np.float32)
    add(samples, np.array([0.0, 19.0]), np.ones((10, 1), np.float32), 5)
    assert samples[:, 0].tolist() == [1.0] * 5 + [0.0] * 9 + [1.0] * 6


def test_a_lone_discharge_has_a_source_of_one():
    """The matched filter's scale, and where its response peaks."""
    wave = np.zeros((40, 4), np.float32)
    wave[15:25] = noise(10, 4)
    samples = noise(4000, 4)
    whitening = whitening_matrix(extended_covariance(samples, 8))
    for f in (matched_filter(wave, whitening), matched_filter(wave, whitening, density=0.01)):
        assert f.response[f.peak] == pytest.approx(1.0, rel=1e-4)
    assert matched_filter(wave, whitening, latest=18).peak <= 18


def test_a_unit_is_heard_without_the_others():
    """Two units on top of each other: each source has only its own discharges."""
    waves = np.zeros((2, 40, 4), np.float32)
    waves[:, 15:25] = 5 * noise(20, 4).reshape(2, 10, 4)
    trains = [np.array([200.0, 500.0, 900.0]), np.array([203.0, 700.0, 901.0])]
    remainder = noise(1200, 4)
    whitening = whitening_matrix(extended_covariance(remainder, 8))
    filters = [matched_filter(wave, whitening) for wave in waves]
    sources = cancelled_sources(remainder, trains, filters, 20)
    for source, f, train in zip(sources, filters, trains, strict=True):
        assert heard(source, f, 1000.0, 20) == pytest.approx(train, abs=0.3)


@pytest.mark.parametrize("exponent", [2, 3])
def test_iterations_find_the_sparse_source(exponent):
    """One of four mixed sources is sparse: the filter turns to it, upwards."""
    rng = np.random.default_rng(3)
    sources = rng.standard_normal((20_000, 4))
    sources[:, 0] = rng.uniform(size=20_000) < 0.01
    turn, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    white = ((sources - sources.mean(axis=0)) / sources.std(axis=0) @ turn).astype(np.float32)
    start = rng.standard_normal((6, 4)).astype(np.float32)
    filters = independent(white, start, np.full(6, exponent))
    assert (filters @ turn[0].astype(np.float32)).max() > 0.99
