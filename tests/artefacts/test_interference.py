"""Interference: sizes, lines, packets and pulses as they were set, at every rate."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from emgsim.artefacts.parameters import Mains, Pulses, RfBurst, Smps, Stimulus

RATES_HZ = (2_000.0, 23_437.5, 48_000.0)


def line(samples: np.ndarray, rate_hz: float, f_hz: float) -> float:
    """Return the amplitude of a sine at one frequency, under a Hann window."""
    times_s = np.arange(samples.size) / rate_hz
    window = np.hanning(samples.size)
    return float(2 * abs(np.sum(window * samples * np.exp(-2j * np.pi * f_hz * times_s)))
                 / window.sum())


def cycles(samples: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the frequency cycle by cycle, from the rising crossings of zero."""
    rising = np.flatnonzero((samples[:-1] < 0) & (samples[1:] >= 0))
    share = -samples[rising] / (samples[rising + 1] - samples[rising])
    return rate_hz / np.diff(rising + share)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("frequency_hz", [50.0, 60.0])
def test_the_mains_harmonics_have_their_ratios(made, rate_hz: float, frequency_hz: float) -> None:
    """Without drift and modulation: the fundamental's p-p, 0.3, 0.15 and 0.1 of it, +-1 %."""
    artefact = Mains(frequency_hz=frequency_hz, peak_to_peak_uv=200.0, drift_hz=0, modulation=0)
    samples, events = made(artefact, rate_hz, 4.0)
    heights = [line(samples, rate_hz, n * frequency_hz) for n in (1, 3, 5, 7)]
    np.testing.assert_allclose(heights, [100.0, 30.0, 15.0, 10.0], rtol=0.01)
    rest_uv2 = samples.var() - sum(height**2 for height in heights) / 2
    assert abs(rest_uv2) < 1e-3 * samples.var()
    assert events == ()


def test_the_mains_drifts_within_its_bounds_and_uses_them(made) -> None:
    """Each cycle's frequency is within +-0.1 Hz of 50, and strays by 0.02 Hz rms at least."""
    pure = Mains(harmonics=(0, 0, 0), modulation=0, drift_hz=0.1)
    seen_hz = cycles(made(pure, 10_000.0, 300.0)[0], 10_000.0)
    assert np.abs(seen_hz - 50).max() < 0.1 + 1e-3
    assert 0.02 < seen_hz.std() < 0.1
    assert abs(seen_hz.mean() - 50) < 0.05


def test_the_mains_size_follows_the_lead_within_its_bounds(made) -> None:
    """Peaks of the fundamental lie within +-30 % of the size set, and come near both ends."""
    artefact = Mains(harmonics=(0, 0, 0), modulation=0.3, peak_to_peak_uv=100.0)
    samples, _ = made(artefact, 10_000.0, 120.0)
    peaks = np.abs(samples).reshape(-1, 100).max(axis=1)  # half a cycle each
    assert peaks.max() < 50 * 1.3
    assert peaks.min() > 50 * 0.7 * 0.98
    assert peaks.max() > 50 * 1.15
    assert peaks.min() < 50 * 0.85


@pytest.mark.parametrize("rate_hz", [10_000.0, 48_000.0])
def test_the_mains_is_the_same_at_every_rate(made, rate_hz: float) -> None:
    """Every sample that a rate shares with 2 kHz is the same, after a minute of drift too."""
    slow, fast = (made(Mains(drift_hz=0.5), rate, 60.0)[0] for rate in (2_000.0, rate_hz))
    np.testing.assert_allclose(fast[:: round(rate_hz / 2_000)], slow, atol=1e-3)


@pytest.mark.parametrize(("rate_hz", "heard_hz"), [
    (10_000.0, 4_700.0), (48_000.0, 16_700.0), (23_437.5, 5_612.5), (1_000_000.0, 64_700.0),
])
def test_a_switched_supply_folds_to_where_it_belongs(made, rate_hz, heard_hz) -> None:
    """64.7 kHz is heard at its distance from the nearest multiple of the rate, at full size."""
    artefact = Smps(frequency_hz=64_700.0, peak_to_peak_uv=40.0, drift=0.0)
    samples, _ = made(artefact, rate_hz, 0.5)
    assert line(samples, rate_hz, heard_hz) == pytest.approx(20.0, rel=0.01)


def test_a_switched_supply_strays_within_its_drift(made) -> None:
    """At 1 MHz nothing folds: every cycle lies within 1 % of 20 kHz, and they are not all alike."""
    artefact = Smps(frequency_hz=20_000.0, drift=0.01)
    seen_hz = cycles(made(artefact, 1e6, 2.0)[0], 1e6)
    assert np.abs(seen_hz - 20_000).max() < 201
    assert seen_hz.std() > 10


def test_a_phone_sends_217_packets_a_second_of_0_58_ms(made) -> None:
    """Within a burst: packets one frame apart, their width, their height; silence outside."""
    rate_hz = 100_000.0
    artefact = RfBurst(peak_uv=200.0, per_min=30.0, burst_s=0.5)
    samples, events = made(artefact, rate_hz, 10.0)
    assert len(events) >= 2
    first = events[0]
    assert first.offset_s - first.onset_s == pytest.approx(107 / 216.68 + 577e-6)
    one = samples[round(first.onset_s * rate_hz) - 50 : round(first.offset_s * rate_hz) + 50]
    is_on = one > 100.0
    rises = np.flatnonzero(np.diff(is_on.astype(int)) == 1)
    falls = np.flatnonzero(np.diff(is_on.astype(int)) == -1)
    assert rises.size == 108
    assert np.diff(rises).mean() / rate_hz == pytest.approx(1 / 216.68, rel=1e-4)
    assert (falls - rises).mean() / rate_hz == pytest.approx(577e-6, rel=0.01)
    assert np.median(one[is_on]) == pytest.approx(200.0, rel=0.01)
    inside = np.zeros(samples.size, bool)
    for event in events:
        inside[round(event.onset_s * rate_hz) - 30 : round(event.offset_s * rate_hz) + 30] = True
    assert np.all(samples[~inside] == 0.0)


@pytest.mark.parametrize("rate_hz", [20_000.0, 48_000.0, 1e6])
def test_a_stimulus_has_its_spike_its_tail_and_its_times(made, rate_hz: float) -> None:
    """Three stimuli: events at their times, the area of the spike, the tail's two exponentials."""
    artefact = Stimulus(
        peak_uv=20_000.0, width_ms=0.2, tail_uv=400.0, tail_fast_ms=1.0, tail_slow_ms=10.0,
        rate_hz=2.0, first_s=0.25, n_stimuli=3,
    )
    samples, events = made(artefact, rate_hz, 2.5)
    assert [event.onset_s for event in events] == [0.25, 0.75, 1.25]
    assert {event.kind for event in events} == {"artefact.stimulus"}
    assert events[0].offset_s == pytest.approx(0.25 + 0.0302)
    start = round(0.25 * rate_hz)
    spike = samples[start - round(0.002 * rate_hz) : start + round(0.2 * rate_hz)].sum() / rate_hz
    assert spike == pytest.approx(20_000 * 0.2e-3 + 200 * (1e-3 + 10e-3), rel=1e-3)
    late_s = np.array([0.002, 0.005, 0.02])
    seen = samples[np.rint((0.2502 + late_s) * rate_hz).astype(int)]
    expected = 200 * (np.exp(-late_s / 1e-3) + np.exp(-late_s / 10e-3))
    np.testing.assert_allclose(seen, expected, rtol=0.01, atol=0.05)
    assert np.all(samples[round(1.5 * rate_hz):] == 0.0)


def test_a_stimulus_sounds_the_same_at_10_and_at_100_khz(made) -> None:
    """Below 4 kHz both rates have one spectrum, within 1e-3 of its largest: nothing folds back."""
    artefact = Stimulus(width_ms=0.1, first_s=0.10003, n_stimuli=1)
    spectra = [np.fft.rfft(made(artefact, rate, 0.4)[0]) / rate for rate in (10e3, 100e3)]
    used = round(4_000 * 0.4)
    difference = np.abs(spectra[0][:used] - spectra[1][:used]).max()
    assert difference < 1e-3 * np.abs(spectra[1][:used]).max()


@pytest.mark.parametrize("pulse_hz", [1.0, 25.0, 90.0, 130.0])
def test_pulses_come_at_their_rate_and_give_their_charge_back(made, pulse_hz: float) -> None:
    """Pacemaker, VNS, TENS, DBS: the interval is exact, the mean is zero, the height is set."""
    rate_hz = 48_000.0
    artefact = Pulses(rate_hz=pulse_hz, peak_uv=2_000.0, width_ms=1.0)
    samples, events = made(artefact, rate_hz, 10.0)
    onsets_s = np.array([event.onset_s for event in events if event.onset_s > 0])
    np.testing.assert_allclose(np.diff(onsets_s), 1 / pulse_hz, rtol=1e-9)
    middle = samples[np.rint((onsets_s[:-1] + 0.5e-3) * rate_hz).astype(int)]
    floor = samples[np.rint((onsets_s[1:] - 1e-3) * rate_hz).astype(int)]
    np.testing.assert_allclose(middle - floor, 2_000.0, rtol=0.15 if pulse_hz > 80 else 0.02)
    whole = round(rate_hz * (onsets_s[-1] - onsets_s[0]))
    first = round(onsets_s[0] * rate_hz)
    assert abs(samples[first : first + whole].mean()) < 0.01 * np.abs(samples).mean()


def test_a_phone_pauses_by_chance_between_its_bursts(made) -> None:
    """No burst begins before the last one's end; the pauses are exponential, 2 s in the mean."""
    _, events = made(RfBurst(per_min=30.0, burst_s=1.0), 2_000.0, 900.0)
    pauses_s = np.array([b.onset_s - a.offset_s for a, b in pairwise(events)])
    assert pauses_s.min() > 0
    assert pauses_s.mean() == pytest.approx(2.0, rel=4 / pauses_s.size**0.5)
    assert pauses_s.std() == pytest.approx(pauses_s.mean(), rel=6 / pauses_s.size**0.5)


def test_a_device_ran_before_the_recording_began(made) -> None:
    """The first pulse comes anywhere in an interval, and tails of all earlier ones sound."""
    artefact = Pulses(rate_hz=10.0, recharge_ms=50.0)
    firsts_s, begins_uv = [], []
    for seed in range(100):
        samples, events = made(artefact, 2_000.0, 0.3, seed=seed)
        firsts_s.append(next(event.onset_s for event in events if event.onset_s > 0))
        begins_uv.append(samples[0])
    assert np.mean(firsts_s) == pytest.approx(0.05, abs=0.015)
    assert np.std(firsts_s) == pytest.approx(0.1 / 12**0.5, rel=0.2)
    assert np.mean(np.array(begins_uv) < 0) > 0.9
    np.testing.assert_allclose(samples[:200], samples[200:400], atol=0.01)  # of the last
