"""When artefacts occur, how large they are, and the event that tells of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emgsim.artefacts.parameters import Artefact
from emgsim.recording import Event

ENDED = 3.0  # time constants after which an artefact's event ends: 5 % of it is left


def event(artefact: Artefact, onset_s: float, offset_s: float) -> Event:
    """Return the truth about one occurrence of an artefact."""
    return Event(kind=f"artefact.{artefact.kind}", onset_s=onset_s, offset_s=offset_s)


def poisson_times(
    per_min: float, rng: np.random.Generator, *, apart_s: float = 0.0
) -> Iterator[float]:
    """Yield the times of a Poisson process from 0 s on, without end.

    With ``apart_s`` each event lasts so long, and the next one waits from its end.
    """
    time_s = 0.0
    while True:
        time_s += rng.exponential(60.0 / per_min)
        yield time_s
        time_s += apart_s


def draw_size(spread: float, rng: np.random.Generator) -> float:
    """Return a log-normal factor of median 1; ``spread`` is the SD of its logarithm."""
    return float(np.exp(spread * rng.standard_normal()))


def draw_sign(rng: np.random.Generator) -> float:
    """Return 1 or -1."""
    return float(rng.choice((-1.0, 1.0)))
