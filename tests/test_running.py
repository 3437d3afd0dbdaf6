"""End to end: the real command on the virtual rig, and every way in which it may go wrong."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial

from emgsim.align import Waveform, align
from emgsim.bench.levels import plan_levels
from emgsim.bench.playing import Catch, load_program, play
from emgsim.bench.program import Program, program_for
from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.served import ServedRig
from emgsim.bench.station import open_station
from emgsim.cli import main
from emgsim.errors import LinkError
from emgsim.files.npz import read_npz
from emgsim.instruments.base import SourceCaps
from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import GeneratorSettings, World
from emgsim.records.difference import comparable
from emgsim.records.journal import read_journal
from emgsim.records.record import fold
from emgsim.running.run import run
from emgsim.scenario import Scenario, load_scenario
from emgsim.simulation import lasting, simulate
from emgsim.stages import BandResponse

CAPS = SourceCaps(16, 1_000_000, 8, 250e6, 20.0, 2, 50.0)


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())


def values(record: dict[str, Any]) -> dict[str, float]:
    return {m["id"]: m["value"] for m in record["measurements"]}


def only_run(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


@pytest.fixture(scope="session")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run of the README's command, as a process of its own."""
    out = tmp_path_factory.mktemp("main")
    done = subprocess.run(
        [sys.executable, "-m", "emgsim", "run", "healthy_biceps", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "report.html" in done.stdout
    for stage in ("simulate", "open", "load", "play", "align", "judge"):
        assert f"\n{stage}" in "\n" + done.stderr
    return only_run(out)


@pytest.fixture
def short() -> Scenario:
    """Half a second of rest, then effort, to be cut: enough for the wire, not for an analysis."""
    scenario = load_scenario("healthy_biceps")
    rest, hold = scenario.phases
    return scenario.model_copy(
        update={"phases": (rest.model_copy(update={"duration_s": 0.5}), hold), "limits": ()}
    )


@pytest.fixture
def rig() -> Rig:
    return load_rig("virtual")


@pytest.fixture
def program(short: Scenario) -> Program:
    recording, _ = simulate(lasting(short, 2.0))
    return program_for(recording)


@pytest.mark.slow
def test_the_main_job_passes_every_limit_of_its_scenario(main_job: Path) -> None:
    """A healthy biceps on the virtual rig passes, with nothing left unjudged."""
    record = record_of(main_job)
    judged = [m for m in record["measurements"] if m["limit"]]
    assert len(judged) == len(record["scenario"]["limits"])
    assert {m["verdict"] for m in judged} <= {"pass", "conditional_pass"}
    assert record["verdict"] in ("pass", "conditional_pass")
    assert record["exit_code"] == 0
    assert record["output_off"] is True


@pytest.mark.slow
def test_the_main_job_reaches_the_figures_that_are_promised(main_job: Path) -> None:
    """Alignment, amplitude, noise and detection are as good as the README's limits say."""
    v = values(record_of(main_job))
    assert v["align.residual_us.device"] <= 10
    assert abs(v["amplitude.error_pct.device"]) <= 1
    assert abs(v["noise.over_budget_pct.device"]) <= 20
    assert v["units.detectable.truth"] >= 4
    assert v["discharges.f1.truth"] >= 0.90
    assert v["discharges.f1_loss.device"] <= 0.03
    assert "align.group_delay_us.device" in v
    assert "amplitude.raw_difference_pct.device" in v


@pytest.mark.slow
def test_record_and_findings_have_the_published_forms(main_job: Path, form_mistakes) -> None:
    """Whoever reads them in another language may rely on `emgsim schema`."""
    assert form_mistakes(record_of(main_job)) == []
    for path in ("truth", "loopback", "device"):
        assert form_mistakes(json.loads((main_job / f"findings-{path}.json").read_text())) == []


@pytest.mark.slow
def test_the_record_is_the_fold_of_the_journal_on_the_disk(main_job: Path) -> None:
    """What was journalled line by line folds to the very record that was written."""
    assert fold(read_journal(main_job)).to_json() == (main_job / "record.json").read_text()


@pytest.mark.slow
def test_the_clock_the_gain_and_the_noise_found_are_those_of_the_virtual_hardware(
    main_job: Path, rig: Rig
) -> None:
    """The bench finds what the rig's physics say, within the stated intervals' order."""
    v, physics = values(record_of(main_job)), rig.virtual
    assert physics is not None
    ppm = physics.amplifier.clock_ppm - physics.source.clock_ppm
    assert v["align.clock_ppm.device"] == pytest.approx(ppm, abs=0.01)
    assert v["amplitude.error_pct.device"] == pytest.approx(
        100 * (physics.amplifier.gain - 1), abs=0.02
    )


@pytest.mark.slow
def test_one_seed_gives_the_same_record_twice_and_another_seed_another(
    tmp_path: Path, short: Scenario, rig: Rig
) -> None:
    """Its circumstances apart, two runs of one seed agree to the last digit and byte."""
    records = []
    for seed in (1, 1, 2):
        folder, _ = run(lasting(short, 2.5), rig, out=tmp_path, seed=seed)
        records.append(comparable(record_of(folder)))
    first, again, other = records
    assert first == again
    waves = [{f: sha for f, sha in r["files"].items() if "wave" in f} for r in (first, other)]
    assert all(waves[0][name] != waves[1][name] for name in waves[0])


def play_in_process(program: Program, rig: Rig, seed: int, before_s: float) -> np.ndarray:
    """Return the device's codes of a playback on the plant alone, from the trigger's block on."""
    plan, volts = plan_levels(program, rig, CAPS, rig.profile.band_hz[1])
    world = World(rig.virtual or RigPhysics(), seed)
    world.generator.set_waveform(np.rint(volts / (plan.vpp_open_v / 2) * 32767).astype(np.int16))
    world.generator.apply(
        GeneratorSettings(rate_hz=plan.source_rate_hz, vpp_open_v=plan.vpp_open_v, output_on=True)
    )
    world.amplifier.start()
    world.advance(before_s)
    world.amplifier.take()
    world.generator.trigger()
    world.advance(plan.duration_s + 0.05)
    return world.amplifier.take()[:, 0]


def test_plant_in_process_and_plant_behind_the_wire_give_equal_codes(
    program: Program, rig: Rig
) -> None:
    """The same seed gives the same device codes with and without HiSLIP and pseudo-terminal."""
    codes = play_in_process(program, rig, seed=5, before_s=0.03)
    with open_station(rig, seed=5) as station:
        plan, _ = load_program(station, program)
        catch = Catch()
        play(station, program, plan, catch)
    wire = catch.device_counts()[:, 0].astype(np.int64)
    # The wire's stream began some time before the trigger: find where one fits into the other.
    (starts,) = np.nonzero(wire[: wire.size - codes.size] == codes[0])
    assert any(np.array_equal(wire[s : s + codes.size], codes) for s in starts)


@pytest.mark.parametrize("ppm", [-20.0, 20.0])
def test_the_times_found_are_the_times_at_which_the_converter_sampled(
    program: Program, rig: Rig, ppm: float
) -> None:
    """At +-20 ppm every sample's time is found within 10 us of the plant's own."""
    assert rig.virtual is not None
    amplifier = rig.virtual.amplifier.model_copy(update={"clock_ppm": ppm})
    physics = rig.virtual.model_copy(update={"amplifier": amplifier})
    rig = rig.model_copy(update={"virtual": physics})
    plan, volts = plan_levels(program, rig, CAPS, 10_000.0)
    world = World(physics, 3)
    world.generator.set_waveform(np.rint(volts / (plan.vpp_open_v / 2) * 32767).astype(np.int16))
    world.generator.apply(
        GeneratorSettings(rate_hz=plan.source_rate_hz, vpp_open_v=plan.vpp_open_v, output_on=True)
    )
    world.amplifier.start()
    world.generator.trigger()
    world.advance(plan.duration_s + 0.05)
    profile = rig.profile
    uv = world.amplifier.take()[:, 0] * profile.scale_uv_per_count
    response = BandResponse(
        highpass_hz=10.0, highpass_order=2, lowpass_hz=10_000.0, lowpass_order=4
    )
    waveform = Waveform(program.samples_uv, program.rate_hz, response)
    found = align(uv, profile.rate_hz, waveform, program.markers)
    # The player's clock is the generator's: it runs 3 ppm fast, and its hold and output filter
    # delay everything by a constant that is part of the offset.
    true_s = world.sample_times_s(uv.size) * (1 + physics.source.clock_ppm * 1e-6)
    late_s = found.times_s(uv.size, profile.rate_hz) - true_s
    hold_s = 0.5 / plan.source_rate_hz
    filter_s = 3.236 / (2 * math.pi * 0.27 * plan.source_rate_hz)  # Butterworth of order 5 at DC
    error_us = 1e6 * (late_s + hold_s + filter_s)
    assert np.max(np.abs(error_us)) < 10
    assert np.ptp(error_us) < 0.5


def with_faults(rig: Rig, **faults: Any) -> Rig:
    return rig.model_copy(update={"faults": rig.faults.model_copy(update=faults)})


def test_lost_frames_become_gaps_and_fail_their_limit_only(
    tmp_path: Path, short: Scenario, rig: Rig
) -> None:
    """A dropped frame is counted, located, never closed, and the rest is still measured."""
    folder, record = run(
        lasting(short, 2.5), with_faults(rig, drop_every_n_frames=700), out=tmp_path
    )
    v = {m.id: m.value for m in record.measurements}
    assert v["link.lost_samples.device"] > 0
    assert v["link.lost_samples.device"] % 16 == 0
    recording, _ = read_npz(folder / "wave" / "device.npz")
    lost = sum(gap.n_samples for gap in recording.gaps)
    assert lost == v["link.lost_samples.device"]
    assert np.isnan(recording.samples_uv[:, 0]).sum() == lost
    assert v["align.residual_us.device"] < 10


def failed_run(
    capsys: pytest.CaptureFixture[str], out: Path, *words: str
) -> tuple[int, str, dict[str, Any]]:
    """Run the command, expect it to fail, and return its code, its message and its record."""
    code = main(["run", "healthy_biceps", "--out", str(out), *words])
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return code, message, record_of(only_run(out))


def test_a_port_that_hangs_up_in_mid_run_keeps_what_came_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form_mistakes
) -> None:
    """The cable is pulled: exit 4, output off, and the samples so far are in the journal."""
    code, message, record = failed_run(
        capsys, tmp_path, "--set", "rig.faults.hang_up_after_frames=12000"
    )
    assert code == 4
    assert "/dev/pts/" in message
    assert "to do:" in message
    assert record["verdict"] == "aborted"
    assert record["exit_code"] == 4
    assert record["output_off"] is True
    assert form_mistakes(record) == []
    assert record["errors"][0]["exit_code"] == 4
    assert record["captures"]["device_raw"]["n_samples"] > 48_000
    assert (only_run(tmp_path) / record["captures"]["device_raw"]["file"]).is_file()
    assert "aborted" in (only_run(tmp_path) / "report.html").read_text()


def test_a_generator_that_reports_an_error_ends_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error queue's own words reach the user, with exit 4 and the output off."""
    code, message, record = failed_run(capsys, tmp_path, "--set", "rig.faults.source_error=true")
    assert code == 4
    assert "-310" in message
    assert record["output_off"] is True
    assert record["captures"]["truth"]["n_samples"] == 576_000


def test_a_rig_that_does_not_answer_ends_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silence is a link error with the address, and the simulated truth is kept."""
    code, message, record = failed_run(
        capsys,
        tmp_path,
        "--set",
        "rig.faults.source_silent=true",
        "--set",
        "rig.link_timeout_s=0.3",
    )
    assert code == 4
    assert "TCPIP::127.0.0.1" in message
    assert record["status"] == "aborted"
    assert "truth" in record["captures"]


def test_a_port_that_somebody_holds_is_named(
    tmp_path: Path, short: Scenario, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A taken serial port is a link error that names it; nothing is played."""
    holder: list[serial.Serial] = []

    class Taken(ServedRig):
        def __enter__(self) -> Taken:
            super().__enter__()
            holder.append(serial.Serial(self.addresses["device"], exclusive=True))
            return self

        def close(self) -> None:
            for port in holder:
                port.close()
            super().close()

    monkeypatch.setattr("emgsim.bench.station.ServedRig", Taken)
    with pytest.raises(LinkError, match="/dev/pts/") as caught:
        run(lasting(short, 2.5), rig, out=tmp_path)
    assert caught.value.exit_code == 4
    assert caught.value.todo
    assert record_of(only_run(tmp_path))["status"] == "aborted"


def test_a_stimulus_that_is_off_makes_the_device_inconclusive_not_failed(
    tmp_path: Path, rig: Rig
) -> None:
    """If the divider's declared load is wrong by 5 %, nothing is said about the device."""
    scenario = load_scenario("healthy_biceps")
    wrong = rig.model_copy(update={"source": rig.source.model_copy(update={"output_ohm": 600.0})})
    _, record = run(lasting(scenario, 4.0), wrong, out=tmp_path)
    device = [m for m in record.measurements if m.limit and m.id.endswith(".device")]
    assert device
    assert {m.verdict for m in device} == {"inconclusive"}
    assert record.exit_code == 5


def test_a_limit_on_something_that_was_not_measured_never_passes(
    tmp_path: Path, short: Scenario, rig: Rig
) -> None:
    """A limit whose measurement does not exist is inconclusive, not silently dropped."""
    limits = load_scenario("healthy_biceps").limits
    strange = limits[0].model_copy(update={"measurement": "no.such.thing"})
    scenario = lasting(short, 2.5).model_copy(update={"limits": (strange,)})
    _, record = run(scenario, rig, out=tmp_path)
    judged = {m.id: m.verdict for m in record.measurements if m.limit}
    assert judged == {"no.such.thing": "inconclusive"}
    assert record.exit_code == 5


def test_an_inverting_device_is_seen_as_such(tmp_path: Path, short: Scenario, rig: Rig) -> None:
    """Inverted polarity is measured, and the gain error is still that of its size."""
    assert rig.virtual is not None
    amplifier = rig.virtual.amplifier.model_copy(update={"gain": -1.004})
    physics = rig.virtual.model_copy(update={"amplifier": amplifier})
    _, record = run(lasting(short, 2.5), rig.model_copy(update={"virtual": physics}), out=tmp_path)
    v = {m.id: m.value for m in record.measurements}
    assert v["amplitude.polarity.device"] == -1
    assert v["amplitude.error_pct.device"] == pytest.approx(0.4, abs=0.02)


@pytest.fixture(scope="session")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the built wheel was installed, without its dependencies."""
    root = Path(__file__).parents[1]
    work = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", work, root], check=True, timeout=240)
    (wheel,) = work.glob("*.whl")
    site = work / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True, timeout=240)
    return site


@pytest.mark.slow
def test_the_wheel_finds_its_scenarios_and_rigs_from_an_empty_folder(
    installed_wheel: Path, tmp_path: Path
) -> None:
    """What the checkout finds beside the package, the wheel carries inside it."""
    code = (
        "import emgsim, sys; print(emgsim.__file__); from emgsim.cli import main; "
        "hold = '{kind=\"hold\",duration_s=2.5,level_mvc=0.05}'; "
        "sys.exit(main(['run', 'healthy_biceps', '--out', 'runs', '--set', 'limits=[]', "
        "'--set', f'phases=[{hold}]']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed_wheel)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(installed_wheel) in done.stdout
    assert (only_run(tmp_path / "runs") / "report.html").is_file()
