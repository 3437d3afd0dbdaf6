"""One item: what is in it, what it is the sum of, and that it follows from the plan alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from emgsim.dataset.digests import events_sha256, ticks_ns
from emgsim.dataset.folder import begin, items_in
from emgsim.dataset.items import Items
from emgsim.dataset.loading import load_made
from emgsim.dataset.making import make, patient_of_subject, scenario_of
from emgsim.dataset.plan import load_plan
from emgsim.dataset.played import play_in_process
from emgsim.dataset.realism import descriptors
from emgsim.dataset.writing import make_item
from emgsim.errors import EmgsimError, InputError
from emgsim.recording import Recording, Truth
from emgsim.simulation import simulate

from .conftest import PAIRS, SIX, TIP

Floats = NDArray[np.float64]
Make = Callable[[str], Items]
STEMS = ("stem-near", "stem-background", "stem-noise", "stem-artefacts")
ILL = "conditions=[{kind='lems'}]"  # end plates jitter, block, and depend on what they did
RUINED = "artefacts=[{kind='mains'}, {kind='amplifier'}, {kind='saturation', limit_uv=60.0}]"
AT_REST = [
    "protocol.quadrants=1", "protocol.depths=[0.6]", "protocol.slight_sites=0",
    "protocol.strong_sites=0", "protocol.rest_s=0.5", "acquisition.rate_hz=8000.0",
]  # fmt: skip


def test_the_stems_sum_to_the_recording(items: Make) -> None:
    """Near units, background, noise, artefacts: also where jitter, block and a limiter act."""
    ill = items(f'subjects = 1\nstems = true\nset = ["{ILL}", "{RUINED}"]\n')
    made = make(ill, ill[0])
    clean = made.recordings["clean"].samples_uv
    np.testing.assert_allclose(sum(made.recordings[s].samples_uv for s in STEMS), clean, atol=1e-9)
    rms = {s: float(np.std(made.recordings[s].samples_uv)) for s in STEMS}
    assert min(rms.values()) > 0.3
    assert np.abs(clean).max() <= 60.0


def test_the_background_is_what_far_units_discharge(items: Make, monkeypatch: pytest.MonkeyPatch):
    """With every unit called far nothing is left near: each rings again with the same jitter."""
    monkeypatch.setattr("emgsim.dataset.stems.NEAR_UV", 1e9)
    ill = items(f'subjects = 1\nstems = true\nset = ["{ILL}"]\n')
    made = make(ill, ill[0])
    assert np.abs(made.recordings["stem-near"].samples_uv).max() < 1e-9
    assert np.std(made.recordings["stem-background"].samples_uv) > 5.0


def test_a_subject_is_one_person_in_all_his_recordings(items: Make) -> None:
    """His fibres lie where they lay, and discharge at other times."""
    two = items("subjects = 2\nrecordings = 2\n")
    found = []
    for index in (0, 1, 2):
        item = two[index]
        scenario, _ = scenario_of(two.source_of(item), item)
        patient = patient_of_subject(scenario, two.person_seed(item), item.seed)
        found.append((patient.fibres(5).x_mm, make(two, item).truth.units[5].discharge_times_s))
    assert np.array_equal(found[0][0], found[1][0])
    assert not np.array_equal(found[0][1][:3], found[1][1][:3])
    assert found[2][0].size == found[0][0].size
    assert not np.array_equal(found[0][0], found[2][0])


def test_a_pair_is_one_person_with_and_without(items: Make) -> None:
    """The same seed: only what the variant changes differs, and the labels say which is which."""
    both = items("subjects = 1\nset = ['acquisition.rate_hz=8000.0']\n" + PAIRS)
    ill, well = make(both, both[0]), make(both, both[1])
    assert ill.labels["conditions"][0]["kind"] == "myopathy"
    assert (ill.labels["is_healthy"], well.labels["is_healthy"]) == (False, True)
    assert ill.truth.conditions == ("myopathy",)
    assert well.truth.conditions == ()
    assert ill.labels["pair"] == well.labels["pair"] == "p000000"


def test_the_digest_is_of_whole_nanoseconds(items: Make) -> None:
    """A last bit changes nothing, and a nanosecond does; so does whose discharge it is."""
    one = items("subjects = 1\n")
    truth = make(one, one[0]).truth

    def moved(by_s: float) -> Truth:
        first, *others = truth.units
        return replace(truth, units=(
            replace(first, discharge_times_s=first.discharge_times_s + by_s), *others,
        ))  # fmt: skip

    assert np.abs(truth.units[0].discharge_times_s).size
    assert events_sha256(moved(0.0)) == events_sha256(truth)
    assert events_sha256(moved(1e-9)) != events_sha256(truth)
    assert events_sha256(replace(truth, units=truth.units[::-1])) != events_sha256(truth)
    assert ticks_ns(np.array([1.0, 1e-9])).tolist() == [10**9, 1]


def test_an_item_comes_back_from_its_files(items: Make, tmp_path: Path) -> None:
    """Recordings to float32, truth, labels and scenario: what was made is what is read."""
    six = items(SIX + "[splits]\ntrain=1.0\nvalidation=0.0\ntest=0.0\n")
    done = make_item(six, tmp_path / "set", 3)
    made, read = make(six, six[3]), load_made(tmp_path / "set", six, six[3])
    assert done["events_sha256"] == events_sha256(made.truth)
    np.testing.assert_allclose(
        read.recordings["clean"].samples_uv, made.recordings["clean"].samples_uv, rtol=1e-6
    )
    assert read.labels == json.loads(json.dumps(made.labels))
    assert read.scenario == made.scenario
    assert [u.n_discharges for u in read.truth.units] == [u.n_discharges for u in made.truth.units]


def test_an_examination_gives_an_item_for_each_of_its_muscles(write: Callable[[str], Path]) -> None:
    """Muscles of one patient: one subject, the muscle in the labels, what is expected beside it."""
    path = write(f"subjects = 2\nset = {AT_REST}\n")
    path.write_text(path.read_text().replace("small_muscle.toml", "healthy_fdi"))
    exam = Items(load_plan(path))
    assert len(exam) == 2
    assert exam[0].parameters["muscle"] == "first_dorsal_interosseous"
    made = make(exam, exam[1])
    assert made.labels["muscle"] == "first_dorsal_interosseous"
    assert made.labels["age_years"] == 29
    assert made.labels["expected"]["muap_type"] == "normal"
    assert made.labels["sites"]
    assert made.labels["needle_path"]


def test_values_that_do_not_fit_name_the_item(items: Make) -> None:
    """A needle outside the muscle: which item, which value."""
    far = items("subjects = 1\n" + TIP.replace("low = -1.0", "low = 4.5").replace("1.0", "5.0"))
    with pytest.raises(EmgsimError, match=r"outside the muscle(.|\n)*item 000000 \(electrode"):
        make(far, far[0])


def test_the_device_hears_the_recording_on_its_own_clock(items: Make) -> None:
    """Loopback and device are the recording, but for delays and noise that the chain has."""
    played = items("subjects = 1\nrig = 'virtual'\nset = ['acquisition.rate_hz=48000.0']\n")
    made = make(played, played[0])
    clean, device, loop = (made.recordings[p] for p in ("clean", "device", "loopback"))
    assert device.rate_hz == pytest.approx(48_000 * (1 - 18e-6) / (1 + 3e-6), rel=1e-9)
    assert 0 <= device.start_s - clean.start_s < 1 / device.rate_hz
    assert abs(device.n_samples - clean.n_samples) <= 1
    for path, gain, least, latest_s in ((loop, 1.0, 0.999, 40e-6), (device, 1.002, 0.997, 90e-6)):
        shapes = {
            late: heard_late(clean, path.times_s, late) for late in np.arange(-50, 151, 5) * 1e-6
        }
        likeness = {
            late: np.corrcoef(uv, path.samples_uv[:, 0])[0, 1] for late, uv in shapes.items()
        }
        late_s = max(likeness, key=likeness.__getitem__)
        wanted, heard = shapes[late_s], path.samples_uv[:, 0]
        assert likeness[late_s] > least
        assert 0 < late_s < latest_s
        assert heard @ wanted / (wanted @ wanted) == pytest.approx(gain, abs=0.01)
    two = replace(clean, samples_uv=np.tile(clean.samples_uv, 2), channels=clean.channels * 2)
    with pytest.raises(InputError, match="one channel"):
        play_in_process(two, played.plan.rig_table, 1)


def heard_late(clean: Recording, times_s: Floats, late_s: float) -> Floats:
    """Return the first channel at times, shape ``(n,)``, by a delay: between samples by sinc."""
    n = clean.n_samples * 8
    fine = signal.resample(clean.samples_uv[:, 0], n)
    return np.interp(times_s - late_s, clean.start_s + np.arange(n) / (8 * clean.rate_hz), fine)


def test_descriptors_are_those_of_a_signal_that_is_known(items: Make) -> None:
    """A saw tooth of 50 Hz turns a hundred times a second; silence has no frequency."""
    one = items("subjects = 1\n")
    made = make(one, one[0])
    clean = made.recordings["clean"]
    phase = np.arange(clean.n_samples) * 50 / clean.rate_hz
    saw = 400 * np.abs(2 * (phase % 1) - 1) - 200
    told = descriptors(replace(made, recordings={"clean": replace(clean, samples_uv=saw[:, None])}))
    assert told["turns_per_s"] == pytest.approx(100, abs=4)
    assert told["peak_to_peak_uv"] == pytest.approx(400, rel=0.02)
    assert told["rms_uv"] == pytest.approx(200 / np.sqrt(3), rel=0.02)
    assert told["median_frequency_hz"] == pytest.approx(50, abs=2)
    assert told["power_20_100_hz"] > 0.95
    silent = replace(clean, samples_uv=np.zeros((clean.n_samples, 1)))
    assert (
        descriptors(replace(made, recordings={"clean": silent})).get("median_frequency_hz") is None
    )


def test_the_items_of_a_folder_are_those_of_its_plan(items: Make, tmp_path: Path) -> None:
    """The folder holds the plan with its scenarios: the files that it came from may be gone."""
    six = items(SIX)
    begin(tmp_path / "set", six.plan, resume=False)
    (tmp_path / "small_muscle.toml").unlink()
    again = items_in(tmp_path / "set")
    assert again[4] == six[4]
    assert events_sha256(make(again, again[4]).truth) == events_sha256(make(six, six[4]).truth)


def test_a_simulation_of_its_own_agrees(items: Make) -> None:
    """What is in an item is what `simulate` makes of its scenario and patient."""
    six = items(SIX)
    item = six[2]
    scenario, _ = scenario_of(six.source_of(item), item)
    patient = patient_of_subject(scenario, six.person_seed(item), item.seed)
    recording, _ = simulate(scenario, patient=patient)
    assert np.array_equal(recording.samples_uv, make(six, item).recordings["clean"].samples_uv)
