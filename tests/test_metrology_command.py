"""``emgsim metrology``: over real wires, from the command line to the data sheet."""

import json
from pathlib import Path

import numpy as np
import pytest

from emgsim.cli import main

pytestmark = pytest.mark.slow


def measured(out: Path, *more: str) -> tuple[int, dict[str, object]]:
    """Measure the gain on the virtual rig, and return exit code and record."""
    code = main(["metrology", "--rig", "virtual-metrology", "--only", "gain.accuracy",
                 "--out", str(out), "--seed", "5", *more])
    (folder,) = out.iterdir()
    assert (folder / "sheet.html").is_file()
    return code, json.loads((folder / "record.json").read_text("utf-8"))


def test_the_gain_of_the_virtual_amplifier_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Within its uncertainty of the true value; the output is off, and the table is printed."""
    code, record = measured(tmp_path, "--waves")
    assert code == 0
    assert record["output_off"] is True
    assert record["seed"] == 5
    gain = next(m for m in record["measurements"] if m["id"] == "gain.accuracy")
    assert gain["verdict"] == "pass"
    assert 0 < gain["uncertainty"] < 0.5
    assert abs(gain["value"]) < 1.0
    assert gain["ratio"] > 4
    assert abs(gain["stimulus_error_pct"]) < 0.5
    assert gain["limit"]["source"].startswith("our default")
    with np.load(next(tmp_path.glob("*/wave/*.npz"))) as kept:
        assert kept["samples_uv"].shape[1] == 4
        assert kept["rate_hz"] == 48_000.0
    told = capsys.readouterr()
    assert "gain.accuracy" in told.out
    assert told.out.rstrip().endswith("sheet.html")
    assert "self-test" in told.err


def test_a_source_that_lies_makes_its_readings_inconclusive(tmp_path: Path):
    """A tenth too loud: the device is not blamed for it, and the exit code is 5."""
    code, record = measured(tmp_path, "--set", "virtual.source.gain=1.1")
    assert code == 5
    gain = next(m for m in record["measurements"] if m["id"] == "gain.accuracy")
    assert gain["verdict"] == "inconclusive"
    assert "itself was" in gain["note"]


def test_an_unknown_test_is_refused_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Before anything is opened."""
    code = main(["metrology", "--rig", "virtual-metrology", "--only", "gain.acuracy",
                 "--out", str(tmp_path)])
    assert code == 2
    assert "did you mean 'gain.accuracy'" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
