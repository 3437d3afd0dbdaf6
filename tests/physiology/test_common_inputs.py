"""What the units of a pool share: common drive, synchrony, and the filters that make them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.physiology.discharges import discharge_epochs, low_pass, resonator
from emgsim.physiology.parameters import CommonDrive, Hold, Pool, Synchrony

Floats = NDArray[np.float64]


def held(pool: Pool, level: float, seconds: float) -> list[Floats]:
    """Return the trains of a hold, without its first two seconds."""
    hold = Hold(duration_s=seconds + 2, level_mvc=level)
    epochs = list(discharge_epochs(pool, [hold], 1, epoch_s=10.0))
    trains = [np.concatenate(parts) for parts in zip(*(e.trains for e in epochs), strict=True)]
    return [train[train > 2.0] for train in trains]


def smoothed(train: Floats, begin_s: float, end_s: float) -> Floats:
    """Return the rate, smoothed with a Hann window of 400 ms."""
    counts = np.histogram(train, np.arange(begin_s, end_s + 5e-4, 1e-3))[0]
    window = np.hanning(402)[1:-1]
    return np.convolve(counts, window / window.sum() * 1e3, "valid")


def steady_units(trains: list[Floats], longest_s: float = 0.5) -> list[Floats]:
    """Return the units that never pause."""
    return [t for t in trains if t.size > 100 and np.diff(t).max() < longest_s]


def test_without_common_drive_rates_go_their_own_ways() -> None:
    """The correlation is that of chance: zero within 0.05 over all pairs."""
    pool = Pool(n_units=60, common_drive=CommonDrive(strength=0), tracking="drive")
    units = steady_units(held(pool, 0.2, 60))
    rates = np.array([smoothed(unit, 2.0, 62.0) for unit in units[::3]])
    assert np.corrcoef(rates)[np.triu_indices(len(rates), 1)].mean() == pytest.approx(0, abs=0.05)


def pairs_within(a: Floats, b: Floats, lag_s: float) -> int:
    """Return how many pairs of discharges are no farther apart than that."""
    return int(np.sum(np.searchsorted(b, a + lag_s) - np.searchsorted(b, a - lag_s)))


def common_input_strength(trains: list[Floats], seconds: float) -> tuple[float, float]:
    """Return pairs beyond chance within +-10 ms, per second, and the peak over chance."""
    extra, ratio = [], []
    for a, b in combinations(trains, 2):
        near = pairs_within(a, b, 0.010)
        chance = (pairs_within(a, b, 0.3) - pairs_within(a, b, 0.1)) / 20
        extra.append((near - chance) / seconds)
        ratio.append(near / chance)
    return float(np.mean(extra)), float(np.mean(ratio))


@pytest.mark.parametrize("pairs_per_s", [0.0, 0.4])
def test_units_discharge_together_as_often_as_asked(pairs_per_s: float) -> None:
    """CIS of 45 pairs over 200 s at 10 % MVC, within 0.1 pairs/s; the default is 0.4."""
    pool = Pool(n_units=120, synchrony=Synchrony(pairs_per_s=pairs_per_s))
    trains = steady_units(held(pool, 0.1, 200))
    strength, ratio = common_input_strength(trains[:10], 200.0)
    assert strength == pytest.approx(pairs_per_s, abs=0.1)
    assert ratio > 1.05 or pairs_per_s == 0


def test_common_inputs_do_not_widen_the_scatter() -> None:
    """The CoV over a minute is the set 0.15 +- 10 % with them as without: they are a part of it."""
    pool = Pool(n_units=120)
    units = steady_units(held(pool, 0.2, 60), 0.2)
    cov = [np.diff(unit).std() / np.diff(unit).mean() for unit in units]
    assert np.mean(cov) == pytest.approx(0.15, rel=0.10)


@pytest.mark.parametrize("cutoff_hz", [2.0, 2.5, 10.0])
def test_the_common_drive_has_lost_half_its_power_at_the_cut_off(cutoff_hz: float) -> None:
    """And its variance is one: both from the poles' frequency response."""
    (first, second), scale = low_pass(cutoff_hz)
    f_hz = np.fft.rfftfreq(2**20, 1e-3)
    z = np.exp(-2j * np.pi * f_hz * 1e-3)
    power = scale**2 / np.abs(1 - first * z - second * z**2) ** 2
    assert 2 * power.mean() == pytest.approx(2.0, rel=1e-3)
    assert np.interp(cutoff_hz, f_hz, power) / power[0] == pytest.approx(0.5, abs=0.02)


def test_the_fast_input_has_no_slow_part_and_a_narrow_peak() -> None:
    """Nothing below 1 Hz; its covariance is positive for 10-20 ms about zero."""
    (first, second), scale, added = resonator(25.0, 0.4)
    f_hz = np.fft.rfftfreq(4096, 1e-3)
    z = np.exp(-2j * np.pi * f_hz * 1e-3)
    power = scale**2 * np.abs((1 - z**2) / (1 - first * z - second * z**2)) ** 2
    assert power[f_hz < 1].max() < 0.01 * power.max()
    assert 15 <= f_hz[np.argmax(power)] <= 30
    covariance = np.fft.irfft(power)
    peak = int(np.argmax(covariance < 0))
    assert 0.010 <= (2 * peak - 1) * 1e-3 <= 0.020
    assert 1e-3 * (2 * covariance[:peak].sum() - covariance[0]) == pytest.approx(0.4, rel=0.01)
    assert 0 < added < 0.01
