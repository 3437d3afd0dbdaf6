"""What is played: the recording between two markers, and its way to the generator's points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from emgsim.recording import Recording

Floats = NDArray[np.float64]

LEAD_S = 0.20  # silence before the first marker and after the last
MARKER_S = 0.25
GAP_S = 0.10  # silence between a marker and the recording
MARKER_BAND_HZ = (300.0, 6000.0)  # where a device hears it all
MARKER_OF_BAND = (0.1, 0.8)  # of its upper corner, where it does not
LEAST_PRODUCT = 60.0  # of a marker's length and band: below it one marker looks like the other
QUIETEST_MARKER_UV = 200.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """One playback at the recording's rate, in microvolts at the device.

    ``markers`` are the start time and the waveform of each marker. Times count from the first
    point; the recording's own clock reads ``recording_start_s`` less.
    """

    samples_uv: Floats
    rate_hz: float
    recording_start_s: float
    markers: tuple[tuple[float, Floats], tuple[float, Floats]]

    @property
    def duration_s(self) -> float:
        """Length of the playback."""
        return self.samples_uv.size / self.rate_hz

    @property
    def peak_uv(self) -> float:
        """Largest absolute value."""
        return float(np.max(np.abs(self.samples_uv)))


def markers(rate_hz: float, corner_hz: float = np.inf) -> tuple[Floats, Floats]:
    """Return the opening and the closing marker, of unit peak: chirps up-down and down-up.

    In each the error in time of one half undoes that of the other when the clocks differ; the two
    are unlike, so that one is not taken for the other. A device of less than 7.5 kHz gets chirps
    that it hears, and one of less than 350 Hz longer ones.

    Parameters
    ----------
    rate_hz
        Of the waveforms that are returned.
    corner_hz
        Upper corner of the device's band.
    """
    low_hz = min(MARKER_BAND_HZ[0], MARKER_OF_BAND[0] * corner_hz)
    high_hz = min(MARKER_BAND_HZ[1], MARKER_OF_BAND[1] * corner_hz, 0.35 * rate_hz)
    half = round(max(MARKER_S, LEAST_PRODUCT / (high_hz - low_hz)) * rate_hz / 2)
    t = np.arange(half) / rate_hz
    up = signal.chirp(t, low_hz, half / rate_hz, high_hz, phi=-90)
    window = signal.windows.tukey(2 * half, 0.1)
    return (
        np.asarray(np.concatenate([up, -up[::-1]]) * window),
        np.asarray(np.concatenate([up[::-1], -up]) * window),
    )


def program_for(recording: Recording, corner_hz: float = np.inf) -> Program:
    """Return the playback of the first channel of a recording, with a marker on either side.

    Parameters
    ----------
    recording
        Without gaps.
    corner_hz
        Upper corner of the device's band, in which it must hear the markers.
    """
    rate_hz = recording.rate_hz
    emg_uv = recording.samples_uv[:, 0]
    peak_uv = max(QUIETEST_MARKER_UV, float(np.max(np.abs(emg_uv))))
    opening, closing = (peak_uv * shape for shape in markers(rate_hz, corner_hz))
    lead, gap = np.zeros(round(LEAD_S * rate_hz)), np.zeros(round(GAP_S * rate_hz))
    parts = [lead, opening, gap, emg_uv, gap, closing, lead]
    starts = np.cumsum([0, *(part.size for part in parts)]) / rate_hz
    # The generator's memory holds whole milliseconds, so that any rate in kSa/s divides it.
    n = int(np.ceil(starts[-1] * 1000)) * rate_hz / 1000
    tail = np.zeros(max(0, int(np.ceil(n)) - sum(part.size for part in parts)))
    return Program(
        samples_uv=np.concatenate([*parts, tail]),
        rate_hz=rate_hz,
        recording_start_s=float(starts[3]),
        markers=((float(starts[1]), opening), (float(starts[5]), closing)),
    )


def source_points(
    samples: Floats, rate_hz: float, source_rate_hz: float, holds: bool = True
) -> Floats:
    """Resample to the generator's rate, lifting what its hold will let droop.

    A converter that holds each point weighs a frequency f with ``sinc(f / rate)``; below 45 % of
    the rate that is undone in the same Fourier transform that resamples.
    """
    n_out = round(samples.size / rate_hz * source_rate_hz)
    spectrum = fft.rfft(samples)
    kept = min(spectrum.size, n_out // 2 + 1)
    relative = np.arange(kept) / n_out
    lift = np.where(relative < 0.45, 1 / np.sinc(relative) if holds else 1.0, 0.0)
    spectrum[:kept] *= lift * (n_out / samples.size)
    return np.asarray(fft.irfft(spectrum[:kept], n_out))
