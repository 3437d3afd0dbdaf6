"""Gaps and load of a working muscle, by pencil."""

from __future__ import annotations

import numpy as np
import pytest

from emgsim.analysis.surface.gaps import muscle_load
from emgsim.errors import NotAnalysableError

RATE_HZ = 1000.0
MVE_UV, NOISE_UV = 400.0, 0.5  # a gap is below 2 uV


def work(*pieces: tuple[float, float], seed: int = 1) -> np.ndarray:
    """Samples of one size and any sign: (seconds, microvolts) each, noise added in power."""
    size = np.concatenate([np.full(round(s * RATE_HZ), uv) for s, uv in pieces])
    signs = np.sign(np.random.default_rng(seed).standard_normal(size.size))
    return np.sqrt(size**2 + NOISE_UV**2) * signs


def test_gaps_are_counted_timed_and_shared() -> None:
    """Two of a second in ten; each lasts 0.1 s less, as the rms is that of 0.1 s."""
    samples = work((3, 40), (1, 1), (3, 40), (1, 1), (2, 40))
    load = muscle_load(samples, RATE_HZ, mve_uv=MVE_UV, noise_uv=NOISE_UV, start_s=100.0)
    assert load.gaps_per_minute.value == pytest.approx(12)
    assert load.gap_share == pytest.approx(0.18, abs=0.001)
    assert load.gaps_s[0] == pytest.approx((103.05, 103.95), abs=0.002)


def test_a_short_pause_and_a_weak_effort_are_no_gaps() -> None:
    """Neither 0.25 s at rest, of which 0.15 s remain, nor 2.2 uV is below 0.5 % for 0.2 s."""
    samples = work((3, 40), (0.25, 0.5), (3, 40), (2, 2.2), (1, 40))
    load = muscle_load(samples, RATE_HZ, mve_uv=MVE_UV, noise_uv=NOISE_UV)
    assert load.gaps_s == ()
    assert load.gaps_per_minute.low == 0


def test_no_gap_in_a_minute_may_be_three() -> None:
    """The exact interval of none is 0 to 3.69."""
    load = muscle_load(work((60, 40)), RATE_HZ, mve_uv=MVE_UV, noise_uv=NOISE_UV)
    assert load.gaps_per_minute.value == 0
    assert load.gaps_per_minute.high == pytest.approx(3.689, abs=0.001)


def test_the_load_is_that_of_the_distribution() -> None:
    """15 % of the time at 4 uV, 55 % at 20, 30 % at 80: 1, 5 and 20 % of the maximum."""
    samples = work((15, 4), (55, 20), (30, 80))
    load = muscle_load(samples, RATE_HZ, mve_uv=MVE_UV, noise_uv=NOISE_UV)
    assert load.static_percent == pytest.approx(1)
    assert load.median_percent == pytest.approx(5)
    assert load.peak_percent == pytest.approx(20)
    assert load.rest_uv == pytest.approx(4)


def test_no_gap_reaches_across_missing_samples() -> None:
    """A second of rest with a hole in the middle is two gaps; time without samples is no work."""
    samples = work((3, 40), (1, 1), (6, 40))
    samples[3480:3520] = np.nan
    load = muscle_load(samples, RATE_HZ, mve_uv=MVE_UV, noise_uv=NOISE_UV)
    assert len(load.gaps_s) == 2
    assert load.gaps_per_minute.value == pytest.approx(2 * 60 / 9.96)


def test_noise_as_loud_as_a_gap_is_not_analysable() -> None:
    """Half a percent of 100 uV is 0.5 uV."""
    with pytest.raises(NotAnalysableError, match=r"noise of 0.5 uV rms must be below 0.5 uV"):
        muscle_load(work((3, 40)), RATE_HZ, mve_uv=100.0, noise_uv=NOISE_UV)


def test_what_is_missing_or_broken_is_not_analysable() -> None:
    """Neither no sample at all nor holes in each second."""
    samples = work((3, 40))
    samples[::900] = np.nan
    for broken in (samples, np.full(3000, np.nan)):
        with pytest.raises(NotAnalysableError, match="missing"):
            muscle_load(broken, RATE_HZ, mve_uv=MVE_UV, noise_uv=NOISE_UV)
    with pytest.raises(ValueError, match="noise_uv must be finite and > 0, got 0"):
        muscle_load(samples, RATE_HZ, mve_uv=MVE_UV, noise_uv=0)
