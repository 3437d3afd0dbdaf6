"""Read SCPI arguments and write SCPI replies: numbers with units, choices, switches, text, blocks.

Every reader takes the argument as sent and raises `ScpiError` with the standard's number when it
is not what the command needs.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

INFINITY = 9.9e37
"""What SCPI writes for infinity."""

ERRORS: dict[int, str] = {
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -131: "Invalid suffix",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -211: "Trigger ignored",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -310: "System error",
    -350: "Error queue overflow",
    -410: "Query INTERRUPTED",
    781: "Not enough memory to store new arb waveform; use DATA:VOL:CLEar",
    785: "Specified arb waveform already exists",
    786: "Specified arb waveform does not exist",
}
"""Text of each error number that the instruments can queue."""


class ScpiError(Exception):
    """A program message asks for what the instrument cannot do; it goes to the error queue."""

    def __init__(self, number: int, detail: str = "") -> None:
        self.number = number
        self.text = ERRORS[number] + (f"; {detail}" if detail else "")
        super().__init__(f'{number:+d},"{self.text}"')


def matches(word: str, pattern: str) -> bool:
    """Tell whether `word` is the short or the long form of a pattern such as ``NORMal``."""
    return word.upper() in (short_form(pattern), pattern.upper())


def short_form(pattern: str) -> str:
    """Return the short form of a pattern: ``NORM`` of ``NORMal``, ``CH2`` of ``CH2``."""
    return "".join(letter for letter in pattern if not letter.islower())


@dataclass(frozen=True, slots=True)
class Number:
    """Read and write a real number between `low` and `high`, in one unit such as ``HZ``.

    `infinite` numbers also take ``INF``, `integer` ones are rounded, and of `clipped` ones the
    instrument itself takes care when they are out of range.
    """

    low: float
    high: float
    default: float
    unit: str = ""
    infinite: bool = False
    integer: bool = False
    clipped: bool = False

    def read(self, argument: bytes) -> float:
        """Return the value of an argument; MIN, MAX, DEF and unit prefixes are understood."""
        word = argument.decode("latin-1").strip().upper()
        named = self.named(word)
        value = _decimal(word, self.unit) if named is None else named
        if self.infinite and value >= INFINITY:
            return math.inf
        if not self.clipped and not self.low <= value <= self.high:
            raise ScpiError(-222, f"{value:g} is not in {self.low:g} to {self.high:g}")
        return round(value) if self.integer else value

    def named(self, word: str) -> float | None:
        """Return the value that MIN, MAX, DEF or INF stands for, or None for other words."""
        if matches(word, "MINimum"):
            return self.low
        if matches(word, "MAXimum"):
            return self.high
        if matches(word, "DEFault"):
            return self.default
        return INFINITY if self.infinite and matches(word, "INFinity") else None

    def write(self, value: float) -> str:
        """Return a reply with sixteen digits, as the instruments give."""
        return "+9.9E+37" if math.isinf(value) else f"{value:+.15E}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Read and write one of a few words, each in its short or its long form."""

    words: tuple[str, ...]
    default: str

    def read(self, argument: bytes) -> str:
        """Return the short form of the word."""
        word = argument.decode("latin-1").strip()
        for pattern in self.words:
            if matches(word, pattern):
                return short_form(pattern)
        raise ScpiError(-224, f"{word[:20]!a} is none of {', '.join(self.words)}".replace('"', "'"))

    def write(self, value: str) -> str:
        """Return the short form."""
        return value


@dataclass(frozen=True, slots=True)
class Switch:
    """Read ON, OFF or a number, and write 1 or 0."""

    default: bool = False

    def read(self, argument: bytes) -> bool:
        """Return True for ON and for every number that rounds to other than 0."""
        word = argument.decode("latin-1").strip().upper()
        if word in ("ON", "OFF"):
            return word == "ON"
        return round(min(abs(_decimal(word, "")), 1.0)) != 0

    def write(self, value: bool) -> str:
        """Return 1 or 0."""
        return "1" if value else "0"


@dataclass(frozen=True, slots=True)
class Text:
    """Read a quoted string, and write one."""

    default: str = ""

    def read(self, argument: bytes) -> str:
        """Return the text between the quotation marks; a doubled mark stands for itself."""
        mark, inside = argument[:1], argument[1:-1]
        is_closed = mark in (b'"', b"'") and len(argument) > 1 and argument.endswith(mark)
        if not is_closed or mark in inside.replace(mark + mark, b""):
            raise ScpiError(-151)
        return inside.replace(mark + mark, mark).decode("latin-1")

    def write(self, value: str) -> str:
        """Return the text in double quotation marks."""
        return '"' + value.replace('"', '""') + '"'


Kind = Number | Choice | Switch | Text
"""What a setting can hold."""


def read_block(argument: bytes) -> bytes:
    """Return the bytes in a definite-length block ``#<d><len><bytes>``."""
    head = re.match(rb"#([1-9])", argument)
    if head is None:
        raise ScpiError(-104, "a definite-length block is needed")
    start = 2 + int(head[1])
    digits = argument[2:start]
    if not digits.isdigit() or len(argument) != start + int(digits):
        raise ScpiError(-161)
    return argument[start:]


def write_block(data: bytes) -> bytes:
    """Return `data` as a definite-length block with an eight-digit length."""
    return b"#8%08d" % len(data) + data


def read_name(argument: bytes) -> str:
    """Return a name that may stand in quotation marks or bare."""
    if argument[:1] in (b'"', b"'"):
        return Text().read(argument)
    if not re.fullmatch(rb"[A-Za-z][A-Za-z0-9_]*", argument):
        raise ScpiError(-104, "a name is needed")
    return argument.decode("ascii")


_DECIMAL = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d{1,5})?)\s*([A-Z/%]*)", re.ASCII)
_PREFIXES = {"": 1.0, "G": 1e9, "MA": 1e6, "K": 1e3, "M": 1e-3, "U": 1e-6, "N": 1e-9, "P": 1e-12}


def _decimal(word: str, unit: str) -> float:
    """Return a decimal number, multiplied by the prefix of its unit."""
    found = _DECIMAL.fullmatch(word)
    if found is None:
        raise ScpiError(-104, "a number is needed")
    return float(found[1]) * _scale(found[2], unit)


def _scale(suffix: str, unit: str) -> float:
    """Return what a suffix such as ``KHZ`` or ``MVPP`` multiplies by."""
    if not suffix:
        return 1.0
    for name in (unit, *_ALIASES.get(unit, ())):
        prefix = suffix.removesuffix(name) if name and suffix.endswith(name) else None
        if prefix == "M" and name in ("HZ", "OHM", "SA/S"):
            return 1e6  # the standard reads MHZ and MOHM as mega, MV and MS as milli
        if prefix is not None and prefix in _PREFIXES:
            return _PREFIXES[prefix]
    raise ScpiError(-131)


_ALIASES = {"V": ("VPP",), "SA/S": ("HZ",), "%": ("PCT",)}
