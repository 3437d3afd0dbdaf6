"""The rig of one pytest process, and the runs that are made on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emgsim.bench.rig import Rig
    from emgsim.bench.station import Station
    from emgsim.errors import EmgsimError
    from emgsim.records.record import RunRecord
    from emgsim.regression.check import Checked
    from emgsim.verdict import Measurement


@dataclass
class Bench:
    """The rig of this worker: opened when a test first asks, closed before a scenario runs.

    ``broken`` is why nothing more is tried on it.
    """

    rig: Rig
    out: Path
    detector: str
    detector_timeout_s: float
    broken: str = ""
    runs: dict[str, list[Path]] = field(default_factory=dict)  # folders, by scenario
    told: list[tuple[str, Measurement]] = field(default_factory=list)  # with the item's id
    compared: list[Checked] = field(default_factory=list)  # with baselines
    proposals: list[Path] = field(default_factory=list)
    _opened: Any = None
    _station: Station | None = None

    def station(self) -> Station:
        """Return the opened rig, opening it if need be."""
        from emgsim.bench.station import open_station

        if self._station is None:
            self._opened = open_station(self.rig, seed=0, run_id="pytest")
            self._station = self._opened.__enter__()
        return self._station

    def close(self) -> None:
        """Switch the output off and give the rig back."""
        opened, self._opened, self._station = self._opened, None, None
        if opened is not None:
            opened.__exit__(None, None, None)


def run_file(
    path: Path, seed: int | None, bench: Bench
) -> tuple[Path | None, RunRecord | None, EmgsimError | None]:
    """Run a scenario or an examination; return what there is of it, and what ended it early.

    A rig that breaks is not tried again.
    """
    from emgsim.errors import EmgsimError, InstrumentError, SafetyError
    from emgsim.records.journal import read_journal
    from emgsim.records.record import fold

    bench.close()  # a run opens the rig by itself
    try:
        return *_carried_out(path, seed, bench), None
    except EmgsimError as error:
        if isinstance(error, (InstrumentError, SafetyError)):
            bench.broken = f"rig {bench.rig.id} is broken since {path.stem}: {error.what}"
        if not error.folder:
            return None, None, error
        folder = Path(error.folder)
        return folder, fold(read_journal(folder)), error


def _carried_out(path: Path, seed: int | None, bench: Bench) -> tuple[Path, RunRecord]:
    if _is_examination(path):
        from emgsim.exam.examination import load_examination
        from emgsim.running.examination import examine

        folder, of_exam = examine(
            load_examination(path),
            bench.rig,
            out=bench.out,
            seed=seed,
            detector=bench.detector,
            detector_timeout_s=bench.detector_timeout_s,
        )
        return folder, of_exam.run
    from emgsim.running.run import run
    from emgsim.scenario import load_scenario

    return run(
        load_scenario(path),
        bench.rig,
        out=bench.out,
        seed=seed,
        detector=bench.detector,
        detector_timeout_s=bench.detector_timeout_s,
    )


def refusals(path: Path, seed: int | None, rig: Rig) -> list[str]:
    """Tell why what a file holds would not be played, if so; drive nothing."""
    from emgsim.bench.outlook import foresee
    from emgsim.bench.outlook_text import verdict_line
    from emgsim.bench.program import program_for
    from emgsim.scenario import load_scenario
    from emgsim.simulation import simulate

    if _is_examination(path):
        from emgsim.exam.examination import load_examination

        exam = load_examination(path).on(None)
        scenarios = [exam.scenario(one) for one in exam.muscles]
    else:
        scenarios = [load_scenario(path)]
    found = []
    for one in scenarios:
        recording, _ = simulate(one, seed=seed, for_playing=True)
        program = program_for(recording, rig.profile.band_hz[1])
        outlook = foresee(program, rig, name=f"scenario {one.id}")
        if not outlook.would_be_played:
            found.append(f"{one.id}: {verdict_line(outlook)}")
    return found


def _is_examination(path: Path) -> bool:
    return "emgsim.examination/" in path.read_text(encoding="utf-8")


def identity(folder: Path, record: RunRecord, bench: Bench) -> dict[str, object]:
    """Return who was measured by what: it is kept with the test's result."""
    device = record.identities.get("device", {})
    return {
        "run_id": record.run_id,
        "folder": str(folder),
        "rig": bench.rig.id,
        "detector": bench.detector,
        "device_serial": device.get("serial", ""),
        "device_firmware": device.get("firmware", ""),
    }
