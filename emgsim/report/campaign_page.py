"""A campaign as one self-contained page: it asks for nothing outside and computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from emgsim.records.campaign import PASSED, CampaignRecord, judged_in, worst
from emgsim.records.journal import Line, write_whole
from emgsim.report.campaign_pictures import (
    agreement_picture,
    axis_label,
    detection_picture,
    in_words,
)
from emgsim.report.campaign_table import cell_counts
from emgsim.report.notation import (
    verdict_text,
)
from emgsim.report.page import BADGES, PAGE
from emgsim.report.templates import template_of
from emgsim.verdict import Limit, Measurement

TEMPLATE = "campaign.html.jinja"
MARKS = BADGES | {
    "broken": ("bad", "■"), "interrupted": ("poor", "■"), "skipped": ("none", "–"),
    "not_run": ("none", "–"), "not_judged": ("none", "✔"),
}  # fmt: skip
MOODS = {verdict: mood for verdict, (mood, _) in MARKS.items()}


def write_campaign_page(folder: Path, record: CampaignRecord) -> Path:
    """Write ``report.html`` into a campaign's folder.

    Parameters
    ----------
    folder
        The campaign's folder.
    record
        The campaign.

    Returns
    -------
    Path
        The page: one file, whose bytes depend on the record alone.
    """
    template = template_of(TEMPLATE, {"in_words": in_words})
    table = record.table()
    mood, mark = MARKS[record.verdict]
    text = template.render(
        record=record,
        run=record.run,
        campaign=record.run.scenario,
        title=record.run.scenario.get("title") or record.run.scenario.get("id") or "campaign",
        badge={"mood": mood, "mark": mark, "text": verdict_text(record.verdict)},
        moods=MOODS,
        marks={verdict: mark for verdict, (_, mark) in MARKS.items()},
        told=cell_counts(record),
        **_grid(record.cells),
        unwell=[cell for cell in record.cells if cell["verdict"] not in PASSED],
        broken=list(_broken(record.cells)),
        failures=list(_failures(record.cells)),
        detection=list(_detection(table["detection"])),
        agreement=list(_agreement(table["agreement"])),
        traceability=table["requirements"],
    )
    page = folder / PAGE
    write_whole(page, text)
    return page


def _grid(cells: Sequence[Line]) -> dict[str, Any]:
    """Return the verdicts by scenario, and by rig and values of the sweeps."""
    columns = list(dict.fromkeys(_column(cell) for cell in cells))
    rows = []
    for scenario in dict.fromkeys(cell["scenario"] for cell in cells):
        own = [cell for cell in cells if cell["scenario"] == scenario]
        places = [[c for c in own if _column(c) == column] for column in columns]
        rows.append({"scenario": scenario, "title": own[0]["title"],
                     "places": [_place(place) for place in places]})  # fmt: skip
    sweeps = list(cells[0]["values"]) if cells else []
    heads = [list(_spans(columns, depth)) for depth in range(1 + len(sweeps))]
    return {"heads": heads, "rows": rows, "sweeps": sweeps}


def _spans(columns: Sequence[tuple[Any, ...]], depth: int) -> Iterator[tuple[Any, int]]:
    """Yield the heads of one row, each with the number of columns that it stands above."""
    for _, group in groupby(columns, key=lambda column: column[: depth + 1]):
        under = list(group)
        yield under[0][depth], len(under)


def _column(cell: Line) -> tuple[Any, ...]:
    return (cell["rig"], *cell["values"].values())


def _place(cells: Sequence[Line]) -> Line:
    """Return what the seeds of one place of the grid came to."""
    n_passed = sum(cell["verdict"] in PASSED for cell in cells)
    return {"cells": cells, "n_passed": n_passed, "verdict": worst(c["verdict"] for c in cells)}


def _broken(cells: Sequence[Line]) -> Iterator[tuple[Line, list[Line]]]:
    """Yield what kept cells from a verdict, the same words once, with their cells."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for cell in cells:
        if cell["status"] not in ("completed", "not_run"):
            groups.setdefault((cell["status"], cell["why"]["what"]), []).append(cell)
    for those in groups.values():
        yield those[0]["why"], those


def _failures(
    cells: Sequence[Line],
) -> Iterator[tuple[Limit | None, list[tuple[Line, Measurement]]]]:
    """Yield each limit that was not passed, with the cells and their measurements."""
    groups: dict[Limit | None, list[tuple[Line, Measurement]]] = {}
    for cell in cells:
        for m in judged_in(cell):
            if m.verdict not in PASSED:
                groups.setdefault(m.limit, []).append((cell, m))
    yield from groups.items()


def _detection(series: Sequence[Line]) -> Iterator[Line]:
    """Yield for each axis its series and their picture."""
    for axis in dict.fromkeys(line["axis"] for line in series):
        own = [line for line in series if line["axis"] == axis]
        label = axis_label(own[0])
        is_narrow = len({in_words(line["of"]) for line in own}) == 1
        yield {"axis": axis, "label": label, "series": own, "picture": detection_picture(own),
               "is_narrow": is_narrow}  # fmt: skip


def _agreement(lines: Sequence[Line]) -> Iterator[Line]:
    for rig in dict.fromkeys(line["rig"] for line in lines):
        own = [line for line in lines if line["rig"] == rig]
        yield {"rig": rig, "lines": own, "picture": agreement_picture(own)}
