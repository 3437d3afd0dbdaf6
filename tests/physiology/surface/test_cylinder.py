"""The limb: against a series of Bessel functions, linear systems, wires, and the flat layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special

from emgsim.physiology.surface import cylinder
from emgsim.physiology.surface.conductor import Layers
from emgsim.physiology.surface.cylinder import Cylinder
from emgsim.physiology.surface.planar import Plane

LAYERS = Layers(sigma_radial_s_m=0.1, sigma_axial_s_m=0.5, fat_mm=3.0)
BARE = replace(LAYERS, fat_mm=0.0, skin_mm=0.0)
ARM = Cylinder(layers=LAYERS, limb_radius_mm=44.0, muscle_radius_mm=14.0, bone_radius_mm=10.0)
BONELESS = replace(ARM, bone_radius_mm=0.0)
TRUNK = Plane(layers=LAYERS, muscle_radius_mm=14.0)
DEPTH_MM, ACROSS_MM = np.array([5.0, 15.0]), np.array([0.0, 12.0, 30.0])
Z_MM = np.linspace(0.0, 100.0, 51)
PAD_MM = 5.0


def slopes(conductor, depth_mm=DEPTH_MM, across_mm=ACROSS_MM, z_mm=Z_MM, pad_mm=PAD_MM):
    """Return the changes of a pick-up along z, shape ``(n_depths, n_across, n_z - 1)``."""
    return np.diff(conductor.pick_up(depth_mm, across_mm, z_mm, pad_mm), axis=2)


def difference(one, other):
    """Return the largest difference of two sets of slopes over the steepest slope at its depth."""
    steepest = np.abs(other).max(axis=(1, 2), keepdims=True)
    return np.max(np.abs(one - other) / steepest)


def modes_of_a_cylinder(radius_mm, source_mm, angle, z_mm, anisotropy):
    """Return the pick-up in a bare cylinder by its eigenfunctions, for z > 0: no k, no I_n, no K_n.

    With z over sqrt(A) the medium is isotropic. Each mode ``J_n(a r / R) cos(n angle)``, ``a`` a
    zero of ``J_n'``, falls as ``exp(-a z / R)``; the constant one falls evenly.
    """
    z = np.abs(z_mm) / np.sqrt(anisotropy)
    total = -2.0 * z / radius_mm
    for n in range(60):
        a = special.jnp_zeros(n, 60)[:, None]
        norm = special.jv(n, a) ** 2 * (1 - (n / a) ** 2) / (2.0 if n else 1.0)
        mode = special.jv(n, a * source_mm / radius_mm) * special.jv(n, a) * np.cos(n * angle)
        total = total + np.sum(2.0 * mode / norm / a * np.exp(-a * z / radius_mm), axis=0)
    return total / (radius_mm * np.sqrt(anisotropy))


@pytest.mark.parametrize("anisotropy", [1.0, 5.0])
@pytest.mark.parametrize("source_mm", [0.0, 12.0, 30.0])
def test_a_bare_cylinder_is_the_sum_of_its_modes(anisotropy, source_mm):
    """Muscle alone has another closed solution, which shares nothing with ours."""
    layers = replace(BARE, sigma_axial_s_m=0.1 * anisotropy)
    bare = Cylinder(layers=layers, limb_radius_mm=40.0, muscle_radius_mm=30.0)
    z_mm = np.linspace(10.0, 150.0, 15)
    got = bare.pick_up(np.array([40.0 - source_mm]), np.array([0.0, 13.0]), z_mm, 0.0)[0]
    for row, angle in zip(got, (0.0, 13.0 / 40.0), strict=True):
        expected = modes_of_a_cylinder(40.0, source_mm, angle, z_mm, anisotropy)
        assert np.max(np.abs(row - expected)) < 1e-4 * np.max(np.abs(np.diff(expected)))


def test_layers_of_one_conductivity_are_none():
    """Bone, fat and skin that conduct as isotropic muscle does are one piece with it."""
    same = Layers(sigma_radial_s_m=0.1, sigma_axial_s_m=0.1, fat_mm=3.0, sigma_fat_s_m=0.1,
                  sigma_skin_s_m=0.1)  # fmt: skip
    limb = replace(ARM, layers=same, sigma_bone_s_m=0.1)
    z_mm = np.linspace(10.0, 150.0, 15)
    got = limb.pick_up(np.array([8.0]), np.array([0.0]), z_mm, 0.0)[0, 0]
    expected = modes_of_a_cylinder(44.0, 32.0, 0.0, z_mm, 1.0)
    assert np.max(np.abs(got - expected)) < 1e-4 * np.max(np.abs(np.diff(expected)))


def skin_potential(limb, source_mm, n, k):
    """Return one term of the skin's potential by the limb's seven boundary conditions.

    Unknown are the shares of I_n and K_n in muscle, fat and skin, and of I_n in bone. In muscle a
    unit current adds the field of endless muscle, ``K_n(k r) I_n(k source) / sigma_radial``.
    """
    layers, muscle_k = limb.layers, k * np.sqrt(limb.layers.anisotropy)
    bone_mm, surface_mm = limb.bone_radius_mm, limb.limb_radius_mm - layers.cover_mm
    fat_mm, skin_mm = surface_mm + layers.fat_mm, limb.limb_radius_mm
    bone, muscle, fat, skin = (
        limb.sigma_bone_s_m, layers.sigma_radial_s_m, layers.sigma_fat_s_m, layers.sigma_skin_s_m,
    )  # fmt: skip

    def both(k, radius_mm, sigma=None):
        """Return I_n and K_n at a radius, or the radial currents that they make."""
        x = k * radius_mm
        if sigma is None:
            return [special.iv(n, x), special.kv(n, x)]
        return [sigma * k * special.ivp(n, x), sigma * k * special.kvp(n, x)]

    def minus(values):
        return [-value for value in values]

    system = np.array([
        [both(k, bone_mm)[0], *minus(both(muscle_k, bone_mm)), 0, 0, 0, 0],
        [both(k, bone_mm, bone)[0], *minus(both(muscle_k, bone_mm, muscle)), 0, 0, 0, 0],
        [0, *both(muscle_k, surface_mm), *minus(both(k, surface_mm)), 0, 0],
        [0, *both(muscle_k, surface_mm, muscle), *minus(both(k, surface_mm, fat)), 0, 0],
        [0, 0, 0, *both(k, fat_mm), *minus(both(k, fat_mm))],
        [0, 0, 0, *both(k, fat_mm, fat), *minus(both(k, fat_mm, skin))],
        [0, 0, 0, 0, 0, *both(k, skin_mm, skin)],
    ])  # fmt: skip
    i_source, k_source = (value / muscle for value in both(muscle_k, source_mm))
    known = np.array([
        k_source * both(muscle_k, bone_mm)[0],
        k_source * both(muscle_k, bone_mm, muscle)[0],
        -i_source * both(muscle_k, surface_mm)[1],
        -i_source * both(muscle_k, surface_mm, muscle)[1],
        0, 0, 0,
    ])  # fmt: skip
    shares = np.linalg.solve(system, known)
    return shares[5:] @ both(k, skin_mm)


@pytest.mark.parametrize("sigma_skin_s_m", [1.0, 4e-4])
def test_a_limb_fulfils_its_seven_boundary_conditions(sigma_skin_s_m):
    """Term by term, as one linear system each, summed by another rule; wet skin and dry."""
    limb = replace(ARM, layers=replace(LAYERS, sigma_skin_s_m=sigma_skin_s_m))
    z_mm, across_mm = np.array([0.0, 10.0, 25.0, 60.0]), 12.0
    node, weight = np.polynomial.legendre.leggauss(60)
    k, weight = 0.2 * (node + 1), 0.2 * weight  # 0..0.4 per mm: depth 15 needs no more
    along = np.diff(np.cos(np.outer(k, z_mm)), axis=1)
    total = np.zeros(3)
    for n in range(26):
        disc_k = np.hypot(k, n / 44.0) * PAD_MM
        terms = [skin_potential(limb, 25.0, n, one) for one in k]
        terms = np.array(terms) * weight * 2 * special.j1(disc_k) / disc_k
        total += (2 if n else 1) * np.cos(n * across_mm / 44.0) * (terms @ along)
    expected = 2 * LAYERS.sigma_radial_s_m / np.pi * total
    got = slopes(limb, np.array([15.0]), np.array([across_mm]), z_mm)[0, 0]
    assert got == pytest.approx(expected, abs=5e-5 * np.max(np.abs(expected)))


def test_far_away_a_limb_is_a_wire():
    """Half the current flows either way along all layers; the pick-up falls as its voltage."""
    conductance = 0.02 * 10**2 + 0.5 * (40**2 - 10**2) + 0.05 * (43**2 - 40**2) + (44**2 - 43**2)
    per_mm = -4 * np.pi * 0.1 / (2 * np.pi * conductance)
    far = slopes(ARM, z_mm=np.array([600.0, 610.0]))
    assert far == pytest.approx(np.full(far.shape, 10 * per_mm), rel=1e-4)


def test_a_wide_limb_is_flat():
    """What curvature adds falls as 1 / R: the line through two radii ends on the flat layers."""
    depth_mm, across_mm = np.array([13.0]), np.array([0.0, 10.0])
    flat = slopes(TRUNK, depth_mm, across_mm)
    found = [
        slopes(Cylinder(layers=LAYERS, limb_radius_mm=radius, muscle_radius_mm=14.0), depth_mm,
               across_mm) for radius in (200.0, 500.0, 1000.0)
    ]  # fmt: skip
    differences = [difference(one, flat) for one in found]
    assert sorted(differences, reverse=True) == differences
    assert differences[-1] < 0.01
    assert difference(2 * found[2] - found[1], flat) < 1e-3


@pytest.mark.parametrize("name", ["NEPERS", "REACH"])
def test_twice_as_many_terms_change_next_to_nothing(monkeypatch, name):
    """Neither at the least depth, nor near the axis, nor under thick fat is much cut off."""
    limbs = (
        (ARM, [0.0, 29.0]),
        (BONELESS, [1.0, 39.9]),
        (replace(BONELESS, layers=replace(LAYERS, fat_mm=25.0), muscle_radius_mm=9.0), [1.0]),
    )
    before = [slopes(limb, np.array(depths)) for limb, depths in limbs]
    monkeypatch.setattr(cylinder, name, 2 * getattr(cylinder, name))
    for (limb, depths), one in zip(limbs, before, strict=True):
        assert difference(one, slopes(limb, np.array(depths))) < 2e-4


def test_a_vanishing_bone_is_none():
    """The solution with a bone passes into that without one."""
    assert difference(slopes(replace(ARM, bone_radius_mm=0.1)), slopes(BONELESS)) < 1e-4


def test_a_bone_turns_current_towards_the_skin():
    """Bone conducts less than muscle, so it raises what the skin picks up; metal would lower it."""
    above_mm = np.array([28.0])
    bone, none, metal = (
        np.abs(slopes(limb, above_mm)).max()
        for limb in (ARM, BONELESS, replace(ARM, sigma_bone_s_m=100.0))
    )
    assert bone > 1.1 * none > 1.3 * metal


def test_half_a_turn_either_way_is_the_same_place():
    """A grid that wraps the limb sees a fibre at the same distance from both sides."""
    girth_mm = 2 * np.pi * 44.0
    there, round_about = (
        ARM.pick_up(DEPTH_MM, across, Z_MM, PAD_MM) for across in (ACROSS_MM, girth_mm - ACROSS_MM)
    )
    assert there == pytest.approx(round_about, abs=1e-12)


def test_a_fibre_lies_where_the_drawing_says():
    """The axis lies 26 mm below the muscle's middle: a right triangle of 14 and 26 mm."""
    depth_mm, aside_mm = ARM.places(np.array([0.0, 0.0, 14.0, -14.0]), np.array([14.0, 0, 0, 0]))
    beside = 40.0 - np.sqrt(14.0**2 + 26.0**2)
    assert depth_mm == pytest.approx([0.0, 14.0, beside, beside], abs=1e-12)
    angle = np.arctan(14.0 / 26.0)
    assert aside_mm == pytest.approx([0.0, 0.0, 44.0 * angle, -44.0 * angle], abs=1e-12)


def test_a_flattened_muscle_is_wrapped_round_the_limb():
    """Half as thick, its middle lies 33 mm from the axis: there its half of 28 mm is 28/33 rad."""
    flat = replace(ARM, flatness=0.5)
    depth_mm, aside_mm = flat.places(np.array([0.0, 0.0, 14.0]), np.array([14.0, -14.0, 0.0]))
    assert depth_mm == pytest.approx([0.0, 14.0, 7.0])
    assert aside_mm == pytest.approx([0.0, 0.0, 44.0 * 28.0 / 33.0])


def test_a_flattened_muscle_tends_to_the_planes_with_the_limbs_radius():
    """Wrapped round a limb of 10 m it is flat."""
    x_mm, y_mm = np.array([-9.0, 3.0]), np.array([4.0, -6.0])
    wide = replace(ARM, flatness=0.6, limb_radius_mm=10_000.0)
    flat = replace(TRUNK, flatness=0.6)
    for bent, straight in zip(wide.places(x_mm, y_mm), flat.places(x_mm, y_mm), strict=True):
        assert bent == pytest.approx(straight, rel=2e-3)


CONDUCTORS = pytest.mark.parametrize("conductor", [ARM, TRUNK], ids=["cylinder", "plane"])


@CONDUCTORS
def test_a_pick_up_is_even(conductor):
    """Left is as right, and ahead as behind."""
    plus = conductor.pick_up(DEPTH_MM, ACROSS_MM, Z_MM, PAD_MM)
    assert np.array_equal(plus, conductor.pick_up(DEPTH_MM, -ACROSS_MM, -Z_MM, PAD_MM))


@CONDUCTORS
def test_a_disc_hears_the_mean_of_its_points(conductor):
    """Eight rings of eight points, of equal areas, hear what the filter says."""
    radius_mm = PAD_MM * np.sqrt((np.arange(8) + 0.5) / 8)[:, None]
    angle = 2 * np.pi * (np.arange(8) + 0.5) / 8
    across_mm, z_mm = (radius_mm * np.cos(angle)).ravel(), (radius_mm * np.sin(angle)).ravel()
    depth_mm = np.array([10.0])

    def mean(at_z_mm):
        points = conductor.pick_up(depth_mm, across_mm, at_z_mm + z_mm, 0.0)[0]
        return np.diag(points).mean()

    def disc(at_z_mm):
        return conductor.pick_up(depth_mm, np.zeros(1), np.array([at_z_mm]), PAD_MM).item()

    assert disc(0.0) - disc(20.0) == pytest.approx(mean(0.0) - mean(20.0), rel=2e-3)


@given(
    fat_mm=st.floats(0, 40),
    skin_mm=st.floats(1, 3),
    sigma_skin_s_m=st.floats(1e-4, 2),
    bone_mm=st.floats(0, 20),
    depth_mm=st.floats(0, 28),
)
@example(fat_mm=0.0, skin_mm=1.0, sigma_skin_s_m=1.0, bone_mm=20.0, depth_mm=0.0)  # largest k R
@settings(max_examples=30, deadline=None)
def test_a_pick_up_falls_along_the_fibre(fat_mm, skin_mm, sigma_skin_s_m, bone_mm, depth_mm):
    """Whatever the layers, nothing overflows, and the potential falls away from the current."""
    layers = replace(LAYERS, fat_mm=fat_mm, skin_mm=skin_mm, sigma_skin_s_m=sigma_skin_s_m)
    limb_mm = 28 + bone_mm + layers.cover_mm
    limb = Cylinder(layers=layers, limb_radius_mm=limb_mm, muscle_radius_mm=14.0,
                    bone_radius_mm=bone_mm)  # fmt: skip
    falls = slopes(limb, np.array([depth_mm]), np.zeros(1), pad_mm=2.0)
    assert np.all(falls < 1e-3 * np.abs(falls).max())
    assert np.all(np.isfinite(falls))


@pytest.mark.parametrize(("change", "words"), [
    ({"bone_radius_mm": 13.0}, r"limb_radius_mm must be >= 45, .* got 44"),
    ({"limb_radius_mm": 41.0}, r"limb_radius_mm must be >= 42, .* got 41"),
    ({"bone_radius_mm": -1.0}, "bone_radius_mm must be >= 0"),
    ({"sigma_bone_s_m": 0.0}, "sigma_bone_s_m > 0"),
    ({"muscle_radius_mm": 0.0}, "muscle_radius_mm must be > 0, got 0"),
    ({"flatness": 0.99, "limb_radius_mm": 40.0}, r"limb_radius_mm must be >= 41.72, .* got 40"),
    ({"flatness": 0.1}, r"flatness must be >= 0.115, .* all round a limb of 44, got 0.1"),
])  # fmt: skip
def test_a_limb_that_cannot_be_is_refused(change, words):
    """The muscle has its place between bone and fat."""
    with pytest.raises(ValueError, match=words):
        replace(ARM, **change)


def test_a_muscle_may_hold_the_axis_where_there_is_no_bone():
    """A calf's or a child's muscle can reach beyond the middle of the limb."""
    wide = replace(BONELESS, muscle_radius_mm=30.0)
    depth_mm, aside_mm = wide.places(np.zeros(1), np.array([-25.0]))
    assert depth_mm == pytest.approx([25.0])
    assert aside_mm == pytest.approx([44.0 * np.pi])


def test_a_fibre_outside_its_muscle_is_refused():
    """It might lie in the fat or in the bone."""
    with pytest.raises(ValueError, match=r"within muscle_radius_mm \(14\) .* got 14.1"):
        ARM.places(np.array([14.1]), np.zeros(1))


@pytest.mark.parametrize(("depth_mm", "pad_mm", "words"), [
    (-0.1, 5.0, r"depth_mm must be in 0\.\.30, .* got -0.1"),
    (30.1, 5.0, r"depth_mm must be in 0\.\.30, .* got 30.1"),
    (5.0, -1.0, "pad_radius_mm must be >= 0, got -1"),
])  # fmt: skip
def test_a_current_outside_the_muscle_is_refused(depth_mm, pad_mm, words):
    """The solution is that for a current in muscle, under a pad."""
    with pytest.raises(ValueError, match=words):
        ARM.pick_up(np.array([depth_mm]), ACROSS_MM, Z_MM, pad_mm)


def test_a_current_right_under_a_wide_limbs_pad_is_refused():
    """There the flat layers serve as well, at no cost."""
    wide = replace(ARM, limb_radius_mm=600.0)
    with pytest.raises(ValueError, match=r"depth_mm must be in 6\.\.586"):
        wide.pick_up(np.array([5.9]), ACROSS_MM, Z_MM, PAD_MM)
