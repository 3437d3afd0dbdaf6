"""The Quattrocento driver: its command, its decoder, and a device that is written here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emgsim.errors import InputError, InstrumentError, LinkError
from emgsim.instruments.base import DeviceBlock
from emgsim.instruments.profiles import DeviceProfile, load_profile
from emgsim.instruments.quattrocento import Quattrocento
from emgsim.instruments.quattrocento_command import command, crc8
from emgsim.instruments.quattrocento_frames import FrameDecoder
from emgsim.instruments.tcp_port import TcpPort

TIMEOUT_S = 0.4
# A command to stop that a client of other people sends (quattrocento-python, stream_data.py).
PUBLISHED = bytes.fromhex("8010" + 25 * "00" + "1a0494" + 9 * "00" + "2c")
WIDE = (10.0, 4400.0)


def profile(**changes: object) -> DeviceProfile:
    """Return the shipped profile with changes."""
    table = load_profile("quattrocento").model_dump(by_alias=True) | changes
    return DeviceProfile.model_validate(table)


def frames(counters: list[int], n_channels: int = 96) -> bytes:
    """Write a sample for each counter; channel k of it says 100 k + its place."""
    words = np.zeros((len(counters), n_channels + 24), "<i2")
    words[:, :n_channels] = 100 * np.arange(n_channels) + np.arange(len(counters))[:, None]
    words[:, -8] = np.array(counters, "<u2").view("<i2")
    return words.tobytes()


# -- the command -------------------------------------------------------------------------------


def test_the_crc_is_that_of_1_wire() -> None:
    """The check value of CRC-8/MAXIM, and a command that others send."""
    assert crc8(b"123456789") == 0xA1
    assert len(PUBLISHED) == 40
    assert crc8(PUBLISHED[:39]) == PUBLISHED[39]


def test_a_command_is_the_one_of_the_protocol() -> None:
    """By pencil: 1, no decimator, no trigger, rate 11, inputs 00, acquire; filters 01 and 11."""
    said = command(10240.0, 96, WIDE, acquires=True)
    assert said[:3] == bytes([0b1001_1001, 0, 0])
    assert said[3:39] == 12 * bytes([0, 0, 0b0001_1100])
    assert command(512.0, 384, (200.0, 130.0), acquires=False)[0] == 0b1000_0110
    assert command(512.0, 384, (200.0, 130.0), acquires=False)[5] == 0b0011_0000


@given(st.integers(0, 39), st.integers(1, 255))
def test_a_burst_of_wrong_bits_in_one_byte_is_always_seen(place: int, wrong: int) -> None:
    """A CRC of 8 bits tells every burst of 8 bits."""
    spoilt = bytearray(command(2048.0, 192, WIDE, acquires=True))
    spoilt[place] ^= wrong
    assert crc8(bytes(spoilt[:39])) != spoilt[39]


@pytest.mark.parametrize(
    ("rate_hz", "n_channels", "band_hz", "told"),
    [
        (1000.0, 96, WIDE, "rate_hz .* 512, 2048, 5120, 10240, got 1000"),
        (2048.0, 64, WIDE, "channels .* 96, 192, 288, 384, got 64"),
        (2048.0, 96, (20.0, 500.0), r"band_hz\[0\] .* 0.7, 10, 100, 200, got 20"),
        (2048.0, 96, (10.0, 450.0), r"band_hz\[1\] .* 130, 500, 900, 4400, got 450"),
    ],
)
def test_what_the_device_has_not_is_refused_with_its_choices(
    rate_hz: float, n_channels: int, band_hz: tuple[float, float], told: str
) -> None:
    """Before anything is sent."""
    with pytest.raises(InputError, match=told):
        command(rate_hz, n_channels, band_hz, acquires=True)


# -- the decoder -------------------------------------------------------------------------------


def decoded(data: bytes, cuts: list[int]) -> DeviceBlock:
    """Decode bytes that come in pieces, and return all that came of them."""
    decoder = FrameDecoder(96, "here")
    ends = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    blocks = [decoder.feed(data[a:b]) for a, b in pairwise(ends)]
    return DeviceBlock(
        np.concatenate([block.counts for block in blocks]),
        blocks[0].first_sample,
        tuple(gap for block in blocks for gap in block.gaps),
        blocks[-1].n_bad_frames,
        blocks[-1].n_repeated_frames,
    )


@given(st.integers(0, 65535), st.lists(st.integers(0, 3), min_size=1, max_size=30),
       st.lists(st.integers(0, 7200), max_size=6))  # fmt: skip
def test_lost_and_repeated_samples_are_told_however_the_bytes_are_cut(
    first: int, steps: list[int], cuts: list[int]
) -> None:
    """A step of 0 is a sample that came twice, one above 1 a gap; the counter wraps around."""
    counters = (first + np.cumsum([0, *steps])) % 65536
    block = decoded(frames(counters.tolist()), cuts)
    assert len(block.counts) == 1 + sum(steps)
    assert block.n_repeated_frames == steps.count(0)
    assert sum(n for _, n in block.gaps) == sum(step - 1 for step in steps if step)
    is_lost = np.zeros(len(block.counts), bool)
    for start, n in block.gaps:
        is_lost[start : start + n] = True
    assert not block.counts[is_lost].any()
    kept = [0, *(k + 1 for k, step in enumerate(steps) if step)]
    wanted: NDArray[np.int64] = 100 * np.arange(96) + np.array(kept)[:, None]
    np.testing.assert_array_equal(block.counts[~is_lost], wanted)


def test_a_counter_that_jumps_back_ends_the_stream_after_what_came_before() -> None:
    """The device was reset: two samples are good, then there is an error."""
    decoder = FrameDecoder(96, "tcp://there:1")
    assert len(decoder.feed(frames([60500, 60501, 40007])).counts) == 2
    with pytest.raises(InstrumentError, match="from 60501 to 40007") as told:
        decoder.feed(b"")
    assert told.value.where == "tcp://there:1"


# -- a device ----------------------------------------------------------------------------------


@contextmanager
def device(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Serve one client: note its commands, and answer those that start with bytes."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5.0)

        def serve() -> None:
            client, _ = listener.accept()
            client.settimeout(5.0)
            with client:
                while said := client.recv(40, socket.MSG_WAITALL):
                    heard.append(said)
                    if said[0] & 1:
                        client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", heard
        finally:
            thread.join(5.0)
            assert not thread.is_alive()


def test_leaving_stops_the_device_with_the_last_command() -> None:
    """Opening stops it, a start sets it, and every way out stops it again."""
    with device(frames([3, 4, 5, 7])) as (address, heard):
        with Quattrocento.open(address, profile="quattrocento", timeout_s=TIMEOUT_S) as opened:
            opened.start()
            block = opened.read_block(5, 5.0)
        with pytest.raises(LinkError, match="during stop"):
            opened.stop()
    assert block.gaps == ((3, 1),)
    assert block.counts[4, 95] == 100 * 95 + 3
    assert [said[0] & 1 for said in heard] == [0, 1, 0]
    assert all(crc8(said[:39]) == said[39] for said in heard)


def test_other_rates_and_numbers_of_channels_are_those_of_the_profile() -> None:
    """Six hundred bytes are a sample of 288 channels and those on the rear."""
    with device(frames([1, 2], 288)) as (address, heard):
        other = profile(rate_hz=2048.0, channels=288, band_hz=(10.0, 500.0))
        with Quattrocento.open(address, profile=other, timeout_s=TIMEOUT_S) as opened:
            opened.start()
            assert opened.read_block(2, 5.0).counts.shape == (2, 288)
            assert opened.n_channels == 288
    assert heard[1][0] == 0b1000_1101


@pytest.mark.parametrize("address", ["/dev/ttyUSB0", "tcp://169.254.1.10", "tcp://here:0"])
def test_an_address_that_is_none_is_refused_with_an_example(address: str) -> None:
    """A Quattrocento has no serial port, and no port that everybody knows."""
    with pytest.raises(InputError, match="tcp://HOST:PORT") as told:
        Quattrocento.open(address, profile="quattrocento")
    assert "tcp://169.254.1.10:23456" in told.value.todo


def test_nobody_who_listens_is_a_link_error() -> None:
    """A port that nobody holds: the message names the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(LinkError, match="cannot be reached") as told:
        TcpPort(address, TIMEOUT_S)
    assert told.value.where == address


def test_the_profile_of_another_device_is_refused() -> None:
    """What it says of rate and scale would not be true."""
    with pytest.raises(InputError, match="OT Bioelettronica,Quattrocento, got PLUX,Quattrocento"):
        Quattrocento.open("tcp://127.0.0.1:1", profile=profile(maker="PLUX"))


def test_a_profile_that_describes_frames_says_no_other_number_of_channels() -> None:
    """Two numbers could differ."""
    table = load_profile("na1").model_dump(by_alias=True)
    with pytest.raises(ValueError, match="channels: frame or lines say"):
        DeviceProfile.model_validate(table | {"channels": 4})
