"""What is particular to the Rigol DG driver; the rest is in the contract."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import SourceSettings
from emgsim.instruments.rigol_dg import MIN_POINTS, PACKET_POINTS, RigolDg, packets

IDN = ("*IDN?", "Rigol Technologies,DG1022Z,DG1ZA000001,03.01.12")
NO_ERROR = (":SYST:ERR?", '0,"No error"')
OFF = (":OUTP1 OFF;:OUTP1?", "OFF")
SETTINGS = SourceSettings(rate_hz=50e3, vpp_open_v=4.0, filter="OFF")


def test_codes_are_little_endian_from_0_to_16383_in_packets(scripted):
    """All but the last packet say CON; the digest is that of all of them."""
    con = (":SOUR1:TRAC:DATA:DAC16 VOLATILE,CON,", None)
    end = (":SOUR1:TRAC:DATA:DAC16 VOLATILE,END,", None)
    done = ("*OPC?", "1")
    link = scripted([IDN, OFF, con, done, con, done, end, done, done, NO_ERROR])
    receipt = RigolDg(link).upload("emg", np.linspace(-2, 2, 20_000), SETTINGS)
    codes = np.concatenate(link.sent_blocks)
    assert [block.size for block in link.sent_blocks] == [8192, 8192, 3616]
    assert codes.dtype.str == "<u2"
    assert (codes[0], codes[-1], receipt.n_bytes) == (0, 16_383, 40_000)


@given(st.integers(MIN_POINTS, 100_000))
def test_packets_cover_the_waveform_and_none_is_too_short(n_points):
    """Of 8 to 8192 points, one after the other."""
    found = packets(n_points)
    assert (found[0][0], found[-1][1]) == (0, n_points)
    assert all(stop == start for (_, stop), (start, _) in itertools.pairwise(found))
    assert all(MIN_POINTS <= stop - start <= PACKET_POINTS for start, stop in found)


@pytest.mark.parametrize(("model", "seconds"), [("DG1022Z", 40), ("DG1062Z", 160), ("DG812", 160)])
def test_the_longest_waveform_depends_on_the_model(scripted, model, seconds):
    """2 or 8 million points at 50 kSa/s."""
    link = scripted([("*IDN?", f"Rigol Technologies,{model},1,2")])
    with pytest.raises(UsageError) as caught:
        RigolDg(link).upload("emg", np.zeros(8_000_001), SETTINGS)
    assert f"at most {seconds} s at 50000 Hz" in caught.value.todo


@pytest.mark.parametrize("model", ["DG4162", "DG2052", "DS1054Z"])
def test_another_model_is_refused_by_name(scripted, model):
    """Other series of the maker speak other dialects."""
    with pytest.raises(InstrumentError, match="DG800 or DG1000Z"):
        RigolDg(scripted([("*IDN?", f"Rigol Technologies,{model},1,2")])).identify()
