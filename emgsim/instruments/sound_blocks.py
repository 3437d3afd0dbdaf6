"""Blocks of a sound card: a waveform handed out, a record kept, and where the one is in the other.

What a stream calls for every block stands here, without the stream: it must not wait, so it takes
no lock, and what it shares with the caller is a flag, a position or an event.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InstrumentError

Words = NDArray[np.int32]
Floats = NDArray[np.float64]

CODE_BITS = 24
FULL_SCALE_CODE = 2 ** (CODE_BITS - 1) - 1
SHIFT = 32 - CODE_BITS  # codes stand in the upper part of a word
BUFFERED_S = 1.0  # no buffer between block and converter is longer
ALIKE = 0.5  # correlation from which on an input is taken to hear the waveform
EDGE_POINTS = 1 << 17  # of the waveform that are looked for at its beginning and at its end
QUIET_POINTS = 1 << 14  # of the silence beside them
LONGEST_LAG_POINTS = 1 << 19  # 2.7 s at 192 kHz


class Playback:
    """Hands a waveform out block by block from the trigger on; silence before and after it.

    Parameters
    ----------
    words
        Samples, (n_points,), of 32 bits.
    cycles
        How often the waveform is played in one go.
    rate_hz
        For the time of a loss.
    """

    def __init__(self, words: Words, cycles: int, rate_hz: float) -> None:
        self.words, self.losses = words, list[str]()
        self._n, self._rate_hz, self._n_told = cycles * words.size, rate_hz, 0
        self._at: int | None = None  # none: not triggered

    @property
    def is_running(self) -> bool:
        """Whether the waveform is being played."""
        return self._at is not None and self._at < self._n

    @property
    def extent(self) -> tuple[int, int]:
        """Where what is played begins and ends, without silence on either side."""
        loud = np.flatnonzero(self.words)
        if loud.size == 0:
            return 0, 0
        return int(loud[0]), self._n - self.words.size + int(loud[-1]) + 1

    def between(self, first: int, end: int) -> Floats:
        """Return a part of what is played, in fractions of full scale, silence around it."""
        at = np.arange(first, end)
        part = self.words[at % self.words.size] / 2.0**31
        return np.where((at >= 0) & (at < self._n), part, 0.0)

    def trigger(self) -> None:
        """Begin with the next block."""
        self.losses, self._n_told, self._at = [], 0, 0

    def untold(self) -> tuple[str, ...]:
        """Return the losses since the trigger that were not returned before."""
        new = tuple(self.losses[self._n_told :])
        self._n_told += len(new)
        return new

    def fill(self, block: Words, trouble: str = "") -> None:
        """Fill a block, (n_frames, n_channels): its first channel plays, the others are silent."""
        block[:] = 0
        at = self._at
        if at is None:
            return
        # What went wrong before the waveform began, or after it has left the buffers, did no harm.
        if trouble and 0 < at < self._n + BUFFERED_S * self._rate_hz:
            self.losses.append(f"{trouble} {at / self._rate_hz:.3f} s after the trigger")
        n_left = min(len(block), self._n - at)
        filled = 0
        while filled < n_left:
            piece = self.words[(at + filled) % self.words.size :][: n_left - filled]
            block[filled : filled + piece.size, 0] = piece
            filled += piece.size
        self._at = at + len(block)


class Take:
    """Keeps a record from the trigger on, block by block.

    Parameters
    ----------
    n_points
        Length of the record.
    channels
        Which inputs are kept, counted from 1.
    rate_hz
        For the time of a loss.
    """

    def __init__(self, n_points: int, channels: tuple[int, ...], rate_hz: float) -> None:
        self.words = np.zeros((n_points, len(channels)), np.int32)
        self.channels, self.losses = channels, list[str]()
        self.complete = threading.Event()
        self.playback: Playback | None = None
        self._columns, self._rate_hz = [number - 1 for number in channels], rate_hz
        self._at: int | None = None  # none: not triggered

    @property
    def is_triggered(self) -> bool:
        """Whether a trigger came."""
        return self._at is not None

    def trigger(self, playback: Playback) -> None:
        """Begin with the next block, to hear a playback; a second trigger changes nothing."""
        if self._at is None:
            self._at, self.playback = 0, playback

    def keep(self, block: Words, trouble: str = "") -> None:
        """Keep a block, (n_frames, n_inputs), as far as the record goes."""
        at = self._at
        if at is None or self.complete.is_set():
            return
        if trouble and at > 0:  # as above
            self.losses.append(f"{trouble} {at / self._rate_hz:.3f} s after the trigger")
        n = min(len(block), len(self.words) - at)
        self.words[at : at + n] = block[:n, self._columns]
        self._at = at + n
        if self._at == len(self.words):
            self.complete.set()


def find_lag(playback: Playback, recorded: Words) -> int | None:
    """Find how many samples of a record went by before the waveform arrived.

    Beginning and end are looked for, each with the silence beside it, without which one period of
    a sine would be as good as the next.

    Parameters
    ----------
    playback
        What was played. Of one that was stopped, or goes on after the record, only the beginning
        is looked for.
    recorded
        Samples, (n_samples, n_channels); the channel that hears the beginning best counts, whatever
        its sign and gain.

    Returns
    -------
    int or None
        None when no channel hears the beginning.

    Raises
    ------
    InstrumentError
        When the end came later or earlier than the beginning lets expect: samples were inserted or
        lost on the way, and nobody told.
    """
    first, end = playback.extent
    if first == end:
        return None
    before = first - QUIET_POINTS
    head = playback.between(before, min(end, first + EDGE_POINTS))
    likeness, lag, channel = max(
        (*_found(head, _cut(column, before, head.size)), number)
        for number, column in enumerate(recorded.T)
    )
    if likeness < ALIKE:
        return None
    if playback.is_running or lag + end > len(recorded):
        return lag
    at = max(first, end - EDGE_POINTS)
    tail = playback.between(at, end + QUIET_POINTS)
    heard = _cut(recorded[:, channel], at, tail.size)
    likeness, tail_lag = _found(tail, heard)
    if likeness < ALIKE or tail_lag != lag:
        what = f"came {tail_lag - lag} samples late" if likeness >= ALIKE else "is missing"
        raise InstrumentError(f"the waveform's beginning is in the record, its end {what}")
    return lag


def _found(wanted: Floats, heard: Floats) -> tuple[float, int]:
    """Return correlation and place of the stretch that is most like what is wanted."""
    n = 1 << (heard.size - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(wanted, n)), n)
    energies = np.concatenate([[0.0], np.cumsum(heard * heard)])
    energies = energies[wanted.size :] - energies[: -wanted.size]
    loud = np.maximum(energies, 1e-9 * max(float(energies.max()), 1.0))  # no division by silence
    likeness = np.abs(products[: loud.size]) / np.sqrt(loud * float(np.dot(wanted, wanted)))
    place = int(np.argmax(likeness))
    return float(likeness[place]), place


def _cut(samples: Words, first: int, n_wanted: int) -> Floats:
    """Return where so many samples may be found, from the first on; silence beyond either end."""
    n = n_wanted + min(LONGEST_LAG_POINTS, max(0, samples.size + QUIET_POINTS - first))
    cut = np.zeros(n)
    begin, end = max(first, 0), min(first + n, samples.size)
    if begin < end:
        cut[begin - first : end - first] = samples[begin:end] / 2.0**31
    return cut
