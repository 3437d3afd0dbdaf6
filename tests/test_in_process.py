"""The plant as a bench in process: it plays what a station would, and refuses what one would."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from emgsim.bench.rig import load_rig
from emgsim.errors import SafetyError, UsageError
from emgsim.estimators import fit_sine
from emgsim.in_process import BEFORE_S, ON_S, TAIL_S, InProcess, generator_codes
from emgsim.instruments.base import SourceCaps
from emgsim.metrology.stimulus import Stimulus, laid_out, sine
from emgsim.plant.signal_faults import ClockStep, SignalFaults
from emgsim.plant.world import World
from emgsim.running.declaring import setup_of

RIG = load_rig("virtual-metrology")
GENERATOR = SourceCaps(
    code_bits=16, max_points=16_000_000, min_points=8, max_rate_hz=250e6, max_vpp_open_v=20.0,
    channels=2, output_ohm=50.0,
)  # fmt: skip
SETUP = setup_of(RIG, GENERATOR, date(2026, 6, 1))


def bench(faults: SignalFaults | None = None) -> InProcess:
    """Return the virtual rig for the tests of an amplifier."""
    assert RIG.virtual is not None
    return InProcess(SETUP, RIG.virtual, 5, faults)


def stimulus(state: str, amplitude_uv: float = 2_000.0, *, has_marker: bool = True) -> Stimulus:
    """Return 0.4 s of a sine of 200 Hz."""
    rate_hz = SETUP.play_rate_hz
    parts = [("sine", sine(rate_hz, 200.0, amplitude_uv, 0.4, 0.02), {"amplitude_uv": 1.0})]
    return laid_out(
        f"test.{state}", state, rate_hz, parts, corner_hz=10_000.0, has_marker=has_marker
    )


def test_what_comes_back_is_what_a_world_says_that_is_driven_by_hand() -> None:
    """Code by code, in the first playback and, with other noise, in the second."""
    played, tested = stimulus("direct"), bench()
    assert RIG.virtual is not None
    world = World(RIG.virtual, 5)
    world.advance(ON_S)
    codes, settings = generator_codes(played, SETUP.states["direct"], SETUP)
    seen = []
    for _ in range(2):
        world.set_relays(RIG.virtual.fixture.states["direct"].relays)
        world.generator.set_waveform(codes)
        world.generator.apply(settings)
        world.amplifier.start()
        world.advance(BEFORE_S)
        world.generator.trigger()
        world.advance(played.duration_s + TAIL_S)
        expected_uv = world.amplifier.take() * SETUP.device.scales_uv_per_count
        world.amplifier.stop()
        world.generator.apply(type(settings)())
        seen.append(tested.play(played).uv)
        np.testing.assert_array_equal(seen[-1], expected_uv)
    assert not np.array_equal(*seen)


@pytest.mark.parametrize("state", ["through", "direct", "only_1", "offset_plus", "overload"])
def test_a_sine_comes_back_with_its_amplitude_at_its_time(state: str) -> None:
    """2 mV at the input of the first channel within a per cent, 20 mV where that is overloaded."""
    played = stimulus(state)
    acquired = bench().play(played)
    times_s, uv = acquired.within(played.segments[0], 0.06)
    fit = fit_sine(times_s, uv[:, 0], 200.0)
    assert fit.amplitude == pytest.approx(2_000.0, rel=0.01)
    late_s = -(fit.phase_rad + np.pi / 2) / (2 * np.pi * 200.0)
    assert abs(late_s) < 3e-4  # the filters' delay at 200 Hz, and half a sample of the marker


def test_without_a_marker_nobody_knows_when_it_began() -> None:
    """Both inputs are driven by 2 V, of which a device that rejects 100 dB hears little."""
    played = stimulus("node_drive", 2e6, has_marker=False)
    acquired = bench().play(played)
    assert np.isnan(acquired.begins_s)
    assert 1.0 < acquired.uv.std(axis=0).max() < 50.0
    assert acquired.uv.shape[0] / acquired.rate_hz - played.duration_s < 0.5


def test_listening_lasts_as_long_as_asked_and_begins_settled() -> None:
    """From 300 mV at the input to a short: nothing of that step is left."""
    tested = bench()
    tested.play(stimulus("offset_plus"))
    acquired = tested.listen("shorted", 0.5)
    assert acquired.stimulus is None
    assert acquired.uv.shape[1] == 4
    assert acquired.uv.shape[0] / acquired.rate_hz == pytest.approx(0.5, abs=0.011)
    assert np.abs(acquired.uv.mean(axis=0) - 2.5).max() < 0.5


def test_states_change_while_the_device_is_recorded() -> None:
    """The bias current of 0.4 nA comes as a step of 400 uV at the instant that is told."""
    acquired = bench().change(("shorted", "shorted_1m", "shorted"), 0.4)
    assert acquired.state == "shorted"
    assert len(acquired.changed_s) == 2
    for at_s, sign in zip(acquired.changed_s, (1, -1), strict=True):
        first = round(at_s * acquired.rate_hz)
        assert np.abs(acquired.uv[first - 480 : first, 0].mean() - 2.5) < 5
        assert sign * acquired.uv[first + 24 : first + 96, 0].mean() > 300


def test_faults_act_in_process_too() -> None:
    """Two hundred samples that are not taken leave the second playback shorter."""
    step = ClockStep(samples=200, playback=2, at_s=0.3)
    tested = bench(SignalFaults(clock_step=step))
    sizes = [tested.play(stimulus("direct")).uv.shape[0] for _ in range(2)]
    assert sizes[0] - sizes[1] == 200


@pytest.mark.parametrize(
    ("state", "amplitude_uv", "error", "message"),
    [
        ("direct", 24_000.0, SafetyError, "would reach 2.4e[+]04 uV"),
        ("shorted", 100.0, UsageError, "nothing of the source is heard in state shorted"),
        ("open", 100.0, UsageError, "the fixture has no state 'open'; it has through, direct"),
    ],
)
def test_what_may_not_be_played_is_refused(
    state: str, amplitude_uv: float, error: type[Exception], message: str
) -> None:
    """By the limits of the rig, and by what the fixture is."""
    with pytest.raises(error, match=message):
        bench().play(stimulus(state, amplitude_uv))


def test_a_swing_beyond_the_generator_is_refused() -> None:
    """Whatever the state allows."""
    wide = replace(SETUP.states["direct"], largest_uv=1e6)
    with pytest.raises(SafetyError, match="more than its 20 Vpp"):
        generator_codes(stimulus("direct", 30_000.0), wide, SETUP)
