"""Run all servers of one virtual rig in one event loop, until somebody ends them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emgsim.errors import InputError
from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.amplifier import AmplifierFaults, VirtualAmplifier
from emgsim.virtual.generator import VirtualGenerator
from emgsim.virtual.hislip import HislipServer
from emgsim.virtual.relays import VirtualRelays
from emgsim.virtual.scope import VirtualScope

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Faults(BaseModel):
    """Say what goes wrong on purpose; by default nothing does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    drop_every_n_frames: int = Field(0, ge=0)  # of the amplifier; 0 = never
    hang_up_after_frames: int = Field(0, ge=0)  # of the amplifier; 0 = never
    source_error: bool = False  # the generator queues -310 at every upload
    source_silent: bool = False  # the generator accepts connections and never answers
    divider_removed_at_s: float | None = Field(None, ge=0)  # of simulated time; 0: never was in
    lid_opens_at_s: float | None = Field(None, ge=0)  # of simulated time


@dataclass(frozen=True, slots=True)
class RigFile:
    """Hold what a rig file says about its virtual hardware."""

    physics: RigPhysics
    faults: Faults
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
    """Return the table ``virtual`` of a rig in JSON: the physics, and ``faults`` among them.

    A table ``switch`` beside it that names a resource asks for a relay box.

    Raises
    ------
    InputError
        If the file cannot be read, or something in it is unknown or out of range.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        table: dict[str, Any] = dict(content["virtual"])
        faults = Faults.model_validate(table.pop("faults", content.get("faults", {})))
        switch = dict(content.get("switch") or {})
        return RigFile(RigPhysics.model_validate(table), faults, bool(switch.get("resource")))
    except ValidationError as error:
        raise InputError(_mistakes(error), where=str(path)) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"the rig file cannot be read: {error}", where=str(path)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = "the rig file must be an object with an object 'virtual'"
        raise InputError(what, where=str(path)) from error


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
        The physics and the faults.
    seed
        Seed of the plant's noise.
    """

    def __init__(self, rig: RigFile, seed: int) -> None:
        self.world = world = World(rig.physics, seed)
        generator = VirtualGenerator(world, has_source_error=rig.faults.source_error)
        faults = AmplifierFaults(rig.faults.drop_every_n_frames, rig.faults.hang_up_after_frames)
        self._source = HislipServer(generator.engine, is_silent=rig.faults.source_silent)
        self._capture = HislipServer(VirtualScope(world).engine)
        self._amplifier = VirtualAmplifier(world, faults)
        self._relays = VirtualRelays(world) if rig.has_switch else None
        if rig.faults.divider_removed_at_s is not None:
            world.at(rig.faults.divider_removed_at_s, world.remove_divider)
        if rig.faults.lid_opens_at_s is not None:
            world.at(rig.faults.lid_opens_at_s, world.open_lid)

    async def start(self) -> Addresses:
        """Open all ports, on loopback, and return where they are."""
        return Addresses(
            source=_resource(await self._source.start()),
            capture=_resource(await self._capture.start()),
            device=self._amplifier.open(),
            switch="" if self._relays is None else self._relays.open(),
        )

    async def close(self) -> None:
        """Close all ports and every connection."""
        self._amplifier.close()
        if self._relays is not None:
            self._relays.close()
        await self._source.close()
        await self._capture.close()


def _resource(port: int) -> str:
    return f"TCPIP::127.0.0.1::hislip0,{port}::INSTR"


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
