"""The Shimmer3 driver over pseudo-terminals, with a device that is written here."""

import os
import threading
import tty
from contextlib import contextmanager

import pytest

from emgsim.errors import InputError, InstrumentError, LinkError
from emgsim.instruments.profiles import load_profile
from emgsim.instruments.shimmer3 import Shimmer3, emg_registers, ticks_per_sample
from emgsim.instruments.shimmer3_packets import crc

TIMEOUT_S = 0.4
ACK = b"\xff"
EMG = bytes.fromhex("04a01069602000000203")
SET_UP = [b"\x05\x20\x00", b"\x08\x10\x00\x00", b"\x61\x00\x00\x0a" + EMG, b"\x63\x00\x00\x0a",
          b"\x01", b"\x8b\x02"]  # fmt: skip
OPENED = [b"\x20", b"\x8b\x00", b"\x3f", b"\x66\x03\x00", b"\x2e", b"\x3e"]
ANSWERS = {
    b"\x20": ACK,
    b"\x8b\x00": ACK,
    b"\x3f": ACK + b"\x25\x03",
    b"\x66\x03\x00": ACK + b"\x65\x03\x2f\x04\x00",
    b"\x2e": ACK + b"\x2f\x03\x00\x00\x00\x0f\x04",
    b"\x3e": ACK + b"\x3d\x01\x23\x45\x67\x89\xab\xcd\xef",
    SET_UP[0]: ACK,
    SET_UP[1]: ACK,
    SET_UP[2]: ACK,
    SET_UP[3]: ACK + b"\x62\x0a" + EMG,
    b"\x01": ACK + b"\x02\x20\x00\x00\x00\x00\x00\x03\x01\x1d\x1e\x1f",
    b"\x8b\x02": ACK + b"\x6b\x04",  # the acknowledgement has a CRC already
}


def packet(k):
    """Write packet k, whose codes are k and -k."""
    body = b"\x00" + (32 * k).to_bytes(3, "little") + b"\x80"
    body += k.to_bytes(3, "big") + (-k).to_bytes(3, "big", signed=True)
    return body + crc(body).to_bytes(2, "little")


class Unit:
    """Answers whole commands on the far side of a pty: a table from command to bytes."""

    def __init__(self, answers):
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)  # kept open, or the master would see a hang-up with every close
        self.address = os.ttyname(self._slave)
        self.heard = []
        self._answers = ANSWERS | answers
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while b"QUIT" not in self.heard:
            self.heard.append(os.read(self.master, 100))  # the driver waits for each answer
            os.write(self.master, self._answers.get(self.heard[-1], b""))

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
    """Load the profile of the Shimmer3."""
    return load_profile("shimmer3_exg")


def open_unit(unit, profile):
    """Open the driver with the short time-out of these tests."""
    return Shimmer3.open(unit.address, profile=profile, timeout_s=TIMEOUT_S)


def test_the_profile_is_the_data_sheets(profile):
    """A code is 2.42 V over the gain of 12 and 2^23 - 1 codes."""
    assert profile.scale_uv_per_count == pytest.approx(2.42e6 / 12 / (2**23 - 1), rel=1e-12)
    assert profile.range_uv == pytest.approx(2.42e6 / 12, rel=1e-12)


def test_opening_stops_and_asks_and_sets_nothing(profile):
    """The stream is stopped, CRCs are off, and the rest are questions."""
    with Unit({}).powered() as unit, open_unit(unit, profile) as device:
        assert unit.heard == OPENED
        identity = device.identify()
        assert str(identity) == "Shimmer,Shimmer3 EXG,0123456789ABCDEF,LogAndStream 0.15.4"
        assert (device.rate_hz, device.n_channels) == (1024.0, 2)


def test_each_start_sets_up_and_reads_back(profile):
    """Rate, sensors, registers and CRCs, then the stream; leaving stops it."""
    stream = ACK + crc(ACK).to_bytes(2, "little") + b"".join(packet(k) for k in (0, 1, 2, 5))
    with Unit({b"\x07": stream}).powered() as unit:
        with open_unit(unit, profile) as device:
            for _ in range(2):
                device.start()
                block = device.read_block(6, 1.0)
                assert block.counts.tolist() == [[0, 0], [1, -1], [2, -2], [0, 0], [0, 0], [5, -5]]
                assert (block.first_sample, block.gaps, block.n_bad_frames) == (0, ((3, 2),), 0)
        assert unit.heard[len(OPENED) :] == [*SET_UP, b"\x07", *SET_UP, b"\x07", *OPENED[:2]]


@pytest.mark.parametrize(
    ("gain", "field"), [(1, 1), (2, 2), (3, 3), (4, 4), (6, 0), (8, 5), (12, 6)]
)
def test_the_gain_is_that_of_the_profiles_scale(profile, gain, field):
    """Both channels' registers, at the converter's rate that is no slower than the sampling."""
    scale = 2.42e6 / gain / (2**23 - 1)
    registers = emg_registers(profile.model_copy(update={"scale_uv_per_count": scale}))
    assert registers[3:5] == bytes([field << 4 | 9, field << 4])


@pytest.mark.parametrize(
    ("rate_hz", "ticks", "code"), [(128.0, 256, 1), (512.0, 64, 3), (1024.0, 32, 4), (4096.0, 8, 6)]
)
def test_the_rate_is_a_whole_part_of_the_crystals(profile, rate_hz, ticks, code):
    """And the converter runs at the next faster rate of its own."""
    other = profile.model_copy(update={"rate_hz": rate_hz})
    assert ticks_per_sample(other) == ticks
    assert emg_registers(other)[0] == code


def test_what_the_device_cannot_do_is_refused_before_the_port_is_touched(profile):
    """1000 Hz would be 33 ticks, 992.97 Hz; a scale of no gain would be a lie."""
    rate = profile.model_copy(update={"rate_hz": 1000.0})
    scale = profile.model_copy(update={"scale_uv_per_count": 0.03})
    with pytest.raises(InputError, match="must be 32768 / n, at most 8000 Hz, got 1000"):
        Shimmer3.open("/dev/no-such-port", profile=rate)
    with pytest.raises(InputError, match=r"gain of 1, 2, 3, 4, 6, 8, 12, got a gain of 9.616"):
        Shimmer3.open("/dev/no-such-port", profile=scale)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({b"\x3f": ACK + b"\x25\x0a"}, "hardware 10"),
        ({b"\x66\x03\x00": ACK + b"\x65\x03\x30\x01\x00"}, "daughter card 48"),
        ({b"\x2e": ACK + b"\x2f\x01\x00\x00\x00\x0f\x04"}, "firmware 1"),
        ({b"\x3f": b"\x00\x25\x03"}, "acknowledge by ff"),
        ({b"\x3f": ACK + b"\x99\x03"}, "begin with 25"),
    ],
)
def test_a_stranger_is_refused(profile, answers, told):
    """Another model, no EXG card, another firmware, and what answers nonsense."""
    with Unit(answers).powered() as unit, pytest.raises(InstrumentError, match=told) as e:
        open_unit(unit, profile)
    assert e.value.where == unit.address


@pytest.mark.parametrize(
    ("command", "answer", "told"),
    [
        (SET_UP[3], ACK + b"\x62\x0a" + EMG[:3] + b"\x09" + EMG[4:], "registers must read back"),
        (b"\x01", ANSWERS[b"\x01"].replace(b"\x02\x20", b"\x02\x21"), "rate and channels must"),
        (b"\x01", ACK + b"\x02\x20\x00\x00\x00\x00\x00\x01\x01\x03", "rate and channels must"),
    ],
)
def test_a_setting_that_did_not_take_is_refused(profile, command, answer, told):
    """A wrong gain or rate would make every number wrong: it is read back before the stream."""
    with (
        Unit({command: answer}).powered() as unit,
        open_unit(unit, profile) as device,
        pytest.raises(InstrumentError, match=told),
    ):
        device.start()


def test_a_firmware_without_crcs_is_refused(profile):
    """It does not acknowledge what it does not know."""
    with (
        Unit({b"\x8b\x02": b""}).powered() as unit,
        open_unit(unit, profile) as device,
        pytest.raises(LinkError, match=r"no answer to ask for CRCs within 0\.4 s"),
    ):
        device.start()


def test_silence_is_a_link_error_with_the_port(profile):
    """Neither an answer nor a packet: both messages name the port."""
    with Unit({b"\x3f": b""}).powered() as unit:
        with pytest.raises(LinkError, match=r"no answer to identify within 0\.4 s") as e:
            open_unit(unit, profile)
        assert e.value.where == unit.address
    with Unit({}).powered() as unit, open_unit(unit, profile) as device:
        device.start()
        with pytest.raises(LinkError, match=r"no frame within 0.1 s \(0 bad frames") as e:
            device.read_block(10, 0.1)
        assert e.value.where == unit.address
