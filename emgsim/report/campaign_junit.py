"""A campaign as JUnit XML: one test suite per cell, one case per judged measurement."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from emgsim.records.campaign import CampaignRecord, judged_in
from emgsim.records.journal import Line
from emgsim.report.junit import clean, document, suite_of, tell_amiss
from emgsim.report.notation import verdict_text
from emgsim.verdict import Measurement


def campaign_junit(record: CampaignRecord) -> str:
    """Write a campaign as test suites, one for each cell and named after it.

    A fail or a conditional fail is a failure, an inconclusive measurement an error. A cell without
    a verdict has the one case ``run``: an error if it is broken or was interrupted, else skipped.

    Parameters
    ----------
    record
        The campaign.

    Returns
    -------
    str
        The file's text.
    """
    root = ET.Element("testsuites", name=clean(record.run.scenario.get("id", "campaign")))
    root.extend(_suite(cell) for cell in record.cells)
    return document(root)


def _suite(cell: Line) -> ET.Element:
    facts = {key: cell[key] for key in ("scenario", "rig", "seed", "firmware", "folder", "verdict")}
    facts |= {f"sweep.{name}": value for name, value in cell["values"].items()}
    return suite_of(cell["id"], list(_cases(cell)), cell["seconds"] or 0.0, facts)


def _cases(cell: Line) -> Iterator[ET.Element]:
    if cell["status"] != "completed":
        case = ET.Element("testcase", classname=clean(cell["id"]), name="run", time="0")
        is_error = cell["status"] in ("broken", "interrupted")
        why = [str(line) for line in cell["why"].values() if line]
        ET.SubElement(
            case, "error" if is_error else "skipped", type=cell["status"],
            message=clean(why[0] if why else verdict_text(cell["status"])),
        ).text = clean("\n".join(why))  # fmt: skip
        yield case
    for measurement in judged_in(cell):
        yield _case(cell, measurement)


def _case(cell: Line, m: Measurement) -> ET.Element:
    case = ET.Element("testcase", classname=clean(cell["id"]), name=clean(m.id), time="0")
    tell_amiss(case, m)
    return case
