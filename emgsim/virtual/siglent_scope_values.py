"""What a setting of a Siglent oscilloscope can hold, and how it is written.

Numbers come back in three digits (``5.00E-02``) and are brought into their range; words come back
as the programming guide spells them (``RISing``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from emgsim.virtual.parameters import Number, ScpiError, Text, matches
from emgsim.virtual.scpi import Call, Command

_ANY = Number(-math.inf, math.inf, 0.0)


class Kind(Protocol):
    """Reads and writes one setting."""

    @property
    def default(self) -> Any:
        """The value after a reset."""

    def read(self, argument: bytes) -> Any:
        """Return the value of an argument; raise `ScpiError` if it is none."""

    def write(self, value: Any) -> str:
        """Return the reply."""


@dataclass(frozen=True, slots=True)
class Word:
    """One of a few words, in long or short form."""

    words: tuple[str, ...]
    default: str

    def read(self, argument: bytes) -> str:
        """Return the word as the guide spells it."""
        found = argument.decode("latin-1").strip()
        for word in self.words:
            if matches(found, word):
                return word
        raise ScpiError(-224)

    def write(self, value: str) -> str:
        """Return the word."""
        return value


ON_OFF = ("ON", "OFF")


@dataclass(frozen=True, slots=True)
class Real:
    """A number that is brought into its range, and where it has steps down to 1, 2 or 5."""

    low: float
    high: float
    default: float
    has_steps: bool = False

    def read(self, argument: bytes) -> float:
        """Return the value that the instrument makes of a number."""
        value = min(max(_ANY.read(argument), self.low), self.high)
        return step_below(value) if self.has_steps else value

    def write(self, value: float) -> str:
        """Return three digits."""
        return three_digits(value)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number that is brought into its range."""

    low: int
    high: int
    default: int

    def read(self, argument: bytes) -> int:
        """Return the rounded number."""
        return round(min(max(_ANY.read(argument), self.low), self.high))

    def write(self, value: int) -> str:
        """Return its digits."""
        return str(value)


@dataclass(frozen=True, slots=True)
class Quoted:
    """A text in quotation marks."""

    default: str

    def read(self, argument: bytes) -> str:
        """Return the text between the marks."""
        return Text().read(argument)

    def write(self, value: str) -> str:
        """Return it in marks."""
        return Text().write(value)


def setting(
    pattern: str, kind: Kind, get: Callable[[int], Any], put: Callable[[int, Any], None]
) -> tuple[Command, Command]:
    """Return the command and the query of a setting; both functions take the channel number."""

    def write(call: Call) -> None:
        put(call.suffix, kind.read(call.arguments[0]))

    return (
        Command(pattern, write, 1, 1),
        Command(f"{pattern}?", lambda call: kind.write(get(call.suffix))),
    )


def three_digits(value: float) -> str:
    """Return a number as these oscilloscopes tell it."""
    return f"{value:.2E}"


def step_below(value: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above a value."""
    decade = math.floor(math.log10(value) + 1e-9)
    steps = (float(f"{step}e{decade}") for step in (5, 2, 1))
    return next(step for step in steps if step <= value * (1 + 1e-9))
