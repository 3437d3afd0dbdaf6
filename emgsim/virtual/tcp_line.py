"""A TCP connection as the device at its end sees it: it listens on loopback and serves one client.

It has what a serial line has: bytes come in, and go out when there is room. What does not fit waits
here, and the device is asked for more only when all of it was taken: a slow reader loses nothing.
Who connects while another client is served is hung up on.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

READ_BYTES = 4096
# What waits in the system counts as sent, though nobody has read it: little may wait there.
SEND_BYTES = 1 << 16


class TcpLine:
    """Carry bytes between one client at a time and a device in the running event loop.

    Parameters
    ----------
    hear
        Called with the bytes that the client has sent; with none when it has left.
    more
        Called whenever all that was sent has been taken, and asked for more: bytes, which may be
        none yet, or None when there is nothing to send until `wake`.
    """

    def __init__(self, hear: Callable[[bytes], None], more: Callable[[], bytes | None]) -> None:
        self._hear = hear
        self._more = more
        self._waiting = bytearray()
        self._client: socket.socket | None = None
        self._is_full = False
        self._is_ending = False
        self.is_open = False

    @property
    def n_refused(self) -> int:
        """Number of bytes that wait since the client's system took no more."""
        return len(self._waiting) if self._is_full else 0

    def open(self) -> str:
        """Listen on a port of 127.0.0.1 that the system chooses, and return its address."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._listener, self._accept)
        self.is_open = True
        return f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Hang up and listen no more; closing twice is allowed."""
        if not self.is_open:
            return
        self.is_open = False
        self._leave()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def hang_up(self) -> None:
        """Close as soon as the client's system has taken all that was sent."""
        self._is_ending = True
        if not self._waiting:
            self.close()

    def send(self, data: bytes) -> None:
        """Send bytes after those that still wait; without a client they are lost."""
        if self._client is not None:
            self._waiting += data
            self.wake()

    def wake(self) -> None:
        """Write whenever there is room, as long as there is something to write."""
        if self._client is not None:
            self._loop.add_writer(self._client, self._write)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self._read()  # the one before may have left, and nobody has looked since
        if self._client is not None:
            client.close()
            return
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._loop.add_reader(client, self._read)

    def _read(self) -> None:
        if self._client is None:
            return
        try:
            data = self._client.recv(READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._leave()
        self._hear(data)

    def _write(self) -> None:
        """Write what is taken; ask for more only when all was taken."""
        if not self._waiting:
            new = self._more()
            if new is None or self._client is None:  # who is asked may hang up
                self._rest()
                return
            self._waiting += new
        if self._client is None:
            return
        try:
            del self._waiting[: self._client.send(self._waiting)]
            self._is_full = bool(self._waiting)
        except BlockingIOError:
            self._is_full = True
        except ConnectionError:
            return  # it is read next, and says so
        if self._is_ending and not self._waiting:
            self.close()

    def _rest(self) -> None:
        if self._client is not None and not self._waiting:
            self._loop.remove_writer(self._client)

    def _leave(self) -> None:
        """Let go of the client, and of what waits for it."""
        self._waiting.clear()
        self._is_full = False
        if self._client is None:
            return
        self._loop.remove_reader(self._client)
        self._loop.remove_writer(self._client)
        with suppress(OSError):
            self._client.close()
        self._client = None
