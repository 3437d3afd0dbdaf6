"""The pytest plugin, in pytest runs of their own: options, collection, results, markers."""

import importlib
from pathlib import Path

import pytest

importlib.import_module("emgsim.bench.rig")  # numpy cannot be loaded anew in each inner run

SCENARIO = """
schema = "emgsim.scenario/1"
id = "short"
title = "Two seconds of a healthy biceps"
seed = 5

[muscle]
name = "biceps_brachii"

[electrode]
kind = "concentric_needle"
tip = { x_mm = 0.0, y_mm = 0.0, z_mm = 20.0 }

[[phases]]
kind = "hold"
duration_s = 2.0
level_mvc = 0.05

[acquisition]
rate_hz = 48000.0

[analysis]
kind = "needle"

[[limits]]
measurement = "amplitude.error_pct.device"
low = -2.0
high = 2.0
unit = "%"
"""


@pytest.fixture(autouse=True)
def a_run_of_its_own(pytester: pytest.Pytester) -> None:
    """Keep the inner runs apart from this one."""
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:xdist\n")


def test_without_a_rig_nothing_changes(pytester: pytest.Pytester) -> None:
    """Other people's tests run as ever, and a test that needs a rig is skipped with the option."""
    pytester.makepyfile("def test_plain(): pass\n\ndef test_of_a_rig(rig): pass\n")
    result = pytester.runpytest("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*no rig: give --rig NAME*"])


def test_a_bad_rig_is_a_usage_error(pytester: pytest.Pytester) -> None:
    """With pytest's own exit code 4, and the nearest name."""
    result = pytester.runpytest("--rig", "virtuall")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*did you mean 'virtual'?*"])


def test_features_that_a_rig_lacks_skip_a_test(pytester: pytest.Pytester) -> None:
    """The reason names rig and feature."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.needs("virtual", "rate_hz>=10000")
        def test_can(rig): assert rig.id == "virtual"

        @pytest.mark.needs("channels>=2")
        def test_many(rig): raise AssertionError

        @pytest.mark.needs("state:shorted")
        def test_state(rig): raise AssertionError

        @pytest.mark.energises(max_mv=100.0)
        def test_loud(rig): raise AssertionError
        """
    )
    result = pytester.runpytest("--rig", "virtual", "-rs")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(["*rig virtual has not channels>=2*"])
    result.stdout.fnmatch_lines(["*needs 100 mV at the device, rig virtual allows 8*"])


@pytest.mark.parametrize("feature", ["scope", "channels=2", "colour>=3"])
def test_a_feature_that_does_not_exist_is_a_usage_error(
    feature: str, pytester: pytest.Pytester
) -> None:
    """A misspelt one would skip for ever."""
    pytester.makepyfile(
        f"import pytest\n\n@pytest.mark.needs({feature!r})\ndef test_it(rig): pass\n"
    )
    result = pytester.runpytest("--rig", "virtual")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*there is 'bench', 'virtual'*"])


def test_quarantine_ends(pytester: pytest.Pytester) -> None:
    """Until its date a test may fail; afterwards it must not."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.quarantine(until="2999-01-01", issue="#7")
        def test_known(): raise AssertionError

        @pytest.mark.quarantine(until="2020-01-01", issue="#8")
        def test_forgotten(): raise AssertionError
        """
    )
    result = pytester.runpytest("-rx")
    result.assert_outcomes(xfailed=1, failed=1)
    result.stdout.fnmatch_lines(["*in quarantine until 2999-01-01: #7*"])


@pytest.mark.parametrize("words", ["issue='#7'", "until='soon', issue='#7'", "until='2999-01-01'"])
def test_quarantine_needs_a_date_and_an_issue(words: str, pytester: pytest.Pytester) -> None:
    """Else it would never end, or nobody would know why."""
    pytester.makepyfile(
        f"import pytest\n\n@pytest.mark.quarantine({words})\ndef test_it(): pass\n"
    )
    assert pytester.runpytest().ret == pytest.ExitCode.USAGE_ERROR


def test_a_measured_value_is_judged_and_kept(pytester: pytest.Pytester) -> None:
    """Outside its limit it fails; inside, its value and verdict are properties of the result."""
    pytester.makepyfile(
        """
        def test_good(measure):
            measure("gain", 1.01, "1", low=0.9, high=1.1, uncertainty=0.01, requirement="SRS-042")
        def test_bad(measure): measure("gain", 1.2, "1", low=0.9, high=1.1)
        def test_free(measure): measure("noise", 0.6, "uV")
        """
    )
    result = pytester.runpytest("--rig", "virtual", "--junit-xml=junit.xml")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*fail: gain = 1.2 1, must be 0.9 .. 1.1*", "*2 measurements*"])
    text = (pytester.path / "junit.xml").read_text()
    assert '<property name="measurement.gain.verdict" value="pass"' in text
    assert '<property name="requirement" value="SRS-042"' in text
    assert '<property name="measurement.noise.value" value="0.6"' in text


def test_the_roles_of_a_rig_are_fixtures(pytester: pytest.Pytester) -> None:
    """They are of one opened rig, whose output is off; one that was made safe is opened anew."""
    pytester.makepyfile(
        """
        def test_roles(station, source, device, capture):
            assert source is station.source and device is station.device
            assert capture is station.capture and not source.is_on

        def test_same(source, request):
            request.config.opened_before = source

        def test_still_the_same(source, request):
            assert source is request.config.opened_before
            source.safe()

        def test_another(source, request):
            assert source is not request.config.opened_before and not source.is_latched
        """
    )
    pytester.runpytest_subprocess("--rig", "virtual").assert_outcomes(passed=4)


def test_a_rig_that_does_not_open_fails_once_and_skips_the_rest(
    pytester: pytest.Pytester,
) -> None:
    """Two hundred failures would say no more."""
    Path("broken.toml").write_text(
        'schema = "emgsim.rig/1"\nextends = "virtual"\nid = "broken"\n\n'
        '[device.expect]\nserial = "another"\n'
    )
    pytester.makepyfile("def test_1(source): pass\ndef test_2(source): pass\n")
    result = pytester.runpytest_subprocess("--rig", "broken.toml", "-rs")
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(["*rig broken cannot be opened*"])


@pytest.mark.slow
def test_a_scenario_file_is_a_test(pytester: pytest.Pytester) -> None:
    """With an id of file and seed, a result for each judged measurement, and the run's folder."""
    Path("short.toml").write_text(SCENARIO)
    result = pytester.runpytest_subprocess(
        "--rig", "virtual", "--scenario-seed", "7", "short.toml", "-v", "--junit-xml=junit.xml"
    )
    result.stdout.fnmatch_lines(
        ["*short.toml::test_scenario?short-seed7? SUBPASSED?amplitude.error_pct.device?*"]
    )
    result.stdout.fnmatch_lines(["*1 measurements judged, 1 pass*", "run reports/runs/*-short-*"])
    text = (pytester.path / "junit.xml").read_text()
    assert 'name="emgsim.device_serial"' in text
    assert result.ret == 0


@pytest.mark.slow
def test_a_limit_that_is_not_held_is_a_failure(pytester: pytest.Pytester) -> None:
    """It names value, limit and report."""
    text = SCENARIO.replace("low = -2.0\nhigh = 2.0", "low = 5.0\nhigh = 6.0")
    Path("short.toml").write_text(text)
    result = pytester.runpytest_subprocess("--rig", "virtual", "short.toml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*fail: amplitude.error_pct.device = *, must be 5 .. 6 %*"])
    result.stdout.fnmatch_lines(["*see reports/runs/*report.html*"])


def test_a_dry_run_drives_nothing(pytester: pytest.Pytester) -> None:
    """It tells whether the scenario would be played."""
    Path("short.toml").write_text(SCENARIO)
    result = pytester.runpytest_subprocess("--rig", "virtual", "--rig-dry-run", "short.toml")
    result.assert_outcomes(passed=1)
    assert not Path("reports").exists()


def test_a_scenario_file_that_was_named_tells_that_it_needs_a_rig(
    pytester: pytest.Pytester,
) -> None:
    """Among other files it is left alone."""
    Path("short.toml").write_text(SCENARIO)
    pytester.makepyfile("def test_plain(): pass\n")
    pytester.runpytest().assert_outcomes(passed=1)
    result = pytester.runpytest("short.toml", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no rig: give --rig NAME*"])
