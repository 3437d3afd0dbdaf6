"""The limits of an amplifier's tests: those of its own data sheet, else our defaults.

A limit holds for a test and for all readings of it: ``crosstalk`` for ``crosstalk.ch2`` too, unless
that has one of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from emgsim.configuration import read_table, validated
from emgsim.instruments.profiles import DeviceProfile, SheetLimit
from emgsim.shipped import PACKAGE
from emgsim.stages import BandResponse
from emgsim.verdict import Limit

T = TypeVar("T")

CATALOGUE = PACKAGE / "catalogue" / "metrology.toml"
DATA_SHEET = "data sheet"

SPREAD_BAND_HZ = (100.0, 3000.0)  # in which a MUAP has its power
SPREAD_POINTS = 400


def declared_spread_us(device: DeviceProfile) -> float:
    """Return how far apart the group delays of a device's declared filters lie, in microseconds.

    Between 100 Hz and 3 kHz, as far as that lies within twice the low and half the high corner.
    """
    low_hz, high_hz = device.band_hz
    first_hz, last_hz = max(SPREAD_BAND_HZ[0], 2 * low_hz), min(SPREAD_BAND_HZ[1], high_hz / 2)
    if first_hz >= last_hz:
        return 0.0
    response = BandResponse(
        highpass_hz=low_hz,
        highpass_order=device.highpass_order if low_hz else 0,
        lowpass_hz=high_hz,
        lowpass_order=device.lowpass_order,
    )
    frequencies_hz = np.geomspace(first_hz, last_hz, SPREAD_POINTS)
    phases = np.unwrap(np.angle(response.at(frequencies_hz)))
    return float(1e6 * np.ptp(np.gradient(phases, frequencies_hz)) / (2 * np.pi))


# What a default may be a multiple of: values of the device's profile.
DECLARED: Mapping[str, Callable[[DeviceProfile], float]] = {
    "low corner Hz": lambda device: device.band_hz[0],
    "high corner Hz": lambda device: device.band_hz[1],
    "range mV": lambda device: device.range_uv / 1e3,
    "noise uV": lambda device: device.noise_uv_rms,
    "group delay spread us": lambda device: max(50.0, 1.25 * declared_spread_us(device)),
    "tau ms": lambda device: 1e3 / (2 * math.pi * device.band_hz[0]) if device.band_hz[0] else 0.0,
}


class DefaultLimit(BaseModel):
    """One row of the catalogue: a limit, and where it comes from.

    ``times`` names a declared value of the device that the limit is a multiple of; a device whose
    value is 0 has no such limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: float | None = None
    high: float | None = None
    unit: str
    times: str = ""
    source: str


class _Catalogue(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: dict[str, DefaultLimit]


def limit_of(id: str, device: DeviceProfile) -> Limit | None:
    """Return the limit of a reading: the device's own, else the catalogue's, else none.

    Parameters
    ----------
    id
        Of the reading, e.g. ``gain.accuracy.ch2``.
    device
        Its profile, whose table ``[sheet]`` goes before the defaults.
    """
    own = _nearest(id, device.sheet)
    if own is not None:
        return _of_sheet(id, own)
    default = _nearest(id, _catalogue().limits)
    return None if default is None else _of_default(id, default, device)


def default_limits() -> Mapping[str, DefaultLimit]:
    """Return the catalogue: our default of each test that has one, by its id."""
    return _catalogue().limits


def _of_sheet(id: str, own: SheetLimit) -> Limit:
    clause = f", {own.clause}" if own.clause else ""
    return Limit(
        measurement=id,
        low=own.low,
        high=own.high,
        unit=own.unit,
        source=DATA_SHEET + clause,
        requirements=own.requirement,
    )


def _of_default(id: str, default: DefaultLimit, device: DeviceProfile) -> Limit | None:
    by = DECLARED[default.times](device) if default.times else 1.0
    if not by or (default.low is None and default.high is None):
        return None
    return Limit(
        measurement=id,
        low=None if default.low is None else by * default.low,
        high=None if default.high is None else by * default.high,
        unit=default.unit,
        source=default.source,
    )


def _nearest(id: str, table: Mapping[str, T]) -> T | None:
    """Return the row of an id, or of the longest beginning of it that has one."""
    words = id.split(".")
    names = (".".join(words[:n]) for n in range(len(words), 0, -1))
    return next((table[name] for name in names if name in table), None)


@cache
def _catalogue() -> _Catalogue:
    return validated(_Catalogue, read_table(CATALOGUE), str(CATALOGUE))
