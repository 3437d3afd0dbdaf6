"""The twin of the Quattrocento, byte by byte."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emgsim.errors import InputError
from emgsim.plant.physics import AmplifierPhysics, RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.frame_faults import FrameFaults
from emgsim.virtual.quattrocento import VirtualQuattrocento, is_command
from emgsim.virtual.quattrocento_frames import FrameEncoder, InputFilter, Layout
from emgsim.virtual.tcp_line import TcpLine

AMPLIFIER = {
    "rate_hz": 10240.0,
    "channels": 96,
    "adc_bits": 16,
    "range_uv": 16_667.0,
    "highpass_hz": 10.0,
    "lowpass_hz": 4400.0,
    "channel_noise_uv_rms": 5.0,
}
PHYSICS = RigPhysics(amplifier=AmplifierPhysics.model_validate(AMPLIFIER))
SIZES = (120, 216, 312, 408)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, bytes]]


def crc_reference(data: bytes) -> int:
    """x^8 + x^5 + x^4 + 1, the least significant bit first, by long division."""
    crc = 0
    for byte in data:
        for bit in range(8):
            wrong = (crc ^ byte >> bit) & 1
            crc = crc >> 1 ^ 0x8C * wrong
    return crc


def said(rate: int = 3, inputs: int = 0, filters: int = 0x1C, acquires: int = 1) -> bytes:
    """Write a command by its codes; all inputs alike."""
    content = bytes([0x80 | rate << 3 | inputs << 1 | acquires, 0, 0]) + 12 * bytes([0, 0, filters])
    return content + bytes([crc_reference(content)])


def talked(talk: Talk, faults: FrameFaults | None = None) -> bytes:
    """Serve a twin, and let a client talk to it."""

    async def run() -> bytes:
        twin = VirtualQuattrocento(World(PHYSICS, seed=1), faults)
        port = int(twin.open().rpartition(":")[2])
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            heard = await asyncio.wait_for(talk(reader, writer), 10)
            writer.close()
            await writer.wait_closed()
            return heard
        finally:
            twin.close()

    return asyncio.run(run())


def asking(*commands: bytes, n_bytes: int) -> Talk:
    """Return a client that sends commands and reads so many bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"".join(commands))
        return await reader.readexactly(n_bytes)

    return talk


def words(heard: bytes, size: int) -> NDArray[np.int16]:
    """Return samples, ``(n, size)``."""
    return np.frombuffer(heard, "<i2").reshape(-1, size)


# -- commands ----------------------------------------------------------------------------------


@given(st.binary(min_size=36, max_size=36), st.integers(0, 63), st.integers(0, 63),
       st.integers(0, 127), st.integers(0, 255))  # fmt: skip
def test_a_command_is_one_whose_fixed_bits_and_crc_are_right(
    inputs: bytes, source: int, channel: int, settings: int, crc: int
) -> None:
    """Whatever muscles, sensors and filters it names; with another CRC it is none."""
    content = bytes([0x80 | settings, source, channel]) + inputs
    right = crc_reference(content)
    assert is_command(content + bytes([right]))
    assert is_command(content + bytes([crc])) == (crc == right)
    unfixed = bytes([settings]) + content[1:]
    assert not is_command(unfixed + bytes([crc_reference(unfixed)]))


@pytest.mark.parametrize("inputs", range(4))
def test_each_number_of_inputs_has_its_frame(inputs: int) -> None:
    """The counter begins with 0 and stands where the protocol says; AUX IN reads 0."""
    size = SIZES[inputs]
    heard = words(talked(asking(said(inputs=inputs), n_bytes=2 * size * 300)), size)
    assert heard[:, -8].tolist() == list(range(300))
    assert not heard[:, -24:-8].any()
    small = 32 * (inputs + 1)
    connected = np.r_[0:32, small : small + 64]
    assert heard[:, connected].any(axis=0).all()
    assert not np.delete(heard[:, : size - 24], connected, axis=1).any()


def test_a_command_that_is_wrong_is_ignored_and_the_next_one_obeyed() -> None:
    """Nothing comes after the first; the stream of the second has the frames that it asks for."""
    wrong = said(inputs=3)[:39] + bytes([said(inputs=3)[39] ^ 1])

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(wrong)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        writer.write(said(inputs=1))
        return await reader.readexactly(2 * 216 * 50)

    assert words(talked(talk), 216)[:, -8].tolist() == list(range(50))


def test_a_stop_ends_the_stream_at_the_end_of_a_sample() -> None:
    """Whoever starts again finds the first byte of a sample."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(said())
        heard = await reader.readexactly(1000)
        writer.write(said(acquires=0))
        with suppress(TimeoutError):
            while len(heard) < 5_000_000:  # far more than any system keeps
                heard += await asyncio.wait_for(reader.read(1 << 16), 0.2)
        return heard

    said_all = talked(talk)
    assert len(said_all) < 5_000_000
    heard = words(said_all, 120)
    np.testing.assert_array_equal(heard[:, -8].view(np.uint16), np.arange(len(heard)) % 65536)


def test_a_second_client_is_hung_up_on_and_the_first_served() -> None:
    """The device has one connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        other, leaving = await asyncio.open_connection(*writer.get_extra_info("peername"))
        assert await other.read() == b""
        leaving.close()
        await leaving.wait_closed()
        writer.write(said())
        return await reader.readexactly(240)

    assert len(talked(talk)) == 240


def test_a_line_that_is_cut_brings_all_that_came_before() -> None:
    """Sixty samples, and then the end."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(said())
        return await reader.read(-1)

    heard = talked(talk, FrameFaults(hang_up_after_frames=60))
    assert len(heard) == 60 * 240


def test_all_that_was_sent_comes_before_a_hang_up() -> None:
    """A megabyte that its client has not read yet."""

    async def run() -> int:
        line = TcpLine(lambda _: None, lambda: None)
        port = int(line.open().rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        line.send(bytes(1_000_000))
        line.hang_up()
        heard = await asyncio.wait_for(reader.read(-1), 10)
        assert not line.is_open
        writer.close()
        await writer.wait_closed()
        return len(heard)

    assert asyncio.run(run()) == 1_000_000


def test_what_a_client_does_not_take_is_counted_until_it_does() -> None:
    """Thirty megabytes are more than any system keeps: by them the device knows what is full."""

    async def run() -> tuple[int, int]:
        line = TcpLine(lambda _: None, lambda: None)
        with socket.create_connection(("127.0.0.1", int(line.open().rpartition(":")[2]))) as client:
            await asyncio.sleep(0.05)
            line.send(bytes(30_000_000))
            await asyncio.sleep(0.05)
            refused = line.n_refused
            client.setblocking(False)
            left = 30_000_000
            while left:
                left -= len(await asyncio.get_running_loop().sock_recv(client, 1 << 20))
            await asyncio.sleep(0.01)
            after = line.n_refused
        line.close()
        return refused, after

    refused, after = asyncio.run(asyncio.wait_for(run(), 10))
    assert refused > 1_000_000
    assert after == 0


# -- the samples -------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.integers(0, 3), st.sampled_from([1, 2, 5, 20]), st.integers(0, 60),
       st.lists(st.integers(0, 90), max_size=4))  # fmt: skip
def test_samples_equal_the_slow_reference_however_codes_are_cut(
    inputs: int, keep_one_in: int, n: int, cuts: list[int]
) -> None:
    """Input by input, every n-th code, then AUX IN and the accessory channels."""
    codes = np.random.default_rng(n).integers(-32768, 32768, (n, 96)).astype(np.int32)
    encoder = FrameEncoder(
        Layout(96, inputs), keep_one_in=keep_one_in, filters=[], trigger_is_high=True
    )
    pieces = np.split(codes, sorted(min(cut, n) for cut in cuts))
    sent = b"".join(encoder.encode(piece).tobytes() for piece in pieces)
    wanted = b""
    for counter, row in enumerate(codes[::keep_one_in]):
        small = [*row[:32], *[0] * 32 * inputs]
        large = [*row[32:], *[0] * 64 * inputs]
        wanted += struct.pack(f"<{96 * (inputs + 1)}h", *small, *large) + bytes(32)
        wanted += struct.pack("<HhhhQ", counter, 31_767, 0, 32_000, 0)
    assert sent == wanted


def test_a_filter_acts_on_its_own_input_and_goes_on_where_it_was() -> None:
    """A step behind 100 Hz decays in IN2 alone, the same however it is cut."""
    codes = np.full((2000, 96), 1000, np.int32)
    filtered = []
    for cuts in ([], [1, 700]):
        one = InputFilter(slice(16, 32), 100.0, None, 10240.0)
        encoder = FrameEncoder(Layout(96, 0), keep_one_in=1, filters=[one], trigger_is_high=False)
        sent = b"".join(encoder.encode(piece).tobytes() for piece in np.split(codes, cuts))
        filtered.append(words(sent, 120))
    np.testing.assert_array_equal(*filtered)
    heard = filtered[0]
    assert (heard[:, :16] == 1000).all()
    assert (heard[:, 32:96] == 1000).all()
    assert abs(int(heard[0, 16])) > 900
    assert not heard[-1, 16:32].any()


def test_a_narrower_band_leaves_less_noise_and_the_plants_own_is_not_filtered() -> None:
    """White noise behind 130 of 5120 Hz has a sixth of its rms."""
    wide, narrow = (
        words(talked(asking(said(filters=f), n_bytes=240 * 3000)), 120)[500:, :96].std()
        for f in (0x1C, 0x10)
    )
    assert wide == pytest.approx(5.0 / (2 * 16_667 / 65_536), rel=0.05)
    assert narrow / wide == pytest.approx(np.sqrt(130 / 5120), rel=0.1)


@pytest.mark.parametrize("wrong", [{"adc_bits": 24}, {"rate_hz": 2048.0}, {"channels": 64}])
def test_another_amplifier_is_refused(wrong: dict[str, float]) -> None:
    """The message says what a Quattrocento has."""
    physics = RigPhysics(amplifier=AmplifierPhysics.model_validate(AMPLIFIER | wrong))
    with pytest.raises(InputError, match="96, 192, 288, 384"):
        VirtualQuattrocento(World(physics, seed=1))
