"""A known waveform that can be read at any time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.stages import Response

Floats = NDArray[np.float64]

OVERSAMPLING = 4
BLOCK = 32_768  # samples worked on at a time: memory does not grow, and it stays in the cache


class Waveform:
    """A known, band-limited waveform that can be read at any time.

    It is put on a grid four times as fine by Fourier interpolation and read by cubic Lagrange
    interpolation from there; outside its span it is zero.
    """

    def __init__(self, samples: Floats, rate_hz: float, response: Response | None = None) -> None:
        n = fft.next_fast_len(samples.size, real=True)
        spectrum = fft.rfft(samples, n)
        if response is not None:
            _respond(spectrum, n / rate_hz, response)
        spectrum *= OVERSAMPLING
        fine = fft.irfft(spectrum, n * OVERSAMPLING)
        self._fine = fine[: samples.size * OVERSAMPLING]
        self.rate_hz = rate_hz
        self._fine_rate_hz = rate_hz * OVERSAMPLING

    def at(self, times_s: Floats) -> tuple[Floats, Floats]:
        """Return the values and the slopes (per second) at the given times."""
        value, slope = np.empty(times_s.size), np.empty(times_s.size)
        for block in blocks(times_s.size):
            value[block], slope[block] = self._at(times_s[block])
        return value, slope

    def _at(self, times_s: Floats) -> tuple[Floats, Floats]:
        position = times_s * self._fine_rate_hz
        index = np.floor(position).astype(np.int64)
        inside = (index >= 1) & (index < self._fine.size - 2)
        i = np.where(inside, index, 1)
        u = position - index
        a, b, c, d = (self._fine[i + k] for k in (-1, 0, 1, 2))
        c1 = -a / 3 - b / 2 + c - d / 6
        c2 = a / 2 - b + c / 2
        c3 = (d - a) / 6 + (b - c) / 2
        value = b + u * (c1 + u * (c2 + u * c3))
        slope = (c1 + u * (2 * c2 + 3 * u * c3)) * self._fine_rate_hz
        return np.where(inside, value, 0.0), np.where(inside, slope, 0.0)


def _respond(spectrum: NDArray[np.complex128], duration_s: float, response: Response) -> None:
    """Multiply a spectrum, whose bins are ``1 / duration_s`` apart, by a response, in place."""
    for block in blocks(spectrum.size):
        spectrum[block] *= response.at(np.arange(block.start, block.stop) / duration_s)


def blocks(n: int) -> Iterator[slice]:
    """Cut ``n`` samples into blocks."""
    return (slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK))
