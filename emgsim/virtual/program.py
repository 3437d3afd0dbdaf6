"""Cut bytes into SCPI program messages, and a message into units with headers and arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

_NEWLINE = 0x0A
_HASH = 0x23
_MARK = re.compile(rb"[\n\"'#]")
_ATOM = re.compile(rb"\"[^\"]*\"|'[^']*'|\([^()]*\)|;|#[0-9]")

MAX_MESSAGE_BYTES = 36 * 1024 * 1024
"""Longest program message, and so the longest block, that a server takes."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Hold one program message unit: ``header`` in upper case, and its arguments as sent.

    An argument keeps its quotes, its parentheses or its ``#<d><len>`` so that its kind shows.
    """

    header: str
    arguments: tuple[bytes, ...]


class Splitter(Protocol):
    """What cuts a byte stream into program messages."""

    @property
    def n_bytes(self) -> int:
        """Bytes of the message that is not complete yet."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and return the messages that are now complete."""

    def end(self) -> bytes:
        """Return what is left at the end of a message that the wire marks, and start afresh."""


class MessageSplitter:
    """Cut a byte stream into program messages, wherever the stream itself was cut.

    A newline ends a message, except inside a definite-length block. ``end`` takes what is left
    when the transport itself marks the end of a message, as HiSLIP does.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scan = 0  # no message ends before this place
        self._quote = 0  # the quotation mark that is open there, or 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the message that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and return the messages that are now complete, without newlines."""
        self._buffer += data
        messages = []
        while (end := self._find_newline()) is not None:
            messages.append(bytes(self._buffer[:end]))
            del self._buffer[: end + 1]
            self._scan = self._quote = 0
        return messages

    def end(self) -> bytes:
        """Return what follows the last newline, and start afresh."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._scan = self._quote = 0
        return rest

    def _find_newline(self) -> int | None:
        """Return the position of the newline that ends the first message, if it is there yet."""
        while mark := _MARK.search(self._buffer, self._scan):
            at = mark.start()
            found = self._buffer[at]
            if found == _NEWLINE:
                return at
            if found == _HASH and not self._quote:
                past = block_end(self._buffer, at)
                if past is None:  # the length itself is still on its way
                    self._scan = at
                    return None
                self._scan = past
            else:
                self._note_quote(found)
                self._scan = at + 1
        self._scan = max(self._scan, len(self._buffer))
        return None

    def _note_quote(self, found: int) -> None:
        if found != _HASH:
            self._quote = {0: found, found: 0}.get(self._quote, self._quote)


def block_end(data: bytes | bytearray, at: int) -> int | None:
    """Return where the block that starts with the ``#`` at `at` ends.

    None means that the length is not complete yet; ``at + 1`` that no block starts here (also
    when its length is more than any message may have).
    """
    if len(data) < at + 2:
        return None
    n_digits = data[at + 1] - 0x30
    if not 1 <= n_digits <= 9:
        return at + 1
    digits = bytes(data[at + 2 : at + 2 + n_digits])
    if digits and not digits.isdigit():
        return at + 1
    if len(digits) < n_digits:
        return None
    length = int(digits)
    return at + 1 if length > MAX_MESSAGE_BYTES else at + 2 + n_digits + length


def parse(message: bytes) -> list[Unit]:
    """Return the units of a program message; empty ones are left out."""
    units = [_unit(pieces) for pieces in _pieces(message)]
    return [unit for unit in units if unit is not None]


def _pieces(message: bytes) -> list[list[bytes]]:
    """Return, for each unit, its plain text and its literals in order, plain text at even places.

    The runs between literals are split in C later on: a million comma-separated values cost
    one ``split``, not a million steps here.
    """
    units: list[list[bytes]] = [[]]
    at = plain = 0
    while atom := _ATOM.search(message, at):
        start, at = atom.span()
        if message[start] == _HASH:
            at = _literal_end(message, start)
            if at == start + 1:  # a number such as #H1F: plain text
                continue
        units[-1].append(message[plain:start])
        if message[start : start + 1] == b";":
            units.append([])
        else:
            units[-1].append(message[start:at])
        plain = at
    units[-1].append(message[plain:])
    return units


def _literal_end(message: bytes, start: int) -> int:
    """Return the end of a block; one of indefinite length or cut short goes to the very end."""
    if message[start + 1] == 0x30:
        return len(message)
    past = block_end(message, start)
    return len(message) if past is None else min(past, len(message))


def _unit(pieces: list[bytes]) -> Unit | None:
    """Join pieces to a unit: header up to the first white space, then comma-separated arguments."""
    words = pieces[0].lstrip().split(None, 1)
    if not words and len(pieces) == 1:
        return None
    header = words[0] if words else b""
    rest = words[1] if len(words) > 1 else b""
    if len(pieces) > 1 and not rest and not pieces[0][-1:].isspace():
        return Unit(_upper(header + pieces[1]), ())  # a literal glued to the header
    arguments = _join([rest, *pieces[1:]]) if rest.strip() or len(pieces) > 1 else []
    return Unit(_upper(header), tuple(arguments))


def _join(pieces: list[bytes]) -> list[bytes]:
    """Split the plain pieces at commas and glue the literals between them to their neighbours."""
    arguments = [b""]
    for place, piece in enumerate(pieces):
        # white space around plain text means nothing, but in a literal it may be data
        is_plain = place % 2 == 0
        first, *others = [part.strip() for part in piece.split(b",")] if is_plain else [piece]
        arguments[-1] += first
        arguments.extend(others)
    return arguments


def _upper(header: bytes) -> str:
    return header.decode("latin-1").upper()
