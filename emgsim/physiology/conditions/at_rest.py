"""What conditions make of a muscle at rest: the spontaneous activity that comes with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emgsim.physiology.body import Body
from emgsim.physiology.parameters import TipPosition
from emgsim.physiology.parameters.conditions import Condition, MotorNeuronDisease, Myotonia
from emgsim.physiology.parameters.spontaneous import (
    GRADES,
    Fasciculation,
    Fibrillation,
    Generators,
    MyotonicDischarge,
    PositiveSharpWave,
    SpontaneousActivity,
)
from emgsim.seeds import stream

FEWEST = 0.15  # mean number of generators at the needle, below which nobody sees one
SHARP_SHARE = 0.5  # of denervated fibres at the needle that its tip has wounded [P]
MYOTONIC_GRADE = 2.0  # of a site that is myotonic at all [P]


def resting_activity(
    conditions: Sequence[Condition], body: Body, tip: TipPosition, seed: int, place: int = 0
) -> tuple[SpontaneousActivity, ...]:
    """Return the activity at rest that follows from what a patient has.

    Denervated fibres fibrillate, those that the tip has wounded as positive sharp waves; the grade
    is that whose number of generators is next to the number of fibrillating fibres in the uptake
    area. A motor neuron disease fasciculates; a myotonic membrane discharges on.

    Parameters
    ----------
    conditions
        What the patient has.
    body
        As they have left it.
    tip
        Where the needle is.
    seed
        Of the patient; role "myotonic site".
    place
        Number of the place in the examination.
    """
    found: list[SpontaneousActivity] = []
    n = fibrillating(body, tip)
    if (grade := nearest_grade((1 - SHARP_SHARE) * n, Fibrillation().generators)) > 0:
        found.append(Fibrillation(grade=grade))
    if (grade := nearest_grade(SHARP_SHARE * n, PositiveSharpWave().generators)) > 0:
        found.append(PositiveSharpWave(grade=grade))
    for condition in conditions:
        match condition:
            case MotorNeuronDisease() if condition.fasciculations_per_min > 0:
                interval_s = 60.0 / condition.fasciculations_per_min
                found.append(Fasciculation(nature="malignant", mean_interval_s=interval_s))
            case Myotonia():
                if stream(seed, "myotonic site", place).uniform() < condition.sites:
                    found.append(
                        MyotonicDischarge(
                            grade=MYOTONIC_GRADE,
                            peak_rate_hz=condition.rate_hz,
                            does_wax=not condition.is_waning_only,
                        )
                    )
    return tuple(found)


def fibrillating(body: Body, tip: TipPosition) -> float:
    """Return the mean number of denervated fibres that fibrillate in the uptake area of a tip."""
    off_mm = np.hypot(body.orphans.x_mm - tip.x_mm, body.orphans.y_mm - tip.y_mm)
    return float(body.fibrillates[off_mm <= Fibrillation().reach_mm].sum())


def nearest_grade(n: float, generators: Generators) -> float:
    """Return the grade of 1+ to 4+ whose mean number of generators is next to ``n``; 0 for few.

    Next on a scale of ratios: 1+ to 2+ is a step as large as 3+ to 4+.
    """
    if n < FEWEST:
        return 0.0
    grades = [grade for grade in GRADES if grade >= 1]
    return min(grades, key=lambda grade: abs(np.log(n / generators.at(grade))))
