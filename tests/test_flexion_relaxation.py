"""Virtual backs that bend (row A64): who relaxes, and whom the analysis tells so."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "flexion_relaxation.py"
SPEC = importlib.util.spec_from_file_location("flexion_relaxation", PATH)
assert SPEC is not None
assert SPEC.loader is not None
backs = sys.modules["flexion_relaxation"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(backs)

N_SUBJECTS = 10  # of each group
# Controls that relax and patients that do not, Neblett 2013; put in, so a regression. Of ten,
# chance leaves two and a half fewer in one case of forty.
LEAST = {"control": 0.83, "patient": 0.79}
BY_CHANCE = 0.25


@pytest.fixture(scope="module")
def examined() -> list[Any]:
    """Examine ten controls and ten patients."""
    return [backs.examined(group, k) for group in LEAST for k in range(N_SUBJECTS)]


@pytest.mark.slow
def test_each_back_is_told_rightly_whether_it_relaxes(examined: list[Any]) -> None:
    """The analysis' own error is none, with 3 to 15 mm of fat and efforts that scatter."""
    assert [one for one in examined if one.is_told != one.relaxes] == []


@pytest.mark.slow
@pytest.mark.parametrize("group", LEAST)
def test_a64_controls_and_patients_are_told_apart_as_published(
    examined: list[Any], group: str
) -> None:
    """A64: 83-100 % of the controls, 79-82 % of the patients."""
    right = [one.is_told == (group == "control") for one in examined if one.group == group]
    assert sum(right) >= (LEAST[group] - BY_CHANCE) * N_SUBJECTS
    assert {one.relaxes for one in examined} == {True, False}
