"""What a recording's truth holds, whatever electrode listens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.patient import Patient
from emgsim.recording import Event, MotorUnit, SpontaneousSource, Stay

Floats = NDArray[np.float64]


class Heard(NamedTuple):
    """That part of the truth which an electrode has to do with."""

    units: tuple[MotorUnit, ...]
    events: tuple[Event, ...] = ()
    spontaneous: tuple[SpontaneousSource, ...] = ()
    needle: dict[str, float] = {}  # noqa: RUF012 - a tuple's default; nobody writes into it
    needle_path: tuple[dict[str, float], ...] = ()
    stays: tuple[Stay, ...] = ()


def motor_unit(
    patient: Patient, order: int, threshold: float, first: int, muap_uv: Floats, told_by: int = 0
) -> MotorUnit:
    """Return the truth about a unit that has not discharged yet, its MUAP beginning at a sample.

    Its arrival is that of the main spike on the channel ``told_by``.
    """
    rate_hz = patient.sampling.rate_hz
    return MotorUnit(
        id=order + 1,
        muscle=patient.muscle.name,
        threshold=threshold,
        n_fibres=patient.fibres(order).n_fibres,
        discharge_times_s=np.zeros(0),
        muap_uv=muap_uv,
        muap_start_s=first / rate_hz,
        arrival_s=(first + int(np.argmax(np.abs(muap_uv[:, told_by])))) / rate_hz,
    )
