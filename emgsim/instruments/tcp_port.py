"""A TCP connection with what a serial port has: the port of a device on the network."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
import termios
from contextlib import suppress

from emgsim.errors import InputError, LinkError

SCHEME = "tcp://"
POLL_S = 0.05  # longest wait of one read, as that of a serial port
# A simulated device makes data until its reader's system takes no more: what is received and not
# yet read lies before the trigger. This is 0.1 s of 120 channels at 10 kHz. What a real device
# cannot send meanwhile waits in its own memory.
RECEIVE_BYTES = 1 << 18


class TcpPort:
    """Hold one connection. Reads return what there is, or nothing after `POLL_S`.

    Parameters
    ----------
    address
        ``tcp://HOST:PORT``.
    timeout_s
        Longest wait for the connection, and for bytes to be taken.

    Raises
    ------
    InputError
        When the address has another form.
    LinkError
        When nobody listens there.
    """

    def __init__(self, address: str, timeout_s: float) -> None:
        self.port = address
        self._timeout_s = timeout_s
        host = _host_and_port(address)
        self._socket = socket.socket()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(timeout_s)
            self._socket.connect(host)
        except OSError as error:
            self._socket.close()
            raise LinkError(
                f"the device cannot be reached: {error}",
                where=address,
                todo="check its power, its network cable, and the address that it shows",
            ) from error

    @property
    def in_waiting(self) -> int:
        """Number of bytes that were received and not read."""
        heard = fcntl.ioctl(self._socket, termios.FIONREAD, struct.pack("i", 0))
        return int(struct.unpack("i", heard)[0])

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none if nothing comes.

        Raises
        ------
        LinkError
            When the device has closed the connection.
        """
        self._socket.settimeout(POLL_S)
        try:
            heard = self._socket.recv(size)
        except TimeoutError:
            return b""
        except ConnectionError:
            heard = b""
        if not heard:
            raise LinkError(
                "the device closed the connection",
                where=self.port,
                todo="close the other program that holds the device, or check its power",
            )
        return heard

    def write(self, data: bytes) -> None:
        """Send bytes; an `OSError` tells that the link is broken."""
        self._socket.settimeout(self._timeout_s)
        self._socket.sendall(data)

    def close(self) -> None:
        """Close the connection; closing twice is allowed."""
        with suppress(OSError):  # nothing of it is left to be closed
            self._socket.close()


def _host_and_port(address: str) -> tuple[str, int]:
    found = re.fullmatch(re.escape(SCHEME) + r"([^:/]+):(\d{1,5})", address)
    if found is None or not 0 < int(found[2]) < 1 << 16:
        raise InputError(
            f"a device on the network has the address {SCHEME}HOST:PORT, got {address!r}",
            where="device.resource",
            todo=f"write for example {SCHEME}169.254.1.10:23456",
        )
    return found[1], int(found[2])
