"""Reading TOML files into frozen models, with every mistake reported at once.

Used for scenarios and for rigs. A mistake names the file, the path of the key in it, the rule, the
value, and the nearest name where a name is unknown.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from emgsim.errors import InputError, UsageError

Model = TypeVar("Model", bound=BaseModel)
Table = dict[str, Any]


def read_table(path: Path) -> Table:
    """Read a TOML file (or a resolved copy in JSON) into a table.

    Raises
    ------
    InputError
        If the file is missing, unreadable or no valid TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the file: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            todo="check the path; `emgsim list` shows what is shipped",
        ) from error
    kind = "JSON" if path.suffix == ".json" else "TOML"
    try:
        table = json.loads(text) if kind == "JSON" else tomllib.loads(text)
        if not isinstance(table, dict):
            raise ValueError(f"expected a table, got a {type(table).__name__}")
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"not valid {kind}: {error}", where=str(path), todo="mend the line named"
        ) from error
    return table


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """Return ``base`` with the values of ``over`` put on top, table by table."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        both_tables = isinstance(value, Mapping) and isinstance(below, Mapping)
        out[key] = merged(below, value) if both_tables else value  # type: ignore[arg-type]
    return out


def with_overrides(table: Table, overrides: Iterable[str]) -> Table:
    """Return the table with each ``key.path=value`` applied; values are written as in TOML.

    In a list of tables a number names one of them, from 0 on: ``phases.1.level_mvc=0.1``.

    Raises
    ------
    UsageError
        If an override has no ``=``, its path runs through something that is no table, or a list has
        no table of that number.
    """
    out = merged({}, table)
    for override in overrides:
        path, equals, text = override.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys):
            raise UsageError(f"--set needs key.path=value, got {override!r}")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text  # a bare word is a string
        try:
            out = _with_value(out, keys, value)
        except ValueError as error:
            raise UsageError(f"--set {override}: {error}") from error
    return out


def _with_value(below: Any, keys: Sequence[str], value: Any, at: str = "") -> Any:
    """Return a copy of a table or of a list in which a value stands at a path."""
    if not keys:
        is_table = isinstance(below, Mapping) and isinstance(value, Mapping)
        return merged(below, value) if is_table else value
    key, *left = keys
    if isinstance(below, list):
        if not (key.isdecimal() and int(key) < len(below)):
            raise ValueError(f"{at!r} has the numbers 0 to {len(below) - 1}, got {key!r}")
        n = int(key)
        return [*below[:n], _with_value(below[n], left, value, key), *below[n + 1 :]]
    if not isinstance(below, Mapping):
        raise ValueError(f"{at!r} is not a table")
    return {**below, key: _with_value(below.get(key, {}), left, value, key)}


def validated(model: type[Model], table: Mapping[str, Any], where: str) -> Model:
    """Return the model made from a table.

    Raises
    ------
    InputError
        Naming every mistake in the table.
    """
    made = checked(model, table)
    if isinstance(made, list):
        raise refused(made, where)
    return made


def checked(model: type[Model], table: Mapping[str, Any]) -> Model | list[str]:
    """Return the model made from a table, or a sentence for each mistake in it.

    A rule between several keys may raise a `ValueError` of several lines, a sentence each.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        details = error.errors()
        sentences = [_sentence(model, d) for d in details if not _only_follows(d, details)]
        return [line for sentence in sentences for line in sentence.splitlines()]


def refused(mistakes: Sequence[str], where: str) -> InputError:
    """Return the error that names every mistake in a file."""
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return InputError(
        f"{count}:\n" + "\n".join(f"  - {mistake}" for mistake in mistakes),
        where=where,
        todo="mend each line named",
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint ``; did you mean 'x'?`` or the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(names)}" if names else ""


def _only_follows(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """Tell whether a list is called too short only because an item of it has a mistake."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in details
    )


def _sentence(model: type[BaseModel], detail: ErrorDetails) -> str:
    place, models = _walk(model, detail["loc"])
    path = ".".join(place)
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"{path}: unknown key{nearest(place[-1], _keys(models))}"
    if kind == "missing":
        return f"{path}: missing"
    if kind.startswith("union_tag"):
        return _kind_sentence(path, detail)
    message = detail["msg"].removeprefix("Value error, ")
    prefix = f"{path}: " if path else ""
    if isinstance(detail["input"], Mapping):  # a rule between the keys of one table
        return f"{prefix}{message}"
    return f"{prefix}{message[0].lower()}{message[1:]}, got {detail['input']!r}"


def _kind_sentence(path: str, detail: ErrorDetails) -> str:
    """Tell of a table whose ``kind`` is missing, or none of those that there are."""
    context = detail.get("ctx", {})
    if "expected_tags" not in context:
        return f"{path}.kind: missing"
    known = context["expected_tags"].replace("'", "").split(", ")
    return f"{path}.kind: no kind {context['tag']!r}{nearest(context['tag'], known)}"


def _walk(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[list[str], list[type[BaseModel]]]:
    """Return a place as a file's author sees it, and the models of the table that holds it.

    Where a table has a ``kind``, pydantic puts the kind into the place as a step of its own.
    """
    here: list[type[BaseModel]] = [model]
    holders = here
    place: list[str] = []
    for part in map(str, location):
        of_kind = [m for m in here if _kind_of(m) == part]
        if of_kind and not any(part in m.model_fields for m in here):
            here = of_kind
            continue
        place.append(part)
        holders = here
        following: list[type[BaseModel]] = []
        for candidate in here:
            field = candidate.model_fields.get(part)
            if field is not None:
                following += models_in(field.annotation)
        here = following or here
    return place, holders


def _kind_of(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return None if field is None else str(field.default)


def _keys(models: list[type[BaseModel]]) -> set[str]:
    """Return the keys that a table of these models may have."""
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a field's annotation names, unions and tuples opened."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]
