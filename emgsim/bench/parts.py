"""The parts of a rig as its file declares them: limits, roles, states, certificates, safe state."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

OPERATOR = "operator"  # the switch that is a person
LONGEST_ARM_S = 8 * 3600.0  # a working day: nobody vouches for longer


class Part(BaseModel):
    """A table of a rig file: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Limits(Part):
    """Hard limits that the guarded source enforces, whatever a scenario asks for."""

    device_differential_mv_pk: float = Field(5.0, gt=0)  # without a data sheet: 5 mV
    device_common_mode_v_pk: float = Field(1.0, gt=0)  # both inputs together, against ground
    device_slew_v_per_s: float | None = Field(None, gt=0)  # none: the generator's filter limits it
    device_dc_mv: float | None = Field(None, gt=0)  # mean over the playback; none: as the peak
    source_v_pk: float = Field(10.0, gt=0)
    max_on_s: float = Field(900.0, gt=0)


class Interlock(Part):
    """Who must vouch for what before a real rig is energised."""

    patient_connected: Literal["forbidden"] = "forbidden"  # there is no other choice
    require_arm: Literal[True] = True  # of a real rig: by a named person, see `emgsim.bench.arming`
    arm_valid_s: float = Field(3600.0, gt=0, le=LONGEST_ARM_S)
    unattended: bool = False  # nobody is there: only with a monitored input
    monitored_input: int | None = Field(None, ge=0)  # of the switch; closed while the lid is


class CertifiedPoint(Part):
    """What a calibration found at one frequency."""

    frequency_hz: float = Field(gt=0)
    relative: float = Field(1.0, gt=0, lt=2)  # what was found over what the rig file declares
    expanded_uncertainty: float = Field(gt=0, lt=0.5)  # of it, k = 2


class Certificate(Part):
    """What a calibration says of a declared value: a ratio, a gain, a clock or an impedance."""

    id: str = Field(min_length=1)
    issued: date
    due: date
    expanded_uncertainty: float = Field(gt=0, lt=0.5)  # of the value, relative, k = 2
    points: tuple[CertifiedPoint, ...] = ()  # none: the declared value, at every frequency

    @model_validator(mode="after")
    def _is_due_after_its_issue(self) -> Self:
        if self.due <= self.issued:
            raise ValueError(f"due must be later than issued ({self.issued}), got {self.due}")
        return self

    @model_validator(mode="after")
    def _has_rising_points(self) -> Self:
        frequencies_hz = [point.frequency_hz for point in self.points]
        if any(a >= b for a, b in pairwise(frequencies_hz)):
            raise ValueError(f"points must rise in frequency_hz, got {frequencies_hz}")
        return self

    @property
    def at_most(self) -> float:
        """The largest value over the declared one that it leaves possible."""
        points = ((point.relative, point.expanded_uncertainty) for point in self.points)
        return max(1.0 + self.expanded_uncertainty, *(r * (1.0 + u) for r, u in points), 0.0)

    def has_expired(self, today: date) -> bool:
        """Tell whether the day on which it is due is over."""
        return today > self.due


class Expected(Part):
    """Which instrument must answer; another one is refused before anything is driven."""

    model: str = ""
    serial: str = ""
    firmware: str = ""


class SourceRole(Part):
    """The generator and what its data sheet declares."""

    driver: str
    resource: str
    expect: Expected = Expected()
    load: Literal["high-z"] = "high-z"
    output_ohm: float = Field(50.0, gt=0)
    noise_mv_rms: float = Field(ge=0)  # at the open output, 10 kHz band
    filter: Literal["NORM", "STEP", "OFF"] = "NORM"
    max_points: int = Field(1_000_000, ge=1000)  # its memory, for a plan; a run asks itself
    bits: int = Field(16, ge=8, le=32)  # of its codes, likewise
    distortion_db: float = Field(-90.0, lt=0)  # each harmonic that it makes of a sine, at most
    certificate: Certificate | None = None  # of its volts
    clock_certificate: Certificate | None = None  # of its sample clock, relative: 1e-6 is 1 ppm


class FixtureState(Part):
    """One way in which the fixture joins source and device: a transfer of its own.

    Volts at the device are those of the loaded source times ``differential`` (between the inputs)
    and ``common`` (of both against ground). A state may have limits of its own, tighter or wider
    than the rig's: an overload is meant to be one.
    """

    differential: float = Field(ge=0, le=1)
    common: float = Field(0.0, ge=0, le=1)
    input_ohm: float = Field(gt=0)  # load of the source
    series_ohm: float = Field(0.0, ge=0)  # in one lead, beside the electrode
    series_nf: float = Field(0.0, ge=0)  # parallel to it; 0: none
    offset_mv: float = 0.0  # added in series with the device's input
    has_electrode: bool = True  # the phantom is in series with the inputs
    driven: tuple[int, ...] = ()  # channels of the device, counted from 0; none named: all
    null_db: float = Field(-160.0, lt=0)  # differential over common volts that it makes by itself
    relays: tuple[int, ...] = ()  # of the switch, that are on; all others are off
    device_differential_mv_pk: float | None = Field(None, gt=0)  # in place of the rig's
    device_common_mode_v_pk: float | None = Field(None, gt=0)  # in place of the rig's
    certificate: Certificate | None = None  # of differential, or of common where that drives
    impedance_certificate: Certificate | None = None  # of what is in one lead


class OtherFixture(Part):
    """The divider and the electrode network between source and device, as calibrated."""

    serial: str = ""
    ratio: float = Field(gt=0, le=1)  # device volts over loaded source volts
    input_ohm: float = Field(gt=0)
    electrode_ohm: float = Field(0.0, ge=0)  # in series with the device's input
    electrode_nf: float = Field(0.0, ge=0)  # in series with that; 0: a resistor alone
    temperature_k: float = Field(295.0, gt=0)
    clamp_v: float | None = Field(None, gt=0)  # diodes at the device: never more than this
    certificate: Certificate | None = None

    @property
    def through(self) -> FixtureState:
        """The state in which a recording is played: the divider between source and device."""
        return FixtureState(
            differential=self.ratio, input_ohm=self.input_ohm, certificate=self.certificate
        )


class FixtureRole(OtherFixture):
    """The fixture of the first source, which may have other states than the divider."""

    states: dict[str, FixtureState] = {}  # beside `through`


class OtherSource(SourceRole):
    """A further generator, led through a divider of its own to one input of the device alone.

    The first source drives all inputs that no other one does.
    """

    fixture: OtherFixture
    input: int = Field(ge=1)  # of the device, counted from 0: that is the first source's
    capture_channel: int = Field(ge=1)  # of the oscilloscope, on its output


class SwitchRole(Part):
    """What changes the fixture's state: a relay box, or a person who is asked to."""

    driver: str  # "operator" is the person
    resource: str = ""
    settle_s: float = Field(0.05, ge=0, le=10)  # of the relays' bounce


class CaptureRole(Part):
    """The oscilloscope: one channel on the source, one on the device's analogue output."""

    driver: str
    resource: str
    expect: Expected = Expected()
    source_channel: int = Field(1, ge=1)
    monitor_channel: int | None = Field(2, ge=1)  # none: nobody listens to that output
    noise_of_range: float = Field(ge=0)  # rms over full range, as declared
    bits: int = Field(12, ge=8, le=16)


class DeviceRole(Part):
    """The device under test; its data sheet is a profile in ``rigs/devices``."""

    driver: str
    resource: str
    profile: str
    expect: Expected = Expected()
    monitor_gain: float = Field(gt=0)  # volts at the analogue output per volt at the input


class SafeState(Part):
    """How the rig is left: the steps in their order, each with its own deadline."""

    order: tuple[Literal["source.off", "fixture.safe", "device.idle"], ...] = (
        "source.off",
        "fixture.safe",
        "device.idle",
    )
    fixture: str = ""  # the state that `fixture.safe` means; none: it is left as it is
    deadline_s: float = Field(2.0, gt=0, le=60)
    guard: bool | None = None  # a process of its own; none: for real rigs

    @model_validator(mode="after")
    def _begins_with_the_source(self) -> Self:
        if not self.order or self.order[0] != "source.off":
            raise ValueError(f"order must begin with 'source.off', got {list(self.order)}")
        return self


class Lock(Part):
    """Which things only one process may hold, and how long one waits for them."""

    keys: tuple[str, ...] = ()  # e.g. serial numbers; none: the resources themselves
    wait_s: float = Field(60.0, ge=0)
    expires_s: float = Field(7200.0, gt=0)  # told to those who wait; a lock is never broken


Wire = Literal["hislip", "socket", "vxi11", "serial"]


class Wires(Part):
    """By which wire each instrument of a virtual rig is reached."""

    source: Wire = "hislip"
    capture: Wire = "hislip"
