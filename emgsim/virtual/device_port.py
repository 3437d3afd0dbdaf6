"""The port of a device that streams: the plant's codes go out as its frames.

In the free clock the device makes data only as fast as they are read, so a slow reader loses
nothing. In the paced clock it makes them as time goes by, and its line is as slow as the rig file
says: what finds no room in its FIFO is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emgsim.plant.world import World
from emgsim.seeds import stream
from emgsim.virtual.frame_faults import FrameFaults, Frames, Losses, Wire
from emgsim.virtual.serial_line import SerialLine
from emgsim.virtual.uart import Uart

FREE_STEP_S = 0.05  # ahead of what was read; a terminal holds more of most devices anyway
SHORTEST_STEP_S = 0.01
PACED_STEP_S = 0.05  # each costs a millisecond; a shorter latency of the adapter asks for more


class Encoder(Protocol):
    """Turns codes into frames."""

    def encode(self, codes: NDArray[np.int32]) -> Frames:
        """Return the frames that `codes`, ``(n, n_channels)``, complete; the rest waits."""


class Line(Protocol):
    """What carries bytes between a client and a device (`SerialLine`, `TcpLine`)."""

    is_open: bool

    @property
    def n_refused(self) -> int:
        """Number of bytes that wait since the client takes no more."""

    def open(self) -> str:
        """Open it in the running event loop, and return what a client opens."""

    def close(self) -> None:
        """Hang up."""

    def hang_up(self) -> None:
        """Close as soon as all that was sent has been taken."""

    def send(self, data: bytes) -> None:
        """Send bytes after those that still wait."""

    def wake(self) -> None:
        """Write whenever there is room, and ask for more."""


class DevicePort:
    """Serve the amplifier of a `World` on a port in the running event loop.

    Parameters
    ----------
    world
        The plant.
    faults
        What goes wrong on purpose.
    hear
        Called with the bytes that a client has sent.
    encoder
        Makes what turns codes into frames, for each start anew.
    line
        Makes what carries the bytes; a pseudo-terminal, unless the device has another wire.
    """

    def __init__(
        self,
        world: World,
        faults: FrameFaults,
        *,
        hear: Callable[[bytes], None],
        encoder: Callable[[], Encoder],
        line: Callable[[Callable[[bytes], None], Callable[[], bytes | None]], Line] = SerialLine,
    ) -> None:
        self._world = world
        self._faults = faults
        self._hear = hear
        self._new_encoder = encoder
        self._encoder = encoder()
        self._line = line(self._heard, self._more)
        self._uart = Uart(world.physics.line) if world.physics.clock == "paced" else None
        self._n_starts = 0
        self._began_s = time.monotonic()  # when the world's time was 0
        self._carried_s = 0.0
        self._wire = self._new_wire()

    @property
    def is_streaming(self) -> bool:
        """Whether the device streams."""
        return self._world.amplifier.is_streaming

    def open(self) -> str:
        """Open the port and return what a client opens."""
        path = self._line.open()
        self._began_s = time.monotonic() - self._world.now_s
        self._carried_s = self._world.now_s
        if self._uart is not None:
            self._tick()
        return path

    def close(self) -> None:
        """Hang up."""
        if self._line.is_open:
            self._world.amplifier.stop()
        self._line.close()

    def send(self, answer: bytes) -> None:
        """Send an answer after what was sent before."""
        if self._uart is None:
            self._line.send(answer)
        else:
            self._uart.say(answer, self._wall_s)

    def start(self) -> None:
        """Begin to stream; the frames are counted anew."""
        self._n_starts += 1
        self._wire = self._new_wire()
        self._encoder = self._new_encoder()
        self._world.amplifier.start()
        self._carried_s = self._wall_s
        self._line.wake()

    def stop(self) -> None:
        """Send what was made so far, and stop."""
        if self.is_streaming:
            self._carry(self._world.amplifier.take())
            self._world.amplifier.stop()

    @property
    def n_overflowed(self) -> int:
        """Number of frames that found no room in the FIFO since the port was opened."""
        return 0 if self._uart is None else self._uart.n_overflowed

    @property
    def _wall_s(self) -> float:
        return time.monotonic() - self._began_s

    def _new_wire(self) -> Wire:
        line, losses = self._world.physics.line, None
        if line.loss_begins:
            rng = stream(self._world.seed, "line losses", self._n_starts)
            losses = Losses(line.loss_begins, line.loss_ends, rng)
        return Wire(self._faults, losses)

    def _carry(self, codes: NDArray[np.int32]) -> None:
        """Bring the frames of codes to the line, or into the FIFO before it."""
        frames = self._encoder.encode(codes)
        if self._uart is None:
            self._line.send(self._wire.carry(frames))
            return
        now_s, sent = self._wall_s, self._wire.arriving(frames)
        for k, frame in enumerate(sent, start=1):  # they were made one after the other
            at_s = self._carried_s + (now_s - self._carried_s) * k / len(sent)
            self._uart.put(frame, at_s, blocked_bytes=self._line.n_refused)
        self._carried_s = now_s

    def _heard(self, data: bytes) -> None:
        self._hear(data)
        self._line.wake()

    # ---- the paced clock

    def _tick(self) -> None:
        """Let the world catch up with the wall, and the line bring what is due."""
        if not self._line.is_open or self._uart is None:
            return
        self._world.keep_pace(self._wall_s)
        if self.is_streaming:
            self._carry(self._world.amplifier.take())
        self._line.send(self._uart.taken(self._wall_s))
        if self._wire.is_cut:
            self._hang_up()
        latency_s = self._world.physics.line.usb_latency_s
        step_s = min(PACED_STEP_S, max(latency_s, SHORTEST_STEP_S)) if latency_s else PACED_STEP_S
        asyncio.get_running_loop().call_later(step_s, self._tick)

    # ---- the free clock

    def _more(self) -> bytes | None:
        """Frame what the device has made meanwhile, or let it make more."""
        if self._uart is not None or not self.is_streaming:
            return None
        if self._wire.is_cut:
            self._hang_up()
            return None
        codes = self._world.amplifier.take()
        if not len(codes):
            self._world.advance(FREE_STEP_S)
            codes = self._world.amplifier.take()
        return self._wire.carry(self._encoder.encode(codes))

    def _hang_up(self) -> None:
        if self.is_streaming:
            self._world.amplifier.stop()
            self._line.hang_up()
