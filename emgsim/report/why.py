"""For each measurement that did not pass outright, the picture that shows why.

A measurement's kind is its id without the path: ``<analysis>.<measure>``. One table says which
pictures a kind has; measurements of one picture and one path share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emgsim.records.record import RunRecord
from emgsim.report.case import Case, Shown
from emgsim.report.material import Material
from emgsim.report.why_chain import clock, excursions, lags, lost, noise
from emgsim.report.why_pictures import detections, events, probability, sharing, timing
from emgsim.verdict import Measurement

AMISS = ("fail", "conditional_fail", "inconclusive", "conditional_pass")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A way to show why: its name in addresses, its title, and who draws it."""

    name: str
    title: str
    draw: Callable[[Case], Shown | None]


DETECTIONS = Picture(name="detections", title="Where discharges are missed or false",
                     draw=detections)  # fmt: skip
EVENTS = Picture(name="events", title="Where reports are missed or false", draw=events)
PROBABILITY = Picture(name="probability", title="What is found against how far it stands out",
                      draw=probability)  # fmt: skip
TIMING = Picture(name="timing", title="How late discharges are found", draw=timing)
SHARING = Picture(name="sharing", title="Which unit was found as which", draw=sharing)
EXCURSIONS = Picture(name="excursions", title="Amplitude against what was played",
                     draw=excursions)  # fmt: skip
NOISE = Picture(name="noise", title="Noise and its budget", draw=noise)
LAGS = Picture(name="lags", title="Alignment over the record", draw=lags)
CLOCK = Picture(name="clock", title="The clock over the record", draw=clock)
LOST = Picture(name="lost", title="Where samples are lost", draw=lost)

PICTURES: Mapping[str, tuple[Picture, ...]] = {
    "signal.over_budget": (NOISE,),
    "noise.added_uv": (NOISE,),
    "noise.budget_uv": (NOISE,),
    "noise.over_budget_pct": (NOISE,),
    "align.residual_us": (LAGS,),
    "align.clock_ppm": (CLOCK,),
    "align.group_delay_us": (EXCURSIONS,),
    "amplitude.error_pct": (EXCURSIONS,),
    "amplitude.polarity": (EXCURSIONS,),
    "amplitude.raw_difference_pct": (EXCURSIONS,),
    "amplitude.rms_error_pct": (EXCURSIONS,),
    "amplitude.peaks_error_pct": (EXCURSIONS,),
    "amplitude.worst_peak_error_pct": (EXCURSIONS,),
    "link.lost_samples": (LOST,),
    "discharges.sensitivity": (DETECTIONS, PROBABILITY),
    "discharges.precision": (DETECTIONS, SHARING),
    "discharges.f1": (DETECTIONS, PROBABILITY),
    "discharges.f1_all": (PROBABILITY,),
    "discharges.f1_250us": (DETECTIONS, TIMING),
    "discharges.f1_1000us": (DETECTIONS, TIMING),
    "discharges.f1_loss": (DETECTIONS,),
    "discharges.jaccard": (DETECTIONS,),
    "discharges.timing_us": (TIMING,),
    "discharges.lag_us": (TIMING,),
    "discharges.lag_range_us": (TIMING,),
    "units.detectable": (PROBABILITY,),
    "units.missed": (SHARING, PROBABILITY),
    "units.found": (SHARING,),
    "units.false": (SHARING,),
    "units.duplicate": (SHARING,),
    "units.split": (SHARING,),
    "units.merged": (SHARING,),
    "events.sensitivity": (EVENTS,),
    "events.precision": (EVENTS,),
    "agreement.f1": (DETECTIONS,),
}
"""The pictures of each kind of measurement that a run makes."""

WITHOUT: Mapping[str, str] = {
    "discharges.*_gross": "is of many recordings, none of which a page shows",
    "discharges.*_average": "is of many recordings, none of which a page shows",
}
"""Kinds that have no picture, and why."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """A picture with the measurements that it explains; ``shown`` is None if nothing can be drawn.

    ``anchor`` is its address on the page.
    """

    anchor: str
    title: str
    link: str  # the words of the link to it
    measurements: tuple[Measurement, ...]
    shown: Shown | None
    absent: str = "There is nothing to show: the folder lacks what the picture is made of."


def kind_of(id: str) -> tuple[str, str]:
    """Return a measurement's kind and its path.

    Examples
    --------
    >>> kind_of("discharges.f1.device")
    ('discharges.f1', 'device')
    """
    kind, _, path = id.rpartition(".")
    return kind, path


def reasons(folder: Path, record: RunRecord, material: Material) -> list[Reason]:
    """Return the pictures of all measurements that did not pass outright, each once.

    Measurements whose kind has no picture come last, together.

    Parameters
    ----------
    folder, record, material
        Of the run.
    """
    found: dict[tuple[str, str], tuple[Picture, list[Measurement]]] = {}
    unshown = []
    for m in record.measurements:
        if m.verdict not in AMISS:
            continue
        kind, path = kind_of(m.id)
        for picture in PICTURES.get(kind, ()):
            found.setdefault((picture.name, path), (picture, []))[1].append(m)
        if kind not in PICTURES:
            unshown.append(m)
    out: list[Reason] = []
    for (_, path), (picture, these) in found.items():
        case = Case(folder=folder, record=record, material=material, path=path,
                    measurements=tuple(these))  # fmt: skip
        out.append(
            Reason(
                anchor=f"why-{len(out) + 1}",
                title=f"{picture.title}: {path}",
                link=f"why: {picture.name}",
                measurements=tuple(these),
                shown=picture.draw(case),
            )
        )
    if unshown:
        out.append(_without(len(out) + 1, unshown))
    return out


def _without(number: int, these: list[Measurement]) -> Reason:
    return Reason(
        anchor=f"why-{number}",
        title="Measurements without a picture",
        link="why",
        measurements=tuple(these),
        shown=None,
        absent="Measurements of these kinds have no picture; their notes say what is known.",
    )


def anchors(these: list[Reason]) -> dict[str, list[Reason]]:
    """Return for each measurement's id the pictures that explain it."""
    out: dict[str, list[Reason]] = {}
    for reason in these:
        for m in reason.measurements:
            out.setdefault(m.id, []).append(reason)
    return out
