"""What of a recording is played: which channels, from when to when, and what cannot be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emgsim.errors import InputError, UsageError
from emgsim.files.reading import read_recording
from emgsim.recording import Recording

SCHEMA = "emgsim.playback/1"
PLAYED = "recording"  # the path: what the file holds


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """What of which recording is played.

    Attributes
    ----------
    file
        It was read from.
    recording
        Channels without gaps; the first sample is at 0 s.
    numbers
        Of each channel, its number among those that were read, from 0.
    start_s
        Of the excerpt, after the first sample in the file.
    scale_uv_per_unit
        That was given for it, if any.
    """

    file: Path
    recording: Recording
    numbers: tuple[int, ...] = (0,)
    start_s: float = 0.0
    scale_uv_per_unit: float | None = None

    @property
    def id(self) -> str:
        """Name of a run that plays it."""
        return re.sub(r"[^a-z0-9_-]+", "_", self.file.stem.lower()).strip("_") or PLAYED

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its channels in the file."""
        return tuple(channel.name for channel in self.recording.channels)

    def table(self) -> dict[str, Any]:
        """Return it as plain values, for the record."""
        names: dict[str, Any] = {"channel": self.names[0]}
        if len(self.names) > 1:
            names = {"channels": list(self.names), "numbers": list(self.numbers)}
        return {
            "schema": SCHEMA,
            "id": self.id,
            "title": f"{self.file.name}, played",
            "file": self.file.name,
            **names,
            "rate_hz": self.recording.rate_hz,
            "start_s": self.start_s,
            "duration_s": self.recording.duration_s,
            "scale_uv_per_unit": self.scale_uv_per_unit,
        }


def excerpt_of(
    file: Path,
    *,
    channels: Sequence[str] = (),
    numbers: Sequence[int] = (),
    scale_uv_per_unit: float | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Excerpt:
    """Read what is to be played of a recording.

    Parameters
    ----------
    file
        Of any format that `emgsim.files.read_recording` reads.
    channels
        The names of those to be played; by default all.
    numbers
        Of these, the numbers of those to be played, from 0; by default all.
    scale_uv_per_unit
        As of `read_recording`.
    start_s, duration_s
        Of the excerpt, after the first sample; by default all that follows.

    Raises
    ------
    InputError
        If it cannot be read, lacks samples in the excerpt, or a channel of it is silent.
    UsageError
        If the excerpt lies outside the recording, or it has no channel of such a number.
    """
    whole, _ = read_recording(file, channels=channels, scale_uv_per_unit=scale_uv_per_unit)
    chosen = tuple(numbers) or tuple(range(len(whole.channels)))
    if not all(0 <= number < len(whole.channels) for number in chosen):
        raise UsageError(
            f"channels must be numbers from 0 to {len(whole.channels) - 1}, got "
            f"{', '.join(map(str, chosen))}",
            where=str(file),
            todo="give other --channels",
        )
    stop_s = whole.duration_s if duration_s is None else start_s + duration_s
    if not 0 <= start_s < whole.duration_s or stop_s > whole.duration_s + 0.5 / whole.rate_hz:
        raise UsageError(
            f"an excerpt must lie within the {whole.duration_s:g} s of the recording, got "
            f"{start_s:g} .. {stop_s:g} s",
            where=str(file),
            todo="give other --start-s and --duration-s",
        )
    cut = replace(replace(whole, start_s=0.0).cut(start_s, stop_s), start_s=0.0)
    recording = replace(
        cut,
        samples_uv=cut.samples_uv[:, list(chosen)],
        channels=tuple(cut.channels[number] for number in chosen),
    )
    _refuse_unplayable(recording, file, start_s)
    return Excerpt(
        file=file,
        recording=recording,
        numbers=chosen,
        start_s=start_s,
        scale_uv_per_unit=scale_uv_per_unit,
    )


def _refuse_unplayable(recording: Recording, file: Path, start_s: float) -> None:
    """Refuse what has holes, or nothing in it."""
    uv, rate_hz = recording.samples_uv, recording.rate_hz
    known = np.isfinite(uv).all(axis=1)
    if not known.all():
        edges = np.flatnonzero(np.diff(known.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        first, last = edges[np.argmax(np.ptp(edges, axis=1))] if edges.size else (0, 0)
        lost = int(np.argmin(known))
        raise InputError(
            f"{np.count_nonzero(~known)} samples of the recording are missing, the first at "
            f"{start_s + lost / rate_hz:.6g} s: a gap cannot be played",
            where=str(file),
            todo=f"play what has none, e.g. --start-s {start_s + first / rate_hz:.6f} --duration-s "
            f"{(last - first) / rate_hz:.6f}",
        )
    is_heard = np.any(uv, axis=0).tolist()
    silent = [c.name for c, heard in zip(recording.channels, is_heard, strict=True) if not heard]
    if silent:
        raise InputError(
            f"the recording is zero throughout in {', '.join(map(repr, silent))}: nothing could be "
            "compared with it",
            where=str(file),
            todo="choose other channels or another excerpt",
        )
