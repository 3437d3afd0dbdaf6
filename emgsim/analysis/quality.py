"""Whether samples can honestly be analysed: present, moving, not cut off, and long enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import NotAnalysableError
from emgsim.recording import Recording

Floats = NDArray[np.float64]

SHORTEST_S = 2.0  # a unit of 5 per second then has ten discharges
LOWEST_RATE_HZ = 2_000.0
MOST_CLIPPED = 0.001  # share of samples that stand still at an extreme
CLIPPED_RUN = 3  # samples on end at the very same extreme value


def require_analysable(recording: Recording, channel: int) -> None:
    """Refuse a channel from which no number could honestly come.

    Raises
    ------
    NotAnalysableError
        If the rate is too low, or the channel is missing, too short, flat or clipped.
    """
    name = recording.channels[channel].name
    where = f"channel {name!r}"
    if recording.rate_hz < LOWEST_RATE_HZ:
        raise NotAnalysableError(
            f"not analysable: the rate must be >= {LOWEST_RATE_HZ:g} Hz for needle EMG, "
            f"got {recording.rate_hz:g} Hz",
            where=where,
            todo="record with a needle EMG rate, 20 kHz or more",
        )
    samples = recording.samples_uv[:, channel]
    present = samples[np.isfinite(samples)]
    if present.size == 0:
        raise NotAnalysableError("not analysable: every sample is missing", where=where)
    seconds = present.size / recording.rate_hz
    if seconds < SHORTEST_S:
        raise NotAnalysableError(
            f"not analysable: {seconds:.3g} s of samples, at least {SHORTEST_S:g} s are needed",
            where=where,
            todo="record for longer; trains of discharges are told apart by their regularity",
        )
    if np.ptp(present) == 0:
        raise NotAnalysableError(
            f"not analysable: the channel is flat at {present[0]:g} uV",
            where=where,
            todo="check the electrode, the cable and whether the amplifier is on",
        )
    share = clipped_share(present)
    if share > MOST_CLIPPED:
        raise NotAnalysableError(
            f"not analysable: {100 * share:.2g} % of the samples are clipped at "
            f"{present.min():.4g} or {present.max():.4g} uV",
            where=where,
            todo="lower the gain or choose a wider range",
        )


def clipped_share(samples: Floats) -> float:
    """Return the share of samples in runs that stand still at the largest or smallest value."""
    count = 0
    for extreme in (samples.min(), samples.max()):
        at = np.concatenate([[0], (samples == extreme).astype(np.int8), [0]])
        edges = np.diff(at)
        runs = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
        count += int(runs[runs >= CLIPPED_RUN].sum())
    return count / samples.size
