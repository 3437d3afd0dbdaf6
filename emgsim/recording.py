"""The data that flow through emgsim: recordings, their truth, and what an analysis finds in them.

Shapes are ``(n_samples, n_channels)`` for samples and ``(n_discharges,)`` for discharge times.
Samples are microvolts at the electrode, times are seconds on the scenario's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Kinds of a `Channel` that lies on the skin
SURFACE_KINDS = ("surface_bipolar", "belly_tendon", "surface_grid", "surface_pads")


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One recorded channel: its name, what kind of electrode made it, and its reference."""

    name: str
    kind: str = "concentric_needle"  # electrode kind; analysis plans are chosen by it
    reference: str = "cannula"
    band_hz: tuple[float, float] | None = None  # None: not filtered
    # Centre of what records, across, up to the skin, and along the fibres; None: not known
    position_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Samples that never arrived. They are NaN in the samples, never silently closed."""

    first_sample: int
    n_samples: int


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A multi-channel EMG recording in microvolts at the electrode.

    Parameters
    ----------
    samples_uv
        Shape ``(n_samples, n_channels)``, float64, microvolts.
    rate_hz
        Samples per second of the scenario's clock. Need not be an integer.
    channels
        One `Channel` per column.
    start_s
        Time of the first sample on the scenario's clock.
    gaps
        Runs of lost samples.

    Raises
    ------
    ValueError
        If the shapes do not fit each other or the rate is not positive.
    """

    samples_uv: Floats
    rate_hz: float
    channels: tuple[Channel, ...]
    start_s: float = 0.0
    gaps: tuple[Gap, ...] = ()

    def __post_init__(self) -> None:
        shape = np.shape(self.samples_uv)
        if len(shape) != 2:
            raise ValueError(f"samples_uv: expected (n_samples, n_channels), got {shape}")
        if shape[1] != len(self.channels):
            raise ValueError(f"channels: expected {shape[1]}, got {len(self.channels)}")
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise ValueError(f"rate_hz must be finite and > 0, got {self.rate_hz}")

    @property
    def n_samples(self) -> int:
        """Number of samples per channel."""
        return int(self.samples_uv.shape[0])

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return self.n_samples / self.rate_hz

    @property
    def times_s(self) -> Floats:
        """Time of every sample, shape ``(n_samples,)``, on the scenario's clock."""
        return self.start_s + np.arange(self.n_samples) / self.rate_hz

    def cut(self, start_s: float, stop_s: float) -> Recording:
        """Return the samples with ``start_s <= time < stop_s``."""
        # A time is a sample's own within a millionth of a sample: beyond rounding, below meaning.
        first, last = (
            int(np.ceil(np.clip((t - self.start_s) * self.rate_hz - 1e-6, 0, self.n_samples)))
            for t in (start_s, stop_s)
        )
        last = max(first, last)
        gaps = []
        for gap in self.gaps:
            a, b = max(gap.first_sample, first), min(gap.first_sample + gap.n_samples, last)
            if b > a:
                gaps.append(Gap(first_sample=a - first, n_samples=b - a))
        return replace(
            self,
            samples_uv=self.samples_uv[first:last],
            start_s=self.start_s + first / self.rate_hz,
            gaps=tuple(gaps),
        )


@dataclass(frozen=True, kw_only=True)
class FibreTruth:
    """When each near fibre of a motor unit sounded at each of its discharges.

    ``fibre`` holds the fibres' numbers within the unit, shape ``(n_fibres,)``; the other arrays are
    ``(n_discharges, n_fibres)``. ``arrival_s`` is the time at which the front of the fibre's action
    potential passes the electrode, on the scenario's clock; NaN where the fibre was blocked, or was
    not near at that discharge (its jitter is then below what can be heard, and not rendered).
    """

    fibre: NDArray[np.int64]
    arrival_s: Floats
    is_blocked: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class MotorUnit:
    """The truth about one motor unit.

    ``muap_uv`` has shape ``(n_muap_samples, n_channels)`` at ``Truth.muap_rate_hz``; the motor
    neuron's discharge falls on the time ``muap_start_s`` before its first sample, and the main
    spike of channel 0 comes ``arrival_s`` after the discharge; on the skin it is that of the
    channel where it is largest. The MUAP is without jitter, the mean over the discharges if it
    changed. ``fibres`` is given on request.
    """

    id: int
    muscle: str
    threshold: float  # fraction of maximal excitation at which it is recruited
    n_fibres: int
    discharge_times_s: Floats
    muap_uv: Floats
    muap_start_s: float
    arrival_s: float
    fibres: FibreTruth | None = None

    @property
    def peak_to_peak_uv(self) -> float:
        """Largest minus smallest value of the MUAP on channel 0."""
        return float(np.ptp(self.muap_uv[:, 0])) if self.muap_uv.size else 0.0

    @property
    def spike_times_s(self) -> Floats:
        """Times at which the main spike of each discharge stands at the electrode."""
        return self.discharge_times_s + self.arrival_s

    @property
    def n_discharges(self) -> int:
        """How often it discharged."""
        return self.discharge_times_s.size

    def between(self, onset_s: float, offset_s: float) -> MotorUnit:
        """Return the unit with the discharges whose spikes stand between two times only."""
        kept = (self.spike_times_s >= onset_s) & (self.spike_times_s < offset_s)
        fibres = self.fibres
        if fibres is not None:
            fibres = replace(
                fibres, arrival_s=fibres.arrival_s[kept], is_blocked=fibres.is_blocked[kept]
            )
        return replace(self, discharge_times_s=self.discharge_times_s[kept], fibres=fibres)


@dataclass(frozen=True, kw_only=True)
class SpontaneousSource:
    """The truth about one generator of spontaneous activity.

    ``potential_uv`` is ``(n, n_channels)`` at ``Truth.muap_rate_hz``, of a discharge of gain 1; it
    begins ``potential_start_s`` after the discharge. When it began and ended is in the `Event`
    whose ``source`` is its name.
    """

    name: str
    kind: str
    discharge_times_s: Floats
    gains: Floats  # (n_discharges,) factor on the potential
    potential_uv: Floats
    potential_start_s: float
    unit_id: int | None = None  # the motor unit that discharges as a whole; None: single fibres

    def between(self, onset_s: float, offset_s: float) -> SpontaneousSource:
        """Return the source with the discharges between two times only."""
        kept = (self.discharge_times_s >= onset_s) & (self.discharge_times_s < offset_s)
        return replace(self, discharge_times_s=self.discharge_times_s[kept], gains=self.gains[kept])


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that began and ended: a contraction, a rest, a run of fibrillations."""

    kind: str
    onset_s: float
    offset_s: float
    grade: float | None = None
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Stay:
    """The truth about a place at which a moving needle rested, from one move to the next.

    ``units`` are those that discharged meanwhile and can be seen there, with their discharges of
    that time and the MUAP that the needle hears from that place.
    """

    onset_s: float
    offset_s: float
    units: tuple[MotorUnit, ...]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """All that the simulator knows about a recording: every discharge, detectable or not."""

    units: tuple[MotorUnit, ...]
    muap_rate_hz: float
    events: tuple[Event, ...] = ()
    effort_times_s: Floats = field(default_factory=lambda: np.zeros(0))
    effort: Floats = field(default_factory=lambda: np.zeros(0))  # wanted, fraction of MVC force
    force: Floats = field(default_factory=lambda: np.zeros(0))  # made, fraction of MVC force
    needle: dict[str, float] = field(default_factory=dict)  # where it was at the beginning
    needle_path: tuple[dict[str, float], ...] = ()  # ends of its moves, each with its time_s
    conditions: tuple[str, ...] = ()
    spontaneous: tuple[SpontaneousSource, ...] = ()
    stays: tuple[Stay, ...] = ()  # empty if the needle did not move

    def at(self, onset_s: float, offset_s: float) -> Truth:
        """Return the truth of a stretch of time in which the needle rested.

        Units have the MUAP of that place and what they discharged then; sources of spontaneous
        activity have what they discharged then, and are left out if that is nothing.

        Raises
        ------
        ValueError
            If the needle moved meanwhile.
        """
        units = self.units
        if self.stays:
            here = [s for s in self.stays if s.onset_s <= onset_s and offset_s <= s.offset_s]
            if not here:
                raise ValueError(
                    f"the needle must rest from onset_s to offset_s, got {onset_s:g}..{offset_s:g}"
                )
            units = here[0].units
        return replace(
            self,
            units=tuple(u for unit in units if (u := unit.between(onset_s, offset_s)).n_discharges),
            events=tuple(e for e in self.events if e.offset_s > onset_s and e.onset_s < offset_s),
            spontaneous=tuple(
                s
                for source in self.spontaneous
                if (s := source.between(onset_s, offset_s)).discharge_times_s.size
            ),
            stays=(),
        )


@dataclass(frozen=True, kw_only=True)
class FoundUnit:
    """One motor unit as an analysis sees it.

    ``confidence`` is, per discharge, the probability that the unit discharged there within 0.5 ms;
    ``intervals`` holds low and high of a measure's 95 % interval under the measure's name.
    """

    id: int
    discharge_times_s: Floats  # times of the main spike
    muap_uv: Floats  # (n_muap_samples, n_channels), averaged
    muap_start_s: float  # time of the first MUAP sample relative to the spike
    measures: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    confidence: Floats | None = None  # (n_discharges,)


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """Activity at rest as an analysis sees it: one source, from its onset to its offset.

    It mirrors `SpontaneousSource`. ``discharge_times_s`` are times of the main spike, and empty for
    what has no single discharges (end-plate noise, hum); ``probability`` is that of ``kind``.
    """

    kind: str  # as in the gallery, "artefact" or "unknown"
    onset_s: float
    offset_s: float
    discharge_times_s: Floats
    potential_uv: Floats  # (n, n_channels), averaged
    potential_start_s: float  # time of the first sample relative to the spike
    probability: float = 1.0
    grade: float | None = None
    measures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AxisFinding:
    """What is found on one axis of a muscle's examination, and the measures behind it."""

    axis: str
    value: str  # the most probable one
    probabilities: dict[str, float]  # of every value of the axis; they sum to 1
    because: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What an analysis found. It mirrors `Truth` as far as an analysis can know it."""

    units: tuple[FoundUnit, ...]
    events: tuple[Event, ...] = ()
    runs: tuple[FoundRun, ...] = ()
    axes: tuple[AxisFinding, ...] = ()
    # {"id", "value", "unit", "low", "high"}, and "onset_s", "offset_s" if it is of a stretch
    measures: tuple[dict[str, Any], ...] = ()
    muap_rate_hz: float = 0.0
    plan: str = ""  # which plan was used and why

    def within(self, onset_s: float, offset_s: float) -> Findings:
        """Return what was found in a stretch of time.

        Units have their discharges of that time, and those without any are left out; potentials
        and measures stay those of the whole unit. Runs and events are kept whole if they overlap
        the stretch, rows of ``measures`` if their own ``onset_s`` and ``offset_s`` lie in it. What
        is said of the recording as a whole, axes and rows without times, is kept only if nothing
        was found outside the stretch.
        """
        units = tuple(_between(unit, onset_s, offset_s) for unit in self.units)
        episodes: tuple[FoundRun | Event, ...] = (*self.runs, *self.events)
        is_whole = sum(u.discharge_times_s.size for u in units) == sum(
            u.discharge_times_s.size for u in self.units
        ) and all(onset_s <= one.onset_s and one.offset_s <= offset_s for one in episodes)
        spans = [_span_s(row) for row in self.measures]
        return replace(
            self,
            units=tuple(unit for unit in units if unit.discharge_times_s.size),
            events=tuple(event for event in self.events if _overlaps(event, onset_s, offset_s)),
            runs=tuple(run for run in self.runs if _overlaps(run, onset_s, offset_s)),
            axes=self.axes if is_whole else (),
            measures=tuple(
                row
                for row, span in zip(self.measures, spans, strict=True)
                if (is_whole if span is None else onset_s <= span[0] and span[1] <= offset_s)
            ),
        )


def _between(unit: FoundUnit, onset_s: float, offset_s: float) -> FoundUnit:
    times_s, sure = unit.discharge_times_s, unit.confidence
    kept = (times_s >= onset_s) & (times_s < offset_s)
    return replace(
        unit, discharge_times_s=times_s[kept], confidence=None if sure is None else sure[kept]
    )


def _overlaps(one: FoundRun | Event, onset_s: float, offset_s: float) -> bool:
    """Tell whether something overlaps a stretch; what lasts no time is where its onset is."""
    return one.onset_s < offset_s and (one.offset_s > onset_s or one.onset_s >= onset_s)


def _span_s(row: dict[str, Any]) -> tuple[float, float] | None:
    """Return the stretch that a row of measures is of; None for the whole recording."""
    onset_s, offset_s = row.get("onset_s"), row.get("offset_s")
    return None if onset_s is None or offset_s is None else (float(onset_s), float(offset_s))
