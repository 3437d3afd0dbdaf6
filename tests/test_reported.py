"""What a device that detects by itself reports, from its events to the scores."""

import json
from pathlib import Path

import numpy as np
import pytest

from emgsim import chain
from emgsim.bench.rig import load_rig
from emgsim.files.findings import read_findings
from emgsim.instruments.base import DeviceEvent
from emgsim.recording import Channel, Recording
from emgsim.running.reported import reported
from emgsim.running.run import run
from emgsim.scenario import load_scenario


def device(start_s: float = 0.0, first_sample: int = 100) -> chain.Path:
    """A device's path of one second at 1 kHz, that had streamed before."""
    recording = Recording(
        samples_uv=np.zeros((1000, 1)), rate_hz=1000.0, channels=(Channel(name="x"),),
        start_s=start_s,
    )  # fmt: skip
    return chain.Path(name="device", recording=recording, first_sample=first_sample)


def test_events_lie_on_the_clock_of_the_devices_samples() -> None:
    """Sample 100 is the recording's first, which was taken 0.2 ms after the scenario began."""
    events = [DeviceEvent("event", 100, 1), DeviceEvent("event", 350, 1)]
    found = reported(events, device(start_s=0.0002))
    assert [unit.id for unit in found.units] == [1]
    assert found.units[0].discharge_times_s == pytest.approx([0.0002, 0.2502])


def test_what_is_told_outside_the_scenario_is_left_out() -> None:
    """Markers make a device report, too."""
    events = [DeviceEvent("event", 99, 1), DeviceEvent("event", 1100, 1)]
    assert reported(events, device()).units == ()


def test_what_a_device_tells_apart_are_units() -> None:
    """Another value or another line is another unit, whatever the order."""
    events = [
        DeviceEvent("spike", 300, 2), DeviceEvent("line", 200, 1), DeviceEvent("spike", 400, 1),
        DeviceEvent("spike", 500, 2),
    ]  # fmt: skip
    found = reported(events, device())
    assert [u.discharge_times_s.tolist() for u in found.units] == [
        pytest.approx([0.1]), pytest.approx([0.3]), pytest.approx([0.2, 0.4]),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_run_scores_what_the_device_reports(tmp_path: Path) -> None:
    """The logger's threshold hears most discharges of the largest units, and little else."""
    scenario = load_scenario("healthy_biceps")
    hold = scenario.phases[1].model_copy(update={"duration_s": 4.0})
    scenario = scenario.model_copy(update={"phases": (hold,), "limits": ()})
    folder, record = run(scenario, load_rig("virtual-csv"), out=tmp_path)
    values = {m.id: m.value for m in record.measurements}
    events = read_findings(folder / "findings-device_reported.json").units[0].discharge_times_s
    assert 0 < events.min() < events.max() < scenario.duration_s
    assert values["events.sensitivity.device_reported"] > 0.3
    assert values["events.precision.device_reported"] > 0.3
    assert "discharges.f1_loss.device_reported" in values
    table = json.loads((folder / "record.json").read_text("utf-8"))
    assert "device_reported" in table["scores"]
    page = (folder / "report.html").read_text("utf-8")
    assert "device_reported" in page
    assert "wave/device_reported.npz" not in page
