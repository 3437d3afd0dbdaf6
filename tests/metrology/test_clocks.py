"""The device's clocks and its samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from emgsim.metrology import clocks
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.reading import Reading


def _one(measure: Any, bench: Any) -> Reading:
    (reading,) = measure(Measuring(bench))
    return reading


@pytest.mark.parametrize("device_ppm", [-200.0, 0.0, 37.5])
def test_the_rate_is_found_to_what_the_source_knows(
    synthetic: Any, declared: Any, device_ppm: float
) -> None:
    """A device some ppm too fast is so, to 1 ppm of the source's certificate and no noise."""
    bench = synthetic(setup=declared(), device_ppm=device_ppm)
    reading = _one(clocks.accuracy, bench)
    assert reading.value == pytest.approx(device_ppm, abs=0.01)
    assert reading.expanded == pytest.approx(1.0, rel=0.01)
    assert reading.rests_on == ("source-1",)


@pytest.mark.parametrize("jitter_us", [0.0, 0.05, 2.0])
def test_jitter_is_told_from_noise(synthetic: Any, declared: Any, jitter_us: float) -> None:
    """A steep sine shows it; the noise of a flat one is taken off."""
    bench = synthetic(setup=declared(), jitter_us=jitter_us, second_order=1e-3)
    reading = _one(clocks.jitter, bench)
    assert abs(reading.value - jitter_us) < 1.5 * reading.expanded
    assert reading.expanded < 0.05


def test_skew_is_that_of_the_worst_pair(synthetic: Any, declared: Any) -> None:
    """Channels 0, 3.2 and -1.1 us late are 4.3 us apart, also where one is inverted."""
    bench = synthetic(
        setup=declared(channels=3), skews_us=(0.0, 3.2, -1.1), channel_gains=(1.0, -1.0, 0.9)
    )
    reading = _one(clocks.skew, bench)
    assert abs(reading.value - 4.3) < 1.5 * reading.expanded
    assert reading.expanded < 0.01
    assert reading.curves["late_us"] == pytest.approx([0.0, 3.2, -1.1], abs=0.01)


def test_one_channel_has_no_skew(synthetic: Any, declared: Any) -> None:
    """It is no value, and says why."""
    reading = _one(clocks.skew, synthetic(setup=declared()))
    assert math.isnan(reading.value)
    assert "one channel" in reading.note


@pytest.mark.parametrize("n_lost", [1, 16, 48, 51, 700])
def test_samples_lost_without_a_word_are_found_to_the_sample(
    synthetic: Any, declared: Any, n_lost: int
) -> None:
    """Whole periods of a sine too: the phases of the other one jump."""
    first = 60_123
    bench = synthetic(setup=declared(), cut=((first, n_lost),), device_ppm=80.0)
    measuring = Measuring(bench)
    (reading,) = clocks.missing(measuring)
    assert reading.value == n_lost
    assert reading.curves["n_lost"].tolist() == [n_lost]
    assert reading.curves["sample"][0] == pytest.approx(first, abs=1)
    assert clocks.accuracy(measuring)[0].value == pytest.approx(80.0, abs=0.05)


def test_samples_that_the_device_misses_itself_are_counted(synthetic: Any, declared: Any) -> None:
    """Gaps are told, and nothing jumps across them."""
    bench = synthetic(setup=declared(), lost=((50_000, 30), (90_000, 2)))
    reading = _one(clocks.missing, bench)
    assert reading.value == 32
    assert reading.curves["n_lost"].size == 0


def test_nothing_is_missing_of_a_noisy_device(synthetic: Any, declared: Any) -> None:
    """Neither noise nor jitter nor few bits look like lost samples."""
    setup = declared(bits=14, range_uv=5_000.0, band_hz=(2.0, 2_000.0), rate_hz=8_000.0)
    bench = synthetic(setup=setup, noise_uv=2.0, jitter_us=3.0, device_ppm=-200.0, third_order=1e-2)
    assert _one(clocks.missing, bench).value == 0


def test_the_clock_is_as_sure_as_it_says(synthetic: Any, declared: Any) -> None:
    """Over twelve devices with jitter, the ratio of the clocks scatters as it says."""
    setup, off = declared(rate_hz=20_000.0, band_hz=(10.0, 4_000.0)), []
    for seed in range(12):
        bench = synthetic(setup=setup, jitter_us=1.0, seed=seed, device_ppm=20.0)
        ratio, sd, _ = clocks.clock(Measuring(bench))
        off.append((ratio * (1 + 20e-6) - 1) / sd)
    assert 0.6 < np.sqrt(np.mean(np.square(off))) < 1.45
