"""The items of a plan, one by one: item K follows from the plan and from K alone.

The plan is never unrolled. Items stand in the order scenario, subject, recording, point of the
grids, muscle (of an examination), variant; the last one changes fastest.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from emgsim.dataset.made import SPLITS, Item, Split, Value
from emgsim.dataset.parameters import Drawn, Grid, LatinHypercube, List
from emgsim.dataset.plan import Plan, Source, plan_from
from emgsim.errors import UsageError
from emgsim.seeds import stream

NARROWEST_ID, NARROWEST_SUBJECT = 6, 4  # digits
SEED_BITS = 52  # JSON readers hold whole numbers up to 53


class Place(NamedTuple):
    """Where an item stands in its plan, each number from 0 on."""

    source: int
    subject: int  # of all subjects
    recording: int
    point: int  # of the crossed grids
    muscle: int
    variant: int
    base: int  # the item without its variants: what pairs share


class Items:
    """The items of a plan.

    Parameters
    ----------
    plan
        A resolved one, with its sources.

    Examples
    --------
    >>> from emgsim.dataset.plan import Source
    >>> table = {"schema": "emgsim.dataset/1", "id": "x", "title": "x", "licence": "CC0-1.0",
    ...          "authors": ["x"], "seed": 1, "scenarios": ["healthy_biceps"], "subjects": 3,
    ...          "recordings": 2, "sources": [{"id": "healthy_biceps", "table": {}}]}
    >>> items = Items(plan_from(table, "x"))
    >>> len(items), items[5].id, items[5].subject
    (6, '000005', '0003')
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._grids = [p for p in plan.parameters if isinstance(p, Grid)]
        self._n_points = [prod(len(g.values) for g in self._of(s)) for s in plan.sources]
        sizes = [self._n_bases(number) for number in range(len(plan.sources))]
        self._starts = [0, *accumulate(sizes)]
        self._n_variants = max(1, len(plan.variants))

    def __len__(self) -> int:
        return self._starts[-1] * self._n_variants

    def __iter__(self) -> Iterator[Item]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Item:
        """Return an item.

        Raises
        ------
        UsageError
            If the plan has no item of that number.
        """
        place = self.place(index)
        plan, source = self.plan, self.plan.sources[place.source]
        variant = plan.variants[place.variant] if plan.variants else None
        values = self._values(source, place)
        own = () if variant is None else variant.set
        overrides = (*plan.set, *(f"{key}={_toml(value)}" for key, value in values.items()), *own)
        if source.muscles:
            values = {"muscle": source.muscles[place.muscle], **values}
        return Item(
            index=index,
            id=self.id_of(index),
            scenario=source.id,
            overrides=overrides,
            parameters=values,
            subject=f"{place.subject + 1:0{self._subject_width}d}",
            seed=self._first_seed("recordings") + place.base,
            split=SPLITS[self._splits[place.subject]],
            pair="" if variant is None else f"p{self.id_of(index - place.variant)}",
            variant="" if variant is None else variant.name,
        )

    def place(self, index: int) -> Place:
        """Return where an item stands.

        Raises
        ------
        UsageError
            If the plan has no item of that number.
        """
        if not 0 <= index < len(self):
            raise UsageError(
                f"the plan has the items 0 to {len(self) - 1}, got {index}",
                todo="`emgsim dataset plan` shows them",
            )
        base, variant = divmod(index, self._n_variants)
        number = bisect_right(self._starts, base) - 1
        source, left = self.plan.sources[number], base - self._starts[number]
        left, muscle = divmod(left, max(1, len(source.muscles)))
        left, point = divmod(left, self._n_points[number])
        subject, recording = divmod(left, self.plan.recordings)
        subject += number * self.plan.subjects
        return Place(number, subject, recording, point, muscle, variant, base)

    def id_of(self, index: int) -> str:
        """Return the id of an item: its number, all ids of one width."""
        return f"{index:0{max(NARROWEST_ID, len(str(len(self) - 1)))}d}"

    def index_of(self, id: str) -> int:
        """Return the number of the item of an id.

        Raises
        ------
        UsageError
            If it is no id of the plan.
        """
        index = int(id) if id.isdecimal() else -1
        if not 0 <= index < len(self):
            raise UsageError(f"an item must be a number from 0 to {len(self) - 1}, got {id!r}")
        return index

    def source_of(self, item: Item) -> Source:
        """Return the file that an item is made from."""
        return self.plan.sources[self.place(item.index).source]

    def person_seed(self, item: Item) -> int:
        """Return the seed of an item's subject: where its fibres lie, whatever is recorded."""
        return self._first_seed("subjects") + self.place(item.index).subject

    @property
    def n_subjects(self) -> int:
        """Number of simulated persons."""
        return len(self.plan.sources) * self.plan.subjects

    def balance(self) -> dict[str, dict[Split, int]]:
        """Return how many items each scenario has in each split."""
        counts: dict[str, dict[Split, int]] = {}
        n = self.plan.subjects
        for number, source in enumerate(self.plan.sources):
            each = self._n_bases(number) * self._n_variants // n
            own = self._splits[number * n : (number + 1) * n]
            counts[source.id] = {
                name: each * int(np.count_nonzero(own == k)) for k, name in enumerate(SPLITS)
            }
        return counts

    @property
    def _subject_width(self) -> int:
        return max(NARROWEST_SUBJECT, len(str(self.n_subjects)))

    def _of(self, source: Source) -> list[Grid]:
        return [g for g in self._grids if not g.scenarios or source.id in g.scenarios]

    def _n_bases(self, number: int) -> int:
        """Return how many items a source has, variants not counted."""
        n_muscles = max(1, len(self.plan.sources[number].muscles))
        return self.plan.subjects * self.plan.recordings * self._n_points[number] * n_muscles

    def _first_seed(self, role: str) -> int:
        """Return the first of a row of seeds: numbers that follow each other cannot clash."""
        words = np.random.SeedSequence(self.plan.seed, spawn_key=(crc32(role.encode()),))
        return int(words.generate_state(1, np.uint64)[0]) >> (64 - SEED_BITS)

    @cached_property
    def _splits(self) -> NDArray[np.uint8]:
        """The split of each subject, by its number in `SPLITS`.

        Subjects are taken in a random order, scenario by scenario, and each goes to the split that
        lacks most: every scenario is spread over the splits as well as its subjects allow.
        """
        n, shares = self.plan.subjects, np.array([*self.plan.splits.shares.values()])
        splits, counts = np.zeros(self.n_subjects, np.uint8), np.zeros(len(SPLITS))
        for number in range(len(self.plan.sources)):
            for subject in stream(self.plan.seed, "splits", number).permutation(n):
                lacking = shares * (counts.sum() + 1) - counts
                chosen = int(np.argmax(lacking))
                splits[number * n + subject] = chosen
                counts[chosen] += 1
        return splits

    def _values(self, source: Source, place: Place) -> dict[str, Value]:
        """Return what is listed or drawn for an item, by key."""
        values: dict[str, Value] = {}
        left = place.point
        for grid in reversed(self._of(source)):
            left, at = divmod(left, len(grid.values))
            values = {grid.key: grid.values[at], **values}
        for one in self.plan.parameters:
            if isinstance(one, Grid):
                continue
            for drawn in one.over if isinstance(one, LatinHypercube) else (one,):
                if not drawn.scenarios or source.id in drawn.scenarios:
                    number = place.subject if drawn.per == "subject" else place.base
                    values[drawn.key] = self._value(drawn, number, isinstance(one, LatinHypercube))
        return values

    def _value(self, drawn: List | Drawn, number: int, is_latin: bool) -> Value:
        if isinstance(drawn, List):
            return drawn.values[number % len(drawn.values)]
        share = float(stream(self.plan.seed, f"parameter {drawn.key}", number).uniform())
        if is_latin:
            n = self.n_subjects if drawn.per == "subject" else self._starts[-1]
            order = _order(self.plan.seed, drawn.key, n)
            share = (float(order[number]) + share) / n
        return drawn.at(share)


@lru_cache(maxsize=64)
def _order(seed: int, key: str, n: int) -> NDArray[np.int64]:
    """Return the part of a key's distribution that each of n draws of a hypercube falls into."""
    return np.asarray(stream(seed, f"latin hypercube {key}").permutation(n))


@lru_cache(maxsize=4)
def items_of(text: str) -> Items:
    """Return the items of a resolved plan as JSON; a worker reads it once."""
    return Items(plan_from(json.loads(text), "the plan"))


def _toml(value: Value) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def row(item: Item) -> dict[str, Any]:
    """Return an item as plain JSON."""
    return {name: getattr(item, name) for name in Item.__dataclass_fields__} | {
        "overrides": list(item.overrides), "parameters": dict(item.parameters),
    }  # fmt: skip
