"""Stretches of a known waveform found again in a recording, and the straight line through them.

Where samples were lost the line has steps of whole samples. A stretch that was not found, or lies
off the line, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.align.waveform import Waveform
from emgsim.errors import NotAnalysableError

Floats = NDArray[np.float64]
Span = tuple[float, float]

SLOWEST_CLOCK = 1e-3  # relative; a recorder's clock is closer than that to its nominal rate
SLACK = 2.0  # samples by which a place may be off beside that
MORE = 4  # places that are looked at for each stretch, beside one for each that there is
LEAST = 25.0  # twice the log likelihood ratio to noise: 6e-7 by chance in one sample
TINY = 1e-12
SHARE = 0.35  # of the gain squared that the other stretches have
FINE = 16  # to how fine a part of a sample a place is read
NEAR = 32  # samples on each side of a place that its reading rests on
SHARPENINGS = 2  # Gauss-Newton steps for each stretch
ROUGH = 0.1  # samples; how far off a place may be before the clock is known
SURE = 0.005  # samples; no place is trusted better than that
LOSS_COST = 20.0  # in squared deviations: what it takes to believe in a loss
WORST = 16.0  # squared deviations that a place can cost
MAD_SD = 1.4826  # standard deviations in a median absolute deviation
N_MAD = 3.0  # beyond it a stretch is left out


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A stretch of the waveform as it was found in a recording."""

    start_s: float  # on the player's clock
    stop_s: float
    at: float  # the sample at which it begins, with its fraction
    sd: float  # of that, samples


@dataclass(frozen=True, kw_only=True)
class Line:
    """The recorder's clock through its marks.

    The mark m begins at sample ``(marks[m].start_s - offset_s) rate (1 - drift)`` less all samples
    that were lost before it: ``lost[m]`` between the marks m and m + 1.
    """

    marks: tuple[Mark, ...]
    lost: tuple[int, ...]
    offset_s: float
    drift: float


def line_through(
    samples: Floats, rate_hz: float, waveform: Waveform, spans: Sequence[Span]
) -> Line:
    """Find stretches of a waveform in a recording, and the clock that their places tell.

    Parameters
    ----------
    samples
        Shape ``(n,)``; NaN where samples are known to be lost, and were counted.
    rate_hz
        The recorder's nominal rate.
    waveform
        What the recorder should have seen, on the player's clock.
    spans
        Begin and end of each stretch in seconds on the player's clock, in order.

    Raises
    ------
    NotAnalysableError
        If fewer than two of them are in the recording.
    """
    places = _candidates(samples, rate_hz, waveform, spans)
    chains = [_chained([c for c in places if c.gain * sign > 0], rate_hz) for sign in (1, -1)]
    _, found = max(chains, key=lambda chain: chain[0])
    line = _line(found, rate_hz, len(spans))
    sharp = [_sharpened(mark, samples, rate_hz, waveform, line.drift) for mark in found]
    return _line(sharp, rate_hz, len(spans))


def _line(found: list[Mark], rate_hz: float, n_spans: int) -> Line:
    """Return the line through marks that can follow each other."""
    odd: int | None = 0
    while odd is not None:
        if len(found) < 2:
            raise NotAnalysableError(
                f"{len(found)} of {n_spans} markers found in the recording, needed 2",
                todo="check that the source was played and that the device is wired to the fixture",
            )
        lost, odd = _steps(found, rate_hz)
        found = [mark for k, mark in enumerate(found) if k != odd]
    return _robust(found, lost, rate_hz)


def _sharpened(
    mark: Mark, samples: Floats, rate_hz: float, waveform: Waveform, drift: float
) -> Mark:
    """Return a mark whose place is fitted to its samples, for a clock that is nearly known."""
    first = max(0, round(mark.at))
    here = samples[first : first + int((mark.stop_s - mark.start_s) * rate_hz)]
    k, at, sd = first + np.flatnonzero(np.isfinite(here)), mark.at, mark.sd
    for _ in range(SHARPENINGS):
        value, slope = waveform.at(np.asarray(mark.start_s + (k - at) * (1 + drift) / rate_hz))
        columns = np.stack([value, -slope / rate_hz])
        inverse = np.linalg.pinv(columns @ columns.T)
        gain, by = inverse @ (columns @ samples[k])
        if not gain or abs(by / gain) > 1:
            return mark
        at += by / gain
        left = samples[k] - gain * value - by * columns[1]
        sd = float(np.sqrt(np.mean(left**2) * inverse[1, 1])) / abs(gain)
    return replace(mark, at=float(at), sd=max(SURE, sd))


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    mark: Mark
    gain: float
    likeness: float  # twice the log of its ratio to that of noise, whatever the noise


def _candidates(
    samples: Floats, rate_hz: float, waveform: Waveform, spans: Sequence[Span]
) -> list[_Candidate]:
    """Return where the stretches may lie, in the order of the stretches."""
    known = np.nan_to_num(samples - np.nanmedian(samples), nan=0.0)
    energies = np.concatenate([[0.0], np.cumsum(known**2)])
    found = [_places(known, energies, rate_hz, waveform, span, len(spans) + MORE) for span in spans]
    best = [max(c.gain**2 for c in places) for places in found if places]
    least = SHARE * float(np.quantile(best, 0.75)) if best else 0.0
    return [c for places in found for c in places if c.gain**2 > least]


def _places(
    samples: Floats, energies: Floats, rate_hz: float, waveform: Waveform, span: Span, most: int
) -> list[_Candidate]:
    """Return the places at which a stretch is most likely; ``energies`` are sums from sample 0."""
    n = int((span[1] - span[0]) * rate_hz)
    shape, slope = waveform.at(span[0] + np.arange(n) / rate_hz)
    energy, steepness = float(shape @ shape), float(np.linalg.norm(slope)) / rate_hz
    if energy == 0 or n > samples.size:
        return []
    alike = signal.oaconvolve(samples, shape[::-1], mode="valid")
    here = np.maximum(energies[n:] - energies[:-n], TINY * energies[-1] + TINY)
    likeness = -n * np.log(np.maximum(1 - alike**2 / (energy * here), TINY))
    padded = np.concatenate([[0.0], likeness, [0.0]])  # the first and the last are places too
    peaks = signal.find_peaks(padded, height=LEAST, distance=max(1, n // 2))[0] - 1
    found = []
    for at in peaks[np.argsort(-likeness[peaks])[:most]].tolist():
        off, height = _extreme(alike, at)
        left = max(1 - height**2 / (energy * float(here[at])), TINY)
        noise, gain = np.sqrt(left * here[at] / n), height / energy
        mark = Mark(
            start_s=span[0],
            stop_s=span[1],
            at=at + off,
            sd=max(ROUGH, float(noise) / (abs(gain) * steepness)),
        )
        found.append(_Candidate(mark=mark, gain=gain, likeness=-n * float(np.log(left))))
    return found


def _extreme(alike: Floats, best: int) -> tuple[float, float]:
    """Return where the extreme of a band-limited sequence lies beside its sample, and its value."""
    first = max(0, best - NEAR)
    near = alike[first : best + NEAR + 1]
    fine = signal.resample(near * signal.windows.hann(near.size, sym=True), near.size * FINE)
    height = np.sign(alike[best]) * fine
    middle = (best - first) * FINE
    low = max(1, middle - FINE)
    top = low + int(np.argmax(height[low : middle + FINE]))
    off = (top - middle) / FINE
    if not 0 < top < height.size - 1 or height[top] < abs(alike[best]) or abs(off) > 1:
        return 0.0, float(alike[best])
    return off, float(fine[top])


def _chained(places: list[_Candidate], rate_hz: float) -> tuple[float, list[Mark]]:
    """Return the likeliest places that can follow each other, samples being lost but never won.

    A stretch may be missing; every loss has its cost (the Viterbi algorithm).
    """
    if not places:
        return 0.0, []
    start_s = np.array([c.mark.start_s for c in places])
    at = np.array([c.mark.at for c in places])
    total = np.array([c.likeness for c in places])
    length = np.array([c.mark.stop_s - c.mark.start_s for c in places]) * rate_hz
    length -= SLOWEST_CLOCK * length + SLACK  # the same samples are not two stretches
    before = np.full(at.size, -1)
    for k in range(1, at.size):
        due = (start_s[k] - start_s[:k]) * rate_hz
        missing = due - (at[k] - at[:k])
        slack = SLOWEST_CLOCK * due + SLACK
        fits = (at[k] - at[:k] >= length[:k]) & (missing >= -slack)
        sums = np.where(fits, total[:k] - LOSS_COST * (missing > slack), 0.0)
        best = int(np.argmax(sums))
        if sums[best] > 0:
            total[k], before[k] = total[k] + sums[best], best
    chain, k = [], int(np.argmax(total))
    while k >= 0:
        chain.append(places[k].mark)
        k = int(before[k])
    return float(total.max()), chain[::-1]


def _steps(found: list[Mark], rate_hz: float) -> tuple[list[int], int | None]:
    """Return the whole samples lost between marks, and which mark is impossible if any is.

    Of all clocks that two marks tell, the one is taken that needs the fewest losses and leaves the
    marks nearest to whole samples.
    """
    start_s, at = np.array([m.start_s for m in found]), np.array([m.at for m in found])
    due = np.diff(start_s) * rate_hz
    missing = due - np.diff(at) - _clocks(start_s, at, rate_hz)[:, None] * due
    lost = np.unique(np.round(missing), axis=0)
    counted = at + np.concatenate([np.zeros((lost.shape[0], 1)), np.cumsum(lost, axis=1)], axis=1)
    off = np.minimum(_off_line(start_s, counted, np.array([m.sd for m in found])), WORST)
    cost = off.sum(axis=1) + LOSS_COST * ((lost > 0).sum(axis=1) + 2 * (lost < 0).sum(axis=1))
    steps = [int(x) for x in lost[np.argmin(cost)]]
    odd = next((k for k, n in enumerate(steps) if n < 0), None)
    if odd is None:
        return steps, None
    # A mark that comes too early for the one before it, or that one came too late.
    return steps, odd if odd > 0 and steps[odd - 1] > 0 else odd + 1


def _off_line(start_s: Floats, counted: Floats, sd: Floats) -> Floats:
    """Return the squared deviations of places, shape ``(n_cases, n_marks)``, from their line."""
    columns = np.stack([1 / sd, start_s / sd])
    places = counted / sd
    fitted = np.linalg.solve(columns @ columns.T, columns @ places.T).T @ columns
    return np.asarray((places - fitted) ** 2)


def _clocks(start_s: Floats, at: Floats, rate_hz: float) -> Floats:
    """Return the relative differences of rate that pairs of marks tell, with 0."""
    i, j = np.triu_indices(at.size, 1)
    drift = 1 - (at[j] - at[i]) / ((start_s[j] - start_s[i]) * rate_hz)
    return np.append(drift[np.abs(drift) <= SLOWEST_CLOCK], 0.0)


def _robust(marks: list[Mark], lost: list[int], rate_hz: float) -> Line:
    """Fit the line, leaving out what lies further off than three median absolute deviations."""
    start_s = np.array([m.start_s for m in marks])
    at = np.array([m.at for m in marks]) + np.cumsum([0, *lost])
    sd = np.array([m.sd for m in marks])
    kept = np.ones(at.size, np.bool_)
    for _ in range(at.size):
        slope, first = np.polyfit(start_s[kept], at[kept], 1, w=1 / sd[kept])
        off = np.abs(at - first - slope * start_s) / sd
        mad = MAD_SD * float(np.median(off[kept]))
        still = off <= N_MAD * max(mad, 1.0)
        if still.sum() < 2 or np.array_equal(still, kept):
            break
        kept = still
    drift = rate_hz / slope - 1
    # A place that alone tells two losses apart still tells them: to the sample, that is enough.
    steps = np.array([0, *lost, 0]) > 0
    apart = steps[1:] & steps[:-1] & (off * sd < 0.5)
    which = np.flatnonzero(kept | apart)
    between = [int(sum(lost[a:b])) for a, b in pairwise(which.tolist())]
    return Line(
        marks=tuple(marks[k] for k in which),
        lost=tuple(between),
        offset_s=float(-first / slope),
        drift=float(drift),
    )
