"""The rules of a SCPI dialogue, on a scripted link."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.errors import InstrumentError
from emgsim.instruments.scpi import MAX_ERRORS, block_header, block_length, scpi_number

NO_ERROR = (":SYST:ERR?", '+0,"No error"')


def test_a_setting_and_its_query_travel_together_and_return_the_read_back(scripted):
    """A value within 1e-4 is accepted, and what the instrument made of it is returned."""
    link = scripted([(":VOLT 2;:VOLT?", "+2.0001E+00")])
    assert link.put("VOLT", 2.0) == 2.0001


def test_a_setting_that_reads_back_differently_names_both_values_and_the_queue(scripted):
    """The message holds what was set, what came back, and why the instrument says so."""
    link = scripted([
        (":VOLT 2;:VOLT?", "4.0"),
        (":SYST:ERR?", '-221,"Settings conflict"'),
        NO_ERROR,
    ])  # fmt: skip
    with pytest.raises(InstrumentError, match=r"VOLT was set to 2, reads back 4 .*-221") as e:
        link.put("VOLT", 2.0)
    assert e.value.where == "scripted"


def test_a_floor_accepts_what_is_zero_for_all_purposes(scripted):
    """A zero offset may read back as a microvolt when the floor says so."""
    link = scripted([(":OFFS 0;:OFFS?", "1E-6")])
    assert link.put("OFFS", 0.0, floor=1e-4) == 1e-6


def test_infinity_is_a_word_on_the_way_out_and_9_9e37_on_the_way_back(scripted):
    """An infinite load is sent as INF and recognised when read back."""
    link = scripted([(":LOAD INF;:LOAD?", "9.9E+37")])
    assert link.put("LOAD", math.inf) == math.inf


@pytest.mark.parametrize(
    ("word", "answer"), [("ON", "1"), ("OFF", "0"), ("TRIG", "TRIG"), ("emg", '"EMG"')]
)
def test_words_are_verified_in_the_forms_that_instruments_answer(scripted, word, answer):
    """Switches answer digits, enums their short form, names in quotes and capitals."""
    scripted([(f":X {word};:X?", answer)]).choose("X", word)


@pytest.mark.parametrize(("word", "answer"), [("ON", "0"), ("TRIG", "GAT"), ("emg", '"EMG2"')])
def test_a_word_that_reads_back_differently_is_refused(scripted, word, answer):
    """A switch that did not move, or a similar name, is an error."""
    link = scripted([(f":X {word};:X?", answer), NO_ERROR])
    with pytest.raises(InstrumentError, match=f"X was set to {word}, reads back"):
        link.choose("X", word)


def test_all_errors_of_the_queue_are_in_one_message(scripted):
    """Nothing of the queue is lost: each message is in the error."""
    link = scripted([
        (":SYST:ERR?", '-222,"Data out of range"'),
        (":SYST:ERR?", '-113,"Undefined header"'),
        NO_ERROR,
    ])  # fmt: skip
    with pytest.raises(InstrumentError, match=r"2 error\(s\) after a test: -222.*; -113"):
        link.check_errors("a test")


def test_a_queue_that_never_ends_is_read_a_bounded_number_of_times(scripted):
    """An instrument whose error query makes an error does not hang the dialogue."""
    link = scripted([(":SYST:ERR?", '-350,"Queue overflow"')] * MAX_ERRORS)
    assert len(link.errors()) == MAX_ERRORS


def test_an_error_answer_that_is_none_is_refused(scripted):
    """A stale or foreign answer to SYST:ERR? is not taken for 'no error'."""
    link = scripted([(":SYST:ERR?", "EMG")])
    with pytest.raises(InstrumentError, match="begin with a number"):
        link.errors()


def test_a_number_that_is_none_is_refused(scripted):
    """An answer that is no number is shown, with its query."""
    link = scripted([(":VOLT?", "two")])
    with pytest.raises(InstrumentError, match=r":VOLT\? must be a number, got 'two'"):
        link.ask_number(":VOLT?")


def test_finish_waits_and_then_reads_the_queue(scripted):
    """After *OPC? the error queue is read."""
    scripted([("*OPC?", "+1"), NO_ERROR]).finish("a test")


def test_finish_refuses_an_answer_that_is_not_one(scripted):
    """A stale answer to *OPC? is no completion."""
    with pytest.raises(InstrumentError, match=r"\*OPC\?"):
        scripted([("*OPC?", "0")]).finish("a test")


@pytest.mark.parametrize("value", [1e-9, 23437.5, 1 / 3, -5.0, 250e6])
def test_numbers_survive_their_text(value):
    """A number that is sent loses less than the instrument could show."""
    assert float(scpi_number(value)) == pytest.approx(value, rel=1e-11)


@given(st.integers(0, 10**9 - 1), st.binary(max_size=5))
def test_the_header_of_a_block_tells_its_length(n_bytes, data):
    """What is written can be read, whatever follows."""
    assert block_length(block_header(n_bytes).encode() + data, "DATA?", "scripted") == n_bytes


@given(st.binary(max_size=12) | st.binary(max_size=12).map(lambda rest: b"#" + rest))
def test_an_answer_that_is_no_block_is_refused_and_shown(answer):
    """Any bytes are a length or an error that names the query and the address."""
    is_block = re.match(rb"#([1-9])(\d*)", answer)
    if is_block and len(is_block[2]) >= int(is_block[1]):
        assert block_length(answer, "DATA?", "scripted") >= 0
        return
    with pytest.raises(InstrumentError, match=r"the answer to DATA\? must be a block") as told:
        block_length(answer, "DATA?", "scripted")
    assert told.value.where == "scripted"


def test_an_error_queue_that_is_full_is_told(scripted):
    """More happened than the queue shows: the message says so."""
    link = scripted([
        (":SYST:ERR?", '-222,"Data out of range"'),
        (":SYST:ERR?", '-350,"Queue overflow"'),
        NO_ERROR,
    ])  # fmt: skip
    with pytest.raises(InstrumentError, match=r"2 error\(s\) or more: .*overflowed.* after a test"):
        link.check_errors("a test")


def test_a_block_that_ends_inside_a_word_is_refused(scripted):
    """Sixteen-bit words come in pairs of bytes."""
    link = scripted([("DATA?", b"abc")])
    with pytest.raises(InstrumentError, match="whole 16-bit words, got 3 bytes"):
        link.ask_block("DATA?")
