"""The catalogue of muscles: every entry is a whole muscle with the findings of its sources."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from emgsim.physiology.fibres import fibre_counts
from emgsim.physiology.parameters import Muscle
from emgsim.physiology.pool import steady_force, thresholds
from emgsim.references import reference
from emgsim.scenario import muscle_catalogue
from emgsim.shipped import PACKAGE

NAMES = sorted(muscle_catalogue())
# Force at which the last unit is recruited, fraction of MVC (physiology A.2; [M] as cited there).
LAST_UNIT = {
    "biceps_brachii": (0.85, 0.88),
    "deltoid": (0.80, 0.85),
    "first_dorsal_interosseous": (0.50, 0.67),
    "tibialis_anterior": (0.89, 0.91),
    "vastus_lateralis": (0.80, 0.95),
    "soleus": (0.94, 0.96),
}


def muscle(name: str) -> Muscle:
    return Muscle(name=name, **muscle_catalogue()[name])


@pytest.mark.parametrize("name", NAMES)
def test_every_muscle_of_the_catalogue_is_whole(name: str) -> None:
    """It validates, its roots share all axons, and its nerve and fat are named."""
    m = muscle(name)
    assert m.nerve
    assert math.isclose(sum(m.roots.values()), 1.0)
    assert m.fat_mm > 0
    assert m.fibres.per_unit_smallest < m.fibres.per_unit_largest


@pytest.mark.parametrize("name", NAMES)
def test_territories_are_as_wide_as_scanning_electromyography_found(name: str) -> None:
    """From 3 mm in small muscles to 15 mm in the thigh (Stalberg & Dioszeghy 1991)."""
    m = muscle(name)
    diameter_mm = 2 * np.sqrt(fibre_counts(m) / m.fibres.density_per_mm2 / np.pi)
    assert diameter_mm.min() > 3.5
    assert diameter_mm.max() < 15


@pytest.mark.parametrize("name", LAST_UNIT)
def test_the_last_unit_is_recruited_where_its_source_says(name: str) -> None:
    """The recruitment ranges were chosen for it: a regression test, no validation."""
    low, high = LAST_UNIT[name]
    pool = muscle(name).pool
    assert low <= steady_force(pool, thresholds(pool)[-1:])[0] <= high


def test_every_number_of_the_catalogue_has_its_source() -> None:
    """No line with a number goes without a comment, except the root weights."""
    text = (PACKAGE / "catalogue" / "muscles.toml").read_text("utf-8")
    bare = [
        line
        for line in text.splitlines()
        if re.match(r"\w+ = [\d.]", line) and not re.search(r"# .+", line)
    ]
    assert not bare


@pytest.mark.parametrize("name", NAMES)
def test_every_muscle_has_reference_values(name: str) -> None:
    """An examination can say of each whether its MUAPs are normal."""
    own = reference(name)
    assert own.muscle == name
    assert set(own.muaps) == {"normal", "neurogenic", "sprouting", "myopathic"}
