"""The command that measures an amplifier."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from emgsim.cli.base import RUNS, Overrides, Seed, say

Tests = Annotated[
    tuple[str, ...],
    Parameter(name="--only", negative=(), consume_multiple=True, help="ids of tests; all if none"),
]


def metrology(
    *,
    rig: str,
    only: Tests = (),
    out: Path = RUNS,
    seed: Seed = 0,
    waves: Annotated[bool, Parameter(negative=())] = False,
    set_: Overrides = (),
) -> int:
    """Measure what an amplifier does, each value with its uncertainty, and write its data sheet.

    Parameters
    ----------
    rig
        Shipped name or path of a rig file, whose source and fixture are certified.
    only
        Ids of the tests that are made; cmrr means all that begin so.
    out
        Folder in which the run's folder is made.
    seed
        Of a virtual rig's noise.
    waves
        Keep what the device sent, too: some hundred megabytes.
    set_
        key.path=value of the rig.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a way out that closes things
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    from emgsim.bench.rig import load_rig
    from emgsim.report.sheet_table import sheet_table
    from emgsim.running.metrology import characterise
    from emgsim.shipped import find

    folder, record = characterise(
        load_rig(rig, overrides=set_),
        only=only,
        out=out,
        seed=seed,
        waves=waves,
        files={"rig": find("rigs", rig)},
        progress=say,
    )
    print(sheet_table(record), end="")
    print(f"data sheet: {folder / 'sheet.html'}")
    return record.exit_code or 0
