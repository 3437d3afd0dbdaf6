"""The clinical rule for the needle's place: advance until a motor unit is near."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from emgsim.measures import muap_measures
from emgsim.physiology.electrodes import hubward
from emgsim.physiology.parameters import Seek, TipPosition
from emgsim.physiology.patient import Patient

REACH_MM = 1.5  # no unit whose nearest fibre is farther rises as fast as the rule asks


def seek_tip(
    patient: Patient, orders: Iterable[int], tip: TipPosition, rule: Seek
) -> TipPosition | None:
    """Advance a tip along its shaft until a unit rises as fast as the rule asks.

    Parameters
    ----------
    patient
        Whose muscle it is.
    orders
        The units that discharge, 0 = smallest.
    tip
        Where the advance begins.
    rule
        What is asked of a MUAP, and how far the needle may go.

    Returns
    -------
    TipPosition or None
        The first place at which a unit is near; None if there is none on the track.
    """
    active = list(orders)
    inward = -hubward(tip)
    for k in range(int(rule.track_mm / rule.step_mm) + 1):
        x, y, z = np.array([tip.x_mm, tip.y_mm, tip.z_mm]) + k * rule.step_mm * inward
        here = tip.model_copy(update={"x_mm": float(x), "y_mm": float(y), "z_mm": float(z)})
        if np.hypot(x, y) < patient.muscle.radius_mm and _is_near(patient, active, here, rule):
            return here
        patient.forget(here)
    return None


def _is_near(patient: Patient, orders: list[int], tip: TipPosition, rule: Seek) -> bool:
    """Return whether a unit's MUAP on the first channel is sharp and large enough."""
    sampling = patient.sampling
    for order in orders:
        if patient.distance_mm(order, tip) > REACH_MM:
            continue
        heard = patient.voices(order, tip)[0]
        found = muap_measures(heard.muap_uv, sampling.rate_hz)
        if found.amplitude_uv >= rule.amplitude_uv and found.rise_time_us <= rule.rise_us:
            return True
    return False
