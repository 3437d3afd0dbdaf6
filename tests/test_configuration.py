"""TOML into frozen models: every mistake at once, by its path, with the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from emgsim.configuration import merged, nearest, read_table, validated, with_overrides
from emgsim.errors import InputError, UsageError


class Axle(BaseModel):
    """A part of a part."""

    model_config = ConfigDict(extra="forbid")
    length_mm: float = Field(gt=0)


class Cart(BaseModel):
    """A model with tables in tables, lists of tables, a renamed key and a rule between keys."""

    model_config = ConfigDict(extra="forbid")
    form: str = Field("cart/1", alias="schema")
    wheels: int = Field(2, ge=1)
    horses: int = 1
    axle: Axle
    spares: tuple[Axle, ...] = ()

    @model_validator(mode="after")
    def _horses_fit(self) -> Cart:
        if self.horses > self.wheels:
            raise ValueError(f"horses must be <= wheels ({self.wheels}), got {self.horses}")
        return self


GOOD = {"axle": {"length_mm": 900.0}}


def mistakes(table: dict) -> str:
    """Return what is said of a table."""
    with pytest.raises(InputError) as info:
        validated(Cart, table, "cart.toml")
    assert info.value.where == "cart.toml"
    assert info.value.exit_code == 3
    return info.value.what


def test_a_good_table_becomes_the_model() -> None:
    """Defaults are filled in."""
    assert validated(Cart, GOOD, "cart.toml").wheels == 2


def test_all_mistakes_are_named_at_once() -> None:
    """Four in one go: unknown key, wrong type, broken rule, missing key, each with its path."""
    what = mistakes(
        {"whels": 2, "horses": "two", "axle": {"length_mm": -1.0}, "spares": [{}, GOOD["axle"]]}
    )
    assert what.splitlines()[0] == "4 mistakes:"
    assert "whels: unknown key; did you mean 'wheels'?" in what
    assert "horses: input should be a valid integer" in what
    assert "got 'two'" in what
    assert "axle.length_mm: input should be greater than 0, got -1.0" in what
    assert "spares.0.length_mm: missing" in what


def test_one_mistake_is_one_mistake() -> None:
    """The count is in the singular."""
    assert mistakes({}) == "1 mistake:\n  - axle: missing"


def test_a_rule_between_keys_speaks_for_itself() -> None:
    """No path and no dump of the whole table beside the rule's own words."""
    what = mistakes({**GOOD, "horses": 5})
    assert what == "1 mistake:\n  - horses must be <= wheels (2), got 5"


def test_an_unknown_key_in_a_list_of_tables_gets_the_keys_of_that_table() -> None:
    """The hint comes from the table where the key stands, not from the top."""
    what = mistakes({**GOOD, "spares": [{"length_mm": 1.0, "lenght_mm": 2.0}]})
    assert "spares.0.lenght_mm: unknown key; did you mean 'length_mm'?" in what


def test_a_hint_names_keys_as_they_are_written_in_files() -> None:
    """A key renamed for files is offered under the name that works there."""
    assert "did you mean 'schema'?" in mistakes({**GOOD, "shema": "cart/1"})
    assert "did you mean 'form'?" not in mistakes({**GOOD, "form": "cart/1"})


def test_the_nearest_name_or_all_names_are_offered() -> None:
    """A close one as a question, else the list, else nothing."""
    assert nearest("bicep", ["biceps", "deltoid"]) == "; did you mean 'biceps'?"
    assert nearest("xyz", ["deltoid", "biceps"]) == "; there is biceps, deltoid"
    assert nearest("xyz", []) == ""


def test_merging_goes_table_by_table_and_changes_neither() -> None:
    """Values on top win, tables join, and both arguments stay as they were."""
    base, over = {"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 9}, "b": {"z": 0}}
    assert merged(base, over) == {"a": {"x": 1, "y": 9}, "b": {"z": 0}}
    assert (base, over) == ({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 9}, "b": {"z": 0}})


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a.x=2", {"a": {"x": 2}}),
        ("a.y = 1.5", {"a": {"x": 1, "y": 1.5}}),
        ("new.deep.key=true", {"a": {"x": 1}, "new": {"deep": {"key": True}}}),
        ("a.x=word", {"a": {"x": "word"}}),
        ("a.x='2'", {"a": {"x": "2"}}),
        ("a.x=b=c", {"a": {"x": "b=c"}}),
        ("a.x=[1, 2]", {"a": {"x": [1, 2]}}),
        ("a={x = 3, y = 4}", {"a": {"x": 3, "y": 4}}),
        ("a.x=", {"a": {"x": ""}}),
    ],
)
def test_an_override_sets_one_value_written_as_in_toml(override: str, expected: dict) -> None:
    """Numbers, words, lists and tables; a bare word is a string."""
    table = {"a": {"x": 1}}
    assert with_overrides(table, [override]) == expected
    assert table == {"a": {"x": 1}}


def test_later_overrides_win() -> None:
    """They are applied in the order in which they were given."""
    assert with_overrides({}, ["a.x=1", "a.x=2", "a.y=3"]) == {"a": {"x": 2, "y": 3}}


@pytest.mark.parametrize("override", ["a.x", "=3", "a.=3", ".x=3", ""])
def test_an_override_without_key_or_value_is_refused(override: str) -> None:
    """The message shows the form that was expected and what came."""
    with pytest.raises(UsageError, match=r"--set needs key\.path=value, got") as info:
        with_overrides({}, [override])
    assert repr(override) in str(info.value)


def test_an_override_through_a_value_is_refused() -> None:
    """The message names the key that is no table."""
    with pytest.raises(UsageError, match="'x' is not a table"):
        with_overrides({"a": {"x": 1}}, ["a.x.y=2"])


def test_tables_are_read_from_toml_and_from_json(tmp_path: Path) -> None:
    """A resolved copy in JSON reads as its TOML does."""
    toml, json = tmp_path / "a.toml", tmp_path / "a.json"
    toml.write_text("[axle]\nlength_mm = 900.0\n", encoding="utf-8")
    json.write_text('{"axle": {"length_mm": 900.0}}', encoding="utf-8")
    assert read_table(toml) == read_table(json) == GOOD


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.toml", b"a = = 3", ["not valid TOML", "line 1"]),
        ("a.json", b"{,}", ["not valid JSON", "line 1"]),
        ("a.toml", b"\xff\xfe", ["cannot read the file"]),
        ("missing.toml", None, ["cannot read the file", "No such file"]),
    ],
)
def test_an_unreadable_file_is_named(
    tmp_path: Path, name: str, content: bytes | None, words: list[str]
) -> None:
    """What is wrong, in which file, and at which line."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as info:
        read_table(path)
    assert info.value.where == str(path)
    assert all(word in info.value.what for word in words)


def test_a_file_must_hold_a_table(tmp_path: Path) -> None:
    """JSON may hold a list or a number: an input error as any other, no Python exception."""
    path = tmp_path / "a.json"
    path.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(InputError):
        read_table(path)
