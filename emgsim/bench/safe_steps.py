"""Steps into the safe state: each is tried, within its time, whatever became of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from emgsim.errors import EmgsimError


@dataclass(frozen=True)
class SafeStep:
    """What became of one step into the safe state."""

    name: str
    confirmed: bool
    why: str = ""


def taken(steps: Mapping[str, Callable[[], None]], deadline_s: float) -> tuple[SafeStep, ...]:
    """Take steps at once, and give up those that are not done in time.

    Parameters
    ----------
    steps
        By name; what one meets is told and not raised.
    deadline_s
        For all of them, as they are taken side by side.
    """
    failures: dict[str, list[str]] = {name: [] for name in steps}

    def take(name: str) -> None:
        try:
            steps[name]()
        except Exception as error:
            failures[name].append(error.what if isinstance(error, EmgsimError) else repr(error))

    threads = {
        name: threading.Thread(target=take, args=(name,), name=name, daemon=True) for name in steps
    }
    ends_s = time.monotonic() + deadline_s
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, ends_s - time.monotonic()))
    return tuple(
        SafeStep(name, confirmed=False, why=f"not done within {deadline_s:g} s")
        if thread.is_alive()
        else SafeStep(name, confirmed=not failures[name], why="".join(failures[name]))
        for name, thread in threads.items()
    )
