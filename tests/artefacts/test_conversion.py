"""Saturation, its recovery, the converter's steps, and the events of overloads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.artefacts.composition import begin
from emgsim.artefacts.parameters import Adc, Saturation

RATE_HZ = 10_000.0


def blocked(samples: np.ndarray, limit_uv: float, recovery: float) -> np.ndarray:
    """The readable reference: sample by sample, what saturation makes of its input."""
    out, since, side = [], np.inf, 0.0
    for sample in samples:
        since += 1
        if abs(sample) >= limit_uv:
            since, side = 0, np.sign(sample)
        offset = limit_uv * side * np.exp(-3 * since / recovery) if side else 0.0
        out.append(min(limit_uv, max(-limit_uv, sample + offset)))
    return np.array(out)


@given(seed=st.integers(0, 1000), recovery_ms=st.floats(0.2, 20.0), gain=st.floats(0.1, 3.0))
@settings(max_examples=50, deadline=None)
def test_saturation_is_its_reference(seed: int, recovery_ms: float, gain: float) -> None:
    """On noise that overloads it now and then, to 1e-9."""
    samples = gain * 500 * np.random.default_rng(seed).standard_normal(500)
    artefact = Saturation(limit_uv=1_000.0, recovery_ms=recovery_ms)
    out, _ = begin(artefact, RATE_HZ, 1).step(samples[:, None], 0)
    reference = blocked(samples, 1_000.0, recovery_ms / 1e3 * RATE_HZ)
    np.testing.assert_allclose(out[:, 0], reference, atol=1e-9)


@pytest.mark.parametrize("recovery_ms", [10.0, 100.0, 500.0])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_the_amplifier_recovers_in_its_time(made, recovery_ms: float, side: float) -> None:
    """Overloaded for 50 ms: at the rail, then 5 % of it left exactly `recovery_ms` after."""
    samples = np.zeros(20_000)
    samples[1_000:1_500] = side * 50_000.0
    artefact = Saturation(limit_uv=5_000.0, recovery_ms=recovery_ms)
    out, events = made(artefact, RATE_HZ, samples_uv=samples)
    assert np.all(out[1_000:1_500] == side * 5_000.0)
    ends = 1_499 + round(recovery_ms / 1e3 * RATE_HZ)
    assert out[ends] == pytest.approx(side * 5_000 * np.exp(-3))
    assert np.all(out[:1_000] == 0.0)
    assert [event.kind for event in events] == ["artefact.saturation"]
    assert events[0].onset_s == 0.1
    assert events[0].offset_s == pytest.approx(ends / RATE_HZ)


def test_without_recovery_it_only_clips(made) -> None:
    """Inside the limits nothing changes by a bit; beyond them, the limit."""
    samples = np.random.default_rng(1).normal(0, 3_000, 5_000)
    out, events = made(Saturation(limit_uv=5_000.0, recovery_ms=0), RATE_HZ, samples_uv=samples)
    np.testing.assert_array_equal(out, np.clip(samples, -5_000, 5_000))
    over = np.flatnonzero(np.abs(samples) >= 5_000)
    assert len(events) == 1 + np.count_nonzero(np.diff(over) > 1)


def test_overloads_within_the_recovery_are_one_event(made) -> None:
    """Two spikes 20 ms apart with a recovery of 50 ms: one event; 100 ms apart: two."""
    for apart, expected in ((200, 1), (1_000, 2)):
        samples = np.zeros(10_000)
        samples[[2_000, 2_000 + apart]] = 9_000.0
        _, events = made(Saturation(recovery_ms=50.0), RATE_HZ, samples_uv=samples)
        assert len(events) == expected
        assert events[-1].offset_s == pytest.approx((2_000 + apart) / RATE_HZ + 0.05)


def test_an_overload_that_does_not_end_is_told_at_the_end() -> None:
    """The event is open until the recording finishes."""
    stage = begin(Saturation(), RATE_HZ, 1)
    assert stage.step(np.full((100, 1), 6_000.0), 0)[1] == ()
    assert len(stage.finish()) == 1
    assert stage.finish() == ()


def test_lost_samples_stay_lost_and_spoil_nothing(made) -> None:
    """A gap of NaN goes through saturation and converter, and what follows is as it was."""
    samples = np.zeros(1_000)
    samples[100:200] = np.nan
    for artefact in (Saturation(), Adc()):
        out, events = made(artefact, RATE_HZ, samples_uv=samples)
        assert np.isnan(out[100:200]).all()
        assert np.all(out[200:] == 0.0)
        assert events == ()


@given(lsb_uv=st.floats(0.05, 0.5), bits=st.sampled_from([12, 16, 24]),
       seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_the_converter_rounds_to_whole_steps(lsb_uv: float, bits: int, seed: int) -> None:
    """Codes are whole and within range; inside it the error is half a step at most."""
    samples = np.random.default_rng(seed).uniform(-1.2, 1.2, (2_000, 1)) * lsb_uv * 2**11
    artefact = Adc(lsb_uv=lsb_uv, bits=bits)
    out, _ = begin(artefact, RATE_HZ, 1).step(samples, 0)
    codes = out / lsb_uv
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-6)
    assert codes.min() >= -(2 ** (bits - 1)) - 1e-6
    assert codes.max() <= 2 ** (bits - 1) - 1 + 1e-6
    inside = np.abs(samples) < lsb_uv * (2 ** (bits - 1) - 1)
    assert np.abs(out - samples)[inside].max() <= lsb_uv / 2 * (1 + 1e-9)


def test_quantisation_noise_is_a_step_over_root_twelve(made) -> None:
    """For a signal of many steps, +-2 %."""
    samples = np.random.default_rng(1).normal(0, 20, 50_000)
    out, _ = made(Adc(lsb_uv=0.3), RATE_HZ, samples_uv=samples)
    assert (out - samples).std() == pytest.approx(0.3 / 12**0.5, rel=0.02)


def test_the_converter_tells_where_it_clipped(made) -> None:
    """Beyond the last code the samples clip, and an event says so."""
    samples = np.zeros(1_000)
    samples[400:410] = 1e5
    out, events = made(Adc(lsb_uv=0.1, bits=16), RATE_HZ, samples_uv=samples)
    assert out.max() == pytest.approx(3276.7)
    assert [(e.kind, e.onset_s) for e in events] == [("artefact.adc", 0.04)]
    assert events[0].offset_s == pytest.approx(0.041)


def test_an_overload_that_goes_on_in_the_next_block_is_one_event() -> None:
    """A spike at the end of one block and one in the next, within the recovery: one event."""
    stage = begin(Saturation(recovery_ms=50.0), RATE_HZ, 1)
    block = np.zeros((100, 1))
    block[50] = 9_000.0
    told = [event for k in range(20) for event in stage.step(block * (k < 4), 100 * k)[1]]
    assert [event.onset_s for event in told] == [0.005]
    assert told[0].offset_s == pytest.approx(0.035 + 0.05)
    assert stage.finish() == ()
