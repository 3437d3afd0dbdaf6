"""The page and the table of an examination, from a record made by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from emgsim.records.examination import FINDERS, ExamRecord
from emgsim.records.record import RunRecord
from emgsim.report.exam_page import write_exam_page
from emgsim.report.exam_table import exam_table
from emgsim.verdict import Limit, Measurement, judge

ROW = {
    "insertion_s": 0.2, "insertional": "normal", "fibrillation": "2+",
    "positive_sharp_wave": "1+", "fasciculations_per_min": 0.0, "other": ("CRD (1 of 2)",),
    "rest_s": 4.0, "n_muaps": 12, "amplitude_mv": 0.612, "duration_ms": 11.36,
    "polyphasia_pct": 33.3, "stability": "unstable", "recruitment": "reduced",
}  # fmt: skip
NOTHING = {"fibrillation": "0", "positive_sharp_wave": "0", "other": (), "n_muaps": 3,
           "stability": "–", "amplitude_mv": float("nan")}  # fmt: skip
PLACE = {key: ROW[key] for key in ("insertion_s", "insertional", "fibrillation",
         "positive_sharp_wave", "fasciculations_per_min", "rest_s", "n_muaps")} | {
             "other": ("CRD",)}  # fmt: skip


def axis(value: str, probability: float) -> dict[str, Any]:
    """Return the axis of denervation."""
    other = "no" if value == "yes" else "yes"
    return {"axis": "active_denervation", "value": value, "because": {},
            "probabilities": {value: probability, other: 1 - probability}}  # fmt: skip


def muscle(name: str) -> dict[str, Any]:
    """Return a muscle that was examined; the device heard nothing."""
    rows = dict.fromkeys(FINDERS, ROW) | {"device": ROW | NOTHING}
    places = [PLACE | {"place": 1}, PLACE | {"place": 2}]
    return {
        "name": name, "folder": name, "verdict": "pass", "exit_code": 0, "holes": 1, "moves": 5,
        "seconds": 21.5, "shows": {"active_denervation": "yes"}, "row": rows,
        "places": dict.fromkeys(FINDERS, places),
        "axes": {key: [axis("yes", 0.98)] for key in FINDERS} | {"device": [axis("no", 0.9)]},
    }  # fmt: skip


def missing(name: str) -> dict[str, Any]:
    """Return a muscle to which it did not come."""
    return muscle(name) | {
        "verdict": "not examined", "exit_code": None, "row": {}, "places": {}, "axes": {},
    }  # fmt: skip


def lesion(name: str, probability: float) -> dict[str, Any]:
    """Return a root as it was found."""
    reason = {"what": "triceps_brachii", "side": "right", "seen": "neurogenic", "nats": 3.14}
    return {"kind": "root", "name": name, "side": "right", "probability": probability,
            "because": [reason]}  # fmt: skip


@pytest.fixture
def record() -> ExamRecord:
    """Return the record of an examination whose device failed."""
    limit = Limit(measurement="triceps_brachii.active_denervation.yes.device", low=0.5, unit="1")
    judged = judge(Measurement(id=limit.measurement, value=0.1, unit="1"), limit)
    examination = {
        "id": "c7", "title": "Radiculopathy <C7>", "description": "A man.", "age_years": 48.0,
        "conditions": [{"kind": "radiculopathy", "root": "C7", "share": 0.5, "weeks": 9.0}],
        "lesion": {"kind": "root", "name": "C7"},
    }  # fmt: skip
    run = RunRecord(run_id="one", status="completed", exit_code=1, seed=7, scenario=examination,
                    measurements=(judged,), versions={"emgsim": "0.1.0"})  # fmt: skip
    told = {"rank": 2, "lesions": [lesion("C8", 0.7), lesion("C7", 0.2)]}
    return ExamRecord(
        run=run,
        muscles=(muscle("triceps_brachii"), missing("deltoid")),
        localisation=dict.fromkeys(FINDERS, told),
    )


class Links(HTMLParser):
    """Collects what a page would load or lead to, and checks that its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where it leads, and that it is open."""
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the last one."""
        assert self.open.pop() == tag


def page_of(folder: Path, record: ExamRecord) -> str:
    """Return the page's text."""
    return write_exam_page(folder, record).read_text(encoding="utf-8")


def text_of(page: str) -> str:
    """Return what a reader sees, each run of blanks as one."""
    body = re.sub(r"<[^>]+>", " ", page[page.index("<body>") :])
    return re.sub(r"\s+", " ", body)


def test_the_page_tells_truth_beside_device(tmp_path: Path, record: ExamRecord) -> None:
    """A clinician finds patient, lesion, grades, means and the needle's ways."""
    text = text_of(page_of(tmp_path, record))
    for words in (
        "Radiculopathy &lt;C7&gt;", "48 years", "radiculopathy (share 0.5, weeks 9, root C7)",
        "True lesion radiculopathy C7", "2 holes, 10 moves, 43 s in 2 muscles",
        "Truth normal 2+ 1+ 0.0 CRD (1 of 2) 12 0.61 11.4 33 unstable reduced",
        "Device normal 0 0 0.0 none 3 – 11.4 33 – reduced", "Deltoid not examined",
        "the true one comes second", "no 90 % yes 10 %",
    ):  # fmt: skip
        assert words in text, words


def test_the_page_is_whole_in_itself(tmp_path: Path, record: ExamRecord) -> None:
    """It leads to the muscles' reports, loads nothing, and closes what it opens."""
    links = Links()
    links.feed(page_of(tmp_path, record))
    assert links.links == ["triceps_brachii/report.html"]
    assert links.open == []


def test_what_differs_from_the_truth_is_marked(tmp_path: Path, record: ExamRecord) -> None:
    """Grades and words only; of the same findings nothing is marked."""
    page = page_of(tmp_path, record)
    assert '<td class="differs">0</td>' in page
    same = muscle("triceps_brachii") | {"row": dict.fromkeys(FINDERS, ROW)}
    assert '<td class="differs">' not in page_of(tmp_path, replace(record, muscles=(same,)))


def test_one_record_gives_one_page(tmp_path: Path, record: ExamRecord) -> None:
    """Byte for byte."""
    assert page_of(tmp_path, record) == page_of(tmp_path, record)


def test_an_examination_that_broke_off_says_why(tmp_path: Path, record: ExamRecord) -> None:
    """On top of the page, and in the table."""
    error = {"what": "the cable was pulled", "where": "device", "todo": "put it in"}
    broken = replace(record, run=replace(record.run, status="aborted", errors=(error,)))
    text = text_of(page_of(tmp_path, broken))
    assert "the cable was pulled Where: device To do: put it in" in text
    assert exam_table(broken).splitlines()[-2:] == [
        "error: the cable was pulled", "verdict: aborted (1 judged, 0 reported)"]  # fmt: skip


def test_the_table_has_a_row_for_each_finder(record: ExamRecord) -> None:
    """Truth, clean signal and device below each other, the verdict last."""
    lines = exam_table(record).splitlines()
    assert lines[0] == "triceps brachii: 1 hole, 5 needle moves, 22 s; run: pass"
    starts = [line.split("  ")[1] for line in lines[2:5]]
    assert starts == list(FINDERS.values())
    assert "deltoid: 1 hole, 5 needle moves, 22 s; run: not examined" in lines
    assert "  in truth: radiculopathy C7" in lines
    assert "     70.0 %  radiculopathy C8  triceps brachii neurogenic (+3.1)" in lines
    assert lines[-1] == "verdict: fail (1 judged, 0 reported)"
    assert lines[-2].split() == [
        "fail", "triceps_brachii.active_denervation.yes.device", "0.1000", ">=", "0.5"]  # fmt: skip


def test_the_record_is_plain_json(record: ExamRecord) -> None:
    """What is not known is null, and the schema says what it is."""
    table = record.table()
    assert table["schema"] == "emgsim.exam_run/1"
    assert table["verdict"] == "fail"
    assert table["muscles"][0]["row"]["device"]["amplitude_mv"] is None
    assert table["examination"]["id"] == "c7"
    assert record.to_json() == record.to_json()
