"""A body: all units of a muscle as the patient's seed made them, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emgsim.physiology.body import healthy_body, joined, twitch_force
from emgsim.physiology.fibres import place_unit
from emgsim.physiology.parameters import Fibres, Muscle, Pool
from emgsim.seeds import stream

MUSCLE = Muscle(
    name="test",
    radius_mm=8.0,
    roots={"C5": 0.75, "C6": 0.25},
    pool=Pool(n_units=20),
    fibres=Fibres(per_unit_smallest=20, per_unit_largest=80, length_mm=80.0),
)


def test_a_healthy_body_has_the_fibres_of_the_patients_streams() -> None:
    """Unit by unit the same bytes as `place_unit` from the stream "muscle", in order of size."""
    body = healthy_body(MUSCLE, seed=4)
    for order, unit in enumerate(body.units):
        alone = place_unit(MUSCLE, order, stream(4, "muscle", order))
        np.testing.assert_array_equal(unit.x_mm, alone.x_mm)
        np.testing.assert_array_equal(unit.jitter_s, alone.jitter_s)


def test_a_healthy_body_lacks_nothing() -> None:
    """Full strength, nobody lost, no orphan, an end plate for each fibre."""
    body = healthy_body(MUSCLE, seed=4)
    assert body.strength == pytest.approx(np.ones(20))
    assert body.twitch_share == pytest.approx(np.ones(20))
    assert not body.is_lost.any()
    assert body.denervated_share == 0
    for unit, end_plate in zip(body.units, body.end_plates, strict=True):
        assert np.unique(end_plate).size == unit.n_fibres


def test_a_lost_unit_can_be_recruited_for_nothing() -> None:
    """Its fibres keep their strength; its share of the will is none."""
    body = healthy_body(MUSCLE, seed=4)
    blocked = replace(body, is_lost=np.arange(20) == 7)
    assert blocked.strength[7] == pytest.approx(1.0)
    assert np.flatnonzero(blocked.twitch_share == 0).tolist() == [7]


def test_roots_share_the_units_whatever_their_size() -> None:
    """Three quarters of 20 units are of C5, mixed over the sizes, and the same for one seed."""
    roots = [healthy_body(MUSCLE, seed).roots for seed in (4, 4, 5)]
    assert [np.sum(r == "C5") for r in roots] == [15, 15, 15]
    assert np.array_equal(roots[0], roots[1])
    assert not np.array_equal(roots[0], roots[2])
    unknown = healthy_body(MUSCLE.model_copy(update={"roots": {}}), 4)
    assert set(unknown.roots) == {""}


def test_the_force_of_a_twitch_is_the_section_that_transmits() -> None:
    """By pencil: each fibre counts by its area and by how often its end plate transmits."""
    unit = place_unit(MUSCLE, 3, stream(1, "muscle", 3))
    half = replace(unit, block_probability=np.full(unit.n_fibres, 0.5))
    area_um2 = np.sum(np.pi / 4 * unit.diameter_um**2)
    assert twitch_force(unit) == pytest.approx(area_um2, rel=1e-6)
    assert twitch_force(half) == pytest.approx(area_um2 / 2)


def test_units_joined_are_their_fibres_in_order() -> None:
    """Every property of every fibre stands where it was, both halves among them."""
    one, other = (place_unit(MUSCLE, order, stream(1, "muscle", order)) for order in (2, 9))
    both = joined([one, other])
    n = one.n_fibres
    for part, where in ((one, slice(0, n)), (other, slice(n, None))):
        np.testing.assert_array_equal(both.delay_s[where], part.delay_s)
        for half, of_part in zip(both.half_lengths_mm, part.half_lengths_mm, strict=True):
            np.testing.assert_array_equal(half[where], of_part)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("is_lost", np.zeros(3, bool), r"is_lost: expected \(20,\), got \(3,\)"),
        ("units", (), r"units, end_plates: expected 20, got 0, 20"),
        ("fibrillates", np.ones(2), r"fibrillates: expected \(0,\), got \(2,\)"),
        ("end_plates", (np.zeros(2, np.int64),) * 20, r"end_plates: expected \(20,\), got \(2,\)"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(
    name: str, value: object, message: str
) -> None:
    """Thing, expected and got."""
    with pytest.raises(ValueError, match=message):
        replace(healthy_body(MUSCLE, seed=4), **{name: value})
