"""Baselines from the command line: proposed of what passed, approved by a person, compared."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emgsim.records.journal import Journal
from emgsim.regression.baseline import baseline_text, load_baseline
from emgsim.verdict import Measurement

Command = Callable[..., int]
Make = Callable[..., Path]
F1 = "discharges.f1.device"


@pytest.fixture
def run(tmp_path: Path) -> Make:
    """Make a run's folder with one measurement."""

    def make(
        seed: int, value: float | None, *, verdict: str = "pass", rig: str = "virtual"
    ) -> Path:
        folder = tmp_path / "runs" / f"{rig}-{seed}-{value}-{verdict}"
        with Journal(folder) as journal:
            journal.append(
                "run_started",
                run_id=folder.name,
                seed=seed,
                scenario={"id": "healthy_biceps"},
                rig={"id": rig},
                detector={"name": "emgsim"},
            )
            journal.append(
                "identity", role="device", maker="EMGSIM", model="NA-1", serial="1", firmware="1.0"
            )
            shown = float("nan") if value is None else value
            journal.measurement(
                Measurement(id=F1, value=shown, unit="1", verdict=verdict)  # type: ignore[arg-type]
            )
            journal.append("run_ended", status="completed", exit_code=0)
        return folder

    return make


@pytest.fixture
def old(run: Make) -> list[Path]:
    """Make ten runs that passed, of an F1 of 0.95 that scatters by 0.01."""
    values = 0.95 + 0.01 * np.random.default_rng(1).standard_normal(10)
    return [run(seed, float(value)) for seed, value in enumerate(values)]


def test_a_baseline_is_proposed_approved_and_compared(
    run: Make, on_baselines: Command, old: list[Path], tmp_path: Path, capsys
) -> None:
    """The same again is equivalent, a loss is a change, and one run of ten tells nothing."""
    assert on_baselines("propose", "biceps", *old, "--margin", f"{F1}=0.05") == 0
    assert on_baselines("check", "biceps", old[0]) == 3  # nobody has approved it
    assert on_baselines("approve", "biceps", "--by", "A. Nyquist", "--reason", "first release") == 0
    file = tmp_path / "baselines" / "biceps.toml"
    assert load_baseline(file).by == "A. Nyquist"
    assert not (tmp_path / "baselines" / "proposed" / "biceps.toml").exists()
    capsys.readouterr()
    assert on_baselines("check", "biceps", run(50, 0.951), run(51, 0.948)) == 0
    assert "equivalent" in capsys.readouterr().out
    assert on_baselines("check", "biceps", run(52, 0.81), run(53, 0.82)) == 1
    assert "changed" in capsys.readouterr().out
    assert on_baselines("check", "biceps", run(54, 0.90)) == 5
    assert "not enough data" in capsys.readouterr().out
    assert on_baselines("list") == 0
    assert "A. Nyquist" in capsys.readouterr().out
    assert on_baselines("show", "biceps") == 0
    assert "first release" in capsys.readouterr().out


def test_what_failed_becomes_no_baseline(run: Make, on_baselines: Command, capsys) -> None:
    """A run that failed cannot propose itself."""
    failed = run(1, 0.2, verdict="fail")
    assert on_baselines("propose", "biceps", run(2, 0.9), failed, "--margin", f"{F1}=0.05") == 2
    assert "did not pass: completed, fail" in capsys.readouterr().err


def test_a_name_that_is_no_file_of_ours_is_refused(
    on_baselines: Command, old: list[Path], capsys
) -> None:
    """Before anything is written, and saying of what a name is made."""
    assert on_baselines("propose", "Bad Name", *old, "--margin", f"{F1}=0.05") == 2
    assert "small letters, digits, dots, hyphens and underscores, got 'Bad Name'" in (
        capsys.readouterr().err
    )


def test_runs_of_one_seed_tell_nothing_of_the_scatter(
    run: Make, on_baselines: Command, capsys
) -> None:
    """They are equal, and would make every change significant."""
    runs = [run(1, 0.9), run(1, 0.91)]
    assert on_baselines("propose", "biceps", *runs, "--margin", f"{F1}=0.05") == 2
    assert "a seed of its own" in capsys.readouterr().err


def test_runs_of_two_rigs_make_no_baseline(run: Make, on_baselines: Command, capsys) -> None:
    """Nor are they compared with one of another rig."""
    runs = [run(1, 0.9), run(2, 0.91, rig="bench")]
    assert on_baselines("propose", "biceps", *runs, "--margin", f"{F1}=0.05") == 2
    assert "bench and virtual" in capsys.readouterr().err


@pytest.mark.parametrize("margin", ["0.05", f"{F1}=", f"{F1}=-1", f"{F1}=x"])
def test_a_margin_is_a_difference(
    margin: str, on_baselines: Command, old: list[Path], capsys
) -> None:
    """Of a measurement, and more than nought."""
    assert on_baselines("propose", "biceps", *old, "--margin", margin) == 2
    assert "MEASUREMENT=DIFFERENCE" in capsys.readouterr().err


def test_what_was_not_measured_is_not_watched(
    run: Make, on_baselines: Command, capsys
) -> None:
    """Neither in all of the runs nor in one of them."""
    assert on_baselines("propose", "b", run(1, 0.9), "--margin", "gain.accuracy=1") == 2
    assert "no run has a measurement 'gain.accuracy'" in capsys.readouterr().err
    assert on_baselines("propose", "b", run(2, 0.9), run(3, None), "--margin", f"{F1}=1") == 2
    assert "was not measured in virtual-3" in capsys.readouterr().err


def test_a_baseline_that_was_changed_by_hand_is_refused(
    on_baselines: Command, old: list[Path], tmp_path: Path, capsys
) -> None:
    """Its digest tells."""
    on_baselines("propose", "biceps", *old, "--margin", f"{F1}=0.05")
    on_baselines("approve", "biceps", "--by", "A. Nyquist", "--reason", "first release")
    file = tmp_path / "baselines" / "biceps.toml"
    file.write_text(file.read_text().replace("margin = 0.05", "margin = 0.5"))
    assert on_baselines("check", "biceps", old[0]) == 3
    assert "was changed after A. Nyquist approved it" in capsys.readouterr().err


def test_a_proposal_that_somebody_overtook_is_refused(
    on_baselines: Command, old: list[Path], tmp_path: Path, capsys
) -> None:
    """Approval names what it replaces, and that has gone."""
    on_baselines("propose", "biceps", *old, "--margin", f"{F1}=0.05")
    stale = (tmp_path / "baselines" / "proposed" / "biceps.toml").read_text()
    on_baselines("approve", "biceps", "--by", "A. Nyquist", "--reason", "first release")
    (tmp_path / "baselines" / "proposed" / "biceps.toml").write_text(stale)
    assert on_baselines("approve", "biceps", "--by", "B", "--reason", "second") == 2
    assert "approved anew" in capsys.readouterr().err


def test_approval_needs_a_name_and_a_reason(
    on_baselines: Command, old: list[Path], capsys
) -> None:
    """Blanks are none."""
    on_baselines("propose", "biceps", *old, "--margin", f"{F1}=0.05")
    assert on_baselines("approve", "biceps", "--by", " ", "--reason", "why") == 2
    assert "needs a name and a reason" in capsys.readouterr().err


def test_a_baseline_reads_back_as_it_was_written(
    on_baselines: Command, old: list[Path], tmp_path: Path
) -> None:
    """To the last digit, quotes and all."""
    on_baselines("propose", "biceps", *old, "--margin", f"{F1}=0.05")
    on_baselines("approve", "biceps", "--by", 'A. "Ny" Quist', "--reason", "it's right\nso")
    found = load_baseline(tmp_path / "baselines" / "biceps.toml")
    again = tmp_path / "again.toml"
    again.write_text(baseline_text(found))
    assert load_baseline(again) == found
