"""Limits, measurements and verdicts: pure rules, no input or output.

The four verdicts follow the binary statement with guard band of ILAC-G8:09/2019: a value inside
its limits whose interval crosses one is a conditional pass; a value outside whose interval reaches
in is a conditional fail. NaN never passes.

A limit may serve requirements of whoever has it measured, e.g. ``SRS-042``: by their ids a reviewer
finds what has verified each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Verdict = Literal[
    "pass", "conditional_pass", "conditional_fail", "fail", "inconclusive", "not_judged"
]

REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}")


def requirement_ids(said: str | Iterable[str]) -> tuple[str, ...]:
    """Return the ids of requirements, each once, as a file or a test names them.

    Parameters
    ----------
    said
        One id, or several: 1 to 64 letters, digits and ``. _ : / # -``, a letter or digit first.

    Raises
    ------
    ValueError
        If it is neither, or one of them is no such id.
    """
    ids = [said] if isinstance(said, str) or not isinstance(said, Iterable) else list(said)
    for id in ids:
        if not isinstance(id, str) or not REQUIREMENT.fullmatch(id):
            raise ValueError(
                "a requirement's id is 1 to 64 letters, digits and . _ : / # - with a letter or "
                f"digit first, got {id!r}; several of them are a list"
            )
    return tuple(dict.fromkeys(ids))


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a measurement must hold: ``low <= value <= high`` in the given unit."""

    measurement: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    source: str = ""
    requirements: tuple[str, ...] = ()  # the ids of those that it serves

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit and self.unit != "1" else ""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} .. {self.high:g}{unit}"
        if self.low is not None:
            return f">= {self.low:g}{unit}"
        return f"<= {self.high:g}{unit}"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measured value with its interval; ``id`` is ``<analysis>.<measure>.<path>``."""

    id: str
    value: float
    unit: str
    low: float | None = None  # bounds of the 95 % interval of the value
    high: float | None = None
    note: str = ""
    limit: Limit | None = None
    verdict: Verdict = "not_judged"


def judge(measurement: Measurement, limit: Limit) -> Measurement:
    """Return the measurement with its limit and verdict filled in.

    Raises
    ------
    ValueError
        If the units differ: a limit without the measurement's unit means something else.
    """
    if limit.unit != measurement.unit:
        raise ValueError(
            f"limit of {measurement.id} is in {limit.unit!r}, the value in {measurement.unit!r}"
        )
    low = -math.inf if limit.low is None else limit.low
    high = math.inf if limit.high is None else limit.high
    value = measurement.value
    bottom = value if measurement.low is None else measurement.low
    top = value if measurement.high is None else measurement.high
    verdict: Verdict
    if math.isnan(value) or math.isnan(bottom) or math.isnan(top):
        verdict = "inconclusive"
    elif low <= value <= high:
        verdict = "pass" if low <= bottom and top <= high else "conditional_pass"
    else:
        verdict = "conditional_fail" if top >= low and bottom <= high else "fail"
    return replace(measurement, limit=limit, verdict=verdict)
