"""Describes devices: what a profile file in ``rigs/devices`` says about an amplifier."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from emgsim.errors import InputError
from emgsim.instruments.frame_format import FrameFormat, LineFormat
from emgsim.instruments.frames import FrameDecoder
from emgsim.instruments.line_decoder import LineDecoder
from emgsim.verdict import requirement_ids


class SheetLimit(BaseModel):
    """Says what the maker promises of one test, by the test's id in ``[sheet]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: float | None = None
    high: float | None = None
    unit: str
    clause: str = ""  # where in the data sheet
    requirement: Annotated[
        tuple[str, ...],
        BeforeValidator(requirement_ids, json_schema_input_type=str | tuple[str, ...]),
    ] = ()  # one id, or a list: what the limit verifies

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        low, high = self.low, self.high
        if low is None and high is None:
            raise ValueError("low, high: one of them at least")
        if low is not None and high is not None and low > high:
            raise ValueError(f"low must be at most high, got {low:g} and {high:g}")
        return self


class DeviceProfile(BaseModel):
    """Says what a device is: its range, band, noise and the frames that it sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["emgsim.device/1"] = Field(alias="schema")
    maker: str = Field(min_length=1)
    model: str = Field(min_length=1)
    group: str = ""  # kind of device, for lists and reports
    rate_hz: float = Field(gt=0)  # nominal sampling rate
    band_hz: tuple[float, float]  # -3 dB corners, low and high
    highpass_order: int = Field(ge=0)  # Butterworth; 0: coupled down to DC
    lowpass_order: int = Field(ge=0)  # Butterworth; 0: none
    range_uv: float = Field(gt=0)  # full scale is +- this
    scale_uv_per_count: float = Field(gt=0)  # size of one code at the electrode
    noise_uv_rms: float = Field(ge=0)  # input-referred, in the band
    firmware: str = ""  # of which all this was declared; "": of any
    no_damage_v: float = Field(gt=0)  # largest input that does no harm
    baud: int = Field(default=115200, gt=0)  # USB serial ports ignore it
    channels: int = Field(default=0, ge=0)  # that its driver asks for; 0: what its frame says
    channel_scales: tuple[float, ...] = ()  # of each, times scale_uv_per_count; none: all 1
    frame: FrameFormat | None = None  # a device that sends frames of bytes
    lines: LineFormat | None = None  # or lines of text; neither: its driver knows what it sends
    sheet: dict[str, SheetLimit] = {}  # what it promises, by a test's id: "gain.accuracy"

    @property
    def stream(self) -> FrameFormat | LineFormat:
        """What the device sends.

        Raises
        ------
        InputError
            When the profile does not say it.
        """
        found = self.frame or self.lines
        if found is None:
            raise InputError(
                f"the profile of {self.model} does not describe what the device sends",
                where="frame, lines",
                todo="use the driver that was made for this device, or add a table [frame]",
            )
        return found

    @property
    def detects(self) -> bool:
        """Whether the device reports what it has detected by itself."""
        described = self.frame or self.lines
        return described is not None and bool(described.fields)

    @property
    def n_channels(self) -> int:
        """Number of channels that the device sends."""
        if self.channels:
            return self.channels
        stream = self.stream
        return len(stream.channels) if isinstance(stream, LineFormat) else stream.channels

    @property
    def scales_uv_per_count(self) -> NDArray[np.float64]:
        """Size of one code at the electrode for each channel, shape ``(n_channels,)``."""
        scales = self.channel_scales or np.ones(self.n_channels)
        return self.scale_uv_per_count * np.asarray(scales, np.float64)

    @model_validator(mode="after")
    def _sends_one_thing(self) -> Self:
        if self.frame is not None and self.lines is not None:
            raise ValueError("frame and lines: a device sends one of them, got both")
        is_described = self.frame is not None or self.lines is not None
        if is_described and self.channels:
            raise ValueError(
                "channels: frame or lines say how many there are; take one of them out"
            )
        if is_described and len(self.channel_scales) not in {0, self.n_channels}:
            raise ValueError(
                f"channel_scales: one for each of the {self.n_channels} channels, "
                f"got {len(self.channel_scales)}"
            )
        return self

    @model_validator(mode="after")
    def _band_rises(self) -> Self:
        low_hz, high_hz = self.band_hz
        if not 0 <= low_hz < high_hz <= self.rate_hz / 2:
            raise ValueError(
                f"band_hz must rise within 0..rate_hz/2 = {self.rate_hz / 2:g} Hz, "
                f"got [{low_hz:g}, {high_hz:g}]"
            )
        return self


def decoder_of(profile: DeviceProfile) -> FrameDecoder | LineDecoder:
    """Make a decoder of what the device sends, which has seen nothing yet."""
    stream = profile.stream
    return LineDecoder(stream) if isinstance(stream, LineFormat) else FrameDecoder(stream)


def load_profile(name: str | Path) -> DeviceProfile:
    """Load a device profile by its name, or from a TOML file.

    Parameters
    ----------
    name
        ``na1`` for ``rigs/devices/na1.toml`` of the working directory or of the package, or the
        path of a file that ends in ``.toml``.

    Raises
    ------
    InputError
        When there is no such profile, with the nearest name; or with all its mistakes at once.
    """
    path = Path(name) if str(name).endswith(".toml") else _found(str(name))
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return DeviceProfile.model_validate(content)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"a device profile cannot be read: {error}", where=str(path)) from error
    except ValidationError as error:
        raise InputError(
            "a device profile is invalid: " + "; ".join(_told(error)), where=str(path)
        ) from error


def profile_names() -> tuple[str, ...]:
    """List the names of all profiles that can be loaded."""
    files = (file for folder in _folders() for file in folder.glob("*.toml"))
    return tuple(sorted({file.stem for file in files}))


def _folders() -> tuple[Path, ...]:
    package = Path(__file__).resolve().parents[1]
    return (
        Path("rigs/devices"),
        package / "shipped" / "rigs" / "devices",
        package.parent / "rigs" / "devices",  # a checkout
    )


def _found(name: str) -> Path:
    for folder in _folders():
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    known = profile_names()
    near = difflib.get_close_matches(name, known, n=1)
    raise InputError(
        f"no device profile is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
        where=", ".join(str(folder) for folder in _folders()),
        todo=f"use one of {', '.join(known) or '(none found)'}, or the path of a .toml file",
    )


def _told(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in mistake['loc']) or 'profile'}: {mistake['msg']}"
        for mistake in error.errors()
    ]
