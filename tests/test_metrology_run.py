"""Measuring an amplifier: what a reading becomes, what ends a run, and what is kept of it."""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emgsim.bench.fixture import StateUnavailableError
from emgsim.bench.rig import Rig, load_rig
from emgsim.errors import LinkError, NotAnalysableError, UsageError
from emgsim.instruments.base import SourceCaps
from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.stimulus import Stimulus
from emgsim.records.journal import read_journal
from emgsim.records.record import RunRecord
from emgsim.report.sheet_table import sheet_table, too_uncertain
from emgsim.running import metrology
from emgsim.running.metrology import characterise, selected
from emgsim.running.readings import ratio
from emgsim.verdict import Limit, Measurement

CAPS = SourceCaps(16, 1_000_000, 8, 250e6, 20.0, 1, 50.0)
Measure = Callable[[Measuring], Sequence[Reading]]


@pytest.fixture(scope="module")
def rig() -> Rig:
    """Load the shipped rig for the tests of an amplifier."""
    return load_rig("virtual-metrology")


@pytest.fixture
def no_wires(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run open a station of which nothing is asked: its tests know their readings."""

    @contextmanager
    def opened(rig, seed, logbook):
        yield SimpleNamespace(
            rig=rig, source_caps=CAPS, into=None, now=lambda: datetime(2026, 11, 23, tzinfo=UTC)
        )

    monkeypatch.setattr(metrology, "opened", opened)
    monkeypatch.setattr(metrology, "self_test", lambda _: ())


def told(id: str, value: float, unit: str, expanded: float = 0.0, **more: object) -> Reading:
    """Return a reading with one component, of so much uncertainty at a coverage factor of 2."""
    components = (Component(name="noise", standard=expanded / 2),) if expanded else ()
    return Reading(id=id, value=value, unit=unit, components=components, **more)


def test_of(id: str, measure: Measure, *states: str) -> Procedure:
    """Return a test by what it measures."""
    return Procedure(id=id, title=f"Test of {id}", states=states, measure=measure)


test_of.__test__ = False  # type: ignore[attr-defined]


def giving(*readings: Reading) -> Procedure:
    """Return a test that finds these readings."""
    return test_of(readings[0].id, lambda _: readings)


def raising(id: str, error: Exception) -> Procedure:
    """Return a test that comes to nothing."""

    def measure(_: Measuring) -> Sequence[Reading]:
        raise error

    return test_of(id, measure)


def run(rig: Rig, out: Path, *procedures: Procedure) -> tuple[Path, RunRecord]:
    """Make a run of these tests."""
    return characterise(rig, procedures=procedures, out=out)


def verdicts(record: RunRecord) -> dict[str, str]:
    """Return the verdict of each measurement."""
    return {m.id: m.verdict for m in record.measurements}


@pytest.mark.usefixtures("no_wires")
def test_a_reading_is_judged_with_its_uncertainty_as_guard_band(rig: Rig, tmp_path: Path):
    """Of a limit of 5 %: 3 +- 1 passes, 4.5 +- 1 conditionally, 5.5 +- 1 fails so, 7 +- 1 fails."""
    values = {"gain.accuracy": 3.0, "gain.accuracy.ch2": 4.5, "gain.accuracy.ch3": -5.5,
              "gain.accuracy.ch4": 7.0}
    _, record = run(rig, tmp_path, giving(*(told(id, v, "%", 1.0) for id, v in values.items())))
    assert verdicts(record) == {
        "gain.accuracy": "pass", "gain.accuracy.ch2": "conditional_pass",
        "gain.accuracy.ch3": "conditional_fail", "gain.accuracy.ch4": "fail",
    }
    assert record.exit_code == 1


@pytest.mark.usefixtures("no_wires")
def test_the_record_says_of_each_value_how_it_was_made(rig: Rig, tmp_path: Path):
    """Value, unit, bounds, U, ratio, limit, its source, method, conditions, components, plots."""
    frequency_hz = np.geomspace(10.0, 1e4, 20)
    assert rig.source.certificate is not None
    source = rig.source.certificate.id
    reading = told("noise.rms", 0.6, "uV", 0.02, method="a fit", conditions="shorted",
                   rests_on=(source,),
                   curves={"frequency_hz": frequency_hz, "noise_nv": 1.0 + frequency_hz})
    folder, record = run(rig, tmp_path, giving(reading))
    (found,) = json.loads((folder / "record.json").read_text("utf-8"))["measurements"]
    assert found["verdict"] == "pass"
    assert (found["value"], found["unit"], found["limit"]["high"]) == (0.6, "uV", 1.0)
    assert found["limit"]["source"].startswith("our default")
    assert found["uncertainty"] == pytest.approx(0.02, rel=1e-3)
    assert found["high"] - found["low"] == pytest.approx(2 * found["uncertainty"])
    assert found["ratio"] == pytest.approx(0.4 / 0.02, rel=1e-3)
    assert (found["method"], found["conditions"]) == ("a fit", "shorted")
    assert found["rests_on"] == [source]
    assert found["components"] == [{"name": "noise", "standard": 0.01, "freedom": None}]
    with np.load(folder / found["curves"]) as kept:
        np.testing.assert_array_equal(kept["frequency_hz"], frequency_hz)
    assert record.files.keys() == {found["curves"]}
    assert record.certificates[source]["has_expired"] is False
    assert record.device["model"] == "NA-4"
    assert record.device["code_bits"] == 24
    assert (folder / "sheet.html").is_file()


@pytest.mark.usefixtures("no_wires")
def test_a_test_whose_state_is_not_there_is_skipped_and_told(
    rig: Rig, tmp_path: Path, form_mistakes
):
    """Be it that the fixture has none, or that nobody can bring it there; the others are made."""
    away = raising("cmrr.balanced", StateUnavailableError("state unavailable: nobody is there"))
    none = test_of("crosstalk", lambda _: [], "only_9")
    _, record = run(rig, tmp_path, none, away, giving(told("noise.rms", 0.5, "uV", 0.01)))
    assert form_mistakes(json.loads(record.to_json())) == []
    assert [one["id"] for one in record.skipped] == ["crosstalk", "cmrr.balanced"]
    assert "only_9" in record.skipped[0]["why"]
    assert all(one["why"].startswith("state unavailable") for one in record.skipped)
    assert record.exit_code == 0
    assert "skipped: crosstalk: state unavailable" in sheet_table(record)


@pytest.mark.usefixtures("no_wires")
@pytest.mark.parametrize("error", [
    NotAnalysableError("no marker found"), ValueError("a sine cannot be fitted"),
    ZeroDivisionError("division by zero"),
])
def test_what_cannot_be_evaluated_is_inconclusive(rig: Rig, tmp_path: Path, error: Exception):
    """A device that is dead in one test is still looked at in the next."""
    _, record = run(rig, tmp_path, raising("skew", error),
                    giving(told("noise.rms", 0.5, "uV", 0.01)))
    assert verdicts(record) == {"skew": "inconclusive", "noise.rms": "pass"}
    assert str(error.args[0]) in record.measurements[0].note
    assert record.exit_code == 5


@pytest.mark.usefixtures("no_wires")
def test_a_value_that_rests_on_an_expired_certificate_is_inconclusive(tmp_path: Path):
    """It is kept, with its limit; what rests on other certificates is judged as ever."""
    old = load_rig("virtual-metrology", overrides=["source.certificate.due=2026-02-02"])
    gain, clock = old.source.certificate, old.source.clock_certificate
    assert gain is not None
    assert clock is not None
    on_it = told("gain.accuracy", 1.0, "%", 0.2, rests_on=(gain.id, "of another rig"))
    other = told("fs.accuracy", 20.0, "ppm", 1.0, rests_on=(clock.id,))
    _, record = run(old, tmp_path, giving(on_it), giving(other))
    assert verdicts(record) == {"gain.accuracy": "inconclusive", "fs.accuracy": "pass"}
    assert record.measurements[0].value == 1.0
    assert f"{gain.id} was due on 2026-02-02" in record.measurements[0].note
    assert record.certificates[gain.id]["has_expired"] is True
    assert record.exit_code == 5


@pytest.mark.usefixtures("no_wires")
def test_nothing_is_played_through_a_state_whose_divider_is_overdue(tmp_path: Path):
    """Its ratio is what keeps the device from harm: the test is inconclusive, and not made."""
    old = load_rig(
        "virtual-metrology", overrides=["fixture.states.direct.certificate.due=2026-02-02"]
    )
    never = raising("gain.accuracy", AssertionError("it was made"))
    _, record = run(old, tmp_path,
                    Procedure(id=never.id, title="", states=("direct",), measure=never.measure))
    assert verdicts(record) == {"gain.accuracy": "inconclusive"}
    divider = old.fixture.states["direct"].certificate
    assert divider is not None
    assert f"{divider.id} (due 2026-02-02)" in record.measurements[0].note
    assert record.exit_code == 5


@pytest.mark.usefixtures("no_wires")
def test_what_ends_a_run_leaves_all_that_was_measured(rig: Rig, tmp_path: Path):
    """A broken link, and Ctrl-C: journal, record and sheet are there, and the exit code is told."""
    for error, code in ((LinkError("the device hung up"), 4), (KeyboardInterrupt(), 130)):
        out = tmp_path / str(code)
        with pytest.raises(type(error)):
            run(rig, out, giving(told("noise.rms", 0.5, "uV", 0.01)), raising("skew", error))
        (folder,) = out.iterdir()
        record = json.loads((folder / "record.json").read_text("utf-8"))
        assert (record["status"], record["exit_code"]) == ("aborted", code)
        assert [m["id"] for m in record["measurements"]] == ["noise.rms"]
        assert (folder / "sheet.html").is_file()
        kinds = [line["kind"] for line in read_journal(folder)]
        assert kinds.index("measurement") < kinds.index("error")


@pytest.mark.usefixtures("no_wires")
def test_a_small_ratio_is_told(rig: Rig, tmp_path: Path):
    """U of 2 % in a limit of 5 % is a ratio of 2.5; of 0.5 %, 10."""
    _, record = run(rig, tmp_path, giving(
        told("gain.accuracy", 0.0, "%", 2.0), told("gain.accuracy.ch2", 0.0, "%", 0.5)
    ))
    assert too_uncertain(record) == {"gain.accuracy": pytest.approx(2.5, rel=1e-3)}
    assert "ratio below 4: gain.accuracy 2.5" in sheet_table(record)


def test_the_ratio_of_one_bound_is_the_distance_from_it():
    """A rejection of 96 +- 2 dB stands three times its uncertainty above 90 dB."""
    limit = Limit(measurement="cmrr", low=90.0, unit="dB")
    found = Measurement(id="cmrr", value=96.0, unit="dB", low=94.0, high=98.0, limit=limit)
    assert ratio(found) == pytest.approx(3.0)
    assert ratio(Measurement(id="cmrr", value=math.nan, unit="dB", limit=limit)) is None
    assert ratio(Measurement(id="cmrr", value=96.0, unit="dB", low=96.0, high=96.0,
                             limit=limit)) is None


def test_tests_are_chosen_by_their_id_or_its_beginning():
    """As `--only` has it; a word that is cut in the middle means nothing."""
    every = [giving(told(id, 1.0, "dB")) for id in ("cmrr.balanced", "cmrr.imbalance", "noise")]
    assert [p.id for p in selected(every, ["cmrr"])] == ["cmrr.balanced", "cmrr.imbalance"]
    assert [p.id for p in selected(every, ["cmrr.balanced", "noise"])] == ["cmrr.balanced", "noise"]
    assert selected(every, []) == every
    with pytest.raises(UsageError, match="did you mean 'noise'"):
        selected(every, ["noize"])
    with pytest.raises(UsageError):
        selected(every, ["cm"])


def test_a_rig_without_certificates_is_refused_before_a_folder_is_made(tmp_path: Path):
    """The one for recordings has a divider alone."""
    with pytest.raises(UsageError, match=r"source\.certificate"):
        characterise(load_rig("virtual-states"), procedures=[giving(told("skew", 1.0, "us"))],
                     out=tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("no_wires")
def test_an_amplitude_is_not_judged_by_a_signal_that_noise_drowns(rig: Rig, tmp_path: Path):
    """Ten times the noise budget it must be; a test of noise may play what it likes."""
    quiet = Stimulus(name="a whisper", state="direct", uv=np.full(1000, 2.0), rate_hz=1e5)

    def by(reading: Reading) -> Procedure:
        def measure(measuring: Measuring) -> Sequence[Reading]:
            measuring.used.append(Acquired(state="direct", stimulus=quiet, uv=np.zeros((1, 4)),
                                           rate_hz=48_000.0))
            measuring.bench.stimulus_errors_pct[quiet.name] = 0.1
            return [reading]

        return test_of(reading.id, measure)

    _, record = run(rig, tmp_path, by(told("gain.accuracy", 0.1, "%", 0.1)),
                    by(told("noise.rms", 0.5, "uV", 0.01)))
    verdict = {m.id: (m.verdict, m.note) for m in record.measurements}
    assert verdict["gain.accuracy"][0] == "inconclusive"
    assert "noise-limited: stimulus a whisper" in verdict["gain.accuracy"][1]
    assert verdict["noise.rms"] == ("pass", "")


@pytest.mark.usefixtures("no_wires")
def test_a_stimulus_that_was_wrong_says_nothing_of_the_device(rig: Rig, tmp_path: Path):
    """Its readings are inconclusive, and the next test's are judged by its own stimuli."""
    loud = Stimulus(name="a tone", state="direct", uv=np.full(1000, 2e3), rate_hz=1e5)

    def measure(measuring: Measuring) -> Sequence[Reading]:
        measuring.used.append(Acquired(state="direct", stimulus=loud, uv=np.zeros((1, 4)),
                                       rate_hz=48_000.0))
        measuring.bench.stimulus_errors_pct[loud.name] = -3.0
        return [told("gain.accuracy", 0.1, "%", 0.1)]

    _, record = run(rig, tmp_path, test_of("gain.accuracy", measure),
                    giving(told("noise.rms", 0.5, "uV", 0.01)))
    assert verdicts(record) == {"gain.accuracy": "inconclusive", "noise.rms": "pass"}
    assert "stimulus a tone itself was -3 % off" in record.measurements[0].note
    assert record.readings["gain.accuracy"]["stimulus_error_pct"] == 3.0
    assert record.exit_code == 5


@pytest.mark.usefixtures("no_wires")
def test_a_bench_that_fails_its_own_test_judges_nothing(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of source and oscilloscope; what the device says of it is what the tests measure."""
    off = [
        Measurement(id=f"self_test.amplitude.error_pct.{path}", value=9.0, unit="%",
                    limit=Limit(measurement="amplitude", low=-2.0, high=2.0, unit="%"),
                    verdict="inconclusive")
        for path in ("loopback", "device")
    ]
    for tested, verdict in ((off, "inconclusive"), (off[1:], "pass")):
        monkeypatch.setattr(metrology, "self_test", lambda _, tested=tested: tested)
        _, record = run(rig, tmp_path / verdict, giving(told("noise.rms", 0.5, "uV", 0.01)))
        assert verdicts(record)["noise.rms"] == verdict
        assert "self_test.amplitude.error_pct.device" not in verdicts(record)


@pytest.mark.usefixtures("no_wires")
def test_a_test_that_makes_no_sense_for_the_device_is_skipped(rig: Rig, tmp_path: Path):
    """One channel has no skew: that is no doubt of the device, and no limit holds for it."""
    alone = Reading(id="skew", value=math.nan, unit="us", note="one channel alone has no skew",
                    applies=False)
    unknown = Reading(id="freq.low_corner", value=math.nan, unit="Hz", note="no corner was found")
    _, record = run(rig, tmp_path, giving(alone), giving(told("noise.rms", 0.5, "uV", 0.01)))
    assert [one["why"] for one in record.skipped] == ["one channel alone has no skew"]
    assert (record.verdict, record.exit_code) == ("pass", 0)
    _, record = run(rig, tmp_path / "unknown", giving(unknown))
    assert verdicts(record) == {"freq.low_corner": "inconclusive"}
