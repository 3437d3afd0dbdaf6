"""A run as JUnit XML, the form that build servers read."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from emgsim.records.journal import Line
from emgsim.records.record import RunRecord
from emgsim.report.notation import interval_text, unit_text, value_text, verdict_text
from emgsim.verdict import Measurement

FAILED = ("fail", "conditional_fail")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(record: RunRecord) -> str:
    """Write a run as one test suite with one test case per judged measurement.

    A fail or a conditional fail is a failure, an inconclusive measurement an error. A run that did
    not complete has one more case, ``run``, whose error says what ended it.

    Parameters
    ----------
    record
        The run.

    Returns
    -------
    str
        The file's text.
    """
    judged = [m for m in record.measurements if m.verdict != "not_judged"]
    name = str(record.scenario.get("id", "unknown scenario"))
    cases = [_case(m, name) for m in judged]
    if record.status != "completed":
        cases.insert(0, _aborted(record, name))
    suite = ET.Element(
        "testsuite",
        name=_clean(name),
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        time=f"{sum(float(s.get('seconds', 0.0)) for s in record.stages):.3f}",
    )
    if record.started:
        suite.set("timestamp", _clean(record.started))
    suite.append(_properties(_facts(record)))
    suite.extend(cases)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _facts(record: RunRecord) -> Line:
    """Return what the whole suite shares."""
    facts = {
        "run_id": record.run_id,
        "verdict": record.verdict,
        "seed": record.seed,
        "rig": record.rig.get("name") or record.rig.get("id") or "unknown",
    }
    facts |= {f"version.{name}": text for name, text in sorted(record.versions.items())}
    for role, identity in sorted(record.identities.items()):
        facts |= {f"{role}.{key}": text for key, text in sorted(identity.items())}
    return facts


def _case(m: Measurement, suite: str) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(suite), name=_clean(m.id), time="0")
    facts = {"value": m.value, "unit": m.unit, "low": m.low, "high": m.high, "limit": m.limit,
             "source": m.limit.source if m.limit else "", "verdict": m.verdict}  # fmt: skip
    case.append(_properties({k: v for k, v in facts.items() if v not in (None, "")}))
    if m.verdict in FAILED or m.verdict == "inconclusive":
        kind = "failure" if m.verdict in FAILED else "error"
        value = " ".join(filter(None, [value_text(m), unit_text(m.unit), interval_text(m)]))
        message = f"{verdict_text(m.verdict)}: {m.id} = {value}, limit {m.limit}"
        ET.SubElement(case, kind, type=m.verdict, message=_clean(message)).text = _clean(m.note)
    return case


def _aborted(record: RunRecord, suite: str) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(suite), name="run", time="0")
    said = record.errors or ({"what": f"the run is {record.status}; its journal has no end"},)
    texts = [
        "\n".join(str(error[k]) for k in ("what", "where", "todo") if error.get(k))
        for error in said
    ]
    element = ET.SubElement(
        case, "error", type=record.status, message=_clean(said[0].get("what", "unknown"))
    )
    element.text = _clean("\n\n".join(texts))
    return case


def _properties(facts: Line) -> ET.Element:
    element = ET.Element("properties")
    for name, value in facts.items():
        ET.SubElement(element, "property", name=_clean(name), value=_clean(value))
    return element


def _clean(text: object) -> str:
    """Drop what XML 1.0 cannot hold."""
    return NOT_XML.sub("", str(text))
