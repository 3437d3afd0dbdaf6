"""The end of the amplifier's range, its recovery, and the converter's steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.artefacts.occurrence import ENDED, event
from emgsim.artefacts.parameters import Adc, Saturation
from emgsim.recording import Event

Floats = NDArray[np.float64]


class Saturated:
    """A stage that clips, and after an overload comes back exponentially.

    An input at or beyond the limit blocks the amplifier: the output stays at that rail, and when
    the input has come back, an offset of the whole limit on that side decays to 5 % of it within
    ``recovery_ms``. An overload of any length, one sample too, blocks it as deeply.
    """

    def __init__(self, artefact: Saturation, rate_hz: float, n_channels: int) -> None:
        self._limit_uv = artefact.limit_uv
        self._recovery = artefact.recovery_ms / 1e3 * rate_hz  # samples
        self._last = np.full(n_channels, -1)  # sample of the last overload, -1 before the first
        self._side = np.zeros(n_channels)
        self._overloads = Overloads(artefact, rate_hz, self._recovery)

    def step(self, samples_uv: Floats, start_sample: int) -> tuple[Floats, tuple[Event, ...]]:
        """Return the block as it leaves the amplifier, and the overloads that have ended."""
        is_over = np.abs(samples_uv) >= self._limit_uv
        out = samples_uv
        if self._recovery > 0:
            out = out + self._offset(samples_uv, is_over, start_sample)
        events = self._overloads.step(np.any(is_over, axis=1), start_sample)
        return np.clip(out, -self._limit_uv, self._limit_uv), events

    def finish(self) -> tuple[Event, ...]:
        """Return the overload that has not ended, if there is one."""
        return self._overloads.finish()

    def _offset(self, samples_uv: Floats, is_over: NDArray[np.bool_], start: int) -> Floats:
        """Return what is left of the last overload at each sample, and keep where that was."""
        if len(samples_uv) == 0:
            return samples_uv
        number = np.arange(start, start + len(samples_uv))[:, None]
        last = np.maximum.accumulate(np.where(is_over, number, self._last), axis=0)
        inside = np.maximum(last - start, 0)
        side = np.take_along_axis(np.sign(samples_uv), inside, axis=0)
        side = np.where(last >= start, side, self._side)
        self._last, self._side = last[-1], side[-1]
        decayed = np.exp(-ENDED * (number - last) / self._recovery)
        return np.asarray(self._limit_uv * side * decayed, dtype=np.float64)


class Converted:
    """A stage that rounds to whole steps; beyond its last code it clips, which is told."""

    def __init__(self, artefact: Adc, rate_hz: float) -> None:
        self._lsb_uv = artefact.lsb_uv
        self._lowest, self._highest = -(2 ** (artefact.bits - 1)), 2 ** (artefact.bits - 1) - 1
        self._overloads = Overloads(artefact, rate_hz, 0.0)

    def step(self, samples_uv: Floats, start_sample: int) -> tuple[Floats, tuple[Event, ...]]:
        """Return the block in whole steps, and the overloads that have ended."""
        codes = np.rint(samples_uv / self._lsb_uv)
        is_over = (codes < self._lowest) | (codes > self._highest)
        events = self._overloads.step(np.any(is_over, axis=1), start_sample)
        return np.clip(codes, self._lowest, self._highest) * self._lsb_uv, events

    def finish(self) -> tuple[Event, ...]:
        """Return the overload that has not ended, if there is one."""
        return self._overloads.finish()


class Overloads:
    """The events of an overloaded stage, put together over blocks.

    Parameters
    ----------
    artefact
        Names the events' kind.
    rate_hz
        Samples per second.
    recovery
        Samples after the last overloaded one that still belong to the event; an overload within
        them goes on with it.
    """

    def __init__(self, artefact: Saturation | Adc, rate_hz: float, recovery: float) -> None:
        self._artefact = artefact
        self._rate_hz = rate_hz
        self._reach = max(1.0, recovery)
        self._open: tuple[int, int] | None = None  # first and last overloaded sample

    def step(self, is_over: NDArray[np.bool_], start: int) -> tuple[Event, ...]:
        """Take which samples of a block are overloaded, and return the events that have ended."""
        over = np.flatnonzero(is_over) + start
        ends = np.flatnonzero(np.diff(over) > self._reach)
        runs = np.split(over, ends + 1) if over.size else []
        closed: list[Event] = []
        for run in runs:
            first, last = int(run[0]), int(run[-1])
            if self._open is not None and first - self._open[1] <= self._reach:
                self._open = (self._open[0], last)
                continue
            closed += self.finish()
            self._open = (first, last)
        if self._open is not None and self._open[1] + self._reach < start + len(is_over):
            closed += self.finish()
        return tuple(closed)

    def finish(self) -> tuple[Event, ...]:
        """Return the event that is still open, if there is one, and close it."""
        if self._open is None:
            return ()
        first, last = self._open
        self._open = None
        return (event(self._artefact, first / self._rate_hz, (last + self._reach) / self._rate_hz),)
