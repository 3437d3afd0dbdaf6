"""Run all servers of one virtual rig in one event loop, until somebody ends them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from emgsim.errors import InputError
from emgsim.plant.faults import Faults
from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import World
from emgsim.virtual import twins
from emgsim.virtual.firmware import Firmware
from emgsim.virtual.relays import VirtualRelays
from emgsim.virtual.wires import SERVERS, Wires

DRIVERS = {
    "source": "keysight.33500",
    "capture": "keysight.infiniivision",
    "device": "serial.frames",
}
PROFILE = "na1"
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class RigFile:
    """Hold what a rig file says about its virtual hardware."""

    physics: RigPhysics
    faults: Faults
    wires: Wires = field(default_factory=Wires)
    make_sources: tuple[twins.MakeSource, ...] = (twins.SOURCES[DRIVERS["source"]],)
    make_capture: twins.MakeCapture = twins.CAPTURES[DRIVERS["capture"]]
    make_device: twins.MakePort = twins.DEVICES[DRIVERS["device"], PROFILE]
    has_switch: bool = False  # a relay box, and not a person


def read_rig(path: Path) -> RigFile:
    """Return what a rig in JSON says of its virtual hardware.

    The table ``virtual`` holds the physics and the ``wires``; ``faults`` may stand in it or beside
    it. The tables ``source``, ``capture`` and ``device`` name the drivers whose twins are wanted,
    ``others`` those of further generators, one for each of ``virtual.others``, and a table
    ``switch`` that names a resource asks for a relay box.

    Raises
    ------
    InputError
        If the file cannot be read, something in it is unknown or out of range, or a driver that it
        names has no twin.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        table: dict[str, Any] = dict(content["virtual"])
        faults = Faults.model_validate(table.pop("faults", content.get("faults", {})))
        wires = Wires.model_validate(table.pop("wires", {}))
        switch = dict(content.get("switch") or {})
        physics = RigPhysics.model_validate(table)
        _check_faults(faults, physics)
        return RigFile(
            physics,
            faults,
            wires,
            _source_makers(content, len(physics.others)),
            *_makers(content),
            has_switch=bool(switch.get("resource")),
        )
    except InputError as error:
        raise InputError(error.what, where=f"{path}, {error.where}", todo=error.todo) from error
    except ValidationError as error:
        raise InputError(_mistakes(error), where=str(path)) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"the rig file cannot be read: {error}", where=str(path)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = "the rig file must be an object with an object 'virtual'"
        raise InputError(what, where=str(path)) from error


def source_role(number: int) -> str:
    """Return the name under which a generator is served, from 0: ``source``, ``source_2``, ..."""
    return f"source_{number + 1}" if number else "source"


def _source_makers(content: dict[str, Any], n_others: int) -> tuple[twins.MakeSource, ...]:
    """Return what makes the twins of the generators' drivers; where none is named, ours."""
    others = content.get("others") or [{}] * n_others
    if len(others) != n_others:
        raise InputError(
            f"must be as many as virtual.others, which are {n_others}, got {len(others)}",
            where="others",
        )
    roles = [dict(content.get("source") or {}), *map(dict, others)]
    names = [str(role.get("driver", DRIVERS["source"])) for role in roles]
    return tuple(twins.source(name, source_role(k)) for k, name in enumerate(names))


def _check_faults(faults: Faults, physics: RigPhysics) -> None:
    """Refuse faults of generators that a rig has not."""
    if len(faults.others) > len(physics.others):
        raise InputError(
            f"must be at most as many as virtual.others, which are {len(physics.others)}, "
            f"got {len(faults.others)}",
            where="faults.others",
        )


def _makers(content: dict[str, Any]) -> tuple[twins.MakeCapture, twins.MakePort]:
    """Return what makes the twins of the other drivers that a rig names; else ours."""
    capture, device = (dict(content.get(role) or {}) for role in ("capture", "device"))
    device_driver = str(device.get("driver", DRIVERS["device"]))
    return (
        twins.capture(str(capture.get("driver", DRIVERS["capture"]))),
        twins.device(device_driver, str(device.get("profile", PROFILE))),
    )


def _mistakes(error: ValidationError) -> str:
    found = (
        f"{'.'.join(map(str, mistake['loc']))}: {mistake['msg']}" for mistake in error.errors()
    )
    return "; ".join(found)


class VirtualRig:
    """Serve the instruments of one plant.

    Parameters
    ----------
    rig
        The physics, the faults, and what makes the twins.
    seed
        Seed of the plant's noise.
    """

    def __init__(self, rig: RigFile, seed: int) -> None:
        self.world = world = World(rig.physics, seed, rig.faults.signal)
        faults, wires = rig.faults, rig.wires
        self._sources = [
            SERVERS[wires.source](_source(make, world, faults, number))
            for number, make in enumerate(rig.make_sources)
        ]
        capture = Firmware(rig.make_capture(world, faults), faults.capture)
        self._capture = SERVERS[wires.capture](capture)
        self._device = rig.make_device(world, faults)
        self._relays = VirtualRelays(world) if rig.has_switch else None
        for number in range(len(self._sources)):
            removed_at_s = faults.of(number).divider_removed_at_s
            if removed_at_s is not None:
                world.at(removed_at_s, partial(world.remove_divider, number))
        if faults.stuck_relay is not None:
            world.stick_relay(faults.stuck_relay)
        if faults.lid_opens_at_s is not None:
            world.at(faults.lid_opens_at_s, world.open_lid)

    async def start(self) -> dict[str, str]:
        """Open all ports, on loopback, and return by role where they are."""
        addresses = {source_role(k): await each.start() for k, each in enumerate(self._sources)}
        addresses |= {"capture": await self._capture.start(), "device": self._device.open()}
        return addresses | ({} if self._relays is None else {"switch": self._relays.open()})

    async def close(self) -> None:
        """Close all ports and every connection."""
        self._device.close()
        if self._relays is not None:
            self._relays.close()
        for source in self._sources:
            await source.close()
        await self._capture.close()


def _source(make: twins.MakeSource, world: World, faults: Faults, number: int) -> Firmware:
    """Return a generator's twin with what goes wrong in it."""
    own = faults.of(number)
    return Firmware(make(world, faults, number), own.source, is_silent=own.source_silent)


async def serve(rig: RigFile, seed: int) -> None:
    """Serve a rig and print its addresses; return at end of input, SIGINT or SIGTERM."""
    servers = VirtualRig(rig, seed)
    with _end_wanted() as is_over:
        try:
            addresses = await servers.start()
            print(json.dumps(addresses), flush=True)
            await is_over.wait()
        finally:
            await servers.close()


@contextmanager
def _end_wanted() -> Iterator[asyncio.Event]:
    """Give an event that is set when nobody wants the servers any more."""
    loop, is_over = asyncio.get_running_loop(), asyncio.Event()
    stdin = sys.stdin.fileno()

    def drain() -> None:
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            is_over.set()

    for number in _ENDING_SIGNALS:
        loop.add_signal_handler(number, is_over.set)
    try:
        loop.add_reader(stdin, drain)
    except PermissionError:  # a plain file or /dev/null: nothing more will ever come
        is_over.set()
    try:
        yield is_over
    finally:
        loop.remove_reader(stdin)
        for number in _ENDING_SIGNALS:
            loop.remove_signal_handler(number)
