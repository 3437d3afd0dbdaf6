"""Every fault of the signal and of the link, on the whole way of a run over the real wire.

Each run states the expected diagnosis: name, part, time and size. Faults that do not hide each
other share a run. Times are those of the scenario; what is played begins 0.55 s before it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from emgsim.bench.rig import Rig, load_rig
from emgsim.errors import EmgsimError, LinkError, NotAnalysableError, SafetyError
from emgsim.records.journal import read_journal
from emgsim.records.record import RunRecord, fold
from emgsim.running.run import run
from emgsim.scenario import Scenario, load_scenario
from emgsim.simulation import lasting, simulate

BEGIN_S = 0.55
PROFILES = Path(__file__).parents[1] / "rigs" / "devices"


def at(seconds: float) -> dict[str, Any]:
    """Return when a fault begins that begins so late in the scenario."""
    return {"playback": 1, "at_s": BEGIN_S + seconds}


FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "slight": {
        "signal": {
            "mains": at(0.6) | {"uv_pk": 30.0},
            "missing_codes": {"every": 8},
            "gain_drift": {"playback": 1, "per_cent": -4, "over_s": 2.2, "part": "source"},
        }
    },
    "inverted and full": {
        "signal": {"inverted_polarity": {}, "saturation": {"at_uv": 400}},
        "corrupt_every_n_frames": 1500,
    },
    "clock and frames": {
        "signal": {"clock_step": at(0.7) | {"samples": 40}},
        "drop_every_n_frames": 1500,
        "repeat_every_n_frames": 1100,
    },
    "lead": {"signal": {"broken_lead": at(0.6)}},
    "stuck": {"signal": {"stuck_channel": at(0.6) | {"code": 900}}},
    "swapped": {"signal": {"swapped_channels": at(0.6)}},
    "lead before": {"signal": {"broken_lead": {}}},
    "heavy hum": {"signal": {"broken_lead": at(0.6) | {"mains_uv_pk": 4000.0}}},
    "overflow and hang-up": {"drop_frames": (4000, 100), "hang_up_after_frames": 6000},
}
WITH_PAGE = "slight"


@dataclass(frozen=True)
class Ran:
    """What is left of a run: its record, its lines on the terminal, and what ended it."""

    folder: Path
    record: RunRecord
    lines: list[str] = field(default_factory=list)
    error: EmgsimError | None = None

    @property
    def told(self) -> dict[str, dict[str, Any]]:
        """The diagnoses by name; no name comes twice."""
        assert len({row["name"] for row in self.record.diagnoses}) == len(self.record.diagnoses)
        return {row["name"]: row for row in self.record.diagnoses}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """A tenth of a second of rest, then a light effort, without limits."""
    shipped = load_scenario("healthy_biceps")
    rest, hold = shipped.phases
    phases = (rest.model_copy(update={"duration_s": 0.1}), hold)
    return lasting(shipped.model_copy(update={"phases": phases, "limits": ()}), 1.1)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The quickest detector there is: it finds nothing."""
    folder = tmp_path_factory.mktemp("detector")
    (folder / "none.json").write_text('{"schema": "emgsim.findings/1", "units": []}')
    (folder / "none.sh").write_text(f'cp {shlex.quote(str(folder / "none.json"))} "$2"\n')
    return f"sh {shlex.quote(str(folder / 'none.sh'))} {{recording}} {{findings}}"


def rig_with(faults: dict[str, Any], folder: Path) -> Rig:
    """Return the virtual rig with faults; one of two channels where they are to be swapped."""
    rig = load_rig("virtual").resolved() | {"faults": faults}
    if "swapped_channels" in faults.get("signal", {}):
        text = (PROFILES / "na1.toml").read_text()
        assert text.count("channels = 1\n") == 1
        profile = folder / "na1_two.toml"
        profile.write_text(text.replace("channels = 1\n", "channels = 2\n"))
        rig["device"]["profile"] = str(profile)
        rig["virtual"]["amplifier"] |= {"channels": 2, "channel_gains": (1.0, 0.0)}
    return Rig.model_validate(rig)


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, scenario: Scenario, detector: str
) -> Callable[[str], Ran]:
    """Run the scenario on the rig with the faults of a name, once each."""
    out, simulated = tmp_path_factory.mktemp("runs"), simulate(scenario, for_playing=True)

    @cache
    def carried_out(name: str) -> Ran:
        lines: list[str] = []
        into = out / name.replace(" ", "_")
        rig = rig_with(FAULTS[name], out)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("emgsim.running.stages.simulate", lambda *_, **__: simulated)
            if name != WITH_PAGE:  # its pictures take longer than all the rest
                patch.setattr("emgsim.report.page.write_page", lambda folder, _: folder)
            try:
                _, record = run(scenario, rig, into=into, detector=detector, progress=lines.append)
            except EmgsimError as error:
                return Ran(into, fold(read_journal(into)), lines, error)
        return Ran(into, record, lines)

    return carried_out


def test_a_sound_rig_is_told_to_have_nothing(ran: Callable[[str], Ran]) -> None:
    """No diagnosis in the record, and no line of one."""
    sound = ran("none")
    assert sound.error is None
    assert sound.record.diagnoses == ()
    assert not any(line.startswith("diagnosis") for line in sound.lines)


def test_slight_faults_are_told_side_by_side(ran: Callable[[str], Ran]) -> None:
    """Hum from its instant on, one code in eight, and a generator that drifts."""
    told = ran("slight").told
    assert set(told) == {"mains", "missing codes", "gain drift"}
    hum, codes, drift = told["mains"], told["missing codes"], told["gain drift"]
    assert (hum["part"], hum["unit"]) == ("lead or amplifier", "uV pk at 50 Hz")
    assert hum["start_s"] == pytest.approx(0.6, abs=0.02)
    assert hum["value"] == pytest.approx(30, rel=0.03)
    assert (codes["part"], codes["value"], codes["start_s"]) == ("converter", 8, None)
    assert (drift["part"], drift["start_s"]) == ("generator", None)
    assert drift["value"] == pytest.approx(-4, rel=0.1)


def test_each_diagnosis_is_one_line_for_the_terminal_and_a_row_of_the_page(
    ran: Callable[[str], Ran],
) -> None:
    """The same words in the progress, in the record and in the report, and what is to be done."""
    slight = ran("slight")
    shown = [line for line in slight.lines if line.startswith("diagnosis")]
    assert shown == [f"diagnosis   {row['text']}" for row in slight.record.diagnoses]
    page = (slight.folder / "report.html").read_text()
    assert "What is wrong with the rig" in page
    for row in slight.record.diagnoses:
        assert row["text"] in page
        assert row["todo"] in page


def test_inverted_wires_an_amplifier_that_is_full_and_spoilt_frames(
    ran: Callable[[str], Ran],
) -> None:
    """All for the whole playback; the frames that were spoilt are counted and placed."""
    every = ran("inverted and full")
    told = every.told
    assert set(told) == {"inverted polarity", "saturation", "corrupt frames"}
    polarity, full, frames = (
        told[n] for n in ("inverted polarity", "saturation", "corrupt frames")
    )
    assert (polarity["part"], polarity["start_s"]) == ("lead or amplifier", None)
    assert (full["part"], full["start_s"]) == ("amplifier", None)
    assert full["value"] == pytest.approx(400, rel=0.005)
    lost = {m.id: m.value for m in every.record.measurements}["link.lost_samples.device"]
    assert frames["part"] == "link"
    assert frames["value"] >= lost / 16 >= 1  # some may lie outside of the scenario
    assert -BEGIN_S - 0.6 < frames["start_s"] < frames["stop_s"]


def test_a_clock_that_stands_still_is_placed_and_counted(ran: Callable[[str], Ran]) -> None:
    """40 samples at 0.7 s; the path is aligned by what came before, and its clock is right."""
    step = ran("clock and frames")
    told = step.told["clock step"]
    assert (told["name"], told["part"]) == ("clock step", "converter")
    assert told["start_s"] == pytest.approx(0.7, abs=0.002)
    assert told["value"] == pytest.approx(40, abs=0.2)
    assert step.record.alignments["device"]["clock_ppm"] == pytest.approx(-21, abs=1)


def test_a_lead_that_breaks_is_told_from_then_on_and_the_run_goes_on(
    ran: Callable[[str], Ran],
) -> None:
    """There is no closing marker, and still the run is measured; its exit is of its verdicts."""
    broken = ran("lead")
    (told,) = broken.record.diagnoses
    assert (told["name"], told["part"]) == ("broken lead", "lead")
    assert told["start_s"] == pytest.approx(0.6, abs=0.002)
    assert told["value"] == pytest.approx(250 / 2**0.5, rel=0.05)
    assert broken.error is None
    assert (broken.record.status, broken.record.exit_code) == ("completed", 0)
    noise = {m.id: m.value for m in broken.record.measurements}["noise.added_uv.device"]
    assert noise > 100


def test_a_stuck_channel_is_told_to_the_sample(ran: Callable[[str], Ran]) -> None:
    """The code it says, and since when."""
    (told,) = ran("stuck").record.diagnoses
    assert (told["name"], told["part"]) == ("stuck channel", "converter")
    assert told["start_s"] == pytest.approx(0.6, abs=1e-4)
    assert told["value"] == pytest.approx(900 * 10_000 / 2**23, abs=1e-6)


def test_swapped_channels_are_told_with_the_other_ones_number(ran: Callable[[str], Ran]) -> None:
    """The signal goes on in channel 2."""
    (told,) = ran("swapped").record.diagnoses
    assert (told["name"], told["part"], told["value"]) == ("swapped channels", "converter", 2)
    assert told["start_s"] == pytest.approx(0.6, abs=0.002)


def test_a_lead_that_was_broken_before_is_the_reason_that_nothing_is_found(
    ran: Callable[[str], Ran],
) -> None:
    """Not just that there is no marker: the error names the fault, its part, and what to do."""
    broken = ran("lead before")
    assert isinstance(broken.error, NotAnalysableError)
    assert "broken lead" in broken.error.what
    assert "whole playback; part: lead" in broken.error.what
    assert "connectors" in broken.error.todo
    assert broken.record.exit_code == 5
    assert set(broken.told) == {"broken lead"}
    assert broken.record.output_off is True


def test_dropped_and_repeated_frames_are_told_apart(ran: Callable[[str], Ran]) -> None:
    """How many of each, and the dropped ones from the first gap to the last."""
    told = ran("clock and frames").told
    assert set(told) == {"dropped frames", "repeated frames", "clock step"}
    dropped, twice = told["dropped frames"], told["repeated frames"]
    assert (dropped["part"], twice["part"]) == ("link", "link")
    assert 4 <= dropped["value"] <= 7  # in some 8500 frames; how many come first is not known
    assert (dropped["stop_s"] - dropped["start_s"]) == pytest.approx(
        (dropped["value"] - 1) * 1500 * 16 / 48_000, abs=0.001
    )
    assert 6 <= twice["value"] <= 9


def test_a_queue_that_overflows_is_told_with_its_length(ran: Callable[[str], Ran]) -> None:
    """100 frames in one piece, 33 ms: no single frame was lost by chance."""
    told = ran("overflow and hang-up").told["FIFO overflow"]
    assert (told["part"], told["value"]) == ("link", 100)
    assert told["stop_s"] - told["start_s"] == pytest.approx(100 * 16 / 48_000, abs=1e-4)


def test_a_device_that_hangs_up_is_told_with_when(ran: Callable[[str], Ran]) -> None:
    """The run ends with the link's error, and its record says when the device was gone."""
    gone = ran("overflow and hang-up")
    assert isinstance(gone.error, LinkError)
    assert gone.record.exit_code == 4
    assert set(gone.told) == {"FIFO overflow", "hang-up"}
    told = gone.told["hang-up"]
    assert told["part"] == "link"
    assert told["value"] == pytest.approx(6000 * 16 / 48_000, abs=0.01)
    assert 0.5 < told["start_s"] < 2.0 - BEGIN_S


def test_hum_that_ends_a_playback_is_not_taken_for_a_missing_divider(
    ran: Callable[[str], Ran],
) -> None:
    """The safety stop stays what it is; the diagnosis says that it was not the program."""
    hum = ran("heavy hum")
    assert isinstance(hum.error, SafetyError)
    assert hum.record.exit_code == 5
    assert hum.record.output_off is True
    (told,) = hum.record.diagnoses
    assert (told["name"], told["part"]) == ("something else is heard", "lead")
    assert told["start_s"] == pytest.approx(0.6, abs=0.002)
