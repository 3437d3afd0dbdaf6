"""Rest, contraction and artefact: the share of time that is told right.

Usage::

    python benchmarks/effort.py [--recordings N] [--first SEED]

Each recording is 11 s of a biceps: rest, a slight contraction, rest, a stronger one, rest; levels,
conditions and the needle's place differ. On each come three sets of artefacts: an amplifier's noise
alone; moved needle, moved lead and pops; all of these with mains, heart, wandering baseline and an
amplifier that saturates. Time is judged every 5 ms. An artefact's time is that of its event in the
truth; the event of a moved needle names the burst only, so that its step counts until 5 % of it are
left, as with all others. Thresholds were set on seeds 1-24 and 201-212, which must not be given.

Goal: >= 97 % of time right over the first two sets together (published: 96 %); the third is
printed beside.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from subjects import CASES, RATE_HZ, Case, scenario_of, tip

from emgsim.analysis.effort import segments
from emgsim.artefacts.composition import apply
from emgsim.artefacts.parameters import (
    Amplifier,
    Artefact,
    Baseline,
    Ecg,
    Mains,
    Movement,
    NeedleMovement,
    Pop,
    Saturation,
    Thermal,
)
from emgsim.recording import Event, Recording, Truth
from emgsim.simulation import simulate

SET_ON = (*range(1, 25), *range(201, 213))
GOAL = 0.97
STEP_S = 0.005
KINDS = ("rest", "contraction", "artefact")
NOISE: tuple[Artefact, ...] = (Thermal(resistance_ohm=12e3), Amplifier())
SETS: dict[str, tuple[Artefact, ...]] = {
    "amplifier": NOISE,
    "movement": (NeedleMovement(), Movement(), Pop(), *NOISE),
    "all": (
        NeedleMovement(),
        Movement(),
        Mains(),
        Ecg(),
        Pop(),
        Baseline(rms_uv=50.0),
        *NOISE,
        Saturation(limit_uv=1500.0),
    ),
}
JUDGED = ("amplifier", "movement")
NEEDLE_S = 0.3  # until 5 % of its step are left
HIDING = ("movement", "needle_movement", "pop", "saturation")  # the others do not hide a muscle
PATIENTS = (
    "healthy",
    "chronic loss",
    "subacute loss",
    "myopathy",
    "myositis",
    "motor neuron disease",
    "myotonia",
    "complex repetitive",
    "poor effort",
    "myasthenia",
    "conduction block",
    "ageing",
)


def main() -> None:
    """Print the share of time told right, per recording and in all."""
    options = _options()
    counts = {name: Counter[tuple[str, str]]() for name in SETS}
    cpu_s, seconds = 0.0, 0.0
    for seed in range(options.first, options.first + options.recordings):
        patient = PATIENTS[(seed - options.first) % len(PATIENTS)]
        clean, truth = recorded(CASES[patient], seed)
        for name, artefacts in SETS.items():
            ordered = sorted(artefacts, key=lambda artefact: artefact.place)
            recording, events = apply(clean, truth.events, ordered, seed=seed)
            began = time.process_time()
            found = segments(recording.samples_uv[:, 0], recording.rate_hz)
            cpu_s, seconds = cpu_s + time.process_time() - began, seconds + recording.duration_s
            pairs = Counter(zip(labels(events, recording), labels(found, recording), strict=True))
            counts[name] += pairs
            print(f"{seed} {patient:22s} {name:10s} {100 * share_right(pairs):5.1f} %", flush=True)
    for name, pairs in counts.items():
        print(f"\n{name}: {100 * share_right(pairs):.2f} % of time right")
        print(confusion(pairs))
    judged = share_right(sum((counts[name] for name in JUDGED), Counter()))
    print(f"\n{' and '.join(JUDGED)}: {100 * judged:.2f} %, goal >= {100 * GOAL:.0f} %")
    print(f"{1e3 * cpu_s / seconds:.1f} ms CPU per second of signal at {RATE_HZ / 1e3:g} kHz")
    sys.exit(0 if judged >= GOAL else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=24)
    parser.add_argument("--first", type=int, default=301)
    options = parser.parse_args()
    if set(range(options.first, options.first + options.recordings)) & set(SET_ON):
        sys.exit("seeds 1 to 24 and 201 to 212 were used to set the thresholds; give others")
    return options


def recorded(case: Case, seed: int) -> tuple[Recording, Truth]:
    """Return a recording without any noise."""
    rng = np.random.default_rng(seed)
    slight, strong = float(rng.choice([0.03, 0.05, 0.1])), float(rng.choice([0.15, 0.3, 0.6]))
    ramp_s = float(rng.choice([0.2, 1.0]))
    phases = (
        {"kind": "rest", "duration_s": 2.5},
        {"kind": "hold", "duration_s": 3.0, "level_mvc": slight, "ramp_s": ramp_s},
        {"kind": "rest", "duration_s": 2.0},
        {"kind": "hold", "duration_s": 2.0, "level_mvc": strong, "ramp_s": 0.4},
        {"kind": "rest", "duration_s": 1.5},
    )
    scenario = scenario_of(case, {"tip": tip(seed, 0)}, phases)
    return simulate(scenario, seed=seed, for_playing=True)


def labels(events: Iterable[Event], recording: Recording) -> list[str]:
    """Return what is said of every 5 ms; an artefact hides what is below it."""
    at_s = (np.arange(int(recording.duration_s / STEP_S)) + 0.5) * STEP_S
    told = np.full(at_s.size, "rest", dtype="<U11")
    for wanted in ("contraction", "artefact"):
        for event in events:
            if is_of(event, wanted):
                least_s = NEEDLE_S if event.kind == "artefact.needle_movement" else 0.0
                stop_s = max(event.offset_s, event.onset_s + least_s)
                told[(at_s >= event.onset_s) & (at_s < stop_s)] = wanted
    return [str(kind) for kind in told]


def is_of(event: Event, wanted: str) -> bool:
    """Return whether an event, of the truth or found, is a contraction or a hiding artefact."""
    family, _, artefact = event.kind.partition(".")
    return family == wanted and (not artefact or artefact in HIDING)


def share_right(pairs: Counter[tuple[str, str]]) -> float:
    """Return the share of time told right."""
    return sum(n for (a, b), n in pairs.items() if a == b) / sum(pairs.values())


def confusion(pairs: Counter[tuple[str, str]], kinds: Sequence[str] = KINDS) -> str:
    """Return the table of seconds."""
    rows = [f"  {'is | found, s':14s}" + "".join(f"{kind:>12s}" for kind in kinds)]
    for kind in kinds:
        cells = "".join(f"{STEP_S * pairs[kind, other]:12.1f}" for other in kinds)
        rows.append(f"  {kind:14s}{cells}")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
