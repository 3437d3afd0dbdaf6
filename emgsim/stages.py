"""Stages of a signal chain that both sides of the bench use: pure, arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from emgsim.recording import MotorUnit

Floats = NDArray[np.float64]

PHASES_PER_SAMPLE = 16  # of a MUAP's bank; linear between them is exact to 1e-4 at 5 kHz


class Response(Protocol):
    """Whatever has a complex gain at each frequency."""

    def at(self, frequencies_hz: Floats) -> NDArray[np.complex128]:
        """Return the complex gain at each frequency, shape ``(n,)`` like the frequencies."""


@dataclass(frozen=True, kw_only=True)
class BandResponse:
    """Butterworth high-pass and low-pass in series, as an amplifier's data sheet declares them.

    An order of 0 leaves its side open. Each sample is the mean of ``averaged_s`` about its instant.
    """

    highpass_hz: float = 0.0
    highpass_order: int = 0
    lowpass_hz: float = 0.0
    lowpass_order: int = 0
    averaged_s: float = 0.0

    def at(self, frequencies_hz: Floats) -> NDArray[np.complex128]:
        """Return the complex gain at each frequency."""
        s = np.asarray(1j * frequencies_hz, dtype=np.complex128)
        out = np.ones(s.shape, complex)
        if self.lowpass_order:
            out /= _butterworth_polynomial(s / self.lowpass_hz, self.lowpass_order)
        if self.highpass_order:
            s = np.where(s == 0, np.complex128(1e-30j), s)
            out /= _butterworth_polynomial(self.highpass_hz / s, self.highpass_order)
        if self.averaged_s:
            out *= np.sinc(frequencies_hz * self.averaged_s)
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


def respond(samples: Floats, rate_hz: float, response: Response) -> Floats:
    """Return samples ``(n,)`` as they come out of a response; both ends should be quiet."""
    n = fft.next_fast_len(samples.size, real=True)
    gain = response.at(fft.rfftfreq(n, 1 / rate_hz))
    return np.asarray(fft.irfft(fft.rfft(samples, n) * gain, n)[: samples.size])


def add_train(samples_uv: Floats, rate_hz: float, start_s: float, unit: MotorUnit) -> None:
    """Add every discharge of a unit to samples of any rate, at its exact time.

    Parameters
    ----------
    samples_uv
        Shape ``(n_samples,)``, added to in place.
    rate_hz, start_s
        Rate and time of the first sample.
    unit
        Its MUAP must be given at ``rate_hz``.
    """
    bank = _bank(unit.muap_uv[:, 0], PHASES_PER_SAMPLE)
    length = bank.size // PHASES_PER_SAMPLE - 1
    position = (unit.discharge_times_s + unit.muap_start_s - start_s) * rate_hz
    first = np.ceil(position).astype(np.int64)
    fine = (first - position) * PHASES_PER_SAMPLE
    phase = np.floor(fine).astype(np.int64)
    share = fine - phase
    for i, j, w in zip(first, phase, share, strict=True):
        a, b = max(i, 0), min(i + length, samples_uv.size)
        if b <= a:
            continue
        early = bank[j::PHASES_PER_SAMPLE][a - i : b - i]
        late = bank[j + 1 :: PHASES_PER_SAMPLE][a - i : b - i]
        samples_uv[a:b] += (1 - w) * early + w * late


def _bank(muap_uv: Floats, phases: int) -> Floats:
    """Return the MUAP on a grid ``phases`` times as fine, one sample of zeros behind it."""
    padded = np.concatenate([muap_uv, np.zeros(max(16, muap_uv.size // 8))])
    fine = signal.resample(padded, padded.size * phases)
    return np.asarray(np.concatenate([fine[: muap_uv.size * phases], np.zeros(phases + 1)]))
