"""A surface electrode on a muscle: what lies between, and whether the two fit each other."""

from __future__ import annotations

from emgsim.physiology.parameters import Muscle
from emgsim.physiology.parameters.surface import SurfaceBipolar, SurfaceKind
from emgsim.physiology.surface.conductor import Conductor, Layers
from emgsim.physiology.surface.cylinder import Cylinder
from emgsim.physiology.surface.montage import montage_matrix
from emgsim.physiology.surface.planar import Plane

SENIAM_SHARE = 0.25  # of the fibres' length: the most between two discs, Hermens 2000 [S]


def conductor_of(electrode: SurfaceKind, muscle: Muscle) -> Conductor:
    """Return what lies between a muscle's fibres and an electrode's pads.

    Raises
    ------
    ValueError
        If the muscle does not fit into the limb.
    """
    layers = Layers(
        sigma_radial_s_m=muscle.medium.sigma_radial_s_m,
        sigma_axial_s_m=muscle.medium.sigma_axial_s_m,
        fat_mm=muscle.fat_mm,
        skin_mm=electrode.skin_mm,
        sigma_fat_s_m=electrode.sigma_fat_s_m,
        sigma_skin_s_m=electrode.sigma_skin_s_m,
    )
    if electrode.conductor == "plane":
        return Plane(layers=layers, muscle_radius_mm=muscle.radius_mm, flatness=muscle.flatness)
    return Cylinder(
        layers=layers,
        limb_radius_mm=electrode.limb_radius_mm,
        muscle_radius_mm=muscle.radius_mm,
        flatness=muscle.flatness,
        bone_radius_mm=electrode.bone_radius_mm,
        sigma_bone_s_m=electrode.sigma_bone_s_m,
    )


def must_fit(electrode: SurfaceKind, muscle: Muscle) -> None:
    """Raise if an electrode and a muscle do not fit each other.

    Raises
    ------
    ValueError
        If two discs lie farther apart than a quarter of the muscle's fibres, a channel that is off
        the skin is none of the electrode's, or no channel has all its pads.
    """
    n_channels = montage_matrix(electrode).shape[0]
    if max(electrode.lead_off, default=0) >= n_channels:
        raise ValueError(
            f"lead_off must name channels in 0..{n_channels - 1}, got {max(electrode.lead_off)}"
        )
    if not isinstance(electrode, SurfaceBipolar):
        return
    most_mm = SENIAM_SHARE * muscle.fibres.length_mm
    if electrode.apart_mm > most_mm:
        raise ValueError(
            f"apart_mm must be <= {most_mm:g}, a quarter of the {muscle.fibres.length_mm:g} mm "
            f"long fibres of {muscle.name} (SENIAM), got {electrode.apart_mm:g}; smaller discs may "
            "lie closer"
        )
