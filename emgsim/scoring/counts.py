"""How two trains agree: as TP, FP and FN, and as the four shares that come of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

ShareName = Literal["sensitivity", "precision", "f1", "jaccard"]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Agreement of two trains, or of many pooled."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(tp=self.tp + other.tp, fp=self.fp + other.fp, fn=self.fn + other.fn)

    @property
    def sensitivity(self) -> float:
        """Share of the true discharges that were found."""
        return share(*self.parts("sensitivity"))

    @property
    def precision(self) -> float:
        """Share of the found discharges that are true."""
        return share(*self.parts("precision"))

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and precision (Dice)."""
        return share(*self.parts("f1"))

    @property
    def jaccard(self) -> float:
        """Rate of agreement: matched over all that either has."""
        return share(*self.parts("jaccard"))

    def parts(self, name: ShareName) -> tuple[float, float]:
        """Return part and whole of a share, to be pooled before they are divided.

        The whole of F1 is the mean length of the two trains.
        """
        if name == "f1":
            return self.tp, self.tp + (self.fp + self.fn) / 2
        missing = self.fn if name != "precision" else 0
        false = self.fp if name != "sensitivity" else 0
        return self.tp, self.tp + missing + false


def share(part: float, whole: float) -> float:
    """Return part over whole; NaN of nothing."""
    return part / whole if whole else math.nan
