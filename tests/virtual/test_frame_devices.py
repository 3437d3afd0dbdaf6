"""Our driver, by profile alone, on the twins of Cyton, Daisy, FreeEEG32 and CSV.

Every code arrives, and a fault of the frames is told on the other side of the wire.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emgsim.errors import InstrumentError, LinkError
from emgsim.instruments.profiles import DeviceProfile, load_profile
from emgsim.instruments.serial_frames import SerialFrames
from emgsim.plant.physics import AmplifierPhysics, LinePhysics, RigPhysics
from emgsim.plant.world import GeneratorSettings, World
from emgsim.virtual.csv_amplifier import VirtualCsvAmplifier
from emgsim.virtual.frame_faults import FrameFaults
from emgsim.virtual.freeeeg32 import VirtualFreeEEG32
from emgsim.virtual.openbci import VirtualCyton

TIMEOUT_S = 3.0
Make = Callable[[World, FrameFaults], Any]
# Gains that keep all bytes of a code below the sync's A0, so that a search meets no false one.
QUIET = AmplifierPhysics(
    rate_hz=250.0, channels=8, highpass_order=0, lowpass_hz=65.0, noise_uv_rms=0.0, gain=1e-9
)


def world(amplifier: AmplifierPhysics, **physics: Any) -> World:
    """Make a plant whose generator plays two tones for a long time."""
    plant = World(RigPhysics(amplifier=amplifier, **physics), seed=1)
    steps = np.arange(4000)
    tones = 12000 * np.sin(2 * np.pi * 7 * steps / 4000) + 9000 * np.sin(2 * np.pi * steps / 57)
    plant.generator.set_waveform(np.rint(tones).astype(np.int16))
    plant.generator.apply(
        GeneratorSettings(rate_hz=4000.0, vpp_open_v=3.0, cycles=10_000, output_on=True)
    )
    plant.generator.trigger()
    return plant


@contextmanager
def served(
    make: Make, amplifier: AmplifierPhysics, faults: FrameFaults | None = None, **physics: Any
) -> Iterator[tuple[str, list["np.ndarray"]]]:
    """Serve a twin in a thread; give its address and the blocks that its plant converts."""
    plant, loop, opened = world(amplifier, **physics), asyncio.new_event_loop(), threading.Event()
    truth: list[np.ndarray] = []
    address: list[str] = []
    put, start = plant.amplifier.put, plant.amplifier.start

    def noted(codes: "np.ndarray") -> None:
        if plant.amplifier.is_streaming:
            truth.append(codes.copy())
        put(codes)

    def begun() -> None:
        truth.clear()
        start()

    plant.amplifier.put, plant.amplifier.start = noted, begun  # type: ignore[method-assign]
    twin = make(plant, faults or FrameFaults())

    async def open_twin() -> None:
        address.append(twin.open())
        opened.set()

    def run() -> None:
        opening = loop.create_task(open_twin())
        loop.run_forever()
        opening.result()
        twin.close()
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert opened.wait(5.0)
        yield address[0], truth
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)


def amplifier(n_channels: int, rate_hz: float) -> AmplifierPhysics:
    """Describe an amplifier whose channels differ."""
    return AmplifierPhysics(
        rate_hz=rate_hz, channels=n_channels, channel_noise_uv_rms=3.0, highpass_order=0,
        lowpass_hz=0.26 * rate_hz, lowpass_order=3, clip_uv=150_000.0,
        channel_gains=tuple(np.linspace(0.5, 1.5, n_channels).tolist()),
    )  # fmt: skip


def with_gain(profile: DeviceProfile, digit: str, gain: float) -> DeviceProfile:
    """Return a Cyton's profile with another gain of all channels."""
    table = profile.model_dump(by_alias=True)
    for step in table["frame"]["commands"]["setup"][:-1]:
        step["send"] = step["send"][:3] + digit + step["send"][4:]
    table["frame"]["commands"]["setup"] = table["frame"]["commands"]["setup"][:-1]
    table["scale_uv_per_count"] *= 24 / gain
    return DeviceProfile.model_validate(table)


def test_the_cyton_is_driven_by_its_profile_alone() -> None:
    """Identity, setup with its read-back, and 700 samples as the plant converted them."""
    with (
        served(VirtualCyton, amplifier(8, 250.0)) as (address, truth),
        SerialFrames.open(address, profile="cyton", timeout_s=TIMEOUT_S) as device,
    ):
        assert str(device.identify()) == "OpenBCI,Cyton,,v3.1.2"
        device.start()
        blocks = [device.read_block(n, TIMEOUT_S) for n in (1, 299, 400)]
        codes = np.concatenate([block.counts for block in blocks])
        np.testing.assert_array_equal(codes, np.concatenate(truth)[:700])
        assert [block.gaps for block in blocks] == [(), (), ()]


def test_the_gain_of_the_profile_is_set_and_read_in_microvolts() -> None:
    """With gain 8 the codes are a third, and the microvolts the same."""
    seen_uv = []
    for digit, gain in (("6", 24.0), ("4", 8.0)):
        profile = with_gain(load_profile("cyton"), digit, gain)
        with (
            served(VirtualCyton, amplifier(8, 250.0)) as (address, _),
            SerialFrames.open(address, profile=profile, timeout_s=TIMEOUT_S) as device,
        ):
            device.start()
            block = device.read_block(500, TIMEOUT_S)
            seen_uv.append((block.counts * device.scales_uv_per_count).std(axis=0))
    np.testing.assert_allclose(seen_uv[0], seen_uv[1], rtol=5e-3)


def test_a_setup_that_is_not_confirmed_is_refused_before_a_sample() -> None:
    """The profile wants gain 24 read back from a board that was set to 8."""
    profile = load_profile("cyton")
    table = profile.model_dump(by_alias=True)
    table["frame"]["commands"]["setup"][1]["send"] = "x2040110X"
    with (
        served(VirtualCyton, amplifier(8, 250.0)) as (address, _),
        SerialFrames.open(
            address, profile=DeviceProfile.model_validate(table), timeout_s=TIMEOUT_S
        ) as device,
        pytest.raises(InstrumentError, match=r"answer to '\?' must contain 'CH2SET, 06, 68'"),
    ):
        device.start()


def test_a_cyton_without_daisy_is_not_taken_for_one_with() -> None:
    """The board does not tell of a Daisy: the wrong profile, or it is not plugged in."""
    with (
        served(VirtualCyton, amplifier(8, 250.0)) as (address, _),
        pytest.raises(InstrumentError, match=r"must be OpenBCI,Cyton Daisy, got"),
    ):
        SerialFrames.open(address, profile="cyton_daisy", timeout_s=TIMEOUT_S)


def test_the_daisy_gives_16_channels_of_means() -> None:
    """The Cyton's 8 channels first, though the Daisy's frame comes first."""
    with (
        served(VirtualCyton, amplifier(16, 250.0)) as (address, truth),
        SerialFrames.open(address, profile="cyton_daisy", timeout_s=TIMEOUT_S) as device,
    ):
        device.start()
        block = device.read_block(300, TIMEOUT_S)
        codes = np.vstack([np.zeros((1, 16), np.int64), *truth])
        means = np.trunc((codes[1:] + codes[:-1]) / 2)
        wanted = np.hstack([means[1:600:2, :8], means[0:600:2, 8:]])
        np.testing.assert_array_equal(block.counts, wanted)


def test_a_freeeeg32_is_read_though_it_obeys_nothing() -> None:
    """Sample 0 is the first one after the start, wherever the stream is by then."""
    with (
        served(VirtualFreeEEG32, amplifier(32, 512.0)) as (address, truth),
        SerialFrames.open(address, profile="freeeeg32", timeout_s=TIMEOUT_S) as device,
    ):
        device.start()
        block = device.read_block(500, TIMEOUT_S)
        codes = np.concatenate(truth)
        first = int(np.flatnonzero((codes == block.counts[0]).all(axis=1))[0])
        np.testing.assert_array_equal(block.counts, codes[first : first + 500])
        assert block.gaps == ()


def test_lines_of_text_are_microvolts_and_events() -> None:
    """Two decimals of a microvolt; events are where the signal has risen through 100 uV."""
    physics = amplifier(1, 4000.0).model_copy(update={"adc_bits": 16, "range_uv": 5000.0})
    with (
        served(VirtualCsvAmplifier, physics) as (address, truth),
        SerialFrames.open(address, profile="csv", timeout_s=TIMEOUT_S) as device,
    ):
        device.start()
        block = device.read_block(3000, TIMEOUT_S)
        microvolts = np.concatenate(truth)[:, 0] * 5000.0 / 2**15
        assert (block.gaps, block.n_bad_frames) == ((), 0)
    first = next(
        k for k in range(len(microvolts) - 2999)
        if np.abs(microvolts[k : k + 50] - block.counts[:50, 0]).max() < 0.0051
    )  # fmt: skip
    wanted_uv = microvolts[first : first + 3000]
    np.testing.assert_allclose(block.counts[:, 0], wanted_uv, rtol=0, atol=0.0051)
    assert len(block.events) > 10
    for event in block.events:
        assert block.counts[event.sample, 0] > 100 >= block.counts[event.sample - 1, 0]


# ---- what goes wrong with frames, and what is said of it


def diagnosed(faults: FrameFaults, n_samples: int) -> Any:
    """Return what our driver makes of a Cyton with these faults that sends so many samples."""
    ending = replace(faults, hang_up_after_frames=n_samples)
    with (
        served(VirtualCyton, QUIET, ending) as (address, _),
        SerialFrames.open(address, profile="cyton", timeout_s=TIMEOUT_S) as device,
    ):
        device.start()
        return device.read_block(n_samples, TIMEOUT_S)


def test_dropped_frames_are_a_gap_at_their_samples() -> None:
    """Frames 301 to 310 are lost: samples 300 to 309."""
    block = diagnosed(FrameFaults(drop_frames=(301, 10)), 600)
    assert (block.gaps, block.n_bad_frames, block.n_repeated_frames) == (((300, 10),), 0, 0)


def test_every_dropped_frame_is_located() -> None:
    """Every 100th of 350."""
    block = diagnosed(FrameFaults(drop_every_n_frames=100), 350)
    assert block.gaps == ((99, 1), (199, 1), (299, 1))


def test_repeated_frames_are_told_and_change_no_sample() -> None:
    """Every 100th of 350 comes twice: three told, no gap, nothing shifted."""
    block = diagnosed(FrameFaults(repeat_every_n_frames=100), 350)
    assert (block.gaps, block.n_repeated_frames) == ((), 3)
    assert len(block.counts) == 350


def test_frames_with_a_wrong_end_are_bad_and_a_gap() -> None:
    """Frame 200 does not end as a frame does: 1 bad frame, sample 199 is lost."""
    block = diagnosed(FrameFaults(break_every_n_frames=200), 300)
    assert (block.gaps, block.n_bad_frames) == (((199, 1),), 1)


def test_a_flipped_bit_is_seen_where_there_is_a_checksum_and_only_there() -> None:
    """A Cyton's frame has no checksum: the bit is not seen, which its profile cannot change."""
    block = diagnosed(FrameFaults(corrupt_every_n_frames=100), 150)
    assert (block.gaps, block.n_bad_frames) == ((), 0)
    assert np.flatnonzero(block.counts.any(axis=1)).tolist() == [99]


def test_a_loss_that_the_counter_cannot_tell_is_no_gap_but_an_error() -> None:
    """More than half of the counter's 256 frames are lost: how many is not known."""
    with (
        served(VirtualCyton, QUIET, FrameFaults(drop_frames=(101, 150))) as (address, _),
        SerialFrames.open(address, profile="cyton", timeout_s=TIMEOUT_S) as device,
    ):
        device.start()
        assert len(device.read_block(100_000, TIMEOUT_S).counts) >= 100
        with pytest.raises(InstrumentError, match=r"counter jumped from 99 to 250: .*more frames"):
            device.read_block(100, TIMEOUT_S)


def test_a_hang_up_loses_nothing_that_came_before_it() -> None:
    """120 frames, then the line is cut: 120 samples, then an error that names the port."""
    with (
        served(VirtualCyton, QUIET, FrameFaults(hang_up_after_frames=120)) as (address, _),
        SerialFrames.open(address, profile="cyton", timeout_s=TIMEOUT_S) as device,
    ):
        device.start()
        assert len(device.read_block(1000, TIMEOUT_S).counts) == 120
        with pytest.raises(LinkError, match="broke during stream") as caught:
            device.read_block(1, TIMEOUT_S)
        assert caught.value.where == address


# ---- the line


def test_bursts_of_losses_are_gaps_that_the_seed_alone_decides() -> None:
    """The same gaps twice, of more than one sample on average, in the free clock."""
    line = LinePhysics(loss_begins=0.02, loss_ends=0.3)
    gaps = []
    for _ in range(2):
        with (
            served(VirtualCyton, QUIET, line=line) as (address, _),
            SerialFrames.open(address, profile="cyton", timeout_s=TIMEOUT_S) as device,
        ):
            device.start()
            gaps.append(device.read_block(800, TIMEOUT_S).gaps)
    assert gaps[0] == gaps[1]
    assert len(gaps[0]) > 5
    assert np.mean([n for _, n in gaps[0]]) > 1.5


@pytest.mark.slow
def test_a_line_that_is_too_slow_overflows_the_fifo_and_is_told_as_gaps() -> None:
    """Paced: 19 200 baud bring 58 of 250 frames in a second; the others are gaps, located."""
    line = LinePhysics(baud=19_200, fifo_bytes=330, usb_latency_s=0.016)
    with (
        served(VirtualCyton, QUIET, line=line, clock="paced") as (address, _),
        SerialFrames.open(address, profile="cyton", timeout_s=TIMEOUT_S) as device,
    ):
        device.start()
        began_s = time.monotonic()
        blocks = []
        while time.monotonic() < began_s + 1.5:
            blocks.append(device.read_block(25, TIMEOUT_S))
        elapsed_s = time.monotonic() - began_s
    n_samples = sum(len(block.counts) for block in blocks)
    n_lost = sum(n for block in blocks for _, n in block.gaps)
    assert 0.5 < n_samples / (250 * elapsed_s) < 1.1
    assert n_lost / n_samples == pytest.approx(1 - 58 / 250, abs=0.15)
    assert sum(block.n_bad_frames for block in blocks) == 0


@pytest.mark.slow
def test_a_paced_device_keeps_the_time_of_the_wall_and_loses_nothing() -> None:
    """At its own 115 200 baud a Cyton gives 250 samples in a second, all of them."""
    line = LinePhysics(baud=115_200, fifo_bytes=4096, usb_latency_s=0.016)
    with (
        served(VirtualCyton, QUIET, line=line, clock="paced") as (address, _),
        SerialFrames.open(address, profile="cyton", timeout_s=TIMEOUT_S) as device,
    ):
        device.start()
        began_s = time.monotonic()
        block = device.read_block(300, 10.0)
        elapsed_s = time.monotonic() - began_s
    assert (len(block.counts), block.gaps, block.n_bad_frames) == (300, (), 0)
    assert elapsed_s > 1.0  # 1.2 s but for what was on its way; a busy machine may take longer
