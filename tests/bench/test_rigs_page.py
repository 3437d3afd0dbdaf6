"""The page on rigs: what it shows can be loaded, and what it tells of the shipped rig is so."""

import re
from pathlib import Path

import pytest

from emgsim.bench.parts import FixtureState, Limits
from emgsim.bench.rig import load_rig

PAGE = (Path(__file__).parents[2] / "docs/rigs.md").read_text()
BLOCKS = re.findall(r"```TOML\n(.*?)```", PAGE, re.S)
HEAD = 'schema = "emgsim.rig/1"\nextends = "virtual"\nid = "shown"\n'


@pytest.mark.parametrize("block", BLOCKS)
def test_every_table_of_the_page_is_a_rig_or_part_of_one(block: str, tmp_path: Path) -> None:
    """A whole file loads as it stands, a part on top of the virtual rig."""
    path = tmp_path / "shown.toml"
    path.write_text(block if "schema" in block else HEAD + block)
    assert load_rig(path).id in {"bench-awg", "virtual-strict", "shown"}


def test_the_page_names_every_limit_and_every_part_of_a_state() -> None:
    """A key that the page forgets would be found by nobody."""
    for name in {*Limits.model_fields, *FixtureState.model_fields} - {"certificate"}:
        assert f"`{name}`" in PAGE, name


def test_the_page_names_every_state_of_the_shipped_rig() -> None:
    """Each of them in the sentence that lists them."""
    for name in load_rig("virtual-states").fixture.states:
        assert f"`{name}`" in PAGE, name


def test_the_states_that_are_declared_are_those_that_are_true() -> None:
    """The shipped rig's relays make what its file certifies, to a part in a million."""
    rig = load_rig("virtual-states")
    assert rig.virtual is not None
    true = rig.virtual.fixture.states
    assert set(true) == set(rig.fixture.states)
    for name, state in rig.fixture.states.items():
        assert true[name].relays == frozenset(state.relays)
        for key in ("differential", "common", "input_ohm", "series_ohm", "series_nf", "offset_mv"):
            assert getattr(true[name], key) == pytest.approx(getattr(state, key), rel=1e-6), name
