"""pytest on a rig: scenario files are test items, every judged measurement is a result of its own.

``pytest --rig virtual scenarios/`` runs each scenario file through the rig. Tests of your own ask
for the fixtures ``rig``, ``source``, ``device``, ``capture`` and ``measure``. This module is
imported by every pytest run of an environment in which emgsim is installed: it loads nothing heavy
before a rig is named.
"""

from __future__ import annotations

import os
import tomllib
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emgsim.pytest_plugin.baselines import answer, compared, propose
from emgsim.pytest_plugin.bench import Bench, identity, refusals, run_file
from emgsim.pytest_plugin.markers import MARKERS, has_feature, quarantine, refuse_energising

if TYPE_CHECKING:
    from emgsim.bench.rig import Rig
    from emgsim.bench.station import Station
    from emgsim.regression.check import Checked
    from emgsim.verdict import Measurement

SCHEMAS = ("emgsim.scenario/", "emgsim.examination/")
FAILED = ("fail", "conditional_fail", "inconclusive")


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
    group.addoption(
        "--detector",
        default="",
        help="algorithm under test, as of `emgsim run`; also emgsim_detector in the configuration",
    )
    group.addoption(
        "--detector-timeout-s", type=float, default=600.0, help="how long it may take for one path"
    )
    group.addoption("--rig-dry-run", action="store_true", help="foresee playbacks, drive nothing")
    group.addoption("--allow-energise", action="store_true", help="let tests drive a real rig")
    group.addoption(
        "--golden",
        choices=("check", "propose", "off"),
        default="off",
        help="compare the runs of each scenario with the baseline named <scenario>-<rig>, or "
        "propose them in its place; `emgsim golden approve` is a step of its own",
    )
    group.addoption("--golden-folder", type=Path, default=Path("reports/baselines"))
    parser.addini("emgsim_rig", "shipped name or path of the rig file", default="")
    parser.addini("emgsim_detector", "algorithm under test: a name or a command", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and read the rig of this worker."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    name = _rig_of_worker(config)
    if name:
        config.stash[BENCH] = _bench_of_worker(config, name)


def _bench_of_worker(config: pytest.Config, name: str) -> Bench:
    """Read the rig's file and find the detector; open nothing.

    Raises
    ------
    UsageError
        If one of them is not there, or has mistakes.
    """
    from emgsim.bench.rig import load_rig
    from emgsim.detectors import BUILT_IN, find_detector
    from emgsim.errors import EmgsimError

    detector = config.getoption("--detector") or str(config.getini("emgsim_detector")) or BUILT_IN
    timeout_s = config.getoption("--detector-timeout-s")
    try:
        rig = load_rig(name)
    except EmgsimError as error:
        raise pytest.UsageError(f"--rig {name}: {error}") from error
    try:
        find_detector(detector, timeout_s=timeout_s)
    except EmgsimError as error:
        raise pytest.UsageError(str(error)) from error
    return Bench(rig, config.getoption("--rig-out"), detector, timeout_s)


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
    if config.getoption("--golden") != "off":
        module.test_baseline = test_baseline  # type: ignore[attr-defined]
    return module


@pytest.fixture
def scenario_run(
    request: pytest.FixtureRequest, subtests: pytest.Subtests
) -> Callable[[Path, int | None], None]:
    """Run a scenario's file, each judged measurement as a result of its own."""
    bench = _bench(request.config)

    def one_file(path: Path, seed: int | None) -> None:
        if request.config.getoption("--rig-dry-run"):
            with _plain_failures():
                refused = refusals(path, seed, bench.rig)
            if refused:
                pytest.fail("\n".join(refused), pytrace=False)
            return
        if bench.rig.kind == "bench" and not request.config.getoption("--allow-energise"):
            pytest.skip("drives a real rig: give --allow-energise")
        folder, record, ended = run_file(path, seed, bench)
        if folder is not None and record is not None:
            bench.runs.setdefault(path.stem, []).append(folder)
            for name, value in identity(folder, record, bench).items():
                request.node.user_properties.append((f"emgsim.{name}", value))
            for one in record.measurements:
                _keep(one, request.node)
                if one.limit is None:
                    continue
                bench.told.append((request.node.nodeid, one))
                with subtests.test(one.id):
                    _judged(one, folder)
        if ended is not None:
            notes = getattr(ended, "__notes__", [])
            pytest.fail("\n".join([str(ended), *notes]), pytrace=False)

    return one_file


@contextmanager
def _plain_failures() -> Iterator[None]:
    """Let an error of emgsim fail the test with its own words, without a traceback."""
    from emgsim.errors import EmgsimError

    try:
        yield
    except EmgsimError as error:
        pytest.fail(str(error), pytrace=False)


def _keep(one: Measurement, item: pytest.Item) -> None:
    """Keep a measurement with a test's result.

    Not by `record_property`, which warns in every run that asks for a JUnit file.
    """
    kept = {"value": one.value, "unit": one.unit}
    if one.limit is not None:
        kept |= {"limit": str(one.limit), "verdict": one.verdict}
    item.user_properties += [(f"measurement.{one.id}.{k}", value) for k, value in kept.items()]
    item.user_properties += [
        ("requirement", id) for id in (one.limit.requirements if one.limit is not None else ())
    ]


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
    """Compare the runs of a scenario with its baseline, or propose them in its place.

    They were made before, in the same file.
    """
    bench, folder = _bench(request.config), request.config.getoption("--golden-folder")

    def check(path: Path) -> None:
        from emgsim.regression.baseline import PROPOSED

        name = f"{path.stem}-{bench.rig.id}"
        runs = bench.runs.get(path.stem, [])
        is_there = [(folder / part / f"{name}.toml").is_file() for part in ("", PROPOSED)]
        if not any(is_there):
            pytest.skip(f"there is no baseline {name} in {folder}; `emgsim golden propose` one")
        if not runs:
            pytest.skip("no run of this scenario to compare")
        with _plain_failures():
            if request.config.getoption("--golden") == "propose":
                bench.proposals.append(propose(name, folder, runs))
                return
            rows = compared(name, folder, runs)
        bench.compared += rows
        for row in rows:
            with subtests.test(row.id):
                _answered(row)

    return check


def _answered(row: Checked) -> None:
    """Fail the running part of a test if a measurement has changed or is no longer there."""
    if row.note or row.comparison.answer == "changed":
        pytest.fail(answer(row), pytrace=False)
    if row.comparison.answer == "not enough data":
        pytest.skip(f"{answer(row)}; run more seeds")


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

    ``measure(id, value, unit, *, low=None, high=None, uncertainty=0.0, requirement=())``: the
    verdict is that of ILAC-G8, with the expanded uncertainty as guard band; a requirement's id, or
    several, says what the limit verifies.
    """
    from emgsim.verdict import Limit, Measurement, judge, requirement_ids

    def record(
        id: str,
        value: float,
        unit: str,
        *,
        low: float | None = None,
        high: float | None = None,
        uncertainty: float = 0.0,
        requirement: str | Iterable[str] = (),
    ) -> Measurement:
        one = Measurement(
            id=id,
            value=value,
            unit=unit,
            low=value - uncertainty if uncertainty else None,
            high=value + uncertainty if uncertainty else None,
        )
        if low is not None or high is not None:
            limit = Limit(
                measurement=id,
                low=low,
                high=high,
                unit=unit,
                source=request.node.nodeid,
                requirements=requirement_ids(requirement),
            )
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
            quarantine(item, marker)
        for marker in item.iter_markers("metrology"):
            item.user_properties.append(("emgsim.metrology", ", ".join(map(str, marker.args))))
        if bench is None:
            continue
        missing = [
            str(feature)
            for marker in item.iter_markers("needs")
            for feature in marker.args
            if not has_feature(bench.rig, str(feature))
        ]
        if missing:
            reason = f"rig {bench.rig.id} has not {' and '.join(missing)}"
            item.add_marker(pytest.mark.skip(reason=reason))
        energises = item.get_closest_marker("energises")
        if energises is not None:
            refuse_energising(item, energises, bench.rig, config.getoption("--allow-energise"))


# -- what is told at the end -----------------------------------------------------------------------


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what does not pass, what is not as its baseline, and where the runs are."""
    bench = config.stash.get(BENCH, None)
    if bench is None or not (bench.told or bench.runs or bench.compared):
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
    if bench.compared:
        n = sum(row.comparison.answer == "equivalent" for row in bench.compared)
        terminalreporter.write_line(
            f"{len(bench.compared)} compared with baselines, {n} equivalent"
        )
    for row in bench.compared:
        if row.comparison.answer != "equivalent":
            terminalreporter.write_line(answer(row))
    for path in bench.proposals:
        terminalreporter.write_line(f"proposed {path}; approve it with `emgsim golden approve`")
    for folders in bench.runs.values():
        for folder in folders:
            terminalreporter.write_line(f"run {folder}")
