"""The plant as a bench in process: what a test plays goes to a simulated rig without any wire.

A thousand random amplifiers are measured so in the time in which a wire brings one. Points, codes
and states are those that the station behind its wires makes; what is missing is the oscilloscope
and whoever watches over the rig.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.levels import HEADROOM, SMALLEST_VPP_V
from emgsim.bench.program import source_points
from emgsim.errors import SafetyError, UsageError
from emgsim.instruments.generator_waveforms import coded
from emgsim.metrology.acquisition import Acquired, placed
from emgsim.metrology.setup import Setup, State
from emgsim.metrology.stimulus import Stimulus
from emgsim.plant.parts import FULL_SCALE_CODE
from emgsim.plant.physics import RigPhysics
from emgsim.plant.signal_faults import SignalFaults
from emgsim.plant.world import GeneratorSettings, World

Floats = NDArray[np.float64]

THROUGH = "through"  # all relays off
ON_S = 0.05  # for which the rig has been on
BEFORE_S = 0.02  # streamed before the trigger
TAIL_S = 0.05  # and after the playback; a stimulus ends with silence
SETTLED = 14.0  # time constants of a high-pass: of a step of 300 mV less than a microvolt is left
SETTLE_S = (0.1, 1.5)  # at least, at most, after a change of the fixture


class InProcess:
    """Play, listen and change states on a `World` that nobody else holds.

    Parameters
    ----------
    setup
        What is declared of it.
    physics
        What it truly is. Its fixture has every state of the setup but ``through`` by name.
    seed
        Of noise and converter phases.
    faults
        What goes wrong on the signal's way.
    """

    def __init__(
        self, setup: Setup, physics: RigPhysics, seed: int, faults: SignalFaults | None = None
    ) -> None:
        self._setup = setup
        self.world = World(physics, seed, faults)
        self.world.advance(ON_S)

    @property
    def setup(self) -> Setup:
        """What is declared of it."""
        return self._setup

    def play(self, stimulus: Stimulus) -> Acquired:
        """Bring the fixture into the state, play once, and return what the device sent.

        Raises
        ------
        SafetyError
            If the state or the generator does not allow that much.
        UsageError
            If nothing of the source is heard in the state.
        NotAnalysableError
            If the stimulus has a marker, and it is not in what came back.
        """
        world, state = self.world, self._state(stimulus.state)
        codes, settings = generator_codes(stimulus, state, self._setup)
        self._bring(state.name)
        world.generator.set_waveform(codes)
        world.generator.apply(settings)
        world.amplifier.start()
        world.advance(BEFORE_S)
        world.generator.trigger()
        world.advance(codes.size / settings.rate_hz + TAIL_S)
        world.generator.apply(GeneratorSettings())
        return placed(stimulus, state.name, self._taken(), self._setup.device.rate_hz)

    def listen(self, state: str, duration_s: float) -> Acquired:
        """Bring the fixture into a state and return what the device sends by itself."""
        return self.change((state,), duration_s)

    def change(self, states: Sequence[str], dwell_s: float) -> Acquired:
        """Record while the fixture goes from state to state, in each for so long.

        In the first of them the device has settled before.
        """
        world, changed = self.world, []
        if self._bring(states[0]):
            world.advance(self._settle_s)
        begun_s = world.now_s
        world.amplifier.start()
        world.advance(dwell_s)
        for state in states[1:]:
            changed.append(world.now_s - begun_s)
            self._bring(state)
            world.advance(dwell_s)
        rate_hz, name = self._setup.device.rate_hz, states[-1]
        return placed(None, name, self._taken(), rate_hz, tuple(changed))

    def _state(self, name: str) -> State:
        if name in self._setup.states:
            return self._setup.states[name]
        raise UsageError(
            f"the fixture has no state {name!r}; it has {', '.join(self._setup.states)}",
            todo="leave out the tests that need it, or add the state",
        )

    def _bring(self, state: str) -> bool:
        """Switch the relays, and tell whether they were set otherwise."""
        self._state(state)
        before, relays = self.world.state, frozenset[int]()
        if state != THROUGH:
            relays = self.world.physics.fixture.states[state].relays
        self.world.set_relays(relays)
        return self.world.state != before

    @property
    def _settle_s(self) -> float:
        """How long the device needs after a change of the fixture, by its declared high-pass."""
        low_hz = self._setup.device.band_hz[0]
        settle_s = SETTLED / (2 * np.pi * low_hz) if low_hz else 0.0
        return float(np.clip(settle_s, *SETTLE_S))

    def _taken(self) -> Floats:
        """Return what the device has sent, microvolts, shape ``(n, n_channels)``, and stop it."""
        codes = self.world.amplifier.take()
        self.world.amplifier.stop()
        return np.asarray(codes * self._setup.device.scales_uv_per_count)


def generator_codes(
    stimulus: Stimulus, state: State, setup: Setup
) -> tuple[NDArray[np.int16], GeneratorSettings]:
    """Return a stimulus as the generator's codes and settings, by what is declared.

    Raises
    ------
    SafetyError
        If the state or the generator does not allow that much.
    UsageError
        If nothing of the source is heard in the state.
    """
    if state.is_silent:
        raise UsageError(
            f"stimulus {stimulus.name}: nothing of the source is heard in state {state.name}",
            todo="listen to the state instead of playing in it",
        )
    if stimulus.peak_uv > state.largest_uv:
        raise SafetyError(
            f"stimulus {stimulus.name} would reach {stimulus.peak_uv:.4g} uV at the device, more "
            f"than the {state.largest_uv:g} uV of state {state.name}",
            todo="lower its amplitude; nothing was played",
        )
    transfer = (state.differential or state.common) * state.load_factor
    volts = source_points(stimulus.uv, stimulus.rate_hz, stimulus.rate_hz) * (1e-6 / transfer)
    peak_v = max(float(volts.max()), -float(volts.min()))
    vpp_v = max(SMALLEST_VPP_V, float(f"{2 * peak_v * HEADROOM:.4g}"))
    if vpp_v > setup.source.max_vpp_open_v:
        raise SafetyError(
            f"stimulus {stimulus.name} needs {vpp_v:.4g} Vpp of the source, more than its "
            f"{setup.source.max_vpp_open_v:g} Vpp",
            todo=f"lower its amplitude in state {state.name}; nothing was played",
        )
    codes, _ = coded(volts, vpp_v / 2, -FULL_SCALE_CODE, FULL_SCALE_CODE)
    settings = GeneratorSettings(rate_hz=stimulus.rate_hz, vpp_open_v=vpp_v, output_on=True)
    return codes.astype(np.int16), settings
