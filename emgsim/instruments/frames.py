"""Decodes a byte stream of fixed-length frames into samples, gaps and a count of bad frames.

A frame is ``sync | counter | payload | other bytes | checksum | footer``; the counter may also
stand elsewhere, or be missing. The payload holds its samples one after the other, each with all
channels, or, when several frames make one sample, with its share of them. The checksum covers all
between sync and checksum.

A position of the stream holds a frame when sync, footer and checksum are right there. After a
frame the next one is expected at once; at any other place the decoder is out of step, moves on
byte by byte, and, unless the checksum is a CRC, believes a frame only when another sync follows.
Frames are checked one by one, since the standard library's CRC takes less time for a frame than
one call of numpy; their samples are unpacked all at once.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.instruments.base import Codes, DeviceBlock, DeviceEvent
from emgsim.instruments.frame_format import (
    CHECKSUM_BYTES,
    FIELD_BYTES,
    SAMPLE_BYTES,
    ByteOrder,
    Checksum,
    FrameField,
    FrameFormat,
)

MAX_STEP_FRAMES = 1 << 16  # a longer jump of the counter is a restart, no loss


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


@dataclass(frozen=True)
class _Slots:
    """Frames in their places: codes (n_slots, samples, channels), and which were received."""

    codes: Codes
    received: NDArray[np.bool_]


class FrameDecoder:
    """Turns bytes into blocks of samples; any split of the stream gives the same samples.

    Attributes
    ----------
    n_bad_frames
        Places that began with the sync but were no frame: corrupted frames, and the rare sync
        inside a payload that was searched.
    n_repeated_frames
        Frames that were byte for byte the one before them; they are not taken.
    restarts
        Steps of the counter (from, to) too long for a loss: backwards, or half its range or
        65 536 frames forwards. The device was reset; how much was lost cannot be known, and the
        numbering goes on as if nothing were. A loss of exactly the counter's range is invisible,
        and without a counter every loss is.
    """

    def __init__(self, frame: FrameFormat) -> None:
        self.n_bad_frames = 0
        self.n_repeated_frames = 0
        self.restarts: list[tuple[int, int]] = []
        self._frame = frame
        self._sync = frame.sync_bytes
        self._footers = frame.footers
        self._length = frame.frame_bytes
        self._modulus = frame.counter_range
        self._max_step = min(self._modulus // 2, MAX_STEP_FRAMES)
        self._is_in_step = False
        self._rest = b""
        self._last_frame: NDArray[np.uint8] | None = None
        self._next_sample = 0
        self._levels: dict[str, int] = {}
        shape = (0, frame.samples_per_frame, frame.channels_per_frame)
        self._part = _Slots(np.zeros(shape, _kind(frame)), np.zeros(0, bool))

    def feed(self, data: bytes) -> DeviceBlock:
        """Decode what became complete with these bytes.

        Returns
        -------
        DeviceBlock
            The samples with zeros for lost ones; it may be empty.
        """
        frames = self._complete_frames(self._rest + data)
        if len(frames) and self._frame.frames_per_sample > 1:
            frames = self._from_first_part(frames)
        if len(frames):
            last = frames[-1]
            frames, lost = self._new(frames)
            self._last_frame = last
        if not len(frames):
            return self._block(self._part.codes[:0], (), ())
        return self._laid_out(frames, lost)

    def _block(
        self,
        codes: Codes,
        gaps: tuple[tuple[int, int], ...],
        events: tuple[DeviceEvent, ...],
    ) -> DeviceBlock:
        """Return codes (n, samples, channels) as a block, and count its samples."""
        first_sample = self._next_sample
        samples = codes.reshape(-1, self._frame.channels)
        self._next_sample += len(samples)
        return DeviceBlock(
            samples, first_sample, gaps, self.n_bad_frames, self.n_repeated_frames, events
        )

    # ---- cutting the stream

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
        if not stream.endswith(self._footers, position, end):
            return False
        if self._lookahead_bytes and not stream.startswith(self._sync, end):
            return False
        end -= len(self._footers[0])
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

    # ---- counting

    def _from_first_part(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Leave out what came before the first part of the first sample."""
        if self._last_frame is not None:
            return frames
        parts = self._frame.frames_per_sample
        is_first = self._counters(frames) % parts == 0
        return frames[int(np.argmax(is_first)) :] if is_first.any() else frames[:0]

    def _counters(self, frames: NDArray[np.uint8]) -> NDArray[np.int64]:
        start = self._frame.counter_start
        field = frames[:, start : start + self._frame.counter_bytes]
        return _unsigned(field, self._frame.counter_byte_order) % self._modulus

    def _new(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Leave out what came twice, and count the frames lost before each of the others."""
        if not self._frame.counter_bits:
            return frames, np.zeros(len(frames), np.int64)
        counters = self._counters(frames)
        before = counters[:1] - 1
        if self._last_frame is not None:
            before = self._counters(self._last_frame[None, :])
        previous = np.concatenate((before, counters[:-1]))
        lost = np.asarray((counters - previous - 1) % self._modulus, np.int64)
        is_new = np.ones(len(frames), bool)
        for i in np.flatnonzero(lost >= self._max_step):
            if self._is_repeated(frames, int(i)):
                is_new[i] = False
                continue
            self.restarts.append((int(previous[i]), int(counters[i])))
            lost[i] = (counters[i] - previous[i] - 1) % self._frame.frames_per_sample
        if is_new.all():
            return frames, lost
        self.n_repeated_frames += int((~is_new).sum())
        return frames[is_new], lost[is_new]

    def _is_repeated(self, frames: NDArray[np.uint8], i: int) -> bool:
        """Tell whether a frame is the one before it, byte for byte."""
        before = frames[i - 1] if i else self._last_frame
        return before is not None and np.array_equal(frames[i], before)

    # ---- placing

    def _laid_out(self, frames: NDArray[np.uint8], lost: NDArray[np.int64]) -> DeviceBlock:
        """Place frames by their counters, join the parts of a sample, keep an unfinished one."""
        if self._frame.frames_per_sample == 1 and not lost.any():
            at = self._next_sample + np.arange(len(frames)) * self._frame.samples_per_frame
            return self._block(self._samples(frames), (), self._events(frames, at))
        parts, per_frame = self._frame.frames_per_sample, self._frame.samples_per_frame
        kept = len(self._part.codes)
        slots = kept + np.arange(len(frames)) + np.cumsum(lost)
        codes = np.zeros((int(slots[-1]) + 1, *self._part.codes.shape[1:]), self._part.codes.dtype)
        received = np.zeros(len(codes), bool)
        codes[:kept], received[:kept] = self._part.codes, self._part.received
        codes[slots], received[slots] = self._samples(frames), True
        n_whole = len(codes) // parts
        end = n_whole * parts
        self._part = _Slots(codes[end:], received[end:])
        is_whole = np.asarray(received[:end].reshape(n_whole, parts).all(axis=1))
        by_part = codes[:end].reshape(n_whole, parts, per_frame, self._frame.channels_per_frame)
        if self._frame.shares:
            by_part = by_part[:, np.argsort(self._frame.shares)]
        joined = np.swapaxes(by_part, 1, 2).reshape(n_whole, per_frame, self._frame.channels)
        if not is_whole.all():
            joined[~is_whole] = 0
        first_sample = self._next_sample
        events = self._events(frames, first_sample + slots // parts * per_frame)
        return self._block(joined, _gaps(is_whole, first_sample, per_frame), events)

    def _samples(self, frames: NDArray[np.uint8]) -> Codes:
        """Return the codes, (n_frames, samples_per_frame, channels_per_frame)."""
        frame = self._frame
        payload = frames[:, frame.samples_start : frame.samples_start + frame.payload_bytes]
        shape = (len(frames), frame.samples_per_frame, frame.channels_per_frame)
        width, order = SAMPLE_BYTES[frame.sample_format], frame.byte_order
        if frame.sample_format == "float32":
            kind = ">f4" if order == "big" else "<f4"
            floats = np.ascontiguousarray(payload).view(kind).astype(np.float64)
            return np.nan_to_num(floats, posinf=0.0, neginf=0.0).reshape(shape)
        if frame.sample_format.startswith("uint"):
            numbers = payload.reshape(-1, width)
            return (_unsigned(numbers, order) - frame.zero_code).astype(np.int32).reshape(shape)
        return _signed(payload, width, order).reshape(shape)

    def _events(
        self, frames: NDArray[np.uint8], samples: NDArray[np.int64]
    ) -> tuple[DeviceEvent, ...]:
        """Return what the fields tell, each at the first sample of its frame."""
        found = []
        for field in self._frame.fields:
            values = _field_values(field, frames)
            told = values
            if field.meaning == "ttl":
                before = np.concatenate(([self._levels.get(field.name, 1)], values[:-1]))
                told = np.where(before == 0, values, 0)
                self._levels[field.name] = int(values[-1])
            found += [
                DeviceEvent(field.name, int(samples[i]), int(told[i])) for i in np.flatnonzero(told)
            ]
        return tuple(sorted(found, key=lambda event: event.sample))


def _gaps(
    is_whole: NDArray[np.bool_], first_sample: int, per_frame: int
) -> tuple[tuple[int, int], ...]:
    """List the runs of samples that were not received."""
    if is_whole.all():
        return ()
    edges = np.flatnonzero(np.diff(np.concatenate(([1], is_whole.astype(np.int8), [1]))))
    return tuple(
        (first_sample + int(start) * per_frame, int(end - start) * per_frame)
        for start, end in edges.reshape(-1, 2)
    )


def _kind(frame: FrameFormat) -> type[np.int32] | type[np.float64]:
    return np.float64 if frame.sample_format == "float32" else np.int32


def _field_values(field: FrameField, frames: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return a field of each frame, (n_frames,)."""
    fields = frames[:, field.offset : field.offset + FIELD_BYTES[field.format]]
    values = _unsigned(fields, field.byte_order)
    return values if field.bit is None else values >> field.bit & 1


def _unsigned(fields: NDArray[np.uint8], order: ByteOrder) -> NDArray[np.int64]:
    """Read one unsigned number of 1 to 4 bytes from each row."""
    columns = fields.T if order == "big" else fields.T[::-1]
    value = np.zeros(len(fields), np.int64)
    for column in columns:
        value = (value << 8) | column
    return value


def _signed(payload: NDArray[np.uint8], width: int, order: ByteOrder) -> NDArray[np.int32]:
    """Read signed numbers of 2 to 4 bytes from each row; the highest byte has the sign."""
    columns = payload.reshape(-1, width).T
    highest, *lower = columns if order == "big" else columns[::-1]
    value: NDArray[np.int32] = highest.view(np.int8).astype(np.int32)
    for column in lower:
        value <<= 8
        value |= column
    return value
