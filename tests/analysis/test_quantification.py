"""MUAPs measured from noisy recordings, against the noise-free potentials of the recording."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.analysis.muaps import sweeps_of, wander_uv
from emgsim.analysis.quantification import QuantifiedMuap, quantified
from emgsim.analysis.shrinkage import averaged_octave, octaves, plain, shrunk
from emgsim.measures import jiggle_measures, muap_measures
from emgsim.recording import Recording
from tests.analysis.conftest import SHAPES, played, potential, train

Floats = NDArray[np.float64]

RATE_HZ = 24_000.0
SECONDS = 4.0


@cache
def two_trains() -> tuple[Floats, Floats]:
    """Two units of 9 and 11 per second for 4 s."""
    rng = np.random.default_rng(11)
    return tuple(train(rng, rate, 0.1, SECONDS - 0.1) for rate in (9.0, 11.0))


@cache
def noisy() -> Recording:
    """Their recording, the noise a twentieth of the larger unit's peak."""
    return played(list(two_trains()), RATE_HZ, SECONDS, noise_uv=15.0)


@cache
def measured(resamples: int = 0) -> tuple[QuantifiedMuap | None, ...]:
    """Both units measured."""
    return quantified(noisy(), two_trains(), resamples=resamples)


def first(found: tuple[QuantifiedMuap | None, ...]) -> QuantifiedMuap:
    """Return the first unit, which must have been measured."""
    assert found[0] is not None
    return found[0]


def true_wave(unit: int) -> Floats:
    """Return a unit's potential without noise, 12 ms before its spike to 12 ms after."""
    wave = potential(RATE_HZ, SHAPES[unit])
    return np.pad(wave, (round(0.004 * RATE_HZ), 0))


def test_a_potential_comes_out_of_noise_and_neighbour() -> None:
    """Amplitude within 2 %, area within 5 %, phases exact, markers within 0.5 ms."""
    for unit, found in enumerate(measured()):
        assert found is not None
        true = muap_measures(true_wave(unit), RATE_HZ)
        assert found.measures["amplitude_uv"] == pytest.approx(true.amplitude_uv, rel=0.02)
        assert found.measures["area_uv_ms"] == pytest.approx(true.area_uv_ms, rel=0.05)
        assert found.measures["phases"] == true.phases
        assert found.measures["start_ms"] == pytest.approx(true.start_ms - 12, abs=0.5)
        assert found.measures["end_ms"] == pytest.approx(true.end_ms - 12, abs=0.5)


def test_shrinking_takes_noise_away_that_the_plain_average_has() -> None:
    """The error of the shrunk average is less than half of the plain one's."""
    sweeps = sweeps_of(
        noisy(), [two_trains()[0][:20], two_trains()[1]], 0, before_s=0.012, after_s=0.012
    )
    good = sweeps[0].good_uv
    averages = [averaged_octave(octave) for octave in octaves(good, RATE_HZ)]
    true = true_wave(0)[: good.shape[1]]
    rough = plain(averages, good.shape[1], RATE_HZ)[: true.size]
    smooth = shrunk(averages, good.shape[1], sweeps[0].before, RATE_HZ)[: true.size]
    assert np.std(smooth - true) < 0.5 * np.std(rough - true)


def test_without_noise_nothing_is_shrunk() -> None:
    """Equal sweeps come back as they are, to a thousandth of their peak."""
    wave = true_wave(0)
    averages = [averaged_octave(o) for o in octaves(np.tile(wave, (8, 1)), RATE_HZ)]
    back = shrunk(averages, wave.size, round(0.012 * RATE_HZ), RATE_HZ)
    assert back == pytest.approx(wave, abs=1e-3 * np.abs(wave).max())


def test_late_times_are_aligned() -> None:
    """Discharges given 60 us off (SD) are found again within 10 us, and the spike stays high."""
    rng = np.random.default_rng(3)
    late_s = 60e-6 * rng.standard_normal(two_trains()[0].size)
    sweeps = sweeps_of(
        noisy(), [two_trains()[0] + late_s, two_trains()[1]], 0, before_s=0.012, after_s=0.012
    )[0]
    assert np.std(sweeps.offset_s + late_s) < 10e-6


def test_an_artefact_is_rejected_and_changes_little() -> None:
    """A pulse of 5 mV on two discharges: they are left out, and the amplitude stays."""
    samples = noisy().samples_uv.copy()
    for time_s in two_trains()[0][[5, 20]]:
        at = round((time_s + 0.001) * RATE_HZ)
        samples[at : at + 10] += 5_000.0
    found = first(quantified(replace(noisy(), samples_uv=samples), two_trains(), resamples=0))
    clean = first(measured())
    assert found.n_rejected >= clean.n_rejected + 2
    assert found.measures["amplitude_uv"] == pytest.approx(clean.measures["amplitude_uv"], rel=0.02)


def test_a_slow_baseline_is_taken_off() -> None:
    """300 uV of offset and of slow wander change no measure by more than 2 %."""
    wander = 300.0 + 300.0 * np.sin(2 * np.pi * 0.3 * noisy().times_s)
    moved = replace(noisy(), samples_uv=noisy().samples_uv + wander[:, None])
    found, clean = first(quantified(moved, two_trains(), resamples=0)), first(measured())
    for name in ("amplitude_uv", "area_uv_ms", "duration_ms"):
        assert found.measures[name] == pytest.approx(clean.measures[name], rel=0.02)
    assert wander_uv(wander, RATE_HZ)[2400:-2400] == pytest.approx(wander[2400:-2400], abs=5.0)


def test_intervals_hold_the_truth_and_repeat() -> None:
    """The interval of the amplitude holds the true one; the same seed gives the same interval."""
    found = first(measured(30))
    true = muap_measures(true_wave(0), RATE_HZ)
    low, high = found.intervals["amplitude_uv"]
    assert low <= true.amplitude_uv <= high
    assert high - low < 0.1 * true.amplitude_uv
    again = first(quantified(noisy(), two_trains(), resamples=30))
    assert str(again.intervals) == str(found.intervals)  # NaN is not equal to itself


def test_missing_samples_leave_their_sweeps_out() -> None:
    """Three discharges in gaps, and one whose window begins before the recording, are not used."""
    samples = noisy().samples_uv.copy()
    for time_s in two_trains()[0][[3, 9, 15]]:
        samples[round(time_s * RATE_HZ)] = np.nan
    sweeps = sweeps_of(
        replace(noisy(), samples_uv=samples),
        [np.concatenate([[0.005], two_trains()[0]])],
        0,
        before_s=0.012,
        after_s=0.012,
    )[0]
    assert not sweeps.kept[[0, 4, 10, 16]].any()
    assert np.isfinite(sweeps.good_uv).all()


def test_too_few_discharges_are_not_measured() -> None:
    """Four sweeps are no average: None in the unit's place."""
    assert quantified(noisy(), [two_trains()[0][:4], two_trains()[1]], resamples=0)[0] is None


def test_an_impossible_channel_is_refused() -> None:
    """There is only channel 0."""
    with pytest.raises(ValueError, match=r"channel must be 0\.\.0, got 1"):
        quantified(noisy(), two_trains(), 1)


def test_jiggle_is_nothing_for_equal_sweeps_and_grows_with_their_difference() -> None:
    """Equal sweeps: CAD 0, CCC 1. Sizes of 0.9 and 1.1 in turn: CAD 0.2 at a median of 1."""
    wave = true_wave(0)
    still = jiggle_measures(np.tile(wave, (10, 1)))
    assert (still.cad, still.ccc) == (0.0, pytest.approx(1.0))
    turns = np.tile(wave, (10, 1)) * np.where(np.arange(10) % 2, 0.9, 1.1)[:, None]
    assert jiggle_measures(turns).cad == pytest.approx(0.2, rel=1e-6)


def test_noise_makes_no_jiggle() -> None:
    """Noise of a tenth of the peak: CAD above 0.3 as it is, below 0.15 with the noise known."""
    rng = np.random.default_rng(1)
    wave = true_wave(0)[200:400]
    sweeps = np.tile(wave, (60, 1)) + 0.1 * np.abs(wave).max() * rng.standard_normal((60, 200))
    noise = 0.1 * np.abs(wave).max() * rng.standard_normal((60, 300))
    assert jiggle_measures(sweeps).cad > 0.3
    known = jiggle_measures(sweeps, noise)
    assert known.cad < 0.15
    assert known.ccc > jiggle_measures(sweeps).ccc
    with pytest.raises(ValueError, match=r"noise_uv: expected \(60, n_noise\)"):
        jiggle_measures(sweeps, noise[:5])
