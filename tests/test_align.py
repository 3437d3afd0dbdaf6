"""Alignment by a known waveform: offset, drift and gain within the stated standard deviations."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.align import Alignment, Waveform, align
from emgsim.errors import NotAnalysableError
from emgsim.stages import BandResponse

PLAYER_HZ = 40_000.0
LENGTH_S = 2.0
MARKER_S = 0.06
MARKERS_AT_S = (0.10, 1.80)


def marker(t: np.ndarray, first_hz: float, last_hz: float) -> np.ndarray:
    """Return a chirp under a Hann window, at any time."""
    inside = (t >= 0) & (t <= MARKER_S)
    phase = 2 * np.pi * (first_hz * t + (last_hz - first_hz) / MARKER_S * t**2 / 2)
    return np.where(inside, 300 * np.sin(np.pi * t / MARKER_S) ** 2 * np.sin(phase), 0.0)


CHIRPS_HZ = ((200.0, 2_000.0), (2_000.0, 200.0))  # up opens, down closes: never mistaken


@cache
def tones() -> list[tuple[float, float, float]]:
    """Return amplitude, frequency and phase of the tones that stand for EMG."""
    rng = np.random.default_rng(8)
    return [(15.0, rng.uniform(30, 3_000), rng.uniform(0, 2 * np.pi)) for _ in range(20)]


def played(t: np.ndarray) -> np.ndarray:
    """Return the played signal at any time: two markers, and tones that fade in and out."""
    emg = sum(a * np.cos(2 * np.pi * f * t + phase) for a, f, phase in tones())
    total = np.sin(np.pi * np.clip((t - 0.2) / 1.5, 0.0, 1.0)) ** 2 * emg
    for at_s, chirp_hz in zip(MARKERS_AT_S, CHIRPS_HZ, strict=True):
        total = total + marker(t - at_s, *chirp_hz)
    return total


@cache
def waveform() -> Waveform:
    """Return what the recorder should have seen."""
    return Waveform(played(np.arange(round(LENGTH_S * PLAYER_HZ)) / PLAYER_HZ), PLAYER_HZ)


def markers_at(rate_hz: float) -> tuple:
    """Return the markers as `align` wants them, at the recorder's rate."""
    t = np.arange(round(MARKER_S * rate_hz)) / rate_hz
    shapes = (marker(t, *chirp_hz) for chirp_hz in CHIRPS_HZ)
    return tuple(zip(MARKERS_AT_S, shapes, strict=True))


def recorded(
    *,
    rate_hz: float = 20_000.0,
    offset_s: float = -0.3,
    drift: float = 2e-5,
    gain: float = 0.8,
    noise_uv: float = 1.0,
    seed: int = 0,
    seconds: float = 2.6,
) -> np.ndarray:
    """Return what a recorder takes that starts at ``offset_s`` with a clock that drifts."""
    k = np.arange(round(seconds * rate_hz))
    clean = gain * played(offset_s + k * (1 + drift) / rate_hz)
    return clean + noise_uv * np.random.default_rng(seed).standard_normal(k.size)


def aligned(samples: np.ndarray, rate_hz: float = 20_000.0) -> Alignment:
    """Return the alignment of samples with the played waveform."""
    return align(samples, rate_hz, waveform(), markers_at(rate_hz))


@given(
    offset_s=st.floats(-0.5, 0.0),
    ppm=st.floats(-150.0, 150.0),
    gain=st.floats(0.3, 3.0),
    sign=st.sampled_from([1.0, -1.0]),
    rate_hz=st.sampled_from([10_000.0, 23_437.5, 40_000.0]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=20, deadline=None)
def test_offset_drift_and_gain_are_found_within_their_stated_sd(
    offset_s: float, ppm: float, gain: float, sign: float, rate_hz: float, seed: int
) -> None:
    """Any start, clock, gain and polarity: each within 5 standard deviations of the truth."""
    samples = recorded(
        rate_hz=rate_hz, offset_s=offset_s, drift=ppm * 1e-6, gain=sign * gain, seed=seed
    )
    found = aligned(samples, rate_hz)
    assert abs(found.offset_s - offset_s) < 5 * found.offset_sd_s
    assert abs(found.drift - ppm * 1e-6) < 5 * found.drift_sd
    assert abs(found.gain - sign * gain) < 5 * found.gain_sd
    assert found.residual_rms == pytest.approx(1.0, rel=0.05)
    assert found.offset_sd_s < 1e-6  # and they are small: below a microsecond


def test_the_stated_sd_is_the_scatter_of_repeated_recordings() -> None:
    """Forty noises: errors over stated SD scatter by 1, within the 30 % that forty can tell."""
    scores = []
    for seed in range(40):
        found = aligned(recorded(rate_hz=10_000.0, noise_uv=3.0, seed=seed), 10_000.0)
        scores.append(
            [
                (found.offset_s + 0.3) / found.offset_sd_s,
                (found.drift - 2e-5) / found.drift_sd,
                (found.gain - 0.8) / found.gain_sd,
            ]
        )
    assert np.std(scores, axis=0) == pytest.approx([1.0, 1.0, 1.0], abs=0.35)
    assert np.abs(np.mean(scores, axis=0)).max() < 0.6  # no bias: 4 standard errors of forty


def test_without_noise_the_clock_is_found_to_a_billionth() -> None:
    """What is left is interpolation: nanoseconds, parts per billion."""
    found = aligned(recorded(noise_uv=0.0))
    assert found.offset_s == pytest.approx(-0.3, abs=20e-9)
    assert found.drift == pytest.approx(2e-5, abs=20e-9)
    assert found.gain == pytest.approx(0.8, rel=1e-4)


def test_lost_samples_do_not_move_the_rest() -> None:
    """A tenth of the recording is NaN, in three runs, one of them through a marker."""
    samples = recorded()
    whole = aligned(samples)
    for first, end in ((9_000, 12_000), (20_000, 21_500), (41_500, 42_200)):
        samples[first:end] = np.nan
    found = aligned(samples)
    assert abs(found.offset_s - whole.offset_s) < 5 * found.offset_sd_s
    assert abs(found.drift - whole.drift) < 5 * found.drift_sd
    assert found.offset_sd_s > whole.offset_sd_s


@pytest.mark.parametrize("size", [1_000, 4_096, 10**6])
def test_the_blocks_that_a_recording_is_read_in_do_not_show(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block may hold lost samples only, and a marker or a window lie across several."""
    samples = recorded()
    samples[20_000:23_000] = np.nan
    usual = aligned(samples)
    monkeypatch.setattr("emgsim.align.waveform.BLOCK", size)
    found = aligned(samples)
    assert found.offset_s == pytest.approx(usual.offset_s, abs=1e-12)
    assert found.drift == pytest.approx(usual.drift, abs=1e-12)
    np.testing.assert_allclose(found.windows, usual.windows, rtol=1e-6, atol=1e-6)


def test_the_times_of_the_samples_are_those_of_the_recorder() -> None:
    """By pencil: offset + k (1 + drift) / rate, and the ppm of a clock that runs fast."""
    alignment = Alignment(
        offset_s=-0.5,
        drift=-1e-4,
        gain=1.0,
        offset_sd_s=0.0,
        drift_sd=0.0,
        gain_sd=0.0,
        residual_rms=0.0,
        windows=((0.0, 1.0, 0.1), (0.5, -3.0, 0.2), (1.0, 2.0, 0.3)),
    )
    assert alignment.times_s(3, 1000.0) == pytest.approx([-0.5, -0.4990001, -0.4980002])
    assert alignment.clock_ppm == pytest.approx(100.01, abs=1e-3)  # short periods: it runs fast
    assert alignment.worst_lag_us == (3.0, 0.2)


def test_without_windows_there_is_no_worst_lag() -> None:
    """NaN, which never passes a limit."""
    nothing = Alignment(
        offset_s=0.0,
        drift=0.0,
        gain=1.0,
        offset_sd_s=0.0,
        drift_sd=0.0,
        gain_sd=0.0,
        residual_rms=0.0,
        windows=(),
    )
    assert np.isnan(nothing.worst_lag_us).all()


def test_a_recorder_that_slips_is_found_in_its_window() -> None:
    """A recording late by 20 us in its middle third shows that lag there, with its sign."""
    rate_hz = 20_000.0
    times_s = -0.3 + np.arange(52_000) / rate_hz
    late = (times_s > 0.7) & (times_s < 1.2)
    samples = played(times_s - 20e-6 * late)
    samples += np.random.default_rng(1).standard_normal(samples.size)
    found = aligned(samples)
    inside = [lag for start, lag, _ in found.windows if start == pytest.approx(0.7, abs=0.01)]
    # The fit leans a little towards the slip; what it takes up is missing from the lag.
    taken_s = found.offset_s + 0.3 + found.drift * 1.25
    assert inside == pytest.approx([20.0 + 1e6 * taken_s], abs=1.5)
    assert inside[0] > 10.0
    assert found.worst_lag_us[0] == max(abs(lag) for _, lag, _ in found.windows)


@pytest.mark.parametrize("level_uv", [0.0, 50.0])
def test_a_recording_without_the_markers_is_not_aligned(level_uv: float) -> None:
    """Silence or noise: the message says what was looked for, what was found, and what to check."""
    noise = level_uv * np.random.default_rng(3).standard_normal(52_000)
    with pytest.raises(NotAnalysableError) as info:
        aligned(noise)
    assert "no marker found in the recording: best correlation 0." in info.value.what
    assert ", needed 0.3" in info.value.what
    assert "wired" in info.value.todo


def test_a_recording_that_stops_before_the_second_marker_is_not_aligned() -> None:
    """Half a recording has no clock: it is refused, not guessed."""
    with pytest.raises(NotAnalysableError, match="no marker found"):
        aligned(recorded(seconds=1.2))


def test_an_empty_recording_is_not_aligned() -> None:
    """No sample at all gets the same answer as silence."""
    with pytest.raises(NotAnalysableError, match="no marker found"):
        aligned(np.zeros(0))


@given(f_hz=st.floats(20.0, 4_000.0), time_s=st.floats(0.3, 0.7))
@settings(max_examples=100, deadline=None)
def test_a_waveform_is_read_between_its_samples(f_hz: float, time_s: float) -> None:
    """Values within 3e-4 and slopes within 3e-3 of a faded sine at up to a fifth of the rate."""
    rate_hz = 20_000.0

    def tone(t: np.ndarray) -> np.ndarray:
        return np.sin(np.pi * t) ** 4 * np.sin(2 * np.pi * f_hz * t)

    value, slope = Waveform(tone(np.arange(20_000) / rate_hz), rate_hz).at(np.array([time_s]))
    h = 1e-7
    expected = (tone(np.array([time_s + h])) - tone(np.array([time_s - h]))) / (2 * h)
    assert value[0] == pytest.approx(tone(np.array([time_s]))[0], abs=1e-3)
    assert slope[0] == pytest.approx(expected[0], abs=1e-2 * 2 * np.pi * f_hz)


def test_outside_its_span_a_waveform_is_zero() -> None:
    """Before the first and after the last sample nothing was played."""
    value, slope = Waveform(np.ones(1000), 1000.0).at(np.array([-5.0, -1e-6, 1.1, 1e6]))
    assert value.tolist() == [0.0] * 4
    assert slope.tolist() == [0.0] * 4


def test_a_waveform_can_be_heard_through_a_band() -> None:
    """The response given shapes it: a tone at the corner comes with -3 dB and its phase."""
    rate_hz = 20_000.0
    t = np.arange(20_000) / rate_hz
    fade = np.sin(np.pi * t) ** 4
    band = BandResponse(lowpass_hz=500.0, lowpass_order=2)
    heard = Waveform(fade * np.cos(2 * np.pi * 500 * t), rate_hz, band)
    at_s = np.linspace(0.4, 0.6, 501)
    gain = band.at(np.array([500.0]))[0]
    expected = np.sin(np.pi * at_s) ** 4 * np.real(gain * np.exp(2j * np.pi * 500 * at_s))
    np.testing.assert_allclose(heard.at(at_s)[0], expected, atol=5e-3)
