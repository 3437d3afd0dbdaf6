"""The site of the pages: each has its place, its pictures are read aloud, its commands exist."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from cyclopts import CoercionError, CycloptsError

from emgsim.cli import app

DOCS = Path(__file__).parents[1] / "docs"
README = DOCS.parent / "README.md"
PAGES = sorted(
    str(path.relative_to(DOCS).with_suffix(""))
    for path in DOCS.rglob("*")
    if path.suffix in (".md", ".rst") and path.name != "index.md"
)
SHELL = re.compile(r"^ *```(?:sh|console|bash)?\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
COMMANDS = sorted(
    {
        line.strip().removeprefix("$ ").partition(" #")[0].strip()
        for path in [*DOCS.rglob("*.md"), README]
        for block in SHELL.findall(path.read_text())
        for line in block.splitlines()
        if line.strip().removeprefix("$ ").startswith("emgsim ")
    }
)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_one_place_in_the_site(page: str) -> None:
    """It stands where its reader's task is, and nowhere else."""
    trees = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    listed = [line for tree in trees for line in tree.splitlines()]
    assert listed.count(page) == 1


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("tasks/")])
def test_every_task_is_reached_from_the_readme_and_leads_on(page: str) -> None:
    """Links within the repository lead somewhere."""
    assert f"docs/{page}.md" in README.read_text()
    path = DOCS / f"{page}.md"
    for target in re.findall(r"\]\(([^)#:]+)[^)]*\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_pages_exists(command: str) -> None:
    """With all of its options; nothing is run."""
    typed = re.split(r" (?:\||&&|>) ", command)[0]
    words = [word for word in shlex.split(re.sub(r"[][]", "", typed))[1:] if word != "..."]
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except CoercionError:
        return  # a word in capitals stands for a number
    except CycloptsError as error:
        pytest.fail(f"{command}: {error}")


def drawing() -> ET.Element:
    return ET.parse(DOCS / "fixture.svg").getroot()  # noqa: S314 - our own file


def test_the_schematic_is_read_aloud() -> None:
    """A screen reader tells what is joined to what."""
    root = drawing()
    assert root.get("role") == "img"
    named = {root.find(f"{SVG}{name}").get("id") for name in ("title", "desc")}
    assert named == set(root.get("aria-labelledby").split())
    assert len(root.find(f"{SVG}desc").text) > 300


def test_the_parts_of_the_fixture_are_those_of_its_schematic_and_of_its_rig() -> None:
    """Each value stands in both, and makes the ratios of the shipped rig."""
    from emgsim.bench.rig import load_rig

    page = (DOCS / "tasks" / "build_the_fixture.md").read_text()
    drawn = " ".join(drawing().itertext())
    for name in ("R1", "R2", "R3", "R4", "R5", "C1", "R6", "R7", "R8", "C2", "B1"):
        row = re.search(rf"^\| (?:\w+, )?{name}(?:, \w+)? \| ([^|]*) \|", page, re.MULTILINE)
        assert row is not None, name
        assert name in drawn
        for value in row[1].strip().split(", "):
            assert value in drawn, (name, value)
    rig = load_rig("virtual-states")
    assert rig.fixture.ratio == pytest.approx(10 / 10_010)
    assert rig.fixture.input_ohm == 10_010
    assert rig.fixture.electrode_ohm == 12_000
    states = rig.fixture.states
    assert states["overload"].differential == pytest.approx(100 / 10_100)
    assert states["node_drive"].common == pytest.approx(2.8 / 10)
    relays = dict(re.findall(r"^\| `(\w+)` \| (K[^|]*|none) \|", page, re.MULTILINE))
    assert set(relays) == {*states, "through"}
    for name, state in states.items():
        assert {int(k) for k in re.findall(r"K(\d)", relays[name])} == set(state.relays)
        assert state.series_ohm in (0, 620e3, 10e3)


def test_nothing_of_the_drawing_comes_from_elsewhere() -> None:
    """It is one file, without script."""
    text = (DOCS / "fixture.svg").read_text()
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in text
