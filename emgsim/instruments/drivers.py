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
from emgsim.instruments.base import API, Capture, Device, Source, Switch

Role = Literal["source", "capture", "device", "switch"]

GROUPS: dict[Role, str] = {
    "source": "emgsim.sources",
    "capture": "emgsim.captures",
    "device": "emgsim.devices",
    "switch": "emgsim.switches",
}
PROTOCOLS: dict[Role, type] = {
    "source": Source,
    "capture": Capture,
    "device": Device,
    "switch": Switch,
}
UNPROVEN = "unproven"
OURS: dict[Role, dict[str, tuple[str, str, str]]] = {
    "source": {
        "keysight.33500": (
            "emgsim.instruments.keysight_33500",
            "Keysight33500",
            "PyMeasure Agilent33500",
        ),
        "siglent.sdg": (
            "emgsim.instruments.siglent_sdg",
            "SiglentSdg",
            "PyMeasure TeledyneT3AFG",
        ),
        "tektronix.afg": (
            "emgsim.instruments.tektronix_afg",
            "TektronixAfg",
            "PyMeasure AFG3152C",
        ),
        "rigol.dg": ("emgsim.instruments.rigol_dg", "RigolDg", "PyMeasure DG800"),
        "sound.card": ("emgsim.instruments.sound_card", "SoundCardSource", ""),
    },
    "capture": {
        "keysight.infiniivision": (
            "emgsim.instruments.keysight_infiniivision",
            "KeysightInfiniivision",
            "PyMeasure KeysightDSOX1102G",
        ),
        "siglent.sds": (
            "emgsim.instruments.siglent_sds",
            "SiglentSds",
            "PyMeasure SDS1000XHD",
        ),
        "sound.card": ("emgsim.instruments.sound_capture", "SoundCardCapture", ""),
    },
    "device": {
        "serial.frames": (
            "emgsim.instruments.serial_frames",
            "SerialFrames",
            "brainflow BoardShim",
        ),
        "plux.bitalino": ("emgsim.instruments.bitalino", "Bitalino", "bitalino BITalino"),
        "shimmer.shimmer3": (
            "emgsim.instruments.shimmer3",
            "Shimmer3",
            "pyshimmer ShimmerBluetooth",
        ),
        "otb.quattrocento": ("emgsim.instruments.quattrocento", "Quattrocento", ""),
    },
    "switch": {"numato.relays": ("emgsim.instruments.numato_relays", "NumatoRelays", "")},
}
"""Module and class of each driver, and the client that has confirmed its twin.

The client is written by other people: its package, and the name that a test of this repository
imports from it to drive the twin. Without one the driver is labelled unproven.
"""


def driver_names(role: Role) -> tuple[str, ...]:
    """List the names of all drivers of a role, ours and foreign."""
    return tuple(sorted({*OURS[role], *_foreign(role)}))


def proof(role: Role, name: str) -> str:
    """Return the client of other people that has confirmed a driver's twin, or ``unproven``.

    A driver of another package is unproven: what confirmed it is not known here.
    """
    return (OURS[role][name][2] if name in OURS[role] else "") or UNPROVEN


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
        module, attribute, _ = OURS[role][name]
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
    wanted = {"open", *(name for name in vars(PROTOCOLS[role]) if not name.startswith("_"))}
    missing = sorted(name for name in wanted if not hasattr(found, name))
    if missing:
        raise InputError(
            f"a {role} driver must have all that its protocol has; {found.__name__} lacks "
            f"{', '.join(missing)}",
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
