"""Small things that all sine tests share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emgsim.metrology.sines import folded_hz, noise_power, rooted, spot_hz


def test_frequencies_fold_back_into_half_the_rate() -> None:
    """Beyond half the rate a converter counts down again."""
    found = folded_hz(np.array([100.0, 600.0, 1000.0, 1300.0]), 1000.0)
    assert found == pytest.approx([100.0, 400.0, 0.0, 300.0])


def test_a_spot_stays_within_the_band(declared: Any) -> None:
    """A narrow device is not asked beyond half its corner."""
    setup = declared(band_hz=(0.5, 65.0), rate_hz=250.0)
    assert spot_hz(setup, 1.135) == pytest.approx(1.135 * setup.mid_hz)
    assert spot_hz(setup, 50.0) == pytest.approx(0.53 * 65.0)


def test_the_power_of_noise_scatters_as_it_says() -> None:
    """White or not, the deviation of a mean square is that of its bins."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        x = rng.standard_normal(1001)
        found.append(noise_power(x[1:] + 0.8 * x[:-1]))
    powers, sds = np.transpose(found)
    assert powers.mean() == pytest.approx(1.64, rel=0.02)
    assert powers.std() == pytest.approx(sds.mean(), rel=0.15)


def test_a_root_covers_nothing_as_often_as_something() -> None:
    """Squares with noise around 0, 1, 3 and 100 have roots that are as sure as they say."""
    rng = np.random.default_rng(2)
    for true in (0.0, 1.0, 3.0, 100.0):
        held = []
        for noise in rng.standard_normal(2000):
            value, (sd,) = rooted(true + noise, (1.0,))
            held.append(abs(value - true**0.5) <= 2 * sd)
        assert np.mean(held) == pytest.approx(0.96, abs=0.025)
