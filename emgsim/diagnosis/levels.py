"""Faults with which a recorder goes on following: too full, a gain that runs away, hum."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.diagnosis.findings import Finding
from emgsim.diagnosis.heard import Heard
from emgsim.diagnosis.tracks import INFORMATIVE, N_SIGMA, UNSURE, WINDOW_S, Track, change, noise_of

Floats = NDArray[np.float64]

SHORT_OF = 0.05  # of what is expected: a sample that lacks more was cut off, beyond the noise
ALIKE = 0.02  # of the level: what was cut off is as long as that
MOSTLY = 0.8  # of the samples that lack something
FEWEST = 12  # such samples: two half waves of a marker
CHI_SQUARE = 50.0  # by which the fault must explain more: 1e-10 by chance, times the places tried
GAIN_FLOOR = 0.001  # of a window: the EMG's spectrum differs from window to window
DRIFT_CHI_SQUARE = 30.0  # likewise, 4e-8 by chance; the least drift is far beyond chance anyway
FEWEST_GAINS = 6  # windows, the markers among them
LEAST_DRIFT = 0.01  # less is no fault of an amplifier, but its data sheet's tolerance
HUM_HZ = (50.0, 60.0)
HUM_OFF_HZ = 0.5  # by which the mains, and the device's clock, may be off
NEIGHBOURS = 20  # lines of the spectrum beside that of the hum
HUM_F = 30.0  # of its power over theirs: F(2, 40), 1e-8 by chance in one line
FINE = 9  # frequencies between two lines: a sine between them loses 0.3 % at most
HUM_OF_NOISE = 0.5  # of the budget, rms: below that a rig is as good as it says
SHORTEST_HUM_S = 0.5
SLOW_S = 1e-3  # of which the mean is taken: hum is slower, and a minute is soon looked through
HUM_WINDOW_S = 0.1  # whole periods of 50 and of 60 Hz


def saturation(track: Track) -> Finding | None:
    """Tell a part that is full: what is expected beyond a level all comes as long as that level.

    The statistic is how many samples do.
    """
    noise = noise_of(track)
    expected, uv = track.expected_uv, track.heard.uv * np.sign(track.expected_uv)
    during = (track.times_s >= 0) & (track.times_s < track.heard.duration_s) & np.isfinite(uv)
    lacks = during & (np.abs(expected) - uv > N_SIGMA * noise + SHORT_OF * np.abs(expected))
    if not lacks.any():
        return None
    level = float(np.median(uv[lacks]))
    alike = lacks & (np.abs(uv - level) < ALIKE * level + 3 * noise)
    n = int(alike.sum())
    if n < FEWEST or n < MOSTLY * lacks.sum() or level < N_SIGMA * noise:
        return None
    beyond = during & (uv > (1 + ALIKE) * level + 3 * noise)
    return Finding(
        name="saturation",
        **_between(track, np.flatnonzero(alike), np.flatnonzero(beyond)),
        value=level,
        unit="uV",
        statistic=float(n),
        threshold=float(FEWEST),
    )


def _between(track: Track, full: NDArray[np.intp], free: NDArray[np.intp]) -> dict[str, float]:
    """Return since when it is full: after the last sample that was beyond the level."""
    before = free[free < full[0]]
    if not before.size:
        return {}
    first_s, full_s = float(track.times_s[before[-1]]), float(track.times_s[full[0]])
    return {"start_s": full_s, "within_s": full_s - first_s}


def without_full(heard: Heard, track: Track, level_uv: float) -> Heard:
    """Leave out what lies beyond the level at which something is full."""
    beyond = np.abs(track.expected_uv) > (1 - ALIKE) * level_uv - 3 * noise_of(track)
    return replace(heard, uv=np.where(beyond, np.nan, heard.uv))


def gain_drift(track: Track) -> Finding | None:
    """Tell a gain that runs away in a straight line from some instant on.

    The statistic is by how much chi square of the windows' gains falls.
    """
    at_s, gain, weight = _gains(track)
    if at_s.size < FEWEST_GAINS:
        return None
    flat = np.stack([np.ones(at_s.size), track.heard.in_markers(at_s).astype(float)])
    best = _hinge(at_s, gain, weight, flat)
    size = best.slope * (track.heard.duration_s - (best.start_s or 0.0))
    if best.statistic < DRIFT_CHI_SQUARE or abs(size) < LEAST_DRIFT:
        return None
    return Finding(
        name="gain drift",
        start_s=best.start_s,
        within_s=best.within_s,
        value=100 * size,
        unit="% by the end",
        statistic=best.statistic,
        threshold=DRIFT_CHI_SQUARE,
    )


def _gains(track: Track) -> tuple[Floats, Floats, Floats]:
    """Return middle, gain over the mean gain, and weight of each window of EMG and each marker.

    The markers sweep through all frequencies: only as a whole are they alike.
    """
    told = track.windows
    use = told.error < INFORMATIVE * abs(track.fit.gain)
    if track.ends_s is not None:
        use &= told.start_s < track.ends_s - WINDOW_S
    at_s, gain, error = told.start_s[use] + WINDOW_S / 2, told.gain[use], told.error[use]
    energy = (told.left_rms[use] / error) ** 2
    is_marker = track.heard.in_markers(at_s)
    early = is_marker & (at_s < track.heard.duration_s / 2)
    groups = [np.flatnonzero(early), *np.flatnonzero(~is_marker)[:, None]]
    groups += [np.flatnonzero(is_marker & ~early)]
    rows = [
        (
            np.average(at_s[group], weights=energy[group]),
            np.average(gain[group], weights=energy[group]),
            1 / np.sqrt(np.sum(error[group] ** -2)),
        )
        for group in groups
        if group.size
    ]
    middle_s, means, errors = np.array(rows, np.float64).reshape(-1, 3).T
    weight = 1 / np.hypot(errors / track.fit.gain, GAIN_FLOOR)
    return middle_s, means / track.fit.gain, weight


@dataclass(frozen=True)
class _Hinge:
    start_s: float | None  # None: it may as well have been so from the beginning
    within_s: float
    slope: float
    statistic: float


def _hinge(at_s: Floats, gain: Floats, weight: Floats, flat: Floats) -> _Hinge:
    """Fit a line that is flat until some instant and then straight; try every window."""
    starts_s = at_s[:-3]
    fits = [explained(gain, weight, np.vstack([flat, np.maximum(at_s - s, 0)])) for s in starts_s]
    chi = np.array([chi for chi, _ in fits])
    best = int(np.argmin(chi))
    scale = max(1.0, float(chi[best]) / max(1, at_s.size - flat.shape[0] - 2))
    near = np.flatnonzero(chi <= chi[best] + UNSURE * scale)
    begins = int(near[0]) == 0
    k = 0 if begins else best
    level, _ = explained(gain, weight, flat)
    return _Hinge(
        start_s=None if begins else float(starts_s[k]),
        within_s=0.0 if begins else max(float(np.ptp(starts_s[near])) / 2, WINDOW_S),
        slope=float(fits[k][1][-1]) / float(fits[k][1][0]),
        statistic=(level - float(chi[k])) / scale,
    )


def explained(values: Floats, weight: Floats, columns: Floats) -> tuple[float, Floats]:
    """Return chi square and coefficients of a weighted fit of columns, shape ``(k, n)``."""
    coefficients, *_ = np.linalg.lstsq((columns * weight).T, values * weight, rcond=None)
    left = (values - coefficients @ columns) * weight
    return float(left @ left), np.asarray(coefficients, np.float64)


def mains(track: Track) -> Finding | None:
    """Tell hum of the mains by its fundamental's line in what is left over.

    The statistic is its power over that of its neighbours in the spectrum.
    """
    left, at_s = _slow(track)
    if not at_s.size or at_s[-1] - at_s[0] < SHORTEST_HUM_S:
        return None
    f, hz = max(_line(left, at_s, hz) for hz in HUM_HZ)
    if f < HUM_F:
        return None
    start, low, high, hz = _begins(left, at_s, hz)
    amplitude = 2 * abs(_at(left[start:], at_s[start:], hz))
    if amplitude < np.sqrt(2) * HUM_OF_NOISE * track.heard.noise_uv_rms:
        return None
    begins = at_s[start] > HUM_WINDOW_S
    return Finding(
        name="mains",
        start_s=float(at_s[start]) if begins else None,
        within_s=max(float(at_s[high] - at_s[low]) / 2, SLOW_S) if begins else 0.0,
        value=float(amplitude),
        unit=f"uV pk at {round(hz)} Hz",
        statistic=float(f),
        threshold=HUM_F,
    )


def _slow(track: Track) -> tuple[Floats, Floats]:
    """Return the means of what is left over in each millisecond that is followed, and when."""
    use = track.follows
    left, at_s = track.left_uv[use], track.times_s[use]
    number = np.floor(at_s / SLOW_S).astype(np.int64)
    edges = np.flatnonzero(np.diff(number, prepend=-1))
    if not edges.size:
        return left, at_s
    n = np.diff(np.append(edges, left.size))
    means = np.add.reduceat(left, edges) / n
    return means, np.asarray((number[edges] + 0.5) * SLOW_S, np.float64)


def _at(left: Floats, at_s: Floats, hz: float) -> complex:
    return complex(np.mean(left * np.exp(-2j * np.pi * hz * at_s)))


def _line(left: Floats, at_s: Floats, hz: float) -> tuple[float, float]:
    """Return the power of the line near a frequency over that of its neighbours, and where."""
    span_s = float(at_s[-1] - at_s[0])
    offs_hz = np.arange(-HUM_OFF_HZ, HUM_OFF_HZ + 1e-9, 0.25 / span_s)
    best = hz + float(offs_hz[np.argmax([abs(_at(left, at_s, hz + off)) for off in offs_hz])])
    fine_hz = best + np.linspace(-0.25, 0.25, FINE) / span_s
    powers = [abs(_at(left, at_s, f_hz)) ** 2 for f_hz in fine_hz]
    best = float(fine_hz[np.argmax(powers)])
    beside = np.arange(3, 3 + NEIGHBOURS // 2) / span_s
    sides = [abs(_at(left, at_s, best + s * off)) ** 2 for s in (-1, 1) for off in beside]
    return max(powers) / float(np.mean(sides)), best


def _begins(left: Floats, at_s: Floats, hz: float) -> tuple[int, int, int, float]:
    """Return from which sample on it hums, between which others that may be, and how fast."""
    start = low = high = 0
    for _ in range(3):
        _, hz = _line(left[start:], at_s[start:], hz)
        phase = np.asarray(2j * np.pi * hz * at_s, np.complex128)
        windows = np.floor(at_s / HUM_WINDOW_S).astype(np.int64)
        loud = _loudest(left, phase, windows)
        hum = 2 * np.real(loud * np.exp(phase))
        quiet = float(np.median(np.abs(left - hum))) / 0.6745
        variance = max(quiet, 1e-3) ** 2
        start, low, high = change(left**2 / variance, (left - hum) ** 2 / variance)
        start, low, high = (min(k, at_s.size - 2) for k in (start, low, high))
    return start, low, high, hz


def _loudest(left: Floats, phase: NDArray[np.complex128], windows: NDArray[np.int64]) -> complex:
    """Return the complex amplitude of the louder half of all windows."""
    edges = np.flatnonzero(np.diff(windows, prepend=-1))
    sums = np.add.reduceat(left * np.exp(-phase), edges)
    each = sums / np.diff(np.append(edges, left.size))
    loud = np.abs(each) >= 0.5 * np.max(np.abs(each))
    return complex(np.mean(each[loud]))
