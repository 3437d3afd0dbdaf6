"""The frame decoder against a slow, obvious one, on streams that are cut, spoilt and dropped."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from emgsim.instruments.frames import FrameDecoder, FrameFormat, crc16_ccitt, sum8

MANY = settings(deadline=None, max_examples=150)

NA1 = FrameFormat(
    sync="A55A", counter_bits=16, channels=1, samples_per_frame=16, sample_format="int24",
    checksum="crc16-ccitt",
)  # fmt: skip
SMALL = FrameFormat(
    sync="A0", counter_bits=8, channels=2, samples_per_frame=2, sample_format="int16",
    byte_order="little", checksum="sum8", footer="C0",
)  # fmt: skip
BARE = FrameFormat(
    sync="A55A", counter_bits=32, counter_byte_order="little", channels=3, samples_per_frame=1,
    sample_format="int32",
)  # fmt: skip
FORMATS = (NA1, SMALL, BARE)
WIDTH = {"int16": 2, "int24": 3, "int32": 4}


def slow_crc(data):
    """Compute CRC-16/CCITT-FALSE bit by bit, as its definition reads."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def slow_check(frame, body):
    """Compute the checksum bytes that follow counter and payload."""
    if frame.checksum == "crc16-ccitt":
        return slow_crc(body).to_bytes(2, frame.checksum_byte_order)
    return bytes([sum(body) % 256]) if frame.checksum == "sum8" else b""


def encoded(frame, counter, samples):
    """Encode one frame of (samples_per_frame, channels) integers."""
    body = (counter % 2**frame.counter_bits).to_bytes(
        frame.counter_bits // 8, frame.counter_byte_order
    )
    for value in np.asarray(samples).ravel():
        body += int(value).to_bytes(WIDTH[frame.sample_format], frame.byte_order, signed=True)
    footer = bytes.fromhex(frame.footer)
    return bytes.fromhex(frame.sync) + body + slow_check(frame, body) + footer


def slow_decode(frame, stream):
    """Decode by the rule: (samples, gaps, bad frames); walks one byte at a time."""
    sync, footer = bytes.fromhex(frame.sync), bytes.fromhex(frame.footer)
    n_counter, width = frame.counter_bits // 8, WIDTH[frame.sample_format]
    n_values = frame.samples_per_frame * frame.channels
    length = len(encoded(frame, 0, [0] * n_values))
    n_body = n_counter + n_values * width
    samples, gaps, n_bad, in_step, last, position = [], [], 0, False, None, 0
    while True:
        sure = in_step or frame.checksum == "crc16-ccitt"
        if position + length + (0 if sure else len(sync)) > len(stream):
            return samples, gaps, n_bad
        piece = stream[position : position + length]
        body = piece[len(sync) : len(sync) + n_body]
        is_frame = piece == sync + body + slow_check(frame, body) + footer and (
            sure or stream[position + length :].startswith(sync)
        )
        if not is_frame:
            n_bad += piece.startswith(sync)
            in_step = False
            position += 1
            continue
        in_step = True
        position += length
        counter = int.from_bytes(body[:n_counter], frame.counter_byte_order)
        lost = 0 if last is None else (counter - last - 1) % 2**frame.counter_bits
        if lost >= min(2 ** (frame.counter_bits - 1), 65536):
            lost = 0
        if lost:
            gaps.append((len(samples) // frame.channels, lost * frame.samples_per_frame))
            samples += [0] * (lost * n_values)
        last = counter
        for i in range(n_values):
            raw = body[n_counter + i * width : n_counter + (i + 1) * width]
            samples.append(int.from_bytes(raw, frame.byte_order, signed=True))


def fast_decode(frame, pieces):
    """Decode pieces with the decoder under test: (samples, gaps, bad frames)."""
    decoder = FrameDecoder(frame)
    samples, gaps = [], []
    for piece in pieces:
        block = decoder.feed(piece)
        assert block.first_sample == sum(len(part) for part in samples)
        assert block.counts.dtype == np.int32
        samples.append(block.counts)
        gaps += block.gaps
    flat = np.concatenate(samples).ravel().tolist() if samples else []
    return flat, gaps, decoder.n_bad_frames


def values(frame, rng, n_frames):
    """Draw random codes of full range, (n_frames, samples_per_frame, channels)."""
    limit = 2 ** (8 * WIDTH[frame.sample_format] - 1)
    return rng.integers(-limit, limit, (n_frames, frame.samples_per_frame, frame.channels))


@st.composite
def streams(draw):
    """Draw a stream with garbage before, between and behind, dropped and spoilt frames."""
    frame = draw(st.sampled_from(FORMATS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = draw(st.sampled_from([0, 5, 2**frame.counter_bits - 3]))
    garbage = st.one_of(
        st.just(b""), st.binary(max_size=12), st.just(bytes.fromhex(frame.sync)),
        st.just(encoded(frame, 9, values(frame, rng, 1)[0])[:-3]),
    )  # fmt: skip
    stream = b""
    counter = first
    for codes in values(frame, rng, draw(st.integers(0, 40))):
        fate = draw(st.sampled_from(["keep"] * 8 + ["drop", "spoil", "garbage", "jump"]))
        piece = encoded(frame, counter, codes)
        if fate == "spoil":
            at = draw(st.integers(0, len(piece) - 1))
            piece = piece[:at] + bytes([piece[at] ^ draw(st.integers(1, 255))]) + piece[at + 1 :]
        stream += {"drop": b"", "garbage": draw(garbage) + piece}.get(fate, piece)
        counter += draw(st.integers(1, 200)) if fate == "jump" else 1
    return frame, stream + draw(garbage)


@st.composite
def cut(draw, stream):
    """Draw the same bytes in pieces."""
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


@MANY
@given(streams(), st.data())
def test_any_split_of_any_stream_decodes_as_the_slow_rule_says(made, data):
    """Samples, gaps and bad frames are those of the byte-by-byte decoder, however cut."""
    frame, stream = made
    expected = slow_decode(frame, stream)
    assert expected == fast_decode(frame, data.draw(cut(stream)))
    assert expected == fast_decode(frame, [stream])


@MANY
@given(st.sampled_from(FORMATS), st.lists(st.binary(max_size=200), max_size=5))
def test_arbitrary_bytes_never_raise(frame, pieces):
    """Garbage is no exception, and decodes as the slow rule says."""
    assert slow_decode(frame, b"".join(pieces)) == fast_decode(frame, pieces)


@pytest.mark.parametrize("frame", FORMATS, ids=lambda frame: frame.sample_format)
def test_clean_frames_come_back_exactly(frame):
    """Every code of a long clean stream is the one that was encoded."""
    codes = values(frame, np.random.default_rng(1), 300)
    stream = b"".join(encoded(frame, i, c) for i, c in enumerate(codes)) + bytes.fromhex(frame.sync)
    samples, gaps, n_bad = fast_decode(
        frame, [stream[i : i + 777] for i in range(0, len(stream), 777)]
    )
    assert samples == codes.ravel().tolist()
    assert (gaps, n_bad) == ([], 0)


def test_extreme_codes_keep_their_sign():
    """The ends of the 24-bit range are decoded exactly."""
    codes = np.zeros((16, 1), int)
    codes[:4, 0] = (-(2**23), 2**23 - 1, -1, 1)
    block = FrameDecoder(NA1).feed(encoded(NA1, 0, codes))
    np.testing.assert_array_equal(block.counts, codes)


def test_dropped_frames_are_located_and_filled_with_zeros():
    """Three frames lost after the second make one gap at sample 32 of 48 samples."""
    codes = np.ones((16, 1), int)
    stream = b"".join(encoded(NA1, counter, codes) for counter in (7, 8, 12, 13))
    block = FrameDecoder(NA1).feed(stream)
    assert block.gaps == ((32, 48),)
    assert block.counts[:, 0].tolist() == [1] * 32 + [0] * 48 + [1] * 32


def test_a_frame_with_a_bad_checksum_is_counted_and_becomes_a_gap():
    """A flipped payload bit costs its frame and nothing else."""
    pieces = [bytearray(encoded(NA1, i, np.full((16, 1), i))) for i in range(3)]
    pieces[1][20] ^= 1
    block = FrameDecoder(NA1).feed(b"".join(pieces))
    assert block.n_bad_frames == 1
    assert block.gaps == ((16, 16),)


def test_a_sync_that_is_cut_in_two_is_found():
    """The first byte of a sync at the end of garbage is kept for its second."""
    stream = bytes(100) + encoded(NA1, 3, np.ones((16, 1), int))
    decoder = FrameDecoder(NA1)
    assert len(decoder.feed(stream[:101]).counts) == 0
    assert len(decoder.feed(stream[101:]).counts) == 16


def test_the_counter_wraps_without_a_gap():
    """After 65 535 comes 0, and a loss across the wrap is still located."""
    codes = np.ones((16, 1), int)
    decoder = FrameDecoder(NA1)
    block = decoder.feed(b"".join(encoded(NA1, c, codes) for c in (65534, 65535, 0, 2)))
    assert block.gaps == ((48, 16),)
    assert decoder.restarts == []


def test_a_counter_that_jumps_back_is_a_restart_and_no_gap():
    """A reset device is reported instead of a gap of 65 thousand frames."""
    codes = np.ones((16, 1), int)
    decoder = FrameDecoder(NA1)
    block = decoder.feed(b"".join(encoded(NA1, c, codes) for c in (500, 501, 0, 1)))
    assert decoder.restarts == [(501, 0)]
    assert (block.gaps, len(block.counts)) == ((), 64)


def test_a_corrupt_32_bit_counter_cannot_fill_the_memory():
    """A jump of four thousand million frames is a restart, not zeros."""
    codes = np.ones((1, 3), int)
    decoder = FrameDecoder(BARE)
    block = decoder.feed(b"".join(encoded(BARE, c, codes) for c in (0, 1, 2**31 - 5)))
    assert decoder.restarts == [(1, 2**31 - 5)]
    assert len(block.counts) == 3


def test_checksums_are_those_of_the_catalogue():
    """CRC-16/CCITT-FALSE of "123456789" is 0x29B1; a sum is modulo 256."""
    assert crc16_ccitt(b"123456789") == 0x29B1
    assert sum8(b"123456789") == sum(b"123456789") % 256


@MANY
@given(st.binary(max_size=60))
def test_the_fast_crc_equals_the_definition(data):
    """The library's CRC gives what the polynomial division gives."""
    assert crc16_ccitt(data) == slow_crc(data)


def test_decoding_keeps_ahead_of_the_wire():
    """Ten seconds of NA-1 in pieces of a pty's size cost far less than ten seconds."""
    frame = encoded(NA1, 0, np.zeros((16, 1), int))
    stream = b"".join(encoded(NA1, i, np.zeros((16, 1), int)) for i in range(3000)) * 10
    assert len(frame) == NA1.frame_bytes == 54
    decoder, began_s = FrameDecoder(NA1), time.process_time()
    for i in range(0, len(stream), 4095):
        decoder.feed(stream[i : i + 4095])
    assert time.process_time() - began_s < 2.0


@pytest.mark.parametrize(
    ("field", "value"), [("sync", "A5Z"), ("sync", ""), ("counter_bits", 12), ("channels", 0)]
)
def test_a_wrong_format_is_refused(field, value):
    """Mistakes in a frame description are found when it is read."""
    with pytest.raises(ValidationError, match=field):
        FrameFormat.model_validate(NA1.model_dump() | {field: value})


def test_an_unknown_key_is_refused():
    """A misspelt key is a mistake, never ignored."""
    with pytest.raises(ValidationError, match="footr"):
        FrameFormat.model_validate(NA1.model_dump() | {"footr": "C0"})
