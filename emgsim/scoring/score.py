"""What a comparison says: of each true unit, and of a path's findings as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emgsim.scoring.counts import Counts, ShareName, share
from emgsim.scoring.detectability import DETECTABLE_RATIO
from emgsim.scoring.intervals import wilson
from emgsim.verdict import Measurement

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE_S = 0.0005  # the headline's
TOLERANCES_S = (0.00025, 0.0005, 0.001)  # at which every pair is counted


@dataclass(frozen=True, kw_only=True)
class UnitScore:
    """How one true unit was found; ``found_id`` is None when it was missed.

    ``is_found`` says of each discharge at ``true_times_s`` whether it was found within the headline
    tolerance; ``false_times_s`` are the found ones that are not true. All times are those of the
    true unit's main spike, the lag taken off.
    """

    truth_id: int
    found_id: int | None
    amplitude_uv: float
    ratio: float  # MUAP peak-to-peak over the rms of that path without the unit
    counts: Counts
    lag_us: float  # found minus true, the unit's constant delay
    timing_us: float  # median absolute error about that delay
    peak_uv: float = math.nan  # largest |v| of the MUAP on channel 0
    counts_at: Mapping[float, Counts] = field(default_factory=dict, hash=False)  # by tolerance, s
    true_times_s: Floats = field(default_factory=lambda: np.zeros(0), compare=False, repr=False)
    is_found: Bools = field(default_factory=lambda: np.zeros(0, bool), compare=False, repr=False)
    false_times_s: Floats = field(default_factory=lambda: np.zeros(0), compare=False, repr=False)

    @property
    def is_detectable(self) -> bool:
        """The fixed rule: peak-to-peak at least 6 times the rms of everything else."""
        return self.ratio >= DETECTABLE_RATIO

    @property
    def snr_db(self) -> float:
        """``20 log10`` of the MUAP's peak over the rms of everything else; -inf of no MUAP."""
        if self.amplitude_uv == 0 or self.ratio == 0:
            return -math.inf
        return 20 * math.log10(self.ratio * self.peak_uv / self.amplitude_uv)

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
    """One path's findings against the truth.

    Each found unit is matched, false or a duplicate. ``splits`` and ``merges`` say why agreement
    was lost, and change no count: the surplus parts of a split unit are duplicate or false too.
    ``parts`` are the scores that a pooled one was made of, by name; see `pooled_score`.
    """

    units: tuple[UnitScore, ...]
    n_found: int
    n_false: int  # found units that match no true one
    n_duplicates: int  # found units whose true unit another one matches better
    n_false_discharges: int  # of the false and the duplicate units
    tolerance_s: float
    splits: Mapping[int, tuple[int, ...]] = field(default_factory=dict, hash=False)  # true: found
    merges: Mapping[int, tuple[int, ...]] = field(default_factory=dict, hash=False)  # found: true
    parts: Mapping[str, Score] = field(default_factory=dict, hash=False)

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

    @property
    def n_missed(self) -> int:
        """Number of detectable units that no found unit matches."""
        return sum(unit.found_id is None for unit in self.detectable)

    @property
    def n_split(self) -> int:
        """Number of true units that several found ones share; in each part for itself."""
        return sum(part.n_split for part in self.parts.values()) or len(self.splits)

    @property
    def n_merged(self) -> int:
        """Number of found units that hold several true ones; in each part for itself."""
        return sum(part.n_merged for part in self.parts.values()) or len(self.merges)

    def pooled_at(self, tolerance_s: float) -> Counts:
        """Return the counts pooled over the detectable units at another tolerance.

        Units and lags stay those of the headline's tolerance.

        Raises
        ------
        KeyError
            If it is neither one of `TOLERANCES_S` nor the headline's.
        """
        return sum((unit.counts_at[tolerance_s] for unit in self.detectable), Counts())

    def measurements(self, path: str) -> tuple[Measurement, ...]:
        """Return the score as measurements of one path, with 95 % intervals."""
        pooled = self.pooled
        timing = [u.timing_us for u in self.detectable if not math.isnan(u.timing_us)]
        counted = {
            "detectable": len(self.detectable),
            "found": self.n_found,
            "missed": self.n_missed,
            "false": self.n_false,
            "duplicate": self.n_duplicates,
        }
        return (
            _proportion(f"discharges.sensitivity.{path}", pooled, "sensitivity"),
            _proportion(f"discharges.precision.{path}", pooled, "precision"),
            _f1(f"discharges.f1.{path}", pooled),
            _f1(f"discharges.f1_all.{path}", self.pooled_all),
            Measurement(
                id=f"discharges.timing_us.{path}",
                value=float(np.median(timing)) if timing else math.nan,
                unit="us",
                note="median over detectable units of the median absolute error about the lag",
            ),
            *_counted(counted, path),
        )

    def details(self, path: str) -> tuple[Measurement, ...]:
        """Return what stands behind `measurements`: other tolerances, lags, splits and merges."""
        lags = [u.lag_us for u in self.detectable if not math.isnan(u.lag_us)]
        other = [t for t in TOLERANCES_S if t != self.tolerance_s]
        return (
            _proportion(f"discharges.jaccard.{path}", self.pooled, "jaccard"),
            *(_f1(f"discharges.f1_{1e6 * t:.0f}us.{path}", self.pooled_at(t)) for t in other),
            Measurement(
                id=f"discharges.lag_us.{path}",
                value=float(np.median(lags)) if lags else math.nan,
                unit="us",
                note="median over detectable units of found minus true",
            ),
            Measurement(
                id=f"discharges.lag_range_us.{path}",
                value=float(np.ptp(lags)) if lags else math.nan,
                unit="us",
                note="largest minus smallest lag of a detectable unit",
            ),
            *_counted({"split": self.n_split, "merged": self.n_merged}, path),
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
        other = (t for t in TOLERANCES_S if t != self.tolerance_s)
        also = (f"{self.pooled_at(t).f1:.3f} within {1e3 * t:g}" for t in other)
        return "\n".join(
            [
                head,
                *rows,
                f"{len(self.detectable)} of {len(self.units)} active units detectable; "
                f"{self.n_found} found, {self.n_false} false, {self.n_duplicates} duplicate; "
                f"{self.n_split} split, {self.n_merged} merged",
                f"F1 {self.f1:.3f} on the detectable ones, {self.pooled_all.f1:.3f} on all, "
                f"within {1e3 * self.tolerance_s:g} ms; {', '.join(also)}",
            ]
        )


def pooled_score(scores: Mapping[str, Score]) -> Score:
    """Pool the scores of several stretches, or recordings, into one of them all.

    Every unit of every score counts: a true unit that was scored at two places is two units, with
    the same id. Counts add up; medians are over all units.

    Parameters
    ----------
    scores
        By the name of the stretch; they stay as ``parts``.

    Raises
    ------
    ValueError
        If there is no score, or their tolerances are not the same.

    Examples
    --------
    >>> one = Score(units=(), n_found=3, n_false=1, n_duplicates=0, n_false_discharges=20,
    ...             tolerance_s=0.0005)
    >>> pooled_score({"left": one, "right": one}).n_found
    6
    """
    every = tuple(scores.values())
    tolerances_s = {score.tolerance_s for score in every}
    if len(tolerances_s) != 1:
        got = ", ".join(f"{1e3 * t:g} ms" for t in sorted(tolerances_s)) or "none"
        raise ValueError(f"scores must be of one tolerance, got {got}")
    return Score(
        units=tuple(unit for score in every for unit in score.units),
        n_found=sum(score.n_found for score in every),
        n_false=sum(score.n_false for score in every),
        n_duplicates=sum(score.n_duplicates for score in every),
        n_false_discharges=sum(score.n_false_discharges for score in every),
        tolerance_s=tolerances_s.pop(),
        splits=_together(score.splits for score in every),
        merges=_together(score.merges for score in every),
        parts=dict(scores),
    )


def _together(held: Iterable[Mapping[int, tuple[int, ...]]]) -> dict[int, tuple[int, ...]]:
    """Return all of which an id consists, wherever it was seen."""
    out: dict[int, tuple[int, ...]] = {}
    for one in held:
        for whole, parts in one.items():
            out[whole] = tuple(dict.fromkeys((*out.get(whole, ()), *parts)))
    return out


def _counted(counted: Mapping[str, int], path: str) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(id=f"units.{name}.{path}", value=float(value), unit="1")
        for name, value in counted.items()
    )


def _proportion(id: str, counts: Counts, name: ShareName) -> Measurement:
    part, whole = counts.parts(name)
    low, high = wilson(part, whole)
    note = "discharges taken as independent"
    return Measurement(id=id, value=share(part, whole), unit="1", low=low, high=high, note=note)


def _f1(id: str, counts: Counts) -> Measurement:
    """Return F1 with the interval that its Jaccard's Wilson interval maps to, as F = 2J/(1+J)."""
    low, high = wilson(*counts.parts("jaccard"))
    return Measurement(
        id=id,
        value=counts.f1,
        unit="1",
        low=2 * low / (1 + low),
        high=2 * high / (1 + high),
        note="interval by Wilson on the Jaccard index; discharges taken as independent",
    )
