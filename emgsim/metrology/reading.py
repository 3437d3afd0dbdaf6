"""One measured value with what is uncertain in it, after the GUM (JCGM 100:2008)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

COVERAGE = 0.9545  # probability of the expanded uncertainty: a factor of 2 for a normal value


@dataclass(frozen=True, kw_only=True)
class Component:
    """One contribution to the uncertainty of a value, in the value's unit.

    ``freedom`` are the degrees of freedom of a type A evaluation (GUM G.3); what comes from a
    certificate has infinitely many.
    """

    name: str
    standard: float
    freedom: float = math.inf


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What one test found.

    Attributes
    ----------
    id
        Of the test, and where it finds several values which: ``cmrr.balanced.50hz``.
    value, unit
        NaN where it could not be measured; ``note`` says why.
    applies
        Whether the test makes sense with this device on this bench: one channel has no skew. If it
        does not, the test is skipped for what ``note`` says.
    bound
        Where not told from nothing: the true value is at least (">=") or at most ("<=") the value,
        at the coverage of an expanded uncertainty, which is in it.
    components
        All that is uncertain in it, independent of each other.
    method, conditions
        How it was measured, and at what frequency, level and state of the fixture.
    rests_on
        Certificates that it rests on, by their id.
    curves
        What a plot of it needs: arrays of the same length, by name and unit.
    """

    id: str
    value: float
    unit: str
    components: tuple[Component, ...] = ()
    method: str = ""
    conditions: str = ""
    rests_on: tuple[str, ...] = ()
    note: str = ""
    applies: bool = True
    bound: Literal["", ">=", "<="] = ""
    curves: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def standard(self) -> float:
        """Combined standard uncertainty."""
        return math.sqrt(sum(c.standard**2 for c in self.components))

    @property
    def freedom(self) -> float:
        """Effective degrees of freedom (Welch-Satterthwaite, GUM equation G.2b)."""
        u = self.standard
        share = sum(c.standard**4 / c.freedom for c in self.components)
        return u**4 / share if share > 0 else math.inf

    @property
    def coverage_factor(self) -> float:
        """Student's factor of the effective degrees of freedom."""
        if math.isinf(self.freedom):
            return float(special.ndtri(0.5 + COVERAGE / 2))
        return float(special.stdtrit(max(1.0, self.freedom), 0.5 + COVERAGE / 2))

    @property
    def expanded(self) -> float:
        """Expanded uncertainty."""
        return self.coverage_factor * self.standard
