"""The commands on rigs: foresee, check, arm and disarm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emgsim.cli import main
from emgsim.cli.rigs import rig_serve
from emgsim.errors import UsageError
from emgsim.shipped import find

SHORT = "--set=phases=[{kind='hold',duration_s=2.0,level_mvc=0.05}]"
STATE = ["--set", "fixture.states.shorted.differential=0",
         "--set", "fixture.states.shorted.input_ohm=10"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of a real rig, and keep words to the test."""
    monkeypatch.setenv("EMGSIM_STATE_DIR", str(tmp_path / "state"))
    path = tmp_path / "lab.toml"
    path.write_text(
        'extends = "virtual"\nid = "lab"\nkind = "bench"\n[source]\nresource = "TCPIP::a::INSTR"\n'
        '[capture]\nresource = "TCPIP::b::INSTR"\n[device]\nresource = "/dev/ttyACM9"\n'
    )
    return path


def typed(words: list[str], answer: str) -> tuple[int, str]:
    """Run a command at a terminal, type an answer, and return exit code and what was shown."""
    mine, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "emgsim", *words], stdin=theirs, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as process:
        os.close(theirs)
        os.write(mine, answer.encode() + b"\n")
        shown, _ = process.communicate(timeout=60)
    os.close(mine)
    return process.returncode, shown


def test_a_person_at_a_terminal_arms_a_rig_and_disarms_it(lab):
    """The statement is typed, the word is told with its end, and can be taken back."""
    arm = ["arm", str(lab), "--by", "M. Curie", "--dut", "SN-7"]
    code, shown = typed(arm, "not connected to a person")
    assert code == 0, shown
    assert "Look at its electrodes and leads" in shown
    assert "rig lab is armed for device SN-7 by M. Curie until" in shown
    code, shown = typed(["disarm", str(lab)], "")
    assert (code, shown.strip()) == (0, "rig lab is no longer armed")
    code, shown = typed(["disarm", str(lab)], "")
    assert (code, shown.strip()) == (0, "rig lab was not armed")


def test_another_answer_arms_nothing(lab):
    """Yes is not the statement."""
    code, shown = typed(["arm", str(lab), "--by", "P", "--dut", "SN-7"], "yes")
    assert code == 5
    assert "the statement must be 'not connected to a person', got 'yes" in shown


def test_a_script_cannot_arm(lab, capsys, monkeypatch):
    """Without a terminal the command refuses, whatever is piped into it."""
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115 - it is the input
    assert main(["arm", str(lab), "--by", "P", "--dut", "SN-7"]) == 5
    sys.stdin.close()
    assert "never given by a script" in capsys.readouterr().err


def test_an_unarmed_rig_runs_nothing(lab, capsys, tmp_path, own_signals):
    """Exit code 5, and not even a folder is made."""
    assert main(["run", "healthy_biceps", "--rig", str(lab), "--out", str(tmp_path / "o")]) == 5
    assert "lab is a real one and is not armed" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_plan_tells_volts_and_limits_and_drives_nothing(lab, capsys):
    """Of a real rig too, unarmed and with nobody at its addresses."""
    assert main(["rig", "plan", str(lab), "healthy_biceps", SHORT]) == 0
    shown = capsys.readouterr().out
    assert "rig lab, scenario healthy_biceps: nothing is driven" in shown
    assert "verdict: would be played" in shown


def test_a_plan_that_breaks_a_limit_says_so_and_ends_with_5(lab, capsys):
    """As JSON for programs: the refusals and that it would not be played."""
    tight = "--set=rig.limits.device_differential_mv_pk=0.1"
    assert main(["rig", "plan", str(lab), "healthy_biceps", SHORT, tight, "--json"]) == 5
    told = json.loads(capsys.readouterr().out)["healthy_biceps"]
    assert told["would_be_played"] is False
    assert "device_differential_mv_pk" in " ".join(told["refusals"])


def test_a_check_goes_through_the_states_and_skips_what_nobody_can_reach(capsys):
    """A rig without a switch stays in the state through."""
    assert main(["rig", "check", "virtual", "--states", *STATE]) == 0
    shown = capsys.readouterr().out
    assert "state    shorted        skipped: state unavailable" in shown
    assert "state    through        in place" in shown


def test_a_check_lists_everybody_and_refuses_a_stranger(capsys):
    """Role, driver, address, identity and verdict of each, exit code 4, and nothing is opened."""
    assert main(["rig", "check", "--set", "source.expect.serial=MY9"]) == 4
    shown, said = capsys.readouterr()
    assert "source   keysight.33500 at virtual:source: Agilent Technologies,33522B" in shown
    assert "; not the one that is meant\n" in shown
    assert "device   serial.frames at virtual:device: EMGSIM,NA-1,SIM-0001,1.0;" in shown
    assert "all answer" not in shown
    assert "the source must have the serial 'MY9', and Agilent Technologies,33522B" in said


def test_a_check_lists_the_others_when_one_is_silent(capsys):
    """A generator that never answers is told, and scope and device are still asked."""
    silent = ["--set", "faults.source_silent=true", "--set", "link_timeout_s=0.5"]
    assert main(["rig", "check", *silent]) == 4
    shown, said = capsys.readouterr()
    first, second, third = shown.splitlines()
    assert first.startswith("source   keysight.33500 at virtual:source: no complete answer to")
    assert first.endswith("; does not answer")
    assert second.startswith("capture  keysight.infiniivision at virtual:capture: KEYSIGHT")
    assert third.startswith("device   serial.frames")
    assert "no complete answer to '*IDN?' within 0.5 s" in said


def test_a_check_says_who_is_as_expected(capsys):
    """What the rig file expects is compared, and the rest is told as not in it."""
    assert main(["rig", "check", "--set", "capture.expect.model=DSO-X 3012G"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("; as expected")
    assert lines[0].endswith("; no identity in the rig file")
    assert lines[-1] == "all answer; the output is off"


def test_rigs_and_drivers_are_listed_with_what_has_confirmed_them(capsys):
    """By role; a twin that nobody else's client has judged is unproven."""
    assert main(["rig", "list"]) == 0
    shown = capsys.readouterr().out
    assert "virtual-siglent-scope" in shown
    rows = {tuple(line.split()) for line in shown.splitlines()}
    assert ("keysight.33500", "source", "PyMeasure", "Agilent33500") in rows
    assert ("siglent.sds", "capture", "PyMeasure", "SDS1000XHD") in rows
    assert ("numato.relays", "switch", "unproven") in rows


def test_a_profile_of_another_firmware_is_told(tmp_path, capsys):
    """What the data sheet says may not hold any more: a line, and no refusal."""
    profile = find("rigs/devices", "na1").read_text().replace('firmware = "1.0"', 'firmware = "2"')
    (tmp_path / "na2.toml").write_text(profile)
    assert main(["rig", "check", "--set", f"device.profile={tmp_path / 'na2.toml'}"]) == 0
    assert "the device's profile is of firmware 2, not of 1.0" in capsys.readouterr().out


def test_a_check_of_a_rig_with_relays_reaches_every_state(capsys):
    """Seven states and through; the relay box is named among those who answer."""
    assert main(["rig", "check", "virtual-states", "--states"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("in place") == 8
    assert "skipped" not in shown
    assert shown.count("switch   ") == 1


@pytest.mark.parametrize(
    ("set_", "clock"), [((), "paced"), (("virtual.clock=free",), "free")]
)
def test_a_rig_is_served_in_real_time_unless_told_otherwise(monkeypatch, set_, clock):
    """Other people's software reads in its own time; ``--set`` has the last word."""
    served = []

    def refuse(rig, seed):
        served.append(rig)
        raise UsageError("not served")

    monkeypatch.setattr("emgsim.bench.served.ServedRig", refuse)
    with pytest.raises(UsageError, match="not served"):
        rig_serve("virtual", set_=set_)
    assert [rig.virtual.clock for rig in served] == [clock]
