"""From a scenario to a clean recording with its exact truth.

The recording is what an ideal, noise-free, wide-band amplifier would see at the electrode. The
electrode's thermal noise belongs to the wire when the recording is played.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.errors import InputError
from emgsim.physiology.fibres import place_unit
from emgsim.physiology.muap import muap_grid, unit_muap_uv
from emgsim.physiology.pool import (
    discharge_times,
    excitation_for,
    maximal_excitation,
    thresholds,
)
from emgsim.recording import Channel, Event, MotorUnit, Recording, Truth
from emgsim.scenario import Phase, Scenario
from emgsim.seeds import stream
from emgsim.stages import add_train

Floats = NDArray[np.float64]

EFFORT_STEP_S = 1e-3
MUAP_RATE_AT_LEAST_HZ = 40_000.0  # a fibre 50 um away rises in 0.3 ms
QUIET_UV = 1e-3  # a MUAP's ends below it are cut off


def simulate(scenario: Scenario, *, seed: int | None = None) -> tuple[Recording, Truth]:
    """Simulate a scenario.

    Parameters
    ----------
    scenario
        What the patient does and how it is recorded.
    seed
        Takes the place of the scenario's own seed.

    Returns
    -------
    recording : Recording
        Clean, in microvolts at the electrode, shape ``(n_samples, 1)``.
    truth : Truth
        Every discharge of every active unit, its MUAP, and the effort.

    Raises
    ------
    InputError
        If the effort recruits no unit in a hold.
    """
    seed = scenario.seed if seed is None else seed
    rate_hz = scenario.acquisition.rate_hz
    times_s, effort = effort_profile(scenario.phases)
    pool = scenario.muscle.pool
    excitation = excitation_for(pool, effort)
    trains = discharge_times(pool, times_s, excitation, stream(seed, "discharges"))
    if effort.max() > 0 and not any(train.size for train in trains):
        raise InputError(
            f"no unit of {scenario.muscle.name} discharges at {effort.max():.3g} of MVC",
            where=f"scenario {scenario.id}",
            todo="raise phases.level_mvc or its duration_s",
        )
    units = _units(scenario, trains, seed)
    samples_uv = np.zeros(round(scenario.duration_s * rate_hz))
    for unit in units:
        add_train(samples_uv, rate_hz, 0.0, unit)
    truth = Truth(
        units=units,
        muap_rate_hz=rate_hz,
        events=_events(scenario.phases),
        effort_times_s=times_s,
        effort=effort,
        needle=scenario.electrode.tip.model_dump(),
    )
    channel = Channel(name="needle", kind=scenario.electrode.kind)
    return (
        Recording(samples_uv=samples_uv[:, None], rate_hz=rate_hz, channels=(channel,)),
        truth,
    )


def effort_profile(phases: tuple[Phase, ...]) -> tuple[Floats, Floats]:
    """Return the effort (fraction of MVC) on a grid of 1 ms: times and values, shape ``(n,)``."""
    total_s = sum(phase.duration_s for phase in phases)
    times_s = np.arange(max(2, round(total_s / EFFORT_STEP_S))) * EFFORT_STEP_S
    effort = np.zeros(times_s.size)
    begin_s = 0.0
    for phase in phases:
        inside = (times_s >= begin_s - 1e-9) & (times_s < begin_s + phase.duration_s - 1e-9)
        since_s = np.maximum(0.0, times_s[inside] - begin_s)
        rise = np.minimum(1.0, since_s / phase.ramp_s) if phase.ramp_s > 0 else 1.0
        effort[inside] = phase.level_mvc * rise
        begin_s += phase.duration_s
    return np.asarray(times_s, dtype=np.float64), effort


def _units(scenario: Scenario, trains: list[Floats], seed: int) -> tuple[MotorUnit, ...]:
    muscle, electrode = scenario.muscle, scenario.electrode
    rate_hz = scenario.acquisition.rate_hz
    oversampling = max(1, int(np.ceil(MUAP_RATE_AT_LEAST_HZ / rate_hz)))
    grid = muap_grid(rate_hz * oversampling, muscle.fibres.length_mm)
    levels = thresholds(muscle.pool) / maximal_excitation(muscle.pool)
    units = []
    for order, train in enumerate(trains):
        if train.size == 0:
            continue
        fibres = place_unit(muscle, order, stream(seed, "muscle", order))
        wave_uv = unit_muap_uv(fibres, electrode, electrode.tip, muscle.medium, grid)
        muap_uv = _band_limited(wave_uv, oversampling)
        first, muap_uv = _trimmed(muap_uv)
        start_s = first / rate_hz
        units.append(
            MotorUnit(
                id=order + 1,
                muscle=muscle.name,
                threshold=float(levels[order]),
                n_fibres=fibres.n_fibres,
                discharge_times_s=train,
                muap_uv=muap_uv[:, None],
                muap_start_s=start_s,
                arrival_s=start_s + float(np.argmax(np.abs(muap_uv))) / rate_hz,
            )
        )
    return tuple(units)


def _band_limited(wave_uv: Floats, oversampling: int) -> Floats:
    """Bring a MUAP down to the recording's rate; nothing folds back from above its half."""
    if oversampling == 1:
        return wave_uv
    n = wave_uv.size - wave_uv.size % oversampling
    spectrum = fft.rfft(wave_uv[:n])
    kept = n // oversampling // 2 + 1
    relative = np.arange(kept) / (n / oversampling)  # of the lower rate
    edge = np.clip((0.5 - relative) / 0.05, 0.0, 1.0)  # half a cosine from 0.45 to 0.5
    low = spectrum[:kept] * np.sin(np.pi / 2 * edge) ** 2
    return np.asarray(fft.irfft(low, n // oversampling) / oversampling)


def _trimmed(muap_uv: Floats) -> tuple[int, Floats]:
    loud = np.flatnonzero(np.abs(muap_uv) > QUIET_UV)
    if loud.size == 0:
        return 0, muap_uv[:1] * 0.0
    return int(loud[0]), muap_uv[loud[0] : loud[-1] + 1]


def _events(phases: tuple[Phase, ...]) -> tuple[Event, ...]:
    events, begin_s = [], 0.0
    for phase in phases:
        kind = "rest" if phase.kind == "rest" else "contraction"
        end_s = begin_s + phase.duration_s
        events.append(
            Event(kind=kind, onset_s=begin_s, offset_s=end_s, grade=phase.level_mvc or None)
        )
        begin_s = end_s
    return tuple(events)


def lasting(scenario: Scenario, duration_s: float) -> Scenario:
    """Return the scenario with its last phases cut, or its last one stretched, to a length.

    Raises
    ------
    InputError
        If the length is not positive, or cuts a contraction within its ramp.
    """
    if not duration_s > 0:
        raise InputError(f"duration_s must be > 0, got {duration_s:g}")
    phases: list[Phase] = []
    left_s = duration_s
    for index, phase in enumerate(scenario.phases):
        is_last = index == len(scenario.phases) - 1
        length_s = left_s if is_last else min(phase.duration_s, left_s)
        if phase.kind == "hold" and length_s <= phase.ramp_s:
            raise InputError(
                f"duration_s = {duration_s:g} ends phase {index + 1} within its ramp of "
                f"{phase.ramp_s:g} s",
                where=f"scenario {scenario.id}",
                todo="take a longer one",
            )
        phases.append(phase.model_copy(update={"duration_s": length_s}))
        left_s -= length_s
        if left_s <= 1e-9:
            break
    return scenario.model_copy(update={"phases": tuple(phases)})
