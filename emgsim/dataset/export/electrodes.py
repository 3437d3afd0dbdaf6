"""What EMG-BIDS is told of the electrode: its keys, and where each of its contacts lies.

The keys of needles are those that bids-specification issue #2371 proposes (open in November 2026);
today's validators let them pass. Millimetres and square millimetres, as BIDS' other lengths are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from emgsim.dataset.export.tables import ABSENT
from emgsim.physiology.electrodes import surfaces_mm2
from emgsim.physiology.parameters import ElectrodeKind
from emgsim.physiology.parameters.surface import (
    BellyTendon,
    SkinElectrode,
    SurfaceBipolar,
    SurfaceGrid,
    SurfaceKind,
)

KINDS: TypeAdapter[ElectrodeKind | SurfaceKind] = TypeAdapter(ElectrodeKind | SurfaceKind)
PLACING = ("tip", "moves", "seek")  # keys of a scenario's electrode that are no dimension of it
COORDINATES = {
    "EMGCoordinateSystem": "Other",
    "EMGCoordinateUnits": "mm",
    "EMGCoordinateSystemDescription": (
        "The simulated muscle: x across it, y from its middle to the skin, z along its fibres; "
        "the origin is the middle of its cross-section at the centre of the end-plate band. "
        "Of an electrode on the skin x is measured along the skin, from above the muscle's middle, "
        "and y is the height of the skin there."
    ),
}


def electrode_keys(electrode: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of ``_emg.json`` that describe an electrode of a scenario.

    Parameters
    ----------
    electrode
        The resolved scenario's table, ``kind`` and dimensions in it.

    Returns
    -------
    dict
        Type, surface and distance of the contacts; for a needle ``CannulaDiameter`` and its kin,
        for pads how they were placed. What a simulation does not have, such as a method of
        sterilisation, is ``n/a``; a distance that differs between rows and columns is left out.
    """
    own = _electrode(electrode)
    keys = {"ElectrodeType": own.kind.replace("_", " "), "ElectrodeMaterial": ABSENT}
    keys |= _skin_keys(own) if isinstance(own, SkinElectrode) else _needle_keys(own)
    apart_mm = getattr(own, "pitch_mm", getattr(own, "apart_mm", None))
    return {**keys, "InterelectrodeDistance": apart_mm} if isinstance(apart_mm, float) else keys


def pad_places_mm(electrode: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return where the pads of a surface electrode lie, along the fibres and across, by name.

    Those of a grid are named by row and column, from 1, others are numbered. A needle has none.
    """
    own = _electrode(electrode)
    if not isinstance(own, SkinElectrode):
        return {}
    places_mm = own.places_mm
    names = [str(k + 1) for k in range(len(places_mm))]
    if isinstance(own, SurfaceGrid):
        names = [f"{row + 1}.{column + 1}" for row, column in own.pads]
    return {f"pad {name}": place for name, place in zip(names, places_mm, strict=True)}


def _electrode(electrode: Mapping[str, Any]) -> ElectrodeKind | SurfaceKind:
    return KINDS.validate_python({k: v for k, v in electrode.items() if k not in PLACING})


def _needle_keys(own: ElectrodeKind) -> dict[str, Any]:
    sizes = own.model_dump()
    return {
        "EMGType": "invasive",
        "CannulaDiameter": sizes.get("cannula_mm", sizes.get("shaft_mm", ABSENT)),
        "CannulaLength": sizes.get("cannula_length_mm", ABSENT),
        "CannulaMaterial": ABSENT,
        "InsulatorMaterial": ABSENT,
        "SterilizationMethod": ABSENT,
        "ElectrodeSurfaceArea": round(surfaces_mm2(own)[0][0], 6),
    }


def _skin_keys(own: SurfaceKind) -> dict[str, Any]:
    return {
        "EMGType": "surface",
        "ElectrodeSurfaceArea": round(math.pi / 4 * own.pad_mm**2, 6),
        "SkinPreparation": f"Simulated: {own.impedance_kohm:g} kOhm at each pad",
        "EMGPlacementSchemeDescription": (
            f"{_in_words(own)}, {own.pad_mm:g} mm in diameter, its centre {own.centre_z_mm:g} mm "
            f"along the fibres from the centre of the end-plate band and "
            f"{own.centre_across_mm:g} mm aside of the muscle's middle, turned by "
            f"{own.angle_deg:g} degrees from the fibres."
        ),
    }


def _in_words(own: SurfaceKind) -> str:
    match own:
        case SurfaceBipolar():
            return "Two discs in a row along the fibres"
        case BellyTendon():
            return "A disc over the belly and one towards the tendon"
        case SurfaceGrid():
            return f"Grid of pads, {own.rows} rows along the fibres, {own.columns} columns across"
        case _:
            return f"{len(own.places_mm)} pads"
