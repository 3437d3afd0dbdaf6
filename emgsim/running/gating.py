"""What a measurement of a path rests on: a stimulus that was right, and a signal above the noise.

An ordinary run needs no self-test of its own: its loopback has seen all that was played, and says
the same of source and oscilloscope as `emgsim.running.self_test` would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emgsim.bench.budget import ENOUGH_SIGNAL, is_noise_limited
from emgsim.verdict import Limit, Measurement, judge

LOOPBACK = (
    Limit(measurement="amplitude.error_pct.loopback", low=-2.0, high=2.0, unit="%"),
    Limit(measurement="amplitude.polarity.loopback", low=1.0, high=1.0, unit="1"),
    # A generator and an oscilloscope of 50 ppm each, the worst that are sold.
    Limit(measurement="align.clock_ppm.loopback", low=-100.0, high=100.0, unit="ppm"),
    Limit(measurement="noise.over_budget_pct.loopback", high=100.0, unit="%"),
)
"""What must hold of the loopback; else no verdict on the device means anything."""

SIGN = "amplitude.polarity."  # is plain however small the signal


def gated(measurement: Measurement, measured: Mapping[str, Measurement]) -> Measurement:
    """Return a measurement, inconclusive if what it rests on is not as it should be.

    Parameters
    ----------
    measurement
        Judged, or not.
    measured
        What has been measured before, by id: the loopback comes before the device.
    """
    path = measurement.id.rpartition(".")[2]
    reasons = [*_of_stimulus(measured)] if path == "device" else []
    limited = measured.get(f"signal.over_budget.{path}")
    is_size = measurement.id.startswith("amplitude.") and not measurement.id.startswith(SIGN)
    if is_size and limited is not None:
        reasons += _of_signal(limited.value)
    if not reasons:
        return measurement
    return replace(measurement, verdict="inconclusive", note="; ".join(reasons))


def _of_stimulus(measured: Mapping[str, Measurement]) -> list[str]:
    """Return what was wrong with the stimulus."""
    return [
        f"the stimulus itself was wrong: {limit.measurement} must be {limit}, got {found.value:.3g}"
        for limit in LOOPBACK
        if (found := measured.get(limit.measurement)) is not None
        and judge(found, limit).verdict not in ("pass", "conditional_pass")
    ]


def _of_signal(times_budget: float) -> list[str]:
    """Return why the signal is too small, if it is."""
    if not is_noise_limited(times_budget):
        return []
    return [
        f"noise-limited: the signal must be {ENOUGH_SIGNAL:g} times the noise budget for amplitude "
        f"and shape, got {times_budget:.3g} times"
    ]
