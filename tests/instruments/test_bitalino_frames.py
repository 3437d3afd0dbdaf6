"""The frames of a BITalino: found without a sync, lost ones located, nonsense survived."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.instruments.bitalino_frames import FrameDecoder, frame_bytes


def crc(nibbles):
    """Divide by x^4 + x + 1, bit by bit."""
    value = 0
    for nibble in [*nibbles, 0]:
        for bit in range(3, -1, -1):
            value = (value << 1 | nibble >> bit & 1) & 0x1F
            if value & 0x10:
                value ^= 0x13
    return value


def frame(counter, codes):
    """Write one frame as text of bits from its last byte to its first, codes 0 to 1023."""
    bits = f"{counter % 16:04b}0000" + "1100" + "".join(f"{code:010b}" for code in codes[:4])
    bits += "".join(f"{code >> 4:06b}" for code in codes[4:])
    bits += "0" * (-len(bits) % 8)
    content = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)][::-1]
    nibbles = [half for byte in content for half in (byte >> 4, byte & 15)][:-1]
    content[-1] |= crc(nibbles)
    return bytes(content)


def stream(counters, n_channels=1):
    """Write frames whose codes tell their number."""
    return [frame(k, [(37 * k + 5 * c) % 1024 for c in range(n_channels)]) for k in counters]


def code_of(k, channel=0):
    """Return the count of a frame of `stream`."""
    return (37 * k + 5 * channel) % 1024 - 512


def decoded(data, n_channels=1, cuts=()):
    """Feed bytes in pieces and return counts, gaps and the number of bad frames."""
    decoder = FrameDecoder(n_channels)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    blocks = [decoder.feed(data[a:b]) for a, b in pairwise(places)]
    assert [b.first_sample for b in blocks] == [
        sum(len(b.counts) for b in blocks[:i]) for i in range(len(blocks))
    ]
    counts = np.concatenate([block.counts for block in blocks])
    return counts, [gap for block in blocks for gap in block.gaps], decoder.n_bad_frames


@pytest.mark.parametrize(("n_channels", "length"), [(1, 3), (2, 4), (3, 6), (4, 7), (5, 8), (6, 8)])
def test_every_code_of_every_number_of_ports_arrives(n_channels, length):
    """The fifth and the sixth port keep their upper 6 bits."""
    frames = stream(range(100), n_channels)
    assert len(frames[0]) == length == frame_bytes(n_channels)
    counts, gaps, n_bad = decoded(b"".join(frames), n_channels)
    wanted = np.array([[code_of(k, c) for c in range(n_channels)] for k in range(100)])
    wanted[:, 4:] &= ~15
    np.testing.assert_array_equal(counts, wanted)
    assert (gaps, n_bad) == ([], 0)


@given(st.lists(st.sampled_from(["good", "good", "good", "lost", "corrupt", "noise"]), max_size=60),
       st.integers(1, 6), st.lists(st.integers(0, 500), max_size=8))  # fmt: skip
def test_any_split_gives_the_same_samples(kinds, n_channels, cuts):
    """The pieces in which bytes come decide nothing."""
    data = b""
    for kind, sent in zip(kinds, stream(range(len(kinds)), n_channels), strict=True):
        changed = bytes([*sent[:-2], sent[-2] ^ 4, sent[-1]])
        data += {"good": sent, "lost": b"", "corrupt": changed, "noise": b"\x5a"}[kind]
    whole = decoded(data, n_channels)
    split = decoded(data, n_channels, cuts)
    bytewise = decoded(data, n_channels, range(len(data)))
    for counts, gaps, n_bad in (split, bytewise):
        np.testing.assert_array_equal(counts, whole[0])
        assert sum(n for _, n in gaps) == sum(n for _, n in whole[1])
        assert n_bad == whole[2]


@settings(max_examples=20)
@given(st.binary(max_size=20_000), st.integers(1, 6))
def test_no_bytes_make_it_fail(data, n_channels):
    """Whatever comes is samples, gaps or bad frames."""
    counts, gaps, _ = decoded(data, n_channels, [len(data) // 3])
    assert counts.shape[1] == n_channels
    assert all(0 <= start < start + n <= len(counts) for start, n in gaps)


def test_a_million_random_bytes_neither_crash_nor_hang():
    """In process, in seconds of CPU; almost nothing of it is believed."""
    data = np.random.default_rng(8).integers(0, 256, 1_000_000, np.uint8).tobytes()
    decoder, began_s, n_samples, n_gaps = FrameDecoder(1), time.process_time(), 0, 0
    for at in range(0, len(data), 4096):
        block = decoder.feed(data[at : at + 4096])
        n_samples += len(block.counts)
        n_gaps += sum(n for _, n in block.gaps)
    assert time.process_time() - began_s < 20
    assert decoder.n_bad_frames > 0.99 * len(data) / 3
    assert n_samples - n_gaps < 1000


@pytest.mark.parametrize("n_lost", range(1, 16))
def test_a_loss_up_to_15_frames_is_located(n_lost):
    """The counter tells how many frames went and where; zeros stand for them."""
    kept = [*range(20), *range(20 + n_lost, 60)]
    counts, gaps, n_bad = decoded(b"".join(stream(kept)))
    assert (gaps, n_bad) == ([(20, n_lost)], 0)
    assert not counts[20 : 20 + n_lost].any()
    assert counts[kept, 0].tolist() == [code_of(k) for k in kept]


def test_a_loss_of_a_whole_turn_of_the_counter_is_invisible():
    """What the device's protocol cannot tell, the decoder does not invent."""
    counts, gaps, n_bad = decoded(b"".join(stream([*range(20), *range(36, 60)])))
    assert (len(counts), gaps, n_bad) == (44, [], 0)


def test_frames_that_came_spoilt_are_counted_beyond_a_turn_of_the_counter():
    """50 corrupt frames in a row are 50 lost samples: their bytes say so."""
    frames = stream(range(120))
    frames[30:80] = [bytes([f[0], f[1], f[2] ^ 1]) for f in frames[30:80]]
    counts, gaps, n_bad = decoded(b"".join(frames))
    assert (len(counts), gaps, n_bad) == (120, [(30, 50)], 50)


@pytest.mark.parametrize("every", [3, 5, 16, 17])
def test_corrupt_frames_are_gaps_of_one(every):
    """The frames between them are all there, however few they are."""
    frames = stream(range(200))
    bad = [k for k in range(8, 190) if k % every == 0]
    for k in bad:
        frames[k] = bytes([frames[k][0] ^ 0x10, *frames[k][1:]])
    counts, gaps, n_bad = decoded(b"".join(frames))
    assert gaps == [(k, 1) for k in bad]
    assert (len(counts), n_bad) == (200, len(bad))


@pytest.mark.parametrize("every", [2, 3, 10])
def test_frames_left_out_by_rule_are_gaps_of_one(every):
    """Even when every second frame is missing, and the counter never steps by one."""
    kept = [k for k in range(200) if k % every != 1] + [200, 201]
    counts, gaps, n_bad = decoded(b"".join(stream(kept)))
    assert gaps == [(k, 1) for k in range(1, 200, every)]
    assert (len(counts), n_bad) == (202, 0)


def test_lost_bytes_cost_the_frame_they_belong_to():
    """A byte that went missing puts the stream out of step, not out of order."""
    frames = stream(range(100))
    frames[40] = frames[40][1:]
    counts, gaps, n_bad = decoded(b"".join(frames))
    assert (len(counts), gaps, n_bad) == (100, [(40, 1)], 1)
    assert counts[41:, 0].tolist() == [code_of(k) for k in range(41, 100)]


def test_a_frame_that_came_twice_is_no_loss():
    """The second one is told, and no sample."""
    frames = stream(range(100))
    frames[40] *= 2
    block = FrameDecoder(1).feed(b"".join(frames))
    assert (len(block.counts), block.gaps) == (100, ())
    assert (block.n_bad_frames, block.n_repeated_frames) == (0, 1)


def test_a_corrupt_frame_with_a_right_crc_by_chance_moves_nothing():
    """A counter that jumps and comes back is not believed."""
    frames = stream(range(100))
    frames[40] = frame(47, [300])
    counts, gaps, n_bad = decoded(b"".join(frames))
    assert (len(counts), gaps, n_bad) == (100, [(40, 1)], 1)


def test_the_first_frame_need_not_have_the_number_0():
    """Sample 0 is the first one decoded, after whatever was on its way before."""
    counts, gaps, n_bad = decoded(b"\x12" + b"".join(stream(range(7, 40))))
    assert (counts[0, 0], len(counts), gaps, n_bad) == (code_of(7), 33, [], 1)
