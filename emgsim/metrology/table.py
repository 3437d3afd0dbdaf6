"""All tests of an amplifier, in the order in which they are run."""

from __future__ import annotations

from emgsim.metrology import (
    band,
    clocks,
    crosstalk,
    delay,
    distortion,
    fidelity,
    gain,
    impedance,
    inputs,
    linearity,
    minimum,
    noise,
    overload,
    quantisation,
    rejection,
    transients,
)
from emgsim.metrology.procedure import Procedure

PROCEDURES: tuple[Procedure, ...] = (
    *gain.PROCEDURES,
    *band.PROCEDURES,
    *linearity.PROCEDURES,
    *distortion.PROCEDURES,
    *clocks.PROCEDURES,
    *delay.PROCEDURES,
    *noise.PROCEDURES,
    *quantisation.PROCEDURES,
    *transients.PROCEDURES,
    *fidelity.PROCEDURES,
    *minimum.PROCEDURES,
    *rejection.PROCEDURES,
    *impedance.PROCEDURES,
    *inputs.PROCEDURES,
    *crosstalk.PROCEDURES,
    *overload.PROCEDURES,
    *gain.AT_THE_END,
)
