"""What a muscle's recordings mean, axis by axis, each value with its probability and its reasons.

Nothing is learnt and hidden: every measure is compared with what it is, mean and scatter, in each
of the classes of an axis (`emgsim.references`), and Bayes' rule turns the likelihoods into
probabilities, all classes being equally likely before. Each unit votes for itself, an idea of Pino
and Stashuk 2008: a muscle is a mixture of MUAPs of three classes, and the muscle types differ by
their shares; so are steady and unsteady units. A measure that is missing is left out; an axis of
which nothing was measured is not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.comparison import Reference, Table, log_likelihood
from emgsim.analysis.mixtures import counted, is_sure, is_told, mixed, of_values, value_of
from emgsim.analysis.spontaneous import denervation, special_discharges
from emgsim.recording import AxisFinding, Findings, FoundUnit

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
FEWEST_MUAPS = 3
SPIKES_PER_S = 50.0  # turns of 100 uV in a slight effort in which units can be told apart
SLIGHT_SHARE = 0.5  # of the fullest pattern's turns: in fuller ones nobody tells units apart
FEWEST_EFFORTS = 3  # slight ones, before it means something that no unit was told apart
# Mean confidence of the discharges of a unit that says how steady it is: with another's among them
# the steadiest unit strays [P]
STEADY_SURE = 0.95
UNWILLED = ("myotonia", "complex_repetitive", "myokymia_neuromyotonia")  # fast trains
LIKELY = 0.5
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
    untold = untold_efforts(findings) if strongest else (0, 0)
    muaps = _muap_type(units, reference, age_years)
    stability = _stability(units, untold, reference, age_years)
    found = (
        _heard("active_denervation", denervation(findings)),
        muaps,
        _recruitment(recruitment, patterns, (muaps, stability), reference, age_years),
        stability,
        _heard("special_discharges", special_discharges(findings)),
    )
    return tuple(axis for axis in found if axis is not None)


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


def _heard(
    name: str, found: tuple[Mapping[str, float], Mapping[str, float]] | None
) -> AxisFinding | None:
    return None if found is None else _axis(name, *found)


# -- MUAPs -----------------------------------------------------------------------------------------


def _muap_type(
    units: Sequence[FoundUnit], reference: Reference, age_years: float
) -> AxisFinding | None:
    """Weigh the types of muscle by what its MUAPs are."""
    if len(units) < FEWEST_MUAPS:
        return None
    logs, own = mixed(_forms("muap_type", reference), units, reference.muaps, reference, age_years)
    because = {"muaps": len(units), **dict(_muap_means(units)), **own}
    return _axis("muap_type", of_values(logs), because)


def _forms(axis: str, reference: Reference) -> dict[str, Mapping[str, float]]:
    """Return the mixtures of an axis, by form of its values."""
    mixtures = reference.mixtures.items()
    return {form: mixture for form, mixture in mixtures if value_of(form) in AXES[axis]}


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
    many units; nothing where fibres or axons fire by themselves in fast trains, which the effort
    sets off and which are told apart as units too. Of the strongest one, the recordings with the
    fullest patterns: how large, even and fast.
    """
    rows = [{row["id"]: row["value"] for row in one.measures} for one in findings]
    special = special_discharges(findings)
    is_willed = special is None or max(special[0].get(name, 0.0) for name in UNWILLED) < LIKELY
    return (_slight(rows) if is_willed else {}) | (_strongest(rows) if strongest else {})


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


def _stability(
    units: Sequence[FoundUnit],
    untold: tuple[int, int],
    reference: Reference,
    age_years: float,
) -> AxisFinding | None:
    """Weigh a muscle of steady units against one in which many are not.

    Where most fibres are blocked now and then, no potential repeats itself: then units cannot be
    told apart although the needle hears their spikes.
    """
    names = {name for table in reference.stability.values() for name in table}
    told = [
        u
        for u in units
        if is_sure(u, STEADY_SURE)
        and any(np.isfinite(u.measures.get(name, np.nan)) for name in names)
    ]
    alone, efforts = untold if untold[1] >= FEWEST_EFFORTS else (0, 0)
    if not told and not efforts:
        return None
    logs, own = mixed(
        _forms("stability", reference), told, reference.stability, reference, age_years
    )
    for form in logs:
        share = reference.untold[form]
        logs[form] += alone * math.log(share) + (efforts - alone) * math.log(1 - share)
    because = {"units": len(told), "efforts": efforts, "untold_efforts": alone}
    return _axis("stability", of_values(logs), because | stability_measures(told) | own)


def untold_efforts(findings: Sequence[Findings]) -> tuple[int, int]:
    """Return in how many slight efforts no unit was told apart, and how many there are.

    Those count in which the needle heard spikes.
    """
    turns = {
        k: row["value"]
        for k, one in enumerate(findings)
        for row in one.measures
        if row["id"] == "interference.turns_per_s"
    }
    most = SLIGHT_SHARE * max(turns.values(), default=0.0)
    slight = [findings[k] for k, per_s in turns.items() if SPIKES_PER_S <= per_s <= most]
    return sum(not any(map(is_told, one.units)) for one in slight), len(slight)


def stability_measures(units: Sequence[FoundUnit]) -> dict[str, float]:
    """Return what changes from discharge to discharge, over all units.

    ``mcd_us`` and ``blocked_share`` are means over the units that have fibre pairs; medians are
    ``near_fibre_jiggle_us`` and ``widest_jiggle_us``, what all near fibres of a unit, and those
    that stray farthest, do beyond the noise (`emgsim.analysis.near_fibre.near_fibre_jiggle`).
    """
    found = {}
    for name, of in (
        ("mcd_us", np.mean),
        ("blocked_share", np.mean),
        ("near_fibre_jiggle_us", np.median),
        ("widest_jiggle_us", np.median),
    ):
        values = _told(units, name)
        if values.size:
            found[name] = float(of(values))
    return found


def _told(units: Sequence[FoundUnit], name: str) -> Floats:
    values = np.array([unit.measures.get(name, np.nan) for unit in units], dtype=np.float64)
    return np.asarray(values[np.isfinite(values)])


def _recruitment(
    measures: Mapping[str, float],
    patterns: Mapping[str, Table],
    others: Sequence[AxisFinding | None],
    reference: Reference,
    age_years: float,
) -> AxisFinding | None:
    """Compare with each form of each value, as likely as it is beside the other axes."""
    if not any(name in spreads for name in measures for spreads in patterns.values()):
        return None
    logs = {
        form: log_likelihood(measures, spreads, age_years, reference.together.get(form))
        + sum(math.log(_likely(form, axis, reference)) for axis in others if axis)
        for form, spreads in patterns.items()
    }
    return _axis("recruitment", of_values(logs), measures)


def _likely(form: str, axis: AxisFinding, reference: Reference) -> float:
    """Return how many times as likely a form of recruitment is beside what an axis shows."""
    shares = axis.probabilities.items()
    return sum(share * reference.beside.get(value, {}).get(form, 1.0) for value, share in shares)
