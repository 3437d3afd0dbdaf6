"""What a verdict rests on: a stimulus that was right, enough signal, a bench in order."""

import math

import pytest

from emgsim.bench.rig import load_rig
from emgsim.bench.station import open_station
from emgsim.cli import main
from emgsim.errors import SafetyError
from emgsim.records.record import RunRecord
from emgsim.report.table import verdict_line
from emgsim.running.gating import LOOPBACK, gated
from emgsim.running.self_test import LIMITS, self_test, why_inconclusive
from emgsim.verdict import Limit, Measurement, judge

GOOD = {
    "amplitude.error_pct.loopback": (0.1, "%"), "amplitude.polarity.loopback": (1.0, "1"),
    "align.clock_ppm.loopback": (4.0, "ppm"), "noise.over_budget_pct.loopback": (3.0, "%"),
    "signal.over_budget.device": (40.0, "1"),
}  # fmt: skip


def measured(**changed: float) -> dict[str, Measurement]:
    """Return what a sound bench has measured before the device; dots in a name are underscores."""
    values = {id: (changed.get(id.replace(".", "_"), v), unit) for id, (v, unit) in GOOD.items()}
    return {id: Measurement(id=id, value=v, unit=unit) for id, (v, unit) in values.items()}


def error_pct(path: str = "device") -> Measurement:
    """Return an amplitude error that passes its limit."""
    id = f"amplitude.error_pct.{path}"
    return judge(
        Measurement(id=id, value=0.2, unit="%"), Limit(measurement=id, low=-1, high=1, unit="%")
    )


def test_a_verdict_on_a_sound_bench_stays() -> None:
    """Nothing speaks against it."""
    assert gated(error_pct(), measured()) == error_pct()


@pytest.mark.parametrize(("name", "value"), [
    ("amplitude_error_pct_loopback", 2.1), ("amplitude_error_pct_loopback", -2.1),
    ("amplitude_error_pct_loopback", math.nan), ("amplitude_polarity_loopback", -1.0),
    ("align_clock_ppm_loopback", 101.0), ("noise_over_budget_pct_loopback", 101.0),
])  # fmt: skip
def test_a_stimulus_that_was_wrong_makes_the_device_inconclusive(name: str, value: float) -> None:
    """And says why; the loopback's own verdict stands."""
    seen = measured(**{name: value})
    judged = gated(error_pct(), seen)
    assert judged.verdict == "inconclusive"
    assert "the stimulus itself was wrong" in judged.note
    assert gated(error_pct("loopback"), seen).verdict == "pass"


def test_amplitude_needs_ten_times_the_budget_and_detection_does_not() -> None:
    """At 9.9 times it is inconclusive, at 10 it is judged; polarity and F1 are judged anyway."""
    faint = measured(signal_over_budget_device=9.9)
    judged = gated(error_pct(), faint)
    assert judged.verdict == "inconclusive"
    assert "noise-limited" in judged.note
    assert gated(error_pct(), measured(signal_over_budget_device=10.0)).verdict == "pass"
    for id in ("discharges.f1.device", "amplitude.polarity.device"):
        other = judge(
            Measurement(id=id, value=1.0, unit="1"), Limit(measurement=id, low=0.9, unit="1")
        )
        assert gated(other, faint).verdict == "pass"


def test_a_noise_limited_run_is_labelled_in_its_verdict_line() -> None:
    """Never refused, never silent."""
    limited = Measurement(
        id="signal.over_budget.device", value=3.0, unit="1", note="noise-limited: too small"
    )
    record = RunRecord(status="completed", measurements=(limited,))
    assert record.noise_limited == ("device",)
    assert verdict_line(record).endswith(", noise-limited")
    assert "noise-limited" not in verdict_line(RunRecord(status="completed"))


def test_a_run_and_a_self_test_ask_the_same_of_the_loopback() -> None:
    """An ordinary run needs no second playback: its own says as much."""
    assert set(LOOPBACK) <= set(LIMITS)


# -- the self-test, over the wire --------------------------------------------------------------


def facts_of(*overrides: str) -> dict[str, Measurement]:
    """Return what a virtual rig says of itself, by id."""
    with open_station(load_rig("virtual", overrides=overrides), 0) as station:
        found = self_test(station)
        assert not station.source.is_on
    return {m.id.removeprefix("self_test."): m for m in found}


def test_a_sound_bench_passes_its_own_test_and_can_go_on() -> None:
    """Every limit is looked at; afterwards the source can still be energised."""
    with open_station(load_rig("virtual"), 0) as station:
        found = self_test(station)
        assert [m.id for m in found] == [f"self_test.{limit.measurement}" for limit in LIMITS]
        assert {m.verdict for m in found} == {"pass"}
        assert why_inconclusive(found) == ""
        assert station.facts["divider_ratio"] == pytest.approx(1 / 1001, rel=0.05)
        again = self_test(station)
    assert {m.verdict for m in again} == {"pass"}


@pytest.mark.parametrize(("fault", "wrong"), [
    ('faults.signal.gain_drift={per_cent=3.0, over_s=0.001, part="source"}',
     "amplitude.error_pct.loopback"),
    ("faults.signal.inverted_polarity={}", "amplitude.polarity.device"),
    ("virtual.amplifier.gain=1.08", None),
])  # fmt: skip
def test_what_is_wrong_with_a_bench_is_named(fault: str, wrong: str | None) -> None:
    """One thing is wrong, and one line is inconclusive; a gain that is 8 % off is measured."""
    found = facts_of(fault)
    assert [id for id, m in found.items() if m.verdict == "inconclusive"] == [wrong] * bool(wrong)


def test_a_divider_that_is_gone_stays_a_matter_of_safety() -> None:
    """Nothing but a harmless sine was played."""
    with pytest.raises(SafetyError, match="lets 1"):
        facts_of("faults.divider_removed_at_s=0")


def test_rig_check_ends_with_5_when_the_bench_fails_its_test(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A script can tell."""
    assert main(["rig", "check", "virtual", "--set", "virtual.source.clock_ppm=200"]) == 5
    said = capsys.readouterr().out
    assert "align.clock_ppm.loopback -193 ppm, must be -100 .. 100 ppm: inconclusive" in said
