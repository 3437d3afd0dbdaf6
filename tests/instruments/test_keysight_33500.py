"""The 33500B driver against its documented dialect, message by message."""

import math

import numpy as np
import pytest

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import SourceSettings
from emgsim.instruments.keysight_33500 import Keysight33500

IDN = ("*IDN?", "Agilent Technologies,33522B,MY50000001,3.05-1.19-2.00-58-00")
NO_ERROR = (":SYST:ERR?", '+0,"No error"')
OFF = (":OUTP1 OFF;:OUTP1?", "0")
CAPS = [IDN, OFF, (":SOUR1:DATA:VOL:CLE", None), (":SOUR1:DATA:VOL:FREE?", "+1000000")]
SETTINGS = SourceSettings(rate_hz=100e3, vpp_open_v=4.0, offset_open_v=0.5, cycles=3)
CONFIGURE = [
    OFF,
    (":OUTP1:LOAD INF;:OUTP1:LOAD?", "9.900000000000000E+37"),
    (":OUTP1:POL NORM;:OUTP1:POL?", "NORM"),
    (":SOUR1:FUNC ARB;:SOUR1:FUNC?", "ARB"),
    (":SOUR1:VOLT:UNIT VPP;:SOUR1:VOLT:UNIT?", "VPP"),
    (":SOUR1:VOLT:OFFS 0;:SOUR1:VOLT:OFFS?", "+0.0E+00"),
    (":SOUR1:VOLT 4;:SOUR1:VOLT?", "+4.000000000000000E+00"),
    (":SOUR1:VOLT:OFFS 0.5;:SOUR1:VOLT:OFFS?", "+5.0E-01"),
    (":SOUR1:FUNC:ARB:FILT NORM;:SOUR1:FUNC:ARB:FILT?", "NORM"),
    (":SOUR1:FUNC:ARB:SRAT 100000;:SOUR1:FUNC:ARB:SRAT?", "+1.0E+05"),
    (":SOUR1:BURS:MODE TRIG;:SOUR1:BURS:MODE?", "TRIG"),
    (":SOUR1:BURS:NCYC 3;:SOUR1:BURS:NCYC?", "+3.0E+00"),
    (":TRIG1:SOUR BUS;:TRIG1:SOUR?", "BUS"),
    (":SOUR1:BURS:STAT ON;:SOUR1:BURS:STAT?", "1"),
    NO_ERROR,
]
READ_BACK = [
    (":SOUR1:FUNC?", "ARB"),
    (":SOUR1:VOLT:UNIT?", "VPP"),
    (":SOUR1:BURS:MODE?", "TRIG"),
    (":SOUR1:BURS:STAT?", "1"),
    (":TRIG1:SOUR?", "BUS"),
    (":OUTP1:POL?", "NORM"),
    (":OUTP1:LOAD?", "9.9E+37"),
    (":SOUR1:FUNC:ARB:SRAT?", "+1.0E+05"),
    (":SOUR1:VOLT?", "+4.0001E+00"),
    (":SOUR1:VOLT:OFFS?", "+5.0E-01"),
    (":SOUR1:BURS:NCYC?", "+3.0E+00"),
    (":SOUR1:FUNC:ARB:FILT?", "NORM"),
]
UPLOAD = [
    OFF,
    (":FORM:BORD SWAP;:SOUR1:DATA:VOL:CLE", None),
    (":SOUR1:DATA:ARB:DAC emg,", None),
    ("*OPC?", "1"),
    NO_ERROR,
]
ARM = [
    (":SOUR1:FUNC:ARB emg;:SOUR1:FUNC:ARB?", '"EMG"'),
    *READ_BACK,
    (":SOUR1:DATA:ATTR:POIN?", "+9"),
    NO_ERROR,
    (":OUTP1 ON;:OUTP1?", "1"),
]


def replaced(pairs, message, answer):
    """Let one message of a script be answered differently."""
    assert message in dict(pairs)
    return [(sent, answer if sent == message else told) for sent, told in pairs]


def ready(scripted, *pairs):
    """Make a source that is configured and has a waveform, and the link that it uses."""
    link = scripted([*CAPS, *CONFIGURE, *READ_BACK, *UPLOAD, *pairs])
    source = Keysight33500(link)
    source.configure(SETTINGS)
    source.upload("emg", np.linspace(-2, 2, 9), SETTINGS)
    return source, link


def test_play_once_sends_the_documented_commands_in_order(scripted):
    """Configure, upload, arm, trigger and leave: each message as the manual has it."""
    source, link = ready(scripted, *ARM, ("*TRG", None), NO_ERROR, OFF)
    with source:
        source.arm()
        source.trigger()
    assert link.is_closed


def test_settings_come_back_as_read_not_as_asked(scripted):
    """The caller gets the instrument's own values."""
    source = Keysight33500(scripted([*CAPS, *CONFIGURE, *READ_BACK]))
    actual = source.configure(SETTINGS)
    assert (actual.vpp_open_v, actual.load_ohm) == (4.0001, math.inf)


def test_caps_come_from_the_model_and_its_memory(scripted):
    """The memory is asked, the rest is the data sheet's."""
    caps = Keysight33500(scripted(CAPS)).caps
    assert (caps.code_bits, caps.max_points, caps.channels, caps.output_ohm) == (16, 10**6, 2, 50)
    assert (caps.max_rate_hz, caps.max_vpp_open_v) == (250e6, 20)


def test_the_memory_option_is_seen(scripted):
    """Sixteen million points are believed when the instrument has them."""
    caps = Keysight33500(scripted(replaced(CAPS, ":SOUR1:DATA:VOL:FREE?", "16000000"))).caps
    assert caps.max_points == 16_000_000


def test_another_model_is_refused_by_name(scripted):
    """An instrument of another kind at the address is named in the error."""
    link = scripted([("*IDN?", "RIGOL TECHNOLOGIES,DG1062Z,DG1ZA0,03.01")])
    with pytest.raises(InstrumentError, match="335 or 336, got RIGOL TECHNOLOGIES,DG1062Z"):
        Keysight33500(link).identify()


def test_an_identity_without_four_fields_is_refused(scripted):
    """An answer that is no identity is shown."""
    with pytest.raises(InstrumentError, match="4 fields"):
        Keysight33500(scripted([("*IDN?", "hello")])).identify()


def test_volts_are_halved_for_a_50_ohm_load_setting(scripted):
    """Open-circuit volts are what the caller sees, whatever the load setting scales."""
    settings = SourceSettings(rate_hz=100e3, vpp_open_v=4.0, load_ohm=50.0, cycles=3)
    script = [
        (
            m.replace("LOAD INF", "LOAD 50").replace("VOLT 4", "VOLT 2").replace("FS 0.5", "FS 0"),
            a,
        )
        for m, a in CONFIGURE
    ]
    script = replaced(script, ":OUTP1:LOAD 50;:OUTP1:LOAD?", "50")
    script = replaced(script, ":SOUR1:VOLT 2;:SOUR1:VOLT?", "2")
    script = replaced(script, ":SOUR1:VOLT:OFFS 0;:SOUR1:VOLT:OFFS?", "0")
    back = replaced(replaced(READ_BACK, ":OUTP1:LOAD?", "50"), ":SOUR1:VOLT?", "2")
    back = replaced(back, ":SOUR1:VOLT:OFFS?", "0")
    actual = Keysight33500(scripted([*CAPS, *script, *back])).configure(settings)
    assert (actual.vpp_open_v, actual.load_ohm) == (4.0, 50.0)


def test_the_50_ohm_trap_is_caught(scripted):
    """A generator that stays at 50 ohm when told INF is refused before any volts are set."""
    script = replaced(CONFIGURE[:2], ":OUTP1:LOAD INF;:OUTP1:LOAD?", "50")
    with pytest.raises(InstrumentError, match="OUTP1:LOAD was set to INF, reads back 50"):
        Keysight33500(scripted([*CAPS, *script, NO_ERROR])).configure(SETTINGS)


def test_a_voltage_that_reads_back_doubled_is_refused(scripted):
    """A setting is believed only when it is read back."""
    script = replaced(CONFIGURE[:7], ":SOUR1:VOLT 4;:SOUR1:VOLT?", "8.0")
    with pytest.raises(InstrumentError, match="SOUR1:VOLT was set to 4, reads back 8"):
        Keysight33500(scripted([*CAPS, *script, NO_ERROR])).configure(SETTINGS)


def test_a_setting_that_moves_after_configure_stops_arm(scripted):
    """What selecting a waveform changed is found before the output goes on."""
    moved = replaced(ARM[:13], ":SOUR1:FUNC:ARB:SRAT?", "40000")
    source, _ = ready(scripted, *moved)
    with pytest.raises(InstrumentError, match="rate_hz was set to 100000, but reads back 40000"):
        source.arm()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate_hz", 0.0), ("rate_hz", 1e9), ("rate_hz", math.nan), ("vpp_open_v", 20.5),
        ("vpp_open_v", -1.0), ("offset_open_v", 9.0), ("cycles", 0), ("load_ohm", 0.0),
    ],
)  # fmt: skip
def test_settings_beyond_the_instrument_are_refused_before_anything_is_sent(scripted, field, value):
    """A wrong setting is named with its rule; the instrument is not touched."""
    wrong = SourceSettings(**(SETTINGS.__dict__ | {field: value}))
    with pytest.raises(UsageError, match=field):
        Keysight33500(scripted(CAPS)).configure(wrong)


def test_codes_are_full_scale_at_half_the_peak_to_peak(scripted):
    """+vpp/2 is 32767, -vpp/2 is -32767, and the receipt tells the rounding."""
    link = scripted([*CAPS, *UPLOAD])
    volts = np.array([2.0, -2.0, 0.0, 1.0, 0.5, 0.1, 0.2, 0.3])
    receipt = Keysight33500(link).upload("emg", volts, SETTINGS)
    (codes,) = link.sent_blocks
    assert codes.dtype == "<i2"
    assert codes[:4].tolist() == [32767, -32767, 0, 16384]
    error_v = codes * 2.0 / 32767 - volts
    assert receipt.quantisation_rms_v == pytest.approx(np.sqrt(np.mean(error_v**2)), rel=1e-6)
    assert (receipt.n_points, receipt.n_bytes, receipt.n_clipped) == (8, 16, 0)
    assert len(receipt.sha256) == 64


def test_quantisation_is_a_step_over_the_root_of_twelve(scripted):
    """Noise fills the steps evenly, so its rounding has the textbook rms."""
    volts = np.random.default_rng(1).uniform(-2, 2, 100_000)
    receipt = Keysight33500(scripted([*CAPS, *UPLOAD])).upload("emg", volts, SETTINGS)
    assert receipt.quantisation_rms_v == pytest.approx(4 / 65534 / math.sqrt(12), rel=0.01)


@pytest.mark.parametrize(
    ("volts", "message"),
    [
        (np.full(9, 2.1), r"clipped: its peak is 2.1 V, the limit vpp/2 is 2 V"),
        (np.full(9, -2.1), "clipped"),
        (np.full(9, np.nan), "finite"),
        (np.zeros(7), "8..1000000"),
        (np.zeros(1_000_001), "8..1000000"),
        (np.zeros((9, 1)), "8..1000000"),
    ],
)
def test_a_waveform_that_cannot_be_played_is_refused(scripted, volts, message):
    """Clipping, NaN and wrong lengths are refused before anything is sent."""
    with pytest.raises(UsageError, match=message):
        Keysight33500(scripted(CAPS)).upload("emg", volts, SETTINGS)


def test_too_long_a_waveform_is_told_the_longest_possible_time(scripted):
    """A million points at 100 kSa/s are ten seconds."""
    with pytest.raises(UsageError, match="at most 10 s at 100000 Hz"):
        Keysight33500(scripted(CAPS)).upload("emg", np.zeros(2_000_000), SETTINGS)


@pytest.mark.parametrize("name", ["", "1emg", "emg 1", "e" * 13, "emg;OUTP1 ON"])
def test_a_name_that_the_instrument_would_misread_is_refused(scripted, name):
    """A waveform's name cannot carry a command."""
    with pytest.raises(UsageError, match="name"):
        Keysight33500(scripted([])).upload(name, np.zeros(9), SETTINGS)


def test_an_upload_that_the_instrument_complains_about_is_an_error(scripted):
    """The error queue is read after the upload, and arm is not possible then."""
    script = [*UPLOAD[:4], (":SYST:ERR?", '+786,"Specified arb waveform already exists"'), NO_ERROR]
    source = Keysight33500(scripted([*CAPS, *CONFIGURE, *READ_BACK, *script]))
    source.configure(SETTINGS)
    with pytest.raises(InstrumentError, match=r"upload of 9 points: \+786"):
        source.upload("emg", np.zeros(9), SETTINGS)
    with pytest.raises(UsageError, match=r"arm\(\) needs upload\(\)"):
        source.arm()


def test_arming_without_settings_is_refused(scripted):
    """The message says which call is missing."""
    with pytest.raises(UsageError, match=r"needs configure\(\)"):
        Keysight33500(scripted([])).arm()


def test_a_trigger_that_was_ignored_is_an_error(scripted):
    """An armed generator that does not take the trigger must not pass for one that plays."""
    ignored = (":SYST:ERR?", '-211,"Trigger ignored"')
    source, _ = ready(scripted, ("*TRG", None), ignored, NO_ERROR)
    with pytest.raises(InstrumentError, match="Trigger ignored"):
        source.trigger()


def test_an_output_that_stays_on_is_an_error(scripted):
    """Off is verified by a query."""
    with pytest.raises(InstrumentError, match="OUTP1 was set to OFF, reads back 1"):
        Keysight33500(scripted([(OFF[0], "1"), NO_ERROR])).off()


def test_leaving_after_an_error_keeps_that_error_and_notes_a_failed_off(scripted):
    """The first error is what the user sees; that the output is not off is noted on it."""
    link = scripted([(OFF[0], "1"), NO_ERROR])
    with pytest.raises(RuntimeError, match="first") as e, Keysight33500(link):
        raise RuntimeError("first")
    assert "could not be switched off" in e.value.__notes__[0]
    assert link.is_closed


def test_leaving_without_an_error_reports_a_failed_off(scripted):
    """An output that cannot be switched off is never silent, and the link is closed."""
    link = scripted([(OFF[0], "1"), NO_ERROR])
    with pytest.raises(InstrumentError, match="OUTP1 was set to OFF"), Keysight33500(link):
        pass
    assert link.is_closed


def test_reset_waits_and_reads_the_queue(scripted):
    """The factory settings are complete before the next command."""
    Keysight33500(scripted([("*RST;*CLS", None), ("*OPC?", "1"), NO_ERROR])).reset()


def test_opening_a_wrong_instrument_closes_the_link(serve):
    """A refused model is not reset and leaves no session behind."""
    heard = []

    def answer(connection, stop):
        with connection.makefile("rb") as stream:
            for line in stream:
                heard.append(line)
                connection.sendall(b"ACME,1,2,3\n")

    with serve(answer) as address, pytest.raises(InstrumentError, match="ACME"):
        Keysight33500.open(address, timeout_s=0.3)
    assert heard == [b"*IDN?\n"]
