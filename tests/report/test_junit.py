from dataclasses import replace
from xml.etree import ElementTree as ET

from emgsim.records.record import RunRecord
from emgsim.report.junit import junit_xml
from emgsim.verdict import Limit, Measurement, judge


def suite_of(record: RunRecord) -> ET.Element:
    suite = ET.fromstring(junit_xml(record)).find("testsuite")  # noqa: S314
    assert suite is not None
    return suite


def properties(element: ET.Element) -> dict[str, str]:
    return {p.attrib["name"]: p.attrib["value"] for p in element.iterfind("properties/property")}


def test_each_judged_measurement_is_a_case(run) -> None:
    """Reported measurements are no cases, and the counts agree with what stands below them."""
    suite = suite_of(run[1])
    assert suite.attrib["name"] == "healthy_biceps"
    assert [case.attrib["name"] for case in suite.iterfind("testcase")] == [
        "discharges.f1.truth", "discharges.f1.device", "noise.rms.device", "noise.rms.loopback",
        "alignment.gain.loopback"]  # fmt: skip
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["errors"]) == (
        "5", "2", "1")  # fmt: skip
    assert properties(suite)["seed"] == "2"
    assert properties(suite)["device.model"] == "NA1"


def test_fails_are_failures_and_inconclusive_is_an_error(run) -> None:
    """A conditional fail is a failure too; a pass has neither."""
    cases = {case.attrib["name"]: case for case in suite_of(run[1]).iterfind("testcase")}
    failure = cases["discharges.f1.device"].find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "conditional_fail"
    assert "0.8997 [0.8600, 0.9400], limit >= 0.9" in failure.attrib["message"]
    assert failure.text == "unit 83 was missed"
    assert cases["noise.rms.loopback"].find("error") is not None
    assert cases["alignment.gain.loopback"].find("failure") is not None
    assert [child.tag for child in cases["noise.rms.device"]] == ["properties"]


def test_a_case_carries_its_value_in_full(run) -> None:
    """Build servers get the numbers unrounded, with unit, interval and limit."""
    suite = suite_of(run[1])
    known = {
        "value": "1.5812", "unit": "uV", "low": "1.5723", "high": "1.5901", "limit": "<= 2 uV",
        "source": "an example", "verdict": "pass"}  # fmt: skip
    assert properties(suite.findall("testcase")[2]) == {
        f"measurement.noise.rms.device.{key}": text for key, text in known.items()
    }
    assert properties(suite)["measurement.units.count.device.value"] == "4.0"


def test_a_case_names_each_requirement_and_the_standard_uncertainty() -> None:
    """Test-management tools link by a property of its own for each; u is U over its factor."""
    limit = Limit(measurement="gain", high=1.0, unit="%", requirements=("SRS-1", "SRS-2"))
    record = RunRecord(
        status="completed",
        measurements=(judge(Measurement(id="gain", value=0.5, unit="%"), limit),),
        readings={"gain": {"id": "gain", "uncertainty": 0.5, "coverage_factor": 2.0}},
    )
    case = suite_of(record).find("testcase")
    assert case is not None
    assert properties(case)["measurement.gain.u"] == "0.25"
    served = case.findall("properties/property[@name='requirement']")
    assert [one.attrib["value"] for one in served] == ["SRS-1", "SRS-2"]


def test_a_test_that_could_not_be_made_is_skipped_with_its_reason() -> None:
    """Nobody takes what was not made for passed."""
    record = RunRecord(status="completed", skipped=({"id": "cmrr", "why": "no such state"},))
    suite = suite_of(record)
    assert (suite.attrib["tests"], suite.attrib["skipped"]) == ("1", "1")
    skipped = suite.find("testcase[@name='cmrr']/skipped")
    assert skipped is not None
    assert skipped.attrib["message"] == "no such state"


# What a build server's parser holds to be JUnit: the elements, their attributes and what may stand
# in them; of each attribute whether it must be there. Own writing, after pytest's xunit2.
FORM: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time"},
        {"timestamp"},
        {"properties", "testcase"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": (
        {"name", "classname", "time"}, set(), {"properties", "failure", "error", "skipped"}
    ),
    "failure": ({"type", "message"}, set(), set()),
    "error": ({"type", "message"}, set(), set()),
    "skipped": ({"type", "message"}, set(), set()),
}  # fmt: skip


def test_the_file_has_the_form_that_build_servers_read(run) -> None:
    """Elements and attributes are those of the form, the counts agree, and times are numbers."""
    errors = ({"what": "the amplifier hung up"},)
    skipped = ({"id": "cmrr", "why": "no such state"},)
    for record in (run[1], replace(run[1], status="aborted", errors=errors, skipped=skipped)):
        root = ET.fromstring(junit_xml(record))  # noqa: S314
        for element in root.iter():
            needed, allowed, inside = FORM[element.tag]
            assert needed <= set(element.attrib) <= needed | allowed, element.tag
            assert {child.tag for child in element} <= inside, element.tag
        suite = root.find("testsuite")
        assert suite is not None
        for attribute, path in (("tests", ""), ("failures", "/failure"), ("errors", "/error"),
                                ("skipped", "/skipped")):  # fmt: skip
            assert int(suite.attrib[attribute]) == len(suite.findall(f"testcase{path}"))
        assert float(suite.attrib["time"]) >= 0
        names = [case.attrib["name"] for case in suite.iterfind("testcase")]
        assert len(set(names)) == len(names)  # a trend is kept by name


def test_an_aborted_run_is_an_error_that_says_why(run) -> None:
    """The first case is the run itself; what was judged before stays."""
    errors = ({"what": "the amplifier hung up", "where": "ttyUSB0", "todo": "check the cable"},)
    suite = suite_of(replace(run[1], status="aborted", errors=errors))
    error = suite.find("testcase[@name='run']/error")
    assert error is not None
    assert error.attrib == {"type": "aborted", "message": "the amplifier hung up"}
    assert error.text == "the amplifier hung up\nttyUSB0\ncheck the cable"
    assert (suite.attrib["tests"], suite.attrib["errors"]) == ("6", "2")


def test_a_journal_without_an_end_is_an_error_too() -> None:
    """A run that died without a word still gives a file that a build server reads."""
    error = suite_of(RunRecord(status="aborted")).find("testcase/error")
    assert error is not None
    assert "no end" in error.attrib["message"]


def test_hostile_texts_stay_texts() -> None:
    """Markup is escaped, and what XML cannot hold is dropped."""
    limit = Limit(measurement="x", high=0.0, unit="1")
    m = judge(Measurement(id='<x a="b">\x00\x1b', value=1.0, unit="1", note="]]>\ud800&"), limit)
    record = RunRecord(status="completed", scenario={"id": "<&>"}, measurements=(m,))
    case = suite_of(record).find("testcase")
    assert case is not None
    assert case.attrib["name"] == '<x a="b">'
    assert case.findtext("failure") == "]]>&"
