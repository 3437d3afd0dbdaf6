"""A user's own folder, with a scenario, a detector and tests of their own, and emgsim as a wheel.

Run by an interpreter into which the built wheel was installed, from an empty folder: ``.ci/run``
makes both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import emgsim

SCENARIO = """
schema = "emgsim.scenario/1"
id = "{name}"
title = "A second of a healthy biceps"
seed = 5
phases = [{{ kind = "hold", duration_s = 1.0, level_mvc = 0.03 }}]

[muscle]
name = "biceps_brachii"

[electrode]
kind = "concentric_needle"
tip = {{ x_mm = 0.0, y_mm = 0.0, z_mm = 20.0 }}

[acquisition]
rate_hz = 48000.0

[analysis]
kind = "needle"

[[limits]]
measurement = "units.found.device"
low = 2.0
high = 2.0
unit = "1"
"""
COMMAND = """
import json, sys
times = [{"discharge_times_s": [0.2]}, {"discharge_times_s": [0.4]}]
json.dump({"units": times}, open(sys.argv[2], "w"))
"""
FUNCTION = """
import numpy as np
from emgsim import Findings
from emgsim.recording import FoundUnit

def detect(recording):
    nothing = np.zeros((0, 1))
    units = [
        FoundUnit(id=n, discharge_times_s=np.array([0.2 * n]), muap_uv=nothing, muap_start_s=0.0)
        for n in (1, 2)
    ]
    return Findings(units=tuple(units))
"""
TESTS = """
def test_which_rig(rig, record_property):
    record_property("rig", rig.id)

def test_nothing_is_lost(device, measure):
    device.start()
    block = device.read_block(2400, 5.0)
    device.stop()
    measure("stream.lost", sum(n for _, n in block.gaps), "1", high=0)
"""
OTHER_RIG = 'schema = "emgsim.rig/1"\nextends = "virtual"\nid = "other"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make the folder of a user, with an installed package of theirs beside it."""
    for name in ("mine", "mine_too"):
        (tmp_path / f"{name}.toml").write_text(SCENARIO.format(name=name))
    (tmp_path / "my_detector.py").write_text(COMMAND)
    (tmp_path / "test_mine.py").write_text(TESTS)
    (tmp_path / "other.toml").write_text(OTHER_RIG)
    site = tmp_path / "site"
    (site / "mine-1.0.dist-info").mkdir(parents=True)
    (site / "mine-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n"
    )
    (site / "mine-1.0.dist-info" / "entry_points.txt").write_text(
        "[emgsim.detectors]\nmine = mine_detectors:detect\n"
    )
    (site / "mine_detectors.py").write_text(FUNCTION)
    return tmp_path


def outcome(folder: Path, *words: str) -> tuple[int, str, dict[str, dict[str, str]]]:
    """Run pytest there; return its code, what it said, and the properties of each test."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--junit-xml=out.xml", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "site"), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = {
        str(case.get("name")): {
            str(one.get("name")): str(one.get("value")) for one in case.iter("property")
        }
        for case in ET.parse(folder / "out.xml").iter("testcase")
    }
    return done.returncode, done.stdout + done.stderr, found


def test_it_is_the_wheel() -> None:
    """And no checkout that happens to be near."""
    assert "site-packages" in str(emgsim.__file__)


def test_a_folder_of_ones_own_with_a_program_as_detector(folder: Path) -> None:
    """Scenario and tests pass, what was measured and who was measured stand in the JUnit file."""
    program = f"{sys.executable} my_detector.py"
    code, said, found = outcome(
        folder, "--rig", "virtual", "--detector", program, "mine.toml", "test_mine.py"
    )
    assert code == 0, said
    of_scenario = found["test_scenario[mine]"]
    assert of_scenario["measurement.units.found.device.value"] == "2.0"
    assert of_scenario["measurement.units.found.device.verdict"] == "pass"
    assert of_scenario["emgsim.detector"] == program
    assert of_scenario["emgsim.device_serial"] == "SIM-0001"
    assert found["test_nothing_is_lost"]["measurement.stream.lost.value"] == "0"
    assert (folder / of_scenario["emgsim.folder"] / "report.html").is_file()


def test_two_workers_have_a_rig_each_and_an_installed_detector(folder: Path) -> None:
    """Two scenarios are run side by side, each on the rig of its worker."""
    code, said, found = outcome(
        folder,
        *("-n", "2", "--rig", "virtual", "--rig", "other.toml", "--detector", "mine"),
        *("mine.toml", "mine_too.toml"),
    )
    assert code == 0, said
    assert {row["emgsim.rig"] for row in found.values()} == {"virtual", "other"}
    assert {row["emgsim.detector"] for row in found.values()} == {"mine"}
    assert {row["measurement.units.found.device.value"] for row in found.values()} == {"2.0"}


def test_the_plugin_costs_other_people_nothing() -> None:
    """It is loaded in every pytest run: no numpy, no scipy, no pyvisa."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import emgsim.pytest_plugin"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "emgsim.pytest_plugin" in loaded
    assert not loaded & {"numpy", "scipy", "pyvisa", "serial", "matplotlib", "pydantic", "numba"}
