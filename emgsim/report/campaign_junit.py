"""A campaign as JUnit XML: one test suite per cell, one case per judged measurement."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from emgsim.records.campaign import CampaignRecord, judged_in
from emgsim.records.journal import Line
from emgsim.report.junit import FAILED, NOT_XML
from emgsim.report.notation import interval_text, unit_text, value_text, verdict_text
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
    root = ET.Element("testsuites", name=_clean(record.run.scenario.get("id", "campaign")))
    root.extend(_suite(cell) for cell in record.cells)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(cell: Line) -> ET.Element:
    cases = list(_cases(cell))
    counts = {
        name: str(sum(case.find(tag) is not None for case in cases))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    suite = ET.Element("testsuite", name=_clean(cell["id"]), tests=str(len(cases)))
    for name, text in (*counts.items(), ("time", f"{cell['seconds'] or 0.0:.3f}")):
        suite.set(name, text)
    facts = {key: cell[key] for key in ("scenario", "rig", "seed", "firmware", "folder", "verdict")}
    facts |= {f"sweep.{name}": value for name, value in cell["values"].items()}
    properties = ET.SubElement(suite, "properties")
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=_clean(name), value=_clean(value))
    suite.extend(cases)
    return suite


def _cases(cell: Line) -> Iterator[ET.Element]:
    if cell["status"] != "completed":
        case = ET.Element("testcase", classname=_clean(cell["id"]), name="run", time="0")
        is_error = cell["status"] in ("broken", "interrupted")
        why = [str(line) for line in cell["why"].values() if line]
        ET.SubElement(
            case, "error" if is_error else "skipped", type=cell["status"],
            message=_clean(why[0] if why else verdict_text(cell["status"])),
        ).text = _clean("\n".join(why))  # fmt: skip
        yield case
    for measurement in judged_in(cell):
        yield _case(cell, measurement)


def _case(cell: Line, m: Measurement) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(cell["id"]), name=_clean(m.id), time="0")
    if m.verdict in FAILED or m.verdict == "inconclusive":
        kind = "failure" if m.verdict in FAILED else "error"
        value = " ".join(filter(None, [value_text(m), unit_text(m.unit), interval_text(m)]))
        message = f"{verdict_text(m.verdict)}: {m.id} = {value}, limit {m.limit}"
        ET.SubElement(case, kind, type=m.verdict, message=_clean(message)).text = _clean(m.note)
    return case


def _clean(text: object) -> str:
    """Drop what XML 1.0 cannot hold."""
    return NOT_XML.sub("", str(text))
