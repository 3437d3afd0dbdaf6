"""Campaigns whose runs are fabricated: a journal and a record of each cell, without a rig."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emgsim.campaigns.campaign import Campaign, load_campaign
from emgsim.campaigns.running import run_campaign
from emgsim.records.campaign import CampaignRecord
from emgsim.records.examination import ExamRecord
from emgsim.records.journal import Journal, read_journal, write_whole
from emgsim.records.provenance import digests
from emgsim.records.record import RECORD, RunRecord, fold
from emgsim.verdict import Limit, Measurement, Verdict

HEAD = """
schema = "emgsim.campaign/1"
id = "night"
title = "One night"
"""
PATHS = ("truth", "loopback", "device")
Done = tuple[Path, CampaignRecord]


def row(unit: int, tp: int, fn: int, ratio: float = 10.0, **more: Any) -> dict[str, Any]:
    """Return a scored unit."""
    found = unit + 100 if tp else None
    return {"truth_id": unit, "found_id": found, "detectable": ratio >= 6, "tp": tp, "fn": fn,
            "fp": 0, "ratio": ratio, "amplitude_uv": 300.0} | more  # fmt: skip


class Runs:
    """Stands in place of the runs: each cell is journalled as completed, unless told otherwise.

    ``made`` and ``resumed`` are the folders' names in their order; ``breaks`` has for the first
    letters of a cell's id what is raised in it, ``verdicts`` what is judged in it, else a pass;
    ``scores`` gives the scored rows by path from scenario and rig.
    """

    def __init__(self) -> None:
        self.made: list[str] = []
        self.resumed: list[str] = []
        self.breaks: dict[str, BaseException] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.scores: Callable[[Any, Any], dict[str, list[Any]]] = lambda _scenario, _rig: {}
        self.prepared: list[str | None] = []

    def run(
        self, scenario: Any, rig: Any, *, into: Path, seed: int, prepare: str | None, **_: Any
    ) -> tuple[Path, RunRecord]:
        """Write the folder of a run."""
        self.made.append(into.name)
        self.prepared.append(prepare)
        scenario = scenario.model_copy(update={"seed": seed})
        with Journal(into) as journal:
            table = scenario.resolved()
            journal.append("run_started", run_id=f"run of {into.name}", seed=seed, scenario=table,
                           rig=rig.resolved(), digests=digests({"scenario": table}))
            for path, rows in self.scores(scenario, rig).items():
                journal.append("score", path=path, rows=rows)
        return self._completed(into)

    def resume(self, folder: Path, **_: Any) -> tuple[Path, RunRecord]:
        """Complete the folder of a run."""
        self.resumed.append(folder.name)
        return self._completed(folder)

    def examine(
        self, examination: Any, rig: Any, *, into: Path, seed: int, **how: Any
    ) -> tuple[Path, ExamRecord]:
        """Write the folder of an examination, with the run of each of its muscles."""
        subject = examination.model_copy(update={"seed": seed})
        with Journal(into) as journal:
            journal.append("run_started", run_id=f"run of {into.name}", seed=seed,
                           scenario=subject.resolved(), rig=rig.resolved())
            journal.append("run_ended", status="completed", exit_code=0, ended="")
        for exam in subject.muscles:
            self.run(subject.scenario(exam), rig, into=into / exam.muscle.name, seed=seed, **how)
        record = ExamRecord(run=fold(read_journal(into)))
        write_whole(into / RECORD, record.to_json())
        self.made.append(into.name)
        return into, record

    def _completed(self, folder: Path) -> tuple[Path, RunRecord]:
        of = folder.name[:3]
        if of in self.breaks:
            raise self.breaks[of]
        with Journal(folder) as journal:
            if fold(read_journal(folder)).status != "completed":
                verdict = self.verdicts.get(of, "pass")
                limit = Limit(measurement="noise.rms.device", high=2.0, unit="uV",
                              requirements=("SRS-042",))
                journal.measurement(Measurement(
                    id=limit.measurement, value=1.5 if verdict == "pass" else 2.5, unit="uV",
                    limit=limit, verdict=verdict))
                code = {"pass": 0, "inconclusive": 5}.get(verdict, 1)
                journal.append("run_ended", status="completed", exit_code=code, ended="")
        record = fold(read_journal(folder))
        if not (folder / RECORD).is_file():  # a real run that is completed leaves it as it is
            write_whole(folder / RECORD, record.to_json())
        return folder, record


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Put fabricated runs in place of real ones."""
    made = Runs()
    monkeypatch.setattr("emgsim.campaigns.running.examine", made.examine)
    monkeypatch.setattr("emgsim.campaigns.running.run", made.run)
    monkeypatch.setattr("emgsim.campaigns.running.resume", made.resume)
    return made


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Return what writes a campaign's file."""

    def written(text: str) -> Path:
        path = tmp_path / "night.toml"
        path.write_text(HEAD + text, encoding="utf-8")
        return path

    return written


@pytest.fixture
def load(write: Callable[[str], Path]) -> Callable[[str], Campaign]:
    """Return what loads a campaign of a text."""
    return lambda text: load_campaign(write(text))


@pytest.fixture
def carry_out(
    tmp_path: Path, load: Callable[[str], Campaign], runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """Return what runs a campaign of a text, without its page."""
    plain_page(monkeypatch)
    return lambda text, **how: run_campaign(load(text), out=tmp_path / "out", **how)


def plain_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the page out: it costs more than all else."""
    monkeypatch.setattr("emgsim.report.campaign_page.write_campaign_page", lambda *_: None)
