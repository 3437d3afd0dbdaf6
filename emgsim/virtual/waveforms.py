"""The waveform memory of the virtual generator, and the waveforms that it makes itself."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emgsim.virtual.parameters import ScpiError, read_block

MAX_POINTS = 16_000_000  # of a channel with the memory option; 1 M without it
MIN_POINTS = 8
FULL_SCALE = 32767
BUILT_IN = "INT:\\BUILTIN\\EXP_RISE.ARB"
"""Waveform that is always there; it takes no memory here, unlike on the real instrument."""

Codes = NDArray[np.int16]


class WaveformMemory:
    """Hold the arbitrary waveforms of one channel by name; case does not matter in names."""

    def __init__(self) -> None:
        self._stored: dict[str, tuple[str, Codes]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget every waveform but the built-in one."""
        rise = 1 - 2 * np.exp(-np.arange(1000) / 200)
        self._stored = {BUILT_IN: (BUILT_IN, codes_of(rise))}

    @property
    def names(self) -> list[str]:
        """Names as they were given, the built-in one first."""
        return [name for name, _ in self._stored.values()]

    @property
    def n_free(self) -> int:
        """Points that can still be stored."""
        used = sum(codes.size for key, (_, codes) in self._stored.items() if key != BUILT_IN)
        return MAX_POINTS - used

    def store(self, name: str, codes: Codes) -> None:
        """Keep a new waveform; a name that is taken is a mistake, as on the real instrument."""
        if name.upper() in self._stored:
            raise ScpiError(785)
        if codes.size < MIN_POINTS:
            raise ScpiError(-222, f"a waveform has at least {MIN_POINTS} points")
        if codes.size > self.n_free:
            raise ScpiError(781)
        self._stored[name.upper()] = (name, codes)

    def find(self, name: str) -> str:
        """Return a stored name as it was given."""
        if name.upper() not in self._stored:
            raise ScpiError(786)
        return self._stored[name.upper()][0]

    def codes(self, name: str) -> Codes:
        """Return the codes of a stored waveform, shape ``(n,)``, full scale +-32767."""
        return self._stored[self.find(name).upper()][1]


def codes_of(values: NDArray[np.float64]) -> Codes:
    """Return codes for values from -1 to 1."""
    if not np.all(np.abs(values) <= 1.0):  # also refuses what is not a number
        raise ScpiError(-222, "a value is not in -1 to 1")
    return np.rint(values * FULL_SCALE).astype(np.int16)


def read_codes(arguments: tuple[bytes, ...], *, big_endian: bool) -> Codes:
    """Return the codes in a block of 16-bit integers or in comma-separated integers."""
    if arguments[0].startswith(b"#"):
        values = _array(arguments, ">i2" if big_endian else "<i2").astype(np.float64)
    else:
        values = _listed(arguments)
    if not np.all(np.abs(values) <= FULL_SCALE):
        raise ScpiError(-222, f"a code is not in -{FULL_SCALE} to {FULL_SCALE}")
    return np.rint(values).astype(np.int16)


def read_values(arguments: tuple[bytes, ...], *, big_endian: bool) -> Codes:
    """Return the codes for a block of 32-bit floats or for comma-separated numbers, -1 to 1."""
    if arguments[0].startswith(b"#"):
        return codes_of(_array(arguments, ">f4" if big_endian else "<f4").astype(np.float64))
    return codes_of(_listed(arguments))


def _array(arguments: tuple[bytes, ...], dtype: str) -> NDArray[np.generic]:
    if len(arguments) > 1:
        raise ScpiError(-108)
    data = read_block(arguments[0])
    if len(data) % np.dtype(dtype).itemsize:
        raise ScpiError(-161, "the block ends inside a point")
    return np.frombuffer(data, dtype)


def _listed(arguments: tuple[bytes, ...]) -> NDArray[np.float64]:
    try:
        return np.array(arguments).astype(np.float64)
    except ValueError:
        raise ScpiError(-104, "a number is needed") from None


@lru_cache(maxsize=4)
def standard(function: str, *, n_points: int, duty_pct: float, symmetry_pct: float) -> Codes | None:
    """Return one period of a standard waveform, or None for those that are not modelled."""
    phase = np.arange(n_points) / n_points
    peak = min(max(symmetry_pct / 100, 1e-6), 1 - 1e-6)
    ramp = np.where(phase < peak, 2 * phase / peak - 1, 1 - 2 * (phase - peak) / (1 - peak))
    shapes = {
        "SIN": np.sin(2 * np.pi * phase),
        "SQU": np.where(phase < duty_pct / 100, 1.0, -1.0),
        "PULS": np.where(phase < duty_pct / 100, 1.0, -1.0),
        "TRI": 1 - 4 * np.abs((phase + 0.25) % 1 - 0.5),
        "RAMP": ramp,
        "DC": np.zeros(phase.size),
    }
    return codes_of(np.clip(shapes[function], -1, 1)) if function in shapes else None


def rms_of(codes: Codes) -> float:
    """Return the rms of a waveform over its full scale, without its mean."""
    return float(np.std(codes / FULL_SCALE))
