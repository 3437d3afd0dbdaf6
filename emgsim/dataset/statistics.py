"""The descriptors of a whole dataset, class by class, and beside those of real recordings."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emgsim.dataset.finishing import done_rows
from emgsim.dataset.folder import Row
from emgsim.dataset.items import Items
from emgsim.dataset.made import Item
from emgsim.dataset.making import scenario_of
from emgsim.dataset.realism import UNITS, signal_descriptors
from emgsim.files.reading import read_recording
from emgsim.recording import SURFACE_KINDS

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One descriptor of one class: how many items have it, and three of its quantiles."""

    descriptor: str
    unit: str
    n: int
    low: float  # 5 %
    median: float
    high: float  # 95 %


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One descriptor of simulated and of real recordings.

    ``distance`` is the largest difference of the two distributions (Kolmogorov-Smirnov), and
    ``chance`` how often chance alone makes one as large, by its asymptotic law.
    """

    descriptor: str
    unit: str
    simulated: Summary
    real: Summary
    distance: float
    chance: float


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is published of a descriptor: its range in real recordings, of what, and by whom."""

    descriptor: str
    low: float
    high: float
    electrode: str  # "needle" or "surface"; "any": what motor neurons do
    of: str
    source: str

    def share(self, values: Sequence[float]) -> float:
        """Return which share of the values lies within the range."""
        return float(np.mean([self.low <= value <= self.high for value in values]))


Values = dict[str, list[float]]


def published() -> tuple[Published, ...]:
    """Return the published ranges, from ``published.toml``."""
    text = (Path(__file__).parent / "published.toml").read_text(encoding="utf-8")
    return tuple(Published(**row) for row in tomllib.loads(text)["ranges"])


def values_by_class(folder: Path, items: Items) -> dict[str, Values]:
    """Return each descriptor of each item that is there, by class: scenario and variant."""
    found: dict[str, Values] = {}
    for _, row in done_rows(folder, items):
        if row is not None:
            add(found.setdefault(_class_of(row), {}), row["descriptors"])
    return found


def classes_on_the_skin(folder: Path, items: Items) -> set[str]:
    """Return the classes whose first item is recorded on the skin."""
    first: dict[str, int] = {}
    for _, row in done_rows(folder, items):
        if row is not None:
            first.setdefault(_class_of(row), row["item"]["index"])
    return {name for name, index in first.items() if _is_on_the_skin(items, items[index])}


def _is_on_the_skin(items: Items, item: Item) -> bool:
    scenario, _ = scenario_of(items.source_of(item), item)
    return scenario.electrode.kind in SURFACE_KINDS


def _class_of(row: Row) -> str:
    return " ".join(filter(None, (row["item"]["scenario"], row["item"]["variant"])))


def add(values: Values, descriptors: Mapping[str, float | None]) -> None:
    """Add what is known of one recording."""
    for key, value in descriptors.items():
        if value is not None and math.isfinite(value):
            # To the digits of a ``.done``: the last bits of float32 must not tell two sets apart.
            values.setdefault(key, []).append(float(f"{value:.6g}"))


def summaries(values: Values) -> list[Summary]:
    """Return the quantiles of each descriptor, in a fixed order."""
    return [summary(key, values[key]) for key in UNITS if values.get(key)]


def summary(key: str, values: Sequence[float]) -> Summary:
    """Return the quantiles of one descriptor."""
    low, median, high = (float(q) for q in np.quantile(values, QUANTILES))
    return Summary(
        descriptor=key, unit=UNITS[key], n=len(values), low=low, median=median, high=high
    )


def compare_with(simulated: Values, real: Iterable[Path]) -> list[Compared]:
    """Compare a dataset with recordings, descriptor by descriptor.

    Parameters
    ----------
    simulated
        From `values_by_class`, of the classes that are meant to be alike.
    real
        Files of any format that is read.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    others: Values = {}
    for path in real:
        add(others, signal_descriptors(read_recording(path)[0]))
    return [
        Compared(
            descriptor=key,
            unit=UNITS[key],
            simulated=summary(key, simulated[key]),
            real=summary(key, others[key]),
            distance=(distance := largest_difference(simulated[key], others[key])),
            chance=chance_of(distance, len(simulated[key]), len(others[key])),
        )
        for key in UNITS
        if simulated.get(key) and others.get(key)
    ]


def largest_difference(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the largest difference of two empirical distributions.

    Examples
    --------
    >>> largest_difference([1.0, 2.0], [3.0, 4.0, 5.0])
    1.0
    """
    every = np.sort(np.concatenate([first, second]))
    shares = [np.searchsorted(np.sort(one), every, side="right") / len(one) for one in
              (first, second)]  # fmt: skip
    return float(np.max(np.abs(shares[0] - shares[1])))


def chance_of(distance: float, n: int, m: int) -> float:
    """Return how often two samples of one distribution differ so much (Stephens 1970, asymptotic).

    With fewer than about eight in either sample it is a rough number.
    """
    root = math.sqrt(n * m / (n + m))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * math.pow(k * scaled, 2)) for k in range(1, 101))
    return float(min(1.0, max(0.0, 2 * math.fsum(terms))))
