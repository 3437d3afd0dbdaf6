"""Montages: their weights, what they hear, their names, and grids with gaps."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter

from emgsim.physiology.parameters.surface import (
    BellyTendon,
    SurfaceBipolar,
    SurfaceGrid,
    SurfaceKind,
    SurfacePads,
)
from emgsim.physiology.surface.montage import (
    STENCILS,
    channel_places_mm,
    montage_matrix,
    pads_of,
    recording_channels,
)

KINDS: list[SurfaceKind] = [
    SurfaceBipolar(),
    BellyTendon(),
    *(SurfaceGrid(rows=4, columns=3, montage=montage) for montage in STENCILS),
    SurfacePads(pads_mm=((0.0, 0.0), (7.0, 1.0))),
]
IDS = [f"{kind.kind} {getattr(kind, 'montage', '')}".strip() for kind in KINDS]


def grid(montage: str, **changed: object) -> SurfaceGrid:
    """Return a grid of 4 x 3 pads."""
    return SurfaceGrid.model_validate({"rows": 4, "columns": 3, "montage": montage} | changed)


@pytest.mark.parametrize("electrode", KINDS, ids=IDS)
def test_every_kind_keeps_the_contract(electrode):
    """As many names and places as channels, as many weights as pads, and back from a table."""
    matrix, names = (
        montage_matrix(electrode),
        [c.name for c in recording_channels(electrode, "arm")],
    )
    assert matrix.shape == (len(names), pads_of(electrode).places_mm.shape[0])
    assert channel_places_mm(electrode).shape == (len(names), 2)
    assert len(set(names)) == len(names)
    assert all(name.startswith("arm") for name in names)
    assert pads_of(electrode).radius_mm == electrode.pad_mm / 2
    back = TypeAdapter(SurfaceKind).validate_python(electrode.model_dump())
    assert back == electrode


@pytest.mark.parametrize("electrode", KINDS, ids=IDS)
def test_what_has_a_reference_does_not_hear_what_all_pads_hear(electrode):
    """Weights of a difference add up to 0, those against a remote reference to 1."""
    remote = [c.reference == "remote" for c in recording_channels(electrode)]
    assert montage_matrix(electrode).sum(axis=1).tolist() == [
        float(is_remote) for is_remote in remote
    ]


def test_a_bipolar_electrode_hears_the_difference_of_two_monopolar_ones():
    """The nearer disc minus the farther one."""
    assert montage_matrix(SurfaceBipolar()).tolist() == [[1.0, -1.0]]
    assert pads_of(SurfaceBipolar(centre_z_mm=30.0)).places_mm.tolist() == [
        [20.0, 0.0],
        [40.0, 0.0],
    ]


def test_a_double_differential_is_the_difference_of_two_differences():
    """Minus one, two, minus one; along the fibres."""
    single = montage_matrix(grid("single_differential"))
    double = montage_matrix(grid("double_differential"))
    assert double.tolist() == (single[3:] - single[:-3]).tolist()


def test_a_laplacian_hears_neither_a_slope_nor_a_plane():
    """What changes evenly over the skin is silent; a bowl is not."""
    electrode = grid("laplacian")
    along, across = pads_of(electrode).places_mm.T
    matrix = montage_matrix(electrode)
    assert matrix.shape == (2, 12)
    assert matrix @ (3.0 + 2.0 * along - across) == pytest.approx(0.0, abs=1e-9)
    assert matrix @ (along**2 + across**2) == pytest.approx(-4.0 * 4.0**2)


def test_rows_run_along_the_fibres():
    """Row by row: the first pads are nearest to the end plates, side by side."""
    electrode = grid("monopolar", pitch_mm=(8.0, 4.0), centre_z_mm=0.0)
    assert pads_of(electrode).places_mm[:4].tolist() == [[-12, -4], [-12, 0], [-12, 4], [-4, -4]]


def test_a_missing_pad_takes_its_channels_along():
    """13 x 5 without a corner has 64 pads, and one difference less than the whole."""
    whole = SurfaceGrid(rows=13, columns=5, montage="single_differential")
    real = whole.model_copy(update={"missing": ((0, 0),)})
    assert len(real.places_mm) == 64
    assert montage_matrix(whole).shape == (60, 65)
    assert montage_matrix(real).shape == (59, 64)
    assert "surface 1.1" not in [c.name for c in recording_channels(real)]


def test_channels_are_called_by_row_and_column():
    """From 1, the first pad and its reference."""
    channels = recording_channels(grid("single_differential"), "grid")
    assert (channels[4].name, channels[4].reference) == ("grid 2.2", "grid 3.2")


def test_a_channel_lies_between_its_pads():
    """A difference half a pitch on; belly and tendon over the belly."""
    electrode = grid("single_differential", centre_z_mm=0.0)
    assert channel_places_mm(electrode)[0].tolist() == [-4.0, -4.0]
    assert channel_places_mm(BellyTendon()).tolist() == [[0.0, 0.0]]


def test_a_turned_electrode_has_turned_pads():
    """By 90 degrees its long axis lies across, by 180 its pads change places."""
    across = pads_of(
        SurfaceBipolar(angle_deg=90.0, centre_z_mm=5.0, centre_across_mm=1.0)
    ).places_mm
    assert across == pytest.approx(np.array([[5.0, -9.0], [5.0, 11.0]]))
    aside = pads_of(SurfacePads(pads_mm=((0.0, 3.0),), angle_deg=90.0, centre_z_mm=5.0)).places_mm
    assert aside == pytest.approx(np.array([[2.0, 0.0]]))
    back = pads_of(SurfaceBipolar(angle_deg=180.0)).places_mm
    assert back == pytest.approx(pads_of(SurfaceBipolar()).places_mm[::-1])


@pytest.mark.parametrize(("montage", "rows"), [("single_differential", 1), ("laplacian", 2)])
def test_a_montage_without_channels_is_refused(montage, rows):
    """A row has no next one, two have none between."""
    with pytest.raises(
        ValueError, match=rf"montage must find all pads .* {rows} x 3, got {montage}"
    ):
        montage_matrix(grid(montage, rows=rows))
