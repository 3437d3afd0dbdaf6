"""What ``findings.json`` holds, as a JSON Schema: for whoever writes a detector."""

from __future__ import annotations

from typing import Any

from emgsim.files.findings import SCHEMA

NUMBERS = {"type": "object", "additionalProperties": {"type": ["number", "null"]}}
TIMES = {"type": "array", "items": {"type": "number"}}
WAVE = {
    "type": "array",
    "items": {"type": ["array", "number"], "items": {"type": ["number", "null"]}},
}
SPAN = {
    "kind": {"type": "string"},
    "onset_s": {"type": "number"},
    "offset_s": {"type": "number"},
    "grade": {"type": ["number", "null"]},
}


def findings_schema() -> dict[str, Any]:
    """Return the schema of findings; only the units' discharge times are required.

    What a detector adds is passed over.
    """
    unit = _table(
        {
            "id": {"type": "integer", "description": "a number of its own; else they are counted"},
            "discharge_times_s": TIMES | {
                "description": "of the main spikes, on the recording's clock: sample k is at "
                "start_s + k / rate_hz"
            },
            "muap_uv": WAVE | {"description": "averaged: a row for each sample, channels in it"},
            "muap_start_s": {
                "type": "number", "description": "of its first sample, relative to the spike"
            },
            "measures": NUMBERS,
            "intervals": {
                "type": "object",
                "additionalProperties": {
                    "type": "array", "items": {"type": ["number", "null"]},
                    "minItems": 2, "maxItems": 2,
                },
                "description": "95 % interval of each measure",
            },
            "confidence": {
                "type": ["array", "null"],
                "items": {"type": ["number", "null"]},
                "description": "for each discharge, the probability that it is one",
            },
        },
        "discharge_times_s",
    )  # fmt: skip
    run = _table(
        SPAN | {
            "discharge_times_s": TIMES,
            "potential_uv": WAVE,
            "potential_start_s": {"type": "number"},
            "probability": {"type": "number", "minimum": 0, "maximum": 1},
            "measures": NUMBERS,
        },
        "kind", "onset_s", "offset_s",
    )  # fmt: skip
    event = _table(SPAN | {"source": {"type": "string"}}, "kind", "onset_s", "offset_s")
    axis = _table(
        {
            "axis": {"type": "string"},
            "value": {"type": "string"},
            "probabilities": NUMBERS,
            "because": NUMBERS,
        },
        "axis", "value",
    )  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": "What an analysis found in a recording",
        **_table(
            {
                "schema": {"const": SCHEMA},
                "units": _list(unit, "motor units"),
                "runs": _list(run, "activity at rest, one source each"),
                "events": _list(event, "what has an onset and an end"),
                "axes": _list(axis, "what the muscle shows"),
                "measures": _list({"type": "object"}, "id, value, unit, low, high of the whole"),
                "muap_rate_hz": {"type": "number", "description": "of the units' muap_uv"},
                "plan": {"type": "string", "description": "how it was analysed"},
            },
            "units",
        ),
    }


def _table(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required]}


def _list(items: dict[str, Any], words: str) -> dict[str, Any]:
    return {"type": "array", "items": items, "description": words}
