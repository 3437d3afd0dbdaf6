"""Electrodes in the muscle, where they begin, and how they move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from emgsim.physiology.parameters import (
    ConcentricNeedle,
    FineWire,
    Macro,
    Monopolar,
    NeedleMove,
    Parameters,
    Seek,
    SingleFibre,
    ThinFilm,
    TipPosition,
)
from emgsim.physiology.parameters.surface import (
    BellyTendon,
    SurfaceBipolar,
    SurfaceGrid,
    SurfacePads,
)


class _Placed(Parameters):
    """Where an electrode's recording surface begins, and how it moves."""

    tip: TipPosition = TipPosition()
    moves: tuple[NeedleMove, ...] = ()
    seek: Seek | None = None  # advance from the tip until a unit is near; None: stay there

    @property
    def ends_at(self) -> TipPosition:
        """Where it lies after its last move."""
        place = self.tip.model_dump()
        for move in self.moves:
            place |= {k: v for k, v in move.model_dump().items() if k in place and v is not None}
        return TipPosition(**place)


class PlacedConcentric(ConcentricNeedle, _Placed):
    """A concentric needle, placed."""


class PlacedMonopolar(Monopolar, _Placed):
    """A monopolar needle, placed."""


class PlacedSingleFibre(SingleFibre, _Placed):
    """A single-fibre needle, placed."""


class PlacedMacro(Macro, _Placed):
    """A macro needle, placed."""


class PlacedFineWire(FineWire, _Placed):
    """Two fine wires, placed."""


class PlacedThinFilm(ThinFilm, _Placed):
    """A thin-film array, placed."""


def _concentric_by_default(value: object) -> object:
    """Take an electrode of no kind for the concentric needle, the commonest by far."""
    if isinstance(value, Mapping) and "kind" not in value:
        return {"kind": "concentric_needle", **value}
    return value


Needle = Annotated[
    PlacedConcentric
    | PlacedMonopolar
    | PlacedSingleFibre
    | PlacedMacro
    | PlacedFineWire
    | PlacedThinFilm,
    Field(discriminator="kind"),
    BeforeValidator(_concentric_by_default),
]
Electrode = Annotated[
    PlacedConcentric
    | PlacedMonopolar
    | PlacedSingleFibre
    | PlacedMacro
    | PlacedFineWire
    | PlacedThinFilm
    | SurfaceBipolar
    | BellyTendon
    | SurfaceGrid
    | SurfacePads,
    Field(discriminator="kind"),
    BeforeValidator(_concentric_by_default),
]
