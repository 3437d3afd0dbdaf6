"""A run as one self-contained page: it asks for nothing outside and computes no measurement."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from emgsim.records.journal import write_whole
from emgsim.records.record import RunRecord
from emgsim.report.material import Material, gather, paths
from emgsim.report.pictures import (
    alignment_picture,
    budget_picture,
    muaps_picture,
    raster_picture,
    waveforms_picture,
)
from emgsim.report.table import ordered, verdict_line
from emgsim.report.templates import ROOM, template_of
from emgsim.report.waveforms import viewer_json
from emgsim.report.why import anchors, reasons

PAGE = "report.html"
TEMPLATE = "page.html.jinja"
MOST_BYTES = 2_950_000  # of a page: it can be sent by mail
BADGES = {
    "pass": ("good", "✔"), "conditional_pass": ("fair", "✔"), "conditional_fail": ("poor", "✘"),
    "fail": ("bad", "✘"), "inconclusive": ("poor", "?"), "aborted": ("bad", "■"),
}  # fmt: skip


def write_page(folder: Path, record: RunRecord) -> Path:
    """Write ``report.html`` into a run's folder.

    Parameters
    ----------
    folder
        The run's folder. What is missing in it is named on the page.
    record
        The run.

    Returns
    -------
    Path
        The page: one file, at most 3 MB, whose bytes depend on the record and the files alone.
    """
    template = template_of(TEMPLATE)
    material = gather(folder, record)
    told = {
        "record": record,
        **_head(record),
        **_why(folder, record, material),
        **_scores(record),
        **_chain(record),
        **_pictures(material),
        "material": material,
        "traceability": record.table()["traceability"],
        **_script(),
    }
    # What the page weighs without its recordings says how much of them it can carry.
    left = MOST_BYTES - len(template.render(**told, waves="").encode("utf-8"))
    page = folder / PAGE
    write_whole(page, template.render(**told, waves=viewer_json(material, budget=left)))
    return page


def _head(record: RunRecord) -> dict[str, Any]:
    mood, mark = BADGES.get(record.verdict, ("none", "–"))
    measured = ordered(record.measurements)
    return {
        "title": record.scenario.get("title") or record.scenario.get("id") or "unknown scenario",
        "rig": record.rig.get("title") or record.rig.get("name") or record.rig.get("id") or "–",
        "badge": {"mood": mood, "mark": mark, "text": record.verdict.replace("_", " ")},
        "moods": {verdict: mood for verdict, (mood, _) in BADGES.items()},
        "verdict_line": verdict_line(record),
        "judged": [m for m in measured if m.verdict != "not_judged"],
        "reported": [m for m in measured if m.verdict == "not_judged"],
    }


def _why(folder: Path, record: RunRecord, material: Material) -> dict[str, Any]:
    """Return what did not pass outright with its pictures, and where each row leads."""
    these = reasons(folder, record, material)
    return {
        "reasons": these,
        "pictures_of": anchors(these),
        "rows_at": {m.id: f"row-{k}" for k, m in enumerate(record.measurements, start=1)},
    }


def _scores(record: RunRecord) -> dict[str, Any]:
    """Return the score rows of detectable or found units, the largest unit first, and the rest."""
    rows = [{"path": path, **row} for path in paths(record) for row in record.scores.get(path, [])]
    shown = [row for row in rows if row.get("detectable") or row.get("found_id") is not None]
    shown.sort(key=lambda row: (-float(row.get("amplitude_uv") or 0), str(row.get("truth_id"))))
    units = {row.get("truth_id") for row in rows} - {row.get("truth_id") for row in shown}
    strata = [
        {"path": path, **row}
        for path in paths(record)
        for row in record.strata.get(path, [])
        if row["tp"] or row["fp"] or row["fn"]
    ]
    return {"score_rows": shown, "n_units_not_shown": len(units), "strata_rows": strata}


def _chain(record: RunRecord) -> dict[str, Any]:
    alignments = {path: line.get("values", line) for path, line in record.alignments.items()}
    windows = {
        path: rows
        for path, values in alignments.items()
        if (rows := [w for w in values.get("windows", []) if None not in w])
    }
    names = {name: None for values in alignments.values() for name in values}
    names.pop("windows", None)
    return {
        "budgets": {path: (rows, budget_picture(rows)) for path, rows in record.budgets.items()},
        "alignments": alignments,
        "alignment_names": list(names),
        "alignment": alignment_picture(windows) if windows else None,
    }


def _pictures(material: Material) -> dict[str, Any]:
    """Return the pictures that the run's files allow."""
    has_units = bool(material.units) and material.truth is not None and bool(material.findings)
    heard = next((p for p in ("device", "loopback", "truth") if p in material.findings), None)
    return {
        "waveforms": waveforms_picture(material) if material.recordings else None,
        "muaps": muaps_picture(material) if has_units else None,
        "raster": raster_picture(material, heard) if has_units and heard else None,
        "raster_path": heard,
    }


def _script() -> dict[str, str]:
    """Return the viewer, and the digest by which the page allows this script only."""
    script = (ROOM / "viewer.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return {"script": script, "script_digest": digest}
