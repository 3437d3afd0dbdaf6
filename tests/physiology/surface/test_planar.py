"""The flat limb: closed forms, the disc, what fat does, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emgsim.physiology.surface import planar
from emgsim.physiology.surface.conductor import Layers
from emgsim.physiology.surface.planar import Plane

Floats = NDArray[np.float64]

MUSCLE = Layers(sigma_radial_s_m=0.1, sigma_axial_s_m=0.5, fat_mm=3.0)
DEPTHS_MM = np.array([0.5, 2.0, 5.0, 15.0])
ACROSS_MM = np.array([0.0, 4.0, 12.0, 25.0])
Z_MM = np.linspace(0.0, 100.0, 201)


def plane(layers: Layers) -> Plane:
    """Return a plane over a muscle of 20 mm radius."""
    return Plane(layers=layers, muscle_radius_mm=20.0)


def half_space(layers: Layers, depth_mm: Floats) -> Floats:
    """Return twice the potential in endless muscle, as at its insulated surface."""
    square = ACROSS_MM[:, None] ** 2 + depth_mm[:, None, None] ** 2
    return np.asarray(2.0 / np.sqrt(layers.anisotropy * square + Z_MM**2))


def error(found: Floats, right: Floats) -> float:
    """Return the largest error of differences along z, over the largest of each row."""
    steps = np.diff(right, axis=-1)
    most = np.abs(steps).max(axis=-1, keepdims=True)
    return float(np.max(np.abs(np.diff(found, axis=-1) - steps) / most))


def with_images(layers: Layers, depth_mm: Floats) -> Floats:
    """Return the potential over fat on isotropic muscle, by the images in the fat's two faces."""
    muscle, fat = layers.sigma_radial_s_m, layers.sigma_fat_s_m
    turned = (fat - muscle) / (fat + muscle)
    total = np.zeros((depth_mm.size, ACROSS_MM.size, Z_MM.size))
    for n in range(400):
        away = depth_mm[:, None, None] + layers.fat_mm * (2 * n + 1)
        total += turned**n / np.sqrt(ACROSS_MM[:, None] ** 2 + away**2 + Z_MM**2)
    return np.asarray(4.0 * muscle / (muscle + fat) * total)


def test_bare_muscle_is_a_half_space():
    """A56: twice the closed form, differences within 0.5 %."""
    bare = replace(MUSCLE, fat_mm=0.0, skin_mm=0.0)
    depths = DEPTHS_MM + 1.0
    found = plane(bare).pick_up(depths, ACROSS_MM, Z_MM, 0.0)
    assert error(found, half_space(bare, depths)) < 0.005


def test_layers_of_muscles_own_conductivity_only_add_depth():
    """A56: isotropic muscle, fat and skin of one conductivity are one half-space."""
    same = Layers(
        sigma_radial_s_m=0.1, sigma_axial_s_m=0.1, fat_mm=3.0, sigma_fat_s_m=0.1, sigma_skin_s_m=0.1
    )
    found = plane(same).pick_up(DEPTHS_MM, ACROSS_MM, Z_MM, 0.0)
    assert error(found, half_space(same, DEPTHS_MM + same.cover_mm)) < 0.005


@pytest.mark.parametrize("fat_s_m", [0.02, 0.3])
def test_a_layer_of_fat_makes_images(fat_s_m):
    """Worse and better conducting than muscle: the sum over images, which is independent."""
    layers = Layers(
        sigma_radial_s_m=0.1, sigma_axial_s_m=0.1, fat_mm=2.0, skin_mm=0.0, sigma_fat_s_m=fat_s_m
    )
    found = plane(layers).pick_up(DEPTHS_MM, ACROSS_MM, Z_MM, 0.0)
    assert error(found, with_images(layers, DEPTHS_MM)) < 0.005


@pytest.mark.parametrize("skin_s_m", [0.02, 0.3])
def test_skin_alone_makes_the_images_of_its_own(skin_s_m):
    """On muscle without fat, whose conductivity then does not count."""
    skin = Layers(
        sigma_radial_s_m=0.1, sigma_axial_s_m=0.1, fat_mm=0.0, skin_mm=2.0, sigma_skin_s_m=skin_s_m
    )
    fat = replace(skin, fat_mm=2.0, skin_mm=0.0, sigma_fat_s_m=skin_s_m)
    found = plane(skin).pick_up(DEPTHS_MM, ACROSS_MM, Z_MM, 0.0)
    assert error(found, with_images(fat, DEPTHS_MM)) < 0.005


def test_skin_of_fats_conductivity_is_more_fat():
    """2 mm of fat and 1 of skin, on anisotropic muscle."""
    both = replace(MUSCLE, fat_mm=2.0, skin_mm=1.0, sigma_skin_s_m=0.05)
    one = replace(MUSCLE, fat_mm=3.0, skin_mm=0.0)
    found = plane(both).pick_up(DEPTHS_MM, ACROSS_MM, Z_MM, 2.0)
    assert error(found, plane(one).pick_up(DEPTHS_MM, ACROSS_MM, Z_MM, 2.0)) < 1e-6


@pytest.mark.parametrize("fat_mm", [0.0, 3.0, 20.0])
def test_finer_sums_change_nothing(fat_mm, monkeypatch):
    """Finer and more wavenumbers, at every depth of use with real skin: less than 0.5 %."""
    layers = replace(MUSCLE, fat_mm=fat_mm)
    found = plane(layers).pick_up(DEPTHS_MM, ACROSS_MM, Z_MM, 5.0)
    monkeypatch.setattr(planar, "MARGIN_MM", 600.0)
    monkeypatch.setattr(planar, "DECAY", 20.0)
    assert error(found, plane(layers).pick_up(DEPTHS_MM, ACROSS_MM, Z_MM, 5.0)) < 0.005


def test_a_disc_hears_the_mean_over_its_points():
    """The filter of the wavenumbers is the mean over the disc's area."""
    radius_mm, n = 4.0, 24
    r = radius_mm * np.sqrt((np.arange(n) + 0.5) / n)
    angle = 2 * np.pi * (np.arange(n) + 0.5) / n
    depth, z = np.array([3.0]), np.array([0.0, 3.0, 10.0])
    across, along = np.outer(r, np.cos(angle)).ravel(), np.outer(r, np.sin(angle)).ravel()
    points = [
        plane(MUSCLE).pick_up(depth, np.array([2.0 + a]), z + b, 0.0)[0, 0]
        for a, b in zip(across[::7], along[::7], strict=True)
    ]
    disc = plane(MUSCLE).pick_up(depth, np.array([2.0]), z, radius_mm)[0, 0]
    assert np.diff(np.mean(points, axis=0)) == pytest.approx(np.diff(disc), rel=0.02)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.5, 20.0), st.floats(0.0, 20.0), st.floats(0.0, 60.0), st.floats(0.0, 10.0))
def test_pick_up_is_even_across_and_along(depth, across, z, fat):
    """Left is as right, and proximal as distal."""
    layers = replace(MUSCLE, fat_mm=fat)
    both = np.array([-1.0, 1.0])
    found = plane(layers).pick_up(np.array([depth]), across * both, z * both, 2.0)
    assert np.ptp(found) < 1e-9


def test_fat_and_thick_fat_do_not_overflow():
    """60 mm of fat, the most that a muscle may have: finite, and ever less."""
    steps = [
        np.abs(np.diff(plane(replace(MUSCLE, fat_mm=fat)).pick_up(DEPTHS_MM, ACROSS_MM, Z_MM, 5.0)))
        for fat in (0.0, 10.0, 60.0)
    ]
    assert all(np.isfinite(step).all() for step in steps)
    assert steps[0].max() > steps[1].max() > steps[2].max() > 0


def test_places_are_depth_and_aside():
    """The top of the circle touches the fat."""
    depth, aside = plane(MUSCLE).places(np.array([0.0, -3.0]), np.array([20.0, 5.0]))
    assert depth.tolist() == [0.0, 15.0]
    assert aside.tolist() == [0.0, -3.0]


def test_a_flattened_muscle_is_wider_and_nearer():
    """Half as thick as round, an ellipse of like area is twice as wide."""
    flat = replace(plane(MUSCLE), flatness=0.5)
    depth, aside = flat.places(np.array([0.0, -3.0]), np.array([-20.0, 5.0]))
    assert depth.tolist() == [20.0, 7.5]
    assert aside.tolist() == [0.0, -6.0]


def test_a_fibre_above_the_muscle_is_refused():
    """The circle ends at its radius."""
    with pytest.raises(ValueError, match=r"y_mm must be <= 20, .* got 21"):
        plane(MUSCLE).places(np.zeros(1), np.array([21.0]))


def test_a_current_at_the_pad_is_refused():
    """Nearer than 1 mm the sums would need too many wavenumbers."""
    bare = replace(MUSCLE, fat_mm=0.0, skin_mm=0.0)
    with pytest.raises(ValueError, match=r"depth_mm must be >= 0, and >= 1 mm .* got 0\.9"):
        plane(bare).pick_up(np.array([0.9]), ACROSS_MM, Z_MM, 0.0)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [("fat_mm", -1.0, ">= 0"), ("skin_mm", np.nan, ">= 0"), ("sigma_skin_s_m", 0.0, "> 0")],
)
def test_impossible_layers_are_refused(name, value, rule):
    """One clear line: which, the rule, the value."""
    with pytest.raises(ValueError, match=rf"{name} must be {rule}, got {value:g}"):
        replace(MUSCLE, **{name: value})
