"""Zarr shards: samples, truth and index as they were, and damage found."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from emgsim.dataset.export.zarr_shards import (
    DISCHARGE_FIELDS,
    UNIT_FIELDS,
    ShardWriter,
    damage_of,
    digest_of,
    index_of,
)
from emgsim.dataset.loaders import Shards
from emgsim.errors import InputError, UsageError

from .making import ARRAY, HEAD, SURFACE, made_of, recording_of

zarr = pytest.importorskip("zarr", reason="zarr is not installed (extra zarr)")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:zarr")

MADE = [made_of(ARRAY, number=4), made_of(SURFACE, number=5, subject="0002")]


@pytest.fixture(scope="module", autouse=True)
def zarrs_threads() -> None:
    """Start the threads that zarr keeps: they are not left behind by whichever test comes first."""
    zarr.config.set({"threading.max_workers": 1})
    zarr.create_array({}, data=np.zeros((4, 1)), chunks=(1, 1))[:]


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a shard of two items; nobody changes it."""
    path = tmp_path_factory.mktemp("shards") / "shard-0.zarr"
    with ShardWriter(path, HEAD) as writer:
        for made in MADE:
            writer.add(made)
    return path


def test_samples_survive(shard: Path) -> None:
    """Half a count of 10 nV is the most that is lost; rate, start and gaps are exact."""
    for name in ("clean", "device", "stem-noise"):
        for example, made in zip(Shards(shard.parent, recording=name), MADE, strict=True):
            own = made.recordings[name]
            assert (example.rate_hz, example.start_s) == (own.rate_hz, own.start_s)
            np.testing.assert_array_equal(np.isnan(example.samples_uv), np.isnan(own.samples_uv))
            assert np.nanmax(np.abs(example.samples_uv - own.samples_uv)) < 0.0051
            assert example.labels == made.labels
            assert example.parameters == made.item.parameters
            assert example.channels == tuple(c.name for c in own.channels)
            places_mm = [c.position_mm for c in own.channels]
            np.testing.assert_allclose(example.places_mm, places_mm, rtol=1e-6)


def test_the_truth_survives(shard: Path) -> None:
    """Discharges to a nanosecond, potentials to float32, each unit found by its row."""
    truth = zarr.open_group(shard, mode="r")["truth"]
    assert list(truth["units"].attrs["fields"]) == list(UNIT_FIELDS)
    assert list(truth["discharges"].attrs["fields"]) == list(DISCHARGE_FIELDS)
    units, discharges = truth["units"][:], truth["discharges"][:]
    row = units[(units[:, 0] == 5) & (units[:, 1] == 2)][0]
    own = MADE[1].truth.units[1]
    muap_uv = truth["muaps_uv"][int(row[4]) : int(row[4] + row[5])]
    np.testing.assert_allclose(muap_uv, own.muap_uv, rtol=1e-6)
    assert tuple(row[[2, 6, 7]]) == (own.threshold, own.muap_start_s, own.arrival_s)
    times_s = discharges[(discharges[:, 0] == 5) & (discharges[:, 1] == 2), 2] / 1e9
    np.testing.assert_allclose(times_s, own.spike_times_s, atol=5.1e-10)


def test_arrays_say_what_their_axes_are(shard: Path) -> None:
    """Inner chunks of one item, one file for all of them, names and scale in the array."""
    array = zarr.open_group(shard, mode="r")["clean"]
    assert array.metadata.dimension_names == ("time", "channel")
    assert (array.chunks, array.shards) == ((12_345, 8), (24_690, 8))
    assert array.attrs["uv_per_count"] == 0.01
    with index_of(shard).open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(r["item"], r["recording"], r["first_sample"]) for r in rows[:4:3]] == [
        ("4", "clean", "0"), ("5", "clean", "12345")
    ]  # fmt: skip
    assert json.loads(rows[0]["channels"])[2] == "thin_film 3"


def test_two_writings_give_the_same_bytes(shard: Path, tmp_path: Path) -> None:
    """The digests of all files are equal."""
    with ShardWriter(tmp_path / shard.name, HEAD) as writer:
        for made in MADE:
            writer.add(made)
    assert digest_of(tmp_path / shard.name).read_bytes() == digest_of(shard).read_bytes()


def test_damage_is_found(tmp_path: Path) -> None:
    """A bit that fell over, a file that is gone, one too many, and a writer that was killed."""
    path = tmp_path / "a.zarr"
    with ShardWriter(path, HEAD) as writer:
        writer.add(made_of())
    assert damage_of(path) == []
    chunk = path / "clean" / "c" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[100] ^= 1
    chunk.write_bytes(data)
    (path / "device" / "zarr.json").unlink()
    (path / "stray").write_text("")
    assert damage_of(path) == ["a.zarr/device/zarr.json is missing", "a.zarr/stray is not listed",
                               "a.zarr/clean/c/0/0 is changed"]  # fmt: skip
    digest_of(path).unlink()
    assert damage_of(path) == ["a.zarr has no digests: it is not whole"]
    with pytest.raises(InputError, match="no recording 'clean'"):
        Shards(tmp_path)


def test_an_error_leaves_no_shard(tmp_path: Path) -> None:
    """What was added before it is not written."""

    def broken() -> None:
        with ShardWriter(tmp_path / "a.zarr", HEAD) as writer:
            writer.add(made_of())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert not list(tmp_path.iterdir())


def test_what_a_shard_cannot_hold_is_refused(tmp_path: Path) -> None:
    """The item is named, and the shard is as it was before."""
    writer = ShardWriter(tmp_path / "a.zarr", HEAD)
    writer.add(made_of())
    n_bytes = writer.n_bytes
    with pytest.raises(InputError, match=r"item 001 .* 1 channels, got 8"):
        writer.add(made_of(ARRAY, number=1))
    large = recording_of(n_samples=5)
    large.samples_uv[0] = 3e7
    with pytest.raises(InputError, match="within 21474836 uV"):
        writer.add(made_of(number=2, recordings={"clean": large}))
    large.samples_uv[0] = np.nan
    with pytest.raises(InputError, match="finite outside its gaps"):
        writer.add(made_of(number=2, recordings={"clean": large}))
    assert writer.n_bytes == n_bytes
    writer.close()
    with pytest.raises(UsageError, match="takes no more"):
        writer.add(made_of())
    with pytest.raises(InputError, match="there already"):
        ShardWriter(tmp_path / "a.zarr", HEAD)
    with pytest.raises(UsageError, match=r"\.zarr"):
        ShardWriter(tmp_path / "a.zip", HEAD)
    with pytest.raises(UsageError, match="hold an item"):
        ShardWriter(tmp_path / "b.zarr", HEAD).close()


def test_what_a_killed_writer_left_is_written_anew(tmp_path: Path) -> None:
    """A store without digests, and half of another, are in nobody's way."""
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / ".a.zarr.part").mkdir()
    with ShardWriter(tmp_path / "a.zarr", HEAD) as writer:
        writer.add(made_of())
    assert damage_of(tmp_path / "a.zarr") == []
    assert not (tmp_path / ".a.zarr.part").exists()


def test_examples_can_be_sent_to_a_worker(shard: Path) -> None:
    """An open store stays behind: the worker opens its own."""
    shards = Shards(shard.parent)
    first = shards[0]
    copy = pickle.loads(pickle.dumps(shards))  # noqa: S301
    np.testing.assert_array_equal(copy[0].samples_uv, first.samples_uv)
