"""How large everything on the virtual rig is: the ``[virtual]`` table of a rig file.

These are the *true* values of the simulated hardware. What a device claims about itself stands in
its profile under ``rigs/devices``; the difference is what the bench is there to find.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from emgsim.johnson import johnson_density_v2_hz
from emgsim.plant.analog import Network, butterworth

DECLARED_BAND_HZ = 10_000.0  # in which the noise figures below are given


class Physics(BaseModel):
    """Base of the physics models: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SourcePhysics(Physics):
    """The arbitrary waveform generator."""

    clock_ppm: float = Field(3.0, ge=-500, le=500)  # of its sample clock
    output_ohm: float = Field(50.0, gt=0)
    noise_mv_rms: float = Field(0.2, ge=0)  # at its output, open circuit, 10 kHz band
    trigger_latency_s: float = Field(1.3e-3, ge=0, le=0.1)  # from *TRG to the first point

    def reconstruction(self, kind: Literal["NORM", "STEP", "OFF"], rate_hz: float) -> Network:
        """Return the output filter: corner at 27 % (NORM) or 13 % (STEP) of the sample rate."""
        if kind == "OFF":
            return Network()
        return butterworth(
            *((5, 0.27 * rate_hz) if kind == "NORM" else (3, 0.13 * rate_hz)), kind="lowpass"
        )


class FixturePhysics(Physics):
    """The divider: a series resistor and a shunt across which the device listens."""

    series_ohm: float = Field(10_000.0, gt=0)
    shunt_ohm: float = Field(10.0, gt=0)
    temperature_k: float = Field(295.0, gt=0)

    @property
    def input_ohm(self) -> float:
        """Load that the generator sees."""
        return self.series_ohm + self.shunt_ohm

    @property
    def ratio(self) -> float:
        """Output over input voltage."""
        return self.shunt_ohm / self.input_ohm


class ElectrodePhysics(Physics):
    """A needle's impedance in series with the device's input (physiology D: 12 kohm, 14 nF)."""

    r_ohm: float = Field(12_000.0, ge=0)
    c_nf: float = Field(14.0, gt=0)


class AmplifierPhysics(Physics):
    """The needle amplifier under test and its converter."""

    rate_hz: float = Field(48_000.0, gt=0)
    clock_ppm: float = Field(-18.0, ge=-500, le=500)
    highpass_hz: float = Field(10.0, gt=0)
    highpass_order: int = Field(2, ge=1, le=8)
    lowpass_hz: float = Field(10_000.0, gt=0)
    lowpass_order: int = Field(4, ge=1, le=10)
    gain: float = 1.002  # true over declared sensitivity; negative = inverted polarity
    noise_uv_rms: float = Field(0.6, ge=0)  # input-referred, 10 kHz band
    input_mohm: float = Field(1000.0, gt=0)
    clip_uv: float = Field(9_000.0, gt=0)  # the stage before the converter saturates
    adc_bits: int = Field(24, ge=8, le=24)
    range_uv: float = Field(10_000.0, gt=0)  # full scale of the converter, both sides
    analog_out_gain: float = Field(500.0, gt=0)  # volts at the monitor output per volt


class ScopePhysics(Physics):
    """The two-channel oscilloscope in its high-resolution mode."""

    clock_ppm: float = Field(7.0, ge=-500, le=500)
    adc_bits: int = Field(12, ge=8, le=16)
    noise_of_range: float = Field(2e-4, ge=0)  # rms of its own noise over its full range


class RigPhysics(Physics):
    """All parts of one virtual rig."""

    source: SourcePhysics = SourcePhysics()
    fixture: FixturePhysics = FixturePhysics()
    electrode: ElectrodePhysics = ElectrodePhysics()
    amplifier: AmplifierPhysics = AmplifierPhysics()
    scope: ScopePhysics = ScopePhysics()

    @property
    def source_load_factor(self) -> float:
        """Voltage at the loaded generator over its open-circuit voltage."""
        return self.fixture.input_ohm / (self.fixture.input_ohm + self.source.output_ohm)

    @property
    def amplifier_network(self) -> Network:
        """From the device's terminals to its converter, in input-referred volts."""
        a = self.amplifier
        high = butterworth(a.highpass_order, a.highpass_hz, "highpass")
        low = butterworth(a.lowpass_order, a.lowpass_hz, "lowpass")
        return high @ low @ Network(gain=a.gain)

    @property
    def electrode_network(self) -> Network:
        """From the divider to the device's terminals: R and C into the input resistance."""
        input_ohm = self.amplifier.input_mohm * 1e6
        total_ohm = input_ohm + self.electrode.r_ohm + self.fixture.shunt_ohm
        pole = -1.0 / (total_ohm * self.electrode.c_nf * 1e-9)
        return Network((0.0,), (pole,), input_ohm / total_ohm)

    @property
    def noise_density_v2_hz(self) -> float:
        """White noise at the device's terminals: amplifier, electrode, divider and generator."""
        resistance = self.electrode.r_ohm + self.fixture.shunt_ohm
        thermal = johnson_density_v2_hz(resistance, self.fixture.temperature_k)
        source_v = self.source.noise_mv_rms * 1e-3 * self.source_load_factor * self.fixture.ratio
        amplifier_v = self.amplifier.noise_uv_rms * 1e-6
        return thermal + (math.pow(source_v, 2) + math.pow(amplifier_v, 2)) / DECLARED_BAND_HZ
