"""What the virtual scope acquires, and how a record is scaled and written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MEMORY_POINTS = 2_000_000
"""Points per channel: half of them hold one record, in digitizer mode all of them."""

MAX_RATE_HZ = 1e9
WORD_BITS = 16


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Describe one acquisition by the settings that were in force when it was started.

    ``start_s`` is the time of the first point after the trigger. What lies before the trigger is
    not modelled: the record then begins at the trigger and is shorter than the screen.
    """

    rate_hz: float
    n_skipped: int  # points between the trigger and the first one that is shown
    n_points: int
    ranges_v: dict[int, float]
    offsets_v: dict[int, float]

    @property
    def start_s(self) -> float:
        """Time of the first point after the trigger."""
        return self.n_skipped / self.rate_hz


def rate_for(range_s: float) -> float:
    """Return the largest rate of the 1-2-5 series whose record fits into half the memory."""
    limit_hz = min(MEMORY_POINTS / 2 / range_s, MAX_RATE_HZ) * (1 + 1e-9)
    decade = 10.0 ** math.floor(math.log10(limit_hz))
    return max(step * decade for step in (1, 2, 5) if step * decade <= limit_hz)


def digitizer_rate_for(range_s: float, wanted_hz: float) -> float:
    """Return the rate in digitizer mode: the one wanted, or what the whole memory holds."""
    return min(wanted_hz, MEMORY_POINTS / range_s)


def plan(
    *,
    range_s: float,
    first_s: float,
    ranges_v: dict[int, float],
    offsets_v: dict[int, float],
    wanted_hz: float | None = None,
) -> Acquisition:
    """Return the acquisition of a screen that begins `first_s` after the trigger.

    `wanted_hz` is the rate that digitizer mode was asked for; None: the scope chooses.
    """
    rate_hz = rate_for(range_s) if wanted_hz is None else digitizer_rate_for(range_s, wanted_hz)
    first, end = round(first_s * rate_hz), round((first_s + range_s) * rate_hz)
    first = max(first, 0)
    return Acquisition(rate_hz, first, max(end - first, 0), ranges_v, offsets_v)


@dataclass(frozen=True, slots=True)
class Scale:
    """Turn data into volts: ``(data - reference) * increment_v + origin_v``."""

    increment_v: float
    origin_v: float
    reference: int


def scale_of(form: str, *, is_unsigned: bool, range_v: float, offset_v: float) -> Scale:
    """Return the scale of one channel in a format: WORD, BYTE or ASC."""
    bits = 8 if form == "BYTE" else WORD_BITS
    is_shifted = is_unsigned and form != "ASC"
    return Scale(range_v / 2**bits, offset_v, 2 ** (bits - 1) if is_shifted else 0)


def encode(
    codes: NDArray[np.int16],
    form: Literal["WORD", "BYTE"],
    *,
    bits: int,
    is_unsigned: bool,
    is_big_endian: bool,
) -> bytes:
    """Return converter codes as the scope sends them: left-justified in words, or bytes.

    Unsigned data never hold 0, which says that a point is missing; the lowest code is 1, which
    says that it was clipped.
    """
    words = codes.astype(np.int32) << (WORD_BITS - bits)
    size = WORD_BITS
    if form == "BYTE":
        words, size = words >> 8, 8
    if is_unsigned:
        words = np.maximum(words + 2 ** (size - 1), 1)
    kind = "u" if is_unsigned else "i"
    return words.astype(f"{'>' if is_big_endian else '<'}{kind}{size // 8}").tobytes()


def listed(codes: NDArray[np.int16], scale: Scale, bits: int) -> bytes:
    """Return converter codes as comma-separated volts."""
    volts = (codes.astype(np.float64) * 2 ** (WORD_BITS - bits)) * scale.increment_v
    return b",".join(b"%.5E" % value for value in (volts + scale.origin_v).tolist())
