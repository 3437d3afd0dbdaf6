"""A real recording through the wires: what is refused, and what the chain did to what is played."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emgsim.bench.rig import Rig, load_rig
from emgsim.cli import main
from emgsim.errors import InputError, UsageError
from emgsim.files.findings import write_findings
from emgsim.files.npz import read_npz, write_npz
from emgsim.recording import Channel, Findings, FoundUnit, Recording
from emgsim.records.journal import Journal
from emgsim.records.record import RunRecord
from emgsim.running.agreement import agreement
from emgsim.running.excerpt import Excerpt, excerpt_of
from emgsim.running.logbook import Logbook
from emgsim.running.playing_back import program_of
from emgsim.seeds import stream

RATE_HZ = 23_437.5


@pytest.fixture(scope="module")
def rig() -> Rig:
    return load_rig("virtual")


def needle(duration_s: float = 2.0, rate_hz: float = RATE_HZ, peak_uv: float = 2500.0) -> Recording:
    """Return smooth noise between 100 Hz and 2 kHz: a stand-in for EMG that costs nothing."""
    n = round(duration_s * rate_hz)
    spectrum = np.fft.rfft(stream(1, "stand-in", 0).standard_normal(n))
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    uv = np.fft.irfft(np.where((f > 100) & (f < 2000), spectrum, 0), n)
    uv *= peak_uv / np.max(np.abs(uv))
    return Recording(samples_uv=uv[:, None], rate_hz=rate_hz, channels=(Channel(name="tib ant"),))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Patient 7.npz"
    write_npz(path, needle())
    return path


# -- what is played ----------------------------------------------------------------------------


def test_an_excerpt_begins_at_zero_and_says_where_it_was(file: Path) -> None:
    """The clock of a playback is that of the excerpt; the record says where it stood."""
    excerpt = excerpt_of(file, start_s=0.5, duration_s=1.0)
    whole, _ = read_npz(file)
    assert excerpt.recording.start_s == 0
    assert excerpt.table()["start_s"] == 0.5
    first = int(np.ceil(0.5 * RATE_HZ))
    n = excerpt.recording.n_samples
    assert n == pytest.approx(RATE_HZ, abs=1)
    np.testing.assert_array_equal(excerpt.recording.samples_uv, whole.samples_uv[first:][:n])


def test_a_run_is_named_by_its_file(file: Path) -> None:
    """Whatever a file is called, its run's folder has a plain name."""
    assert excerpt_of(file).id == "patient_7"


def test_channels_are_chosen_by_name_or_by_number(tmp_path: Path) -> None:
    """All of them by default; numbers count those that were read, and the record has both."""
    one, path = needle(0.1), tmp_path / "three.npz"
    three = replace(
        one,
        samples_uv=np.hstack([one.samples_uv, -one.samples_uv, 2 * one.samples_uv]),
        channels=tuple(Channel(name=name) for name in ("left", "right", "both")),
    )
    write_npz(path, three)
    assert excerpt_of(path).names == ("left", "right", "both")
    assert excerpt_of(path, channels=("right",)).names == ("right",)
    chosen = excerpt_of(path, numbers=(2, 0))
    whole, _ = read_npz(path)
    np.testing.assert_array_equal(chosen.recording.samples_uv, whole.samples_uv[:, [2, 0]])
    assert (chosen.table()["channels"], chosen.table()["numbers"]) == (["both", "left"], [2, 0])
    assert excerpt_of(path, numbers=(1,)).table()["channel"] == "right"
    with pytest.raises(UsageError, match=r"numbers from 0 to 2, got 0, 3"):
        excerpt_of(path, numbers=(0, 3))


def test_a_gap_is_refused_and_the_longest_stretch_without_one_offered(tmp_path: Path) -> None:
    """A generator plays no holes; what is offered can be played."""
    whole, path = needle(1.0), tmp_path / "gap.npz"
    uv = whole.samples_uv.copy()
    uv[5000:5100] = np.nan
    write_npz(path, replace(whole, samples_uv=uv))
    with pytest.raises(InputError, match=r"100 samples .* missing, the first at 0\.2133") as caught:
        excerpt_of(path)
    words = caught.value.todo.split()
    start_s, duration_s = (float(words[words.index(k) + 1]) for k in ("--start-s", "--duration-s"))
    assert (start_s, duration_s) == pytest.approx((5100 / RATE_HZ, 1 - 5100 / RATE_HZ), abs=1e-4)
    assert excerpt_of(path, start_s=start_s, duration_s=duration_s).recording.n_samples > 18_000


def test_silence_and_what_lies_outside_are_refused(tmp_path: Path, file: Path) -> None:
    """Nothing can be compared with zeros, nor with what is not there."""
    path, one = tmp_path / "zero.npz", needle(0.1)
    write_npz(path, replace(one, samples_uv=np.zeros_like(one.samples_uv)))
    with pytest.raises(InputError, match="zero throughout"):
        excerpt_of(path)
    with pytest.raises(UsageError, match=r"within the 2 s of the recording, got 1\.5 \.\. 2\.5 s"):
        excerpt_of(file, start_s=1.5, duration_s=1.0)


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 24_000.0, 22_050.0, 4096.0, 1e6 / 48])
def test_a_playback_ends_on_a_whole_millisecond(file: Path, rig: Rig, rate_hz: float) -> None:
    """Else the generator, which has whole points only, would play a little faster or slower."""
    excerpt = Excerpt(file=file, recording=needle(0.3, rate_hz))
    milliseconds = 1000 * program_of(excerpt, rig).duration_s
    assert milliseconds == pytest.approx(round(milliseconds), abs=1e-6)


def test_what_does_not_fit_the_memory_is_refused_with_what_does(file: Path, rig: Rig) -> None:
    """A recording as long as the message says fits."""
    small = rig.model_copy(update={"source": rig.source.model_copy(update={"max_points": 50_000})})
    excerpt = excerpt_of(file)
    with pytest.raises(UsageError, match=r"2 s do not fit .* 50000 points.* possible is") as caught:
        program_of(excerpt, small)
    longest_s = float(str(caught.value.what).split()[-2])
    assert longest_s < 50_000 / (2 * small.profile.band_hz[1])
    assert "--duration-s" in caught.value.todo
    assert program_of(excerpt_of(file, duration_s=longest_s - 0.03), small).duration_s > longest_s


# -- what became of it -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one playback, as the command makes it."""
    out = tmp_path_factory.mktemp("play")
    write_npz(out / "record.npz", needle(1.5))
    assert main(["play", str(out / "record.npz"), "--out", str(out / "runs")]) == 0
    (folder,) = (out / "runs").iterdir()
    return folder


@pytest.fixture(scope="module")
def found(played: Path) -> dict[str, float]:
    record = json.loads((played / "record.json").read_text())
    return {m["id"]: m["value"] for m in record["measurements"]}


def test_rms_amplitudes_and_noise_are_those_that_are_declared(found: dict[str, float]) -> None:
    """Rms within 1 %, amplitudes within 2 % of the declared response, noise 20 % of the budget."""
    assert abs(found["amplitude.rms_error_pct.device"]) <= 1
    for measure in ("error_pct", "peaks_error_pct", "worst_peak_error_pct"):
        assert abs(found[f"amplitude.{measure}.device"]) <= 2
    assert abs(found["noise.over_budget_pct.device"]) <= 20


def test_the_gain_and_the_clocks_of_the_rig_are_found(found: dict[str, float]) -> None:
    """0.2 % more than declared; 7 - 3 and -18 - 3 ppm, whatever the recording's rate."""
    assert found["amplitude.error_pct.device"] == pytest.approx(0.2, abs=0.02)
    assert found["align.clock_ppm.loopback"] == pytest.approx(4.0, abs=0.01)
    assert found["align.clock_ppm.device"] == pytest.approx(-21.0, abs=0.01)


def test_the_folder_holds_what_was_played_beside_what_came_back(
    played: Path, form_mistakes
) -> None:
    """One clock for all paths, a record without truth, the output off, a page."""
    original, _ = read_npz(played / "wave/recording.npz")
    device, _ = read_npz(played / "wave/device.npz")
    assert abs(device.start_s) < 1e-3
    assert device.duration_s == pytest.approx(original.duration_s, abs=1e-3)
    record = json.loads((played / "record.json").read_text())
    assert form_mistakes(record) == []
    assert record["scenario"]["rate_hz"] == RATE_HZ
    assert {"recording", "loopback", "device", "monitor"} == set(record["captures"])
    assert record["output_off"] is True
    page = (played / "report.html").read_text()
    assert "Noise budget of device" in page
    assert "wave/truth.npz" not in page


def test_a_playback_is_not_gone_on_with(played: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It costs less to play it anew than to tell which part of it stands."""
    assert main(["run", "--resume", str(played)]) == 3
    assert "only a run of a scenario" in capsys.readouterr().err


def test_agreement_is_with_what_is_found_in_the_recording_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten discharges nine are found behind the device: F1 is 18/19, with no truth anywhere."""
    times_s = 0.1 * np.arange(1.0, 11.0)
    trains_s = {"recording": times_s, "loopback": times_s, "device": times_s[1:] + 2e-5}

    def found_by(
        _: object, recordings: Mapping[str, Recording], folder: Path
    ) -> dict[str, Findings]:
        assert {r.channels[0].kind for r in recordings.values()} == {"concentric_needle"}
        every = {}
        for path in recordings:
            unit = FoundUnit(
                id=1, discharge_times_s=trains_s[path], muap_uv=np.zeros((4, 1)), muap_start_s=0.0
            )
            every[path] = Findings(units=(unit,), muap_rate_hz=RATE_HZ)
            write_findings(folder / f"findings-{path}.json", every[path])
        return every

    monkeypatch.setattr("emgsim.running.agreement.detect", found_by)
    one = needle(1.2)
    with Journal(tmp_path) as journal:
        logbook = Logbook(journal, lambda _: None)
        others = {"loopback": one, "device": one}
        found = {m.id: m.value for m in agreement(one, others, logbook, name="recording")}
    assert found["units.found.recording"] == found["agreement.f1.loopback"] == 1
    assert found["agreement.f1.device"] == pytest.approx(18 / 19)


def test_a_record_of_a_scenario_is_no_playback() -> None:
    """The two are told apart by what was played."""
    assert RunRecord(scenario={"schema": "emgsim.playback/1"}).is_playback
    assert not RunRecord(scenario={"schema": "emgsim.scenario/1"}).is_playback
