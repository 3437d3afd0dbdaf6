"""What a run is: a naive Bayes classifier over its form and its rhythm, both readable tables.

Every kind is one or more pairs of a form and a rhythm. A form or rhythm says, of some measures,
where they lie and how they scatter; a measure that it does not name speaks neither for nor against
it. What no pair explains better than the background, where everything is possible, is unknown.

The means are those of the published ranges (AANEM glossary; Daube & Rubin 2009; Partanen 2013), the
scatter about a quarter of the range, wider where few discharges make a measure uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite, log, pi

from emgsim.analysis.resting.measuring import Form, Rhythm

Normal = tuple[float, float]  # mean and SD
Table = dict[str, Normal]

# where each measure may lie at all
BACKGROUND: Table = {
    "log_size": (log(100.0), 1.5),
    "positive": (0.45, 0.35),
    "first": (0.4, 0.35),
    "log_duration": (log(5.0), 1.0),
    "log_spike": (log(0.8), 0.9),
    "log_phases": (log(3.0), 0.8),
    "log_steepness": (log(0.08), 0.9),
    "tail": (0.0, 0.3),
    "log_n": (log(30.0), 1.7),
    "log_rate": (log(12.0), 1.8),
    "log_mean": (log(5.0), 1.8),
    "log_cov": (log(0.1), 1.8),
    "log_fastest": (log(30.0), 1.8),
    "grouped": (0.3, 0.5),
    "log_group": (log(4.0), 0.8),
    "log_course": (0.6, 0.9),
    "log_gains": (0.5, 0.9),
}
FORMS: dict[str, Table] = {
    "fibre": {  # a wave that passes: small, short, first positive
        "log_size": (log(90.0), 0.9),
        "positive": (0.36, 0.12),
        "first": (0.36, 0.12),
        "log_duration": (log(3.0), 0.4),
        "log_spike": (log(0.5), 0.3),
        "log_phases": (log(3.0), 0.25),
        "log_steepness": (log(0.08), 0.5),
        "tail": (0.0, 0.04),
    },
    "sharp_wave": {  # one that ends at the needle: positive, then a long tail
        "log_size": (log(130.0), 1.0),
        "positive": (0.83, 0.08),
        "first": (0.83, 0.09),
        "log_duration": (log(12.0), 0.6),
        "log_spike": (log(0.85), 0.35),
        "log_phases": (log(2.0), 0.35),
        "log_steepness": (log(0.06), 0.5),
        "tail": (-0.06, 0.06),
    },
    "end_plate": {  # one that begins at the needle: negative at once
        "log_size": (log(150.0), 0.9),
        "positive": (0.30, 0.10),
        "first": (0.02, 0.05),
        "log_duration": (log(2.2), 0.5),
        "log_spike": (log(0.40), 0.3),
        "log_phases": (log(2.0), 0.35),
        "log_steepness": (log(0.08), 0.5),
        "tail": (0.0, 0.04),
    },
    "miniature": {  # a leaking end plate: negative only
        "log_size": (log(40.0), 0.6),
        "positive": (0.06, 0.06),
        "first": (0.03, 0.05),
        "log_duration": (log(2.5), 0.6),
        "log_spike": (log(0.65), 0.25),
        "log_phases": (0.0, 0.3),
        "tail": (0.0, 0.04),
    },
    "unit": {  # many fibres: large, wide
        "log_size": (log(450.0), 0.7),
        "positive": (0.25, 0.17),
        "first": (0.22, 0.15),
        "log_duration": (log(5.0), 0.6),
        "log_spike": (log(0.8), 0.45),
        "log_phases": (log(3.0), 0.5),
        "log_steepness": (log(0.06), 0.5),
        "tail": (0.0, 0.05),
    },
    "ring": {  # fibres in a row, each with its spike
        "log_size": (log(300.0), 0.7),
        "log_duration": (log(11.0), 0.5),
        "log_phases": (log(10.0), 0.5),
        "log_spike": (log(0.45), 0.35),
        "tail": (0.0, 0.06),
    },
    "edge": {"log_steepness": (log(0.5), 0.35)},  # of a pulse: up within a sample or two
    "slow": {"log_spike": (log(9.0), 0.7), "log_steepness": (log(0.01), 0.8)},  # heart, movement
}
RHYTHMS: dict[str, Table] = {
    "regular": {
        "log_n": (log(40.0), 1.0),
        "log_rate": (log(5.0), 1.0),  # up to 30
        "log_mean": (log(4.5), 1.0),
        "log_cov": (log(0.045), 0.5),
        "log_fastest": (log(6.0), 1.0),
        "grouped": (0.0, 0.15),
        "log_course": (0.1, 0.15),
        "log_gains": (0.1, 0.2),
    },
    "irregular": {
        "log_n": (log(40.0), 1.0),
        "log_rate": (log(5.0), 0.8),
        "log_mean": (log(4.5), 0.8),
        "log_cov": (log(0.55), 0.4),
        "log_fastest": (log(14.0), 0.8),
        "log_course": (0.9, 0.5),
        "grouped": (0.1, 0.3),
        "log_gains": (0.1, 0.2),
    },
    "sputtering": {
        "log_n": (log(100.0), 0.9),
        "log_rate": (log(20.0), 0.6),
        "log_mean": (log(15.0), 0.5),
        "log_cov": (log(0.8), 0.4),
        "log_fastest": (log(100.0), 0.6),
        "log_gains": (0.1, 0.25),
    },
    "dense": {"log_rate": (log(50.0), 0.8), "log_cov": (log(1.1), 0.4), "log_gains": (0.6, 0.4)},
    "waxing": {
        "log_n": (log(200.0), 1.0),
        "log_rate": (log(55.0), 0.45),
        "log_cov": (log(0.03), 0.5),
        "log_fastest": (log(75.0), 0.4),
        "log_course": (0.8, 0.3),
        "log_gains": (1.0, 0.5),
    },
    "clockwork": {
        "log_n": (log(80.0), 1.0),
        "log_rate": (log(20.0), 0.7),
        "log_cov": (log(0.005), 0.4),
        "log_fastest": (log(20.0), 0.7),
        "grouped": (0.0, 0.15),
        "log_course": (0.02, 0.05),
        "log_gains": (0.1, 0.2),
    },
    "now_and_then": {
        "log_n": (log(5.0), 1.0),
        "log_mean": (log(0.4), 1.0),
        "log_cov": (log(0.9), 0.6),
        "log_course": (2.0, 1.2),
    },
    "clustered": {  # now and then, and then a few at once
        "log_n": (log(8.0), 0.8),
        "log_rate": (log(5.0), 0.9),
        "log_mean": (log(1.5), 0.8),
        "log_cov": (log(0.6), 0.5),
        "log_course": (1.5, 1.0),
    },
    "marching": {
        "log_n": (log(60.0), 0.8),  # bursts of some discharges
        "log_rate": (log(27.0), 0.45),
        "log_mean": (log(5.0), 0.7),
        "log_cov": (log(0.1), 0.4),
        "log_fastest": (log(33.0), 0.45),
        "grouped": (1.0, 0.15),
        "log_group": (log(5.5), 0.4),
    },
    "racing": {
        "log_n": (log(500.0), 1.2),
        "log_rate": (log(225.0), 0.15),
        "log_mean": (log(100.0), 1.0),  # bursts of hundreds, not doublets
        "log_cov": (log(0.017), 0.5),
        "log_fastest": (log(245.0), 0.25),
        "log_gains": (1.3, 0.7),
    },
    "stuttering": {
        "log_n": (log(60.0), 0.8),  # sets of a few within some milliseconds
        "log_rate": (log(140.0), 0.5),
        "log_mean": (log(7.0), 0.6),
        "log_cov": (log(0.1), 0.5),
        "log_fastest": (log(160.0), 0.5),
        "grouped": (1.0, 0.15),
        "log_group": (log(3.0), 0.35),
    },
    "any": {},
}
KINDS: dict[str, tuple[tuple[str, str], ...]] = {
    "fibrillation": (("fibre", "regular"), ("fibre", "irregular")),
    "positive_sharp_wave": (("sharp_wave", "regular"), ("sharp_wave", "irregular")),
    "end_plate_spike": (("end_plate", "sputtering"),),
    "end_plate_noise": (("miniature", "dense"), ("miniature", "sputtering")),
    "fasciculation": (("unit", "now_and_then"), ("unit", "clustered")),
    "complex_repetitive_discharge": (("ring", "clockwork"), ("fibre", "clockwork")),
    "myotonic_discharge": (("fibre", "waxing"), ("sharp_wave", "waxing")),
    "myokymia": (("unit", "marching"),),
    "neuromyotonia": (("unit", "racing"), ("fibre", "racing")),
    "multiplets": (("unit", "stuttering"),),
    "artefact": (("edge", "any"), ("slow", "any")),
}
RARER = 3.0  # nats by which a pair must beat the background
FARTHEST = 3.5  # SD: one odd measure does not outweigh all others
COV_FLOOR = 0.003  # what sampling and noise leave of a perfect clock


@dataclass(frozen=True, kw_only=True)
class Named:
    """The most probable kind of a run, and all probabilities."""

    kind: str
    probability: float
    probabilities: dict[str, float]


def name_train(form: Form, rhythm: Rhythm, *, is_cut: bool = False) -> Named:
    """Name a source by the form of its potential and the rhythm of its discharges.

    ``is_cut`` says that the stretch was too short for the number of discharges to tell anything.
    """
    measures = measures_of(form, rhythm)
    if is_cut:
        measures["log_n"] = float("nan")
    scores = {"unknown": RARER}
    for kind, pairs in KINDS.items():
        own = [_evidence(measures, {**FORMS[f], **RHYTHMS[r]}) for f, r in pairs]
        scores[kind] = max(own)
    top = max(scores.values())
    weights = {kind: exp(score - top) for kind, score in scores.items()}
    total = sum(weights.values())
    probabilities = {kind: weight / total for kind, weight in weights.items()}
    best = max(probabilities, key=lambda kind: probabilities[kind])
    return Named(kind=best, probability=probabilities[best], probabilities=probabilities)


def measures_of(form: Form, rhythm: Rhythm) -> dict[str, float]:
    """Return the measures that the tables name; NaN where a run has too few discharges for it."""
    is_grouped = rhythm.group_gap > 1
    return {
        "log_size": log(max(form.peak_to_peak_uv, 1e-3)),
        "positive": form.positive_share,
        "first": form.first_share,
        "log_duration": log(max(form.duration_ms, 0.1)),
        "log_spike": log(max(form.spike_ms, 0.02)),
        "log_phases": log(max(form.phases, 1)),
        "log_steepness": log(max(form.steepness, 1e-4)),
        "tail": form.tail_share,
        "log_n": log(rhythm.n),
        "log_rate": _log(rhythm.rate_hz),
        "log_mean": _log(rhythm.mean_hz),
        "log_cov": _log(rhythm.local_cov + COV_FLOOR),
        "log_fastest": _log(rhythm.fastest_hz),
        "grouped": float(is_grouped) if rhythm.n > 3 else float("nan"),
        "log_group": _log(rhythm.group_size) if is_grouped else float("nan"),
        "log_course": _log(rhythm.rate_ratio),
        "log_gains": _log(rhythm.gain_ratio),
    }


def _evidence(measures: dict[str, float], table: Table) -> float:
    """Return the nats by which measures speak for a table, against the background."""
    total = 0.0
    for name, (mean, sd) in table.items():
        value = measures[name]
        if isfinite(value):
            total += _log_normal(value, mean, sd) - _log_normal(value, *BACKGROUND[name])
    return total


def _log_normal(value: float, mean: float, sd: float) -> float:
    z = min(abs(value - mean) / sd, FARTHEST)
    return -0.5 * z**2 - log(sd * (2 * pi) ** 0.5)


def _log(value: float) -> float:
    return log(value) if isfinite(value) and value > 0 else float("nan")
