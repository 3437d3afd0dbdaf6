"""What source, capture, device and switch can do: four protocols and the values they exchange.

Volts at an instrument are open-circuit volts unless the name says otherwise. A driver class has
``api = 1`` and a class method ``open(address, *, timeout_s)`` (``SerialFrames.open`` also takes
the profile of the device), which connects and identifies and changes no setting: whoever opened
an instrument compares its identity first, and only then calls ``reset`` of a source or a capture.
Every driver is a context manager; leaving it switches a source off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InstrumentError

API = 1  # the version of the protocols below; drivers of another version are refused at load

Filter = Literal["NORM", "STEP", "OFF"]


@dataclass(frozen=True)
class Identity:
    """Names an instrument: the four fields of ``*IDN?``."""

    maker: str
    model: str
    serial: str
    firmware: str

    def __str__(self) -> str:
        return ",".join((self.maker, self.model, self.serial, self.firmware))


def read_identity(answer: str, *, where: str) -> Identity:
    """Read an identity from the answer to ``*IDN?`` or its like.

    Parameters
    ----------
    answer
        Four fields with commas between them.
    where
        Address of the instrument, for the message.

    Raises
    ------
    InstrumentError
        When there are not four fields.
    """
    fields = [part.strip() for part in answer.split(",")]
    if len(fields) != 4:
        raise InstrumentError(
            f"the identity must have 4 fields (maker, model, serial, firmware), got {answer!r}",
            where=where,
            todo="check that the address belongs to the instrument that the rig file names",
        )
    return Identity(*fields)


@dataclass(frozen=True)
class SourceCaps:
    """Lists what a source can do; volts are open-circuit."""

    code_bits: int
    max_points: int
    min_points: int
    max_rate_hz: float
    max_vpp_open_v: float
    channels: int
    output_ohm: float
    min_rate_hz: float = 0.0  # that of max_rate_hz where there is one rate
    holds: bool = True  # each point until the next one; a sound card interpolates


@dataclass(frozen=True)
class SourceSettings:
    """Sets how a waveform is played.

    ``load_ohm`` is what the source is told about its load (infinite: high impedance); the
    voltages are those of the open output whatever the load.
    """

    rate_hz: float
    vpp_open_v: float
    offset_open_v: float = 0.0
    cycles: int = 1
    load_ohm: float = math.inf
    filter: Filter = "NORM"


@dataclass(frozen=True)
class UploadReceipt:
    """Records what was sent to a source: the digest is that of the code bytes."""

    name: str
    n_points: int
    n_bytes: int
    sha256: str
    n_clipped: int
    quantisation_rms_v: float


class Source(Protocol):
    """Plays a waveform of volts once per trigger.

    The off messages, and the query with the answer that confirms them, are for a process that
    knows nothing else of the instrument: the guard.
    """

    api: ClassVar[int]
    off_messages: ClassVar[tuple[str, ...]]
    off_query: ClassVar[tuple[str, str]]

    def identify(self) -> Identity:
        """Ask who answers, and refuse a model that this driver does not know."""

    def reset(self) -> None:
        """Return to the factory settings, output off; call it before the first `configure`."""

    @property
    def caps(self) -> SourceCaps:
        """Tell what this source can do."""

    def configure(self, settings: SourceSettings) -> SourceSettings:
        """Switch the output off, set everything, and return the settings as read back."""

    def upload(
        self, name: str, volts: NDArray[np.float64], settings: SourceSettings
    ) -> UploadReceipt:
        """Send volts, (n_points,), within +-vpp/2 and without the offset; refuse clipping."""

    def arm(self) -> None:
        """Select the uploaded waveform and switch the output on, waiting for a trigger."""

    def trigger(self) -> None:
        """Start one burst now."""

    def off(self) -> None:
        """Switch the output off and verify it by a query."""

    def errors(self) -> tuple[str, ...]:
        """Read and clear the error queue."""

    def close(self) -> None:
        """Give the link back; closing twice is allowed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


@dataclass(frozen=True)
class CaptureCaps:
    """Lists what a capture instrument can do."""

    channels: int
    code_bits: int
    max_range_v: float
    max_duration_s: float


@dataclass(frozen=True)
class ChannelSetup:
    """Sets one channel: full scale from bottom to top, and the volts at its centre."""

    range_v: float
    offset_v: float = 0.0


@dataclass(frozen=True)
class CaptureSettings:
    """Tells how a capture will record, as read back from the instrument.

    Each point is the mean of ``averaged_s`` about its instant; 0 is the instant itself.
    """

    rate_hz: float
    n_points: int
    channels: Mapping[int, ChannelSetup] = field(default_factory=dict)
    averaged_s: float = 0.0


class Capture(Protocol):
    """Records volts of a few channels after a trigger."""

    api: ClassVar[int]

    def identify(self) -> Identity:
        """Ask who answers, and refuse a model that this driver does not know."""

    def reset(self) -> None:
        """Return to the factory settings, stopped; call it before the first `configure`."""

    @property
    def caps(self) -> CaptureCaps:
        """Tell what this instrument can do."""

    @property
    def start_s(self) -> float:
        """Tell when the record's first sample was taken; the trigger is 0."""

    def configure(
        self,
        channels: Mapping[int, ChannelSetup],
        duration_s: float,
        rate_hz: float | None = None,
    ) -> CaptureSettings:
        """Set the channels and the window after the trigger, and return what was read back.

        The rate may come back smaller than asked when the memory holds no more; None leaves the
        choice to the instrument.
        """

    def arm(self) -> None:
        """Wait for the trigger; return when a trigger would be seen."""

    def wait(self, timeout_s: float) -> None:
        """Return when the record is complete."""

    def read(self, channel: int) -> NDArray[np.float64]:
        """Return the volts of one channel, (n_points,)."""

    def close(self) -> None:
        """Give the link back; closing twice is allowed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


Codes = NDArray[np.int32 | np.float64]
"""What a device sends for a sample: whole numbers, or floats where its format has them."""


@dataclass(frozen=True)
class DeviceEvent:
    """Tells what a device that detects by itself has reported.

    Parameters
    ----------
    name
        The field or column that told it.
    sample
        Index of the sample with which it was told; in a frame of several, of the first one.
    value
        What was told: the number of the unit, or the level to which a line rose; never 0.
    """

    name: str
    sample: int
    value: int


@dataclass(frozen=True, eq=False)
class DeviceBlock:
    """Holds samples of a device.

    Parameters
    ----------
    counts
        Codes, (n_samples, n_channels), int32, or float64 of a device that sends fractions; zero
        where samples were lost.
    first_sample
        Index of the first row; sample 0 is the first one decoded after the start.
    gaps
        Lost samples as (first sample, number of samples), in the same indices.
    n_bad_frames
        Frames dropped since the start because their check failed.
    n_repeated_frames
        Frames since the start that came twice, and were taken once.
    events
        What the device has detected by itself, in the order of the samples; at sample k of a
        device at ``rate_hz`` it is the time k / rate_hz.
    """

    counts: Codes
    first_sample: int
    gaps: tuple[tuple[int, int], ...]
    n_bad_frames: int
    n_repeated_frames: int = 0
    events: tuple[DeviceEvent, ...] = ()


class Device(Protocol):
    """Streams codes from an amplifier. Lost frames are gaps, never exceptions."""

    api: ClassVar[int]

    def identify(self) -> Identity:
        """Ask who answers, and refuse a device that is not the one of the profile."""

    @property
    def rate_hz(self) -> float:
        """Tell the nominal sampling rate."""

    @property
    def n_channels(self) -> int:
        """Tell the number of channels."""

    @property
    def scale_uv_per_count(self) -> float:
        """Tell the size of one code at the electrode."""

    def start(self) -> None:
        """Start streaming; sample 0 is the first sample decoded from now on."""

    def read_block(self, n_samples: int, timeout_s: float) -> DeviceBlock:
        """Return the next n_samples, or fewer (never none) when the time is over."""

    def stop(self) -> None:
        """Stop streaming and discard what was not read."""

    def close(self) -> None:
        """Give the port back; closing twice is allowed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Switch(Protocol):
    """Sets the relays that join source and device, and reads contacts such as that of a lid."""

    api: ClassVar[int]

    def identify(self) -> Identity:
        """Ask who answers."""

    def set_relays(self, relays: frozenset[int]) -> None:
        """Switch these relays on and all others off, and verify it by a query."""

    def relays(self) -> frozenset[int]:
        """Read which relays are on."""

    def input_closed(self, number: int) -> bool:
        """Read a contact; a broken wire must read as open."""

    def close(self) -> None:
        """Give the link back and leave the relays as they are; closing twice is allowed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
