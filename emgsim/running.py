"""One run from scenario to record: the only place that joins simulation, bench, analysis, verdict.

Each stage writes to the journal before the next one begins; what ends a run early is written too.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgsim.align import Alignment, Waveform, align
from emgsim.analysis.plan import NeedlePlan
from emgsim.bench.budget import Row, device_budget, loopback_budget, total_uv
from emgsim.bench.levels import LevelPlan
from emgsim.bench.playing import Catch, load_program, play
from emgsim.bench.program import Program, program_for
from emgsim.bench.rig import Rig
from emgsim.bench.station import Station, open_station, refuse_unarmed
from emgsim.errors import EmgsimError, InputError, NotAnalysableError
from emgsim.files.findings import read_findings
from emgsim.files.npz import write_npz
from emgsim.instruments.profiles import DeviceProfile
from emgsim.record import RECORD, Journal, RunRecord, digest, fold, read_journal
from emgsim.recording import Channel, Findings, Gap, MotorUnit, Recording, Truth
from emgsim.scenario import Scenario
from emgsim.scoring import Score, compare
from emgsim.simulation import simulate
from emgsim.stages import FLAT, BandResponse, add_train
from emgsim.verdict import Measurement, judge

Floats = NDArray[np.float64]
Progress = Callable[[str], None]

PACKAGES = ("emgsim", "numpy", "scipy", "simpy", "pyserial", "pyvisa", "pyvisa-py")
INTERRUPTED = 130
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # a core has one analysis
STIMULUS_ERROR_PCT = 2.0  # a loopback further off makes every device verdict inconclusive


@dataclass(frozen=True)
class PathView:
    """What one path recorded, on the scenario's clock, and how it sees a clean waveform."""

    name: str
    recording: Recording
    response: BandResponse
    alignment: Alignment | None = None
    noise_uv_rms: float = 0.0  # recorded minus expected, over the scenario, not the markers

    def render(self, unit: MotorUnit, rate_hz: float) -> Floats:
        """Return one unit's contribution to this path's samples, shape ``(n_samples,)``."""
        margin_s = 0.1
        n = round((self.recording.duration_s + 2 * margin_s) * rate_hz)
        begin_s = self.recording.start_s - margin_s
        clean = np.zeros(n)
        add_train(clean, rate_hz, begin_s, unit)
        if self.alignment is None:
            skip = round(margin_s * rate_hz)
            return clean[skip : skip + self.recording.n_samples]
        value, _ = Waveform(clean, rate_hz, self.response).at(self.recording.times_s - begin_s)
        return self.alignment.gain * value


def run(
    scenario: Scenario,
    rig: Rig,
    *,
    out: Path = Path("reports/runs"),
    seed: int | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Path, RunRecord]:
    """Run a scenario on a rig and write its folder.

    Parameters
    ----------
    scenario, rig
        What is played, and through what.
    out
        Folder in which the run's own folder is made.
    seed
        Takes the place of the scenario's seed.
    progress
        Called with one line per stage.

    Returns
    -------
    folder : Path
        Holds ``journal.jsonl, record.json, junit.xml, report.html, wave/*.npz``.
    record : RunRecord

    Raises
    ------
    EmgsimError
        What ended the run; the journal and the record keep all that came before.
    """
    refuse_unarmed(rig)
    seed = scenario.seed if seed is None else seed
    scenario = scenario.model_copy(update={"seed": seed})
    began = datetime.now(UTC)
    run_id = f"{began:%Y%m%dT%H%M%S}{began.microsecond // 1000:03d}Z-{scenario.id}-{rig.id}"
    folder = out / run_id
    with Journal(folder) as journal:
        journal.append(
            "run_started",
            run_id=run_id,
            started=began.isoformat(timespec="seconds"),
            seed=seed,
            scenario=scenario.resolved(),
            rig=rig.resolved(),
            versions={name: version(name) for name in PACKAGES}
            | {"python": platform.python_version()},
        )
        status, code = "aborted", EmgsimError.exit_code
        try:
            _Run(scenario, rig, seed, journal, progress).execute()
            status, code = "completed", 0
        except EmgsimError as error:
            code = error.exit_code
            journal.append("error", what=error.what, where=error.where, todo=error.todo,
                           exit_code=code)
            error.add_note(f"  kept: everything captured so far, in {folder}")
            raise
        except KeyboardInterrupt:
            code = INTERRUPTED
            journal.append("error", what="interrupted", where="", todo="", exit_code=code)
            raise
        finally:
            ended = datetime.now(UTC).isoformat(timespec="seconds")
            if status == "completed":
                code = exit_code(fold(read_journal(folder)))
            journal.append("run_ended", status=status, exit_code=code, ended=ended)
            record = _report(folder)
    progress(f"report      {folder / 'report.html'}")
    return folder, record


def exit_code(record: RunRecord) -> int:
    """Return the exit code that a record's verdicts call for: 5 before 1 before 0."""
    verdicts = {m.verdict for m in record.measurements}
    if "inconclusive" in verdicts:
        return 5
    return 1 if verdicts & {"fail", "conditional_fail"} else 0


def _report(folder: Path) -> RunRecord:
    from emgsim.report.junit import junit_xml
    from emgsim.report.page import write_page

    record = fold(read_journal(folder))
    (folder / RECORD).write_text(record.to_json(), encoding="utf-8")
    (folder / "junit.xml").write_text(junit_xml(record), encoding="utf-8")
    write_page(folder, record)
    return record


class _Run:
    """The stages of one run, in their order."""

    def __init__(
        self, scenario: Scenario, rig: Rig, seed: int, journal: Journal, progress: Progress
    ) -> None:
        self.scenario, self.rig, self.seed = scenario, rig, seed
        self.journal, self.progress = journal, progress
        self.measurements: list[Measurement] = []

    def execute(self) -> None:
        with self._stage("simulate") as say:
            recording, truth = simulate(self.scenario)
            self._keep("truth", recording, truth)
            say(f"{len(truth.units)} motor units, "
                f"{sum(u.discharge_times_s.size for u in truth.units)} discharges, "
                f"{recording.duration_s:g} s at {recording.rate_hz:g} Hz")
        program = program_for(recording)
        with self._opened() as station:
            with self._stage("load") as say:
                plan, receipt = load_program(station, program)
                self.journal.append("plan", values=plan.table() | {"codes_sha256": receipt.sha256})
                say(f"{plan.n_points} points at {plan.source_rate_hz:g} Sa/s, "
                    f"{plan.vpp_open_v:g} Vpp, peak {plan.peak_at_device_uv:.0f} uV at the device")
            catch = self._play(station, plan)
        with self._stage("align") as say:
            loopback = self._loopback(program, catch)
            device = self._device(program, catch, station)
            say(", ".join(f"{view.name} {_aligned(view).clock_ppm:+.2f} ppm"
                          for view in (loopback, device)))
        self._measure_chain(loopback, loopback_rows := loopback_budget(
            plan, self.rig, rate_hz=_scope(catch).rate_hz,
            range_v=_scope(catch).channels[self.rig.capture.source_channel].range_v))
        self.journal.append("budget", path="loopback", rows=self._beside(loopback, loopback_rows))
        device_rows = device_budget(
            plan, self.rig, band_hz=station.profile.band_hz[1],
            noise_uv_rms=station.profile.noise_uv_rms, lsb_uv=station.profile.scale_uv_per_count)
        self._measure_chain(device, device_rows)
        self.journal.append("budget", path="device", rows=self._beside(device, device_rows))
        self._measure_raw(program, device)
        self._measure_monitor(program, catch, station)
        views = (PathView("truth", recording, FLAT), loopback, device)
        self._score(views, truth)
        with self._stage("judge") as say:
            judged = self._judge()
            say(f"{sum(m.limit is not None for m in judged)} of {len(judged)} measurements judged")

    # -- stages ------------------------------------------------------------------------------

    @contextmanager
    def _stage(self, name: str) -> Iterator[Progress]:
        began_s = time.perf_counter()
        told: list[str] = []
        yield told.append
        seconds = time.perf_counter() - began_s
        self.journal.append("stage", name=name, seconds=round(seconds, 3))
        self.progress(f"{name:<11} {seconds:6.2f} s  {'; '.join(told)}")

    @contextmanager
    def _opened(self) -> Iterator[Station]:
        began_s = time.perf_counter()
        with open_station(self.rig, self.seed) as station:
            for role, identity in station.identities.items():
                self.journal.append("identity", role=role, maker=identity.maker,
                                    model=identity.model, serial=identity.serial,
                                    firmware=identity.firmware)
            seconds = time.perf_counter() - began_s
            self.journal.append("stage", name="open", seconds=round(seconds, 3))
            names = ", ".join(f"{i.maker} {i.model}" for i in station.identities.values())
            self.progress(f"{'open':<11} {seconds:6.2f} s  {names}")
            try:
                yield station
            finally:
                self._make_safe(station)

    def _make_safe(self, station: Station) -> None:
        try:
            station.source.safe()
            self.journal.append("safe_state", confirmed=True, why="")
        except EmgsimError as error:  # the station's own way out tries again, and tells
            self.journal.append("safe_state", confirmed=False, why=error.what)

    def _play(self, station: Station, plan: LevelPlan) -> Catch:
        catch = Catch()
        with self._stage("play") as say:
            try:
                play(station, plan, catch, lambda _: None)
            except EmgsimError:
                self._keep_raw(station, catch)
                raise
            n_lost = sum(n for _, n in catch.gaps())
            say(f"{catch.device_counts().shape[0]} device samples, {n_lost} lost")
        return catch

    def _keep_raw(self, station: Station, catch: Catch) -> None:
        counts = catch.device_counts()
        if counts.size:
            uv = counts * station.profile.scale_uv_per_count
            channels = tuple(Channel(name=f"device {i + 1}") for i in range(uv.shape[1]))
            self._keep("device_raw", Recording(
                samples_uv=uv, rate_hz=station.device.rate_hz, channels=channels,
                gaps=tuple(Gap(first_sample=a, n_samples=n) for a, n in catch.gaps())))

    def _keep(self, path: str, recording: Recording, truth: Truth | None = None) -> None:
        name = f"wave/{path}.npz"
        write_npz(self.journal.folder / name, recording, truth)
        self.journal.append(
            "capture", path=path, file=name, n_samples=recording.n_samples,
            rate_hz=recording.rate_hz, start_s=recording.start_s,
            gaps=[[gap.first_sample, gap.n_samples] for gap in recording.gaps])
        self._digest(name)

    def _digest(self, name: str) -> None:
        self.journal.append("file", name=name, sha256=digest(self.journal.folder / name))

    # -- paths -------------------------------------------------------------------------------

    def _loopback(self, program: Program, catch: Catch) -> PathView:
        """Return what left the source, referred to the device's input by the divider's ratio."""
        if catch.source_v is None:
            raise EmgsimError("the scope recorded nothing of the source")
        uv = catch.source_v * self.rig.fixture.ratio * 1e6
        channel = Channel(name="loopback")
        return self._view("loopback", program, uv, _scope(catch).rate_hz, FLAT, channel)

    def _device(self, program: Program, catch: Catch, station: Station) -> PathView:
        profile = station.profile
        uv = catch.device_counts()[:, 0] * profile.scale_uv_per_count
        channel = Channel(name="device", band_hz=profile.band_hz)
        return self._view(
            "device", program, uv, profile.rate_hz, _declared(profile), channel)

    def _measure_monitor(self, program: Program, catch: Catch, station: Station) -> None:
        """Tell amplifier and converter apart: the analogue output has not seen the converter."""
        if catch.monitor_v is None:
            return
        uv = catch.monitor_v / self.rig.device.monitor_gain * 1e6
        channel = Channel(name="monitor", band_hz=station.profile.band_hz)
        response = _declared(station.profile)
        view = self._view("monitor", program, uv, _scope(catch).rate_hz, response, channel)
        found = _aligned(view)
        self._add("amplitude.error_pct.monitor", 100 * (abs(found.gain) - 1), "%",
                  100 * found.gain_sd, note="the device's analogue output")
        self._add("noise.added_uv.monitor", view.noise_uv_rms, "uV",
                  note="the scope's own noise included")

    def _view(
        self, name: str, program: Program, uv: Floats, rate_hz: float,
        response: BandResponse, channel: Channel,
    ) -> PathView:
        waveform = Waveform(program.samples_uv, program.rate_hz, response)
        found = align(uv, rate_hz, waveform, _markers_at(program, rate_hz))
        whole = Recording(
            samples_uv=uv[:, None], rate_hz=rate_hz / (1 + found.drift), channels=(channel,),
            start_s=found.offset_s - program.recording_start_s, gaps=_gaps(uv))
        recording = whole.cut(0.0, self.scenario.duration_s)
        self._keep(name, recording)
        noise_uv = _left_over(recording, waveform, found, program.recording_start_s)
        lag_us, _ = found.worst_lag_us
        self.journal.append("alignment", path=name, values={
            "clock_ppm": found.clock_ppm, "gain": found.gain,
            "polarity": int(np.sign(found.gain)), "residual_us": lag_us,
            "residual_uv_rms": noise_uv,
            "windows": [[t - program.recording_start_s, lag] for t, lag, _ in found.windows]})
        return PathView(name, recording, response, found, noise_uv)

    # -- measurements ------------------------------------------------------------------------

    def _add(self, id: str, value: float, unit: str, sd: float = 0.0, note: str = "") -> None:
        wide = 1.96 * sd
        self.measurements.append(Measurement(
            id=id, value=value, unit=unit, note=note,
            low=value - wide if sd else None, high=value + wide if sd else None))

    def _measure_chain(self, view: PathView, rows: list[Row]) -> None:
        found, path, noise_uv = _aligned(view), view.name, view.noise_uv_rms
        lag_us, lag_sd = found.worst_lag_us
        n = view.recording.n_samples
        self._add(f"align.residual_us.{path}", lag_us, "us", lag_sd)
        self._add(f"align.clock_ppm.{path}", found.clock_ppm, "ppm", 1e6 * found.drift_sd)
        self._add(f"amplitude.error_pct.{path}", 100 * (abs(found.gain) - 1), "%",
                  100 * found.gain_sd)
        self._add(f"amplitude.polarity.{path}", float(np.sign(found.gain)), "1")
        budget_uv = total_uv(rows)
        self._add(f"noise.added_uv.{path}", noise_uv, "uV", noise_uv / np.sqrt(n))
        self._add(f"noise.budget_uv.{path}", budget_uv, "uV", note="computed from declarations")
        self._add(f"noise.over_budget_pct.{path}",
                  100 * (noise_uv / budget_uv - 1), "%", 100 * noise_uv / budget_uv / np.sqrt(n))
        if path == "device":
            lost = sum(gap.n_samples for gap in view.recording.gaps)
            self._add("link.lost_samples.device", float(lost), "1")

    def _beside(self, view: PathView, rows: list[Row]) -> list[Row]:
        return [*rows, {"name": "measured", "uv_rms": view.noise_uv_rms}]

    def _measure_raw(self, program: Program, device: PathView) -> None:
        """Report what the declared response explains: group delay, and the raw difference."""
        uv = device.recording.samples_uv[:, 0]
        times_s = device.recording.times_s + program.recording_start_s
        known = np.isfinite(uv)
        value, slope = Waveform(program.samples_uv, program.rate_hz).at(times_s[known])
        left = uv[known] - value
        shift_s = -float(left @ slope) / float(slope @ slope)
        self._add("align.group_delay_us.device", 1e6 * shift_s, "us",
                  note="of the EMG, against the clean truth at the fitted clock offset")
        rms = float(np.sqrt(np.mean(left**2) / np.mean(value**2)))
        self._add("amplitude.raw_difference_pct.device", 100 * rms, "%",
                  note="rms of device minus clean truth, of the truth's rms")

    def _score(self, views: tuple[PathView, ...], truth: Truth) -> None:
        with self._stage("analyse") as say:
            every = _analyse_all(
                self.journal.folder, tuple(view.name for view in views), self.scenario.analysis)
            say(", ".join(f"{name} {len(found.units)} units" for name, found in every.items()))
        scores: dict[str, Score] = {}
        with self._stage("compare") as say:
            for view in views:
                findings = every[view.name]
                name = f"findings-{view.name}.json"
                self.journal.append("findings", path=view.name, file=name,
                                    n_units=len(findings.units))
                self._digest(name)
                render = partial(view.render, rate_hz=truth.muap_rate_hz)
                score = compare(findings, truth, recording=view.recording, render=render)
                scores[view.name] = score
                self.measurements += score.measurements(view.name)
                self.journal.append("score", path=view.name,
                                    rows=[unit.row() for unit in score.units])
            say(", ".join(f"{name} F1 {score.f1:.3f}" for name, score in scores.items()))
        for path in ("loopback", "device"):
            self._add(f"discharges.f1_loss.{path}", scores["truth"].f1 - scores[path].f1, "1",
                      note="F1 on the truth path minus F1 here, detectable units")

    def _judge(self) -> list[Measurement]:
        limits = {limit.measurement: limit.limit for limit in self.scenario.limits}
        by_id = {m.id: m for m in self.measurements}
        missing = sorted(set(limits) - set(by_id))
        judged = [judge(m, limits[m.id]) if m.id in limits else m for m in self.measurements]
        judged += [
            judge(Measurement(id=id, value=float("nan"), unit=limits[id].unit,
                              note="not measured"), limits[id])
            for id in missing
        ]
        error_pct = abs(by_id["amplitude.error_pct.loopback"].value)
        if not error_pct <= STIMULUS_ERROR_PCT:
            judged = [_inconclusive(m, error_pct) for m in judged]
        for measurement in judged:
            self.journal.measurement(measurement)
        return judged


def _analyse_all(
    folder: Path, names: tuple[str, ...], plan: NeedlePlan
) -> dict[str, Findings]:
    """Analyse every path's file by one and the same command, side by side on the cores there are.

    The command gets a file and writes a file: it can know nothing but the samples, and any other
    detector could stand in its place.
    """
    plan_file = folder / "plan.json"
    plan_file.write_text(plan.model_dump_json() + "\n", encoding="utf-8")

    def analyse(name: str) -> Findings:
        out = folder / f"findings-{name}.json"
        command = ["analyse", str(folder / f"wave/{name}.npz"), "--plan", str(plan_file)]
        done = subprocess.run(
            [sys.executable, "-m", "emgsim", *command, "-o", str(out)],
            capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD,
        )
        if done.returncode:
            kind = {3: InputError, 5: NotAnalysableError}.get(done.returncode, EmgsimError)
            raise kind(f"the analysis of the {name} path failed: "
                       f"{done.stderr.rpartition('error: ')[2].strip()}")
        return read_findings(out)

    with ThreadPoolExecutor(min(len(names), os.cpu_count() or 1)) as pool:
        return dict(zip(names, pool.map(analyse, names), strict=True))


def _inconclusive(measurement: Measurement, error_pct: float) -> Measurement:
    if measurement.limit is None or not measurement.id.endswith(".device"):
        return measurement
    note = f"the stimulus itself was {error_pct:.3g} % off"
    return replace(measurement, verdict="inconclusive", note=note)


def _aligned(view: PathView) -> Alignment:
    if view.alignment is None:
        raise ValueError(f"path {view.name} has no alignment")
    return view.alignment


def _declared(profile: DeviceProfile) -> BandResponse:
    """Return the response that a device's profile declares."""
    return BandResponse(
        highpass_hz=profile.band_hz[0],
        highpass_order=profile.highpass_order,
        lowpass_hz=profile.band_hz[1],
        lowpass_order=profile.lowpass_order,
    )


def _left_over(
    recording: Recording, waveform: Waveform, found: Alignment, recording_start_s: float
) -> float:
    """Return the rms of what was recorded minus what was expected, lost samples left out."""
    uv = recording.samples_uv[:, 0]
    value, _ = waveform.at(recording.times_s + recording_start_s)
    return float(np.sqrt(np.nanmean((uv - found.gain * value) ** 2)))


def _scope(catch: Catch) -> Any:
    return catch.scope


def _gaps(uv: Floats) -> tuple[Gap, ...]:
    """Return the runs of NaN."""
    edges = np.flatnonzero(np.diff(np.isnan(uv).astype(np.int8), prepend=0, append=0))
    return tuple(
        Gap(first_sample=int(a), n_samples=int(b - a)) for a, b in edges.reshape(-1, 2)
    )


def _markers_at(
    program: Program, rate_hz: float
) -> tuple[tuple[float, Floats], tuple[float, Floats]]:
    """Return the markers as a recorder of another nominal rate sees them."""
    opening, closing = (
        (start_s, Waveform(shape, program.rate_hz).at(
            np.arange(int(shape.size / program.rate_hz * rate_hz)) / rate_hz)[0])
        for start_s, shape in program.markers
    )
    return opening, closing
