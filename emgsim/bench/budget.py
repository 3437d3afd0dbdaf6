"""What noise the chain should add, from what its parts declare, referred to the device's input."""

from __future__ import annotations

import math

from emgsim.bench.levels import LevelPlan
from emgsim.bench.rig import Rig
from emgsim.johnson import johnson_density_v2_hz

DECLARED_BAND_HZ = 10_000.0
ENOUGH_SIGNAL = 10.0  # times the budget: below it no amplitude or shape is worth its name

Row = dict[str, float | str]


def device_budget(
    plan: LevelPlan, rig: Rig, *, band_hz: float, noise_uv_rms: float, lsb_uv: float
) -> list[Row]:
    """Return the contributions to the device path, microvolts rms, the total last.

    Parameters
    ----------
    plan, rig
        Level plan and declared parts.
    band_hz, noise_uv_rms, lsb_uv
        Upper corner, input-referred noise and code size that the device's profile declares.
    """
    resistance = rig.fixture.electrode_ohm + rig.fixture.ratio * rig.fixture.input_ohm
    density_v2_hz = johnson_density_v2_hz(resistance, rig.fixture.temperature_k)
    thermal_uv = 1e6 * math.sqrt(density_v2_hz * band_hz)
    return with_total(
        [
            *_source_rows(plan, rig, band_hz),
            {"name": "thermal noise of electrode and divider", "uv_rms": thermal_uv},
            {"name": "amplifier noise", "uv_rms": noise_uv_rms},
            {"name": "quantisation of the device", "uv_rms": lsb_uv / math.sqrt(12)},
        ]
    )


def loopback_budget(plan: LevelPlan, rig: Rig, *, rate_hz: float, range_v: float) -> list[Row]:
    """Return the contributions to the loopback path, referred to the device's input."""
    to_uv = 1e6 * rig.fixture.ratio
    lsb_v = range_v / 2**rig.capture.bits
    return with_total(
        [
            *_source_rows(plan, rig, rate_hz / 2),
            {"name": "scope noise", "uv_rms": to_uv * rig.capture.noise_of_range * range_v},
            {"name": "quantisation of the scope", "uv_rms": to_uv * lsb_v / math.sqrt(12)},
        ]
    )


def total_uv(rows: list[Row]) -> float:
    """Return the total of a budget."""
    return float(rows[-1]["uv_rms"])


def over_budget(signal_uv_rms: float, rows: list[Row]) -> float:
    """Return how many times a budget's total a signal is, both rms."""
    return signal_uv_rms / total_uv(rows)


def is_noise_limited(times_budget: float) -> bool:
    """Tell whether a signal so many times the budget is too small for amplitude and shape.

    What is detected in such a signal still counts, and is labelled so.
    """
    return not times_budget >= ENOUGH_SIGNAL


def _source_rows(plan: LevelPlan, rig: Rig, band_hz: float) -> list[Row]:
    share = math.sqrt(min(1.0, 2 * band_hz / plan.source_rate_hz))
    noise_v = rig.source.noise_mv_rms * 1e-3 * math.sqrt(band_hz / DECLARED_BAND_HZ)
    return [
        {
            "name": "quantisation of the source",
            "uv_rms": plan.lsb_at_device_uv / math.sqrt(12) * share,
        },
        {
            "name": "noise of the source",
            "uv_rms": 1e6 * noise_v * rig.device_volts_per_open_volt,
        },
    ]


def with_total(rows: list[Row]) -> list[Row]:
    """Return the rows of a budget, whose contributions are independent, and their total."""
    total = math.sqrt(sum(float(row["uv_rms"]) ** 2 for row in rows))
    return [*rows, {"name": "total", "uv_rms": total}]
