"""The twin of the BITalino, byte by byte."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.errors import InputError
from emgsim.plant.physics import AmplifierPhysics, RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.bitalino import FrameEncoder, VirtualBitalino, frames
from emgsim.virtual.frame_faults import FrameFaults

from .serial_client import conversation

PHYSICS = RigPhysics(
    amplifier=AmplifierPhysics(
        rate_hz=1000.0, adc_bits=10, range_uv=1635.28, clip_uv=1635.28, lowpass_hz=480.0
    )
)
STATE_BYTES = 16


def twin(faults: FrameFaults | None = None) -> VirtualBitalino:
    """Make a BITalino."""
    return VirtualBitalino(World(PHYSICS, seed=1), faults)


def remainder(message: bytes) -> int:
    """Divide a message, its CRC included, by x^4 + x + 1; 0 is right."""
    value = 0
    for bit in "".join(f"{byte:08b}" for byte in message):
        value = value << 1 | int(bit)
        value ^= 0b10011 if value & 0b10000 else 0
    return value


def frame_reference(values: list[int], counter: int, digital: int) -> bytes:
    """Write the bits of one frame from its last byte to its first."""
    bits = f"{digital:04b}" + "".join(f"{value:010b}" for value in values[:4])
    bits += "".join(f"{value >> 4:06b}" for value in values[4:])
    bits += "0" * (-len(bits) % 8)
    content = int(bits, 2).to_bytes(len(bits) // 8, "little") + bytes([counter % 16 << 4])
    return content[:-1] + bytes(
        [content[-1] | next(crc for crc in range(16) if not remainder(with_crc(content, crc)))]
    )


def with_crc(content: bytes, crc: int) -> bytes:
    """Put a CRC into the last half byte."""
    return content[:-1] + bytes([content[-1] | crc])


@given(
    st.lists(st.lists(st.integers(0, 1023), min_size=6, max_size=6), max_size=20),
    st.integers(1, 6), st.integers(0, 40), st.integers(0, 15),
)  # fmt: skip
def test_frames_equal_the_slow_reference(
    values: list[list[int]], n_ports: int, first: int, digital: int
) -> None:
    """The layout of the firmware, as bits, and its CRC, as a remainder."""
    table = np.array(values, np.int32).reshape(-1, 6)[:, :n_ports]
    rows = frames(table, first + np.arange(len(table)), digital)
    wanted = [frame_reference(v[:n_ports], first + k, digital) for k, v in enumerate(values)]
    assert [row.tobytes() for row in rows] == wanted


def test_a_frame_by_hand() -> None:
    """512 on A1, I1 and I2 high, counter 0: bits 1100 1000000000 00, and the CRC 6."""
    assert frames(np.array([[512]], np.int32), np.array([0]), 0b1100).tobytes() == b"\x00\xc8\x06"


@given(st.lists(st.integers(0, 50), max_size=5), st.sampled_from([1, 10, 100]))
def test_any_cut_of_the_codes_gives_the_same_frames(cuts: list[int], one_in: int) -> None:
    """The blocks of the plant decide nothing."""
    codes = np.arange(-100, 100, dtype=np.int32)[:, None]
    whole = FrameEncoder([0], one_in, lambda: 12).encode(codes)
    encoder = FrameEncoder([0], one_in, lambda: 12)
    pieces = [encoder.encode(piece) for piece in np.split(codes, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_the_version_is_answered_when_idle_only() -> None:
    """While it streams the same byte sets the outputs, as in the firmware."""
    said = conversation(twin(), b"\x07", (b"\x05", 300), (b"\x07", 30_000), b"\xff")
    assert said[0] == b"BITalino_v5.1\n"
    assert b"BITalino" not in said[2]
    digital = {row[1] >> 4 for row in zip(*[iter(said[1] + said[2] + said[3])] * 3, strict=False)}
    assert digital == {0b1100, 0b1110}


def test_what_is_set_is_in_the_state() -> None:
    """Battery threshold 20, then 63; O2 by the command of all modes; a right CRC."""
    first, second = conversation(twin(), b"\x50\xbb\x0b", b"\xfc\x0b")
    assert len(first) == len(second) == STATE_BYTES
    assert (first[-2], second[-2]) == (20, 63)
    assert first[-1] >> 4 == 0b1101
    assert remainder(first) == remainder(second) == 0
    assert int.from_bytes(first[12:14], "little") == 574


def test_the_byte_after_a3_is_a_pwm_value_and_no_command() -> None:
    """Even FF, which would stop, and 07, which would ask."""
    assert conversation(twin(), b"\xa3\x07", b"\xa3\xff\x07") == [b"", b"BITalino_v5.1\n"]
    said = conversation(twin(), (b"\x05\xa3\xff", 600), b"\xff", b"\x07")
    assert len(said[0]) >= 600
    assert said[2] == b"BITalino_v5.1\n"


@pytest.mark.parametrize("command", [b"\x01", b"\x06", b"\xff", b"\x23"])
def test_what_it_does_not_do_starts_nothing(command: bytes) -> None:
    """No ports, simulated signals, a stop, and what is no command."""
    assert conversation(twin(), command, b"\x07") == [b"", b"BITalino_v5.1\n"]


def test_another_converter_is_refused() -> None:
    """The rig file must say what a BITalino is."""
    with pytest.raises(InputError, match=r"adc_bits = 10 and rate_hz = 1000, got 24 and 48000"):
        VirtualBitalino(World(RigPhysics(), seed=1))


@settings(max_examples=8)
@given(st.binary(max_size=400))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    """Whatever is said, it answers the version after a stop."""
    said = conversation(twin(), (data, 2000), b"\xff\xff", b"\x07")
    assert said[-1] == b"BITalino_v5.1\n"
