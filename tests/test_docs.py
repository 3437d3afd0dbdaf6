"""The pages for users: what they show works as it stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from emgsim.campaigns.campaign import load_campaign
from emgsim.campaigns.cells import Cell, cells_of
from emgsim.exam.examination import load_examination
from emgsim.exhibits import Entry
from emgsim.scenario import load_scenario
from emgsim.shipped import find

DOCS = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
README = Path(__file__).parents[1] / "README.md"
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in [*DOCS, README]
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.S), 1)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_table_in_the_pages_is_a_scenario_or_part_of_one(block: str, tmp_path: Path) -> None:
    """A whole file loads, a part in the healthy biceps; an exhibit in the gallery, and so on."""
    table = tomllib.loads(block)
    if "exhibit" in table:
        assert [Entry.model_validate(entry).scenario for entry in table["exhibit"]]
        return
    if "sweeps" in table:
        assert campaign_cells(block, tmp_path / "shown.toml", is_whole="schema" in table)
        return
    head = "" if "schema" in table else find("scenarios", "healthy_biceps").read_text()
    path = tmp_path / "shown.toml"
    path.write_text(head + "\n" + block)
    if str(table.get("schema")).startswith("emgsim.examination/"):
        assert load_examination(path).muscles
        return
    assert load_scenario(path).phases


def campaign_cells(block: str, path: Path, *, is_whole: bool) -> tuple[Cell, ...]:
    """Return the cells of a campaign, or of sweeps of the healthy biceps."""
    head = 'schema = "emgsim.campaign/1"\nid = "shown"\nscenarios = ["healthy_biceps"]\n'
    path.write_text(block if is_whole else head + block)
    return cells_of(load_campaign(path), str(path))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_every_page_is_reached_from_the_readme(page: Path) -> None:
    """Nobody finds a page that nothing points to."""
    assert f"docs/{page.name}" in README.read_text()


@pytest.mark.parametrize("page", [*DOCS, README], ids=lambda page: page.stem)
def test_what_the_pages_point_to_is_there(page: Path) -> None:
    """Links within the repository lead somewhere."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
