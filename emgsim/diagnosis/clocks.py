"""A device's clock that jumps: the lag of the playback changes at an instant, its counter does not.

A jump is found by the lags of the windows of EMG, beside any straight drift, or by the end at which
the device ceases to follow; it is measured by the closing marker, and placed where the samples are
best split between the two lags.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgsim.diagnosis.findings import Finding
from emgsim.diagnosis.heard import located
from emgsim.diagnosis.levels import CHI_SQUARE, explained
from emgsim.diagnosis.tracks import WINDOW_S, Track, change_time, fitted

Floats = NDArray[np.float64]

SHORTEST_STEP = 0.5  # samples
LAG_FLOOR_S = 2e-6  # of a window: the response is known no better
FEWEST = 8  # windows of EMG that tell a lag


def clock_step(track: Track) -> Finding | None:
    """Tell a clock that has jumped, and when.

    The statistic is by how much chi square of the windows' lags falls; where the device ceases to
    follow, it is the jump in samples over the shortest one that is told.
    """
    at_s, statistic = _suspected(track)
    if at_s is None:
        return None
    found = _measured(track, at_s)
    if found is None:
        return None
    at_s, within_s, samples = found
    return Finding(
        name="clock step",
        start_s=at_s,
        within_s=within_s,
        value=samples,
        unit="samples",
        statistic=abs(samples) / SHORTEST_STEP if statistic is None else statistic,
        threshold=1.0 if statistic is None else CHI_SQUARE,
    )


def _suspected(track: Track) -> tuple[float | None, float | None]:
    """Return where the lags of the EMG jump, and the statistic; or where it ceases to follow."""
    at_s, lag_s, error_s = _lags(track)
    if at_s.size >= FEWEST:
        weight = 1 / np.hypot(error_s, LAG_FLOOR_S)
        straight = np.stack([np.ones(at_s.size), at_s - at_s.mean()])
        before, _ = explained(lag_s, weight, straight)
        places = at_s[2:-1] - WINDOW_S / 2
        after = [explained(lag_s, weight, np.vstack([straight, at_s > s])) for s in places]
        best = int(np.argmin([chi for chi, _ in after]))
        chi, coefficients = after[best]
        fall = (before - chi) / max(1.0, chi / max(1, at_s.size - 4))
        if fall > CHI_SQUARE and abs(coefficients[-1]) * track.heard.rate_hz > SHORTEST_STEP / 2:
            return float(places[best]), float(fall)
    return track.ends_s, None


def _lags(track: Track) -> tuple[Floats, Floats, Floats]:
    """Return middle, lag and standard error of each window of EMG that is followed, in seconds."""
    use = track.follows & ~track.heard.in_markers(track.times_s)
    times_s = track.times_s[use]
    number = np.floor(times_s / WINDOW_S).astype(np.int64)
    edges = np.flatnonzero(np.diff(number, prepend=-1))
    if not edges.size:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    _, slope = track.heard.waveform.at(times_s)
    slope, left = track.fit.gain * slope, track.left_uv[use]
    energy = np.maximum(np.add.reduceat(slope**2, edges), 1e-12)
    lag_s = -np.add.reduceat(left * slope, edges) / energy
    n = np.diff(np.append(edges, times_s.size))
    rms = np.sqrt(np.add.reduceat(left**2, edges) / n)
    error_s = rms * np.sqrt(track.heard.correlation / energy)
    told = error_s < 1 / track.heard.rate_hz
    middle_s = np.asarray((number[edges] + 0.5) * WINDOW_S, np.float64)
    return middle_s[told], np.asarray(lag_s, np.float64)[told], error_s[told]


def _measured(track: Track, at_s: float) -> tuple[float, float, float] | None:
    """Return when the clock jumps, how surely, and by how many samples; None if it does not."""
    heard, start_s = track.heard, track.heard.markers[0][0]
    fit = fitted(heard, track.fit, (start_s, max(at_s - WINDOW_S, start_s + 2 * WINDOW_S)))
    if fit is None:
        return None
    before = replace(track, fit=fit)
    lag_s = _closing_lag(before)
    if lag_s is None or abs(lag_s) * heard.rate_hz < SHORTEST_STEP:
        return None
    value, _ = heard.waveform.at(before.times_s + lag_s)
    span_s = (start_s + 2 * WINDOW_S, heard.duration_s)
    at_s, within_s = change_time(before, fit.gain * value, span_s)
    return at_s, within_s, lag_s * heard.rate_hz


def _closing_lag(before: Track) -> float | None:
    """Return by how much the player's time has jumped ahead when the closing marker comes."""
    heard, fit = before.heard, before.fit
    (first_s, opening), (start_s, shape) = heard.marker(0), heard.marker(1)
    rest = int(np.argmax(before.times_s >= first_s + opening.size / heard.rate_hz))
    at = located(heard.uv[rest:], heard.rate_hz, shape)
    if at is None:
        return None
    lag_s = start_s - float(before.times_s[rest + at])
    near = replace(fit, offset_s=fit.offset_s + lag_s)
    found = fitted(heard, near, (start_s, start_s + shape.size / heard.rate_hz))
    if found is None:
        return None
    middle = rest + at + shape.size // 2
    late_s = found.offset_s - fit.offset_s + middle * (found.drift - fit.drift) / heard.rate_hz
    return float(late_s)
