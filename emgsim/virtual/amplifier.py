"""Twin of the reference serial needle amplifier ``NA-1``, on a pseudo-terminal.

Commands are text lines: ``ID?``, ``START``, ``STOP``; anything else answers ``ERR 1``. While it
streams it sends frames and hears nothing but ``STOP``::

    A5 5A | counter uint16 | 16 samples x channels int24 | CRC-16/CCITT-FALSE of both    big-endian

The clock is free: the device makes data only as fast as they are read, so a slow reader loses
nothing.
"""

from __future__ import annotations

import asyncio
import os
import tty
from binascii import crc_hqx
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.plant.world import World

IDENTITY = b"EMGSIM,NA-1,SIM-0001,1.0\n"
SAMPLES_PER_FRAME = 16
STEP_S = 0.010
_SYNC = np.frombuffer(b"\xa5\x5a", np.uint8)
_LONGEST_LINE = 256  # bytes; what is longer was never a command
_FULL_PTY_WAIT_S = 0.002
_READ_BYTES = 4096


@dataclass(frozen=True, slots=True)
class AmplifierFaults:
    """Say what goes wrong on purpose; 0 means never.

    Parameters
    ----------
    drop_every_n_frames
        Every n-th frame is counted and not sent.
    hang_up_after_frames
        The line is cut after so many frames.
    """

    drop_every_n_frames: int = 0
    hang_up_after_frames: int = 0


class FrameEncoder:
    """Turn codes into frames; samples that fill no frame wait for the next call."""

    def __init__(self, n_channels: int, faults: AmplifierFaults) -> None:
        self._n_channels = n_channels
        self._faults = faults
        self._rest = np.zeros((0, n_channels), np.int32)
        self.n_frames = 0

    def encode(self, codes: NDArray[np.int32]) -> bytes:
        """Return all frames that `codes`, shape ``(n, n_channels)``, complete."""
        every = np.concatenate([self._rest, codes])
        n_new = len(every) // SAMPLES_PER_FRAME
        if self._faults.hang_up_after_frames:
            n_new = min(n_new, self._faults.hang_up_after_frames - self.n_frames)
        taken = n_new * SAMPLES_PER_FRAME
        self._rest = every[taken:]
        frames = self._frames(every[:taken].reshape(n_new, SAMPLES_PER_FRAME * self._n_channels))
        numbers = np.arange(self.n_frames + 1, self.n_frames + n_new + 1)
        self.n_frames += n_new
        if self._faults.drop_every_n_frames:
            frames = frames[numbers % self._faults.drop_every_n_frames != 0]
        return frames.tobytes()

    @property
    def is_cut(self) -> bool:
        """Whether the line is to be cut after what was encoded so far."""
        return 0 < self._faults.hang_up_after_frames <= self.n_frames

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
    """Serve the amplifier of a `World` on a pseudo-terminal of the running event loop.

    Parameters
    ----------
    world
        The plant.
    faults
        What goes wrong on purpose.
    """

    def __init__(self, world: World, faults: AmplifierFaults | None = None) -> None:
        self._world = world
        self._faults = faults or AmplifierFaults()
        self._encoder = FrameEncoder(world.amplifier.n_channels, self._faults)
        self._line = bytearray()
        self._pending = bytearray()
        self._is_open = False
        self._retry: asyncio.TimerHandle | None = None

    def open(self) -> str:
        """Open the pseudo-terminal and return the path that a serial port is opened with."""
        # The slave stays open here too: without it the master fails whenever a host closes it.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._read)
        self._is_open = True
        return os.ttyname(self._slave)

    def close(self) -> None:
        """Hang up."""
        if not self._is_open:
            return
        self._is_open = False
        self._world.amplifier.stop()
        self._pause()
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    # ---- commands

    def _read(self) -> None:
        try:
            data = os.read(self._master, _READ_BYTES)
        except BlockingIOError:
            return
        self._line += data
        while b"\n" in self._line:
            line, _, rest = self._line.partition(b"\n")
            self._line = bytearray(rest)
            self._obey(bytes(line).strip())
        del self._line[:-_LONGEST_LINE]
        self._resume()

    def _obey(self, command: bytes) -> None:
        amplifier = self._world.amplifier
        if amplifier.is_streaming:
            if command == b"STOP":
                self._pending += self._encoder.encode(amplifier.take())
                amplifier.stop()
        elif command == b"START":
            self._encoder = FrameEncoder(amplifier.n_channels, self._faults)
            amplifier.start()
        elif command == b"ID?":
            self._pending += IDENTITY
        elif command != b"STOP":
            self._pending += b"ERR 1\n"

    # ---- frames

    def _resume(self) -> None:
        """Write whenever the terminal has room, as long as there is something to write."""
        if self._is_open and (self._pending or self._world.amplifier.is_streaming):
            self._loop.add_writer(self._master, self._write)

    def _pause(self) -> None:
        self._loop.remove_writer(self._master)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _write(self) -> None:
        """Write what the terminal takes; make the next 10 ms only when all was taken."""
        if not self._pending and self._world.amplifier.is_streaming:
            self._make()
        try:
            sent = os.write(self._master, self._pending) if self._pending else 0
        except BlockingIOError:
            sent = 0
        is_full = bool(self._pending) and sent == 0
        del self._pending[:sent]
        if self._encoder.is_cut and not self._pending:
            self.close()
        elif is_full:  # the terminal calls itself writable when it is not: look again later
            self._pause()
            self._retry = self._loop.call_later(_FULL_PTY_WAIT_S, self._resume)
        elif not self._pending and not self._world.amplifier.is_streaming:
            self._pause()

    def _make(self) -> None:
        """Frame what the device has made meanwhile, or let it make more."""
        codes = self._world.amplifier.take()
        if not len(codes):
            self._world.advance(STEP_S)
            codes = self._world.amplifier.take()
        self._pending += self._encoder.encode(codes)
