"""A recording of several channels on two generators: two channels at once, each in its place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emgsim import chain
from emgsim.align import Waveform
from emgsim.bench.rig import load_rig
from emgsim.cli import main
from emgsim.errors import InstrumentError, UsageError
from emgsim.files.npz import read_npz, write_npz
from emgsim.recording import Channel, Recording
from emgsim.records.journal import read_journal
from emgsim.running.excerpt import excerpt_of
from emgsim.running.playing_back import play_back
from emgsim.seeds import stream

TWO = "virtual-two-generators"
RATE_HZ = 24_000.0
DELAY_S = 37e-6  # from one channel to the next
PEAKS_UV = (2500.0, 1800.0, 1200.0)


def conducted(n_channels: int, duration_s: float) -> Recording:
    """Return smooth noise that travels along the channels, and becomes less on its way."""
    n = round(duration_s * RATE_HZ)
    f = np.fft.rfftfreq(n, 1 / RATE_HZ)
    spectrum = np.fft.rfft(stream(1, "stand-in", 0).standard_normal(n))
    spectrum = np.where((f > 100) & (f < 2000), spectrum, 0)
    late = np.exp(-2j * np.pi * np.outer(np.arange(n_channels) * DELAY_S, f))
    uv = np.fft.irfft(spectrum * late, n, axis=1).T
    uv *= np.array(PEAKS_UV[:n_channels]) / np.max(np.abs(uv), axis=0)
    names = tuple(Channel(name=f"e{k}") for k in range(n_channels))
    return Recording(samples_uv=uv, rate_hz=RATE_HZ, channels=names)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one playback of three channels: two at once, and one that is left."""
    out = tmp_path_factory.mktemp("two")
    write_npz(out / "grid.npz", conducted(3, 0.3))
    words = ["play", str(out / "grid.npz"), "--out", str(out / "runs"), "--rig", TWO]
    assert main(words) == 0
    (folder,) = (out / "runs").iterdir()
    return folder


@pytest.fixture(scope="module")
def record(played: Path) -> dict[str, object]:
    """What the command wrote down."""
    return json.loads((played / "record.json").read_text())


def lags_and_gains(folder: Path) -> np.ndarray:
    """Return lag in microseconds and gain of each channel against what was played in it."""
    original, _ = read_npz(folder / "wave/recording.npz")
    found, _ = read_npz(folder / "wave/device.npz")
    response = chain.declared_response(load_rig(TWO).profile)
    inner = slice(1000, -1000)  # what the device's filter remembers of the markers is not in it
    rows = []
    for k in range(len(original.channels)):
        waveform = Waveform(original.samples_uv[:, k], original.rate_hz, response)
        value, slope = waveform.at(found.times_s[inner])
        basis = np.stack([value, -slope], axis=1)
        fit, *_ = np.linalg.lstsq(basis, found.samples_uv[inner, k], rcond=None)
        rows.append((1e6 * fit[1] / fit[0], fit[0]))
    return np.array(rows)


def test_delays_and_gains_are_those_of_one_channel_after_the_other(played: Path) -> None:
    """The clocks are 14 ppm apart and the first points 2.7 ms: the markers tell it all."""
    lags_us, gains = lags_and_gains(played).T
    assert np.ptp(lags_us) < 0.1  # a sample has 21
    # The amplifier's 0.2 %; of the second generator 0.04 % less, and 0.03 % more of its divider.
    np.testing.assert_allclose(gains, (1.002, 1.0019, 1.002), atol=3e-4)


def test_no_channel_hears_what_another_generator_plays(record: dict) -> None:
    """Else the noise would be far over its budget: the neighbour is 45 dB above it."""
    found = {m["id"]: m["value"] for m in record["measurements"]}
    for k in range(3):
        assert abs(found[f"noise.over_budget_pct.device_{k}"]) <= 20


def test_the_record_says_which_generator_played_what_and_where_it_was_read(
    record: dict, form_mistakes
) -> None:
    """Channel 2 goes through the first one again, to the third of its inputs: number 3."""
    assert form_mistakes(record) == []
    found = [record["alignments"][f"device_{k}"] for k in range(3)]
    assert [one["source"] for one in found] == ["source", "source_2", "source"]
    assert [one["input"] for one in found] == [0, 1, 3]
    for one, drift_ppm in zip(found, (21.0, 7.0, 21.0), strict=True):  # of 3 or -11 against -18
        assert one["drift_ppm"] == pytest.approx(drift_ppm, abs=0.2)
    late_s = found[0]["offset_s"] - found[1]["offset_s"]
    assert late_s == pytest.approx(2.7e-3, abs=1e-4)  # the trigger's latencies; it came at once
    assert set(record["identities"]) == {"source", "source_2", "capture", "device"}
    assert record["output_off"] is True


def test_one_recording_has_all_channels(played: Path) -> None:
    """In the order of the file; the monitor of the second generator is missing nowhere."""
    for path in ("device", "loopback"):
        found, _ = read_npz(played / f"wave/{path}.npz")
        assert [channel.name for channel in found.channels] == ["e0", "e1", "e2"]
        assert np.isfinite(found.samples_uv).all()
    assert not list((played / "wave").glob("played_*.npz"))


@pytest.mark.slow
def test_one_channel_is_played_by_the_first_generator(tmp_path: Path) -> None:
    """The second one answers, and stays off."""
    write_npz(tmp_path / "one.npz", conducted(1, 0.2))
    _, record = play_back(excerpt_of(tmp_path / "one.npz"), load_rig(TWO), out=tmp_path / "runs")
    found = {m.id: m.value for m in record.measurements}
    assert found["align.clock_ppm.device"] == pytest.approx(-21.0, abs=0.3)
    assert record.output_off


@pytest.mark.slow
def test_a_second_output_that_sticks_is_in_the_record(tmp_path: Path) -> None:
    """What was caught is kept, and the record says which output was not confirmed."""
    write_npz(tmp_path / "two.npz", conducted(2, 0.2))
    rig = load_rig(TWO, overrides=["faults.others=[{source={stuck_output=true}}]"])
    with pytest.raises(InstrumentError, match="the output is not off"):
        play_back(excerpt_of(tmp_path / "two.npz"), rig, out=tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert (record["status"], record["exit_code"], record["output_off"]) == ("aborted", 4, False)
    (line,) = [line for line in read_journal(folder) if line["kind"] == "safe_state"]
    assert line["why"].startswith("source_2.off: the output is not off")
    assert "source.off" not in line["why"]


def test_the_memory_of_each_generator_is_looked_at_before_there_is_a_folder(tmp_path: Path) -> None:
    """What fits the first one may be too long for the second."""
    write_npz(tmp_path / "two.npz", conducted(2, 0.2))
    rig = load_rig(TWO, overrides=["others.0.max_points=2000"])
    with pytest.raises(UsageError, match="the generator's 2000 points"):
        play_back(excerpt_of(tmp_path / "two.npz"), rig, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_bench_tests_itself_with_each_generator(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its divider proved, and is as it should be."""
    assert main(["rig", "check", TWO]) == 0
    told = capsys.readouterr().out
    first, second = told.split("source 2 memory")
    assert "source_2 keysight.33500 at virtual:source_2: Agilent" in first
    for part in (first, second):
        assert "divider ratio 0.00" in part
        assert "amplitude.error_pct.device 0." in part
    assert "inconclusive" not in told
