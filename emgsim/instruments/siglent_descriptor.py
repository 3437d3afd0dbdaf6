"""Reads the binary descriptor with which Siglent oscilloscopes scale a record.

It is ``:WAVeform:PREamble?`` of the SDS Series Programming Guide (EN11, "Waveform Data Format"):
346 bytes in the form of LeCroy's WAVEDESC, little-endian whatever its own field of the byte order
says. Of an SDS1000X HD and its like the field of bits says 16, and the codes per division are those
of words even where bytes are sent (owners' reports of an SDS824X HD).
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

DESCRIPTOR_BYTES = 346
DIVISIONS_V = 8.0
_BYTE_CODES = 256


class Descriptor(NamedTuple):
    """Scales a record: the fields of ``:WAVeform:PREamble?`` that do so, of a probe 1:1."""

    is_word: bool
    v_per_div: float
    offset_v: float
    codes_per_div: float
    interval_s: float


def read_descriptor(data: bytes) -> Descriptor:
    """Read the binary descriptor of a record (guide, "Waveform Data Format"; little-endian).

    Raises
    ------
    ValueError
        When it is too short, does not begin with WAVEDESC, or scales by nothing.
    """
    if len(data) < DESCRIPTOR_BYTES or not data.startswith(b"WAVEDESC"):
        raise ValueError(f"{len(data)} bytes that begin with {data[:8]!r}")
    (comm_type,) = struct.unpack_from("<h", data, 32)
    gain, offset, per_div = struct.unpack_from("<fff", data, 156)
    (interval,) = struct.unpack_from("<f", data, 176)
    sizes = (gain, per_div, interval)
    if not all(math.isfinite(size) and size > 0 for size in sizes) or not math.isfinite(offset):
        raise ValueError(f"{gain:g} V in {per_div:g} codes, {offset:g} V off, every {interval:g} s")
    if comm_type == 0 and per_div * DIVISIONS_V > _BYTE_CODES:
        per_div /= _BYTE_CODES
    return Descriptor(comm_type != 0, gain, offset, per_div, interval)
