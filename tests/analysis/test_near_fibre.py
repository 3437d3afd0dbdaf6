"""Near-fibre measures of two made-up fibres that stand where we put them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.analysis.muaps import Sweeps
from emgsim.analysis.near_fibre import (
    near_fibre_jiggle,
    near_fibre_measures,
    near_fibre_potentials,
)

Floats = NDArray[np.float64]

RATE_HZ = 48_000.0
BEFORE, LENGTH, N = 400, 1200, 40


def sweeps(second_late_us: Floats, noise_uv: float = 0.0, far_uv: float = 0.0) -> Sweeps:
    """Return sweeps of two equal fibres 1.2 ms apart, the second late as said, and a far hump."""
    times_ms = 1e3 * (np.arange(LENGTH) - BEFORE) / RATE_HZ
    after_ms = times_ms - np.stack([np.zeros(N), 1.2 + second_late_us / 1e3])[:, :, None]
    u = after_ms / 0.12
    samples = -300 * ((1 - u**2) * np.exp(-(u**2) / 2)).sum(axis=0)
    samples = samples - far_uv * np.exp(-0.5 * ((times_ms - 4) / 1.0) ** 2)
    samples = samples + noise_uv * np.random.default_rng(1).standard_normal(samples.shape)
    return Sweeps(
        samples_uv=samples,
        before=BEFORE,
        rate_hz=RATE_HZ,
        offset_s=np.zeros(N),
        kept=np.ones(N, dtype=np.bool_),
    )


def test_dispersion_is_the_distance_of_the_fibres_and_duration_a_little_more() -> None:
    """Two fibres at 0 and 1.2 ms; a hump of a millisecond, far away, is not seen."""
    found = near_fibre_measures(sweeps(np.zeros(N), far_uv=300.0))
    assert found is not None
    assert found.fibres_ms == pytest.approx([0.0, 1.2], abs=0.03)
    assert found.dispersion_ms == pytest.approx(1.2, abs=0.03)
    assert 1.5 < found.duration_ms < 2.2


def test_segment_jitter_is_the_mean_offset_of_equal_segments() -> None:
    """The second fibre steps 40 us at each discharge, the first stands: 20 us in the mean."""
    found = near_fibre_measures(sweeps(np.where(np.arange(N) % 2, -20.0, 20.0)))
    assert found is not None
    assert found.segment_jitter_us == pytest.approx(20.0, rel=0.05)


def test_offsets_across_a_sweep_left_out_do_not_count() -> None:
    """The second fibre steps 40 us once, beside a sweep that is not kept: no jitter."""
    made = sweeps(np.where(np.arange(N) < 20, 0.0, 40.0))
    made.kept[20] = False
    found = near_fibre_measures(made)
    assert found is not None
    assert found.segment_jitter_us < 0.2


def test_noise_alone_gives_few_microseconds() -> None:
    """Noise of a thirtieth of the fibres: below 6 us, and both fibres found."""
    found = near_fibre_measures(sweeps(np.zeros(N), noise_uv=10.0))
    assert found is not None
    assert found.fibres_ms.size == 2
    assert found.segment_jitter_us < 6.0


def test_too_few_sweeps_and_noise_without_fibres_give_none() -> None:
    """Four sweeps are too few; in noise no fibre stands out."""
    made = sweeps(np.zeros(N))
    made.kept[4:] = False
    assert near_fibre_measures(made) is None
    silent = sweeps(np.zeros(N), noise_uv=10.0)
    rng = np.random.default_rng(2)
    silent.samples_uv[:] = 10.0 * rng.standard_normal(silent.samples_uv.shape)
    assert near_fibre_measures(silent) is None


@pytest.mark.parametrize("noise_uv", [0.0, 10.0], ids=["clean", "noisy"])
def test_jiggle_is_the_sd_of_the_fibre_that_strays(noise_uv: float) -> None:
    """The second of two equal fibres strays by 40 us: the widest, and 1 / sqrt(2) of it overall."""
    late_us = 40 * np.random.default_rng(3).standard_normal(N)
    found = near_fibre_jiggle(sweeps(late_us, noise_uv=noise_uv))
    assert found is not None
    assert found.widest_us == pytest.approx(40.0, rel=0.2)
    assert found.overall_us == pytest.approx(40.0 / np.sqrt(2), rel=0.2)


def test_noise_alone_is_no_jiggle() -> None:
    """Two fibres that stand, noise of a thirtieth: below 3 us, although sweeps differ a lot."""
    found = near_fibre_jiggle(sweeps(np.zeros(N), noise_uv=10.0))
    assert found is not None
    assert found.overall_us < 3.0
    assert found.widest_us < 6.0


def test_a_fibre_that_is_blocked_at_times_jiggles() -> None:
    """The second fibre is missing at each third discharge: as if it strayed by more than 50 us."""
    late_us = np.where(np.arange(N) % 3, 0.0, 1e6)
    found = near_fibre_jiggle(sweeps(late_us))
    assert found is not None
    assert found.widest_us > 50.0


def test_one_strange_sweep_is_no_jiggle() -> None:
    """A potential of another unit upon one of forty discharges does not count."""
    made = sweeps(np.zeros(N), noise_uv=3.0)
    made.samples_uv[20] += 500 * np.sin(2 * np.pi * 2000 * np.arange(LENGTH) / RATE_HZ)
    found = near_fibre_jiggle(made)
    assert found is not None
    assert found.overall_us < 3.0


def test_jiggle_needs_ten_sweeps_and_a_fibre() -> None:
    """Nine sweeps are too few, and noise has no fibre."""
    made = sweeps(np.zeros(N))
    made.kept[9:] = False
    assert near_fibre_jiggle(made) is None
    silent = sweeps(np.zeros(N))
    silent.samples_uv[:] = np.random.default_rng(2).standard_normal(silent.samples_uv.shape)
    assert near_fibre_jiggle(silent) is None


def test_three_kilohertz_pass_and_slow_waves_do_not() -> None:
    """A sine at 3.2 kHz keeps its size, one at 100 Hz falls below a hundredth."""
    times_s = np.arange(4800) / RATE_HZ
    for f_hz, low, high in ((3_200.0, 0.97, 1.03), (100.0, 0.0, 0.01)):
        out = near_fibre_potentials(np.sin(2 * np.pi * f_hz * times_s)[None], RATE_HZ)[0, 500:-500]
        assert low <= np.abs(out).max() <= high
