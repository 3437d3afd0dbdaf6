"""Ill nerves and muscles: each condition is a pure function from body to body, and they combine.

What they change are fibres, end plates, axons and motor neurons; what is then seen at the needle
follows from the same physics as in health.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emgsim.physiology.body import Body, healthy_body
from emgsim.physiology.conditions import denervation, drive, junctions, muscle_fibres
from emgsim.physiology.conditions.drive import conditioned_phases
from emgsim.physiology.conditions.junctions import release_law
from emgsim.physiology.conditions.reinnervation import sprouted
from emgsim.physiology.parameters import aged
from emgsim.physiology.parameters.conditions import Ageing, Condition
from emgsim.seeds import occurrences, stream

__all__ = ["apply", "check", "conditioned_phases", "release_law"]

EFFECTS: dict[str, Callable[[Any, Body, np.random.Generator], Body]] = {
    "axonal_loss": denervation.axonal_loss,
    "radiculopathy": denervation.radiculopathy,
    "entrapment": denervation.entrapment,
    "motor_neuron_disease": denervation.motor_neuron_disease,
    "nascent_reinnervation": denervation.nascent_reinnervation,
    "conduction_block": denervation.conduction_block,
    "myopathy": muscle_fibres.myopathy,
    "myositis": muscle_fibres.myositis,
    "myasthenia": junctions.myasthenia,
    "lems": junctions.lems,
    "botulinum": junctions.botulinum,
    "upper_motor_neuron": drive.upper_motor_neuron,
    "pain": drive.painful_effort,
}  # not in it: poor effort, which changes the phases, and myotonia, which is seen at rest
SEVERAL = {"axonal_loss", "radiculopathy", "entrapment", "conduction_block", "botulinum"}
APART = ({"myopathy", "myositis"}, {"myasthenia", "lems"})  # each says it all of the same thing


def apply(conditions: Sequence[Condition], body: Body, seed: int) -> Body:
    """Return the body as conditions leave it, in the given order.

    Parameters
    ----------
    conditions
        What the patient has; each draws from a stream of its own kind and occurrence, so that one
        more changes none of the others' chances.
    body
        The patient's body, of `healthy_body`.
    seed
        Of the patient; roles "condition <kind>".

    Raises
    ------
    ValueError
        If conditions contradict each other, or do not fit the muscle or the body.

    Examples
    --------
    >>> from emgsim.physiology.parameters import Fibres, Muscle, Pool
    >>> from emgsim.physiology.parameters.conditions import AxonalLoss
    >>> fibres = Fibres(per_unit_smallest=20, per_unit_largest=80, length_mm=60)
    >>> healthy = healthy_body(
    ...     Muscle(name="x", radius_mm=6, pool=Pool(n_units=10), fibres=fibres), seed=1
    ... )
    >>> ill = apply([AxonalLoss(share=0.5, months=18)], healthy, seed=1)
    >>> int(ill.is_lost.sum()), bool(ill.strength.max() > 1.5), ill.conditions
    (5, True, ('axonal_loss',))
    """
    check(conditions)
    numbers = occurrences(condition.kind for condition in conditions)
    for condition, number in zip(conditions, numbers, strict=True):
        rng = stream(seed, f"condition {condition.kind}", number)
        if isinstance(condition, Ageing):
            body = _aged(body, condition.years, seed, rng)
        elif condition.kind in EFFECTS:
            body = EFFECTS[condition.kind](condition, body, rng)
        body = replace(body, conditions=(*body.conditions, condition.kind))
    return body


def _aged(body: Body, years: float, seed: int, rng: np.random.Generator) -> Body:
    """Return the body of an aged muscle, with sprouts to what its units have adopted."""
    young, old = body.muscle, aged(body.muscle, years)
    adopted = 1.0 - young.fibres.density_per_mm2 / old.fibres.density_per_mm2
    return sprouted(healthy_body(old, seed), adopted, rng)


def check(conditions: Sequence[Condition]) -> None:
    """Refuse conditions that contradict each other.

    Raises
    ------
    ValueError
        If one occurs twice of which a patient has one, two say different things of the same fibres
        or end plates, or ageing does not come first.
    """
    kinds = [condition.kind for condition in conditions]
    for kind, number in Counter(kinds).items():
        if number > 1 and kind not in SEVERAL:
            raise ValueError(f"conditions: {kind} must occur once, got {number}")
    for pair in APART:
        if pair <= set(kinds):
            one, other = sorted(pair)
            raise ValueError(f"conditions: {one} must not occur beside {other}, got both")
    if "ageing" in kinds[1:]:
        raise ValueError(
            f"conditions: ageing must come first, got it as number {kinds.index('ageing') + 1}"
        )
