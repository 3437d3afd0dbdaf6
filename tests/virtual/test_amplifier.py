"""The frames of the reference amplifier."""

import asyncio
import os
import struct
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.amplifier import FrameEncoder, VirtualAmplifier


def crc_reference(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, bit by bit."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def frame_reference(counter: int, samples: "np.ndarray") -> bytes:
    """One frame, value by value."""
    body = struct.pack(">H", counter % 65536)
    body += b"".join(int(value).to_bytes(3, "big", signed=True) for value in samples.ravel())
    return b"\xa5\x5a" + body + struct.pack(">H", crc_reference(body))


CODES = st.integers(1, 3).flatmap(
    lambda n: arrays(np.int32, st.tuples(st.integers(0, 70), st.just(n)),
                     elements=st.integers(-(2**23), 2**23 - 1))
)  # fmt: skip


def test_the_reference_has_the_published_check_value() -> None:
    """The catalogue of CRCs gives 0x29B1 for the digits 1 to 9."""
    assert crc_reference(b"123456789") == 0x29B1


@given(CODES, st.lists(st.integers(0, 70), max_size=4))
def test_frames_equal_the_slow_reference_however_codes_are_cut(
    codes: "np.ndarray", cuts: list[int]
) -> None:
    """The vectorised encoder is the formula; samples that fill no frame wait."""
    encoder = FrameEncoder(codes.shape[1])
    places = sorted({0, len(codes)} | {min(cut, len(codes)) for cut in cuts})
    sent = b"".join(encoder.encode(codes[start:end]).tobytes() for start, end in pairwise(places))
    n_frames = len(codes) // 16
    wanted = [frame_reference(k, codes[16 * k : 16 * k + 16]) for k in range(n_frames)]
    assert sent == b"".join(wanted)


def test_the_counter_wraps() -> None:
    """Frame 65536 has the number 0 again."""
    encoder = FrameEncoder(1)
    encoder.n_frames = 65535
    sent = encoder.encode(np.zeros((32, 1), np.int32)).tobytes()
    assert [sent[2:4], sent[56:58]] == [b"\xff\xff", b"\x00\x00"]


def test_what_was_made_while_nobody_read_arrives_in_order() -> None:
    """A backlog far beyond what a terminal holds is written in pieces, without loss."""

    async def run() -> bytes:
        world = World(RigPhysics(), seed=1)
        amplifier = VirtualAmplifier(world)
        port = os.open(amplifier.open(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            os.write(port, b"START\n")
            while not world.amplifier.is_streaming:
                await asyncio.sleep(0)
            world.advance(2.0)  # somebody else waited for the scope
            data = bytearray()
            async with asyncio.timeout(10):
                while len(data) < 7000 * 54:
                    await asyncio.sleep(0)
                    try:
                        data += os.read(port, 4096)
                    except BlockingIOError:
                        continue
            return bytes(data[: 7000 * 54])
        finally:
            os.close(port)
            amplifier.close()

    frames = np.frombuffer(asyncio.run(run()), np.uint8).reshape(-1, 54)
    counters = frames[:, 2].astype(int) * 256 + frames[:, 3]
    np.testing.assert_array_equal(counters, np.arange(7000))
    assert all(crc_reference(row[2:].tobytes()) == 0 for row in frames[::100])
