"""How much transmitter a terminal releases at each discharge, after what it has done before.

A store that every discharge depletes, and that the discharges themselves fill up again: it runs
down within four or five, at any rate, and refills in seconds of rest. And residual calcium, with
which release grows at quick discharges. All terminals of a unit have the same discharges, and so
the same course. Potentiation and exhaustion, which come and go over minutes, are not in here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.compiling import compiled

Floats = NDArray[np.float64]

# What one discharge adds to the release of the next, and how it fades: Magleby 1973, J Physiol
# 234:327 [S PMC1350631], frog at 20 pps; mouse at 20 C 35 and 163 ms, Brain Res 1981 204:327 [S]
CALCIUM = np.array([0.8, 0.12, 0.025])
CALCIUM_S = np.array([0.050, 0.300, 3.0])
SATURATING = 2.6  # calcium of a steady 20 pps: 63 % of all facilitation is there; above 10 Hz [P]


@dataclass(frozen=True, kw_only=True)
class Release:
    """The law of a terminal: what a discharge takes, what it brings, what it eases.

    Parameters
    ----------
    depletion
        Share of the store that a discharge releases.
    mobilisation
        Share of what is missing that it brings up.
    refill_s
        Time constant at which the store fills in rest.
    facilitation
        Most that calcium multiplies the release by.
    reference_hz
        Rate of the steady discharge in which the end plates have the safety factors of their body.

    Examples
    --------
    >>> law = Release(
    ...     depletion=0.2, mobilisation=0.5, refill_s=5.0, facilitation=1.5, reference_hz=10.0
    ... )
    >>> [round(law.at(rate_hz), 2) for rate_hz in (0.0, 3.0, 10.0, 30.0)]
    [1.0, 0.78, 0.85, 1.0]
    """

    depletion: float
    mobilisation: float
    refill_s: float
    facilitation: float
    reference_hz: float

    def at(self, rate_hz: float) -> float:
        """Return the release at each discharge of a long, even train; 1 after a long rest."""
        if rate_hz == 0:
            return 1.0
        interval_s = 1.0 / rate_hz
        kept = np.exp(-interval_s / self.refill_s)
        left = 1.0 - self.depletion - self.mobilisation
        store = 1.0 - kept * self.depletion / (1.0 - kept * left)
        calcium = np.sum(CALCIUM / np.expm1(interval_s / CALCIUM_S))
        return float(store * self._eased(calcium))

    def _eased(self, calcium: float) -> float:
        return float(1.0 - (self.facilitation - 1.0) * np.expm1(-calcium / SATURATING))


class Terminals:
    """The terminals of one motor unit while it discharges, rested at first.

    Parameters
    ----------
    law
        Of each of them.
    """

    def __init__(self, law: Release) -> None:
        self._law = law
        self._reference = law.at(law.reference_hz)
        self._state = np.concatenate([[-np.inf, 1.0], np.zeros(CALCIUM.size)])

    def factors(self, times_s: Floats) -> Floats:
        """Return the factor on all safety factors at the next discharges, ``(n_discharges,)``.

        It is the release over that of the reference. Times ascend from call to call.
        """
        law = self._law
        released = release_course(
            times_s, self._state, law.depletion, law.mobilisation, law.refill_s, law.facilitation
        )
        return released / self._reference


@compiled
def release_course(
    times_s: Floats,
    state: Floats,
    depletion: float,
    mobilisation: float,
    refill_s: float,
    facilitation: float,
) -> Floats:
    """Return the release at each discharge, shape ``(n_discharges,)``; 1 after a long rest.

    Parameters
    ----------
    times_s
        Ascending.
    state
        Time of the last discharge, the store and the parts of calcium after it; it is moved on.
    depletion, mobilisation, refill_s, facilitation
        As of `Release`.
    """
    released = np.empty(times_s.size)
    for k in range(times_s.size):
        rest_s = times_s[k] - state[0]
        store = 1.0 - (1.0 - state[1]) * np.exp(-rest_s / refill_s)
        calcium = 0.0
        for part in range(CALCIUM.size):
            faded = state[2 + part] * np.exp(-rest_s / CALCIUM_S[part])
            calcium += faded
            state[2 + part] = faded + CALCIUM[part]
        released[k] = store * (1.0 + (facilitation - 1.0) * (1.0 - np.exp(-calcium / SATURATING)))
        state[0] = times_s[k]
        state[1] = store * (1.0 - depletion) + mobilisation * (1.0 - store)
    return released
