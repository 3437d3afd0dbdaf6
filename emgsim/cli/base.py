"""What the commands share: their options, what they say, how they end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from emgsim.errors import UsageError

Overrides = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set", negative=(), help="key.path=value in place of the file's; may be given often"
    ),
]
Channels = Annotated[
    tuple[str, ...], Parameter(name="--channel", negative=(), help="its name; may be given often")
]
Scale = Annotated[
    float | None,
    Parameter(
        name="--scale",
        validator=validators.Number(gt=0),
        help="microvolts per unit of a channel that is in no voltage; in a WAV file of full scale",
    ),
]
Seconds = Annotated[float, Parameter(validator=validators.Number(gt=0))]
Seed = Annotated[int, Parameter(validator=validators.Number(gte=0))]
RUNS = Path("reports/runs")


def say(line: str) -> None:
    """Show a line of progress."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell what keeps a file from being written."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot write the file: {error.strerror}", where=str(path), todo="name another place"
        ) from error


def split(overrides: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the overrides of the scenario and those of the rig (which begin with ``rig.``)."""
    rig = [o.removeprefix("rig.") for o in overrides if o.startswith("rig.")]
    return [o for o in overrides if not o.startswith("rig.")], rig


def is_examination(name: str) -> bool:
    """Tell whether a file of scenarios is an examination's."""
    from emgsim.configuration import read_table
    from emgsim.shipped import find

    return str(read_table(find("scenarios", name)).get("schema")).startswith("emgsim.examination/")
