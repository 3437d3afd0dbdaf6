"""What a detector that tells no units apart has heard: discharges of any unit, on one line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.recording import Truth
from emgsim.scoring.comparison import MAX_LAG_S
from emgsim.scoring.intervals import wilson
from emgsim.scoring.matching import best_lag_s, match_discharges
from emgsim.verdict import Measurement

Floats = NDArray[np.float64]

TOLERANCE_S = 0.001


@dataclass(frozen=True, kw_only=True)
class EventScore:
    """How many discharges were heard, and how many events were discharges.

    Two units that discharge at once may share an event: a single line cannot tell them apart.
    """

    heard: int
    discharges: int
    explained: int
    events: int

    def measurements(self, path: str) -> tuple[Measurement, ...]:
        """Return both shares as measurements of a path, with 95 % intervals (Wilson)."""
        return (
            _share(f"events.sensitivity.{path}", self.heard, self.discharges),
            _share(f"events.precision.{path}", self.explained, self.events),
        )


def score_events(events_s: Floats, truth: Truth, units: Collection[int]) -> EventScore:
    """Compare events of one line with the discharges of those units that can be heard.

    Parameters
    ----------
    events_s
        Shape ``(n,)``, in any order.
    truth
        Holds the units.
    units
        Ids of those that count. The potential of each may reach the detector's threshold earlier
        or later than its spike, by up to 6 ms, but always by as much.

    Examples
    --------
    >>> score_events(np.zeros(0), Truth(units=(), muap_rate_hz=48_000.0), ())
    EventScore(heard=0, discharges=0, explained=0, events=0)
    """
    events_s = np.sort(events_s)
    explained: set[int] = set()
    heard = n = 0
    for unit in truth.units:
        if unit.id not in units:
            continue
        times_s = unit.discharge_times_s
        lag_s = best_lag_s(times_s, events_s, TOLERANCE_S, MAX_LAG_S)
        pairs = match_discharges(times_s, events_s, TOLERANCE_S, lag_s)
        explained.update(event for _, event in pairs)
        heard, n = heard + len(pairs), n + times_s.size
    return EventScore(heard=heard, discharges=n, explained=len(explained), events=events_s.size)


def _share(id: str, part: int, whole: int) -> Measurement:
    low, high = wilson(part, whole) if whole else (None, None)
    value = part / whole if whole else float("nan")
    return Measurement(id=id, value=value, unit="1", low=low, high=high)
