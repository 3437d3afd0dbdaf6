"""What ``record.json`` holds, as a JSON Schema (draft 2020-12) that others may rely on.

A writer of this version writes what is named here and nothing else. A reader passes over what it
does not know: the schemas allow further keys, and a minor version may add some. Tables that hold
what other files have said (scenario, rig, profile of the device) are named and not described;
``emgsim schema scenario`` and so on describe the files.
"""

from __future__ import annotations

from typing import Any

from emgsim.records.examination import SCHEMA as EXAM_SCHEMA
from emgsim.records.record import SCHEMA as RUN_SCHEMA
from emgsim.records.requirements import NOT_MEASURED, NOT_VERIFIED

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERDICTS = (
    "pass", "conditional_pass", "conditional_fail", "fail", "inconclusive", "not_judged"
)  # fmt: skip
STATUS = ("running", "completed", "aborted")
SHA256 = r"^[0-9a-f]{64}$"


def run_schema() -> Schema:
    """Return the schema of the record of a run, of a playback and of a run of metrology."""
    return _titled(RUN_SCHEMA, "The record of one run of emgsim", _table(_run(), RUN_REQUIRED))


def exam_schema() -> Schema:
    """Return the schema of the record of an examination."""
    run = _run()
    parts = {
        "examination": _bag("the examination's file with every default, as `emgsim schema "
                            "examination` describes it"),
        "muscles": _list("each muscle: its run, and what each finder makes of it", _table(
            {
                "name": _text("the muscle"),
                "folder": _text("of its run, in the examination's folder"),
                "verdict": _text("of its run; `not examined` if it did not come to it"),
                "exit_code": _int("of its run", nullable=True),
                "holes": _int("in the skin"),
                "moves": _int("of the needle"),
                "seconds": _number("of the examination of this muscle"),
                "shows": _bag("by axis, what the patient has"),
                "row": _bag("by finder, its row of the findings table"),
                "places": _bag("by finder, a row for each place"),
                "axes": _bag("by finder, the axes with their probabilities"),
            }
        )),
        "localisation": _bag("by finder: rank of the true lesion, and the probable lesions"),
    }  # fmt: skip
    shared = {key: value for key, value in run.items() if key in EXAM_SHARES}
    schema = {"schema": _const(EXAM_SCHEMA)}
    return _titled(
        EXAM_SCHEMA,
        "The record of one examination by emgsim",
        _table(shared | schema | parts, EXAM_REQUIRED),
    )


RUN_REQUIRED = ("schema", "run_id", "status", "verdict", "seed", "scenario", "rig", "measurements")
EXAM_REQUIRED = (
    "schema", "run_id", "status", "verdict", "seed", "examination", "rig", "measurements", "muscles"
)  # fmt: skip
EXAM_SHARES = (
    "run_id", "status", "exit_code", "started", "ended", "seed", "rig", "detector", "versions",
    "checkout", "host", "digests", "previous", "prepare", "resumed", "measurements", "stages",
    "files", "errors", "verdict", "traceability",
)  # fmt: skip


def _run() -> Schema:
    return {"schema": _const(RUN_SCHEMA)} | _course() | _settings() | _chain() | _results()


def _course() -> Schema:
    """Return what the run was, and how it went."""
    return {
        "run_id": _text("name of the run's folder"),
        "status": _one_of("how far it came", STATUS),
        "exit_code": _int("of the command; null if the journal has no end", nullable=True),
        "verdict": _one_of(
            "the worst of all judged measurements, or aborted", (*VERDICTS, "aborted")
        ),
        "started": _text("ISO 8601, UTC"),
        "ended": _text("ISO 8601, UTC; empty if the journal has no end"),
        "stages": _list("in their order", _table({
            "name": _text("of the stage"),
            "seconds": _number("on the wall clock"),
        })),
        "errors": _list("what ended it, or what it went on after", _table({
            "what": _text("the thing, the rule, the value"),
            "where": _text("file, key or instrument"),
            "todo": _text("what to do"),
            "exit_code": _int("that the error calls for"),
        })),
        "resumed": _list("each time that it was gone on with", _table({
            "when": _text("ISO 8601, UTC"),
            "host": _bag("the machine"),
            "done": _list("stages that were not done again", _text("a stage")),
        })),
        "previous": _table({
            "run_id": _text("of the completed run before"),
            "sha256": _sha("of its record.json"),
        }, required=()),
        "files": _map("SHA-256 of each file of the run, by its name", _sha("of the bytes")),
        "output_off": {
            "type": ["boolean", "null"],
            "description": "whether a query confirmed at the end that the output is off; null: "
            "it was never opened",
        },
    }  # fmt: skip


def _settings() -> Schema:
    """Return what it was made of."""
    return {
        "seed": _int("of all chance"),
        "scenario": _bag("the scenario with every default; its own key `schema` tells a scenario, "
                         "an examination, a playback or metrology"),
        "rig": _bag("the rig with every default"),
        "detector": _bag("the algorithm under test: name, version, files"),
        "device": _bag("what the device's profile declares"),
        "versions": _map("of the packages that numbers depend on", _text("a version")),
        "checkout": _table({
            "commit": _text("of the code"),
            "is_dirty": {"type": "boolean", "description": "whether the code was another"},
        }, required=()),
        "host": _bag("operating system and processor"),
        "digests": _map("SHA-256 of scenario, rig, and their files' bytes", _sha("of it")),
        "arm": _bag("who armed the rig, and until when"),
        "prepare": _bag("the command before the run, its output and exit status"),
        "identities": _map("by role: source, capture, device", _table({
            "maker": _text("as the instrument says"),
            "model": _text("as the instrument says"),
            "serial": _text("as the instrument says"),
            "firmware": _text("as the instrument says"),
        }, further=True)),
        "certificates": _map("of calibration, by its id", _table({
            "of": _text("what it certifies"),
            "due": _text("date of the next calibration"),
            "has_expired": {"type": "boolean"},
        })),
    }  # fmt: skip


def _chain() -> Schema:
    """Return what was played and recorded."""
    return {
        "plan": _bag("the level plan: volts, codes, rates"),
        "captures": _map("by path", _table({
            "file": _text("in the run's folder"),
            "n_samples": _int("recorded"),
            "rate_hz": _number("of the samples, on the scenario's clock"),
            "start_s": _number("of the first sample"),
            "gaps": _list("first sample and length of what was lost", _list("", _int(""))),
        }, required=("file", "n_samples"))),
        "alignments": _map("by path: clock, gain, polarity, lag in each window", _bag("")),
        "budgets": _map("by path", _list("noise at the electrode", _table({
            "name": _text("where it comes from"),
            "uv_rms": _number("microvolts rms", nullable=True),
        }))),
        "findings": _map("by path", _table({
            "file": _text("in the run's folder; `emgsim schema findings` describes it"),
            "n_units": _int("found"),
        })),
        "diagnoses": _list("faults of the rig", _table({
            "name": _text("of the fault"),
            "path": _text("on which it was seen"),
            "part": _text("where it sits"),
            "start_s": _number("on the scenario's clock", nullable=True),
            "stop_s": _number("null: to the end", nullable=True),
            "within_s": _number("how well the times are known", nullable=True),
            "value": _number("how large it is", nullable=True),
            "unit": _text("of the value"),
            "statistic": _number("what was compared", nullable=True),
            "threshold": _number("with what", nullable=True),
            "todo": _text("what to do"),
            "text": _text("all of it in one line"),
        }, required=("name", "path", "text"))),
    }  # fmt: skip


def _results() -> Schema:
    """Return what came out."""
    counts = {key: _number(f"{key.upper()}", nullable=True) for key in ("tp", "fp", "fn")}
    shares = {
        key: _number("of the discharges", nullable=True) for key in ("sensitivity", "precision")
    }
    return {
        "measurements": _list("judged or reported", _measurement()),
        "scores": _map("by path", _list("each true unit", _table({
            "truth_id": _int("the unit"),
            "found_id": _int("the unit that it was matched with", nullable=True),
            "detectable": {"type": "boolean"},
            "amplitude_uv": _number("peak to peak", nullable=True),
            "ratio": _number("amplitude over the path's rms without the unit", nullable=True),
            "f1": _number("of the discharges", nullable=True),
            "jaccard": _number("of the discharges", nullable=True),
            "lag_us": _number("mean of found minus true time", nullable=True),
            "timing_us": _number("its spread", nullable=True),
            **counts,
            **shares,
        }, required=("truth_id",)))),
        "strata": _map("by path", _list("where discharges are lost", _table({
            "by": _text("what the strata are of"),
            "low": _number("null: open", nullable=True),
            "high": _number("null: open", nullable=True),
            **counts,
            **shares,
        }))),
        "skipped": _list("tests that could not be made here", _table({
            "id": _text("of the test"),
            "title": _text("of the test"),
            "why": _text("what is missing"),
        })),
        "traceability": _list("what has verified each requirement", _requirement()),
    }  # fmt: skip


def _measurement() -> Schema:
    reading = {
        "uncertainty": _number("expanded, of about 95 %", nullable=True),
        "coverage_factor": _number("by which it is expanded", nullable=True),
        "freedom": _number("degrees of freedom; null: unlimited", nullable=True),
        "ratio": _number("test-uncertainty ratio", nullable=True),
        "bound": _one_of("whether the true value is only known to lie beyond", ("", ">=", "<=")),
        "method": _text("how it was measured"),
        "conditions": _text("under which"),
        "rests_on": _list("certificates", _text("an id")),
        "test": _text("id of the test of metrology"),
        "title": _text("of the test"),
        "states": _list("of the fixture", _text("a state")),
        "stimulus_error_pct": _number("largest error of the stimulus", nullable=True),
        "components": _list("of the uncertainty", _bag("name, standard uncertainty, kind")),
        "curves": {"description": "what was drawn: the file of its values, or null"},
    }
    limit = _table({
        "measurement": _text("that it limits"),
        "low": _number("smallest value that holds", nullable=True),
        "high": _number("largest value that holds", nullable=True),
        "unit": _text("of both"),
        "source": _text("where the figure comes from"),
        "requirements": _list("ids of the requirements that it serves", _text("e.g. SRS-042")),
    }, required=("measurement", "low", "high", "unit"))  # fmt: skip
    return _table({
        "id": _text("<analysis>.<measure>.<path>"),
        "value": _number("null: not known", nullable=True),
        "unit": _text("1 for a pure number"),
        "low": _number("of the 95 % interval; null: it has none", nullable=True),
        "high": _number("of the 95 % interval; null: it has none", nullable=True),
        "note": _text("what is to be known with it"),
        "verdict": _one_of("not_judged: it has no limit", VERDICTS),
        "limit": {"anyOf": [limit, {"type": "null"}]},
        **reading,
    }, required=("id", "value", "unit", "low", "high", "limit", "verdict"))  # fmt: skip


def _requirement() -> Schema:
    evidence = _table({
        "run_id": _text("of the run"),
        "measurement": _text("that served it"),
        "value": _number("null: not known", nullable=True),
        "unit": _text("of value and limit"),
        "low": _number("of the limit", nullable=True),
        "high": _number("of the limit", nullable=True),
        "verdict": _one_of("of the measurement", (*VERDICTS, NOT_MEASURED)),
        "note": _text("what is to be known with it"),
    })  # fmt: skip
    return _table({
        "requirement": _text("its id"),
        "verdict": _one_of("the worst of the evidence", (*VERDICTS, NOT_VERIFIED)),
        "evidence": _list("measurements that served it, or should have", evidence),
    })  # fmt: skip


# -- words of JSON Schema --------------------------------------------------------------------------


def _titled(id: str, title: str, schema: Schema) -> Schema:
    return {"$schema": DIALECT, "$id": f"urn:{id.replace('/', ':')}", "title": title, **schema}


def _table(
    properties: Schema, required: tuple[str, ...] | None = None, *, further: bool = False
) -> Schema:
    """Return the schema of a table; ``further``: others may write keys of their own into it."""
    needed = sorted(properties) if required is None else sorted(required)
    table: Schema = {"type": "object", "properties": properties, "required": needed}
    return table | {"additionalProperties": True} if further else table


def _bag(words: str) -> Schema:
    return {"type": "object", "additionalProperties": True} | _said(words)


def _map(words: str, of: Schema) -> Schema:
    return {"type": "object", "additionalProperties": of} | _said(words)


def _list(words: str, of: Schema) -> Schema:
    return {"type": "array", "items": of} | _said(words)


def _text(words: str) -> Schema:
    return {"type": "string"} | _said(words)


def _sha(words: str) -> Schema:
    return {"type": "string", "pattern": SHA256} | _said(words)


def _number(words: str, *, nullable: bool = False) -> Schema:
    return {"type": ["number", "null"] if nullable else "number"} | _said(words)


def _int(words: str, *, nullable: bool = False) -> Schema:
    return {"type": ["integer", "null"] if nullable else "integer"} | _said(words)


def _one_of(words: str, values: tuple[str, ...]) -> Schema:
    return {"enum": [*values]} | _said(words)


def _const(value: str) -> Schema:
    return {"const": value}


def _said(words: str) -> Schema:
    return {"description": words} if words else {}
