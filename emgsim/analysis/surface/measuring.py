"""What is measured of surface EMG, in rows ready for findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.surface.amplitude import amplitudes
from emgsim.analysis.surface.filtering import band_passed
from emgsim.analysis.surface.intervals import Estimate
from emgsim.analysis.surface.spectrum import spectrum
from emgsim.analysis.surface.velocity import velocity
from emgsim.recording import Event

Floats = NDArray[np.float64]
Row = dict[str, Any]  # "id", "value", "unit", "low", "high", "onset_s", "offset_s"

SHORTEST_S = 0.5  # of a contraction that is measured
LEAST_PRESENT = 0.5  # share of a contraction's samples that must have arrived
FEWEST_ALONG = 3  # channels, for a velocity


def surface_measures(
    samples_uv: Floats,
    rate_hz: float,
    start_s: float,
    events: Sequence[Event],
    *,
    along_mm: Floats | None = None,
    mains_hz: float | None = None,
) -> tuple[Row, ...]:
    """Measure each contraction: amplitude, spectrum and, of an array, conduction velocity.

    Parameters
    ----------
    samples_uv
        Unfiltered, shape ``(n_samples,)`` or ``(n_samples, n_channels)``; NaN where samples are
        missing. Amplitude and spectrum are those of the channel with the median rms.
    rate_hz, start_s
        Sampling rate, and time of the first sample.
    events
        Rest and contraction. The power of the longest rest, of half a second or more, is taken off.
    along_mm
        Where differential channels are along the fibres, ascending, shape ``(n_channels,)``; None
        if they are not in a row.
    mains_hz
        50 or 60, to leave the mains out of the spectrum; None if there are none.

    Returns
    -------
    tuple of dict
        ``id`` (``surface.rms_uv``, ``surface.arv_uv``, ``surface.mnf_hz``, ``surface.mdf_hz``,
        ``surface.velocity_m_s``), ``value``, ``unit``, ``low`` and ``high`` of a 95 % interval,
        None where none is known, ``onset_s`` and ``offset_s``. What is not known has no row.

    Raises
    ------
    ValueError
        If shapes do not fit, the rate is too low, or a channel holds no number.
    """
    if samples_uv.ndim not in (1, 2):
        raise ValueError(
            f"samples_uv must be (n_samples,) or (n_samples, n_channels), got {samples_uv.shape}"
        )
    columns = samples_uv.reshape(len(samples_uv), -1)
    band_uv = np.column_stack([band_passed(column, rate_hz) for column in columns.T])
    rest = _longest(events, "rest")
    rest_uv = None if rest is None else _during(band_uv, rate_hz, start_s, rest)
    found = []
    for event in events:
        if event.kind == "contraction" and event.offset_s - event.onset_s >= SHORTEST_S:
            work_uv = _during(band_uv, rate_hz, start_s, event)
            span = {"onset_s": event.onset_s, "offset_s": event.offset_s}
            rows = _measured(work_uv, rest_uv, rate_hz, along_mm, mains_hz)
            found += [row | span for row in rows]
    return tuple(found)


def _longest(events: Sequence[Event], kind: str) -> Event | None:
    long = [
        event
        for event in events
        if event.kind == kind and event.offset_s - event.onset_s >= SHORTEST_S
    ]
    return max(long, key=lambda event: event.offset_s - event.onset_s, default=None)


def _during(band_uv: Floats, rate_hz: float, start_s: float, event: Event) -> Floats:
    first, stop = (
        max(0, round((at_s - start_s) * rate_hz)) for at_s in (event.onset_s, event.offset_s)
    )
    return band_uv[first:stop]


def _measured(
    work_uv: Floats,
    rest_uv: Floats | None,
    rate_hz: float,
    along_mm: Floats | None,
    mains_hz: float | None,
) -> Iterator[Row]:
    """Yield the rows of one contraction."""
    channel = _median_channel(work_uv)
    one_uv = work_uv[:, channel]
    rest_of_one = None if rest_uv is None else _present(rest_uv[:, channel])
    present_uv = _present(one_uv)
    if present_uv.size > LEAST_PRESENT * one_uv.size:
        window_s = present_uv.size / rate_hz
        (whole,) = amplitudes(present_uv, rate_hz, window_s=window_s, rest_uv=rest_of_one)
        yield from _row("surface.rms_uv", whole.rms_uv, "uV")
        yield from _row("surface.arv_uv", whole.arv_uv, "uV")
    middles = spectrum(one_uv, rate_hz, mains_hz=mains_hz)
    yield from _row("surface.mnf_hz", middles.mean_hz, "Hz")
    yield from _row("surface.mdf_hz", middles.median_hz, "Hz")
    if along_mm is not None and along_mm.size >= FEWEST_ALONG:
        found = velocity(work_uv, rate_hz, along_mm)
        yield from _row("surface.velocity_m_s", found.velocity_m_s, "m/s")


def _present(samples_uv: Floats) -> Floats:
    """Return the samples that arrived, one after the other: an amplitude asks for no more."""
    return samples_uv[np.isfinite(samples_uv)]


def _median_channel(work_uv: Floats) -> int:
    """Return the channel whose rms is the median, the lower one of two."""
    power = np.nanmean(work_uv**2, axis=0)
    return int(np.argsort(power)[(power.size - 1) // 2])


def _row(name: str, found: Estimate, unit: str) -> Iterator[Row]:
    """Yield a row, if there is a value."""
    if not np.isfinite(found.value):
        return
    low, high = (end if np.isfinite(end) else None for end in (found.low, found.high))
    yield {"id": name, "value": found.value, "unit": unit, "low": low, "high": high}
