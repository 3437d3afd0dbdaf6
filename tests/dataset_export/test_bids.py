"""EMG-BIDS trees: what is written is read again, and broken trees are one clear error."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emgsim.dataset.export.bids import write_bids
from emgsim.dataset.export.electrodes import electrode_keys
from emgsim.errors import InputError
from emgsim.files.reading import read_recording
from emgsim.recording import Channel, Recording

from .conftest import MADE
from .making import HEAD, NEEDLE, SURFACE, item_of, made_of, recording_of

LSB_UV = 12_000 / (2**23 - 1)


@pytest.fixture
def small_tree(tmp_path: Path) -> Path:
    """Return a tree of a short recording, its truth as MUniverse has it."""
    made = made_of(recordings={"clean": recording_of(n_samples=500, rate_hz=1000.0)})
    write_bids(tmp_path, HEAD, made)
    (tmp_path / "dataset_description.json").write_text("{}")
    next(tmp_path.rglob("*_truth.npz")).unlink()
    return tmp_path


def path_of(tree: Path, subject: str, name: str, suffix: str = "emg.bdf") -> Path:
    """Return a file of one recording."""
    return next(tree.glob(f"sub-{subject}/emg/*_recording-{name.replace('-', '')}_{suffix}"))


@pytest.mark.parametrize("subject", MADE)
@pytest.mark.parametrize("name", ["clean", "device", "stem-noise"])
def test_a_recording_comes_back_as_it_was(tree: Path, subject: str, name: str) -> None:
    """Rate, start, length, gaps, channels, offset: all but half a count of 1.4 nV."""
    own = MADE[subject].recordings[name]
    read, _ = read_recording(path_of(tree, subject, name))
    assert (read.rate_hz, read.start_s, read.n_samples) == (own.rate_hz, own.start_s, own.n_samples)
    assert read.gaps == own.gaps
    assert read.channels == own.channels
    assert np.nanmax(np.abs(read.samples_uv - own.samples_uv)) <= 0.5001 * LSB_UV
    np.testing.assert_array_equal(np.isnan(read.samples_uv), np.isnan(own.samples_uv))


@pytest.mark.parametrize("subject", MADE)
def test_the_truth_comes_back_as_it_was(tree: Path, subject: str) -> None:
    """The same units, discharges, potentials and events, on the scenario's clock."""
    own = MADE[subject].truth
    _, truth = read_recording(path_of(tree, subject, "device"))
    assert truth is not None
    assert truth.events == own.events
    for unit, mine in zip(truth.units, own.units, strict=True):
        np.testing.assert_allclose(unit.discharge_times_s, mine.discharge_times_s, atol=1e-15)
        np.testing.assert_array_equal(unit.muap_uv, mine.muap_uv)


def test_chosen_channels_have_their_own_potentials(tree: Path) -> None:
    """Channel 3 alone has the potentials that it heard."""
    recording, truth = read_recording(path_of(tree, "0002", "clean"), channels=["thin_film 3"])
    assert truth is not None
    assert [c.name for c in recording.channels] == ["thin_film 3"]
    own_uv = MADE["0002"].truth.units[0].muap_uv
    np.testing.assert_array_equal(truth.units[0].muap_uv, own_uv[:, [2]])


def test_the_files_of_muniverse_alone_are_truth_too(tree: Path, tmp_path: Path) -> None:
    """Without our own file the spikes stand where they were, on the recording's clock."""
    copy = shutil.copytree(tree, tmp_path / "set")
    for path in copy.rglob("*_truth.npz"):
        path.unlink()
    recording, truth = read_recording(path_of(copy, "0001", "device"))
    assert truth is not None
    assert [unit.id for unit in truth.units] == [1, 2]
    for unit, mine in zip(truth.units, MADE["0001"].truth.units, strict=True):
        np.testing.assert_allclose(unit.spike_times_s, mine.spike_times_s, atol=1e-12)
    for path in copy.rglob("*_spikes.tsv"):  # as MUniverse writes it: samples alone
        rows = [line.split("\t")[:2] for line in path.read_text().splitlines()]
        path.write_text("".join("\t".join(row) + "\n" for row in rows))
    recording, truth = read_recording(path_of(copy, "0001", "device"))
    assert truth is not None
    for unit, mine in zip(truth.units, MADE["0001"].truth.units, strict=True):
        np.testing.assert_allclose(unit.spike_times_s, mine.spike_times_s, atol=0.501 / 4000)
    assert recording.start_s == 0.0625
    assert [event.kind for event in truth.events] == ["rest", "hold"]
    assert truth.events[1].onset_s == pytest.approx(0.1)


def test_discharges_in_the_events_are_truth(tree: Path, tmp_path: Path) -> None:
    """A decomposition as MUniverse publishes it: rows with a unit's number."""
    copy = shutil.copytree(tree, tmp_path / "set")
    path = path_of(copy, "0001", "clean")
    for name in ("spikes.tsv", "motorunits.tsv"):
        path_of(copy, "0001", "clean", name).unlink()
    next(copy.rglob("sub-0001*_truth.npz")).unlink()
    path_of(copy, "0001", "clean", "events.tsv").write_text(
        "onset\tduration\tsample\tunit_id\tevent_type\n0.1\t0\t2344\t7\tspike\nn/a\t0\t1\t7\tspike\n"
    )
    _, truth = read_recording(path)
    assert truth is not None
    assert [(unit.id, unit.n_discharges) for unit in truth.units] == [(7, 1)]


def test_a_tree_of_one_recording_is_read_by_its_folder(tmp_path: Path) -> None:
    """And one of several tells how to name one."""
    made = made_of(recordings={"clean": recording_of()})
    write_bids(tmp_path, HEAD, made)
    (tmp_path / "dataset_description.json").write_text("{}")
    assert read_recording(tmp_path)[0].n_samples == 12_345
    write_bids(tmp_path, HEAD, made_of(number=1))
    with pytest.raises(InputError, match="must hold one recording"):
        read_recording(tmp_path)


def test_two_writings_give_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    """Every file of an item, the truth's archive too."""
    for path in write_bids(tmp_path, HEAD, MADE["0001"]):
        assert path.read_bytes() == (tree / path.relative_to(tmp_path)).read_bytes(), path.name


def test_a_needle_has_the_keys_proposed_for_it(tree: Path) -> None:
    """The names of bids-specification issue 2371, millimetres and square millimetres."""
    table = json.loads(path_of(tree, "0001", "clean", "emg.json").read_text())
    assert table["EMGType"] == "invasive"
    assert (table["CannulaDiameter"], table["CannulaLength"]) == (0.46, 15.0)
    assert table["ElectrodeSurfaceArea"] == pytest.approx(0.0683, abs=1e-4)  # an ellipse, mm2
    assert {"CannulaMaterial", "InsulatorMaterial", "SterilizationMethod"} <= table.keys()
    assert table["PowerLineFrequency"] == 50.0


def test_a_grid_has_the_keys_that_a_grid_needs(tree: Path) -> None:
    """Distance and surface of its pads, how it was placed, one reference; nothing of a needle."""
    table = json.loads(path_of(tree, "0003", "clean", "emg.json").read_text())
    assert (table["EMGType"], table["ElectrodeType"]) == ("surface", "surface grid")
    assert (table["InterelectrodeDistance"], table["EMGReference"]) == (4.0, "remote")
    assert table["ElectrodeSurfaceArea"] == pytest.approx(3.1416, abs=1e-4)  # 2 mm across
    assert table["EMGPlacementScheme"] == "Measured"
    for words in ("4 rows along the fibres, 2 columns", "20 mm along the fibres from the centre"):
        assert words in table["EMGPlacementSchemeDescription"]
    assert "CannulaDiameter" not in table
    rows = path_of(tree, "0003", "clean", "electrodes.tsv").read_text().splitlines()
    assert len(rows) == 1 + 8  # each channel is a pad
    table = json.loads((tree / "space-muscle_coordsystem.json").read_text())
    assert "measured along the skin" in table["EMGCoordinateSystemDescription"]


def test_a_distance_that_is_two_is_left_to_the_table() -> None:
    """Rows 8 mm and columns 4 mm apart have no single distance."""
    assert "InterelectrodeDistance" not in electrode_keys({**SURFACE, "pitch_mm": (8.0, 4.0)})
    assert electrode_keys({"kind": "belly_tendon", "apart_mm": 35})["InterelectrodeDistance"] == 35


def test_the_pads_of_differences_stand_beside_their_channels(tmp_path: Path) -> None:
    """Two rows of two pads make two channels, in the middle of their pads."""
    channels = tuple(
        Channel(name=f"surface 1.{k + 1}", kind="surface_grid", reference=f"surface 2.{k + 1}",
                position_mm=(4.0 * k - 2, 25.0, 20.0))
        for k in range(2)
    )  # fmt: skip
    recording = Recording(samples_uv=np.ones((100, 2)), rate_hz=1000.0, channels=channels)
    made = made_of(SURFACE, recordings={"clean": recording})
    electrode = {**SURFACE, "rows": 2, "montage": "single_differential"}
    made = replace(made, scenario={**made.scenario, "electrode": electrode})
    write_bids(tmp_path, HEAD, made)
    (tmp_path / "dataset_description.json").write_text("{}")
    rows = path_of(tmp_path, "0001", "clean", "electrodes.tsv").read_text().splitlines()[1:]
    assert rows == [
        "surface 1.1\t-2.0\t25.0\t20.0\tmuscle\tsurface grid",
        "surface 1.2\t2.0\t25.0\t20.0\tmuscle\tsurface grid",
        "pad 1.1\t-2.0\t25.0\t18.0\tmuscle\tpad",
        "pad 1.2\t2.0\t25.0\t18.0\tmuscle\tpad",
        "pad 2.1\t-2.0\t25.0\t22.0\tmuscle\tpad",
        "pad 2.2\t2.0\t25.0\t22.0\tmuscle\tpad",
    ]
    assert read_recording(path_of(tmp_path, "0001", "clean"))[0].channels == channels
    table = json.loads(path_of(tmp_path, "0001", "clean", "emg.json").read_text())
    assert table["EMGReference"] == "Of each channel its own"


def test_electrodes_stand_where_the_simulation_has_them(tree: Path) -> None:
    """In the table, and in the channels of who reads the tree."""
    path = path_of(tree, "0001", "clean", "electrodes.tsv")
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    assert header[:4] == ["name", "x", "y", "z"]
    recording, _ = read_recording(path_of(tree, "0001", "clean", "emg.bdf"))
    for row, channel in zip(rows, recording.channels, strict=True):
        assert channel.position_mm == tuple(float(cell) for cell in row[1:4])
    assert recording.channels[0].position_mm != (0.0, 0.0, 0.0)


def test_the_head_names_everybody_and_every_split(tree: Path) -> None:
    """Participants, scans and the description agree with the items."""
    rows = (tree / "participants.tsv").read_text().splitlines()
    assert rows[0] == "participant_id\tage\tsex\tsplit"
    assert rows[1] == "sub-0001\t44.0\tn/a\ttrain"
    scans = (tree / "sub-0002" / "sub-0002_scans.tsv").read_text().splitlines()
    assert len(scans) == 4
    assert scans[1].split("\t")[0] == (
        "emg/sub-0002_task-healthybiceps_run-001_recording-clean_emg.bdf"
    )
    assert json.loads((tree / "dataset_description.json").read_text())["License"] == "CC-BY-4.0"
    assert "*_spikes.tsv" in (tree / ".bidsignore").read_text()


def edited(path: Path, pattern: str, new: str) -> None:
    text = path.read_text()
    assert re.search(pattern, text), pattern
    path.write_text(re.sub(pattern, new, text, count=1))


MISTAKES = {
    "no sidecar": ("emg.json", None, "", "SamplingFrequency"),
    "no JSON": ("emg.json", r"\{", "[", "no JSON"),
    "no rate": ("emg.json", '"SamplingFrequency"', '"Sampling"', "it is missing"),
    "a rate of words": ("emg.json", '"SamplingFrequency": [0-9.]+', '"SamplingFrequency": "fast"',
                        "'fast'"),
    "another rate": ("emg.json", '"SamplingFrequency": [0-9.]+', '"SamplingFrequency": 10000',
                     "file's rate of 23437.5"),
    "a start of words": ("emg.json", '"StartTime": [0-9.]+', '"StartTime": "now"', "'now'"),
    "too long": ("emg.json", '"RecordingDuration": [0-9.]+', '"RecordingDuration": 99', "99 s"),
    "wrong units": ("channels.tsv", "\tuV\t", "\tmV\t", "in mV in _channels.tsv"),
    "no units": ("channels.tsv", "units", "unit", "the column 'units'"),
    "too many channels": ("channels.tsv", "\n$", "\nx\tEMG\tuV" + "\tn/a" * 8 + "\n", "got 2"),
    "ragged": ("channels.tsv", "\n$", "\tx\n", "11 cells, got 12"),
    "onset of words": ("events.tsv", r"\n0\.0\t", "\nsoon\t", "'soon'"),
    "no onset": ("events.tsv", "onset", "start", "the column 'onset'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_broken_tree_is_one_clear_error(tree: Path, tmp_path: Path, mistake: str) -> None:
    """The error names the rule, and the file in which it is broken."""
    suffix, pattern, new, said = MISTAKES[mistake]
    copy = shutil.copytree(tree, tmp_path / "set")
    path = path_of(copy, "0001", "clean")
    sidecar = path_of(copy, "0001", "clean", suffix)
    if pattern is None:
        sidecar.unlink()
    else:
        edited(sidecar, pattern, new)
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        read_recording(path)
    assert "0001" in caught.value.where
    assert caught.value.todo


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(suffix=st.sampled_from(["emg.json", "channels.tsv", "events.tsv", "spikes.tsv"]),
       where=st.integers(0, 900), new=st.text(max_size=6), cut=st.integers(0, 40))
def test_damaged_sidecars_are_read_or_refused(
    small_tree: Path, suffix: str, where: int, new: str, cut: int
) -> None:
    """Nothing else happens, whatever stands in them."""
    sidecar = path_of(small_tree, "0001", "clean", suffix)
    text = sidecar.read_text()
    place = where % (len(text) + 1)
    try:
        sidecar.write_text(text[:place] + new + text[place + cut :], encoding="utf-8", newline="")
        with suppress(InputError):
            read_recording(path_of(small_tree, "0001", "clean"))
    finally:
        sidecar.write_text(text)


def test_a_file_that_is_cut_off_is_refused(tree: Path, tmp_path: Path) -> None:
    """Half a record is no record."""
    copy = shutil.copytree(tree, tmp_path / "set")
    path = path_of(copy, "0001", "clean")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="truncated"):
        read_recording(path)


def test_a_sidecar_above_holds_for_all_below(tree: Path, tmp_path: Path) -> None:
    """BIDS' principle of inheritance: the nearer file wins, others' entities do not count."""
    copy = shutil.copytree(tree, tmp_path / "set")
    path = path_of(copy, "0001", "clean")
    own = path_of(copy, "0001", "clean", "emg.json")
    (copy / "task-healthybiceps_emg.json").write_text(own.read_text())
    (copy / "task-other_emg.json").write_text('{"SamplingFrequency": 1}')
    own.write_text('{"StartTime": 3.5}')
    recording, _ = read_recording(path)
    assert (recording.rate_hz, recording.start_s) == (23_437.5, 3.5)


def test_a_duration_that_somebody_rounded_cuts_nothing_off(tree: Path, tmp_path: Path) -> None:
    """Only what fills up the last record is left out."""
    copy = shutil.copytree(tree, tmp_path / "set")
    edited(path_of(copy, "0001", "clean", "emg.json"), '"RecordingDuration": [0-9.]+',
           '"RecordingDuration": 0.5')  # fmt: skip
    assert read_recording(path_of(copy, "0001", "clean"))[0].n_samples == 46_875


def test_a_recording_outside_a_tree_is_an_ordinary_file(tree: Path, tmp_path: Path) -> None:
    """Its name alone asks for no sidecar."""
    path = path_of(tree, "0001", "clean")
    recording, truth = read_recording(Path(shutil.copy(path, tmp_path)))
    assert recording.n_samples == 46_875
    assert truth is None


def test_what_bdf_cannot_hold_names_the_item(tmp_path: Path) -> None:
    """Nothing half-written is left behind."""
    recording = recording_of(n_samples=10)
    broken = Recording(samples_uv=recording.samples_uv * np.nan, rate_hz=1000.0,
                       channels=recording.channels)  # fmt: skip
    made = made_of(NEEDLE, recordings={"clean": broken})
    with pytest.raises(InputError, match=f"item {item_of().id} cannot be a BDF"):
        write_bids(tmp_path, HEAD, made)
    assert not list(tmp_path.rglob("*.bdf"))
