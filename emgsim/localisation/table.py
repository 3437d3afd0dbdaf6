"""The lesions that were found, as lines for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from emgsim.localisation.places import Kind, Lesion
from emgsim.localisation.search import Located, Reason

N_REASONS = 3
LEAST_NATS = 0.3  # below it a finding says nothing worth a word
WORDS: dict[Kind, str] = {
    "root": "radiculopathy",
    "nerve": "nerve lesion",
    "diffuse": "",
    "plexus": "",
    "muscle": "",
    "junction": "neuromuscular",
}


def localisation_table(located: Sequence[Located], n: int = 5) -> str:
    """Write one lesion a line: its probability, its name and side, and the strongest reasons.

    Parameters
    ----------
    located
        Of `emgsim.localisation.located`.
    n
        How many lines at most.

    Returns
    -------
    str
        Lines ended by a line break each. A reason is followed by its nats against health.
    """
    width = max((len(_name(one.lesion)) for one in located[:n]), default=0)
    lines = [
        f"{100 * one.probability:5.1f} %  {_name(one.lesion):{width}s}  {_why(one)}".rstrip()
        for one in located[:n]
    ]
    return "".join(f"{line}\n" for line in lines)


def _name(lesion: Lesion) -> str:
    if lesion.kind == "none":
        return "no lesion"
    side = "" if lesion.side == "both" else f", {lesion.side}"
    return f"{WORDS[lesion.kind]} {lesion.name.replace('_', ' ')}{side}".strip()


def _why(one: Located) -> str:
    strong = [reason for reason in one.because if abs(reason.nats) >= LEAST_NATS]
    strong.sort(key=lambda reason: -abs(reason.nats))
    return "; ".join(_reason(reason) for reason in strong[:N_REASONS])


def _reason(reason: Reason) -> str:
    name = reason.what.replace("_", " ")
    return f"{reason.side} {name} {reason.seen} ({reason.nats:+.1f})"
