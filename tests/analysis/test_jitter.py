"""Fibre pairs with known arrival times, without the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.analysis.jitter import jitter_pairs
from emgsim.analysis.single_fibres import fibre_spikes, high_passed
from emgsim.measures import mean_consecutive_difference_us
from emgsim.recording import Channel, Recording

Floats = NDArray[np.float64]

RATE_HZ = 40_000.0
N = 80


@dataclass(frozen=True, kw_only=True)
class Played:
    """A recording of two fibres, and when each sounded; NaN: blocked."""

    recording: Recording
    train_s: Floats
    arrivals_s: Floats  # (n_discharges, 2)


def spike(after_ms: Floats) -> Floats:
    """Return a fibre's potential: positive, negative, positive, in less than a millisecond."""
    u = after_ms / 0.12
    return -(1 - u**2) * np.exp(-(u**2) / 2)


@cache
def played(
    sd_us: float = 30.0,
    blocked: float = 0.0,
    noise_uv: float = 20.0,
    seed: int = 1,
    apart_s: float = 0.0012,
) -> Played:
    """Return 80 discharges of two fibres, 600 and 400 uV."""
    rng = np.random.default_rng(seed)
    train_s = 0.05 + np.cumsum(0.1 * (1 + 0.1 * rng.standard_normal(N)))
    late = sd_us * 1e-6 * rng.standard_normal((N, 2))
    arrivals = train_s[:, None] + np.array([0.0, apart_s]) + late
    arrivals[:, 1][rng.uniform(size=N) < blocked] = np.nan
    samples = noise_uv * rng.standard_normal(round((train_s[-1] + 0.1) * RATE_HZ))
    times_s = np.arange(samples.size) / RATE_HZ
    for row in arrivals:
        for at_s, height in zip(row, (600.0, 400.0), strict=True):
            if np.isfinite(at_s):
                near = slice(round((at_s - 0.002) * RATE_HZ), round((at_s + 0.002) * RATE_HZ))
                samples[near] += height * spike(1e3 * (times_s[near] - at_s))
    recording = Recording(
        samples_uv=samples[:, None],
        rate_hz=RATE_HZ,
        channels=(Channel(name="sf", kind="single_fibre"),),
    )
    return Played(recording=recording, train_s=train_s, arrivals_s=arrivals)


def true_mcd_us(made: Played) -> float:
    """Return the MCD of the arrival times themselves."""
    return mean_consecutive_difference_us(made.arrivals_s[:, 1] - made.arrivals_s[:, 0])


@pytest.mark.parametrize("sd_us", [15.0, 30.0, 80.0])
def test_the_mcd_is_that_of_the_arrival_times(sd_us: float) -> None:
    """One pair, 1.2 ms apart, its MCD within 8 % of the realised one."""
    made = played(sd_us)
    (pair,) = jitter_pairs(made.recording, made.train_s)
    assert pair.mean_interval_s == pytest.approx(0.0012, abs=30e-6)
    assert pair.mcd_us == pytest.approx(true_mcd_us(made), rel=0.08)
    assert pair.mcd_95_us[0] < true_mcd_us(made) < pair.mcd_95_us[1]


@pytest.mark.parametrize("seed", [1, 2])
def test_overlapping_fibres_are_told_apart(seed: int) -> None:
    """0.8 ms apart they overlap: neither takes part of the other's shape, the MCD within 8 %."""
    made = played(30.0, seed=seed, apart_s=0.0008)
    (pair,) = jitter_pairs(made.recording, made.train_s)
    assert pair.mcd_us == pytest.approx(true_mcd_us(made), rel=0.08)


def test_fibres_too_near_are_no_pair() -> None:
    """0.6 ms apart each stands on the other's slope: both are followed, but not measured."""
    made = played(30.0, apart_s=0.0006)
    assert len(fibre_spikes(made.recording, made.train_s)) == 2
    assert jitter_pairs(made.recording, made.train_s) == ()


def test_the_noise_of_the_recording_is_taken_off() -> None:
    """Fibres without jitter: what is left is less than half of what noise alone gives."""
    made = played(0.0, 0.0, 30.0)
    (pair,) = jitter_pairs(made.recording, made.train_s)
    assert pair.raw_mcd_us == pytest.approx(pair.noise_us, rel=0.25)
    assert pair.mcd_us < 0.75 * pair.raw_mcd_us


def test_blocked_discharges_are_counted() -> None:
    """A fibre that is blocked at a fifth of the discharges is found missing at just these."""
    made = played(30.0, 0.2)
    (pair,) = jitter_pairs(made.recording, made.train_s)
    missing = np.isnan(made.arrivals_s[:, 1])
    assert pair.blocking_share == pytest.approx(missing.mean(), abs=0.02)
    assert np.isnan(pair.intervals_s[missing]).all()
    assert pair.blocking_95[0] < missing.mean() < pair.blocking_95[1]


def test_times_given_late_do_not_matter() -> None:
    """Discharges given 50 us off (SD) give nearly the same intervals."""
    made = played()
    late_s = 50e-6 * np.random.default_rng(2).standard_normal(N)
    (pair,) = jitter_pairs(made.recording, made.train_s + late_s)
    (exact,) = jitter_pairs(made.recording, made.train_s)
    assert pair.mcd_us == pytest.approx(exact.mcd_us, rel=0.03)


def test_one_fibre_is_no_pair() -> None:
    """The lobes that the high-pass gives to a single spike are not taken for another fibre."""
    made = played(30.0, 1.0)
    assert len(fibre_spikes(made.recording, made.train_s)) == 1
    assert jitter_pairs(made.recording, made.train_s) == ()


def test_a_disturbed_discharge_is_neither_blocked_nor_measured() -> None:
    """A foreign spike on the second fibre hides it at that discharge."""
    made = played()
    samples = made.recording.samples_uv.copy()
    at = round(made.arrivals_s[40, 1] * RATE_HZ)
    samples[at - 8 : at + 8, 0] += 900.0 * np.sign(np.arange(-8, 8))
    disturbed = Recording(samples_uv=samples, rate_hz=RATE_HZ, channels=made.recording.channels)
    (pair,) = jitter_pairs(disturbed, made.train_s)
    assert np.isnan(pair.intervals_s[40])
    assert pair.blocking_share == 0.0


def test_few_discharges_give_no_pair() -> None:
    """Nine discharges are too few to follow a fibre."""
    made = played()
    assert jitter_pairs(made.recording, made.train_s[:9]) == ()


def test_the_high_pass_has_no_delay() -> None:
    """A spike stays where it was."""
    wave = spike((np.arange(4000) - 2000) / RATE_HZ * 1e3)
    assert int(np.argmin(high_passed(wave, RATE_HZ, 500.0))) == 2000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channel": 1}, r"channel must be 0\.\.0"),
        ({"highpass_hz": -1.0}, "highpass_hz must be > 0"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, float], words: str) -> None:
    """One clear error for a channel or a filter that cannot be."""
    made = played()
    with pytest.raises(ValueError, match=words):
        jitter_pairs(made.recording, made.train_s, **change)
