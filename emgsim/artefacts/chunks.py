"""The fixed grid of chunks on which artefacts are made, and its cutting to blocks of any size.

A maker of artefacts is a generator that yields one `Chunk` after another, `CHUNK` samples each, and
holds its state in its own local names. Since every chunk is made whole, the bytes do not depend on
how a recording is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.recording import Event

Floats = NDArray[np.float64]

CHUNK = 4096  # samples; a chunk of a few channels stays within a processor's cache


@dataclass(frozen=True)
class Grid:
    """Samples of one recording: their rate and the number of channels that an artefact reaches."""

    rate_hz: float
    n_channels: int

    def chunks(self) -> Iterator[Floats]:
        """Yield the times of chunk after chunk, shape ``(CHUNK,)``, from 0 s on, without end."""
        first = 0
        while True:
            yield np.arange(first, first + CHUNK) / self.rate_hz
            first += CHUNK


@dataclass(frozen=True)
class Chunk:
    """What an artefact does to `CHUNK` samples: ``samples * gain + added_uv``.

    ``added_uv`` has shape ``(CHUNK, n_channels)``, or ``(CHUNK, 1)`` if it is the same on all;
    ``gain`` has shape ``(CHUNK, 1)``. ``events`` are those that begin here, in seconds after the
    recording's first sample.
    """

    added_uv: Floats
    gain: Floats | None = None
    events: tuple[Event, ...] = ()


class Added:
    """A stage that puts chunks on a recording, block by block."""

    def __init__(self, grid: Grid, chunks: Iterator[Chunk]) -> None:
        self._grid = grid
        self._chunks = chunks
        self._chunk = Chunk(np.zeros((0, 1)))
        self._used = CHUNK
        self._waiting: list[Event] = []

    def step(self, samples_uv: Floats, start_sample: int) -> tuple[Floats, tuple[Event, ...]]:
        """Return the block with the artefact on it, and the events that begin in the block."""
        out = samples_uv.copy()
        done = 0
        while done < len(out):
            if self._used == CHUNK:
                self._chunk, self._used = next(self._chunks), 0
                self._waiting += self._chunk.events
            taken = min(len(out) - done, CHUNK - self._used)
            rows, cut = slice(done, done + taken), slice(self._used, self._used + taken)
            if self._chunk.gain is not None:
                out[rows] *= self._chunk.gain[cut]
            out[rows] += self._chunk.added_uv[cut]
            done, self._used = done + taken, self._used + taken
        return out, self._begun((start_sample + len(out)) / self._grid.rate_hz)

    def finish(self) -> tuple[Event, ...]:
        """Return nothing: all that has begun has been told."""
        return ()

    def _begun(self, end_s: float) -> tuple[Event, ...]:
        begun = tuple(event for event in self._waiting if event.onset_s < end_s)
        self._waiting = [event for event in self._waiting if event.onset_s >= end_s]
        return begun


@dataclass(frozen=True)
class Burst:
    """A waveform of finite length: ``wave`` gives microvolts at times within first to last."""

    first_s: float
    last_s: float
    wave: Callable[[Floats], Floats]
    event: Event | None = None


def render(bursts: Iterator[Burst], grid: Grid) -> Iterator[Chunk]:
    """Yield the chunks of a train of bursts, which come in ascending order of their first time."""
    upcoming = next(bursts, None)
    active: list[Burst] = []
    events: list[Event] = []
    for times_s in grid.chunks():
        while upcoming is not None and upcoming.first_s <= times_s[-1]:
            active.append(upcoming)
            events += _since_the_start(upcoming.event)
            upcoming = next(bursts, None)
        added_uv = np.zeros(CHUNK)
        for burst in active:
            a, b = np.searchsorted(times_s, (burst.first_s, burst.last_s))
            added_uv[a:b] += burst.wave(times_s[a:b])
        yield Chunk(added_uv[:, None], events=tuple(events))
        active = [burst for burst in active if burst.last_s > times_s[-1]]
        events = []


def uneven(chunks: Iterator[Chunk], gains: Floats) -> Iterator[Chunk]:
    """Yield chunks with what is added on each channel times its gain, shape ``(n_channels,)``."""
    for chunk in chunks:
        yield replace(chunk, added_uv=chunk.added_uv * gains)


def _since_the_start(event: Event | None) -> list[Event]:
    """Return the part of an event that lies in the recording, if any does."""
    if event is None or event.offset_s <= 0:
        return []
    onset_s = max(0.0, event.onset_s)
    return [Event(kind=event.kind, onset_s=onset_s, offset_s=event.offset_s)]
