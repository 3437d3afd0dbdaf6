"""Twin of the reference needle amplifiers ``NA-1`` and ``NA-4``, on a pseudo-terminal.

Commands are text lines: ``ID?``, ``START``, ``STOP``; anything else answers ``ERR 1``. While it
streams it sends frames and hears nothing but ``STOP``::

    A5 5A | counter uint16 | 16 samples x channels int24 | CRC-16/CCITT-FALSE of both    big-endian
"""

from __future__ import annotations

from binascii import crc_hqx

import numpy as np
from numpy.typing import NDArray

from emgsim.plant.world import World
from emgsim.virtual.device_port import DevicePort
from emgsim.virtual.frame_faults import FrameFaults
from emgsim.virtual.serial_line import CommandLines

IDENTITY = b"EMGSIM,NA-1,SIM-0001,1.0\n"
IDENTITY_OF_FOUR = b"EMGSIM,NA-4,SIM-0004,1.0\n"
SAMPLES_PER_FRAME = 16
_SYNC = np.frombuffer(b"\xa5\x5a", np.uint8)
_LONGEST_LINE = 256  # bytes; what is longer was never a command


class FrameEncoder:
    """Turn codes into frames; samples that fill no frame wait for the next call."""

    def __init__(self, n_channels: int) -> None:
        self._n_channels = n_channels
        self._rest = np.zeros((0, n_channels), np.int32)
        self.n_frames = 0

    def encode(self, codes: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return a row of bytes for each frame that `codes`, ``(n, n_channels)``, complete."""
        every = np.concatenate([self._rest, codes])
        n_new = len(every) // SAMPLES_PER_FRAME
        taken = n_new * SAMPLES_PER_FRAME
        self._rest = every[taken:]
        frames = self._frames(every[:taken].reshape(n_new, SAMPLES_PER_FRAME * self._n_channels))
        self.n_frames += n_new
        return frames

    def _frames(self, codes: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return one row of bytes per frame."""
        counters = np.arange(self.n_frames, self.n_frames + len(codes))
        samples = codes.astype(">i4")[..., None].view(np.uint8)[..., 1:]
        body = np.empty((len(codes), 2 + 3 * codes.shape[1]), np.uint8)
        body[:, :2] = (counters % 2**16).astype(">u2")[:, None].view(np.uint8)
        body[:, 2:] = samples.reshape(len(codes), 3 * codes.shape[1])
        sums = np.array([crc_hqx(row.tobytes(), 0xFFFF) for row in body], ">u2")
        sync = np.broadcast_to(_SYNC, (len(codes), 2))
        return np.hstack([sync, body, sums[:, None].view(np.uint8)])


class VirtualAmplifier:
    """Serve the amplifier of a `World` as an NA-1 or an NA-4 in the running event loop.

    Parameters
    ----------
    world
        The plant.
    faults
        What goes wrong on purpose.
    identity
        What it answers when it is asked who it is.
    """

    def __init__(
        self, world: World, faults: FrameFaults | None = None, identity: bytes = IDENTITY
    ) -> None:
        self._identity = identity
        self._commands = CommandLines(b"\n", longest=_LONGEST_LINE)
        self._port = DevicePort(
            world,
            faults or FrameFaults(),
            hear=self._hear,
            encoder=lambda: FrameEncoder(world.amplifier.n_channels),
        )

    def open(self) -> str:
        """Open the pseudo-terminal and return the path that a serial port is opened with."""
        return self._port.open()

    def close(self) -> None:
        """Hang up."""
        self._port.close()

    def _hear(self, data: bytes) -> None:
        for line in self._commands.feed(data):
            self._obey(line.strip())

    def _obey(self, command: bytes) -> None:
        if self._port.is_streaming:
            if command == b"STOP":
                self._port.stop()
        elif command == b"START":
            self._port.start()
        elif command == b"ID?":
            self._port.send(self._identity)
        elif command != b"STOP":
            self._port.send(b"ERR 1\n")
