"""Whether the fixture is in the state that it is said to be in, told by what a short look finds.

A relay box that says it obeyed has not proved that a contact has closed. So every change of state
is followed by a look at what each state shows and others do not:

- ``differential``: what each channel hears of a small sine, over the volts of the source;
- ``common``: the same of a large one, where nothing is heard of the small one;
- ``noise``: in two bands, of which any resistance in series lifts the lower one by its thermal
  noise (Johnson 1928, Nyquist 1928), and one without a capacitor beside it the upper one, too;
- ``step``: which way the device's baseline jumps when the state changes.

The tests of an amplifier change nothing of this by much: a gain that is 12 % off, or a CMRR of
60 dB, still fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emgsim.johnson import johnson_density_v2_hz
from emgsim.metrology.setup import Setup, State

Floats = NDArray[np.float64]
Interval = tuple[float, float]

GAIN_TOLERANCE = 0.25  # of what is heard of a sine: the device's gain is not known better
CROSSTALK = 0.1  # of what is heard where it is driven, at most (-20 dB)
CMRR_DB = (54.0, 130.0)  # of any device; beyond it a state of common mode looks like silence
SIGMAS = 5.0  # by which chance may move what was found
DECLARED_NOISE = 100.0  # times the declared power, at most, and at least one part of it
NOISE_TOLERANCE = 0.1  # of a density: beside chance, what warms up and what hums
BIAS_A = 100e-9  # input current of any device, at most; it makes a step where it flows through ohms
NO_STEP, STEP = 0.4, 0.6  # of the range: an excursion up to the one is none, from the other one
NOISE_BANDS_HZ = ((20.0, 300.0), (1000.0, 4000.0))  # as far as the device hears them


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What a look at the fixture found.

    Attributes
    ----------
    differential, common
        Volts at each channel over volts of the loaded source, shape ``(n_channels,)``; none where
        that sine was not played.
    sd
        Standard deviation of the two, shape ``(n_channels,)``.
    densities_v2_hz
        Noise in each of `noise_bands_hz`, median of the channels, shape ``(n_bands,)``.
    density_sds
        Relative, shape ``(n_bands,)``.
    step_uv
        Largest excursion when the state changed, with its sign.
    """

    differential: Floats
    differential_sd: Floats
    common: Floats = field(default_factory=lambda: np.zeros(0))
    common_sd: Floats = field(default_factory=lambda: np.zeros(0))
    densities_v2_hz: Floats
    density_sds: Floats
    step_uv: float


def noise_bands_hz(setup: Setup) -> tuple[Interval, ...]:
    """Return the bands in which noise is looked at, inside that of the device."""
    low_hz, high_hz = setup.device.band_hz
    bands = ((max(a, 2.0 * low_hz), min(b, 0.7 * high_hz)) for a, b in NOISE_BANDS_HZ)
    return tuple((a, b) for a, b in bands if b > 1.5 * a)


def misfits(
    looked: Looked,
    setup: Setup,
    name: str,
    *,
    before: str | None,
    reference: Looked | None = None,
) -> tuple[str, ...]:
    """Say what of a look does not fit the declared state; nothing if all does.

    Parameters
    ----------
    looked
        What was found.
    setup
        What is declared of the bench.
    name, before
        The state that the fixture should be in, and the one that it came from; None: nobody knows.
    reference
        What was found in a state that has no resistance in series: the device's own noise.
    """
    expected = expectations(setup, name, before=before, reference=reference, like=looked)
    found = values(looked)
    return tuple(
        f"{feature} must be {low:.3g} .. {high:.3g}, got {found[feature]:.3g}"
        for feature, (low, high) in expected.items()
        if feature in found and not low <= found[feature] <= high
    )


def telling(
    setup: Setup, declared: str, actual: str, *, before: str, like: Looked, reference: Looked
) -> tuple[str, ...]:
    """Return the features by which a state is seen not to be the declared one.

    Parameters
    ----------
    setup
        What is declared of the bench.
    declared, actual, before
        The state that it should be in, the one that it is in, and the one that both came from.
    like
        A look whose deviations the next one will have.
    reference
        As in `misfits`.
    """
    one = expectations(setup, declared, before=before, reference=reference, like=like)
    other = expectations(setup, actual, before=before, reference=reference, like=like)
    return tuple(
        feature
        for feature in one
        if one[feature][0] > other[feature][1] or one[feature][1] < other[feature][0]
    )


def values(looked: Looked) -> Mapping[str, float]:
    """Return what was found by the name of each feature."""
    found = {f"differential.{k + 1}": float(v) for k, v in enumerate(looked.differential)}
    if looked.common.size:
        found["common"] = float(looked.common.max())
    found |= {f"noise.{k + 1}": float(v) for k, v in enumerate(looked.densities_v2_hz)}
    return {**found, "step": looked.step_uv}


def expectations(
    setup: Setup, name: str, *, before: str | None, like: Looked, reference: Looked | None
) -> dict[str, Interval]:
    """Return between what bounds each feature of a state lies; parameters as in `telling`."""
    state = setup.states[name]
    step = {} if before is None else {"step": _step_uv(setup, state, setup.states[before])}
    return {
        **dict(_differential(setup, state, like)),
        "common": _common(state, like),
        **dict(_noise(setup, state, like, reference)),
        **step,
    }


def _differential(setup: Setup, state: State, like: Looked) -> Iterator[tuple[str, Interval]]:
    smallest = min((s.differential for s in setup.states.values() if s.differential), default=1.0)
    for k in range(setup.device.n_channels):
        margin = SIGMAS * float(like.differential_sd[k])
        if state.differential and (not state.driven or k in state.driven):
            low, high = ((1 + sign * GAIN_TOLERANCE) * state.differential for sign in (-1, 1))
            low = -math.inf if _is_full(setup, state) else low
            yield f"differential.{k + 1}", (low - margin, high + margin)
        else:
            most = CROSSTALK * state.differential or 0.3 * smallest
            yield f"differential.{k + 1}", (0.0, most + margin)


def _common(state: State, like: Looked) -> Interval:
    """Return what is heard of a large sine; where the small one is heard nobody looks."""
    if state.differential:
        return (0.0, math.inf)
    margin = SIGMAS * float(like.common_sd.max()) if like.common.size else 0.0
    if state.is_silent:
        return (0.0, margin)
    heard = [state.common * 10 ** (-db / 20) for db in CMRR_DB[::-1]]
    return (max(heard[0], 1.01 * margin), heard[1] + margin)


def _noise(
    setup: Setup, state: State, like: Looked, reference: Looked | None
) -> Iterator[tuple[str, Interval]]:
    source_v2_hz = setup.source.noise_v2_hz * (state.load_factor * state.differential) ** 2
    for k, band_hz in enumerate(noise_bands_hz(setup)):
        thermal = thermal_density_v2_hz(state, band_hz, setup.temperature_k)
        if reference is None:
            device = setup.device
            own = 1e-12 * device.noise_uv_rms**2 / (device.band_hz[1] - device.band_hz[0])
            low, high = own / DECLARED_NOISE, own * DECLARED_NOISE
            margin = SIGMAS * float(like.density_sds[k])
        else:
            low = high = float(reference.densities_v2_hz[k])
            margin = SIGMAS * math.hypot(*(float(x.density_sds[k]) for x in (like, reference)))
        margin += NOISE_TOLERANCE
        least = 0.0 if _is_full(setup, state) else (low + thermal) * max(0.0, 1 - margin)
        yield f"noise.{k + 1}", (least, (high + thermal + source_v2_hz) * (1 + margin))


def thermal_density_v2_hz(state: State, band_hz: Interval, temperature_k: float) -> float:
    """Return the mean thermal noise that a state puts in series with the device, V2/Hz."""
    f = np.linspace(*band_hz, 200)
    turn = 2 * np.pi * f * 1e-9 * state.series_nf * state.series_ohm
    ohm = state.electrode_ohm + state.series_ohm / (1 + turn**2)
    return johnson_density_v2_hz(float(np.mean(ohm)), temperature_k)


def _step_uv(setup: Setup, state: State, before: State) -> Interval:
    """Return between what bounds the baseline jumps; what is beyond the range is cut off."""
    change_uv = 1e3 * (state.offset_mv - before.offset_mv)
    bias_uv = 1e6 * BIAS_A * abs(_ohm(state) - _ohm(before))
    low, high, range_uv = change_uv - bias_uv, change_uv + bias_uv, setup.device.range_uv
    none_uv, step_uv = NO_STEP * range_uv, STEP * range_uv
    lowest = step_uv if low > step_uv else -none_uv if low > -none_uv else -math.inf
    highest = -step_uv if high < -step_uv else none_uv if high < none_uv else math.inf
    return (lowest, highest)


def _is_full(setup: Setup, state: State) -> bool:
    """Tell whether a state's direct voltage alone fills a device that is coupled down to DC."""
    device = setup.device
    is_coupled = not (device.highpass_order and device.band_hz[0])
    return is_coupled and 1e3 * abs(state.offset_mv) > device.range_uv


def _ohm(state: State) -> float:
    return state.electrode_ohm + state.series_ohm
