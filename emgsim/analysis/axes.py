"""What a muscle's recordings mean, axis by axis, each value with its probability and its reasons.

Nothing is learnt and hidden: every measure is compared with what it is, mean and scatter, in each
of the classes of an axis (`emgsim.references`), and Bayes' rule turns the likelihoods into
probabilities, all classes being equally likely before. Each MUAP votes for itself, an idea of Pino
and Stashuk 2008: a muscle is a mixture of MUAPs of three classes, and the muscle types differ by
their shares. A measure that is missing is left out; an axis of which nothing was measured is not
there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.comparison import Reference, Table, log_likelihood, shares
from emgsim.recording import AxisFinding, Findings, FoundRun, FoundUnit

Floats = NDArray[np.float64]

AXES: dict[str, tuple[str, ...]] = {
    "active_denervation": ("no", "yes"),
    "muap_type": ("normal", "neurogenic", "myopathic", "mixed"),
    "recruitment": ("normal", "reduced", "early", "poor_effort"),
    "stability": ("stable", "unstable"),
    "special_discharges": (
        "none",
        "myotonia",
        "complex_repetitive",
        "myokymia_neuromyotonia",
        "fasciculation",
    ),
}
DENERVATION = ("fibrillation", "positive_sharp_wave")
SPECIAL = {
    "myotonic_discharge": "myotonia",
    "complex_repetitive_discharge": "complex_repetitive",
    "myokymia": "myokymia_neuromyotonia",
    "neuromyotonia": "myokymia_neuromyotonia",
    "multiplets": "myokymia_neuromyotonia",  # of axons as irritable
    "fasciculation": "fasciculation",
}
# Rise time of a MUAP that counts: 500 us is usual, but many from inside a territory exceed it
# (Barkhaus & Nandedkar).
CRISP_US = 700.0
FEWEST_MUAPS = 3
FEWEST_DISCHARGES = 10
ALONE = 0.5  # weight of a single short run in a single recording: +/- of Daube
PERSISTENT_S = 1.0  # of a train; Daube
LEAST_INCOHERENCE = 0.003  # below it noise and few discharges decide
FULL_SHARE = 0.7  # of the fullest pattern's turns: these recordings hold the strongest effort too


def axes_of(
    findings: Sequence[Findings],
    reference: Reference,
    age_years: float = 40.0,
    *,
    strongest: bool = True,
) -> tuple[AxisFinding, ...]:
    """Say what the recordings of one muscle mean.

    Parameters
    ----------
    findings
        Of one or several recordings (sites, efforts) of one muscle. Units come with the measures of
        their MUAPs, ``measures`` with the rows of
        `emgsim.analysis.contractions.effort_measures`, ``runs`` with what was found at rest.
    reference
        What is normal in this muscle, and what the diseases make of it.
    age_years
        Of the patient.
    strongest
        Whether the strongest effort was asked for in one of the recordings. Without it nobody can
        tell a slight effort from a poor one, and the pattern says nothing of recruitment.

    Returns
    -------
    tuple of AxisFinding
        One for each of `AXES` of which something was measured.

    Raises
    ------
    ValueError
        If there are no findings, or the age is no age.
    """
    if not findings:
        raise ValueError("findings must hold at least one recording's, got none")
    if not 0 <= age_years <= 120:
        raise ValueError(f"age_years must be in 0..120, got {age_years}")
    units = counted(findings)
    recruitment = recruitment_measures(findings, strongest=strongest)
    patterns = {
        name: table
        for name, table in reference.recruitment.items()
        if strongest or not name.startswith("poor_effort")
    }
    found = (
        _denervation(findings),
        _muap_type(units, reference, age_years),
        _compared("recruitment", recruitment, patterns, age_years),
        _compared("stability", stability_measures(units), reference.stability, age_years),
        _special(findings),
    )
    return tuple(axis for axis in found if axis is not None)


def counted(findings: Sequence[Findings]) -> list[FoundUnit]:
    """Return the units whose MUAP is near enough, and averaged from enough discharges."""
    return [
        unit
        for one in findings
        for unit in one.units
        if unit.measures.get("rise_time_us", float("nan")) <= CRISP_US
        and unit.discharge_times_s.size >= FEWEST_DISCHARGES
    ]


def _axis(
    name: str, probabilities: Mapping[str, float], because: Mapping[str, float]
) -> AxisFinding:
    told = {value: float(probabilities.get(value, 0.0)) for value in AXES[name]}
    return AxisFinding(
        axis=name,
        value=max(told, key=lambda value: told[value]),
        probabilities=told,
        because={key: float(value) for key, value in because.items() if np.isfinite(value)},
    )


# -- rest ------------------------------------------------------------------------------------------


def _has_rest(findings: Sequence[Findings]) -> bool:
    return any(
        event.kind == "rest" and event.offset_s - event.onset_s >= PERSISTENT_S
        for one in findings
        for event in one.events
    )


def _denervation(findings: Sequence[Findings]) -> AxisFinding | None:
    """Look for fibrillations or positive sharp waves, more than one that does not last."""
    if not _has_rest(findings):
        return None
    sites = [[run for run in one.runs if run.kind in DENERVATION] for one in findings]
    runs = [run for site in sites for run in site]
    lasting = [run for run in runs if run.offset_s - run.onset_s >= PERSISTENT_S]
    weight = 1.0 if lasting or sum(map(bool, sites)) > 1 else ALONE
    none = float(np.prod([1 - weight * run.probability for run in runs]))
    because = {
        "runs": len(runs),
        "recordings_with_runs": sum(map(bool, sites)),
        "largest_grade": max((run.grade or 0.0 for run in runs), default=0.0),
    }
    return _axis("active_denervation", {"no": none, "yes": 1 - none}, because)


def _special(findings: Sequence[Findings]) -> AxisFinding | None:
    """Weigh the kinds against each other; each run stands for its own."""
    if not _has_rest(findings):
        return None
    kinds: dict[str, list[FoundRun]] = {}
    for run in (run for one in findings for run in one.runs if run.kind in SPECIAL):
        kinds.setdefault(SPECIAL[run.kind], []).append(run)
    absent = {
        kind: float(np.prod([1 - r.probability for r in runs])) for kind, runs in kinds.items()
    }
    weights = {kind: (1 - gone) / max(gone, 1e-9) for kind, gone in absent.items()}
    total = 1 + sum(weights.values())
    probabilities = {"none": 1 / total, **{kind: w / total for kind, w in weights.items()}}
    return _axis(
        "special_discharges",
        probabilities,
        {f"{kind}_runs": len(runs) for kind, runs in kinds.items()},
    )


# -- MUAPs -----------------------------------------------------------------------------------------


def _muap_type(
    units: Sequence[FoundUnit], reference: Reference, age_years: float
) -> AxisFinding | None:
    """Weigh the muscle types, mixtures of classes in each of which a MUAP is likely or not."""
    if len(units) < FEWEST_MUAPS:
        return None
    names = list(reference.muaps)
    each = np.array(
        [
            [log_likelihood(unit.measures, reference.muaps[name], age_years) for name in names]
            for unit in units
        ]
    )
    weight = reference.independence(len(units))
    types = {
        muscle: weight * float(np.sum(_log_mixture(each, [mixed.get(name, 0.0) for name in names])))
        for muscle, mixed in reference.mixtures.items()
    }
    even = np.full(len(names), 1 / len(names))
    own = np.exp(each + np.log(even) - _log_mixture(each, even)[:, None])
    because = {"muaps": len(units), **dict(_muap_means(units))}
    because |= {f"{name}_share": float(own[:, k].mean()) for k, name in enumerate(names)}
    return _axis("muap_type", shares(types), because)


def _log_mixture(each: Floats, mixed: Sequence[float] | Floats) -> Floats:
    """Return the log likelihood of each MUAP in a muscle that mixes the classes so."""
    top = each.max(axis=1)
    return np.asarray(top + np.log(np.exp(each - top[:, None]) @ np.asarray(mixed)))


def _muap_means(units: Sequence[FoundUnit]) -> Iterator[tuple[str, float]]:
    for name in ("amplitude_uv", "duration_ms", "size_index", "phases"):
        values = _told(units, name)
        if values.size:
            yield f"mean_{name}", float(np.mean(values))


# -- recruitment and stability ---------------------------------------------------------------------


def recruitment_measures(
    findings: Sequence[Findings], *, strongest: bool = True
) -> dict[str, float]:
    """Return what the recordings of one muscle show of recruitment, all taken together.

    Of the slight effort, in which units were told apart: how fast the fastest fire, and for how
    many units. Of the strongest one, the recordings with the fullest patterns: how large, even and
    fast.
    """
    rows = [{row["id"]: row["value"] for row in one.measures} for one in findings]
    return _slight(rows) | (_strongest(rows) if strongest else {})


def _slight(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    told = [row for row in rows if "recruitment.active_units" in row]
    if not told:
        return {}
    fastest = float(np.mean([row["recruitment.fastest_hz"] for row in told]))
    units = float(np.mean([row["recruitment.active_units"] for row in told]))
    return {"fastest_hz": fastest, "ratio_hz": fastest / units}


def _strongest(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    told = [row for row in rows if "interference.turns_per_s" in row]
    if not told:
        return {}
    most = max(row["interference.turns_per_s"] for row in told)
    full = [row for row in told if row["interference.turns_per_s"] >= FULL_SHARE * most]
    values = {
        name: [row[f"interference.{name}"] for row in full if f"interference.{name}" in row]
        for name in ("turns_per_s", "mean_amplitude_uv", "evenness", "pace_hz")
    }
    return {name: float(np.median(those)) for name, those in values.items() if those}


def stability_measures(units: Sequence[FoundUnit]) -> dict[str, float]:
    """Return what changes from discharge to discharge, over all units.

    ``mcd_us`` is the mean jitter of the units that have fibre pairs, ``incoherence`` one minus the
    median correlation of consecutive discharges (Stalberg & Sonoo 1994), ``blocked_share`` a mean.
    """
    jitter_us = _told(units, "mcd_us")
    blocked = _told(units, "blocked_share")
    coherence = _told(units, "jiggle_ccc")
    found = {"mcd_us": float(np.mean(jitter_us))} if jitter_us.size else {}
    if blocked.size:
        found["blocked_share"] = float(np.mean(blocked))
    if coherence.size:
        found["incoherence"] = max(LEAST_INCOHERENCE, 1 - float(np.median(coherence)))
    return found


def _told(units: Sequence[FoundUnit], name: str) -> Floats:
    values = np.array([unit.measures.get(name, np.nan) for unit in units], dtype=np.float64)
    return np.asarray(values[np.isfinite(values)])


def _compared(
    axis: str, measures: Mapping[str, float], table: Mapping[str, Table], age_years: float
) -> AxisFinding | None:
    """Compare with each form of each value; a value's forms share its chance."""
    if not any(name in spreads for name in measures for spreads in table.values()):
        return None
    forms = Counter(form.split(".")[0] for form in table)
    logs = {
        form: log_likelihood(measures, spreads, age_years) - math.log(forms[form.split(".")[0]])
        for form, spreads in table.items()
    }
    told: dict[str, float] = {}
    for form, share in shares(logs).items():
        value = form.split(".")[0]
        told[value] = told.get(value, 0.0) + share
    return _axis(axis, told, measures)
