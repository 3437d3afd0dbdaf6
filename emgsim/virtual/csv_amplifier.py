"""Twin of a home-made amplifier that prints lines of text, as a sketch on a microcontroller does.

It obeys nothing and prints as long as it has power: first a comment and a header, then a line for
every sample, with CR and LF at its end::

    # EMG logger 1.0
    n,emg_uv,event
    0,-12.41,0

``n`` counts lines from 0 to 65535 and begins anew. ``emg_uv`` is the first channel in microvolts
at its input. ``event`` is 1 where the sketch has seen a discharge by itself: the signal rises
through `THRESHOLD_UV`, and has not done so for `DEAD_S`. The clock is free: what a reader does not
take is not made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.plant.world import World
from emgsim.virtual.device_port import DevicePort
from emgsim.virtual.frame_faults import FrameFaults

GREETING = b"# EMG logger 1.0\r\nn,emg_uv,event\r\n"
THRESHOLD_UV = 100.0
DEAD_S = 0.005
COUNTER_RANGE = 65_536


class LineEncoder:
    """Turn codes into lines, the counter of which begins with 0."""

    def __init__(self, uv_per_code: float, dead_samples: int) -> None:
        self._uv_per_code = uv_per_code
        self._dead_samples = dead_samples
        self._last_uv = np.inf
        self._last_event = -dead_samples
        self.n_lines = 0

    def encode(self, codes: NDArray[np.int32]) -> list[bytes]:
        """Return a line for each sample of `codes`, ``(n, n_channels)``."""
        microvolts = np.asarray(codes[:, 0] * self._uv_per_code, np.float64)
        events = self._events(microvolts)
        first = self.n_lines
        self.n_lines += len(codes)
        return [
            b"%d,%.2f,%d\r\n" % ((first + i) % COUNTER_RANGE, value, i in events)
            for i, value in enumerate(microvolts.tolist())
        ]

    def _events(self, microvolts: NDArray[np.float64]) -> set[int]:
        """Return where the signal rises through the threshold, counted in these samples."""
        is_over = np.concatenate(([self._last_uv], microvolts)) > THRESHOLD_UV
        found = set()
        for i in np.flatnonzero(is_over[1:] & ~is_over[:-1]).tolist():
            if self.n_lines + i - self._last_event >= self._dead_samples:
                self._last_event = self.n_lines + i
                found.add(i)
        if len(microvolts):
            self._last_uv = float(microvolts[-1])
        return found


class VirtualCsvAmplifier:
    """Serve the amplifier of a `World` as lines of text in the running event loop.

    Parameters
    ----------
    world
        The plant.
    faults
        What goes wrong on purpose; its frames are lines.
    """

    def __init__(self, world: World, faults: FrameFaults | None = None) -> None:
        amplifier = world.physics.amplifier
        uv_per_code = amplifier.range_uv / 2 ** (amplifier.adc_bits - 1)
        dead_samples = round(DEAD_S * amplifier.rate_hz)
        self._port = DevicePort(
            world,
            faults or FrameFaults(),
            hear=lambda _: None,
            encoder=lambda: LineEncoder(uv_per_code, dead_samples),
        )

    def open(self) -> str:
        """Open the pseudo-terminal, stream, and return the path that a port is opened with."""
        path = self._port.open()
        self._port.send(GREETING)
        self._port.start()
        return path

    def close(self) -> None:
        """Hang up."""
        self._port.close()
