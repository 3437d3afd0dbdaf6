"""What EMG-BIDS is told of the electrode: its keys, and where each of its contacts lies.

The keys of needles are those that bids-specification issue #2371 proposes (open in November 2026);
today's validators let them pass. Millimetres and square millimetres, as BIDS' other lengths are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from emgsim.dataset.export.tables import ABSENT
from emgsim.physiology.electrodes import surfaces_mm2
from emgsim.physiology.parameters import ElectrodeKind

NEEDLES: TypeAdapter[ElectrodeKind] = TypeAdapter(ElectrodeKind)
INVASIVE = ("concentric_needle", "monopolar", "single_fibre", "macro", "fine_wire", "thin_film")
PLACING = ("tip", "moves", "seek")  # keys of a scenario's electrode that are no dimension of it
COORDINATES = {
    "EMGCoordinateSystem": "Other",
    "EMGCoordinateUnits": "mm",
    "EMGCoordinateSystemDescription": (
        "The simulated muscle: x across it, y from its middle to the skin, z along its fibres; "
        "the origin is the middle of its cross-section at the centre of the end-plate band."
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
        For a needle ``EMGType``, ``CannulaDiameter`` and its kin; what a simulation does not have,
        such as a method of sterilisation, is ``n/a``.
    """
    kind = str(electrode.get("kind", "unknown"))
    if kind not in INVASIVE:
        return {"EMGType": "surface", "ElectrodeType": kind.replace("_", " ")}
    own = NEEDLES.validate_python({k: v for k, v in electrode.items() if k not in PLACING})
    sizes = own.model_dump()
    keys = {
        "EMGType": "invasive",
        "ElectrodeType": kind.replace("_", " "),
        "CannulaDiameter": sizes.get("cannula_mm", sizes.get("shaft_mm", ABSENT)),
        "CannulaLength": sizes.get("cannula_length_mm", ABSENT),
        "CannulaMaterial": ABSENT,
        "InsulatorMaterial": ABSENT,
        "SterilizationMethod": ABSENT,
        "ElectrodeSurfaceArea": round(surfaces_mm2(own)[0][0], 6),
    }
    apart_mm = sizes.get("pitch_mm", sizes.get("apart_mm"))
    return keys if apart_mm is None else {**keys, "InterelectrodeDistance": apart_mm}
