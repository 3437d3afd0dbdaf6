"""Sound files (RIFF WAVE), whose samples are a share of full scale and know no microvolts.

Those that emgsim writes tell it in their comment: full scale in microvolts, and the rate, which
there need be no whole number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emgsim.files.content import Content, Signal

Floats = NDArray[np.float64]

MAGIC = b"RIFF"
FULL_SCALE = "full scale"
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
OURS = re.compile(rb"emgsim: full scale ([0-9]{1,9}) uV, rate ([0-9]{1,10}(?:\.[0-9]{1,20})?) Hz\0")


def read_wav(data: bytes) -> Content:
    """Read a file's bytes; each channel in parts of full scale, -1 to 1, or in microvolts if told.

    PCM of 8, 16, 24 and 32 bits and floats of 32 and 64 bits, plain or extensible.

    Raises
    ------
    ValueError
        If the file is cut off, or of another kind.
    """
    if data[:4] != MAGIC or data[8:12] != b"WAVE":
        raise ValueError("a WAV file begins with RIFF and WAVE")
    chunks: dict[bytes, bytes] = {}
    for name, body in _chunks(data):
        chunks.setdefault(name, body)
    missing = [name.decode() for name in (b"fmt ", b"data") if name not in chunks]
    if missing:
        raise ValueError(f"a WAV file must have a chunk {missing[0].strip()!r}")
    coding, n_channels, rate_hz, bits = _format(chunks[b"fmt "])
    frame = n_channels * bits // 8
    if len(chunks[b"data"]) % frame:
        raise ValueError(f"{len(chunks[b'data'])} bytes of samples are no whole frames of {frame}")
    values = _values(chunks[b"data"], coding, bits).reshape(-1, n_channels)
    unit, ours = FULL_SCALE, OURS.search(chunks.get(b"LIST", b""))
    if ours is not None and abs(float(ours[2]) - rate_hz) <= 0.5:  # else another program changed it
        values, unit, rate_hz = values * float(ours[1]), "uV", float(ours[2])
    return Content(
        signals=tuple(
            Signal(name=f"channel {k + 1}", unit=unit, rate_hz=rate_hz, values=values[:, k])
            for k in range(n_channels)
        )
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(data):
        size = _unsigned(data[place + 4 : place + 8])
        body = data[place + 8 : place + 8 + size]
        if len(body) < size:
            raise ValueError(f"a chunk of {size} bytes has {len(body)}: the file is truncated")
        yield data[place : place + 4], body
        place += 8 + size + size % 2


def _format(body: bytes) -> tuple[int, int, float, int]:
    """Return coding, number of channels, rate and bits of a sample."""
    if len(body) < 16:
        raise ValueError(f"the format must have 16 bytes, got {len(body)}")
    coding, n_channels = _unsigned(body[0:2]), _unsigned(body[2:4])
    rate, bits = _unsigned(body[4:8]), _unsigned(body[14:16])
    if coding == EXTENSIBLE:
        coding = _unsigned(body[24:26])  # the first bytes of the sub-format
    if (coding, bits) not in CODINGS:
        raise ValueError(f"samples must be PCM or float, got coding {coding} of {bits} bits")
    if n_channels == 0:
        raise ValueError("the file holds no channels")
    if rate == 0:
        raise ValueError("the rate must be > 0 Hz, got 0")
    return coding, n_channels, float(rate), bits


def _values(raw: bytes, coding: int, bits: int) -> Floats:
    if bits == 24:
        parts = np.frombuffer(raw, np.uint8).reshape(-1, 3).astype(np.int32)
        counts = parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24
        return counts / 2.0**31
    values = np.frombuffer(raw, CODINGS[coding, bits]).astype(np.float64)
    if coding == FLOAT:
        return values
    return (values - 128) / 128 if bits == 8 else values / 2.0 ** (bits - 1)


CODINGS = {
    (PCM, 8): "<u1",  # the one coding that is unsigned
    (PCM, 16): "<i2",
    (PCM, 24): "",
    (PCM, 32): "<i4",
    (FLOAT, 32): "<f4",
    (FLOAT, 64): "<f8",
}


def _unsigned(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
