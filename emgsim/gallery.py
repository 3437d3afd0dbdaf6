"""The gallery: what the simulator can make, each with its scenario, picture, sound and truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emgsim.exhibits import Entry, Raster, entries, scenario_of, scenario_toml
from emgsim.recording import Floats, MotorUnit, Recording, SpontaneousSource, Truth
from emgsim.report.gallery_page import DIVISIONS, Exhibit, Sweeps, TruthRow, write_gallery
from emgsim.scenario import Scenario
from emgsim.simulation import simulate

SEED = 1
ARTEFACT = "artefact."  # begins the kind of an artefact's event
LISTED = 4  # rows of truth of each kind, the largest first
BEFORE = 2.0  # divisions between a sweep's begin and what it waits for
PEAK_S = 1.5e-3  # about a discharge's main spike, where a trigger looks for the peak
TRIGGER_SHARE = 0.2  # of the median size: what is smaller does not trigger


def gallery(
    output: Path,
    *,
    only: Iterable[str] = (),
    seed: int = SEED,
    progress: Callable[[str], None] = lambda _: None,
) -> int:
    """Simulate exhibits and write them into one page.

    Parameters
    ----------
    output
        File to write, HTML.
    only
        As of `emgsim.exhibits.entries`.
    seed
        Of every exhibit.
    progress
        Is told each exhibit's title before it is simulated.

    Returns
    -------
    int
        Number of exhibits.

    Raises
    ------
    UsageError
        If there is no such kind.
    """
    chosen = entries(only)

    def made() -> Iterator[Exhibit]:
        for entry in chosen:
            progress(entry.title)
            yield exhibit(entry, seed)

    write_gallery(output, made(), seed=seed)
    return len(chosen)


def exhibit(entry: Entry, seed: int = SEED) -> Exhibit:
    """Simulate an entry of the catalogue, and say where its sweeps begin and what is true.

    Raises
    ------
    InputError
        If its scenario cannot be simulated.
    """
    scenario = scenario_of(entry, seed)
    recording, truth = simulate(scenario)
    rows = truth_rows(truth, scenario)
    listed = _largest_of_each_kind(rows)
    return Exhibit(
        id=entry.id,
        title=entry.title,
        group=entry.group,
        words=" ".join(entry.words.split()),
        recording=recording,
        screen=_screen(entry, recording, truth),
        raster=None if entry.raster is None else _raster(entry, entry.raster, recording, truth),
        rows=listed,
        n_rows_left_out=len(rows) - len(listed),
        conditions=truth.conditions,
        toml=scenario_toml(entry, seed),
        marks_s=spikes_s(truth),
    )


# ---- what is true ------------------------------------------------------------------------------


def truth_rows(truth: Truth, scenario: Scenario) -> tuple[TruthRow, ...]:
    """Return sources, motor units and artefacts by kind, the largest of each kind first."""
    sources = sorted(truth.spontaneous, key=lambda source: (source.kind, -_size_uv(source)))
    units = sorted(truth.units, key=lambda unit: -unit.peak_to_peak_uv)
    return (
        *(_source_row(source, truth) for source in sources),
        *(_unit_row(unit) for unit in units if unit.discharge_times_s.size),
        *_artefact_rows(truth),
        *_lasting_artefact_rows(truth, scenario),
    )


def _largest_of_each_kind(rows: tuple[TruthRow, ...]) -> tuple[TruthRow, ...]:
    listed = [list(some)[:LISTED] for _, some in groupby(rows, lambda row: row.kind)]
    return tuple(row for some in listed for row in some)


def _source_row(source: SpontaneousSource, truth: Truth) -> TruthRow:
    event = next(event for event in truth.events if event.source == source.name)
    who = "single fibres" if source.unit_id is None else f"motor unit {source.unit_id}"
    return TruthRow(
        kind=source.kind,
        source=f"{source.name.removeprefix(source.kind).strip()}, {who}",
        onset_s=event.onset_s,
        offset_s=event.offset_s,
        n=source.discharge_times_s.size,
        grade=_grade_text(event.grade),
        peak_to_peak_uv=_size_uv(source),
        **_rhythm(source.discharge_times_s)._asdict(),
    )


def _unit_row(unit: MotorUnit) -> TruthRow:
    times_s = unit.discharge_times_s
    return TruthRow(
        kind="voluntary discharges",
        source=f"motor unit {unit.id}, {unit.n_fibres} fibres",
        onset_s=float(times_s[0]),
        offset_s=float(times_s[-1]),
        n=times_s.size,
        peak_to_peak_uv=unit.peak_to_peak_uv,
        **_rhythm(times_s)._asdict(),
    )


def _artefact_rows(truth: Truth) -> Iterator[TruthRow]:
    events = sorted(
        (event for event in truth.events if event.kind.startswith(ARTEFACT)),
        key=lambda event: (event.kind, event.onset_s),
    )
    for kind, some in groupby(events, lambda event: event.kind):
        same = list(some)
        yield TruthRow(
            kind=kind.removeprefix(ARTEFACT),
            source="artefact",
            onset_s=same[0].onset_s,
            offset_s=max(event.offset_s for event in same),
            n=len(same),
            **_rhythm(np.array([event.onset_s for event in same]))._asdict(),
        )


def _lasting_artefact_rows(truth: Truth, scenario: Scenario) -> Iterator[TruthRow]:
    """Yield the artefacts that neither begin nor end: they have no event."""
    told = {event.kind.removeprefix(ARTEFACT) for event in truth.events}
    for artefact in scenario.artefacts:
        if artefact.kind not in told:
            yield TruthRow(
                kind=artefact.kind,
                source="artefact, all the time",
                onset_s=0.0,
                offset_s=scenario.duration_s,
            )


class Rhythm(NamedTuple):
    """How a train goes; None where it is too short to say."""

    rate_hz: float | None = None
    rates_hz: tuple[float, float] | None = None
    cov: float | None = None


def _rhythm(times_s: Floats) -> Rhythm:
    """Return the rate of the median interval, of the centiles 95 and 5, and the CoV of all."""
    intervals_s = np.diff(times_s)
    if intervals_s.size < 2:
        return Rhythm()
    long_s, median_s, short_s = np.percentile(intervals_s, (95, 50, 5)).tolist()
    cov = round(float(intervals_s.std(ddof=1) / intervals_s.mean()), 6)  # no rounding noise
    return Rhythm(1 / median_s, (1 / long_s, 1 / short_s), cov)


def _grade_text(grade: float | None) -> str:
    if grade is None:
        return ""
    return {0.0: "0", 0.5: "+/−"}.get(grade, f"{grade:g}+")


def _size_uv(source: SpontaneousSource) -> float:
    if source.potential_uv.size == 0:
        return 0.0
    return float(np.ptp(source.potential_uv[:, 0]) * source.gains.max(initial=0.0))


# ---- where sweeps begin ------------------------------------------------------------------------


def _screen(entry: Entry, recording: Recording, truth: Truth) -> Sweeps:
    sweep_s_div, start_s = entry.sweep_ms_div / 1e3, entry.start_s
    if entry.is_triggered:
        times_s = spikes_s(truth)
        start_s = triggered_s(recording, times_s, after_s=start_s, before_s=BEFORE * sweep_s_div)[0]
    return Sweeps(starts_s=(start_s,), sweep_s_div=sweep_s_div, gain_uv_div=entry.gain_uv_div)


def _raster(entry: Entry, raster: Raster, recording: Recording, truth: Truth) -> Sweeps:
    sweep_s_div, after_s = (raster.sweep_ms_div or entry.sweep_ms_div) / 1e3, entry.start_s
    if raster.by == "time":
        length_s = DIVISIONS * sweep_s_div
        n = min(raster.sweeps, int((recording.duration_s - after_s) / length_s + 1e-6))
        starts_s = [after_s + k * length_s for k in range(max(n, 1))]
    else:
        all_s = spikes_s(truth) if raster.by == "largest" else _spikes_of_kind_s(truth, entry.kind)
        before_s = BEFORE * sweep_s_div
        found = triggered_s(recording, all_s, after_s=after_s, before_s=before_s)
        evenly = np.unique(np.linspace(0, len(found) - 1, raster.sweeps).astype(int))
        starts_s = [found[k] for k in evenly]
    return Sweeps(
        starts_s=tuple(starts_s),
        sweep_s_div=sweep_s_div,
        gain_uv_div=raster.gain_uv_div or entry.gain_uv_div,
        words="one after the other"
        if raster.by == "time"
        else "triggered by discharges of the whole recording",
    )


def spikes_s(truth: Truth) -> Floats:
    """Return the times of main spikes of the largest that discharges, else of artefacts' onsets."""
    trains = [(_size_uv(s), _main_spikes_s(s, truth.muap_rate_hz)) for s in truth.spontaneous]
    trains += [(unit.peak_to_peak_uv, unit.spike_times_s) for unit in truth.units]
    if not trains:
        return np.array([e.onset_s for e in truth.events if e.kind.startswith(ARTEFACT)])
    return max(trains, key=lambda one: one[0])[1]


def _spikes_of_kind_s(truth: Truth, kind: str) -> Floats:
    """Return the times of main spikes of all sources of a kind, one of them after the other."""
    sources = [source for source in truth.spontaneous if source.kind == kind]
    times_s = [_main_spikes_s(source, truth.muap_rate_hz) for source in sources]
    return np.sort(np.concatenate([*times_s, np.zeros(0)]))


def _main_spikes_s(source: SpontaneousSource, rate_hz: float) -> Floats:
    main = int(np.argmax(np.abs(source.potential_uv[:, 0]))) if source.potential_uv.size else 0
    return np.asarray(source.discharge_times_s + source.potential_start_s + main / rate_hz)


def triggered_s(
    recording: Recording, times_s: Floats, *, after_s: float, before_s: float
) -> list[float]:
    """Return where the sweeps begin that a trigger on the signal's peaks starts.

    Parameters
    ----------
    recording
        Its first channel triggers.
    times_s
        Of the discharges that may trigger.
    after_s, before_s
        Since when there is a trigger, and how long before its peak a sweep begins.

    Returns
    -------
    list of float
        In their order; only ``after_s`` if nothing triggers.
    """
    peaks = [_peak(recording, float(time_s)) for time_s in times_s if time_s >= after_s]
    least_uv = TRIGGER_SHARE * float(np.median([size_uv for _, size_uv in peaks] or [0.0]))
    found = [time_s - before_s for time_s, size_uv in peaks if size_uv >= least_uv]
    return [start_s for start_s in found if start_s >= 0] or [after_s]


def _peak(recording: Recording, time_s: float) -> tuple[float, float]:
    """Return the time of the largest negative peak about a time, and the peak-to-peak size."""
    near = recording.cut(time_s - PEAK_S, time_s + PEAK_S)
    samples_uv = near.samples_uv[:, 0]
    if samples_uv.size == 0:
        return time_s, 0.0
    return float(near.times_s[np.argmin(samples_uv)]), float(np.ptp(samples_uv))
