"""The command that prints the form of a file."""

from __future__ import annotations

from typing import Literal


def schema(
    kind: Literal[
        "run",
        "exam_run",
        "findings",
        "scenario",
        "examination",
        "rig",
        "device",
        "campaign",
        "dataset",
        "baseline",
    ],
) -> int:
    """Print the JSON Schema (draft 2020-12) of a kind of file.

    Parameters
    ----------
    kind
        run or exam_run, the record.json of a run or of an examination; findings, what a detector
        writes; or a file that people write.
    """
    import json

    from emgsim.schemas import schema_of

    print(json.dumps(schema_of(kind), indent=1, sort_keys=True, ensure_ascii=False))
    return 0
