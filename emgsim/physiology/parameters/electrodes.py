"""The electrodes in numbers; [S], [M], [P] as in `emgsim.physiology.parameters`.

Which surfaces record, and against what, is worked out in `emgsim.physiology.electrodes`. The
standard ones are in the catalogue of electrodes.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emgsim.physiology.parameters.base import Parameters


class ConcentricNeedle(Parameters):
    """A concentric needle: an elliptic core on the bevel, its cannula as reference.

    Standard needle: core wire 0.15 mm, bevel 15 degrees, hence an ellipse of 0.15 x 0.58 mm
    (0.07 mm2); cannula 0.46 mm (26 G), of which the distal 15 mm count (IFCN 2020, Clin
    Neurophysiol 131:243).
    """

    kind: Literal["concentric_needle"] = "concentric_needle"
    core_mm: float = Field(0.15, gt=0, le=1)
    bevel_deg: float = Field(15.0, gt=1, le=90)
    cannula_mm: float = Field(0.46, gt=0, le=2)
    cannula_length_mm: float = Field(15.0, gt=0)
    # Of the core by its cannula: the share that a fibre right behind the cannula loses, nearer ones
    # up to twice as much; 0 leaves it out. The value and its law over the distance are [P] (C.5)
    shielding: float = Field(0.5, ge=0, le=0.5)

    @model_validator(mode="after")
    def _core_is_inside(self) -> Self:
        _must_be_less("core_mm", self.core_mm, "cannula_mm", self.cannula_mm)
        return self

    @property
    def core_length_mm(self) -> float:
        """Long axis of the core's ellipse."""
        return self.core_mm / math.sin(math.radians(self.bevel_deg))

    @property
    def extent_mm(self) -> float:
        """Largest dimension of what records, its reference left out."""
        return self.core_length_mm


class Monopolar(Parameters):
    """A monopolar needle: the bare cone at the tip of an insulated shaft, reference remote.

    The cone of 0.5 mm [S] on a shaft of 0.30 mm has 0.25 mm2; makes differ from 0.15 to 0.6 [M].
    """

    kind: Literal["monopolar"] = "monopolar"
    exposed_mm: float = Field(0.5, gt=0, le=5)
    shaft_mm: float = Field(0.30, gt=0, le=2)

    @property
    def extent_mm(self) -> float:
        """Largest dimension of what records."""
        return max(self.exposed_mm, self.shaft_mm)


class SingleFibre(Parameters):
    """A single-fibre needle: a small disc in a side port, with the cannula as reference.

    The disc of 25 um, 3 mm behind the tip [S]; the cannula of 0.5 mm, of which the distal 15 mm
    count [P].
    """

    kind: Literal["single_fibre"] = "single_fibre"
    disc_mm: float = Field(0.025, gt=0, le=0.2)
    port_mm: float = Field(3.0, gt=0)
    cannula_mm: float = Field(0.5, gt=0, le=2)
    cannula_length_mm: float = Field(15.0, gt=0)

    @model_validator(mode="after")
    def _port_is_in_the_cannula(self) -> Self:
        _must_be_less("disc_mm", self.disc_mm, "cannula_mm", self.cannula_mm)
        _must_be_less("port_mm", self.port_mm, "cannula_length_mm", self.cannula_length_mm)
        return self

    @property
    def extent_mm(self) -> float:
        """Largest dimension of what records, its reference left out."""
        return self.disc_mm


class Macro(Parameters):
    """A macro needle: the bare end of its cannula against a remote reference, and a trigger port.

    15 mm bare, 0.55 mm outside; the single-fibre port stands 7.5 mm from the tip and records, as
    the second channel, against the cannula (Stalberg 1980 [M]).
    """

    kind: Literal["macro"] = "macro"
    cannula_mm: float = Field(0.55, gt=0, le=2)
    bare_mm: float = Field(15.0, gt=0)
    port_mm: float = Field(7.5, gt=0)
    disc_mm: float = Field(0.025, gt=0, le=0.2)

    @model_validator(mode="after")
    def _port_is_in_the_bare_part(self) -> Self:
        _must_be_less("disc_mm", self.disc_mm, "cannula_mm", self.cannula_mm)
        _must_be_less("port_mm", self.port_mm, "bare_mm", self.bare_mm)
        return self

    @property
    def extent_mm(self) -> float:
        """Largest dimension of what records."""
        return self.bare_mm


class FineWire(Parameters):
    """Two fine wires with bared ends side by side, one against the other.

    50-75 um, 1-2 mm bared, 1-2 mm apart (Basmajian & De Luca [M]). The bared ends lie along the
    shaft of the needle that placed them; at no rotation the second lies farther along the fibres.
    """

    kind: Literal["fine_wire"] = "fine_wire"
    wire_mm: float = Field(0.05, gt=0, le=0.5)
    bared_mm: float = Field(1.0, gt=0, le=20)
    apart_mm: float = Field(1.0, gt=0, le=50)

    @model_validator(mode="after")
    def _wires_do_not_touch(self) -> Self:
        _must_be_less("wire_mm", self.wire_mm, "apart_mm", self.apart_mm)
        return self

    @property
    def extent_mm(self) -> float:
        """Largest dimension of what records."""
        return math.hypot(self.apart_mm, self.bared_mm)


class ThinFilm(Parameters):
    """A thin-film array: contacts in a row along the shaft, all facing the side of the bevel.

    16-40 contacts of about 140 x 40 um, 0.05-1 mm from one to the next (Farina 2008, Muceli 2015
    [M]). Each records against a remote reference, or against the next one up the shaft.
    """

    kind: Literal["thin_film"] = "thin_film"
    n_contacts: int = Field(16, ge=1, le=64)
    pitch_mm: float = Field(0.5, gt=0, le=5)
    contact_length_mm: float = Field(0.04, gt=0, le=2)  # along the shaft
    contact_width_mm: float = Field(0.14, gt=0, le=2)  # across it
    montage: Literal["monopolar", "differential"] = "monopolar"

    @model_validator(mode="after")
    def _contacts_fit(self) -> Self:
        _must_be_less("contact_length_mm", self.contact_length_mm, "pitch_mm", self.pitch_mm)
        if self.montage == "differential" and self.n_contacts < 2:
            raise ValueError("n_contacts must be >= 2 in a differential montage, got 1")
        return self

    @property
    def extent_mm(self) -> float:
        """Largest dimension of what records."""
        length_mm = (self.n_contacts - 1) * self.pitch_mm + self.contact_length_mm
        return max(length_mm, self.contact_width_mm)


ElectrodeKind = Annotated[
    ConcentricNeedle | Monopolar | SingleFibre | Macro | FineWire | ThinFilm,
    Field(discriminator="kind"),
]


class TipPosition(Parameters):
    """Where the centre of the recording surface lies, and how the shaft stands.

    Across (x), depth (y) and along the fibres (z); the origin is the middle of the muscle's
    cross-section at the centre of the end-plate band. The shaft comes from +y, or leans off it by
    ``tilt_deg`` towards the azimuth: 0 is +x, 90 is +z. The bevel, or whatever faces one side,
    faces +x and is turned about the shaft by ``rotation_deg``: at 90 it faces +z.
    """

    x_mm: float = 0.0
    y_mm: float = 0.0
    z_mm: float = Field(20.0)
    rotation_deg: float = Field(0.0, ge=-360, le=360)
    tilt_deg: float = Field(0.0, ge=0, le=80)  # beyond it no shaft comes out of the skin
    tilt_azimuth_deg: float = Field(0.0, ge=-360, le=360)


def _must_be_less(thing: str, value: float, limit: str, most: float) -> None:
    """Raise if one dimension does not fit inside another."""
    if value >= most:
        raise ValueError(f"{thing} must be < {limit} ({most:g}), got {value:g}")
