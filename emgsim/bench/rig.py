"""Rig files: what is wired to what, what each part declares, and which limits hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emgsim.configuration import Table, read_table, validated, with_overrides
from emgsim.plant.physics import RigPhysics
from emgsim.shipped import find

VIRTUAL = "virtual:"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Limits(_Table):
    """Hard limits that the guard enforces, whatever a scenario asks for."""

    device_differential_mv_pk: float = Field(5.0, gt=0)  # without a data sheet: 5 mV
    source_v_pk: float = Field(10.0, gt=0)
    max_on_s: float = Field(900.0, gt=0)


class SourceRole(_Table):
    """The generator and what its data sheet declares."""

    driver: str
    resource: str
    load: Literal["high-z"] = "high-z"
    output_ohm: float = Field(50.0, gt=0)
    noise_mv_rms: float = Field(ge=0)  # at the open output, 10 kHz band
    filter: Literal["NORM", "STEP", "OFF"] = "NORM"


class FixtureRole(_Table):
    """The divider and the electrode network between source and device, as calibrated."""

    ratio: float = Field(gt=0, le=1)  # device volts over loaded source volts
    input_ohm: float = Field(gt=0)
    electrode_ohm: float = Field(0.0, ge=0)  # in series with the device's input
    temperature_k: float = Field(295.0, gt=0)


class CaptureRole(_Table):
    """The oscilloscope: one channel on the source, one on the device's analogue output."""

    driver: str
    resource: str
    source_channel: int = Field(1, ge=1)
    monitor_channel: int = Field(2, ge=1)
    noise_of_range: float = Field(ge=0)  # rms over full range, as declared
    bits: int = Field(12, ge=8, le=16)


class DeviceRole(_Table):
    """The device under test; its data sheet is a profile in ``rigs/devices``."""

    driver: str
    resource: str
    profile: str
    monitor_gain: float = Field(gt=0)  # volts at the analogue output per volt at the input


class Faults(_Table):
    """Faults that the virtual rig acts out; all off by default."""

    drop_every_n_frames: int = Field(0, ge=0)
    hang_up_after_frames: int = Field(0, ge=0)
    source_error: bool = False
    source_silent: bool = False


class Rig(_Table):
    """One wired set: source, fixture, device and capture."""

    format: Annotated[Literal["emgsim.rig/1"], Field(alias="schema")]
    id: str = Field(pattern=r"^[a-z0-9_-]+$")
    title: str = ""
    kind: Literal["virtual", "bench"]
    link_timeout_s: float = Field(5.0, gt=0, le=60)  # longest wait for an answer
    limits: Limits = Limits()
    source: SourceRole
    fixture: FixtureRole
    capture: CaptureRole
    device: DeviceRole
    virtual: RigPhysics | None = None
    faults: Faults = Faults()

    @model_validator(mode="after")
    def _virtual_parts_belong_together(self) -> Self:
        resources = {
            "source": self.source.resource,
            "capture": self.capture.resource,
            "device": self.device.resource,
        }
        served = [r for r in resources.values() if r.startswith(VIRTUAL)]
        if self.kind == "virtual" and self.virtual is None:
            raise ValueError("kind = 'virtual' needs a [virtual] table")
        for name, resource in resources.items():
            if self.kind == "virtual" and resource != VIRTUAL + name:
                raise ValueError(
                    f"{name}.resource of a virtual rig must be '{VIRTUAL}{name}', got {resource!r}"
                )
        if self.kind == "bench" and served:
            raise ValueError(f"kind = 'bench' has a virtual resource, got {served[0]!r}")
        return self

    @property
    def load_factor(self) -> float:
        """Voltage of the loaded source over its open-circuit voltage."""
        return self.fixture.input_ohm / (self.fixture.input_ohm + self.source.output_ohm)

    @property
    def device_volts_per_open_volt(self) -> float:
        """Volts at the device for one open-circuit volt at the source."""
        return self.fixture.ratio * self.load_factor

    def resolved(self) -> Table:
        """Return the rig with every default filled in, ready for JSON."""
        return self.model_dump(mode="json", by_alias=True)


def load_rig(name: str | Path, *, overrides: Iterable[str] = ()) -> Rig:
    """Load a rig by its shipped name or by its path; no port is opened.

    Raises
    ------
    InputError
        If there is no such file, or it has mistakes; all of them are named.
    """
    path = find("rigs", name)
    return validated(Rig, with_overrides(read_table(path), overrides), str(path))
