"""The BITalino driver over pseudo-terminals, with a device that is written here."""

import os
import threading
import tty
from contextlib import contextmanager

import pytest

from emgsim.errors import InputError, InstrumentError, LinkError
from emgsim.instruments.bitalino import Bitalino
from emgsim.instruments.profiles import load_profile

TIMEOUT_S = 0.4
VERSION = b"BITalino_v5.1\n"
# Frames 0 to 3 of A1 = 512, 513, 0 and 1023 with I1 and I2 high. Worked out by hand:
# counter, ports and code as bits, the remainder after x^4 + x + 1 in the last half byte.
FRAMES = [(0, 512), (1, 513), (2, 0), (3, 1023)]


def crc(nibbles):
    """Divide by x^4 + x + 1."""
    value = 0
    for bit in "".join(f"{nibble:04b}" for nibble in [*nibbles, 0]):
        value = value << 1 | int(bit)
        value ^= 0b10011 if value & 0b10000 else 0
    return value


def frame(counter, code):
    """Write a frame of one port: code << 2 and the digital ports, then counter and CRC."""
    low, high = code << 2 & 0xFF, 0xC0 | code >> 6
    nibbles = [low >> 4, low & 15, high >> 4, high & 15, counter % 16]
    return bytes([low, high, counter % 16 << 4 | crc(nibbles)])


class Board:
    """Answers single bytes on the far side of a pty: a table from command to bytes."""

    def __init__(self, answers):
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)  # kept open, or the master would see a hang-up with every close
        self.address = os.ttyname(self._slave)
        self.heard = b""
        self._answers = {0x07: VERSION} | answers
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while not self.heard.endswith(b"QUIT"):
            for byte in os.read(self.master, 100):
                self.heard += bytes([byte])
                os.write(self.master, self._answers.get(byte, b""))

    @contextmanager
    def powered(self):
        """Serve until the end of the block, then leave nothing behind."""
        try:
            yield self
        finally:
            os.write(self._slave, b"QUIT")
            self._thread.join(5.0)
            os.close(self._slave)
            os.close(self.master)


@pytest.fixture
def profile():
    """Load the profile of the BITalino."""
    return load_profile("bitalino")


def open_board(board, profile):
    """Open the driver with the short time-out of these tests."""
    return Bitalino.open(board.address, profile=profile, timeout_s=TIMEOUT_S)


def test_the_profile_is_the_data_sheets(profile):
    """A code is 3.3 V over the sensor's gain of 1009 and 2^10 codes."""
    assert profile.scale_uv_per_count == pytest.approx(3.3e6 / 1009 / 1024, rel=1e-12)
    assert profile.range_uv == pytest.approx(512 * profile.scale_uv_per_count, rel=1e-12)
    assert profile.noise_uv_rms == pytest.approx(profile.scale_uv_per_count / 12**0.5, rel=0.01)


def test_opening_stops_and_asks_and_sets_nothing(profile):
    """FF twice, for a device that waits for a PWM value, then the version."""
    with Board({}).powered() as board, open_board(board, profile) as device:
        assert board.heard == b"\xff\xff\x07"
        assert str(device.identify()) == "PLUX,BITalino (r)evolution,,5.1"
        assert (device.rate_hz, device.n_channels) == (1000.0, 1)
        assert device.scale_uv_per_count == profile.scale_uv_per_count


def test_codes_are_told_from_the_middle_of_the_range(profile):
    """512 is 0 V; the rate is set before every start, and leaving stops."""
    sent = b"".join(frame(*pair) for pair in FRAMES)
    with Board({0x05: sent}).powered() as board:
        with open_board(board, profile) as device:
            for _ in range(2):
                device.start()
                block = device.read_block(4, 1.0)
                assert block.counts[:, 0].tolist() == [0, 1, -512, 511]
                assert (block.first_sample, block.gaps, block.n_bad_frames) == (0, (), 0)
        assert board.heard == b"\xff\xff\x07\xc3\x05\xc3\x05\xff\xff"


@pytest.mark.parametrize(("rate_hz", "command"), [(1, b"\x03"), (10, b"\x43"), (100, b"\x83")])
def test_the_rate_is_the_profiles(profile, rate_hz, command):
    """Each of the four rates has its byte."""
    slow = profile.model_copy(update={"rate_hz": float(rate_hz)})
    with Board({}).powered() as board, open_board(board, slow) as device:
        device.start()
        device.stop()
        assert command + b"\x05" in board.heard


def test_another_rate_is_refused_before_the_port_is_touched(profile):
    """The device knows four rates."""
    with pytest.raises(InputError, match=r"one of \[1, 10, 100, 1000\], got 500"):
        Bitalino.open("/dev/no-such-port", profile=profile.model_copy(update={"rate_hz": 500.0}))


def test_silence_is_a_link_error_with_the_port(profile):
    """Neither a version nor a frame: both messages name the port."""
    with Board({0x07: b""}).powered() as board:
        with pytest.raises(LinkError, match=r"no answer to identify within 0\.4 s") as e:
            open_board(board, profile)
        assert e.value.where == board.address
    with Board({}).powered() as board, open_board(board, profile) as device:
        device.start()
        with pytest.raises(LinkError, match=r"no frame within 0.1 s \(0 bad frames") as e:
            device.read_block(10, 0.1)
        assert e.value.where == board.address


@pytest.mark.parametrize("answer", [b"HackEEG v1\n", b"BITalino_vX\n", b"x" * 200])
def test_a_stranger_is_refused(profile, answer):
    """What does not answer as a BITalino is none."""
    with (
        Board({0x07: answer}).powered() as board,
        pytest.raises(InstrumentError, match=r"must be PLUX|no answer to identify"),
    ):
        open_board(board, profile)


def test_the_first_bitalino_is_refused(profile):
    """Its commands are others."""
    with (
        Board({0x07: b"BITalino_v3.2\n"}).powered() as board,
        pytest.raises(InstrumentError, match=r"must be 4\.2 or later, got 3\.2"),
    ):
        open_board(board, profile)


def test_a_device_that_streams_on_is_reported(profile):
    """A stop that does not stop is an error, not an endless wait."""
    with Board({}).powered() as board, open_board(board, profile) as device:
        ended = threading.Event()

        def talk():
            while not ended.wait(0.01):
                os.write(board.master, b"x")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(LinkError, match=r"still streams 0\.4 s after stop"):
            device.stop()
        ended.set()
        thread.join()
