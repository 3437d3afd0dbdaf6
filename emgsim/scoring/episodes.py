"""Runs, contractions and other episodes: matched by overlap, counted and timed.

Counts and durations are kept apart as EC57 (ANSI/AAMI EC57:2012, episode-by-episode comparison)
does: a detector may find every episode and still half of each.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emgsim.recording import Event
from emgsim.scoring.counts import Counts, share

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EpisodePair:
    """A true episode and the found one that was matched with it."""

    true: Event
    found: Event

    @property
    def onset_error_s(self) -> float:
        """Found minus true onset."""
        return self.found.onset_s - self.true.onset_s

    @property
    def offset_error_s(self) -> float:
        """Found minus true offset."""
        return self.found.offset_s - self.true.offset_s

    @property
    def duration_error_s(self) -> float:
        """Found minus true duration."""
        return self.offset_error_s - self.onset_error_s


@dataclass(frozen=True, kw_only=True)
class EpisodeScore:
    """How found episodes agree with the true ones."""

    counts: Counts  # one to one: an episode found in two pieces is one TP and one FP
    pairs: tuple[EpisodePair, ...]
    n_true_touched: int  # true episodes that any found one overlaps
    n_found_touched: int  # found episodes that overlap any true one
    true_s: float  # time within true episodes
    found_s: float
    both_s: float  # within both

    @property
    def episode_sensitivity(self) -> float:
        """Share of the true episodes that any found one overlaps."""
        return share(self.n_true_touched, self.counts.tp + self.counts.fn)

    @property
    def episode_precision(self) -> float:
        """Share of the found episodes that overlap a true one."""
        return share(self.n_found_touched, self.counts.tp + self.counts.fp)

    @property
    def duration_sensitivity(self) -> float:
        """Share of the true episodes' time that was found."""
        return share(self.both_s, self.true_s)

    @property
    def duration_precision(self) -> float:
        """Share of the found episodes' time that is true."""
        return share(self.both_s, self.found_s)

    @property
    def kinds(self) -> Counter[tuple[str, str]]:
        """How often a true kind was given a found kind, over the matched pairs."""
        return Counter((pair.true.kind, pair.found.kind) for pair in self.pairs)


def score_episodes(found: Sequence[Event], true: Sequence[Event]) -> EpisodeScore:
    """Match episodes one to one, so that the overlap is largest in all.

    Kinds are not looked at: give only the episodes of one kind to score that kind, or all of them
    to see in ``kinds`` which was taken for which.

    Parameters
    ----------
    found, true
        The episodes; those of one side may overlap each other.

    Raises
    ------
    ValueError
        If an episode is not finite or ends before it begins.
    """
    a, b = _bounds_s(true), _bounds_s(found)
    overlap_s = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    touching = overlap_s > 0
    rows, columns = linear_sum_assignment(np.maximum(overlap_s, 0.0), maximize=True)
    chosen = zip(rows.tolist(), columns.tolist(), strict=True)
    pairs = tuple(EpisodePair(true=true[i], found=found[j]) for i, j in chosen if touching[i, j])
    tp = len(pairs)
    true_s, found_s = _covered_s(a), _covered_s(b)
    return EpisodeScore(
        counts=Counts(tp=tp, fp=len(found) - tp, fn=len(true) - tp),
        pairs=pairs,
        n_true_touched=int(np.count_nonzero(touching.any(axis=1))),
        n_found_touched=int(np.count_nonzero(touching.any(axis=0))),
        true_s=true_s,
        found_s=found_s,
        both_s=max(0.0, true_s + found_s - _covered_s(np.concatenate([a, b]))),
    )


def _bounds_s(events: Sequence[Event]) -> Floats:
    """Return onsets and offsets, shape ``(n, 2)``."""
    for event in events:
        if not (math.isfinite(event.onset_s) and event.onset_s <= event.offset_s < math.inf):
            raise ValueError(
                f"an episode must have a finite onset and an offset not before it, "
                f"got {event.onset_s} .. {event.offset_s} s ({event.kind})"
            )
    return np.array([(event.onset_s, event.offset_s) for event in events]).reshape(-1, 2)


def _covered_s(bounds_s: Floats) -> float:
    """Return the time within any of the episodes, overlaps counted once."""
    covered_s, end_s = 0.0, -math.inf
    for onset_s, offset_s in sorted(bounds_s.tolist()):
        covered_s += max(0.0, offset_s - max(onset_s, end_s))
        end_s = max(end_s, offset_s)
    return covered_s
