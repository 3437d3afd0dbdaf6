"""The command before a run: what it said is kept, what it started ends, and no shell reads it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from emgsim.cli import main
from emgsim.errors import InstrumentError, UsageError
from emgsim.records.difference import comparable
from emgsim.records.journal import Journal, read_journal
from emgsim.records.record import fold
from emgsim.running.preparing import LAST_WORDS, prepare

pytestmark = pytest.mark.usefixtures("own_signals")


def script(folder: Path, text: str) -> str:
    """Write a Python program and return the command for it."""
    (folder / "flash.py").write_text(text, encoding="utf-8")
    return f"{sys.executable} {folder / 'flash.py'}"


def test_what_the_command_said_is_in_the_record(tmp_path: Path) -> None:
    """Command, exit status, time and the end of its output, of both its streams."""
    command = script(tmp_path, "import sys\nprint('x' * 5000)\nprint('flashed', file=sys.stderr)")
    with Journal(tmp_path / "run") as journal:
        values = prepare(command, journal)
    assert (values["command"], values["exit_status"]) == (command, 0)
    assert 0 < values["seconds"] < 20
    assert values["output"].endswith("x\nflashed")
    assert len(values["output"]) == LAST_WORDS
    assert fold(read_journal(tmp_path / "run")).prepare == values


@pytest.mark.parametrize("ending", ["sys.exit(3)", "os.kill(os.getpid(), 15)"])
def test_a_command_that_fails_is_an_instrument_error_with_its_last_line(
    tmp_path: Path, ending: str
) -> None:
    """Exit status 3 or a signal: exit code 4, and the record has it."""
    command = script(tmp_path, f"import os, sys\nprint('no device on SWD', flush=True)\n{ending}")
    with (
        Journal(tmp_path / "run") as journal,
        pytest.raises(InstrumentError, match=r"ended with (3|-15): no device on SWD") as caught,
    ):
        prepare(command, journal)
    assert caught.value.where == command
    assert caught.value.exit_code == 4
    assert fold(read_journal(tmp_path / "run")).prepare["exit_status"] in (3, -15)


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """Its child does not run on; there is no exit status."""
    child = "import time; time.sleep(60)"
    command = script(
        tmp_path,
        f"import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"print(p.pid, flush=True)\ntime.sleep(60)",
    )
    began_s = time.monotonic()
    with (
        Journal(tmp_path / "run") as journal,
        pytest.raises(InstrumentError, match="took longer than 2 s"),
    ):
        prepare(command, journal, timeout_s=2)
    assert time.monotonic() - began_s < 20
    values = fold(read_journal(tmp_path / "run")).prepare
    assert values["exit_status"] is None
    pid = int(values["output"])
    ends_s = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < ends_s:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            os.waitpid(pid, os.WNOHANG)  # it is ours since its parent died
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [("no_such_flasher --now", "begins with no program"), ("", "begins with no program"),
     ("flash 'x", "is no command: No closing quotation")],
)  # fmt: skip
def test_what_is_no_command_is_refused_before_anything_is_made(
    tmp_path: Path, command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong use: exit code 2, and no folder of a run."""
    with Journal(tmp_path / "run") as journal, pytest.raises(UsageError, match=said):
        prepare(command, journal)
    out = tmp_path / "out"
    assert main(["run", "healthy_biceps", "--out", str(out), "--prepare", command]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    """What a shell would obey is a word like any other."""
    command = script(tmp_path, "import sys\nprint(sys.argv[1:])") + " $HOME '&&' 'a b' > x"
    with Journal(tmp_path / "run") as journal:
        values = prepare(command, journal)
    assert values["output"] == "['$HOME', '&&', 'a b', '>', 'x']"


def test_a_run_whose_preparation_fails_opens_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4 before anything is simulated or opened, and the record says why."""
    words = ["run", "healthy_biceps", "--out", str(tmp_path), "--prepare", "false"]
    assert main(words) == 4
    told = capsys.readouterr().err
    assert "error: the command that prepares the rig ended with 1" in told
    assert "  go on with: emgsim run --resume " in told
    (folder,) = tmp_path.iterdir()
    record = json.loads((folder / "record.json").read_text("utf-8"))
    assert (record["status"], record["exit_code"]) == ("aborted", 4)
    assert (record["prepare"]["command"], record["prepare"]["exit_status"]) == ("false", 1)
    assert record["identities"] == record["captures"] == {}
    assert record["output_off"] is None


def test_a_preparation_comes_first_and_is_repeated_before_the_rig_is_opened_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is run before the run and again when it goes on; what it said makes no difference."""
    command = script(tmp_path, f"open({str(tmp_path / 'count')!r}, 'a').write('.')")
    words = ["run", "healthy_biceps", "--out", str(tmp_path / "out"), "--prepare", command,
             "--set", "rig.faults.source_error=true"]  # fmt: skip
    assert main(words) == 4
    (folder,) = (tmp_path / "out").iterdir()
    assert main(["run", "--resume", str(folder)]) == 4
    assert capsys.readouterr().err.count("error: ") == 2
    assert (tmp_path / "count").read_text() == ".."
    kinds = [line["kind"] for line in read_journal(folder)]
    assert kinds.index("prepare") < kinds.index("capture") < kinds.index("identity")
    table = comparable(json.loads((folder / "record.json").read_text("utf-8")))
    assert table["prepare"] == {"command": command, "exit_status": 0}
    firmware = fold(read_journal(folder)).identities["device"]["firmware"]
    assert firmware  # as read back after it
