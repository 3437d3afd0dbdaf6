"""What the virtual Siglent oscilloscope acquires, and how its record is described and sent."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emgsim.virtual.siglent_scope_values import step_below

DIVISIONS_S, DIVISIONS_V = 10, 8
MEMORY_POINTS = 50_000_000
"""Of a channel when both are on."""

MAX_RATE_HZ = 1e9
POINTS_OF_PIECE = 5_000_000
"""Most points of one answer."""

CODES_PER_DIV = 7680
"""Of 65536: the eight divisions take 15/16 of the converter's codes."""

SHARE_OF_CODES = DIVISIONS_V * CODES_PER_DIV / 65536
DESCRIPTOR_BYTES = 346

DEPTHS = {"10K": 10_000, "100K": 100_000, "1M": 1_000_000, "10M": 10_000_000, "50M": 50_000_000}
"""Points of the words of ``:ACQuire:MDEPth``."""

Width = Literal["BYTE", "WORD"]


@dataclass(frozen=True, slots=True)
class ChannelScale:
    """How one channel is set; the offset moves the trace, so the centre is at its negative."""

    v_per_div: float
    offset_v: float
    probe: float

    @property
    def range_v(self) -> float:
        """Volts of the eight divisions at the input."""
        return DIVISIONS_V * self.v_per_div / self.probe

    @property
    def centre_v(self) -> float:
        """Volts of the screen's centre at the input."""
        return -self.offset_v / self.probe


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Describe one acquisition by the settings that were in force when it was started."""

    rate_hz: float
    n_points: int
    start_s: float  # of the first point, after the trigger
    s_per_div: float
    delay_s: float
    channels: dict[int, ChannelScale]

    @property
    def n_skipped(self) -> int:
        """Points between the trigger and the first one of the record."""
        return max(0, round(self.start_s * self.rate_hz))


def rate_for(window_s: float, management: str, depth: int, wanted_hz: float) -> float:
    """Return the rate at which a window is recorded, which comes in steps of 1, 2 and 5.

    With ``FSRate`` it is the one wanted. What the instrument does when its memory cannot hold that
    is not known: here it takes the largest one that fits.
    """
    room = depth if management == "FMDepth" else MEMORY_POINTS
    fitting_hz = step_below(min(room / window_s, MAX_RATE_HZ))
    return min(wanted_hz, fitting_hz) if management == "FSRate" else fitting_hz


def describe(
    acquisition: Acquisition,
    channel: int,
    *,
    instrument: str,
    width: Width,
    has_many_bits: bool,
    n_sent: int,
    first: int,
    interval: int,
) -> bytes:
    """Return the descriptor of a record: 346 bytes, little-endian.

    As an SDS824X HD sends it: models of more than 8 bits say 16 bits and the codes of words
    whatever they send; the byte order says big-endian and is not; the interval is that of the
    memory, however many points are left out.
    """
    scale, block = acquisition.channels[channel], bytearray(DESCRIPTOR_BYTES)
    is_word = width == "WORD"
    codes = CODES_PER_DIV if has_many_bits or is_word else CODES_PER_DIV / 256

    def put(place: int, form: str, *values: float | bytes) -> None:
        struct.pack_into(f"<{form}", block, place, *values)

    put(0, "16s", b"WAVEDESC")
    put(16, "16s", b"WAVEACE")
    put(32, "hhi", int(is_word), 0, DESCRIPTOR_BYTES)
    put(60, "i", n_sent * (2 if is_word else 1))
    put(76, "16s", instrument.encode("ascii"))
    put(116, "i", n_sent)
    put(132, "ii", first, interval)
    put(148, "i", 1)
    put(156, "fff", scale.v_per_div / scale.probe, scale.offset_v / scale.probe, codes)
    put(172, "hh", 16 if has_many_bits or is_word else 8, 1)
    put(176, "fd", 1 / acquisition.rate_hz, acquisition.delay_s)
    put(196, "48s", b"V")
    put(244, "48s", b"S")
    put(324, "hhf", _time_base_number(acquisition.s_per_div), 0, scale.probe)
    put(344, "h", channel - 1)
    return bytes(block)


def encode(codes: NDArray[np.int16], bits: int, width: Width) -> bytes:
    """Return converter codes as they are sent: signed, left-justified in words, or their bytes."""
    words = codes.astype(np.int32) << (16 - bits)
    return (words >> 8).astype("i1").tobytes() if width == "BYTE" else words.astype("<i2").tobytes()


def _time_base_number(s_per_div: float) -> int:
    """Return the place of a time base in the guide's table, which begins at 200 ps."""
    steps = [float(f"{step}e{decade}") for decade in range(-10, 4) for step in (1, 2, 5)]
    return steps.index(s_per_div) - steps.index(2e-10)
