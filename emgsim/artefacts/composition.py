"""Artefacts put on a recording: whole, or block by block with the same bytes.

Each artefact draws from its own stream, named after its kind and numbered among those of its kind,
so adding one of another kind moves none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emgsim.artefacts import heart, interference, movement, noise
from emgsim.artefacts.chunks import Added, Chunk, Grid, uneven
from emgsim.artefacts.contact import Detached
from emgsim.artefacts.conversion import Converted, Saturated
from emgsim.artefacts.crosstalk import Overheard
from emgsim.artefacts.parameters import (
    Adc,
    Artefact,
    Crosstalk,
    LeadOff,
    Saturation,
    Uneven,
    check_order,
)
from emgsim.recording import Event, Recording
from emgsim.seeds import occurrences, stream

Floats = NDArray[np.float64]

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 2e3, 1e6
BLOCK = 65_536  # samples that `apply` takes at a time, so that it holds few copies

Maker = Callable[[Any, Grid, np.random.Generator], Iterator[Chunk]]

MAKERS: dict[str, Maker] = {
    "thermal": noise.thermal,
    "amplifier": noise.amplifier,
    "skin_electrode": noise.skin_electrode,
    "baseline": noise.baseline,
    "mains": interference.mains,
    "smps": interference.smps,
    "rf_burst": interference.rf_burst,
    "stimulus": interference.stimulus,
    "pulses": interference.pulses,
    "ecg": heart.ecg,
    "movement": movement.movement,
    "needle_movement": movement.needle_movement,
    "pop": movement.pop,
}


class Stage(Protocol):
    """One artefact's state between the blocks of one recording."""

    def step(self, samples_uv: Floats, start_sample: int) -> tuple[Floats, tuple[Event, ...]]:
        """Return the next block ``(n, n_channels)`` with the artefact, and events."""

    def finish(self) -> tuple[Event, ...]:
        """Return the events that have begun and not been told."""


def begin(
    artefact: Artefact,
    rate_hz: float,
    seed: int,
    index: int = 0,
    *,
    n_channels: int = 1,
    neighbour: Recording | None = None,
) -> Stage:
    """Begin one artefact at a recording's first sample.

    Parameters
    ----------
    artefact
        Its kind and sizes; ``channels`` is not looked at here.
    rate_hz
        Samples per second.
    seed, index
        Of its stream: the scenario's seed, and its number among those of its kind.
    n_channels
        Channels that it reaches.
    neighbour
        The recording that crosstalk comes from.

    Returns
    -------
    Stage
        Its events are in seconds after the first sample.

    Raises
    ------
    ValueError
        If the artefact is crosstalk and no neighbour is given, or it does not fit, or an artefact's
        gains are not one per channel.
    """
    if isinstance(artefact, Saturation):
        return Saturated(artefact, rate_hz, n_channels)
    if isinstance(artefact, Adc):
        return Converted(artefact, rate_hz)
    if isinstance(artefact, Crosstalk):
        if neighbour is None:
            raise ValueError("crosstalk needs the neighbour's recording, got none")
        return Overheard(artefact, rate_hz, n_channels, neighbour)
    grid = Grid(rate_hz, n_channels)
    rng = stream(seed, f"artefact:{artefact.kind}", index)
    if isinstance(artefact, LeadOff):
        return Detached(artefact, grid, rng)
    chunks = MAKERS[artefact.kind](artefact, grid, rng)
    if isinstance(artefact, Uneven) and artefact.gains:
        if len(artefact.gains) != n_channels:
            raise ValueError(
                f"{artefact.kind}: gains must be one for each of the {n_channels} channels, "
                f"got {len(artefact.gains)}"
            )
        chunks = uneven(chunks, np.array(artefact.gains))
    return Added(grid, chunks)


class Stages:
    """All artefacts of one recording, block after block; made by `stages`."""

    def __init__(
        self,
        parts: Sequence[tuple[tuple[int, ...], Stage]],
        rate_hz: float,
        n_channels: int,
        start_s: float,
    ) -> None:
        self._parts = parts
        self._rate_hz = rate_hz
        self._n_channels = n_channels
        self._start_s = start_s
        self._next = 0

    def step(self, samples_uv: Floats, start_sample: int) -> tuple[Floats, tuple[Event, ...]]:
        """Put every artefact on the next block.

        Parameters
        ----------
        samples_uv
            Shape ``(n, n_channels)``, microvolts; it is left as it is.
        start_sample
            Number of the block's first sample; blocks follow each other from 0 on.

        Returns
        -------
        samples_uv : ndarray
            Shape ``(n, n_channels)``.
        events : tuple of Event
            In order of onset, on the scenario's clock: those that begin in the block, and of
            saturation, converter and leads that were off those that have ended.

        Raises
        ------
        ValueError
            If the block has another shape, or does not follow the one before.
        """
        if samples_uv.ndim != 2 or samples_uv.shape[1] != self._n_channels:
            raise ValueError(
                f"samples_uv: expected (n_samples, {self._n_channels}), got {samples_uv.shape}"
            )
        if start_sample != self._next:
            raise ValueError(f"start_sample must be {self._next}, got {start_sample}")
        self._next += len(samples_uv)
        out = np.array(samples_uv, dtype=np.float64)
        events: list[Event] = []
        for columns, stage in self._parts:
            out[:, columns], told = stage.step(out[:, columns], start_sample)
            events += told
        return out, self._on_the_clock(events)

    def finish(self) -> tuple[Event, ...]:
        """Return the events that have begun and were not told, in order of onset."""
        return self._on_the_clock([event for _, stage in self._parts for event in stage.finish()])

    def _on_the_clock(self, events: list[Event]) -> tuple[Event, ...]:
        late = (
            replace(e, onset_s=e.onset_s + self._start_s, offset_s=e.offset_s + self._start_s)
            for e in events
        )
        return _in_order(late)


def _in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """Sort by onset; what begins at once stands in one order, however it was cut."""
    return tuple(sorted(events, key=lambda event: (event.onset_s, event.offset_s, event.kind)))


def stages(
    artefacts: Sequence[Artefact],
    rate_hz: float,
    seed: int,
    *,
    n_channels: int = 1,
    start_s: float = 0.0,
    neighbour: Recording | None = None,
) -> Stages:
    """Begin a list of artefacts, for blocks of any size.

    Parameters
    ----------
    artefacts
        In the order of the signal's way, see `check_order`.
    rate_hz
        Samples per second, 2 kHz to 1 MHz.
    seed
        The scenario's seed.
    n_channels
        Columns of every block.
    start_s
        Time of the first sample on the scenario's clock.
    neighbour
        The recording that crosstalk comes from.

    Raises
    ------
    ValueError
        If the order or the rate is wrong, an artefact names a channel that is not there, or
        crosstalk has no neighbour that fits.

    Examples
    --------
    >>> from emgsim.artefacts.parameters import Adc, Thermal
    >>> chain = stages([Thermal(), Adc(lsb_uv=0.5)], 20_000.0, seed=1)
    >>> samples_uv, events = chain.step(np.zeros((1000, 1)), 0)
    >>> samples_uv.shape, events, chain.finish()
    ((1000, 1), (), ())
    """
    check_order(artefacts)
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise ValueError(
            f"rate_hz must be in {LOWEST_RATE_HZ:g}..{HIGHEST_RATE_HZ:g}, got {rate_hz:g}"
        )
    parts = []
    numbers = occurrences(artefact.kind for artefact in artefacts)
    for artefact, index in zip(artefacts, numbers, strict=True):
        columns = _columns(artefact, n_channels)
        stage = begin(artefact, rate_hz, seed, index, n_channels=len(columns), neighbour=neighbour)
        parts.append((columns, stage))
    return Stages(parts, rate_hz, n_channels, start_s)


def _columns(artefact: Artefact, n_channels: int) -> tuple[int, ...]:
    columns = artefact.channels or tuple(range(n_channels))
    if max(columns) >= n_channels:
        raise ValueError(
            f"{artefact.kind}: channels must be below {n_channels}, got {max(columns)}"
        )
    return columns


def apply(
    recording: Recording,
    events: Sequence[Event],
    artefacts: Sequence[Artefact],
    seed: int,
    *,
    neighbour: Recording | None = None,
) -> tuple[Recording, tuple[Event, ...]]:
    """Put artefacts on a whole recording.

    Parameters
    ----------
    recording
        Clean; it is left as it is, and what was lost stays lost.
    events
        The truth's events so far.
    artefacts
        In the order of the signal's way, see `check_order`.
    seed
        The scenario's seed.
    neighbour
        The recording that crosstalk comes from.

    Returns
    -------
    recording : Recording
        With every artefact; the same bytes as `stages` gives block by block.
    events : tuple of Event
        The given ones and ``artefact.<kind>``, in order of onset.

    Raises
    ------
    ValueError
        As `stages` does.
    """
    chain = stages(
        artefacts,
        recording.rate_hz,
        seed,
        n_channels=len(recording.channels),
        start_s=recording.start_s,
        neighbour=neighbour,
    )
    out = np.empty(recording.samples_uv.shape)
    told = list(events)
    for first in range(0, recording.n_samples, BLOCK):
        rows = slice(first, first + BLOCK)
        out[rows], begun = chain.step(recording.samples_uv[rows], first)
        told += begun
    told += chain.finish()
    return replace(recording, samples_uv=out), _in_order(told)
