"""One run from scenario to record: the only place that joins simulation, bench, analysis, verdict.

Each stage writes to the journal before the next one begins; what ends a run early is written too.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from emgsim import chain
from emgsim.bench.budget import Row, device_budget, loopback_budget
from emgsim.bench.levels import LevelPlan
from emgsim.bench.playing import Catch, load_program, play
from emgsim.bench.program import Program, program_for
from emgsim.bench.rig import Rig
from emgsim.bench.station import Station, open_station, refuse_unarmed
from emgsim.detectors import BUILT_IN, TIMEOUT_S, Detector, detect, find_detector
from emgsim.errors import EmgsimError, InputError
from emgsim.files.npz import write_npz
from emgsim.record import RECORD, Journal, RunRecord, digest, fold, read_journal
from emgsim.recording import Channel, Findings, Gap, Recording, Truth
from emgsim.scenario import Scenario
from emgsim.scoring import (
    Render,
    Score,
    Stratum,
    compare,
    compare_stretches,
    pooled_strata,
    strata,
)
from emgsim.simulation import simulate
from emgsim.verdict import Measurement, judge

Progress = Callable[[str], None]

PACKAGES = ("emgsim", "numpy", "scipy", "simpy", "pyserial", "pyvisa", "pyvisa-py")
INTERRUPTED = 130
PLAN = "plan.json"  # in the run's folder: that of the built-in analysis
STIMULUS_ERROR_PCT = 2.0  # a loopback further off makes every device verdict inconclusive


def run(
    scenario: Scenario,
    rig: Rig,
    *,
    out: Path = Path("reports/runs"),
    into: Path | None = None,
    seed: int | None = None,
    detector: str = BUILT_IN,
    detector_timeout_s: float = TIMEOUT_S,
    progress: Progress = lambda _: None,
) -> tuple[Path, RunRecord]:
    """Run a scenario on a rig and write its folder.

    Parameters
    ----------
    scenario, rig
        What is played, and through what.
    out
        Folder in which the run's own folder is made.
    into
        The run's own folder itself, in place of one in ``out``.
    seed
        Takes the place of the scenario's seed.
    detector
        The algorithm under test: the built-in analysis, the name of an installed detector, or a
        command; see `emgsim.detectors`.
    detector_timeout_s
        How long it may take for one path.
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
    run_id = run_name(began, scenario.id, rig.id)
    folder = out / run_id if into is None else into
    under_test = find_detector(
        detector, plan_file=(folder / PLAN).absolute(), timeout_s=detector_timeout_s
    )
    with Journal(folder) as journal:
        journal.append(
            "run_started",
            run_id=run_id,
            started=began.isoformat(timespec="seconds"),
            seed=seed,
            scenario=scenario.resolved(),
            rig=rig.resolved(),
            detector=under_test.table(),
            versions=versions(),
        )
        status, code = "aborted", EmgsimError.exit_code
        try:
            _Run(scenario, rig, seed, under_test, journal, progress).execute()
            status, code = "completed", 0
        except EmgsimError as error:
            code = error.exit_code
            journal.append(
                "error", what=error.what, where=error.where, todo=error.todo, exit_code=code
            )
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


def run_name(began: datetime, id: str, rig_id: str) -> str:
    """Return the name of a run and of its folder: when it began, what was run, and on what."""
    return f"{began:%Y%m%dT%H%M%S}{began.microsecond // 1000:03d}Z-{id}-{rig_id}"


def versions() -> dict[str, str]:
    """Return the versions of all that a run's numbers may depend on."""
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


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
        self,
        scenario: Scenario,
        rig: Rig,
        seed: int,
        detector: Detector,
        journal: Journal,
        progress: Progress,
    ) -> None:
        self.scenario, self.rig, self.seed, self.detector = scenario, rig, seed, detector
        self.journal, self.progress = journal, progress
        self.measurements: list[Measurement] = []

    def execute(self) -> None:
        recording, truth = self._simulate()
        program = program_for(recording)
        with self._opened() as station:
            plan = self._load(station, program)
            catch = self._play(station, plan)
        paths = self._align(station, program, plan, catch)
        self._score((chain.Path(name="truth", recording=recording), *paths), truth)
        self._judge()

    # -- stages ------------------------------------------------------------------------------

    def _simulate(self) -> tuple[Recording, Truth]:
        with self._stage("simulate") as say:
            recording, truth = simulate(self.scenario, for_playing=True)
            if len(recording.channels) > 1:
                raise InputError(
                    f"a rig plays one channel, and a {self.scenario.electrode.kind} electrode has "
                    f"{len(recording.channels)}",
                    where=f"scenario {self.scenario.id}",
                    todo="simulate it with `emgsim simulate`, or take an electrode with one",
                )
            self._keep("truth", recording, truth)
            n = sum(unit.discharge_times_s.size for unit in truth.units)
            say(
                f"{len(truth.units)} motor units, {n} discharges, "
                f"{recording.duration_s:g} s at {recording.rate_hz:g} Hz"
            )
        return recording, truth

    @contextmanager
    def _opened(self) -> Iterator[Station]:
        with self._stage("open") as say, open_station(self.rig, self.seed) as station:
            for role, who in station.identities.items():
                self.journal.append(
                    "identity",
                    role=role,
                    maker=who.maker,
                    model=who.model,
                    serial=who.serial,
                    firmware=who.firmware,
                )
            say(", ".join(f"{who.maker} {who.model}" for who in station.identities.values()))
            say.done()
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

    def _load(self, station: Station, program: Program) -> LevelPlan:
        with self._stage("load") as say:
            plan, receipt = load_program(station, program)
            self.journal.append("plan", values=plan.table() | {"codes_sha256": receipt.sha256})
            say(
                f"{plan.n_points} points at {plan.source_rate_hz:g} Sa/s, "
                f"{plan.vpp_open_v:g} Vpp, peak {plan.peak_at_device_uv:.0f} uV at the device"
            )
        return plan

    def _play(self, station: Station, plan: LevelPlan) -> Catch:
        catch = Catch()
        with self._stage("play") as say:
            try:
                play(station, plan, catch)
            except (EmgsimError, KeyboardInterrupt):
                self._keep_raw(station, catch)
                raise
            n_lost = sum(n for _, n in catch.gaps())
            say(f"{catch.device_counts().shape[0]} device samples, {n_lost} lost")
        return catch

    def _align(
        self, station: Station, program: Program, plan: LevelPlan, catch: Catch
    ) -> tuple[chain.Path, chain.Path]:
        """Bring loopback, device and monitor onto the scenario's clock, and measure the chain."""
        profile, ratio = station.profile, self.rig.fixture.ratio
        with self._stage("align") as say:
            align = partial(chain.path_of, program=program, duration_s=self.scenario.duration_s)
            scope = catch.scope_record()
            loopback = align("loopback", 1e6 * ratio * scope.source_v, scope.settings.rate_hz)
            as_declared = partial(
                align, response=chain.declared_response(profile), band_hz=profile.band_hz
            )
            device = as_declared(
                "device", catch.device_counts()[:, 0] * profile.scale_uv_per_count, profile.rate_hz
            )
            monitor_uv = 1e6 / self.rig.device.monitor_gain * scope.monitor_v
            monitor = as_declared("monitor", monitor_uv, scope.settings.rate_hz)
            for path in (loopback, device, monitor):
                self._keep(path.name, path.recording)
                self.journal.append(
                    "alignment", path=path.name, values=path.table(program.recording_start_s)
                )
            ppm = (f"{path.name} {path.aligned.clock_ppm:+.2f} ppm" for path in (loopback, device))
            say(", ".join(ppm))
        source_range_v = scope.settings.channels[self.rig.capture.source_channel].range_v
        self._measure_chain(
            loopback,
            loopback_budget(plan, self.rig, rate_hz=scope.settings.rate_hz, range_v=source_range_v),
        )
        self._measure_chain(
            device,
            device_budget(
                plan,
                self.rig,
                band_hz=profile.band_hz[1],
                noise_uv_rms=profile.noise_uv_rms,
                lsb_uv=profile.scale_uv_per_count,
            ),
        )
        self.measurements += chain.raw_measurements(device, program)
        self.measurements += chain.monitor_measurements(monitor)
        return loopback, device

    def _measure_chain(self, path: chain.Path, budget: list[Row]) -> None:
        self.measurements += chain.chain_measurements(path, budget)
        rows = [*budget, {"name": "measured", "uv_rms": path.noise_uv_rms}]
        self.journal.append("budget", path=path.name, rows=rows)

    def _score(self, paths: tuple[chain.Path, ...], truth: Truth) -> None:
        names = tuple(path.name for path in paths)
        with self._stage("analyse") as say:
            every = self._detect({path.name: path.recording for path in paths})
            say(", ".join(f"{name} {len(found.units)} units" for name, found in every.items()))
        scores: dict[str, Score] = {}
        with self._stage("compare") as say:
            for path in paths:
                scores[path.name] = self._compare(path, every[path.name], truth)
            say(", ".join(f"{name} F1 {score.f1:.3f}" for name, score in scores.items()))
        self.measurements += [
            chain.measured(
                f"discharges.f1_loss.{name}",
                scores["truth"].f1 - scores[name].f1,
                "1",
                note="F1 on the truth path minus F1 here, detectable units",
            )
            for name in names[1:]
        ]

    def _detect(self, recordings: dict[str, Recording]) -> dict[str, Findings]:
        """Give every path's samples, and nothing else, to one and the same detector."""
        folder = self.journal.folder
        plan = self.scenario.analysis.model_dump_json()
        (folder / PLAN).write_text(plan + "\n", encoding="utf-8")
        try:
            return detect(self.detector, recordings, folder)
        finally:  # what a detector left is kept, whatever became of it
            for file in sorted([*folder.glob("findings-*.json"), *folder.glob("detector-*.log")]):
                self._digest(file.name)

    def _compare(self, path: chain.Path, findings: Findings, truth: Truth) -> Score:
        file = f"findings-{path.name}.json"
        self.journal.append("findings", path=path.name, file=file, n_units=len(findings.units))
        score, table = self._scored(path, findings, truth)
        self.measurements += [*score.measurements(path.name), *score.details(path.name)]
        self.journal.append("score", path=path.name, rows=[unit.row() for unit in score.units])
        self.journal.append("strata", path=path.name, rows=[stratum.row() for stratum in table])
        return score

    def _scored(
        self, path: chain.Path, findings: Findings, truth: Truth
    ) -> tuple[Score, tuple[Stratum, ...]]:
        """Score a path as a whole, or the slight efforts of an examination and pool them."""
        efforts = [s for s in self.scenario.analysis.stretches if s.kind == "slight"]
        spans = {effort.name: (effort.onset_s, effort.offset_s) for effort in efforts}
        if spans:
            score = compare_stretches(
                findings,
                truth,
                spans,
                recording=path.recording,
                render_in=lambda piece: _rendering(replace(path, recording=piece), truth),
            )
            parts = score.parts.items()
            return score, pooled_strata(strata(one, truth.at(*spans[name])) for name, one in parts)
        render = _rendering(path, truth)
        score = compare(findings, truth, recording=path.recording, render=render)
        return score, strata(score, truth)

    def _judge(self) -> None:
        limits = {limit.measurement: limit.limit for limit in self.scenario.limits}
        by_id = {m.id: m for m in self.measurements}
        absent = [
            Measurement(id=id, value=float("nan"), unit=limits[id].unit, note="not measured")
            for id in sorted(set(limits) - set(by_id))
        ]
        with self._stage("judge") as say:
            judged = [
                judge(m, limits[m.id]) if m.id in limits else m
                for m in (*self.measurements, *absent)
            ]
            error_pct = abs(by_id["amplitude.error_pct.loopback"].value)
            if not error_pct <= STIMULUS_ERROR_PCT:
                judged = [_inconclusive(m, error_pct) for m in judged]
            for measurement in judged:
                self.journal.measurement(measurement)
            n = sum(m.limit is not None for m in judged)
            say(f"{n} of {len(judged)} measurements judged")

    # -- keeping -----------------------------------------------------------------------------

    @contextmanager
    def _stage(self, name: str) -> Iterator[_Stage]:
        stage = _Stage(name, self)
        yield stage
        stage.done()

    def _keep(self, path: str, recording: Recording, truth: Truth | None = None) -> None:
        name = f"wave/{path}.npz"
        write_npz(self.journal.folder / name, recording, truth)
        self.journal.append(
            "capture",
            path=path,
            file=name,
            n_samples=recording.n_samples,
            rate_hz=recording.rate_hz,
            start_s=recording.start_s,
            gaps=[[gap.first_sample, gap.n_samples] for gap in recording.gaps],
        )
        self._digest(name)

    def _keep_raw(self, station: Station, catch: Catch) -> None:
        """Keep what the device had sent when a playback broke off."""
        counts = catch.device_counts()
        if counts.size == 0:
            return
        uv = counts * station.profile.scale_uv_per_count
        recording = Recording(
            samples_uv=uv,
            rate_hz=station.device.rate_hz,
            channels=tuple(Channel(name=f"device {i + 1}") for i in range(uv.shape[1])),
            gaps=tuple(Gap(first_sample=a, n_samples=n) for a, n in catch.gaps()),
        )
        self._keep("device_raw", recording)

    def _digest(self, name: str) -> None:
        self.journal.append("file", name=name, sha256=digest(self.journal.folder / name))


class _Stage:
    """One stage's time and what is told of it; told and journalled once, when it is done."""

    def __init__(self, name: str, run: _Run) -> None:
        self._name, self._run = name, run
        self._began_s = time.perf_counter()
        self._told: list[str] = []
        self._is_done = False

    def __call__(self, text: str) -> None:
        self._told.append(text)

    def done(self) -> None:
        """Journal the stage and show its line."""
        if self._is_done:
            return
        self._is_done = True
        seconds = time.perf_counter() - self._began_s
        self._run.journal.append("stage", name=self._name, seconds=round(seconds, 3))
        self._run.progress(f"{self._name:<9} {seconds:6.2f} s  {'; '.join(self._told)}")


def _rendering(path: chain.Path, truth: Truth) -> Render:
    return partial(path.render, rate_hz=truth.muap_rate_hz)


def _inconclusive(measurement: Measurement, error_pct: float) -> Measurement:
    if measurement.limit is None or not measurement.id.endswith(".device"):
        return measurement
    note = f"the stimulus itself was {error_pct:.3g} % off"
    return replace(measurement, verdict="inconclusive", note=note)
