"""Reads the answers of Siglent waveform generators: keys with values, and numbers with units."""

from __future__ import annotations

import math
import re

from emgsim.errors import InstrumentError

Fields = dict[str, str]
"""Values by their keys, as they were told."""

_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)[A-Za-z/%]*")


def read_fields(answer: str, header: str, address: str) -> Fields:
    """Return the keys and values of an answer such as ``C1:OUTP ON,LOAD,HZ,PLRT,NOR``.

    Parameters
    ----------
    answer
        What came. ``ON`` or ``OFF`` in the first place is told as ``STATE``; from ``CARR`` on,
        which repeats the keys of another group, nothing is taken.
    header
        What it must begin with.
    address
        Who was asked, for the message.

    Raises
    ------
    InstrumentError
        When the header is another one, or a key has no value.
    """
    head, _, rest = answer.strip().partition(" ")
    words = [word.strip() for word in rest.split(",")]
    if "CARR" in words:
        words = words[: words.index("CARR")]
    if words[0] in ("ON", "OFF"):
        words.insert(0, "STATE")
    if head != header or len(words) % 2:
        raise InstrumentError(
            f"the answer to {header}? must be {header} and pairs of key and value, got {answer!r}",
            where=address,
            todo="check that the address belongs to the generator that the rig file names",
        )
    return dict(zip(words[::2], words[1::2], strict=True))


def read_number(text: str) -> float:
    """Return a number without its unit (``4V``, ``1000000Sa/s``), ``INF``, or NaN for others."""
    if text.upper() == "INF":
        return math.inf
    found = _NUMBER.fullmatch(text.strip())
    return float(found[1]) if found else math.nan
