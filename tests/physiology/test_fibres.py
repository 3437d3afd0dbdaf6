"""Where fibres lie and how fast they conduct: exact laws, and the statistics of many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.fibres import (
    DIAMETER_RANGE_UM,
    conduction_velocity,
    fibre_counts,
    place_unit,
)
from emgsim.physiology.parameters import Fibres, Muscle, Pool

MUSCLE = Muscle(
    name="test",
    radius_mm=10.0,
    pool=Pool(n_units=21),
    fibres=Fibres(per_unit_smallest=25, per_unit_largest=400, length_mm=80.0),
)


def test_velocity_follows_the_line_of_nandedkar_and_stalberg() -> None:
    """A03: 2.20/3.70/5.20 m/s at 25/55/85 um, exactly."""
    assert conduction_velocity(np.array([25.0, 55.0, 85.0])) == pytest.approx([2.2, 3.7, 5.2])


def test_counts_grow_exponentially_from_the_smallest_to_the_largest() -> None:
    """By pencil: 25 to 400 over 21 units, so the middle one has their geometric mean, 100."""
    counts = fibre_counts(MUSCLE)
    assert counts[[0, 10, 20]].tolist() == [25, 100, 400]
    assert np.all(np.diff(counts) >= 0)


def test_a_pool_of_one_unit_has_the_smallest_count() -> None:
    """A muscle of a single unit is a valid one."""
    one = MUSCLE.model_copy(update={"pool": Pool(n_units=1)})
    assert fibre_counts(one).tolist() == [25]
    assert place_unit(one, 0, np.random.default_rng(0)).n_fibres == 25


@given(order=st.integers(0, 20), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_every_fibre_lies_in_the_muscle_and_has_two_ends(order: int, seed: int) -> None:
    """Inside the cross-section and its territory, as long as the muscle, no thinner than 15 um."""
    fibres = place_unit(MUSCLE, order, np.random.default_rng(seed))
    n = fibres.n_fibres
    assert n == fibre_counts(MUSCLE)[order]
    assert np.all(np.hypot(fibres.x_mm, fibres.y_mm) <= MUSCLE.radius_mm + 1e-9)
    territory_mm = np.sqrt(n / MUSCLE.fibres.density_per_mm2 / np.pi)
    assert np.ptp(fibres.x_mm) <= 2 * territory_mm
    assert np.ptp(fibres.y_mm) <= 2 * territory_mm
    up, down = fibres.half_lengths_mm
    np.testing.assert_allclose(up + down, MUSCLE.fibres.length_mm)
    np.testing.assert_allclose(fibres.end_plate_mm + up, MUSCLE.fibres.length_mm / 2)
    low, high = DIAMETER_RANGE_UM
    assert np.all((fibres.diameter_um >= low) & (fibres.diameter_um <= high))
    assert np.all(fibres.delay_s >= 0)


def many() -> list:
    """Return the largest unit placed 200 times: 80 000 fibres."""
    rng = np.random.default_rng(7)
    return [place_unit(MUSCLE, 20, rng) for _ in range(200)]


def test_a_unit_is_as_dense_as_single_fibre_emg_says() -> None:
    """A12 by geometry: neighbours in a semicircle of 0.3 mm make a fibre density of 1.5 +- 0.15."""
    extra = []
    for unit in many()[:40]:
        xy = np.column_stack([unit.x_mm, unit.y_mm])
        centre = xy.mean(axis=0)
        inner = np.flatnonzero(np.hypot(*(xy - centre).T) < 3.0)  # no edge of the territory near
        for k in inner[:60]:
            offset = xy - xy[k]
            near = (np.hypot(*offset.T) < 0.3) & (offset[:, 0] > 0)
            extra.append(near.sum())
    assert 1 + np.mean(extra) == pytest.approx(1.5, abs=0.15)


def test_fibres_fill_their_territory_evenly() -> None:
    """Half the fibres lie in the inner half of the area, and their mean square radius is R2/2."""
    r2 = []
    for unit in many():
        x, y = unit.x_mm - unit.x_mm.mean(), unit.y_mm - unit.y_mm.mean()
        r2.append((x**2 + y**2) * MUSCLE.fibres.density_per_mm2 * np.pi / unit.n_fibres)
    share = np.concatenate(r2)
    assert share.mean() == pytest.approx(0.5, rel=0.02)
    assert np.mean(share < 0.5) == pytest.approx(0.5, abs=0.01)


def test_diameters_and_end_plates_scatter_as_set() -> None:
    """Mean 64 um and SD 5.5 um in the largest unit; end plates SD 1.2 mm about the unit's own."""
    units = many()
    diameter_um = np.concatenate([unit.diameter_um for unit in units])
    assert diameter_um.mean() == pytest.approx(64.0, abs=0.1)
    assert diameter_um.std() == pytest.approx(5.5, rel=0.02)
    within_mm = np.concatenate([unit.end_plate_mm - unit.end_plate_mm.mean() for unit in units])
    assert within_mm.std() == pytest.approx(1.2, rel=0.02)
    centres_mm = np.array([unit.end_plate_mm.mean() for unit in units])
    assert np.abs(centres_mm).max() < 5.0 + 0.3
    assert centres_mm.std() == pytest.approx(10.0 / np.sqrt(12), rel=0.12)  # an even band of 10 mm


def test_a_fibre_farther_along_the_branch_is_excited_later() -> None:
    """Its delay is its end plate's distance from the unit's own over the branch velocity."""
    rng = np.random.default_rng(11)
    unit = place_unit(MUSCLE, 20, rng)
    speed_mm_s = MUSCLE.fibres.branch_velocity_m_s * 1e3
    # The unit's own place is where the delay is zero: both sides of it rise with slope 1 / speed.
    own_mm = unit.end_plate_mm[np.argmin(unit.delay_s)]
    np.testing.assert_allclose(
        unit.delay_s * speed_mm_s, np.abs(unit.end_plate_mm - own_mm), atol=0.02
    )
