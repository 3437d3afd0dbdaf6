"""One analysis of surface EMG for every path: amplitude, spectrum, velocity, tasks, motor units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.analysis.conditioning import bridged
from emgsim.analysis.onset import onsets
from emgsim.analysis.plan import Step, SurfacePlan
from emgsim.analysis.quality import MOST_CLIPPED, clipped_share
from emgsim.analysis.separation.decomposition import SurfaceUnit, decompose_surface
from emgsim.analysis.surface.amplitude import envelope_uv
from emgsim.analysis.surface.fatigue import fatigue
from emgsim.analysis.surface.filtering import band_passed
from emgsim.analysis.surface.flexion import Phases, flexion_relaxation
from emgsim.analysis.surface.gaps import muscle_load
from emgsim.analysis.surface.heartbeat import without_heartbeat
from emgsim.analysis.surface.intervals import Estimate
from emgsim.analysis.surface.measuring import surface_measures
from emgsim.analysis.surface.velocity import differential
from emgsim.analysis.trains import train_measures
from emgsim.errors import NotAnalysableError
from emgsim.recording import SURFACE_KINDS, Event, Findings, FoundUnit, Gap, Recording

Floats = NDArray[np.float64]
Row = dict[str, Any]  # "id", "value", "unit", "low", "high", "onset_s", "offset_s"

LOWEST_RATE_HZ = 950.0  # the band reaches up to 450 Hz
ENOUGH_HZ, SLOW_BAND = 2_000.0, 0.4  # faster recordings are read at 2-4 kHz, up to 0.4 of it
SHORTEST_S = 1.0
LEAST_S = 0.5  # of an event that is measured
GRID = 16  # channels from which on motor units are looked for
LONG_S = 20.0  # a contraction in which fatigue is looked for
GAP_S, BURST_S = 0.3, 0.3  # shorter ones are closed, or are no contraction
RESTING_UV = 5.0  # rms: rest is 1-3 [M]; a recording all above it is an effort
FEWEST = 4  # channels in a row, for a velocity
ENVELOPE_S = 0.25  # of flexion and relaxation
SPANS = ("standing_s", "flexion_s", "full_flexion_s", "re_extension_s")
BEND = ("standing", "flexion", "full flexion", "re-extension")  # the steps of one bend


def analyse_surface(recording: Recording, plan: SurfacePlan) -> Findings:
    """Measure contractions, or a task, and find the motor units under a grid.

    Parameters
    ----------
    recording
        Any rate from 950 Hz; missing samples are NaN. Channels of a surface electrode are analysed;
        if none is named so, all are.
    plan
        What to look for.

    Returns
    -------
    Findings
        Contractions as events, units, and rows of measures with 95 % intervals.

    Raises
    ------
    NotAnalysableError
        If no channel holds anything that a number could honestly come from, or the steps of the
        task are not there.
    """
    recorded = _of_skin(recording)
    channels = _analysable(recorded)  # as it was recorded: a filter hides what is clipped or flat
    skin = _slowed(recorded)
    good = _of_channels(skin, channels)
    events = _steps(plan, good) or _contractions(good)
    heard = _heard(events, good)
    column = _column(good, heard)
    rows = surface_measures(
        column.samples_uv,
        good.rate_hz,
        good.start_s,
        heard,
        along_mm=column.along_mm,
        mains_hz=plan.mains_hz,
    )
    return Findings(
        units=_units(skin, plan),
        events=events,
        measures=(*rows, *_fatigue(column, good, heard, plan), *_task(good, plan)),
        muap_rate_hz=skin.rate_hz,
        plan=_reason(skin, good),
    )


def _of_skin(recording: Recording) -> Recording:
    """Return the channels that are on the skin by their kind; if none is named so, all."""
    named = [k for k, channel in enumerate(recording.channels) if channel.kind in SURFACE_KINDS]
    return _of_channels(recording, named) if named else recording


def _slowed(recording: Recording) -> Recording:
    """Return a recording of no more than twice the rate that surface EMG needs, without delay."""
    every = int(recording.rate_hz // ENOUGH_HZ)
    if every < 2:
        return recording
    slow_hz = recording.rate_hz / every
    sos = signal.butter(8, SLOW_BAND * slow_hz, fs=recording.rate_hz, output="sos")
    samples_uv = np.full((-(-recording.n_samples // every), len(recording.channels)), np.nan)
    for column, uv in zip(samples_uv.T, recording.samples_uv.T, strict=True):
        present = np.isfinite(uv)
        if present.any():
            smooth = signal.sosfiltfilt(sos, bridged(uv))
            column[:] = np.where(present, smooth, np.nan)[::every]
    gaps = [gap for gap in recording.gaps if gap.n_samples >= every]
    return replace(
        recording,
        samples_uv=samples_uv,
        rate_hz=slow_hz,
        gaps=tuple(
            Gap(first_sample=-(-gap.first_sample // every), n_samples=gap.n_samples // every)
            for gap in gaps
        ),
    )


def _of_channels(recording: Recording, channels: Sequence[int]) -> Recording:
    return replace(
        recording,
        samples_uv=recording.samples_uv[:, list(channels)],
        channels=tuple(recording.channels[k] for k in channels),
    )


def _analysable(recording: Recording) -> list[int]:
    """Return the channels from which numbers can honestly come; there is one at least."""
    if recording.rate_hz < LOWEST_RATE_HZ:
        raise NotAnalysableError(
            f"not analysable: the rate must be >= {LOWEST_RATE_HZ:g} Hz for surface EMG, "
            f"got {recording.rate_hz:g} Hz",
            todo="record at 1 kHz or more",
        )
    faults = [_fault(uv, recording.rate_hz) for uv in recording.samples_uv.T]
    good = [k for k, fault in enumerate(faults) if not fault]
    if not good:
        raise NotAnalysableError(
            f"not analysable: {faults[0] if faults else 'the recording has no channel'}",
            where=f"channel {recording.channels[0].name!r}" if faults else "",
            todo="check electrodes, cables and gain",
        )
    return good


def _fault(samples_uv: Floats, rate_hz: float) -> str:
    """Return why a channel cannot be analysed; nothing if it can."""
    present = samples_uv[np.isfinite(samples_uv)]
    if present.size < SHORTEST_S * rate_hz:
        seconds = present.size / rate_hz
        return f"{seconds:.3g} s of samples, at least {SHORTEST_S:g} s are needed"
    if np.ptp(present) == 0:
        return f"the channel is flat at {present[0]:g} uV"
    share = clipped_share(present)
    if share > MOST_CLIPPED:
        return f"{100 * share:.2g} % of the samples are clipped"
    return ""


def _reason(skin: Recording, good: Recording) -> str:
    """Return which plan was used on what, and which channels were left out."""
    first, n = skin.channels[0], len(skin.channels)
    more = f" and {n - 1} more" if n > 1 else ""
    told = f"surface: channel {first.name!r}{more} of kind {first.kind}"
    names = {channel.name for channel in good.channels}
    bad = [channel.name for channel in skin.channels if channel.name not in names]
    return f"{told}; left out: {', '.join(bad)}" if bad else told


# -- contractions --------------------------------------------------------------------------------


def _steps(plan: SurfacePlan, recording: Recording) -> tuple[Event, ...]:
    """Return what the plan says was done while it was recorded, in the words of its steps."""
    begin_s, end_s = recording.start_s, recording.start_s + recording.duration_s
    return tuple(
        Event(
            kind="rest" if step.name.startswith("rest") else "contraction",
            onset_s=max(begin_s, step.onset_s),
            offset_s=min(end_s, step.offset_s),
            source=step.name,
        )
        for step in plan.steps
        if step.onset_s < end_s and step.offset_s > begin_s
    )


def _heard(events: Sequence[Event], recording: Recording) -> tuple[Event, ...]:
    """Return the events of which each channel has samples enough to be measured."""
    return tuple(
        event
        for event in events
        if np.isfinite(recording.cut(event.onset_s, event.offset_s).samples_uv).sum(axis=0).min()
        >= LEAST_S * recording.rate_hz
    )


def _contractions(recording: Recording) -> tuple[Event, ...]:
    """Find rest and contraction in the channel whose power is the median."""
    rate_hz, begin_s = recording.rate_hz, recording.start_s
    end_s = begin_s + recording.duration_s
    power = np.nanvar(recording.samples_uv, axis=0)
    middle = int(np.argsort(power)[(power.size - 1) // 2])
    one_uv = band_passed(recording.samples_uv[:, middle], rate_hz)
    try:
        bursts = onsets(one_uv, rate_hz, start_s=begin_s, least_gap_s=GAP_S, least_burst_s=BURST_S)
    except NotAnalysableError:  # it is too short to show a second of rest
        bursts = ()
    if not bursts:
        kind = "contraction" if np.sqrt(np.nanmean(one_uv**2)) > RESTING_UV else "rest"
        return (Event(kind=kind, onset_s=begin_s, offset_s=end_s),)
    edges_s = [begin_s]
    for burst in bursts:
        edges_s += [max(begin_s, burst.onset_s), min(end_s, burst.offset_s)]
    edges_s.append(end_s)
    kinds = ("rest", "contraction")
    return tuple(
        Event(kind=kinds[number % 2], onset_s=onset_s, offset_s=offset_s)
        for number, (onset_s, offset_s) in enumerate(pairwise(edges_s))
        if offset_s > onset_s
    )


class _Column(NamedTuple):
    """Channels that are measured together: one, or differential ones along the fibres."""

    samples_uv: Floats
    along_mm: Floats | None


def _column(recording: Recording, events: Sequence[Event]) -> _Column:
    """Return the row of channels along the fibres that hears the contractions best.

    Of a grid turned against the fibres, or one that says no places, all channels are measured, and
    no velocity.
    """
    rows: dict[float, list[tuple[float, int]]] = {}
    for k, channel in enumerate(recording.channels):
        if channel.position_mm is None or channel.reference == "neighbours":
            return _Column(recording.samples_uv, None)
        across_mm, _, along_mm = channel.position_mm
        rows.setdefault(round(across_mm, 1), []).append((along_mm, k))
    found = [_differential(recording, sorted(row)) for row in rows.values() if len(row) >= FEWEST]
    if not found:
        return _Column(recording.samples_uv, None)
    return max(found, key=lambda column: _power(column, recording, events))


def _differential(recording: Recording, row: Sequence[tuple[float, int]]) -> _Column:
    """Return channels along the fibres, monopolar ones against their neighbours."""
    along_mm = np.array([along for along, _ in row])
    samples_uv = recording.samples_uv[:, [k for _, k in row]]
    if recording.channels[row[0][1]].reference != "remote":
        return _Column(samples_uv, along_mm)
    return _Column(*differential(samples_uv, along_mm))


def _power(column: _Column, recording: Recording, events: Sequence[Event]) -> float:
    work = [
        column.samples_uv[(recording.times_s >= e.onset_s) & (recording.times_s < e.offset_s)]
        for e in events
        if e.kind == "contraction"
    ]
    return float(np.nanmedian(np.nanvar(np.concatenate(work), axis=0))) if work else 0.0


def _fatigue(
    column: _Column, recording: Recording, events: Sequence[Event], plan: SurfacePlan
) -> Iterator[Row]:
    """Yield how each long contraction changes, in percent of its beginning per minute."""
    along_mm = np.zeros(1) if column.along_mm is None else column.along_mm  # one has no velocity
    for event in events:
        if event.kind != "contraction" or event.offset_s - event.onset_s < LONG_S:
            continue
        step = Step(name="contraction", onset_s=event.onset_s, offset_s=event.offset_s)
        work_uv = column.samples_uv[slice(*_samples(step, recording)), : along_mm.size]
        band_uv = np.column_stack([band_passed(uv, recording.rate_hz) for uv in work_uv.T])
        found = fatigue(band_uv, recording.rate_hz, along_mm, mains_hz=plan.mains_hz)
        for name, line in (
            ("mnf", found.mean_hz),
            ("mdf", found.median_hz),
            ("rms", found.rms_uv),
            ("velocity", found.velocity_m_s),
        ):
            if np.isfinite(line.slope_per_s.value):
                yield _row(f"fatigue.{name}_pct_per_min", line.relative, "%/min", step)


# -- motor units ---------------------------------------------------------------------------------


def _units(recording: Recording, plan: SurfacePlan) -> tuple[FoundUnit, ...]:
    """Return the motor units of a grid, the largest potential first."""
    wanted = plan.decomposition or ("standard" if len(recording.channels) >= GRID else "none")
    if wanted == "none":
        return ()
    try:
        found = decompose_surface(recording.samples_uv, recording.rate_hz, effort=wanted).units
    except NotAnalysableError:
        if plan.decomposition:
            raise
        return ()
    order = sorted(found, key=lambda unit: -float(np.nanmax(np.ptp(unit.muap_uv, axis=0))))
    return tuple(_found(unit, number, recording) for number, unit in enumerate(order, 1))


def _found(unit: SurfaceUnit, number: int, recording: Recording) -> FoundUnit:
    times_s = recording.start_s + unit.discharge_times_s
    return FoundUnit(
        id=number,
        discharge_times_s=times_s,
        muap_uv=np.nan_to_num(unit.muap_uv),  # of channels that were left out
        muap_start_s=unit.muap_start_s,
        measures={
            **train_measures(times_s),
            "peak_to_peak_uv": float(np.nanmax(np.ptp(unit.muap_uv, axis=0))),
            "silhouette": unit.silhouette,
            "pulse_to_noise_db": unit.pnr_db,
        },
    )


# -- tasks ---------------------------------------------------------------------------------------


def _task(recording: Recording, plan: SurfacePlan) -> Iterator[Row]:
    """Yield what the plan's task asks for, of the first channel."""
    if plan.task == "low_load":
        yield from _low_load(recording, plan)
    elif plan.task == "flexion_relaxation":
        yield from _bends(recording, plan)


def _low_load(recording: Recording, plan: SurfacePlan) -> Iterator[Row]:
    """Yield gaps and load of each stretch of work, or of the recording as a whole."""
    if plan.mvc_uv is None or plan.noise_uv is None:
        raise ValueError("plan: mvc_uv and noise_uv must be given for task = 'low_load'")
    muscle_uv = without_heartbeat(recording.samples_uv[:, 0], recording.rate_hz)
    ends_s = recording.start_s + recording.duration_s
    whole = Step(name="work", onset_s=recording.start_s, offset_s=ends_s)
    for step in [s for s in plan.steps if not s.name.startswith("rest")] or [whole]:
        first, stop = _samples(step, recording)
        load = muscle_load(
            muscle_uv[first:stop],
            recording.rate_hz,
            mve_uv=plan.mvc_uv,
            noise_uv=plan.noise_uv,
            start_s=step.onset_s,
        )
        gaps = load.gaps_per_minute
        yield _row("load.gaps_per_min", gaps, "1/min", step)
        for name, value, unit in (
            ("gap_share_pct", 100 * load.gap_share, "%"),
            ("static_pct", load.static_percent, "%"),
            ("median_pct", load.median_percent, "%"),
            ("peak_pct", load.peak_percent, "%"),
            ("rest_uv", load.rest_uv, "uV"),
        ):
            yield _row(f"load.{name}", value, unit, step)


def _bends(recording: Recording, plan: SurfacePlan) -> Iterator[Row]:
    """Yield how the muscle relaxes in each bend."""
    names = tuple(step.name for step in plan.steps)
    starts = [k for k in range(len(names)) if names[k : k + len(BEND)] == BEND]
    if not starts:
        raise NotAnalysableError(
            f"not analysable: no steps {', '.join(BEND)}, one after the other",
            todo="name the steps of each bend so in the plan",
        )
    envelope = envelope_uv(
        without_heartbeat(recording.samples_uv[:, 0], recording.rate_hz),
        recording.rate_hz,
        ENVELOPE_S,
    )
    for start in starts:
        steps = plan.steps[start : start + len(BEND)]
        spans = (_span(step, recording) for step in steps)
        phases = Phases(**dict(zip(SPANS, spans, strict=True)))
        try:
            found = flexion_relaxation(envelope, recording.rate_hz, phases)
        except ValueError as error:  # a phase is too short, or was not recorded
            raise NotAnalysableError(
                f"not analysable: {error}", todo="record each bend to its end"
            ) from error
        bend = Step(name="bend", onset_s=steps[0].onset_s, offset_s=steps[-1].offset_s)
        for name in ("standing_uv", "flexion_uv", "full_flexion_uv", "re_extension_uv"):
            yield _row(f"flexion.{name}", getattr(found, name), "uV", bend)
        for name in ("flexion_ratio", "re_extension_ratio", "relaxation_probability"):
            yield _row(f"flexion.{name}", getattr(found, name), "1", bend)


def _span(step: Step, recording: Recording) -> tuple[float, float]:
    """Return where the envelope hears nothing but a step, after the recording's first sample."""
    first, stop = _samples(step, recording)
    return first / recording.rate_hz + ENVELOPE_S / 2, stop / recording.rate_hz - ENVELOPE_S / 2


def _samples(step: Step, recording: Recording) -> tuple[int, int]:
    """Return a step's first sample and the one after its last."""
    first, stop = (
        int(np.clip(round((at_s - recording.start_s) * recording.rate_hz), 0, recording.n_samples))
        for at_s in (step.onset_s, step.offset_s)
    )
    return first, stop


def _row(name: str, found: Estimate | float, unit: str, step: Step) -> Row:
    value, low, high = (
        (found.value, found.low, found.high)
        if isinstance(found, Estimate)
        else (found, np.nan, np.nan)
    )
    return {
        "id": name,
        "value": float(value),
        "unit": unit,
        "low": float(low) if np.isfinite(low) else None,
        "high": float(high) if np.isfinite(high) else None,
        "onset_s": step.onset_s,
        "offset_s": step.offset_s,
    }
