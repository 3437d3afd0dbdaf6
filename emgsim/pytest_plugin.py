"""pytest on a rig: scenario files are test items, every judged measurement is a result of its own.

``pytest --rig virtual scenarios/`` runs each scenario file through the rig. Tests of your own ask
for the fixtures ``rig``, ``source``, ``device``, ``capture`` and ``measure``. This module is
imported by every pytest run of an environment in which emgsim is installed: it loads nothing heavy
before a rig is named.
"""

from __future__ import annotations

import os
import re
import tomllib
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emgsim.bench.rig import Rig
    from emgsim.bench.station import Station
    from emgsim.records.record import RunRecord
    from emgsim.verdict import Measurement

SCHEMAS = ("emgsim.scenario/", "emgsim.examination/")
MARKERS = (
    "needs(*features): skip unless the rig has them: 'bench', 'virtual', 'switch', "
    "'state:NAME', 'channels>=2', 'rate_hz>=10000'",
    "energises(max_mv=None): drives the device; on a real rig only with --allow-energise",
    "metrology(id): which test of the amplifier it stands for; kept with the result",
    "quarantine(until, issue): may fail until that date, written 2026-12-31; then it must pass",
)
NAMES = {"channels": "n_channels", "rate_hz": "rate_hz", "range_uv": "range_uv"}
CONDITION = re.compile(r"(\w+)\s*>=\s*([\d.]+)")
FAILED = ("fail", "conditional_fail", "inconclusive")


@dataclass
class Bench:
    """The rig of this worker: opened when a test first asks, closed before a scenario runs.

    ``broken`` is why nothing more is tried on it.
    """

    rig: Rig
    out: Path
    broken: str = ""
    runs: dict[str, list[Path]] = field(default_factory=dict)  # folders, by scenario
    told: list[tuple[str, Measurement]] = field(default_factory=list)  # with the item's id
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


BENCH = pytest.StashKey[Bench]()


# -- options ---------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a rig."""
    group = parser.getgroup("emgsim", "EMG rigs (emgsim)")
    group.addoption(
        "--rig",
        action="append",
        default=[],
        help="shipped name or path of a rig file; several are shared out to the workers of "
        "pytest-xdist; also EMGSIM_RIG or emgsim_rig in the configuration",
    )
    group.addoption(
        "--scenario-seed",
        action="append",
        type=int,
        default=[],
        help="seed of each scenario, in place of its own; may be given often",
    )
    group.addoption("--rig-out", type=Path, default=Path("reports/runs"), help="folder of the runs")
    group.addoption("--rig-dry-run", action="store_true", help="foresee playbacks, drive nothing")
    group.addoption("--allow-energise", action="store_true", help="let tests drive a real rig")
    group.addoption(
        "--golden",
        choices=("check", "off"),
        default="off",
        help="compare the runs of each scenario with the baseline named <scenario>-<rig>",
    )
    group.addoption("--golden-folder", type=Path, default=Path("reports/baselines"))
    parser.addini("emgsim_rig", "shipped name or path of the rig file", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and read the rig of this worker."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    name = _rig_of_worker(config)
    if name:
        from emgsim.bench.rig import load_rig
        from emgsim.errors import EmgsimError

        try:
            rig = load_rig(name)
        except EmgsimError as error:
            raise pytest.UsageError(f"--rig {name}: {error}") from error
        config.stash[BENCH] = Bench(rig, config.getoption("--rig-out"))


def _rig_of_worker(config: pytest.Config) -> str:
    """Return the rig that this worker drives, "" for none."""
    names = config.getoption("--rig") or [
        os.environ.get("EMGSIM_RIG", "") or str(config.getini("emgsim_rig"))
    ]
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return str(names[int(worker.removeprefix("gw")) % len(names)])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the rig safe."""
    if BENCH in config.stash:
        config.stash[BENCH].close()


# -- scenario files --------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a scenario's file: its tests are made here, as if it were a module of tests."""
    if file_path.suffix != ".toml" or not _is_scenario(file_path):
        return None
    is_meant = any(file_path == Path(arg.split("::")[0]).absolute() for arg in parent.config.args)
    if BENCH not in parent.config.stash and not is_meant:
        return None
    collector: pytest.Module = pytest.Module.from_parent(parent, path=file_path)
    collector.obj = _module_of(file_path, parent.config)
    return collector


def _is_scenario(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            schema = str(tomllib.load(file).get("schema", ""))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    return schema.startswith(SCHEMAS)


def _module_of(path: Path, config: pytest.Config) -> types.ModuleType:
    """Return a module that runs one scenario with each seed, and then asks its baseline."""
    module = types.ModuleType(path.stem)
    seeds = config.getoption("--scenario-seed") or [None]

    @pytest.mark.parametrize(
        "seed", seeds, ids=[path.stem if s is None else f"{path.stem}-seed{s}" for s in seeds]
    )
    def test_scenario(seed: int | None, scenario_run: Callable[..., None]) -> None:
        scenario_run(path, seed)

    def test_baseline(baseline_check: Callable[..., None]) -> None:
        baseline_check(path)

    module.test_scenario = test_scenario  # type: ignore[attr-defined]
    if config.getoption("--golden") == "check":
        module.test_baseline = test_baseline  # type: ignore[attr-defined]
    return module


@pytest.fixture
def scenario_run(
    request: pytest.FixtureRequest, subtests: pytest.Subtests
) -> Callable[[Path, int | None], None]:
    """Run a scenario's file, each judged measurement as a result of its own."""
    bench = _bench(request.config)

    def run_file(path: Path, seed: int | None) -> None:
        if request.config.getoption("--rig-dry-run"):
            with _plain_failures():
                _foresee(path, seed, bench.rig)
            return
        if bench.rig.kind == "bench" and not request.config.getoption("--allow-energise"):
            pytest.skip("drives a real rig: give --allow-energise")
        folder, record = _run_file(path, seed, bench)
        bench.runs.setdefault(path.stem, []).append(folder)
        for name, value in _identity(folder, record, bench.rig).items():
            request.node.user_properties.append((f"emgsim.{name}", value))
        for one in record.measurements:
            _keep(one, request.node)
            if one.limit is None:
                continue
            bench.told.append((request.node.nodeid, one))
            with subtests.test(one.id):
                _judged(one, folder)

    return run_file


def _run_file(path: Path, seed: int | None, bench: Bench) -> tuple[Path, RunRecord]:
    """Run a scenario or an examination; a rig that breaks is not tried again."""
    from emgsim.errors import InstrumentError, SafetyError

    bench.close()  # a run opens the rig by itself
    with _plain_failures():
        try:
            if _is_examination(path):
                from emgsim.exam.examination import load_examination
                from emgsim.running.examination import examine

                exam = load_examination(path)
                folder, of_exam = examine(exam, bench.rig, out=bench.out, seed=seed)
                return folder, of_exam.run
            from emgsim.running.run import run
            from emgsim.scenario import load_scenario

            return run(load_scenario(path), bench.rig, out=bench.out, seed=seed)
        except (InstrumentError, SafetyError) as error:
            bench.broken = f"rig {bench.rig.id} is broken since {path.stem}: {error.what}"
            raise
    raise AssertionError  # what was raised has failed the test


@contextmanager
def _plain_failures() -> Iterator[None]:
    """Let an error of emgsim fail the test with its own words, without a traceback."""
    from emgsim.errors import EmgsimError

    try:
        yield
    except EmgsimError as error:
        pytest.fail(str(error), pytrace=False)


def _foresee(path: Path, seed: int | None, rig: Rig) -> None:
    """Tell whether a scenario would be played; drive nothing."""
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
    for one in scenarios:
        recording, _ = simulate(one, seed=seed, for_playing=True)
        program = program_for(recording, rig.profile.band_hz[1])
        outlook = foresee(program, rig, name=f"scenario {one.id}")
        if not outlook.would_be_played:
            pytest.fail(f"{one.id}: {verdict_line(outlook)}", pytrace=False)


def _is_examination(path: Path) -> bool:
    return "emgsim.examination/" in path.read_text(encoding="utf-8")


def _identity(folder: Path, record: RunRecord, rig: Rig) -> dict[str, object]:
    device = record.identities.get("device", {})
    return {
        "run_id": record.run_id,
        "folder": str(folder),
        "rig": rig.id,
        "device_serial": device.get("serial", ""),
        "device_firmware": device.get("firmware", ""),
    }


def _keep(one: Measurement, item: pytest.Item) -> None:
    """Keep a measurement with a test's result.

    Not by `record_property`, which warns in every run that asks for a JUnit file.
    """
    kept = {"value": one.value, "unit": one.unit}
    if one.limit is not None:
        kept |= {"limit": str(one.limit), "verdict": one.verdict}
    item.user_properties += [(f"measurement.{one.id}.{k}", value) for k, value in kept.items()]


def _judged(one: Measurement, folder: Path | None = None) -> None:
    """Fail the running test, or a part of it, if a measurement does not hold its limit."""
    if one.verdict in FAILED:
        where = f"\n  see {folder / 'report.html'}" if folder is not None else ""
        note = f" ({one.note})" if one.note else ""
        pytest.fail(
            f"{one.verdict.replace('_', ' ')}: {one.id} = {one.value:.4g} {one.unit}, "
            f"must be {one.limit}{note}{where}",
            pytrace=False,
        )


# -- baselines -------------------------------------------------------------------------------------


@pytest.fixture
def baseline_check(
    request: pytest.FixtureRequest, subtests: pytest.Subtests
) -> Callable[[Path], None]:
    """Compare the runs of a scenario with its baseline; it has run before, in the same file."""
    bench, folder = _bench(request.config), request.config.getoption("--golden-folder")

    def check(path: Path) -> None:
        from emgsim.records.folders import record_table
        from emgsim.regression.baseline import find_baseline, load_baseline
        from emgsim.regression.check import checked_runs

        name = f"{path.stem}-{bench.rig.id}"
        runs = bench.runs.get(path.stem, [])
        if not (folder / f"{name}.toml").is_file():
            pytest.skip(f"there is no baseline {name} in {folder}")
        if not runs:
            pytest.skip("no run of this scenario to compare")
        with _plain_failures():
            baseline = load_baseline(find_baseline(name, folder))
            rows = checked_runs(baseline, [record_table(run) for run in runs])
        for row in rows:
            with subtests.test(row.id):
                found = row.comparison
                said = (
                    f"{found.difference:+.4g} {row.unit} ({found.low:+.4g} .. {found.high:+.4g}), "
                    f"margin {found.margin:g}"
                )
                if found.answer == "changed":
                    pytest.fail(f"changed: {row.id} by {said}", pytrace=False)
                if found.answer == "not enough data":
                    pytest.skip(f"not enough data: {row.id} by {said}; run more seeds")

    return check


# -- fixtures for tests of your own ----------------------------------------------------------------


def _bench(config: pytest.Config) -> Bench:
    if BENCH not in config.stash:
        pytest.skip("no rig: give --rig NAME, or set EMGSIM_RIG")
    bench = config.stash[BENCH]
    if bench.broken:
        pytest.skip(bench.broken)
    return bench


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest) -> Rig:
    """Return the rig of this worker, as its file declares it."""
    return _bench(request.config).rig


@pytest.fixture
def station(request: pytest.FixtureRequest) -> Iterator[Station]:
    """Open the rig and hold its lock; the output is off before and after each test."""
    from emgsim.errors import EmgsimError

    bench = _bench(request.config)
    with _plain_failures():
        try:
            opened = bench.station()
        except EmgsimError as error:
            bench.broken = f"rig {bench.rig.id} cannot be opened: {error.what}"
            raise
    yield opened
    if opened.source.is_on or opened.source.is_latched:
        bench.close()  # a latched source drives nothing more: the next test opens the rig anew


@pytest.fixture
def source(station: Station) -> Any:
    """Return the rig's generator, guarded (`emgsim.bench.guarded_source.GuardedSource`)."""
    return station.source


@pytest.fixture
def device(station: Station) -> Any:
    """Return the device under test (`emgsim.instruments.base.Device`)."""
    return station.device


@pytest.fixture
def capture(station: Station) -> Any:
    """Return the rig's oscilloscope (`emgsim.instruments.base.Capture`)."""
    return station.capture


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[..., Measurement]:
    """Record a measured value, and fail the test if it does not hold its limits.

    ``measure(id, value, unit, *, low=None, high=None, uncertainty=0.0)``: the verdict is that of
    ILAC-G8, with the expanded uncertainty as guard band.
    """
    from emgsim.verdict import Limit, Measurement, judge

    def record(
        id: str,
        value: float,
        unit: str,
        *,
        low: float | None = None,
        high: float | None = None,
        uncertainty: float = 0.0,
    ) -> Measurement:
        one = Measurement(
            id=id,
            value=value,
            unit=unit,
            low=value - uncertainty if uncertainty else None,
            high=value + uncertainty if uncertainty else None,
        )
        if low is not None or high is not None:
            limit = Limit(measurement=id, low=low, high=high, unit=unit, source=request.node.nodeid)
            one = judge(one, limit)
            if BENCH in request.config.stash:
                request.config.stash[BENCH].told.append((request.node.nodeid, one))
        _keep(one, request.node)
        _judged(one)
        return one

    return record


# -- markers ---------------------------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what the rig has not got, and let what is in quarantine fail until its date."""
    bench = config.stash.get(BENCH, None)
    for item in items:
        for marker in item.iter_markers("quarantine"):
            _quarantine(item, marker)
        for marker in item.iter_markers("metrology"):
            item.user_properties.append(("emgsim.metrology", ", ".join(map(str, marker.args))))
        if bench is None:
            continue
        missing = [
            str(feature)
            for marker in item.iter_markers("needs")
            for feature in marker.args
            if not _has(bench.rig, str(feature))
        ]
        if missing:
            reason = f"rig {bench.rig.id} has not {' and '.join(missing)}"
            item.add_marker(pytest.mark.skip(reason=reason))
        energises = item.get_closest_marker("energises")
        if energises is not None:
            _refuse_energising(item, energises, bench.rig, config.getoption("--allow-energise"))


def _quarantine(item: pytest.Item, marker: pytest.Mark) -> None:
    """Let a test fail until a date; afterwards it is a test like the others, and says why."""
    until, issue = str(marker.kwargs.get("until", "")), str(marker.kwargs.get("issue", ""))
    try:
        ends = date.fromisoformat(until)
    except ValueError as error:
        raise pytest.UsageError(
            f"{item.nodeid}: quarantine needs until='YYYY-MM-DD', got {until!r}"
        ) from error
    if not issue:
        raise pytest.UsageError(f"{item.nodeid}: quarantine needs issue='...', which explains it")
    if datetime.now(UTC).date() <= ends:
        reason = f"in quarantine until {ends}: {issue}"
        item.add_marker(pytest.mark.xfail(reason=reason, strict=False))
    else:
        item.user_properties.append(("emgsim.quarantine", f"expired on {ends}: {issue}"))


def _has(rig: Rig, feature: str) -> bool:
    """Tell whether a rig has a feature.

    Raises
    ------
    UsageError
        If there is no such feature.
    """
    if feature in ("bench", "virtual"):
        return rig.kind == feature
    if feature == "switch":
        return rig.switch is not None
    if feature.startswith("state:"):
        return feature.removeprefix("state:") in {"through", *rig.fixture.states}
    found = CONDITION.fullmatch(feature)
    if found is None or found[1] not in NAMES:
        raise pytest.UsageError(
            f"needs({feature!r}): there is 'bench', 'virtual', 'switch', 'state:NAME', and "
            f"NAME>=NUMBER of {', '.join(NAMES)}"
        )
    return float(getattr(rig.profile, NAMES[found[1]])) >= float(found[2])


def _refuse_energising(item: pytest.Item, marker: pytest.Mark, rig: Rig, is_allowed: bool) -> None:
    most_mv = marker.kwargs.get("max_mv")
    if rig.kind == "bench" and not is_allowed:
        item.add_marker(pytest.mark.skip(reason="drives a real rig: give --allow-energise"))
    elif most_mv is not None and most_mv > rig.limits.device_differential_mv_pk:
        limit_mv = rig.limits.device_differential_mv_pk
        reason = f"needs {most_mv:g} mV at the device, rig {rig.id} allows {limit_mv:g}"
        item.add_marker(pytest.mark.skip(reason=reason))


# -- what is told at the end -----------------------------------------------------------------------


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print every judged measurement that does not pass, and where the runs are."""
    bench = config.stash.get(BENCH, None)
    if bench is None or not (bench.told or bench.runs):
        return
    terminalreporter.section(f"rig {bench.rig.id}")
    poor = [(node, one) for node, one in bench.told if one.verdict != "pass"]
    terminalreporter.write_line(
        f"{len(bench.told)} measurements judged, {len(bench.told) - len(poor)} pass"
    )
    for node, one in poor:
        terminalreporter.write_line(
            f"{one.verdict.replace('_', ' '):<17} {one.id:<40} {one.value:>10.4g} {one.unit:<5} "
            f"{one.limit}   {node}"
        )
    for folders in bench.runs.values():
        for folder in folders:
            terminalreporter.write_line(f"run {folder}")
