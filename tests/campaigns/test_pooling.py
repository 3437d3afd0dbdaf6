"""What many runs say together, on scores made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emgsim.campaigns.campaign import Sweep
from emgsim.campaigns.pooling import MEASURES, Played, agreement, detection
from emgsim.files.findings import write_findings
from emgsim.files.npz import write_npz
from emgsim.measures import muap_measures
from emgsim.recording import Channel, Findings, FoundUnit, MotorUnit, Recording, Truth
from emgsim.records.record import RunRecord
from emgsim.scoring.intervals import pooled_interval
from tests.campaigns.conftest import row

NOISE = Sweep(name="noise", key="rig.virtual.amplifier.noise_uv_rms", values=(1.0, 2.0, 3.0))
RATE_HZ = 24_000.0


def played(seed: int, noise: float = 1.0, folder: Path = Path(), **scores) -> Played:
    """Return the run of a patient at a value of the sweep."""
    cell = {"scenario": "biceps", "rig": "virtual", "values": {"noise": noise}}
    record = RunRecord(digests={"scenario": f"patient {seed}"}, scores=scores)
    return Played(cell=cell, folder=folder, record=record)


def series(found, axis: str, path: str):
    """Return the one series of an axis and a path."""
    [one] = [line for line in found if (line["axis"], line["path"]) == (axis, path)]
    return one


def test_discharges_are_pooled_over_the_seeds_at_each_value() -> None:
    """Counts add up, and the interval is that of patients as a whole."""
    clean = [row(1, 10, 0)]
    runs = [
        played(1, 1.0, truth=clean, device=[row(1, 8, 2)]),
        played(2, 1.0, truth=clean, device=[row(1, 19, 1)]),
        played(1, 2.0, truth=clean, device=[row(1, 5, 5)]),
    ]
    one = series(detection(runs, [NOISE]), "noise", "device")
    assert one["of"] == {"scenario": "biceps", "rig": "virtual"}
    first, second = one["points"]
    assert (first["x"], first["found"], first["of"], first["patients"]) == (1.0, 27, 30, 2)
    assert first["share"] == pytest.approx(0.9)
    assert (first["low"], first["high"]) == pytest.approx(tuple(pooled_interval([8, 19], [10, 20])))
    assert (second["found"], second["of"]) == (5, 10)


def test_units_count_that_are_detectable_in_the_clean_signal_on_whatever_path() -> None:
    """A unit that noise makes undetectable is still wanted; a small one never is."""
    clean = [row(1, 10, 0), row(2, 0, 10, ratio=2.0)]
    heard = [row(1, 1, 9, ratio=3.0), row(2, 7, 3, ratio=8.0)]
    one = series(detection([played(1, truth=clean, device=heard)], [NOISE]), "noise", "device")
    assert (one["points"][0]["found"], one["points"][0]["of"]) == (1, 10)


def test_a_path_whose_units_are_not_those_of_the_truth_is_left_out() -> None:
    """Without the same rows nothing says which unit is which."""
    run = played(1, truth=[row(1, 5, 5)], device=[row(2, 5, 5)])
    assert {line["path"] for line in detection([run], [NOISE]) if line["axis"] == "noise"} == {
        "truth"
    }


def test_detection_that_falls_with_the_axis_has_its_50_percent_point() -> None:
    """Logistic shares about 2.2, drawn on ten patients, are found again within the interval."""
    rng = np.random.default_rng(1)
    runs = []
    for seed in range(10):
        for noise in (1.0, 2.0, 3.0):
            tp = int(rng.binomial(40, 1 / (1 + np.exp((noise - 2.2) / 0.4))))
            runs.append(played(seed, noise, truth=[row(1, 40, 0)], device=[row(1, tp, 40 - tp)]))
    fit = series(detection(runs, [NOISE]), "noise", "device")["fit"]
    assert fit["low"] < 2.2 < fit["high"]
    assert fit["x_50"] == pytest.approx(2.2, abs=0.1)
    shares = [p for _, p in fit["curve"]]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([(10, 0), (10, 0)], "all were found"),
        ([(0, 10), (0, 10)], "none were found"),
        ([(9, 1), (8, 2)], "beyond the values"),
    ],
)
def test_where_there_is_no_50_percent_point_it_is_said_why(counts, why) -> None:
    """Nothing is told beyond what was swept."""
    runs = [
        played(1, noise, truth=[row(1, 10, 0)], device=[row(1, tp, fn)])
        for noise, (tp, fn) in zip((1.0, 2.0), counts, strict=True)
    ]
    one = series(detection(runs, [NOISE]), "noise", "device")
    assert one["fit"] is None
    assert why in one["why"]


def test_against_the_snr_a_patients_clean_signal_counts_once() -> None:
    """The rig changes nothing of it, however often it was analysed; the device's counts anew."""
    clean, heard = [row(1, 5, 5), row(2, 0, 9, ratio=1.0)], [row(1, 5, 5), row(2, 0, 9, ratio=1.0)]
    runs = [played(1, noise, truth=clean, device=heard) for noise in (1.0, 2.0)]
    found = detection(runs, [])
    assert [p["of"] for p in series(found, "snr_db", "truth")["points"]] == [1, 1]
    device = series(found, "snr_db", "device")
    small, large = device["points"]
    assert (small["found"], small["of"], small["patients"]) == (0, 2, 1)
    assert (large["found"], large["of"], large["patients"]) == (2, 2, 1)
    assert large["x"] == 21.0  # 20 log10(10) = 20 dB lies in 18..24


def potential() -> np.ndarray:
    """Return a MUAP of 600 uV peak to peak or so."""
    t = np.arange(-200, 200) / RATE_HZ
    return (-400 * np.exp(-0.5 * (t / 3e-4) ** 2) + 150 * np.exp(-0.5 * ((t - 1e-3) / 4e-4) ** 2))[
        :, None
    ]


def test_measures_agree_with_the_true_ones_but_for_the_bias_that_was_put_in(tmp_path: Path) -> None:
    """Ten percent more amplitude and half a millisecond more duration, with a known spread."""
    true = muap_measures(potential()[:, 0], RATE_HZ)
    unit = MotorUnit(id=1, muscle="", threshold=0.1, n_fibres=9, discharge_times_s=np.array([0.5]),
                     muap_uv=potential(), muap_start_s=0.0, arrival_s=0.0)  # fmt: skip
    recording = Recording(samples_uv=np.zeros((2400, 1)), rate_hz=RATE_HZ,
                          channels=(Channel(name="needle"),))  # fmt: skip
    runs = []
    for seed, extra in enumerate((-0.02, 0.0, 0.02)):
        folder = tmp_path / str(seed)
        (folder / "wave").mkdir(parents=True)
        write_npz(folder / "wave" / "truth.npz", recording,
                  Truth(units=(unit,), muap_rate_hz=RATE_HZ))  # fmt: skip
        measures = {
            "amplitude_uv": (1.1 + extra) * true.amplitude_uv,
            "duration_ms": true.duration_ms + 0.5,
        }
        heard = FoundUnit(id=101, discharge_times_s=np.array([0.5]), muap_uv=np.zeros((0, 1)),
                          muap_start_s=0.0, measures=measures)  # fmt: skip
        write_findings(folder / "findings-device.json", Findings(units=(heard,)))
        runs.append(played(seed, folder=folder, truth=[row(1, 1, 0)], device=[row(1, 1, 0)]))
    found = {line["measure"]: line for line in agreement(runs)}
    assert set(found) == {"amplitude_uv", "duration_ms"} < set(MEASURES)
    amplitude, duration = found["amplitude_uv"], found["duration_ms"]
    assert (amplitude["path"], amplitude["n"], amplitude["patients"]) == ("device", 3, 3)
    assert (amplitude["bias"], amplitude["unit"]) == (pytest.approx(10.0), "%")
    assert amplitude["upper"] - amplitude["lower"] == pytest.approx(2 * 1.96 * 2.0, rel=1e-3)
    assert (duration["bias"], duration["unit"]) == (pytest.approx(0.5), "ms")
    assert [x for x, _ in amplitude["points"]] == 3 * [pytest.approx(true.amplitude_uv)]
    assert [y for _, y in amplitude["points"]] == pytest.approx([8.0, 10.0, 12.0])


def test_runs_without_files_or_measures_agree_with_nothing(tmp_path: Path) -> None:
    """A detector that lists times alone is scored, and measures nothing."""
    run = played(1, folder=tmp_path, truth=[row(1, 1, 0)], device=[row(1, 1, 0)])
    assert agreement([run]) == ()
