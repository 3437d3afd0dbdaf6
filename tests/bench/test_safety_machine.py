"""Whatever is done through the public API, in any order, the device never sees more than it may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from emgsim.bench.arming import Arm, Permit
from emgsim.bench.guarded_source import GuardedSource
from emgsim.bench.probing import probe
from emgsim.bench.rig import Rig, load_rig
from emgsim.errors import EmgsimError, SafetyError
from emgsim.instruments.base import Filter, SourceSettings
from emgsim.instruments.profiles import load_profile
from emgsim.plant.world import World

from .in_process import PlantDevice, PlantSource

Floats = NDArray[np.float64]
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OVERRIDES = [
    'kind="bench"', 'source.resource="A"', 'capture.resource="B"', 'device.resource="C"',
    "fixture.states.shorted.differential=0", "fixture.states.shorted.input_ohm=10010",
    "fixture.states.shorted.relays=[1]",
    "fixture.states.half.differential=0.0005", "fixture.states.half.input_ohm=10010",
    "fixture.states.half.relays=[2]",
    'fixture.states.half.certificate={id="H", issued=2026-01-01, due=2026-11-24, '
    "expanded_uncertainty=0.01}",
]
TRUE_STATES = {
    "shorted": {"differential": 0.0, "input_ohm": 10_010.0, "relays": [1]},
    "half": {"differential": 0.0005, "input_ohm": 10_010.0, "relays": [2]},
}
RELAYS = {"through": frozenset[int](), "shorted": frozenset({1}), "half": frozenset({2})}
RIG: Rig = load_rig("virtual", overrides=OVERRIDES)
PROFILE = load_profile("na1")
WORD = Arm(rig=RIG.id, rig_sha256="", by="P", device_serial="SIM-0001", statement="",
           since=NOON, until=NOON + timedelta(hours=8))


def plant(seed: int = 1) -> World:
    """Return a plant whose fixture truly has the states that the rig declares."""
    physics = RIG.virtual
    assert physics is not None
    table = physics.model_dump()
    table["fixture"] |= {"states": TRUE_STATES, "clamp_v": 0.45}
    return World(type(physics).model_validate(table), seed)


def wave(
    peak_v: float, offset_v: float, shape: str, filter: Filter, rate_hz: float, cycles: int
) -> tuple[Floats, SourceSettings]:
    """Return points and settings of a playback, most of which nobody should ever make."""
    n = np.arange(400)
    volts = peak_v * {
        "square": np.sign(np.sin(n / 9)), "alternating": (-1.0) ** n, "step": 1.0 * (n > 200),
        "noise": np.random.default_rng(7).uniform(-1, 1, n.size),
        "needle": np.exp(-((n - 200.0) ** 2) / 8),
    }[shape]
    return volts, SourceSettings(
        rate_hz=rate_hz, vpp_open_v=2 * peak_v, offset_open_v=offset_v, cycles=cycles, filter=filter
    )


# Most of a size that is harmless, through the divider or without it: nothing else is ever played.
PEAKS_V = st.one_of(st.floats(1, 8), st.floats(1e-3, 7e-3), st.floats(1e-4, 12))
WAVES = st.builds(
    wave, PEAKS_V, st.sampled_from([0.0, 0.0, 0.001, -3.0]),
    st.sampled_from(["square", "alternating", "step", "noise", "needle"]),
    st.sampled_from(["NORM", "STEP", "OFF"]), st.sampled_from([1e4, 1e5, 2e6]),
    st.sampled_from([1, 3, 1000, 10**9]),
)


class Bench(RuleBasedStateMachine):
    """Somebody who tries everything: any waveform, any order, any hour, and the divider out."""

    def __init__(self) -> None:
        super().__init__()
        self.world = plant()
        self.device = PlantDevice(self.world)
        self.minutes = 0.0
        self._new_run()

    def _new_run(self) -> None:
        self.source = PlantSource(self.world)
        self.guarded = GuardedSource(
            self.source, RIG, Permit("armed", WORD),
            now=lambda: NOON + timedelta(minutes=self.minutes),
        )
        self.is_safe = False
        self.world.set_relays(RELAYS["through"])

    def _tried(self, step) -> None:
        """Do what may be refused; after the safe state it must be, if it energises."""
        try:
            step()
        except EmgsimError:
            return
        assert not (self.is_safe and self.world.generator.settings.output_on)

    @rule()
    def begin_a_new_run(self) -> None:
        """End what is left of the last run; nothing is verified any more."""
        self.guarded.safe()
        self._new_run()

    @rule(wave=WAVES)
    def load(self, wave) -> None:
        """Load any waveform."""
        self._tried(lambda: self.guarded.load(*wave))

    @rule(wave=WAVES, blocks=st.integers(1, 4))
    def play(self, wave, blocks) -> None:
        """Do all that it takes, as far as it is let."""
        self.load(wave)
        self.energise()
        self.trigger()
        self.wait(blocks)

    @rule()
    def energise(self) -> None:
        """Switch on, if it is let."""
        self._tried(self.guarded.energise)

    @rule()
    def trigger(self) -> None:
        """Trigger, if it is let."""
        self._tried(self.guarded.trigger)

    @rule(blocks=st.integers(1, 4))
    def wait(self, blocks) -> None:
        """Let simulated time pass."""
        self.world.advance(blocks * self.world.block_s)

    @rule()
    def switch_off(self) -> None:
        """Switch off for a while."""
        self.guarded.off()
        assert not self.world.generator.settings.output_on

    @rule()
    def make_safe(self) -> None:
        """Go into the safe state."""
        self.guarded.safe()
        self.is_safe = True
        assert not self.world.generator.settings.output_on

    @rule(wave=WAVES)
    def wake_late(self, wave) -> None:
        """Go on with what was loaded before the safe state, as a thread that was hung does."""
        self.load(wave)
        self.make_safe()
        self.energise()
        self.trigger()
        self.wait(1)

    @rule()
    def leave(self) -> None:
        """Leave the context."""
        with self.guarded:
            pass
        self.is_safe = True
        assert not self.world.generator.settings.output_on

    @rule(state=st.sampled_from(sorted(RELAYS)))
    def change_the_fixture(self, state) -> None:
        """Let relays switch when the source agrees; it never does while it is on."""
        try:
            self.guarded.goes_through(state)
        except SafetyError:
            assert self.guarded.is_on
        else:
            self.world.set_relays(RELAYS[state])

    @rule()
    def prove_the_fixture(self) -> None:
        """Probe the fixture, if it is let."""
        self._tried(lambda: probe(self.guarded, self.device, PROFILE))

    @precondition(lambda self: not self.guarded.is_on and not self.guarded.is_verified)
    @rule()
    def take_the_divider_out(self) -> None:
        """Before a probe, as a removed one in mid-play cannot be survived, only ended soon."""
        self.world.remove_divider()

    @rule(minutes=st.sampled_from([1.0, 30.0, 1440.0, 2880.0]))
    def let_the_wall_clock_run(self, minutes) -> None:
        """Words and certificates expire."""
        self.minutes += minutes

    @invariant()
    def the_device_sees_no_more_than_it_may(self) -> None:
        """Both limits hold at the terminals."""
        assert 1e3 * self.world.terminal_peak_v <= RIG.limits.device_differential_mv_pk
        assert self.world.terminal_common_peak_v <= RIG.limits.device_common_mode_v_pk

    @invariant()
    def an_output_that_is_on_is_known_to_be(self) -> None:
        """The source never takes an output for off that is on."""
        assert self.guarded.is_on or not self.world.generator.settings.output_on

    @invariant()
    def nothing_is_on_after_the_safe_state(self) -> None:
        """Safe is safe."""
        assert not (self.is_safe and self.world.generator.settings.output_on)

    def teardown(self) -> None:
        """End the last run."""
        self.guarded.safe()


Bench.TestCase.settings = settings(
    max_examples=200, stateful_step_count=50, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.slow
class TestTenThousandSteps(Bench.TestCase):  # type: ignore[name-defined,misc]
    """200 lives of up to 50 steps each."""
