"""An examination as one self-contained page: it asks for nothing outside and computes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from emgsim.records.examination import FINDERS, ExamRecord
from emgsim.records.journal import Line, write_whole
from emgsim.report.exam_table import lesion_words, words
from emgsim.report.notation import (
    number,
)
from emgsim.report.page import BADGES, PAGE
from emgsim.report.table import ordered, verdict_line
from emgsim.report.templates import template_of

TEMPLATE = "exam.html.jinja"
MOODS = {verdict: mood for verdict, (mood, _) in BADGES.items()}
TOLD = ("share", "years", "months", "weeks", "days", "root", "nerve", "grade")  # of a condition
PLACE_COLUMNS = {
    "insertional": "Insertional",
    "fibrillation": "Fibrillations",
    "positive_sharp_wave": "Positive sharp waves",
    "other": "Other",
    "n_muaps": "MUAPs",
}
COUNTED = ("n_muaps",)  # more or fewer of them are no error


def write_exam_page(folder: Path, record: ExamRecord) -> Path:
    """Write ``report.html`` into an examination's folder.

    Parameters
    ----------
    folder
        The examination's folder.
    record
        The examination.

    Returns
    -------
    Path
        The page: one file, whose bytes depend on the record alone.
    """
    template = template_of(
        TEMPLATE, {"words": words, "lesion": lesion_words, "fixed": _fixed, "pct": _pct}
    )
    run, examination = record.run, record.run.scenario
    mood, mark = BADGES.get(run.verdict, ("none", "–"))
    measured = ordered(run.measurements)
    text = template.render(
        record=record,
        run=run,
        examination=examination,
        finders=FINDERS,
        title=examination.get("title") or examination.get("id") or "unknown examination",
        rig=run.rig.get("title") or run.rig.get("id") or "–",
        badge={"mood": mood, "mark": mark, "text": run.verdict.replace("_", " ")},
        moods=MOODS,
        verdict_line=verdict_line(run),
        judged=[m for m in measured if m.verdict != "not_judged"],
        reported=[m for m in measured if m.verdict == "not_judged" and math.isfinite(m.value)],
        conditions=list(_conditions(examination)),
        axes=[(muscle, list(_axes(muscle, record))) for muscle in record.muscles],
        traceability=record.table()["traceability"],
        places=[_places(muscle) for muscle in record.muscles if muscle["places"]],
        totals={key: sum(m[key] for m in record.muscles) for key in ("holes", "moves", "seconds")},
    )
    page = folder / PAGE
    write_whole(page, text)
    return page


def _axes(muscle: Line, record: ExamRecord) -> Iterator[Line]:
    """Yield each axis of a muscle: what it shows, and what each finder made of it."""
    verdicts = {m.id: m.verdict for m in record.run.measurements}
    told = {k: {axis["axis"]: axis for axis in axes} for k, axes in muscle["axes"].items()}
    names = dict.fromkeys([*muscle["shows"], *(name for axes in told.values() for name in axes)])
    for name in names:
        shown = muscle["shows"].get(name)
        yield {
            "name": name,
            "shows": shown,
            "cells": [
                {
                    "axis": told.get(finder, {}).get(name),
                    "verdict": verdicts.get(
                        f"{muscle['name']}.{name}.{shown}.{finder}", "not_judged"
                    ),
                }
                for finder in FINDERS
            ],
        }


def _places(muscle: Line) -> tuple[Line, list[int], list[tuple[str, bool, list[list[str]]]]]:
    """Return a muscle, its places' numbers, and for each column each place's texts by finder.

    With each column comes whether another text than the truth's is an error.
    """
    told = [muscle["places"][finder] for finder in FINDERS if finder in muscle["places"]]
    rows = [
        (label, key not in COUNTED, [_cells(key, one) for one in zip(*told, strict=True)])
        for key, label in PLACE_COLUMNS.items()
    ]
    return muscle, [row["place"] for row in told[0]], rows


def _cells(key: str, rows: Sequence[Line]) -> list[str]:
    """Return what each finder found at a place; once, if all found the same."""
    texts = [_cell(row[key]) for row in rows]
    return texts[:1] if len(set(texts)) == 1 else texts


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return number(value)


def _conditions(examination: Line) -> Iterator[str]:
    """Yield what the patient has, each condition with what matters of it."""
    for row in examination.get("conditions") or ():
        facts = [f"{key} {words(number(row[key]))}" for key in TOLD if row.get(key) is not None]
        yield f"{words(row['kind'])} ({', '.join(facts)})" if facts else words(row["kind"])


def _fixed(value: float | None, places: int) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.{places}f}"


def _pct(value: float) -> str:
    return f"{100 * value:.0f} %" if 0.005 <= value <= 0.995 or value in (0, 1) else _edge(value)


def _edge(value: float) -> str:
    return "< 1 %" if value < 0.5 else "> 99 %"
