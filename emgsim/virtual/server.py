"""Run all servers of one virtual rig in one event loop, until somebody ends them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
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
    make_source: twins.MakeEngine = twins.SOURCES[DRIVERS["source"]]
    make_capture: twins.MakeEngine = twins.CAPTURES[DRIVERS["capture"]]
    make_device: twins.MakePort = twins.DEVICES[DRIVERS["device"], PROFILE]
    has_switch: bool = False  # a relay box, and not a person


@dataclass(frozen=True, slots=True)
class Addresses:
    """Name where the instruments are found; a rig need not have a switch."""

    source: str
    capture: str
    device: str
    switch: str = ""

    def table(self) -> dict[str, str]:
        """Return the addresses by role, of what there is."""
        return {role: address for role, address in asdict(self).items() if address}


def read_rig(path: Path) -> RigFile:
    """Return what a rig in JSON says of its virtual hardware.

    The table ``virtual`` holds the physics and the ``wires``; ``faults`` may stand in it or beside
    it. The tables ``source``, ``capture`` and ``device`` name the drivers whose twins are wanted,
    and a table ``switch`` that names a resource asks for a relay box.

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
        makers = _makers(content)
        return RigFile(physics, faults, wires, *makers, has_switch=bool(switch.get("resource")))
    except InputError as error:
        raise InputError(error.what, where=f"{path}, {error.where}", todo=error.todo) from error
    except ValidationError as error:
        raise InputError(_mistakes(error), where=str(path)) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"the rig file cannot be read: {error}", where=str(path)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = "the rig file must be an object with an object 'virtual'"
        raise InputError(what, where=str(path)) from error


def _makers(
    content: dict[str, Any],
) -> tuple[twins.MakeEngine, twins.MakeEngine, twins.MakePort]:
    """Return what makes the twins of the drivers that a rig names; where it names none, ours."""
    source, capture, device = (dict(content.get(role) or {}) for role in DRIVERS)
    device_driver = str(device.get("driver", DRIVERS["device"]))
    return (
        twins.source(str(source.get("driver", DRIVERS["source"]))),
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
        source = Firmware(
            rig.make_source(world, faults), faults.source, is_silent=faults.source_silent
        )
        capture = Firmware(rig.make_capture(world, faults), faults.capture)
        self._source = SERVERS[wires.source](source)
        self._capture = SERVERS[wires.capture](capture)
        self._device = rig.make_device(world, faults)
        self._relays = VirtualRelays(world) if rig.has_switch else None
        if rig.faults.divider_removed_at_s is not None:
            world.at(rig.faults.divider_removed_at_s, world.remove_divider)
        if rig.faults.stuck_relay is not None:
            world.stick_relay(rig.faults.stuck_relay)
        if rig.faults.lid_opens_at_s is not None:
            world.at(rig.faults.lid_opens_at_s, world.open_lid)

    async def start(self) -> Addresses:
        """Open all ports, on loopback, and return where they are."""
        return Addresses(
            source=await self._source.start(),
            capture=await self._capture.start(),
            device=self._device.open(),
            switch="" if self._relays is None else self._relays.open(),
        )

    async def close(self) -> None:
        """Close all ports and every connection."""
        self._device.close()
        if self._relays is not None:
            self._relays.close()
        await self._source.close()
        await self._capture.close()


async def serve(rig: RigFile, seed: int) -> None:
    """Serve a rig and print its addresses; return at end of input, SIGINT or SIGTERM."""
    servers = VirtualRig(rig, seed)
    with _end_wanted() as is_over:
        try:
            addresses = await servers.start()
            print(json.dumps(addresses.table()), flush=True)
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
