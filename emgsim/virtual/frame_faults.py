"""What goes wrong with the frames of a device between its converter and its wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8] | Sequence[bytes]
"""Frames of one length as rows, ``(n, length)``, or lines of any length."""


@dataclass(frozen=True, slots=True)
class FrameFaults:
    """Say what goes wrong on purpose; 0 means never. The first frame after a start is number 1.

    Parameters
    ----------
    drop_every_n_frames
        Every n-th frame is counted and not sent.
    drop_frames
        Number of a frame, and how many from there on are counted and not sent.
    repeat_every_n_frames
        Every n-th frame is sent twice.
    corrupt_every_n_frames
        One bit in the middle of every n-th frame is turned over.
    break_every_n_frames
        The last byte of every n-th frame is turned over, all its bits.
    hang_up_after_frames
        The line is cut after so many frames.
    """

    drop_every_n_frames: int = 0
    drop_frames: tuple[int, int] = (0, 0)
    repeat_every_n_frames: int = 0
    corrupt_every_n_frames: int = 0
    break_every_n_frames: int = 0
    hang_up_after_frames: int = 0

    def copies(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how often each frame is sent, shape ``(n,)``: 0, 1 or 2 times."""
        first, n_dropped = self.drop_frames
        is_sent = ~((numbers >= first) & (numbers < first + n_dropped))
        if self.drop_every_n_frames:
            is_sent &= numbers % self.drop_every_n_frames != 0
        copies = is_sent.astype(np.int64)
        if self.repeat_every_n_frames:
            copies[is_sent & (numbers % self.repeat_every_n_frames == 0)] = 2
        return copies


class Losses:
    """Losses in bursts, by the two-state model of Gilbert and Elliott, drawn frame by frame.

    In the good state all frames arrive, in the bad one none.

    Parameters
    ----------
    begin
        Probability that the bad state follows a frame in the good one.
    end
        Probability that the good state follows a frame in the bad one; its mean length is 1 / end.
    rng
        Source of the chance.
    """

    def __init__(self, begin: float, end: float, rng: np.random.Generator) -> None:
        self._begin = begin
        self._end = end
        self._rng = rng
        self._is_bad = False

    def arrive(self, n_frames: int) -> NDArray[np.bool_]:
        """Tell which of the next frames arrive, shape ``(n_frames,)``."""
        arrived = np.empty(n_frames, bool)
        for i, chance in enumerate(self._rng.random(n_frames).tolist()):
            arrived[i] = not self._is_bad
            self._is_bad = chance >= self._end if self._is_bad else chance < self._begin
        return arrived


class Wire:
    """Take the frames of one stream to the line, with its faults.

    Attributes
    ----------
    n_frames
        Frames that the device has made.
    n_lost
        Of these, frames that did not arrive, by a fault or by a burst.
    """

    def __init__(self, faults: FrameFaults, losses: Losses | None = None) -> None:
        self._faults = faults
        self._losses = losses
        self._is_perfect = losses is None and faults == FrameFaults()
        self.n_frames = 0
        self.n_lost = 0

    @property
    def is_cut(self) -> bool:
        """Whether the line is to be cut after what was carried so far."""
        return 0 < self._faults.hang_up_after_frames <= self.n_frames

    def carry(self, frames: Frames) -> bytes:
        """Return what arrives of the next frames; no more after a cut."""
        if self._is_perfect:
            self.n_frames += len(frames)
            return frames.tobytes() if isinstance(frames, np.ndarray) else b"".join(frames)
        return b"".join(self.arriving(frames))

    def arriving(self, frames: Frames) -> list[bytes]:
        """Return the next frames one by one as they arrive; no more after a cut."""
        faults = self._faults
        n_made = len(frames)
        if faults.hang_up_after_frames:
            n_made = min(n_made, max(0, faults.hang_up_after_frames - self.n_frames))
        numbers = self.n_frames + 1 + np.arange(n_made)
        self.n_frames += n_made
        copies = faults.copies(numbers)
        if self._losses is not None:
            copies *= self._losses.arrive(n_made)
        self.n_lost += int((copies == 0).sum())
        sent: list[bytes] = []
        for frame, number, n in zip(frames, numbers.tolist(), copies.tolist(), strict=False):
            sent += n * [self._spoilt(bytes(frame), number)]
        return sent

    def _spoilt(self, frame: bytes, number: int) -> bytes:
        faults, middle = self._faults, len(frame) // 2
        if faults.corrupt_every_n_frames and number % faults.corrupt_every_n_frames == 0:
            frame = frame[:middle] + bytes([frame[middle] ^ 0x10]) + frame[middle + 1 :]
        if faults.break_every_n_frames and number % faults.break_every_n_frames == 0:
            frame = frame[:-1] + bytes([frame[-1] ^ 0xFF])
        return frame
