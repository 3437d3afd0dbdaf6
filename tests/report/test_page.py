import base64
import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from emgsim.cli import main
from emgsim.files.npz import write_npz
from emgsim.records.record import RunRecord
from emgsim.report.material import gather
from emgsim.report.page import write_page
from emgsim.scenario import load_scenario

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """What a browser would see: elements, texts outside of scripts, and whether tags balance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and what it says of itself."""
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep scripts apart from what is read."""
        place = self.scripts if self.open[-1:] == ["script"] else self.words
        if self.open[-1:] != ["style"]:
            place.append(data)

    @property
    def text(self) -> str:
        """All that is read, in one line."""
        return re.sub(r"\s+", " ", " ".join(self.words))

    @property
    def images(self) -> list[dict[str, str]]:
        """The attributes of every picture."""
        return [attrs for tag, attrs in self.elements if tag == "img"]


@pytest.fixture(scope="module")
def page(run, tmp_path_factory) -> Page:
    """Return the page of the completed run, written into a copy of its folder."""
    return Page(written(run, tmp_path_factory.mktemp("page")))


def written(run, folder: Path, **changes: object) -> str:
    shutil.copytree(run[0], folder, dirs_exist_ok=True)
    return write_page(folder, replace(run[1], **changes)).read_text(encoding="utf-8")


def test_the_page_says_what_was_run_and_how_it_ended(page) -> None:
    """Title, verdict in words, rig, seed, versions and identities are on it."""
    for words in ("Healthy biceps brachii", "fail", "virtual", "20260101-120000-healthy",
                  "Version of numpy", "33512B", "MY0001", "design goal", "≤ 2 µV",
                  "conditional fail", "0.8997", "[0.8600, 0.9400]"):  # fmt: skip
        assert words in page.text, words


def test_the_verdict_comes_first(page) -> None:
    """Sections stand in the order in which a reader asks."""
    ids = [a["id"] for tag, a in page.elements if tag == "h2"]
    assert ids == ["verdict", "why", "waveforms", "muaps", "firing", "chain", "provenance"]


def test_every_picture_has_words_for_those_who_cannot_see_it(page) -> None:
    """Pictures have alternative texts; the canvas has a label and can be reached by keyboard."""
    assert len(page.images) == 7  # five of every run, two of the F1 that failed
    assert all(len(image["alt"]) > 20 for image in page.images)
    canvas = next(attrs for tag, attrs in page.elements if tag == "canvas")
    assert canvas["tabindex"] == "0"
    assert "negative up" in canvas["aria-label"]


def test_the_page_asks_for_nothing_outside(page) -> None:
    """No address but data is in it, in the page or in its pictures; a policy forbids the rest."""
    for tag, attrs in page.elements:
        for name in ("src", "href", "action", "data", "poster"):
            assert attrs.get(name, "data:").startswith(("data:", "#")), (tag, attrs)
    assert not re.search(r"https?:|//[a-z]", " ".join(page.words), re.IGNORECASE)
    assert not any(re.search(r"https?:|fetch\(|XMLHttp|WebSocket", s) for s in page.scripts)
    for image in page.images:
        svg = base64.b64decode(image["src"].split(",", 1)[1]).decode()
        svg = re.sub(r"<!DOCTYPE[^>]*>", "", svg)
        addresses = re.findall(r'([\w:]+)="(?!#|data:)[^"]*//', svg)
        assert set(addresses) <= {"xmlns", "xmlns:xlink"}, addresses
        assert not re.search(r"<script|@import", svg)
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "content" in a
                  and "default-src" in a["content"])  # fmt: skip
    assert "default-src 'none'" in policy


def test_the_policy_allows_the_viewer_and_no_other_script(run, tmp_path) -> None:
    """The digest in the page's policy is that of the script in the page."""
    text = written(run, tmp_path)
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_the_viewer_gets_every_path_with_its_discharges(page, run) -> None:
    """Traces, lanes of truth and lanes of findings are all in the page's data."""
    data = json.loads(page.scripts[0])
    assert [trace["path"] for trace in data["traces"]] == ["truth", "loopback", "device"]
    assert [trace["n"] for trace in data["traces"]] == [120_000] * 3
    truth = gather(*run).truth
    assert truth is not None
    largest = sorted(truth.units, key=lambda unit: -unit.peak_to_peak_uv)[:4]
    assert [lane["label"] for lane in data["lanes"]] == [f"unit {unit.id}" for unit in largest]
    assert data["lanes"][0]["times_s"] == [round(t, 5) for t in largest[0].spike_times_s]
    device = data["traces"][2]["lanes"]
    assert [lane["label"] for lane in device][-1] == "no match"
    assert device[0]["colour"] == data["lanes"][0]["colour"]
    assert device[3]["times_s"] == []  # the fourth unit was not found by the device


def test_scores_budget_alignment_plan_and_files_are_tables(page, run) -> None:
    """Every number that a picture shows can also be read."""
    for words in ("Sensitivity", "electrode thermal noise", "1.58", "group delay", "41.7",
                  "source amplitude", "V pk", "wave/device.npz", run[1].files["wave/device.npz"],
                  "60000, 1200"):  # fmt: skip
        assert words in page.text, words


def test_the_same_run_gives_the_same_bytes(run, tmp_path) -> None:
    """No clock, address or order of hashing reaches the page."""
    assert written(run, tmp_path / "a") == written(run, tmp_path / "b")


def test_hostile_texts_stay_texts(run, tmp_path) -> None:
    """Markup in any text of the record is shown, never obeyed."""
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    page = Page(written(
        run, tmp_path, status="aborted", run_id=evil,
        scenario={"id": evil, "title": evil}, rig={"name": evil}, versions={evil: evil},
        identities={evil: {"maker": evil}}, plan={evil: evil}, files={evil: evil},
        budgets={evil: [{"name": evil + "$x_$", "uv_rms": 1.0}]},
        captures={evil: {"file": "../outside.npz", "n_samples": evil, "gaps": [evil]}},
        findings={evil: {"file": "../outside.json", "n_units": evil}},
        measurements=(replace(run[1].measurements[0], id=evil, note=evil, unit=evil),),
        errors=({"what": evil, "where": evil, "todo": evil},),
        stages=({"name": evil, "seconds": 1.0},),
    ))  # fmt: skip
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert len(page.images) == 5
    assert "lies outside the run's folder" in page.text


def test_an_aborted_run_says_first_what_happened(tmp_path) -> None:
    """An empty folder and a record of nothing but an error still give a page."""
    error = {"what": "nothing answers", "where": "TCPIP::127.0.0.1", "todo": "switch it on"}
    record = RunRecord(status="aborted", exit_code=4, errors=(error,))
    page = Page(write_page(tmp_path, record).read_text(encoding="utf-8"))
    told = page.text.index("nothing answers")
    assert page.text.index("aborted") < told < page.text.index("No measurement was judged")
    assert "There is no recording to show" in page.text
    assert page.images == []


def test_a_journal_that_ends_in_the_middle_is_told(tmp_path) -> None:
    """A run that died leaves no error, but the page says that it died."""
    page = Page(write_page(tmp_path, RunRecord(status="aborted")).read_text(encoding="utf-8"))
    assert "its journal ends in the middle" in page.text


def test_what_is_missing_or_broken_is_named_and_the_rest_is_shown(run, tmp_path) -> None:
    """A lost device recording and broken findings leave the other paths on the page."""
    shutil.copytree(run[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "wave/device.npz").unlink()
    (tmp_path / "findings-device.json").write_text("{", encoding="utf-8")
    record = replace(run[1], scores={}, budgets={}, alignments={})
    page = Page(write_page(tmp_path, record).read_text(encoding="utf-8"))
    assert "wave/device.npz : cannot read the recording" in page.text
    assert "findings-device.json : invalid findings" in page.text
    assert "The run was not scored" in page.text
    assert [t["path"] for t in json.loads(page.scripts[0])["traces"]] == ["truth", "loopback"]
    assert len(page.images) == 3


@pytest.mark.parametrize("lost", ["wave/truth.npz", "findings-truth.json", "wave", "findings"])
def test_any_part_may_be_missing(run, tmp_path, lost: str) -> None:
    """Whatever is gone, there is a page and its tags balance."""
    shutil.copytree(run[0], tmp_path, dirs_exist_ok=True)
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        if str(path.relative_to(tmp_path)).startswith(lost) and path.is_file():
            path.unlink()
    page = Page(write_page(tmp_path, run[1]).read_text(encoding="utf-8"))
    assert "Not shown:" in page.text


@pytest.mark.slow
def test_twelve_seconds_stay_below_three_megabytes(build, tmp_path) -> None:
    """The shipped scenario at 48 kHz gives a page that can be sent by mail."""
    record = build(tmp_path, load_scenario("healthy_biceps"))
    page = write_page(tmp_path, record)
    assert page.stat().st_size < 3_000_000
    traces = json.loads(Page(page.read_text(encoding="utf-8")).scripts[0])["traces"]
    assert [trace["block"] for trace in traces] == [1, 1, 1]


def test_a_hostile_channel_name_cannot_end_the_page_s_data(run, tmp_path) -> None:
    """A recording made by a stranger holds its name in the viewer's data as text."""
    evil = "</script><b>&"
    shutil.copytree(run[0], tmp_path, dirs_exist_ok=True)
    recording = gather(*run).recordings["device"]
    channel = replace(recording.channels[0], name=evil)
    write_npz(tmp_path / "wave/device.npz", replace(recording, channels=(channel,)))
    page = Page(write_page(tmp_path, run[1]).read_text(encoding="utf-8"))
    assert json.loads(page.scripts[0])["traces"][2]["channel"] == evil
    assert not any(tag == "b" for tag, _ in page.elements)


def test_a_found_unit_stands_in_the_lane_of_what_it_was_matched_with(run) -> None:
    """Shown units, units too small to be shown, and units without a match are told apart."""
    folder, record = run
    rows = [dict(row) for row in record.scores["device"]]
    rows[4]["found_id"] = 9  # the fifth is not detectable
    material = gather(folder, replace(record, scores={"device": rows}))
    assert material.lane("device", 1) == rows[0]["truth_id"]
    assert material.lane("device", 9) == "other unit"
    assert material.lane("device", 77) == "no match"
    assert len({material.colour(unit) for unit in material.units}) == 4


def test_alignment_values_may_stand_in_the_record_directly(tmp_path) -> None:
    """The record of an alignment is read with its values nested or not."""
    record = RunRecord(
        status="completed",
        alignments={"device": {"clock_ppm": 12.25, "windows": [[0.5, 0.1], [1.0, None]]}},
    )
    page = Page(write_page(tmp_path, record).read_text(encoding="utf-8"))
    assert "12.25" in page.text
    assert "windows" not in page.text
    assert len(page.images) == 1


def test_a_page_tells_where_the_numbers_come_from_and_after_what_it_went_on(run) -> None:
    """Commit, machine, the run before and the preparation; no stage is told to be the last one."""
    folder, record = run
    record = replace(
        record, errors=({"what": "the cable was pulled"},), checkout={"commit": "c0ffee",
        "is_dirty": True}, host={"system": "Linux", "cores": 2}, previous={"run_id": "before"},
        prepare={"command": "flash it"}, resumed=({"when": "2026-01-02T00:00:00+00:00"},),
    )  # fmt: skip
    text = write_page(folder, record).read_text("utf-8")
    for told in ("The run went on after this", "the cable was pulled", "c0ffee", "Linux, 2",
                 "before", "flash it", "2026-01-02T00:00:00+00:00"):  # fmt: skip
        assert told in text
    assert "The last stage that ended" not in text


def test_the_command_writes_the_page_anew_and_nothing_else(
    run, page, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a folder whose page is gone, the same bytes as before."""
    shutil.copytree(run[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "report.html").unlink(missing_ok=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["report", str(tmp_path)]) == 0
    written_to = Path(capsys.readouterr().out.strip())
    assert written_to == tmp_path / "report.html"
    assert Page(written_to.read_text(encoding="utf-8")).text == page.text
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} == {written_to}


def test_the_command_refuses_a_folder_that_is_no_run(tmp_path) -> None:
    """Invalid input is told with its exit code."""
    assert main(["report", str(tmp_path)]) == 3
