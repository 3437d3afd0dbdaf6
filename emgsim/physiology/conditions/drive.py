"""What conditions do to the motor neurons and to the effort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emgsim.physiology.body import Body
from emgsim.physiology.effort import effort_at
from emgsim.physiology.parameters import Pain, Phase, Points, Pool
from emgsim.physiology.parameters.conditions import (
    Condition,
    PainfulEffort,
    PoorEffort,
    UpperMotorNeuron,
)

PARETIC = 0.6  # of a healthy peak rate is the most, in muscles that are slow in health [P]
LEAST_RISE = 1.5  # of a paretic unit's peak rate over its minimal rate [P]
KNOTS_PER_PERIOD = 20  # of a tremor: straight lines between them err by 1 %


def upper_motor_neuron(
    condition: UpperMotorNeuron,
    body: Body,
    rng: np.random.Generator,  # noqa: ARG001 chance has no part
) -> Body:
    """Return the body with motor neurons that the brain no longer drives well."""
    pool = body.muscle.pool
    intervals = pool.intervals
    peak_hz = min(condition.peak_rate_hz, PARETIC * pool.peak_rate_first_hz)
    slowest_hz = min(pool.minimal_rate_hz, peak_hz / LEAST_RISE)
    at_first = intervals.cov_at_recruitment
    changes = {
        "rate_law": "linear",
        "minimal_rate_hz": slowest_hz,
        "minimal_rate_rise_hz": 0.0,
        "peak_rate_first_hz": peak_hz,
        "peak_rate_drop_hz": 0.0,
        "recruitment_range": pool.recruitment_range**condition.recruitment_share,
        "isi_cov": condition.cov_share * pool.isi_cov,
        "intervals": intervals.model_copy(
            update={
                "serial_correlation": 0.0,  # none or positive; Rosenfalck & Andreassen 1980 [S]
                "cov_at_recruitment": None if at_first is None else condition.cov_share * at_first,
            }
        ),
    }
    return with_pool(body, changes)


def painful_effort(
    condition: PainfulEffort,
    body: Body,
    rng: np.random.Generator,  # noqa: ARG001
) -> Body:
    """Return the body with motor neurons that pain inhibits."""
    pain = Pain(rate_share=condition.rate_share, rate_drop_hz=condition.rate_drop_hz)
    return with_pool(body, {"pain": pain})


def with_pool(body: Body, changes: dict[str, object]) -> Body:
    """Return the body with a changed pool, checked anew.

    Raises
    ------
    ValueError
        If the changes make no pool.
    """
    pool = Pool.model_validate({**dict(body.muscle.pool), **changes})
    return replace(body, muscle=body.muscle.model_copy(update={"pool": pool}))


def conditioned_phases(
    phases: Sequence[Phase], conditions: Sequence[Condition]
) -> tuple[Phase, ...]:
    """Return what the patient makes of the effort that is asked for.

    A poor effort is a part of it, with a tremor; every phase of effort becomes `Points`. All other
    conditions leave the will as it is.

    Examples
    --------
    >>> from emgsim.physiology.parameters import Hold
    >>> asked = (Hold(duration_s=2, level_mvc=0.5),)
    >>> weak = conditioned_phases(asked, [PoorEffort(effort_share=0.2, tremor_depth=0)])
    >>> round(weak[0].peak_mvc, 3), weak[0].duration_s
    (0.1, 2.0)
    """
    found = [condition for condition in conditions if isinstance(condition, PoorEffort)]
    kept = tuple(phases)
    for condition in found:
        kept = tuple(_poor(phase, condition) if phase.peak_mvc else phase for phase in kept)
    return kept


def _poor(phase: Phase, condition: PoorEffort) -> Points:
    """Return a phase as a patient makes it who does not do his best."""
    n = max(2, round(KNOTS_PER_PERIOD * condition.tremor_hz * phase.duration_s))
    times_s = np.linspace(0.0, phase.duration_s, n + 1)
    inside_s = np.minimum(times_s, phase.duration_s * (1 - 1e-6))  # the border is the next one's
    asked = effort_at([phase], inside_s)
    wave = 1.0 + condition.tremor_depth * np.sin(2 * np.pi * condition.tremor_hz * times_s)
    levels = np.clip(condition.effort_share * asked * wave, 0.0, 1.0)
    return Points(times_s=tuple(times_s.tolist()), levels_mvc=tuple(levels.tolist()))
