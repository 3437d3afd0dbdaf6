"""Watching the device while a program plays: does it hear what it should, and no more.

A divider that falls out lets a thousand times as much through. That cannot be survived by software
alone, only ended soon: what the device reads is compared, block by block, with what the program
lets it expect at that time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from emgsim.bench.program import Program
from emgsim.errors import SafetyError

Floats = NDArray[np.float64]

BLOCK_S = 0.010  # of the device, between two looks
NEAR_S = 0.020  # either way: the beginning is known no better
DRIFT = 1e-4  # of the time since then: clocks that run apart
TOO_MUCH = 3.0  # times what is expected: no gain error of a working device is as large
FLOOR_OF_LIMIT = 0.05  # what is heard in silence may be so much of the limit: noise is a finding
BEGUN_OF_PEAK = 0.5  # of the first marker: the program has begun


class Watch:
    """What a program may let the device hear, and when.

    Parameters
    ----------
    program
        What is played, in microvolts at the device.
    rate_hz
        The device's sampling rate.
    limit_mv
        What the device may see.
    where
        Of the rig, for the message.
    """

    def __init__(self, program: Program, rate_hz: float, limit_mv: float, where: str) -> None:
        self._where, self._rate_hz = where, rate_hz
        of_block = max(1, round(BLOCK_S * program.rate_hz))
        self._block_s = of_block / program.rate_hz
        n = -(-program.samples_uv.size // of_block)
        padded = np.zeros(n * of_block)
        padded[: program.samples_uv.size] = np.abs(program.samples_uv)
        peaks_uv = padded.reshape(n, of_block).max(axis=1)
        near_s = NEAR_S + DRIFT * program.duration_s
        near = 2 * math.ceil(near_s / BLOCK_S) + 1
        self._allowed_uv = np.maximum(
            TOO_MUCH * ndimage.maximum_filter1d(peaks_uv, near, mode="nearest"),
            1e3 * FLOOR_OF_LIMIT * limit_mv,
        )
        self._begun_uv = BEGUN_OF_PEAK * float(np.abs(program.markers[0][1]).max(initial=0.0))
        self._begins_s = float(np.argmax(peaks_uv >= self._begun_uv)) * self._block_s
        self._at_s: float | None = None  # in the program; unknown until it is heard to begin

    def see(self, microvolts: Floats) -> None:
        """Look at the next samples of the device.

        Parameters
        ----------
        microvolts
            Shape ``(n_samples,)``, following on those of the last call; NaN where they were lost.

        Raises
        ------
        SafetyError
            If the device hears more than it should.
        """
        n_blocks = max(1, round(microvolts.size / self._rate_hz / BLOCK_S))
        for block_uv in np.array_split(np.abs(microvolts), n_blocks):
            heard_uv = block_uv[np.isfinite(block_uv)]
            self._look(float(heard_uv.max(initial=0.0)), block_uv.size / self._rate_hz)

    def _look(self, peak_uv: float, seconds: float) -> None:
        if self._at_s is None and peak_uv >= self._begun_uv:
            self._at_s = self._begins_s
        allowed_uv = float(self._allowed_uv.max())
        if self._at_s is not None:
            block = min(int(self._at_s / self._block_s), self._allowed_uv.size - 1)
            allowed_uv = float(self._allowed_uv[block])
            self._at_s += seconds
        if peak_uv > allowed_uv:
            raise SafetyError(
                f"the device reads {peak_uv / 1e3:.4g} mV where at most {allowed_uv / 1e3:.3g} mV "
                "can come of what is played: the divider may have fallen out",
                where=self._where,
                todo="the output was switched off; look at fixture and cables before the next run",
            )
