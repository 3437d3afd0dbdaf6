"""The page, the table and the commands of a campaign, from fabricated runs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from emgsim.campaigns.folder import write_campaign
from emgsim.campaigns.running import run_campaign
from emgsim.cli import main
from emgsim.errors import NotAnalysableError
from emgsim.records.record import RECORD
from emgsim.report.campaign_table import campaign_table
from tests.campaigns.conftest import HEAD, Done, Runs, row

SWEPT = (
    'scenarios = ["healthy_biceps", "healthy_biceps_moderate"]\nseeds = [1, 2]\n'
    '[[sweeps]]\nname = "noise"\nkey = "rig.virtual.amplifier.noise_uv_rms"\n'
    'values = [0.5, 20.0]\nunit = "uV"\n'
)
HOSTILE = "</style><script>alert(1)</script> & <b>"

pytestmark = pytest.mark.usefixtures("own_signals")


class Page(HTMLParser):
    """What a page asks for, points to, and shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.targets: list[str] = []
        self.tags: list[str] = []
        self.pictures: list[str | None] = []
        self.cells: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        values = dict(attrs)
        self.tags.append(tag)
        self.sources += [str(values[key]) for key in ("src", "srcset", "data") if key in values]
        if tag == "a":
            self.targets.append(str(values["href"]))
        if tag == "img":
            self.pictures.append(values.get("alt"))
        if tag == "td":
            self._in_cell = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        """Take note of a cell's end."""
        self._in_cell = self._in_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        """Collect a cell's text."""
        if self._in_cell:
            self.cells[-1] += " ".join(data.split()) + " "


def scored(_scenario: Any, rig: Any) -> dict[str, list[Any]]:
    """Return scores that fall with the amplifier's noise."""
    tp = 18 if rig.virtual.amplifier.noise_uv_rms < 1 else 4
    clean = [row(1, 20, 0), row(2, 0, 20, ratio=0.5)]
    device = [row(1, tp, 20 - tp), row(2, 0, 20, ratio=0.5)]
    return {"truth": clean, "loopback": clean, "device": device}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a campaign of eight cells, of which one broke and one failed."""
    from emgsim.campaigns.campaign import load_campaign

    place = tmp_path_factory.mktemp("shown")
    path = place / "night.toml"
    path.write_text(HEAD + SWEPT, encoding="utf-8")
    made = Runs()
    made.scores, made.verdicts = scored, {"002": "fail"}
    made.breaks = {"003": NotAnalysableError(HOSTILE, todo="mend it")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emgsim.campaigns.running.run", made.run)
        return run_campaign(load_campaign(path), out=place / "out")


def test_the_page_asks_for_nothing_outside_and_runs_no_script(shown: Done) -> None:
    """All pictures are in it, each with words in its place."""
    text = (shown[0] / "report.html").read_text("utf-8")
    page = Page(text)
    assert page.sources
    assert all(source.startswith("data:image/svg+xml") for source in page.sources)
    assert "script" not in page.tags
    assert "default-src 'none'" in text
    assert not re.findall(r"url\(|@import", text)
    assert all(page.pictures)
    assert len(text) < 1_000_000


def test_the_verdicts_stand_first_and_lead_to_the_runs(shown: Done) -> None:
    """How many seeds passed at each place, the worst verdict, and a link for each seed."""
    page = Page((shown[0] / "report.html").read_text("utf-8"))
    assert page.cells[:4] == [
        "✘ fail 1 of 2 passed seeds 1 2 ✘ ", "✔ pass 2 of 2 passed seeds 1 2 ",
        "■ broken 1 of 2 passed seeds 1 ■ 2 ", "✔ pass 2 of 2 passed seeds 1 2 ",
    ]  # fmt: skip
    folders = {target.rpartition("/")[0] for target in page.targets}
    assert len(folders) == 8
    assert all((shown[0] / folder / "journal.jsonl").is_file() for folder in folders)


def test_what_broke_and_what_failed_is_said_and_hostile_words_stay_words(shown: Done) -> None:
    """An error's text is shown and obeyed by nobody."""
    text = (shown[0] / "report.html").read_text("utf-8")
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "To do: mend it" in text
    assert "noise.rms.device" in text
    assert "2.5" in text
    assert "SRS-042" in text


def test_the_points_of_the_pictures_stand_in_tables_too(shown: Done) -> None:
    """18 of 20 discharges of each of two patients, and 4 of 20."""
    cells = [cell.strip() for cell in Page((shown[0] / "report.html").read_text("utf-8")).cells]
    at = cells.index("0.900")
    assert cells[at - 3 : at] == ["36", "40", "2"]


def test_the_same_record_gives_the_same_page(shown: Done) -> None:
    """No clock and no chance is in it."""
    before = (shown[0] / "report.html").read_bytes()
    write_campaign(shown[0])
    assert (shown[0] / "report.html").read_bytes() == before


def test_a_campaign_of_which_nothing_was_run_has_a_page(load, runs: Runs, tmp_path: Path) -> None:
    """No picture, and words in its place."""
    runs.breaks = {"001": NotAnalysableError("nothing")}
    folder, _ = run_campaign(load('scenarios = ["healthy_biceps"]\n'), out=tmp_path / "out")
    text = (folder / "report.html").read_text("utf-8")
    assert "No run was scored." in text
    assert "<img" not in text


def test_the_table_says_what_broke_and_what_failed(shown: Done) -> None:
    """A line per cell, the words below it, the counts at the end; nothing that a terminal obeys."""
    lines = campaign_table(shown[1]).splitlines()
    assert lines[0].split() == ["001-healthy_biceps-virtual-seed1-noise0.5", "pass"]
    assert lines[2] == "    noise.rms.device"
    assert lines[-1] == "verdict: broken (8 cells: 1 broken, 1 fail, 6 pass)"


def test_a_dry_run_tells_the_cells_and_their_time_and_runs_nothing(
    write, runs: Runs, tmp_path: Path, capsys
) -> None:
    """Number and time stand in the last line."""
    out = tmp_path / "out"
    assert main(["campaign", "run", str(write(SWEPT)), "--dry-run", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert "noise=20.0" in lines[-2]
    assert re.fullmatch(
        r"8 cells, about \d+ min \(a guess: none of this was run before\)", lines[-1]
    )
    assert runs.made == []
    assert not out.exists()


def test_the_command_ends_with_the_exit_code_of_the_campaign(
    write, runs: Runs, tmp_path: Path, capsys
) -> None:
    """Results on standard output, progress on standard error."""
    runs.verdicts = {"001": "inconclusive"}
    words = ["campaign", "run", str(write('scenarios = ["healthy_biceps"]\n'))]
    assert main([*words, "--out", str(tmp_path / "out")]) == 5
    told = capsys.readouterr()
    assert "verdict: inconclusive (1 cell: 1 inconclusive)" in told.out
    assert told.err.startswith("[1/1] 001-healthy_biceps")
    [folder] = (tmp_path / "out").iterdir()
    assert main(["campaign", "run", "--resume", str(folder)]) == 5
    assert main(["campaign", "report", str(folder)]) == 5
    assert json.loads((folder / "campaign.json").read_text())["exit_code"] == 5
    (folder / "runs" / "001-healthy_biceps-virtual-seed2" / RECORD).unlink()
    assert main(["campaign", "report", str(folder)]) == 5


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "needs a campaign's file"),
        (["x.toml", "--resume", "y"], 2, "it stands alone"),
        (["no_such.toml"], 3, "cannot read the file"),
        (["--resume", "no_such"], 3, "cannot read the journal"),
    ],
)
def test_wrong_use_is_one_clear_error(words, code, said, capsys) -> None:
    """As of every command."""
    assert main(["campaign", "run", *words]) == code
    assert said in capsys.readouterr().err
