"""Opens PyVISA sessions, and reaches what pyvisa-py keeps inside: TCP sockets and serial ports.

There is no public way to them, and without them (pyvisa-py 0.8, all measured):

- The end of a stream is taken for silence: a read spins until the time-out, a flush for ever.
- A write on a raw socket or over VXI-11 ignores the time-out: a peer that takes no more bytes
  blocks it for ever.
- On a raw socket a query after a command waits 44 ms for a delayed acknowledgement, and the VISA
  attribute that would help raises ``UnknownAttribute``.
- A serial port is read byte by byte, 0.03 MB/s, and a raw socket 4096 bytes at a time.
"""

from __future__ import annotations

import select
import socket
import time
import warnings
from contextlib import suppress
from typing import Any

import pyvisa
import serial
from pyvisa.resources import MessageBasedResource

from emgsim.errors import LinkError

BACKEND = "@py"
_RECEIVE_BYTES = 1 << 20
_KEPT_IN = ("sock", "_sync", "_async")  # by the clients of VXI-11 and HiSLIP


class WatchedSocket(socket.socket):
    """Raises where a plain socket returns no bytes: the peer has closed the connection."""

    @classmethod
    def instead_of(cls, plain: socket.socket) -> WatchedSocket:
        """Take over the connection of a plain socket, which is useless from now on."""
        timeout_s = plain.gettimeout()
        watched = cls(plain.family, plain.type, plain.proto, fileno=plain.detach())
        watched.settimeout(timeout_s)
        return watched

    def recv(self, *args: Any) -> bytes:
        """Return bytes; raise `ConnectionResetError` at the end of the stream."""
        found = super().recv(*args)
        if not found:
            raise ConnectionResetError("the stream has ended")
        return found

    def recv_into(self, *args: Any, **options: Any) -> int:
        """Fill a buffer; raise `ConnectionResetError` at the end of the stream."""
        n_bytes = super().recv_into(*args, **options)
        if not n_bytes:
            raise ConnectionResetError("the stream has ended")
        return n_bytes

    def has_ended(self) -> bool:
        """Tell whether the peer has gone, without waiting and without taking bytes."""
        ready, _, _ = select.select([self], [], [], 0)
        if not ready:
            return False
        try:
            self.recv(1, socket.MSG_PEEK)
        except OSError:
            return True
        return False


def open_session(
    address: str, *, timeout_s: float, write_timeout_s: float
) -> tuple[pyvisa.ResourceManager, MessageBasedResource]:
    """Open a message session whose ends of streams are errors and whose writes end.

    Parameters
    ----------
    address
        VISA resource name.
    timeout_s
        Longest wait for the instrument.
    write_timeout_s
        How long a peer may take no bytes before the connection is broken.

    Raises
    ------
    Exception
        Whatever PyVISA and its back end raise; the caller says what it means.
    """
    with warnings.catch_warnings():
        # pyvisa-py tells that discovery is limited without extra packages; nothing is discovered
        warnings.filterwarnings("ignore", message=".*resource discovery.*")
        manager = pyvisa.ResourceManager(BACKEND)
    try:
        session = manager.open_resource(address, open_timeout=int(1000 * timeout_s))
        if not isinstance(session, MessageBasedResource):
            session.close()
            raise LinkError(
                f"{address} is no message-based resource, got {type(session).__name__}",
                where=address,
                todo="use an INSTR or SOCKET resource name",
            )
    except Exception:
        if not manager.list_opened_resources():
            manager.close()
        raise
    session.read_termination = session.write_termination = "\n"
    _watch_sockets(session)
    for watched in sockets_of(session):
        _limit_writes(watched, write_timeout_s)
    return manager, session


def sockets_of(session: MessageBasedResource) -> tuple[WatchedSocket, ...]:
    """Return the TCP sockets of an open session; a serial session has none."""
    client = _client(session)
    kept = (client, *(getattr(client, name, None) for name in _KEPT_IN))
    return tuple(found for found in kept if isinstance(found, WatchedSocket))


def is_raw_socket(session: MessageBasedResource) -> bool:
    """Tell whether nothing but bytes travels on the session's TCP connection."""
    return isinstance(_client(session), socket.socket)


def read_stream(session: MessageBasedResource, n_bytes: int, timeout_s: float) -> bytes:
    """Return so many bytes of a raw socket or a serial line, or fewer when the time is over."""
    client = _client(session)
    if isinstance(client, serial.Serial):
        return bytes(client.read(n_bytes))
    data, due_s = bytearray(), time.monotonic() + timeout_s
    while len(data) < n_bytes:
        ready, _, _ = select.select([client], [], [], max(0.0, due_s - time.monotonic()))
        if not ready:
            break
        data += client.recv(min(n_bytes - len(data), _RECEIVE_BYTES))
    return bytes(data)


def _client(session: MessageBasedResource) -> Any:
    """Return what the back end talks through: a socket, a serial port, or a protocol's client."""
    inner = getattr(session.visalib, "sessions", {}).get(session.session)
    return getattr(inner, "interface", None)


def _watch_sockets(session: MessageBasedResource) -> None:
    client = _client(session)
    if isinstance(client, socket.socket):
        inner = session.visalib.sessions[session.session]  # type: ignore[attr-defined]
        inner.interface = WatchedSocket.instead_of(client)
    for name in _KEPT_IN:
        plain = getattr(client, name, None)
        if isinstance(plain, socket.socket):
            setattr(client, name, WatchedSocket.instead_of(plain))


def _limit_writes(raw: socket.socket, timeout_s: float) -> None:
    """Send at once, and make the kernel break a connection whose peer takes no bytes."""
    with suppress(OSError):  # an unconnected socket fails at its first write, with a better error
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * timeout_s))
