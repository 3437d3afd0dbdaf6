"""The twin of the Shimmer3 EXG, byte by byte."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.errors import InputError
from emgsim.plant.physics import AmplifierPhysics, RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.frame_faults import FrameFaults
from emgsim.virtual.shimmer3 import PacketEncoder, VirtualShimmer3

from .serial_client import conversation

PHYSICS = RigPhysics(
    amplifier=AmplifierPhysics(
        rate_hz=32768.0, channels=2, range_uv=201_666.7, clip_uv=201_666.7, lowpass_hz=524.0
    )
)
SET_UP = b"\x05\x20\x00\x08\x10\x00\x00\x61\x00\x00\x0a\x04\xa0\x10\x69\x60\x20\x00\x00\x02\x03"
VERSION = b"\xff\x2f\x03\x00\x00\x00\x10\x00"


def twin(faults: FrameFaults | None = None) -> VirtualShimmer3:
    """Make a Shimmer3."""
    return VirtualShimmer3(World(PHYSICS, seed=1), faults)


def crc_reference(data: bytes) -> int:
    """CRC-16 with 0x1021 from 0xB0CA, bit by bit, over an even number of bytes."""
    crc = 0xB0CA
    for byte in data + bytes(len(data) % 2):
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


@pytest.mark.parametrize(
    ("length", "crc"), [(8, 0x48AA), (9, 0x2A5D), (10, 0x8B17), (11, 0x794E)]
)
def test_the_reference_has_the_firmwares_test_values(length: int, crc: int) -> None:
    """``testCrcDriver`` of the firmware: the CRCs of 1, 2, 3 ... up to 8, 9, 10 and 11."""
    assert crc_reference(bytes(range(1, length + 1))) == crc


@given(st.integers(1, 90), st.lists(st.integers(0, 400), max_size=5), st.integers(0, 2),
       st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=400))  # fmt: skip
def test_packets_equal_the_slow_reference_however_codes_are_cut(
    ticks: int, cuts: list[int], n_crc_bytes: int, values: list[int]
) -> None:
    """Time, status and codes of both chips, and the CRC."""
    codes = np.array([values, values[::-1]], np.int32).T
    encoder = PacketEncoder(2**24 - 100, ticks, [0, 1], n_crc_bytes)
    pieces = np.split(codes, sorted(min(cut, len(codes)) for cut in cuts))
    sent = b"".join(encoder.encode(piece).tobytes() for piece in pieces)
    wanted = b""
    for k in range(0, len(codes), ticks):
        packet = b"\x00" + ((2**24 - 100 + k) % 2**24).to_bytes(3, "little") + b"\x80"
        packet += b"".join(int(code).to_bytes(3, "big", signed=True) for code in codes[k])
        packet += b"\x80" + bytes(6)
        wanted += packet + crc_reference(packet).to_bytes(2, "little")[:n_crc_bytes]
    assert sent == wanted


def test_the_answers_of_the_firmware() -> None:
    """Acknowledgement, response byte and content of what a client asks for first."""
    asked = {
        b"\x3f": b"\xff\x25\x03",
        b"\x24": b"\xff\x25\x03",
        b"\x2e": VERSION,
        b"\x3e": b"\xff\x3d" + bytes.fromhex("0011223344556677"),
        b"\x66\x03\x00": b"\xff\x65\x03\x2f\x04\x00",
        b"\x03": b"\xff\x04\x80\x02",
        b"\x01": b"\xff\x02\x80\x02\x00\x00\x00\x00\x00\x01",
        b"\x72": b"\xff\x8a\x71\x00",
        b"\x63\x00\x01\x02": b"\xff\x62\x02\x80\x10",
        b"\x63\x00\x09\x05": b"\xff\x62\x00",
        b"\x36": b"\xff\x35\x01",
        b"\x96": b"\xff",
        b"\xa3\x00": b"\xff",
    }
    assert conversation(twin(), *asked) == list(asked.values())


def test_what_is_set_is_read_back() -> None:
    """Rate, channels, registers of both chips, name."""
    said = conversation(
        twin(), SET_UP, b"\x01", b"\x63\x00\x00\x0a", b"\x61\x01\x03\x02\xe1\xe1\x63\x01\x03\x02",
        b"\x79\x05bench\x7b",
    )  # fmt: skip
    assert said == [
        b"\xff\xff\xff",
        b"\xff\x02\x20\x00\x00\x00\x00\x00\x03\x01\x1d\x1e\x1f",
        b"\xff\x62\x0a\x04\xa0\x10\x69\x60\x20\x00\x00\x02\x03",
        b"\xff\xff\x62\x02\xe1\xe1",
        b"\xff\xff\x7a\x05bench",
    ]


@given(st.lists(st.integers(0, 40), max_size=8))
@settings(max_examples=6)
def test_any_split_of_the_commands_gives_the_same_answers(cuts: list[int]) -> None:
    """A command waits until its arguments have come."""
    words = SET_UP + b"\x63\x00\x00\x0a\x79\x05bench\x7b\x01"
    places = [0, *sorted(cuts), len(words)]
    said = [words[a:b] for a, b in pairwise(places)]
    assert b"".join(conversation(twin(), *said)) == conversation(twin(), words)[0]


def test_it_answers_while_it_streams_and_acknowledges_the_stop_last() -> None:
    """Data packets stand before the answer, none after the last acknowledgement."""
    world = World(PHYSICS, seed=1)
    said = conversation(VirtualShimmer3(world), SET_UP, (b"\x07", 400), b"\x2e\x20")
    rest = b"".join(said[1:])
    assert rest[:2] == b"\xff\x00"
    assert VERSION in said[2]
    assert rest[-1:] == b"\xff"
    assert (len(rest) - len(VERSION) - 2) % 11 == 0
    assert not world.amplifier.is_streaming


@pytest.mark.parametrize("n_crc_bytes", [1, 2])
def test_all_that_is_sent_has_a_crc_when_asked_for(n_crc_bytes: int) -> None:
    """Acknowledgements, answers and packets, until it is switched off."""
    words = bytes([0x8B, n_crc_bytes])
    said = conversation(
        twin(), SET_UP, words, b"\x2e", (b"\x07", 2000), b"\x20", b"\x8b\x00"
    )
    for whole, length in ((said[1], 1), (said[2], len(VERSION)), (said[3], 1)):
        crc = crc_reference(whole[:length]).to_bytes(2, "little")[:n_crc_bytes]
        assert whole[length : length + n_crc_bytes] == crc
    packet = said[3][1 + n_crc_bytes :][: 11 + n_crc_bytes]
    assert packet[11:] == crc_reference(packet[:11]).to_bytes(2, "little")[:n_crc_bytes]
    assert said[5] == b"\xff"


def test_what_it_does_not_know_is_not_acknowledged() -> None:
    """As the firmware does with a byte that is no command."""
    assert conversation(twin(), b"\xee", b"\x2e") == [b"", VERSION]


def test_another_converter_is_refused() -> None:
    """The rig file must say what a Shimmer3 is."""
    with pytest.raises(InputError, match=r"rate_hz = 32768, got 24 and 48000"):
        VirtualShimmer3(World(RigPhysics(), seed=1))


@settings(max_examples=8)
@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    """Whatever is said, it ends a stream and answers, once its arguments are complete."""
    said = conversation(
        twin(), (data, 3000), (b"\x96" * 300, 3000), b"\x20", b"\x8b\x00", b"\x2e"
    )
    assert said[-1] == VERSION
