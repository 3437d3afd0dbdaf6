"""Decodes the frames of a BITalino (r)evolution, which have no sync.

A frame has 3 to 8 bytes. Its last byte is ``counter << 4 | CRC``; before it stand, from the end
backwards, the digital ports (4 bits), up to four codes of 10 bits and two of 6, the first port
last. The CRC has 4 bits (x^4 + x + 1, over all but itself), the counter has 4 too. Source: PLUX's
open firmware ``BITalino_v5.1`` (firmware-bitalino-revolution: live.c and sendFrameCRC in uart.c).

What cannot be known: random bits carry the right CRC and counter once in 256 frames and are taken
for good (wrong bits within four neighbours never do). A loss of 16 frames or a multiple of it is
invisible when the bytes themselves are missing; when they came and were spoilt, their number tells
how many frames they were. A loss of 15 frames between two that are alike to the last bit is taken
for a frame that came twice.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emgsim.instruments.base import DeviceBlock

MIDDLE_CODE = 512  # of 0..1023: no voltage between the electrodes
COUNTERS = 16
SURE_FRAMES = 4  # in a row that a place out of step must hold; by chance 1 in 600 000 does
AGAIN_FRAMES = 2  # that do when the place is where a frame is due, and the counter is too


def frame_bytes(n_channels: int) -> int:
    """Return the length of a frame: counter, CRC and ports in 12 bits, then 10 or 6 per code."""
    bits = 12 + 10 * min(n_channels, 4) + 6 * max(n_channels - 4, 0)
    return -(-bits // 8)


class FrameDecoder:
    """Turns bytes into blocks of samples; any split of the stream gives the same samples.

    The frame after a good one is believed when its CRC is right and its counter is the next. A
    later counter is a loss, believed when the frame after it agrees (the two counters together
    must not have gone round) or several in order follow it. Anything else is out of step, and then
    places are tried one after the other until some frames in a row make sense.

    Parameters
    ----------
    n_channels
        1 to 6. The fifth and the sixth have 6 bits, and are returned as the upper ones of 10.
    """

    def __init__(self, n_channels: int) -> None:
        self._n_channels = n_channels
        self._length = frame_bytes(n_channels)
        self._rest = b""
        self._last: int | None = None  # counter of the last good frame
        self._last_frame = b""
        self._skipped_bytes = 0  # since then
        self._n_bad = self._n_repeated = 0
        self._next_sample = 0

    @property
    def n_bad_frames(self) -> int:
        """Number of frames' worth of bytes that were no frames."""
        return self._n_bad + -(-self._skipped_bytes // self._length)

    def feed(self, data: bytes) -> DeviceBlock:
        """Decode what became complete with these bytes.

        Returns
        -------
        DeviceBlock
            The samples with zeros for lost ones; it may be empty.
        """
        view, position = _Places(self._rest + data, self._length), 0
        runs: list[tuple[int, int, int]] = []  # first place, number of frames, lost before them
        while position < view.n:
            if self._is_repeated(view, position):
                self._n_repeated += 1
                position += self._length
                continue
            n_frames = self._n_in_order(view, position)
            is_frame = True if n_frames else self._is_believed(view, position)
            if is_frame is None:
                break
            if is_frame:
                n_frames = max(n_frames, 1)
                runs.append((position, n_frames, self._lost_before(view.counters[position])))
                position += n_frames * self._length
                self._last = int(view.counters[position - self._length])
                self._last_frame = view.stream[position - self._length : position]
            else:
                skipped = view.next_good(position + 1) - position
                self._skipped_bytes += skipped
                position += skipped
        self._rest = view.stream[position:]
        return self._laid_out(view, runs)

    def _is_repeated(self, view: _Places, position: int) -> bool:
        """Tell whether the frame here is the last good one once more."""
        if not self._last_frame or self._skipped_bytes:
            return False
        return view.stream.startswith(self._last_frame, position)

    def _n_in_order(self, view: _Places, position: int) -> int:
        """Count the frames from here on that follow the last one and each other without a flaw."""
        if self._last is None or self._skipped_bytes:
            return 0
        counters = view.counters[position :: self._length]
        wanted = (self._last + 1 + np.arange(len(counters))) % COUNTERS
        is_flawed = ~view.is_good[position :: self._length] | (counters != wanted)
        return int(is_flawed.argmax()) if is_flawed.any() else len(counters)

    def _is_believed(self, view: _Places, position: int) -> bool | None:
        """Tell whether a frame that is not simply the next one starts here; None: not yet known."""
        if self._last is None:
            return view.makes_sense(position, SURE_FRAMES)
        if not self._skipped_bytes:
            agrees = view.makes_sense(position, 2, before=self._last)
            if agrees is not False:
                return agrees
            return view.makes_sense(position, SURE_FRAMES, is_strict=True)
        if self._is_due(view, position):
            return view.makes_sense(position, AGAIN_FRAMES, is_strict=True)
        return view.makes_sense(position, SURE_FRAMES)

    def _is_due(self, view: _Places, position: int) -> bool:
        """Tell whether the frame here stands where, and has the counter that, it should."""
        n_frames, n_bytes = divmod(self._skipped_bytes, self._length)
        due = ((self._last or 0) + n_frames + 1) % COUNTERS
        return not n_bytes and view.counters[position] == due

    def _lost_before(self, counter: int) -> int:
        """Count the frames lost before one with this counter, and be in step again.

        The counter tells it modulo 16, and what was skipped tells how many there were at least.
        """
        n_skipped = self._skipped_bytes // self._length
        self._n_bad, self._skipped_bytes = self.n_bad_frames, 0
        if self._last is None:
            return 0
        lost = int(counter - self._last - 1) % COUNTERS
        return lost + COUNTERS * max(0, -(-(n_skipped - lost) // COUNTERS))

    def _laid_out(self, view: _Places, runs: list[tuple[int, int, int]]) -> DeviceBlock:
        """Place the frames of the runs one after the other, with zeros for lost ones."""
        first = self._next_sample
        parts = [np.zeros((0, self._n_channels), np.int32)]
        gaps = []
        for position, n_frames, n_lost in runs:
            if n_lost:
                gaps.append((self._next_sample, n_lost))
                parts.append(np.zeros((n_lost, self._n_channels), np.int32))
            parts.append(_codes(view.frames(position, n_frames), self._n_channels))
            self._next_sample += n_lost + n_frames
        return DeviceBlock(
            np.concatenate(parts), first, tuple(gaps), self.n_bad_frames, self._n_repeated
        )


class _Places:
    """All places of a stream at which a whole frame might stand, with its check and counter."""

    def __init__(self, stream: bytes, length: int) -> None:
        self.stream = stream
        self._bytes = np.frombuffer(stream, np.uint8)
        self._length = length
        self.n = max(0, len(stream) - length + 1)
        check = np.zeros(self.n, np.uint8)
        for i in range(length):
            check ^= _CRC[length - 1 - i][self._bytes[i : i + self.n]]
        self.is_good = check == 0
        self.counters = (self._bytes[length - 1 : length - 1 + self.n] >> 4).astype(np.int64)

    def next_good(self, position: int) -> int:
        """Return the first place from here on with a right CRC, or the end of all places."""
        is_good = self.is_good[position:]
        return position + int(is_good.argmax()) if is_good.any() else max(self.n, position)

    def makes_sense(
        self, position: int, n_frames: int, *, before: int | None = None, is_strict: bool = False
    ) -> bool | None:
        """Tell whether frames in a row have right CRCs and counters that do not go round.

        Parameters
        ----------
        position
            Place of the first one.
        n_frames
            How many.
        before
            Counter of the good frame before them.
        is_strict
            The counters must rise by one each.

        Returns
        -------
        bool or None
            None when all that has come so far makes sense, and some are still missing.
        """
        places = slice(position, position + n_frames * self._length, self._length)
        counters = self.counters[places].tolist()
        if not self.is_good[places].all():
            return False
        n_come = len(counters)
        if before is not None:
            counters = [before, *counters]
        steps = [(b - a - 1) % COUNTERS + 1 for a, b in pairwise(counters)]
        if sum(steps) >= COUNTERS or (is_strict and any(step > 1 for step in steps)):
            return False
        return True if n_come == n_frames else None

    def frames(self, position: int, n_frames: int) -> NDArray[np.uint8]:
        """Return frames in a row, (n_frames, length)."""
        end = position + n_frames * self._length
        return self._bytes[position:end].reshape(n_frames, self._length)


def _codes(frames: NDArray[np.uint8], n_channels: int) -> NDArray[np.int32]:
    """Return the codes of frames, 0 in the middle, (n_frames, n_channels).

    Seen as one little-endian number, a frame has CRC and counter in its uppermost byte, the ports
    in the 4 bits below, and then the codes downwards.
    """
    padded = np.zeros((len(frames), 8), np.uint8)
    padded[:, 8 - frames.shape[1] :] = frames
    numbers = padded.view("<u8")[:, 0]
    codes = np.empty((len(frames), n_channels), np.int32)
    for channel, (shift, bits) in enumerate(_FIELDS[:n_channels]):
        field = (numbers >> np.uint64(shift)) & np.uint64(2**bits - 1)
        codes[:, channel] = field.astype(np.int32) << (10 - bits)
    return codes - MIDDLE_CODE


_FIELDS = ((42, 10), (32, 10), (22, 10), (12, 10), (6, 6), (0, 6))  # lowest bit and width, A1 first


def _crc_table(n_bytes_after: int) -> NDArray[np.uint8]:
    """Tabulate what a byte adds to the CRC when so many bytes follow it.

    The CRC is linear, so those of all bytes are joined by exclusive or. That of a whole frame with
    the CRC in its last 4 bits is 0.
    """
    value = np.arange(256)
    for _ in range(8 * n_bytes_after):
        value = _reduced(value << 1)
    return _reduced(value).astype(np.uint8)


def _reduced(value: NDArray[np.int64]) -> NDArray[np.int64]:
    """Reduce polynomials of degree 8 or less modulo x^4 + x + 1."""
    for degree in range(8, 3, -1):
        value = np.where(value >> degree & 1, value ^ 0b10011 << degree - 4, value)
    return value


_CRC = [_crc_table(n) for n in range(8)]
