"""A run as JUnit XML, the form that build servers read.

Written is the form that pytest calls xunit2, with the properties of a case beneath it, where
Jenkins (``junit`` with ``keepProperties``), GitLab and test-management tools look for them. The
schema of Jenkins' xUnit plugin, ``junit-10.xsd``, knows properties of a suite alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from emgsim.records.journal import Line
from emgsim.records.record import RunRecord
from emgsim.report.notation import interval_text, unit_text, value_text, verdict_text
from emgsim.verdict import Measurement

FAILED = ("fail", "conditional_fail")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(record: RunRecord) -> str:
    """Write a run as one test suite with one test case per judged measurement.

    A fail or a conditional fail is a failure, an inconclusive measurement an error, a test that
    could not be made here is skipped. A run that did not complete has one more case, ``run``, whose
    error says what ended it. What was measured without a limit is a property of the suite.

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
    cases = [_case(m, name, record.readings.get(m.id, {})) for m in judged]
    cases += [_skipped(line, name) for line in record.skipped]
    if record.status != "completed":
        cases.insert(0, _aborted(record, name))
    seconds = sum(float(stage.get("seconds", 0.0)) for stage in record.stages)
    suite = suite_of(name, cases, seconds, _facts(record))
    if record.started:
        suite.set("timestamp", clean(record.started))
    root = ET.Element("testsuites")
    root.append(suite)
    return document(root)


def suite_of(name: str, cases: Sequence[ET.Element], seconds: float, facts: Line) -> ET.Element:
    """Return a suite of test cases, with what became of how many, and its properties."""
    tags = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    counts = {
        key: str(sum(case.find(tag) is not None for case in cases)) for key, tag in tags.items()
    }
    about = {"name": clean(name), "tests": str(len(cases)), **counts, "time": f"{seconds:.3f}"}
    suite = ET.Element("testsuite", about)
    suite.append(_properties(facts.items()))
    suite.extend(cases)
    return suite


def document(root: ET.Element) -> str:
    """Return the text of a file."""
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
    for m in record.measurements:
        if m.verdict == "not_judged":
            facts |= _measured(m, record.readings.get(m.id, {}))
    return facts


def _measured(m: Measurement, reading: Line) -> Line:
    """Return what is known of a measurement: ``measurement.<id>.value`` and so on.

    ``low`` and ``high`` bound its 95 % interval, ``u`` is its standard uncertainty.
    """
    expanded, factor = reading.get("uncertainty"), reading.get("coverage_factor")
    known = {
        "value": m.value,
        "unit": m.unit,
        "low": m.low,
        "high": m.high,
        "u": expanded / factor if expanded and factor else None,
        "limit": m.limit,
        "source": m.limit.source if m.limit else None,
        "verdict": None if m.limit is None else m.verdict,
    }
    return {f"measurement.{m.id}.{k}": v for k, v in known.items() if v not in (None, "")}


def _case(m: Measurement, suite: str, reading: Line) -> ET.Element:
    case = ET.Element("testcase", classname=clean(suite), name=clean(m.id), time="0")
    served = m.limit.requirements if m.limit else ()
    case.append(
        _properties([*_measured(m, reading).items(), *(("requirement", id) for id in served)])
    )
    tell_amiss(case, m)
    return case


def tell_amiss(case: ET.Element, m: Measurement) -> None:
    """Put into a test case what does not hold its limit, or is not told; nothing else."""
    if m.verdict in FAILED or m.verdict == "inconclusive":
        kind = "failure" if m.verdict in FAILED else "error"
        value = " ".join(filter(None, [value_text(m), unit_text(m.unit), interval_text(m)]))
        message = f"{verdict_text(m.verdict)}: {m.id} = {value}, limit {m.limit}"
        ET.SubElement(case, kind, type=m.verdict, message=clean(message)).text = clean(m.note)


def _skipped(line: Line, suite: str) -> ET.Element:
    name = clean(line.get("id", "unknown test"))
    case = ET.Element("testcase", classname=clean(suite), name=name, time="0")
    ET.SubElement(case, "skipped", type="skipped", message=clean(line.get("why", "")))
    return case


def _aborted(record: RunRecord, suite: str) -> ET.Element:
    case = ET.Element("testcase", classname=clean(suite), name="run", time="0")
    said = record.errors or ({"what": f"the run is {record.status}; its journal has no end"},)
    texts = [
        "\n".join(str(error[k]) for k in ("what", "where", "todo") if error.get(k))
        for error in said
    ]
    element = ET.SubElement(
        case, "error", type=record.status, message=clean(said[0].get("what", "unknown"))
    )
    element.text = clean("\n\n".join(texts))
    return case


def _properties(facts: Iterable[tuple[str, object]]) -> ET.Element:
    element = ET.Element("properties")
    for name, value in facts:
        ET.SubElement(element, "property", name=clean(name), value=clean(value))
    return element


def clean(text: object) -> str:
    """Drop what XML 1.0 cannot hold."""
    return NOT_XML.sub("", str(text))
