"""Faults of the converter that its codes betray: codes that it lacks, channels that are swapped."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emgsim.diagnosis.findings import Finding
from emgsim.diagnosis.heard import Heard, located
from emgsim.diagnosis.tracks import Track, noise_of

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

MOST_CODES = 1 << 17  # that are looked at, the last ones
LONGEST_CYCLE = 64  # codes
CYCLE_OF_NOISE = 2.0  # times the noise: all codes of a shorter cycle are equally likely to 1 %
CHANCE_LOG10 = -12.0  # of a code that is merely not seen by chance; some 2000 are looked for
SAME = 0.5  # of the gain: another channel has what this one should have


def missing_codes(track: Track) -> Finding | None:
    """Tell codes that a converter lacks: one in every n of them, or those of its lowest bits.

    The statistic is the logarithm of the probability that one of n codes is not seen by chance.
    It needs noise of half a cycle; a quiet converter of few bits shows nothing.
    """
    lsb = track.heard.lsb_uv
    use = np.flatnonzero(track.follows)
    if not lsb or not use.size:
        return None
    codes = np.rint(track.heard.uv[use] / lsb).astype(np.int64)
    longest = min(LONGEST_CYCLE, int(CYCLE_OF_NOISE * noise_of(track) / lsb))
    for cycle in range(2, longest + 1):
        code, unseen_for, log10 = _rarest(codes[-MOST_CODES:], cycle)
        if log10 < CHANCE_LOG10:
            there = np.flatnonzero(codes % cycle == code)
            since = int(there[-1]) + 1 if there.size else None
            bits = _constant_bits(codes[-max(1, unseen_for // 2) :])
            return Finding(
                name="missing codes",
                start_s=None if since is None else float(track.times_s[use[since]]),
                within_s=0.0 if since is None else cycle / track.heard.rate_hz,
                value=float(bits or cycle),
                unit="lowest bits stuck" if bits else "codes, of which one is missing",
                statistic=log10,
                threshold=CHANCE_LOG10,
            )
    return None


def _rarest(codes: Codes, cycle: int) -> tuple[int, int, float]:
    """Return which code of a cycle was not seen for longest, for how long, and how likely that is.

    The likelihood is the logarithm to base 10 for any code of the cycle.
    """
    last = np.full(cycle, -1)
    last[codes % cycle] = np.arange(codes.size)
    code = int(np.argmin(last))
    unseen_for = codes.size - 1 - int(last[code])
    return code, unseen_for, math.log10(cycle) + unseen_for * math.log10(1 - 1 / cycle)


def _constant_bits(codes: Codes) -> int:
    """Return how many of the lowest bits never change."""
    changing = int(np.bitwise_or.reduce(codes ^ codes[0]))
    return (changing & -changing).bit_length() - 1 if changing else 0


def swapped(heard: Heard, track: Track | None) -> Finding | None:
    """Tell a channel whose signal is in another one.

    The statistic is the other channel's gain over the one that is expected.
    """
    for k, uv in enumerate(heard.others_uv, start=2):
        if track is None:
            if located(uv, heard.rate_hz, heard.marker(0)[1]) is not None:
                return _swapped(k, None, 1.0)
        elif (share := _share(track, uv)) > SAME:
            return _swapped(k, track.ends_s, share)
    return None


def _share(track: Track, other_uv: Floats) -> float:
    """Return how much of the signal is in another channel, once this one has ceased to follow."""
    after = track.after & np.isfinite(other_uv)
    expected = track.expected_uv[after]
    energy = float(expected @ expected)
    return float(other_uv[after] @ expected) / energy if energy else 0.0


def _swapped(number: int, start_s: float | None, share: float) -> Finding:
    return Finding(
        name="swapped channels",
        start_s=start_s,
        value=float(number),
        unit="is the channel that has it",
        statistic=share,
        threshold=SAME,
    )
