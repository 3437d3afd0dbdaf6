"""The SCPI engine: headers, errors and status."""

import math
from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.virtual.parameters import Choice, Number, ScpiError, Switch, Text, read_block
from emgsim.virtual.program import Unit
from emgsim.virtual.scpi import Command, Engine, setting


class Bench:
    """A device that is busy for a few steps after each trigger."""

    def __init__(self) -> None:
        self.n_triggers = 0
        self.n_steps = 0
        self.frequency_hz = {1: 1000.0, 2: 1000.0}

    def reset(self) -> None:
        """Forget the frequencies."""
        self.frequency_hz = {1: 1000.0, 2: 1000.0}

    def trigger(self) -> None:
        """Be busy for three steps."""
        self.n_triggers += 1
        self.n_steps = 3

    def is_busy(self) -> bool:
        """Tell whether steps are left."""
        return self.n_steps > 0

    def pass_time(self) -> None:
        """Take one step."""
        self.n_steps -= 1

    def settle(self) -> Generator[None, None, None]:
        """Take all steps."""
        while self.is_busy():
            self.pass_time()
            yield


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def engine(bench: Bench) -> Engine:
    frequency = Number(1e-6, 30e6, 1000, "HZ")
    values = bench.frequency_hz
    rows = setting("[SOURce#:]FREQuency[:CW]", frequency, values.__getitem__, values.__setitem__)
    fail = Command("FAIL?", lambda _: (_ for _ in ()).throw(ScpiError(-221)))
    return Engine("MAKER,MODEL,0,1", [*rows, fail], bench)


def errors(engine: Engine) -> list[bytes]:
    """Read the error queue until it is empty."""
    found = []
    while (error := engine.execute(b"SYST:ERR?")) != b'+0,"No error"\n':
        found.append(error.split(b",")[0])
    return found


@pytest.mark.parametrize(
    "header",
    ["FREQ", "freq", "FREQuency", ":SOUR:FREQ", "SOURCE1:FREQ:CW", "sour1:frequency:cw"],
)
def test_short_long_and_optional_headers_are_the_same(engine: Engine, header: str) -> None:
    """Every spelling that the standard allows finds the command."""
    assert (
        engine.execute(f"{header} 2.5e3;:{header.lstrip(':')}?".encode())
        == b"+2.500000000000000E+03\n"
    )


@pytest.mark.parametrize(
    "header", ["FRE", "FREQU", "SOUR1:SOUR1:FREQ", "FREQ2", "", ":", "*FOO", "FREQ??"]
)
def test_other_headers_are_undefined(engine: Engine, header: str) -> None:
    """Abbreviations between the short and the long form do not exist."""
    engine.execute(header.encode() + b" 1")
    assert errors(engine) == [b"-113"]


def test_a_channel_that_does_not_exist_is_reported(engine: Engine) -> None:
    """The number in a header is checked."""
    engine.execute(b"SOUR3:FREQ?;*OPC?")
    assert errors(engine) == [b"-114"]


def test_a_semicolon_keeps_the_path_and_common_commands_do_not_touch_it(engine: Engine) -> None:
    """The next unit starts where the last one's leaf was; a colon goes back to the root."""
    answer = engine.execute(b"SOUR2:FREQ 5;*OPC?;FREQ?;:FREQ?")
    assert answer == b"1;+5.000000000000000E+00;+1.000000000000000E+03\n"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"FREQ", b"-109"),
        (b"FREQ ,", b"-108"),
        (b"FREQ 1,2", b"-108"),
        (b"FREQ x", b"-104"),
        (b"FREQ 1 V", b"-131"),
        (b"FREQ 31 MHZ", b"-222"),
        (b"FREQ INF", b"-104"),
        (b"*ESE 256", b"-222"),
        (b"FREQ? 3", b"-224"),
    ],
)
def test_mistakes_go_to_the_error_queue(engine: Engine, sent: bytes, error: bytes) -> None:
    """Each mistake has its standard number, and changes nothing."""
    assert engine.execute(sent) == b""
    assert [error] == errors(engine)
    assert engine.execute(b"FREQ?") == b"+1.000000000000000E+03\n"


def test_a_command_error_discards_the_rest_of_a_message_and_an_execution_error_does_not(
    engine: Engine,
) -> None:
    """Answers given before a mistake are still sent."""
    assert engine.execute(b"*OPC?;FOO;*OPC?") == b"1\n"
    assert engine.execute(b"*OPC?;FAIL?;*OPC?") == b"1;1\n"


def test_the_error_queue_overflows_at_its_end(engine: Engine) -> None:
    """The twentieth of too many errors is replaced by -350."""
    for _ in range(30):
        engine.execute(b"FOO")
    assert errors(engine) == [b"-113"] * 19 + [b"-350"]


def test_the_event_register_tells_the_class_of_an_error(engine: Engine) -> None:
    """Power on, command error and execution error have their bits, and reading clears them."""
    assert engine.execute(b"*ESR?") == b"+128\n"
    engine.execute(b"FOO")
    engine.execute(b"FREQ 1e9")
    assert engine.execute(b"*ESR?") == b"+48\n"
    assert engine.execute(b"*ESR?") == b"+0\n"


def test_the_status_byte_sums_up_what_is_enabled(engine: Engine) -> None:
    """Errors show in bit 2, enabled events in bit 5, and both in bit 6 when it is asked for."""
    engine.execute(b"*CLS;*ESE 32;*SRE 36")
    assert engine.status_byte() == 0
    engine.execute(b"FOO")
    assert engine.status_byte() == 4 + 32 + 64
    assert engine.status_byte(has_message=True) & 16 == 16
    engine.execute(b"*CLS")
    assert engine.status_byte() == 0


def test_operation_complete_comes_true_while_it_is_polled(engine: Engine) -> None:
    """Polling lets simulated time pass, so the bit is set after the work, not before."""
    engine.execute(b"*CLS;*ESE 1;*TRG;*OPC")
    polls = [engine.status_byte() for _ in range(4)]
    assert polls == [0, 0, 32, 32]


def test_an_instrument_may_have_rules_of_its_own_for_messages_and_units(bench: Bench) -> None:
    """Its splitter cuts the bytes, and its parser makes units of a message."""

    class Bars:
        """Cuts at bars, and keeps nothing."""

        n_bytes = 0

        def feed(self, data: bytes) -> list[bytes]:
            """Return all parts."""
            return data.split(b"|")

        def end(self) -> bytes:
            """Return nothing."""
            return b""

    def whole(message: bytes) -> list[Unit]:
        """Take a message for a header, whatever is in it."""
        return [Unit(message.decode(), ())]

    rows = [Command("A;B?", lambda _: "1"), Command("C?", lambda _: "2")]
    engine = Engine("X", rows, bench, splitter=Bars, parse=whole)
    assert engine.execute(b"A;B?|C?|*IDN?") == b"1\n2\nX\n"


def test_waiting_gives_others_a_turn_at_every_step(engine: Engine, bench: Bench) -> None:
    """``*OPC?`` yields while the device is busy and answers when it is done."""
    steps = engine.run(b"*TRG;*OPC?")
    assert sum(1 for _ in steps) == 3
    assert not bench.is_busy()


@given(
    st.lists(
        st.sampled_from([b"FREQ", b"?", b" ", b"1", b"#", b"*", b";", b":", b'"', b"\n"])
        | st.binary(max_size=4)
    ).map(b"".join)
)
def test_no_bytes_crash_the_engine(message: bytes) -> None:
    """Whatever arrives, the engine answers bytes and stays usable."""
    rows = setting("FREQuency", Number(0, 1, 0, "HZ"), lambda _: 0.0, lambda _, __: None)
    engine = Engine("X", rows, Bench())
    assert isinstance(engine.execute(message), bytes)
    assert engine.execute(b"*IDN?") == b"X\n"


@pytest.mark.parametrize(
    ("word", "value"),
    [("1", 1), ("+.5", 0.5), ("1.e3", 1000), ("2 KHZ", 2e3), ("3MHZ", 3e6), ("4UHZ", 4e-6),
     ("MIN", 1e-6), ("MAXimum", 30e6), ("def", 7)],
)  # fmt: skip
def test_numbers_take_prefixes_and_names(word: str, value: float) -> None:
    """M is mega before HZ; MIN, MAX and DEF stand for numbers."""
    assert pytest.approx(value, rel=1e-12) == Number(1e-6, 30e6, 7, "HZ").read(word.encode())


@pytest.mark.parametrize(("word", "value"), [("5 MVPP", 0.005), ("5 mV", 0.005), ("2VPP", 2)])
def test_m_is_milli_before_volts(word: str, value: float) -> None:
    """Volts may be written with or without peak-to-peak."""
    assert pytest.approx(value) == Number(-10, 10, 0, "V").read(word.encode())


def test_infinity_is_written_as_the_standard_says() -> None:
    """INF and every number from 9.9E37 on are infinite."""
    kind = Number(1, 10_000, 50, "OHM", infinite=True)
    assert [math.inf, math.inf] == [kind.read(b"INF"), kind.read(b"9.9E37")]
    assert kind.write(math.inf) == "+9.9E+37"


def test_choices_are_shown_short_and_keep_their_digit() -> None:
    """CH2 has no short form that would lose the 2."""
    assert Choice(("NORMal", "STEP"), "NORM").read(b"normal") == "NORM"
    assert Choice(("CH1", "CH2"), "CH1").read(b"ch2") == "CH2"
    with pytest.raises(ScpiError, match="-224"):
        Choice(("NORMal",), "NORM").read(b"NORMA")


@pytest.mark.parametrize(
    ("word", "value"),
    [(b"ON", True), (b"0", False), (b"1", True), (b"0.4", False), (b"9E99", True)],
)
def test_switches_round_numbers(word: bytes, value: bool) -> None:
    """Every number that rounds to other than 0 is on."""
    assert value == Switch().read(word)


@given(st.text(st.characters(max_codepoint=255), max_size=20))
def test_text_survives_quoting(text: str) -> None:
    """What is written can be read."""
    assert text == Text().read(Text().write(text).encode("latin-1"))


@pytest.mark.parametrize("argument", [b"abc", b"'", b"'a\"", b"'it's'", b'"a" b'])
def test_text_without_its_quotation_marks_is_refused(argument: bytes) -> None:
    """An apostrophe inside apostrophes has to be doubled."""
    with pytest.raises(ScpiError, match="-151"):
        Text().read(argument)


@pytest.mark.parametrize(
    "argument", [b"#15abc", b"#", b"#1", b"#0abc", b"abc", b"#2 5abcde", b"#13abcd"]
)
def test_blocks_of_another_length_are_refused(argument: bytes) -> None:
    """A block must have exactly the length that it declares."""
    with pytest.raises(ScpiError, match=r"-161|-104"):
        read_block(argument)
