"""A run's folder as a rig would have left it, made by adding noise to a simulated recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emgsim.files.findings import write_findings
from emgsim.files.npz import write_npz
from emgsim.physiology.parameters import Hold, Rest
from emgsim.recording import Findings, FoundUnit, Gap, MotorUnit, Recording, Truth
from emgsim.records.journal import Journal, digest, read_journal
from emgsim.records.record import RunRecord, fold
from emgsim.scenario import Scenario, load_scenario
from emgsim.simulation import simulate
from emgsim.verdict import Limit, Measurement, judge

NOISE_UV = {"truth": 0.0, "loopback": 0.4, "device": 1.6}
Run = tuple[Path, RunRecord]


def make_run(folder: Path, scenario: Scenario) -> RunRecord:
    """Fill a folder with what a completed run leaves, and return its record."""
    recording, truth = simulate(scenario, for_playing=True)
    units = sorted(truth.units, key=lambda unit: -unit.peak_to_peak_uv)[:5]
    with Journal(folder) as journal:
        journal.append("run_started", run_id="20260101-120000-healthy",
                       scenario=scenario.resolved(),
                       rig={"name": "virtual", "source": "keysight.33500"}, seed=scenario.seed,
                       versions={"emgsim": "0.1.0", "numpy": "2.4.6"},
                       started="2026-01-01T12:00:00+00:00")
        journal.append("identity", role="source", maker="Keysight", model="33512B",
                       serial="MY0001", firmware="3.05")
        journal.append("identity", role="device", maker="emgsim", model="NA1", serial="7",
                       firmware="1.2.0")
        journal.append("plan", values={"source_amplitude_v_pk": 1.25, "attenuation_db": 60.0,
                                       "device_rate_hz": 48000.0, "uv_per_source_v": 1000.0})
        for path in NOISE_UV:
            _path(journal, path, recording, truth, units)
        for measurement in _measurements():
            journal.measurement(measurement)
        for file in sorted(folder.rglob("*.npz")):
            journal.append("file", name=str(file.relative_to(folder)), sha256=digest(file))
        journal.append("stage", name="simulate", seconds=0.71)
        journal.append("stage", name="play", seconds=12.4)
        journal.append("run_ended", status="completed", exit_code=1,
                       ended="2026-01-01T12:00:20+00:00")
    return fold(read_journal(folder))


def _path(
    journal: Journal, path: str, clean: Recording, truth: Truth, units: list[MotorUnit]
) -> None:
    rng = np.random.default_rng(len(path))
    noisy = clean.samples_uv + NOISE_UV[path] * rng.standard_normal(clean.samples_uv.shape)
    gaps: tuple[Gap, ...] = ()
    if path == "device":
        gaps = (Gap(first_sample=clean.n_samples // 2, n_samples=1200),)
        noisy[gaps[0].first_sample :][: gaps[0].n_samples] = np.nan
    file, found_file = f"wave/{path}.npz", f"findings-{path}.json"
    write_npz(journal.folder / file, replace(clean, samples_uv=noisy, gaps=gaps),
              truth if path == "truth" else None)
    journal.append("capture", path=path, file=file, n_samples=clean.n_samples,
                   gaps=[[g.first_sample, g.n_samples] for g in gaps])
    n_found = 4 if path == "truth" else 3
    found = [_found(i, unit, truth, rng) for i, unit in enumerate(units[:n_found], start=1)]
    found.append(FoundUnit(id=9, discharge_times_s=np.sort(rng.uniform(1.0, 2.0, 9)),
                           muap_uv=np.zeros((0, 1)), muap_start_s=0.0))
    write_findings(journal.folder / found_file,
                   Findings(units=tuple(found), muap_rate_hz=clean.rate_hz, plan="needle"))
    journal.append("findings", path=path, file=found_file, n_units=len(found))
    journal.append("score", path=path, rows=[
        _score(i, unit, is_found=i <= n_found) for i, unit in enumerate(units, start=1)])
    if path != "truth":
        windows = [[t, 0.4 * np.sin(t) + 0.1 * rng.standard_normal()]
                   for t in np.arange(0.25, clean.duration_s, 0.5)]
        journal.append("alignment", path=path, values={
            "offset_s": 0.012345, "clock_ppm": 12.3, "gain": 1.002, "polarity": 1,
            "group_delay_us": 41.7, "residual_us": 0.35, "residual_uv_rms": 1.7,
            "windows": windows})
    if path == "device":
        journal.append("budget", path=path, rows=[
            {"name": name, "uv_rms": value} for name, value in
            [("electrode thermal noise", 0.9), ("attenuator", 0.2), ("amplifier noise", 0.6),
             ("quantisation", 0.08), ("source noise", 1.1), ("total", 1.6), ("measured", 1.58)]])


def _found(index: int, unit: MotorUnit, truth: Truth, rng: np.random.Generator) -> FoundUnit:
    """Return a unit as an analysis would see it: jittered, some discharges missed."""
    heard = unit.spike_times_s[rng.random(unit.spike_times_s.size) > 0.05]
    main = round((unit.arrival_s - unit.muap_start_s) * truth.muap_rate_hz)
    first, last = max(0, main - 120), main + 168
    muap_uv = unit.muap_uv[first:last]
    return FoundUnit(
        id=index,
        discharge_times_s=np.sort(heard + 2e-5 * rng.standard_normal(heard.size)),
        muap_uv=0.97 * muap_uv + 3.0 * rng.standard_normal(muap_uv.shape),
        muap_start_s=(first - main) / truth.muap_rate_hz,
    )


def _score(index: int, unit: MotorUnit, *, is_found: bool) -> dict[str, object]:
    n = unit.discharge_times_s.size
    missed = n // 20 if is_found else n
    row = {"truth_id": unit.id, "found_id": index if is_found else None, "detectable": index < 5,
           "amplitude_uv": unit.peak_to_peak_uv, "ratio": unit.peak_to_peak_uv / 66.0,
           "tp": n - missed, "fp": 0, "fn": missed}
    quality = {"sensitivity": (n - missed) / n, "precision": 1.0 if is_found else None,
               "f1": 0.974 if is_found else 0.0}
    return row | quality | {"lag_us": 1.31 if is_found else None,
                            "timing_us": 19.7 if is_found else None}


def _measurements() -> list[Measurement]:
    f1 = Limit(measurement="discharges.f1.device", low=0.9, unit="1", source="design goal")
    noise = Limit(measurement="noise.rms.device", high=2.0, unit="uV", source="an example")
    gain = Limit(measurement="alignment.gain.loopback", low=0.99, high=1.01, unit="1")
    return [
        Measurement(id="noise.line.device", value=0.0123456, unit="uV"),
        judge(Measurement(id="discharges.f1.truth", value=0.9874, unit="1", low=0.9712,
                          high=0.9951), f1),
        judge(Measurement(id="discharges.f1.device", value=0.8997, unit="1", low=0.86, high=0.94,
                          note="unit 83 was missed"), f1),
        judge(Measurement(id="noise.rms.device", value=1.5812, unit="uV", low=1.5723,
                          high=1.5901), noise),
        judge(Measurement(id="noise.rms.loopback", value=float("nan"), unit="uV"), noise),
        judge(Measurement(id="alignment.gain.loopback", value=1.0154, unit="1", low=1.0149,
                          high=1.0159), gain),
        Measurement(id="units.count.device", value=4.0, unit="1"),
        Measurement(id="clock.rate.device", value=48000.5904, unit="Hz", low=48000.588,
                    high=48000.593),
    ]


def shortened(**changes: object) -> Scenario:
    """Return the healthy biceps with half a second of rest and two of effort."""
    phases = (Rest(duration_s=0.5), Hold(duration_s=2.0, level_mvc=0.05))
    return load_scenario("healthy_biceps").model_copy(update={"phases": phases, **changes})


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the folder and the record of a completed run of 2.5 s; read it only."""
    folder = tmp_path_factory.mktemp("run")
    return folder, make_run(folder, shortened())


@pytest.fixture(scope="session")
def build() -> Callable[[Path, Scenario], RunRecord]:
    """Return what fills a folder of the test's own."""
    return make_run
