"""Analogue networks driven by a staircase: against closed forms, and in any slicing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from emgsim.plant.analog import (
    LineState,
    Network,
    advance,
    butterworth,
    modes,
    settled,
)

PERIOD_S = 1e-3


def rc(corner_hz: float) -> Network:
    """Return a first-order low-pass."""
    w = 2 * np.pi * corner_hz
    return Network(poles=(-w,), gain=w)


def test_a_step_charges_an_rc_as_the_textbook_says() -> None:
    """1 - exp(-t / tau) after a step, tau 5 ms, read between and on the steps."""
    line = modes(Network(poles=(-200.0,), gain=200.0))
    times_s = np.array([0.0, 0.3e-3, 1e-3, 4.2e-3, 9.9e-3])
    _, output = advance(line, settled(line, 0.0), np.ones(10), PERIOD_S, times_s)
    np.testing.assert_allclose(output, 1 - np.exp(-200 * times_s), atol=1e-14)


def test_two_steps_add_up() -> None:
    """One volt for one period: charge, then decay; by pencil at 2 ms and 3 ms."""
    line = modes(Network(poles=(-1000.0,), gain=1000.0))
    held = np.array([1.0, 0.0, 0.0, 0.0])
    _, output = advance(line, settled(line, 0.0), held, PERIOD_S, np.array([2e-3, 3e-3]))
    top = 1 - np.exp(-1)
    np.testing.assert_allclose(output, [top * np.exp(-1), top * np.exp(-2)], atol=1e-14)


def test_a_high_pass_passes_the_step_and_forgets_it() -> None:
    """A zero at the origin: feedthrough 1, then exp(-t / tau)."""
    line = modes(Network(zeros=(0.0,), poles=(-100.0,)))
    times_s = np.array([0.0, 2.5e-3, 7e-3])
    _, output = advance(line, settled(line, 0.0), np.ones(8), PERIOD_S, times_s)
    np.testing.assert_allclose(output, np.exp(-100 * times_s), atol=1e-14)


def test_a_plain_gain_is_the_staircase_itself() -> None:
    """Without poles the output is the held value times the gain."""
    line = modes(Network(gain=0.5))
    held = np.array([1.0, -2.0, 3.0])
    _, output = advance(line, settled(line, 0.0), held, PERIOD_S, np.array([0.5, 1.5, 2.5]) * 1e-3)
    assert output.tolist() == [0.5, -1.0, 1.5]


@pytest.mark.parametrize("kind", ["lowpass", "highpass"])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 8])
def test_the_response_to_any_staircase_is_that_of_scipy(order: int, kind: str) -> None:
    """Against scipy's state space with the hold made exact by `cont2discrete`."""
    network = butterworth(order, 60.0, kind)
    rng = np.random.default_rng(order)
    held = rng.standard_normal(300)
    line = modes(network)
    _, output = advance(line, settled(line, 0.0), held, PERIOD_S, np.arange(300) * PERIOD_S)
    system = signal.zpk2ss(network.zeros, network.poles, network.gain)
    discrete = signal.cont2discrete(system, PERIOD_S, method="zoh")
    _, expected, _ = signal.dlsim(discrete, held)
    np.testing.assert_allclose(output, expected[:, 0], atol=1e-7)


@pytest.mark.parametrize("level", [-3.0, 0.7])
def test_a_settled_line_stays_where_it_is(level: float) -> None:
    """Its input has always been the level, so the output is level times the gain at 0 Hz."""
    line = modes(butterworth(4, 200.0, "lowpass"))
    _, output = advance(
        line, settled(line, level), np.full(20, level), PERIOD_S, np.linspace(0, 19e-3, 50)
    )
    np.testing.assert_allclose(output, level, rtol=1e-12)


@st.composite
def driven(draw: st.DrawFn) -> tuple[Network, np.ndarray, np.ndarray, list[int]]:
    """Draw a network, its staircase, reading instants, and the steps at which to cut."""
    low = butterworth(draw(st.integers(1, 6)), draw(st.floats(20.0, 450.0)), "lowpass")
    high = butterworth(draw(st.integers(1, 3)), draw(st.floats(0.5, 15.0)), "highpass")
    network = draw(st.sampled_from([low, high, high @ low]))
    n = draw(st.integers(2, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    times_s = np.sort(rng.uniform(0, n * PERIOD_S, draw(st.integers(0, 80))))
    cuts = draw(st.lists(st.integers(1, n - 1), max_size=6, unique=True))
    return network, rng.standard_normal(n), times_s, sorted(cuts)


@given(drive=driven(), first_step=st.integers(-1000, 1000))
@settings(max_examples=150, deadline=None)
def test_any_block_split_gives_the_same_output(
    drive: tuple[Network, np.ndarray, np.ndarray, list[int]], first_step: int
) -> None:
    """Cut anywhere, even with blocks that nobody reads: the state carries everything."""
    network, held, times_s, cuts = drive
    line = modes(network)
    times_s = times_s + first_step * PERIOD_S
    # Reading instants belong to a step as `advance` counts it.
    step_of = np.floor(times_s / PERIOD_S).astype(int) - first_step
    keep = (step_of >= 0) & (step_of < held.size)
    times_s, step_of = times_s[keep], step_of[keep]
    whole_state, whole = advance(line, settled(line, 0.3, first_step), held, PERIOD_S, times_s)
    state: LineState = settled(line, 0.3, first_step)
    parts = []
    begin = 0
    for end in [*cuts, held.size]:
        here = (step_of >= begin) & (step_of < end) if begin else step_of < end
        # The last held step of a call is the first of the next one.
        block = held[state.step - first_step : end]
        state, output = advance(line, state, block, PERIOD_S, times_s[here])
        parts.append(output)
        begin = end
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-9)
    assert state.step == whole_state.step
    np.testing.assert_allclose(state.x, whole_state.x, rtol=1e-9, atol=1e-12)


@given(corner_hz=st.floats(1.0, 1e4), order=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_the_corner_of_a_butterworth_is_at_minus_3_db(corner_hz: float, order: int) -> None:
    """|H| is 1 / sqrt 2 at the corner, and falls with 20 dB per decade and order."""
    corner = np.array([corner_hz, 100 * corner_hz])
    low = np.abs(butterworth(order, corner_hz, "lowpass").response(corner))
    assert low[0] == pytest.approx(np.sqrt(0.5))
    assert low[1] == pytest.approx(100.0**-order, rel=1e-3)
    high = np.abs(butterworth(order, corner_hz, "highpass").response(corner))
    assert high[0] == pytest.approx(np.sqrt(0.5))
    assert high[1] == pytest.approx(1.0, rel=1e-3)


def test_networks_in_series_multiply() -> None:
    """The response of the chain is the product of the responses."""
    f = np.array([0.0, 3.0, 70.0, 2e3])
    a, b = rc(50.0), butterworth(3, 5.0, "highpass")
    np.testing.assert_allclose((a @ b).response(f), a.response(f) * b.response(f), atol=1e-15)


def test_partial_fractions_add_up_to_the_network() -> None:
    """Feedthrough plus residues over (s - pole), pairs counted twice, give H(s) back."""
    network = butterworth(2, 10.0, "highpass") @ butterworth(5, 300.0, "lowpass") @ Network(gain=3)
    split = modes(network)
    f = np.array([1.0, 10.0, 99.0, 700.0])
    s = 2j * np.pi * f[:, None]
    pairs = np.abs(split.poles.imag) > 0
    whole = np.sum(split.residues / 2 / (s - split.poles), axis=1) + np.sum(
        np.conj(split.residues) / 2 / (s - np.conj(split.poles)), axis=1
    )
    assert pairs.any()
    np.testing.assert_allclose(whole + split.feedthrough, network.response(f), rtol=1e-9)


def test_two_equal_poles_are_refused() -> None:
    """Partial fractions would divide by zero; the message names the rule."""
    with pytest.raises(ValueError, match="poles must be distinct"):
        modes(rc(50.0) @ rc(50.0))


def test_more_zeros_than_poles_are_refused() -> None:
    """A differentiator has no state to hold; the message counts the zeros."""
    with pytest.raises(ValueError, match="2 zeros need at least as many poles"):
        modes(Network(zeros=(0.0, 0.0), poles=(-1.0,)))


def test_reading_outside_the_held_steps_is_refused() -> None:
    """The message names the instants and how many steps there are."""
    line = modes(rc(50.0))
    with pytest.raises(ValueError, match=r"times 0\.005\.\.0\.02 s lie outside the 10 held steps"):
        advance(line, settled(line, 0.0), np.zeros(10), PERIOD_S, np.array([0.005, 0.020]))
