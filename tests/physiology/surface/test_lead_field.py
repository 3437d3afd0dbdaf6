"""The table of what pads pick up: what it reads, where it ends, and its floor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.surface.conductor import Conductor, Layers
from emgsim.physiology.surface.cylinder import Cylinder
from emgsim.physiology.surface.lead_field import LEAST_DEPTH_MM, Pads, lead_field
from emgsim.physiology.surface.planar import Plane

RADIUS_MM = 12.0
LAYERS = Layers(sigma_radial_s_m=0.1, sigma_axial_s_m=0.5, fat_mm=2.0)
CONDUCTORS: list[Conductor] = [
    Plane(layers=LAYERS, muscle_radius_mm=RADIUS_MM),
    Cylinder(layers=LAYERS, limb_radius_mm=40.0, muscle_radius_mm=RADIUS_MM, bone_radius_mm=8.0),
]
PADS = Pads(places_mm=np.array([[10.0, -4.0], [10.0, 4.0], [-18.0, 4.0]]), radius_mm=2.0)
FINE_Z_MM = np.linspace(-30.0, 30.0, 121)


def fibres_at(x_mm: list[float], y_mm: list[float]) -> UnitFibres:
    """Return fibres of 2 x 30 mm."""
    n = len(x_mm)
    return UnitFibres(
        x_mm=np.array(x_mm),
        y_mm=np.array(y_mm),
        end_plate_mm=np.zeros(n),
        half_lengths_mm=(np.full(n, 30.0), np.full(n, 30.0)),
        diameter_um=np.full(n, 50.0),
        delay_s=np.zeros(n),
    )


EDGE = fibres_at([0.0, 0.0, -11.9, 11.9], [11.9, -11.9, 0.0, 0.0])


@pytest.mark.parametrize("conductor", CONDUCTORS, ids=["plane", "cylinder"])
@settings(max_examples=8, deadline=None)
@given(share=st.floats(0.0, 0.95), angle=st.floats(0.0, 6.28))
def test_the_table_reads_as_its_conductor(conductor, share, angle):
    """At any fibre, differences along it are right within 0.1 % of the largest one."""
    one = fibres_at([RADIUS_MM * share * np.cos(angle)], [RADIUS_MM * share * np.sin(angle)])
    field = lead_field(conductor, PADS, [EDGE, one])
    read = field.along(one, FINE_Z_MM[None, :])[0]
    depth, aside = conductor.places(one.x_mm, one.y_mm)
    for k, (along, across) in enumerate(PADS.places_mm):
        z = FINE_Z_MM - along
        right = np.diff(
            conductor.pick_up(np.maximum(depth, LEAST_DEPTH_MM), aside - across, z, 2.0)[0, 0]
        )
        assert np.abs(np.diff(read[:, k]) - right).max() < 0.001 * np.ptp(right)


def test_a_fibre_at_the_surface_counts_as_half_a_millimetre_deep():
    """The least depth is a floor."""
    top, below = fibres_at([0.0], [RADIUS_MM]), fibres_at([0.0], [RADIUS_MM - LEAST_DEPTH_MM])
    field = lead_field(CONDUCTORS[0], PADS, [top, EDGE])
    read = [field.along(one, FINE_Z_MM[None, :]) for one in (top, below)]
    assert read[0] == pytest.approx(read[1])


@pytest.mark.parametrize(
    ("fibres", "z_mm", "direction"),
    [
        (fibres_at([0.0], [-11.99]), 0.0, "deep"),
        (fibres_at([0.0], [11.0]), 0.0, "deep"),
        (fibres_at([11.9], [0.0]), 0.0, "across"),
        (fibres_at([0.0], [0.0]), 80.0, "along"),
    ],
)
def test_what_lies_beyond_the_table_is_refused(fibres, z_mm, direction):
    """A field made for other fibres is no silent extrapolation."""
    field = lead_field(CONDUCTORS[0], PADS, [fibres_at([0.0, 0.0], [-5.0, 5.0])])
    with pytest.raises(ValueError, match=f"lead field was made for, got one too far {direction}"):
        field.along(fibres, np.full((1, 1), z_mm))


def test_a_tilt_deepens_one_end():
    """12 degrees over 20 mm are 4.2 mm."""
    one = fibres_at([0.0], [2.0])
    field = lead_field(CONDUCTORS[0], PADS, [one], tilt_deg=12.0)
    tilt = np.radians(12.0)
    places = CONDUCTORS[0].pick_up(
        10.0 + 20.0 * np.sin(tilt) * np.array([-1.0, 1.0]),
        np.array([4.0]),
        20.0 * np.cos(tilt) * np.array([-1.0, 1.0]) - 10.0,
        2.0,
    )
    read = field.along(one, np.array([[-20.0, 20.0]]))[0, :, 0]
    assert np.diff(read) == pytest.approx(places[1, 0, 1] - places[0, 0, 0], rel=1e-3)


@pytest.mark.parametrize("tilt", [21.0, -25.0, np.nan])
def test_a_steep_tilt_is_refused(tilt):
    """Up to 20 degrees are fibres of a muscle under the skin."""
    with pytest.raises(ValueError, match=r"tilt_deg must be in -20\.\.20"):
        lead_field(CONDUCTORS[0], PADS, [EDGE], tilt_deg=tilt)


def test_a_field_needs_fibres_and_pads():
    """Nothing to hear, or nothing that hears."""
    with pytest.raises(ValueError, match="must not be empty, got 0 fibres and 3 pads"):
        lead_field(CONDUCTORS[0], PADS, [])
    with pytest.raises(ValueError, match="must not be empty, got 4 fibres and 0 pads"):
        lead_field(CONDUCTORS[0], replace(PADS, places_mm=np.zeros((0, 2))), [EDGE])


def test_pads_of_another_shape_are_refused():
    """Two numbers per pad, and a radius."""
    with pytest.raises(ValueError, match=r"places_mm: expected \(n_pads, 2\), got \(3,\)"):
        Pads(places_mm=np.zeros(3), radius_mm=1.0)
    with pytest.raises(ValueError, match="radius_mm must be >= 0, got -1"):
        Pads(places_mm=np.zeros((1, 2)), radius_mm=-1.0)
