"""What a diagnosis says: a fault's name, its part of the rig, its time and size, and how sure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Part = Literal[
    "generator",
    "oscilloscope",
    "fixture",
    "lead",
    "amplifier",
    "lead or amplifier",
    "converter",
    "lead, amplifier or converter",
    "link",
]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A fault that one recorder shows, on the player's clock.

    ``statistic`` is what was compared with ``threshold``; each rule says what it is.
    """

    name: str
    start_s: float | None = None  # None: from the beginning
    stop_s: float | None = None  # None: to the end
    within_s: float = 0.0  # ``start_s`` and ``stop_s`` are known no better
    value: float
    unit: str
    statistic: float
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A fault of a rig, on the scenario's clock."""

    name: str
    path: str  # that shows it: "loopback", "device", "monitor"
    part: Part
    start_s: float | None
    stop_s: float | None
    within_s: float
    value: float
    unit: str
    statistic: float
    threshold: float
    todo: str

    def __str__(self) -> str:
        return line(self.table())

    def table(self) -> dict[str, Any]:
        """Return it as plain values, as the journal has it."""
        return asdict(self)


def line(table: dict[str, Any]) -> str:
    """Write a diagnosis, given as plain values, in one line.

    Examples
    --------
    >>> line({"path": "device", "part": "converter", "name": "clock step", "value": 40.0,
    ...       "unit": "samples", "start_s": 1.25, "stop_s": None, "within_s": 0.002})
    'device: clock step (40 samples), from 1.250 s (+-2 ms) on; part: converter'
    """
    size = f" ({table['value']:.3g} {table['unit']})" if table["unit"] != "1" else ""
    return f"{table['path']}: {table['name']}{size}, {when(table)}; part: {table['part']}"


def when(table: dict[str, Any]) -> str:
    """Write when a diagnosis holds."""
    start_s, stop_s = table["start_s"], table["stop_s"]
    about = f" (+-{1e3 * table['within_s']:.2g} ms)" if table["within_s"] else ""
    if start_s is None and stop_s is None:
        return "whole playback"
    if stop_s is None:
        return f"from {start_s:.3f} s{about} on"
    if start_s is None:
        return f"until {stop_s:.3f} s{about}"
    return f"{start_s:.3f} to {stop_s:.3f} s{about}"
