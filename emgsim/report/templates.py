"""The templates of the pages: where they are, and what every one of them can write."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emgsim.report.notation import (
    interval_text,
    limit_text,
    number,
    quantity,
    share,
    unit_text,
    value_text,
    verdict_text,
)

if TYPE_CHECKING:
    from jinja2 import Template

ROOM = Path(__file__).parent
FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": number, "unit": unit_text, "verdict": verdict_text, "value": value_text,
    "interval": interval_text, "limit": limit_text, "share": share, "quantity": quantity,
}  # fmt: skip


def template_of(name: str, filters: Mapping[str, Callable[..., Any]] | None = None) -> Template:
    """Return a page's template, which escapes what it is given and leaves nothing out silently.

    Parameters
    ----------
    name
        Of the file beside this one.
    filters
        Further ones than those of every page, by name.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(ROOM), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {**FILTERS, "as_json": _readable, **(filters or {})}
    return environment.get_template(name)


def _readable(table: object) -> str:
    return json.dumps(table, indent=1, sort_keys=True, default=str, ensure_ascii=False)
