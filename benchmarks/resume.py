"""Kill a run with SIGKILL at random points, go on with it, and compare it with one that was not.

Usage::

    python benchmarks/resume.py [--kills 30] [--seed 1]

A short scenario is run on the virtual rig by a process of its own, which dies as soon as its
journal has a drawn number of lines, and a drawn time later. Every third run that is gone on with is
killed once more. Each kill is printed with what was done by then, and the goals:

- the journal lacks at most one of the measurements that were made by then;
- whatever was journalled folds to a record that says aborted and has all those measurements;
- gone on with, the record equals that of the run that was not interrupted.

``tests/test_resume.py`` runs the same with fewer kills.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emgsim.cli import main as emgsim
from emgsim.records.difference import Differences, differences
from emgsim.records.journal import JOURNAL, Journal, read_journal
from emgsim.records.record import fold
from emgsim.verdict import Measurement

ROOT = Path(__file__).parents[1]
GIVE_UP_S = 120.0
LOOK_S = 0.002
LONGEST_DELAY_S = 0.4  # of a kill, after its line
PHASES = '[{kind="rest",duration_s=0.5},{kind="hold",duration_s=2.0,level_mvc=0.05}]'
DETECTOR = """
import json, sys
import numpy as np
file = np.load(sys.argv[1])
uv = np.nan_to_num(file["samples_uv"][:, 0].astype(float))
is_peak = (uv[1:-1] > 6 * np.median(np.abs(uv))) & (uv[1:-1] >= uv[:-2]) & (uv[1:-1] > uv[2:])
times_s = float(file["start_s"]) + (np.flatnonzero(is_peak) + 1) / float(file["rate_hz"])
unit = {"id": 1, "discharge_times_s": times_s.tolist()}
json.dump({"units": [unit] if times_s.size else []}, open(sys.argv[2], "w"))
"""


@dataclass(frozen=True)
class Plan:
    """One run: the shares of a whole journal at which it is killed, and how long after."""

    number: int
    shares: tuple[float, ...]
    delays_s: tuple[float, ...]


@dataclass
class Outcome:
    """What the kills of one run led to."""

    plan: Plan
    died_after: list[str] = field(default_factory=list)  # the last stage that was done
    n_lost: list[int] = field(default_factory=list)  # measurements, at each kill
    is_aborted: bool = True
    exit_code: int = -1
    differ: Differences | None = None

    @property
    def mistakes(self) -> list[str]:
        """Name the goals that were missed."""
        found = [f"lost {n} measurements" for n in self.n_lost if n > 1]
        if not self.is_aborted:
            found.append("a record claimed more than its journal")
        if self.differ is None or not self.differ.is_equal:
            found.append(f"the record differs: {self.differ}")
        return found


def draw(n: int, seed: int) -> list[Plan]:
    """Draw the kills."""
    rng = np.random.default_rng(seed)
    plans = []
    for number in range(n):
        deaths = 2 if number % 3 == 2 else 1
        shares = tuple(float(x) for x in np.sort(rng.uniform(0, 1, deaths)))
        plans.append(Plan(number, shares, tuple(rng.uniform(0, LONGEST_DELAY_S, deaths))))
    return plans


class Bench:
    """The folder of all runs, with the record of the run that was not interrupted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "detector.py").write_text(DETECTOR, encoding="utf-8")
        (folder / "tmp").mkdir()
        with self._started("whole", self._words("whole")) as process:
            out, err = process.communicate(timeout=GIVE_UP_S)
        if not self.runs("whole"):
            raise RuntimeError(f"the run that nobody interrupts did not run: {out}{err}")
        self.whole = self.runs("whole")[0]
        self.n_lines = len(read_journal(self.whole))

    def _words(self, name: str) -> list[str]:
        detector = f"{sys.executable} {self.folder / 'detector.py'}"
        return ["run", "healthy_biceps", "--out", str(self.folder / name), "--seed", "3",
                "--set", f"phases={PHASES}", "--detector", detector]  # fmt: skip

    def runs(self, name: str) -> list[Path]:
        """Return the folders of the runs of that name that have begun."""
        journals = (self.folder / name).glob(f"*/{JOURNAL}")
        return sorted(path.parent for path in journals if read_journal(path.parent))

    def _started(self, name: str, words: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, __file__, "--worker", str(self.folder / f"made-{name}"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder / "tmp"),
               "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip

    def kill(self, plan: Plan) -> Outcome:
        """Run, kill, go on, and compare."""
        name, outcome = f"killed-{plan.number}", Outcome(plan)
        words = self._words(name)
        for share, delay_s in zip(plan.shares, plan.delays_s, strict=True):
            self._kill_once(name, words, round(share * self.n_lines), delay_s)
            if not self.runs(name):  # it died before its first line: there is nothing to lose
                outcome.died_after.append("nothing")
                continue
            (folder,) = self.runs(name)
            words = ["run", "--resume", str(folder)]
            self._look(name, folder, outcome)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            outcome.exit_code = emgsim(words)
        if outcome.exit_code not in (0, 1, 5):
            raise RuntimeError(f"the run did not go on: {said.getvalue()}")
        (folder,) = self.runs(name)
        outcome.differ = differences(record_of(self.whole), record_of(folder))
        return outcome

    def _kill_once(self, name: str, words: list[str], n_lines: int, delay_s: float) -> None:
        """Start a process and kill it when the journal has so many lines, and a while later."""
        with self._started(name, words) as process:
            ends_s = time.monotonic() + GIVE_UP_S
            while process.poll() is None and time.monotonic() < ends_s:
                if n_lines <= sum(_n_lines(folder) for folder in self.runs(name)):
                    break
                time.sleep(LOOK_S)
            time.sleep(delay_s)
            process.kill()

    def _look(self, name: str, folder: Path, outcome: Outcome) -> None:
        """Compare the journal with what was made by then."""
        lines = read_journal(folder)
        record = fold(lines)
        journalled = {line["id"] for line in lines if line["kind"] == "measurement"}
        made = set((self.folder / f"made-{name}").read_text("utf-8").split())
        outcome.n_lost.append(len(made - journalled))
        ended = any(line["kind"] == "run_ended" for line in lines)
        outcome.is_aborted &= ended or record.verdict == "aborted"
        outcome.is_aborted &= {m.id for m in record.measurements} == journalled
        outcome.died_after.append(record.stages[-1]["name"] if record.stages else "beginning")


def record_of(folder: Path) -> dict[str, Any]:
    """Return the record of a run's folder."""
    return dict(json.loads((folder / "record.json").read_text("utf-8")))


def _n_lines(folder: Path) -> int:
    return (folder / JOURNAL).read_bytes().count(b"\n")


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Make the run that nobody interrupts, in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="emgsim-resume-") as place:
        yield Bench(Path(place))


def work(words: list[str]) -> int:
    """Run a command and tell each measurement in a file, before it is journalled."""
    file, *command = words
    made = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    journalled = Journal.measurement

    def measurement(journal: Journal, one: Measurement) -> None:
        os.write(made, f"{one.id}\n".encode())
        journalled(journal, one)

    Journal.measurement = measurement  # type: ignore[method-assign]
    return emgsim(command)


def main() -> None:
    """Print every kill with what it cost, and the goals."""
    if sys.argv[1:2] == ["--worker"]:
        sys.exit(work(sys.argv[2:]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with bench() as runs:
        print(f"the whole run: {runs.n_lines} lines")
        outcomes = []
        for plan in draw(options.kills, options.seed):
            outcome = runs.kill(plan)
            outcomes.append(outcome)
            told = "; ".join(outcome.mistakes) or "equal"
            print(f"{plan.number:3d}  died after {' and '.join(outcome.died_after):24s}  "
                  f"lost {outcome.n_lost}  {told}", flush=True)  # fmt: skip
    n, good = len(outcomes), sum(not o.mistakes for o in outcomes)
    worst = max((n for o in outcomes for n in o.n_lost), default=0)
    print(f"measurements lost at a kill, at worst: {worst} (goal: at most 1)")
    print(f"{good} of {n} runs kept every goal (goal: {n})")
    sys.exit(good < n)


if __name__ == "__main__":
    main()
