"""The ways by which a device hears the source: between its inputs, and of both together.

What all channels hear (noise, offsets, common voltages) each of them hears of its neighbours, too.
"""

from __future__ import annotations

import numpy as np

from emgsim.plant.analog import Floats, Known, Network, Track
from emgsim.plant.lines import settled_line
from emgsim.plant.physics import RigPhysics, StatePhysics


class Ways:
    """Source and device joined as a state of the fixture says.

    Parameters
    ----------
    physics, state
        How large everything is, and which state it is.
    source
        From the generator's staircase to the loaded volts.
    level_v, step
        What they have heard for ever, and the generator's step from which on they are driven.
    inputs
        Of the device, which hear this source; none named: all.
    """

    def __init__(
        self,
        physics: RigPhysics,
        state: StatePhysics,
        source: Network,
        level_v: float,
        step: int,
        inputs: tuple[int, ...] = (),
    ) -> None:
        a = physics.amplifier
        self._skews_s = 1e-6 * np.asarray(a.skews_us or np.zeros(a.channels))
        self._most_v = np.inf
        self._everywhere = np.asarray(a.shares(inputs))
        amplifier = physics.amplifier_network
        paths, shares = [], []
        if state.differential:
            device = physics.input_network_in(state) @ amplifier
            paths.append(Network(gain=state.differential) @ device)
            shares.append(np.asarray(a.shares(state.driven or inputs)))
            if physics.fixture.clamp_v is not None:
                volts = abs(state.differential) * physics.load_factor_in(state)
                self._most_v = physics.fixture.clamp_v / volts
        if state.common:
            paths.append(Network(gain=state.common * 10 ** (-a.cmrr_db / 20)) @ amplifier)
        if state.common and state.series_ohm:
            converted = physics.conversion_network_in(state) @ Network(gain=state.common)
            paths.append(converted @ amplifier)
        shares += [self._everywhere] * (len(paths) - len(shares))
        self._lines = [settled_line(source @ path, level_v, step) for path in paths]
        self._shares = shares
        shared = (self._everywhere, *shares)
        self._is_split = bool(self._skews_s.any() or any((s != 1).any() for s in shared))
        self._tracks: list[Track] = []

    @property
    def latest_s(self) -> float:
        """By how much the last channel is sampled late."""
        return float(self._skews_s.max())

    def drive(self, held: Floats, period_s: float, n_ahead: int, known: Known) -> None:
        """Drive them with what the fixture's diodes leave of the staircase.

        Those cut it before it is smoothed: what rings above them is not cut. ``n_ahead`` and
        ``known`` are as in `emgsim.plant.lines.Line.drive`.
        """
        if np.abs(held).max() > self._most_v:
            held, known = np.clip(held, -self._most_v, self._most_v), {}
        self._tracks = [line.drive(held, period_s, n_ahead, known) for line in self._lines]

    def first_channel(self, times_s: Floats, noise_v: Floats) -> Floats:
        """Return what source and noise make in the first channel.

        At times after the trigger's first point, shape ``(n,)``.
        """
        total_v = np.zeros(times_s.size)
        for track, shares in zip(self._tracks, self._shares, strict=True):
            total_v = total_v + shares[0] * track.at(times_s)
        return np.asarray(total_v + self._everywhere[0] * noise_v, dtype=np.float64)

    def joined(self, times_s: Floats, noise_v: Floats) -> Floats:
        """Return what source and noise make at the converters.

        Shape ``(n,)``: of all channels alike; else ``(n, n_channels)``.
        """
        if not self._is_split:
            return self.first_channel(times_s, noise_v)
        volts: Floats = np.multiply.outer(noise_v, self._everywhere)
        for track, shares in zip(self._tracks, self._shares, strict=True):
            for skew_s in np.unique(self._skews_s[shares != 0]):
                late = (self._skews_s == skew_s) & (shares != 0)
                volts[:, late] += np.multiply.outer(track.at(times_s + skew_s), shares[late])
        return volts
