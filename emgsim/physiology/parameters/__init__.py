"""What a patient is made of: one frozen model per physical thing, a source beside every number.

The sources in brackets: [S] printed in the paper named, [M] the classic paper quoted from memory,
[R] seen in a public repository, [C] computed with the equations here, [P] our proposal where no
published number was found.
"""

from emgsim.physiology.parameters.base import Parameters
from emgsim.physiology.parameters.electrodes import ConcentricNeedle, TipPosition
from emgsim.physiology.parameters.muscle import Fibres, Medium, Muscle
from emgsim.physiology.parameters.pool import Pool

__all__ = ["ConcentricNeedle", "Fibres", "Medium", "Muscle", "Parameters", "Pool", "TipPosition"]
