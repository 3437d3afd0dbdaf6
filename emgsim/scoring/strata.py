"""Where discharges are lost: by amplitude, SNR, collision lag and shape similarity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.recording import MotorUnit, Truth
from emgsim.scoring.counts import Counts
from emgsim.scoring.score import Score, UnitScore

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
StratumName = Literal["amplitude_uv", "snr_db", "collision_lag_ms", "similarity"]

EDGES: dict[StratumName, tuple[float, ...]] = {
    "amplitude_uv": (50.0, 200.0, 500.0, 1000.0),
    "snr_db": (0.0, 6.0, 12.0, 18.0),
    "collision_lag_ms": (1.0, 3.0),  # overlapping spikes; overlapping MUAPs; apart
    "similarity": (0.8, 0.9, 0.95),
}


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """The counts of all discharges whose property lies in ``low <= property < high``."""

    by: StratumName
    low: float
    high: float
    counts: Counts

    def row(self) -> dict[str, object]:
        """Return the stratum as plain values; None for an open end and for what is not known."""
        c = self.counts
        values: dict[str, object] = {
            "by": self.by,
            "low": self.low,
            "high": self.high,
            "tp": c.tp,
            "fp": c.fp,
            "fn": c.fn,
            "sensitivity": c.sensitivity,
            "precision": c.precision,
        }
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in values.items()
        }

    def __str__(self) -> str:
        c = self.counts
        return (
            f"{self.by:<16} {self.low:>5g} .. {self.high:<5g} TP {c.tp:>5} FP {c.fp:>5} "
            f"FN {c.fn:>5}  sensitivity {c.sensitivity:.3f}  precision {c.precision:.3f}"
        )


def strata(score: Score, truth: Truth) -> tuple[Stratum, ...]:
    """Sort the discharges of a score by what makes them hard to find.

    Amplitude and SNR are their unit's, over all units. Collision lag is a discharge's own: the time
    to the nearest discharge of another detectable unit; a false discharge has that of the true
    discharge nearest to it. Similarity is its unit's: the largest normalised correlation of its
    MUAP with that of another detectable unit, at any delay, whatever their amplitudes. Both are
    over the detectable units, so their counts add up to ``score.pooled``.

    Parameters
    ----------
    score
        What `compare` returned.
    truth
        The truth that it was made from.

    Returns
    -------
    tuple of Stratum
        Every stratum of every property, in order; empty ones too.
    """
    by_id = {unit.id: unit for unit in truth.units}
    alike = similarities([by_id[unit.truth_id] for unit in score.detectable])
    parts: list[Iterable[Stratum]] = [
        _by_unit("amplitude_uv", ((u.amplitude_uv, u) for u in score.units)),
        _by_unit("snr_db", ((u.snr_db, u) for u in score.units)),
        _by_collision(score.detectable),
        _by_unit("similarity", ((alike[u.truth_id], u) for u in score.detectable)),
    ]
    return tuple(stratum for part in parts for stratum in part)


def pooled_strata(tables: Iterable[Sequence[Stratum]]) -> tuple[Stratum, ...]:
    """Add up the strata of several recordings."""
    total: dict[tuple[StratumName, float, float], Stratum] = {}
    for stratum in (stratum for table in tables for stratum in table):
        key = stratum.by, stratum.low, stratum.high
        before = total[key].counts if key in total else Counts()
        total[key] = replace(stratum, counts=before + stratum.counts)
    return tuple(total.values())


def similarities(units: Sequence[MotorUnit]) -> dict[int, float]:
    """Return each unit's largest normalised correlation with another one's MUAP, by unit id.

    Channel 0, at the delay of best agreement; -inf for a unit that has no other.
    """
    length = max((unit.muap_uv.shape[0] for unit in units), default=0)
    size = fft.next_fast_len(max(2 * length, 1), real=True)
    spectra = [fft.rfft(_unit_energy(unit.muap_uv[:, 0]), size) for unit in units]
    best = {unit.id: -math.inf for unit in units}
    for k, one in enumerate(units):
        for other, spectrum in zip(units[:k], spectra[:k], strict=True):
            correlation = float(np.max(fft.irfft(np.conj(spectra[k]) * spectrum, size)))
            best[one.id] = max(best[one.id], correlation)
            best[other.id] = max(best[other.id], correlation)
    return best


def _unit_energy(wave: Floats) -> Floats:
    norm = float(np.linalg.norm(wave))
    return wave / norm if norm > 0 else wave


def _empty(by: StratumName) -> list[Stratum]:
    edges = (-math.inf, *EDGES[by], math.inf)
    return [Stratum(by=by, low=low, high=high, counts=Counts()) for low, high in pairwise(edges)]


def _by_unit(by: StratumName, units: Iterable[tuple[float, UnitScore]]) -> Iterator[Stratum]:
    table = _empty(by)
    for value, unit in units:
        k = int(np.searchsorted(EDGES[by], value, side="right"))
        table[k] = replace(table[k], counts=table[k].counts + unit.counts)
    yield from table


def _by_collision(units: Sequence[UnitScore]) -> Iterator[Stratum]:
    table = _empty("collision_lag_ms")
    lags_s = collision_lags_s({unit.truth_id: unit.true_times_s for unit in units})
    times_s = np.concatenate([np.zeros(0), *(unit.true_times_s for unit in units)])
    lag_s = np.concatenate([np.zeros(0), *(lags_s[unit.truth_id] for unit in units)])
    false_s = np.concatenate([np.zeros(0), *(unit.false_times_s for unit in units)])
    found = np.concatenate([np.zeros(0, bool), *(unit.is_found for unit in units)])
    order = np.argsort(times_s, kind="stable")
    false_lag_s = lag_s[order][_nearest(times_s[order], false_s)] if times_s.size else false_s
    tallies = (_tally(lag_s[found]), _tally(false_lag_s), _tally(lag_s[~found]))
    for stratum, tp, fp, fn in zip(table, *tallies, strict=True):
        yield replace(stratum, counts=Counts(tp=int(tp), fp=int(fp), fn=int(fn)))


def collision_lags_s(trains_s: Mapping[int, Floats]) -> dict[int, Floats]:
    """Return the time from each discharge to the nearest one of another unit, by unit id.

    ``trains_s`` ascend; inf where no other unit discharges.
    """
    out = {}
    for id, train in trains_s.items():
        others = np.sort(
            np.concatenate([np.zeros(0), *(t for other, t in trains_s.items() if other != id)])
        )
        if others.size == 0:
            out[id] = np.full(train.size, np.inf)
            continue
        out[id] = np.abs(others[_nearest(others, train)] - train)
    return out


def _nearest(times_s: Floats, wanted_s: Floats) -> Ints:
    """Return the place of the nearest of ascending times, at least one, to each wanted one."""
    after = np.searchsorted(times_s, wanted_s).clip(1, max(times_s.size - 1, 1))
    after = np.minimum(after, times_s.size - 1)
    before = np.maximum(after - 1, 0)
    nearer = wanted_s - times_s[before] <= times_s[after] - wanted_s
    return np.asarray(np.where(nearer, before, after))


def _tally(lags_s: Floats) -> Ints:
    """Count the lags in each stratum."""
    edges = EDGES["collision_lag_ms"]
    places = np.searchsorted(edges, 1e3 * lags_s, side="right")
    return np.bincount(places, minlength=len(edges) + 1)
