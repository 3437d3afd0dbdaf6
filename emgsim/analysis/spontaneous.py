"""What the runs at rest of one muscle mean: denervation, and special discharges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from emgsim.analysis.resting.runs import DENERVATION, PERSISTENT_S
from emgsim.recording import Findings, FoundRun

Told = tuple[dict[str, float], dict[str, float]]  # probabilities, and what they rest on

SPECIAL = {
    "myotonic_discharge": "myotonia",
    "complex_repetitive_discharge": "complex_repetitive",
    "myokymia": "myokymia_neuromyotonia",
    "neuromyotonia": "myokymia_neuromyotonia",
    "multiplets": "myokymia_neuromyotonia",  # of axons as irritable
    "fasciculation": "fasciculation",
}
ALONE = 0.5  # weight of a single short run in a single recording, or discharge: +/- of Daube
# Where several fibres discharge at once their potentials meet, in pairs and groups that no single
# one has, and of a train that is partly hidden the rest is named otherwise. What is far rarer in a
# muscle than activity of fibres, and no larger than two of these together, is made of it [P]. A
# complex repetitive discharge is as steady as a clock, which twenty beats tell, and no sum is.
OF_FIBRES = (*DENERVATION, "end_plate_spike", "end_plate_noise")
NOISE_UV = 100.0  # two or three potentials of end-plate noise at once
FAR_MORE, MEET = 3, 2
FEWEST_BEATS = 20
CLOCKWORK = "complex_repetitive_discharge"
MYOTONIC = "myotonic_discharge"


def _has_rest(findings: Sequence[Findings]) -> bool:
    return any(
        event.kind == "rest" and event.offset_s - event.onset_s >= PERSISTENT_S
        for one in findings
        for event in one.events
    )


def denervation(findings: Sequence[Findings]) -> Told | None:
    """Look for fibrillations or positive sharp waves, more than one that does not last.

    Where myotonic discharges are commoner, what is heard while they go on is a part of them, and
    what lasts no second the end of one.

    Parameters
    ----------
    findings
        Of one muscle's recordings.

    Returns
    -------
    probabilities, because : dict
        Of ``no`` and ``yes``, and the measures behind them. None if no second of rest was heard.
    """
    if not _has_rest(findings):
        return None
    sites = [[run for run in one.runs if run.kind in DENERVATION] for one in findings]
    myotonic = [[run for run in one.runs if run.kind == MYOTONIC] for one in findings]
    if sum(map(len, myotonic)) > sum(map(len, sites)):
        sites = [
            [run for run in own if _lasts(run) and not _at_once(run, others)]
            for own, others in zip(sites, myotonic, strict=True)
        ]
    runs = [run for site in sites for run in site]
    lasting = [run for run in runs if _lasts(run)]
    weight = 1.0 if lasting or sum(map(bool, sites)) > 1 else ALONE
    none = float(np.prod([1 - weight * run.probability for run in runs]))
    because = {
        "runs": len(runs),
        "recordings_with_runs": sum(map(bool, sites)),
        "largest_grade": max((run.grade or 0.0 for run in runs), default=0.0),
    }
    return {"no": none, "yes": 1 - none}, because


def special_discharges(findings: Sequence[Findings]) -> Told | None:
    """Weigh the kinds against each other; each run stands for its own.

    Parameters
    ----------
    findings
        Of one muscle's recordings.

    Returns
    -------
    probabilities, because : dict
        Of ``none`` and the kinds that were heard, and the number of runs of each. None if no second
        of rest was heard.
    """
    if not _has_rest(findings):
        return None
    kinds: dict[str, list[FoundRun]] = {}
    for run in _special_runs(findings):
        kinds.setdefault(SPECIAL[run.kind], []).append(run)
    absent = {
        kind: float(np.prod([1 - _weight(runs) * run.probability for run in runs]))
        for kind, runs in kinds.items()
    }
    weights = {kind: (1 - gone) / max(gone, 1e-9) for kind, gone in absent.items()}
    total = 1 + sum(weights.values())
    probabilities = {"none": 1 / total, **{kind: w / total for kind, w in weights.items()}}
    return probabilities, {f"{kind}_runs": len(runs) for kind, runs in kinds.items()}


def _lasts(run: FoundRun) -> bool:
    return run.offset_s - run.onset_s >= PERSISTENT_S


def _weight(runs: Sequence[FoundRun]) -> float:
    """Return how much the runs of a kind count: a single discharge is +/-, as a short train is."""
    return ALONE if sum(run.discharge_times_s.size for run in runs) == 1 else 1.0


def _special_runs(findings: Sequence[Findings]) -> Iterator[FoundRun]:
    """Yield the runs of special kinds that are not made of what fibres do one by one."""
    every = [run for one in findings for run in one.runs]
    counts = Counter(run.kind for run in every)
    sizes_uv = sorted((_size_uv(run) for run in every if run.kind in OF_FIBRES), reverse=True)
    largest_uv = sum(sizes_uv[:MEET])
    for run in (run for run in every if run.kind in SPECIAL):
        is_clock = run.kind == CLOCKWORK and run.discharge_times_s.size >= FEWEST_BEATS
        is_rare = len(sizes_uv) >= FAR_MORE * counts[run.kind]
        if is_clock or not (is_rare and _size_uv(run) <= largest_uv):
            yield run


def _at_once(run: FoundRun, others: Sequence[FoundRun]) -> list[FoundRun]:
    """Return those that are heard while a run goes on."""
    return [o for o in others if o.onset_s <= run.offset_s and o.offset_s >= run.onset_s]


def _size_uv(run: FoundRun) -> float:
    if run.kind == "end_plate_noise":
        return NOISE_UV
    return float(np.ptp(run.potential_uv[:, 0])) if run.potential_uv.size else 0.0
