"""nwbinspector judges the NWB files: no issue, not even a suggestion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nwbinspector
import pynwb
import pytest

from emgsim.dataset.export.nwb import write_nwb

from .sets import HEAD, MADE


@pytest.mark.parametrize("number", range(len(MADE)))
def test_the_inspector_finds_nothing(tmp_path: Path, number: int) -> None:
    """Needle and array."""
    path = tmp_path / "item.nwb"
    write_nwb(path, HEAD, MADE[number])
    assert [m.message for m in nwbinspector.inspect_nwbfile(nwbfile_path=path)] == []
    assert pynwb.validate(path=str(path)) == []


def test_the_inspector_finds_nothing_in_the_surface_set(surface_set: Path) -> None:
    """Grids of 64 pads, of five signal paths."""
    paths = sorted((surface_set / "nwb").glob("*.nwb"))
    assert len(paths) == 2
    for path in paths:
        assert [m.message for m in nwbinspector.inspect_nwbfile(nwbfile_path=path)] == []
        assert pynwb.validate(path=str(path)) == []


def test_one_unit_and_one_event_are_no_issue(tmp_path: Path) -> None:
    """A table of one row would be one."""
    truth = replace(MADE[0].truth, units=MADE[0].truth.units[:1], events=MADE[0].truth.events[:1])
    write_nwb(tmp_path / "item.nwb", HEAD, replace(MADE[0], truth=truth))
    found = nwbinspector.inspect_nwbfile(nwbfile_path=tmp_path / "item.nwb")
    assert [m.message for m in found] == []


def test_somebody_of_unknown_age_at_rest_is_no_issue(tmp_path: Path) -> None:
    """No units, no age, one author of one word."""
    made = MADE[0]
    made = replace(
        made,
        truth=replace(made.truth, units=(), events=()),
        labels={**made.labels, "age_years": None},
    )
    write_nwb(tmp_path / "item.nwb", replace(HEAD, authors=("emgsim",)), made)
    found = nwbinspector.inspect_nwbfile(nwbfile_path=tmp_path / "item.nwb")
    assert [m.message for m in found] == []
