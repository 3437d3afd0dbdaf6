"""What a patient is made of: one frozen model per physical thing, a source beside every number.

The sources in brackets: [S] printed in the paper named, [M] the classic paper quoted from memory,
[R] seen in a public repository, [C] computed with the equations here, [P] our proposal where no
published number was found.
"""

from emgsim.physiology.parameters.base import Parameters
from emgsim.physiology.parameters.effort import (
    Hold,
    LowLoad,
    Phase,
    Points,
    Ramp,
    Rest,
    Sinusoid,
    Trapezoid,
    Tremor,
)
from emgsim.physiology.parameters.electrodes import (
    ConcentricNeedle,
    ElectrodeKind,
    FineWire,
    Macro,
    Monopolar,
    SingleFibre,
    ThinFilm,
    TipPosition,
)
from emgsim.physiology.parameters.muscle import Fibres, Junctions, Medium, Muscle, aged
from emgsim.physiology.parameters.pool import (
    CommonDrive,
    Doublets,
    Fatigue,
    Intervals,
    Pain,
    Pool,
    Synchrony,
)
from emgsim.physiology.parameters.track import NeedleMove, Seek

__all__ = [
    "CommonDrive",
    "ConcentricNeedle",
    "Doublets",
    "ElectrodeKind",
    "Fatigue",
    "Fibres",
    "FineWire",
    "Hold",
    "Intervals",
    "Junctions",
    "LowLoad",
    "Macro",
    "Medium",
    "Monopolar",
    "Muscle",
    "NeedleMove",
    "Pain",
    "Parameters",
    "Phase",
    "Points",
    "Pool",
    "Ramp",
    "Rest",
    "Seek",
    "SingleFibre",
    "Sinusoid",
    "Synchrony",
    "ThinFilm",
    "TipPosition",
    "Trapezoid",
    "Tremor",
    "aged",
]
