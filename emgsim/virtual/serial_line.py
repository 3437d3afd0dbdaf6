"""A serial line as the device at its end sees it: bytes come in, bytes go out when there is room.

The line is a pseudo-terminal. It holds about 16 kB in each direction; what does not fit waits here,
and the device is asked for more only when all of it was taken: a slow reader loses nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import termios
import tty
from collections.abc import Callable

FULL_PTY_WAIT_S = 0.001
READ_BYTES = 4096
LOOK_S = 0.005
EMPTY_LOOKS = 20  # on end; what a busy kernel has not yet handed over is not seen by a look
PATIENCE_LOOKS = 100  # without a byte read, after which nobody seems to read any more
WRITE_BYTES = 16384  # in one go; a terminal seldom has room for more


def _nothing() -> None:
    return None


class SerialLine:
    """Carry bytes between a pseudo-terminal and a device in the running event loop.

    Parameters
    ----------
    hear
        Called with the bytes that a client has sent, whenever some have come.
    more
        Called whenever all that was sent has been taken, and asked for more: bytes, which may be
        none yet, or None when there is nothing to send until `wake`.
    """

    def __init__(
        self, hear: Callable[[bytes], None], more: Callable[[], bytes | None] = _nothing
    ) -> None:
        self._hear = hear
        self._more = more
        self._waiting = bytearray()
        self._retry: asyncio.TimerHandle | None = None
        self._n_looks = 0
        self._is_full = False
        self.is_open = False

    @property
    def n_waiting(self) -> int:
        """Number of bytes that were sent and that the terminal has not taken yet."""
        return len(self._waiting)

    @property
    def n_refused(self) -> int:
        """Number of bytes that wait since the terminal had no room, as nobody reads it."""
        return len(self._waiting) if self._is_full else 0

    def open(self) -> str:
        """Open the pseudo-terminal and return the path that a serial port is opened with."""
        # The slave stays open here too: without it the master fails whenever a host closes it.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._read)
        self.is_open = True
        return os.ttyname(self._slave)

    def close(self) -> None:
        """Hang up; closing twice is allowed."""
        if not self.is_open:
            return
        self.is_open = False
        self._pause()
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    def hang_up(self) -> None:
        """Close as soon as the client has read all that was sent, or reads no more.

        What a terminal still holds when it is closed is lost to its reader.
        """
        self._watch(None)

    def _watch(self, before: tuple[int, ...] | None) -> None:
        """Close when nothing has been unread for a while, or nothing read for a long one."""
        if not self.is_open:
            return
        unread = fcntl.ioctl(self._slave, termios.FIONREAD, b"\0" * 4)
        now = (len(self._waiting), int.from_bytes(unread, sys.byteorder))
        self._n_looks = self._n_looks + 1 if now == before else 0
        if self._n_looks >= (EMPTY_LOOKS if now == (0, 0) else PATIENCE_LOOKS):
            self.close()
            return
        self._loop.call_later(LOOK_S, self._watch, now)

    def send(self, data: bytes) -> None:
        """Send bytes after those that still wait; it never blocks."""
        self._waiting += data
        self.wake()

    def discard(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def wake(self) -> None:
        """Write whenever the terminal has room, as long as there is something to write."""
        if self.is_open and self._retry is None:
            self._loop.add_writer(self._master, self._write)

    def _read(self) -> None:
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        self._hear(data)

    def _write(self) -> None:
        """Write what the terminal takes; ask for more only when all was taken."""
        if not self._waiting:
            new = self._more()
            if new is None or not self.is_open:  # who is asked may hang up
                return self._rest()
            self._waiting += new
        try:
            while self._waiting:
                del self._waiting[: os.write(self._master, self._waiting[:WRITE_BYTES])]
            self._is_full = False
        except BlockingIOError:
            self._is_full = True
            # the terminal calls itself writable when it is not: look again later
            self._pause()
            self._retry = self._loop.call_later(FULL_PTY_WAIT_S, self._again)
        return None

    def _again(self) -> None:
        self._retry = None
        self.wake()

    def _rest(self) -> None:
        if self.is_open and not self._waiting:
            self._pause()

    def _pause(self) -> None:
        self._loop.remove_writer(self._master)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


class CommandLines:
    """Cut a stream of bytes into command lines.

    Parameters
    ----------
    end
        The byte that ends a command.
    longest
        Bytes that a command may have; of what is longer the oldest are forgotten.
    """

    def __init__(self, end: bytes, *, longest: int) -> None:
        self._end = end
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the commands that these bytes complete, without their ends."""
        *lines, self._rest = (self._rest + data).split(self._end)
        self._rest = self._rest[-self._longest :]
        return lines
