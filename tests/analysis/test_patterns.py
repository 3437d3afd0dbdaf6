"""How even a pattern is and how fast its units fire, on patterns made of counted trains."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.analysis.patterns import evenness, pace_hz

Floats = NDArray[np.float64]
RATE_HZ = 12_000.0


def pattern(rate_per_s: float, n_units: int, seed: int, seconds: float = 4.0) -> Floats:
    """Units of one rate and of several sizes, each of a shape of its own, over some noise."""
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(round(seconds * RATE_HZ))
    for size in rng.uniform(50, 400, n_units):
        steps = (1 + 0.15 * rng.standard_normal(round(2 * seconds * rate_per_s))) / rate_per_s
        at = (rng.uniform(0, 0.1) + np.cumsum(steps)) * RATE_HZ
        at = at[at < samples.size - 40].astype(int)
        shape = size * np.hanning(20) * np.cos(np.arange(20) * rng.uniform(0.4, 1.0))
        for first in at.tolist():
            samples[first : first + shape.size] += shape
    return samples


@pytest.mark.parametrize("rate_per_s", [9.0, 14.0, 22.0, 32.0])
def test_the_pace_is_the_rate_of_the_units(rate_per_s: float) -> None:
    """Six units of one rate: their rate within 10 % in the median of five patterns."""
    found = [pace_hz(pattern(rate_per_s, 6, seed), RATE_HZ) for seed in range(5)]
    assert np.median(found) == pytest.approx(rate_per_s, rel=0.1)


def test_more_units_make_a_more_even_pattern() -> None:
    """Ten units of ten per second leave gaps, a hundred hardly any, three hundred none."""
    few, some, many = (evenness(pattern(10.0, n, 1), RATE_HZ) for n in (10, 100, 300))
    assert few < 0.1 < some < many


def test_neither_depends_on_size_or_sign() -> None:
    """Upside down and seven times as large, the pattern is as even and as fast."""
    samples = pattern(14.0, 6, 2)
    assert evenness(-7 * samples, RATE_HZ) == pytest.approx(evenness(samples, RATE_HZ))
    assert pace_hz(-7 * samples, RATE_HZ) == pace_hz(samples, RATE_HZ)


def test_what_is_too_short_or_missing_is_not_told() -> None:
    """40 ms, a flat line, and a pattern with a hole: NaN."""
    assert np.isnan(evenness(np.ones(round(0.04 * RATE_HZ)), RATE_HZ))
    assert np.isnan(evenness(np.zeros(12_000), RATE_HZ))
    assert np.isnan(pace_hz(pattern(14.0, 6, 2)[:2000], RATE_HZ))
    holed = pattern(14.0, 6, 2)
    holed[100] = np.nan
    assert np.isnan(pace_hz(holed, RATE_HZ))


@pytest.mark.parametrize("of", [evenness, pace_hz])
def test_wrong_arguments_are_named(of) -> None:
    """A table of samples, and a rate of zero."""
    with pytest.raises(ValueError, match=r"samples_uv must be \(n_samples,\)"):
        of(np.zeros((100, 2)), RATE_HZ)
    with pytest.raises(ValueError, match="rate_hz must be finite and > 0"):
        of(np.zeros(100), 0.0)
