"""The data packets of a Shimmer3: checked, placed by their time, nonsense survived."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.instruments.shimmer3_packets import PACKET_BYTES, PacketDecoder, crc

TICKS = 32
START = 2**24 - 100 * TICKS  # the time comes round after 100 packets


def checked(content):
    """Put the CRC behind a message."""
    return content + crc(content).to_bytes(2, "little")


def codes(k):
    """Return the two codes of packet k."""
    return 12345 - 77 * (k % 1000), -(2**23) + k % 1000


def packet(k):
    """Write packet k."""
    body = b"\x00" + ((START + TICKS * k) % 2**24).to_bytes(3, "little") + b"\x80"
    return checked(body + b"".join(code.to_bytes(3, "big", signed=True) for code in codes(k)))


def decoded(data, cuts=()):
    """Feed bytes in pieces and return counts, gaps, bad and repeated packets."""
    decoder = PacketDecoder(TICKS)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    blocks = [decoder.feed(data[a:b]) for a, b in pairwise(places)]
    assert [b.first_sample for b in blocks] == [
        sum(len(b.counts) for b in blocks[:i]) for i in range(len(blocks))
    ]
    counts = np.concatenate([block.counts for block in blocks])
    gaps = [gap for block in blocks for gap in block.gaps]
    return counts, gaps, decoder.n_bad_frames, blocks[-1].n_repeated_frames


@pytest.mark.parametrize(
    ("length", "value"), [(8, 0x48AA), (9, 0x2A5D), (10, 0x8B17), (11, 0x794E)]
)
def test_the_crc_has_the_firmwares_test_values(length, value):
    """``testCrcDriver`` of the firmware: the CRCs of 1, 2, 3 ... up to 8, 9, 10 and 11."""
    assert crc(bytes(range(1, length + 1))) == value


def test_every_code_arrives_also_when_the_time_comes_round():
    """Both channels, over the whole range."""
    counts, gaps, n_bad, n_repeated = decoded(b"".join(packet(k) for k in range(200)))
    assert counts.tolist() == [list(codes(k)) for k in range(200)]
    assert (gaps, n_bad, n_repeated) == ([], 0, 0)


@given(st.lists(st.sampled_from(["good", "good", "lost", "corrupt", "noise", "status", "twice"]),
                max_size=50),
       st.lists(st.integers(0, 800), max_size=8))  # fmt: skip
def test_any_split_gives_the_same_samples(kinds, cuts):
    """The pieces in which bytes come decide nothing."""
    data = b""
    for k, kind in enumerate(kinds):
        sent = packet(k)
        data += {
            "good": sent, "lost": b"", "corrupt": sent[:6] + bytes([sent[6] ^ 8]) + sent[7:],
            "noise": b"\x00\xff\x8a", "status": checked(b"\x8a\x71\x12") + sent, "twice": 2 * sent,
        }[kind]  # fmt: skip
    whole, bytewise = decoded(data), decoded(data, range(len(data)))
    for counts, gaps, n_bad, n_repeated in (decoded(data, cuts), bytewise):
        np.testing.assert_array_equal(counts, whole[0])
        assert (gaps, n_bad) == whole[1:3]
        assert n_repeated <= whole[3]  # one that comes at the very end is told with the next block


@pytest.mark.parametrize("n_lost", [1, 2, 40, 5000])
def test_a_loss_is_located_and_sized_by_the_time(n_lost):
    """The codes of all other packets stand where they belong."""
    kept = [*range(20), *range(20 + n_lost, 60 + n_lost)]
    counts, gaps, n_bad, _ = decoded(b"".join(map(packet, kept)))
    assert (gaps, n_bad, len(counts)) == ([(20, n_lost)], 0, 60 + n_lost)
    assert counts[kept].tolist() == [list(codes(k)) for k in kept]
    assert not counts[20 : 20 + n_lost].any()


def test_a_loss_of_a_whole_turn_of_the_clock_is_invisible():
    """512 s: what the time cannot tell, the decoder does not invent."""
    n_lost = 2**24 // TICKS
    counts, gaps, *_ = decoded(b"".join(map(packet, [*range(5), *range(5 + n_lost, 10 + n_lost)])))
    assert (len(counts), gaps) == (10, [])


@pytest.mark.parametrize("place", range(PACKET_BYTES))
def test_a_corrupt_byte_anywhere_costs_its_packet(place):
    """It is a gap of one and a bad packet; its neighbours are untouched."""
    packets = [packet(k) for k in range(60)]
    spoilt = bytearray(packets[30])
    spoilt[place] ^= 0x40
    packets[30] = bytes(spoilt)
    counts, gaps, n_bad, _ = decoded(b"".join(packets))
    assert (gaps, n_bad, len(counts)) == ([(30, 1)], 1, 60)


def test_lost_bytes_cost_the_packet_they_belong_to():
    """A byte that went missing puts the stream out of step, not out of order."""
    packets = [packet(k) for k in range(60)]
    packets[30] = packets[30][2:]
    counts, gaps, n_bad, _ = decoded(b"".join(packets))
    assert (gaps, n_bad, len(counts)) == ([(30, 1)], 1, 60)


def test_a_packet_that_came_twice_is_taken_once():
    """It is told, and is neither a sample nor a bad packet."""
    packets = [packet(k) for k in range(60)]
    packets[30] *= 2
    counts, gaps, n_bad, n_repeated = decoded(b"".join(packets))
    assert (len(counts), gaps, n_bad, n_repeated) == (60, [], 0, 1)


@pytest.mark.parametrize("message", [b"\xff", b"\x8a\x71\x12", b"\xff\x8a\x71\x00"])
def test_a_message_between_packets_is_no_bad_packet(message):
    """An acknowledgement at the start, and what the device tells of its state by itself."""
    data = checked(message) + packet(0) + checked(message) + packet(1) + packet(2)
    counts, gaps, n_bad, _ = decoded(data)
    assert (len(counts), gaps, n_bad) == (3, [], 0)


@settings(max_examples=20)
@given(st.binary(max_size=20_000))
def test_no_bytes_make_it_fail(data):
    """Whatever comes is samples, gaps or bad packets."""
    counts, gaps, *_ = decoded(data, [len(data) // 3])
    assert all(0 <= start < start + n <= len(counts) for start, n in gaps)


def test_a_million_random_bytes_neither_crash_nor_hang():
    """In process, in seconds of CPU; nothing of it, or next to nothing, is believed."""
    data = np.random.default_rng(8).integers(0, 256, 1_000_000, np.uint8).tobytes()
    decoder, began_s, n_blocks = PacketDecoder(TICKS), time.process_time(), 0
    for at in range(0, len(data), 4096):
        n_blocks += len(decoder.feed(data[at : at + 4096]).counts) > 0
    assert time.process_time() - began_s < 20
    assert n_blocks <= 2
    assert decoder.n_bad_frames > 0.99 * len(data) / PACKET_BYTES
