"""The parts of the study of baselines in ``benchmarks``, on a subject whose scatter is known."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from emgsim.verdict import Measurement

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAMES = ("baseline_changes", "baseline_study", "baselines")


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    """Import the modules of the study, which know each other by their bare names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield {name: importlib.import_module(name) for name in NAMES}


class Scale:
    """Weigh five things that scatter by a known share of a margin; the first may be too heavy."""

    def __init__(self, scatter: float) -> None:
        self.scatter, self.n_weighed = scatter, 0

    def measured(self, added: float, seed: int) -> list[Measurement]:
        """Return the five weights."""
        self.n_weighed += 1
        weights = np.random.default_rng(seed).normal(100, self.scatter, 5) + added * np.eye(5)[0]
        return [Measurement(id=f"w{k}", value=float(w), unit="g") for k, w in enumerate(weights)]


@pytest.fixture
def weighed(modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a subject of a scale, known to the study."""

    def make(scatter: float) -> tuple[Any, Scale]:
        scale, changes = Scale(scatter), modules["baseline_changes"]
        change = changes.Change(name="heavier", acts_on="w0", largest=9.0, made=lambda x: x)
        subject = changes.Subject(
            name="scale",
            unchanged=0.0,
            margins={f"w{k}": 2.0 for k in range(5)},
            changes=(change,),
            measured=scale.measured,
            n_baseline=10,
            n_check=5,
            searched=range(1, 4),
        )
        monkeypatch.setitem(modules["baselines"].SUBJECTS, "scale", subject)
        return subject, scale

    return make


@pytest.mark.parametrize("curve", [lambda x: 2 * x, lambda x: x**3, lambda x: round(x, 2)])
def test_the_size_of_a_change_is_found(modules: dict[str, ModuleType], curve: Any) -> None:
    """Of a straight line, of a cube, and of stairs."""
    study = modules["baseline_study"]
    assert curve(study.sought(curve, 4.0, 1.5)) == pytest.approx(1.5, abs=study.CLOSE)


def test_a_change_that_is_never_large_enough_is_refused(modules: dict[str, ModuleType]) -> None:
    """The study must not go on with a change that is too small."""
    with pytest.raises(ValueError, match=r"move it by 1\.5 margins, got 1"):
        modules["baseline_study"].sought(lambda x: x, 1.0, 1.5)


def test_no_run_serves_twice_in_a_repeat(modules: dict[str, ModuleType], weighed: Any) -> None:
    """Search, baselines and checks have seeds of their own, and so has each of forty repeats."""
    subject, _ = weighed(0.1)
    repeats = [modules["baseline_study"].seeds_of(subject, k) for k in range(40)]
    seeds = [*subject.searched, *(s for r in repeats for s in (*r.baseline, *r.check))]
    assert len(set(seeds)) == len(seeds) == 3 + 40 * 15


def test_what_was_measured_is_kept(
    modules: dict[str, ModuleType], weighed: Any, tmp_path: Path
) -> None:
    """A second call weighs nothing again but what was cut off in the midst of its line."""
    study, (subject, scale) = modules["baseline_study"], weighed(0.1)
    runs = [("heavier", 1.5, seed) for seed in range(4)]
    first = study.Bench(subject, tmp_path, 1).values(runs)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    assert study.Bench(subject, tmp_path, 1).values(runs) == first
    assert scale.n_weighed == 5
    assert study.Bench(subject, tmp_path, 1).values(runs) == first
    assert scale.n_weighed == 5


def test_a_scale_that_scatters_little_misses_no_goal(
    modules: dict[str, ModuleType], weighed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tenth of the margin: 1.5 margins are told always, 0.5 never, and the study says so."""
    subject, _ = weighed(0.2)
    bench, study = modules["baseline_study"].Bench(subject, None, 1), modules["baselines"]
    assert study.told_changes(bench, subject, None, 20) == 0
    assert study.told_clean(bench, subject, 20) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "heavier" in line]
    assert [row[3:8] for row in rows] == [
        ["1.50", "1.50", "20", "0", "0"],
        ["0.50", "0.50", "0", "20", "0"],
    ]


def test_a_scale_that_scatters_much_misses_the_goal(
    modules: dict[str, ModuleType], weighed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a margin: the change is there, and the runs are too few to tell it."""
    subject, _ = weighed(1.0)
    bench, study = modules["baseline_study"].Bench(subject, None, 1), modules["baselines"]
    assert study.told_changes(bench, subject, None, 20) >= 1
    assert "MISSED" in capsys.readouterr().out


def test_bounds_of_shares_are_the_exact_ones(modules: dict[str, ModuleType]) -> None:
    """By pencil: 1 - 0.05^(1/100) of none in a hundred; 3/4 of one or more in two tosses."""
    study = modules["baseline_study"]
    assert study.one_sided_bound(0, 100) == pytest.approx(1 - 0.05**0.01)
    assert study.one_sided_bound(2, 2) == 1
    assert study.chance_of_more(1, 2, 0.5) == pytest.approx(0.75)
    assert study.chance_of_more(0, 2, 0.5) == 1


def test_a_change_of_no_size_changes_nothing(modules: dict[str, ModuleType]) -> None:
    """Ten of a detector, ten of a device; the mains are none at all, or some."""
    subjects = [s for s in modules["baselines"].SUBJECTS.values() if s.name != "scale"]
    changes = [(subject, change) for subject in subjects for change in subject.changes]
    assert len(changes) == 20
    assert all(re.fullmatch(r"[a-z0-9_.-]+", subject.name) for subject in subjects)
    for subject, change in changes:
        assert change.acts_on in subject.margins
        if change.name != "mains pick-up":
            assert change.made(0.0) == subject.unchanged, change.name
        assert change.made(change.largest) != subject.unchanged
