"""Decodes the stream of a Quattrocento: one sample of all its channels after the other.

A sample is 16-bit words, little-endian: the inputs, 16 channels of AUX IN, and 8 accessory channels
of which the first counts the samples modulo 65 536. There is no mark between samples and no
checksum: where one begins is known since the stream began at one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InstrumentError
from emgsim.instruments.base import DeviceBlock
from emgsim.instruments.quattrocento_command import REAR_CHANNELS

COUNTER = -8  # the first accessory channel
MODULUS = 1 << 16
LONGEST_STEP = MODULUS // 2  # of the counter; a longer one is no loss


class FrameDecoder:
    """Turns bytes into blocks of the inputs' samples; any split gives the same samples.

    A step of the counter is a gap, with zeros in it; a sample that comes twice is taken once.

    Parameters
    ----------
    n_channels
        Of the inputs, without those on the rear.
    where
        Address of the device, for messages.
    """

    n_bad_frames = 0  # nothing tells that a sample was spoilt

    def __init__(self, n_channels: int, where: str) -> None:
        self._n_channels = n_channels
        self._where = where
        self._frame_bytes = 2 * (n_channels + REAR_CHANNELS)
        self._rest = b""
        self._counter: int | None = None
        self._next_sample = 0
        self._n_repeated = 0
        self._failure: InstrumentError | None = None

    def feed(self, data: bytes) -> DeviceBlock:
        """Decode what became complete with these bytes; the block may be empty.

        Raises
        ------
        InstrumentError
            If the counter jumped back before these bytes: the device was reset, or the stream is
            out of step.
        """
        if self._failure is not None:
            raise self._failure
        heard = self._rest + data
        n_frames = len(heard) // self._frame_bytes
        whole = n_frames * self._frame_bytes
        self._rest = heard[whole:]
        frames = np.frombuffer(heard[:whole], "<i2").reshape(n_frames, self._frame_bytes // 2)
        counters = frames[:, COUNTER].astype(np.int64) % MODULUS
        before = counters[:1] - 1 if self._counter is None else np.array([self._counter])
        steps = np.diff(counters, prepend=before) % MODULUS
        jumps = np.flatnonzero(steps > LONGEST_STEP)
        if jumps.size:
            first = int(jumps[0])
            came_from = int((counters[first] - steps[first]) % MODULUS)
            self._failure = self._jumped(came_from, int(counters[first]))
            frames, steps, counters = frames[:first], steps[:first], counters[:first]
        if counters.size:
            self._counter = int(counters[-1])
        return self._laid_out(frames[steps > 0, : self._n_channels], steps)

    def _laid_out(self, samples: NDArray[np.int16], steps: NDArray[np.int64]) -> DeviceBlock:
        """Put samples into their places, zeros between them where some were lost."""
        self._n_repeated += int(np.count_nonzero(steps == 0))
        steps = steps[steps > 0]
        places = np.cumsum(steps) - 1
        counts = np.zeros((int(steps.sum()), self._n_channels), np.int32)
        counts[places] = samples
        first = self._next_sample
        self._next_sample += len(counts)
        gaps = tuple(
            (first + int(places[k] - steps[k]) + 1, int(steps[k]) - 1)
            for k in np.flatnonzero(steps > 1)
        )
        return DeviceBlock(counts, first, gaps, self.n_bad_frames, self._n_repeated)

    def _jumped(self, before: int, after: int) -> InstrumentError:
        return InstrumentError(
            f"the sample counter jumped from {before} to {after}: the device was reset, or more "
            "samples were lost than its counter can tell",
            where=self._where,
            todo="check its supply and its network, then record anew",
        )
