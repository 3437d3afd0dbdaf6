"""The command that plays a real recording through a rig."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from emgsim.cli.base import RUNS, Channels, Overrides, Scale, Seconds, Seed, say
from emgsim.errors import UsageError


def play(
    recording: Path,
    *,
    rig: str = "virtual",
    channel: Channels = (),
    channels: Annotated[str, Parameter(help="numbers from 0, such as 0-7,12")] = "",
    scale: Scale = None,
    start_s: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.0,
    duration_s: Seconds | None = None,
    analyse: Annotated[bool, Parameter(negative=())] = False,
    seed: Seed = 0,
    out: Path = RUNS,
    set_: Overrides = (),
) -> int:
    """Play a recording through a rig, and tell what the chain did to it.

    The channels of a recording are played as many at once as the rig has generators: with one, one
    after the other.

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
    from emgsim.running.excerpt import excerpt_of
    from emgsim.running.passes import without_single_channels
    from emgsim.running.playing_back import play_back
    from emgsim.shipped import find

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a way out that closes things
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    on_rig = load_rig(rig, overrides=set_)
    excerpt = excerpt_of(
        recording, channels=channel, numbers=_numbers(channels), scale_uv_per_unit=scale,
        start_s=start_s, duration_s=duration_s,
    )  # fmt: skip
    folder, record = play_back(
        excerpt, on_rig, out=out, seed=seed, analyse=analyse, files={"rig": find("rigs", rig)},
        progress=say,
    )  # fmt: skip
    print(measurement_table(without_single_channels(record)))
    print(f"report: {folder / 'report.html'}")
    return record.exit_code or 0


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that a list such as ``0-7,12`` names, each once and in its order."""
    found: list[int] = []
    for part in text.split(",") if text else ():
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if ends is None:
            raise UsageError(
                f"--channels must be numbers from 0 and ranges of them, got {text!r}",
                todo="write for example --channels 0-7,12",
            )
        found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return tuple(dict.fromkeys(found))
