"""All tests of an amplifier, in the order in which they are run."""

from __future__ import annotations

from emgsim.metrology.procedure import Procedure

PROCEDURES: tuple[Procedure, ...] = ()
