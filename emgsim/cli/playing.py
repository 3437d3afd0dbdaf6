"""The command that plays a real recording through a rig."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from emgsim.cli.base import RUNS, Channels, Overrides, Scale, Seconds, Seed, say


def play(
    recording: Path,
    *,
    rig: str = "virtual",
    channel: Channels = (),
    scale: Scale = None,
    start_s: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.0,
    duration_s: Seconds | None = None,
    analyse: Annotated[bool, Parameter(negative=())] = False,
    seed: Seed = 0,
    out: Path = RUNS,
    set_: Overrides = (),
) -> int:
    """Play a recording through a rig, and tell what the chain did to it.

    Parameters
    ----------
    recording
        An .npz, EDF, BDF or WAV file, or the header of a WFDB record.
    rig
        Shipped name or path of a rig file.
    start_s
        Where in the recording to begin.
    duration_s
        How much of it to play; all that follows when it is not given.
    analyse
        Analyse the recording, and what the device made of it; tell how far the findings agree.
    seed
        Of a virtual rig's noise.
    out
        Folder in which the run's folder is made.
    set_
        key.path=value of the rig.
    """
    from emgsim.bench.rig import load_rig
    from emgsim.report.table import measurement_table
    from emgsim.running.playing_back import excerpt_of, play_back
    from emgsim.shipped import find

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a way out that closes things
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    on_rig = load_rig(rig, overrides=set_)
    excerpt = excerpt_of(
        recording, channels=channel, scale_uv_per_unit=scale, start_s=start_s,
        duration_s=duration_s,
    )  # fmt: skip
    folder, record = play_back(
        excerpt, on_rig, out=out, seed=seed, analyse=analyse, files={"rig": find("rigs", rig)},
        progress=say,
    )  # fmt: skip
    print(measurement_table(record))
    print(f"report: {folder / 'report.html'}")
    return record.exit_code or 0
