"""A dataset made by any workers is the same one: processes, shards, a cluster, a killed worker."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from emgsim.dataset import writing
from emgsim.dataset.carrying_out import make_dataset
from emgsim.dataset.engine import Engine, Pools, Progress, cluster, in_bytes, in_time, processes
from emgsim.dataset.folder import HEAD, INDEX, alone, begin, read_done
from emgsim.dataset.merging import merge
from emgsim.dataset.plan import Plan
from emgsim.dataset.shards import Shard
from emgsim.dataset.verification import verify
from emgsim.dataset.work import Told
from emgsim.errors import InputError, UsageError

from .conftest import SIX

Load = Callable[[str], Plan]


@pytest.fixture
def whole(load: Load, tmp_path: Path) -> Path:
    """Return a dataset of six items that one process has made."""
    make_dataset(load(SIX), tmp_path / "one")
    return tmp_path / "one"


def digests(folder: Path) -> tuple[str, str]:
    """Return what is equal of equal datasets: the digest of all discharges, and the index."""
    found = verify(folder)
    assert not found.faults, [str(fault) for fault in found.faults]
    return found.events_sha256, (folder / INDEX).read_text()


@pytest.fixture(scope="module")
def workers() -> Iterator[None]:
    """Start the server from which worker processes are forked, and stop it behind the tests."""
    with processes(1)():
        pass
    yield
    forkserver._forkserver._stop()


@pytest.mark.slow
@pytest.mark.usefixtures("workers")
def test_two_processes_make_the_same_dataset_even_if_one_is_killed(
    load: Load, tmp_path: Path, whole: Path
) -> None:
    """What the dead worker had in hand is made again, and nothing is half there."""
    opened = []

    @contextmanager
    def deadly() -> Iterator[Executor]:
        with processes(2)() as pool:
            opened.append(pool)
            yield Deadly(pool) if len(opened) == 1 else pool

    lines: list[str] = []
    progress = make_dataset(load(SIX), tmp_path / "two", say=lines.append, pools=deadly)
    assert len(opened) >= 2
    assert progress.n_made + progress.n_kept == 6
    assert digests(tmp_path / "two") == digests(whole)
    assert "6/6 items" in lines[-1]


class Deadly(Executor):
    """Hands work to a pool, and kills one of its workers with the third task."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._n = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand out a task."""
        future = self._pool.submit(fn, *args, **kwargs)
        self._n += 1
        if self._n == 3:
            os.kill(next(iter(self._pool._processes)), signal.SIGKILL)
        return future


def test_three_shards_merge_into_the_same_dataset(load: Load, tmp_path: Path, whole: Path) -> None:
    """In one folder or in three, whichever is made first."""
    parts = []
    for number in (3, 1, 2):
        parts.append(tmp_path / f"part-{number}")
        make_dataset(load(SIX), parts[-1], shard=Shard(number, 3))
        make_dataset(load(SIX), tmp_path / "shared", shard=Shard(number, 3), resume=True)
        assert not (parts[-1] / INDEX).exists()
    into, n_brought = merge(parts, tmp_path / "merged")
    assert n_brought == 6
    assert digests(into) == digests(merge([tmp_path / "shared"])[0]) == digests(whole)


def test_a_dataset_is_gone_on_with_where_it_was(load: Load, tmp_path: Path, whole: Path) -> None:
    """What is whole is kept; what lacks its mark, or a file, is made again."""
    out = tmp_path / "again"
    make_dataset(load(SIX), out, shard=Shard(1, 2))
    first = read_done(out, "000000")
    assert first is not None
    (out / "items/000/000002/.done").unlink()
    (out / "items/000/000004/clean.npz").write_bytes(b"")
    with pytest.raises(UsageError, match="add --resume"):
        make_dataset(load(SIX), out)
    progress = make_dataset(load(SIX), out, resume=True)
    assert (progress.n_made, progress.n_kept) == (5, 1)
    assert read_done(out, "000000") == first
    assert digests(out) == digests(whole)


@pytest.mark.slow
def test_a_dask_cluster_makes_the_same_dataset(
    write: Callable[[str], Path], tmp_path: Path, whole: Path
) -> None:
    """Two worker processes of a real local cluster, one of them killed in mid-run."""
    pytest.importorskip("distributed", reason="needs the extra dask")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("on_dask.py"), write(SIX), tmp_path / "dask"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:3] == ["2 threads", "killed", "6 items"]
    assert digests(tmp_path / "dask") == digests(whole)


class Inline(Executor):
    """Does the work at once; a task with a deadly item breaks it for good, as a pool is."""

    def __init__(self, deadly: set[int]) -> None:
        self._deadly = deadly
        self._is_broken = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do a task."""
        if self._is_broken:
            raise BrokenProcessPool("broken")
        future: Future[Any] = Future()
        if self._deadly & {*args[0]}:
            self._is_broken = True
            future.set_exception(BrokenProcessPool("a worker died"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def inline(deadly: set[int]) -> Pools:
    """Return what opens such a pool, anew each time."""

    @contextmanager
    def opened() -> Iterator[Executor]:
        yield Inline(deadly)

    return opened


def test_an_item_that_kills_its_worker_twice_is_named(load: Load, tmp_path: Path) -> None:
    """All others are made, and no one else is blamed."""
    lines: list[str] = []
    with pytest.raises(InputError, match=r"1 of 6 items failed: 000003; .* died twice"):
        make_dataset(load(SIX), tmp_path / "out", say=lines.append, pools=inline({3}))
    assert verify(tmp_path / "out").n_whole == 5
    progress = make_dataset(load(SIX), tmp_path / "out", resume=True)
    assert (progress.n_made, progress.n_kept) == (1, 5)


@pytest.mark.parametrize("n", [1, 2, 9])
@pytest.mark.parametrize("deadly", [set[int](), {0}, {17}, {3, 4, 30}])
def test_every_item_is_told_once(n: int, deadly: set[int]) -> None:
    """However many workers, and whichever items kill them."""
    told: list[Told] = []

    def work(indices: Sequence[int]) -> list[Told]:
        return [Told(index=k, id=str(k), cpu_s=0.01) for k in indices]

    Engine(work=work, pools=inline(deadly), n_workers=n, tell=told.append).run(iter(range(40)))
    assert sorted(one.index for one in told) == list(range(40))
    assert {one.index for one in told if one.error} == deadly


def test_no_more_is_handed_out_than_is_asked_for() -> None:
    """With a million items waiting, few are out: the memory does not grow with their number."""
    taken = 0

    def indices() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    def work(some: Sequence[int]) -> list[Told]:
        return [Told(index=k, id=str(k), is_end=True, error="full") for k in some]

    Engine(work=work, pools=inline(set()), n_workers=2, tell=lambda _: None).run(indices())
    assert taken <= 5


def test_a_full_disk_ends_it_with_one_clear_error(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is whole stays, what was being written is no item, and it can be gone on with."""
    real, n = writing.write_npz, 0

    def full(*words: Any) -> None:
        nonlocal n
        n += 1
        if n > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "clean.npz")
        real(*words)

    monkeypatch.setattr(writing, "write_npz", full)
    with pytest.raises(UsageError, match=r"No space left(.|\n)*2 of 6 items are whole"):
        make_dataset(load(SIX), tmp_path / "out")
    monkeypatch.setattr(writing, "write_npz", real)
    assert not [*(tmp_path / "out/.part").glob("0*")]
    assert make_dataset(load(SIX), tmp_path / "out", resume=True).n_kept == 2


def test_an_interrupted_write_leaves_nothing_that_looks_whole(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power fails after any number of files: the item is not there, and is made anew."""
    plan, real, n = load("subjects = 1\n"), os.replace, 0

    def fails(*words: Any) -> None:
        nonlocal n
        n -= 1
        if n < 0:
            raise KeyboardInterrupt
        real(*words)

    begin(tmp_path / "out", plan, resume=True)
    for number in range(5):
        n = number
        monkeypatch.setattr(os, "replace", fails)
        with pytest.raises(KeyboardInterrupt):
            make_dataset(plan, tmp_path / "out", resume=True)
        monkeypatch.setattr(os, "replace", real)
        kinds = {fault.kind for fault in verify(tmp_path / "out").faults if fault.item}
        assert kinds == ({"half"} if number else {"missing"})
    assert make_dataset(plan, tmp_path / "out", resume=True).n_made == 1
    assert not verify(tmp_path / "out").faults


def test_a_folder_that_cannot_be_written_is_named(load: Load, tmp_path: Path) -> None:
    """A place where nobody may write, and a file where a folder is wanted."""
    (tmp_path / "file").write_text("")
    for out in (Path("/proc/emgsim-dataset"), tmp_path / "file" / "set"):
        with pytest.raises(UsageError, match="cannot write the dataset") as caught:
            make_dataset(load(SIX), out)
        assert str(out) in str(caught.value)


def test_two_plans_never_share_a_folder(load: Load, tmp_path: Path, whole: Path) -> None:
    """Neither when made nor when merged: their seeds could clash."""
    other = load(SIX.replace("1.0", "0.5"))
    with pytest.raises(UsageError, match="another dataset"):
        make_dataset(other, whole, resume=True)
    make_dataset(other, tmp_path / "other")
    with pytest.raises(InputError, match=r"different plans(.|\n)*clash"):
        merge([whole, tmp_path / "other"], tmp_path / "both")


def test_a_shard_is_made_by_one_process_at_a_time(load: Load, whole: Path) -> None:
    """Two of one shard would write over each other."""
    with alone(whole, "1-1"), pytest.raises(UsageError, match="another process"):
        make_dataset(load(SIX), whole, resume=True)


def test_failed_items_do_not_stop_the_others(load: Load, tmp_path: Path) -> None:
    """A needle that leaves the muscle in some of the items: those are counted and named."""
    text = (
        "subjects = 1\n[[parameters]]\nkey='electrode.tip.x_mm'\nkind='grid'\nvalues=[0.0, 9.0]\n"
    )
    with pytest.raises(InputError, match="1 of 2 items failed: 000001; the first said"):
        make_dataset(load(text), tmp_path / "out")
    assert verify(tmp_path / "out").n_whole == 1


def test_a_damaged_plan_in_a_folder_is_told(whole: Path) -> None:
    """A changed seed in ``dataset.json`` is not a dataset any more."""
    path = whole / HEAD
    path.write_text(path.read_text().replace('"seed": 7', '"seed": 8'))
    with pytest.raises(InputError, match="edited or damaged"):
        verify(whole)


def test_progress_says_rate_and_time_left() -> None:
    """In a line now and then, and failures at once."""
    lines: list[str] = []
    progress = Progress(4, lines.append, every_s=0.0)
    progress(Told(index=0, id="000000", cpu_s=2.0, n_bytes=3_000_000))
    progress(Told(index=1, id="000001", error="it broke"))
    assert "1/4 items" in lines[0]
    assert "2 CPU s and 3 MB each, about" in lines[0]
    assert lines[1] == "item 000001 failed: it broke"
    assert [in_time(s) for s in (90, 600, 9000)] == ["90 s", "10 min", "2.5 h"]
    assert [in_bytes(n) for n in (1, 2e3, 3e12)] == ["1 B", "2 kB", "3 TB"]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask is not needed until somebody names a cluster."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"emgsim\[dask\]"):
        cluster("tcp://127.0.0.1:9")
