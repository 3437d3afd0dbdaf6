"""What a device that detects by itself has reported: findings on the scenario's clock."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emgsim.chain import Path
from emgsim.instruments.base import DeviceEvent
from emgsim.recording import Findings, FoundUnit

REPORTED = "device_reported"  # the path


def reported(events: Sequence[DeviceEvent], device: Path) -> Findings:
    """Return each thing that a device tells apart as a unit with the times of its reports.

    Parameters
    ----------
    events
        Of the playback, their samples counted as the device's codes are.
    device
        Its path, whose clock theirs is.

    Returns
    -------
    Findings
        Units in the order of field and value, numbered from 1, without potentials; what was
        reported outside the scenario is left out.
    """
    recording = device.recording
    stop_s = recording.start_s + recording.duration_s
    times_s: dict[tuple[str, int], list[float]] = {}
    for event in events:
        at_s = recording.start_s + (event.sample - device.first_sample) / recording.rate_hz
        if recording.start_s <= at_s < stop_s:
            times_s.setdefault((event.name, event.value), []).append(at_s)
    units = tuple(
        FoundUnit(
            id=number,
            discharge_times_s=np.array(times_s[key]),
            muap_uv=np.zeros((0, 1)),
            muap_start_s=0.0,
        )
        for number, key in enumerate(sorted(times_s), start=1)
    )
    return Findings(units=units, plan="reported by the device itself")
