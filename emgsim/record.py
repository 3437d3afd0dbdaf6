"""The run's journal and the record folded from it.

The journal is the source: JSON lines, appended and flushed to the disk one by one, so that a run
that dies keeps everything it had. The record is a pure fold of the journal.

Kinds of lines, each with its data::

    run_started   run_id, scenario, rig, seed, detector, versions, started
    stage         name, seconds                       a stage that has ended
    identity      role, maker, model, serial, firmware
    plan          values                              the level plan
    capture       path, file, n_samples, gaps         what a path recorded
    alignment     path, values
    budget        path, rows                          [{"name", "uv_rms"}]
    findings      path, file, n_units
    score         path, rows                          one row per true unit, matched or not
    strata        path, rows                          counts by what makes discharges hard to find
    measurement   id, value, unit, low, high, note, limit, verdict
    file          name, sha256
    safe_state    confirmed, why                      the output was switched off, and queried
    error         what, where, todo, exit_code
    run_ended     status, exit_code, ended
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from emgsim.errors import InputError
from emgsim.verdict import Limit, Measurement

SCHEMA = "emgsim.run/1"
JOURNAL = "journal.jsonl"
RECORD = "record.json"
Line = dict[str, Any]


class Journal:
    """Append-only lines in a run's folder, each on the disk before the next step is taken."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._file = (folder / JOURNAL).open("a", encoding="utf-8")

    def append(self, kind: str, **data: Any) -> None:
        """Write one line and wait until the disk has it."""
        line = json.dumps({"kind": kind, **data}, default=_plain, allow_nan=False)
        self._file.write(line + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def measurement(self, measurement: Measurement) -> None:
        """Write a measurement; NaN and infinity become null, as JSON has neither."""
        self.append("measurement", **_finite(asdict(measurement)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _finite(values: Line) -> Line:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a journal line cannot hold a {type(value).__name__}")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Everything that is known about one run; the only source of every report.

    ``measurements`` are the judged measurements in their order; ``stages`` and the two times are
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
    identities: dict[str, Line] = field(default_factory=dict)
    plan: Line = field(default_factory=dict)
    captures: dict[str, Line] = field(default_factory=dict)
    alignments: dict[str, Line] = field(default_factory=dict)
    budgets: dict[str, list[Line]] = field(default_factory=dict)
    findings: dict[str, Line] = field(default_factory=dict)
    scores: dict[str, list[Line]] = field(default_factory=dict)
    strata: dict[str, list[Line]] = field(default_factory=dict)
    measurements: tuple[Measurement, ...] = ()
    stages: tuple[Line, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    errors: tuple[Line, ...] = ()
    output_off: bool | None = None  # confirmed by a query at the end; None: never opened

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

    def to_json(self) -> str:
        """Return the record as the text of ``record.json``."""
        data = {"schema": SCHEMA, **asdict(self), "verdict": self.verdict}
        data["measurements"] = [_finite(m) for m in data["measurements"]]
        return json.dumps(data, indent=1, sort_keys=True, allow_nan=False, default=_plain) + "\n"


def fold(lines: Iterable[Line]) -> RunRecord:
    """Fold a journal's lines into the record; a journal without an end is an aborted run."""
    record: Line = {"status": "aborted"}
    keyed = {
        "identity": ("identities", "role"),
        "capture": ("captures", "path"),
        "findings": ("findings", "path"),
    }
    for line in lines:
        data = {key: value for key, value in line.items() if key != "kind"}
        kind = line["kind"]
        if kind in ("run_started", "run_ended"):
            record |= data
        elif kind in keyed:
            table, key = keyed[kind]
            record.setdefault(table, {})[data.pop(key)] = data
        elif kind == "plan":
            record["plan"] = data["values"]
        elif kind == "alignment":
            record.setdefault("alignments", {})[data["path"]] = data["values"]
        elif kind == "safe_state":
            record["output_off"] = data["confirmed"]
        elif kind in ("budget", "score", "strata"):
            name = kind if kind == "strata" else f"{kind}s"
            record.setdefault(name, {})[data["path"]] = data["rows"]
        elif kind == "file":
            record.setdefault("files", {})[data["name"]] = data["sha256"]
        else:
            record.setdefault(
                {"measurement": "measurements", "stage": "stages", "error": "errors"}[kind], []
            ).append(data)
    record["measurements"] = tuple(_measurement(m) for m in record.get("measurements", []))
    for name in ("stages", "errors"):
        record[name] = tuple(record.get(name, []))
    return RunRecord(**record)


def _measurement(data: Line) -> Measurement:
    limit = None if data["limit"] is None else Limit(**data["limit"])
    value = math.nan if data["value"] is None else data["value"]
    return Measurement(**{**data, "limit": limit, "value": value})


def read_journal(folder: Path) -> list[Line]:
    """Read a run's journal; a last line that was cut off by a crash is left out.

    Raises
    ------
    InputError
        If the folder has no journal.
    """
    path = folder / JOURNAL
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot read the journal: {error.strerror}",
            where=str(path),
            todo="name the folder of a run, e.g. reports/runs/<run id>",
        ) from error
    lines = []
    for number, row in enumerate(rows := text.splitlines(), start=1):
        try:
            lines.append(json.loads(row))
        except ValueError as error:
            if number == len(rows):
                break
            raise InputError(
                f"line {number} is no JSON", where=str(path), todo="the journal was edited"
            ) from error
    return lines


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
