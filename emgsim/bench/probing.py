"""Proving that the divider is there, at a level that does no harm without it.

A sine so small that the device could bear it undivided is played, and its amplitude at the device
is fitted. Nothing larger is let through before that (`emgsim.bench.guarded_source`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.exposure import ABSENT, device_limits
from emgsim.bench.guarded_source import GuardedSource
from emgsim.bench.levels import SMALLEST_VPP_V
from emgsim.bench.rig import Rig
from emgsim.errors import SafetyError
from emgsim.instruments.base import Device, SourceSettings
from emgsim.instruments.profiles import DeviceProfile

Floats = NDArray[np.float64]

POINTS_OF_PERIOD = 100
PLAYED_S = 2.5
READ_S = 2.0  # from before the trigger on; what is fitted lies well inside the playback
FITTED_S = (0.8, 1.8)
LEVEL_OF_LIMIT = 0.5  # of what the device may see
TOLERANCE = 0.1  # of the ratio: the device's own gain is not known better
FLOOR = 1e-5  # of the level: what noise may look like


def probe(source: GuardedSource, device: Device, profile: DeviceProfile, input: int = 0) -> float:
    """Play a harmless sine, and let the source know whether the fixture is what is declared.

    Parameters
    ----------
    source
        Behind the fixture; it has the limits of its rig.
    device, profile
        Who listens, and its data sheet.
    input
        Of the device, from 0, to which the fixture leads.

    Returns
    -------
    float
        Volts at the device for one volt at the loaded source, as measured.

    Raises
    ------
    SafetyError
        If the fixture lets through something else than its file declares. The output is off.
    """
    rig, state = source.rig, source.rig.state(source.state)
    source.verified(is_there=False)
    frequency_hz = math.sqrt(max(profile.band_hz[0], 1.0) * profile.band_hz[1])
    peak_v = harmless_v(rig, source.state)
    rate_hz = min(
        max(POINTS_OF_PERIOD * frequency_hz, source.caps.min_rate_hz), source.caps.max_rate_hz
    )
    n = round(rate_hz / frequency_hz)
    shape = np.sin(2 * np.pi * np.arange(n) / n)
    settings = SourceSettings(
        rate_hz=rate_hz,
        vpp_open_v=max(SMALLEST_VPP_V, 2 * peak_v),
        cycles=math.ceil(PLAYED_S * rate_hz / n),
        filter=rig.source.filter,
    )
    actual, _ = source.load(peak_v * shape, settings)
    try:
        source.energise()
        device.start()
        source.trigger()
        block = device.read_block(round(READ_S * device.rate_hz), 10 * READ_S)
    finally:
        source.off()
        device.stop()
    microvolts = block.counts[:, input].astype(np.float64) * profile.scale_uv_per_count
    heard_v = 1e-6 * _amplitude(microvolts, device.rate_hz, actual.rate_hz / n)
    measured = heard_v / (peak_v * rig.load_factor_in(state))
    if abs(measured - state.differential) > TOLERANCE * state.differential + FLOOR:
        raise SafetyError(
            f"the fixture lets {measured:.3g} of the source's volts through to the device, and "
            f"its file says {state.differential:.3g}",
            where=f"{source.where}, fixture, state {source.state}",
            todo="look whether the divider is in place and the right one; nothing was played but "
            f"a sine of {1e3 * peak_v:.3g} mV",
        )
    source.verified()
    return measured


def harmless_v(rig: Rig, state: str) -> float:
    """Return the open-circuit peak that the device can bear without any divider."""
    limits = (device_limits(rig, rig.state(state)), device_limits(rig, ABSENT))
    bearable_v = min(min(1e-3 * limit_mv, common_v) for limit_mv, common_v in limits)
    return LEVEL_OF_LIMIT * min(bearable_v, rig.limits.source_v_pk)


def _amplitude(samples: Floats, rate_hz: float, frequency_hz: float) -> float:
    """Return the amplitude of a sine of known frequency, by least squares (IEEE 1057)."""
    first, last = (round(at_s * rate_hz) for at_s in FITTED_S)
    middle = samples[first:last]
    phase = 2 * np.pi * frequency_hz * np.arange(middle.size) / rate_hz
    basis = np.column_stack([np.cos(phase), np.sin(phase), np.ones(middle.size)])
    (cosine, sine, _), *_ = np.linalg.lstsq(basis, middle, rcond=None)
    return math.hypot(cosine, sine)
