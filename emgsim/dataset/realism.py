"""What a recording is like, in the few numbers in which real and simulated EMG are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.interference import turns
from emgsim.dataset.made import Made
from emgsim.recording import SURFACE_KINDS, Recording, Truth

Floats = NDArray[np.float64]

UNITS = {
    "rms_uv": "uV",
    "peak_to_peak_uv": "uV",
    "baseline_rms_uv": "uV",
    "median_frequency_hz": "Hz",
    "mean_frequency_hz": "Hz",
    "power_20_100_hz": "1",
    "power_below_1_khz": "1",
    "turns_per_s": "1/s",
    "discharge_rate_hz": "Hz",
    "interval_cv": "1",
    "n_units": "1",
}
OF_NEEDLES = ("turns_per_s", "power_below_1_khz")  # nothing on the skin is as fast
EPOCH_S = 0.1  # the quietest tenth of these is the baseline
QUIETEST = 0.1
LONGEST_INTERVAL_S = 0.4  # beyond it a unit has paused
FEWEST_INTERVALS = 5


def descriptors(made: Made) -> dict[str, float | None]:
    """Return the descriptors of an item: of ``clean``, and of the true discharges.

    Frequencies are of the power spectrum, turns those of 100 uV and more. The baseline is the rms
    of the quietest tenth of the epochs of 0.1 s; rate and coefficient of variation are medians over
    the units with enough intervals, pauses left out. What cannot be told is None.
    """
    values = signal_descriptors(made.recordings["clean"]) | discharge_descriptors(made.truth)
    return {key: _plain(value) for key, value in values.items()}


def signal_descriptors(recording: Recording) -> dict[str, float]:
    """Return the descriptors that any recording has, a real one too: medians over its channels.

    What is measured with needles alone is left out of a recording on the skin.
    """
    channels = [_of_channel(uv, recording.rate_hz) for uv in recording.samples_uv.T]
    on_the_skin = recording.channels[0].kind in SURFACE_KINDS
    keys = [key for key in UNITS if not (on_the_skin and key in OF_NEEDLES)]
    known = {key: [one[key] for one in channels if key in one] for key in keys}
    return {key: float(np.median(values)) for key, values in known.items() if values}


def _of_channel(uv: Floats, rate_hz: float) -> dict[str, float]:
    uv = uv[np.isfinite(uv)]
    if uv.size < 2:
        return {}
    return {
        "rms_uv": float(np.sqrt(np.mean(uv**2))),
        "peak_to_peak_uv": float(np.ptp(uv)),
        "baseline_rms_uv": _baseline_uv(uv, rate_hz),
        **_frequencies_hz(uv, rate_hz),
        "turns_per_s": turns(uv)[0].size / (uv.size / rate_hz),
    }


def discharge_descriptors(truth: Truth) -> dict[str, float]:
    """Return the descriptors of the discharges of the motor units."""
    rates, variations = [], []
    for unit in truth.units:
        intervals_s = np.diff(unit.discharge_times_s)
        intervals_s = intervals_s[intervals_s < LONGEST_INTERVAL_S]
        if intervals_s.size >= FEWEST_INTERVALS:
            rates.append(1 / float(np.mean(intervals_s)))
            variations.append(float(np.std(intervals_s) / np.mean(intervals_s)))
    return {
        "discharge_rate_hz": float(np.median(rates)) if rates else math.nan,
        "interval_cv": float(np.median(variations)) if variations else math.nan,
        "n_units": float(len(truth.units)),
    }


def _baseline_uv(uv: Floats, rate_hz: float) -> float:
    n = max(2, round(EPOCH_S * rate_hz))
    if uv.size < n:
        return math.nan
    epochs = uv[: uv.size // n * n].reshape(-1, n)
    return float(np.quantile(epochs.std(axis=1), QUIETEST))


def _frequencies_hz(uv: Floats, rate_hz: float) -> Mapping[str, float]:
    power = np.abs(np.fft.rfft(uv - uv.mean())) ** 2
    frequencies_hz = np.fft.rfftfreq(uv.size, 1 / rate_hz)
    total = float(power.sum())
    if not total:
        return {}
    half = int(np.searchsorted(np.cumsum(power), total / 2))
    slow = (frequencies_hz >= 20) & (frequencies_hz < 100)
    return {
        "median_frequency_hz": float(frequencies_hz[half]),
        "mean_frequency_hz": float(power @ frequencies_hz) / total,
        "power_20_100_hz": float(power[slow].sum()) / total,
        "power_below_1_khz": float(power[frequencies_hz < 1000].sum()) / total,
    }


def _plain(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
