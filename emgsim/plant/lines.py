"""Networks that remember: what a staircase, or white noise, makes of them block by block."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emgsim.plant.analog import (
    Floats,
    Known,
    LineState,
    Modes,
    Network,
    Track,
    drive,
    modes,
    settled,
)


@dataclass
class Line:
    """A network with its state, fed by one staircase."""

    modes: Modes
    state: LineState

    def read(self, held: Floats, period_s: float, times_s: Floats) -> Floats:
        """Feed held values, and return the output at instants inside their steps."""
        return self.drive(held, period_s).at(times_s)

    def drive(
        self, held: Floats, period_s: float, n_ahead: int = 0, known: Known | None = None
    ) -> Track:
        """Feed held values, and return what became of the network meanwhile.

        The next call repeats the last step, and so many before it that were only looked ahead.
        ``known`` are the modes that others have in common which hear the same.
        """
        track = drive(self.modes, self.state, held, period_s, known)
        self.state = track.since(track.end.step - n_ahead)
        return track


def settled_line(network: Network, level: float, step: int = 0) -> Line:
    """Return a network whose input has always been at a level."""
    split = modes(network)
    return Line(split, settled(split, level, step))


class Noise:
    """White noise through a network, on its fixed grid; a block's last step is kept."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._last = np.zeros(1)

    def wire(self, network: Network, density_v2_hz: float, period_s: float, level: float) -> None:
        """Say how loud it is and what it passes, which has been at a level for ever."""
        self._sigma_v = float(np.sqrt(density_v2_hz / (2 * period_s)))
        self._period_s = period_s
        self._line = settled_line(network, level, -1)

    def warm_up(self, n_steps: int, level: float) -> None:
        """Let the network hear so many steps before the first one."""
        self._last = np.full(1, level)
        self._line.read(self._block(n_steps, level), self._period_s, np.zeros(0))
        self._line.state = replace(self._line.state, step=-1)

    def hear(self, n_steps: int, level: Floats | float, first_step: int, times_s: Floats) -> Floats:
        """Return what comes out during the next steps, of which the first has a number.

        ``level`` is added to the noise: one value, or one per step.
        """
        self._line.state = replace(self._line.state, step=first_step - 1)
        # Half a step early, so that rounding never decides in which step a sample falls.
        return self._line.read(
            self._block(n_steps, level), self._period_s, times_s - self._period_s / 2
        )

    def _block(self, n_steps: int, level: Floats | float) -> Floats:
        new = self._sigma_v * self._rng.standard_normal(n_steps) + level
        held = np.concatenate([self._last, new])
        self._last = held[-1:]
        return held
