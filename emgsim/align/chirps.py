"""The place of a playback between two markers, an opening and a closing one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.align.fitting import Alignment, refine
from emgsim.align.waveform import BLOCK, Waveform
from emgsim.errors import NotAnalysableError

Floats = NDArray[np.float64]

SLOWEST_CLOCK = 1e-3  # relative; a recorder's clock is closer than that to its nominal rate
MARKER_CORRELATION = 0.3  # below it a marker was not found


def playback(
    samples: Floats, rate_hz: float, opening: tuple[float, Floats], duration_s: float
) -> slice:
    """Return which samples hold the playback, begun by its opening marker.

    A recorder runs for some time before it is triggered, and how long differs from run to run.
    Cut to the playback, the samples are the same every time, and so is all that follows.

    Raises
    ------
    NotAnalysableError
        If the marker is not in the recording.
    """
    start_s, shape = opening
    marker = round(_find(np.where(np.isfinite(samples), samples, 0.0), shape, 0))
    first = max(0, marker - round(start_s * rate_hz))
    return slice(first, first + round(duration_s * rate_hz))


def align(
    samples: Floats,
    rate_hz: float,
    waveform: Waveform,
    markers: tuple[tuple[float, Floats], tuple[float, Floats]],
) -> Alignment:
    """Find gain, offset and drift of a recording of a known waveform.

    Parameters
    ----------
    samples
        Shape ``(n,)``; NaN where samples were lost.
    rate_hz
        The recorder's nominal rate.
    waveform
        What the recorder should have seen, on the player's clock.
    markers
        Start time on the player's clock and shape ``(n_marker,)`` at ``rate_hz`` of the opening
        and of the closing marker. They must be unlike, or one is taken for the other.

    Raises
    ------
    NotAnalysableError
        If a marker is not in the recording.
    """
    offset_s, drift = _coarse(np.nan_to_num(samples, nan=0.0), rate_hz, markers)
    return refine(samples, rate_hz, waveform, offset_s, drift)


def _coarse(
    samples: Floats, rate_hz: float, markers: tuple[tuple[float, Floats], tuple[float, Floats]]
) -> tuple[float, float]:
    """Return offset and drift from where the first and the last marker were found."""
    (first_s, opening), (last_s, closing) = markers
    begin = _find(samples, opening, 0)
    span = (last_s - first_s) * rate_hz
    slack = SLOWEST_CLOCK * span + 2
    guess = max(0, int(begin + span - slack))
    window = samples[guess : int(begin + span + slack) + closing.size + 1]
    stretch = span / (_find(window, closing, guess) - begin)
    return first_s - begin / rate_hz * stretch, stretch - 1


def _find(samples: Floats, marker: Floats, begin: int) -> float:
    """Return the index, counted from ``begin``, at which a marker starts, with its fraction."""
    best = _likest(samples, marker)
    here = samples[best : best + marker.size]
    norm = float(np.linalg.norm(here) * np.linalg.norm(marker[: here.size]))
    low, mid, high = (_likeness(samples, marker, best + k) for k in (-1, 0, 1))
    if norm == 0 or mid < MARKER_CORRELATION * norm:
        raise NotAnalysableError(
            f"no marker found in the recording: best correlation "
            f"{mid / norm if norm else 0.0:.2f}, needed {MARKER_CORRELATION}",
            todo="check that the source was played and that the device is wired to the fixture",
        )
    if not 0 < best < samples.size - 1:
        return float(begin + best)
    return float(begin + best + 0.5 * (low - high) / (low - 2 * mid + high))


def _likest(samples: Floats, marker: Floats) -> int:
    """Return where a marker correlates most with the samples, whatever its sign."""
    size = int(fft.next_fast_len(marker.size + max(BLOCK, 8 * marker.size), real=True))
    step = size - marker.size + 1
    spectrum = np.conj(fft.rfft(marker, size))
    best, highest = 0, -1.0
    for first in range(0, samples.size, step):
        heard = fft.rfft(samples[first : first + size], size)
        likeness = np.abs(fft.irfft(heard * spectrum, size)[: min(step, samples.size - first)])
        here = int(np.argmax(likeness))
        if likeness[here] > highest:
            best, highest = first + here, float(likeness[here])
    return best


def _likeness(samples: Floats, marker: Floats, first: int) -> float:
    """Return the correlation of a marker that starts at a sample, without its sign."""
    here = samples[max(first, 0) : max(first + marker.size, 0)]
    return abs(float(here @ marker[max(-first, 0) :][: here.size]))
