"""Talks to a device by bytes, on a serial port or the network, and reads its stream in blocks.

What drivers of devices with a protocol of their own share: `SerialStream` sends commands, hears
answers and turns the stream into blocks; what a byte means is the driver's business.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, suppress
from typing import Protocol

from emgsim.errors import InstrumentError, LinkError
from emgsim.instruments.base import DeviceBlock
from emgsim.instruments.block_queue import BlockQueue
from emgsim.instruments.serial_port import Port, as_link_error, open_port, wait_until_silent
from emgsim.instruments.tcp_port import SCHEME, TcpPort


class Decoder(Protocol):
    """Turns bytes into blocks; any split of the stream gives the same samples."""

    @property
    def n_bad_frames(self) -> int:
        """Number of frames whose check failed."""

    def feed(self, data: bytes) -> DeviceBlock:
        """Decode what became complete with these bytes; the block may be empty."""


class SerialStream:
    """Holds one port: first commands and answers, then a stream of samples.

    A hang-up in the middle of a stream loses nothing that came before it: `read_block` returns
    what was decoded, and the next call raises.

    Parameters
    ----------
    address
        Serial port, for example ``/dev/rfcomm0``, or ``tcp://HOST:PORT``.
    baud
        Bits per second; Bluetooth, USB serial ports and networks ignore it.
    timeout_s
        Longest wait for an answer, and for a command to be taken.

    Raises
    ------
    LinkError
        When there is no such port, or another program holds it.
    """

    def __init__(self, address: str, baud: int, timeout_s: float) -> None:
        self._port: Port
        if address.startswith(SCHEME):
            self._port = TcpPort(address, timeout_s)
        else:
            self._port = open_port(address, baud, timeout_s)
        self._timeout_s = timeout_s
        self._decoder: Decoder | None = None
        self._forget()

    @property
    def where(self) -> str:
        """Tell the port's address."""
        return str(self._port.port)

    def send(self, command: bytes, doing: str) -> None:
        """Send bytes; `doing` is for the message when the link is broken."""
        with self._as_link_error(doing):
            self._port.write(command)

    def hear(self, n_bytes: int, doing: str) -> bytes:
        """Return exactly n_bytes of an answer; raise `LinkError` when they do not come in time."""
        heard, deadline_s = b"", time.monotonic() + self._timeout_s
        while len(heard) < n_bytes:
            if time.monotonic() > deadline_s:
                raise self._silent(doing, heard)
            with self._as_link_error(doing):
                heard += self._port.read(n_bytes - len(heard))
        return heard

    def hear_line(self, doing: str, *, longest: int) -> bytes:
        """Return an answer up to a newline, without it, or raise `LinkError`."""
        heard, deadline_s = b"", time.monotonic() + self._timeout_s
        while not heard.endswith(b"\n"):
            if len(heard) > longest or time.monotonic() > deadline_s:
                raise self._silent(doing, heard)
            with self._as_link_error(doing):
                heard += self._port.read(1)
        return heard[:-1]

    def hush(self, doing: str) -> None:
        """Forget what was not read, and wait until the line is silent.

        Raises
        ------
        LinkError
            When the device goes on sending.
        """
        self._decoder = None
        self._forget()
        wait_until_silent(
            self._port,
            doing,
            after=doing,
            timeout_s=self._timeout_s,
            todo="switch the device off and on, and check that it is the one of the rig",
        )

    def begin(self, decoder: Decoder) -> None:
        """Decode from now on what comes, with a decoder that has seen nothing yet."""
        self._decoder = decoder
        self._forget()

    def read_block(self, n_samples: int, timeout_s: float) -> DeviceBlock:
        """Return the next n_samples, or fewer (never none) when the time is over.

        Raises
        ------
        LinkError
            When no sample came in timeout_s, or the device hung up. Samples that came before a
            hang-up are returned first; the call after that raises.
        InstrumentError
            When the decoder says that the stream makes no sense any more.
        """
        deadline_s = time.monotonic() + timeout_s
        while self._queue.n_samples < n_samples and self._failure is None:
            self._receive()
            if time.monotonic() >= deadline_s:
                break
        if self._queue.n_samples:
            return self._queue.take(n_samples)
        raise self._failure or LinkError(
            f"the device sent no frame within {timeout_s:g} s "
            f"({self._decoder.n_bad_frames if self._decoder else 0} bad frames since the start)",
            where=self.where,
            todo="check that it was started, its battery, and how far away it is",
        )

    def close(self) -> None:
        """Give the port back; closing twice is allowed."""
        with suppress(OSError):  # a dead port must not keep us from closing
            self._port.close()

    def _as_link_error(self, doing: str) -> AbstractContextManager[None]:
        return as_link_error(doing, where=self.where)

    def _silent(self, doing: str, heard: bytes) -> LinkError:
        return LinkError(
            f"no answer to {doing} within {self._timeout_s:g} s, got {heard[:40]!r}",
            where=self.where,
            todo="check that the device is switched on and paired, and that the port is its own",
        )

    def _forget(self) -> None:
        self._queue = BlockQueue()
        self._failure: InstrumentError | None = None

    def _receive(self) -> None:
        """Decode what has come, waiting a moment when nothing has; keep a failure for later."""
        try:
            with self._as_link_error("stream"):
                data = self._port.read(self._port.in_waiting or 1)
            if self._decoder:
                self._queue.put(self._decoder.feed(data))
        except InstrumentError as failure:
            self._failure = failure
