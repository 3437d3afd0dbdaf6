"""A dataset of a small muscle: an item takes some 20 ms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emgsim.dataset.items import Items
from emgsim.dataset.plan import Plan, load_plan

SCENARIO = """
schema = "emgsim.scenario/1"
id = "small_muscle"
title = "A small muscle in a short contraction"
seed = 1

[muscle]
name = "small_muscle"
radius_mm = 4.0
pool = { n_units = 12 }
fibres = { per_unit_smallest = 6, per_unit_largest = 30, length_mm = 60.0 }

[electrode]
kind = "concentric_needle"
tip = { x_mm = 0.0, y_mm = 0.0, z_mm = 12.0 }

[[phases]]
kind = "rest"
duration_s = 0.1

[[phases]]
kind = "hold"
duration_s = 0.5
level_mvc = 0.3
ramp_s = 0.1

[acquisition]
rate_hz = 10000.0
"""
HEAD = """
schema = "emgsim.dataset/1"
id = "small"
title = "A small set"
licence = "CC-BY-4.0"
authors = ["A. Nobody"]
seed = 7
scenarios = ["small_muscle.toml"]
"""
TIP = """
[[parameters]]
key = "electrode.tip.x_mm"
kind = "uniform"
low = -1.0
high = 1.0
"""
PAIRS = """
[[variants]]
name = "diseased"
set = ["conditions=[{kind='myopathy', loss=0.3}]"]

[[variants]]
name = "healthy"
"""
SIX = "subjects = 3\nrecordings = 2\n" + TIP


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Return what writes a dataset's file, a small scenario beside it."""

    def written(text: str) -> Path:
        (tmp_path / "small_muscle.toml").write_text(SCENARIO, encoding="utf-8")
        (tmp_path / "other_muscle.toml").write_text(
            SCENARIO.replace('"small_muscle"', '"other_muscle"'), encoding="utf-8"
        )
        path = tmp_path / "plan.toml"
        path.write_text(HEAD + text, encoding="utf-8")
        return path

    return written


@pytest.fixture
def load(write: Callable[[str], Path]) -> Callable[[str], Plan]:
    """Return what loads the plan of a text."""
    return lambda text: load_plan(write(text))


@pytest.fixture
def items(load: Callable[[str], Plan]) -> Callable[[str], Items]:
    """Return what makes the items of a text."""
    return lambda text: Items(load(text))
