"""The ECG: beats at their rate and variability, a QRS of its size and length."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from emgsim.artefacts.parameters import Ecg


@pytest.mark.parametrize("rate_bpm", [50.0, 70.0, 110.0])
@pytest.mark.parametrize("rr_cov", [0.0, 0.05])
def test_the_heart_beats_at_its_rate_with_its_variability(made, rate_bpm, rr_cov) -> None:
    """Mean interval +-1 %, coefficient of variation +-15 %, over ten minutes."""
    _, events = made(Ecg(rate_bpm=rate_bpm, rr_cov=rr_cov), 2_000.0, 600.0)
    r_s = np.array([(event.onset_s + event.offset_s) / 2 for event in events[1:]])
    intervals_s = np.diff(r_s)
    assert intervals_s.mean() == pytest.approx(60 / rate_bpm, rel=0.01)
    assert intervals_s.std() / intervals_s.mean() == pytest.approx(rr_cov, rel=0.15, abs=1e-9)


def test_the_heart_rate_follows_the_breath(made) -> None:
    """The intervals' spectrum has its two peaks at 0.1 and 0.25 Hz."""
    _, events = made(Ecg(rate_bpm=80.0), 2_000.0, 600.0)
    r_s = np.array([(event.onset_s + event.offset_s) / 2 for event in events[1:]])
    even_s = np.arange(r_s[1], r_s[-1], 0.25)
    course = np.interp(even_s, r_s[1:], np.diff(r_s))
    f_hz, power = signal.periodogram(course - course.mean(), 4.0, window="hann")
    peaks = f_hz[signal.find_peaks(power, distance=30)[0]]
    loudest = sorted(peaks, key=lambda f: -power[np.argmin(np.abs(f_hz - f))])[:2]
    np.testing.assert_allclose(sorted(loudest), [0.10, 0.25], atol=0.01)


@pytest.mark.parametrize("rate_hz", [2_000.0, 23_437.5, 48_000.0])
@pytest.mark.parametrize("qrs_ms", [60.0, 100.0])
def test_each_qrs_has_its_size_and_length(made, rate_hz: float, qrs_ms: float) -> None:
    """p-p within 1 % in every event; 10 % of R is exceeded only within it, for 0.7-1.0 of it."""
    artefact = Ecg(peak_to_peak_uv=200.0, qrs_ms=qrs_ms, rr_cov=0.0)
    samples, events = made(artefact, rate_hz, 10.0)
    for event in events[1:-1]:
        a, b = round(event.onset_s * rate_hz), round(event.offset_s * rate_hz)
        assert np.ptp(samples[a:b]) == pytest.approx(200.0, rel=0.01)
        assert event.offset_s - event.onset_s == pytest.approx(qrs_ms / 1e3)
        loud = np.flatnonzero(np.abs(samples[a - 20 : b + 20]) > 0.04 * 200)
        assert 0.7 * qrs_ms < (loud[-1] - loud[0]) / rate_hz * 1e3 < 1.05 * qrs_ms


def test_a_beat_has_p_and_t_before_and_after(made) -> None:
    """About R: a P wave 0.16 s before, a T wave twice as high 0.3 s after, at 60 per minute."""
    rate_hz = 2_000.0
    samples, events = made(Ecg(rate_bpm=60.0, rr_cov=0.0), rate_hz, 10.0)
    r = round((events[2].onset_s + events[2].offset_s) / 2 * rate_hz)
    p, t = (samples[r + round(at * rate_hz)] / samples[r] for at in (-0.16, 0.30))
    assert p == pytest.approx(0.15, abs=0.01)
    assert t == pytest.approx(0.30, abs=0.01)


def test_the_heart_was_beating_before_the_recording_began(made) -> None:
    """The first R wave falls anywhere in an interval, over many seeds."""
    firsts = []
    for seed in range(200):
        _, events = made(Ecg(rate_bpm=60.0, rr_cov=0.0), 2_000.0, 2.0, seed=seed)
        firsts.append(events[1].offset_s - 1.0)
    assert 0.0 < min(firsts) < 0.1
    assert 0.95 < max(firsts) < 1.1
    assert np.mean(firsts) == pytest.approx(0.54, abs=0.08)


def test_the_ecg_lies_below_a_high_pass_of_30_hz(made) -> None:
    """Drake & Callaghan 2006: a 30 Hz high-pass takes most of it; 90 % of the power at least."""
    rate_hz = 2_000.0
    samples, _ = made(Ecg(), rate_hz, 60.0)
    sos = signal.butter(4, 30.0, "highpass", fs=rate_hz, output="sos")
    assert signal.sosfilt(sos, samples).var() < 0.1 * samples.var()
