"""How well a recorder follows what was played, from the opening marker to the end.

The playback is placed by its opening marker, whose quarter second fixes clock and gain, and then
followed window by window for as long as the recorder says what was played. A fault that changes
the gain, the lag or the level from an instant on shows as the window at which that ends; the
instant is the one that splits the samples best between before and after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emgsim.align import Alignment, refine
from emgsim.diagnosis.heard import Heard, located

Floats = NDArray[np.float64]

WINDOW_S = 0.05
GROWTH = 3.0  # of the span that is fitted, from round to round: the clock is known well enough
FOLLOWS = 0.3  # of the gain; a window further off does not follow
INFORMATIVE = 0.1  # standard error of a window's gain beyond which it says nothing
N_SIGMA = 6.0  # beyond chance: 2e-9 in one window
# Of the largest sample: points that are held ring about a marker otherwise than it is known here,
# and silence beside it is no signal that could be followed
RINGING = 3e-4
MISFIT = 0.03  # of the signal: no device is described better than that
UNSURE = 9.0  # twice the log likelihood ratio of the instants that are as good as the best


@dataclass(frozen=True, eq=False)
class Windows:
    """Gain of each window of the playback, its standard error, and when it begins."""

    start_s: Floats
    gain: Floats
    error: Floats
    left_rms: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Track:
    """A recorder that was placed, and how far it follows.

    ``ends_s`` is when the first window begins that does not follow; None: it follows to the end.
    """

    heard: Heard
    fit: Alignment
    windows: Windows
    ends_s: float | None

    @cached_property
    def times_s(self) -> Floats:
        """The player's time of every sample."""
        return self.fit.times_s(self.heard.uv.size, self.heard.rate_hz)

    @cached_property
    def expected_uv(self) -> Floats:
        """What every sample should be, the gain included."""
        value, _ = self.heard.waveform.at(self.times_s)
        return self.fit.gain * value

    @cached_property
    def left_uv(self) -> Floats:
        """What was recorded minus what was expected."""
        return self.heard.uv - self.expected_uv

    @property
    def follows(self) -> NDArray[np.bool_]:
        """Which samples lie in the part of the playback that it follows."""
        end_s = self.heard.duration_s if self.ends_s is None else self.ends_s
        inside = (self.times_s >= 0) & (self.times_s < end_s)
        return np.asarray(inside & np.isfinite(self.heard.uv))

    @property
    def after(self) -> NDArray[np.bool_]:
        """Which samples of the playback come after that part."""
        if self.ends_s is None:
            return np.zeros(self.times_s.size, np.bool_)
        inside = (self.times_s >= self.ends_s) & (self.times_s < self.heard.duration_s)
        return np.asarray(inside & np.isfinite(self.heard.uv))


def followed(heard: Heard) -> Track | None:
    """Place a playback by its opening marker and follow it; None if the marker is not there."""
    start_s, shape = heard.marker(0)
    first = located(heard.uv, heard.rate_hz, shape) if heard.hears_markers else None
    if first is None:
        return None
    end_s = start_s + shape.size / heard.rate_hz
    fit = _begun(heard, start_s - first / heard.rate_hz, (start_s, end_s))
    ends_s = None
    while fit is not None and end_s < heard.duration_s and ends_s is None:
        end_s = min(heard.duration_s, start_s + GROWTH * (end_s - start_s))
        ends_s = _first_off(_windows(heard, fit, (start_s, end_s)), fit.gain)
        if ends_s is not None or end_s < heard.duration_s:  # else it is known well enough
            fit = fitted(heard, fit, (start_s, _sure(start_s, ends_s, end_s)))
    return None if fit is None else _track(heard, fit)


def followed_anew(heard: Heard, fit: Alignment) -> Track:
    """Follow a playback whose place is known."""
    ends_s = _first_off(_windows(heard, fit, (0.0, heard.duration_s)), fit.gain)
    start_s = heard.markers[0][0]
    again = fitted(heard, fit, (start_s, _sure(start_s, ends_s, heard.duration_s)))
    return _track(heard, fit if again is None else again)


def until(track: Track, ends_s: float | None) -> Track:
    """Return what is followed until a fault that begins then."""
    if ends_s is None:
        return track
    start_s = track.heard.markers[0][0]
    fit = fitted(track.heard, track.fit, (start_s, max(ends_s, start_s + WINDOW_S)))
    return replace(_track(track.heard, fit or track.fit), ends_s=ends_s)


def _track(heard: Heard, fit: Alignment) -> Track:
    windows = _windows(heard, fit, (0.0, heard.duration_s))
    return Track(heard=heard, fit=fit, windows=windows, ends_s=_first_off(windows, fit.gain))


def _begun(heard: Heard, offset_s: float, marker_s: tuple[float, float]) -> Alignment | None:
    """Fit as much of the opening marker as there is.

    Its time comes of all samples, since what is cut off is cut on both sides of a wave alike; its
    gain of those that nothing can have cut off.
    """
    every = replace(heard, cut_beyond_uv=np.inf)
    placed = _placed(offset_s)
    windows = _windows(every, placed, marker_s)
    size = np.where(windows.error < INFORMATIVE * np.abs(windows.gain), np.abs(windows.gain), 0.0)
    loudest = windows.gain[np.argmax(size)]
    ends_s = _first_off(windows, float(loudest))
    span_s = marker_s[0], _sure(marker_s[0], ends_s, marker_s[1])
    timed = fitted(every, placed, span_s)
    return None if timed is None else fitted(heard, timed, span_s)


def _sure(start_s: float, ends_s: float | None, end_s: float) -> float:
    """Return until when it surely follows: the window before the end may be the end already."""
    return end_s if ends_s is None else max(ends_s - WINDOW_S, start_s + WINDOW_S)


def _placed(offset_s: float) -> Alignment:
    """Return where a playback lies, with nothing known of its gain and its clock."""
    return Alignment(
        offset_s=offset_s,
        drift=0.0,
        gain=1.0,
        offset_sd_s=np.inf,
        drift_sd=np.inf,
        gain_sd=np.inf,
        residual_rms=np.inf,
        windows=(),
    )


def fitted(heard: Heard, near: Alignment, span_s: tuple[float, float]) -> Alignment | None:
    """Fit gain and clock to a span of the player's time; None where nothing can be fitted."""
    first, times_s = _span(heard, near, span_s)
    uv = np.where(_is_uncut(heard, times_s), heard.uv[first : first + times_s.size], np.nan)
    begins_s = near.offset_s + first * (1 + near.drift) / heard.rate_hz
    try:
        fit = refine(uv, heard.rate_hz, heard.waveform, begins_s, near.drift)
    except np.linalg.LinAlgError:
        return None
    return replace(fit, offset_s=fit.offset_s - first * (1 + fit.drift) / heard.rate_hz)


def _windows(heard: Heard, fit: Alignment, span_s: tuple[float, float]) -> Windows:
    first, times_s = _span(heard, fit, span_s)
    uv = heard.uv[first : first + times_s.size]
    value, _ = heard.waveform.at(times_s)
    use = np.isfinite(uv) & (np.abs(value) < heard.uncut_uv)
    return windows_of(times_s[use], uv[use], value[use], heard.correlation)


def _span(heard: Heard, fit: Alignment, span_s: tuple[float, float]) -> tuple[int, Floats]:
    """Return the first sample of a span of the player's time, and the times of all."""
    rate_hz = heard.rate_hz / (1 + fit.drift)
    first, last = (
        min(max(0, math.ceil((at_s - fit.offset_s) * rate_hz)), heard.uv.size) for at_s in span_s
    )
    return first, fit.offset_s + np.arange(first, last) / rate_hz


def _is_uncut(heard: Heard, times_s: Floats) -> NDArray[np.bool_]:
    """Tell at which times so little is expected that nothing can have cut it off."""
    if heard.uncut_uv == np.inf:
        return np.ones(times_s.size, np.bool_)
    value, _ = heard.waveform.at(times_s)
    return np.asarray(np.abs(value) < heard.uncut_uv)


def windows_of(times_s: Floats, uv: Floats, value: Floats, correlation: float) -> Windows:
    """Fit a gain to each window of samples, all of shape ``(n,)``.

    A gain's standard error comes of what is left in its window, whose noise is band-limited, and of
    what is not known of the signal.
    """
    number = np.floor(times_s / WINDOW_S).astype(np.int64)
    edges = np.flatnonzero(np.diff(number, prepend=-1))
    if not edges.size:
        return Windows(*(np.zeros(0) for _ in range(4)))
    energy = np.maximum(np.add.reduceat(value**2, edges), 1e-12)
    gain = np.add.reduceat(uv * value, edges) / energy
    square = np.maximum(np.add.reduceat(uv**2, edges) - gain**2 * energy, 0.0)
    n = np.diff(np.append(edges, times_s.size))
    left_rms = np.sqrt(square / n)
    start_s = np.asarray(number[edges] * WINDOW_S, np.float64)
    by_noise = left_rms * np.sqrt(correlation / energy)
    by_ringing = RINGING * float(np.max(np.abs(value))) * np.sqrt(n / energy)
    return Windows(start_s, gain, np.hypot(by_noise, by_ringing), left_rms)


def _first_off(windows: Windows, gain: float) -> float | None:
    """Return when the first of two windows in a row begins that tell another gain."""
    told = np.flatnonzero(windows.error < INFORMATIVE * abs(gain))
    off_by = np.abs(windows.gain[told] / gain - 1)
    off = off_by > FOLLOWS + N_SIGMA * windows.error[told] / abs(gain)
    pairs = off & np.append(off[1:], off[-1:])
    return float(windows.start_s[told[np.argmax(pairs)]]) if pairs.any() else None


def noise_of(track: Track) -> float:
    """Return the noise while it followed; a recorder cannot be more silent than its budget."""
    told = track.windows
    before = told.start_s < (np.inf if track.ends_s is None else track.ends_s)
    return max(float(np.median(told.left_rms[before])), 0.1 * track.heard.noise_uv_rms)


def change(before: Floats, after: Floats) -> tuple[int, int, int]:
    """Return the sample at which one explanation of the samples gives way to another.

    Parameters
    ----------
    before, after
        Shape ``(n,)``: what each sample costs under either explanation, in squared standard
        deviations (twice the negative log likelihood).

    Returns
    -------
    at, first, last : int
        The best one, and between which others it may lie (three standard deviations).
    """
    cost = np.concatenate([[0.0], np.cumsum(before - after)])
    at = int(np.argmin(cost))
    near = np.flatnonzero(cost <= cost[at] + UNSURE)
    return at, int(near[0]), int(near[-1])


def change_time(
    track: Track, instead_uv: Floats, span_s: tuple[float, float], rms: float | None = None
) -> tuple[float, float]:
    """Return when another expectation begins to explain the samples, and how surely.

    Parameters
    ----------
    track
        The expectation before.
    instead_uv
        The one after, for every sample.
    span_s
        Between which of the player's times.
    rms
        How far the samples then lie from it; by default as far as before.

    Returns
    -------
    at_s, within_s : float
        On the player's clock.
    """
    inside = (track.times_s >= span_s[0]) & (track.times_s < span_s[1])
    near = np.flatnonzero(inside & np.isfinite(track.heard.uv))
    uv, noise = track.heard.uv[near], noise_of(track)
    at, low, high = change(
        _cost(uv, track.expected_uv[near], noise) / track.heard.correlation,
        _cost(uv, instead_uv[near], max(noise, rms or 0.0)) / track.heard.correlation,
    )
    times_s = np.append(track.times_s[near], track.times_s[near[-1]])
    return float(times_s[at]), float(times_s[high] - times_s[low]) / 2


def _cost(uv: Floats, expected: Floats, rms: float) -> Floats:
    variance = rms**2 + (MISFIT * expected) ** 2
    return np.asarray((uv - expected) ** 2 / variance + np.log(variance))
