"""How large everything on the virtual rig is: the ``[virtual]`` table of a rig file.

These are the *true* values of the simulated hardware. What a device claims about itself stands in
its profile under ``rigs/devices``; the difference is what the bench is there to find.
"""

from __future__ import annotations

import math
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from emgsim.johnson import johnson_density_v2_hz
from emgsim.plant.analog import Network, butterworth
from emgsim.plant.networks import loaded_input, notch

DECLARED_BAND_HZ = 10_000.0  # in which the noise figures below are given
JITTER_SIGMAS = 4.0  # beyond which a sample is never too early or too late
OPEN_OHM = 1e12  # load of a generator that is wired to nothing


class Physics(BaseModel):
    """Base of the physics models: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SourcePhysics(Physics):
    """The arbitrary waveform generator."""

    clock_ppm: float = Field(3.0, ge=-500, le=500)  # of its sample clock
    output_ohm: float = Field(50.0, gt=0)
    noise_mv_rms: float = Field(0.2, ge=0)  # at its output, open circuit, 10 kHz band
    trigger_latency_s: float = Field(1.3e-3, ge=0, le=0.1)  # from *TRG to the first point
    gain: float = Field(1.0, gt=0)  # true volts over those that it is set to
    second_order: float = Field(0.0, ge=-0.1, le=0.1)  # v + a2 v^2 / V + a3 v^3 / V^2, of which V
    third_order: float = Field(0.0, ge=-0.1, le=0.1)  # is half the swing that it is set to

    def reconstruction(self, kind: Literal["NORM", "STEP", "OFF"], rate_hz: float) -> Network:
        """Return the output filter: corner at 27 % (NORM) or 13 % (STEP) of the sample rate."""
        if kind == "OFF":
            return Network()
        return butterworth(
            *((5, 0.27 * rate_hz) if kind == "NORM" else (3, 0.13 * rate_hz)), kind="lowpass"
        )


class StatePhysics(Physics):
    """One way in which the fixture joins the generator and the device, as its relays are set.

    A state that drives both inputs together may leak a little between them: `differential`, of
    either sign.
    """

    differential: float = Field(0.0, ge=-1, le=1)  # volts between the inputs per loaded source volt
    common: float = Field(0.0, ge=0, le=1)  # volts of both inputs against ground, likewise
    input_ohm: float = Field(OPEN_OHM, gt=0)  # load of the generator
    series_ohm: float = Field(0.0, ge=0)  # in one lead
    series_nf: float = Field(0.0, ge=0)  # parallel to it; 0: none
    offset_mv: float = 0.0  # in series with the device's input
    has_electrode: bool = True  # in series with the device's input
    driven: tuple[int, ...] = ()  # channels that hear `differential`, from 0; none named: all
    relays: frozenset[int] = frozenset()  # that are on; all others are off


OPEN = StatePhysics()
"""No relay setting that means anything: nothing reaches the device."""

NO_DIVIDER = StatePhysics(differential=1.0)
"""The divider has fallen out, and the generator is wired straight to the device."""


class FixturePhysics(Physics):
    """The divider: a series resistor and a shunt across which the device listens.

    Other states of the fixture stand in ``states``; relays that are all off mean the divider.
    """

    series_ohm: float = Field(10_000.0, gt=0)
    shunt_ohm: float = Field(10.0, gt=0)
    temperature_k: float = Field(295.0, gt=0)
    clamp_v: float | None = Field(None, gt=0)  # diodes across the device's inputs
    states: dict[str, StatePhysics] = {}

    @property
    def input_ohm(self) -> float:
        """Load that the generator sees."""
        return self.series_ohm + self.shunt_ohm

    @property
    def ratio(self) -> float:
        """Output over input voltage."""
        return self.shunt_ohm / self.input_ohm

    @property
    def through(self) -> StatePhysics:
        """The divider between generator and device."""
        return StatePhysics(differential=self.ratio, input_ohm=self.input_ohm)

    def at(self, relays: frozenset[int]) -> StatePhysics:
        """Return the state that the relays which are on make."""
        states = (self.through, *self.states.values())
        return next((state for state in states if state.relays == relays), OPEN)

    @model_validator(mode="after")
    def _are_told_apart(self) -> Self:
        relays = [frozenset[int](), *(state.relays for state in self.states.values())]
        if len(set(relays)) < len(relays):
            raise ValueError(
                "states: each must have relays of its own, and none that are all off: "
                f"got {[sorted(r) for r in relays[1:]]}"
            )
        return self


class ElectrodePhysics(Physics):
    """A needle's impedance in series with the device's input (physiology D: 12 kohm, 14 nF)."""

    r_ohm: float = Field(12_000.0, ge=0)
    c_nf: float = Field(14.0, gt=0)


class AmplifierPhysics(Physics):
    """The needle amplifier under test and its converter.

    Input, filters, ``v + a2 v^2 / FS + a3 v^3 / FS^2``, clipping with its recovery, converter: in
    this order. Full scale FS is the converter's range, and all volts are input-referred.
    """

    rate_hz: float = Field(48_000.0, gt=0)
    clock_ppm: float = Field(-18.0, ge=-500, le=500)
    clock_jitter_s: float = Field(0.0, ge=0)  # rms, white, of each sample's instant
    channels: int = Field(1, ge=1, le=1024)  # their inputs are joined: all hear the same
    channel_gains: tuple[float, ...] = ()  # of each over the first stage's; none: all alike
    channel_noise_uv_rms: float = Field(0.0, ge=0)  # of each converter, white, input-referred
    skews_us: tuple[float, ...] = ()  # by which each channel is sampled late; none: all at once
    crosstalk_db: float | None = Field(None, le=0)  # of each neighbour, heard too; None: nothing
    highpass_hz: float = Field(10.0, gt=0)
    highpass_order: int = Field(2, ge=0, le=8)  # 0: coupled down to DC
    lowpass_hz: float = Field(10_000.0, gt=0)
    lowpass_order: int = Field(4, ge=1, le=10)
    notch_hz: float = Field(0.0, ge=0)  # a mains filter; 0: none
    notch_q: float = Field(10.0, gt=0.5)  # its frequency over its width at -3 dB
    gain: float = 1.002  # true over declared sensitivity; negative = inverted polarity
    second_order: float = Field(0.0, ge=-0.1, le=0.1)  # a2
    third_order: float = Field(0.0, ge=-0.1, le=0.1)  # a3
    noise_uv_rms: float = Field(0.6, ge=0)  # input-referred, 10 kHz band
    input_mohm: float = Field(1000.0, gt=0)  # between the inputs
    input_pf: float = Field(0.0, ge=0)  # parallel to it
    bias_na: float = 0.0  # that flows out of an input through the resistance in its lead
    common_mohm: float = Field(1000.0, gt=0)  # of an input against ground
    common_pf: float = Field(20.0, gt=0)  # parallel to it
    cmrr_db: float = Field(100.0, ge=0)  # with equal impedances in both leads
    clip_uv: float = Field(9_000.0, gt=0)  # the stage before the converter saturates
    recovery_s: float = Field(0.0, ge=0)  # for which it stays there after it has
    offset_uv: float = 0.0  # of the converter, when a playback begins
    drift_uv_s: float = 0.0  # by which it moves from then on
    adc_bits: int = Field(24, ge=8, le=24)
    range_uv: float = Field(10_000.0, gt=0)  # full scale of the converter, both sides
    analog_out_gain: float = Field(500.0, gt=0)  # volts at the monitor output per volt

    @model_validator(mode="after")
    def _is_one_amplifier(self) -> Self:
        for name, values in (("channel_gains", self.channel_gains), ("skews_us", self.skews_us)):
            if values and len(values) != self.channels:
                raise ValueError(
                    f"{name}: one for each of the {self.channels} channels, got {len(values)}"
                )
        if min(self.skews_us, default=0.0) < 0:
            raise ValueError(f"skews_us: no sample is early, got {min(self.skews_us):g} us")
        longest_s = 1 / (2 * JITTER_SIGMAS * self.rate_hz)
        if self.clock_jitter_s > longest_s:
            raise ValueError(
                f"clock_jitter_s must be at most {longest_s:.3g} s, one part in "
                f"{2 * JITTER_SIGMAS:g} of a sample, got {self.clock_jitter_s:g}"
            )
        return self

    @property
    def leak(self) -> float:
        """What a channel hears of each neighbour, over what that one hears."""
        return 0.0 if self.crosstalk_db is None else float(10 ** (self.crosstalk_db / 20))

    def shares(self, driven: tuple[int, ...]) -> tuple[float, ...]:
        """Return what each channel hears of a source that drives these (none named: all)."""
        own = [float(not driven or k in driven) for k in range(self.channels)]
        padded = [0.0, *own, 0.0]
        return tuple(
            heard + self.leak * (before + after)
            for before, heard, after in zip(padded, own, padded[2:], strict=False)
        )


class ScopePhysics(Physics):
    """The oscilloscope, which may average neighbouring conversions into one point.

    Its noise has a white part, of which averaging leaves a root, and one that stays. Averaging
    gains a bit of resolution with each factor of four, as the white noise dithers the converter:
    with less than half a step of it (1/2 / 2^adc_bits of the range) that is too good to be true.
    """

    clock_ppm: float = Field(7.0, ge=-500, le=500)
    adc_bits: int = Field(12, ge=8, le=16)  # of one conversion
    most_bits: int = Field(12, ge=8, le=16)  # of an averaged point
    conversion_rate_hz: float = Field(1e9, gt=0)
    noise_of_range: float = Field(2e-4, ge=0)  # rms over its full range, however much is averaged
    conversion_noise_of_range: float = Field(0.0, ge=0)  # rms of one conversion, beside it

    def averaged_at(self, rate_hz: float) -> int:
        """Return how many conversions one point of high resolution is made of."""
        return max(1, int(self.conversion_rate_hz / rate_hz))

    def point_bits(self, averaged: int) -> int:
        """Return the bits of a point that so many conversions were averaged into."""
        gained = int(math.log2(averaged) / 2)
        return max(self.adc_bits, min(self.most_bits, self.adc_bits + gained))

    def point_noise_of_range(self, averaged: int) -> float:
        """Return the noise of a point before it is rounded, rms over the full range.

        The rounding of each conversion counts as noise when several of them are averaged.
        """
        white = math.pow(self.conversion_noise_of_range, 2)
        if averaged > 1:
            white += 0.25**self.adc_bits / 12
        return math.sqrt(math.pow(self.noise_of_range, 2) + white / averaged)


class LinePhysics(Physics):
    """The serial line of the device.

    Losses act in both clocks. The rest needs the paced one: in the free clock a device makes data
    only as fast as they are read, so that nothing can be too slow or overflow.
    """

    baud: int = Field(0, ge=0)  # bits per second, 10 for a byte; 0: as fast as it is read
    fifo_bytes: int = Field(4096, ge=64)  # of the device; a frame that finds no room is dropped
    usb_latency_s: float = Field(0.0, ge=0, le=0.255)  # timer of the USB adapter; 0: none
    loss_begins: float = Field(0.0, ge=0, le=1)  # probability that a burst begins after a frame
    loss_ends: float = Field(1.0, gt=0, le=1)  # that it ends after a frame, all being lost in it


class OtherPhysics(Physics):
    """A further generator, with its divider and electrode in front of one input of the device."""

    source: SourcePhysics = SourcePhysics()
    fixture: FixturePhysics = FixturePhysics()
    electrode: ElectrodePhysics = ElectrodePhysics()
    input: int = Field(ge=1)  # of the device, from 0, that it drives alone

    @model_validator(mode="after")
    def _has_one_state(self) -> Self:
        if self.fixture.states:
            raise ValueError(
                f"fixture.states: only the first generator reaches others than its divider, got "
                f"{', '.join(self.fixture.states)}"
            )
        return self


class RigPhysics(Physics):
    """All parts of one virtual rig.

    The first generator drives all inputs of the device but those of the ``others``.

    ``clock`` is free, so that simulated time moves only when somebody asks for it, or paced, so
    that it is that of the wall.
    """

    source: SourcePhysics = SourcePhysics()
    fixture: FixturePhysics = FixturePhysics()
    electrode: ElectrodePhysics = ElectrodePhysics()
    amplifier: AmplifierPhysics = AmplifierPhysics()
    scope: ScopePhysics = ScopePhysics()
    line: LinePhysics = LinePhysics()
    clock: Literal["free", "paced"] = "free"
    lid_input: int = Field(0, ge=0)  # of the switch; closed while the lid is
    others: tuple[OtherPhysics, ...] = ()  # further generators

    @model_validator(mode="after")
    def _gives_each_input_one_generator(self) -> Self:
        inputs = [other.input for other in self.others]
        if len(set(inputs)) < len(inputs) or max(inputs, default=0) >= self.amplifier.channels:
            raise ValueError(
                f"others: each must have an input of its own, from 1 to "
                f"{self.amplifier.channels - 1}, got {inputs}"
            )
        return self

    def of(self, number: int) -> Self:
        """Return the rig as one of its generators sees it, from 0: with a source of its own."""
        if number == 0:
            return self
        other = self.others[number - 1]
        own = {"source": other.source, "fixture": other.fixture, "electrode": other.electrode}
        return self.model_copy(update=own)

    def inputs_of(self, number: int) -> tuple[int, ...]:
        """Return which inputs a generator drives, from 0; none named: all."""
        taken = [other.input for other in self.others]
        if number:
            return (taken[number - 1],)
        return tuple(k for k in range(self.amplifier.channels) if k not in taken) if taken else ()

    @property
    def source_load_factor(self) -> float:
        """Voltage at the loaded generator over its open-circuit voltage, through the divider."""
        return self.load_factor_in(self.fixture.through)

    @property
    def amplifier_network(self) -> Network:
        """From the device's terminals to its converter, in input-referred volts."""
        a = self.amplifier
        high = Network()
        if a.highpass_order:
            high = butterworth(a.highpass_order, a.highpass_hz, "highpass")
        low = butterworth(a.lowpass_order, a.lowpass_hz, "lowpass")
        band = high @ low @ Network(gain=a.gain)
        return band @ notch(a.notch_hz, a.notch_q) if a.notch_hz else band

    @property
    def electrode_network(self) -> Network:
        """From the divider to the device's terminals: R and C into the input resistance."""
        return self.input_network_in(self.fixture.through)

    @property
    def noise_density_v2_hz(self) -> float:
        """White noise at the device's terminals: amplifier, electrode, divider and generator."""
        return self.noise_density_in(self.fixture.through)

    @property
    def open_input_network(self) -> Network:
        """From the noise of an open input's resistance to its terminals: R and C in parallel."""
        a = self.amplifier
        corner = 1 / (a.input_mohm * 1e6 * a.common_pf * 1e-12)
        return Network((), (-corner,), corner)

    @property
    def open_input_density_v2_hz(self) -> float:
        """White noise of an open input's resistance, before its capacitance."""
        return johnson_density_v2_hz(self.amplifier.input_mohm * 1e6, self.fixture.temperature_k)

    def load_factor_in(self, state: StatePhysics) -> float:
        """Return the voltage at the loaded generator over its open-circuit voltage."""
        return state.input_ohm / (state.input_ohm + self.source.output_ohm)

    def input_network_in(self, state: StatePhysics) -> Network:
        """Return the network from the fixture to the device's terminals: what is in series.

        With R and C of the electrode in series with the parallel Rs and Cs of a state, into the
        input resistance Ri, and R0 = Ri + R + the shunt::

            H = Ri / (R0 + 1 / (s C) + Rs / (1 + s Rs Cs))

        With a capacitance parallel to Ri it is that of `emgsim.plant.networks.loaded_input`.
        """
        input_ohm = self.amplifier.input_mohm * 1e6
        if self.amplifier.input_pf:
            return loaded_input(
                series_ohm=state.series_ohm,
                series_nf=state.series_nf,
                electrode_ohm=self.electrode.r_ohm,
                electrode_nf=self.electrode.c_nf if state.has_electrode else 0.0,
                shunt_ohm=self.fixture.shunt_ohm,
                input_ohm=input_ohm,
                input_pf=self.amplifier.input_pf,
            )
        electrode_ohm = self.electrode.r_ohm if state.has_electrode else 0.0
        total_ohm = input_ohm + electrode_ohm + self.fixture.shunt_ohm
        delay_s = state.series_ohm * state.series_nf * 1e-9
        if not delay_s:
            total_ohm += state.series_ohm
            if not state.has_electrode:
                return Network(gain=input_ohm / total_ohm)
            pole = -1.0 / (total_ohm * self.electrode.c_nf * 1e-9)
            return Network((0.0,), (pole,), input_ohm / total_ohm)
        zero, gain = -1.0 / delay_s, input_ohm / total_ohm
        if not state.has_electrode:
            return Network((zero,), (zero * (1 + state.series_ohm / total_ohm),), gain)
        c = self.electrode.c_nf * 1e-9
        bottom = [total_ohm * c * delay_s, (total_ohm + state.series_ohm) * c + delay_s, 1.0]
        return Network((0.0, zero), tuple(np.roots(bottom)), gain)

    def offset_v_in(self, state: StatePhysics) -> float:
        """Return the direct voltage in series with the inputs: the state's, and the bias current's.

        That flows through the series resistance alone, as an electrode is a capacitor here.
        """
        return state.offset_mv * 1e-3 + self.amplifier.bias_na * 1e-9 * state.series_ohm

    def conversion_network_in(self, state: StatePhysics) -> Network:
        """Return what a series impedance in one lead makes of a common-mode voltage.

        It divides against that input's own impedance to ground, and the other lead does not.
        """
        series_ohm, ground_ohm = state.series_ohm, self.amplifier.common_mohm * 1e6
        series_s = series_ohm * state.series_nf * 1e-9
        ground_s = ground_ohm * self.amplifier.common_pf * 1e-12
        bottom = series_ohm * ground_s + ground_ohm * series_s
        pole = -(series_ohm + ground_ohm) / bottom
        return Network((-1.0 / ground_s,), (pole,), series_ohm * ground_s / bottom)

    def noise_density_in(self, state: StatePhysics) -> float:
        """Return the white noise at the device's terminals, V2/Hz.

        That of a series resistance with a capacitor parallel to it is not white and not in it.
        """
        resistance = self.electrode.r_ohm if state.has_electrode else 0.0
        resistance += self.fixture.shunt_ohm
        if not state.series_nf:
            resistance += state.series_ohm
        thermal = johnson_density_v2_hz(resistance, self.fixture.temperature_k)
        source_v = self.source.noise_mv_rms * 1e-3 * self.load_factor_in(state) * state.differential
        amplifier_v = self.amplifier.noise_uv_rms * 1e-6
        return thermal + (math.pow(source_v, 2) + math.pow(amplifier_v, 2)) / DECLARED_BAND_HZ
