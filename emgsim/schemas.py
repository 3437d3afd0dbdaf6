"""The published forms: a JSON Schema (draft 2020-12) of each file that emgsim reads or writes.

Of a record it says what is in it. Of a file that people write it says which keys there are, their
types and ranges, for an editor that completes and marks them; what a file may leave out, because a
catalogue or the rig that it extends fills it in, only ``emgsim`` itself can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from emgsim.records.schema import DIALECT, exam_schema, run_schema

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = dict[str, Any]
ALWAYS = ("schema", "id")  # what a file of people has to say itself


def schema_of(kind: str) -> Schema:
    """Return the JSON Schema of a kind of file.

    Parameters
    ----------
    kind
        A key of `MAKERS`: ``run``, ``scenario`` and so on.

    Raises
    ------
    KeyError
        If there is no such kind.
    """
    return MAKERS[kind]()


def _findings() -> Schema:
    from emgsim.files.schema import findings_schema

    return findings_schema()


def _scenario() -> Schema:
    from emgsim.scenario import Scenario

    schema = _written(Scenario)
    _name_from_catalogue(schema, "electrode")
    effort_file = {
        "type": "object",
        "description": "an effort in a CSV file beside this one: time_s,effort_mvc",
        "properties": {"kind": {"const": "file"}, "path": {"type": "string"}},
        "additionalProperties": False,
    }
    for owner in (schema, schema["$defs"]["Neighbour"]):
        owner["properties"]["phases"]["items"]["anyOf"].append(effort_file)
    schema["$defs"]["SurfacePads"]["properties"]["path"] = {
        "type": "string",
        "description": "a CSV file beside this one in place of pads_mm: along_mm,across_mm",
    }
    return schema


def _examination() -> Schema:
    from emgsim.exam.examination import Examination

    schema = _written(Examination)
    _name_from_catalogue(schema, "electrode")
    muscle = schema["$defs"]["MuscleExam"]["properties"]["muscle"]
    schema["$defs"]["MuscleExam"]["properties"]["muscle"] = {
        "anyOf": [{"type": "string", "description": "of `emgsim list muscles`"}, muscle]
    }
    schema["$defs"]["Entrapment"]["properties"]["site"] = {
        "type": "string",
        "description": "of the catalogue of nerves, in place of nerve and muscles",
    }
    return schema


def _rig() -> Schema:
    from emgsim.bench.rig import Rig

    schema = _written(Rig)
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "the rig that this one changes: a file beside it, or a shipped name",
    }
    return schema


def _device() -> Schema:
    from emgsim.instruments.profiles import DeviceProfile

    return _written(DeviceProfile, always=("schema",))


def _campaign() -> Schema:
    from emgsim.campaigns.campaign import Campaign

    return _written(Campaign)


def _dataset() -> Schema:
    from emgsim.dataset.plan import Plan

    return _written(Plan)


def _baseline() -> Schema:
    from emgsim.regression.baseline import Baseline

    return _written(Baseline)


MAKERS: Mapping[str, Callable[[], Schema]] = {
    "run": run_schema,
    "exam_run": exam_schema,
    "findings": _findings,
    "scenario": _scenario,
    "examination": _examination,
    "rig": _rig,
    "device": _device,
    "campaign": _campaign,
    "dataset": _dataset,
    "baseline": _baseline,
}


def _written(model: type[BaseModel], always: tuple[str, ...] = ALWAYS) -> Schema:
    """Return the schema of a model's file as people write it."""
    schema: Schema = _loosened(model.model_json_schema(by_alias=True))
    name = schema["properties"]["schema"]["const"].replace("/", ":")
    return {"$schema": DIALECT, "$id": f"urn:{name}"} | schema | {"required": [*always]}


def _loosened(value: Any) -> Any:
    """Take out what must be there: a catalogue may have it. Then several kinds may fit a table."""
    if isinstance(value, list):
        return [_loosened(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        "anyOf" if key == "oneOf" else key: _loosened(item)
        for key, item in value.items()
        if not (key == "required" and isinstance(item, list))
    }


def _name_from_catalogue(schema: Schema, key: str) -> None:
    """Let a table name an entry of the catalogue, which is a kind with dimensions."""
    for option in schema["properties"][key]["anyOf"]:
        name = option["$ref"].rpartition("/")[2]
        schema["$defs"][name]["properties"]["name"] = {
            "type": "string",
            "description": f"of `emgsim list {key}s`",
        }
