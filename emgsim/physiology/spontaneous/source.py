"""What discharges by itself: its fibres, its times, and how its membrane makes a potential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.spontaneous.rhythms import Span
from emgsim.recording import Event

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Wave:
    """An action potential that runs from each fibre's end plate to both of its ends.

    ``repolarisation_s`` slows what follows its peak, as in a wounded fibre; 0: the healthy one.
    ``slowing`` is the share of its speed that the front of a wounded fibre keeps where it dies.
    """

    repolarisation_s: float = 0.0
    slowing: float = 1.0


@dataclass(frozen=True, kw_only=True)
class EndPlateCurrent:
    """A current into each fibre at its end plate, which leaves along the length constant."""

    peak_na: float
    rise_s: float  # time constants
    decay_s: float
    length_mm: float


class Discharges(NamedTuple):
    """What one generator of an activity does; the activity makes a `Source` of it."""

    fibres: UnitFibres
    times_s: Floats
    span: Span
    gains: Floats | None = None  # None: all 1
    membrane: Wave | EndPlateCurrent = Wave()
    unit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """One generator of spontaneous activity, and all its discharges in a recording.

    Parameters
    ----------
    kind
        Of the activity.
    name
        ``kind``, number of the activity and number of the source in it: one name, one source.
    fibres
        What sounds at each discharge, with delays, jitter and block as in a motor unit. The place
        of excitation stands in ``end_plate_mm``.
    times_s
        Shape ``(n_discharges,)``, ascending.
    gains
        Shape ``(n_discharges,)``: factor on the potential.
    onset_s, offset_s
        Between which it discharges.
    grade
        Of the activity.
    membrane
        How the fibres make their potential.
    unit
        Order of the motor unit that discharges as a whole; None: single fibres.

    Raises
    ------
    ValueError
        If the times do not rise, or times and gains do not belong together.
    """

    kind: str
    name: str
    fibres: UnitFibres
    times_s: Floats
    gains: Floats
    onset_s: float
    offset_s: float
    grade: float
    membrane: Wave | EndPlateCurrent = Wave()
    unit: int | None = None

    def __post_init__(self) -> None:
        if self.times_s.ndim != 1 or self.gains.shape != self.times_s.shape:
            raise ValueError(
                f"times_s, gains: expected (n,) both, got {self.times_s.shape}, {self.gains.shape}"
            )
        if np.any(np.diff(self.times_s) < 0):
            raise ValueError(f"times_s of {self.name} must rise")

    @property
    def event(self) -> Event:
        """The source as the truth has it."""
        return Event(
            kind=self.kind,
            onset_s=self.onset_s,
            offset_s=self.offset_s,
            grade=self.grade,
            source=self.name,
        )
