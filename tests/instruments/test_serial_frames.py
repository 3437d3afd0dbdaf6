"""SerialFrames over pseudo-terminals, with a device that is written here."""

import os
import threading
import tty
from contextlib import contextmanager

import numpy as np
import pytest
import serial

from emgsim.errors import InputError, InstrumentError, LinkError
from emgsim.instruments.frames import crc16_ccitt
from emgsim.instruments.profiles import load_profile
from emgsim.instruments.serial_frames import SerialFrames

TIMEOUT_S = 0.4
IDENTITY = b"EMGSIM,NA-1,SIM-0001,1.0\n"


@pytest.fixture
def profile():
    """Load the profile of the reference amplifier."""
    return load_profile("na1")


def frame(counter, first):
    """Encode 16 codes that count up from first, as the NA-1 does."""
    body = (counter % 65536).to_bytes(2, "big")
    body += b"".join((first + i).to_bytes(3, "big", signed=True) for i in range(16))
    return b"\xa5\x5a" + body + crc16_ccitt(body).to_bytes(2, "big")


def frames(counters):
    """Encode frames whose codes are their sample numbers."""
    return b"".join(frame(counter, 16 * counter) for counter in counters)


class Amplifier:
    """Answers commands on the far side of a pty: a table from command to bytes."""

    def __init__(self, answers):
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.address = os.ttyname(slave)
        self._slave = slave  # kept open, or the master would see a hang-up with every close
        self.heard = []
        self._answers = {b"ID?": IDENTITY} | answers
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        rest = b""
        while b"QUIT" not in self.heard:
            *commands, rest = (rest + os.read(self.master, 100)).split(b"\n")
            for command in commands:
                self.heard.append(command)
                os.write(self.master, self._answers.get(command, b""))

    def hang_up(self):
        """Pull the plug."""
        os.close(self._slave)
        with serial.Serial(self.address, timeout=0) as port:
            port.write(b"QUIT\n")
            self._thread.join(5.0)
        os.close(self.master)

    @contextmanager
    def powered(self):
        """Serve until the end of the block, then leave nothing behind."""
        try:
            yield self
        finally:
            if self._thread.is_alive():
                os.write(self._slave, b"QUIT\n")
                self._thread.join(5.0)
                os.close(self._slave)
                os.close(self.master)
            assert not self._thread.is_alive()


def open_device(amplifier, profile):
    """Open the driver with the short time-out of these tests."""
    return SerialFrames.open(amplifier.address, profile=profile, timeout_s=TIMEOUT_S)


def test_a_stream_is_read_block_by_block_without_losing_a_sample(profile):
    """Blocks of any size follow each other, and every code arrives."""
    with Amplifier({b"START": frames(range(100))}).powered() as amplifier:
        with open_device(amplifier, profile) as device:
            assert str(device.identify()) == "EMGSIM,NA-1,SIM-0001,1.0"
            device.start()
            blocks = [device.read_block(n, TIMEOUT_S) for n in (5, 595, 1000)]
        assert [block.first_sample for block in blocks] == [0, 5, 600]
        codes = np.concatenate([block.counts for block in blocks])
        np.testing.assert_array_equal(codes[:, 0], np.arange(1600))
        assert amplifier.heard[-1] == b"STOP"


def test_a_gap_is_listed_in_every_block_that_holds_a_part_of_it(profile):
    """Frames 2 and 3 are lost: samples 32 to 63, cut here at sample 40."""
    with (
        Amplifier({b"START": frames([0, 1, 4, 5])}).powered() as amplifier,
        open_device(amplifier, profile) as device,
    ):
        device.start()
        first, second = device.read_block(40, TIMEOUT_S), device.read_block(56, TIMEOUT_S)
    assert (first.gaps, second.gaps) == (((32, 8),), ((40, 24),))
    assert second.counts[:, 0].tolist() == [0] * 24 + list(range(64, 96))


def test_bad_frames_are_counted_not_raised(profile):
    """A frame with a wrong checksum is a gap and a number."""
    spoilt = bytearray(frames(range(3)))
    spoilt[70] ^= 1
    with (
        Amplifier({b"START": bytes(spoilt)}).powered() as amplifier,
        open_device(amplifier, profile) as device,
    ):
        device.start()
        block = device.read_block(48, TIMEOUT_S)
    assert (block.n_bad_frames, block.gaps) == (1, ((16, 16),))


def test_the_time_out_returns_what_has_come(profile):
    """A short block is better than none; the next call, with nothing new, is an error."""
    with (
        Amplifier({b"START": frames(range(2))}).powered() as amplifier,
        open_device(amplifier, profile) as device,
    ):
        device.start()
        assert len(device.read_block(1000, 0.2).counts) == 32
        with pytest.raises(LinkError, match=r"no frame within 0.1 s \(0 bad frames"):
            device.read_block(1000, 0.1)


def test_a_new_start_numbers_samples_anew(profile):
    """Sample 0 is the first one after the last start; nothing of before is left."""
    with (
        Amplifier({b"START": frames(range(40, 44))}).powered() as amplifier,
        open_device(amplifier, profile) as device,
    ):
        for _ in range(2):
            device.start()
            block = device.read_block(16, TIMEOUT_S)
            assert (block.first_sample, block.gaps) == (0, ())


def test_a_hang_up_loses_nothing_that_came_before_it(profile):
    """Samples already read are returned; the call after that is a link error."""
    with Amplifier({b"START": frames(range(4))}).powered() as amplifier:
        device = open_device(amplifier, profile)
        device.start()
        assert len(device.read_block(10, TIMEOUT_S).counts) == 10
        amplifier_address = amplifier.address
        device._port.exclusive = False  # lets the plug be pulled through the same port
        amplifier.hang_up()
        assert len(device.read_block(1000, TIMEOUT_S).counts) == 54
        with pytest.raises(LinkError, match="link to the device broke") as e:
            device.read_block(1000, TIMEOUT_S)
        assert e.value.where == amplifier_address
        with pytest.raises(LinkError, match="broke"):
            device.start()
        device.close()
        device.close()


def test_leaving_after_a_hang_up_is_quiet(profile):
    """A device that hung up need not be stopped."""
    with (
        Amplifier({}).powered() as amplifier,
        open_device(amplifier, profile) as device,
    ):
        device._port.exclusive = False
        amplifier.hang_up()


def test_a_reset_device_is_an_error_after_its_samples(profile):
    """A counter that starts again is told, since the lost time cannot be known."""
    with (
        Amplifier({b"START": frames([700, 701, 0, 1])}).powered() as amplifier,
        open_device(amplifier, profile) as device,
    ):
        device.start()
        device.read_block(1000, TIMEOUT_S)
        with pytest.raises(InstrumentError, match="from 701 to 0: the device was reset"):
            device.read_block(1000, TIMEOUT_S)


def test_a_silent_device_is_a_link_error(profile):
    """Nothing answers ID?: the message says how long was waited, and the port is free again."""
    with Amplifier({b"ID?": b""}).powered() as amplifier:
        with pytest.raises(LinkError, match=r"no identity within 0.4 s") as e:
            open_device(amplifier, profile)
        serial.Serial(amplifier.address, exclusive=True).close()
        assert e.value.where == amplifier.address  # the error keeps the device alive until here


def test_a_device_that_was_left_streaming_is_stopped_and_recognised(profile):
    """Frames of an earlier session do not hide the identity."""
    with Amplifier({b"STOP": frames(range(20))}).powered() as amplifier:
        open_device(amplifier, profile).close()
        assert amplifier.heard == [b"STOP", b"ID?"]
    with Amplifier({b"ID?": frames([1]) + IDENTITY}).powered() as amplifier:
        open_device(amplifier, profile).close()


def test_another_device_is_refused_by_name(profile):
    """A profile that does not fit the device is a mistake of the rig file."""
    with (
        Amplifier({b"ID?": b"ACME,AMP-2,7,2.0\n"}).powered() as amplifier,
        pytest.raises(InstrumentError, match=r"must be EMGSIM,NA-1, got ACME,AMP-2,7,2.0"),
    ):
        open_device(amplifier, profile)


def test_a_device_without_commands_is_believed_to_be_the_profiles(profile):
    """A board that always streams has nothing to ask and nothing to stop."""
    mute = profile.frame.model_copy(update={"commands": type(profile.frame.commands)()})
    board = profile.model_copy(update={"frame": mute})
    with Amplifier({}).powered() as amplifier, open_device(amplifier, board) as device:
        assert device.identify().model == "NA-1"
        os.write(amplifier.master, frames(range(2)))
        assert len(device.read_block(32, TIMEOUT_S).counts) == 32
    assert amplifier.heard == [b"QUIT"]


def test_a_device_that_streams_on_is_reported(profile):
    """A stop that does not stop is an error, not an endless wait."""
    with Amplifier({}).powered() as amplifier, open_device(amplifier, profile) as device:
        ended = threading.Event()

        def talk():
            while not ended.wait(0.01):
                os.write(amplifier.master, b"x")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(LinkError, match=r"still streams 0.4 s after 'STOP'"):
            device.stop()
        ended.set()
        thread.join()


def test_a_busy_port_names_the_port_and_what_to_do(profile):
    """Two readers would steal each other's bytes, so the second is refused."""
    with Amplifier({}).powered() as amplifier, open_device(amplifier, profile):
        with pytest.raises(LinkError, match="cannot be opened") as e:
            open_device(amplifier, profile)
        assert e.value.where == amplifier.address
        assert "other program" in e.value.todo


def test_a_missing_port_names_the_port_and_what_to_do(profile):
    """A port that is not there is told from one that is taken."""
    with pytest.raises(LinkError) as e:
        SerialFrames.open("/dev/no-such-port", profile=profile, timeout_s=TIMEOUT_S)
    assert e.value.where == "/dev/no-such-port"
    assert "plugged in" in e.value.todo


def test_a_file_that_is_no_port_is_a_link_error(profile, tmp_path):
    """A plain file cannot be configured as a port."""
    (tmp_path / "port").touch()
    with pytest.raises(LinkError, match="cannot be opened"):
        SerialFrames.open(str(tmp_path / "port"), profile=profile, timeout_s=TIMEOUT_S)


def test_an_unknown_profile_is_an_input_error_before_the_port_is_touched():
    """The profile is read first."""
    with pytest.raises(InputError, match="did you mean 'na1'"):
        SerialFrames.open("/dev/no-such-port", profile="na1x")


def test_the_profile_is_what_the_driver_tells(profile):
    """Rate, channels and scale come from the profile."""
    with Amplifier({}).powered() as amplifier, open_device(amplifier, profile) as device:
        assert (device.rate_hz, device.n_channels) == (48000.0, 1)
        assert device.scale_uv_per_count == 10000 / 2**23
        assert device.profile is profile


def test_nothing_is_left_after_close(profile):
    """Neither descriptor nor thread outlives a device, good or failed."""
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    with Amplifier({}).powered() as amplifier:
        open_device(amplifier, profile).close()
    with Amplifier({b"ID?": b""}).powered() as amplifier, pytest.raises(LinkError):
        open_device(amplifier, profile)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
