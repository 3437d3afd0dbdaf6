"""The twin of the Cyton: its dialogue, its frames, and the Daisy's means."""

import asyncio
import os

import numpy as np
import pytest

from emgsim.errors import InputError
from emgsim.plant.physics import AmplifierPhysics, RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.openbci import FrameEncoder, VirtualCyton

BANNER = b"OpenBCI V3 8-16 channel\nOn Board ADS1299 Device ID: 0x3E\n"


def world(n_channels: int = 8) -> World:
    """Make a plant with an amplifier of so many channels."""
    return World(
        RigPhysics(
            amplifier=AmplifierPhysics(
                rate_hz=250.0, channels=n_channels, highpass_order=0, lowpass_hz=65.0,
                channel_noise_uv_rms=5.0,
            )
        ),
        seed=1,
    )  # fmt: skip


def dialogue(plant: World, *messages: bytes, after_s: float = 0.03) -> list[bytes]:
    """Send messages one after the other, and return what is heard after each."""

    async def run() -> list[bytes]:
        cyton = VirtualCyton(plant)
        port = os.open(cyton.open(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        answers = []
        try:
            for message in messages:
                os.write(port, message)
                heard = b""
                for _ in range(10):
                    await asyncio.sleep(after_s / 10)
                    try:
                        heard += os.read(port, 4096)
                    except BlockingIOError:
                        continue
                answers.append(heard)
        finally:
            os.close(port)
            cyton.close()
        return answers

    return asyncio.run(run())


def test_a_reset_says_who_it_is() -> None:
    """The words that clients look for, and the end of an answer."""
    (answer,) = dialogue(world(), b"v")
    assert answer == BANNER + b"LIS3DH Device ID: 0x33\nFirmware: v3.1.2\n$$$"
    (answer,) = dialogue(world(16), b"v")
    assert b"On Daisy ADS1299 Device ID: 0x3E\n" in answer


def test_settings_are_followed_and_reported() -> None:
    """Gain 8 on channel 2, off and on again on channel 3; the registers and the plant agree."""
    plant = world()
    answers = dialogue(plant, b"x2040110X", b"3", b"?", b"#", b"D", b"~~", b"~4", b"V", b"C")
    assert answers[0] == b"Success: Channel set for 2\n$$$"
    assert b"CH1SET, 05, 68, 0, 1, 1, 0, 1, 0, 0, 0\n" in answers[2]
    assert b"CH2SET, 06, 48, 0, 1, 0, 0, 1, 0, 0, 0\n" in answers[2]
    assert b"CH3SET, 07, E8, 1, 1, 1, 0, 1, 0, 0, 0\n" in answers[2]
    assert answers[4:] == [
        b"060110$$$", b"Success: Sample rate is 250Hz$$$", b"Failure: other sample rate$$$",
        b"v3.1.2$$$", b"8$$$",
    ]  # fmt: skip
    step_uv = plant.amplifier.ranges_uv / 2**23
    np.testing.assert_allclose(step_uv[:2], 4.5e6 / (2**23 - 1) / np.array([24, 8]))
    assert plant.amplifier.is_on.all()


@pytest.mark.parametrize("command", [b"x9060110X", b"x1070110X", b"x10601100", b"x1090000X"])
def test_a_setting_that_does_not_exist_fails(command: bytes) -> None:
    """Nothing is set then."""
    plant = world()
    (answer,) = dialogue(plant, command)
    assert answer.startswith(b"Failure: ")
    assert set(plant.amplifier.ranges_uv) == {4.5e6 / 24 * 2**23 / (2**23 - 1)}


def test_a_stream_begins_with_0_and_is_silent_on_settings() -> None:
    """A setting in mid-stream answers nothing and begins the stream anew, as the firmware does."""
    first, second, _ = dialogue(world(), b"b", b"x1000110X", b"s")
    assert first[:2] == b"\xa0\0"
    assert b"Success" not in second
    whole = first + second
    counters = [whole[k + 1] for k in range(0, len(whole) - 33, 33)]
    restarts = np.flatnonzero(np.diff(counters) % 256 != 1)
    assert len(restarts) == 1
    assert counters[restarts[0] + 1] == 0


def test_a_command_may_come_in_pieces_and_together() -> None:
    """Characters are obeyed one by one, whatever the reads are."""
    answers = dialogue(world(), b"x10", b"00110", b"XDv")
    assert answers[:2] == [b"", b""]
    assert answers[2].startswith(b"Success: Channel set for 1\n$$$060110$$$" + BANNER)


def test_frames_equal_the_slow_reference() -> None:
    """Sync, counter that wraps, big-endian codes, six bytes of nothing, footer."""
    codes = np.random.default_rng(1).integers(-(2**23), 2**23, (300, 8), np.int32)
    encoder = FrameEncoder(8)
    sent = encoder.encode(codes[:7]).tobytes() + encoder.encode(codes[7:]).tobytes()
    wanted = b"".join(
        bytes([0xA0, k % 256])
        + b"".join(int(code).to_bytes(3, "big", signed=True) for code in row)
        + bytes(6)
        + b"\xc0"
        for k, row in enumerate(codes)
    )
    assert sent == wanted


def test_the_daisy_and_the_cyton_send_means_by_turns() -> None:
    """Even frames: channels 9 to 16; odd ones: 1 to 8; rounded to 0 as in C."""
    codes = np.array([[1] * 8 + [-3] * 8, [4] * 8 + [-4] * 8, [-7] * 8 + [9] * 8], np.int32)
    encoder = FrameEncoder(16)
    rows = np.vstack([encoder.encode(codes[:1]), encoder.encode(codes[1:])])
    values = [int.from_bytes(bytes(row[2:5]), "big", signed=True) for row in rows]
    assert values == [-1, 2, 2]


def test_another_amplifier_is_refused() -> None:
    """A Cyton has 8 channels or 16."""
    with pytest.raises(InputError, match="8 channels, or 16 with a Daisy, and 24 bits, got 4"):
        VirtualCyton(world(4))
