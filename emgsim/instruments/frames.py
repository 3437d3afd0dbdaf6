"""Decodes a byte stream of fixed-length frames into samples, gaps and a count of bad frames.

A frame is ``sync | counter | payload | checksum | footer``. The payload holds its samples one
after the other, each with all channels. The checksum covers counter and payload.

A position of the stream holds a frame when sync, footer and checksum are right there. After a
frame the next one is expected at once; at any other place the decoder is out of step, moves on
byte by byte, and, unless the checksum is a CRC, believes a frame only when another sync follows.
Frames are checked one by one, since the standard library's CRC takes less time for a frame than
one call of numpy; their samples are unpacked all at once.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from emgsim.instruments.base import DeviceBlock

MAX_STEP_FRAMES = 1 << 16  # a longer jump of the counter is a restart, no loss

ByteOrder = Literal["big", "little"]
Checksum = Literal["none", "crc16-ccitt", "sum8"]
SampleFormat = Literal["int16", "int24", "int32"]
SAMPLE_BYTES: dict[SampleFormat, int] = {"int16": 2, "int24": 3, "int32": 4}
CHECKSUM_BYTES: dict[Checksum, int] = {"none": 0, "crc16-ccitt": 2, "sum8": 1}


def _checked_hex(text: str) -> str:
    bytes.fromhex(text)
    return text


Hex = Annotated[str, AfterValidator(_checked_hex)]


class FrameCommands(BaseModel):
    """Lists the texts that a device obeys; an empty one is not sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: str = ""
    stop: str = ""
    identify: str = ""
    terminator: str = "\n"


class FrameFormat(BaseModel):
    """Describes the frames of a device."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sync: Hex = Field(min_length=2)  # e.g. "A55A"
    counter_bits: Literal[8, 16, 32]  # counts frames
    counter_byte_order: ByteOrder = "big"
    channels: int = Field(ge=1, le=1024)
    samples_per_frame: int = Field(ge=1, le=4096)
    sample_format: SampleFormat
    byte_order: ByteOrder = "big"  # of samples
    checksum: Checksum = "none"
    checksum_byte_order: ByteOrder = "big"
    footer: Hex = ""
    commands: FrameCommands = FrameCommands()

    @property
    def sync_bytes(self) -> bytes:
        """The bytes that begin a frame."""
        return bytes.fromhex(self.sync)

    @property
    def counter_bytes(self) -> int:
        """Length of the counter."""
        return self.counter_bits // 8

    @property
    def payload_bytes(self) -> int:
        """Length of the samples."""
        return self.samples_per_frame * self.channels * SAMPLE_BYTES[self.sample_format]

    @property
    def frame_bytes(self) -> int:
        """Length of a frame from its sync to its footer."""
        return (
            len(self.sync_bytes)
            + self.counter_bytes
            + self.payload_bytes
            + CHECKSUM_BYTES[self.checksum]
            + len(bytes.fromhex(self.footer))
        )


def crc16_ccitt(data: bytes) -> int:
    """Compute CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, nothing reflected."""
    return crc_hqx(data, 0xFFFF)


def sum8(data: bytes) -> int:
    """Sum bytes modulo 256."""
    return sum(data) % 256


CHECKS: dict[Checksum, Callable[[bytes], int]] = {
    "none": lambda _: 0,
    "crc16-ccitt": crc16_ccitt,
    "sum8": sum8,
}


class FrameDecoder:
    """Turns bytes into blocks of samples; any split of the stream gives the same samples.

    Attributes
    ----------
    n_bad_frames
        Places that began with the sync but were no frame: corrupted frames, and the rare sync
        inside a payload that was searched.
    restarts
        Steps of the counter (from, to) too long for a loss: backwards, or half its range or
        65 536 frames forwards. The device was reset; how much was lost cannot be known, and the
        numbering goes on as if nothing were. A loss of exactly the counter's range is invisible.
    """

    def __init__(self, frame: FrameFormat) -> None:
        self.n_bad_frames = 0
        self.restarts: list[tuple[int, int]] = []
        self._frame = frame
        self._sync = frame.sync_bytes
        self._footer = bytes.fromhex(frame.footer)
        self._length = frame.frame_bytes
        self._modulus = 1 << frame.counter_bits
        self._max_step = min(self._modulus // 2, MAX_STEP_FRAMES)
        self._is_in_step = False
        self._rest = b""
        self._last_counter: int | None = None
        self._next_sample = 0

    def feed(self, data: bytes) -> DeviceBlock:
        """Decode what became complete with these bytes.

        Returns
        -------
        DeviceBlock
            The samples with zeros for lost ones; it may be empty.
        """
        first_sample = self._next_sample
        frames = self._complete_frames(self._rest + data)
        if not len(frames):
            empty = np.zeros((0, self._frame.channels), np.int32)
            return DeviceBlock(empty, first_sample, (), self.n_bad_frames)
        return self._laid_out(self._counters(frames), self._samples(frames))

    def _complete_frames(self, stream: bytes) -> NDArray[np.uint8]:
        """Cut all complete frames out, (n_frames, frame_bytes), and keep the undecided rest."""
        length, position = self._length, 0
        found: list[bytes] = []
        while len(stream) - position >= length + self._lookahead_bytes:
            if self._is_frame(stream, position):
                found.append(stream[position : position + length])
                position += length
                self._is_in_step = True
            else:
                position = self._search(stream, position)
        self._rest = stream[position:]
        return np.frombuffer(b"".join(found), np.uint8).reshape(-1, length)

    @property
    def _lookahead_bytes(self) -> int:
        """Bytes needed after a frame that is found out of step."""
        is_sure = self._is_in_step or self._frame.checksum == "crc16-ccitt"
        return 0 if is_sure else len(self._sync)

    def _is_frame(self, stream: bytes, position: int) -> bool:
        if not stream.startswith(self._sync, position):
            return False
        end = position + self._length
        if not stream.endswith(self._footer, position, end):
            return False
        if self._lookahead_bytes and not stream.startswith(self._sync, end):
            return False
        end -= len(self._footer)
        start = end - CHECKSUM_BYTES[self._frame.checksum]
        body = stream[position + len(self._sync) : start]
        sent = int.from_bytes(stream[start:end], self._frame.checksum_byte_order)
        return CHECKS[self._frame.checksum](body) == sent

    def _search(self, stream: bytes, position: int) -> int:
        """Fall out of step at a position that is no frame, and return the next place to try."""
        self.n_bad_frames += stream.startswith(self._sync, position)
        self._is_in_step = False
        found = stream.find(self._sync, position + 1)
        return found if found >= 0 else max(position + 1, len(stream) - len(self._sync) + 1)

    def _counters(self, frames: NDArray[np.uint8]) -> NDArray[np.int64]:
        start = len(self._sync)
        field = frames[:, start : start + self._frame.counter_bytes]
        return _unsigned(field, self._frame.counter_byte_order)

    def _samples(self, frames: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the codes, (n_frames, samples_per_frame, channels)."""
        frame = self._frame
        start = len(self._sync) + frame.counter_bytes
        payload = frames[:, start : start + frame.payload_bytes]
        shape = (len(frames), frame.samples_per_frame, frame.channels)
        return _signed(payload, SAMPLE_BYTES[frame.sample_format], frame.byte_order).reshape(shape)

    def _laid_out(self, counters: NDArray[np.int64], samples: NDArray[np.int32]) -> DeviceBlock:
        """Place frames by their counters, with zeros for lost ones."""
        _, per_frame, channels = samples.shape
        first_sample, lost = self._next_sample, self._lost(counters)
        gaps: tuple[tuple[int, int], ...] = ()
        if lost.any():
            slots = np.arange(len(counters)) + np.cumsum(lost)
            gaps = tuple(
                (first_sample + int(slots[i] - lost[i]) * per_frame, int(lost[i]) * per_frame)
                for i in np.flatnonzero(lost)
            )
            received = samples
            samples = np.zeros((int(slots[-1]) + 1, per_frame, channels), np.int32)
            samples[slots] = received
        self._next_sample += len(samples) * per_frame
        return DeviceBlock(samples.reshape(-1, channels), first_sample, gaps, self.n_bad_frames)

    def _lost(self, counters: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the frames lost before each frame."""
        before = counters[0] - 1 if self._last_counter is None else self._last_counter
        previous = np.concatenate(([before], counters[:-1]))
        lost = (counters - previous - 1) % self._modulus
        for i in np.flatnonzero(lost >= self._max_step):
            self.restarts.append((int(previous[i]), int(counters[i])))
            lost[i] = 0
        self._last_counter = int(counters[-1])
        return lost


def _unsigned(fields: NDArray[np.uint8], order: ByteOrder) -> NDArray[np.int64]:
    """Read one unsigned number of 1 to 4 bytes from each row."""
    columns = fields.T if order == "big" else fields.T[::-1]
    value = np.zeros(len(fields), np.int64)
    for column in columns:
        value = (value << 8) | column
    return value


def _signed(payload: NDArray[np.uint8], width: int, order: ByteOrder) -> NDArray[np.int32]:
    """Read signed numbers of 2 to 4 bytes from each row.

    The bytes go to the high end of 32 bits, and an arithmetic shift brings the sign down.
    """
    numbers = payload.reshape(-1, width)
    padded = np.zeros((len(numbers), 4), np.uint8)
    padded[:, :width] = numbers if order == "big" else numbers[:, ::-1]
    high = padded.view(">i4")[:, 0].astype(np.int32)
    return high >> np.int32(8 * (4 - width))
