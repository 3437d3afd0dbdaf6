"""What a device hears that nobody plays: noise of its input, of impedances and of an open lead."""

from __future__ import annotations

import numpy as np

from emgsim.johnson import johnson_density_v2_hz
from emgsim.plant.analog import Floats, Network
from emgsim.plant.chance import Chance
from emgsim.plant.lines import Noise
from emgsim.plant.physics import RigPhysics, StatePhysics
from emgsim.plant.signal_faults import SignalFaults

STEPS = 4  # of noise per device sample: the staircase's droop at 10 kHz is 0.04 dB


class Unplayed:
    """The noise from one trigger on, on a grid of its own, and what is added to it.

    Parameters
    ----------
    physics
        How large everything is.
    faults
        Mains and a broken lead are heard this way, too.
    chance
        Of which generator and trigger the noise is.
    sample_s
        True time from one sample of the device to the next.
    """

    def __init__(
        self, physics: RigPhysics, faults: SignalFaults, chance: Chance, sample_s: float
    ) -> None:
        self._physics, self._faults, self._burst = physics, faults, chance.burst
        self._period_s = sample_s / STEPS
        self._input = Noise(chance.stream("amplifier noise"))
        self._series = Noise(chance.stream("series impedance noise"))
        self._open = Noise(chance.stream("open input noise"))
        self._offset_v = 0.0

    def wire(self, state: StatePhysics, before_v: float) -> None:
        """Say in which state the fixture is, and which direct voltage there was before."""
        p, period_s = self._physics, self._period_s
        amplifier = p.amplifier_network
        self._offset_v = p.offset_v_in(state)
        device = p.input_network_in(state) @ amplifier
        self._input.wire(device, p.noise_density_in(state), period_s, before_v)
        self._has_series = state.series_ohm > 0 and state.series_nf > 0
        if self._has_series:
            corner = 1 / (state.series_ohm * state.series_nf * 1e-9)
            shape = Network((), (-corner,), corner)  # R parallel to C
            density = johnson_density_v2_hz(state.series_ohm, p.fixture.temperature_k)
            self._series.wire(shape @ amplifier, density, period_s, 0.0)
        if self._faults.broken_lead is not None:
            self._open.wire(
                p.open_input_network @ amplifier, p.open_input_density_v2_hz, period_s, 0.0
            )

    def warm_up(self, n_samples: int) -> None:
        """Let the device hear so many of its samples before the first one."""
        self._input.warm_up(STEPS * n_samples, self._offset_v)
        if self._has_series:
            self._series.warm_up(STEPS * n_samples, 0.0)
        if self._faults.broken_lead is not None:
            self._open.warm_up(STEPS * n_samples, 0.0)

    def hear(self, first_sample: int, n_samples: int, times_s: Floats, start_s: float) -> Floats:
        """Return the volts behind the device's filters at times in the next samples.

        Parameters
        ----------
        first_sample, n_samples
            Which samples come next, counted from the block of the trigger.
        times_s
            On the device's clock, shape ``(n,)``.
        start_s
            When the playback's first point comes on it.
        """
        first, n_steps = STEPS * first_sample, STEPS * n_samples
        at_s = np.asarray((first + np.arange(n_steps)) * self._period_s) - start_s
        level_v = self._offset_v + self._faults.hum_v(self._burst, at_s)
        heard_v = self._input.hear(n_steps, level_v, first, times_s)
        if (lead := self._faults.broken_lead) is not None:
            open_v = self._open.hear(n_steps, 0.0, first, times_s)
            heard_v = heard_v + lead.acts(self._burst, times_s - start_s) * open_v
        if self._has_series:
            heard_v = heard_v + self._series.hear(n_steps, 0.0, first, times_s)
        return heard_v
