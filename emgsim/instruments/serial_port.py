"""Opens serial ports and turns every foreign exception on them into an emgsim error."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import serial

from emgsim.errors import LinkError

SILENCE_S = 0.1  # a device that has been silent for so long has stopped
POLL_S = 0.05  # longest wait of one read: how late a time-out is noticed
WHAT_TO_DO = {
    errno.ENOENT: "check the name of the port and that the device is plugged in",
    errno.EACCES: "join the group that may use serial ports (often dialout)",
    errno.EAGAIN: "close the other program that holds the port",
    errno.EBUSY: "close the other program that holds the port",
    errno.EIO: "check cable and power, then open the device anew",
}


class Port(Protocol):
    """What is asked of the port of a device that streams: a serial one, or one on the network."""

    @property
    def port(self) -> str | None:
        """Address."""

    @property
    def in_waiting(self) -> int:
        """Number of bytes that can be read at once."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, or none after `POLL_S`."""

    def write(self, data: bytes, /) -> int | None:
        """Send bytes."""

    def close(self) -> None:
        """Give the port back."""


def open_port(address: str, baud: int, timeout_s: float) -> serial.Serial:
    """Open a serial port for this program alone.

    Parameters
    ----------
    address
        Serial port, for example ``/dev/ttyUSB0``.
    baud
        Bits per second; a USB serial port may ignore it.
    timeout_s
        Longest wait for bytes to be taken. A read waits `POLL_S` at most.

    Raises
    ------
    LinkError
        When there is no such port, or another program holds it.
    """
    try:
        return serial.Serial(address, baud, timeout=POLL_S, write_timeout=timeout_s, exclusive=True)
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        raise LinkError(
            f"the port cannot be opened: {error}",
            where=address,
            todo=WHAT_TO_DO.get(number or 0, "check the port and its settings"),
        ) from error


@contextmanager
def as_link_error(
    doing: str, *, where: str, to: str = "the device", todo: str = WHAT_TO_DO[errno.EIO]
) -> Iterator[None]:
    """Turn whatever goes wrong inside into a `LinkError` that says what was being done.

    Parameters
    ----------
    doing
        What is done, for the message.
    where
        The port's address.
    to
        What is at the other end of the link.
    todo
        What its user can do.
    """
    try:
        yield
    except LinkError:  # it says what it was
        raise
    except Exception as error:  # SerialException, OSError, and termios.error, which is neither
        raise LinkError(
            f"the link to {to} broke during {doing} ({error})", where=where, todo=todo
        ) from error


def wait_until_silent(port: Port, doing: str, *, after: str, timeout_s: float, todo: str) -> None:
    """Read what still comes away, until nothing has come for `SILENCE_S`.

    Parameters
    ----------
    port
        Open.
    doing
        What is done, for the message of a broken link.
    after
        What should have ended the stream, for the other one.
    timeout_s
        Longest wait.
    todo
        What its user can do when the device goes on sending.

    Raises
    ------
    LinkError
        When the device goes on sending, or hangs up.
    """
    deadline_s, silent_s, where = time.monotonic() + timeout_s, 0.0, str(port.port)
    while silent_s < SILENCE_S:
        began_s = time.monotonic()
        with as_link_error(doing, where=where):
            heard = port.read(port.in_waiting or 1)
        silent_s = 0.0 if heard else silent_s + time.monotonic() - began_s
        if time.monotonic() > deadline_s + SILENCE_S:
            raise LinkError(
                f"the device still streams {timeout_s:g} s after {after}", where=where, todo=todo
            )
