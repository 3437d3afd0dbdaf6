"""The record of a campaign: what became of each cell, and what all of them say together."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from emgsim.records.journal import Line, plain
from emgsim.records.record import RunRecord, fold
from emgsim.verdict import Measurement

SCHEMA = "emgsim.campaign_run/1"
CAMPAIGN = "campaign.json"
RUNS = "runs"  # the folder of the cells' runs in a campaign's folder
COMMON = (
    "run_id", "status", "exit_code", "started", "ended", "detector", "versions", "checkout", "host",
    "digests", "resumed",
)  # fmt: skip
# What became of a cell, or what was judged in it, the worst first
WORST_FIRST = (
    "broken", "interrupted", "skipped", "not_run", "fail", "inconclusive", "conditional_fail",
    "conditional_pass", "pass", "not_judged",
)  # fmt: skip
PASSED = ("pass", "conditional_pass", "not_judged")
CODES = (4, 5, 3, 2, 1, 0)  # of several exit codes the first of these counts


@dataclass(frozen=True, kw_only=True)
class CampaignRecord:
    """Everything that is known about one campaign; the only source of its reports.

    ``run`` is what it shares with a run: when, by which code, how it ended; its ``scenario`` is the
    campaign. Each of ``cells`` has ``id, scenario, title, kind, rig, seed, values, folder, status,
    verdict, exit_code, seconds, firmware, judged`` (the measurements with a limit) and ``why``
    (``what, where, todo`` of what broke it). ``detection`` and ``agreement`` are those of
    `emgsim.campaigns.pooling`, ``requirements`` those of `emgsim.records.requirements`.
    """

    run: RunRecord
    cells: tuple[Line, ...] = ()
    detection: tuple[Line, ...] = ()
    agreement: tuple[Line, ...] = ()
    requirements: tuple[Line, ...] = ()

    @property
    def verdict(self) -> str:
        """What became of the worst cell."""
        return worst(cell["verdict"] for cell in self.cells)

    def table(self) -> Line:
        """Return the record as plain values; what is not known is None."""
        values = {
            "schema": SCHEMA,
            "campaign": self.run.scenario,
            **{name: getattr(self.run, name) for name in COMMON},
            "verdict": self.verdict,
            "cells": self.cells,
            "detection": self.detection,
            "agreement": self.agreement,
            "requirements": self.requirements,
        }
        return dict(_known(json.loads(json.dumps(values, default=plain))))

    def to_json(self) -> str:
        """Return the record as the text of ``campaign.json``."""
        return json.dumps(self.table(), indent=1, sort_keys=True, allow_nan=False) + "\n"


def judged_in(cell: Line) -> tuple[Measurement, ...]:
    """Return the measurements of a cell that have a limit."""
    return fold({"kind": "measurement", **row} for row in cell["judged"]).measurements


def worst(verdicts: Iterable[str]) -> str:
    """Return the worst of some verdicts; of none, that nothing was run.

    Examples
    --------
    >>> worst(["pass", "broken", "fail"])
    'broken'
    """
    seen = set(verdicts)
    return next((verdict for verdict in WORST_FIRST if verdict in seen), "not_run")


def worst_code(codes: Iterable[int]) -> int:
    """Return the exit code that counts of several: 4, 5, 3, 2, 1, 0, the first of these.

    Examples
    --------
    >>> worst_code([0, 1, 5])
    5
    """
    seen = set(codes)
    return next((code for code in CODES if code in seen), max(seen, default=0))


def _known(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_known(item) for item in value]
    return value
