"""Many workers: processes of this machine, or of a Dask cluster, and what happens if one dies.

Work is handed out as it is asked for, a few chunks ahead, so that this process stays as small with
a million items as with ten. What a dead worker had in hand is tried once more, item by item; an
item whose worker dies again is named, and the others go on.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from emgsim.dataset.work import Told, begin_worker
from emgsim.errors import UsageError

CHUNK_S = 0.5  # of work in one task: handing it out costs some milliseconds
LARGEST_CHUNK = 64
AHEAD = 2  # chunks per worker that are handed out and not done
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PRELOADED = ["emgsim.dataset.work", "emgsim.dataset.making", "emgsim.simulation"]

Work = Callable[[Sequence[int]], list[Told]]
Pools = Callable[[], AbstractContextManager[Executor]]
Tell = Callable[[Told], None]
Flying = dict["Future[list[Told]]", tuple[int, ...]]


def processes(n_workers: int) -> Pools:
    """Return what opens a pool of processes of this machine, one thread of BLAS in each."""
    return partial(_process_pool, n_workers)


@contextmanager
def _process_pool(n_workers: int) -> Iterator[Executor]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # read when a library is loaded
    pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=begin_worker)
    try:
        pool.submit(os.getpid).result()  # the workers' server has its environment now
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def cluster(address: str) -> tuple[Pools, int]:
    """Return what opens the workers of a Dask cluster, and how many threads they have.

    A cluster that grows later is fed as one of its size at the beginning, two tasks a thread.

    Raises
    ------
    UsageError
        If Dask is not installed, or nothing answers at the address.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError(
            "--cluster needs Dask, which is not installed", todo="pip install 'emgsim[dask]'"
        ) from error

    @contextmanager
    def workers() -> Iterator[Executor]:
        with Client(address, timeout="10s") as client, client.get_executor(pure=False) as executor:
            yield executor

    try:
        with Client(address, timeout="10s") as client:
            n_threads = sum(client.nthreads().values())
    except OSError as error:
        raise UsageError(
            "no Dask scheduler answers",
            where=address,
            todo="start one with `dask scheduler`, and workers with `dask worker ADDRESS`",
        ) from error
    return workers, max(1, n_threads)


@dataclass
class _Pace:
    """How many items make a task: as many as take `CHUNK_S`, by those that are done."""

    cpu_s: float = 0.0
    n: int = 0

    def chunk(self) -> int:
        if not self.n:
            return 1
        return max(1, min(LARGEST_CHUNK, int(CHUNK_S * self.n / max(self.cpu_s, 1e-9))))

    def note(self, told: Told) -> None:
        if told.cpu_s:
            self.cpu_s, self.n = self.cpu_s + told.cpu_s, self.n + 1


@dataclass
class Engine:
    """Items handed out to workers until all are done.

    Parameters
    ----------
    work
        Makes some items; it must be importable by the workers.
    pools
        Opens the workers, and opens new ones if they broke.
    n_workers
        About how many there are.
    tell
        Called with what became of each item.
    """

    work: Work
    pools: Pools
    n_workers: int
    tell: Tell
    _pace: _Pace = field(default_factory=_Pace)
    _is_over: bool = False

    def run(self, indices: Iterator[int]) -> None:
        """Make all items, in about their order; what fails is told and does not end it."""
        suspects: list[int] = []
        while not self._is_over:
            with self.pools() as pool:
                suspects = self._hand_out(pool, indices)
            if not suspects:
                return
            self._try_alone(suspects)

    def _hand_out(self, pool: Executor, indices: Iterator[int]) -> list[int]:
        """Hand out until all is done; or return what was in hand when a worker died."""
        flying: Flying = {}
        suspects: list[int] = []
        try:
            while True:
                while not (suspects or self._is_over) and len(flying) < AHEAD * self.n_workers:
                    chunk = tuple(islice(indices, self._pace.chunk()))
                    if not chunk:
                        break
                    try:
                        flying[pool.submit(self.work, chunk)] = chunk
                    except BrokenExecutor:  # it broke between two looks
                        suspects += chunk
                if not flying:
                    return suspects
                done, _ = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    suspects += self._taken(future, flying.pop(future))
        finally:
            for future in flying:
                future.cancel()

    def _taken(self, future: Future[list[Told]], chunk: tuple[int, ...]) -> tuple[int, ...]:
        """Tell what a task says; or return its items if its worker died."""
        try:
            every = future.result()
        except Exception:  # whatever a kind of pool says when a worker is gone
            return chunk
        for told in every:
            self._pace.note(told)
            self._is_over = self._is_over or told.is_end
            self.tell(told)
        return ()

    def _try_alone(self, suspects: list[int]) -> None:
        """Try the items that were in hand when a worker died once more, each by itself."""
        left = list(suspects)
        while left and not self._is_over:
            with self.pools() as pool:
                while left and not self._is_over:
                    index = left.pop(0)
                    if self._taken(pool.submit(self.work, (index,)), (index,)):
                        self.tell(_killed(index))
                        break


def _killed(index: int) -> Told:
    what = "the worker that made it died twice; is the memory enough?"
    return Told(index=index, id=str(index), error=what)


class Progress:
    """Counts what is told, and says now and then how far it is.

    Parameters
    ----------
    n_items
        How many there are to do.
    say
        Shows a line.
    every_s
        At least so long from line to line.
    """

    def __init__(self, n_items: int, say: Callable[[str], None], every_s: float = 2.0) -> None:
        self.n_items, self._say, self._every_s = n_items, say, every_s
        self.n_made = self.n_kept = self.n_bytes = 0
        self.cpu_s = 0.0
        self.failed: list[Told] = []
        self._began_s = self._said_s = time.monotonic()

    def __call__(self, told: Told) -> None:
        """Count an item."""
        if told.error:
            self.failed.append(told)
            if not told.is_end:  # what ends it all is said at the end
                self._say(f"item {told.id} failed: {told.error}")
        elif told.is_kept:
            self.n_kept += 1
        else:
            self.n_made += 1
            self.cpu_s, self.n_bytes = self.cpu_s + told.cpu_s, self.n_bytes + told.n_bytes
        now_s = time.monotonic()
        if now_s - self._said_s >= self._every_s:
            self._said_s = now_s
            self._say(self.line(now_s))

    def line(self, now_s: float | None = None) -> str:
        """Return how far it is, at which rate, and how long the rest may take."""
        now_s = time.monotonic() if now_s is None else now_s
        n_done = self.n_made + self.n_kept + len(self.failed)
        rate = self.n_made / max(now_s - self._began_s, 1e-9)
        left_s = (self.n_items - n_done) / rate if rate else float("nan")
        words = f"{n_done}/{self.n_items} items, {rate:.3g}/s"
        if self.n_made:
            words += f", {self.cpu_s / self.n_made:.2g} CPU s and "
            words += f"{in_bytes(self.n_bytes / self.n_made)} each"
        if n_done < self.n_items and rate:
            words += f", about {in_time(left_s)} left"
        return words


def in_time(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def in_bytes(n_bytes: float) -> str:
    """Return a number of bytes in words, in powers of a thousand."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
