"""What noise a bench should add to a stimulus, and which tests need one far above it."""

from __future__ import annotations

import math

import numpy as np

from emgsim.bench.budget import (
    ENOUGH_SIGNAL,
    Row,
    is_noise_limited,
    over_budget,
    total_uv,
    with_total,
)
from emgsim.johnson import johnson_density_v2_hz
from emgsim.metrology.setup import Setup, State
from emgsim.metrology.stimulus import Stimulus

AMPLITUDE_AND_SHAPE = (
    "gain", "freq", "phase", "linearity", "impulse", "step", "muap", "dc.offset_tolerance",
)  # fmt: skip
"""Tests, by the beginning of their id, whose signal must stand above the budget."""


def state_budget(setup: Setup, state: State, peak_uv: float = 0.0) -> list[Row]:
    """Return the contributions to what a device records in a state, microvolts rms, the total last.

    Parameters
    ----------
    setup
        What is declared of the bench.
    state
        Of the fixture.
    peak_uv
        Of what is played: the generator's codes are so fine as they must be for it.
    """
    device, source = setup.device, setup.source
    band_hz = device.band_hz[1] - device.band_hz[0]
    f = np.linspace(*device.band_hz, 2000)
    turn = 2 * np.pi * f * 1e-9 * state.series_nf * state.series_ohm
    resistance_ohm = state.electrode_ohm + float(np.mean(state.series_ohm / (1 + turn**2)))
    to_uv = 1e6 * state.differential * state.load_factor
    lsb_uv = 2 * peak_uv / 2**source.code_bits
    thermal = johnson_density_v2_hz(resistance_ohm, setup.temperature_k)
    rows = {
        "quantisation of the source": lsb_uv / math.sqrt(12),
        "noise of the source": to_uv * math.sqrt(source.noise_v2_hz * band_hz),
        "thermal noise of electrode and divider": 1e6 * math.sqrt(thermal * band_hz),
        "amplifier noise": device.noise_uv_rms,
        "quantisation of the device": device.scale_uv_per_count / math.sqrt(12),
    }
    return with_total([{"name": name, "uv_rms": uv} for name, uv in rows.items()])


def signal_uv(stimulus: Stimulus) -> float:
    """Return the rms of the loudest segment of a stimulus, of all of it where it has none."""
    rate_hz = stimulus.rate_hz
    pieces = [
        stimulus.uv[round(s.begins_s * rate_hz) : round(s.ends_s * rate_hz)]
        for s in stimulus.segments
    ] or [stimulus.uv]
    return max(float(np.sqrt(np.mean(uv**2))) if uv.size else 0.0 for uv in pieces)


def noise_limited(test: str, stimulus: Stimulus, setup: Setup) -> str:
    """Say why a test of amplitude or shape is refused with a stimulus; "" if it is not.

    Other tests are never refused for it: a detector's, for one, is meant to work there.
    """
    if not any(f"{test}.".startswith(f"{name}.") for name in AMPLITUDE_AND_SHAPE):
        return ""
    state, rms_uv = setup.states[stimulus.state], signal_uv(stimulus)
    rows = state_budget(setup, state, stimulus.peak_uv)
    if not state.differential or not is_noise_limited(over_budget(rms_uv, rows)):
        return ""
    return (
        f"noise-limited: stimulus {stimulus.name} must be {ENOUGH_SIGNAL:g} times the noise budget "
        f"of {total_uv(rows):.3g} uV rms in state {state.name}, got {rms_uv:.3g} uV rms"
    )
