"""Where fibres lie and how fast they conduct: exact laws, and the statistics of many."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.fibres import (
    DIAMETER_RANGE_UM,
    UnitFibres,
    block_probability,
    conduction_velocity,
    end_plate_jitter_s,
    fibre_counts,
    place_unit,
    thinned,
)
from emgsim.physiology.parameters import Fibres, Junctions, Muscle, Pool

MUSCLE = Muscle(
    name="test",
    radius_mm=10.0,
    pool=Pool(n_units=21),
    fibres=Fibres(per_unit_smallest=25, per_unit_largest=400, length_mm=80.0),
)
SPACING_MM = MUSCLE.fibres.spacing_mm


def changed(part: str, **values: object) -> Muscle:
    """Return the muscle with some values of its fibres or junctions, or of itself, changed."""
    if part == "muscle":
        return MUSCLE.model_copy(update=values)
    return MUSCLE.model_copy(update={part: getattr(MUSCLE, part).model_copy(update=values)})


def many(muscle: Muscle = MUSCLE, n: int = 200) -> list[UnitFibres]:
    """Return the largest unit placed many times: 80 000 fibres."""
    rng = np.random.default_rng(7)
    return [place_unit(muscle, 20, rng) for _ in range(n)]


def pooled(units: list[UnitFibres], name: str) -> np.ndarray:
    """Return one array of all units as one."""
    return np.concatenate([getattr(unit, name) for unit in units])


# -- how many, how thick, how fast ----------------------------------------------------------------


def test_a_cool_fibre_is_four_percent_slower_per_degree() -> None:
    """By pencil: 3.7 m/s at 37 C are 3.56 at 36 C and 2.60 at 28 C (Stalberg 1966: 3-5 %)."""
    velocity = [conduction_velocity(np.array([55.0]), c)[0] for c in (37.0, 36.0, 28.0)]
    assert velocity == pytest.approx([3.7, 3.5577, 2.5996], rel=1e-4)
    np.testing.assert_array_equal(
        place_unit(changed("muscle", temperature_c=30.0), 9, np.random.default_rng(3)).velocity_m_s,
        conduction_velocity(place_unit(MUSCLE, 9, np.random.default_rng(3)).diameter_um, 30.0),
    )


def test_counts_grow_exponentially_from_the_smallest_to_the_largest() -> None:
    """By pencil: 25 to 400 over 21 units, so the middle one has their geometric mean, 100."""
    counts = fibre_counts(MUSCLE)
    assert counts[[0, 10, 20]].tolist() == [25, 100, 400]
    assert np.all(np.diff(counts) >= 0)


def test_a_pool_of_one_unit_has_the_smallest_count() -> None:
    """A muscle of a single unit is a valid one."""
    one = changed("muscle", pool=Pool(n_units=1))
    assert fibre_counts(one).tolist() == [25]
    assert place_unit(one, 0, np.random.default_rng(0)).n_fibres == 25


@pytest.mark.parametrize("order", [-1, 21])
def test_a_unit_that_is_not_there_is_named(order: int) -> None:
    """Counting from the end would quietly give another unit."""
    with pytest.raises(ValueError, match=rf"order must be in 0\.\.20, got {order}"):
        place_unit(MUSCLE, order, np.random.default_rng(0))


def test_what_is_left_out_is_healthy() -> None:
    """Velocities of the diameters at 37 C, neither jitter nor block."""
    one = np.ones(2)
    unit = UnitFibres(
        x_mm=one,
        y_mm=one,
        end_plate_mm=one,
        half_lengths_mm=(one, one),
        diameter_um=55 * one,
        delay_s=one,
    )
    np.testing.assert_allclose(unit.velocity_m_s, 3.7)
    assert not unit.jitter_s.any()
    assert not unit.block_probability.any()


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    """One value for two fibres is a mistake and no broadcast."""
    one = np.ones(2)
    with pytest.raises(ValueError, match=r"delay_s: expected \(2,\), got \(1,\)"):
        UnitFibres(
            x_mm=one,
            y_mm=one,
            end_plate_mm=one,
            half_lengths_mm=(one, one),
            diameter_um=one,
            delay_s=np.ones(1),
        )


def test_a_subset_keeps_every_property() -> None:
    """By numbers in any order, by a mask, or none at all."""
    unit = place_unit(MUSCLE, 5, np.random.default_rng(2))
    some = unit.subset(np.array([7, 2]))
    for f in fields(unit):
        whole, part = getattr(unit, f.name), getattr(some, f.name)
        np.testing.assert_array_equal(np.asarray(whole)[..., [7, 2]], part)
    assert unit.subset(unit.x_mm > 0).n_fibres == np.sum(unit.x_mm > 0)
    assert unit.subset(np.array([], dtype=np.int64)).n_fibres == 0


# -- one unit -------------------------------------------------------------------------------------


@given(order=st.integers(0, 20), seed=st.integers(0, 2**32 - 1), shape=st.sampled_from("dg"))
@settings(max_examples=60, deadline=None)
def test_every_fibre_lies_in_the_muscle_and_has_two_ends(order: int, seed: int, shape: str) -> None:
    """Inside the cross-section and its territory, end plate inside, no thinner than 15 um."""
    muscle = changed("fibres", territory="disc" if shape == "d" else "gaussian")
    fibres = place_unit(muscle, order, np.random.default_rng(seed))
    n = fibres.n_fibres
    assert n == fibre_counts(muscle)[order]
    assert np.all(np.hypot(fibres.x_mm, fibres.y_mm) <= muscle.radius_mm + 1e-9)
    territory_mm = np.sqrt(n / muscle.fibres.density_per_mm2 / np.pi)
    assert np.ptp(fibres.x_mm) <= 2 * territory_mm
    assert np.ptp(fibres.y_mm) <= 2 * territory_mm
    assert min(half.min() for half in fibres.half_lengths_mm) > 0
    low, high = DIAMETER_RANGE_UM
    assert np.all((fibres.diameter_um >= low) & (fibres.diameter_um <= high))
    assert np.all(fibres.delay_s >= 0)
    assert np.all((fibres.block_probability >= 0) & (fibres.block_probability <= 1))


@given(order=st.integers(0, 20), seed=st.integers(0, 2**32 - 1), density=st.floats(1.0, 40.0))
@settings(max_examples=40, deadline=None)
def test_no_two_fibres_of_a_unit_are_neighbours(order: int, seed: int, density: float) -> None:
    """As close as the spacing allows and no closer, up to a dense regrouped unit."""
    muscle = changed("fibres", density_per_mm2=density)
    unit = place_unit(muscle, order, np.random.default_rng(seed))
    xy = np.column_stack([unit.x_mm, unit.y_mm])
    apart = np.hypot(*(xy[:, None] - xy).T)[np.triu_indices(unit.n_fibres, 1)]
    assert apart.size == 0 or apart.min() >= SPACING_MM * (1 - 1e-9)


def thinned_by_the_book(places: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Return the same as `thinned`, place by place."""
    kept: list[np.ndarray] = []
    for place in places:
        if all(np.sum((place - other) ** 2) >= spacing_mm**2 for other in kept):
            kept.append(place)
    return np.array(kept).reshape(-1, 2)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 120), spacing_mm=st.floats(0.0, 0.4))
@settings(max_examples=80, deadline=None)
def test_the_thinning_kernel_equals_the_reference(seed: int, n: int, spacing_mm: float) -> None:
    """From nothing dropped to nearly all: the same places in the same order."""
    places = np.random.default_rng(seed).uniform(size=(n, 2))
    np.testing.assert_array_equal(
        thinned(places, spacing_mm), thinned_by_the_book(places, spacing_mm)
    )


def test_fibres_without_room_are_refused_and_not_sought_for_ever() -> None:
    """A model copied past its rules: 400 fibres 1 mm apart do not fit in 114 mm2."""
    with pytest.raises(ValueError, match=r"room for 400 in a territory of 6\.03 mm, got 1"):
        place_unit(changed("fibres", spacing_mm=1.0), 20, np.random.default_rng(0))


def test_a_unit_does_not_depend_on_the_others() -> None:
    """One stream makes one unit: the same bytes, however many units were placed before."""
    alone = place_unit(MUSCLE, 12, np.random.default_rng(5))
    place_unit(MUSCLE, 3, np.random.default_rng(4))
    again = place_unit(MUSCLE, 12, np.random.default_rng(5))
    for name in ("x_mm", "delay_s", "diameter_um", "jitter_s", "velocity_m_s"):
        assert getattr(alone, name).tobytes() == getattr(again, name).tobytes()


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("fibres", {"spacing_mm": 0.2}),
        ("fibres", {"territory": "gaussian"}),
        ("junctions", {"late_share": 0.5}),
        ("junctions", {"safety_factor": 2.0}),
        ("muscle", {"temperature_c": 25.0}),
    ],
)
def test_a_change_of_one_property_leaves_the_diameters(part: str, values: dict) -> None:
    """A disease changes what it names and no other draw of the unit."""
    other = place_unit(changed(part, **values), 15, np.random.default_rng(8))
    same = place_unit(MUSCLE, 15, np.random.default_rng(8))
    np.testing.assert_array_equal(other.diameter_um, same.diameter_um)
    np.testing.assert_array_equal(other.end_plate_mm, same.end_plate_mm)


# -- the statistics of many -----------------------------------------------------------------------


def test_a_unit_is_as_dense_as_set() -> None:
    """Neighbours in a semicircle of 0.3 mm: 3.5/mm2 of its area, without the spacing's."""
    extra = []
    for unit in many()[:60]:
        xy = np.column_stack([unit.x_mm, unit.y_mm])
        offset = xy[:, None] - xy
        inner = np.hypot(*(xy - xy.mean(axis=0)).T) < 3.0  # no edge of the territory near
        near = (np.hypot(*offset.T) < 0.3).T & (offset[..., 0] > 0)
        extra.append(near[:, inner].sum(axis=0))
    expected = 3.5 * np.pi / 2 * (0.3**2 - SPACING_MM**2)
    assert np.concatenate(extra).mean() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(("shape", "mean"), [("disc", 0.5), ("gaussian", 2 / 13.816)])
def test_fibres_fill_their_territory_by_its_law(shape: str, mean: float) -> None:
    """Mean square radius over R2: 1/2 of a disc; of a Gaussian with 99.9 % inside, 1 / ln 1000."""
    r2 = []
    for unit in many(changed("fibres", territory=shape)):
        x, y = unit.x_mm - unit.x_mm.mean(), unit.y_mm - unit.y_mm.mean()
        r2.append((x**2 + y**2) * MUSCLE.fibres.density_per_mm2 * np.pi / unit.n_fibres)
    assert np.concatenate(r2).mean() == pytest.approx(mean, rel=0.02)


def test_diameters_and_end_plates_scatter_as_set() -> None:
    """Mean 64 um and SD 5 um in the largest unit; end plates SD 0.8 mm about the unit's own."""
    units = many()
    diameter_um = pooled(units, "diameter_um")
    assert diameter_um.mean() == pytest.approx(64.0, abs=0.1)
    assert diameter_um.std() == pytest.approx(5.0, rel=0.02)
    within_mm = np.concatenate([unit.end_plate_mm - unit.end_plate_mm.mean() for unit in units])
    assert within_mm.std() == pytest.approx(0.8, rel=0.02)
    centres_mm = np.array([unit.end_plate_mm.mean() for unit in units])
    assert np.abs(centres_mm).max() < 5.0 + 0.3
    assert centres_mm.std() == pytest.approx(10.0 / np.sqrt(12), rel=0.12)  # an even band of 10 mm


def test_fibres_end_about_the_tendons() -> None:
    """Each end scatters by 5 % of the length, 4 mm, about half the length from the centre."""
    for sign, k in ((1.0, 0), (-1.0, 1)):
        end_mm = np.concatenate([u.half_lengths_mm[k] + sign * u.end_plate_mm for u in many()])
        assert end_mm.mean() == pytest.approx(40.0, abs=0.1)
        assert end_mm.std() == pytest.approx(4.0, rel=0.02)


def test_a_fibre_farther_along_the_branch_is_excited_later() -> None:
    """Its delay is its end plate's distance from the unit's own over the branch velocity."""
    unit = place_unit(MUSCLE, 20, np.random.default_rng(11))
    speed_mm_s = MUSCLE.fibres.branch_velocity_m_s * 1e3
    # The unit's own place is where the delay is zero: both sides of it rise with slope 1 / speed.
    own_mm = unit.end_plate_mm[np.argmin(unit.delay_s)]
    np.testing.assert_allclose(
        unit.delay_s * speed_mm_s, np.abs(unit.end_plate_mm - own_mm), atol=0.02
    )


def test_sprouts_reach_their_share_of_fibres_late() -> None:
    """A share of 35 % is late by 4 ms in the mean, all others not at all: early reinnervation."""
    late_s = pooled(many(changed("junctions", late_share=0.35)), "delay_s") - pooled(
        many(changed("fibres")), "delay_s"
    )
    assert np.mean(late_s > 0) == pytest.approx(0.35, abs=0.01)
    assert late_s[late_s > 0].mean() == pytest.approx(4e-3, rel=0.02)
    assert late_s[late_s > 0].std() == pytest.approx(4e-3 / np.sqrt(2), rel=0.03)  # gamma, shape 2


# -- end plates -----------------------------------------------------------------------------------


def test_a_weak_end_plate_jitters_and_blocks() -> None:
    """By pencil (H.5): 17 us at factor 4, 51 us at 2; half of all blocked at 1, 0.135 % at 1.75."""
    jitter_us = 1e6 * end_plate_jitter_s(np.array([4.0, 2.0, 1.25, 1.0, 0.5]), Junctions())
    assert jitter_us == pytest.approx([17.0, 51.0, 204.0, 204.0, 204.0])
    blocked = block_probability(np.array([1.0, 1.75, 4.0, 0.5]))
    assert blocked == pytest.approx([0.5, 1.35e-3, 0.0, 0.977], abs=5e-4)


def test_blocking_begins_where_jitter_says() -> None:
    """MCD 80-100 us (Stalberg & Trontelj): below not one in 10,000, a thousandth at 104 us."""
    safety = np.linspace(1.2, 4.0, 2000)
    mcd_us = 1.596e6 * end_plate_jitter_s(safety, Junctions())
    first = mcd_us[np.argmax(block_probability(safety) < 1e-3)]
    assert first == pytest.approx(104.0, abs=3.0)
    assert block_probability(safety)[mcd_us < 80].max() < 1e-4


def test_cooling_below_35_degrees_adds_jitter() -> None:
    """2-3 us of MCD per degree; between 35 and 37 C nothing."""
    mcd_us = [
        1.596e6 * end_plate_jitter_s(np.array([4.0]), Junctions(), c)[0] for c in (37, 35, 30)
    ]
    assert mcd_us[0] == mcd_us[1]
    assert mcd_us[2] - mcd_us[1] == pytest.approx(12.5)


def test_safety_factors_are_log_normal_over_the_end_plates() -> None:
    """The median end plate has the muscle's jitter; 95 % lie between the factors 3 and 5."""
    jitter_us = 1e6 * pooled(many(), "jitter_s")
    assert np.median(jitter_us) == pytest.approx(17.0, rel=0.01)
    safety = 1 + 17.0 * 3.0 / jitter_us
    assert np.mean((safety > 3.0) & (safety < 5.0)) == pytest.approx(0.94, abs=0.015)
    assert np.log(safety).std() == pytest.approx(0.13, rel=0.02)
