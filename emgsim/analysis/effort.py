"""Rest, contraction and artefact: when the muscle is quiet, when it works, and what is neither.

Three questions, in this order. Does the baseline swing below 20 Hz, where a muscle does not, or do
samples stand still at the end of the range? That is an artefact. When does the remaining signal
leave the level of rest? The onset detector says it. Is that an effort, or do single fibres or units
discharge by themselves? In an effort a hundred distant units fill the gaps between the potentials
that stand out; spontaneous activity leaves them as quiet as rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from emgsim.analysis.conditioning import autocorrelation, bridged
from emgsim.analysis.disturbances import blocks, disturbances
from emgsim.analysis.onset import onsets
from emgsim.analysis.quality import require_vector
from emgsim.errors import NotAnalysableError
from emgsim.recording import Event

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Spans = list[tuple[float, float]]

# All were set on seeds that benchmarks/effort.py does not report.
LEVEL_S = 0.02  # of a baseline
MUSCLE_HZ = (150.0, 1_200.0)  # distant units are blunt, noise is white
EDGE_S = 0.2  # an exact edge must be so near to a rough one
WORK_HZ = 12_000.0  # at most, of the search for onsets
BRIDGED_S = 0.35  # a silence this short between two discharges of one unit is no rest
SHORTEST_S = 0.3  # of a contraction
PIECE_S = 0.005  # shorter than the gaps between potentials, as long as a spike
FLOOR_S = 0.5  # the quietest so long is rest
FILLED = 1.75  # a piece is filled beyond this multiple of rest
NATS = (0.95, -0.75)  # a filled and an empty piece: 65 % are filled in an effort, 25 % else
EVIDENCE = 20.0  # nats to change between rest and effort: a tenth of a second, all filled
LOUD_UV = 8.0  # a resting needle hears 2-5 uV rms [M]: beyond it all is an effort
QUIETEST_UV = 1.0  # rms in this band: no electrode is quieter, only a signal without its noise is
FEWEST = 3  # intervals that make a rhythm
WINDOW_S, REPEAT_S = 0.25, (0.008, 0.045)  # no unit of a slight effort fires so fast
GAP_CENTILE, GAP_SHARE = 10.0, 0.8  # of the pieces of rest, and over their median
GAPS = 3.0  # of the pieces, over rest: beyond it an effort fills the gaps
REPEATED = 0.45  # correlation of the rectified signal with itself so much later
VOLUNTARY_S, VOLUNTARY_COV = (0.03, 0.25), (0.08, 0.4)  # mean and scatter of a unit's intervals


def segments(
    samples_uv: Floats,
    rate_hz: float,
    *,
    start_s: float = 0.0,
    trains_s: Sequence[Floats] = (),
) -> tuple[Event, ...]:
    """Tell rest, contraction and artefact apart.

    Parameters
    ----------
    samples_uv
        One channel of an unfiltered needle recording, shape ``(n_samples,)``; NaN where samples are
        missing.
    rate_hz, start_s
        Sampling rate, and time of the first sample.
    trains_s
        Discharge times of the units that were found. Without the murmur of distant ones, a unit's
        own irregular rhythm tells an effort.

    Returns
    -------
    tuple of Event
        ``kind`` is ``"rest"``, ``"contraction"`` or ``"artefact"``; each begins where the one
        before ends, from the first sample to the last. Spontaneous activity is part of rest.

    Raises
    ------
    ValueError
        If the samples are no vector, hold no number, or the rate is not positive.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> loud = np.where(np.abs(np.arange(80_000) - 40_000) < 20_000, 30.0, 1.0)
    >>> found = segments(loud * rng.standard_normal(80_000), 20_000.0)
    >>> [(event.kind, round(event.onset_s, 2)) for event in found]
    [('rest', 0.0), ('contraction', 1.0), ('rest', 3.0)]
    """
    require_vector(samples_uv, rate_hz)
    if not np.isfinite(samples_uv).any():
        raise ValueError("samples_uv must hold a number, got none")
    whole = _filled(samples_uv, rate_hz)
    muscle = _band(whole, rate_hz)
    odd = disturbances(whole, muscle, rate_hz)
    own = [train - start_s for train in trains_s]
    working = _contractions(np.where(np.isfinite(samples_uv), muscle, np.nan), rate_hz, odd, own)
    return _events(working, odd, samples_uv.size / rate_hz, start_s)


def _filled(samples_uv: Floats, rate_hz: float) -> Floats:
    """Return the samples with the level of the baseline where they are missing.

    A line from the last sample to the next would swing: either may be on top of a potential.
    """
    missing = ~np.isfinite(samples_uv)
    if not missing.any():
        return samples_uv
    length = max(1, round(LEVEL_S * rate_hz))
    pieces = blocks(samples_uv, length)
    whole = np.flatnonzero(np.isfinite(pieces).all(axis=1))
    if whole.size == 0:
        return bridged(samples_uv)
    level = np.median(pieces[whole], axis=1)
    known_at = (whole + 0.5) * length
    return np.where(missing, np.interp(np.arange(samples_uv.size), known_at, level), samples_uv)


def _band(samples_uv: Floats, rate_hz: float) -> Floats:
    """Return what muscles sound like."""
    high_hz = min(MUSCLE_HZ[1], 0.45 * rate_hz)
    sos = signal.butter(2, (MUSCLE_HZ[0], high_hz), "bandpass", fs=rate_hz, output="sos")
    return np.asarray(signal.sosfiltfilt(sos, samples_uv))


# -- contractions ----------------------------------------------------------------------------------


def _contractions(
    muscle_uv: Floats, rate_hz: float, odd: Spans, trains_s: Sequence[Floats]
) -> Spans:
    """Return when the muscle works, in seconds after the first sample."""
    clean = muscle_uv.copy()
    for begin_s, stop_s in odd:
        clean[int(begin_s * rate_hz) : int(np.ceil(stop_s * rate_hz))] = np.nan
    length = max(1, round(PIECE_S * rate_hz))
    levels = np.sqrt(blocks(clean**2, length).mean(axis=1))
    piece_s, duration_s = length / rate_hz, muscle_uv.size / rate_hz
    at_rest = max(_resting(levels, round(FLOOR_S / piece_s)), QUIETEST_UV)
    if at_rest > LOUD_UV or (np.isfinite(levels).any() and not np.isfinite(at_rest)):
        return [(0.0, duration_s)]
    evidence = np.where(levels > FILLED * at_rest, *NATS)
    evidence[~np.isfinite(levels)] = 0.0
    evidence[_repeating(clean, levels / at_rest, rate_hz)] = NATS[1]
    rough = [(a * piece_s, b * piece_s) for a, b in _likely(evidence)]
    paced = [span for train in trains_s for span in _voluntary(train, duration_s)]
    edges_s = _edges(clean, rate_hz)
    placed = [_placed(span, edges_s) for span in _united([*rough, *paced])]
    return [_to_the_ends(span, duration_s) for span in placed]


def _resting(levels: Floats, n: int) -> float:
    """Return the level between the potentials of the quietest half second; NaN if there is none."""
    present = levels[np.isfinite(levels)]
    if present.size < n:
        return float("nan")
    windows = np.lib.stride_tricks.sliding_window_view(present, n)[:: max(1, n // 5)]
    return float(np.percentile(windows, GAP_CENTILE, axis=1).min()) / GAP_SHARE


def _repeating(clean_uv: Floats, levels: Floats, rate_hz: float) -> Flags:
    """Mark the pieces in which a potential comes again too soon for an effort.

    So do myotonic, complex repetitive and neuromyotonic discharges, as long as they last; their
    rate may drift, which the rectified signal bears. They leave gaps; where
    those are filled an effort goes on beside them.
    """
    length = round(WINDOW_S * rate_hz)
    low, high = (round(s * rate_hz) for s in REPEAT_S)
    n = clean_uv.size // length
    if n == 0:
        return np.zeros(levels.size, dtype=np.bool_)
    size = np.abs(clean_uv[: n * length]).reshape(n, length)
    size = size - size.mean(axis=1, keepdims=True)
    alike = autocorrelation(size)[:, : high + 1]
    alike[:, 1:] *= length / (length - np.arange(1, high + 1))
    soon = alike[:, low:].max(axis=1, initial=0.0) > REPEATED * alike[:, 0]
    at = np.minimum(((np.arange(levels.size) + 0.5) * PIECE_S / WINDOW_S).astype(int), n - 1)
    gaps = np.array([np.percentile(levels[at == k], GAP_CENTILE) for k in range(n)]) < GAPS
    lasting = ndimage.binary_opening(np.pad(soon & gaps, 1), np.ones(2, dtype=np.bool_))[1:-1]
    return np.asarray(lasting[at])


def _likely(evidence: Floats) -> list[tuple[int, int]]:
    """Return the pieces between which an effort is likely.

    The path of two states, rest and effort, of greatest likelihood if each change costs
    ``EVIDENCE``: cumulative sums that begin anew at their lowest point, one for each change.
    """
    changes, sign, total, lowest = [], 1.0, 0.0, 0
    for k, step in enumerate(evidence.tolist()):
        total += sign * step
        if total < 0:
            total, lowest = 0.0, k + 1
        elif total > EVIDENCE:
            changes.append(lowest)
            sign, total, lowest = -sign, 0.0, k + 1
    if sign < 0:
        changes.append(evidence.size)
    return list(zip(changes[::2], changes[1::2], strict=True))


def _voluntary(train_s: Floats, duration_s: float) -> Spans:
    """Return when a unit fires in the rhythm of a will.

    Fibrillations and complex repetitive discharges are too regular (CoV <= 0.1), fasciculations and
    end-plate spikes too irregular.
    """
    breaks = np.flatnonzero(np.diff(train_s) > BRIDGED_S) + 1
    found = []
    for part in np.split(train_s, breaks):
        steps = np.diff(part)
        if part.size > FEWEST and VOLUNTARY_S[0] <= steps.mean() <= VOLUNTARY_S[1]:
            cov = float(steps.std() / steps.mean())
            if VOLUNTARY_COV[0] <= cov <= VOLUNTARY_COV[1]:
                found.append((max(0.0, float(part[0])), min(duration_s, float(part[-1]))))
    return found


def _united(spans: Spans) -> Spans:
    """Return the spans with the short gaps between them closed, and without the short ones."""
    united: Spans = []
    for begin_s, stop_s in sorted(spans):
        if united and begin_s - united[-1][1] < BRIDGED_S:
            united[-1] = (united[-1][0], max(united[-1][1], stop_s))
        else:
            united.append((begin_s, stop_s))
    return [(a, b) for a, b in united if b - a >= SHORTEST_S]


def _edges(clean_uv: Floats, rate_hz: float) -> tuple[Floats, Floats]:
    """Return onsets and offsets of all that leaves the level of rest."""
    step = max(1, int(rate_hz // WORK_HZ))
    try:
        found = onsets(clean_uv[::step], rate_hz / step, least_gap_s=BRIDGED_S)
    except NotAnalysableError:  # no second of rest: the rough edges stand
        return np.zeros(0), np.zeros(0)
    return np.array([b.onset_s for b in found]), np.array([b.offset_s for b in found])


def _placed(span: tuple[float, float], edges_s: tuple[Floats, Floats]) -> tuple[float, float]:
    """Return a span with its ends at the nearest edges, if they are near."""
    ends = []
    for rough_s, exact_s in zip(span, edges_s, strict=True):
        near = exact_s[np.abs(exact_s - rough_s) <= EDGE_S]
        ends.append(float(near[np.argmin(np.abs(near - rough_s))]) if near.size else rough_s)
    return (ends[0], ends[1]) if ends[1] > ends[0] else span


def _to_the_ends(span: tuple[float, float], duration_s: float) -> tuple[float, float]:
    """Return a span that goes on to the recording's end if too little is left to be a rest."""
    begin_s, stop_s = span
    return (
        0.0 if begin_s < BRIDGED_S else begin_s,
        duration_s if duration_s - stop_s < BRIDGED_S else stop_s,
    )


# -- events ----------------------------------------------------------------------------------------


def _within(time_s: Floats, spans: Spans) -> Flags:
    inside = np.zeros(time_s.size, dtype=np.bool_)
    for begin_s, stop_s in spans:
        inside |= (time_s >= begin_s) & (time_s < stop_s)
    return inside


def _events(working: Spans, odd: Spans, duration_s: float, start_s: float) -> tuple[Event, ...]:
    """Return what fills the recording: an artefact hides what is below it."""
    inner = sorted({t for span in (*working, *odd) for t in span if 0 < t < duration_s})
    edges = np.array([0.0, *inner, duration_s])
    middles = 0.5 * (edges[1:] + edges[:-1])
    kinds = np.where(_within(middles, working), "contraction", "rest")
    kinds[_within(middles, odd)] = "artefact"
    firsts = [0, *(np.flatnonzero(kinds[1:] != kinds[:-1]) + 1).tolist(), kinds.size]
    return tuple(
        Event(
            kind=str(kinds[a]),
            onset_s=start_s + float(edges[a]),
            offset_s=start_s + float(edges[b]),
            source="analysis",
        )
        for a, b in pairwise(firsts)
    )
