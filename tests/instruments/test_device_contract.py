"""What every device driver must do, tried on its twin, or on hardware.

``pytest tests/instruments/test_device_contract.py --device-address /dev/rfcomm0 --device-driver
plux.bitalino --device-profile bitalino`` tries one driver on one device. What needs a fault, or a
look into the plant, is then left out.
"""

import asyncio
import os
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import serial
from numpy.typing import NDArray

from emgsim.bench.rig import load_rig
from emgsim.errors import LinkError
from emgsim.instruments.base import API, Device, DeviceBlock
from emgsim.instruments.drivers import load
from emgsim.instruments.profiles import DeviceProfile, load_profile
from emgsim.plant.faults import Faults
from emgsim.plant.world import GeneratorSettings, World
from emgsim.virtual import twins

TIMEOUT_S = 0.5
READ_S = 5.0
SEED = 3
RIGS = {
    "virtual": 16,
    "virtual-cyton": 1,
    "virtual-cyton-daisy": 1,
    "virtual-freeeeg32": 1,
    "virtual-csv": 1,
    "virtual-bitalino": 1,
    "virtual-shimmer3": 1,
    "virtual-quattrocento": 1,
}  # and how many samples go with a lost frame
EXACT = {
    "virtual": 1,
    "virtual-cyton": 1,
    "virtual-bitalino": 1,
    "virtual-shimmer3": 32,
    "virtual-quattrocento": 1,
}
"""Devices whose samples are codes of the plant's converter, and of how many one is sent."""


@dataclass
class Bench:
    """A driver and where its device is; on a virtual bench the device can be given faults."""

    driver: type[Any]
    profile: DeviceProfile
    address: str = ""
    rig: str = ""
    world: World | None = None

    def open(self) -> Device:
        """Open the driver."""
        opened: Device = self.driver.open(
            self.address, profile=self.profile, timeout_s=TIMEOUT_S if self.rig else 5.0
        )
        return opened

    @property
    def starts(self) -> bool:
        """Whether the device waits for a start, and stops."""
        stream = self.profile.frame or self.profile.lines
        return stream is None or bool(stream.commands.start)

    @property
    def is_on_network(self) -> bool:
        """Whether it is reached by TCP, and not by a serial port."""
        return self.address.startswith("tcp://")


def busy(world: World) -> World:
    """Let the generator play for a long time, so that hardly any code is 0."""
    steps = np.arange(4000)
    codes = 20_000 * np.sign(np.sin(2 * np.pi * steps / 80)) + 9000 * np.sin(steps / 3)
    world.generator.set_waveform(np.rint(codes).astype(np.int16))
    world.generator.apply(
        GeneratorSettings(rate_hz=4000.0, vpp_open_v=2.0, cycles=10_000, output_on=True)
    )
    world.generator.trigger()
    return world


def tapped(world: World) -> list[NDArray[np.int32]]:
    """Note all that the amplifier converts while it streams, block by block."""
    noted: list[NDArray[np.int32]] = []
    put = world.amplifier.put

    def put_and_note(codes: NDArray[np.int32]) -> None:
        if world.amplifier.is_streaming:
            noted.append(codes.copy())
        put(codes)

    world.amplifier.put = put_and_note  # type: ignore[method-assign]
    return noted


@contextmanager
def served(bench: Bench, faults: Faults) -> Iterator[Bench]:
    """Serve a twin in a thread, and hang up at the end."""
    rig = load_rig(bench.rig)
    assert rig.virtual is not None
    bench.world = busy(World(rig.virtual, SEED))
    make = twins.device(rig.device.driver, rig.device.profile)
    loop, ready = asyncio.new_event_loop(), threading.Event()
    port = make(bench.world, faults)

    async def begin() -> None:
        bench.address = port.open()
        ready.set()

    def run() -> None:
        loop.create_task(begin())
        loop.run_forever()
        port.close()
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(5.0)
        yield bench
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)


def virtual_bench(rig_name: str) -> Bench:
    """Return the driver and the profile that a rig file names."""
    part = load_rig(rig_name).device
    return Bench(load("device", part.driver), load_profile(part.profile), rig=rig_name)


Make = Callable[..., Bench]


@pytest.fixture(params=RIGS)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Give a function that serves the device of a rig, with the faults that are asked for."""
    address = request.config.getoption("--device-address")
    with ExitStack() as stack:

        def build(**faults: Any) -> Bench:
            if not address:
                return stack.enter_context(
                    served(virtual_bench(request.param), Faults.model_validate(faults))
                )
            if faults:
                pytest.skip("a real device has no faults on purpose")
            driver = load("device", request.config.getoption("--device-driver"))
            profile = load_profile(request.config.getoption("--device-profile"))
            return Bench(driver, profile, address)

        if address and request.param != next(iter(RIGS)):
            pytest.skip("--device-address: one device is enough")
        yield build


@pytest.fixture
def bench(make: Make) -> Bench:
    """Serve a device without faults."""
    return make()


@contextmanager
def silent_peer(is_on_network: bool) -> Iterator[str]:
    """Give the address of a port at whose other end nobody ever says anything."""
    if is_on_network:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        return
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        yield os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


def open_and_read(bench: Bench) -> DeviceBlock:
    """Open a device, start it and read a little."""
    with bench.open() as device:
        device.start()
        return device.read_block(10, 0.3)


def read_all(device: Device) -> list[DeviceBlock]:
    """Read until the device hangs up."""
    blocks = []
    try:
        while True:
            blocks.append(device.read_block(500, READ_S))
    except LinkError:
        return blocks


class TestDevice:
    """The contract of the `Device` protocol."""

    def test_it_names_itself_as_its_profile_does(self, bench: Bench) -> None:
        """Whoever opens it compares the identity with the rig file."""
        with bench.open() as device:
            identity = device.identify()
            assert (identity.maker, identity.model) == (bench.profile.maker, bench.profile.model)
            assert device.api == API
            assert device.rate_hz == bench.profile.rate_hz
            assert device.scale_uv_per_count == bench.profile.scale_uv_per_count
            assert device.n_channels >= 1

    def test_blocks_follow_each_other_from_sample_0(self, bench: Bench) -> None:
        """Whatever their sizes, and after every start."""
        with bench.open() as device:
            for _ in range(2):
                device.start()
                first = 0
                for n_samples in (1, 7, 100, 33):
                    block = device.read_block(n_samples, READ_S)
                    assert block.first_sample == first
                    assert block.counts.shape == (n_samples, device.n_channels)
                    assert block.gaps == ()
                    # One that always streams is joined in the middle of a frame.
                    assert block.n_bad_frames <= (not bench.starts)
                    first += n_samples
                device.stop()

    def test_codes_are_within_the_range(self, bench: Bench) -> None:
        """In units of the scale no code is beyond the range that the profile declares."""
        with bench.open() as device:
            device.start()
            counts = device.read_block(200, READ_S).counts
            most_uv = np.abs(counts).max() * bench.profile.scale_uv_per_count
            assert most_uv <= bench.profile.range_uv * 1.001

    def test_every_code_is_the_plants(self, bench: Bench) -> None:
        """What arrives is what the converter said, from the start on."""
        if bench.rig not in EXACT:
            pytest.skip("needs a twin that sends the plant's codes as they are")
        assert bench.world is not None
        truth = tapped(bench.world)
        with bench.open() as device:
            for _ in range(2):
                truth.clear()
                device.start()
                counts = device.read_block(700, READ_S).counts
                device.stop()
                sent = np.concatenate(truth)[:: EXACT[bench.rig], : device.n_channels]
                np.testing.assert_array_equal(counts, sent[:700])

    def test_leaving_stops_the_stream(self, bench: Bench) -> None:
        """The next user finds a silent device."""
        if bench.world is None or not bench.starts:
            pytest.skip("needs a twin that stops")
        with bench.open() as device:
            device.start()
            device.read_block(10, READ_S)
            assert bench.world.amplifier.is_streaming
        assert not bench.world.amplifier.is_streaming

    def test_a_device_that_was_left_streaming_is_taken_over(self, bench: Bench) -> None:
        """A program that crashed leaves a stream behind; opening ends it."""
        device = bench.open()
        device.start()
        device.read_block(10, READ_S)
        device.close()
        with bench.open() as device:
            device.start()
            assert device.read_block(50, READ_S).first_sample == 0

    def test_lost_frames_are_located(self, make: Make) -> None:
        """Every 20th frame is left out: gaps of one size at one distance, zeros in them."""
        bench = make(drop_every_n_frames=20)
        with bench.open() as device:
            device.start()
            n_samples = 200 * RIGS[bench.rig]
            block = device.read_block(n_samples, READ_S)
        starts, sizes = np.array(block.gaps).T
        assert len(block.counts) == n_samples
        assert set(sizes[:-1]) == {RIGS[bench.rig]}  # the last one may be cut by the block's end
        assert len(set(np.diff(starts))) == 1
        assert len(starts) >= 9
        is_lost = np.zeros(n_samples, bool)
        for start, size in block.gaps:
            is_lost[start : start + size] = True
        assert not block.counts[is_lost].any()
        assert block.counts[~is_lost].any(axis=1).mean() > 0.5

    def test_silence_is_a_link_error_with_the_port(self, make: Make) -> None:
        """Somebody pulled the other end, or it is the wrong port: the message names it."""
        bench = make()
        if not bench.rig:
            pytest.skip("a real device talks")
        with silent_peer(bench.is_on_network) as bench.address, pytest.raises(LinkError) as e:
            open_and_read(bench)
        assert e.value.where == bench.address

    def test_a_hang_up_loses_nothing_that_came_before(self, make: Make) -> None:
        """All samples of 60 frames are there, then each call is a link error."""
        bench = make(hang_up_after_frames=60)
        if not bench.starts:
            pytest.skip("it streams, and hangs up, before anybody listens")
        with bench.open() as device:
            device.start()
            blocks = read_all(device)
            with pytest.raises(LinkError) as e:
                device.read_block(1, READ_S)
            assert e.value.where == bench.address
        n_frames = 30 if bench.rig == "virtual-cyton-daisy" else 60
        assert sum(len(block.counts) for block in blocks) >= (n_frames - 1) * RIGS[bench.rig]

    def test_closing_twice_is_allowed_and_frees_the_port(self, bench: Bench) -> None:
        """A program that ends in disorder does no harm."""
        device = bench.open()
        device.close()
        device.close()
        if bench.is_on_network:
            bench.open().close()
        else:
            serial.Serial(bench.address, exclusive=True).close()

    def test_the_port_of_another_program_is_refused(self, bench: Bench) -> None:
        """Two readers would steal each other's bytes."""
        with bench.open():
            with pytest.raises(LinkError) as e:
                bench.open()
            assert e.value.where == bench.address
            assert "other program" in e.value.todo
