"""What a recorder heard of a playback, beside what it should have heard, and where it begins."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.align import Waveform

Floats = NDArray[np.float64]
Marker = tuple[float, Floats]

UNCLIPPED = 0.7  # of the largest sample; what should be larger may have been cut off
BLOCK_OF_MARKER = 8  # lengths of a marker that are looked at in one go
MARKER_LIKENESS = 0.3  # correlation with it, the hum taken off; noise at 10 kHz reaches 0.1
MARKER_OF_NOISE = 0.5  # rms, of the noise that is allowed: it is then like itself by 0.45
MARKER_SHARE = 0.25  # of their energy, that a recorder must be able to hear
MARKER_FROM_HZ = 200.0  # below most of any marker that is looked for: hum must not hide them
NARROWEST_HZ = 1_000.0  # upper corner of a recorder that can be followed: others hear lower markers


@dataclass(frozen=True, eq=False, kw_only=True)
class Heard:
    """What one recorder heard of a playback.

    ``uv`` are microvolts at the device's input, shape ``(n,)``, NaN where samples were lost;
    ``markers`` are the opening and the closing one, each with its start on the player's clock and
    its shape at ``rate_hz``. ``noise_uv_rms`` is what the path's budget allows, in a band up to
    ``band_hz``. A converter's codes are ``lsb_uv`` apart, and its other channels are
    ``others_uv``, each of shape ``(n,)``. Of the recording, ``n_before`` samples were left out.
    """

    uv: Floats
    rate_hz: float
    waveform: Waveform
    markers: tuple[Marker, Marker]
    duration_s: float  # of the playback
    noise_uv_rms: float
    band_hz: float
    lsb_uv: float = 0.0  # 0: they are not known
    others_uv: tuple[Floats, ...] = ()
    n_before: int = 0
    cut_beyond_uv: float | None = None  # by default UNCLIPPED of the largest sample

    @property
    def correlation(self) -> float:
        """Variance of a fit to samples of band-limited noise over that to white ones."""
        return max(1.0, self.rate_hz / (2 * self.band_hz))

    def in_markers(self, at_s: Floats) -> NDArray[np.bool_]:
        """Tell which of the player's times, shape ``(n,)``, lie in or beyond the markers."""
        (first_s, shape), (last_s, _) = self.markers
        return np.asarray((at_s < first_s + shape.size / self.rate_hz) | (at_s >= last_s))

    def marker(self, which: int) -> tuple[float, Floats]:
        """Return start and shape of the opening (0) or the closing marker (1), as it should come.

        The shape, ``(n_marker,)``, is what the declared response leaves of it.
        """
        start_s, shape = self.markers[which]
        times_s = start_s + np.arange(shape.size) / self.rate_hz
        return start_s, self.waveform.at(times_s)[0]

    @property
    def hears_markers(self) -> bool:
        """Whether enough of the markers lies in the recorder's band, loud enough to be found."""
        (_, whole), (_, shape) = self.markers[0], self.marker(0)
        share = float(shape @ shape) / float(whole @ whole)
        rms = float(np.sqrt(np.mean(shape**2)))
        is_loud = share > MARKER_SHARE and rms > MARKER_OF_NOISE * self.noise_uv_rms
        return is_loud and self.band_hz >= NARROWEST_HZ

    @cached_property
    def uncut_uv(self) -> float:
        """Up to where no sample was cut off, whatever there is that is full."""
        if self.cut_beyond_uv is not None:
            return self.cut_beyond_uv
        return UNCLIPPED * float(np.nanmax(np.abs(self.uv), initial=0.0))


def located(uv: Floats, rate_hz: float, shape: Floats) -> int | None:
    """Return at which sample a marker begins, whatever its sign; None if it is not there.

    Hum is left out of account. A block is looked at in one go, so that memory does not grow.
    """
    known = uv[np.isfinite(uv)]
    if known.size < shape.size // 2:
        return None
    level = np.median(known)
    size = int(fft.next_fast_len(BLOCK_OF_MARKER * shape.size, real=True))
    is_hum = fft.rfftfreq(size, 1 / rate_hz) < MARKER_FROM_HZ
    marker = np.where(is_hum, 0, fft.rfft(shape, size))
    step = size - shape.size
    peak, at = 0.0, 0
    for first in range(0, max(1, uv.size - shape.size // 2), step):
        heard = fft.rfft(np.nan_to_num(uv[first : first + size] - level, nan=0.0), size)
        likeness = np.abs(fft.irfft(heard * np.conj(marker), size)[:step])
        best = int(np.argmax(likeness))
        if likeness[best] > peak:
            peak, at = float(likeness[best]), first + best
    here = np.nan_to_num(uv[at : at + shape.size] - level, nan=0.0)
    clean = fft.irfft(np.where(is_hum, 0, fft.rfft(here, size)), size)
    norm = float(np.linalg.norm(clean) * np.linalg.norm(shape))
    return at if peak > MARKER_LIKENESS * norm > 0 else None


def of_playback(heard: Heard) -> Heard:
    """Leave out what was recorded before and after the playback, if its opening marker is there.

    A recorder runs for some time before it is triggered, and how long differs from run to run.
    Without it the samples are the same every time, and so is all that is computed from them.
    """
    start_s, shape = heard.marker(0)
    at = located(heard.uv, heard.rate_hz, shape) if heard.hears_markers else None
    if at is None:
        return heard
    first = max(0, at - round(start_s * heard.rate_hz))
    played = slice(first, first + math.ceil(heard.duration_s * heard.rate_hz))
    others_uv = tuple(uv[played] for uv in heard.others_uv)
    return replace(heard, uv=heard.uv[played], others_uv=others_uv, n_before=first)
