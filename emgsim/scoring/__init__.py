"""Findings against the truth: who was found, which discharges, how far off, and how sure that is.

`compare` scores one recording, `compare_stretches` one in which the needle moves. A unit's constant
delay between the truth's spike and the analysis' own is estimated and reported, never silently
removed. Two trains agree as TP, FP and FN; from these come sensitivity, precision, F1 (Dice) and
Jaccard (rate of agreement), each under its own name.
docs/scoring.md has every term and formula.
"""

from __future__ import annotations

from emgsim.scoring.comparison import MAX_LAG_S, compare, compare_stretches
from emgsim.scoring.counts import Counts, ShareName
from emgsim.scoring.detectability import DETECTABLE_RATIO, Render, detectability
from emgsim.scoring.detection import DetectionCurve, detection_curve, detections
from emgsim.scoring.differences import (
    BlandAltman,
    PairedDifference,
    bland_altman,
    paired_difference,
)
from emgsim.scoring.episodes import EpisodePair, EpisodeScore, score_episodes
from emgsim.scoring.events import EventScore, score_events
from emgsim.scoring.intervals import (
    Interval,
    average_interval,
    bootstrap,
    clopper_pearson,
    median_interval,
    pooled_interval,
    wilson,
)
from emgsim.scoring.matching import MATCHED_JACCARD, best_lag_s, match_discharges
from emgsim.scoring.records import Estimate, RecordSummary, summarise
from emgsim.scoring.score import TOLERANCE_S, TOLERANCES_S, Score, UnitScore, pooled_score
from emgsim.scoring.strata import Stratum, pooled_strata, strata

__all__ = [
    "DETECTABLE_RATIO",
    "MATCHED_JACCARD",
    "MAX_LAG_S",
    "TOLERANCES_S",
    "TOLERANCE_S",
    "BlandAltman",
    "Counts",
    "DetectionCurve",
    "EpisodePair",
    "EpisodeScore",
    "Estimate",
    "EventScore",
    "Interval",
    "PairedDifference",
    "RecordSummary",
    "Render",
    "Score",
    "ShareName",
    "Stratum",
    "UnitScore",
    "average_interval",
    "best_lag_s",
    "bland_altman",
    "bootstrap",
    "clopper_pearson",
    "compare",
    "compare_stretches",
    "detectability",
    "detection_curve",
    "detections",
    "match_discharges",
    "median_interval",
    "paired_difference",
    "pooled_interval",
    "pooled_score",
    "pooled_strata",
    "score_episodes",
    "score_events",
    "strata",
    "summarise",
    "wilson",
]
