"""What bends a voltage, and what holds it: a static nonlinearity, and a rail that is left late."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.plant.analog import Floats


def bent(volts: Floats, second: float, third: float, full_scale_v: float, most_v: float) -> Floats:
    """Return ``v + a2 v^2 / V + a3 v^3 / V^2``, of any shape.

    Beyond ``most_v``, where it is cut anyway, only the straight part grows on: no overload comes
    back on the other side.
    """
    if not (second or third):
        return volts
    share = np.clip(volts, -most_v, most_v) / full_scale_v
    return np.asarray(volts + full_scale_v * share**2 * (second + third * share))


class Rail:
    """Clip, and stay clipped for a while after the voltage has come back.

    Parameters
    ----------
    limit_v
        Of either side.
    recovery_s
        For which the output stays where it was cut.
    """

    def __init__(self, limit_v: float, recovery_s: float) -> None:
        self._limit_v = limit_v
        self._recovery_s = recovery_s
        self._held_v = np.zeros(0)  # of each channel, and until when
        self._until_s = np.zeros(0)

    def cut(self, times_s: Floats, volts: Floats) -> Floats:
        """Return volts, shape ``(n,)`` or ``(n, n_channels)``, of rising times as they come out."""
        out = np.clip(volts, -self._limit_v, self._limit_v)
        if not self._recovery_s or not times_s.size:
            return out
        columns = out[:, None] if out.ndim == 1 else out
        if self._held_v.size != columns.shape[1]:
            self._held_v = np.zeros(columns.shape[1])
            self._until_s = np.full(columns.shape[1], -np.inf)
        is_full = np.abs(columns) >= self._limit_v
        for k in np.flatnonzero(is_full.any(axis=0) | (self._until_s > times_s[0])):
            self._hold(int(k), times_s, columns[:, k], is_full[:, k])
        return out

    def _hold(self, k: int, times_s: Floats, volts: Floats, is_full: NDArray[np.bool_]) -> None:
        """Hold one channel in place, shape ``(n,)``."""
        latest = np.maximum.accumulate(np.where(is_full, np.arange(times_s.size), -1))
        was_full = latest >= 0
        until_s = np.where(was_full, times_s[latest] + self._recovery_s, self._until_s[k])
        held_v = np.where(was_full, volts[latest], self._held_v[k])
        is_held = times_s < until_s
        volts[is_held] = held_v[is_held]
        self._until_s[k], self._held_v[k] = until_s[-1], held_v[-1]
