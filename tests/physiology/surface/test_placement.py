"""Surface electrodes and muscles: what fits, what is refused, and with which words."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from emgsim.physiology.parameters import Fibres, Muscle, Pool
from emgsim.physiology.parameters.surface import (
    BellyTendon,
    SkinElectrode,
    SurfaceBipolar,
    SurfaceGrid,
    SurfacePads,
)
from emgsim.physiology.surface.cylinder import Cylinder
from emgsim.physiology.surface.placement import conductor_of, must_fit
from emgsim.physiology.surface.planar import Plane

MUSCLE = Muscle(
    name="small muscle",
    radius_mm=10.0,
    fat_mm=4.0,
    pool=Pool(n_units=10),
    fibres=Fibres(per_unit_smallest=20, per_unit_largest=100, length_mm=60.0),
)


def test_the_layers_are_the_muscles_and_the_electrodes():
    """Muscle's conductivities and fat of the muscle, skin of the electrode."""
    plane = conductor_of(SurfaceBipolar(skin_mm=1.5, sigma_fat_s_m=0.03), MUSCLE)
    assert isinstance(plane, Plane)
    assert (plane.muscle_radius_mm, plane.layers.fat_mm, plane.layers.skin_mm) == (10.0, 4.0, 1.5)
    assert plane.layers.sigma_fat_s_m == 0.03
    assert plane.layers.anisotropy == MUSCLE.medium.anisotropy


def test_a_cylinder_has_its_bone():
    """All that a limb is made of comes from the electrode's parameters."""
    electrode = SurfaceBipolar(conductor="cylinder", limb_radius_mm=45.0, bone_radius_mm=9.0)
    limb = conductor_of(electrode, MUSCLE)
    assert isinstance(limb, Cylinder)
    assert (limb.limb_radius_mm, limb.bone_radius_mm, limb.sigma_bone_s_m) == (45.0, 9.0, 0.02)


def test_a_muscle_too_thick_for_its_limb_is_refused():
    """10 mm of muscle's radius do not fit into a finger."""
    with pytest.raises(ValueError, match="limb_radius_mm must be >="):
        conductor_of(SurfaceBipolar(conductor="cylinder", limb_radius_mm=12.0), MUSCLE)


def test_discs_farther_apart_than_a_quarter_of_the_fibres_are_refused():
    """SENIAM's rule, with the muscle's own figure; a quarter itself is allowed."""
    must_fit(SurfaceBipolar(apart_mm=15.0), MUSCLE)
    with pytest.raises(
        ValueError, match=r"apart_mm must be <= 15, a quarter of the 60 mm .* got 20"
    ):
        must_fit(SurfaceBipolar(), MUSCLE)


def test_belly_and_tendon_need_not_lie_within_a_quarter():
    """They are meant to lie far apart."""
    must_fit(BellyTendon(), MUSCLE)


def test_a_lead_that_is_no_channel_is_refused():
    """Channels count from 0."""
    must_fit(SurfaceGrid(lead_off=(63,)), MUSCLE)
    with pytest.raises(ValueError, match=r"lead_off must name channels in 0\.\.63, got 64"):
        must_fit(SurfaceGrid(lead_off=(3, 64)), MUSCLE)


@pytest.mark.parametrize(
    ("make", "nearest"),
    [
        (lambda: SurfaceBipolar(apart_mm=10.0), "10"),
        (lambda: BellyTendon(apart_mm=9.0), "9"),
        (lambda: SurfaceGrid(pitch_mm=(4.0, 1.5)), "1.5"),
        (lambda: SurfacePads(pads_mm=((0.0, 0.0), (1.0, 1.0))), "1.414"),
    ],
)
def test_pads_that_touch_are_refused(make, nearest):
    """A short circuit is no recording."""
    with pytest.raises(ValidationError, match=f"pad_mm must be < {nearest}, the least distance"):
        make()


def test_a_sleeve_may_go_round_the_limb_but_not_overlap():
    """32 columns of 8 mm with 2 mm pads: 250 mm across."""
    sleeve = {"rows": 2, "columns": 32, "pitch_mm": 8.0, "conductor": "cylinder"}
    SurfaceGrid.model_validate(sleeve | {"limb_radius_mm": 250.5 / (2 * math.pi)})
    with pytest.raises(
        ValidationError, match=r"less than the limb's girth of 249\.5 mm .* got 250;"
    ):
        SurfaceGrid.model_validate(sleeve | {"limb_radius_mm": 249.5 / (2 * math.pi)})


def test_a_turned_sleeve_lies_along_the_limb():
    """By 90 degrees its columns run along: nothing overlaps. On a plane, nothing can."""
    sleeve = {"rows": 2, "columns": 32, "pitch_mm": 8.0, "limb_radius_mm": 20.0}
    SurfaceGrid.model_validate(sleeve | {"conductor": "cylinder", "angle_deg": 90.0})
    SurfaceGrid.model_validate(sleeve)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"rows": 40, "columns": 20}, r"1\.\.512 pads, got 800"),
        ({"rows": 1, "columns": 1, "missing": ((0, 0),)}, r"1\.\.512 pads, got 0"),
        ({"missing": ((8, 0),)}, "must lie on the grid of 8 x 8, counted from 0, got 8, 0"),
        ({"missing": ((0, -1),)}, "got 0, -1"),
    ],
)
def test_impossible_grids_are_refused(changed, words):
    """Too many pads, none, and one missing that never was."""
    with pytest.raises(ValidationError, match=words):
        SurfaceGrid(**changed)


def test_the_extent_is_that_of_all_pads():
    """Centre to centre and one pad."""
    assert SurfaceBipolar().extent_mm == 30.0
    assert SurfacePads(pads_mm=((0.0, 0.0),), pad_mm=3.0).extent_mm == 3.0


def test_the_base_has_no_pads_of_its_own():
    """It is no electrode."""
    with pytest.raises(NotImplementedError):
        SkinElectrode()
