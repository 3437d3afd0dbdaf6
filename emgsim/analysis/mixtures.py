"""A muscle as a mixture of units of several classes: which units count, and what they speak for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.comparison import Reference, Table, log_likelihood, shares
from emgsim.recording import Findings, FoundUnit

Floats = NDArray[np.float64]

# Rise time of a MUAP that counts: 500 us is usual, but many from inside a territory exceed it
# (Barkhaus & Nandedkar).
CRISP_US = 700.0
# A potential as short comes from one or two fibres: a fibrillation that goes on during the effort.
SHORTEST_MS = 3.5
SUREST = 0.8  # mean confidence of the discharges of a unit that counts
FEWEST_DISCHARGES = 10


def counted(findings: Sequence[Findings]) -> list[FoundUnit]:
    """Return the units whose MUAP is near enough, and that surely are units."""
    return [unit for one in findings for unit in one.units if _counts(unit)]


def _counts(unit: FoundUnit) -> bool:
    """Tell whether a unit is near, and surely one."""
    return is_told(unit) and unit.measures.get("rise_time_us", np.inf) <= CRISP_US


def is_told(unit: FoundUnit) -> bool:
    """Tell whether a unit has been seen often and surely enough, and is no single fibre."""
    lasts = unit.measures.get("duration_ms", np.inf) >= SHORTEST_MS
    return is_sure(unit) and lasts and unit.discharge_times_s.size >= FEWEST_DISCHARGES


def is_sure(unit: FoundUnit, least: float = SUREST) -> bool:
    """Tell whether a unit's discharges are as sure as that in the mean; true ones are."""
    return unit.confidence is None or float(np.mean(unit.confidence)) >= least


def mixed(
    forms: Mapping[str, Mapping[str, float]],
    units: Sequence[FoundUnit],
    classes: Mapping[str, Table],
    reference: Reference,
    age_years: float,
) -> tuple[dict[str, float], dict[str, float]]:
    """Weigh mixtures of classes, in each of which a unit is likely or not.

    Parameters
    ----------
    forms
        By name of each mixture: the share of each class.
    units
        Of one muscle.
    classes
        What the measures are in each class.
    reference
        How measures depend on each other there, and how alike the units of a muscle are.
    age_years
        Of the patient.

    Returns
    -------
    logs, own : dict
        Log likelihood of each form, and the mean share of each class in these units.
    """
    if not units:
        return dict.fromkeys(forms, 0.0), {}
    names = list(classes)
    each = np.array(
        [
            [
                log_likelihood(
                    unit.measures, classes[name], age_years, reference.together.get(name)
                )
                for name in names
            ]
            for unit in units
        ]
    )
    weight = reference.independence(len(units))
    logs = {
        form: weight * float(np.sum(_log_mixture(each, [mix.get(name, 0.0) for name in names])))
        for form, mix in forms.items()
    }
    even = np.full(len(names), 1 / len(names))
    own = np.exp(each + np.log(even) - _log_mixture(each, even)[:, None]).mean(axis=0)
    return logs, {f"{name}_share": float(share) for name, share in zip(names, own, strict=True)}


def _log_mixture(each: Floats, mixture: Sequence[float] | Floats) -> Floats:
    """Return the log likelihood of each unit in a muscle that mixes the classes so."""
    top = each.max(axis=1)
    return np.asarray(top + np.log(np.exp(each - top[:, None]) @ np.asarray(mixture)))


def value_of(form: str) -> str:
    """Return the value of an axis of which this is a form, as "reduced.few" of "reduced"."""
    return form.partition(".")[0]


def of_values(logs: Mapping[str, float]) -> dict[str, float]:
    """Return probabilities of values from the log likelihoods of their forms.

    The forms of a value share its chance.
    """
    forms = Counter(map(value_of, logs))
    told: dict[str, float] = {}
    each = shares({form: log - math.log(forms[value_of(form)]) for form, log in logs.items()})
    for form, share in each.items():
        told[value_of(form)] = told.get(value_of(form), 0.0) + share
    return told
