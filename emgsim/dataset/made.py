"""One recording of a dataset, as it is planned and as it is made.

These three are all that a format needs to know: the head of the dataset, the item of its plan, and
what was made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from emgsim.recording import Recording, Truth

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Value = float | str | bool


@dataclass(frozen=True, kw_only=True)
class DatasetHead:
    """What a dataset is called, who made it, and what may be done with it.

    ``licence`` is an SPDX identifier, such as ``CC-BY-4.0``.
    """

    id: str
    title: str
    description: str
    licence: str
    authors: tuple[str, ...]
    version: str


@dataclass(frozen=True, kw_only=True)
class Item:
    """One recording of the plan: all that is needed to make it, and nothing of any other."""

    index: int  # place in the plan, from 0 on
    id: str  # "000123", as wide as the plan needs
    scenario: str  # id of the scenario file
    overrides: tuple[str, ...]  # key=value, as of `--set`
    parameters: Mapping[str, Value]  # what was drawn or listed, by key; units in the keys
    subject: str  # "0007": one simulated person, never in two splits
    seed: int  # of this recording
    split: Split
    pair: str = ""  # shared by paired counterfactuals; "": none
    variant: str = ""  # of the pair: "healthy", "diseased", "without_artefacts", ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """One recording of the dataset as it was made, with its truth and its labels.

    Parameters
    ----------
    item
        What was planned.
    recordings
        By path: ``clean`` always; ``loopback`` and ``device`` where a rig is asked for;
        ``stem-near``, ``stem-background``, ``stem-noise`` and ``stem-artefacts`` where stems are
        asked for, whose sum is ``clean``.
    truth
        Every discharge, potential and event of it.
    labels
        Plain JSON: muscle, side, conditions, effort, findings, electrode, artefacts; units in the
        keys.
    scenario
        The resolved scenario, every default filled in.
    """

    item: Item
    recordings: Mapping[str, Recording]
    truth: Truth
    labels: Mapping[str, Any]
    scenario: Mapping[str, Any]
