"""Which part of a dataset one process makes: ``k/n``, or what a queue's environment says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emgsim.errors import UsageError

AUTO = "auto"
TODO = "write K/N with 1 <= K <= N, auto in a SLURM array, or auto/N in an indexed Kubernetes job"


@dataclass(frozen=True)
class Shard:
    """Part ``number`` of ``count``, from 1 on: every ``count``-th item."""

    number: int = 1
    count: int = 1

    def indices(self, n_items: int) -> range:
        """Return the items that belong to it."""
        return range(self.number - 1, n_items, self.count)

    def __str__(self) -> str:
        return f"{self.number}-{self.count}"


def shard_of(words: str | None, environment: Mapping[str, str]) -> Shard:
    """Return the shard that ``--shard`` means.

    Parameters
    ----------
    words
        ``k/n`` from 1 on; ``auto`` in a SLURM array (``SLURM_ARRAY_TASK_ID``, ``_MIN``, ``_STEP``
        and ``_COUNT``); ``auto/n`` where ``JOB_COMPLETION_INDEX`` counts from 0 (Kubernetes does
        not say how many there are); None: all of it.
    environment
        Of the process.

    Raises
    ------
    UsageError
        If it is none of these, or the environment does not say what is needed.

    Examples
    --------
    >>> shard_of("2/3", {}).indices(8)
    range(1, 8, 3)
    >>> shard_of("auto/3", {"JOB_COMPLETION_INDEX": "0"})
    Shard(number=1, count=3)
    """
    if words is None:
        return Shard()
    first, _, second = words.partition("/")
    try:
        number, count = _auto(second, environment) if first == AUTO else (int(first), int(second))
    except (KeyError, ValueError) as error:
        missing = f": {error.args[0]} is not set" if isinstance(error, KeyError) else ""
        raise UsageError(f"no shard {words!r}{missing}", todo=TODO) from error
    if not 1 <= number <= count:
        raise UsageError(f"a shard must be 1 to {count} of {count}, got {number}", todo=TODO)
    return Shard(number, count)


def _auto(count: str, environment: Mapping[str, str]) -> tuple[int, int]:
    if "SLURM_ARRAY_TASK_ID" in environment:
        first = int(environment.get("SLURM_ARRAY_TASK_MIN", "1"))
        step = int(environment.get("SLURM_ARRAY_TASK_STEP", "1"))
        number = (int(environment["SLURM_ARRAY_TASK_ID"]) - first) // step + 1
        return number, int(count or environment["SLURM_ARRAY_TASK_COUNT"])
    return int(environment["JOB_COMPLETION_INDEX"]) + 1, int(count)
