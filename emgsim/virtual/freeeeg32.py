"""Twin of a FreeEEG32, on a pseudo-terminal.

Written after what its one public client reads (BrainFlow, freeeeg.cpp): there are no commands, it
streams from the moment on when it has power, at 512 Hz. A frame has 99 bytes::

    A0 | counter uint8 | 32 channels int24, big-endian | C0

A code is 2.5 V / (2^23 - 1) / 8. What it may send besides, for example of a motion sensor, is not
known here. The clock is free: what a reader does not take is not made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InputError
from emgsim.plant.world import World
from emgsim.virtual.device_port import DevicePort
from emgsim.virtual.frame_faults import FrameFaults

N_CHANNELS = 32
RANGE_UV = 2.5e6 / 8 * 2**23 / (2**23 - 1)


class FrameEncoder:
    """Turn codes into frames, the counter of which begins with 0."""

    def __init__(self) -> None:
        self.n_frames = 0

    def encode(self, codes: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return one row of 99 bytes for each sample of `codes`, ``(n, 32)``."""
        frames = np.empty((len(codes), 99), np.uint8)
        frames[:, 0], frames[:, 98] = 0xA0, 0xC0
        frames[:, 1] = (self.n_frames + np.arange(len(codes))) % 256
        frames[:, 2:98] = codes.astype(">i4")[..., None].view(np.uint8)[..., 1:].reshape(-1, 96)
        self.n_frames += len(codes)
        return frames


class VirtualFreeEEG32:
    """Serve the amplifier of a `World` as a FreeEEG32 in the running event loop.

    Parameters
    ----------
    world
        The plant; its amplifier must have 32 channels and 24 bits.
    faults
        What goes wrong on purpose.

    Raises
    ------
    InputError
        If the plant's amplifier is not that of a FreeEEG32.
    """

    def __init__(self, world: World, faults: FrameFaults | None = None) -> None:
        physics = world.physics.amplifier
        if (physics.channels, physics.adc_bits) != (N_CHANNELS, 24):
            raise InputError(
                f"a FreeEEG32 has {N_CHANNELS} channels and 24 bits, "
                f"got {physics.channels} and {physics.adc_bits}",
                where="virtual.amplifier",
                todo="correct channels and adc_bits in the rig file",
            )
        world.amplifier.ranges_uv[:] = RANGE_UV
        self._port = DevicePort(
            world, faults or FrameFaults(), hear=lambda _: None, encoder=FrameEncoder
        )

    def open(self) -> str:
        """Open the pseudo-terminal, stream, and return the path that a port is opened with."""
        path = self._port.open()
        self._port.start()
        return path

    def close(self) -> None:
        """Hang up."""
        self._port.close()
