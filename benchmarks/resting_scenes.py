"""Muscles at rest with every kind of spontaneous activity, drawn anew for each seed.

What a kind may be is drawn within the published ranges that the simulator's parameters name; noise
is added afterwards, so that its level over an event is exact. The seeds are the subjects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy import fft

from emgsim.artefacts.composition import apply
from emgsim.artefacts.parameters import Artefact, Place
from emgsim.exhibits import Entry, scenario_of
from emgsim.recording import Channel, Event, Recording, Truth
from emgsim.scenario import Scenario
from emgsim.simulation import simulate

Floats = NDArray[np.float64]
Table = dict[str, Any]

BAND_HZ = (10.0, 10_000.0)  # in which noise is stated
BIOLOGICAL_HZ = 300.0  # two poles of the murmur of fibres 2 mm away: 4 m/s over 2 pi 2 mm
REST_UV = (2.0, 5.0)  # rms of a needle in relaxed muscle, 10 Hz to 10 kHz


def _fibrillation(rng: np.random.Generator) -> list[Table]:
    return [{"kind": "fibrillation", "grade": float(rng.choice([1.0, 2.0])), "train_s": 12.0}]


def _sharp_wave(rng: np.random.Generator) -> list[Table]:
    return [
        {"kind": "positive_sharp_wave", "grade": float(rng.choice([1.0, 2.0])), "train_s": 12.0}
    ]


def _end_plate_noise(rng: np.random.Generator) -> list[Table]:
    return [{"kind": "end_plate_noise", "grade": float(rng.choice([1.0, 2.0, 3.0, 4.0]))}]


def _trigger_point(rng: np.random.Generator) -> list[Table]:
    return [{"kind": "trigger_point", "grade": float(rng.choice([2.0, 3.0, 4.0]))}]


def _end_plate_spike(rng: np.random.Generator) -> list[Table]:
    spike = {
        "kind": "end_plate_spike",
        "rate_hz": float(rng.uniform(8, 35)),
        "isi_cov": float(rng.uniform(0.5, 1.1)),
        "grade": float(rng.choice([1.0, 2.0])),
    }
    return [spike, {"kind": "end_plate_noise"}] if rng.uniform() < 0.5 else [spike]


def _fasciculation(rng: np.random.Generator) -> list[Table]:
    return [
        {
            "kind": "fasciculation",
            "grade": float(rng.choice([1.0, 2.0, 3.0])),
            "nature": str(rng.choice(["benign", "malignant"])),
            "cluster_share": float(rng.choice([0.0, 0.2])),
        }
    ]


def _complex_repetitive(rng: np.random.Generator) -> list[Table]:
    rate_hz = float(np.exp(rng.uniform(np.log(6), np.log(60))))
    onset_s = float(rng.uniform(0.2, 2))
    return [
        {
            "kind": "complex_repetitive_discharge",
            "rate_hz": rate_hz,
            "ring_fibres": int(rng.integers(4, min(12, 600 / rate_hz))),
            "drops": int(rng.integers(0, 3)),
            "onset_s": onset_s,
            "offset_s": onset_s + float(rng.uniform(3, 7)),
        }
    ]


def _myotonic(rng: np.random.Generator) -> list[Table]:
    return [
        {
            "kind": "myotonic_discharge",
            "form": str(rng.choice(["fibrillation", "positive_sharp_wave"])),
            "does_wax": bool(rng.uniform() < 0.7),
            "peak_rate_hz": float(rng.uniform(50, 120)),
            "wane_s": float(rng.uniform(2, 6)),
        }
    ]


def _myokymia(rng: np.random.Generator) -> list[Table]:
    spikes, rate_hz = int(rng.integers(3, 10)), float(rng.uniform(12, 50))
    burst_s = (spikes - 1) / rate_hz
    rate_hz = float((spikes - 1) / np.clip(burst_s, 0.11, 0.8))
    longest_hz = 0.4 * rate_hz / (spikes - 1)
    return [
        {
            "kind": "myokymia",
            "spikes": spikes,
            "rate_hz": rate_hz,
            "bursts_hz": float(min(rng.uniform(0.4, 2.0), longest_hz)),
        }
    ]


def _neuromyotonia(rng: np.random.Generator) -> list[Table]:
    return [
        {
            "kind": "neuromyotonia",
            "rate_hz": float(rng.uniform(180, 290)),
            "burst_s": float(rng.uniform(0.3, 1.5)),
            "onset_s": float(rng.uniform(0.1, 1)),
        }
    ]


def _cramp(rng: np.random.Generator) -> list[Table]:
    return [
        {
            "kind": "cramp",
            "grade": float(rng.choice([1.0, 2.0, 3.0])),
            "rate_hz": float(rng.uniform(40, 60)),
            "onset_s": float(rng.uniform(0.3, 1.5)),
            "offset_s": float(rng.uniform(6, 9.5)),
        }
    ]


def _multiplets(rng: np.random.Generator) -> list[Table]:
    return [
        {
            "kind": "multiplets",
            "spikes": int(rng.integers(2, 6)),
            "sets_hz": float(rng.uniform(1, 4)),
            "interval_s": float(rng.uniform(3e-3, 15e-3)),
        }
    ]


def _insertional(rng: np.random.Generator) -> list[Table]:
    return [
        {
            "kind": "insertional_burst",
            "onset_s": float(rng.uniform(0.3, 2)),
            "movement_s": float(rng.uniform(0.1, 0.4)),
            "after_s": float(rng.uniform(0.06, 0.7)),
            "grade": float(rng.choice([1.0, 2.0, 3.0])),
        }
    ]


ACTIVITIES: dict[str, Callable[[np.random.Generator], list[Table]]] = {
    "fibrillation": _fibrillation,
    "positive_sharp_wave": _sharp_wave,
    "end_plate_noise": _end_plate_noise,
    "trigger_point": _trigger_point,
    "end_plate_spike": _end_plate_spike,
    "fasciculation": _fasciculation,
    "complex_repetitive_discharge": _complex_repetitive,
    "myotonic_discharge": _myotonic,
    "myokymia": _myokymia,
    "neuromyotonia": _neuromyotonia,
    "cramp": _cramp,
    "multiplets": _multiplets,
    "insertional_burst": _insertional,
}


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _overloaded(rng: np.random.Generator) -> list[Table]:
    """Swings and pulses that the amplifier's range cuts off."""
    limit_uv = _log(rng, 200.0, 5_000.0)
    swing: Table = {
        "kind": "movement",
        "peak_to_peak_uv": limit_uv * _log(rng, 1.5, 10.0),
        "per_min": 12.0,
    }
    pulse: Table = {
        "kind": "stimulus",
        "peak_uv": limit_uv * _log(rng, 2.0, 10.0),
        "rate_hz": _log(rng, 0.5, 3.0),
    }
    cut = {"kind": "saturation", "limit_uv": limit_uv, "recovery_ms": _log(rng, 10.0, 500.0)}
    return [swing if rng.uniform() < 0.5 else pulse, cut]


def _pulses(rng: np.random.Generator, rates_hz: tuple[float, float]) -> list[Table]:
    return [
        {
            "kind": "pulses",
            "peak_uv": _log(rng, 100.0, 5_000.0),
            "rate_hz": float(rng.uniform(*rates_hz)),
            "width_ms": _log(rng, 0.1, 1.0),
            "recharge_ms": _log(rng, 2.0, 20.0),
        }
    ]


# Each kind of `emgsim.artefacts.parameters` within the range that is printed there.
DISTURBANCES: dict[str, Callable[[np.random.Generator], list[Table]]] = {
    "mains": lambda rng: [
        {
            "kind": "mains",
            "frequency_hz": float(rng.choice([50.0, 60.0])),
            "peak_to_peak_uv": _log(rng, 5.0, 200.0),
        }
    ],
    "ecg": lambda rng: [
        {
            "kind": "ecg",
            "peak_to_peak_uv": _log(rng, 10.0, 50.0),
            "rate_bpm": float(rng.uniform(50, 110)),
            "qrs_ms": float(rng.uniform(60, 100)),
        }
    ],
    "movement": lambda rng: [
        {"kind": "movement", "peak_to_peak_uv": _log(rng, 100.0, 10_000.0), "per_min": 12.0}
    ],
    "needle_movement": lambda rng: [
        {
            "kind": "needle_movement",
            "step_uv": _log(rng, 100.0, 5_000.0),
            "burst_uv_rms": _log(rng, 50.0, 300.0),
            "per_min": 12.0,
        }
    ],
    "pop": lambda rng: [
        {
            "kind": "pop",
            "peak_uv": _log(rng, 100.0, 5_000.0),
            "rise_ms": _log(rng, 0.1, 1.0),
            "decay_ms": _log(rng, 50.0, 500.0),
            "per_min": 12.0,
        }
    ],
    "stimulus": lambda rng: [
        {
            "kind": "stimulus",
            "peak_uv": _log(rng, 1e3, 1e5),
            "width_ms": float(rng.uniform(0.1, 0.2)),
            "tail_uv": float(rng.choice([-1.0, 1.0])) * _log(rng, 10.0, 1_000.0),
            "rate_hz": _log(rng, 0.5, 20.0),
        }
    ],
    "pacemaker": lambda rng: _pulses(rng, (0.8, 1.8)),
    "vns": lambda rng: _pulses(rng, (20.0, 30.0)),
    "tens": lambda rng: _pulses(rng, (80.0, 100.0)),
    "dbs": lambda rng: _pulses(rng, (120.0, 140.0)),
    "rf_burst": lambda rng: [
        {
            "kind": "rf_burst",
            "peak_uv": _log(rng, 10.0, 500.0),
            "per_min": 12.0,
            "burst_s": _log(rng, 0.2, 2.0),
        }
    ],
    "smps": lambda rng: [
        {
            "kind": "smps",
            "frequency_hz": _log(rng, 20e3, 100e3),
            "peak_to_peak_uv": _log(rng, 5.0, 100.0),
        }
    ],
    "overload": _overloaded,
    "baseline": lambda rng: [
        {
            "kind": "baseline",
            "rms_uv": _log(rng, 100.0, 5_000.0),
            "offset_uv": float(rng.uniform(-300e3, 300e3)),
        }
    ],
    "skin_electrode": lambda rng: [{"kind": "skin_electrode", "rms_uv": _log(rng, 1.0, 20.0)}],
    "thermal": lambda rng: [{"kind": "thermal", "resistance_ohm": _log(rng, 3e3, 3e5)}],
    "amplifier": lambda rng: [
        {
            "kind": "amplifier",
            "rms_uv": float(rng.uniform(0.5, 2.0)),
            "corner_hz": _log(rng, 10.0, 100.0),
        }
    ],
    "crosstalk": lambda rng: [{"kind": "crosstalk", "gain": _log(rng, 0.01, 0.05)}],
    "adc": lambda rng: [
        {"kind": "mains", "peak_to_peak_uv": 100.0},
        {"kind": "adc", "lsb_uv": _log(rng, 0.06, 5.0), "bits": int(rng.choice([8, 12, 16]))},
    ],
}
RATE_HZ = 48_000.0
AT_END_PLATES = {"end_plate_noise", "trigger_point", "end_plate_spike"}
SECONDS = {"fasciculation": 20.0}


def chance(kind: str, seed: int, role: str = "scene") -> np.random.Generator:
    """Return a stream of its own for each kind, seed and role."""
    return np.random.default_rng([seed, crc32(f"{kind} {role}".encode())])


def scenario(kind: str, seed: int, *, seconds: float | None = None, **settings: Any) -> Scenario:
    """Return a scenario of a kind of activity, of "quiet", or of an artefact's kind.

    ``settings`` replace what would be drawn for the first activity, or belong to the artefact.
    """
    place = {"z_mm": 0.0 if kind in AT_END_PLATES else 20.0}
    table: Table = {"electrode": {"tip": place}}
    if kind in ACTIVITIES:
        first, *others = ACTIVITIES[kind](chance(kind, seed))
        table["spontaneous"] = [{**first, **settings}, *others]
    elif kind == "tremor":
        rng = chance(kind, seed)
        hz, level = float(rng.uniform(4, 10)), float(rng.uniform(0.04, 0.12))
        table["electrode"] = {"seek": {"rise_us": 400.0}}
        table["phases"] = [
            {"kind": "tremor", "duration_s": seconds or 8.0, "level_mvc": level, "depth": 1.0,
             "frequency_hz": hz}
        ]  # fmt: skip
    elif kind != "quiet":
        table["artefacts"] = [{"kind": kind, **settings}]
    entry = Entry(
        id=kind,
        kind=kind,
        title=kind,
        group="",
        words="",
        sweep_ms_div=10,
        gain_uv_div=50,
        seconds=None if "phases" in table else seconds or SECONDS.get(kind, 10.0),
        scenario=table,
    )
    return scenario_of(entry, seed)


def clean(kind: str, seed: int, **settings: Any) -> tuple[Recording, Truth]:
    """Simulate a scene without any noise of electrode and amplifier."""
    return simulate(scenario(kind, seed, **settings), for_playing=True)


def disturbed(
    kind: str, seed: int, seconds: float, *, neighbour: Recording | None = None
) -> tuple[Recording, tuple[Event, ...]]:
    """Return a silent, relaxed muscle with one of `DISTURBANCES` or none ("quiet"), and its events.

    ``neighbour`` is the contracting muscle that crosstalk comes from.
    """
    silent = Recording(
        samples_uv=np.zeros((round(seconds * RATE_HZ), 1)),
        rate_hz=RATE_HZ,
        channels=(Channel(name="needle"),),
    )
    rms_uv = float(chance(kind, seed, "level").uniform(*REST_UV))
    artefact: TypeAdapter[Artefact] = TypeAdapter(Artefact)
    tables = DISTURBANCES[kind](chance(kind, seed)) if kind != "quiet" else []
    chosen = [artefact.validate_python(table) for table in tables]
    before = [one for one in chosen if one.place < Place.LIMITER]
    after = [one for one in chosen if one.place >= Place.LIMITER]
    heard, events = apply(silent, (), before, seed, neighbour=neighbour)
    return apply(noisy(heard, rms_uv, chance(kind, seed, "noise")), events, after, seed)


def noise_uv(n: int, rate_hz: float, rng: np.random.Generator, *, murmur: float = 0.5) -> Floats:
    """Return noise of rms 1 in `BAND_HZ`: white, and a murmur that has a share of the power."""
    frequency = fft.rfftfreq(n, 1 / rate_hz)
    inside = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
    total = np.zeros(n)
    low = (1 + (frequency / BIOLOGICAL_HZ) ** 2) ** -2.0
    for density, share in ((np.ones(frequency.size), 1 - murmur), (low, murmur)):
        spectrum = fft.rfft(rng.standard_normal(n)) * np.sqrt(density) * inside
        part = fft.irfft(spectrum, n)
        total += np.sqrt(share) * part / part.std()
    return total


def noisy(
    recording: Recording, rms_uv: float, rng: np.random.Generator, *, murmur: float = 0.5
) -> Recording:
    """Return the recording with noise of a given rms on every channel."""
    n, channels = recording.samples_uv.shape
    noise = np.column_stack(
        [noise_uv(n, recording.rate_hz, rng, murmur=murmur) for _ in range(channels)]
    )
    return replace(recording, samples_uv=recording.samples_uv + rms_uv * noise)
