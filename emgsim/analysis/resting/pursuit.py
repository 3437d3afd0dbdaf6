"""Which source discharged when: the best explanation first, its part taken away, and again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft, ndimage

from emgsim.analysis.conditioning import Flags, Floats
from emgsim.analysis.detection import TAPS, interpolator, peak_offset
from emgsim.analysis.learning import Unit
from emgsim.analysis.resting.families import correlations

ROUNDS = 12
AT_ONCE = 16
CLEAR = 6.5  # nats for a discharge, against some five a second at 2000 places that could be one
GAINS = (0.55, 1.8)  # of a discharge over its template
TOO_LARGE = 2.6  # times a template: it is another source's, of which this explains a piece
REFRACTORY_S = 2.4e-3  # no fibre or axon discharges again sooner (3 ms)
LEFT_S, MUCH_SMALLER = (
    0.008,
    0.15,
)  # beside a discharge nothing is looked for that is so much smaller
GAIN_SD = (0.15, 0.5)  # around one: of weak templates, of clear ones
CLEAR_NORM = 10.0


def pursue(
    samples: Floats,
    usable: Flags,
    units: tuple[Unit, ...],
    before: int,
    rate_hz: float,
) -> tuple[Unit, ...]:
    """Explain a white signal by discharges of known units.

    Parameters
    ----------
    samples
        White, floor of density one, shape ``(n,)``.
    usable
        Where discharges are allowed.
    units
        Their templates; positions and amplitudes are found anew.
    before
        Column of a discharge in the templates.
    rate_hz
        Of the samples.
    """
    templates = np.array([unit.template for unit in units])
    energy = np.maximum(np.sum(templates**2, axis=1), 1e-9)
    courses = _courses(templates)
    rows = correlations(samples, templates, before)
    reach = _reaches(templates, before)
    rest, left = round(REFRACTORY_S * rate_hz), round(LEFT_S * rate_hz)
    free = np.array(
        [usable & ~_too_large(row, e, rest) for row, e in zip(rows, energy, strict=True)]
    )
    found: list[list[Floats]] = [[] for _ in units]
    for _ in range(ROUNDS):
        best, which = _likelihood(rows, energy, free)
        at = _tops(best, which, reach)
        if at.size == 0:
            break
        for k in range(len(units)):
            own = at[which[at] == k]
            if own.size == 0:
                continue
            events = _placed(rows[k], own, energy[k])
            found[k].append(events)
            smaller = np.flatnonzero(energy < MUCH_SMALLER**2 * energy[k])
            for place in own.tolist():
                free[k, max(place - rest, 0) : place + rest + 1] = False
                free[smaller, max(place - left, 0) : place + left + 1] = False
            _take_away(rows, courses[k], events)
    return tuple(_with(unit, events) for unit, events in zip(units, found, strict=True))


def _too_large(row: Floats, energy: float, rest: int) -> Flags:
    """Return where something is much larger than a unit, and around it."""
    return _around(np.flatnonzero(row > TOO_LARGE * energy), rest, row.size)


def _around(at: np.ndarray, rest: int, n: int) -> Flags:
    """Return flags of all samples within the refractory time of some places."""
    flags = np.zeros(n + 2 * rest + 1, dtype=np.int64)
    np.add.at(flags, at, 1)
    np.add.at(flags, at + 2 * rest + 1, -1)
    return np.asarray(np.cumsum(flags)[rest : rest + n] > 0)


def _likelihood(rows: Floats, energy: Floats, free: Flags) -> tuple[Floats, np.ndarray]:
    """Return the log likelihood of the best unit at every sample, and which it is.

    It is zero where it is below `CLEAR`: no gain makes it more than that of the likeliest one,
    ``row ** 2 / 2 energy``.
    """
    best, which = np.zeros(rows.shape[1]), np.zeros(rows.shape[1], dtype=np.int64)
    for k, row in enumerate(rows):
        high = np.flatnonzero((row > np.sqrt(2 * CLEAR * energy[k])) & free[k])
        gain, pull = _gains(row[high], energy[k])
        likelihood = gain * (row[high] - 0.5 * gain * energy[k]) - 0.5 * pull * (gain - 1) ** 2
        better = likelihood > np.maximum(best[high], CLEAR)
        best[high[better]] = likelihood[better]
        which[high[better]] = k
    return best, which


def _gains(row: Floats, energy: float) -> tuple[Floats, float]:
    """Return the likeliest factor on a template, drawn to one, and how much it is drawn."""
    pull = GAIN_SD[int(np.sqrt(energy) > CLEAR_NORM)] ** -2
    return np.clip((row + pull) / (energy + pull), *GAINS), pull


def _reaches(templates: Floats, before: int) -> np.ndarray:
    """Return how far the loud part of each template reaches from its discharge, in samples."""
    out = []
    for shape in templates:
        loud = np.flatnonzero(np.abs(shape) > 0.1 * np.abs(shape).max(initial=0.0))
        out.append(int(np.abs(loud - before).max()) + 1 if loud.size else 1)
    return np.array(out)


def _tops(best: Floats, which: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Return where the likelihood tops everything within the reach of its template."""
    top = ndimage.maximum_filter1d(best, 41, mode="constant")
    at = np.flatnonzero((best >= CLEAR) & (best == top))
    kept: list[int] = []
    taken = np.zeros(best.size, dtype=bool)
    for place in at[np.argsort(-best[at], kind="stable")].tolist():
        far = int(reach[which[place]])
        if not taken[place]:
            kept.append(place)
        taken[max(0, place - far) : place + far + 1] = True
    return np.sort(np.array(kept, dtype=np.int64))


def _placed(row: Floats, at: np.ndarray, energy: float) -> Floats:
    """Return positions and gains of discharges, shape ``(n, 2)``."""
    inside = np.clip(at, 1, row.size - 2)
    trio = [row[inside + step] for step in (-1, 0, 1)]
    vertex = peak_offset(*trio)
    height = trio[1] - 0.25 * (trio[0] - trio[2]) * vertex
    return np.column_stack([inside + vertex, _gains(height, energy)[0]])


@dataclass(frozen=True)
class _Courses:
    """What a discharge of one unit adds to the correlations of all units.

    ``shifted`` is ``(2 TAPS, n_units * n)``: moved by whole samples, for the interpolator. The
    first column of each unit's ``n`` lies ``first`` samples after the discharge.
    """

    first: int
    n: int
    shifted: Floats


def _courses(templates: Floats) -> list[_Courses]:
    """Return what each unit adds to all; templates are zero where they are quiet."""
    length = templates.shape[1]
    n = fft.next_fast_len(2 * length, real=True)
    spectra = fft.rfft(templates, n)
    loud = [np.flatnonzero(row) for row in templates]
    spans = [(int(at[0]), int(at[-1])) if at.size else (0, 0) for at in loud]
    earliest, latest = min(a for a, _ in spans), max(b for _, b in spans)
    out = []
    for spectrum, (a, b) in zip(spectra, spans, strict=True):
        lags = np.arange(a - latest, b - earliest + 1)
        cross = fft.irfft(spectrum * np.conj(spectra), n)[:, lags]
        padded = np.pad(cross, ((0, 0), (2 * TAPS, 2 * TAPS)))
        wide = sliding_window_view(padded, lags.size + 2 * TAPS, axis=1)
        shifted = wide[:, 2 * TAPS - 1 :: -1].transpose(1, 0, 2).reshape(2 * TAPS, -1)
        n_each = lags.size + 2 * TAPS
        out.append(_Courses(first=int(lags[0]) - TAPS, n=n_each, shifted=shifted))
    return out


def _take_away(rows: Floats, courses: _Courses, events: Floats) -> None:
    """Take discharges of one unit out of the correlations of all units, in place."""
    whole = np.floor(events[:, 0]).astype(np.int64)
    weights = events[:, 1:] * interpolator(events[:, 0] - whole)
    starts = whole + courses.first
    for k in range(0, starts.size, AT_ONCE):  # few enough for the processor's cache
        some = (weights[k : k + AT_ONCE] @ courses.shifted).reshape(-1, rows.shape[0], courses.n)
        for start, waves in zip(starts[k : k + AT_ONCE].tolist(), some, strict=True):
            a, b = max(start, 0), min(start + courses.n, rows.shape[1])
            if b > a:
                rows[:, a:b] -= waves[:, a - start : b - start]


def _with(unit: Unit, events: list[Floats]) -> Unit:
    if not events:
        return replace(unit, positions=np.zeros(0), amplitudes=np.zeros(0))
    all_events = np.concatenate(events)
    all_events = all_events[np.argsort(all_events[:, 0], kind="stable")]
    return replace(unit, positions=all_events[:, 0], amplitudes=all_events[:, 1])
