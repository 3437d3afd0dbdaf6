"""The Siglent SDG driver against its documented dialect, message by message."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import SourceSettings
from emgsim.instruments.siglent_fields import read_fields
from emgsim.instruments.siglent_sdg import SiglentSdg

LARGE = ("*IDN?", "Siglent Technologies,SDG2042X,SDG2XCAX1R0001,2.01.01.35R3B2")
SMALL = ("*IDN?", "Siglent Technologies,SDG1032X,SDG1XCAX1R0001,1.01.01.33R1B6")
SETTINGS = SourceSettings(rate_hz=50e3, vpp_open_v=4.0, offset_open_v=0.5, cycles=3, filter="OFF")
OFF = [("C1:OUTP OFF", None), ("C1:OUTP?", "C1:OUTP OFF,LOAD,HZ,PLRT,NOR")]
OUTP = ("C1:OUTP?", "C1:OUTP OFF,LOAD,HZ,PLRT,NOR")
BSWV = "C1:BSWV WVTP,ARB,FRQ,50HZ,PERI,0.02S,AMP,{}V,OFST,{}V,HLEV,2.5V,LLEV,-1.5V,PHSE,0"
BTWV = (
    "C1:BTWV?",
    "C1:BTWV STATE,ON,PRD,0.01S,STPS,0,TRSR,MAN,TRMD,OFF,TIME,3,DLAY,2.4e-07S,GATE_NCYC,NCYC,"
    "CARR,WVTP,ARB,FRQ,50HZ,AMP,4V,STATE,OFF",
)
SRATE = ("C1:SRATE?", "C1:SRATE MODE,TARB,VALUE,50000Sa/s,INTER,HOLD")
SYNC = ("C1:SYNC?", "C1:SYNC ON,TYPE,CH1")
READ_BACK = [OUTP, ("C1:BSWV?", BSWV.format("4.0004", "0.5")), SRATE, BTWV, SYNC]
CONFIGURE = [
    *OFF,
    ("C1:OUTP LOAD,HZ", None), OUTP,
    ("C1:OUTP PLRT,NOR", None), OUTP,
    ("C1:BSWV WVTP,ARB", None), ("C1:BSWV?", BSWV.format(4, 0)),
    ("C1:BSWV OFST,0", None), ("C1:BSWV?", BSWV.format(4, 0)),
    ("C1:BSWV AMP,4", None), ("C1:BSWV?", BSWV.format("4.0004", 0)),
    ("C1:BSWV OFST,0.5", None), ("C1:BSWV?", BSWV.format("4.0004", "0.5")),
    ("C1:SRATE MODE,TARB", None), SRATE,
    ("C1:SRATE VALUE,50000", None), SRATE,
    ("C1:SRATE INTER,HOLD", None), SRATE,
    ("C1:BTWV STATE,ON", None), BTWV,
    ("C1:BTWV GATE_NCYC,NCYC", None), BTWV,
    ("C1:BTWV TRSR,MAN", None), BTWV,
    ("C1:BTWV TIME,3", None), BTWV,
    ("C1:SYNC ON,TYPE,CH1", None), SYNC,
    *READ_BACK,
]  # fmt: skip
UPLOAD = [
    *OFF,
    ("C1:WVDT WVNM,emg,LENGTH,18B,WAVEDATA,", None),
    ("*OPC?", "1"),
    ("STL? USER", "STL WVNM,sinc_8M,EMG"),
]
ARM = [
    ("C1:ARWV NAME,emg", None), ("C1:ARWV?", "C1:ARWV INDEX,62,NAME,emg"),
    *READ_BACK,
    ("C1:OUTP ON", None), ("C1:OUTP?", "C1:OUTP ON,LOAD,HZ,PLRT,NOR"),
]  # fmt: skip


def test_play_once_sends_the_documented_commands_in_order(scripted):
    """Configure, upload, arm, trigger and leave: each message as the guide has it."""
    play = [("C1:BTWV MTRIG", None), ("*OPC?", "1"), *OFF]
    link = scripted([LARGE, *CONFIGURE, *UPLOAD, *ARM, *play])
    with SiglentSdg(link) as source:
        actual = source.configure(SETTINGS)
        source.upload("emg", np.linspace(-2, 2, 9), SETTINGS)
        source.arm()
        source.trigger()
    assert (actual.vpp_open_v, actual.load_ohm, actual.cycles) == (4.0004, math.inf, 3)
    assert link.is_closed


def test_codes_are_bare_little_endian_words_of_full_scale(scripted):
    """+AMP/2 is 32767; no block header."""
    link = scripted([LARGE, *UPLOAD])
    receipt = SiglentSdg(link).upload("emg", np.linspace(-2, 2, 9), SETTINGS)
    codes = np.frombuffer(link.sent_blocks[0], "<i2")
    assert (codes[0], codes[4], codes[8]) == (-32767, 0, 32767)
    assert (receipt.n_bytes, receipt.n_points) == (18, 9)


def test_a_converter_of_14_bits_gets_codes_that_it_has(scripted):
    """Steps of four, and the rounding that it will really do is what is told."""
    volts = np.random.default_rng(0).uniform(-2, 2, 20_000)[:16_384]
    upload = [("C1:WVDT WVNM,emg,LENGTH,32768B,WAVEDATA,", None), *UPLOAD[3:]]
    link = scripted([SMALL, *OFF, *upload])
    source = SiglentSdg(link)
    receipt = source.upload("emg", volts, SETTINGS)
    codes = np.frombuffer(link.sent_blocks[0], "<i2").astype(float)
    assert set(codes % 4) == {0}
    assert receipt.quantisation_rms_v == pytest.approx(4 / 2**14 / math.sqrt(12), rel=0.02)
    errors_v = codes / 32767 * 2 - volts
    assert np.sqrt(np.mean(errors_v**2)) == pytest.approx(receipt.quantisation_rms_v, rel=1e-6)
    assert (source.caps.code_bits, source.caps.max_points) == (14, 16_384)


@pytest.mark.parametrize(
    ("query", "answer", "told"),
    [
        ("C1:OUTP?", "C1:OUTP OFF,LOAD,50,PLRT,NOR", "load_ohm"),
        ("C1:OUTP?", "C1:OUTP OFF,LOAD,HZ,PLRT,INVT", "PLRT"),
        ("C1:BSWV?", BSWV.format(8, "0.5"), "vpp_open_v"),
        ("C1:BSWV?", BSWV.format(4, "0.6"), "offset_open_v"),
        ("C1:SRATE?", "C1:SRATE MODE,DDS", "SRATE MODE was set to TARB"),
        ("C1:SRATE?", "C1:SRATE MODE,TARB,VALUE,50000Sa/s,INTER,LINE", "INTER"),
        ("C1:SRATE?", "C1:SRATE MODE,TARB,VALUE,60000Sa/s,INTER,HOLD", "rate_hz"),
        ("C1:BTWV?", "C1:BTWV STATE,OFF", "BTWV STATE was set to ON"),
        ("C1:BTWV?", BTWV[1].replace("TIME,3", "TIME,INF"), "cycles"),
        ("C1:SYNC?", "C1:SYNC OFF,TYPE,CH1", "SYNC STATE"),
    ],
)
def test_any_setting_that_changed_is_seen_before_the_output_is_on(scripted, query, answer, told):
    """Everything is read once more in ``arm``."""
    found = [(sent, answer if sent == query else was) for sent, was in READ_BACK]
    asked = [sent for sent, _ in READ_BACK]
    # the groups are read first and judged then, so all five questions are asked
    link = scripted([LARGE, *CONFIGURE, *UPLOAD, *ARM[:2], *found[: len(asked)]])
    source = SiglentSdg(link)
    source.configure(SETTINGS)
    source.upload("emg", np.zeros(9), SETTINGS)
    with pytest.raises(InstrumentError, match=told):
        source.arm()


def test_a_setting_that_is_ignored_without_a_word_is_an_error(scripted):
    """The dialect has no error queue: the answer is the only sign."""
    script = [LARGE, *CONFIGURE[:10], ("C1:BSWV AMP,4", None), ("C1:BSWV?", BSWV.format(2, 0))]
    with pytest.raises(InstrumentError, match="C1:BSWV AMP was set to 4, reads back 2V"):
        SiglentSdg(scripted(script)).configure(SETTINGS)


def test_a_waveform_that_was_not_stored_is_an_error(scripted):
    """On a raw socket it may have swallowed what came after it."""
    script = [LARGE, *UPLOAD[:-1], ("STL? USER", "STL WVNM,other")]
    with pytest.raises(InstrumentError, match="emg was sent and is not among those") as caught:
        SiglentSdg(scripted(script)).upload("emg", np.zeros(9), SETTINGS)
    assert "::INSTR" in caught.value.todo


@pytest.mark.parametrize("model", ["SDG6022X", "SDG5082", "SDS1104X HD", "33522B"])
def test_another_model_is_refused_by_name(scripted, model):
    """Also other series of the maker, whose limits this driver does not know."""
    with pytest.raises(InstrumentError, match="SDG1000X or SDG2000X"):
        SiglentSdg(scripted([("*IDN?", f"Siglent Technologies,{model},1,2")])).identify()


def test_the_longest_waveform_of_the_small_model_is_a_third_of_a_second(scripted):
    """16 384 points at 50 kSa/s."""
    with pytest.raises(UsageError) as caught:
        SiglentSdg(scripted([SMALL])).upload("emg", np.zeros(16_385), SETTINGS)
    assert "at most 0.32768 s at 50000 Hz" in caught.value.todo


@pytest.mark.parametrize(
    "answer", ["", "C2:OUTP ON,LOAD,HZ", "C1:OUTP", "C1:OUTP ON,LOAD", "C1:BSWV WVTP,SINE"]
)
def test_an_answer_of_another_form_is_an_error(answer):
    """Another header, or a key without its value."""
    with pytest.raises(InstrumentError, match="pairs of key and value"):
        read_fields(answer, "C1:OUTP", "there")


@given(st.text(max_size=60))
def test_any_answer_is_read_or_refused(text):
    """Nothing else is raised."""
    for answer in (text, f"C1:OUTP {text}"):
        try:
            fields = read_fields(answer, "C1:OUTP", "there")
        except InstrumentError:
            continue
        assert all(isinstance(value, str) for value in fields.values())
