"""What a dataset will take, before anything starts: items, bytes, time, balance.

The cost is that of one item, made whole and written to a temporary folder, and scaled with the
samples of the others; a sample of items all over the plan is resolved for it, so that values which
do not fit a scenario are seen at once.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emgsim.configuration import refused
from emgsim.dataset import folder as place
from emgsim.dataset.engine import in_bytes, in_time
from emgsim.dataset.items import Items
from emgsim.dataset.made import SPLITS, Item, Value
from emgsim.dataset.making import make, scenario_of
from emgsim.dataset.parameters import each
from emgsim.dataset.writing import write_format, write_tables
from emgsim.errors import EmgsimError

LOOKED_AT = 100  # items that are resolved
SHOWN_MISTAKES = 20
WARM_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What a plan comes to.

    ``timed`` is the item that was made for it, ``cpu_s`` what that took, and ``core_s`` what all
    will take; ``format_bytes`` is of the whole set.
    """

    n_items: int
    n_subjects: int
    hours: float  # of signal
    timed: str
    cpu_s: float
    core_s: float
    format_bytes: dict[str, int]
    balance: dict[str, dict[str, int]]
    variants: tuple[str, ...]
    ranges: dict[str, str]

    def table(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "variants": list(self.variants)
        }

    def __str__(self) -> str:
        lines = [
            f"{self.n_items} items of {self.n_subjects} subjects, {self.hours:.3g} h of signal",
            f"item {self.timed} took {self.cpu_s:.3g} CPU s: {in_time(self.core_s)} on one core, "
            f"{self.core_s / 3600:.3g} core-hours in all",
            *(f"{in_bytes(n):>9} as {name}" for name, n in self.format_bytes.items()),
            "",
            *_columns(
                ["class", *SPLITS, "all"],
                [
                    [name, *map(str, row.values()), str(sum(row.values()))]
                    for name, row in self.balance.items()
                ],
            ),
        ]
        if self.variants:
            lines.append(f"each in {len(self.variants)} variants: {', '.join(self.variants)}")
        if self.ranges:
            lines += ["", *(f"{key}: {words}" for key, words in self.ranges.items())]
        return "\n".join(lines)


def foresee(items: Items) -> Foreseen:
    """Return what a plan will take; one item is made for it.

    Raises
    ------
    InputError
        If values of the plan do not fit a scenario; each kind of mistake is named once.
    """
    looked = [items[k] for k in _spread(len(items), LOOKED_AT)]
    durations_s, samples = zip(*_sizes_of(items, looked), strict=True)
    mean, first = sum(samples) / len(samples), items[0]
    with tempfile.TemporaryDirectory(prefix="emgsim-plan-") as folder:
        cpu_s, n_bytes = _made_once(items, first, Path(folder))
    ratio = len(items) * mean / samples[0]
    return Foreseen(
        n_items=len(items),
        n_subjects=items.n_subjects,
        hours=len(items) * sum(durations_s) / len(durations_s) / 3600,
        timed=first.id,
        cpu_s=cpu_s,
        core_s=cpu_s * ratio,
        format_bytes={name: round(n * ratio) for name, n in n_bytes.items()},
        balance={
            name: {str(k): n for k, n in row.items()} for name, row in items.balance().items()
        },
        variants=tuple(variant.name for variant in items.plan.variants),
        ranges=_ranges(items, looked),
    )


def _spread(n: int, most: int) -> list[int]:
    return sorted({k * n // most for k in range(most)}) if n > most else list(range(n))


def _sizes_of(items: Items, looked: Iterable[Item]) -> list[tuple[float, float]]:
    """Return how many seconds and samples items have, or name what does not fit."""
    sizes, mistakes = [], dict[str, str]()
    for item in looked:
        try:
            scenario, _ = scenario_of(items.source_of(item), item)
            duration_s = scenario.duration_s
            sizes.append((duration_s, duration_s * scenario.acquisition.rate_hz))
        except EmgsimError as error:
            mistakes.setdefault(error.what, f"item {item.id}: {error.what}")
    if mistakes:
        raise refused([*mistakes.values()][:SHOWN_MISTAKES], "the plan's items")
    return sizes


def _made_once(items: Items, item: Item, folder: Path) -> tuple[float, dict[str, int]]:
    """Make and write one item; return what it took: CPU seconds and bytes by format."""
    began_s = time.process_time()
    made = make(items, item)
    if time.process_time() - began_s < WARM_S:  # the first one compiles and imports, too
        began_s = time.process_time()
        made = make(items, item)
    n_bytes: dict[str, int] = {}
    for name in items.plan.formats:
        if name != "zarr":  # packed of all items at the end
            write_format(name, folder / name, items.plan.head, made)
            n_bytes[name] = _size(folder / name)
    write_tables(folder / "tables" / place.item_folder(item.id), made)
    n_bytes["labels"] = _size(folder / "tables")
    return time.process_time() - began_s, n_bytes


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _ranges(items: Items, looked: list[Item]) -> dict[str, str]:
    """Return what each parameter does, by the items that were looked at."""
    ranges = {}
    for one in each(items.plan.parameters):
        values = [item.parameters[one.key] for item in looked if one.key in item.parameters]
        ranges[one.key] = f"{one.kind}, {in_words(values)}"
    return ranges


def in_words(values: list[Value]) -> str:
    """Return the range of numbers, or how often each word is there."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if numbers and len(numbers) == len(values):
        return f"{min(numbers):g} to {max(numbers):g}, mean {sum(numbers) / len(numbers):.4g}"
    words = sorted({str(value) for value in values})
    return ", ".join(f"{word} x {[str(v) for v in values].count(word)}" for word in words)


def _columns(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, *rows]
    ]
