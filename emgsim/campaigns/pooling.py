"""What the runs of a campaign say together: detection along its sweeps, agreement of measures.

Discharges count of the units that are detectable in the clean signal: one and the same units on
every path, so that a worse path cannot do better by losing sight of the hard ones. What varies as a
whole is the virtual patient: a scenario with a seed, which is the same patient on every rig.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emgsim.campaigns.campaign import Sweep
from emgsim.errors import InputError
from emgsim.files.findings import read_findings
from emgsim.files.npz import read_npz
from emgsim.measures import muap_measures
from emgsim.recording import Findings
from emgsim.records.journal import Line
from emgsim.records.record import RunRecord
from emgsim.scoring import Interval, bland_altman, detection_curve
from emgsim.scoring.intervals import pooled_interval

TRUTH = "truth"
SNR = "snr_db"  # the axis
BIN_DB = 6.0  # of the units' SNR
N_CURVE = 121  # points of a fitted curve
LEAST_RATE_HZ = 10_000.0  # of a MUAP that is measured
# Of a MUAP, as they stand in findings: name, unit, whether differences are in percent of the truth
MEASURES = {
    "amplitude_uv": ("amplitude", "uV", True),
    "area_uv_ms": ("area", "uV ms", True),
    "duration_ms": ("duration", "ms", False),
    "rise_time_us": ("rise time", "us", False),
}
ORDER = {TRUTH: 0, "loopback": 1, "device": 2}  # of the paths; others behind


@dataclass(frozen=True, kw_only=True)
class Played:
    """One run of a scenario, or of one muscle of an examination, and its cell."""

    cell: Line
    folder: Path
    record: RunRecord = field(repr=False)

    @property
    def patient(self) -> str:
        """The virtual patient: the digest of the scenario with its seed."""
        return self.record.digests.get("scenario") or self.record.run_id

    def rows(self, path: str) -> list[Line]:
        """Return the scored units of a path."""
        return self.record.scores.get(path, [])

    def wanted(self, path: str) -> list[Line]:
        """Return a path's rows of those units that are detectable in the clean signal."""
        rows, clean = self.rows(path), self.rows(TRUTH)
        if [row["truth_id"] for row in rows] != [row["truth_id"] for row in clean]:
            return []
        return [row for row, true in zip(rows, clean, strict=True) if true["detectable"]]


# -- detection ---------------------------------------------------------------------------------


def detection(runs: Sequence[Played], sweeps: Sequence[Sweep]) -> tuple[Line, ...]:
    """Return how much was found, along each numeric sweep and against the units' SNR.

    Parameters
    ----------
    runs
        That were scored.
    sweeps
        Of the campaign.

    Returns
    -------
    tuple of dict
        A series each: ``axis`` (the sweep's name, or ``snr_db``), ``unit``, ``of`` (what is the
        same in all its runs), ``path``, ``counts`` (``discharges`` or ``units``), ``points`` with
        ``x, found, of, patients, share, low, high``, and ``fit`` with ``x_50, low, high, curve``
        (rows of x and probability), or None and ``why`` there is none. Intervals are 95 %, of
        patients as a whole (`emgsim.scoring.intervals.pooled_interval`).
    """
    numeric = [sweep for sweep in sweeps if sweep.is_numeric]
    series = [line for sweep in numeric for line in _along(sweep, runs)]
    return (*series, *_against_snr(runs))


def _along(sweep: Sweep, runs: Sequence[Played]) -> Iterator[Line]:
    """Yield the series of each scenario, rig and other sweeps' values, path by path."""

    def same(run: Played) -> Line:
        cell = run.cell
        others = {k: v for k, v in cell["values"].items() if k != sweep.name}
        return {"scenario": cell["scenario"], "rig": cell["rig"], **others}

    for of, group in _grouped(runs, same):
        for path in _paths(group):
            trials = [
                _Trials(
                    x=float(run.cell["values"][sweep.name]),
                    found=sum(int(row["tp"]) for row in rows),
                    n=sum(int(row["tp"]) + int(row["fn"]) for row in rows),
                    patient=run.patient,
                )
                for run in group
                if (rows := run.wanted(path))
            ]
            if trials:
                yield _series(
                    trials, axis=sweep.name, unit=sweep.unit, of=of, path=path, counts="discharges"
                )


def _against_snr(runs: Sequence[Played]) -> Iterator[Line]:
    """Yield on each rig and path how many units were found, against their SNR there."""
    for of, group in _grouped(runs, lambda run: {"rig": run.cell["rig"]}):
        for path in _paths(group):
            trials = [
                _Trials(
                    x=20 * math.log10(row["ratio"]),
                    found=int(row["found_id"] is not None),
                    n=1,
                    patient=run.patient,
                )
                for run in _distinct(group, path)
                for row in run.rows(path)
                if row.get("ratio") and row["tp"] + row["fn"] > 0
            ]
            if trials:
                yield _series(trials, BIN_DB, axis=SNR, unit="dB", of=of, path=path, counts="units")


@dataclass(frozen=True, kw_only=True)
class _Trials:
    """How many of so many were found in one patient, at one place of an axis."""

    x: float
    found: int
    n: int
    patient: str


def _series(trials: Sequence[_Trials], bin_width: float | None = None, **head: object) -> Line:
    """Return a series: ``head``, its points, and its curve."""
    fit, why = _fitted(trials)
    return {**head, "points": list(_points(trials, bin_width)), "fit": fit, "why": why}


def _points(trials: Sequence[_Trials], bin_width: float | None) -> Iterator[Line]:
    """Yield the pooled share at each place, or of each bin, in its middle."""

    def place(trial: _Trials) -> float:
        if bin_width is None:
            return trial.x
        return (math.floor(trial.x / bin_width) + 0.5) * bin_width

    for x in sorted({place(trial) for trial in trials}):
        here = [trial for trial in trials if place(trial) == x]
        patients = list(dict.fromkeys(trial.patient for trial in here))
        found = [sum(t.found for t in here if t.patient == one) for one in patients]
        whole = [sum(t.n for t in here if t.patient == one) for one in patients]
        low, high = pooled_interval(found, whole)
        share = sum(found) / sum(whole) if sum(whole) else math.nan
        yield {
            "x": x, "found": sum(found), "of": sum(whole), "patients": len(patients),
            "share": share, "low": low, "high": high,
        }  # fmt: skip


def _fitted(trials: Sequence[_Trials]) -> tuple[Line | None, str]:
    """Return the logistic curve through all trials, or why there is none.

    It may fall with the axis, as detection does with noise: then it is fitted against minus x.
    """
    x = np.concatenate([np.full(t.n, t.x) for t in trials])
    seen = np.concatenate([np.arange(t.n) < t.found for t in trials])
    patients = {name: k for k, name in enumerate({t.patient: None for t in trials})}
    of = np.concatenate([np.full(t.n, patients[t.patient]) for t in trials])
    sign = -1.0 if np.sum((x - np.mean(x)) * (seen - np.mean(seen))) < 0 else 1.0
    try:
        curve = detection_curve(sign * x, seen, recordings=of)
    except ValueError:
        told = "all" if seen.all() else "none"
        is_flat = seen.all() or not seen.any()
        return None, f"{told} were found" if is_flat else "it takes two values or more"
    middle = sign * curve.snr_50_db
    if not x.min() <= middle <= x.max():
        return None, "it lies beyond the values there are"
    low, high = sorted(sign * bound for bound in curve.snr_50_interval)
    places = np.linspace(x.min(), x.max(), N_CURVE)
    drawn = [[float(p), curve.probability(sign * float(p))] for p in places]
    return {"x_50": middle, "low": low, "high": high, "curve": drawn}, ""


def _grouped(
    runs: Sequence[Played], key: Callable[[Played], Line]
) -> Iterator[tuple[Line, list[Played]]]:
    """Yield what runs have in common, and those that have it, in the order in which they come."""
    groups: dict[tuple[tuple[str, Any], ...], list[Played]] = {}
    for run in runs:
        groups.setdefault(tuple(key(run).items()), []).append(run)
    for of, group in groups.items():
        yield dict(of), group


def _paths(runs: Sequence[Played]) -> list[str]:
    """Return the paths that were scored, the clean signal's first and the device's own last."""
    seen = {path for run in runs for path in run.record.scores}
    return sorted(seen, key=lambda path: (ORDER.get(path, len(ORDER)), path))


def _distinct(runs: Sequence[Played], path: str) -> list[Played]:
    """Return the runs that say something of their own: a patient's clean signal is always one."""
    if path != TRUTH:
        return list(runs)
    return list({run.patient: run for run in runs}.values())


# -- agreement ---------------------------------------------------------------------------------


def agreement(runs: Sequence[Played]) -> tuple[Line, ...]:
    """Return how MUAP measures agree with those of the true MUAPs, on each rig and path.

    Of every unit that is detectable in the clean signal and was found on the path. The truth is the
    MUAP at the electrode, measured by the same rules: what the chain's filters change counts.

    Parameters
    ----------
    runs
        Truth and findings are read from their folders; those that are missing are passed over.

    Returns
    -------
    tuple of dict
        Of each measure: ``rig, path, measure, name, unit`` (of the differences), ``true_unit``,
        ``n`` units, ``patients``, ``bias, lower, upper`` with ``_low`` and ``_high`` of each one's
        95 % interval, ``sd``, and ``points``, rows of true value and difference.
    """
    agreed = []
    for of, group in _grouped(runs, lambda run: {"rig": run.cell["rig"]}):
        for path in _paths(group):
            rows = [row for run in _distinct(group, path) for row in _pairs(run, path)]
            agreed += [
                _agreed({**of, "path": path}, measure, those)
                for measure in MEASURES
                if (those := [row for row in rows if row.measure == measure and row.true > 0])
            ]
    return tuple(agreed)


class _Pair(NamedTuple):
    """A measure of one unit, true and found."""

    patient: str
    measure: str
    true: float
    found: float


def _pairs(run: Played, path: str) -> Iterator[_Pair]:
    """Yield each measure of each unit that was found on a path of a run."""
    if (found := _findings(run, path)) is None:
        return
    true, units = _true_measures(run), {unit.id: unit for unit in found.units}
    for row in run.wanted(path):
        unit, known = units.get(row["found_id"]), true.get(row["truth_id"])
        if unit is None or known is None:
            continue
        for measure in MEASURES:
            value = unit.measures.get(measure, math.nan)
            if math.isfinite(value) and math.isfinite(known[measure]):
                yield _Pair(run.patient, measure, known[measure], value)


def _findings(run: Played, path: str) -> Findings | None:
    """Return what was found on a path, None if nothing there was measured."""
    try:
        found = read_findings(run.folder / f"findings-{path}.json")
    except InputError:  # no such file: the cell says itself what became of it
        return None
    return found if any(unit.measures for unit in found.units) else None


def _true_measures(run: Played) -> Mapping[int, Mapping[str, float]]:
    """Return the measures of the true MUAPs that are detectable in the clean signal, by unit."""
    try:
        truth = read_npz(run.folder / "wave" / "truth.npz")[1]
    except InputError:  # as above
        return {}
    if truth is None or truth.muap_rate_hz < LEAST_RATE_HZ:
        return {}
    wanted = {row["truth_id"] for row in run.wanted(TRUTH)}
    measured = {
        unit.id: muap_measures(unit.muap_uv[:, 0], truth.muap_rate_hz)
        for unit in truth.units
        if unit.id in wanted
    }
    return {id: {name: float(getattr(m, name)) for name in MEASURES} for id, m in measured.items()}


def _agreed(of: Line, measure: str, rows: Sequence[_Pair]) -> Line:
    name, unit, in_percent = MEASURES[measure]
    true, found = np.array([r.true for r in rows]), np.array([r.found for r in rows])
    told = bland_altman(found, true, in_percent=in_percent)
    differences = 100 * (found - true) / true if in_percent else found - true
    return {
        **of, "measure": measure, "name": name, "unit": "%" if in_percent else unit,
        "true_unit": unit, "n": told.n, "patients": len({r.patient for r in rows}), "sd": told.sd,
        **_bounded("bias", told.bias, told.bias_interval),
        **_bounded("lower", told.lower, told.lower_interval),
        **_bounded("upper", told.upper, told.upper_interval),
        "points": [[float(t), float(d)] for t, d in zip(true, differences, strict=True)],
    }  # fmt: skip


def _bounded(name: str, value: float, interval: Interval) -> Line:
    return {name: value, f"{name}_low": interval.low, f"{name}_high": interval.high}
