"""Findings against the truth: who was found, which discharges, and how far off in time.

Matching is one-to-one and optimal: of discharges by a sweep along the line, which is maximal
there, of units by the Hungarian method on their agreement. A unit's constant delay between the
truth's spike and the analysis' own is estimated and reported, never silently removed. Two trains
agree as TP, FP and FN; from these come sensitivity, precision, F1 (Dice) and Jaccard (rate of
agreement), each under its own name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emgsim.recording import Findings, MotorUnit, Recording, Truth
from emgsim.stages import add_train
from emgsim.verdict import Measurement

Floats = NDArray[np.float64]
Render = Callable[[MotorUnit], Floats]

TOLERANCE_S = 0.0005
MAX_LAG_S = 0.006
DETECTABLE_RATIO = 6.0  # MUAP peak-to-peak over the rms of everything else
CANDIDATE_RATIO = 0.5  # of that: a unit smaller still need not be rendered to be ruled out
MATCHED_JACCARD = 0.3  # below it a pair of trains is no match
Z95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Agreement of two trains."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(tp=self.tp + other.tp, fp=self.fp + other.fp, fn=self.fn + other.fn)

    @property
    def sensitivity(self) -> float:
        """Share of the true discharges that were found."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def precision(self) -> float:
        """Share of the found discharges that are true."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and precision."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def jaccard(self) -> float:
        """Rate of agreement: matched over all that either has."""
        return _share(self.tp, self.tp + self.fp + self.fn)


@dataclass(frozen=True, kw_only=True)
class UnitScore:
    """How one true unit was found; ``found_id`` is None when it was missed."""

    truth_id: int
    found_id: int | None
    amplitude_uv: float
    ratio: float  # MUAP peak-to-peak over the rms of that path without the unit
    counts: Counts
    lag_us: float  # found minus true, the unit's constant delay
    timing_us: float  # median absolute error about that delay

    @property
    def is_detectable(self) -> bool:
        """The fixed rule: peak-to-peak at least 6 times the rms of everything else."""
        return self.ratio >= DETECTABLE_RATIO

    def row(self) -> dict[str, object]:
        """Return the score as plain values, NaN as None."""
        c = self.counts
        values: dict[str, object] = {
            "truth_id": self.truth_id,
            "found_id": self.found_id,
            "detectable": self.is_detectable,
            "amplitude_uv": self.amplitude_uv,
            "ratio": self.ratio,
            "tp": c.tp,
            "fp": c.fp,
            "fn": c.fn,
            "sensitivity": c.sensitivity,
            "precision": c.precision,
            "f1": c.f1,
            "jaccard": c.jaccard,
            "lag_us": self.lag_us,
            "timing_us": self.timing_us,
        }
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in values.items()
        }


@dataclass(frozen=True, kw_only=True)
class Score:
    """One path's findings against the truth."""

    units: tuple[UnitScore, ...]
    n_found: int
    n_false: int  # found units that match no true one
    n_duplicates: int  # found units whose true unit another one matches better
    n_false_discharges: int  # of the false and the duplicate units
    tolerance_s: float

    @property
    def detectable(self) -> tuple[UnitScore, ...]:
        """The units that the fixed rule calls detectable on this path."""
        return tuple(unit for unit in self.units if unit.is_detectable)

    @property
    def pooled(self) -> Counts:
        """Counts pooled over the detectable units."""
        return sum((unit.counts for unit in self.detectable), Counts())

    @property
    def pooled_all(self) -> Counts:
        """Counts pooled over all units; discharges of false units are false ones."""
        every = sum((unit.counts for unit in self.units), Counts())
        return every + Counts(fp=self.n_false_discharges)

    @property
    def f1(self) -> float:
        """F1 pooled over the detectable units."""
        return self.pooled.f1

    def measurements(self, path: str) -> tuple[Measurement, ...]:
        """Return the score as measurements of one path, with 95 % intervals."""
        pooled = self.pooled
        timing = [u.timing_us for u in self.detectable if not math.isnan(u.timing_us)]
        missed = sum(unit.found_id is None for unit in self.detectable)
        n, m = pooled.tp + pooled.fn, pooled.tp + pooled.fp
        counted = {
            "detectable": len(self.detectable),
            "found": self.n_found,
            "missed": missed,
            "false": self.n_false,
            "duplicate": self.n_duplicates,
        }
        return (
            _proportion(f"discharges.sensitivity.{path}", pooled.tp, n),
            _proportion(f"discharges.precision.{path}", pooled.tp, m),
            _f1(f"discharges.f1.{path}", pooled),
            _f1(f"discharges.f1_all.{path}", self.pooled_all),
            Measurement(
                id=f"discharges.timing_us.{path}",
                value=float(np.median(timing)) if timing else math.nan,
                unit="us",
                note="median over detectable units of the median absolute error about the lag",
            ),
            *(
                Measurement(id=f"units.{name}.{path}", value=float(value), unit="1")
                for name, value in counted.items()
            ),
        )

    def __str__(self) -> str:
        head = "  unit  found   p-p uV  /rms    TP    FP    FN     F1  lag us  timing us"
        rows = [
            f"  {u.truth_id:>4}  {u.found_id if u.found_id is not None else '-':>5}"
            f"  {u.amplitude_uv:>7.0f}  {u.ratio:>4.1f}  {u.counts.tp:>4}  {u.counts.fp:>4}"
            f"  {u.counts.fn:>4}  {u.counts.f1:>5.3f}  {u.lag_us:>6.0f}  {u.timing_us:>9.1f}"
            for u in sorted(self.units, key=lambda u: -u.ratio)
            if u.is_detectable or u.found_id is not None
        ]
        n_detectable = len(self.detectable)
        return "\n".join(
            [
                head,
                *rows,
                f"{n_detectable} of {len(self.units)} active units detectable; "
                f"{self.n_found} found, "
                f"{self.n_false} false, {self.n_duplicates} duplicate",
                f"F1 {self.f1:.3f} on the detectable ones, {self.pooled_all.f1:.3f} on all, "
                f"within {1e3 * self.tolerance_s:g} ms",
            ]
        )


def compare(
    findings: Findings,
    truth: Truth,
    *,
    recording: Recording | None = None,
    render: Render | None = None,
    tolerance_s: float = TOLERANCE_S,
    max_lag_s: float = MAX_LAG_S,
) -> Score:
    """Score findings against the truth.

    Parameters
    ----------
    findings, truth
        What was found and what is true, on one clock.
    recording
        What the analysis read. It decides which units are detectable and which discharges lie
        inside it; without it every unit counts as detectable.
    render
        Returns one unit's contribution to the recording, shape ``(n_samples,)``. By default that
        of a clean recording; a device's must be rendered through its response.
    tolerance_s
        Two discharges within it may be one.
    max_lag_s
        Largest constant delay between a unit's true and found times.
    """
    span = (
        None if recording is None else (recording.start_s, recording.start_s + recording.duration_s)
    )
    true_trains = [_inside(unit.spike_times_s, span) for unit in truth.units]
    found_trains = [np.sort(unit.discharge_times_s) for unit in findings.units]
    pairs, resembling = _match_units(true_trains, found_trains, tolerance_s, max_lag_s)
    ratios = (
        {unit.id: math.inf for unit in truth.units}
        if recording is None
        else detectability(recording, truth, render)
    )
    scores = []
    for i, (unit, train) in enumerate(zip(truth.units, true_trains, strict=True)):
        pair = pairs.get(i)
        scores.append(
            UnitScore(
                truth_id=unit.id,
                found_id=None if pair is None else findings.units[pair.found].id,
                amplitude_uv=unit.peak_to_peak_uv,
                ratio=ratios[unit.id],
                counts=Counts(fn=train.size) if pair is None else pair.counts,
                lag_us=math.nan if pair is None else 1e6 * pair.lag_s,
                timing_us=math.nan if pair is None else 1e6 * pair.timing_s,
            )
        )
    taken = {pair.found for pair in pairs.values()}
    loose = [j for j in range(len(found_trains)) if j not in taken]
    duplicates = [j for j in loose if j in resembling]
    return Score(
        units=tuple(scores),
        n_found=len(found_trains),
        n_false=len(loose) - len(duplicates),
        n_duplicates=len(duplicates),
        n_false_discharges=sum(found_trains[j].size for j in loose),
        tolerance_s=tolerance_s,
    )


def detectability(
    recording: Recording, truth: Truth, render: Render | None = None
) -> dict[int, float]:
    """Return each unit's MUAP peak-to-peak over the rms of the recording without the unit.

    The rms is taken over the unit's active span, from its first to its last discharge, as rest
    would flatter it. Channel 0; lost samples are left out.
    """
    samples = recording.samples_uv[:, 0]
    times_s = recording.times_s
    out = {}
    for unit in truth.units:
        spikes = unit.spike_times_s
        span = (times_s >= spikes.min(initial=np.inf)) & (times_s <= spikes.max(initial=-np.inf))
        span &= np.isfinite(samples)
        if np.count_nonzero(span) < 2:
            out[unit.id] = 0.0
            continue
        whole = float(np.std(samples[span]))
        if unit.peak_to_peak_uv < CANDIDATE_RATIO * DETECTABLE_RATIO * whole:
            # Taking the unit away lowers the rms by less than a factor of two: it stays below.
            out[unit.id] = unit.peak_to_peak_uv / whole if whole > 0 else math.inf
            continue
        own = _clean(recording, truth, unit) if render is None else render(unit)
        rest = float(np.std((samples - own)[span]))
        out[unit.id] = unit.peak_to_peak_uv / rest if rest > 0 else math.inf
    return out


def _clean(recording: Recording, truth: Truth, unit: MotorUnit) -> Floats:
    if not math.isclose(recording.rate_hz, truth.muap_rate_hz, rel_tol=1e-9):
        raise ValueError(
            f"recording.rate_hz must be the truth's muap_rate_hz ({truth.muap_rate_hz:g}) when no "
            f"render is given, got {recording.rate_hz:g}"
        )
    samples = np.zeros(recording.n_samples)
    add_train(samples, recording.rate_hz, recording.start_s, unit)
    return samples


# -- matching -------------------------------------------------------------------------------------


def match_discharges(a: Floats, b: Floats, tolerance_s: float) -> list[tuple[int, int]]:
    """Return the pairs ``(i, j)`` of a maximal one-to-one matching within the tolerance.

    Both trains ascend. Two discharges are paired as early as possible, which is optimal on a line.
    """
    pairs, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        difference = a[i] - b[j]
        if abs(difference) <= tolerance_s:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif difference < 0:
            i += 1
        else:
            j += 1
    return pairs


def best_lag_s(true_s: Floats, found_s: Floats, tolerance_s: float, max_lag_s: float) -> float:
    """Return the delay of the found train that brings most discharges within the tolerance.

    The densest window of twice the tolerance among all differences; its median.
    """
    first = np.searchsorted(found_s, true_s - max_lag_s - tolerance_s)
    last = np.searchsorted(found_s, true_s + max_lag_s + tolerance_s, side="right")
    differences = np.sort(
        np.concatenate(
            [found_s[a:b] - t for t, a, b in zip(true_s, first, last, strict=True)] or [np.zeros(0)]
        )
    )
    if differences.size == 0:
        return 0.0
    ends = np.searchsorted(differences, differences + 2 * tolerance_s, side="right")
    best = int(np.argmax(ends - np.arange(differences.size)))
    lag = float(np.median(differences[best : ends[best]]))
    return min(max(lag, -max_lag_s), max_lag_s)


@dataclass(frozen=True)
class _Pair:
    found: int
    counts: Counts
    lag_s: float
    timing_s: float


def _pair(true_s: Floats, found_s: Floats, j: int, tolerance_s: float, max_lag_s: float) -> _Pair:
    lag_s = best_lag_s(true_s, found_s, tolerance_s, max_lag_s)
    shifted = found_s - lag_s
    pairs = match_discharges(true_s, shifted, tolerance_s)
    errors = [abs(true_s[a] - shifted[b]) for a, b in pairs]
    counts = Counts(tp=len(pairs), fp=found_s.size - len(pairs), fn=true_s.size - len(pairs))
    return _Pair(j, counts, lag_s, float(np.median(errors)) if errors else math.nan)


def _match_units(
    true_trains: list[Floats], found_trains: list[Floats], tolerance_s: float, max_lag_s: float
) -> tuple[Mapping[int, _Pair], set[int]]:
    """Return the pair of each matched true unit, and the found units that resemble a true one."""
    table = [
        [_pair(t, f, j, tolerance_s, max_lag_s) for j, f in enumerate(found_trains)]
        for t in true_trains
    ]
    if not table or not table[0]:
        return {}, set()
    agreement = np.array([[pair.counts.jaccard for pair in row] for row in table])
    agreement = np.nan_to_num(agreement)
    alike = agreement >= MATCHED_JACCARD
    rows, columns = linear_sum_assignment(-agreement)
    pairs = {int(i): table[i][j] for i, j in zip(rows, columns, strict=True) if alike[i, j]}
    return pairs, {int(j) for j in np.flatnonzero(alike.any(axis=0))}


def _inside(times_s: Floats, span: tuple[float, float] | None) -> Floats:
    times_s = np.sort(times_s)
    return times_s if span is None else times_s[(times_s >= span[0]) & (times_s < span[1])]


# -- intervals ------------------------------------------------------------------------------------


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion (Wilson 1927, JASA 22:209)."""
    if n <= 0:
        return math.nan, math.nan
    p, z2 = successes / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # rounding must not put an end on the wrong side of the proportion itself
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _proportion(id: str, successes: int, n: int) -> Measurement:
    low, high = wilson(successes, n)
    return Measurement(id=id, value=_share(successes, n), unit="1", low=low, high=high)


def _f1(id: str, counts: Counts) -> Measurement:
    """Return F1 with the interval that its Jaccard's Wilson interval maps to, as F = 2J/(1+J)."""
    low, high = wilson(counts.tp, counts.tp + counts.fp + counts.fn)
    return Measurement(
        id=id,
        value=counts.f1,
        unit="1",
        low=2 * low / (1 + low),
        high=2 * high / (1 + high),
        note="interval by Wilson on the Jaccard index; discharges taken as independent",
    )
