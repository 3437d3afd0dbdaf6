"""The record of a run, folded from its journal: everything that is known about it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Literal

from emgsim.records.journal import BY_PATH, LISTS, TABLES, VALUES, Line, finite, plain
from emgsim.records.requirements import traceability
from emgsim.verdict import Limit, Measurement

SCHEMA = "emgsim.run/1"
RECORD = "record.json"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Everything that is known about one run; the only source of every report.

    ``measurements`` are the judged measurements in their order, and ``readings`` tell of those of
    metrology how they were made; ``stages`` and the two times are
    wall-clock facts, all else depends on the seed and the files alone.
    """

    run_id: str = ""
    status: Literal["running", "completed", "aborted"] = "running"
    exit_code: int | None = None
    started: str = ""
    ended: str = ""
    seed: int = 0
    scenario: Line = field(default_factory=dict)
    rig: Line = field(default_factory=dict)
    detector: Line = field(default_factory=dict)  # the algorithm under test
    versions: dict[str, str] = field(default_factory=dict)
    checkout: Line = field(default_factory=dict)  # of the code: commit, is_dirty
    host: Line = field(default_factory=dict)  # operating system, processor
    digests: dict[str, str] = field(default_factory=dict)  # scenario, rig, and their files' bytes
    previous: Line = field(default_factory=dict)  # the completed run before: run_id, sha256
    arm: Line = field(default_factory=dict)
    prepare: Line = field(default_factory=dict)
    resumed: tuple[Line, ...] = ()
    identities: dict[str, Line] = field(default_factory=dict)
    device: Line = field(default_factory=dict)  # what its profile declares
    certificates: dict[str, Line] = field(default_factory=dict)
    plan: Line = field(default_factory=dict)
    captures: dict[str, Line] = field(default_factory=dict)
    alignments: dict[str, Line] = field(default_factory=dict)
    budgets: dict[str, list[Line]] = field(default_factory=dict)
    findings: dict[str, Line] = field(default_factory=dict)
    scores: dict[str, list[Line]] = field(default_factory=dict)
    strata: dict[str, list[Line]] = field(default_factory=dict)
    diagnoses: tuple[Line, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    readings: dict[str, Line] = field(default_factory=dict)  # by a measurement's id
    skipped: tuple[Line, ...] = ()  # tests that could not be made here
    stages: tuple[Line, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    errors: tuple[Line, ...] = ()
    output_off: bool | None = None  # confirmed by a query at the end; None: never opened

    @property
    def is_examination(self) -> bool:
        """Whether it is what an examination's muscles share."""
        return str(self.scenario.get("schema", "")).startswith("emgsim.examination/")

    @property
    def is_playback(self) -> bool:
        """Whether it is of a recording that was played, and not of a scenario."""
        return str(self.scenario.get("schema", "")).startswith("emgsim.playback/")

    @property
    def noise_limited(self) -> tuple[str, ...]:
        """The paths on which noise drowns what was played: amplitudes there mean nothing."""
        head = "signal.over_budget."
        return tuple(
            m.id.removeprefix(head)
            for m in self.measurements
            if m.id.startswith(head) and m.note.startswith("noise-limited")
        )

    @property
    def verdict(self) -> str:
        """The worst verdict of all judged measurements, or what ended the run."""
        if self.status == "aborted":
            return "aborted"
        seen = {m.verdict for m in self.measurements}
        for verdict in ("fail", "inconclusive", "conditional_fail", "conditional_pass", "pass"):
            if verdict in seen:
                return verdict
        return "not_judged"

    def table(self) -> Line:
        """Return the record as ``record.json`` has it; what is not known is None."""
        data = {"schema": SCHEMA, **asdict(self), "verdict": self.verdict}
        how = data.pop("readings")
        data["measurements"] = [finite(m) | how.get(m["id"], {}) for m in data["measurements"]]
        return data | {"traceability": traceability([data])}

    def to_json(self) -> str:
        """Return the record as the text of ``record.json``."""
        data = self.table()
        return json.dumps(data, indent=1, sort_keys=True, allow_nan=False, default=plain) + "\n"


def fold(lines: Iterable[Line]) -> RunRecord:
    """Fold a journal's lines into the record; a journal without an end is an aborted run."""
    record: Line = {"status": "aborted"}
    measurements: dict[str, Measurement] = {}
    for line in lines:
        data = {key: value for key, value in line.items() if key != "kind"}
        if line["kind"] == "measurement":
            measurements[data["id"]] = _measurement(data)
        else:
            _put(record, line["kind"], data)
    lists = {name: tuple(record.get(name, ())) for name in LISTS.values()}
    known = {key: record[key] for key in RunRecord.__dataclass_fields__ if key in record}
    return RunRecord(**{**known, **lists, "measurements": tuple(measurements.values())})


def _put(record: Line, kind: str, data: Line) -> None:
    """Put a line's data where the record has them."""
    if kind in ("run_started", "run_ended"):
        record |= data
    elif kind in TABLES:
        table, key = TABLES[kind]
        record.setdefault(table, {})[data.pop(key)] = data
    elif kind in VALUES:
        record[kind] = data["values"]
    elif kind in BY_PATH:
        table, key = BY_PATH[kind]
        record.setdefault(table, {})[data["path"]] = data[key]
    elif kind == "file":
        record.setdefault("files", {})[data["name"]] = data["sha256"]
    elif kind == "safe_state":
        record["output_off"] = data["confirmed"]
    elif kind in LISTS:
        record.setdefault(LISTS[kind], []).append(data)
    if kind == "resumed":  # it goes on: how it ended before is no longer how it ends
        record |= {"status": "aborted", "exit_code": None, "ended": ""}
        if "align" not in data["done"]:  # it is diagnosed anew
            record["diagnoses"] = []


def _measurement(data: Line) -> Measurement:
    limit = None if data["limit"] is None else _limit(data["limit"])
    value = math.nan if data["value"] is None else data["value"]
    known = {key: data[key] for key in Measurement.__dataclass_fields__ if key in data}
    return Measurement(**{**known, "limit": limit, "value": value})


def _limit(data: Line) -> Limit:
    """Return a limit, also one of a journal from before there were requirements."""
    known = {key: data[key] for key in Limit.__dataclass_fields__ if key in data}
    return Limit(**{**known, "requirements": tuple(data.get("requirements", ()))})
