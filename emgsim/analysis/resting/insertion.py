"""How long a muscle goes on when the needle rests."""

from __future__ import annotations

import numpy as np

from emgsim.analysis.resting.episodes import LONGEST_BURST_S, Episode, dense_episodes, grown
from emgsim.analysis.resting.floor import conditioned, white
from emgsim.recording import Recording


def insertional_length_s(
    recording: Recording, move_end_s: float | None = None, *, channel: int = 0
) -> float:
    """Return how long insertional activity lasts.

    Parameters
    ----------
    recording
        With the needle's movement, and some seconds of the rest after it.
    move_end_s
        When the needle came to rest, on the recording's clock: the length counts from there, as
        the clinic counts it (normal 50-300 ms; Daube & Rubin 2009). Without it the whole of the
        first burst counts, movement included.
    channel
        Column that is measured.

    Returns
    -------
    float
        Seconds until nothing follows for a tenth of a second; 0 if there is nothing.

    Raises
    ------
    ValueError
        If the needle comes to rest outside the recording, or there is no such channel.
    """
    n = len(recording.channels)
    if not 0 <= channel < n:
        raise ValueError(f"channel must be in 0..{n - 1}, got {channel}")
    end_s = recording.start_s + recording.duration_s
    if move_end_s is not None and not recording.start_s <= move_end_s < end_s:
        raise ValueError(
            f"move_end_s must be within {recording.start_s:g}..{end_s:g}, got {move_end_s:g}"
        )
    samples_uv = recording.samples_uv[:, channel]
    flat = white(conditioned(samples_uv, recording.rate_hz, recording.start_s))
    if move_end_s is None:
        bursts = [
            burst
            for burst in dense_episodes(flat)
            if burst.last - burst.first <= LONGEST_BURST_S * flat.rate_hz
        ]
        if not bursts:
            return 0.0
        first, last = grown(flat, bursts[0])
        return (last - first) / flat.rate_hz
    rest = int(np.clip((move_end_s - flat.start_s) * flat.rate_hz, 0, flat.samples.size))
    _, last = grown(flat, Episode(first=rest, last=rest))
    return (last - rest) / flat.rate_hz
