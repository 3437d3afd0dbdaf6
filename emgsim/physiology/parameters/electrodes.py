"""The electrodes in numbers; [S], [M], [P] as in `emgsim.physiology.parameters`."""

from __future__ import annotations

import math

from pydantic import Field

from emgsim.physiology.parameters.base import Parameters


class ConcentricNeedle(Parameters):
    """A concentric needle: an elliptic core on the bevel, its cannula as reference.

    Standard needle: core wire 0.15 mm, bevel 15 degrees, hence an ellipse of 0.15 x 0.58 mm
    (0.07 mm2); cannula 0.46 mm (26 G), of which the distal 15 mm count (IFCN 2020, Clin
    Neurophysiol 131:243). The shaft stands at right angles to the fibres.
    """

    core_mm: float = Field(0.15, gt=0, le=1)
    bevel_deg: float = Field(15.0, gt=1, le=90)
    cannula_mm: float = Field(0.46, gt=0, le=2)
    cannula_length_mm: float = Field(15.0, gt=0)

    @property
    def core_length_mm(self) -> float:
        """Long axis of the core's ellipse."""
        return self.core_mm / math.sin(math.radians(self.bevel_deg))


class TipPosition(Parameters):
    """Where the centre of the needle's core lies: across (x), depth (y) and along the fibres (z).

    The origin is the middle of the muscle's cross-section at the centre of the end-plate band; the
    shaft comes from +y.
    """

    x_mm: float = 0.0
    y_mm: float = 0.0
    z_mm: float = Field(20.0)
