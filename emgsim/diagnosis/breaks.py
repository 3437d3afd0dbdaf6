"""Faults at which a recorder ceases to follow: stuck, inverted, or silent from then on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.diagnosis.findings import Finding
from emgsim.diagnosis.heard import Heard
from emgsim.diagnosis.tracks import WINDOW_S, Track, change_time, noise_of

Floats = NDArray[np.float64]

TOO_MUCH = "too much of what is played"
HALF = 0.5  # of the gain, either way: what is nearer to nothing is nothing
STUCK_S = 0.02  # a converter that says one code for so long while it should move
STUCK_STEPS = 8.0  # by how many codes, and times the noise, it should have moved
ENDED_S = 0.1  # in which a playback is ended that is too loud
TIMES_NOISE = 20.0  # that is loud, beside twice the signal
LOUDER = 2.0  # times the noise before: an open input is heard, a closed one is not


def polarity(track: Track) -> Finding | None:
    """Tell an inverted signal, be it from the beginning or from an instant on.

    The statistic is the gain over its standard error, negative if inverted.
    """
    fit = track.fit
    turn = _turn(track)
    if turn is None and fit.gain > 0:
        return None
    at_s, within_s = (None, 0.0) if turn is None else turn
    return Finding(
        name="inverted polarity",
        start_s=at_s if fit.gain > 0 else None,
        stop_s=None if fit.gain > 0 else at_s,
        within_s=within_s,
        value=-1.0,
        unit="1",
        statistic=-abs(fit.gain) / fit.gain_sd,
        threshold=0.0,
    )


def _turn(track: Track) -> tuple[float, float] | None:
    """Return when the sign changes."""
    after = track.after
    expected, uv = track.expected_uv[after], track.heard.uv[after]
    energy = float(expected @ expected)
    if not energy or abs(float(uv @ expected) / energy + 1) > HALF:
        return None
    return _instant(track, -track.expected_uv)


def too_loud(track: Track) -> Finding | None:
    """Tell what was too loud when somebody ended a playback for it: what is played, or not.

    The statistic is the share of the expected signal whose sign is right.
    """
    last_s = float(track.times_s[np.isfinite(track.heard.uv)][-1])
    near = np.flatnonzero((track.times_s > last_s - ENDED_S) & np.isfinite(track.heard.uv))
    expected = track.expected_uv[near]
    loud = TIMES_NOISE * noise_of(track) + np.abs(expected)
    odd = np.flatnonzero(np.abs(track.left_uv[near]) > loud)
    if not odd.size:
        return None
    since = near[odd[0] :]
    expected, uv = track.expected_uv[since], track.heard.uv[since]
    weight = float(np.sum(np.abs(expected)))
    alike = float(np.sum(np.sign(uv) * expected)) / weight if weight else 0.0
    return Finding(
        name=TOO_MUCH if abs(alike) > HALF else "something else is heard",
        start_s=float(track.times_s[since[0]]),
        value=float(np.max(np.abs(uv))),
        unit="uV pk",
        statistic=abs(alike),
        threshold=HALF,
    )


def stuck(heard: Heard, track: Track | None) -> Finding | None:
    """Tell a converter that says one and the same to the end, while it should move.

    The statistic is for how many samples it has done so.
    """
    known = np.flatnonzero(np.isfinite(heard.uv))
    other = np.flatnonzero(heard.uv[known] != heard.uv[known[-1:]])
    first = int(known[other[-1] + 1]) if other.size else int(known[0])
    n, least = int(known[-1]) + 1 - first, STUCK_S * heard.rate_hz
    if n < least or (track is not None and not _should_move(track, first)):
        return None
    start_s = None if track is None or not other.size else float(track.times_s[first])
    if start_s is not None and start_s >= heard.duration_s:
        return None
    return Finding(
        name="stuck channel",
        start_s=start_s,
        within_s=0.0 if start_s is None else 1 / heard.rate_hz,
        value=float(heard.uv[-1]),
        unit="uV",
        statistic=float(n),
        threshold=least,
    )


def _should_move(track: Track, first: int) -> bool:
    during = (np.arange(track.times_s.size) >= first) & (track.times_s < track.heard.duration_s)
    expected = track.expected_uv[during]
    return bool(expected.size) and float(np.ptp(expected)) > STUCK_STEPS * noise_of(track)


def lost(track: Track) -> Finding | None:
    """Tell a signal that is gone: with hum and noise in its place, or with nothing.

    The statistic is what is heard, in times the noise that was there before.
    """
    after = track.after
    if track.ends_s is None or not after.any():
        return None
    expected, uv = track.expected_uv[after], track.heard.uv[after]
    share = float(uv @ expected) / float(expected @ expected)
    if abs(share) > HALF:
        return None
    rms = float(np.std(uv))
    at_s, within_s = _instant(track, np.zeros(track.times_s.size), rms)
    is_open = rms > LOUDER * noise_of(track)
    return Finding(
        name="broken lead" if is_open else "no signal",
        start_s=at_s,
        within_s=within_s,
        value=rms,
        unit="uV rms",
        statistic=rms / noise_of(track),
        threshold=LOUDER,
    )


def silent(heard: Heard) -> Finding:
    """Tell a recorder in which the playback is nowhere to be found.

    The statistic is what is heard, in times the noise of the path's budget.
    """
    rms = float(np.nanstd(heard.uv))
    is_open = rms > LOUDER * heard.noise_uv_rms
    return Finding(
        name="broken lead" if is_open else "no signal",
        value=rms,
        unit="uV rms",
        statistic=rms / heard.noise_uv_rms,
        threshold=LOUDER,
    )


def _instant(track: Track, instead_uv: Floats, rms: float | None = None) -> tuple[float, float]:
    """Return when another expectation begins to explain the samples, and how surely.

    ``rms`` is how far the samples then lie from it; by default as far as before.
    """
    ends_s = track.heard.duration_s if track.ends_s is None else track.ends_s
    span_s = (track.heard.markers[0][0], ends_s + 2 * WINDOW_S)
    return change_time(track, instead_uv, span_s, rms)
