"""End to end on the virtual rig: a campaign that is killed in the middle of its second cell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emgsim.cli import main
from emgsim.records.journal import JOURNAL, read_journal

SCENARIO = """
schema = "emgsim.scenario/1"
id = "brief"
title = "A brief effort"
seed = 2
[muscle]
name = "biceps_brachii"
[electrode]
tip = { x_mm = 0.0, y_mm = 0.0, z_mm = 20.0 }
[[phases]]
kind = "rest"
duration_s = 0.5
[[phases]]
kind = "hold"
duration_s = 1.5
level_mvc = 0.05
[[limits]]
measurement = "amplitude.error_pct.device"
low = -1.0
high = 1.0
unit = "%"
"""
DETECTOR = """
import json, sys
json.dump({"units": [{"discharge_times_s": [1.0, 1.1, 1.2]}]}, open(sys.argv[2], "w"))
"""
GIVE_UP_S = 240.0

pytestmark = pytest.mark.usefixtures("own_signals")


def journals(out: Path) -> list[Path]:
    """Return the journals of the cells that have begun, in their order."""
    return sorted(out.glob(f"*/runs/*/{JOURNAL}"))


def is_under_way(out: Path) -> bool:
    """Tell whether the second cell has played, and is not over."""
    seen = journals(out)
    kinds = [(x["kind"], x.get("name")) for x in read_journal(seen[1].parent)] if seen[1:] else []
    return ("stage", "play") in kinds


@pytest.mark.slow
def test_a_campaign_killed_in_its_second_cell_loses_nothing(tmp_path: Path) -> None:
    """The first cell is not run again, the second one goes on behind its playback."""
    (tmp_path / "brief.toml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "detector.py").write_text(DETECTOR, encoding="utf-8")
    (tmp_path / "night.toml").write_text(
        f'schema = "emgsim.campaign/1"\nid = "night"\nscenarios = ["brief.toml"]\n'
        f'seeds = [1, 2]\ndetector = "{sys.executable} {tmp_path / "detector.py"}"\n',
        encoding="utf-8",
    )
    out = tmp_path / "out"
    words = ["campaign", "run", str(tmp_path / "night.toml"), "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "emgsim", *words], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        ends_s = time.monotonic() + GIVE_UP_S
        while not is_under_way(out) and process.poll() is None and time.monotonic() < ends_s:
            time.sleep(0.02)
        assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    first, second = journals(out)
    before = first.read_bytes()
    [folder] = out.iterdir()
    assert not (folder / "campaign.json").exists()

    assert main(["campaign", "run", "--resume", str(folder)]) == 0
    assert first.read_bytes() == before
    [went_on] = [x for x in read_journal(second.parent) if x["kind"] == "resumed"]
    assert "play" in went_on["done"]
    table = json.loads((folder / "campaign.json").read_text("utf-8"))
    assert [cell["verdict"] for cell in table["cells"]] == ["pass", "pass"]
    assert all((folder / cell["folder"] / "report.html").is_file() for cell in table["cells"])
    assert (folder / "report.html").is_file()
