"""What can go wrong, and the exit code that each mistake carries.

::

    EmgsimError                 raised when ...
    ├── UsageError         2    a command or a call is used wrongly
    ├── InputError         3    an input file or a value in it is invalid or unreadable
    ├── InstrumentError    4    an instrument reports an error or is not what the rig file says
    │   └── LinkError      4    nothing answers, the link hung up, or the port is taken
    ├── SafetyError        5    a limit would be exceeded, or the source is in its safe state
    └── NotAnalysableError 5    the data hold nothing that a number could honestly come from

Every message says what is wrong (thing, rule, value), where, and what to do about it.
"""

from __future__ import annotations


class EmgsimError(Exception):
    """Base of all errors that emgsim raises on purpose.

    Parameters
    ----------
    what
        One sentence: the thing, the rule and the value that broke it.
    where
        The file and path in it, or the address of the instrument.
    todo
        What the reader can do about it.

    Attributes
    ----------
    folder
        Of the run that it ended, where all that came before is kept; empty if it ended none.
    """

    exit_code = 1
    folder = ""

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.todo = todo

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.todo:
            lines.append(f"  to do: {self.todo}")
        return "\n".join(lines)


class UsageError(EmgsimError):
    """A command or a function was used in a way that cannot work."""

    exit_code = 2


class InputError(EmgsimError):
    """An input file, or a value in it, is invalid or unreadable."""

    exit_code = 3


class InstrumentError(EmgsimError):
    """An instrument reported an error, or is not the one the rig file names."""

    exit_code = 4


class LinkError(InstrumentError):
    """Nothing answers at an address, a link hung up, or somebody else holds the port."""


class SafetyError(EmgsimError):
    """An energising call was refused: over a limit, or the source is in its safe state."""

    exit_code = 5


class NotAnalysableError(EmgsimError):
    """The data hold nothing from which the wanted number could honestly be computed."""

    exit_code = 5
