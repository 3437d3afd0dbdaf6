"""Clockwork cycles in which one source was found more than once."""

from __future__ import annotations

import numpy as np

from emgsim.analysis.conditioning import Flags, Floats
from emgsim.analysis.resting.measuring import local_cov

FEWEST = 10
WITHIN = 0.03  # of a cycle, from one to the next
CLOCKWORK = 0.01  # CoV from one cycle to the next; rings have less than 0.005, no set of spikes has
WHOLE = 0.85  # of the train that the cycles must span


def one_of_each_cycle(times_s: Floats) -> Flags:
    """Choose one discharge of every cycle of a ring whose fibres look alike.

    A ring of fibres in a row comes again like clockwork; fibres of it that look alike are found as
    discharges of one source, some milliseconds apart.

    Parameters
    ----------
    times_s
        Of all discharges, ascending.

    Returns
    -------
    bool array
        The first train of equal cycles that goes from begin to end; all where there is none.
    """
    every = np.ones(times_s.size, dtype=bool)
    if times_s.size < FEWEST:
        return every
    for order in (1, 2, 3):
        cycle_s = float(np.median(times_s[order:] - times_s[:-order]))
        for first in range(order):
            chain = _chain(times_s, first, cycle_s)
            if chain.size == times_s.size:
                return every
            if chain.size < FEWEST:
                continue
            own_s = times_s[chain]
            is_whole = own_s[-1] - own_s[0] > WHOLE * (times_s[-1] - times_s[0])
            if is_whole and local_cov(np.diff(own_s)) < CLOCKWORK:
                chosen = ~every
                chosen[chain] = True
                return chosen
    return every


def _chain(times_s: Floats, first: int, cycle_s: float) -> np.ndarray:
    """Return the discharges that follow each other by about a cycle, which may drift."""
    chain = [first]
    while True:
        due_s = times_s[chain[-1]] + cycle_s
        near = int(np.argmin(np.abs(times_s - due_s)))
        if near <= chain[-1] or abs(times_s[near] - due_s) > WITHIN * cycle_s:
            return np.array(chain)
        cycle_s = float(times_s[near] - times_s[chain[-1]])
        chain.append(near)
