"""How a Siglent waveform generator cuts and reads messages, which is not SCPI's way.

``C1:WVDT WVNM,name,...,WAVEDATA,`` is followed by bare bytes. Where the wire marks the end of a
message, they go up to there; on a stream they go on for as many as ``LENGTH,nB`` says, and without
a length for ever: the commands that follow end up in the waveform (pyvisa-py issue 311).
"""

from __future__ import annotations

import re

from emgsim.virtual.parameters import ScpiError
from emgsim.virtual.program import Unit, parse

_DATA = re.compile(rb"[ \t\r]*C\d:WVDT[ \t][^\n]{0,300}?WAVEDATA,", re.IGNORECASE)
_LENGTH = re.compile(rb"LENGTH,\s*(\d{1,9})(KB|B)?", re.IGNORECASE)
_NEWLINE = b"\n"
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:E[-+]?\d{1,3})?)\s*([A-Z/%]*)")
_UNITS = {"K": 1e3, "M": 1e-3, "U": 1e-6, "N": 1e-9, "": 1.0}

Pairs = list[tuple[str, str]]
"""Keys with their values, in the order in which they were said."""


class SiglentSplitter:
    """Cut a byte stream into messages; the same, whatever the pieces in which it comes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scan = 0  # no line feed before this place

    @property
    def n_bytes(self) -> int:
        """Bytes of the message that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and return the messages that are now complete, without line feeds."""
        self._buffer += data
        messages = []
        while (end := self._end()) is not None:
            messages.append(bytes(self._buffer[:end]))
            is_fed = self._buffer[end : end + 1] == _NEWLINE
            del self._buffer[: end + is_fed]
            self._scan = 0
        return messages

    def end(self) -> bytes:
        """Return what is left where the wire marks an end, and start afresh."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._scan = 0
        return rest

    def _end(self) -> int | None:
        """Return where the first message ends, if that is there yet."""
        if (head := _DATA.match(self._buffer)) is not None:
            if (length := _length(head[0])) is None:
                return None
            end = head.end() + length
            return end if len(self._buffer) > end else None
        at = self._buffer.find(_NEWLINE, self._scan)
        self._scan = len(self._buffer) if at < 0 else at
        return None if at < 0 else at


def read_units(message: bytes) -> list[Unit]:
    """Return the units of a message; of waveform data the last argument holds the bare bytes."""
    head = _DATA.match(message)
    if head is None:
        return parse(message)
    (unit,) = parse(head[0].removesuffix(b","))
    length = _length(head[0])
    data = message[head.end() :] if length is None else message[head.end() : head.end() + length]
    return [Unit(unit.header, (*unit.arguments, data))]


def _length(head: bytes) -> int | None:
    found = _LENGTH.search(head)
    if found is None:
        return None
    return int(found[1]) * (1024 if (found[2] or b"").upper() == b"KB" else 1)


def read_pairs(arguments: tuple[bytes, ...], *, keep_case: bool = False) -> Pairs:
    """Return keys and values; a word that stands alone has an empty value."""
    words = [argument.decode("latin-1").strip() for argument in arguments]
    if not keep_case:
        words = [word.upper() for word in words]
    pairs, rest = [], iter(words)
    for key in rest:
        is_alone = key.upper() in ("ON", "OFF", "MTRIG", "CARR", "WAVEDATA")
        pairs.append((key.upper(), "" if is_alone else next(rest, "")))
    return pairs


def read_number(text: str) -> float:
    """Return a number with or without its unit, such as ``4``, ``4V``, ``2KHZ``."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ScpiError(-104, "a number is needed")
    unit = found[2]
    if unit == "MHZ":
        return float(found[1]) * 1e6
    for name in ("HZ", "VPP", "V", "S", "SA/S", ""):
        if unit.endswith(name) and (prefix := unit.removesuffix(name)) in _UNITS:
            return float(found[1]) * _UNITS[prefix]
    raise ScpiError(-131)
