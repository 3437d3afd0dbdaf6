"""Folders of runs that never ran, and the commands on baselines."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emgsim.cli import main
from emgsim.records.journal import Journal
from emgsim.verdict import Measurement, Verdict

Make = Callable[..., Path]
F1 = "discharges.f1.device"
GAIN = "amplitude.error_pct.device"


@pytest.fixture
def two(tmp_path: Path) -> Make:
    """Make a run's folder with two measurements; one that is None was not measured."""

    def make(
        seed: int, f1: float, gain: float | None, *, unit: str = "%", verdict: Verdict = "pass"
    ) -> Path:
        folder = tmp_path / "runs" / f"{seed}-{f1}-{gain}-{unit.strip('%')}-{verdict}"
        with Journal(folder) as journal:
            journal.append(
                "run_started",
                run_id=folder.name,
                seed=seed,
                scenario={"id": "healthy_biceps"},
                rig={"id": "virtual"},
                detector={"name": "emgsim"},
            )
            journal.measurement(Measurement(id=F1, value=f1, unit="1", verdict=verdict))
            if gain is not None:
                journal.measurement(Measurement(id=GAIN, value=gain, unit=unit, verdict="pass"))
            journal.append("run_ended", status="completed", exit_code=0)
        return folder

    return make


@pytest.fixture
def ten(two: Make) -> list[Path]:
    """Make ten runs that passed, which scatter a little."""
    noise = np.random.default_rng(1).standard_normal((10, 2))
    return [two(n, 0.95 + 0.01 * float(a), 0.1 * float(b)) for n, (a, b) in enumerate(noise)]


@pytest.fixture
def on_baselines(tmp_path: Path) -> Callable[..., int]:
    """Run a command on the baselines of a folder."""

    def command(*words: object) -> int:
        return main(["golden", *map(str, words), "--folder", str(tmp_path / "baselines")])

    return command


@pytest.fixture
def approved(on_baselines: Callable[..., int], ten: list[Path], tmp_path: Path) -> Path:
    """Approve a baseline of ten runs and two measurements, and return its file."""
    margins = ("--margin", f"{F1}=0.05", "--margin", f"{GAIN}=0.5")
    assert on_baselines("propose", "biceps", *ten, *margins) == 0
    assert on_baselines("approve", "biceps", "--by", "A. Nyquist", "--reason", "first") == 0
    return tmp_path / "baselines" / "biceps.toml"
