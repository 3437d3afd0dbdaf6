"""The stages of a run, from the scenario to the last verdict, each journalled before the next."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from emgsim import chain
from emgsim.align import Alignment
from emgsim.bench.program import Program, program_for
from emgsim.bench.rig import Rig
from emgsim.detectors import Detector, detect
from emgsim.errors import EmgsimError, InputError
from emgsim.files.findings import read_findings, write_findings
from emgsim.files.npz import read_npz
from emgsim.recording import Findings, Recording, Truth
from emgsim.records.journal import Journal, Line
from emgsim.running.aligning import (
    aligned,
    chain_measured,
    keep_fit,
    tell_broken_off,
)
from emgsim.running.gating import gated
from emgsim.running.logbook import Logbook, Progress
from emgsim.running.playback import Playback
from emgsim.running.played import SPOOL, Played
from emgsim.running.preparing import prepare
from emgsim.running.reported import REPORTED, reported
from emgsim.running.resuming import Done
from emgsim.running.skin import skin_measurements
from emgsim.scenario import Scenario
from emgsim.scoring import (
    Render,
    Score,
    Stratum,
    compare,
    compare_stretches,
    pooled_strata,
    score_events,
    strata,
)
from emgsim.simulation import simulate
from emgsim.stages import BandResponse
from emgsim.verdict import Measurement, judge

PLAN = "plan.json"  # in the run's folder: that of the built-in analysis
REPORTS = f"findings-{REPORTED}.json"


class Stages:
    """The stages of one run, in their order; each hands the next one what is in its files.

    What is ``done`` already is read, and not done again.
    """

    def __init__(
        self,
        scenario: Scenario,
        rig: Rig,
        seed: int,
        detector: Detector,
        *,
        journal: Journal,
        progress: Progress,
        done: Done | None = None,
    ) -> None:
        self.scenario, self.rig, self.detector = scenario, rig, detector
        self.journal, self.logbook = journal, Logbook(journal, progress)
        self.done = Done() if done is None else done
        self.playback = Playback(rig, seed, self.logbook, self.done)
        self.measured, self.fits = dict(self.done.measured), dict(self.done.fits)
        self.limits = {limit.measurement: limit.limit for limit in scenario.limits}

    def execute(self, prepare: Line | None = None) -> None:
        """Do what is not done; ``prepare`` has the ``command`` and ``timeout_s`` of a preparation.

        Raises
        ------
        EmgsimError
            What ended the run.
        """
        if self.done.stages:
            self.logbook.progress(f"kept        {', '.join(self.done.stages)}")
        if "play" not in self.done.stages and prepare:
            self._prepare(prepare)
        if "compare" not in self.done.stages:
            recording, truth = self._simulated()
            recorded = self._recorded(program_for(recording, self.rig.profile.band_hz[1]))
            self._score((chain.Path(name="truth", recording=recording), *recorded), truth)
        if "judge" not in self.done.stages:
            self._judge()

    # -- stages ------------------------------------------------------------------------------

    def _prepare(self, how: Line) -> None:
        with self.logbook.stage("prepare") as say:
            said = prepare(how["command"], self.journal, how["timeout_s"])
            say(f"{how['command']} ended with {said['exit_status']}")

    def _simulated(self) -> tuple[Recording, Truth]:
        if "simulate" not in self.done.stages:
            self._simulate()
        recording, truth = read_npz(self.logbook.folder / "wave/truth.npz")
        if truth is None:
            raise InputError("the file of the truth holds none", where=str(self.logbook.folder))
        return recording, truth

    def _simulate(self) -> None:
        with self.logbook.stage("simulate") as say:
            recording, truth = simulate(self.scenario, for_playing=True)
            self.logbook.keep("truth", recording, truth)
            n = sum(unit.discharge_times_s.size for unit in truth.units)
            say(
                f"{len(truth.units)} motor units, {n} discharges, "
                f"{recording.duration_s:g} s at {recording.rate_hz:g} Hz"
            )

    def _recorded(self, program: Program) -> tuple[chain.Path, chain.Path]:
        """Return the aligned loopback and device paths, as their files have them."""
        if "align" not in self.done.stages:
            self._align(program, self._played(program))
            (self.logbook.folder / SPOOL).unlink(missing_ok=True)
        return self._path("loopback"), self._path("device")

    def _played(self, program: Program) -> Played:
        """Return what was captured; of what broke off, tell what became of the link."""
        try:
            return self.playback.played(program)
        except EmgsimError:
            tell_broken_off(self.rig, self.playback.broken_off, self.logbook)
            raise

    def _align(self, program: Program, played: Played) -> None:
        """Bring loopback, device and monitor onto the scenario's clock, and measure the chain."""
        with self.logbook.stage("align") as say:
            duration_s = self.scenario.duration_s
            paths = aligned(self.rig, program, played, duration_s, self.logbook)
            for path in paths.values():
                self.logbook.keep(path.name, path.recording)
                self.fits[path.name] = keep_fit(path, program, self.logbook)
            self._keep_reports(played, paths["device"])
            self._measure(chain_measured(self.rig, program, played, paths, self.logbook))
            ppm = (f"{n} {paths[n].aligned.clock_ppm:+.2f} ppm" for n in ("loopback", "device"))
            say(", ".join(ppm))

    def _keep_reports(self, played: Played, device: chain.Path) -> None:
        """Keep what a device that detects by itself has reported, be it nothing."""
        if self.rig.profile.detects:
            write_findings(self.logbook.folder / REPORTS, reported(played.events, device))
            self.journal.file(REPORTS)

    def _score(self, paths: tuple[chain.Path, ...], truth: Truth) -> None:
        every = self._analysed(paths)
        scores: dict[str, Score] = {}
        if self.rig.profile.detects:
            every[REPORTED] = read_findings(self.logbook.folder / REPORTS)
            paths = (*paths, replace(paths[-1], name=REPORTED))
        with self.logbook.stage("compare") as say:
            for path in paths:
                scores[path.name] = self._compare(path, every[path.name], truth)
            if REPORTED in every:
                self._measure_events(every[REPORTED], scores[REPORTED], truth)
            if self.scenario.analysis.kind == "surface":
                self._measure(skin_measurements(every))
            self._measure(
                chain.measured(
                    f"discharges.f1_loss.{path.name}",
                    scores["truth"].f1 - scores[path.name].f1,
                    "1",
                    note="F1 on the truth path minus F1 here, detectable units",
                )
                for path in paths[1:]
            )
            say(", ".join(f"{name} F1 {score.f1:.3f}" for name, score in scores.items()))

    def _measure_events(self, told: Findings, score: Score, truth: Truth) -> None:
        """Measure a device that detects by itself and may not tell the units apart."""
        trains_s = [unit.discharge_times_s for unit in told.units]
        events_s = np.concatenate([np.zeros(0), *trains_s])
        units = {unit.truth_id for unit in score.detectable}
        self._measure(score_events(events_s, truth, units).measurements(REPORTED))

    def _analysed(self, paths: tuple[chain.Path, ...]) -> dict[str, Findings]:
        """Give every path's samples, and nothing else, to one and the same detector."""
        folder = self.logbook.folder
        if "analyse" in self.done.stages:
            return {p.name: read_findings(folder / f"findings-{p.name}.json") for p in paths}
        (folder / PLAN).write_text(
            self.scenario.analysis.model_dump_json() + "\n", encoding="utf-8"
        )
        with self.logbook.stage("analyse") as say:
            try:
                every = detect(self.detector, {p.name: p.recording for p in paths}, folder)
            finally:  # what a detector left is kept, whatever became of it
                left = [*folder.glob("findings-*.json"), *folder.glob("detector-*.log")]
                for file in sorted(left):
                    self.journal.file(file.name)
            say(", ".join(f"{name} {len(found.units)} units" for name, found in every.items()))
        return every

    def _compare(self, path: chain.Path, findings: Findings, truth: Truth) -> Score:
        file = f"findings-{path.name}.json"
        self.journal.append("findings", path=path.name, file=file, n_units=len(findings.units))
        score, table = self._scored(path, findings, truth)
        self._measure([*score.measurements(path.name), *score.details(path.name)])
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
        with self.logbook.stage("judge") as say:
            self._measure(
                Measurement(id=id, value=math.nan, unit=self.limits[id].unit, note="not measured")
                for id in sorted(set(self.limits) - set(self.measured))
            )
            n = sum(m.limit is not None for m in self.measured.values())
            say(f"{n} of {len(self.measured)} measurements judged")

    def _measure(self, measurements: Iterable[Measurement]) -> None:
        """Judge and journal each measurement that is not journalled yet."""
        for measurement in measurements:
            if measurement.id not in self.measured:
                judged = self._judged(measurement)
                self.journal.measurement(judged)
                self.measured[judged.id] = judged

    def _judged(self, measurement: Measurement) -> Measurement:
        if measurement.id not in self.limits:
            return measurement
        return gated(judge(measurement, self.limits[measurement.id]), self.measured)

    # -- keeping -----------------------------------------------------------------------------

    def _path(self, name: str) -> chain.Path:
        """Return a path that was aligned, as it was kept."""
        fit: Line = {k: math.nan if v is None else v for k, v in self.fits[name].items()}
        response = fit.pop("response")
        recording, _ = read_npz(self.logbook.folder / f"wave/{name}.npz")
        return chain.Path(
            name=name,
            recording=recording,
            response=BandResponse(**response),
            alignment=Alignment(**fit, windows=()),
        )


def _rendering(path: chain.Path, truth: Truth) -> Render:
    return partial(path.render, rate_hz=truth.muap_rate_hz)
