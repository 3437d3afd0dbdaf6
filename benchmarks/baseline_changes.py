"""What a study of baselines is about: a thing that is measured, and deliberate changes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from emgsim.verdict import Measurement

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Change(Generic[T]):
    """A deliberate change, of any size.

    Attributes
    ----------
    acts_on
        Id of the measurement that must tell it.
    largest
        Size beyond which no change is looked for; there it moves that measurement by far more than
        1.5 margins.
    made
        Returns the changed thing for a size; size 0 changes nothing.
    """

    name: str
    acts_on: str
    largest: float
    made: Callable[[float], T]


@dataclass(frozen=True, kw_only=True)
class Subject(Generic[T]):
    """What is watched: how it is measured, and which differences matter.

    Attributes
    ----------
    unchanged
        The thing as the baseline has it.
    margins
        By a measurement's id. They are one family.
    measured
        Returns all measurements of a run of a thing with a seed.
    n_baseline, n_check
        Runs of a baseline, and of a check.
    searched
        Seeds on which the sizes of changes are sought.
    """

    name: str
    unchanged: T
    margins: Mapping[str, float]
    changes: Sequence[Change[T]]
    measured: Callable[[T, int], Sequence[Measurement]]
    n_baseline: int
    n_check: int
    searched: range

    def change(self, name: str) -> Change[T]:
        """Return a change by its name."""
        return next(change for change in self.changes if change.name == name)

    def values(self, name: str, size: float, seed: int) -> dict[str, Any]:
        """Return value and unit of what is watched, by id, of a run with a change."""
        thing = self.unchanged if size == 0 else self.change(name).made(size)
        rows = {row.id: row for row in self.measured(thing, seed)}
        return {id: [rows[id].value, rows[id].unit] for id in self.margins}
