"""Describes what a device sends: frames of bytes (``[frame]`` of its profile), and its commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ByteOrder = Literal["big", "little"]
Checksum = Literal["none", "crc16-ccitt", "sum8"]
SampleFormat = Literal["int16", "int24", "int32", "uint8", "uint16", "uint24", "float32"]
FieldFormat = Literal["uint8", "uint16", "uint32"]
Meaning = Literal["event", "ttl"]
SAMPLE_BYTES: dict[SampleFormat, int] = {
    "int16": 2, "int24": 3, "int32": 4, "uint8": 1, "uint16": 2, "uint24": 3, "float32": 4
}  # fmt: skip
FIELD_BYTES: dict[FieldFormat, int] = {"uint8": 1, "uint16": 2, "uint32": 4}
CHECKSUM_BYTES: dict[Checksum, int] = {"none": 0, "crc16-ccitt": 2, "sum8": 1}


def _checked_hex(text: str) -> str:
    bytes.fromhex(text)
    return text


Hex = Annotated[str, AfterValidator(_checked_hex)]


class Described(BaseModel):
    """Base of the descriptions: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SetupCommand(Described):
    """A command that is sent before each start, and what its answer must contain."""

    send: str = Field(min_length=1)
    answers: tuple[str, ...] = ()  # texts that must all be in it; none: no answer is awaited


class DeviceCommands(Described):
    """Lists the texts that a device obeys; an empty one is not sent."""

    start: str = ""
    stop: str = ""
    identify: str = ""
    terminator: str = "\n"
    identified_by: str = ""  # text in the identification; none: maker,model,serial,firmware
    firmware_after: str = ""  # text in it that stands right before the firmware's version
    answer_end: str = ""  # that ends an answer; none: a line end
    setup: tuple[SetupCommand, ...] = ()

    @model_validator(mode="after")
    def _answers_end(self) -> Self:
        if not self.answer_end and (self.identified_by or any(s.answers for s in self.setup)):
            raise ValueError("answer_end must be given where an identification or a setup answers")
        return self


class FrameField(Described):
    """A number of a frame in which the device tells of something that it saw by itself.

    ``event``: 0 for nothing, or the number of the unit that has discharged. ``ttl``: a level; its
    rise from 0 is a discharge.
    """

    name: str = Field(min_length=1)
    offset: int = Field(ge=0)  # of its first byte from the first one of the sync
    format: FieldFormat = "uint8"
    byte_order: ByteOrder = "big"
    bit: int | None = Field(None, ge=0, le=31)  # this bit alone, 0 the lowest; none: all
    meaning: Meaning


class FrameFormat(Described):
    """Describes the frames of a device.

    Their parts follow each other: sync, counter, samples, `other_bytes`, checksum and footer,
    unless `counter_at` or `samples_at` say otherwise; all offsets count from the sync's first byte.
    """

    sync: Hex = Field(min_length=2)  # e.g. "A55A"
    counter_bits: Literal[0, 8, 16, 32]  # counts frames; 0: nothing does
    counter_byte_order: ByteOrder = "big"
    counter_at: int | None = Field(None, ge=0)  # none: after the sync
    counter_modulus: int = Field(0, ge=0)  # the counter is 0 after one less than this; 0: full bits
    channels: int = Field(ge=1, le=1024)
    samples_per_frame: int = Field(ge=1, le=4096)
    samples_at: int | None = Field(None, ge=0)  # none: after sync and counter
    frames_per_sample: int = Field(1, ge=1, le=16)  # from a counter on that it divides
    shares: tuple[int, ...] = ()  # of the channels, by frame of a sample; none: in their order
    sample_format: SampleFormat
    zero_code: int = 0  # of unsigned samples; it is taken off
    byte_order: ByteOrder = "big"  # of samples
    other_bytes: int = Field(0, ge=0)  # after the samples
    fields: tuple[FrameField, ...] = ()
    checksum: Checksum = "none"
    checksum_byte_order: ByteOrder = "big"
    footer: Hex | tuple[Hex, ...] = ""  # or all that are accepted
    commands: DeviceCommands = DeviceCommands()

    @property
    def sync_bytes(self) -> bytes:
        """The bytes that begin a frame."""
        return bytes.fromhex(self.sync)

    @property
    def footers(self) -> tuple[bytes, ...]:
        """The bytes that may end a frame."""
        texts = (self.footer,) if isinstance(self.footer, str) else self.footer
        return tuple(bytes.fromhex(text) for text in texts)

    @property
    def counter_bytes(self) -> int:
        """Length of the counter."""
        return self.counter_bits // 8

    @property
    def counter_start(self) -> int:
        """Offset of the counter."""
        return len(self.sync_bytes) if self.counter_at is None else self.counter_at

    @property
    def counter_range(self) -> int:
        """Number of values of the counter; 1 where there is none."""
        return self.counter_modulus or 1 << self.counter_bits

    @property
    def channels_per_frame(self) -> int:
        """Number of channels in one frame."""
        return self.channels // self.frames_per_sample

    @property
    def samples_start(self) -> int:
        """Offset of the first sample."""
        if self.samples_at is not None:
            return self.samples_at
        return len(self.sync_bytes) + (self.counter_bytes if self.counter_at is None else 0)

    @property
    def payload_bytes(self) -> int:
        """Length of the samples."""
        return self.samples_per_frame * self.channels_per_frame * SAMPLE_BYTES[self.sample_format]

    @property
    def body_end(self) -> int:
        """Offset of what follows counter, samples and other bytes: checksum or footer."""
        return self.samples_start + self.payload_bytes + self.other_bytes

    @property
    def frame_bytes(self) -> int:
        """Length of a frame from its sync to its footer."""
        return self.body_end + CHECKSUM_BYTES[self.checksum] + len(self.footers[0])

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        mistakes = list(self._mistakes())
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    def _mistakes(self) -> Iterator[str]:
        if not self.footers or len({len(footer) for footer in self.footers}) > 1:
            yield f"footer: all that are accepted must be of one length, got {self.footer}"
            return
        if self.counter_modulus > 1 << self.counter_bits:
            yield f"counter_modulus must be at most {1 << self.counter_bits}"
        if self.frames_per_sample > 1 and (
            self.channels % self.frames_per_sample or self.counter_range % self.frames_per_sample
        ):
            yield (
                f"frames_per_sample = {self.frames_per_sample} must divide the channels "
                f"({self.channels}) and the counter's range ({self.counter_range})"
            )
        if self.shares and sorted(self.shares) != list(range(self.frames_per_sample)):
            yield f"shares: each of 0..{self.frames_per_sample - 1} once, got {list(self.shares)}"
        if self.zero_code and not self.sample_format.startswith("uint"):
            yield f"zero_code is of unsigned samples, got {self.zero_code} for {self.sample_format}"
        yield from self._misplaced()

    def _misplaced(self) -> Iterator[str]:
        ends = {field.name: field.offset + FIELD_BYTES[field.format] for field in self.fields}
        ends["counter"] = self.counter_start + self.counter_bytes
        first = min([self.samples_start, self.counter_start, *(f.offset for f in self.fields)])
        if first < len(self.sync_bytes):
            yield f"counter_at, samples_at and fields must lie behind the sync, got {first}"
        for name, end in ends.items():
            if end > self.body_end:
                yield f"{name} must end before byte {self.body_end} of the frame, got {end}"


class LineField(Described):
    """A column in which the device tells of something that it saw by itself, as `FrameField`."""

    name: str = Field(min_length=1)  # of the column
    meaning: Meaning


class LineFormat(Described):
    """Describes a device that sends lines of text, one sample in each (``[lines]``)."""

    columns: tuple[str, ...] = Field(min_length=1)  # of every line, in their order
    channels: tuple[str, ...] = Field(min_length=1)  # columns that hold samples
    counter: str = ""  # column that counts lines; none: nothing does
    counter_modulus: int = Field(1 << 32, ge=2, le=1 << 32)  # the counter is 0 after one less
    separator: str = ","  # one blank stands for any number of blanks and tabs
    decimal_point: Literal[".", ","] = "."
    comment: str = "#"  # lines that begin with it are none; so are empty lines and a header
    longest_line_bytes: int = Field(1024, ge=8, le=65536)  # what is longer is no line
    fields: tuple[LineField, ...] = ()
    commands: DeviceCommands = DeviceCommands()

    @model_validator(mode="after")
    def _names_its_columns(self) -> Self:
        named = [*self.channels, *(field.name for field in self.fields)]
        named += [self.counter] if self.counter else []
        unknown = [name for name in named if name not in self.columns]
        if unknown or len(set(self.columns)) < len(self.columns):
            raise ValueError(
                f"columns must all be different and name every channel, counter and field, "
                f"got {list(self.columns)} without {unknown}"
            )
        if self.separator == self.decimal_point or not self.separator:
            raise ValueError("separator must be a text other than the decimal point")
        return self
