"""Slow random courses: the same at every rate, smooth, and within bounds if their knots are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPLINE_VARIANCE = 151 / 315  # mean over a course's phase, for knots of variance 1


class Wander:
    """A uniform cubic B-spline through random control values.

    A course is a convex mixture of its knots, so knots within bounds keep it within them. Its
    spectrum falls as sinc^8(f * knot_s).

    Parameters
    ----------
    knot_s
        Time between knots.
    draw
        Returns that many more knots; its stream is not used by anybody else.
    """

    def __init__(self, knot_s: float, draw: Callable[[int], Floats]) -> None:
        self._knot_s = knot_s
        self._draw = draw
        self._knots = np.zeros(0)

    def at(self, times_s: Floats) -> Floats:
        """Return the course at ascending times >= 0, shape ``(n,)``."""
        position = times_s / self._knot_s
        index = np.floor(position).astype(np.int64)
        self._reach(int(index[-1]) + 4)
        u = position - index
        k = self._knots
        return np.asarray(
            (
                k[index] * (1 - u) ** 3
                + k[index + 1] * (3 * u**3 - 6 * u**2 + 4)
                + k[index + 2] * (-3 * u**3 + 3 * u**2 + 3 * u + 1)
                + k[index + 3] * u**3
            )
            / 6
        )

    def _reach(self, n_knots: int) -> None:
        if n_knots > self._knots.size:
            more = self._draw(n_knots - self._knots.size)
            self._knots = np.concatenate([self._knots, more])


def bounded(knot_s: float, bound: float, rng: np.random.Generator) -> Wander:
    """Return a course that stays within ``-bound..bound``."""
    return Wander(knot_s, lambda n: rng.uniform(-bound, bound, n))


def gaussian(knot_s: float, rms: float, rng: np.random.Generator) -> Wander:
    """Return a course with Gaussian values of the given rms."""
    return Wander(knot_s, lambda n: rms / SPLINE_VARIANCE**0.5 * rng.standard_normal(n))
