"""What leaves the generator's filter: an upper bound, and a close one, against the plant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.bench import overshoot
from emgsim.bench.overshoot import CURVATURE, L1_NORM, peak_after_filter_v, step_response
from emgsim.plant.analog import advance, modes, settled
from emgsim.plant.physics import SourcePhysics

RATE_HZ = 40_000.0
FILTERED = ("NORM", "STEP")


def impulse_response(filter_kind: str, order: int) -> tuple[np.ndarray, float]:
    """Return a derivative of the impulse response over 80 points, and the spacing."""
    split = modes(SourcePhysics().reconstruction(filter_kind, 1.0))
    t, dt = np.linspace(0, 80, 800_001, retstep=True)
    weight = split.residues * split.poles**order
    return sum((w * np.exp(p * t)).real for w, p in zip(weight, split.poles, strict=True)), dt


def staircase_peak(volts: np.ndarray, filter_kind: str, *, off_after: int | None = None) -> float:
    """Return the peak that the plant's own network makes, at 400 instants per point."""
    line = modes(SourcePhysics().reconstruction(filter_kind, RATE_HZ))
    played = np.concatenate([np.full(100, volts[0]), volts, np.full(100, volts[0])])
    if off_after is not None:
        played[100 + off_after :] = 0.0
    at_s = (np.arange(400 * played.size) + 0.5) / 400 / RATE_HZ
    _, out = advance(line, settled(line, volts[0]), played, 1 / RATE_HZ, at_s)
    return float(np.abs(out).max())


@pytest.mark.parametrize("filter_kind", FILTERED)
def test_the_constants_are_the_integrals_that_they_are_said_to_be(filter_kind: str) -> None:
    """L1 norm of the impulse response and of its second derivative, from the plant's network."""
    for order, table in ((0, L1_NORM), (2, CURVATURE)):
        h, dt = impulse_response(filter_kind, order)
        assert np.trapezoid(np.abs(h), dx=dt) == pytest.approx(table[filter_kind], rel=2e-5)
        assert np.trapezoid(np.abs(h), dx=dt) <= table[filter_kind]


@pytest.mark.parametrize("filter_kind", FILTERED)
def test_the_step_response_is_that_of_the_plant(filter_kind: str) -> None:
    """The integral of the plant's impulse response, at any time after the step."""
    h, dt = impulse_response(filter_kind, 0)
    summed = np.concatenate([[0.0], np.cumsum((h[1:] + h[:-1]) / 2) * dt])
    at = np.array([-1.0, 0.0, 0.5, 1.0, 3.25, 40.0])
    expected = [0.0, *summed[np.rint(at[1:] / dt).astype(int)]]
    np.testing.assert_allclose(step_response(filter_kind, at), expected, atol=1e-6)


def test_a_step_overshoots_as_the_textbook_says() -> None:
    """A Butterworth's step overshoots by 12.78 % (order 5) and 8.15 % (order 3)."""
    step = np.concatenate([np.zeros(100), np.ones(100)])
    assert peak_after_filter_v(step, "NORM", RATE_HZ, 1.0) == pytest.approx(1.1278, abs=5e-4)
    assert peak_after_filter_v(step, "STEP", RATE_HZ, 1.0) == pytest.approx(1.0815, abs=5e-4)


def test_within_the_limit_the_rough_bound_is_enough() -> None:
    """Peak times the L1 norm, and the points themselves without a filter."""
    wave = np.array([0.0, 0.3, -0.5, 0.2])
    assert peak_after_filter_v(wave, "NORM", RATE_HZ, 0.7) == pytest.approx(0.5 * L1_NORM["NORM"])
    assert peak_after_filter_v(wave, "OFF", RATE_HZ, 0.1) == 0.5


def test_a_smooth_waveform_is_not_refused_for_what_it_does_not_do() -> None:
    """A sine of 1/40 of the rate comes out as large as it went in, within 0.1 %."""
    sine = np.sin(2 * np.pi * np.arange(4_000) / 40)
    assert peak_after_filter_v(sine, "NORM", RATE_HZ, 1.0) == pytest.approx(1.0, abs=2e-3)


def test_the_worst_waveform_comes_out_at_the_rough_bound() -> None:
    """The signs of the impulse response backwards, held finely enough, reach the L1 norm's sum."""
    taps = overshoot._taps("NORM")
    phase = int(np.argmax(np.abs(taps).sum(axis=0)))
    worst = np.concatenate([np.zeros(1), np.sign(taps[::-1, phase]), np.zeros(1)])
    found = peak_after_filter_v(worst, "NORM", RATE_HZ, 1.0)
    assert found == pytest.approx(np.abs(taps).sum(axis=0).max(), rel=1e-3)
    assert found <= L1_NORM["NORM"]


def test_a_waveform_that_is_repeated_rings_into_itself() -> None:
    """Four points, once and fifty times: what rings of one cycle meets the next one."""
    wave = np.array([0.0, -1.0, 1.0, 0.0])
    once, often = (peak_after_filter_v(wave, "NORM", RATE_HZ, 0.1, cycles=n) for n in (1, 50))
    assert once >= staircase_peak(wave, "NORM")
    assert often >= staircase_peak(np.tile(wave, 50), "NORM")
    assert often > 1.2 * once


WAVES = st.lists(st.floats(-1, 1), min_size=1, max_size=40).map(np.array)


@given(volts=WAVES, filter_kind=st.sampled_from(FILTERED), limit_v=st.floats(0.2, 1.5))
@settings(max_examples=150, deadline=None)
def test_no_playback_exceeds_the_bound(volts: np.ndarray, filter_kind: str, limit_v: float) -> None:
    """Whatever the points and the limit: the plant's own network stays below."""
    bound = peak_after_filter_v(volts, filter_kind, RATE_HZ, limit_v)
    assert staircase_peak(volts, filter_kind) <= bound * (1 + 1e-9) + 1e-12


@given(volts=WAVES, off_after=st.integers(0, 39))
@settings(max_examples=100, deadline=None)
def test_switching_off_in_mid_play_does_not_exceed_the_bound(
    volts: np.ndarray, off_after: int
) -> None:
    """What rings after the output went off at any point is in the bound."""
    bound = peak_after_filter_v(volts, "NORM", RATE_HZ, 0.2)
    assert staircase_peak(volts, "NORM", off_after=off_after) <= bound * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("volts", [np.zeros(0), np.array([1.0, np.nan]), np.zeros((2, 2))])
def test_points_that_are_none_are_refused(volts: np.ndarray) -> None:
    """Empty, not finite, not a row."""
    with pytest.raises(ValueError, match=r"volts: expected finite \(n_points,\)"):
        peak_after_filter_v(volts, "NORM", RATE_HZ, 1.0)


def test_settings_that_cannot_be_are_refused() -> None:
    """A rate of nothing plays nothing."""
    with pytest.raises(ValueError, match="rate_hz, limit_v and cycles must be above 0"):
        peak_after_filter_v(np.ones(3), "NORM", 0.0, 1.0)
