"""From a filter that hears a unit to the best one that its own discharges can teach.

The mean of the whitened vectors at a unit's discharges is its matched filter (Holobar & Zazula
2007). Discharges and filter are found from each other in turn, for as long as the intervals become
more regular (Negro et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.separation.picking import between_samples, grouped
from emgsim.analysis.separation.quality import FEWEST, HIGHEST_COV, LEAST_SILHOUETTE, cov_isi

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

ITERATIONS = 10


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A train that may be a unit's; positions are those of its peaks in the source, in samples."""

    positions: Floats
    silhouette: float
    cov_isi: float

    @property
    def is_credible(self) -> bool:
        """Whether it passes all gates."""
        return (
            self.positions.size >= FEWEST
            and self.silhouette >= LEAST_SILHOUETTE
            and self.cov_isi <= HIGHEST_COV
        )


def refined(white: Floats32, filters: Floats32, rate_hz: float) -> list[Candidate]:
    """Return the candidates to which filters ``(n, n_white)`` lead, without those that fail."""
    best: dict[int, Candidate] = {}
    active = list(range(len(filters)))
    for _ in range(ITERATIONS):
        after = []
        learned = []
        for k, source in zip(active, filters @ white.T, strict=True):
            at, score = grouped(source, rate_hz)
            regularity = cov_isi(at.astype(np.float64), rate_hz)
            if at.size < 10 or (k in best and regularity >= best[k].cov_isi):
                continue
            positions = between_samples(source, at)
            best[k] = Candidate(positions=positions, silhouette=score, cov_isi=regularity)
            after.append(k)
            learned.append(white[at].mean(axis=0))
        if not after:
            break
        active = after
        filters = np.stack(learned)
        filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    return [best[k] for k in sorted(best)]
