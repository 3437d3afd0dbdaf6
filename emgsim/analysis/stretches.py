"""The recording of an examination, stretch by stretch.

The needle moves and the patient rests, contracts a little, and as strongly as he can: what is there
to be found differs from stretch to stretch, and units of one place are not those of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.contractions import Row, effort_measures
from emgsim.analysis.effort import segments
from emgsim.analysis.plan import NeedlePlan, Stretch
from emgsim.analysis.quality import LOWEST_RATE_HZ, MOST_CLIPPED, clipped_share
from emgsim.analysis.resting.insertion import insertional_length_s
from emgsim.analysis.resting.runs import SHORTEST_S, resting_runs
from emgsim.errors import InputError, NotAnalysableError
from emgsim.recording import Event, Findings, FoundRun, Recording

Floats = NDArray[np.float64]
Analysis = Callable[[Recording, NeedlePlan], Findings]
Episode = TypeVar("Episode", Event, FoundRun)

# Before a contraction: its first units discharge before anybody would see that it begins, and are
# no fasciculations
BEFORE_EFFORT_S = 0.25
EDGE_S = 0.01  # that the ends of a recording may be missing: what its alignment leaves out


def analyse_stretches(
    recording: Recording, plan: NeedlePlan, *, channels: Sequence[int], slight: Analysis
) -> Findings:
    """Analyse each stretch of an examination by what was done in it.

    Parameters
    ----------
    recording
        Of the whole examination; missing samples are NaN.
    plan
        With its ``stretches``.
    channels
        Columns that may be analysed. Of insertion, rest and strong effort it is the first of them
        that is neither missing nor clipped there.
    slight
        Analyses the recording of a slight effort, with a plan without stretches.

    Returns
    -------
    Findings
        Of all stretches, in the plan's order; units are numbered from 1 on, and a unit that is
        heard from two places is two. Rows of ``measures`` have their stretch's ``onset_s`` and
        ``offset_s``. A stretch from which no number can come is an event of kind
        ``"not_analysable"`` whose ``source`` says why.

    Raises
    ------
    InputError
        If a stretch reaches beyond the recording.
    NotAnalysableError
        If no stretch can be analysed.
    """
    _require_inside(recording, plan.stretches)
    alive = _alive(recording, channels)
    alone = plan.model_copy(update={"stretches": ()})
    parts: list[Findings] = []
    refused: list[NotAnalysableError] = []
    for stretch in plan.stretches:
        piece = recording.cut(stretch.onset_s, stretch.offset_s)
        try:
            if stretch.kind == "slight":
                found = _before_effort(slight(piece, alone))
            else:
                found = _WITHOUT_UNITS[stretch.kind](piece, _first_heard(piece, alive))
        except NotAnalysableError as error:
            refused.append(error)
            found = _refused(stretch, error)
        parts.append(_of_stretch(found, stretch))
    if len(refused) == len(parts):
        raise refused[0]
    return replace(
        joined(parts),
        muap_rate_hz=recording.rate_hz,
        plan=f"{plan.kind}: as asked for, in {len(parts)} stretches",
    )


def joined(parts: Iterable[Findings]) -> Findings:
    """Put findings of one recording after each other, their units numbered through from 1 on.

    They keep the order they come in; rate and plan are not set.
    """
    every = tuple(parts)
    units = (unit for part in every for unit in part.units)
    return Findings(
        units=tuple(replace(unit, id=number) for number, unit in enumerate(units, start=1)),
        events=tuple(event for part in every for event in part.events),
        runs=tuple(run for part in every for run in part.runs),
        axes=tuple(axis for part in every for axis in part.axes),
        measures=tuple(row for part in every for row in part.measures),
    )


def runs_at_rest(
    recording: Recording, channel: int, events: Sequence[Event]
) -> tuple[FoundRun, ...]:
    """Return what discharges by itself in each rest that is long enough to tell.

    The last quarter of a second before a contraction is none.
    """
    efforts_s = {event.onset_s for event in events if event.kind == "contraction"}
    found: list[FoundRun] = []
    for event in events:
        stop_s = event.offset_s - (BEFORE_EFFORT_S if event.offset_s in efforts_s else 0.0)
        if event.kind != "rest" or stop_s - event.onset_s < SHORTEST_S:
            continue
        with suppress(NotAnalysableError):  # mostly missing samples: nothing was heard there
            found += resting_runs(recording, channel=channel, start_s=event.onset_s, stop_s=stop_s)
    return tuple(found)


# -- what is done in a stretch ---------------------------------------------------------------------


def _insertion(piece: Recording, channel: int) -> Findings:
    """Measure how long the muscle goes on after the needle, which came to rest at the onset."""
    length_s = insertional_length_s(piece, piece.start_s, channel=channel)
    row: Row = {"id": "insertion.length_s", "value": length_s, "unit": "s"}
    return Findings(units=(), measures=(row | {"low": None, "high": None},))


def _rest(piece: Recording, channel: int) -> Findings:
    """Look for what discharges by itself: the patient was asked to rest, and nothing is an effort.

    Dense fibrillations fill the line as an effort does.
    """
    events: list[Event] = []
    for event in _segments(piece, channel):
        kind = "artefact" if event.kind == "artefact" else "rest"
        if events and events[-1].kind == kind:
            events[-1] = replace(events[-1], offset_s=event.offset_s)
        else:
            events.append(replace(event, kind=kind))
    return Findings(units=(), events=tuple(events), runs=runs_at_rest(piece, channel, events))


def _strong(piece: Recording, channel: int) -> Findings:
    """Measure the pattern; nobody tells units apart in it."""
    events = _segments(piece, channel)
    samples_uv = piece.samples_uv[:, channel]
    rows = effort_measures(samples_uv, piece.rate_hz, start_s=piece.start_s, events=events)
    return Findings(units=(), events=events, measures=rows)


_WITHOUT_UNITS: dict[str, Callable[[Recording, int], Findings]] = {
    "insertion": _insertion,
    "rest": _rest,
    "strong": _strong,
}


def _before_effort(found: Findings) -> Findings:
    """Return what was found in a slight effort, at rest only before it.

    A unit that discharges slowly, where no contraction was seen to begin, is no fibrillation.
    """
    onset_s = min((e.onset_s for e in found.events if e.kind == "contraction"), default=-np.inf)
    return replace(found, runs=tuple(run for run in found.runs if run.offset_s <= onset_s))


def _segments(piece: Recording, channel: int) -> tuple[Event, ...]:
    """Tell rest, contraction and artefact apart; what is silent from end to end is rest."""
    samples_uv, start_s = piece.samples_uv[:, channel], piece.start_s
    if np.nanmin(samples_uv) == np.nanmax(samples_uv):
        return (Event(kind="rest", onset_s=start_s, offset_s=start_s + piece.duration_s),)
    return segments(samples_uv, piece.rate_hz, start_s=start_s)


# -- what belongs to a stretch ---------------------------------------------------------------------


def _of_stretch(found: Findings, stretch: Stretch) -> Findings:
    """Give the rows their stretch, and take from events and runs what is beyond it.

    A stretch may end between two samples, and what is found in its samples a little later.
    """
    span = {"onset_s": stretch.onset_s, "offset_s": stretch.offset_s}
    return replace(
        found,
        events=tuple(_clipped(event, stretch) for event in found.events),
        runs=tuple(_clipped(run, stretch) for run in found.runs),
        measures=tuple(row | span for row in found.measures),
    )


def _clipped(one: Episode, stretch: Stretch) -> Episode:
    return replace(
        one,
        onset_s=max(one.onset_s, stretch.onset_s),
        offset_s=min(one.offset_s, stretch.offset_s),
    )


def _refused(stretch: Stretch, error: NotAnalysableError) -> Findings:
    event = Event(
        kind="not_analysable",
        onset_s=stretch.onset_s,
        offset_s=stretch.offset_s,
        source=f"{stretch.name}: {error.what.removeprefix('not analysable: ')}",
    )
    return Findings(units=(), events=(event,))


# -- what can be analysed --------------------------------------------------------------------------


def _require_inside(recording: Recording, stretches: Sequence[Stretch]) -> None:
    first_s, last_s = recording.start_s, recording.start_s + recording.duration_s
    for stretch in stretches:
        if stretch.onset_s < first_s - EDGE_S or stretch.offset_s > last_s + EDGE_S:
            raise InputError(
                f"a stretch must be within the recording ({first_s:g}..{last_s:g} s), got "
                f"{stretch.onset_s:g}..{stretch.offset_s:g} s",
                where=f"stretch {stretch.name!r}",
                todo="give the plan of this examination, on the recording's clock",
            )


def _alive(recording: Recording, channels: Sequence[int]) -> tuple[int, ...]:
    """Return the channels that are not flat from the first sample to the last.

    In a single rest a simulated muscle may be as silent as a broken electrode.
    """
    if recording.rate_hz < LOWEST_RATE_HZ:
        raise NotAnalysableError(
            f"not analysable: the rate must be >= {LOWEST_RATE_HZ:g} Hz for needle EMG, "
            f"got {recording.rate_hz:g} Hz",
            todo="record with a needle EMG rate, 20 kHz or more",
        )
    alive = []
    for channel in channels:
        samples_uv = recording.samples_uv[:, channel]
        present = samples_uv[np.isfinite(samples_uv)]
        if present.size and np.ptp(present) > 0:
            alive.append(channel)
    if not alive:
        raise NotAnalysableError(
            "not analysable: the channel is flat",
            where=f"channel {recording.channels[channels[0]].name!r}",
            todo="check the electrode, the cable and whether the amplifier is on",
        )
    return tuple(alive)


def _first_heard(piece: Recording, channels: Sequence[int]) -> int:
    """Return the first of the channels that is neither missing nor clipped.

    Raises
    ------
    NotAnalysableError
        If there is none; it says why of the first one.
    """
    faults = [_fault(piece.samples_uv[:, channel], piece.rate_hz) for channel in channels]
    if all(faults):
        raise NotAnalysableError(
            f"not analysable: {faults[0]}",
            where=f"channel {piece.channels[channels[0]].name!r}",
        )
    return channels[faults.index("")]


def _fault(samples_uv: Floats, rate_hz: float) -> str:
    """Say why no number could honestly come from a short stretch; nothing if one can."""
    present = samples_uv[np.isfinite(samples_uv)]
    if present.size < SHORTEST_S * rate_hz:
        return f"{present.size / rate_hz:.3g} s of samples, at least {SHORTEST_S:g} s are needed"
    share = clipped_share(present) if np.ptp(present) > 0 else 0.0
    if share > MOST_CLIPPED:
        return (
            f"{100 * share:.2g} % of the samples are clipped at "
            f"{present.min():.4g} or {present.max():.4g} uV"
        )
    return ""
