"""What came back from a device, on the clock of what was played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emgsim.align import Waveform, playback
from emgsim.metrology.setup import Setup, State
from emgsim.metrology.stimulus import Segment, Stimulus

Floats = NDArray[np.float64]

EDGE_S = 0.02  # of a segment on each side that is not looked at: clocks differ, filters ring


@dataclass(frozen=True, eq=False, kw_only=True)
class Acquired:
    """Samples of the device around one playback, or without any.

    Attributes
    ----------
    state
        Of the fixture.
    stimulus
        What was played; None if nothing was.
    uv
        Shape ``(n, n_channels)``: codes times the declared size of a code; NaN where samples were
        lost.
    rate_hz
        Nominal rate of the device.
    begins_s
        Time of sample 0 on the nominal clock of the source, whose first point is at 0: to within a
        few samples where the stimulus has a marker, else NaN.
    changed_s
        About when the state was changed, after sample 0.
    """

    state: str
    stimulus: Stimulus | None
    uv: Floats
    rate_hz: float
    begins_s: float = float("nan")
    changed_s: tuple[float, ...] = ()

    @property
    def times_s(self) -> Floats:
        """Times of all samples, shape ``(n,)``, since sample 0 where ``begins_s`` is unknown."""
        start_s = 0.0 if np.isnan(self.begins_s) else self.begins_s
        return np.asarray(start_s + np.arange(self.uv.shape[0]) / self.rate_hz)

    @cached_property
    def changes(self) -> NDArray[np.bool_]:
        """Whether each channel ever says another code, shape ``(n_channels,)``."""
        # Where all samples were lost, too, nothing ever changes.
        return np.asarray(np.fmax.reduce(self.uv, axis=0) > np.fmin.reduce(self.uv, axis=0))

    def within(self, segment: Segment, edge_s: float = EDGE_S) -> tuple[Floats, Floats]:
        """Return times, shape ``(n,)``, and microvolts, ``(n, n_channels)``, inside a segment."""
        first = int(np.ceil((segment.begins_s + edge_s - self.begins_s) * self.rate_hz))
        last = int(np.floor((segment.ends_s - edge_s - self.begins_s) * self.rate_hz))
        cut = slice(max(0, first), max(0, last))
        return self.times_s[cut], self.uv[cut]


class Bench(Protocol):
    """What plays and records: a station behind its wires, or the plant in process."""

    @property
    def setup(self) -> Setup:
        """What is declared of it."""

    def play(self, stimulus: Stimulus) -> Acquired:
        """Bring the fixture into the state, play once, and return what the device sent."""

    def listen(self, state: str, duration_s: float) -> Acquired:
        """Bring the fixture into a state and return what the device sends by itself."""

    def change(self, states: Sequence[str], dwell_s: float) -> Acquired:
        """Record while the fixture goes from state to state, in each for so long."""


def placed(
    stimulus: Stimulus | None,
    state: str,
    uv: Floats,
    rate_hz: float,
    changed_s: tuple[float, ...] = (),
) -> Acquired:
    """Find where the playback begins by its marker, and return the samples with that time.

    Raises
    ------
    NotAnalysableError
        If the marker is not in the recording.
    """
    begins_s = float("nan")
    if stimulus is not None and stimulus.marker is not None:
        at_s, shape = stimulus.marker
        times_s = np.arange(int(shape.size / stimulus.rate_hz * rate_hz)) / rate_hz
        heard, _ = Waveform(shape, stimulus.rate_hz).at(times_s)
        channel = int(np.argmax(np.nanstd(uv, axis=0)))
        found = playback(uv[:, channel], rate_hz, (0.0, heard), stimulus.duration_s)
        begins_s = at_s - found.start / rate_hz
    return Acquired(
        state=state,
        stimulus=stimulus,
        uv=uv,
        rate_hz=rate_hz,
        begins_s=begins_s,
        changed_s=changed_s,
    )


def dead_channels(acquired: Acquired, state: State) -> list[int]:
    """Return the channels, counted from 0, that never change though a marker is played to them.

    In a state that drives none of them, or both inputs together, silence is as it should be.
    """
    stimulus = acquired.stimulus
    if stimulus is None or stimulus.marker is None or not state.differential:
        return []
    driven = state.driven or range(acquired.uv.shape[1])
    return [channel for channel in driven if not acquired.changes[channel]]
