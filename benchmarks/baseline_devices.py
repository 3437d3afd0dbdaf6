"""Deliberate changes of an amplifier, as `benchmarks/baselines.py` has them told.

The amplifier is one for surface EMG, on a calibrated bench in process. What scatters from run to
run is its noise and that of the bench, and when its samples are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from baseline_changes import Change, Subject
from virtual_benches import HEADROOM, declared, profile_of, random_bench

from emgsim.in_process import InProcess
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.setup import Setup
from emgsim.metrology.table import PROCEDURES
from emgsim.plant.physics import AmplifierPhysics, RigPhysics
from emgsim.plant.signal_faults import Mains, SignalFaults
from emgsim.seeds import stream
from emgsim.verdict import Measurement

RATE_HZ, BAND_HZ, RANGE_UV = 5_000.0, (20.0, 1_000.0), 10_000.0
OFFSET_UV, CLOCK_PPM, SKEW_US, CMRR_DB, NOISE_UV = 20.0, 4.0, 0.6, 100.0, 1.5
AMPLIFIER: dict[str, Any] = {
    "rate_hz": RATE_HZ,
    "clock_ppm": CLOCK_PPM,
    "clock_jitter_s": 0.1e-6,
    "channels": 2,
    "skews_us": (0.0, SKEW_US),
    "gain": 1.004,
    "highpass_hz": BAND_HZ[0],
    "highpass_order": 1,
    "lowpass_hz": BAND_HZ[1],
    "lowpass_order": 2,
    "noise_uv_rms": 0.5,
    "channel_noise_uv_rms": NOISE_UV,
    "cmrr_db": CMRR_DB,
    "input_mohm": 800.0,
    "input_pf": 15.0,
    "common_pf": 15.0,
    "crosstalk_db": -85.0,
    "offset_uv": OFFSET_UV,
    "second_order": 1e-4,
    "third_order": 1e-4,
    "clip_uv": 1.1 * RANGE_UV,
    "range_uv": HEADROOM * RANGE_UV,
    "recovery_s": 0.5e-3,
}
# About a tenth of what the limits of a research amplifier allow, or 1 to 2 % of the value; at least
# ten times the scatter from run to run.
PATH_MARGINS = {
    "gain.accuracy": 0.15,  # %
    "step.rise": 8.0,  # us
    "step.tau": 0.08,  # ms
    "noise.rms": 0.1,  # uV
    "noise.mains.50hz": 0.2,  # uV
    "cmrr.balanced.1khz": 1.0,  # dB
    "dc.offset": 1.0,  # uV
}
SINES_MARGINS = {
    "distortion.thd.1dbfs": 0.01,  # %
    "distortion.thd.6dbfs": 0.01,  # %
    "fs.accuracy": 1.0,  # ppm
    "fs.jitter": 0.1,  # us
    "skew": 0.1,  # us
}
PATH = (
    "gain.accuracy",
    "step",
    "step.tau",
    "noise.rms",
    "noise.mains",
    "dc.offset",
    "cmrr.balanced",
)
SINES = ("distortion.thd", "fs.accuracy", "fs.jitter", "skew")


@dataclass(frozen=True, kw_only=True)
class Amplifier:
    """An amplifier and what goes wrong on the signal's way to it."""

    physics: AmplifierPhysics
    faults: SignalFaults = field(default_factory=SignalFaults)


def amplifier(**changes: object) -> Amplifier:
    """Return the amplifier with some of its true values changed."""
    return Amplifier(physics=AmplifierPhysics.model_validate(AMPLIFIER | changes))


@cache
def _bench() -> tuple[Setup, RigPhysics]:
    """Return what is declared, and the one bench on which all runs are made."""
    profile = profile_of(
        rate_hz=RATE_HZ, band_hz=BAND_HZ, orders=(1, 2), range_uv=RANGE_UV, channels=2
    )
    setup = declared(profile)
    rng = stream(1, "bench of a baseline")
    return setup, random_bench(rng, setup, amplifier().physics)


def measured_path(changed: Amplifier, seed: int) -> list[Measurement]:
    """Return what the metrology reads of an amplifier's gain, edges, noise and inputs."""
    return _measured(changed, seed, PATH)


def measured_sines(changed: Amplifier, seed: int) -> list[Measurement]:
    """Return what the metrology reads of an amplifier's clock and straightness, of long sines."""
    return _measured(changed, seed, SINES)


def _measured(changed: Amplifier, seed: int, needed: tuple[str, ...]) -> list[Measurement]:
    setup, bench = _bench()
    physics = bench.model_copy(update={"amplifier": changed.physics})
    measuring = Measuring(InProcess(setup, physics, seed, changed.faults))
    return [
        Measurement(id=reading.id, value=reading.value, unit=reading.unit)
        for procedure in PROCEDURES
        if procedure.id in needed
        for reading in procedure.measure(measuring)
    ]


def _with(name: str, value: Callable[[float], Any]) -> Callable[[float], Amplifier]:
    """Return what makes the amplifier of a size of one changed value."""
    return lambda size: amplifier(**{name: value(size)})


def _hums(size: float) -> Amplifier:
    return Amplifier(physics=amplifier().physics, faults=SignalFaults(mains=Mains(uv_pk=size)))


PATH_OF_DEVICE = Subject(
    name="device",
    unchanged=amplifier(),
    margins=PATH_MARGINS,
    measured=measured_path,
    n_baseline=8,
    n_check=4,
    searched=range(1, 5),
    changes=(
        Change(
            name="gain higher",
            acts_on="gain.accuracy",
            largest=0.01,
            made=_with("gain", lambda x: 1.004 * (1 + x)),
        ),
        Change(
            name="low-pass corner lower",
            acts_on="step.rise",
            largest=0.1,
            made=_with("lowpass_hz", lambda x: BAND_HZ[1] / (1 + x)),
        ),
        Change(
            name="high-pass corner lower",
            acts_on="step.tau",
            largest=0.1,
            made=_with("highpass_hz", lambda x: BAND_HZ[0] / (1 + x)),
        ),
        Change(
            name="converter noisier",
            acts_on="noise.rms",
            largest=1.0,
            made=_with("channel_noise_uv_rms", lambda x: NOISE_UV * (1 + x)),
        ),
        Change(name="mains pick-up", acts_on="noise.mains.50hz", largest=1.0, made=_hums),
        Change(
            name="common-mode rejection worse",
            acts_on="cmrr.balanced.1khz",
            largest=6.0,
            made=_with("cmrr_db", lambda x: CMRR_DB - x),
        ),
        Change(
            name="offset",
            acts_on="dc.offset",
            largest=10.0,
            made=_with("offset_uv", lambda x: OFFSET_UV + x),
        ),
    ),
)
"""The amplifier, the family of measurements of its signal's path, and seven changes."""

SINES_OF_DEVICE = Subject(
    name="device-sines",
    unchanged=amplifier(),
    margins=SINES_MARGINS,
    measured=measured_sines,
    n_baseline=8,
    n_check=4,
    searched=range(1, 5),
    changes=(
        Change(
            name="second order bends more",
            acts_on="distortion.thd.1dbfs",
            largest=5e-3,
            made=_with("second_order", lambda x: 1e-4 + x),
        ),
        Change(
            name="clock faster",
            acts_on="fs.accuracy",
            largest=10.0,
            made=_with("clock_ppm", lambda x: CLOCK_PPM + x),
        ),
        Change(
            name="second channel later",
            acts_on="skew",
            largest=1.0,
            made=_with("skews_us", lambda x: (0.0, SKEW_US + x)),
        ),
    ),
)
"""The amplifier, the family of measurements of its clock and straightness, and three changes."""
