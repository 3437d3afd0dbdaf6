"""Signals of known amplitude, spectrum and velocity."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import fft

Floats = NDArray[np.float64]

RATE_HZ = 2048.0
ALONG_MM = 5.0 * np.arange(8)


class Waves:
    """Makes the signals of all tests of this folder."""

    @staticmethod
    def band_noise(
        seconds: float, seed: int = 1, delays_s: Floats | None = None, centre_hz: float = 90.0
    ) -> Floats:
        """Gaussian noise of rms 1 around a frequency; ``(n, n_channels)`` if each has its delay."""
        n = round(seconds * RATE_HZ)
        n_made = n + 1024  # a wave that leaves at the end comes back here
        frequencies = fft.rfftfreq(n_made, 1 / RATE_HZ)
        gain = np.exp(-0.5 * ((frequencies - centre_hz) / 30) ** 2)
        source = fft.rfft(np.random.default_rng(seed).standard_normal(n_made)) * gain
        delays = np.zeros(1) if delays_s is None else delays_s
        turns = np.exp(-2j * np.pi * np.multiply.outer(delays, frequencies))
        made = fft.irfft(source * turns, n_made, axis=1)[:, :n].T
        made = made / np.sqrt(np.mean(made[:, 0] ** 2))
        return made[:, 0] if delays_s is None else made

    @staticmethod
    def noisy(samples: Floats, snr_db: float, seed: int = 2) -> Floats:
        """Add white noise, independent in each channel."""
        noise = np.random.default_rng(seed).standard_normal(samples.shape)
        return samples + 10 ** (-snr_db / 20) * noise

    @staticmethod
    def travelling(speed_m_s: float, seconds: float = 2.0, seed: int = 1) -> Floats:
        """A wave past eight channels, upwards if the speed is positive."""
        return Waves.band_noise(seconds, seed, 1e-3 * ALONG_MM / speed_m_s)

    @staticmethod
    def from_zone(zone_mm: float, seconds: float = 2.0) -> Floats:
        """Waves that set out both ways from a zone, turned over on one side."""
        delays_s = 1e-3 * np.abs(ALONG_MM - zone_mm) / 4.0
        return Waves.band_noise(seconds, 1, delays_s) * np.where(zone_mm < ALONG_MM, 1.0, -1.0)


@pytest.fixture(scope="session")
def waves() -> type[Waves]:
    """Return what makes the signals."""
    return Waves
