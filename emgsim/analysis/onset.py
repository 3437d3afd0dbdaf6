"""When activity begins and ends: a likelihood of steps and ramps, and a simple threshold.

`onsets` whitens the signal by what it learnt at rest (Staude & Wolf 1999, Med Eng Phys 21:449),
finds stretches of larger variance by a generalised likelihood ratio, and places both ends of each
at the change time of maximum likelihood (Staude 2001, IEEE Trans Biomed Eng 48:1292). There it
weighs a step against ramps: a step alone is tens of milliseconds late where activity grows slowly.
Its second rule is the threshold of Hodges & Bui 1996, to compare with what others have measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from emgsim.analysis.change_times import BEFORE_S, EVIDENCE, Cells, evidence, rise_s
from emgsim.analysis.conditioning import bridged
from emgsim.analysis.quality import require_vector
from emgsim.errors import NotAnalysableError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Intervals = list[tuple[int, int]]
Rule = Literal["likelihood", "threshold"]

SHORTEST_REST_S = 1.0  # 20-450 Hz: the level of rest is then known to 5 %
ORDER = 10  # of the whitening filter
CELL_S = 0.0005  # samples are summed over cells: finer has no meaning for a muscle
STRIDE = 10  # cells in a step of the search for activity
FLOOR = 3e-5  # of the power at rest is taken as white: bands without signal decide nothing
HODGES_S, HODGES_SD = 0.025, 3.0  # Hodges & Bui 1996: 10-50 ms and 1-3 SD were compared


@dataclass(frozen=True, kw_only=True)
class Burst:
    """A stretch of activity, in seconds on the recording's clock.

    ``onset_95_s`` and ``offset_95_s`` hold 95 % of the likelihood of each change time; infinite on
    the side where the recording ends before the change is seen, NaN if the method tells nothing.
    """

    onset_s: float
    offset_s: float
    onset_95_s: tuple[float, float]
    offset_95_s: tuple[float, float]


def onsets(
    samples_uv: Floats,
    rate_hz: float,
    *,
    start_s: float = 0.0,
    rest_s: tuple[float, float] | None = None,
    least_gap_s: float = 0.05,
    least_burst_s: float = 0.05,
    rule: Rule = "likelihood",
) -> tuple[Burst, ...]:
    """Find when activity begins and ends.

    Parameters
    ----------
    samples_uv
        One channel, shape ``(n_samples,)``; NaN where samples are missing. The slope and the level
        of the baseline do not matter, the unit neither.
    rate_hz, start_s
        Sampling rate, and time of the first sample.
    rest_s
        Begin and end of a stretch known to be at rest, a second or more. Without it rest is what
        is like the quietest second.
    least_gap_s
        Bursts nearer than this are one. For single discharges in a needle recording 0.35 s.
    least_burst_s
        What is shorter, after the gaps are closed, is no burst.
    rule
        ``"likelihood"``, or ``"threshold"``: the simple rule of Hodges & Bui 1996 (EEG Clin
        Neurophysiol 101:511), whose bursts have no intervals (NaN).

    Returns
    -------
    tuple of Burst
        In order of time; empty if nothing differs from rest.

    Raises
    ------
    ValueError
        If the samples are no vector, or a number is out of its range.
    NotAnalysableError
        If there is no second of rest without gaps, or rest is flat.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> strength = np.where(np.abs(np.arange(6000) - 4000) < 500, 10.0, 1.0)
    >>> (burst,) = onsets(strength * rng.standard_normal(6000), 2000.0)
    >>> round(burst.onset_s, 2), round(burst.offset_s, 2)
    (1.75, 2.25)
    """
    if rule not in get_args(Rule):
        raise ValueError(f"rule must be one of {', '.join(get_args(Rule))}, got {rule!r}")
    present = _checked(samples_uv, rate_hz, least_gap_s, least_burst_s)
    signal_uv = bridged(samples_uv)
    rest = _rest(signal_uv, present, rate_hz, rest_s, start_s)
    limits_s = (least_gap_s, least_burst_s)
    if rule == "threshold":
        return _beyond_threshold(signal_uv, present, rest, rate_hz, start_s, limits_s)
    cells, backward = _whitened(signal_uv, present, rest, rate_hz)
    rough = _active(cells, *limits_s)
    again = _outside(rough, rest, present, cells.per_cell)
    cells, backward = _whitened(signal_uv, present, again, rate_hz)
    rough = _active(cells, *limits_s)
    return _placed(rough, cells, backward, start_s, start_s + (samples_uv.size - 1) / rate_hz)


def _beyond_threshold(
    signal_uv: Floats,
    present: Flags,
    rest: Flags,
    rate_hz: float,
    start_s: float,
    limits_s: tuple[float, float],
) -> tuple[Burst, ...]:
    """Return where the mean of the rectified signal over 25 ms exceeds that at rest by 3 SD.

    Two things of Hodges & Bui are modified: the SD is that of the same 25-ms means, and a burst
    begins and ends at the first and last single sample beyond the threshold, since a mean over
    25 ms spreads both ends.
    """
    size = np.abs(signal_uv - signal_uv[rest].mean()) * present
    smooth = ndimage.uniform_filter1d(size, max(1, round(HODGES_S * rate_hz)), mode="nearest")
    limit = float(smooth[rest].mean() + HODGES_SD * smooth[rest].std())
    kept = _joined(_runs(smooth > limit), *(limit_s * rate_hz for limit_s in limits_s))
    unknown = (float("nan"), float("nan"))
    return tuple(
        Burst(
            onset_s=start_s + (a + int(np.argmax(size[a:b] > limit))) / rate_hz,
            offset_s=start_s + (b - int(np.argmax(size[a:b][::-1] > limit))) / rate_hz,
            onset_95_s=unknown,
            offset_95_s=unknown,
        )
        for a, b in kept
    )


def _checked(samples_uv: Floats, rate_hz: float, *limits_s: float) -> Flags:
    """Return which samples are present."""
    require_vector(samples_uv, rate_hz)
    if not min(limits_s) >= 0:
        raise ValueError(f"least_gap_s and least_burst_s must be >= 0, got {limits_s}")
    present = np.isfinite(samples_uv)
    if not present.any():
        raise NotAnalysableError("not analysable: every sample is missing")
    _require_noise(samples_uv[present], "the channel is flat")
    return present


def _require_noise(samples_uv: Floats, otherwise: str) -> None:
    if np.ptp(samples_uv) == 0:
        raise NotAnalysableError(
            f"not analysable: {otherwise}, so any noise would be activity",
            todo="check the electrode, the cable and whether the amplifier is on",
        )


def _rest(
    signal_uv: Floats,
    present: Flags,
    rate_hz: float,
    rest_s: tuple[float, float] | None,
    start_s: float,
) -> Flags:
    """Mark the samples at rest: those of ``rest_s``, or the quietest second."""
    rest = np.zeros(present.size, dtype=np.bool_)
    least = round(SHORTEST_REST_S * rate_hz)
    if rest_s is not None:
        first, stop = (max(0, round((at_s - start_s) * rate_hz)) for at_s in rest_s)
        rest[first:stop] = present[first:stop]
    elif present.size > least:
        first, stop = _quietest(signal_uv, present, rate_hz)
        rest[first:stop] = True
    if np.count_nonzero(rest) < 0.99 * least:
        raise NotAnalysableError(
            f"not analysable: {np.count_nonzero(rest) / rate_hz:.3g} s of rest, at least "
            f"{SHORTEST_REST_S:g} s without gaps are needed",
            todo="record a second of rest before the effort",
        )
    _require_noise(signal_uv[rest], "rest is flat")
    return rest


def _quietest(signal_uv: Floats, present: Flags, rate_hz: float) -> tuple[int, int]:
    """Return begin and end of the quietest second without gaps; an empty stretch if none is.

    Seen through the filter of the whole recording, where its power is known best.
    """
    cells, _ = _whitened(signal_uv, present, present, rate_hz)
    n = round(SHORTEST_REST_S / cells.cell_s)
    whole = _sums(cells.counts, n) > (n - 0.5) * cells.per_cell
    if not whole.any():
        return 0, 0
    first = int(np.argmin(np.where(whole, _sums(cells.power, n), np.inf)))
    return first * cells.per_cell, (first + n) * cells.per_cell


def _sums(values: Floats, n: int) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(total[n:] - total[:-n])


def _outside(rough: Intervals, rest: Flags, present: Flags, per_cell: int) -> Flags:
    """Mark as rest all that is not near activity; the second first taken if that is less."""
    active = np.zeros(present.size, dtype=np.bool_)
    margin = round(BEFORE_S / CELL_S)
    for a, b in rough:
        active[max(0, a - margin) * per_cell : (b + margin) * per_cell] = True
    quiet = present & ~active
    return quiet if np.count_nonzero(quiet) > np.count_nonzero(rest) else rest


def _whitened(
    signal_uv: Floats, present: Flags, rest: Flags, rate_hz: float
) -> tuple[Cells, Cells]:
    """Return the power of what rest does not predict, from the past and from the future.

    The filter smears a change over the ``ORDER`` samples behind it: an onset is seen sharply from
    the past and an offset from the future.
    """
    centred = signal_uv - signal_uv[rest].mean()
    known = _whole_history(rest)
    lagged = np.stack([centred[ORDER - k : centred.size - k][known] for k in range(ORDER + 1)])
    second = lagged @ lagged.T / lagged.shape[1]
    per_cell = max(1, int(CELL_S * rate_hz + 1e-9))
    forward = _cells(centred, present, second, per_cell, rate_hz)
    backward = _cells(centred[::-1], present[::-1], second[::-1, ::-1], per_cell, rate_hz)
    return forward, backward


def _whole_history(flags: Flags) -> Flags:
    """Return, from sample ``ORDER`` on, whether it and the ``ORDER`` before are set."""
    return np.asarray(_sums(flags.astype(np.float64), ORDER + 1) > ORDER + 0.5)


def _cells(centred: Floats, present: Flags, second: Floats, per_cell: int, rate_hz: float) -> Cells:
    """Return the power that the past does not predict, given the second moments at rest."""
    history = second[1:, 1:] + FLOOR * second[0, 0] * np.eye(ORDER)
    taps = np.concatenate([[1.0], -np.linalg.solve(history, second[1:, 0])])
    unit = float(taps @ second @ taps)
    usable = np.zeros(present.size, dtype=np.bool_)
    usable[ORDER:] = _whole_history(present)
    power = np.where(usable, signal.lfilter(taps, [1.0], centred) ** 2 / unit, 0.0)
    n = power.size // per_cell
    pieces = (values[: n * per_cell].reshape(n, per_cell) for values in (power, usable))
    sums = [piece.sum(axis=1, dtype=np.float64) for piece in pieces]
    return Cells(power=sums[0], counts=sums[1], rate_hz=rate_hz, per_cell=per_cell)


def _active(cells: Cells, least_gap_s: float, least_burst_s: float) -> Intervals:
    """Return the cells between which activity is likely.

    The path of the two states, rest and activity, of greatest likelihood if each change costs
    ``EVIDENCE``: cumulative sums that begin anew at their lowest point, one for each change.
    """
    n = cells.counts.size // STRIDE
    gain = evidence(cells)
    changes, sign, total, lowest = [], 1.0, 0.0, 0
    for k, step in enumerate(gain[: n * STRIDE].reshape(n, STRIDE).sum(axis=1).tolist()):
        total += sign * step
        if total < 0:
            total, lowest = 0.0, k + 1
        elif total > EVIDENCE:
            changes.append(lowest * STRIDE)
            sign, total, lowest = -sign, 0.0, k + 1
    if sign < 0:
        changes.append(cells.counts.size)
    pairs = list(zip(changes[::2], changes[1::2], strict=True))
    return _joined(pairs, least_gap_s / cells.cell_s, least_burst_s / cells.cell_s)


def _joined(pairs: Intervals, least_gap: float, least_burst: float) -> Intervals:
    """Close the short gaps, then drop what is short."""
    joined: Intervals = []
    for a, b in pairs:
        if joined and a - joined[-1][1] < least_gap:
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    return [(a, b) for a, b in joined if b - a >= least_burst]


def _runs(flags: Flags) -> Intervals:
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _placed(
    rough: Intervals, forward: Cells, backward: Cells, start_s: float, stop_s: float
) -> tuple[Burst, ...]:
    """Place both ends of each rough interval; an offset is an onset in reversed time."""
    n = forward.counts.size
    stops = [0, *(b for _, b in rough)]
    starts = [*(a for a, _ in rough), n]
    bursts = []
    for k, (a, b) in enumerate(rough):
        first = (stops[k] + a) // 2 if k else 0
        last = (b + starts[k + 1]) // 2 if k + 1 < len(rough) else n
        on_s = rise_s(forward, a, first, b)
        begun = min(int(on_s[1] / forward.cell_s) + 1, b - 1)
        onset_s, offset_s = start_s + on_s, stop_s - rise_s(backward, n - b, n - last, n - begun)
        bursts.append(
            Burst(
                onset_s=float(onset_s[1]),
                offset_s=float(offset_s[1]),
                onset_95_s=(float(onset_s[0]), float(onset_s[2])),
                offset_95_s=(float(offset_s[2]), float(offset_s[0])),
            )
        )
    return tuple(bursts)
