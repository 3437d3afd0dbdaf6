"""A recording of several channels on a generator of one output: each comes back, in its place."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim import chain
from emgsim.align import Waveform
from emgsim.bench.rig import load_rig
from emgsim.cli import main
from emgsim.cli.playing import _numbers
from emgsim.errors import NotAnalysableError, UsageError
from emgsim.files.npz import read_npz, write_npz
from emgsim.recording import Channel, Recording
from emgsim.running.assembling import HALF_TAPS, interpolated
from emgsim.running.excerpt import excerpt_of
from emgsim.running.passes import Came, pooled
from emgsim.running.playing_back import play_back, program_of
from emgsim.seeds import stream
from emgsim.verdict import Measurement

RATE_HZ = 24_000.0
DELAY_S = 37e-6  # from one channel to the next
PEAKS_UV = (2500.0, 1800.0, 1200.0, 800.0)


def conducted(n_channels: int, duration_s: float = 0.5) -> Recording:
    """Return smooth noise that travels along the channels, and becomes less on its way."""
    n = round(duration_s * RATE_HZ)
    f = np.fft.rfftfreq(n, 1 / RATE_HZ)
    spectrum = np.fft.rfft(stream(1, "stand-in", 0).standard_normal(n))
    spectrum = np.where((f > 100) & (f < 2000), spectrum, 0)
    uv = np.stack(
        [
            np.fft.irfft(spectrum * np.exp(-2j * np.pi * f * k * DELAY_S), n)
            for k in range(n_channels)
        ],
        axis=1,
    )
    uv *= np.array(PEAKS_UV[:n_channels]) / np.max(np.abs(uv), axis=0)
    names = tuple(Channel(name=f"e{k}") for k in range(n_channels))
    return Recording(samples_uv=uv, rate_hz=RATE_HZ, channels=names)


# -- all that comes of it ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one playback of four channels, as the command makes it."""
    out = tmp_path_factory.mktemp("passes")
    write_npz(out / "grid.npz", conducted(4))
    assert main(["play", str(out / "grid.npz"), "--out", str(out / "runs")]) == 0
    (folder,) = (out / "runs").iterdir()
    return folder


@pytest.fixture(scope="module")
def record(played: Path) -> dict[str, object]:
    return json.loads((played / "record.json").read_text())


def lags_us(path: str, folder: Path) -> tuple[list[float], list[float]]:
    """Return lag and gain of each assembled channel against what was played in that channel."""
    rig = load_rig("virtual")
    original, _ = read_npz(folder / "wave/recording.npz")
    found, _ = read_npz(folder / f"wave/{path}.npz")
    response = chain.declared_response(rig.profile) if path == "device" else None
    inner = slice(1000, -1000)  # what the device's filter remembers of the markers is not in it
    lags, gains = [], []
    for k in range(len(original.channels)):
        waveform = Waveform(original.samples_uv[:, k], original.rate_hz, response)
        value, slope = waveform.at(found.times_s[inner])
        fit, *_ = np.linalg.lstsq(
            np.stack([value, -slope], axis=1), found.samples_uv[inner, k], rcond=None
        )
        lags.append(float(1e6 * fit[1] / fit[0]))
        gains.append(float(fit[0]))
    return lags, gains


@pytest.mark.parametrize("path", ["device", "loopback"])
def test_delays_between_channels_are_those_that_were_played(played: Path, path: str) -> None:
    """Each pass was aligned on its own, and begins at another fraction of a sample."""
    lags, _ = lags_us(path, played)
    assert np.ptp(lags) < 0.1  # microseconds; a sample has 21


def test_each_channel_comes_back_within_the_noise_budget(record: dict, played: Path) -> None:
    """With the 0.2 % that the amplifier has more than declared, however loud it is."""
    found = {m["id"]: m["value"] for m in record["measurements"]}
    for k in range(4):
        assert abs(found[f"noise.over_budget_pct.device_{k}"]) <= 20
        assert found[f"amplitude.error_pct.device_{k}"] == pytest.approx(0.2, abs=0.03)
    _, gains = lags_us("device", played)
    np.testing.assert_allclose(gains, 1.002, atol=5e-4)


def test_the_alignment_of_each_pass_is_in_the_record(record: dict) -> None:
    """When the recorder began, its clock, how sure both are, and which input was read."""
    for k in range(4):
        values = record["alignments"][f"device_{k}"]
        assert (values["channel"], values["input"]) == (f"e{k}", 0)  # the amplifier has one
        assert values["drift_ppm"] == pytest.approx(21.0, abs=0.1)
        assert 0 < values["offset_sd_us"] < 0.1
        assert 0 < values["drift_sd_ppm"] < 0.1
        assert -1.0 < values["offset_s"] < -0.5  # lead, marker and silence come before
    assert len({record["alignments"][f"device_{k}"]["offset_s"] for k in range(4)}) == 4


def test_one_recording_has_all_channels_on_the_recordings_clock(
    record: dict, played: Path, form_mistakes
) -> None:
    """It begins at 0, with the names of the file; what single passes left is gone."""
    assert form_mistakes(record) == []
    for path, rate_hz in (("device", 48_000.0), ("loopback", 100_000.0)):
        found, _ = read_npz(played / f"wave/{path}.npz")
        assert (found.start_s, found.rate_hz, found.gaps) == (0.0, rate_hz, ())
        assert found.samples_uv.shape == (round(0.5 * rate_hz), 4)
        assert np.isfinite(found.samples_uv).all()
        assert [channel.name for channel in found.channels] == ["e0", "e1", "e2", "e3"]
    assert sorted(p.name for p in (played / "wave").iterdir()) == [
        "device.npz", "loopback.npz", "recording.npz",
    ]  # fmt: skip
    assert record["scenario"]["numbers"] == [0, 1, 2, 3]
    assert record["output_off"] is True


def test_all_channels_together_have_the_ids_of_a_single_one(record: dict) -> None:
    """The worst of each, and who it was."""
    found = {m["id"]: m for m in record["measurements"]}
    ids = [id.removesuffix("_0") for id in found if id.endswith(".device_0")]
    assert len(ids) > 10
    assert set(ids) <= set(found)
    assert found["signal.over_budget.device"]["note"].endswith("smallest of 4 channels: e3")
    assert found["amplitude.polarity.device"]["value"] == 1


# -- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.slow
def test_lost_samples_stay_lost_in_their_channel(tmp_path: Path) -> None:
    """Eighty in each pass, and the 24 on either side whose values would rest on them."""
    write_npz(tmp_path / "two.npz", conducted(2, 0.3))
    rig = load_rig("virtual", overrides=["faults.drop_frames=[2200, 5]"])
    folder, record = play_back(excerpt_of(tmp_path / "two.npz"), rig, out=tmp_path / "runs")
    device, _ = read_npz(folder / "wave/device.npz")
    lost = np.isnan(device.samples_uv)
    assert (np.abs(lost.sum(axis=0) - 80 - 2 * HALF_TAPS) <= 1).all()
    assert np.count_nonzero(np.diff(lost, axis=0), axis=0).tolist() == [2, 2]  # in one piece
    assert {m.id: m.value for m in record.measurements}["link.lost_samples.device"] == 160


@pytest.mark.slow
def test_what_was_played_before_a_failure_is_kept(tmp_path: Path) -> None:
    """The lead breaks before the second pass: the first channel is there, and the output off."""
    write_npz(tmp_path / "three.npz", conducted(3, 0.3))
    rig = load_rig("virtual", overrides=["faults.signal.broken_lead={playback=2, at_s=0.0}"])
    with pytest.raises(NotAnalysableError, match="broken lead"):
        play_back(excerpt_of(tmp_path / "three.npz"), rig, out=tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    device, _ = read_npz(folder / "wave/device.npz")
    assert [channel.name for channel in device.channels] == ["e0"]
    record = json.loads((folder / "record.json").read_text())
    assert (record["status"], record["output_off"]) == ("aborted", True)
    assert "amplitude.error_pct.device_0" in {m["id"] for m in record["measurements"]}
    assert (folder / "wave/played_1.npz").exists()  # what the second pass caught


def test_several_channels_are_not_analysed(tmp_path: Path) -> None:
    """A plan is of one channel; nothing is played."""
    write_npz(tmp_path / "two.npz", conducted(2, 0.1))
    with pytest.raises(UsageError, match="--analyse is of one channel, got 2"):
        play_back(excerpt_of(tmp_path / "two.npz"), load_rig("virtual"), out=tmp_path, analyse=True)
    assert [p.name for p in tmp_path.iterdir()] == ["two.npz"]


# -- parts -------------------------------------------------------------------------------------


def test_the_markers_are_the_same_in_every_pass(tmp_path: Path) -> None:
    """As loud as the loudest channel, and at the same time."""
    write_npz(tmp_path / "grid.npz", conducted(4))
    excerpt, rig = excerpt_of(tmp_path / "grid.npz"), load_rig("virtual")
    programs = [program_of(excerpt, rig, k) for k in range(4)]
    for program in programs:
        for (at_s, shape), (wanted_s, wanted) in zip(
            program.markers, programs[0].markers, strict=True
        ):
            assert at_s == wanted_s
            np.testing.assert_array_equal(shape, wanted)
    assert np.abs(programs[3].markers[0][1]).max() == pytest.approx(PEAKS_UV[0], rel=0.01)


@given(st.floats(0.0, 0.43), st.floats(0, 2 * math.pi), st.floats(100, 150))
def test_a_sine_is_read_between_its_samples(frequency: float, phase: float, place: float) -> None:
    """To 2e-4 of its size, up to 0.43 of the rate; at a sample it is the sample."""
    samples = np.sin(2 * np.pi * frequency * np.arange(300) + phase)
    (value, exact) = interpolated(samples, np.array([place, 120.0]))
    assert value == pytest.approx(np.sin(2 * np.pi * frequency * place + phase), abs=2e-4)
    assert exact == pytest.approx(samples[120], abs=1e-12)


def test_what_rests_on_a_lost_sample_is_lost() -> None:
    """So is what lies near an end; all else is there."""
    samples = np.ones(200)
    samples[100] = np.nan
    values = interpolated(samples, np.arange(-1.0, 201.0) + 0.5)
    known = np.flatnonzero(np.isfinite(values)) - 1  # sample before the place
    expected = [k for k in range(-1, 201) if k >= HALF_TAPS - 1 and k + HALF_TAPS < 200]
    expected = [k for k in expected if not k + 1 - HALF_TAPS <= 100 <= k + HALF_TAPS]
    assert known.tolist() == expected
    np.testing.assert_allclose(values[known + 1], 1.0, atol=1e-12)


def came(number: int, **values: float) -> Came:
    """Return what came of a pass, with these measurements of the device."""
    measured = {
        f"{id}.device": Measurement(
            id=f"{id}.device",
            value=value,
            unit="1",
            verdict="inconclusive" if math.isnan(value) else "not_judged",
            note="too small" if math.isnan(value) else "",
        )
        for id, value in ((id.replace("__", "."), value) for id, value in values.items())
    }
    return Came(number=number, name=f"e{number}", columns={}, rates_hz={}, measured=measured)


def test_channels_are_pooled_as_the_quantity_asks() -> None:
    """Losses add up, noise is an rms, the smallest signal and polarity count, else the largest."""
    two = (
        came(0, link__lost_samples=3, noise__added_uv=3, signal__over_budget=9,
             amplitude__polarity=1, amplitude__error_pct=0.5),
        came(1, link__lost_samples=4, noise__added_uv=4, signal__over_budget=7,
             amplitude__polarity=-1, amplitude__error_pct=-0.7),
    )  # fmt: skip
    found = {m.id.removesuffix(".device"): m for m in pooled(two)}
    assert found["link.lost_samples"].value == 7
    assert found["noise.added_uv"].value == pytest.approx(math.sqrt(12.5))
    assert found["signal.over_budget"].value == 7
    assert found["amplitude.polarity"].value == -1
    assert found["amplitude.error_pct"].value == -0.7
    assert found["amplitude.error_pct"].note == "largest of 2 channels: e1"


def test_one_channel_that_is_inconclusive_makes_all_so() -> None:
    """And it is named, with its reason."""
    (found,) = pooled((came(0, amplitude__error_pct=0.5), came(1, amplitude__error_pct=math.nan)))
    assert found.verdict == "inconclusive"
    assert found.note == "1 of 2 channels inconclusive, e.g. e1: too small"


def test_numbers_are_listed_as_ranges() -> None:
    """Each once, in the order in which they are named."""
    assert _numbers("") == ()
    assert _numbers("0-3,8, 2") == (0, 1, 2, 3, 8)
    for wrong in ("a", "1-", "-1", "1,,2"):
        with pytest.raises(UsageError, match="numbers from 0"):
            _numbers(wrong)
