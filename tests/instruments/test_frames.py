"""The frame decoder against a slow, obvious one, on streams that are cut, spoilt and dropped."""

import math
import struct
import time
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from emgsim.instruments.base import DeviceEvent
from emgsim.instruments.frame_format import FrameField, FrameFormat
from emgsim.instruments.frames import FrameDecoder, crc16_ccitt, sum8

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
CYTON = FrameFormat(
    sync="A0", counter_bits=8, channels=2, samples_per_frame=1, sample_format="int24",
    other_bytes=6, footer=("C0", "C1", "C6"),
)  # fmt: skip
PAIRS = FrameFormat(
    sync="A0", counter_bits=8, channels=4, samples_per_frame=1, sample_format="int24",
    frames_per_sample=2, shares=(1, 0), other_bytes=1, footer="C0",
    fields=(FrameField(name="spike", offset=8, meaning="event"),),
)  # fmt: skip
TELLING = FrameFormat(
    sync="5AA5", counter_bits=8, counter_at=7, counter_modulus=100, samples_at=2, channels=2,
    samples_per_frame=1, sample_format="uint16", zero_code=0x8000, other_bytes=3,
    fields=(
        FrameField(name="spike", offset=6, meaning="event"),
        FrameField(name="line", offset=8, bit=3, meaning="ttl"),
    ),
)  # fmt: skip
UNCOUNTED = FrameFormat(
    sync="A55A", counter_bits=0, channels=1, samples_per_frame=2, sample_format="float32",
    byte_order="little", checksum="sum8",
)  # fmt: skip
FORMATS = (NA1, SMALL, BARE, CYTON, PAIRS, TELLING, UNCOUNTED)
WIDTH = {
    "int16": 2, "int24": 3, "int32": 4, "uint8": 1, "uint16": 2, "uint24": 3, "float32": 4
}  # fmt: skip


def slow_crc(data):
    """Compute CRC-16/CCITT-FALSE bit by bit, as its definition reads."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def slow_check(frame, body):
    """Compute the checksum bytes that follow all else."""
    if frame.checksum == "crc16-ccitt":
        return slow_crc(body).to_bytes(2, frame.checksum_byte_order)
    return bytes([sum(body) % 256]) if frame.checksum == "sum8" else b""


def code_bytes(frame, value):
    """Encode one code, or one number of a device that sends floats."""
    if frame.sample_format == "float32":
        return struct.pack(">f" if frame.byte_order == "big" else "<f", value)
    is_signed = not frame.sample_format.startswith("u")
    value = int(value) + frame.zero_code
    return value.to_bytes(
        WIDTH[frame.sample_format], frame.byte_order, signed=is_signed
    )


def code(frame, raw):
    """Decode one code from its bytes."""
    if frame.sample_format == "float32":
        value = struct.unpack(">f" if frame.byte_order == "big" else "<f", raw)[0]
        return value if math.isfinite(value) else 0.0
    is_signed = not frame.sample_format.startswith("u")
    return int.from_bytes(raw, frame.byte_order, signed=is_signed) - frame.zero_code


def modulus(frame):
    """Return after how many frames the counter is 0 again."""
    return frame.counter_modulus or 2**frame.counter_bits


def encoded(frame, counter, samples, other=b"", footer=None):
    """Encode one frame of (samples_per_frame, channels of a frame) codes."""
    n_counter = frame.counter_bits // 8
    number = (counter % modulus(frame)).to_bytes(n_counter, frame.counter_byte_order)
    codes = b"".join(code_bytes(frame, value) for value in np.asarray(samples).ravel().tolist())
    other = other.ljust(frame.other_bytes, b"\0")
    body = bytearray((number if frame.counter_at is None else b"") + codes + other)
    if frame.counter_at is not None:
        at = frame.counter_at - len(frame.sync) // 2
        body[at : at + n_counter] = number
    end = bytes.fromhex(frame.footer if isinstance(frame.footer, str) else frame.footer[0])
    return bytes.fromhex(frame.sync) + bytes(body) + slow_check(frame, body) + (footer or end)


def slow_frames(frame, stream):
    """Cut the frames out of a stream, one byte at a time: (frames, number of bad ones)."""
    sync = bytes.fromhex(frame.sync)
    footers = (frame.footer,) if isinstance(frame.footer, str) else frame.footer
    n_footer = len(bytes.fromhex(footers[0]))
    length = len(encoded(frame, 0, [0] * n_values(frame)))
    found, n_bad, in_step, position = [], 0, False, 0
    while True:
        sure = in_step or frame.checksum == "crc16-ccitt"
        if position + length + (0 if sure else len(sync)) > len(stream):
            return found, n_bad
        piece = stream[position : position + length]
        n_check = {"none": 0, "crc16-ccitt": 2, "sum8": 1}[frame.checksum]
        body = piece[len(sync) : length - n_footer - n_check]
        in_step = (
            piece.startswith(sync)
            and piece[len(sync) + len(body) : length - n_footer] == slow_check(frame, body)
            and piece[length - n_footer :].hex().upper() in footers
            and (sure or stream[position + length :].startswith(sync))
        )
        if in_step:
            found.append(piece)
        else:
            n_bad += piece.startswith(sync)
        position += length if in_step else 1


def n_values(frame):
    """Return the number of codes in one frame."""
    return frame.samples_per_frame * frame.channels // frame.frames_per_sample


def slow_decode(frame, stream):
    """Decode by the rule: (samples with None for lost ones, bad, repeated frames, events)."""
    pieces, n_bad = slow_frames(frame, stream)
    n_counter, parts = frame.counter_bits // 8, frame.frames_per_sample
    at = len(frame.sync) // 2 if frame.counter_at is None else frame.counter_at
    slots, owners, last, levels, n_repeated = [], [], None, {}, 0
    for piece in pieces:
        counter = 0
        if n_counter:
            number = int.from_bytes(piece[at : at + n_counter], frame.counter_byte_order)
            counter = number % modulus(frame)
            if last is None and counter % parts:
                continue
            if last is not None and piece == last[1]:
                n_repeated += 1
                continue
            lost = 0 if last is None else (counter - last[0] - 1) % modulus(frame)
            if lost >= min(modulus(frame) // 2, 65536):
                lost = (counter - last[0] - 1) % parts
            slots += [None] * lost
        slots.append(piece)
        owners.append((piece, len(slots) - 1))
        last = (counter, piece)
    rows = []
    for k in range(0, len(slots) - parts + 1, parts):
        group = slots[k : k + parts]
        if None in group:
            rows += [None] * frame.samples_per_frame
            continue
        order = [list(frame.shares or range(parts)).index(share) for share in range(parts)]
        shares = [frame_codes(frame, group[i]) for i in order]
        rows += [[*chain(*rows_of)] for rows_of in zip(*shares, strict=True)]
    events = []
    for piece, slot in owners:
        sample = slot // parts * frame.samples_per_frame
        for field in frame.fields:
            value = piece[field.offset]
            value = value if field.bit is None else value >> field.bit & 1
            if value and (field.meaning == "event" or levels.get(field.name, 1) == 0):
                events.append((field.name, sample, value))
            levels[field.name] = value
    return rows, n_bad, n_repeated, sorted(events)


def frame_codes(frame, piece):
    """Return the codes of a frame, one list for each of its samples."""
    start = len(frame.sync) // 2 + (frame.counter_bits // 8 if frame.counter_at is None else 0)
    start = start if frame.samples_at is None else frame.samples_at
    width = WIDTH[frame.sample_format]
    values = [
        code(frame, piece[start + i * width : start + (i + 1) * width])
        for i in range(n_values(frame))
    ]
    each = frame.channels // frame.frames_per_sample
    return [values[i : i + each] for i in range(0, len(values), each)]


def fast_decode(frame, pieces):
    """Decode pieces with the decoder under test, in the same words."""
    decoder = FrameDecoder(frame)
    rows, events, lost = [], [], set()
    for piece in pieces:
        block = decoder.feed(piece)
        assert block.first_sample == len(rows)
        assert block.counts.dtype == (np.float64 if frame is UNCOUNTED else np.int32)
        assert block.counts.shape[1] == frame.channels
        rows += block.counts.tolist()
        lost |= {k for start, n in block.gaps for k in range(start, start + n)}
        events += [(event.name, event.sample, event.value) for event in block.events]
    assert all(not any(rows[k]) for k in lost)
    rows = [None if k in lost else row for k, row in enumerate(rows)]
    return rows, decoder.n_bad_frames, decoder.n_repeated_frames, sorted(events)


def values(frame, rng, n_frames):
    """Draw random codes of full range, (n_frames, samples_per_frame, channels of a frame)."""
    shape = (n_frames, frame.samples_per_frame, frame.channels // frame.frames_per_sample)
    if frame.sample_format == "float32":
        return rng.standard_normal(shape).astype(np.float32)
    limit = 2 ** (8 * WIDTH[frame.sample_format] - 1)
    return rng.integers(-limit, limit, shape)


@st.composite
def streams(draw):
    """Draw a stream with garbage before, between and behind, dropped and spoilt frames."""
    frame = draw(st.sampled_from(FORMATS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = draw(st.sampled_from([0, 5, modulus(frame) - 3]))
    garbage = st.one_of(
        st.just(b""), st.binary(max_size=12), st.just(bytes.fromhex(frame.sync)),
        st.just(encoded(frame, 9, values(frame, rng, 1)[0])[:-3]),
    )  # fmt: skip
    stream = b""
    counter = first
    fates = ["keep"] * 8 + ["drop", "spoil", "garbage", "jump", "again"]
    for codes in values(frame, rng, draw(st.integers(0, 40))):
        fate = draw(st.sampled_from(fates))
        other = bytes(rng.integers(0, 3, frame.other_bytes, np.uint8) * 8)
        piece = encoded(frame, counter, codes, other)
        if fate == "spoil":
            at = draw(st.integers(0, len(piece) - 1))
            piece = piece[:at] + bytes([piece[at] ^ draw(st.integers(1, 255))]) + piece[at + 1 :]
        sent = {"drop": b"", "garbage": draw(garbage) + piece, "again": piece + piece}
        stream += sent.get(fate, piece)
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
    """Samples, gaps, events, bad and repeated frames are those of the slow decoder."""
    frame, stream = made
    expected = slow_decode(frame, stream)
    assert expected == fast_decode(frame, data.draw(cut(stream)))
    assert expected == fast_decode(frame, [stream])


@MANY
@given(st.sampled_from(FORMATS), st.lists(st.binary(max_size=200), max_size=5))
def test_arbitrary_bytes_never_raise(frame, pieces):
    """Garbage is no exception, and decodes as the slow rule says."""
    assert slow_decode(frame, b"".join(pieces)) == fast_decode(frame, pieces)


@pytest.mark.parametrize("frame", FORMATS, ids=lambda frame: frame.sync + frame.sample_format)
def test_clean_frames_come_back_exactly(frame):
    """Every code of a long clean stream is the one that was encoded."""
    codes = values(frame, np.random.default_rng(1), 300)
    stream = b"".join(encoded(frame, i, c) for i, c in enumerate(codes)) + bytes.fromhex(frame.sync)
    rows, n_bad, n_repeated, _ = fast_decode(
        frame, [stream[i : i + 777] for i in range(0, len(stream), 777)]
    )
    sent = codes.reshape(-1, frame.channels)
    if frame is PAIRS:
        sent = sent[:, [2, 3, 0, 1]]
    assert rows == sent.tolist()
    assert (n_bad, n_repeated) == (0, 0)


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


def test_a_repeated_frame_is_told_and_not_taken():
    """The same bytes twice are one frame, also when the second comes in another piece."""
    pieces = [encoded(CYTON, k, [[k, -k]]) for k in range(4)]
    decoder = FrameDecoder(CYTON)
    blocks = [decoder.feed(b"".join([*pieces[:3], pieces[2]])), decoder.feed(pieces[2] + pieces[3])]
    blocks.append(decoder.feed(pieces[3]))
    assert np.concatenate([block.counts for block in blocks])[:, 0].tolist() == [0, 1, 2, 3]
    assert blocks[-1].n_repeated_frames == 3
    assert decoder.restarts == []


def test_a_lost_half_of_a_sample_is_a_gap_of_one_sample():
    """Of two frames that make a sample one is missing: the other is not shown alone."""
    pieces = [encoded(PAIRS, k, [[k, k]]) for k in range(8)]
    block = FrameDecoder(PAIRS).feed(b"".join(pieces[:3] + pieces[4:]))
    assert block.gaps == ((1, 1),)
    assert block.counts.tolist() == [[1, 1, 0, 0], [0] * 4, [5, 5, 4, 4], [7, 7, 6, 6]]


def test_a_stream_that_begins_with_the_second_half_skips_it():
    """Sample 0 is the first whole one: an odd frame before it is no gap."""
    stream = b"".join(encoded(PAIRS, k, [[k, k]]) for k in range(1, 5))
    block = FrameDecoder(PAIRS).feed(stream)
    assert (block.counts.tolist(), block.gaps) == ([[3, 3, 2, 2]], ())


def test_events_stand_at_the_sample_of_their_frame():
    """A unit number is told where it is not 0, a line where it rises; levels are kept."""
    told = [(0, 8), (7, 8), (0, 0), (0, 0), (2, 8), (0, 8)]
    stream = b"".join(
        encoded(TELLING, k, [[0, 0]], bytes([spike, 0, line]))
        for k, (spike, line) in enumerate(told)
    ) + bytes.fromhex(TELLING.sync)
    decoder, events = FrameDecoder(TELLING), []
    for k in range(0, len(stream), 7):
        events += decoder.feed(stream[k : k + 7]).events
    assert events == [
        DeviceEvent("spike", 1, 7), DeviceEvent("spike", 4, 2), DeviceEvent("line", 4, 1)
    ]  # fmt: skip


def test_every_accepted_footer_ends_a_frame_and_no_other():
    """C0, C1 and C6 are taken; C7 is a bad frame and a gap."""
    ends = (b"\xc0", b"\xc1", b"\xc6", b"\xc7", b"\xc0", b"\xc0")
    stream = b"".join(encoded(CYTON, k, [[1, 1]], footer=end) for k, end in enumerate(ends))
    block = FrameDecoder(CYTON).feed(stream)
    assert (block.gaps, block.n_bad_frames) == (((3, 1),), 1)


@pytest.mark.parametrize("frame", FORMATS, ids=lambda frame: frame.sync + frame.sample_format)
def test_a_million_random_bytes_neither_crash_nor_hang(frame):
    """Chance makes some frames; whatever it makes is a block."""
    noise = np.random.default_rng(5).integers(0, 256, 10**6, np.uint8).tobytes()
    decoder, began_s, n_samples = FrameDecoder(frame), time.process_time(), 0
    for k in range(0, len(noise), 4095):
        n_samples += len(decoder.feed(noise[k : k + 4095]).counts)
    assert time.process_time() - began_s < 10.0
    assert decoder.n_bad_frames > 10


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"footer": ("C0", "C1C2")}, "of one length"),
        ({"counter_modulus": 300}, "at most 256"),
        ({"frames_per_sample": 3}, "must divide the channels"),
        ({"frames_per_sample": 2, "shares": (0, 2)}, "each of 0..1 once"),
        ({"zero_code": 5}, "unsigned samples"),
        ({"counter_at": 0}, "behind the sync"),
        ({"counter_at": 40}, "must end before byte"),
        ({"fields": [{"name": "x", "offset": 33, "meaning": "ttl"}]}, "must end before byte"),
    ],
)
def test_an_impossible_frame_is_refused(changed, message):
    """What contradicts itself is found when the description is read."""
    with pytest.raises(ValidationError, match=message):
        FrameFormat.model_validate(CYTON.model_dump() | {"other_bytes": 0} | changed)
