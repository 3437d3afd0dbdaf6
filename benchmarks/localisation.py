"""Localisation over random patients: how often the true lesion comes first, or among three.

Usage::

    python benchmarks/localisation.py [--patients N] [--first-seed N] [--more N] [--device]

Patients. Each has one lesion of those that a classifier must separate (radiculopathies, places of
entrapment, plexus, polyneuropathy, motor neuron disease, myopathy, junction), all equally likely.
That is the prior of `located` here, too, with "no lesion" as likely as one of them, and 0.02 of it
for lesions that do not reach the limb that hurts. Side, severity, time (4-12 weeks) and anatomy
vary: root weights, and shares of muscles beyond a place, have an SD of 0.15, and the paraspinal
muscles of 0.2-0.6 of the radiculopathies are normal.

Examination. A screen of six muscles of the limb that hurts, then up to ``--more`` others, one by
one, as `most_telling` asks, and up to two further while all are normal; it ends early once a lesion
has 0.95. What is found in a muscle follows from the simulator's own body of it (that of the first
dorsal interosseous where the catalogue has none): fibrillations at two of eight sites of the
needle, their grade, units lost. Each conclusion is wrong in 3 %, either way. Myopathy and junction
follow from their parameters, fibres lost and safety left. Sensory potentials, in the second table,
are those of the limb, low beyond a loss of 45 %: nothing simulates them.

``--device`` adds what the device's path errs on each axis, measured on the muscles of the shipped
examinations (`localisation_patients.DEVICE_ERROR`). It is a model of that path: the patients here
are not played through a device, and errors of neighbouring muscles are independent.

Nothing was set on the judged patients: seeds up to 1000 are for that. CPU is per patient. Ends with
1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from localisation_patients import (
    ARM_MUSCLES,
    KNOWN,
    LEG_MUSCLES,
    Patient,
    muscle_axes,
    patient,
    sensory_of,
)

from emgsim.localisation import (
    Lesion,
    Located,
    MuscleFinding,
    SensoryFinding,
    lesions,
    located,
    most_telling,
    muscle_finding,
)
from emgsim.localisation.findings import SIDES, Side
from emgsim.scoring.intervals import wilson

GOALS = {1: 0.80, 3: 0.95}  # share of patients whose lesion is among the first so many
N_PATIENTS, FIRST_SEED = 200, 1001
MORE, SURE = 3, 0.95  # muscles beyond the screen; probability at which the needle is put away
IF_NORMAL = 2  # further muscles while all are normal: that is no answer to a complaint
ELSEWHERE = 0.02  # weight of a lesion that does not reach the limb that hurts
SCREENS = {
    "arm": ("deltoid", "triceps_brachii", "extensor_digitorum", "first_dorsal_interosseous",
            "abductor_pollicis_brevis", "cervical_paraspinal_c7"),
    "leg": ("vastus_lateralis", "tibialis_anterior", "gastrocnemius_medialis", "abductor_hallucis",
            "tensor_fasciae_latae", "lumbar_paraspinal"),
}  # fmt: skip
SENSORY = {
    "arm": ("lateral_antebrachial", "radial_superficial", "median_d1", "median_d3", "ulnar_d5",
            "medial_antebrachial"),
    "leg": ("saphenous", "superficial_fibular", "sural", "medial_plantar"),
}  # fmt: skip
NOT_NEEDLED = {"diaphragm"}
CANDIDATES = [(muscle, side) for muscle in KNOWN if muscle not in NOT_NEEDLED for side in SIDES]
# What the needle cannot tell or hardly: the same muscles but for one, or the paraspinal ones
ALIKE = (
    {"C5", "C6", "upper_trunk"}, {"C7", "middle_trunk"}, {"C8", "T1", "lower_trunk", "medial_cord"},
    {"S2", "tarsal_tunnel", "polyneuropathy"}, {"musculocutaneous", "lateral_cord"},
    {"suprascapular_notch", "spinoglenoid_notch"}, {"median_elbow", "anterior_interosseous"},
)  # fmt: skip


def main() -> None:
    """Examine all patients without and with sensory potentials; print the figures by their goal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=N_PATIENTS)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--more", type=int, default=MORE)
    parser.add_argument("--device", action="store_true")
    options = parser.parse_args()
    known = equally_likely(lesions())
    patients = [patient(options.first_seed + k, known) for k in range(options.patients)]
    needle, both = [], []
    began = time.process_time()
    for one in patients:
        told: dict[tuple[str, Side], MuscleFinding] = {}
        potentials = [sensory_of(one, nerve) for nerve in SENSORY[one.limb]]
        needle.append(examined(one, known, options.more, (), told, options.device))
        both.append(examined(one, known, options.more, potentials, told, options.device))
    cpu = (time.process_time() - began) / len(patients)
    print(f"{len(patients)} patients from seed {options.first_seed}, CPU {cpu:.2f} s each")
    held = [
        printed("needle alone", patients, needle),
        printed("needle and sensory potentials", patients, both),
    ]
    sys.exit(0 if all(held) else 1)


def equally_likely(known: Sequence[Lesion]) -> list[Lesion]:
    """Return the lesions with equal priors for each name, shared by its sides and variants."""
    number = Counter((lesion.kind, lesion.name) for lesion in known)
    return [replace(x, prior=1.0 / number[x.kind, x.name]) for x in known]


def of_complaint(known: Sequence[Lesion], one: Patient) -> list[Lesion]:
    """Return the lesions with the weight that they have once the limb that hurts is known."""
    here = limb_muscles(one.limb)
    return [
        x if x.kind == "none" or (x.side in ("both", one.side) and here & set(x.at_risk))
        else replace(x, prior=ELSEWHERE * x.prior)
        for x in known
    ]  # fmt: skip


def limb_muscles(limb: str) -> set[str]:
    """Return the muscles of the arm and shoulder, or of the hip and leg."""
    return ARM_MUSCLES if limb == "arm" else set(LEG_MUSCLES)


@dataclass(frozen=True, kw_only=True)
class Examination:
    """How many muscles were needled, and what follows."""

    n_muscles: int
    result: tuple[Located, ...]


def examined(
    one: Patient,
    known: Sequence[Lesion],
    more: int,
    sensory: Sequence[SensoryFinding],
    told: dict[tuple[str, Side], MuscleFinding],
    by_device: bool,
) -> Examination:
    """Examine a patient: the screen of a limb, then what tells most; ``told`` is what is known."""

    def needled(muscle: str, side: Side) -> MuscleFinding:
        if (muscle, side) not in told:
            axes = muscle_axes(one, muscle, side, by_device=by_device)
            told[muscle, side] = muscle_finding(muscle, axes, side)
        return told[muscle, side]

    known, screen = of_complaint(known, one), SCREENS[one.limb]
    found = [needled(muscle, one.side) for muscle in screen]
    result = located(found, known, sensory)
    while len(found) < len(screen) + more + IF_NORMAL * all(map(is_normal, found)):
        if result[0].probability >= SURE and result[0].lesion.kind != "none":
            break
        left = [c for c in CANDIDATES if c not in {(f.muscle, f.side) for f in found}]
        found.append(needled(*most_telling(found, known, left, sensory)))
        result = located(found, known, sensory)
    return Examination(n_muscles=len(found), result=result)


def is_normal(found: MuscleFinding) -> bool:
    """Tell whether nothing is wrong with a muscle."""
    return max(found.neurogenic, found.myopathic, found.unstable) < 0.5


# -- figures --------------------------------------------------------------------------------------


def rank(one: Patient, result: Sequence[Located]) -> int:
    """Return the place of the true lesion, 1 for the first."""
    true = (one.kind, one.name, one.true_side)
    return [x.lesion.key for x in result].index(true) + 1


def printed(title: str, patients: Sequence[Patient], examinations: Sequence[Examination]) -> bool:
    """Print one way to examine, each goal beside its figure; tell whether it holds them."""
    pairs = list(zip(patients, examinations, strict=True))
    ranks = np.array([rank(one, made.result) for one, made in pairs])
    muscles = np.array([made.n_muscles for made in examinations])
    print(f"\n{title}: {muscles.mean():.1f} muscles needled in the mean, {muscles.max()} at most")
    held = []
    for first, goal in GOALS.items():
        n = int(np.sum(ranks <= first))
        low, high = (100 * end for end in wilson(n, ranks.size))
        held.append(n / ranks.size >= goal)
        print(
            f"  {'held  ' if held[-1] else 'MISSED'} true lesion among the first {first}: "
            f"{100 * n / ranks.size:.1f} % ({low:.1f}-{high:.1f}), goal {100 * goal:.0f} %"
        )
    for kind in sorted({one.kind for one in patients}):
        of = ranks[[one.kind == kind for one in patients]]
        shares = f"first {100 * np.mean(of == 1):3.0f} %, in three {100 * np.mean(of <= 3):3.0f} %"
        print(f"    {kind:9s} n {of.size:3d}: {shares}")
    _confusion([(one, made) for (one, made), place in zip(pairs, ranks, strict=True) if place > 1])
    return all(held)


def _confusion(missed: Sequence[tuple[Patient, Examination]]) -> None:
    """Print what was taken for what, and how much of it no needle can tell apart."""
    taken: Counter[tuple[str, str]] = Counter()
    for one, made in missed:
        taken[one.name, made.result[0].lesion.name] += 1
    silent = sum(n for (_, first), n in taken.items() if first == "none")
    alike = sum(n for names, n in taken.items() if any(set(names) <= pair for pair in ALIKE))
    print(f"  not first: {len(missed)}; nothing found {silent}, not for the needle to tell {alike}")
    for (true, first), n in taken.most_common():
        print(f"    {n} {true} taken for {first}")


if __name__ == "__main__":
    main()
