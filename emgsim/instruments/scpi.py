"""Keeps the manners of a SCPI dialogue: every setting read back, every error queue emptied.

A setting and its query travel in one message (``:VOLT 2;:VOLT?``): one round trip instead of
two, and on a raw socket it avoids the 40 ms that delayed acknowledgement costs a write that is
followed by a query.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InstrumentError

SCPI_INFINITY = 9.9e37  # IEEE 488.2: the number that stands for infinity
QUEUE_OVERFLOW = -350  # SCPI 1999, volume 2, list of errors
MAX_ERRORS = 64  # a queue holds 20 to 30; more means that reading an error makes one

Block = NDArray[np.int16] | NDArray[np.uint16]


def scpi_number(value: float) -> str:
    """Write a number as SCPI wants it; infinity is a word."""
    return "INF" if math.isinf(value) else format(value, ".12g")


def is_close(actual: float, wanted: float, *, within: float, floor: float) -> bool:
    """Tell whether a read-back is the wanted value, relative ``within``, never below ``floor``."""
    if math.isinf(wanted):  # any finite number is within a part of infinity
        return actual == wanted
    return abs(actual - wanted) <= max(within * abs(wanted), floor)


def is_word(answer: str, word: str) -> bool:
    """Tell whether a read-back is the wanted word; a switch may answer by its number."""
    accepted = {"ON": ("ON", "1"), "OFF": ("OFF", "0")}.get(word, (word.upper(),))
    return answer.strip('"').upper() in accepted


class ScpiLink(ABC):
    """Exchanges SCPI messages with one instrument; the message transport is a subclass."""

    address: str

    @abstractmethod
    def ask(self, message: str, *, timeout_s: float | None = None) -> str:
        """Send a query and return its answer without the line end."""

    @abstractmethod
    def tell(self, message: str) -> None:
        """Send a command that has no answer."""

    @abstractmethod
    def tell_block(self, header: str, values: Block) -> int:
        """Send header and values as one definite-length block, and return the payload bytes.

        The bytes go out in the order of the array's own type: ``<i2``, ``>u2``.
        """

    @abstractmethod
    def tell_bytes(self, header: str, payload: bytes) -> int:
        """Send header and bare bytes as one message, and return the number of payload bytes.

        For instruments whose data have no ``#`` header. The message ends where the wire marks its
        end; on a raw socket or a serial line that is a line feed, which the payload may hold too.
        """

    @abstractmethod
    def ask_bytes(self, message: str) -> bytes:
        """Send a query and return the bytes of its definite-length block.

        Raises
        ------
        InstrumentError
            When the answer is no such block, or is cut short.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the link back; closing twice is allowed."""

    def ask_block(self, message: str) -> NDArray[np.uint16]:
        """Send a query and return its definite-length block, little-endian 16-bit words."""
        payload = self.ask_bytes(message)
        if len(payload) % 2:
            raise InstrumentError(
                f"the answer to {message} must hold whole 16-bit words, got {len(payload)} bytes",
                where=self.address,
            )
        return np.frombuffer(payload, "<u2").astype(np.uint16)

    def ask_number(self, message: str) -> float:
        """Send a query whose answer is a number; 9.9E37 is infinity."""
        answer = self.ask(message)
        try:
            number = float(answer)
        except ValueError as error:
            raise InstrumentError(
                f"the answer to {message} must be a number, got {answer!r}", where=self.address
            ) from error
        return math.copysign(math.inf, number) if abs(number) >= SCPI_INFINITY else number

    def put(self, header: str, value: float, *, within: float = 1e-4, floor: float = 0.0) -> float:
        """Set a number and return what the instrument made of it.

        Parameters
        ----------
        header
            Command without leading colon and question mark.
        value
            The wanted value.
        within, floor
            Largest difference accepted: relative to the value, but never below the floor.

        Raises
        ------
        InstrumentError
            When the read-back differs; the error queue is in the message.
        """
        text = scpi_number(value)
        actual = self.ask_number(f":{header} {text};:{header}?")
        if not is_close(actual, value, within=within, floor=floor):
            self.refuse(header, text, scpi_number(actual))
        return actual

    def choose(self, header: str, word: str) -> None:
        """Set a word (an enum, a switch, a name) and verify it by its query."""
        answer = self.ask(f":{header} {word};:{header}?").strip('"')
        if not is_word(answer, word):
            self.refuse(header, word, answer)

    def refuse(self, header: str, wanted: str, actual: str) -> None:
        """Raise an error that says what was set and what was read back."""
        queue = self.errors()
        told = f" (the instrument says: {'; '.join(queue)})" if queue else ""
        raise InstrumentError(
            f"{header} was set to {wanted}, reads back {actual}{told}",
            where=self.address,
            todo="check the value against the instrument's limits and for settings in conflict",
        )

    def errors(self) -> tuple[str, ...]:
        """Read the error queue until it is empty."""
        found: list[str] = []
        while len(found) < MAX_ERRORS:
            answer = self.ask(":SYST:ERR?")
            if _error_number(answer, self.address) == 0:
                break
            found.append(answer)
        return tuple(found)

    def check_errors(self, doing: str) -> None:
        """Raise an error with all messages of the error queue, if there are any."""
        queue = self.errors()
        if queue:
            is_full = any(_error_number(error, self.address) == QUEUE_OVERFLOW for error in queue)
            more = " or more: its error queue has overflowed, and others are lost" * is_full
            raise InstrumentError(
                f"the instrument reports {len(queue)} error(s){more} after {doing}: "
                f"{'; '.join(queue)}",
                where=self.address,
                todo="look the numbers up in the instrument's manual",
            )

    def finish(self, doing: str, *, timeout_s: float | None = None) -> None:
        """Wait until all that was sent is done, then check the error queue."""
        answer = self.ask("*OPC?", timeout_s=timeout_s)
        if answer.lstrip("+") != "1":
            raise InstrumentError(
                f"the answer to *OPC? after {doing} must be 1, got {answer!r}", where=self.address
            )
        self.check_errors(doing)


def block_header(n_bytes: int) -> str:
    """Return what stands before the bytes of a definite-length block (IEEE 488.2, 7.7.6)."""
    return f"#{len(str(n_bytes))}{n_bytes}"


def block_length(answer: bytes, message: str, address: str) -> int:
    """Return how many bytes a definite-length block announces.

    Parameters
    ----------
    answer
        The block, or as much of it as its header.
    message, address
        The query, and who was asked.

    Raises
    ------
    InstrumentError
        When it does not begin as such a block does.
    """
    n_digits = answer[1:2]
    digits = answer[2 : 2 + int(n_digits)] if n_digits.isdigit() else b""
    if answer[:1] != b"#" or not digits.isdigit() or len(digits) != int(n_digits):
        raise InstrumentError(
            f"the answer to {message} must be a block that begins with #, its number of digits and "
            f"its length, got {answer[:20]!r}",
            where=address,
            todo="check the settings of the format, and that this is the instrument of the rig",
        )
    return int(digits)


def _error_number(answer: str, address: str) -> int:
    try:
        return int(answer.split(",", 1)[0])
    except ValueError as error:
        raise InstrumentError(
            f"the answer to SYST:ERR? must begin with a number, got {answer!r}", where=address
        ) from error
