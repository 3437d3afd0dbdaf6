"""Fakes shared by the driver tests: a scripted link and a tiny raw-socket instrument."""

import socket
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from pyvisa.highlevel import open_visa_library

from emgsim.instruments.scpi import ScpiLink


class ScriptedLink(ScpiLink):
    """Plays a list of (expected message, answer) pairs; a block is sent as (header, array)."""

    def __init__(self, pairs):
        self.address = "scripted"
        self.pairs = list(pairs)
        self.sent_blocks = []
        self.is_closed = False

    def _next(self, message):
        assert self.pairs, f"nothing more was expected, got {message!r}"
        expected, answer = self.pairs.pop(0)
        assert expected == message
        return answer

    def ask(self, message, *, timeout_s=None):  # noqa: ARG002 a script takes no time
        """Return the answer of the next pair."""
        answer = self._next(message)
        assert answer is not None, f"{message!r} has no answer"
        return answer

    def tell(self, message):
        """Take the next pair, which must have no answer."""
        assert self._next(message) is None, f"{message!r} must be asked"

    def tell_block(self, header, values):
        """Take the next pair and keep the block."""
        assert self._next(header) is None
        self.sent_blocks.append(values)
        return values.nbytes

    def tell_bytes(self, header, payload):
        """Take the next pair and keep the bytes."""
        assert self._next(header) is None
        self.sent_blocks.append(payload)
        return len(payload)

    def ask_bytes(self, message):
        """Return the block of the next pair: bytes, or 16-bit words."""
        answer = self._next(message)
        return answer if isinstance(answer, bytes) else np.asarray(answer, np.uint16).tobytes()

    def close(self):
        """Note that the link was closed."""
        self.is_closed = True


@pytest.fixture
def scripted():
    """Make scripted links, and fail when one has pairs left over."""
    links = []

    def make(pairs):
        links.append(ScriptedLink(pairs))
        return links[-1]

    yield make
    assert [link.pairs for link in links] == [[] for _ in links]


@contextmanager
def serving(handle):
    """Run handle(connection, stop event) for one client, and yield its VISA address."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5.0)

        def run():
            connection, _ = listener.accept()
            connection.settimeout(5.0)
            with connection:
                handle(connection, stop)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET"
        finally:
            stop.set()
            thread.join(5.0)
            assert not thread.is_alive()


@pytest.fixture
def serve():
    """Give tests the tiny raw-socket instrument, and fail when a VISA session is left open."""
    yield serving
    assert open_visa_library("@py").resource_manager is None
