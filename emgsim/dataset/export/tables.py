"""The small files of a dataset: tables and JSON, the same bytes on every writing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ABSENT = "n/a"  # BIDS' word for a value that there is not


def write_tsv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a table with its columns in their order; what a row lacks is ``n/a``.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    lines = ["\t".join(columns)]
    lines += ["\t".join(_cell(row.get(name)) for name in columns) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_json(path: Path, table: Mapping[str, Any]) -> Path:
    """Write a table as JSON, keys sorted.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = json.dumps(_plain(table), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _cell(value: Any) -> str:
    if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
        return ABSENT
    if isinstance(value, float):
        return repr(value)
    return " ".join(str(value).split())  # neither tab nor line end


def _plain(value: Any) -> Any:
    """Return a value that JSON holds: no number that is none, no tuple."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
