"""Finds driver classes by name: a table of our own, extended by entry points.

A package adds drivers under the entry points ``emgsim.sources``, ``emgsim.captures``,
``emgsim.devices`` and ``emgsim.switches``. A name of the table cannot be taken over.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from emgsim.errors import InputError
from emgsim.instruments.base import API

Role = Literal["source", "capture", "device", "switch"]

GROUPS: dict[Role, str] = {
    "source": "emgsim.sources",
    "capture": "emgsim.captures",
    "device": "emgsim.devices",
    "switch": "emgsim.switches",
}
OURS: dict[Role, dict[str, tuple[str, str]]] = {
    "source": {"keysight.33500": ("emgsim.instruments.keysight_33500", "Keysight33500")},
    "capture": {
        "keysight.infiniivision": (
            "emgsim.instruments.keysight_infiniivision",
            "KeysightInfiniivision",
        )
    },
    "device": {"serial.frames": ("emgsim.instruments.serial_frames", "SerialFrames")},
    "switch": {"numato.relays": ("emgsim.instruments.numato_relays", "NumatoRelays")},
}


def driver_names(role: Role) -> tuple[str, ...]:
    """List the names of all drivers of a role, ours and foreign."""
    return tuple(sorted({*OURS[role], *_foreign(role)}))


def load(role: Role, name: str) -> type[Any]:
    """Load a driver class; only now are its libraries imported.

    Parameters
    ----------
    role
        ``source``, ``capture``, ``device`` or ``switch``.
    name
        Name as a rig file gives it, for example ``keysight.33500``.

    Raises
    ------
    InputError
        When no driver has that name (with the nearest one), or a foreign one cannot be used.
    """
    if name in OURS[role]:
        module, attribute = OURS[role][name]
        found: type[Any] = getattr(import_module(module), attribute)
        return found
    foreign = _foreign(role)
    if name not in foreign:
        raise _unknown(role, name)
    return _checked(role, foreign[name])


def _foreign(role: Role) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUPS[role])}


def _checked(role: Role, entry: EntryPoint) -> type[Any]:
    where = f"entry point {entry.name} = {entry.value} of {GROUPS[role]}"
    try:
        found = entry.load()
    except Exception as error:
        raise InputError(
            f"the {role} driver {entry.name!r} cannot be imported: {error}",
            where=where,
            todo="repair or remove the package that offers it",
        ) from error
    if not isinstance(found, type) or getattr(found, "api", None) != API:
        got = getattr(found, "api", "none")
        raise InputError(
            f"a {role} driver must be a class with api = {API}, got {found!r} with api {got}",
            where=where,
            todo="install a version of the package that fits this emgsim",
        )
    return found


def _unknown(role: Role, name: str) -> InputError:
    known = driver_names(role)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return InputError(
        f"no {role} driver is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
        todo=f"use one of: {', '.join(known)}",
    )
