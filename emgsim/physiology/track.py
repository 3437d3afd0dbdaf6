"""Where the needle is at each moment: stations along its track, and the share between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.parameters import NeedleMove, TipPosition
from emgsim.physiology.parameters.track import PLACE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

STATION_MM = 0.05  # potentials change by a few per cent from one station to the next
STATION_DEG = 5.0


@dataclass(frozen=True, kw_only=True)
class Track:
    """The stations of the tip, in order, and when it was where; between them it moves evenly.

    ``times_s`` and ``places`` have the shape ``(n,)``: at each time the tip is at the station of
    that number, at the same one for as long as it rests.
    """

    times_s: Floats
    places: Floats
    tips: tuple[TipPosition, ...]
    ends: tuple[tuple[float, TipPosition], ...]  # of the moves: each beginning and each end

    @property
    def rests(self) -> tuple[int, ...]:
        """Stations at which the needle rests: the first one, and where each move ends."""
        begins = np.flatnonzero(np.diff(self.places) == 0)  # a rest has two times at one station
        return (*(int(place) for place in self.places[begins]), int(self.places[-1]))

    def shares(self, times_s: Floats) -> tuple[Integers, Floats]:
        """Return the station before each time and how far the tip is on its way to the next."""
        place = np.interp(times_s, self.times_s, self.places)
        station = np.floor(place).astype(np.int64)
        return station, place - station

    def tips_from(self, time_s: float) -> set[TipPosition]:
        """Return the stations that are heard at a time or after it."""
        return set(self.tips[int(self.shares(np.array([time_s]))[0][0]) :])


def track(tip: TipPosition, moves: Sequence[NeedleMove]) -> Track:
    """Return the track of a tip that begins at a place and moves.

    Raises
    ------
    ValueError
        If a move begins before the one before it has ended.
    """
    times_s, places, tips, ends = [0.0], [0], [tip], []
    for move in moves:
        if move.at_s < times_s[-1]:
            raise ValueError(
                f"a move must begin after the one before has ended at {times_s[-1]:g} s, "
                f"got at_s = {move.at_s:g}"
            )
        here = tips[-1].model_dump()
        there = here | {name: v for name in PLACE if (v := getattr(move, name)) is not None}
        delta = {name: there[name] - here[name] for name in PLACE}
        n = _steps(delta)
        ends.append((move.at_s, tips[-1]))
        times_s += [move.at_s + move.duration_s * k / n for k in range(n + 1)]
        places += [places[-1] + k for k in range(n + 1)]
        tips += [
            TipPosition(**{name: here[name] + k / n * delta[name] for name in PLACE})
            for k in range(1, n + 1)
        ]
        ends.append((times_s[-1], tips[-1]))
    return Track(
        times_s=np.array(times_s),
        places=np.array(places, np.float64),
        tips=tuple(tips),
        ends=tuple(ends),
    )


def _steps(delta: dict[str, float]) -> int:
    """Return into how many steps a move is cut."""
    distance_mm = float(np.linalg.norm([delta[name] for name in PLACE[:3]]))
    turn_deg = max(abs(delta[name]) for name in PLACE[3:])
    stations = max(distance_mm / STATION_MM, turn_deg / STATION_DEG)
    return max(1, int(np.ceil(stations - 1e-9)))  # rounding is no step
