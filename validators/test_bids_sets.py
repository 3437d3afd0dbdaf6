"""bids-validator-deno, MNE, mne-bids, pyedflib and edfio judge the trees, sample by sample."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import edfio
import mne
import mne_bids
import numpy as np
import pandas as pd
import pytest

from emgsim.files.reading import read_recording

mne.set_log_level("error")
VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")
TOLERATED = {  # what a simulation has no answer to
    "SIDECAR_KEY_RECOMMENDED", "JSON_KEY_RECOMMENDED", "TOO_FEW_AUTHORS",
    # an item's needle lies where the item says, not where the subject's does
    "EXCESSIVE_ELECTRODE_SPECIFICITY",
}  # fmt: skip


def issues(root: Path) -> list[dict[str, str]]:
    """Return what the validator says of a tree."""
    done = subprocess.run(
        [VALIDATOR, str(root), "--format", "json"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found: list[dict[str, str]] = json.loads(done.stdout)["issues"]["issues"]
    return found


def test_the_validator_finds_no_error(trees: tuple[Path, ...]) -> None:
    """Needle, array and surface grid; nor a warning but of what nobody can tell of a simulation."""
    for tree in trees:
        found = issues(tree)
        assert [i for i in found if i["severity"] == "error"] == []
        assert {i["code"] for i in found} <= TOLERATED


def test_the_validator_is_not_blind(tree: Path, tmp_path: Path) -> None:
    """A key that is missing is an error: the test above can fail."""
    copy = shutil.copytree(tree, tmp_path / "set")
    sidecar = next(copy.rglob("*_emg.json"))
    table = json.loads(sidecar.read_text())
    del table["EMGReference"]
    sidecar.write_text(json.dumps(table))
    assert "SIDECAR_KEY_REQUIRED" in {i["code"] for i in issues(copy) if i["severity"] == "error"}


def recordings(tree: Path) -> list[Path]:
    """Return all recordings of a tree."""
    return sorted(tree.rglob("*_emg.bdf"))


def with_mne(path: Path, _: Path) -> tuple[np.ndarray, float]:
    """Read as MNE does."""
    raw = mne.io.read_raw_bdf(path)
    return raw.get_data().T * 1e6, raw.info["sfreq"]


def with_mne_bids(path: Path, root: Path) -> tuple[np.ndarray, float]:
    """Read as mne-bids does, with the sidecars."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a simulation cannot tell: date, mains, landmarks
        raw = mne_bids.read_raw_bids(mne_bids.get_bids_path_from_fname(path).update(root=root))
    assert set(raw.get_channel_types()) == {"emg"}
    return raw.get_data().T * 1e6, raw.info["sfreq"]


def with_pyedflib(path: Path, _: Path) -> tuple[np.ndarray, float]:
    """Read as EDFlib does."""
    pyedflib = pytest.importorskip("pyedflib", reason="pyedflib has no wheel for this Python")
    with pyedflib.EdfReader(str(path)) as file:
        columns = [file.readSignal(k) for k in range(file.signals_in_file)]
        return np.stack(columns, axis=1), file.getSampleFrequency(0)


def with_edfio(path: Path, _: Path) -> tuple[np.ndarray, float]:
    """Read as edfio does."""
    file = edfio.read_bdf(path)
    return np.stack([s.data for s in file.signals], axis=1), file.signals[0].sampling_frequency


@pytest.mark.parametrize("read", [with_mne, with_mne_bids, with_pyedflib, with_edfio])
def test_others_read_the_same_microvolts(trees: tuple[Path, ...], read) -> None:
    """Every sample within one count of 1.43 nV, and the rate within a millionth."""
    for root, path in [(tree, path) for tree in trees for path in recordings(tree)]:
        own, _ = read_recording(path)
        samples_uv, rate_hz = read(path, root)
        there = samples_uv[: own.n_samples]
        lsb_uv = 12_000 / (2**23 - 1)
        assert np.nanmax(np.abs(there - own.samples_uv)) <= lsb_uv, path.name
        assert rate_hz == pytest.approx(own.rate_hz, rel=1e-6)


def test_what_was_lost_is_marked_for_others(tree: Path) -> None:
    """MNE leaves the samples out that never arrived."""
    path = next(path for path in recordings(tree) if "recording-device" in path.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne_bids.read_raw_bids(mne_bids.get_bids_path_from_fname(path).update(root=tree))
    own, _ = read_recording(path)
    lost = raw.get_data(reject_by_annotation="NaN").T[: own.n_samples]
    # MNE's annotations begin and end on its own sample grid: one sample of difference at each end
    assert abs(int(np.isnan(lost[:, 0]).sum()) - sum(gap.n_samples for gap in own.gaps)) <= 2


def test_a_grid_is_sixty_four_pads_in_their_places(surface_set: Path) -> None:
    """Others' tables: 4 mm from pad to pad on a skin, the stems' sum is what `clean` is."""
    bids = surface_set / "bids"
    for path in sorted(bids.rglob("*recording-clean_electrodes.tsv")):
        pads = pd.read_table(path)
        channels = pd.read_table(path.with_name(path.name.replace("electrodes", "channels")))
        assert pads["name"].tolist() == channels["signal_electrode"].tolist()
        places_mm = pads[["x", "y", "z"]].to_numpy()
        assert len(places_mm) == 64
        apart_mm = np.linalg.norm(places_mm[:, None] - places_mm, axis=2) + 99 * np.eye(64)
        np.testing.assert_allclose(apart_mm.min(axis=1), 4.0, atol=1e-6)
    for path in (p for p in recordings(bids) if "recording-clean" in p.name):
        stems = sorted(path.parent.glob(path.name.replace("recording-clean", "recording-stem*")))
        assert len(stems) == 4
        total_uv = np.sum([with_mne(stem, bids)[0] for stem in stems], axis=0)
        np.testing.assert_allclose(total_uv, with_mne(path, bids)[0], atol=5 * 1.5e-3)


def test_the_truth_reads_as_muniverse_reads_it(trees: tuple[Path, ...]) -> None:
    """Its reader takes these columns with pandas, under the recording's own name."""
    whole = (path for tree in trees for path in recordings(tree))
    for path in (p for p in whole if "recording-stem" not in p.name):
        own, truth = read_recording(path)
        stem = path.name.removesuffix("emg.bdf")
        spikes = pd.read_table(path.with_name(f"{stem}spikes.tsv"))
        units = pd.read_table(path.with_name(f"{stem}motorunits.tsv"))
        assert list(spikes.columns) == ["source_id", "spike_time", "spike_time_s"]
        assert list(units.columns[:8]) == [
            "source_id", "recruitment_threshold", "depth", "innervation_zone", "fibre_density",
            "fibre_length", "conduction_velocity", "angle",
        ]  # fmt: skip
        assert truth is not None
        for unit in truth.units:
            its = spikes[spikes["source_id"] == unit.id]
            exact_s = unit.spike_times_s - own.start_s
            np.testing.assert_allclose(its["spike_time_s"], exact_s, atol=1e-12)
            assert its["spike_time"].dtype.kind == "i"
            np.testing.assert_allclose(
                its["spike_time"] / own.rate_hz, exact_s, atol=0.501 / own.rate_hz
            )
