"""The driver of Siglent oscilloscopes against the guide's dialect, message by message."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import ChannelSetup
from emgsim.instruments.siglent_descriptor import Descriptor, read_descriptor
from emgsim.instruments.siglent_sds import SiglentSds
from emgsim.instruments.transport import VisaLink

IDN = ("*IDN?", "Siglent Technologies,SDS1102X HD,SDS1EAAA000001,1.1.3.8")
NO_ERROR = (":SYST:ERR?", '0,"No error"')


def put(header, value, answer):
    """Return a setting and its query, each a message of its own."""
    return [(f":{header} {value}", None), (f":{header}?", answer)]


CONFIGURE = [
    IDN,
    *put("ACQuire:TYPE", "NORMal", "NORMal"),
    *put("TRIGger:MODE", "NORMal", "NORMAL"),
    *put("TRIGger:TYPE", "EDGE", "EDGE"),
    *put("TRIGger:EDGE:SOURce", "EX5", "EX5"),
    *put("TRIGger:EDGE:COUPling", "DC", "DC"),
    *put("TRIGger:EDGE:SLOPe", "RISing", "RISing"),
    *put("TRIGger:EDGE:LEVel", "1", "1.00E+00"),
    (":TRIGger:RUN", None),
    *put("CHANnel1:SWITch", "ON", "ON"),
    *put("CHANnel1:COUPling", "DC", "DC"),
    (":CHANnel1:PROBe VALue,1", None),
    (":CHANnel1:PROBe?", "1.00E+00"),
    *put("CHANnel1:SCALe", "1", "1.00E+00"),
    *put("CHANnel1:OFFSet", "-0.25", "-2.50E-01"),
    *put("CHANnel2:SWITch", "OFF", "OFF"),
    *put("TIMebase:SCALe", "0.5", "5.00E-01"),
    *put("TIMebase:DELay", "2.5", "2.50E+00"),
    *put("ACQuire:MMANagement", "FSRate", "FSRate"),
    (":ACQuire:SRATe 50000", None),
    (":ACQuire:SRATe?", "5.00E+04"),
    (":ACQuire:POINts?", "2.50E+05"),
    (":TRIGger:STOP", None),
    NO_ERROR,
]
READ = [
    (":WAVeform:SOURce C1", None),
    (":WAVeform:STARt 0", None),
    (":WAVeform:POINt 0", None),
    (":WAVeform:INTerval 1", None),
    *put("WAVeform:WIDTh", "WORD", "WORD"),
]


def descriptor(*, is_word=True, v_per_div=1.0, offset_v=-0.25, codes=7680.0, interval_s=2e-5):
    """Return a descriptor as an oscilloscope sends it; fields that the driver ignores are wrong."""
    block = bytearray(b"\xff" * 346)
    block[:16] = b"WAVEDESC".ljust(16, b"\0")
    struct.pack_into("<hh", block, 32, int(is_word), 0)
    struct.pack_into("<fff", block, 156, v_per_div, offset_v, codes)
    struct.pack_into("<h", block, 172, 16)
    struct.pack_into("<fd", block, 176, interval_s, -2.5)
    return bytes(block)


def configured(scripted, *pairs):
    """Make a scope that is configured for three seconds of channel 1 at 40 kHz."""
    scope = SiglentSds(scripted([*CONFIGURE, *pairs]))
    return scope, scope.configure({1: ChannelSetup(7.5, 0.25)}, 3.0, 40e3)


def replaced(pairs, message, answer):
    """Let one message of a script be answered differently, and end the script there."""
    index = [sent for sent, _ in pairs].index(message)
    return [*pairs[:index], (message, answer)]


def pieces(n_points, codes, most=5_000_000):
    """Return the exchange of a record that is sent in pieces."""
    pairs = [(":WAVeform:MAXPoint?", f"{most:.2E}")]
    for first in range(0, n_points, most):
        n = min(most, n_points - first)
        data = np.asarray(codes[first : first + n], "<i2").tobytes()
        pairs += [(f":WAVeform:STARt {first}", None), (f":WAVeform:POINt {n}", None),
                  (":WAVeform:DATA?", data)]  # fmt: skip
    return pairs


def test_configure_asks_for_the_next_larger_steps_and_returns_what_was_read_back(scripted):
    """7.5 V become 8 divisions of 1 V, 3 s ten of 0.5 s, 40 kHz 50 kHz; the offset is negated."""
    scope, settings = configured(scripted)
    assert (settings.rate_hz, settings.n_points) == (50e3, 250_000)
    assert settings.channels == {1: ChannelSetup(8.0, 0.25)}
    assert scope.start_s == 0.0


@pytest.mark.parametrize(
    ("message", "answer", "told"),
    [
        (":CHANnel1:SCALe?", "5.00E-01", "CHANnel1:SCALe was set to 1, reads back 0.5"),
        (":TIMebase:SCALe?", "2.00E-01", "TIMebase:SCALe was set to 0.5, reads back 0.2"),
        (":TIMebase:DELay?", "0.00E+00", "TIMebase:DELay was set to 2.5, reads back 0"),
        (":TRIGger:EDGE:SOURce?", "LINE", "EDGE:SOURce was set to EX5, reads back LINE"),
        (":TRIGger:EDGE:LEVel?", "6.10E-01", "EDGE:LEVel was set to 1, reads back 0.61"),
        (":TRIGger:MODE?", "AUTO", "TRIGger:MODE was set to NORMal, reads back AUTO"),
        (":CHANnel1:PROBe?", "1.00E+01", "CHANnel1:PROBe was set to 1, reads back 10"),
        (":ACQuire:MMANagement?", "AUTO", "MMANagement was set to FSRate, reads back AUTO"),
    ],
)
def test_a_setting_that_reads_back_otherwise_is_refused(scripted, message, answer, told):
    """A record that would clip, end early or come without a trigger is never started."""
    link = scripted([*replaced(CONFIGURE, message, answer), NO_ERROR])
    with pytest.raises(InstrumentError, match=told):
        SiglentSds(link).configure({1: ChannelSetup(7.5, 0.25)}, 3.0, 40e3)


def test_a_record_that_ends_early_is_refused_with_the_longest(scripted):
    """A tenth of the points hold half a second."""
    pairs = replaced(CONFIGURE, ":ACQuire:POINts?", "2.50E+04") + CONFIGURE[-2:]
    with pytest.raises(InstrumentError, match=r"would hold 0\.5 s at 50000 Hz, needed are 3 s"):
        SiglentSds(scripted(pairs)).configure({1: ChannelSetup(7.5, 0.25)}, 3.0, 40e3)


def test_without_a_rate_the_memory_is_managed_by_the_oscilloscope(scripted):
    """AUTO, and no rate is set."""
    first = CONFIGURE.index((":ACQuire:MMANagement FSRate", None))
    pairs = [*CONFIGURE[:first], *put("ACQuire:MMANagement", "AUTO", "AUTO"),
             *CONFIGURE[first + 3 :]]  # fmt: skip
    assert SiglentSds(scripted(pairs)).configure({1: ChannelSetup(7.5, 0.25)}, 3.0).rate_hz == 50e3


@pytest.mark.parametrize(
    ("channels", "duration_s", "told"),
    [
        ({}, 1.0, "channels"), ({3: ChannelSetup(1.0)}, 1.0, "channels"),
        ({1: ChannelSetup(81.0)}, 1.0, "range_v"), ({1: ChannelSetup(1.0)}, 0.0, "duration_s"),
        ({1: ChannelSetup(1.0)}, 10_001.0, r"0\.\.10000 s"),
    ],
)  # fmt: skip
def test_requests_beyond_the_instrument_are_refused(scripted, channels, duration_s, told):
    """A wrong request is named with its rule; nothing is set."""
    with pytest.raises(UsageError, match=told):
        SiglentSds(scripted([IDN])).configure(channels, duration_s)


@pytest.mark.parametrize(
    ("model", "channels", "bits"),
    [("SDS1104X HD", 4, 12), ("SDS2102X Plus", 2, 8), ("SDS2354X HD", 4, 12),
     ("SDS2104X-Plus", 4, 8)],
)  # fmt: skip
def test_channels_and_bits_are_in_the_model(scripted, model, channels, bits):
    """The last digit counts the channels, the series has 12 or 8 bits."""
    scope = SiglentSds(scripted([("*IDN?", f"Siglent Technologies,{model},SDS1,1")]))
    assert (scope.caps.channels, scope.caps.code_bits) == (channels, bits)


@pytest.mark.parametrize("model", ["SDS1104X-E", "SDS824X HD", "DSO-X 3012T", "SDG2042X"])
def test_another_model_is_refused_by_name(scripted, model):
    """One without EXT TRIG, of another dialect, or of another maker."""
    with pytest.raises(InstrumentError, match=f"SDS1000X HD, SDS2000X HD or .* got A,{model},"):
        SiglentSds(scripted([("*IDN?", f"A,{model},1,1")])).identify()


def test_arming_returns_only_when_a_trigger_would_be_seen(scripted):
    """Filling the memory before the trigger is not enough."""
    scope, _ = configured(
        scripted, *put("TRIGger:MODE", "SINGle", "SINGLE"), (":TRIGger:RUN", None),
        (":TRIGger:STATus?", "Stop"), (":TRIGger:STATus?", "Arm"), (":TRIGger:STATus?", "Ready"))
    scope.arm()


def test_arming_without_settings_is_refused(scripted):
    """The message says which call is missing."""
    with pytest.raises(UsageError, match=r"needs configure\(\)"):
        SiglentSds(scripted([])).arm()


def test_wait_ends_when_it_has_stopped(scripted):
    """The state is asked until the record is complete."""
    SiglentSds(scripted([(":TRIGger:STATus?", "Ready"), (":TRIGger:STATus?", "Trig'd"),
                         (":TRIGger:STATus?", "Stop"), NO_ERROR])).wait(1.0)  # fmt: skip


@pytest.mark.parametrize(
    ("state", "told"), [("Ready", "still waits for a trigger"), ("Trig'd", "still recording"),
                        ("Arm", "fills its memory"), ("Roll", "its state is 'roll'")]
)  # fmt: skip
def test_a_record_that_does_not_end_says_whether_a_trigger_came(scripted, state, told):
    """The message tells a missing sync cable from too short a time-out."""
    with pytest.raises(InstrumentError, match=told):
        SiglentSds(scripted([(":TRIGger:STATus?", state)])).wait(0.0)


def test_codes_become_volts_by_the_descriptor(scripted):
    """Volts are codes / 7680 * volts per division - offset, of each of the pieces."""
    codes = np.arange(250_000) % 1000 - 500
    scope, _ = configured(scripted, *READ, (":WAVeform:PREamble?", descriptor()),
                          *pieces(250_000, codes, most=100_000))  # fmt: skip
    volts = scope.read(1)
    assert volts.dtype == np.float64
    np.testing.assert_allclose(volts, codes / 7680 + 0.25, atol=1e-7)


@pytest.mark.parametrize(
    ("sent", "codes", "told"),
    [
        (descriptor(), np.zeros(249_999), "sent 249999 points of 250000"),
        (descriptor(), np.zeros(0), "sent 0 points of 250000"),
        (descriptor(), np.r_[np.full(3, 32_300), np.zeros(249_997)], "3 of 250000 samples clipped"),
        (descriptor(), np.r_[-32_768, np.zeros(249_999)], "1 of 250000 samples clipped"),
        (descriptor(interval_s=1e-5), np.zeros(250_000), "at 100000 Hz, configured was 50000 Hz"),
    ],
)
def test_a_record_that_is_not_what_was_configured_is_refused(scripted, sent, codes, told):
    """Short, empty, clipped and wrongly timed records are errors, never returned."""
    scope, _ = configured(scripted, *READ, (":WAVeform:PREamble?", sent), *pieces(250_000, codes))
    with pytest.raises(InstrumentError, match=told):
        scope.read(1)


@pytest.mark.parametrize("sent", [b"", b"WAVEDESC", b"0" * 346, descriptor(codes=0.0),
                                  descriptor(interval_s=float("nan"))])  # fmt: skip
def test_a_descriptor_that_is_none_is_refused(scripted, sent):
    """A stale or broken answer scales no record."""
    scope, _ = configured(scripted, *READ, (":WAVeform:PREamble?", sent))
    with pytest.raises(InstrumentError, match="must be 346 bytes from WAVEDESC on, got"):
        scope.read(1)


def test_bytes_of_a_12_bit_model_are_scaled_though_it_tells_the_codes_of_words():
    """7680 codes per division of words are 30 of bytes; those of an 8-bit model stand as told."""
    assert read_descriptor(descriptor(is_word=False)).codes_per_div == 30
    assert read_descriptor(descriptor(is_word=False, codes=30.0)).codes_per_div == 30
    assert read_descriptor(descriptor()) == Descriptor(
        True, 1.0, -0.25, 7680.0, pytest.approx(2e-5))


@given(st.one_of(st.binary(max_size=400), st.binary(min_size=346, max_size=346).map(
    lambda data: b"WAVEDESC" + data[8:])))  # fmt: skip
def test_any_bytes_are_a_descriptor_that_scales_or_a_value_error(data):
    """No other exception, and never a scale of nothing."""
    try:
        scale = read_descriptor(data)
    except ValueError:
        return
    assert np.isfinite(scale[1:]).all()
    assert scale.codes_per_div > 0 < scale.interval_s


def test_a_channel_that_was_not_configured_cannot_be_read(scripted):
    """Reading a channel that was off is a mistake of the caller."""
    scope, _ = configured(scripted)
    with pytest.raises(UsageError, match="channel 2 was not configured"):
        scope.read(2)


def test_reset_stops_the_oscilloscope(scripted):
    """The factory setting runs; nothing may overwrite a record."""
    SiglentSds(scripted([("*RST", None), ("*CLS", None), (":TRIGger:STOP", None), ("*OPC?", "1"),
                         NO_ERROR])).reset()  # fmt: skip


def test_opening_asks_for_the_name_and_nothing_else(serve):
    """The one who opened it compares who it is before anything is set."""
    heard = []

    def answer(connection, stop):
        with connection.makefile("rb") as stream:
            for line in stream:
                heard.append(line)
                connection.sendall(b"Siglent Technologies,SDS1104X HD,1,1\n")

    with serve(answer) as address, SiglentSds.open(address, timeout_s=2.0) as scope:
        assert scope.caps.channels == 4
    assert heard == [b"*IDN?\n"]


def test_the_second_line_feed_after_a_block_is_no_answer(serve):
    """On a raw socket it would stand before the next answer, text or block."""
    answers = {b"DATA?\n": b"#9000000003a\nb\n\n", b"TEXT?\n": b"5.00E+06\n"}

    def answer(connection, stop):
        with connection.makefile("rb") as stream:
            for line in stream:
                connection.sendall(answers[line])

    with serve(answer) as address, VisaLink(address, timeout_s=2.0) as link:
        assert [link.ask_bytes("DATA?") for _ in range(2)] == [b"a\nb", b"a\nb"]
        assert [link.ask_number("TEXT?") for _ in range(2)] == [5e6, 5e6]
