"""The catalogues that a scenario names its muscle and its electrode from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

from emgsim.shipped import PACKAGE


def muscle_catalogue() -> Mapping[str, Any]:
    """Return the catalogue of muscles as tables by name."""
    return catalogue("muscles")


def nerve_catalogue() -> Mapping[str, Any]:
    """Return the catalogue of nerves: who supplies which muscle, and what suffers beyond a site."""
    return catalogue("nerves")


def electrode_catalogue() -> Mapping[str, Any]:
    """Return the catalogue of electrodes as tables by name."""
    return catalogue("electrodes")


@cache
def catalogue(kind: str) -> Mapping[str, Any]:
    """Return a catalogue as tables by name: ``"muscles"``, ``"nerves"``, ``"electrodes"``."""
    with (PACKAGE / "catalogue" / f"{kind}.toml").open("rb") as file:
        return tomllib.load(file)
