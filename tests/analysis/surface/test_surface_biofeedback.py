"""Feedback: the same for any blocks, as late as it says, and not fooled by artefacts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emgsim.analysis.surface.biofeedback import Feedback

RATE_HZ = 2000.0
MVC_UV = 100.0


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    return 20 * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))


def tone(seconds: float, phase: float = 0.0, amplitude_uv: float = 50.0) -> np.ndarray:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return amplitude_uv * np.cos(2 * np.pi * 90 * time_s + phase)


@settings(max_examples=30)
@example(cuts=list(range(0, 3000, 8)))
@given(cuts=st.lists(st.integers(0, 3000), max_size=20))
def test_values_do_not_depend_on_the_blocks(cuts: list[int]) -> None:
    """Not in the last bit, whatever the sizes, empty ones too, artefacts included."""
    samples = noise(1.5)
    samples[700:705] = np.nan
    samples[1500:1560] = 3.0
    whole = Feedback(RATE_HZ, MVC_UV).step(samples)
    feedback = Feedback(RATE_HZ, MVC_UV)
    parts = np.split(samples, sorted(cuts))
    assert tuple(value for part in parts for value in feedback.step(part)) == whole


@pytest.mark.parametrize("window_s", [0.05, 0.1, 0.15, 0.25])
@pytest.mark.parametrize("rate_hz", [1000.0, 2000.0])
def test_a_step_is_half_way_up_after_the_stated_latency(window_s: float, rate_hz: float) -> None:
    """Of a tone at 90 Hz that begins at once, mean over its phases, within 0.6 ms.

    A sample stands for the time since the one before.
    """
    curves = []
    for phase in np.arange(16) * np.pi / 8:
        feedback = Feedback(rate_hz, MVC_UV, window_s=window_s)
        time_s = np.arange(round(1.5 * rate_hz)) / rate_hz
        samples = np.where(time_s >= 0.6, np.cos(2 * np.pi * 90 * time_s + phase), 0.0)
        values = feedback.step(50 * samples + 1e-6 * time_s)
        curves.append([value.value for value in values])
    height = np.mean(curves, axis=0)
    at_s = np.array([value.time_s for value in values])
    rising = (at_s > 0.55) & (at_s < 1.0)
    half_s = np.interp(0.5 * height[-1], height[rising], at_s[rising])
    assert half_s - 0.6 + 1 / rate_hz == pytest.approx(feedback.latency_s, abs=0.0006)


def test_the_usual_window_is_fast_enough_to_be_guided_by() -> None:
    """Its latency is 0.1 s or less."""
    assert Feedback(RATE_HZ, MVC_UV).latency_s <= 0.1


def test_a_steady_tone_has_its_rectified_mean() -> None:
    """2 / pi of 50 uV is 31.8 % of 100 uV, and -9.94 dB, once the filter has settled."""
    percent = Feedback(RATE_HZ, MVC_UV).step(tone(2.0))[-1]
    decibel = Feedback(RATE_HZ, MVC_UV, scale="decibel").step(tone(2.0))[-1]
    assert percent.value == pytest.approx(31.83, rel=0.03)
    assert decibel.value == pytest.approx(-9.94, abs=0.3)
    assert decibel.value == pytest.approx(20 * np.log10(percent.value / 100))
    assert not percent.is_held


def test_an_offset_of_the_electrodes_does_not_matter() -> None:
    """Ten millivolts: every value is that without, as long held after missing samples."""
    samples = tone(2.0)
    samples[2000:2010] = np.nan
    plain = Feedback(RATE_HZ, MVC_UV).step(samples)
    offset = Feedback(RATE_HZ, MVC_UV).step(samples + 10_000)
    assert [value.is_held for value in offset] == [value.is_held for value in plain]
    values = [value.value for value in plain]
    assert [value.value for value in offset] == pytest.approx(values, rel=0.02)


@pytest.mark.parametrize("artefact", ["missing", "still", "beyond"])
def test_an_artefact_holds_the_value_until_the_window_is_past_it(artefact: str) -> None:
    """The value before it is repeated, and told to be; 0.3 s later all is well."""
    samples = noise(2.0)
    samples[2000:2100] = {"missing": np.nan, "still": 5.0, "beyond": 20_000.0}[artefact]
    values = Feedback(RATE_HZ, MVC_UV).step(samples)
    held = [value for value in values if value.is_held and value.time_s > 0.5]
    assert held[0].time_s == pytest.approx(1.0 + 0.02 * (artefact == "still"), abs=0.004)
    assert len({value.value for value in held}) == 1
    assert max(value.value for value in values) < 30
    assert 1.25 < held[-1].time_s < 1.35
    assert not values[-1].is_held


def test_a_value_is_held_until_the_first_window_is_full() -> None:
    """And the filter settled: 0.21 s long it is nought."""
    values = Feedback(RATE_HZ, MVC_UV).step(noise(0.3))
    assert [value.value for value in values if value.is_held] == [0.0] * 104
    assert values[104].value > 0


def test_silence_is_the_floor_and_no_infinity() -> None:
    """A whisper of a nanovolt is -60 dB."""
    values = Feedback(RATE_HZ, MVC_UV, scale="decibel").step(1e-5 * noise(1.0))
    assert values[-1].value == -60.0


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"rate_hz": 400.0}, "rate_hz must be 500 or more, got 400"),
        ({"mvc_uv": 0.0}, "mvc_uv must be finite and > 0"),
        ({"window_s": 0.3}, "window_s must be 0.02 to 0.25 s, got 0.3"),
        ({"scale": "volts"}, "scale must be 'percent' or 'decibel', got 'volts'"),
    ],
)
def test_bad_settings_are_refused(settings_, said: str) -> None:
    """Each with what the rule is."""
    with pytest.raises(ValueError, match=said):
        Feedback(**({"rate_hz": RATE_HZ, "mvc_uv": MVC_UV} | settings_))


def test_two_channels_are_refused() -> None:
    """One feedback is of one channel."""
    with pytest.raises(ValueError, match=r"samples_uv must be \(n_samples,\)"):
        Feedback(RATE_HZ, MVC_UV).step(np.zeros((4, 2)))
