"""What is particular to the Tektronix AFG driver; the rest is in the contract."""

import numpy as np
import pytest

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import SourceSettings
from emgsim.instruments.tektronix_afg import TektronixAfg

IDN = ("*IDN?", "TEKTRONIX,AFG31052,C010001,SCPI:99.0 FV:1.5.2")
NO_ERROR = (":SYST:ERR?", '0,"No error"')
OFF = (":OUTP1:STAT OFF;:OUTP1:STAT?", "0")
SETTINGS = SourceSettings(rate_hz=50e3, vpp_open_v=4.0, filter="OFF")
UPLOAD = [OFF, (":TRAC:DATA EMEM,", None), ("*OPC?", "1"), NO_ERROR, (":TRAC:POIN? EMEM", "9")]


def test_codes_are_big_endian_from_0_to_16382(scripted):
    """8191 is the middle."""
    link = scripted([IDN, *UPLOAD])
    receipt = TektronixAfg(link).upload("emg", np.linspace(-2, 2, 9), SETTINGS)
    codes = link.sent_blocks[0]
    assert codes.dtype.str == ">u2"
    assert (codes[0], codes[4], codes[8]) == (0, 8191, 16_382)
    assert receipt.n_bytes == 18


def test_a_block_that_was_cut_short_is_seen(scripted):
    """The memory is asked how many points it has."""
    script = [*UPLOAD[:-1], (":TRAC:POIN? EMEM", "5")]
    with pytest.raises(InstrumentError, match="length was set to 9, but reads back 5"):
        TektronixAfg(scripted([IDN, *script])).upload("emg", np.zeros(9), SETTINGS)


def test_the_longest_waveform_is_two_and_a_half_seconds(scripted):
    """131 072 points at 50 kSa/s."""
    with pytest.raises(UsageError) as caught:
        TektronixAfg(scripted([IDN])).upload("emg", np.zeros(131_073), SETTINGS)
    assert "at most 2.62144 s at 50000 Hz" in caught.value.todo


@pytest.mark.parametrize(
    ("model", "channels"),
    [("AFG3152C", 2), ("AFG3021B", 1), ("AFG31251", 1), ("AFG3102", 2), ("AFG31102", 2)],
)
def test_both_series_are_known_by_their_models(scripted, model, channels):
    """The last digit is the number of channels."""
    link = scripted([("*IDN?", f"TEKTRONIX,{model},C1,SCPI:99.0 FV:1")] * 2)
    source = TektronixAfg(link)
    assert source.identify().model == model
    assert source.caps.channels == channels


@pytest.mark.parametrize("model", ["AFG1062", "AWG5204", "TDS2024"])
def test_another_model_is_refused_by_name(scripted, model):
    """An AFG1000 speaks another dialect."""
    with pytest.raises(InstrumentError, match="AFG3000 or AFG31000"):
        TektronixAfg(scripted([("*IDN?", f"TEKTRONIX,{model},1,2")])).identify()
