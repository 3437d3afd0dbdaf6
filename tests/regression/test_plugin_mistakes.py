"""The plugin where something is wrong: detectors that fail, limits on nothing, baselines."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

importlib.import_module("emgsim.bench.rig")  # numpy cannot be loaded anew in each inner run

SCENARIO = """
schema = "emgsim.scenario/1"
id = "short"
title = "A second of a healthy biceps"
seed = 5
phases = [{ kind = "hold", duration_s = 1.0, level_mvc = 0.05 }]

[muscle]
name = "biceps_brachii"

[electrode]
kind = "concentric_needle"
tip = { x_mm = 0.0, y_mm = 0.0, z_mm = 20.0 }

[acquisition]
rate_hz = 48000.0

[analysis]
kind = "needle"

[[limits]]
measurement = "amplitude.error_pct.device"
low = -5.0
high = 5.0
unit = "%"

[[limits]]
measurement = "discharges.f1.devise"
low = 0.5
unit = "1"
"""
F1, GAIN, NAME = "discharges.f1.device", "amplitude.error_pct.device", "healthy_biceps-virtual"

Make = Callable[..., Path]
Command = Callable[..., int]
Golden = Callable[..., pytest.RunResult]


@pytest.fixture(autouse=True)
def a_run_of_its_own(pytester: pytest.Pytester) -> None:
    """Keep the inner runs apart from this one."""
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:xdist\n")
    Path("short.toml").write_text(SCENARIO)


@pytest.mark.slow
def test_a_detector_that_crashes_fails_its_scenario_and_keeps_all_else(
    pytester: pytest.Pytester,
) -> None:
    """What was measured before is judged, the next scenario is run, the rig is not broken."""
    Path("crash.py").write_text("raise SystemExit('no licence')\n")
    pytester.makepyfile("def test_of_the_rig(station): assert not station.source.is_on\n")
    result = pytester.runpytest_subprocess(
        "--rig", "virtual", "--detector", "python3 crash.py", "-v", ".", "--junit-xml=junit.xml"
    )
    result.stdout.fnmatch_lines(
        [
            "*short.toml::test_scenario?short? SUBPASSED?amplitude.error_pct.device?*",
            "*the detector 'python3 crash.py' on the * path ended with exit code 1: no licence*",
            "*to do: run it by itself*",
            "*kept: everything captured so far, in reports/runs/*-short-*",
            "*1 measurements judged, 1 pass*",
            "run reports/runs/*-short-*",
        ]
    )
    result.assert_outcomes(failed=1, passed=1)
    assert "Traceback" not in result.stdout.str()
    assert list(Path("reports/runs").glob("*/report.html"))
    text = (pytester.path / "junit.xml").read_text()
    assert 'name="emgsim.detector" value="python3 crash.py"' in text
    assert 'name="measurement.amplitude.error_pct.device.verdict" value="pass"' in text


@pytest.mark.slow
def test_a_limit_on_what_nobody_measures_fails_by_itself(pytester: pytest.Pytester) -> None:
    """The other limits are judged; a misspelt one never passes."""
    Path("mine.py").write_text(
        "import json, sys\n"
        "json.dump({'units': [{'discharge_times_s': [0.5]}]}, open(sys.argv[2], 'w'))\n"
    )
    result = pytester.runpytest_subprocess(
        "--rig", "virtual", "--detector", "python3 mine.py", "short.toml", "-v"
    )
    result.stdout.fnmatch_lines(
        ["*SUBPASSED?amplitude.error_pct.device?*", "*SUBFAIL*discharges.f1.devise*"]
    )
    result.stdout.fnmatch_lines(["*discharges.f1.devise = nan 1, must be*not measured*"])


@pytest.mark.parametrize("text", ["no_such_program", "cat {recording}", "'open"])
def test_a_wrong_detector_is_a_usage_error(text: str, pytester: pytest.Pytester) -> None:
    """It is told before anything is opened, with pytest's own exit code."""
    result = pytester.runpytest("--rig", "virtual", "--detector", text, "short.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--detector*"])


@pytest.fixture
def golden(
    pytester: pytest.Pytester, tmp_path: Path, on_baselines: Command, ten: list[Path]
) -> Golden:
    """Ask the plugin about runs that were made before; the scenario itself is not run again."""
    Path("healthy_biceps.toml").write_text(SCENARIO)
    margins = ("--margin", f"{F1}=0.05", "--margin", f"{GAIN}=0.5")
    assert on_baselines("propose", NAME, *ten, *margins) == 0

    def asked(what: str, *runs: Path) -> pytest.RunResult:
        pytester.makeconftest(
            "from pathlib import Path\n"
            "from emgsim.pytest_plugin import BENCH\n"
            "def pytest_collection_finish(session):\n"
            f"    runs = {[str(run) for run in runs]}\n"
            "    session.config.stash[BENCH].runs['healthy_biceps'] = [Path(r) for r in runs]\n"
        )
        return pytester.runpytest(
            *("--rig", "virtual", "--golden", what, "-k", "baseline", "-v", "healthy_biceps.toml"),
            *("--golden-folder", str(tmp_path / "baselines")),
        )

    return asked


def approve(on_baselines: Command) -> None:
    assert on_baselines("approve", NAME, "--by", "A. Nyquist", "--reason", "first") == 0


def test_a_baseline_that_nobody_approved_fails(golden: Golden, two: Make) -> None:
    """To skip it would let a night pass that compared nothing."""
    result = golden("check", two(20, 0.95, 0.0))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*only proposed: nobody has approved it*"])


def test_a_baseline_that_was_edited_fails(
    golden: Golden, two: Make, on_baselines: Command, tmp_path: Path
) -> None:
    """With the words of the command."""
    approve(on_baselines)
    file = tmp_path / "baselines" / f"{NAME}.toml"
    file.write_text(file.read_text().replace("margin = 0.05", "margin = 0.5"))
    result = golden("check", two(20, 0.95, 0.0))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*changed after A. Nyquist approved it*", "*to do: *"])


def test_each_measurement_of_a_baseline_is_a_result_of_its_own(
    golden: Golden, two: Make, on_baselines: Command
) -> None:
    """A change fails; so does what is no longer measured; the rest is compared all the same."""
    approve(on_baselines)
    result = golden("check", two(20, 0.80, 0.0), two(21, 0.81, 0.0))
    result.stdout.fnmatch_lines([f"*SUBPASSED?{GAIN}?*", f"*changed: {F1} by -0.14*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result = golden("check", two(22, 0.95, None), two(23, 0.95, None))
    result.stdout.fnmatch_lines([f"*SUBPASSED?{F1}?*", f"*not compared: {GAIN}: it was in none*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_runs_that_passed_are_proposed_with_the_margins_of_before(
    golden: Golden, two: Make, on_baselines: Command, tmp_path: Path
) -> None:
    """The approved baseline stays as it is, until somebody approves the proposal."""
    approve(on_baselines)
    before = (tmp_path / "baselines" / f"{NAME}.toml").read_text()
    result = golden("propose", two(20, 0.80, 0.0), two(21, 0.81, 0.0))
    assert result.ret == 0
    assert (tmp_path / "baselines" / f"{NAME}.toml").read_text() == before
    waiting = tmp_path / "baselines" / "proposed" / f"{NAME}.toml"
    assert "margin = 0.05" in waiting.read_text()
    approve(on_baselines)
    assert golden("check", two(22, 0.80, 0.0), two(23, 0.81, 0.0)).ret == 0


def test_a_run_that_failed_cannot_propose_itself(
    golden: Golden, two: Make, on_baselines: Command, tmp_path: Path
) -> None:
    """Nothing is written."""
    approve(on_baselines)
    result = golden("propose", two(20, 0.2, 0.0, verdict="fail"), two(21, 0.95, 0.0))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*did not pass: completed, fail*"])
    assert not list((tmp_path / "baselines" / "proposed").iterdir())


def test_margins_come_from_a_person(golden: Golden, two: Make) -> None:
    """The first baseline of a scenario is proposed by the command, which asks for them."""
    result = golden("propose", two(20, 0.95, 0.0))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*only proposed: nobody has approved it*"])
