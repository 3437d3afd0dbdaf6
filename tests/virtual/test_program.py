"""Cutting bytes into program messages and units."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from emgsim.virtual.program import MessageSplitter, Unit, parse

SCPI_BYTES = st.lists(
    st.sampled_from([b"FREQ", b" ", b"\n", b'"', b"'", b"#", b"#12", b"#3", b"0", b"7", b";", b":"])
    | st.binary(max_size=3)
).map(b"".join)


@given(SCPI_BYTES, st.lists(st.integers(0, 100)))
def test_any_cut_of_a_stream_gives_the_same_messages(stream: bytes, cuts: list[int]) -> None:
    """Where the transport cuts the bytes changes neither the messages nor the rest."""
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    splitter = MessageSplitter()
    found = [
        message
        for start, end in itertools.pairwise(places)
        for message in splitter.feed(stream[start:end])
    ]
    whole = MessageSplitter()
    assert [*whole.feed(stream), whole.end()] == [*found, splitter.end()]


@given(st.binary(max_size=300), st.lists(st.integers(0, 400)))
def test_a_block_may_hold_any_bytes_and_be_cut_anywhere(block: bytes, cuts: list[int]) -> None:
    """Newlines, quotes and hashes inside a block are data."""
    message = b"DATA x, #3%03d" % len(block) + block
    stream = message + b"\n*IDN?\n"
    splitter, found = MessageSplitter(), []
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    for start, end in itertools.pairwise(places):
        found += splitter.feed(stream[start:end])
    assert [message, b"*IDN?"] == found
    assert [Unit("DATA", (b"x", message[8:]))] == parse(message)


def test_a_splitter_starts_afresh_after_the_end() -> None:
    """An unfinished block or quotation does not swallow the next message."""
    splitter = MessageSplitter()
    assert splitter.feed(b'DATA "x, #210abc\n')[1:] == []
    splitter.feed(b"DATA #210abc\n")
    assert splitter.end() == b"DATA #210abc\n"
    assert splitter.feed(b"*IDN?\n") == [b"*IDN?"]


def test_a_block_longer_than_any_message_is_no_block() -> None:
    """A length of a gigabyte does not make the splitter wait for a gigabyte."""
    assert MessageSplitter().feed(b"DATA #9999999999x\n") == [b"DATA #9999999999x"]


def test_separators_inside_literals_are_data() -> None:
    """Semicolons and commas in quotes, blocks and parentheses separate nothing."""
    message = b"A:B \"x;,'\", (@1,2;3),'q,' ; *TRG;;C? #13;,\n , 4"
    assert [
        Unit("A:B", (b'"x;,\'"', b"(@1,2;3)", b"'q,'")),
        Unit("*TRG", ()),
        Unit("C?", (b"#13;,\n", b"4")),
    ] == parse(message)


@given(st.binary())
def test_parsing_takes_any_bytes(message: bytes) -> None:
    """No sequence of bytes makes the parser raise."""
    assert all(isinstance(unit.header, str) for unit in parse(message))
