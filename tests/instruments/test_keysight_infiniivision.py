"""The InfiniiVision driver against its documented dialect, message by message."""

import numpy as np
import pytest

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import ChannelSetup
from emgsim.instruments.keysight_infiniivision import KeysightInfiniivision

IDN = ("*IDN?", "KEYSIGHT TECHNOLOGIES,DSO-X 3012T,MY0001,07.20.2017")
NO_ERROR = (":SYST:ERR?", '+0,"No error"')
CONFIGURE = [
    IDN,
    (":STOP", None),
    (":ACQ:TYPE HRES;:ACQ:TYPE?", "HRES"),
    (":TRIG:MODE EDGE;:TRIG:MODE?", "EDGE"),
    (":TRIG:SWE NORM;:TRIG:SWE?", "NORM"),
    (":TRIG:EDGE:SOUR EXT;:TRIG:EDGE:SOUR?", "EXT"),
    (":TRIG:EDGE:SLOP POS;:TRIG:EDGE:SLOP?", "POS"),
    (":TRIG:EDGE:LEV 1;:TRIG:EDGE:LEV?", "+1.0E+00"),
    (":TIM:MODE MAIN;:TIM:MODE?", "MAIN"),
    (":TIM:REF LEFT;:TIM:REF?", "LEFT"),
    (":TIM:RANG 2;:TIM:RANG?", "+2.0E+00"),
    (":TIM:POS 0.2;:TIM:POS?", "+2.0E-01"),
    (":CHAN1:DISP ON;:CHAN1:DISP?", "1"),
    (":CHAN1:COUP DC;:CHAN1:COUP?", "DC"),
    (":CHAN1:PROB 1;:CHAN1:PROB?", "+1.0E+00"),
    (":CHAN1:RANG 7.5;:CHAN1:RANG?", "+8.0E+00"),
    (":CHAN1:OFFS 0;:CHAN1:OFFS?", "+0.0E+00"),
    (":CHAN2:DISP OFF;:CHAN2:DISP?", "0"),
    NO_ERROR,
    (":ACQ:SRAT?", "+1.0E+05"),
    (":ACQ:POIN?", "+200000"),
]
READ = [
    (":WAV:SOUR CHAN1;:WAV:SOUR?", "CHAN1"),
    (":WAV:FORM WORD;:WAV:FORM?", "WORD"),
    (":WAV:BYT LSBF;:WAV:BYT?", "LSBF"),
    (":WAV:UNS ON;:WAV:UNS?", "1"),
    (":WAV:POIN MAX;:WAV:POIN:MODE RAW", None),
]
PREAMBLE = "+1,+3,+4,+1,+1.0E-05,-2.0E-03,+0,+1.0E-04,+5.0E-01,+32768"


def configured(scripted, *pairs):
    """Make a scope that is configured for two seconds of channel 1."""
    scope = KeysightInfiniivision(scripted([*CONFIGURE, *pairs]))
    settings = scope.configure({1: ChannelSetup(7.5)}, 2.0)
    return scope, settings


def replaced(pairs, message, answer):
    """Let one message of a script be answered differently, and end the script there."""
    index = [sent for sent, _ in pairs].index(message)
    return [*pairs[:index], (message, answer)]


def test_configure_sends_the_documented_commands_and_returns_what_was_read_back(scripted):
    """A range may come back larger than asked, and the caller is told the real one."""
    _, settings = configured(scripted)
    assert (settings.rate_hz, settings.n_points) == (100e3, 200_000)
    assert settings.channels == {1: ChannelSetup(8.0, 0.0)}


@pytest.mark.parametrize(
    ("message", "answer", "told"),
    [
        (":CHAN1:RANG 7.5;:CHAN1:RANG?", "5.0", "CHAN1:RANG was set to 7.5, reads back 5"),
        (":TIM:RANG 2;:TIM:RANG?", "1.0", "TIM:RANG was set to 2, reads back 1"),
        (":TIM:POS 0.2;:TIM:POS?", "0", "TIM:POS was set to 0.2, reads back 0"),
        (":TRIG:SWE NORM;:TRIG:SWE?", "AUTO", "TRIG:SWE was set to NORM, reads back AUTO"),
    ],
)
def test_a_smaller_window_or_range_than_asked_is_refused(scripted, message, answer, told):
    """A record that would clip, end early or come without a trigger is never started."""
    link = scripted([*replaced(CONFIGURE, message, answer), NO_ERROR])
    with pytest.raises(InstrumentError, match=told):
        KeysightInfiniivision(link).configure({1: ChannelSetup(7.5)}, 2.0)


@pytest.mark.parametrize(
    ("channels", "duration_s", "told"),
    [
        ({}, 1.0, "channels"), ({3: ChannelSetup(1.0)}, 1.0, "channels"),
        ({1: ChannelSetup(41.0)}, 1.0, "range_v"), ({1: ChannelSetup(1.0)}, 0.0, "duration_s"),
        ({1: ChannelSetup(1.0)}, 501.0, "duration_s"),
    ],
)  # fmt: skip
def test_requests_beyond_the_instrument_are_refused(scripted, channels, duration_s, told):
    """A wrong request is named with its rule; nothing is set."""
    with pytest.raises(UsageError, match=told):
        KeysightInfiniivision(scripted([IDN])).configure(channels, duration_s)


@pytest.mark.parametrize(
    ("model", "channels"), [("DSO-X 3012T", 2), ("MSOX3104T", 4), ("EDUX1052G", 2)]
)
def test_the_number_of_channels_is_in_the_model(scripted, model, channels):
    """The last digit counts the channels."""
    scope = KeysightInfiniivision(scripted([("*IDN?", f"KEYSIGHT TECHNOLOGIES,{model},MY1,7")]))
    assert scope.caps.channels == channels


def test_another_model_is_refused_by_name(scripted):
    """A generator at the scope's address is named in the error."""
    with pytest.raises(InstrumentError, match="33522B"):
        KeysightInfiniivision(scripted([("*IDN?", "Agilent,33522B,MY1,1")])).identify()


def test_arming_returns_only_when_a_trigger_would_be_seen(scripted):
    """Running is not enough: the scope must wait for the trigger."""
    scope, _ = configured(
        scripted, (":SING", None), (":OPER:COND?", "0"), (":OPER:COND?", "8"), (":OPER:COND?", "40")
    )
    scope.arm()


def test_arming_without_settings_is_refused(scripted):
    """The message says which call is missing."""
    with pytest.raises(UsageError, match=r"needs configure\(\)"):
        KeysightInfiniivision(scripted([])).arm()


def test_wait_ends_when_the_run_bit_clears(scripted):
    """The condition register is asked until the record is complete."""
    KeysightInfiniivision(
        scripted([(":OPER:COND?", "+40"), (":OPER:COND?", "+8"), (":OPER:COND?", "+0"), NO_ERROR])
    ).wait(1.0)


@pytest.mark.parametrize(
    ("condition", "told"), [("40", "still waits for a trigger"), ("8", "still recording")]
)
def test_a_record_that_does_not_end_says_whether_a_trigger_came(scripted, condition, told):
    """The message tells a missing sync cable from too short a time-out."""
    link = scripted([(":OPER:COND?", condition)])
    with pytest.raises(InstrumentError, match=told):
        KeysightInfiniivision(link).wait(0.0)


def test_codes_become_volts_by_the_preamble(scripted):
    """Volts are (code - reference) * increment + origin, and the start is the x origin."""
    scope, _ = configured(
        scripted, *READ, (":WAV:PRE?", PREAMBLE), (":WAV:DATA?", [32768, 32769, 2, 60000])
    )
    volts = scope.read(1)
    assert volts.dtype == np.float64
    np.testing.assert_allclose(volts, [0.5, 0.5001, -2.7766, 3.2232], atol=1e-12)
    assert scope.start_s == -0.002


@pytest.mark.parametrize(
    ("preamble", "words", "told"),
    [
        (PREAMBLE, [32768] * 3, "sent 3 points, its preamble says 4"),
        (PREAMBLE, [32768, 65535, 0, 1], "3 of 4 samples clipped or missing"),
        (PREAMBLE.replace("1.0E-05", "2.0E-05"), [32768] * 4, "recorded at 50000 Hz"),
        (PREAMBLE.replace("1.0E-05", "0"), [32768] * 4, "recorded at 0 Hz"),
    ],
)
def test_a_record_that_is_not_what_was_configured_is_refused(scripted, preamble, words, told):
    """Short, clipped and wrongly timed records are errors, never returned."""
    scope, _ = configured(scripted, *READ, (":WAV:PRE?", preamble), (":WAV:DATA?", words))
    with pytest.raises(InstrumentError, match=told):
        scope.read(1)


def test_a_preamble_that_is_none_is_refused(scripted):
    """A stale answer is not taken for a preamble."""
    scope, _ = configured(scripted, *READ, (":WAV:PRE?", "CHAN1"))
    with pytest.raises(InstrumentError, match="10 numbers, got 'CHAN1'"):
        scope.read(1)


def test_a_channel_that_was_not_configured_cannot_be_read(scripted):
    """Reading a channel that was off is a mistake of the caller."""
    scope, _ = configured(scripted)
    with pytest.raises(UsageError, match="channel 2 was not configured"):
        scope.read(2)


def test_reset_stops_the_oscilloscope(scripted):
    """The factory setting runs; nothing may overwrite a record."""
    KeysightInfiniivision(scripted([("*RST;*CLS;:STOP", None), ("*OPC?", "1"), NO_ERROR])).reset()


def test_leaving_closes_the_link(scripted):
    """A capture energises nothing, so leaving only closes."""
    link = scripted([])
    with KeysightInfiniivision(link):
        pass
    assert link.is_closed


def test_a_rate_is_set_in_digitizer_mode_and_may_come_back_smaller(scripted):
    """The caller is told the real one, which the memory allows."""
    after = CONFIGURE.index((":TIM:POS 0.2;:TIM:POS?", "+2.0E-01")) + 1
    digitizer = [
        (":ACQ:DIG ON;:ACQ:DIG?", "1"),
        (":ACQ:SRAT:ANAL:AUTO OFF;:ACQ:SRAT:ANAL:AUTO?", "0"),
        (":ACQ:SRAT:ANAL 400000;:ACQ:SRAT:ANAL?", "+1.0E+05"),
    ]
    scope = KeysightInfiniivision(scripted([*CONFIGURE[:after], *digitizer, *CONFIGURE[after:]]))
    assert scope.configure({1: ChannelSetup(7.5)}, 2.0, 400e3).rate_hz == 100e3


def test_a_record_that_ends_early_is_refused(scripted):
    """Half of the points hold half of the window."""
    pairs = replaced(CONFIGURE, ":ACQ:POIN?", "+100000")
    with pytest.raises(InstrumentError, match="would hold 1 s at 100000 Hz, needed are 2 s"):
        KeysightInfiniivision(scripted(pairs)).configure({1: ChannelSetup(7.5)}, 2.0)
