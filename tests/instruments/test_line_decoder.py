"""Lines of text as samples: separators, decimal points, headers, counters, and what is no line."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from emgsim.instruments.base import DeviceEvent
from emgsim.instruments.frame_format import DeviceCommands, LineField, LineFormat
from emgsim.instruments.line_decoder import LineDecoder

STARTED = DeviceCommands(start="go")  # so that the first line is whole
PLAIN = LineFormat(
    columns=("n", "a", "b", "spike", "line"), channels=("a", "b"), counter="n", counter_modulus=100,
    longest_line_bytes=60, commands=STARTED,
    fields=(LineField(name="spike", meaning="event"), LineField(name="line", meaning="ttl")),
)  # fmt: skip
GERMAN = LineFormat(
    columns=("emg",), channels=("emg",), separator=";", decimal_point=",", commands=STARTED
)
BLANKS = LineFormat(
    columns=("a", "b"), channels=("b",), separator=" ", comment="%", commands=STARTED
)
UNSTARTED = LineFormat(columns=("n", "a"), channels=("a",), counter="n", longest_line_bytes=60)


def decoded(lines, pieces):
    """Decode pieces: (rows with None for lost ones, bad, repeated, events)."""
    decoder, rows, lost, events = LineDecoder(lines), [], set(), []
    for piece in pieces:
        block = decoder.feed(piece)
        assert block.first_sample == len(rows)
        rows += block.counts.tolist()
        lost |= {k for start, n in block.gaps for k in range(start, start + n)}
        events += block.events
    rows = [None if k in lost else row for k, row in enumerate(rows)]
    return rows, decoder.n_bad_frames, decoder.n_repeated_frames, events, decoder.restarts


def test_lines_with_a_header_and_comments_are_samples():
    """Comment, header and empty lines are none; CR LF and LF end a line."""
    stream = b"# logger\r\nn,a,b,spike,line\r\n\r\n7,1.5,-2e3,0,0\n8, 2 ,.5,3,1\r\n9,0,0,0,1\r\n"
    rows, n_bad, _, events, _ = decoded(PLAIN, [stream])
    assert rows == [[1.5, -2000.0], [2.0, 0.5], [0.0, 0.0]]
    assert n_bad == 0
    assert events == [DeviceEvent("spike", 1, 3), DeviceEvent("line", 1, 1)]


def test_a_decimal_comma_is_read_where_it_is_declared():
    """1,25 is a number there, and 1.25 is none."""
    assert decoded(GERMAN, [b"1,25\n-3\n1.25\n"])[:2] == ([[1.25], [-3.0]], 1)


def test_any_number_of_blanks_separates_columns():
    """Tabs and blanks, also at the beginning."""
    assert decoded(BLANKS, [b"% no line\n 1  2\n3\t\t4 \n"])[:2] == ([[2.0], [4.0]], 0)


@pytest.mark.parametrize(
    "line", ["5,1,2,0", "5,1,2,0,0,0", "5,x,2,0,0", "5,nan,2,0,0", "5,inf,2,0,0", "5,1_0,2,0,0",
             "5.5,1,2,0,0", "5,,2,0,0", "5,1,2,0,0" + 60 * " "]
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_counted_and_becomes_a_gap(line):
    """The counter tells that one is missing between its neighbours."""
    stream = f"4,1,1,0,0\n{line}\n6,1,1,0,0\n".encode()
    rows, n_bad, _, _, _ = decoded(PLAIN, [stream])
    assert (rows, n_bad) == ([[1, 1], None, [1, 1]], 1)


def test_lost_and_repeated_lines_are_told_apart_across_the_wrap():
    """98, 99, 99, 2: one came twice, 0 and 1 are lost."""
    stream = b"".join(b"%d,1,1,0,0\n" % n for n in (98, 99, 99, 2))
    rows, _, n_repeated, _, restarts = decoded(PLAIN, [stream])
    assert rows == [[1, 1], [1, 1], None, None, [1, 1]]
    assert (n_repeated, restarts) == (1, [])


def test_a_counter_that_jumps_back_is_a_restart():
    """From 30 to 0 is no loss of 69 lines."""
    stream = b"29,1,1,0,0\n30,1,1,0,0\n0,1,1,0,0\n"
    rows, _, _, _, restarts = decoded(PLAIN, [stream])
    assert (rows, restarts) == ([[1, 1]] * 3, [(30, 0)])


@pytest.mark.parametrize("cut", [b"5,1.5\n", b"9\n", b"5" * 70 + b"\n", b"\n"])
def test_the_first_line_of_a_stream_that_nothing_starts_is_left_out(cut):
    """Of line 345 only 5,1.5 was left: it looks whole, and would be a jump of the counter."""
    stream = cut + b"346,2\n347,3\n"
    for pieces in ([stream], [stream[k : k + 1] for k in range(len(stream))]):
        rows, n_bad, _, _, restarts = decoded(UNSTARTED, pieces)
        assert (rows, n_bad, restarts) == ([[2.0], [3.0]], 0, [])


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"5,1,2,0,0\n", b"6,1,2,1,1\r\n", b"9,0,0,0,0\n", b"# x\n", b"n,a,b,spike,line\n",
             b"5,1\n", b"\n", b"1" * 70, b"\xff\xfe,\n"]
        ),
        st.binary(max_size=30),
    ),
    max_size=20,
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(LINES, st.lists(st.integers(0, 700), max_size=8))
def test_any_split_of_any_stream_gives_the_same_samples(parts, cuts):
    """However the bytes come, samples, gaps, counts and events are the same."""
    stream = b"".join(parts)
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    pieces = [stream[a:b] for a, b in pairwise(places)]
    by_byte = [stream[k : k + 1] for k in range(len(stream))]
    for lines in (PLAIN, UNSTARTED):
        assert decoded(lines, [stream]) == decoded(lines, pieces) == decoded(lines, by_byte)


def test_a_million_random_bytes_neither_crash_nor_hang():
    """Nothing of them is a sample, and what is kept of them is bounded."""
    noise = np.random.default_rng(5).integers(0, 256, 10**6, np.uint8).tobytes()
    began_s = time.process_time()
    for lines in (PLAIN, GERMAN, BLANKS):
        decoded(lines, [noise[k : k + 4095] for k in range(0, len(noise), 4095)])
        decoded(lines, [noise.replace(b"\n", b" ")])
    assert time.process_time() - began_s < 10.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"channels": ("a", "c")}, "name every channel"),
        ({"columns": ("n", "a", "a", "b", "spike", "line")}, "all be different"),
        ({"separator": "."}, "other than the decimal point"),
        ({"counter": "m"}, "name every channel"),
    ],
)
def test_an_impossible_description_is_refused(changed, message):
    """What contradicts itself is found when the description is read."""
    with pytest.raises(ValidationError, match=message):
        LineFormat.model_validate(PLAIN.model_dump() | changed)
