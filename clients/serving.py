"""A twin in a thread of this process, and the codes that its plant has made: a test's truth."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emgsim.plant.physics import AmplifierPhysics, RigPhysics
from emgsim.plant.world import GeneratorSettings, World


@dataclass
class Served:
    """Where a twin is found, and what its plant's amplifier has converted since the last start."""

    address: str = ""
    blocks: list["np.ndarray"] = field(default_factory=list)

    @property
    def codes(self) -> "np.ndarray":
        """All codes since the last start, shape (n, n_channels)."""
        return np.concatenate(self.blocks)


def busy_world(amplifier: AmplifierPhysics, seed: int = 1) -> World:
    """Make a plant whose generator plays for a long time, so that codes differ all the time."""
    world = World(RigPhysics(amplifier=amplifier), seed)
    steps = np.arange(4000)
    codes = 12000 * np.sin(2 * np.pi * 7 * steps / 4000) + 9000 * np.sin(2 * np.pi * steps / 57)
    world.generator.set_waveform(np.rint(codes).astype(np.int16))
    world.generator.apply(
        GeneratorSettings(rate_hz=4000.0, vpp_open_v=3.0, cycles=10_000, output_on=True)
    )
    world.generator.trigger()
    return world


def tapped(world: World) -> Served:
    """Note whatever the amplifier of a plant converts while it streams."""
    served, amplifier = Served(), world.amplifier
    put, start = amplifier.put, amplifier.start

    def put_and_note(codes: "np.ndarray") -> None:
        if amplifier.is_streaming:
            served.blocks.append(codes.copy())
        put(codes)

    def start_anew() -> None:
        served.blocks.clear()
        start()

    amplifier.put, amplifier.start = put_and_note, start_anew  # type: ignore[method-assign]
    return served


@contextmanager
def serving(world: World, make: Callable[[World], Any]) -> Iterator[Served]:
    """Serve the device of a plant in a thread, and hang up at the end."""
    served, loop, ready = tapped(world), asyncio.new_event_loop(), threading.Event()
    device = make(world)

    def run() -> None:
        asyncio.set_event_loop(loop)

        async def open_device() -> None:
            served.address = device.open()
            ready.set()

        loop.create_task(open_device())
        loop.run_forever()
        device.close()
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(5.0)
        yield served
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)
