"""New runs against a baseline: which measurements are the same, which have changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emgsim.errors import UsageError
from emgsim.regression.baseline import Baseline, device_of, values_of
from emgsim.regression.equivalence import Comparison, answered_together, compare_means


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One measurement of a baseline beside that of new runs."""

    id: str
    unit: str
    comparison: Comparison


def checked_runs(baseline: Baseline, records: Sequence[Mapping[str, Any]]) -> list[Checked]:
    """Compare new runs with a baseline; its measurements are one family.

    Parameters
    ----------
    baseline
        An approved one.
    records
        As `emgsim.records.folders.record_table` returns them, of the same scenario and rig. The
        device and the detector may be others: whether that matters is the question.

    Raises
    ------
    UsageError
        If the baseline is not approved, the runs are of something else, or a measurement is
        missing in all of them.
    """
    if not baseline.is_approved:
        raise UsageError(
            f"baseline {baseline.id} is only proposed: nobody has approved it",
            todo=f"`emgsim golden approve {baseline.id} --by NAME --reason TEXT`",
        )
    for record in records:
        for part, wanted in (("scenario", baseline.scenario), ("rig", baseline.rig)):
            found = str(record.get(part, {}).get("id", ""))
            if found != wanted:
                raise UsageError(
                    f"baseline {baseline.id} is of {part} {wanted!r}, and run "
                    f"{record.get('run_id')} of {found!r}",
                    todo="compare runs with the baseline of their own scenario and rig",
                )
    compared = []
    for one in baseline.measurements:
        values, unit = values_of(one.id, records)
        if unit != one.unit:
            raise UsageError(f"{one.id} is in {unit!r}, the baseline's in {one.unit!r}")
        known = [value for value in values if math.isfinite(value)]
        if not known:
            raise UsageError(
                f"{one.id} was measured in none of the runs", todo="see why: `emgsim report RUN`"
            )
        compared.append(compare_means(one.values, known, one.margin))
    return [
        Checked(id=one.id, unit=one.unit, comparison=comparison)
        for one, comparison in zip(baseline.measurements, answered_together(compared), strict=True)
    ]


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
