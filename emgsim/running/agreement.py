"""What one and the same analysis finds in a recording and in what became of it, and how they agree.

There is no truth in a real recording. What is found in the recording itself stands in its place, so
that the figures say what the chain has changed, and nothing of how good the analysis is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from emgsim import chain
from emgsim.detectors import detect, find_detector
from emgsim.recording import Findings, MotorUnit, Recording, Truth
from emgsim.running.logbook import Logbook
from emgsim.scoring import compare
from emgsim.verdict import Measurement


def agreement(
    recording: Recording, others: Mapping[str, Recording], logbook: Logbook, *, name: str
) -> Iterator[Measurement]:
    """Analyse a recording and what became of it, keep the findings, and yield how they agree.

    Parameters
    ----------
    recording
        What was played.
    others
        What became of it, by path, on its clock.
    logbook
        Where findings are journalled.
    name
        The path of ``recording``.

    Raises
    ------
    NotAnalysableError
        If the analysis cannot make anything of one of them.
    """
    kind = recording.channels[0].kind  # by which the plan is chosen: that of the electrode
    heard = {path: _of_kind(other, kind) for path, other in others.items()}
    found = detect(find_detector(), {name: recording, **heard}, logbook.folder)
    for path, findings in found.items():
        file = f"findings-{path}.json"
        logbook.journal.file(file)
        logbook.journal.append("findings", path=path, file=file, n_units=len(findings.units))
        yield chain.measured(f"units.found.{path}", float(len(findings.units)), "1")
    wanted = _in_place_of_truth(found[name])
    for path in others:
        yield chain.measured(
            f"agreement.f1.{path}",
            compare(found[path], wanted).f1,
            "1",
            note="F1 of the discharges found here, those found in the recording being wanted",
        )


def _of_kind(recording: Recording, kind: str) -> Recording:
    channels = tuple(replace(channel, kind=kind) for channel in recording.channels)
    return replace(recording, channels=channels)


def _in_place_of_truth(findings: Findings) -> Truth:
    """Return the units that were found as if they were true."""
    return Truth(
        units=tuple(
            MotorUnit(
                id=unit.id,
                muscle="",
                threshold=float("nan"),
                n_fibres=0,
                discharge_times_s=unit.discharge_times_s,
                muap_uv=unit.muap_uv,
                muap_start_s=unit.muap_start_s,
                arrival_s=0.0,
            )
            for unit in findings.units
        ),
        muap_rate_hz=findings.muap_rate_hz,
    )
