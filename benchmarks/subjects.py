"""Virtual subjects with every condition, examined as in the clinic; see `axes.py`.

At six sites of the biceps the needle is advanced until a unit is near, rests, and hears a slight
effort (5 % of maximal force), at three of them the strongest one too. `CASES` says what each
condition must show, and why: the H are sections of the project's physiological reference. An axis
on which a condition may show one or the other is not judged.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.axes import AXES
from emgsim.analysis.contractions import effort_measures
from emgsim.analysis.core import analyse
from emgsim.analysis.effort import segments
from emgsim.analysis.jitter import jitter_pairs
from emgsim.analysis.mixtures import CRISP_US
from emgsim.analysis.quantification import quantified
from emgsim.configuration import validated
from emgsim.errors import InputError
from emgsim.physiology.patient import Patient
from emgsim.recording import Findings, FoundRun, FoundUnit, Recording, Truth
from emgsim.scenario import SCHEMA, Scenario, muscle_catalogue
from emgsim.simulation import patient_of, simulate

Floats = NDArray[np.float64]

MUSCLE = "biceps_brachii"
N_SITES = 6
N_STRONG = 3  # of them, at which the strongest effort is asked for
MOST_NOISE_US = 20.0  # of a pair's jitter that may be the recording's
SPLIT_US = 5.0  # below it two spikes are of one fibre (Stalberg & Trontelj)
RATE_HZ = 24_000.0
SLIGHT = (
    {"kind": "rest", "duration_s": 2.0},
    {"kind": "hold", "duration_s": 5.0, "level_mvc": 0.05, "ramp_s": 0.5},
)
STRONG = ({"kind": "hold", "duration_s": 3.0, "level_mvc": 0.9, "ramp_s": 0.4},)
LONGEST_STRONG_S = 5.0  # longer recordings are those of rest and the slight effort
WORKING_S = 3.0  # from when on the slight effort goes on
FASCICULATIONS_PER_MIN = 30.0  # so that six times two seconds hold some


@dataclass(frozen=True, kw_only=True)
class Case:
    """A condition, what it must show, and why; an axis that is not named is not judged."""

    conditions: tuple[dict[str, Any], ...] = ()
    spontaneous: tuple[dict[str, Any], ...] = ()
    shows: Mapping[str, str] = field(default_factory=dict)
    form: str = ""  # of its value of recruitment, of which there are several
    why: str = ""
    age_years: float = 40.0
    patchy: bool = False  # many of its units are as in health: none of them sets a reference value


def shows(
    denervation: str = "",
    muap: str = "",
    recruitment: str = "",
    stability: str = "",
    special: str = "none",
) -> dict[str, str]:
    """Return what is judged; an empty value is not."""
    values = (denervation, muap, recruitment, stability, special)
    return {axis: value for axis, value in zip(AXES, values, strict=True) if value}


NOTHING = shows("no", "normal", "normal", "stable")
WEAK = 0.7  # of the units lost: weakness begins at 70-80 %; McComas 1971, JNNP 34:121 [M]
CASES: dict[str, Case] = {
    "healthy": Case(shows=NOTHING, why="nothing is wrong"),
    "ageing": Case(
        conditions=({"kind": "ageing", "years": 71},),
        age_years=71.0,
        shows=NOTHING,
        why="normal for the age",
    ),
    "chronic loss": Case(
        conditions=({"kind": "axonal_loss", "share": WEAK, "months": 24},),
        form="reinnervated",
        shows=shows("no", "neurogenic", "reduced", "stable"),
        why="H.1: large, mature and stable after two years, no fibre left without nerve",
    ),
    "subacute loss": Case(
        conditions=({"kind": "axonal_loss", "share": WEAK, "months": 3},),
        form="sprouting",
        shows=shows("yes", "neurogenic", "reduced", "unstable"),
        why="H.1: fibrillations until all are adopted; polyphasic, unstable from week 6 to 12",
    ),
    "acute loss": Case(
        conditions=({"kind": "axonal_loss", "share": WEAK, "months": 0.75},),
        form="missing",
        shows=shows("yes", "", "reduced"),
        why="H.1: recruitment at once, fibrillations after 21 days; MUAPs just begin to change",
    ),
    "radiculopathy": Case(
        conditions=({"kind": "radiculopathy", "root": "C5", "share": 0.5, "weeks": 10},),
        patchy=True,
        shows=shows("yes", "neurogenic", "", "unstable"),
        why="H.8: as H.1 in 30 % of the units; so few missing ones may or may not show",
    ),
    "entrapment": Case(
        conditions=(
            {"kind": "entrapment", "nerve": "musculocutaneous", "share": WEAK, "weeks": 13},
        ),
        form="sprouting",
        shows=shows("yes", "neurogenic", "reduced", "unstable"),
        why="H.1 at three months",
    ),
    "motor neuron disease": Case(
        conditions=(
            {
                "kind": "motor_neuron_disease",
                "months": 12,
                "fasciculations_per_min": FASCICULATIONS_PER_MIN,
            },
        ),
        form="reinnervated",
        shows=shows("yes", "neurogenic", "reduced", "unstable", "fasciculation"),
        why="H.7: 60 % of the units lost, the loss goes on",
    ),
    "nascent units": Case(
        conditions=(
            {"kind": "axonal_loss", "share": 1.0, "months": 6},
            {"kind": "nascent_reinnervation", "share": 0.5, "months": 1},
        ),
        form="few",
        shows=shows("yes", "", "reduced"),
        why="H.1: few units; their MUAPs are small and short as in myopathy, only fewer",
    ),
    "conduction block": Case(
        conditions=({"kind": "conduction_block", "share": WEAK},),
        form="missing",
        shows=shows("no", "normal", "reduced", "stable"),
        why="H.2: units missing, nothing else",
    ),
    "myopathy": Case(
        conditions=({"kind": "myopathy"},),
        form="fibres",
        shows=shows("no", "myopathic", "early"),
        why="H.3; its jitter is mild, so that either stability is right",
    ),
    "myositis": Case(
        conditions=({"kind": "myositis"},),
        form="fibres",
        shows=shows("yes", "myopathic", "early"),
        why="H.4: H.3 with fibrillations",
    ),
    "myasthenia": Case(
        conditions=({"kind": "myasthenia"},),
        shows=shows("no", "normal", "normal", "unstable"),
        why="H.5",
    ),
    "LEMS": Case(
        conditions=({"kind": "lems"},),
        shows=shows("no", "", "", "unstable"),
        why="H.5; MUAPs and recruitment depend on how many fibres are blocked at that rate",
    ),
    "botulinum": Case(
        conditions=({"kind": "botulinum", "weeks": 3},),
        form="junctions",
        shows=shows("", "", "early", "unstable"),
        why="H.5; most fibres of each unit are silent, so more units are needed",
    ),
    "myotonia": Case(
        conditions=({"kind": "myotonia", "sites": 1.0},),
        shows=shows("no", "normal", "normal", "stable", "myotonia"),
        why="H.6",
    ),
    "upper motor neuron": Case(
        conditions=({"kind": "upper_motor_neuron"},),
        form="slow",
        shows=shows("no", "normal", "poor_effort", "stable"),
        why="H.10, A.4: rates do not rise",
    ),
    "poor effort": Case(
        conditions=({"kind": "poor_effort"},),
        form="grouped",
        shows=shows("no", "normal", "poor_effort", "stable"),
        why="H.10: incomplete, slow, in groups",
    ),
    "pain": Case(
        conditions=({"kind": "pain"},),
        shows=shows("no", "normal", "", "stable"),
        why="A.4: the same force with slower and with more units",
    ),
    "complex repetitive": Case(
        spontaneous=({"kind": "complex_repetitive_discharge"},),
        shows=shows("no", "normal", "normal", "stable", "complex_repetitive"),
    ),
    "myokymia": Case(
        spontaneous=({"kind": "myokymia"},),
        shows=shows("no", "normal", "normal", "stable", "myokymia_neuromyotonia"),
    ),
    "neuromyotonia": Case(
        spontaneous=({"kind": "neuromyotonia"},),
        shows=shows("no", "normal", "normal", "stable", "myokymia_neuromyotonia"),
    ),
    "fasciculation": Case(
        spontaneous=({"kind": "fasciculation", "mean_interval_s": 60 / FASCICULATIONS_PER_MIN},),
        shows=shows("no", "normal", "normal", "stable", "fasciculation"),
    ),
}


# -- a subject's examination -----------------------------------------------------------------------


def scenario_of(
    case: Case, electrode: dict[str, Any], phases: Sequence[dict[str, Any]]
) -> Scenario:
    """Return what is done at a site."""
    table = {
        "schema": SCHEMA,
        "id": "subject",
        "title": "A subject of the benchmark",
        "seed": 1,
        "muscle": {"name": MUSCLE, **muscle_catalogue()[MUSCLE]},
        "conditions": list(case.conditions),
        "spontaneous": list(case.spontaneous) if phases[0]["kind"] == "rest" else [],
        "electrode": {"kind": "concentric_needle", **electrode},
        "phases": list(phases),
        "acquisition": {"rate_hz": RATE_HZ},
    }
    return validated(Scenario, table, "benchmarks/axes.py")


def tip(seed: int, site: int) -> dict[str, float]:
    """Return where the needle is put in: anywhere in the inner part of the muscle."""
    rng = np.random.default_rng([seed, site, 77])
    r_mm = 0.6 * float(muscle_catalogue()[MUSCLE]["radius_mm"]) * np.sqrt(rng.uniform())
    angle = rng.uniform(0, 2 * np.pi)
    return {"x_mm": float(r_mm * np.cos(angle)), "y_mm": float(r_mm * np.sin(angle)), "z_mm": 20.0}


def recordings(case: Case, seed: int) -> Iterator[tuple[Recording, Truth]]:
    """Yield the slight effort of every site, and the strong one of the first few."""
    patient = patient_of(scenario_of(case, {}, SLIGHT), seed=seed)
    for site in range(N_SITES):
        own = replace(patient, _voices={})  # nothing that was heard elsewhere is needed again
        slight = sought(case, tip(seed, site), seed, own)
        yield slight
        if site >= N_STRONG:
            continue
        here = {key: slight[1].needle[key] for key in ("x_mm", "y_mm", "z_mm")}
        yield simulate(scenario_of(case, {"tip": here}, STRONG), seed=seed, patient=own)


def sought(
    case: Case, start: dict[str, float], seed: int, patient: Patient
) -> tuple[Recording, Truth]:
    """Return the slight effort where a unit is near, or where the needle was put in."""
    for electrode in ({"tip": start, "seek": {"track_mm": 6.0}}, {"tip": start}):
        try:
            return simulate(scenario_of(case, electrode, SLIGHT), seed=seed, patient=patient)
        except InputError:
            continue
    sys.exit("no unit can be recruited")


# -- findings --------------------------------------------------------------------------------------


def analysed(recording: Recording, _: Truth) -> Findings:
    """Return what the analysis finds; in the strongest effort nobody looks for units."""
    if recording.duration_s > LONGEST_STRONG_S:
        return analyse(recording)
    samples_uv = recording.samples_uv[:, 0]
    events = segments(samples_uv, recording.rate_hz)
    rows = effort_measures(samples_uv, recording.rate_hz, events=events)
    return Findings(units=(), events=events, measures=rows)


def measured(recording: Recording, units: Sequence[FoundUnit]) -> tuple[FoundUnit, ...]:
    """Return the units with the measures of their MUAPs, and of their stability."""
    trains_s = [inside(unit.discharge_times_s, recording) for unit in units]
    done = quantified(recording, trains_s, resamples=0)
    found = []
    for unit, one in zip(units, done, strict=True):
        measures = dict(unit.measures)
        if one is not None:
            measures |= one.measures
        if measures.get("rise_time_us", np.inf) <= CRISP_US:
            others_s = [train for k, train in enumerate(trains_s) if units[k] is not unit]
            measures |= jitter(recording, inside(unit.discharge_times_s, recording), others_s)
        found.append(replace(unit, measures=measures))
    return tuple(found)


def jitter(recording: Recording, train_s: Floats, others_s: Sequence[Floats]) -> dict[str, float]:
    """Return mean jitter and block of a unit's fibre pairs that are clear and not of one fibre."""
    pairs = [
        pair
        for pair in jitter_pairs(recording, train_s, others_s=others_s)
        if pair.noise_us <= MOST_NOISE_US and pair.mcd_us > SPLIT_US
    ]
    if not pairs:
        return {}
    return {
        "mcd_us": float(np.mean([pair.mcd_us for pair in pairs])),
        "blocked_share": float(np.mean([pair.blocking_share for pair in pairs])),
    }


def inside(train_s: Floats, recording: Recording) -> Floats:
    """Return the discharges whose MUAP is in the recording as a whole."""
    first_s, last_s = recording.start_s + 0.03, recording.start_s + recording.duration_s - 0.04
    return train_s[(train_s > first_s) & (train_s < last_s)]


def from_truth(recording: Recording, truth: Truth) -> Findings:
    """Return what a perfect decomposition would find."""
    rows = list(truth_units(recording, truth))
    units = measured(recording, rows) if rows and recording.duration_s > LONGEST_STRONG_S else ()
    samples_uv = recording.samples_uv[:, 0]
    events = tuple(e for e in truth.events if e.kind in ("rest", "contraction"))
    measures = effort_measures(samples_uv, recording.rate_hz, units=units, events=events)
    runs = runs_of_truth(truth) if recording.duration_s > LONGEST_STRONG_S else ()
    return Findings(units=units, events=events, runs=runs, measures=measures)


def truth_units(recording: Recording, truth: Truth) -> Iterator[FoundUnit]:
    """Yield the units that stand out by the fixed rule: 6 times the rms of all else."""
    working = recording.samples_uv[round(WORKING_S * RATE_HZ) :, 0]
    least_uv = 2.5 * float(working.std()) if working.size else np.inf
    for unit in truth.units:
        times_s = unit.spike_times_s
        if unit.peak_to_peak_uv > least_uv and times_s.size > 10:
            intervals_s = np.diff(times_s)
            yield FoundUnit(
                id=unit.id,
                discharge_times_s=times_s,
                muap_uv=unit.muap_uv,
                muap_start_s=unit.muap_start_s - unit.arrival_s,
                measures={
                    "rate_hz": 1 / float(np.mean(intervals_s)),
                    "interval_cov": float(np.std(intervals_s) / np.mean(intervals_s)),
                },
            )


def runs_of_truth(truth: Truth) -> tuple[FoundRun, ...]:
    """Return the spontaneous activity of the rest before the effort, as a perfect eye names it."""
    rest_s = next((e.offset_s for e in truth.events if e.kind == "rest"), 0.0)
    found = []
    for source in truth.spontaneous:
        times_s = source.discharge_times_s[source.discharge_times_s < rest_s]
        if times_s.size and np.ptp(source.potential_uv) > 15.0:
            found.append(
                FoundRun(
                    kind=source.kind,
                    onset_s=float(times_s[0]),
                    offset_s=float(times_s[-1]),
                    discharge_times_s=times_s,
                    potential_uv=source.potential_uv,
                    potential_start_s=source.potential_start_s,
                )
            )
    return tuple(found)
