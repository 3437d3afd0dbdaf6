"""New runs against a baseline: which measurements are the same, which have changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from emgsim.errors import InputError, UsageError
from emgsim.regression.baseline import Approved, Baseline, device_of, values_of
from emgsim.regression.equivalence import Comparison, answered_together, compare_means


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One measurement of a baseline beside that of new runs.

    ``note`` says why there is nothing to compare it with, where that is so.
    """

    id: str
    unit: str
    comparison: Comparison
    note: str = ""


def checked_runs(baseline: Baseline, records: Sequence[Mapping[str, Any]]) -> list[Checked]:
    """Compare new runs with a baseline; its measurements are one family.

    Parameters
    ----------
    baseline
        An approved one.
    records
        As `emgsim.records.folders.record_table` returns them, of the same scenario and rig. The
        device and the detector may be others: whether that matters is the question.

    Returns
    -------
    list of Checked
        One per measurement of the baseline, in its order. One that none of the runs has, or has in
        another unit, is answered with *not enough data* and a note; the others are compared.

    Raises
    ------
    InputError
        If the baseline is not approved.
    UsageError
        If the runs are of something else.
    """
    if not baseline.is_approved:
        raise InputError(
            f"baseline {baseline.id} is only proposed: nobody has approved it",
            where=f"by, on and reason of baseline {baseline.id}",
            todo="take the file from the repository again, or propose and approve a new one",
        )
    _refuse_strangers(baseline, records)
    rows = [_compared(one, records) for one in baseline.measurements]
    known = iter(answered_together([row.comparison for row in rows if not row.note]))
    return [row if row.note else replace(row, comparison=next(known)) for row in rows]


def _refuse_strangers(baseline: Baseline, records: Sequence[Mapping[str, Any]]) -> None:
    for record in records:
        for part, wanted in (("scenario", baseline.scenario), ("rig", baseline.rig)):
            found = str(record.get(part, {}).get("id", ""))
            if found != wanted:
                raise UsageError(
                    f"baseline {baseline.id} is of {part} {wanted!r}, and run "
                    f"{record.get('run_id')} of {found!r}",
                    todo="compare runs with the baseline of their own scenario and rig",
                )


def _compared(one: Approved, records: Sequence[Mapping[str, Any]]) -> Checked:
    """Compare one measurement by itself, or say why that cannot be."""
    values, unit = values_of(one.id, records)
    known = [value for value in values if math.isfinite(value)]
    if known and unit == one.unit:
        found = compare_means(one.values, known, one.margin)
        return Checked(id=one.id, unit=one.unit, comparison=found)
    note = f"it is in {unit!r} now, then in {one.unit!r}" if known else "it was in none of the runs"
    nothing = Comparison(
        difference=math.nan,
        low=-math.inf,
        high=math.inf,
        margin=one.margin,
        n_before=len(one.values),
        n_now=0,
        p_changed=1.0,
        p_equivalent=1.0,
        power=0.0,
        answer="not enough data",
    )
    return Checked(id=one.id, unit=one.unit, comparison=nothing, note=note)


def changes_of_setting(baseline: Baseline, record: Mapping[str, Any]) -> list[str]:
    """Return in words what else is not as it was when the baseline was made."""
    now = {
        "device": device_of(record),
        "detector": str(record.get("detector", {}).get("name", "")),
        "commit": str(record.get("checkout", {}).get("commit", "")),
    }
    before = {"device": baseline.device, "detector": baseline.detector, "commit": baseline.commit}
    return [
        f"{name} {before[name] or '-'}, now {now[name] or '-'}"
        for name in now
        if now[name] != before[name]
    ]
