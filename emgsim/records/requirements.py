"""What has verified each requirement: the traceability table of one record or of many.

A requirement is declared where a limit names it: in the scenario, in a device's data sheet, in an
examination. Its evidence are the measurements that the limit judged. What was declared and not
measured is evidence as well, of nothing: the requirement is not verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from emgsim.records.journal import Line

NOT_MEASURED, NOT_VERIFIED = "not_measured", "not_verified"
WORST_FIRST = (  # as of a run: what could not be told is worse than what was told with doubt
    "fail", "inconclusive", NOT_MEASURED, "conditional_fail", "conditional_pass", "pass",
)  # fmt: skip
UNTOLD = ("inconclusive", NOT_MEASURED)


def traceability(records: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Return what has verified each requirement.

    Parameters
    ----------
    records
        Of runs and of examinations, one or many, as `emgsim.records.folders.record_table` returns
        them.

    Returns
    -------
    list of dict
        One row per requirement, by its id: ``requirement``, ``verdict`` and ``evidence``. The
        verdict is the worst of the evidence's, ``not_verified`` where that is inconclusive or was
        not measured. The rows of the evidence, in the order of the records, have ``run_id``,
        ``measurement``, ``value`` (None if unknown), ``unit``, ``low`` and ``high`` (of the limit),
        ``verdict`` and ``note``.
    """
    found: dict[str, list[Line]] = {}
    for record in records:
        for id, evidence in [*_measured(record), *_not_measured(record)]:
            found.setdefault(id, []).append(evidence)
    return [
        {"requirement": id, "verdict": _worst(found[id]), "evidence": found[id]}
        for id in sorted(found)
    ]


def _worst(evidence: Iterable[Line]) -> str:
    seen = {row["verdict"] for row in evidence}
    worst = next((verdict for verdict in WORST_FIRST if verdict in seen), NOT_MEASURED)
    return NOT_VERIFIED if worst in UNTOLD else worst


def _measured(record: Mapping[str, Any]) -> Iterator[tuple[str, Line]]:
    """Yield the measurements of a record, once for each requirement that they serve."""
    for m in record.get("measurements", ()):
        limit = m.get("limit") or {}
        for id in limit.get("requirements", ()):
            yield id, _evidence(record, m["id"], m["verdict"], m.get("note", ""), m)


def _not_measured(record: Mapping[str, Any]) -> Iterator[tuple[str, Line]]:
    """Yield what a record's files declare and no measurement of it has served."""
    served = [
        (id, m["id"])
        for m in record.get("measurements", ())
        for id in (m.get("limit") or {}).get("requirements", ())
    ]
    why = {line.get("id"): str(line.get("why", "")) for line in record.get("skipped", ())}
    for id, name in dict.fromkeys(_declared(record)):
        if not any(
            one == id and (made == name or made.startswith(f"{name}.")) for one, made in served
        ):
            yield id, _evidence(record, name, NOT_MEASURED, _reason(name, why))


def _declared(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each requirement that a record's files name, and what is to be measured for it."""
    yield from _of_limits((record.get("scenario") or {}).get("limits", ()))
    for name, row in ((record.get("device") or {}).get("sheet") or {}).items():
        yield from ((id, name) for id in row.get("requirement", ()))
    for exam in (record.get("examination") or {}).get("muscles", ()):
        muscle = exam["muscle"]["name"]
        for id, name in _of_limits(exam.get("limits", ())):
            yield id, f"{muscle}.{name}"
        for axis, value in exam.get("shows", {}).items():
            yield from ((id, f"{muscle}.{axis}.{value}") for id in exam.get("requirement", ()))


def _of_limits(limits: Iterable[Line]) -> Iterator[tuple[str, str]]:
    for limit in limits:
        yield from ((id, limit["measurement"]) for id in limit.get("requirement", ()))


def _reason(name: str, why: Mapping[Any, str]) -> str:
    """Return why a test was skipped, by its id or the beginning of it."""
    words = name.split(".")
    ids = (".".join(words[:n]) for n in range(len(words), 0, -1))
    return next((why[id] for id in ids if id in why), "not measured in this run")


def _evidence(
    record: Mapping[str, Any],
    name: str,
    verdict: str,
    note: str,
    m: Mapping[str, Any] | None = None,
) -> Line:
    m = m or {}
    limit = m.get("limit") or {}
    return {
        "run_id": record.get("run_id", ""),
        "measurement": name,
        "value": m.get("value"),
        "unit": m.get("unit", ""),
        "low": limit.get("low"),
        "high": limit.get("high"),
        "verdict": verdict,
        "note": note,
    }
