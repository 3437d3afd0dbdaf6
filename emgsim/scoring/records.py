"""Scores of many recordings: each for itself, then pooled (gross) and averaged, as EC57 has it.

ANSI/AAMI EC57:2012 asks for every record's line, then for the gross line, which weighs every event
alike, and the average line, which weighs every record alike. They differ where a long or busy
recording is better or worse than the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emgsim.scoring.counts import Counts, ShareName
from emgsim.scoring.intervals import Interval, average_interval, pooled_interval
from emgsim.scoring.score import Score
from emgsim.verdict import Measurement

SHARES: tuple[ShareName, ...] = ("sensitivity", "precision", "f1", "jaccard")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A share over many recordings, pooled and averaged, each with its 95 % interval."""

    gross: float
    gross_interval: Interval
    average: float  # over the recordings that have a value
    average_interval: Interval


@dataclass(frozen=True, kw_only=True)
class RecordSummary:
    """The detectable units of many recordings, record by record and over all."""

    records: Mapping[str, Counts]
    estimates: Mapping[ShareName, Estimate]

    @property
    def gross(self) -> Counts:
        """Counts pooled over all recordings."""
        return sum(self.records.values(), Counts())

    def values(self, name: ShareName) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return a share of every record, in order; NaN where it has none."""
        return np.array([getattr(counts, name) for counts in self.records.values()], float)

    def measurements(self, path: str) -> tuple[Measurement, ...]:
        """Return the gross and the average line as measurements of one path."""
        return tuple(
            Measurement(
                id=f"discharges.{name}_{line}.{path}",
                value=value,
                unit="1",
                low=interval.low,
                high=interval.high,
                note=f"over {len(self.records)} recordings, of which each varies as a whole",
            )
            for name, it in self.estimates.items()
            for line, value, interval in (
                ("gross", it.gross, it.gross_interval),
                ("average", it.average, it.average_interval),
            )
        )

    def __str__(self) -> str:
        width = max([8, *map(len, self.records)])
        head = f"{'record':<{width}}     TP    FP    FN    Se     +P     F1  Jaccard"
        gross, every = self.gross, self.estimates
        average = "  ".join(f"{every[name].average:.3f}" for name in SHARES)
        lines = [
            head,
            *(_line(name, counts, width) for name, counts in self.records.items()),
            _line("gross", gross, width),
            f"{'average':<{width}}  {'':>17}  {average}",
        ]
        for line in ("gross", "average"):
            interval: Interval = getattr(every["f1"], f"{line}_interval")
            lines.append(f"{line} F1, 95 % interval: {interval.low:.3f} .. {interval.high:.3f}")
        return "\n".join(lines)


def summarise(scores: Mapping[str, Score]) -> RecordSummary:
    """Pool and average the scores of one path, given by name of the recording."""
    records = {name: score.pooled for name, score in scores.items()}
    estimates = {name: _estimate(tuple(records.values()), name) for name in SHARES}
    return RecordSummary(records=records, estimates=estimates)


def _estimate(counts: tuple[Counts, ...], name: ShareName) -> Estimate:
    values = np.array([getattr(record, name) for record in counts], float)
    known = values[~np.isnan(values)]
    parts, wholes = np.array([record.parts(name) for record in counts]).reshape(-1, 2).T
    return Estimate(
        gross=float(getattr(sum(counts, Counts()), name)),
        gross_interval=pooled_interval(parts, wholes),
        average=float(np.mean(known)) if known.size else math.nan,
        average_interval=average_interval(parts, wholes),
    )


def _line(name: str, counts: Counts, width: int) -> str:
    return (
        f"{name:<{width}}  {counts.tp:>5} {counts.fp:>5} {counts.fn:>5}  {counts.sensitivity:.3f}  "
        f"{counts.precision:.3f}  {counts.f1:.3f}  {counts.jaccard:.3f}"
    )
