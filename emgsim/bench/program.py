"""What is played: the recording between two markers, and its way to the generator's points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

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
CODE_S = 0.25  # about as long as a preamble's code is, if that is long enough for the fewest chips
SHORT_CODE_S = 0.125  # and that of a marker in between
IRREGULAR = 0.3  # of the time between short codes: no later ones lie as some earlier ones do
GOLDEN = 0.618034  # whose multiples spread evenly
FEWEST_CHIPS_ORDER = 4  # of a maximum-length sequence: 15 chips


@dataclass(frozen=True, kw_only=True)
class Program:
    """One playback at the recording's rate, in microvolts at the device.

    ``markers`` are the start time and the waveform of each marker. Times count from the first
    point; the recording's own clock reads ``recording_start_s`` less. ``marks_s`` are begin and end
    of whatever was put in to be found again, the halves of long markers each by itself.
    """

    samples_uv: Floats
    rate_hz: float
    recording_start_s: float
    markers: tuple[tuple[float, Floats], tuple[float, Floats]]
    marks_s: tuple[tuple[float, float], ...] = ()

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
    up, window = _chirp(rate_hz, (low_hz, high_hz))
    return (
        np.asarray(np.concatenate([up, -up[::-1]]) * window),
        np.asarray(np.concatenate([up[::-1], -up]) * window),
    )


def _chirp(rate_hz: float, band_hz: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return the rising half of a marker, and the window of the whole."""
    low_hz, high_hz = band_hz
    half = round(max(MARKER_S, LEAST_PRODUCT / (high_hz - low_hz)) * rate_hz / 2)
    t = np.arange(half) / rate_hz
    up = signal.chirp(t, low_hz, half / rate_hz, high_hz, phi=-90)
    return np.asarray(up), np.asarray(signal.windows.tukey(2 * half, 0.1))


def code(rate_hz: float, band_hz: tuple[float, float], about_s: float, number: int = 0) -> Floats:
    """Return a maximum-length sequence on a carrier at the middle of a band, of unit peak.

    A chip gives way to the next in the shape of a raised cosine, so that little lies beyond the
    band.

    Parameters
    ----------
    rate_hz
        Of the waveform that is returned.
    band_hz
        Its lower and upper end.
    about_s
        It is as long as the longest sequence that fits, of 15 chips at least.
    number
        Which of the sequences of that length: neighbours are unlike.
    """
    low_hz, high_hz = band_hz
    chip_hz = 0.5 * (high_hz - low_hz)
    order = max(FEWEST_CHIPS_ORDER, int(np.log2(max(1.0, about_s * chip_hz))))
    signs = _sequence(order, number)
    t = np.arange(round((signs.size + 1) / chip_hz * rate_hz)) / rate_hz
    chip = np.floor(t * chip_hz).astype(np.int64)
    late = np.sin(0.5 * np.pi * (t * chip_hz - chip)) ** 2
    ended = np.concatenate([[0.0], signs, [0.0, 0.0]])
    chips = ended[chip] * (1 - late) + ended[chip + 1] * late
    return np.asarray(chips * np.sin(np.pi * (low_hz + high_hz) * t))


def _sequence(order: int, number: int) -> Floats:
    """Return one of the maximum-length sequences of an order, of either sign.

    Each of them is every d-th chip of one of them, for some d without a common divisor; d, 2 d,
    4 d ... give the same.
    """
    n = 2**order - 1
    steps = [
        d
        for d in range(1, n)
        if math.gcd(d, n) == 1 and d == min(d * 2**k % n for k in range(order))
    ]
    turns, which = divmod(number, len(steps))
    signs = 2.0 * signal.max_len_seq(order)[0] - 1.0
    return np.asarray((-1) ** turns * signs[np.arange(n) * steps[which] % n])


def alignment_program(
    rate_hz: float,
    band_hz: tuple[float, float],
    duration_s: float,
    *,
    every_s: float = 5.0,
    peak_uv: float = QUIETEST_MARKER_UV,
) -> Program:
    """Return a playback that is made to be aligned: markers in silence, and nothing else.

    It opens with a chirp up and down and a code on a carrier, and closes with the same reversed in
    time; in between comes a short code every few seconds, each unlike the one before.

    Parameters
    ----------
    rate_hz
        Points per second; at least three times the upper end of the band.
    band_hz
        Lower and upper end of what the device hears.
    duration_s
        Between the opening and the closing marker.
    every_s
        From one short code to the next, and to the markers, on the average.
    peak_uv
        Of all of it.
    """
    up, window = _chirp(rate_hz, band_hz)
    chirp, long = np.concatenate([up, -up[::-1]]) * window, code(rate_hz, band_hz, CODE_S)
    opening = peak_uv * np.concatenate([chirp, long])
    lead, between = np.zeros(round(LEAD_S * rate_hz)), np.zeros(round(duration_s * rate_hz))
    begin_s = (lead.size + opening.size) / rate_hz
    n_short = max(0, round(duration_s / every_s) - 1)
    marks = [(lead.size, chirp.size), (lead.size + chirp.size, long.size)]
    for k in range(1, n_short + 1):
        short = peak_uv * code(rate_hz, band_hz, SHORT_CODE_S, k)
        place = k + IRREGULAR * ((k * GOLDEN) % 1 - 0.5)
        first = round(place * duration_s / (n_short + 1) * rate_hz) - short.size // 2
        between[first : first + short.size] = short
        marks.append((lead.size + opening.size + first, short.size))
    closing = lead.size + opening.size + between.size
    marks += [(closing, long.size), (closing + long.size, chirp.size)]
    samples_uv = np.concatenate([lead, opening, between, opening[::-1], lead])
    return Program(
        samples_uv=_whole_milliseconds(samples_uv, rate_hz),
        rate_hz=rate_hz,
        recording_start_s=begin_s,
        markers=((lead.size / rate_hz, opening), (closing / rate_hz, opening[::-1])),
        marks_s=tuple((first / rate_hz, (first + n) / rate_hz) for first, n in marks),
    )


def stretches(program: Program, every_s: float) -> tuple[tuple[float, float], ...]:
    """Return the markers of a program and, between them, the loudest stretch every few seconds.

    Parameters
    ----------
    program
        Its stretches are as long as its opening marker.
    every_s
        Longer than that.

    Returns
    -------
    tuple
        Begin and end of each in seconds on the program's clock, in order.
    """
    first_s, last_s = program.recording_start_s, program.markers[-1][0] - GAP_S
    n_parts, length = max(1, int((last_s - first_s) / every_s)), program.markers[0][1].size
    edges = np.round(np.linspace(first_s, last_s, n_parts + 1) * program.rate_hz).astype(np.int64)
    found = []
    for a, b in pairwise(edges.tolist()):
        energy = np.cumsum(np.concatenate([[0.0], program.samples_uv[a:b] ** 2]))
        begin = a + int(np.argmax(energy[length:] - energy[:-length]))
        found.append((begin / program.rate_hz, (begin + length) / program.rate_hz))
    return tuple(sorted({*program.marks_s, *found}))


def _whole_milliseconds(samples: Floats, rate_hz: float) -> Floats:
    """Return samples with silence behind them.

    The generator's memory holds whole milliseconds, so that any rate in kSa/s divides it.
    """
    n = int(np.ceil(int(np.ceil(samples.size / rate_hz * 1000)) * rate_hz / 1000))
    return np.concatenate([samples, np.zeros(max(0, n - samples.size))])


def program_for(
    recording: Recording,
    corner_hz: float = np.inf,
    *,
    marker_uv: float = QUIETEST_MARKER_UV,
) -> Program:
    """Return the playback of the first channel of a recording, with a marker on either side.

    Parameters
    ----------
    recording
        Without gaps.
    corner_hz
        Upper corner of the device's band, in which it must hear the markers.
    marker_uv
        Smallest peak of the markers, which are as loud as the recording if that is louder.
    """
    rate_hz = recording.rate_hz
    emg_uv = recording.samples_uv[:, 0]
    peak_uv = max(marker_uv, float(np.max(np.abs(emg_uv))))
    opening, closing = (peak_uv * shape for shape in markers(rate_hz, corner_hz))
    lead, gap = np.zeros(round(LEAD_S * rate_hz)), np.zeros(round(GAP_S * rate_hz))
    parts = [lead, opening, gap, emg_uv, gap, closing, lead]
    starts = np.cumsum([0, *(part.size for part in parts)]) / rate_hz
    return Program(
        samples_uv=_whole_milliseconds(np.concatenate(parts), rate_hz),
        rate_hz=rate_hz,
        recording_start_s=float(starts[3]),
        markers=((float(starts[1]), opening), (float(starts[5]), closing)),
        marks_s=((float(starts[1]), float(starts[2])), (float(starts[5]), float(starts[6]))),
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
