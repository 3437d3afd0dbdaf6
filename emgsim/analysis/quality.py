"""Whether samples can honestly be analysed: present, moving, not cut off, and long enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import NotAnalysableError
from emgsim.recording import Recording

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SHORTEST_S = 2.0  # a unit of 5 per second then has ten discharges
LOWEST_RATE_HZ = 9_500.0  # the bands that tell potentials apart reach up to 4.5 kHz
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


def require_vector(samples_uv: Floats, rate_hz: float) -> None:
    """Refuse samples that are not one channel's, and a rate that is none.

    Raises
    ------
    ValueError
        If the samples are no vector, or the rate is not positive.
    """
    if samples_uv.ndim != 1:
        raise ValueError(f"samples_uv must be (n_samples,), got {samples_uv.shape}")
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ValueError(f"rate_hz must be finite and > 0, got {rate_hz}")


def clipped_share(samples: Floats) -> float:
    """Return the share of samples in runs that stand still at the largest or smallest value."""
    return float(np.mean(stands_still(samples)))


def stands_still(samples: Floats) -> Flags:
    """Mark samples that repeat the largest or the smallest value three times on end."""
    still = np.zeros(samples.size, dtype=np.bool_)
    for extreme in (samples.min(), samples.max()):
        for first, stop in runs_of(samples == extreme):
            still[first:stop] |= stop - first >= CLIPPED_RUN
    return still


def runs_of(flags: Flags) -> list[tuple[int, int]]:
    """Return the first and the one after the last of each run of flags that are set."""
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(starts.tolist(), stops.tolist(), strict=True))
