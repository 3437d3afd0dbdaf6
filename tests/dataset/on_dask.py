"""Make a dataset on a real local Dask cluster of two processes, and kill one of them meanwhile.

A program of its own, as Dask leaves threads behind in whoever uses it:
``python on_dask.py PLAN FOLDER``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import LocalCluster

from emgsim.dataset.carrying_out import make_dataset
from emgsim.dataset.engine import cluster
from emgsim.dataset.plan import load_plan


class Killing(Executor):
    """Hands work to a cluster, and kills one of its workers with the third task."""

    def __init__(self, pool: Executor, pid: int) -> None:
        self._pool, self._pid, self._n = pool, pid, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand out a task."""
        self._n += 1
        if self._n == 3:
            os.kill(self._pid, signal.SIGKILL)
            print("killed", flush=True)
        return self._pool.submit(fn, *args, **kwargs)


if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as local:
        opened, n_threads = cluster(local.scheduler_address)
        print(f"{n_threads} threads", flush=True)

        @contextmanager
        def deadly() -> Iterator[Executor]:
            """Open the cluster's workers."""
            with opened() as pool:
                yield Killing(pool, next(iter(local.workers.values())).pid)

        progress = make_dataset(load_plan(Path(sys.argv[1])), Path(sys.argv[2]), pools=deadly)
        print(f"{progress.n_made + progress.n_kept} items")
