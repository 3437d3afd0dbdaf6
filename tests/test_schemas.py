"""The published forms: they are schemas, what is shipped has them, and so has what is written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from jsonschema import Draft202012Validator

from emgsim.cli import main
from emgsim.cli.schema import schema
from emgsim.records.journal import Journal, read_journal
from emgsim.records.record import RunRecord, fold
from emgsim.schemas import MAKERS, schema_of
from emgsim.verdict import Limit, Measurement, judge

ROOT = Path(__file__).parents[1]
STORED = ROOT / "docs" / "schema"
SHIPPED = sorted(
    path
    for place in ("scenarios", "rigs", "rigs/devices", "campaigns", "examples")
    for path in (ROOT / place).glob("*.toml")
    if path.read_text("utf-8").find('schema = "emgsim.') >= 0
)

Mistakes = Callable[[Any], list[str]]


def mistakes(table: Any, form: Any) -> list[str]:
    """Return where a table has not the form."""
    found = Draft202012Validator(form).iter_errors(table)
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.mark.parametrize("kind", MAKERS)
def test_each_form_is_a_schema_that_the_command_prints(kind: str, capsys) -> None:
    """Of the draft that it names, under an id of its own."""
    assert main(["schema", kind]) == 0
    form = json.loads(capsys.readouterr().out)
    assert form == schema_of(kind)
    Draft202012Validator.check_schema(form)
    assert re.fullmatch(r"urn:emgsim\.[a-z_]+:1", form["$id"])


def test_the_command_knows_every_form() -> None:
    """Its list is spelt out so that the help shows it."""
    assert set(get_args(get_type_hints(schema)["kind"])) == set(MAKERS)


@pytest.mark.parametrize("kind", ["run", "exam_run", "findings"])
def test_the_stored_form_is_the_printed_one(kind: str, capsys) -> None:
    """Whoever relies on a record finds its form in the repository, and sees when it changes."""
    assert main(["schema", kind]) == 0
    path = STORED / f"emgsim.{kind}-1.schema.json"
    assert path.read_text("utf-8") == capsys.readouterr().out, (
        f"if this is meant: emgsim schema {kind} > {path.relative_to(ROOT)}"
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_shipped_has_the_form_of_its_kind(path: Path) -> None:
    """As it is written: an editor that goes by the form marks nothing in it."""
    table = json.loads(json.dumps(tomllib.loads(path.read_text("utf-8")), default=str))
    kind = re.sub(r"^emgsim\.|/1$", "", table["schema"])
    assert mistakes(table, schema_of(kind)) == []


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("scenario", {"electrode": {"name": "concentric_0.46mm", "tip": {"x_mm": 1.0}}}),
        ("scenario", {"phases": [{"kind": "file", "path": "effort.csv"}]}),
        ("scenario", {"limits": [{"measurement": "x", "low": 1.0, "requirement": ["A", "B"]}]}),
        ("examination", {"electrode": {"name": "concentric_0.46mm"}}),
        ("findings", {"units": [{"discharge_times_s": [0.5]}], "mine": True}),
    ],
)
def test_what_people_may_write_has_the_form(kind: str, table: Any) -> None:
    """Also what a catalogue or another file fills in."""
    whole = {"schema": f"emgsim.{kind}/1", "id": "mine"} if kind != "findings" else {}
    assert mistakes(whole | table, schema_of(kind)) == []


@pytest.mark.parametrize(
    ("kind", "table", "where"),
    [
        ("scenario", {"seed": "one"}, "$.seed"),
        ("scenario", {"muscel": {}}, "muscel"),
        ("scenario", {"limits": [{"requirement": 7}]}, "requirement"),
        ("rig", {"fixture": {"ratio": "1/1001"}}, "$.fixture.ratio"),
        ("findings", {"units": [{"discharge_times_s": ["early"]}]}, "discharge_times_s[0]"),
        ("run", {"verdict": "good"}, "$.verdict"),
        ("run", {"files": {"wave/truth.npz": "abc"}}, "truth.npz"),
    ],
)
def test_a_mistake_is_seen(kind: str, table: Any, where: str) -> None:
    """A form that allows everything would tell an editor nothing."""
    assert any(where in text for text in mistakes(table, schema_of(kind)))


def test_the_form_of_a_run_has_every_field_of_the_record() -> None:
    """A field that nobody has described fails here, before anybody relies on it."""
    keys = set(RunRecord.__dataclass_fields__) - {"readings"}
    assert set(schema_of("run")["properties"]) == keys | {"schema", "verdict", "traceability"}


def test_a_record_of_a_run_that_did_little_has_the_form(
    tmp_path: Path, form_mistakes: Mistakes
) -> None:
    """Whatever ended it: before it began, in the middle, or with a value that nobody knows."""
    assert form_mistakes(json.loads(RunRecord(status="aborted").to_json())) == []
    limit = Limit(measurement="x", high=1.0, unit="1", requirements=("SRS-1",))
    with Journal(tmp_path) as journal:
        journal.append("run_started", run_id="r", seed=1, scenario={}, rig={})
        journal.measurement(judge(Measurement(id="x", value=float("nan"), unit="1"), limit))
        journal.append("error", what="w", where="", todo="", exit_code=130)
    assert form_mistakes(json.loads(fold(read_journal(tmp_path)).to_json())) == []


def test_a_key_that_nobody_described_is_a_mistake_of_the_writer_and_none_of_the_reader(
    form_mistakes: Mistakes,
) -> None:
    """Strict on writing, tolerant on reading."""
    table = json.loads(RunRecord().to_json()) | {"mood": "good"}
    assert form_mistakes(table) != []
    assert mistakes(table, schema_of("run")) == []
