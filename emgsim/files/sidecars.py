"""Sidecars: the JSON objects and tab-separated tables that stand beside a recording in BIDS."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emgsim.errors import InputError

ABSENT = "n/a"  # BIDS' word for a value that there is not
Row = dict[str, str]


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object.

    Raises
    ------
    InputError
        If the file holds anything else.
    """
    try:
        table = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"the sidecar is no JSON: {error}", where=str(path), todo="mend the sidecar"
        ) from error
    if not isinstance(table, dict):
        raise InputError(
            f"the sidecar must be a JSON object, got {type(table).__name__}",
            where=str(path),
            todo="mend the sidecar",
        )
    return table


def read_tsv(path: Path, required: Sequence[str]) -> list[Row]:
    """Return a table's rows by column.

    Parameters
    ----------
    path
        Of the table: UTF-8, its first line the columns' names.
    required
        Columns that it must have.

    Raises
    ------
    InputError
        If it is no such table, or a row has too many or too few cells.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise bad_table(path, f"it must be UTF-8: {error.reason}") from error
    columns = lines[0].split("\t")
    missing = [name for name in required if name not in columns]
    if missing:
        raise bad_table(path, f"it must have the column {missing[0]!r}, got {columns}")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if not line.strip():
            continue
        if len(cells) != len(columns):
            raise bad_table(path, f"line {number} must have {len(columns)} cells, got {len(cells)}")
        rows.append(dict(zip(columns, cells, strict=True)))
    return rows


def bad_table(path: Path, rule: str) -> InputError:
    """Return the error of a table that breaks a rule."""
    return InputError(f"the table cannot be read: {rule}", where=str(path), todo="mend the table")


def number(row: Row, column: str, path: Path) -> float:
    """Return a cell's number; 0 where it is ``n/a``.

    Raises
    ------
    InputError
        If it is none, or not finite.
    """
    text = row.get(column, ABSENT)
    try:
        value = 0.0 if text == ABSENT else float(text)
    except ValueError:
        value = float("nan")
    if not math.isfinite(value):
        raise bad_table(path, f"{column} must be a finite number, got {text!r}")
    return value
