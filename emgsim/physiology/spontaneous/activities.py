"""From the model of an activity to its sources: one door for all kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from emgsim.physiology.parameters.spontaneous import SpontaneousActivity
from emgsim.physiology.spontaneous import end_plates, motor_units, rings, single_fibres
from emgsim.physiology.spontaneous.rhythms import Span
from emgsim.physiology.spontaneous.source import Discharges, Source
from emgsim.physiology.spontaneous.surroundings import Site
from emgsim.seeds import stream

Maker = Callable[[Any, Site, Span, np.random.Generator], Iterator[Discharges]]

MAKERS: dict[str, Maker] = {
    "insertional_burst": single_fibres.insertional,
    "fibrillation": single_fibres.denervation,
    "positive_sharp_wave": single_fibres.denervation,
    "myotonic_discharge": single_fibres.myotonic,
    "end_plate_noise": end_plates.noise,
    "end_plate_spike": end_plates.spikes,
    "trigger_point": end_plates.trigger_point,
    "complex_repetitive_discharge": rings.complex_repetitive,
    "fasciculation": motor_units.fasciculations,
    "myokymia": motor_units.myokymia,
    "neuromyotonia": motor_units.neuromyotonia,
    "cramp": motor_units.cramp,
    "multiplets": motor_units.multiplets,
}


def sources(
    activity: SpontaneousActivity, site: Site, duration_s: float, seed: int, index: int = 0
) -> tuple[Source, ...]:
    """Return what discharges in an activity, and when.

    Parameters
    ----------
    activity
        One of the kinds.
    site
        The muscle, and where the needle is when the activity is laid down.
    duration_s
        Length of the recording; a longer one begins as a shorter one does, if the activity's end
        does not depend on it.
    seed
        Of the patient. Each kind and index has a stream of its own.
    index
        Number of the activity among those of its kind.

    Returns
    -------
    tuple
        In a fixed order; sources that never discharge are left out. There are none at grade 0, and
        fewer than the grade says where a body has not so many denervated fibres, or a muscle not so
        many motor units, at the needle.

    Raises
    ------
    ValueError
        If the activity begins after the recording's end, end-plate activity is wanted where the
        muscle has no end plates, or that of motor units where there are none.
    """
    if activity.onset_s >= duration_s:
        raise ValueError(
            f"onset_s of {activity.kind} must be < the recording's {duration_s:g} s, "
            f"got {activity.onset_s:g}"
        )
    if activity.grade == 0:
        return ()
    end_s = duration_s if activity.offset_s is None else min(activity.offset_s, duration_s)
    rng = stream(seed, f"spontaneous {activity.kind}", index)
    drawn = MAKERS[activity.kind](activity, site, Span(activity.onset_s, end_s), rng)
    return tuple(
        Source(
            kind=activity.kind,
            name=f"{activity.kind} {index}.{k}",
            fibres=one.fibres,
            times_s=one.times_s,
            gains=np.ones(one.times_s.size) if one.gains is None else one.gains,
            onset_s=one.span.onset_s,
            offset_s=one.span.offset_s,
            grade=activity.grade,
            membrane=one.membrane,
            unit=one.unit,
        )
        for k, one in enumerate(drawn)
        if one.times_s.size
    )
