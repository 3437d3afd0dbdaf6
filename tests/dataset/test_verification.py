"""Whatever has happened to a dataset on its disk, `verify` names the item."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emgsim.cli import main
from emgsim.dataset.carrying_out import make_dataset
from emgsim.dataset.folder import DONE, INDEX, PART, item_folder, items_in
from emgsim.dataset.merging import merge
from emgsim.dataset.plan import load_plan
from emgsim.dataset.shards import Shard
from emgsim.dataset.verification import verify
from emgsim.errors import InputError, UsageError

from .conftest import HEAD, SCENARIO

PLAN = HEAD + "subjects = 3\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset of three items, for all tests of this file to copy."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "small_muscle.toml").write_text(SCENARIO)
    (folder / "plan.toml").write_text(PLAN)
    make_dataset(load_plan(folder / "plan.toml"), folder / "set")
    return folder / "set"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Return a copy of it that may be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "set"))


def own(folder: Path, number: int) -> Path:
    """Return an item's folder."""
    return folder / item_folder(f"{number:06d}")


def flip(path: Path, at: int = -7) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def torn(folder: Path) -> None:
    data = (own(folder, 1) / "clean.npz").read_bytes()
    (own(folder, 1) / "clean.npz").write_bytes(data[: len(data) // 2])


def copied_over(folder: Path) -> None:
    shutil.rmtree(own(folder, 1))
    shutil.copytree(own(folder, 2), own(folder, 1))


def half_done(folder: Path) -> None:
    done = own(folder, 1) / DONE
    done.write_bytes(done.read_bytes()[:100])


def other_seed(folder: Path) -> None:
    done = own(folder, 1) / DONE
    row = json.loads(done.read_text())
    row["item"]["seed"] += 1
    done.write_text(json.dumps(row))


SPOILT: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a bit of a recording": (
        lambda f: flip(own(f, 1) / "clean.npz"), "corrupt", "its content is not"),
    "a bit of the labels": (
        lambda f: flip(own(f, 1) / "labels.json", 5), "corrupt", "its content is not"),
    "half a recording": (torn, "half", "bytes"),
    "a file gone": (lambda f: (own(f, 1) / "labels.json").unlink(), "missing", "labels.json"),
    "an item gone": (lambda f: shutil.rmtree(own(f, 1)), "missing", "it was not made"),
    "no mark": (lambda f: (own(f, 1) / DONE).unlink(), "half", "no .done"),
    "half a mark": (half_done, "corrupt", "cannot be read"),
    "another item in its place": (copied_over, "double", "holds item 000002"),
    "another seed": (other_seed, "corrupt", "not what the plan says"),
}  # fmt: skip


def test_a_dataset_as_it_was_made_has_no_fault(made: Path) -> None:
    """All three are whole."""
    found = verify(made)
    assert (found.n_items, found.n_whole, found.faults) == (3, 3, ())
    assert main(["dataset", "verify", str(made)]) == 0


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_item_is_named(folder: Path, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It, and no other one; the exit code is 1."""
    spoil, kind, words = SPOILT[how]
    spoil(folder)
    found = [fault for fault in verify(folder).faults if fault.item]
    assert {(fault.item, fault.kind) for fault in found} == {("000001", kind)}
    assert words in found[0].what
    assert main(["dataset", "verify", str(folder)]) == 1
    said = capsys.readouterr().out
    assert f"{kind:<8} 000001" in said
    assert "2 of 3 items are whole" in said


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(number=st.integers(0, 2), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_changed_bit_of_any_file_is_found(
    folder: Path, number: int, where: float, bit: int
) -> None:
    """Wherever it is, also in the mark itself; the number of CPU seconds alone is of no account."""
    files = sorted(path for path in own(folder, number).iterdir() if path.is_file())
    path = files[int(where * 997) % len(files)]
    before = path.read_bytes()
    data = bytearray(before)
    data[int(where * len(data))] ^= 1 << bit
    path.write_bytes(data)
    try:
        free = {"cpu_s", "descriptors"}  # of the mark: told for people, and not of the plan
        is_told = bool(verify(folder).faults)
        is_free = path.name == DONE and same_but(before, bytes(data), free)
        assert is_told or is_free
    finally:
        path.write_bytes(before)


def same_but(before: bytes, after: bytes, keys: set[str]) -> bool:
    """Tell whether two tables differ in some keys alone."""
    try:
        one, other = (json.loads(data) for data in (before, after))
    except ValueError:
        return False
    return {k: v for k, v in one.items() if k not in keys} == {
        k: v for k, v in other.items() if k not in keys
    }


def test_strangers_left_overs_and_a_wrong_index_are_told(folder: Path) -> None:
    """What is not of the plan, what somebody was writing, and an index that was edited."""
    shutil.copytree(own(folder, 0), own(folder, 7))
    (folder / PART / "000002").mkdir(parents=True)
    (folder / INDEX).write_text((folder / INDEX).read_text().replace("train", "test"))
    faults = {fault.kind: str(fault) for fault in verify(folder).faults}
    assert "items/000/000007 is no item of the plan" in faults["double"]
    assert ".part/000002 was being written" in faults["half"]
    assert "index.tsv does not say" in faults["corrupt"]


def test_two_items_of_one_seed_are_told(folder: Path) -> None:
    """Even if somebody has made the plan's items agree with them."""
    from emgsim.dataset.verification import _Seen

    items, seen = items_in(folder), _Seen()
    done = json.loads((own(folder, 0) / DONE).read_text())
    first = items[0]
    assert [*seen.twice(first, done)] == []
    clash = [*seen.twice(items[1].__class__(**{**vars(items[1]), "seed": first.seed}), done)]
    assert [fault.what for fault in clash] == [f"it has the seed {first.seed} of item 000000"]
    same = [*seen.twice(items[2], done)]
    assert [fault.what for fault in same] == ["it has every discharge of item 000000"]


def test_a_corrupt_shard_is_not_merged(made: Path, tmp_path: Path) -> None:
    """The item is named, and nothing of it is in the whole."""
    plan = items_in(made).plan
    parts = [tmp_path / "a", tmp_path / "b"]
    for number, part in enumerate(parts, start=1):
        make_dataset(plan, part, shard=Shard(number, 2))
    assert main(["dataset", "verify", str(parts[0]), "--shard", "1/2"]) == 0
    assert main(["dataset", "verify", str(parts[0]), "--shard", "2/2"]) == 1
    with pytest.raises(InputError, match="1 of 3 items are missing: 000001"):
        merge(parts[:1], tmp_path / "half")
    flip(own(parts[1], 1) / "clean.npz")
    with pytest.raises(InputError, match=r"item 000001 of a shard is corrupt: .*clean.npz"):
        merge(parts, tmp_path / "whole")
    assert verify(tmp_path / "whole").n_whole == 2
    with pytest.raises(UsageError, match="--out"):
        merge(parts)


def test_a_folder_without_a_dataset_is_told(tmp_path: Path) -> None:
    """Exit code 3: the input is none."""
    assert main(["dataset", "verify", str(tmp_path)]) == 3
    with pytest.raises(InputError, match="holds no dataset"):
        verify(tmp_path)
