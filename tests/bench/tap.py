"""A tap on a raw-socket wire: what a client says to a twin goes through, and is kept."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Tap:
    """The tap's own address, and the messages that it has heard of all its clients."""

    address: str
    heard: bytearray = field(default_factory=bytearray)

    @property
    def messages(self) -> list[str]:
        """The messages, without the line ends."""
        return self.heard.decode("latin-1").split("\n")[:-1]


@contextmanager
def tapped(address: str) -> Iterator[Tap]:
    """Stand between a client and the twin at an address ``TCPIP::HOST::PORT::SOCKET``."""
    host, port = address.split("::")[1:3]
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tap = Tap(f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET")
        thread = threading.Thread(target=_serve, args=(listener, (host, int(port)), tap, is_over))
        thread.start()
        try:
            yield tap
        finally:
            is_over.set()
            thread.join(5)


def _serve(
    listener: socket.socket, twin: tuple[str, int], tap: Tap, is_over: threading.Event
) -> None:
    while not is_over.is_set():
        if not select.select([listener], [], [], 0.02)[0]:
            continue
        client, _ = listener.accept()
        with client, socket.create_connection(twin) as server:
            _carry(client, server, tap, is_over)


def _carry(
    client: socket.socket, server: socket.socket, tap: Tap, is_over: threading.Event
) -> None:
    """Carry bytes both ways until one side has hung up."""
    while not is_over.is_set():
        for side in select.select([client, server], [], [], 0.02)[0]:
            data = side.recv(65_536)
            if not data:
                return
            if side is client:
                tap.heard += data
            (server if side is client else client).sendall(data)
