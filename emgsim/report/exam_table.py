"""An examination for the terminal: findings, what they mean, and where the lesion is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emgsim.records.examination import FINDERS, ExamRecord
from emgsim.records.journal import Line
from emgsim.report.notation import one_line, unit_text, value_text, verdict_text
from emgsim.report.table import verdict_line

NOTHING = "–"
HEAD = (
    "", "insertional", "fib", "PSW", "fasc/min", "MUAPs", "mV", "ms", "poly %", "stability",
    "recruitment", "other",
)  # fmt: skip
GRADED = {"fibrillation": "fib", "positive_sharp_wave": "PSW"}
N_REASONS = 3
LESIONS = {"root": "radiculopathy", "nerve": "nerve lesion", "junction": "neuromuscular"}
CAPITALS = {"muap": "MUAP", "lems": "LEMS"}


def exam_table(record: ExamRecord) -> str:
    """Write an examination's findings and axes, muscle by muscle, its lesion and its verdict.

    Parameters
    ----------
    record
        The examination.

    Returns
    -------
    str
        Lines ended by a line break each. Every row is the truth's, or that of the analysis of the
        clean signal or of the device.
    """
    parts = [part for muscle in record.muscles for part in _muscle(muscle)]
    if record.localisation:
        parts += ["lesion", *_localisation(record)]
    parts += ["", *_verdicts(record)]
    return "".join(f"{part}\n" for part in parts)


def _muscle(muscle: Line) -> Iterator[str]:
    holes = "hole" if muscle["holes"] == 1 else "holes"
    yield (
        f"{words(muscle['name'])}: {muscle['holes']} {holes}, {muscle['moves']} needle moves, "
        f"{muscle['seconds']:.0f} s; run: {words(muscle['verdict'])}"
    )
    told = {label: muscle["row"][k] for k, label in FINDERS.items() if k in muscle["row"]}
    if not told:
        return
    yield from _aligned([HEAD, *((who, *_cells(row)) for who, row in told.items())])
    yield from _places(muscle)
    yield from _axes(muscle)
    yield ""


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["insertional"],
        row["fibrillation"],
        row["positive_sharp_wave"],
        _number(row["fasciculations_per_min"], 1),
        NOTHING if row["n_muaps"] is None else str(row["n_muaps"]),
        _number(row["amplitude_mv"], 2),
        _number(row["duration_ms"], 1),
        _number(row["polyphasia_pct"], 0),
        row["stability"],
        row["recruitment"],
        ", ".join(row["other"]) or "none",
    )


def _places(muscle: Line) -> Iterator[str]:
    """Yield a line for each grade that somebody found, a column for each place."""
    told = {label: muscle["places"][k] for k, label in FINDERS.items() if k in muscle["places"]}
    rows = [
        (f"{word}, {who}", *(row[kind] for row in of_one))
        for kind, word in GRADED.items()
        if any(row[kind] not in ("0", NOTHING) for of_one in told.values() for row in of_one)
        for who, of_one in told.items()
    ]
    if rows:
        numbers = [str(row["place"]) for row in next(iter(told.values()))]
        yield from _aligned([("place", *numbers), *rows])


def _axes(muscle: Line) -> Iterator[str]:
    """Yield a line for each axis, beside what it must show."""
    told = {k: {axis["axis"]: axis for axis in axes} for k, axes in muscle["axes"].items()}
    names = dict.fromkeys([*muscle["shows"], *(name for axes in told.values() for name in axes)])
    rows = [
        (
            words(name),
            words(muscle["shows"].get(name, "")),
            *(_axis(told[k].get(name)) for k in FINDERS if k in told),
        )
        for name in names
    ]
    yield from _aligned(
        [("axis", "must show", *(label for k, label in FINDERS.items() if k in told)), *rows]
    )


def _axis(axis: Line | None) -> str:
    if axis is None:
        return "not measured"
    return f"{words(axis['value'])} {axis['probabilities'][axis['value']]:.2f}"


def _localisation(record: ExamRecord) -> Iterator[str]:
    lesion = record.run.scenario.get("lesion")
    if lesion:
        yield f"  in truth: {lesion_words(lesion)}"
    for finder, told in record.localisation.items():
        place = f", the true one in place {told['rank']}" if told["rank"] else ""
        yield f"  by {FINDERS[finder]}{place}"
        yield from _aligned([_lesion(one) for one in told["lesions"]], indent="    ")


def _lesion(one: Line) -> tuple[str, str, str]:
    strong = sorted(one["because"], key=lambda reason: -abs(reason["nats"]))[:N_REASONS]
    why = (f"{words(r['what'])} {r['seen']} ({r['nats']:+.1f})" for r in strong)
    return f"{100 * one['probability']:5.1f} %", lesion_words(one), "; ".join(why)


def _verdicts(record: ExamRecord) -> Iterator[str]:
    """Yield what did not simply pass, and the verdict of all."""
    rows = [
        (
            verdict_text(m.verdict),
            m.id,
            f"{value_text(m)} {unit_text(m.unit)}".strip(),
            str(m.limit),
        )
        for m in record.run.measurements
        if m.verdict not in ("pass", "not_judged")
    ]
    if rows:
        yield from _aligned([("verdict", "measurement", "value", "limit"), *rows], indent="")
    kind = "went on after" if record.run.status == "completed" else "error"
    yield from (f"{kind}: {one_line(error.get('what', 'unknown'))}" for error in record.run.errors)
    yield verdict_line(record.run)


def _number(value: float | None, places: int) -> str:
    return NOTHING if value is None or math.isnan(value) else f"{value:.{places}f}"


def words(name: str) -> str:
    """Write a name of the catalogues as words."""
    return " ".join(CAPITALS.get(word, word) for word in name.split("_"))


def lesion_words(lesion: Mapping[str, Any]) -> str:
    """Write a lesion of the record as a clinician would.

    Examples
    --------
    >>> lesion_words({"kind": "root", "name": "C7"})
    'radiculopathy C7'
    """
    if lesion["kind"] == "none":
        return "no lesion"
    return f"{LESIONS.get(lesion['kind'], '')} {words(lesion['name'])}".strip()


def _aligned(rows: Sequence[Sequence[str]], indent: str = "  ") -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield indent + "  ".join(cells).rstrip()
