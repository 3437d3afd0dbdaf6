"""The artefacts in numbers: one frozen model per kind, sizes at the electrode.

The sources in brackets: [S] printed in the paper named, [M] the classic paper or common knowledge
quoted from memory, [C] computed from physics, [P] our proposal where no published number was found.
A default is a typical size in needle EMG where the kind occurs there, else in surface EMG.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from emgsim.johnson import johnson_density_v2_hz

AMPLIFIER_BAND_HZ = (2.0, 10_000.0)  # in which an EMG amplifier's noise is stated [M]
SKIN_BAND_HZ = (0.5, 500.0)  # in which surface electrodes are compared [M]
MAINS_HARMONICS = (3, 5, 7)


class Place(IntEnum):
    """Where in the way of the signal an artefact comes in; a list must go down this way."""

    MUSCLE = 0
    BODY = 1
    ELECTRODE = 2
    AMPLIFIER = 3
    LIMITER = 4
    CONVERTER = 5


class _Artefact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    place: ClassVar[Place] = Place.BODY
    channels: tuple[NonNegativeInt, ...] = ()  # columns that it reaches; all if none is named

    @model_validator(mode="after")
    def _each_channel_once(self) -> Self:
        if len(set(self.channels)) < len(self.channels):
            raise ValueError(f"channels must name each column once, got {list(self.channels)}")
        return self


class Uneven(_Artefact):
    """An artefact that may reach its channels in different sizes, or turned over.

    A grid near the heart hears it by distance, a worse contact turns more of the mains' common mode
    into a difference, and the skin's noise goes with the pad: about 1 / sqrt(area) (Huigen 2002).
    """

    # Of each channel that it reaches, times its sizes; all 1 if none is given
    gains: tuple[Annotated[float, Field(ge=-1_000, le=1_000)], ...] = ()

    @model_validator(mode="after")
    def _one_gain_per_channel(self) -> Self:
        if self.gains and self.channels and len(self.gains) != len(self.channels):
            raise ValueError(
                f"gains must be one for each of the {len(self.channels)} channels, "
                f"got {len(self.gains)}"
            )
        return self


class Thermal(_Artefact):
    """Johnson noise of the electrode's resistance: white, 4kTR per hertz."""

    place = Place.ELECTRODE
    kind: Literal["thermal"] = "thermal"
    resistance_ohm: float = Field(10e3, gt=0, le=10e6)  # spreading, concentric 12 kohm [C]
    temperature_k: float = Field(310.0, ge=273, le=330)  # body

    @property
    def density_uv_rthz(self) -> float:
        """Noise density in microvolts per root hertz."""
        return 1e6 * math.sqrt(johnson_density_v2_hz(self.resistance_ohm, self.temperature_k))


class Amplifier(_Artefact):
    """Noise of the amplifier at its input: white, and 1/f below a corner."""

    place = Place.AMPLIFIER
    kind: Literal["amplifier"] = "amplifier"
    rms_uv: float = Field(0.7, gt=0, le=100)  # from 2 Hz to 10 kHz; 0.5-2 [M]
    corner_hz: float = Field(30.0, ge=0, le=1_000)  # where 1/f equals white; 10-100 [M]


class SkinElectrode(Uneven):
    """Noise of a surface electrode on skin: white up to 500 Hz, and 1/f^2 below a corner."""

    place = Place.ELECTRODE
    kind: Literal["skin_electrode"] = "skin_electrode"
    rms_uv: float = Field(5.0, gt=0, le=200)  # 0.5-500 Hz; 1-20, Huigen 2002 MBEC 40:332 [S]
    corner_hz: float = Field(20.0, ge=1, le=200)  # where 1/f^2 equals white [M]


class Mains(Uneven):
    """Mains hum with odd harmonics, its frequency drifting, its size following the lead's moves."""

    kind: Literal["mains"] = "mains"
    frequency_hz: float = Field(50.0, ge=45, le=65)  # nominal: 50 or 60
    peak_to_peak_uv: float = Field(20.0, gt=0, le=10_000)  # fundamental; 5-200, bad lead 1000 [M]
    harmonics: tuple[float, float, float] = (0.3, 0.15, 0.1)  # 3rd, 5th, 7th over 1st [M]
    drift_hz: float = Field(0.1, ge=0, le=2)  # the most that the frequency strays [M]
    modulation: float = Field(0.1, ge=0, le=1)  # the most that the size strays, relative [P]


class Ecg(Uneven):
    """The heart: P, QRS and T waves with the heart rate's variability."""

    kind: Literal["ecg"] = "ecg"
    peak_to_peak_uv: float = Field(30.0, gt=0, le=5_000)  # trunk needle 10-50, surface 20-500 [M]
    rate_bpm: float = Field(70.0, ge=30, le=200)  # 50-110 at rest [M]
    rr_cov: float = Field(0.05, ge=0, le=0.2)  # SDNN about 50 ms; Task Force 1996 [M]
    qrs_ms: float = Field(80.0, ge=40, le=160)  # 60-100 [M]


class Movement(Uneven):
    """Electrode or cable moved: bursts of slow swings that die away exponentially."""

    kind: Literal["movement"] = "movement"
    peak_to_peak_uv: float = Field(500.0, gt=0, le=50_000)  # surface 100-10,000 [M]
    spread: float = Field(0.3, ge=0, le=2)  # SD of a burst's log size [P]
    per_min: float = Field(6.0, gt=0, le=600)  # Poisson [P]
    lowest_hz: float = Field(1.0, ge=0.1, le=100)  # of the swings; De Luca 2010 J Biomech
    highest_hz: float = Field(20.0, ge=0.1, le=100)  # 43:1573 removes them by 20 Hz [S]
    recovery_s: float = Field(0.3, gt=0, le=10)  # time constant [P]

    @model_validator(mode="after")
    def _frequencies_ascend(self) -> Self:
        if self.lowest_hz > self.highest_hz:
            raise ValueError(
                f"lowest_hz must be <= highest_hz ({self.highest_hz:g}), got {self.lowest_hz:g}"
            )
        return self


class NeedleMovement(_Artefact):
    """Needle jerked: a step, a burst of insertional activity, and another size of the EMG after."""

    place = Place.MUSCLE
    kind: Literal["needle_movement"] = "needle_movement"
    step_uv: float = Field(500.0, ge=0, le=20_000)  # peak, either sign; to 5000 [P]
    burst_uv_rms: float = Field(100.0, ge=0, le=5_000)  # over the burst [P]
    spread: float = Field(0.3, ge=0, le=2)  # SD of the log size of step, burst and EMG [P]
    per_min: float = Field(2.0, gt=0, le=600)  # Poisson [P]
    shortest_ms: float = Field(50.0, gt=0, le=2_000)  # of burst and change: 50-300 [P]
    longest_ms: float = Field(300.0, gt=0, le=2_000)
    recovery_ms: float = Field(100.0, gt=0, le=5_000)  # time constant of the step's decay [P]

    @model_validator(mode="after")
    def _lengths_ascend(self) -> Self:
        if self.shortest_ms > self.longest_ms:
            raise ValueError(
                f"shortest_ms must be <= longest_ms ({self.longest_ms:g}), got {self.shortest_ms:g}"
            )
        return self


class Pop(_Artefact):
    """Electrode pop: the half-cell potential jumps and creeps back."""

    place = Place.ELECTRODE
    kind: Literal["pop"] = "pop"
    peak_uv: float = Field(500.0, gt=0, le=50_000)  # either sign; 100-5000 [M]
    spread: float = Field(0.3, ge=0, le=2)  # SD of a pop's log size [P]
    per_min: float = Field(2.0, gt=0, le=600)  # Poisson [P]
    rise_ms: float = Field(0.3, gt=0, le=10)  # time constant; step in 0.1-1 [M]
    decay_ms: float = Field(200.0, gt=0, le=5_000)  # time constant; 50-500 [M]

    @model_validator(mode="after")
    def _rises_faster_than_it_decays(self) -> Self:
        if self.rise_ms >= self.decay_ms:
            raise ValueError(
                f"rise_ms must be < decay_ms ({self.decay_ms:g}), got {self.rise_ms:g}"
            )
        return self


class LeadOff(_Artefact):
    """Leads that have lost the skin: no EMG, but the hum, drift and noise of an open input."""

    place = Place.ELECTRODE
    kind: Literal["lead_off"] = "lead_off"
    from_s: float = Field(0.0, ge=0)  # after the recording's first sample
    until_s: float | None = Field(None, gt=0)  # until the end if not given
    frequency_hz: float = Field(50.0, ge=45, le=65)  # of the mains: 50 or 60
    peak_to_peak_uv: float = Field(1_000.0, gt=0, le=1e6)  # hum's fundamental; bad lead 1 mV [M]
    spread: float = Field(0.5, ge=0, le=2)  # SD of the hum's log size over channels [P]
    drift_uv_rms: float = Field(2_000.0, gt=0, le=50_000)  # below 0.5 Hz; 100-5000 [M]
    noise_uv_rms: float = Field(20.0, gt=0, le=200)  # 0.5-500 Hz; as of the worst contact [P]

    @model_validator(mode="after")
    def _names_its_leads(self) -> Self:
        if not self.channels:
            raise ValueError("channels must name the leads that are off, as in [3]; got none")
        return self

    @model_validator(mode="after")
    def _comes_off_before_it_is_back(self) -> Self:
        if self.until_s is not None and self.until_s <= self.from_s:
            raise ValueError(f"until_s must be > from_s ({self.from_s:g}), got {self.until_s:g}")
        return self


class Stimulus(_Artefact):
    """Artefact of a nerve stimulator: a rectangular spike and a bi-exponential tail."""

    kind: Literal["stimulus"] = "stimulus"
    peak_uv: float = Field(10_000.0, gt=0, le=1e6)  # 1-100 mV [M]
    width_ms: float = Field(0.1, gt=0, le=2)  # 0.1-0.2 [M]
    tail_uv: float = Field(-300.0, ge=-50_000, le=50_000)  # 10-1000 [M]; mostly undershoots [P]
    tail_fast_ms: float = Field(1.0, gt=0, le=100)  # time constants, half the tail each;
    tail_slow_ms: float = Field(10.0, gt=0, le=100)  # 1-10 [M]
    rate_hz: float = Field(1.0, gt=0, le=200)  # of stimulation
    first_s: float = Field(0.5, ge=0)  # after the recording's first sample
    n_stimuli: int | None = Field(None, ge=1)  # until the end if not given


class RfBurst(_Artefact):
    """A phone nearby: its packets, demodulated by the amplifier's input stage."""

    kind: Literal["rf_burst"] = "rf_burst"
    peak_uv: float = Field(50.0, gt=0, le=10_000)  # 10-500 [M]
    frame_hz: float = Field(216.68, gt=0, le=2_000)  # GSM: a frame is 4.615 ms [M]
    packet_ms: float = Field(0.577, gt=0, le=100)  # GSM: one slot of eight [M]
    per_min: float = Field(4.0, gt=0, le=60)  # bursts; Poisson [P]
    burst_s: float = Field(1.0, gt=0, le=60)  # [P]

    @model_validator(mode="after")
    def _a_packet_fits_into_its_frame(self) -> Self:
        if self.packet_ms * self.frame_hz >= 1e3:
            raise ValueError(
                f"packet_ms must be < {1e3 / self.frame_hz:.4g} (one frame at "
                f"{self.frame_hz:g} Hz), got {self.packet_ms:g}"
            )
        return self


class Smps(_Artefact):
    """Ripple of a switched power supply, folded into the band by the sampling."""

    kind: Literal["smps"] = "smps"
    frequency_hz: float = Field(65_000.0, ge=1_000, le=5e6)  # 20-100 kHz [M]
    peak_to_peak_uv: float = Field(20.0, gt=0, le=10_000)  # what passes the anti-alias filter [P]
    drift: float = Field(1e-3, ge=0, le=0.05)  # most that the frequency strays, relative [P]


class Saturation(_Artefact):
    """An amplifier's hard limit, and its recovery after an overload."""

    place = Place.LIMITER
    kind: Literal["saturation"] = "saturation"
    limit_uv: float = Field(5_000.0, gt=0, le=1e6)  # at either side of zero, at the input
    recovery_ms: float = Field(50.0, ge=0, le=5_000)  # to 5 % of the limit; 10-500 [M]


class Baseline(_Artefact):
    """Baseline wander of sweat and half-cell potential, below 1 Hz, about an offset."""

    place = Place.ELECTRODE
    kind: Literal["baseline"] = "baseline"
    rms_uv: float = Field(100.0, gt=0, le=50_000)  # 100-5000 [M]
    highest_hz: float = Field(0.5, gt=0.001, le=1)  # holds 98 % of the power [P]
    offset_uv: float = Field(0.0, ge=-300e3, le=300e3)  # half-cell difference [M]


class Crosstalk(_Artefact):
    """A neighbour muscle's EMG, smaller and blunter by the way between."""

    kind: Literal["crosstalk"] = "crosstalk"
    gain: float = Field(0.04, gt=0, le=1)  # 0.03-0.05 at 2 cm; differential far 0.005-0.01 [M]
    lowpass_hz: float = Field(200.0, ge=10, le=10_000)  # the tissue as a low-pass [P]


class Pulses(_Artefact):
    """Pulses of an implanted or worn stimulator, each followed by its recharge."""

    kind: Literal["pulses"] = "pulses"
    peak_uv: float = Field(1_000.0, gt=0, le=100_000)  # 100-5000 [M]
    rate_hz: float = Field(1.0, gt=0, le=300)  # pacemaker 1, DBS 130, TENS 80-100, VNS 20-30 [M]
    width_ms: float = Field(0.5, gt=0, le=2)  # 0.1-1 [M]
    recharge_ms: float = Field(5.0, gt=0, le=50)  # time constant; it gives the charge back [P]


class Adc(_Artefact):
    """Analogue-to-digital converter: whole steps, and an end on both sides."""

    place = Place.CONVERTER
    kind: Literal["adc"] = "adc"
    lsb_uv: float = Field(0.1, gt=0, le=100)  # one step at the input; 0.06-0.3 [M]
    bits: int = Field(16, ge=8, le=32)  # 16-24 [M]


Artefact = Annotated[
    Thermal
    | Amplifier
    | SkinElectrode
    | Mains
    | Ecg
    | Movement
    | NeedleMovement
    | Pop
    | LeadOff
    | Stimulus
    | RfBurst
    | Smps
    | Saturation
    | Baseline
    | Crosstalk
    | Pulses
    | Adc,
    Field(discriminator="kind"),
]


def check_order(artefacts: Iterable[Artefact]) -> None:
    """Check that a list goes down the way of the signal.

    Raises
    ------
    ValueError
        If an artefact stands behind one of a later `Place`, or there are two converters.
    """
    before: Artefact | None = None
    for number, artefact in enumerate(artefacts, 1):
        if before is not None and artefact.place < before.place:
            raise ValueError(
                f"artefact {number} ({artefact.kind}, {artefact.place.name.lower()}) must stand "
                f"before {before.kind} ({before.place.name.lower()}): the order is "
                f"{', '.join(place.name.lower() for place in Place)}"
            )
        if isinstance(before, Adc) and isinstance(artefact, Adc):
            raise ValueError(f"adc must stand once, and last; artefact {number} is another")
        before = artefact
