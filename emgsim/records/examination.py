"""The record of an examination: what its muscles' runs share, and what they say together."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from emgsim.records.journal import Line
from emgsim.records.record import RunRecord
from emgsim.records.requirements import traceability

SCHEMA = "emgsim.exam_run/1"
# Who found it: the truth as a perfect observer has it, and the paths of each muscle's run
FINDERS = {"observer": "truth", "truth": "clean signal", "device": "device"}
COMMON = (
    "run_id", "status", "exit_code", "started", "ended", "seed", "rig", "detector", "versions",
    "checkout", "host", "digests", "previous", "prepare", "resumed", "measurements", "stages",
    "files", "errors", "verdict",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ExamRecord:
    """Everything that is known about one examination; the only source of its reports.

    ``run`` is what it shares with the run of a scenario; its ``scenario`` is the examination, its
    ``measurements`` are those of all muscles. Each of ``muscles`` has ``name, folder, verdict,
    exit_code, holes, moves, seconds, shows``, and by finder (`FINDERS`) the ``row`` of the findings
    table, the rows of its ``places`` and the ``axes``. ``localisation`` has by finder the ``rank``
    of the true lesion, and the probable ``lesions``.
    """

    run: RunRecord
    muscles: tuple[Line, ...] = ()
    localisation: dict[str, Line] = field(default_factory=dict)

    def table(self) -> Line:
        """Return the record as plain values; what is not known is None."""
        run = json.loads(self.run.to_json())
        table = {
            "schema": SCHEMA,
            "examination": run["scenario"],
            **{name: run[name] for name in COMMON},
            "muscles": _plain(self.muscles),
            "localisation": _plain(self.localisation),
        }
        return table | {"traceability": traceability([table])}

    def to_json(self) -> str:
        """Return the record as the text of ``record.json``."""
        return json.dumps(self.table(), indent=1, sort_keys=True, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
