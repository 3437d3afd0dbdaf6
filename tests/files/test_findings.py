"""Findings as JSON: what is written is read again, and foreign files need little."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emgsim.errors import InputError
from emgsim.files.findings import findings_table, read_findings, write_findings
from emgsim.recording import AxisFinding, Event, Findings, FoundRun, FoundUnit

finite = st.floats(-1e9, 1e9)
numbers = st.dictionaries(st.text(), finite, max_size=2)


@st.composite
def units(draw: st.DrawFn) -> FoundUnit:
    """Draw a unit with its MUAP."""
    times = draw(hnp.arrays(float, st.integers(0, 5), elements=finite))
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 2)))
    return FoundUnit(
        id=draw(st.integers(0, 10**6)),
        discharge_times_s=np.sort(times),
        muap_uv=draw(hnp.arrays(float, shape, elements=finite)),
        muap_start_s=draw(finite),
        measures=draw(numbers),
        intervals=draw(st.dictionaries(st.text(), st.tuples(finite, finite), max_size=2)),
        confidence=draw(st.none() | hnp.arrays(float, times.size, elements=finite)),
    )


@st.composite
def runs(draw: st.DrawFn) -> FoundRun:
    """Draw a run of activity at rest."""
    times = draw(hnp.arrays(float, st.integers(0, 5), elements=finite))
    return FoundRun(
        kind=draw(st.text()),
        onset_s=draw(finite),
        offset_s=draw(finite),
        discharge_times_s=np.sort(times),
        potential_uv=draw(hnp.arrays(float, (draw(st.integers(1, 5)), 1), elements=finite)),
        potential_start_s=draw(finite),
        probability=draw(finite),
        grade=draw(st.none() | finite),
        measures=draw(numbers),
    )


all_findings = st.builds(
    Findings,
    units=st.lists(units(), max_size=3).map(tuple),
    runs=st.lists(runs(), max_size=2).map(tuple),
    axes=st.lists(
        st.builds(
            AxisFinding, axis=st.text(), value=st.text(), probabilities=numbers, because=numbers
        ),
        max_size=2,
    ).map(tuple),
    events=st.lists(
        st.builds(
            Event,
            kind=st.text(),
            onset_s=finite,
            offset_s=finite,
            grade=st.none() | finite,
            source=st.text(),
        ),
        max_size=2,
    ).map(tuple),
    measures=st.lists(st.fixed_dictionaries({"id": st.text(), "value": finite}), max_size=2).map(
        tuple
    ),
    muap_rate_hz=st.floats(0, 1e6),
    plan=st.text(),
)


@given(findings=all_findings)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_findings_come_back_exactly(tmp_path, findings):
    """JSON writes the shortest digits that give the same number, so nothing changes."""
    path = tmp_path / "deep" / "findings.json"
    write_findings(path, findings)
    assert json.loads(path.read_text("utf-8"))["schema"] == "emgsim.findings/1"
    back = read_findings(path)
    assert findings_table(back) == findings_table(findings)
    for got, unit in zip(back.units, findings.units, strict=True):
        np.testing.assert_array_equal(got.discharge_times_s, unit.discharge_times_s)
        np.testing.assert_array_equal(got.muap_uv, unit.muap_uv)


def test_what_is_not_known_is_null_and_comes_back_as_nan(tmp_path):
    """JSON has no NaN: a measure that a potential does not have, and a lost sample, are null."""
    unit = FoundUnit(
        id=1,
        discharge_times_s=np.array([0.5]),
        muap_uv=np.array([[np.nan], [1.0]]),
        muap_start_s=0.0,
        measures={"rise_time_us": np.nan},
        intervals={"rise_time_us": (np.nan, 2.0)},
    )
    path = tmp_path / "f.json"
    write_findings(path, Findings(units=(unit,)))
    assert "NaN" not in path.read_text("utf-8")
    (back,) = read_findings(path).units
    assert np.isnan(back.measures["rise_time_us"])
    assert np.isnan(back.intervals["rise_time_us"][0])
    assert np.isnan(back.muap_uv[0, 0])
    assert back.confidence is None


def test_a_confidence_stays_with_its_discharge(tmp_path):
    """Times that come unsorted are sorted, and their confidence with them."""
    path = tmp_path / "f.json"
    path.write_text('{"units": [{"discharge_times_s": [2, 1], "confidence": [0.2, 0.1]}]}')
    assert read_findings(path).units[0].confidence.tolist() == [0.1, 0.2]


def test_discharges_are_all_that_a_foreign_detector_must_give(tmp_path):
    """Units are numbered from 1, their times sorted, and the rest is empty."""
    path = tmp_path / "f.json"
    path.write_text('{"units": [{"discharge_times_s": [2, 1]}, {"discharge_times_s": []}]}')
    one, two = read_findings(path).units
    assert (one.id, two.id) == (1, 2)
    assert one.discharge_times_s.tolist() == [1.0, 2.0]
    assert two.discharge_times_s.size == 0
    assert one.muap_uv.shape == (0, 1)


def known(content: str, reason: str, error: type[BaseException]):
    """Name a case that once slipped through."""
    return pytest.param(content, id=f"{reason} ({error.__name__})")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "5",
        "[]",
        "{}",
        '{"units": null}',
        '{"units": 5}',
        '{"units": [[]]}',
        '{"units": [{}]}',
        '{"units": [{"discharge_times_s": {}}]}',
        '{"units": [{"discharge_times_s": ["x"]}]}',
        '{"units": [{"discharge_times_s": [[1], 2]}]}',
        '{"units": [{"discharge_times_s": [NaN]}]}',
        '{"units": [{"discharge_times_s": [1e999]}]}',
        '{"units": [{"discharge_times_s": [], "id": "x"}]}',
        '{"units": [{"discharge_times_s": [], "muap_uv": [[1], [1, 2]]}]}',
        '{"units": [{"discharge_times_s": [], "measures": 5}]}',
        '{"units": [{"discharge_times_s": [1], "confidence": [0.5, 0.5]}]}',
        '{"units": [], "runs": [{}]}',
        '{"units": [], "axes": [{"axis": "x"}]}',
        '{"units": [], "events": [{}]}',
        '{"units": [], "events": [5]}',
        '{"units": [], "measures": 5}',
        '{"units": [], "muap_rate_hz": "x"}',
        known('{"units": [{"discharge_times_s": [], "id": 1e999}]}', "infinite id", OverflowError),
        known('{"units": [{"discharge_times_s": [], "muap_uv": 5}]}', "scalar MUAP", IndexError),
        known("[" * 100_000, "deep nesting", RecursionError),
    ],
)
def test_a_file_that_holds_no_findings_is_an_input_error(tmp_path, content):
    """Whatever the JSON is, the answer is exit code 3 with the path and what to write."""
    path = tmp_path / "f.json"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError, match="invalid findings") as caught:
        read_findings(path)
    assert caught.value.where == str(path)
    assert caught.value.exit_code == 3
    assert "discharge_times_s" in caught.value.todo


@pytest.mark.parametrize(("name", "said"), [("no.json", "No such file"), (".", "directory")])
def test_a_path_that_is_no_file_is_an_input_error(tmp_path, name, said):
    """A missing file and a folder are named as such."""
    with pytest.raises(InputError, match=said):
        read_findings(tmp_path / name)


def test_bytes_that_are_no_text_are_an_input_error(tmp_path):
    """A binary file given by mistake is named."""
    (tmp_path / "f.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="invalid findings"):
        read_findings(tmp_path / "f.json")
