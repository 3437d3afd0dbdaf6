"""What all waveform generators check and compute alike: settings, waveforms, codes, read-backs.

Pure functions: no dialect, no link. Volts are those of the open output.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import Filter, SourceCaps, SourceSettings, UploadReceipt
from emgsim.instruments.scpi import is_close

OUTPUT_OHM = 50.0  # of every generator here, data sheets
NAME_RULE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,11}")


def load_factor(load_ohm: float) -> float:
    """Return the voltage that a generator calls 1 V open-circuit at its load setting."""
    return 1.0 if math.isinf(load_ohm) else load_ohm / (load_ohm + OUTPUT_OHM)


def whole(value: float) -> int:
    """Return a number of cycles; an endless burst is none that was ever asked for."""
    return round(value) if math.isfinite(value) else -1


def changed(name: str, wanted: str, actual: str, address: str) -> InstrumentError:
    """Return the error for a setting that is no longer what was configured."""
    return InstrumentError(
        f"{name} was set to {wanted}, but reads back {actual} later",
        where=address,
        todo="look for settings in conflict, for another client, and for a hand at the front panel",
    )


def check_settings(settings: SourceSettings, caps: SourceCaps) -> None:
    """Refuse settings that are beyond a generator; raise `UsageError` by the first rule broken."""
    peak_v = settings.vpp_open_v / 2 + abs(settings.offset_open_v)
    rules = (
        ("rate_hz", settings.rate_hz, 0 < settings.rate_hz <= caps.max_rate_hz,
         f"in 0..{caps.max_rate_hz:g} Hz"),
        ("vpp_open_v", settings.vpp_open_v, 0 < settings.vpp_open_v <= caps.max_vpp_open_v,
         f"in 0..{caps.max_vpp_open_v:g} V"),
        ("vpp_open_v/2 + |offset_open_v|", peak_v, peak_v <= caps.max_vpp_open_v / 2,
         f"at most {caps.max_vpp_open_v / 2:g} V"),
        ("cycles", settings.cycles, settings.cycles >= 1, "at least 1"),
        ("load_ohm", settings.load_ohm, settings.load_ohm >= 1, "at least 1 ohm, or infinite"),
    )  # fmt: skip
    for name, value, is_kept, rule in rules:
        if not is_kept:
            raise UsageError(f"{name} must be {rule}, got {value:g}")


def check_filter(settings: SourceSettings, only: Filter, model: str) -> None:
    """Refuse a filter that a generator does not have.

    Parameters
    ----------
    settings
        What is asked.
    only
        The one way in which it plays.
    model
        Its name, for the message.

    Raises
    ------
    UsageError
        When another filter is asked.
    """
    if settings.filter != only:
        raise UsageError(
            f"the filter of a {model} must be {only}, got {settings.filter}",
            todo=f'set source.filter = "{only}" in the rig file',
        )


def check_name(name: str) -> None:
    """Refuse a name that is not 1 to 12 letters, digits and underscores, the first a letter."""
    if not NAME_RULE.fullmatch(name):
        raise UsageError(
            "a waveform's name must be 1 to 12 letters, digits and underscores beginning with a "
            f"letter, got {name!r}"
        )


def check_waveform(volts: NDArray[np.float64], settings: SourceSettings, caps: SourceCaps) -> None:
    """Refuse a waveform that cannot be played as it is.

    Raises
    ------
    UsageError
        When it is too long (the longest possible is told) or too short, not finite, or clipped.
    """
    if volts.ndim != 1 or not caps.min_points <= volts.size <= caps.max_points:
        raise UsageError(
            f"a waveform must be ({caps.min_points}..{caps.max_points},) points, got {volts.shape}",
            todo=f"play at most {caps.max_points / settings.rate_hz:.6g} s "
            f"at {settings.rate_hz:g} Hz, or lower the rate",
        )
    if not np.isfinite(volts).all():
        raise UsageError("a waveform must be finite, got NaN or infinity")
    peak_v, limit_v = float(np.abs(volts).max()), settings.vpp_open_v / 2
    if peak_v > limit_v * (1 + 1e-9):  # the rounding of a level plan is no clipping
        raise UsageError(
            f"the waveform would be clipped: its peak is {peak_v:.6g} V, "
            f"the limit vpp/2 is {limit_v:.6g} V",
            todo="raise vpp_open_v or scale the waveform down",
        )


def coded(
    volts: NDArray[np.float64], full_scale_v: float, lowest: float, highest: float
) -> tuple[NDArray[np.float64], float]:
    """Round volts to whole codes, and return them and the rms of the rounding in volts.

    Parameters
    ----------
    volts
        Shape (n_points,).
    full_scale_v
        The volts of the highest code; the lowest one is the same below zero.
    lowest, highest
        The codes of full scale; where they are no whole numbers they are never exceeded.
    """
    codes_per_v = (highest - lowest) / (2 * full_scale_v)
    exact = volts * codes_per_v + (highest + lowest) / 2
    rounded = np.clip(np.rint(exact), math.ceil(lowest), math.floor(highest))
    exact -= rounded
    return rounded, math.sqrt(float(np.dot(exact, exact)) / exact.size) / codes_per_v


def receipt(
    name: str, codes: NDArray[Any], n_bytes: int, quantisation_rms_v: float
) -> UploadReceipt:
    """Return the record of an upload; the digest is that of the codes as they were sent."""
    digest = hashlib.sha256(codes.tobytes()).hexdigest()
    return UploadReceipt(name, codes.size, n_bytes, digest, 0, quantisation_rms_v)


def check_same(
    wanted: SourceSettings,
    actual: SourceSettings,
    address: str,
    *,
    within: float = 1e-4,
    floor_v: float | None = None,
) -> None:
    """Refuse settings that were read back and are not those that are wanted.

    Parameters
    ----------
    wanted, actual
        What was set, and what was read.
    address
        Who was asked.
    within
        Largest difference accepted, relative.
    floor_v
        Difference of a voltage that is always accepted; None: of the offset alone, and the same
        part of the amplitude.

    Raises
    ------
    InstrumentError
        When one differs by more.
    """
    floors = {"offset_open_v": within * wanted.vpp_open_v}
    if floor_v is not None:
        floors = {"offset_open_v": floor_v, "vpp_open_v": floor_v}
    for name in ("load_ohm", "rate_hz", "vpp_open_v", "offset_open_v", "cycles"):
        want, got = getattr(wanted, name), getattr(actual, name)
        if not is_close(got, want, within=within, floor=floors.get(name, 0.0)):
            raise changed(name, f"{want:g}", f"{got:g}", address)
    if actual.filter != wanted.filter:
        raise changed("filter", wanted.filter, actual.filter, address)


def check_ready(settings: SourceSettings | None, waveform: str, address: str) -> SourceSettings:
    """Return the settings, or say which call is missing before ``arm()``."""
    if settings is None or not waveform:
        missing = "configure()" if settings is None else "upload()"
        raise UsageError(f"arm() needs {missing} before it", where=address)
    return settings
