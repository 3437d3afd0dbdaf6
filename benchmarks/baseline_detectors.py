"""Deliberate changes of a detector, as `benchmarks/baselines.py` has them told.

The detector is a plain one, as it runs in a device: a band-pass, a threshold, a refractory time,
and two windows of height. One patient makes the same slight effort again and again; what scatters
from run to run are the discharges, the jitter of the junctions and the noise. (Of a new patient in
each run the sensitivity of any detector scatters by several points, as no two are equally hard.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
from baseline_changes import Change, Subject
from numpy.typing import NDArray
from scipy import signal

from emgsim.physiology.patient import Patient
from emgsim.recording import Findings, FoundUnit, Recording, Truth
from emgsim.scenario import Scenario, load_scenario
from emgsim.scoring import compare
from emgsim.seeds import stream
from emgsim.simulation import patient_of, simulate
from emgsim.verdict import Measurement

Floats = NDArray[np.float64]

BODY = 32  # a patient with two detectable units, the third far smaller
RATE_HZ, DURATION_S, EFFORT_MVC = 12_000.0, 20.0, 0.01
N_UNITS = 60  # that may be recruited at that effort, and some to spare
BLANK_S = 0.1
MARGINS = {
    "discharges.sensitivity.truth": 0.08,
    "discharges.precision.truth": 0.08,
    "discharges.f1.truth": 0.08,
    "discharges.f1_250us.truth": 0.08,
    "discharges.timing_us.truth": 20.0,
    "discharges.lag_us.truth": 50.0,
}


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A detector's settings, and what goes wrong with what it has found: nothing in a good one."""

    band_hz: tuple[float, float] = (100.0, 3_000.0)
    threshold_uv: float = 90.0
    refractory_s: float = 0.001
    gain: float = 1.0  # by which heights are told too large
    windows_uv: tuple[float, float] = (260.0, 1_000.0)  # upper ends of either unit's heights
    jitter_s: float = 0.0  # SD, added to each time
    delay_s: float = 0.0
    miss_share: float = 0.0  # of discharges, at random
    false_hz: float = 0.0  # discharges of each unit that never were
    swap_share: float = 0.0  # of discharges that the other unit gets
    blank_share: float = 0.0  # of each `BLANK_S` at whose beginning it hears nothing


@cache
def _scenario() -> Scenario:
    scenario = load_scenario("healthy_biceps")
    hold = scenario.phases[1].model_copy(
        update={"duration_s": DURATION_S, "level_mvc": EFFORT_MVC, "ramp_s": 0.3}
    )
    sampled = scenario.acquisition.model_copy(update={"rate_hz": RATE_HZ})
    return scenario.model_copy(update={"phases": (hold,), "acquisition": sampled})


@cache
def _patient() -> Patient:
    """Return the one patient of all runs, with the fibres of each unit that he may recruit."""
    patient = patient_of(_scenario(), seed=BODY)
    for order in range(N_UNITS):
        patient.fibres(order)
    return patient


@lru_cache(maxsize=64)
def recorded(seed: int) -> tuple[Recording, Truth]:
    """Return the patient's effort of a seed: his body is the same, his discharges are others."""
    return simulate(_scenario(), patient=replace(_patient(), seed=seed))


def detected(detector: Detector, recording: Recording, seed: int) -> Findings:
    """Return what a detector finds on the first channel; the seed is of its mistakes."""
    times_s, heights_uv = _peaks(detector, recording)
    rng = stream(seed, "mistakes of a detector")
    chance = rng.uniform(size=(2, times_s.size))
    number = np.searchsorted(detector.windows_uv, detector.gain * heights_uv)
    number = np.where(chance[0] < detector.swap_share, 1 - number, number)
    shift_s = detector.delay_s + detector.jitter_s * rng.standard_normal(times_s.size)
    is_kept = chance[1] >= detector.miss_share
    is_kept &= np.mod(times_s, BLANK_S) >= detector.blank_share * BLANK_S
    trains_s = [np.sort((times_s + shift_s)[is_kept & (number == k)]) for k in (0, 1)]
    end_s = recording.start_s + recording.duration_s
    n_false = rng.poisson(detector.false_hz * recording.duration_s, size=2)
    false_s = [rng.uniform(recording.start_s, end_s, n) for n in n_false]
    return Findings(
        units=tuple(
            FoundUnit(
                id=k,
                discharge_times_s=np.sort(np.concatenate([train_s, none_s])),
                muap_uv=np.zeros((0, 1)),
                muap_start_s=0.0,
            )
            for k, (train_s, none_s) in enumerate(zip(trains_s, false_s, strict=True), start=1)
        ),
        plan="two windows of height",
    )


def _peaks(detector: Detector, recording: Recording) -> tuple[Floats, Floats]:
    """Return times and heights of what crosses the threshold, as a device in real time finds it."""
    rate_hz = recording.rate_hz
    band = signal.butter(1, detector.band_hz, "bandpass", fs=rate_hz, output="sos")
    filtered_uv = -signal.sosfilt(band, recording.samples_uv[:, 0])  # the spikes are negative
    apart = max(1, round(detector.refractory_s * rate_hz))
    places, found = signal.find_peaks(filtered_uv, height=detector.threshold_uv, distance=apart)
    return recording.start_s + places / rate_hz, found["peak_heights"]


def measured(detector: Detector, seed: int) -> list[Measurement]:
    """Return the score of a detector on the recording of a seed."""
    recording, truth = recorded(seed)
    score = compare(detected(detector, recording, seed), truth, recording=recording)
    return [*score.measurements("truth"), *score.details("truth")]


def _with(name: str, value: Callable[[float], Any]) -> Callable[[float], Detector]:
    """Return what makes the detector of a size of one changed setting."""
    return lambda size: Detector(**{name: value(size)})


SENSITIVITY, PRECISION = "discharges.sensitivity.truth", "discharges.precision.truth"
F1, TIMING, LAG = (f"discharges.{name}.truth" for name in ("f1", "timing_us", "lag_us"))
DETECTOR = Subject(
    name="detector",
    unchanged=Detector(),
    margins=MARGINS,
    measured=measured,
    n_baseline=10,
    n_check=10,
    searched=range(1, 61),
    changes=(
        Change(
            name="threshold higher",
            acts_on=SENSITIVITY,
            largest=1.1,
            made=_with("threshold_uv", lambda x: 90.0 * (1 + x)),
        ),
        Change(
            name="threshold lower",
            acts_on=PRECISION,
            largest=0.8,
            made=_with("threshold_uv", lambda x: 90.0 * (1 - x)),
        ),
        Change(
            name="deaf ten times a second",
            acts_on=SENSITIVITY,
            largest=0.5,
            made=_with("blank_share", lambda x: x),
        ),
        Change(
            name="filter narrower",
            acts_on=LAG,
            largest=2_500.0,
            made=_with("band_hz", lambda x: (100.0, 3_000.0 - x)),
        ),
        Change(
            name="heights told too large",
            acts_on=F1,
            largest=1.0,
            made=_with("gain", lambda x: 1.0 + x),
        ),
        Change(
            name="times jitter",
            acts_on=TIMING,
            largest=2e-4,
            made=_with("jitter_s", lambda x: x),
        ),
        Change(name="times late", acts_on=LAG, largest=5e-4, made=_with("delay_s", lambda x: x)),
        Change(
            name="misses at random",
            acts_on=SENSITIVITY,
            largest=0.5,
            made=_with("miss_share", lambda x: x),
        ),
        Change(
            name="false alarms",
            acts_on=PRECISION,
            largest=10.0,
            made=_with("false_hz", lambda x: x),
        ),
        Change(
            name="units mixed up",
            acts_on=F1,
            largest=0.3,
            made=_with("swap_share", lambda x: x),
        ),
    ),
)
"""The detector, its family of measurements, and ten changes of it."""
