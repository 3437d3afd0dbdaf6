"""Stages of a signal chain that both sides of the bench use: pure, arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BandResponse:
    """Butterworth high-pass and low-pass in series, as an amplifier's data sheet declares them.

    An order of 0 leaves its side open.
    """

    highpass_hz: float = 0.0
    highpass_order: int = 0
    lowpass_hz: float = 0.0
    lowpass_order: int = 0

    def at(self, frequencies_hz: Floats) -> NDArray[np.complex128]:
        """Return the complex gain at each frequency."""
        s = np.asarray(1j * frequencies_hz, dtype=np.complex128)
        out = np.ones(s.shape, complex)
        if self.lowpass_order:
            out /= _butterworth_polynomial(s / self.lowpass_hz, self.lowpass_order)
        if self.highpass_order:
            s = np.where(s == 0, np.complex128(1e-30j), s)
            out /= _butterworth_polynomial(self.highpass_hz / s, self.highpass_order)
        return out


FLAT = BandResponse()


def _butterworth_polynomial(u: NDArray[Any], order: int) -> NDArray[np.complex128]:
    """Return the monic Butterworth polynomial of the given order at ``u = s / corner``."""
    angles = np.pi * (2 * np.arange(1, order + 1) + order - 1) / (2 * order)
    out = np.ones(u.shape, complex)
    with np.errstate(over="ignore", invalid="ignore"):  # far below a high-pass the gain is 0
        for pole in np.exp(1j * angles):
            out = out * (u - pole)
    return out


def respond(samples: Floats, rate_hz: float, response: BandResponse) -> Floats:
    """Return samples ``(n,)`` as they come out of a response; both ends should be quiet."""
    n = fft.next_fast_len(samples.size, real=True)
    gain = response.at(fft.rfftfreq(n, 1 / rate_hz))
    return np.asarray(fft.irfft(fft.rfft(samples, n) * gain, n)[: samples.size])
