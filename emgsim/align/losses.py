"""Samples that a recorder lost without saying so: how many, and where.

How many is told by the marks on either side, to the sample. Where is told by the waveform between
them: the sample at which its time before the loss gives way to its time after it. In silence
nothing tells where, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.align.fitting import Alignment, Shaped, refine, stepped
from emgsim.align.marks import MAD_SD, Line, Span, line_through
from emgsim.align.waveform import Waveform

Floats = NDArray[np.float64]

MARK_STEPS = 3  # of Gauss-Newton on the marks alone
UNSURE = 12.0  # twice the log likelihood ratio: the truth lies beyond it once in 200 times


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Samples that are missing from a recording."""

    at: int  # the first sample behind them, as the recorder sent them
    n_samples: int
    first: int  # between which others that lies, to three standard deviations
    last: int


@dataclass(frozen=True, kw_only=True)
class Synchrony:
    """A recording on the player's clock.

    ``alignment`` counts the lost samples too: it belongs to the samples that `with_gaps` returns.
    """

    alignment: Alignment
    losses: tuple[Loss, ...]
    line: Line


def synchronise(
    samples: Floats, rate_hz: float, waveform: Waveform, spans: Sequence[Span]
) -> Synchrony:
    """Place a recording by many marks, find what it lost, and fit its clock to the whole waveform.

    Parameters
    ----------
    samples
        Shape ``(n,)``; NaN where samples were lost and counted.
    rate_hz
        The recorder's nominal rate.
    waveform
        What the recorder should have seen, on the player's clock.
    spans
        Begin and end of the marks on the player's clock, seconds, in order: markers, and stretches
        of the signal itself. Losses are told apart from drift where there are several on either
        side.

    Raises
    ------
    NotAnalysableError
        If fewer than two of the marks are in the recording.
    """
    samples = samples - np.nanmedian(samples)  # what a device adds of its own is no signal
    line = line_through(samples, rate_hz, waveform, spans)
    losses = _placed(samples, rate_hz, waveform, line, line.offset_s, line.drift)
    marks_only = _within(with_gaps(samples, losses), rate_hz, line)
    start = np.array([0.0, line.offset_s, line.drift])
    (_, offset_s, drift), _ = stepped(marks_only, rate_hz, Shaped(waveform), start, MARK_STEPS)
    losses = _placed(samples, rate_hz, waveform, line, offset_s, drift)
    found = refine(with_gaps(samples, losses), rate_hz, waveform, offset_s, drift)
    return Synchrony(alignment=found, losses=losses, line=line)


def with_gaps(samples: Floats, losses: Sequence[Loss]) -> Floats:
    """Return samples with NaN for those that were lost, and for those that may lie on either side.

    Parameters
    ----------
    samples
        Shape ``(n,)``, as the recorder sent them.
    losses
        In order.
    """
    pieces, begin = [], 0
    for loss in losses:
        pieces += [samples[begin : loss.first]]
        pieces += [np.full(loss.n_samples + loss.last - loss.first, np.nan)]
        begin = loss.last
    return np.concatenate([*pieces, samples[begin:]])


def _within(samples: Floats, rate_hz: float, line: Line) -> Floats:
    """Return the samples of the marks alone, NaN elsewhere."""
    kept = np.full(samples.size, np.nan)
    for mark in line.marks:
        first, last = (
            round((at_s - line.offset_s) * rate_hz / (1 + line.drift))
            for at_s in (mark.start_s, mark.stop_s)
        )
        kept[max(0, first) : max(0, last)] = samples[max(0, first) : max(0, last)]
    return kept


def _placed(
    samples: Floats,
    rate_hz: float,
    waveform: Waveform,
    line: Line,
    offset_s: float,
    drift: float,
) -> tuple[Loss, ...]:
    """Return where samples were lost, for a clock that counts them."""
    found, before = [], 0
    period_s = (1 + drift) / rate_hz
    for mark, after, n_lost in zip(line.marks[:-1], line.marks[1:], line.lost, strict=True):
        if not n_lost:
            continue
        low = max(0, round(mark.at + 0.5 * (mark.stop_s - mark.start_s) * rate_hz))
        high = min(samples.size, round(after.at + 0.5 * (after.stop_s - after.start_s) * rate_hz))
        times_s = np.asarray(offset_s + (np.arange(low, high) + before) * period_s)
        early, late = (waveform.at(times_s + n * period_s)[0] for n in (0, n_lost))
        at, first, last = _change(samples[low:high], early, late)
        found.append(Loss(at=low + at, n_samples=n_lost, first=low + first, last=low + last))
        before += n_lost
    return tuple(found)


def _change(uv: Floats, early: Floats, late: Floats) -> tuple[int, int, int]:
    """Return at which sample one expectation gives way to another, and between which it may be."""
    known = np.isfinite(uv)
    x, a, b = (np.where(known, values, 0.0) for values in (uv, early, late))
    gain = 1.0
    at = uv.size // 2
    for _ in range(3):
        expected = np.where(np.arange(uv.size) < at, a, b)
        energy = float(expected @ expected)
        gain = float(x @ expected) / energy if energy else 1.0
        cost = np.concatenate([[0.0], np.cumsum((x - gain * a) ** 2 - (x - gain * b) ** 2)])
        at = int(np.argmin(cost))
    left = x - gain * np.where(np.arange(uv.size) < at, a, b)
    noise = MAD_SD * float(np.median(np.abs(left[known]))) if known.any() else 0.0
    near = np.flatnonzero(cost <= cost[at] + UNSURE * max(noise**2, 1e-18))
    return at, int(near[0]), int(near[-1])
