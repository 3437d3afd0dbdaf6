"""The virtual Siglent oscilloscope, without a wire."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.plant.physics import RigPhysics, ScopePhysics
from emgsim.plant.world import GeneratorSettings, World
from emgsim.virtual.siglent_scope import VirtualSiglentScope
from emgsim.virtual.siglent_scope_record import (
    Acquisition,
    ChannelScale,
    describe,
    encode,
    rate_for,
)
from emgsim.virtual.siglent_scope_values import step_below

OK = '+0,"No error"'
SET_UP = (
    ":CHAN1:SWIT ON", ":CHAN1:SCAL 1", ":CHAN2:SWIT ON", ":TIM:SCAL 0.05", ":TIM:DEL 0.25",
    ":ACQ:MMAN FSR", ":ACQ:SRAT 2E4", ":TRIG:EDGE:SOUR EX5", ":TRIG:EDGE:LEV 1", ":WAV:WIDT WORD",
)  # fmt: skip


class Bench:
    """An oscilloscope, and a generator that plays one second of a slow ramp."""

    def __init__(self, bits: int = 12) -> None:
        self.world = World(RigPhysics(scope=ScopePhysics(adc_bits=bits)), seed=1)
        self.scope = VirtualSiglentScope(self.world)
        ramp = np.linspace(-32767, 32767, 10_000).astype(np.int16)
        self.world.generator.set_waveform(ramp)
        self.world.generator.apply(GeneratorSettings(rate_hz=10e3, vpp_open_v=4.0, output_on=True))
        for message in SET_UP:
            self.ask(message)
        assert self.ask("SYST:ERR?") == OK

    def raw(self, message: str) -> bytes:
        """Return the answer to a message as bytes."""
        return self.scope.engine.execute(message.encode())

    def ask(self, message: str) -> str:
        """Return the answer to a message as text."""
        return self.raw(message).decode("latin-1").strip()

    def block(self, message: str) -> bytes:
        """Return a block's data; nine digits of length, and two line feeds after it."""
        answer = self.raw(message)
        assert answer.startswith(b"#9")
        assert answer.endswith(b"\n\n")
        assert int(answer[2:11]) == len(answer) - 13
        return answer[11:-2]

    def record(self) -> np.ndarray:
        """Take a record, and return the volts of the selected channel by the guide's formula."""
        self.ask(":TRIG:MODE SING")
        self.world.generator.trigger()
        states = [self.ask(":TRIG:STAT?") for _ in range(80)]
        assert states[-1] == "Stop"
        return self.volts()

    def volts(self) -> np.ndarray:
        """Scale the data: codes over codes per division times volts per division, less offset."""
        told = self.block(":WAV:PRE?")
        gain, offset, codes = struct.unpack_from("<fff", told, 156)
        (probe,) = struct.unpack_from("<f", told, 328)
        is_word = struct.unpack_from("<h", told, 32)[0] == 1
        data = np.frombuffer(self.block(":WAV:DATA?"), "<i2" if is_word else "i1").astype(float)
        assert data.nbytes // 8 == struct.unpack_from("<i", told, 116)[0]
        return data / codes * gain * probe - offset * probe


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(("bits", "model"), [(12, "SDS1102X HD"), (8, "SDS2102X Plus")])
def test_the_model_follows_from_the_bits(bits: int, model: str) -> None:
    """Twelve bits make an HD model, eight a Plus."""
    assert Bench(bits).ask("*IDN?").split(",")[:2] == ["Siglent Technologies", model]


@pytest.mark.parametrize(("bits", "width"), [(12, "WORD"), (8, "BYTE"), (8, "WORD")])
def test_a_record_shows_the_played_ramp_in_volts(bits: int, width: str) -> None:
    """Ten divisions of 0.05 s at 20 kSa/s: 10 000 points of a ramp of 4 V/s from -2 V on."""
    bench = Bench(bits)
    bench.ask(f":WAV:WIDT {width}")
    volts = bench.record()
    assert volts.size == 10_000
    times_s = np.arange(volts.size) / 20e3
    late = times_s > 0.01
    slope, start = np.polyfit(times_s[late], volts[late], 1)
    assert slope == pytest.approx(4.0 * 10_010 / 10_060, rel=0.01)
    assert start == pytest.approx(-2.0, abs=0.02)
    assert bench.ask("SYST:ERR?") == OK


def test_bytes_of_a_12_bit_model_are_the_upper_halves_of_its_words(bench: Bench) -> None:
    """The descriptor still tells the codes of words, so its formula is 256 times too small."""
    words = bench.record()
    bench.ask(":WAV:WIDT BYTE")
    np.testing.assert_allclose(256 * bench.volts(), words, atol=1 / 30)


def test_a_record_is_sent_piece_by_piece(bench: Bench) -> None:
    """Start, number and interval choose the points; the descriptor tells how many come."""
    bench.record()
    every = np.frombuffer(bench.block(":WAV:DATA?"), "<i2")
    bench.ask(":WAV:STAR 9000")
    assert np.array_equal(np.frombuffer(bench.block(":WAV:DATA?"), "<i2"), every[9000:])
    bench.ask(":WAV:STAR 10")
    bench.ask(":WAV:POIN 100")
    bench.ask(":WAV:INT 7")
    told = bench.block(":WAV:PRE?")
    assert struct.unpack_from("<ii", told, 132) == (10, 7)
    assert struct.unpack_from("<i", told, 116) == (100,)
    assert np.array_equal(np.frombuffer(bench.block(":WAV:DATA?"), "<i2"), every[10:710:7])


def test_probe_and_offset_are_volts_at_the_tip(bench: Bench) -> None:
    """Ten to one: ten times the volts; the offset moves the trace and not the volts."""
    bench.ask(":CHAN1:PROB VAL,10")
    bench.ask(":CHAN1:OFFS 5")
    assert bench.ask(":CHAN1:SCAL?") == "1.00E+01"
    volts = bench.record()
    assert np.ptp(volts) == pytest.approx(20, rel=0.1)
    assert volts[:200].mean() == pytest.approx(-20, abs=0.4)


def test_a_delayed_screen_begins_later(bench: Bench) -> None:
    """0.45 s at the centre, so 0.2 s at the left edge."""
    bench.ask(":TIM:DEL 0.45")
    assert bench.record()[:200].mean() == pytest.approx(-2.0 + 4 * 0.2, abs=0.04)


def test_points_before_the_trigger_are_refused(bench: Bench) -> None:
    """They are not modelled, and nothing is made up for them."""
    bench.ask(":TIM:DEL 0")
    bench.ask(":TRIG:MODE SING")
    assert bench.ask("SYST:ERR?").startswith("-221")


@pytest.mark.parametrize("message", [":TRIG:EDGE:SOUR C1", ":ACQ:TYPE ERES,2.0"])
def test_what_is_not_modelled_is_refused_and_not_played_at(bench: Bench, message: str) -> None:
    """Another trigger or another type is taken, and no record is."""
    bench.ask(message)
    bench.ask(":TRIG:MODE SING")
    assert bench.ask("SYST:ERR?").startswith("-221")


def test_without_a_trigger_it_stays_ready_and_has_no_data(bench: Bench) -> None:
    """Asking moves no time then."""
    bench.ask(":TRIG:MODE SING")
    assert {bench.ask(":TRIG:STAT?") for _ in range(5)} == {"Ready"}
    assert bench.block(":WAV:DATA?") == b""
    assert bench.ask("SYST:ERR?").startswith("-230")
    bench.ask(":TRIG:STOP")
    assert bench.ask(":TRIG:STAT?") == "Stop"
    assert bench.block(":WAV:DATA?") == b""


def test_a_stopped_one_tells_of_its_last_record_and_a_running_one_of_the_next(
    bench: Bench,
) -> None:
    """A driver must read rate and points while it runs."""
    assert bench.ask(":ACQ:POIN?") == "1.00E+04"
    bench.ask(":TRIG:STOP")
    bench.ask(":TIM:SCAL 0.5")
    assert bench.ask(":ACQ:POIN?") == "1.00E+04"
    bench.ask(":TRIG:RUN")
    assert bench.ask(":ACQ:POIN?") == "1.00E+05"


def test_rate_and_depth_are_ignored_where_the_memory_is_managed_otherwise(bench: Bench) -> None:
    """Without an error."""
    bench.ask(":ACQ:MMAN AUTO")
    bench.ask(":ACQ:SRAT 1E3")
    assert bench.ask(":ACQ:SRAT?") == "1.00E+08"  # 50 M points of half a second
    bench.ask(":ACQ:MDEP 10K")
    assert bench.ask(":ACQ:MDEP?") == "AUTO"
    bench.ask(":ACQ:MMAN FMD")
    bench.ask(":ACQ:MDEP 10k")
    assert (bench.ask(":ACQ:MDEP?"), bench.ask(":ACQ:SRAT?")) == ("10K", "2.00E+04")
    assert bench.ask("SYST:ERR?") == OK


def test_steps_are_rounded_down(bench: Bench) -> None:
    """1, 2, 5: never more than asked, so a driver must ask for the larger one."""
    bench.ask(":CHAN1:SCAL 0.9")
    bench.ask(":TIM:SCAL 0.49")
    assert (bench.ask(":CHAN1:SCAL?"), bench.ask(":TIM:SCAL?")) == ("5.00E-01", "2.00E-01")


def test_a_source_that_is_off_becomes_the_mains(bench: Bench) -> None:
    """Without an error."""
    bench.ask(":CHAN2:SWIT OFF")
    bench.ask(":TRIG:EDGE:SOUR C2")
    assert bench.ask(":TRIG:EDGE:SOUR?") == "LINE"
    assert bench.ask("SYST:ERR?") == OK


@pytest.mark.parametrize(("source", "level"), [("EX", "6.10E-01"), ("EX5", "1.00E+00")])
def test_the_plain_external_trigger_is_too_small_for_ttl(
    bench: Bench, source: str, level: str
) -> None:
    """0.61 V, and five times as much through its divider."""
    bench.ask(f":TRIG:EDGE:SOUR {source}")
    bench.ask(":TRIG:EDGE:LEV 1")
    assert bench.ask(":TRIG:EDGE:LEV?") == level


def test_a_reset_forgets_the_record_and_runs(bench: Bench) -> None:
    """After ``*RST`` the screen is that of the factory, and no data are left."""
    bench.record()
    bench.ask("*RST")
    assert bench.ask(":TRIG:STAT?") == "Auto"
    assert bench.ask(":TIM:SCAL?") == "1.00E-06"
    assert bench.block(":WAV:DATA?") == b""


def test_words_are_left_justified() -> None:
    """Twelve bits stand at the top of sixteen, bytes are their upper half."""
    codes = np.array([-2048, -1, 0, 2047], np.int16)
    assert np.frombuffer(encode(codes, 12, "WORD"), "<i2").tolist() == [-32768, -16, 0, 32752]
    assert np.frombuffer(encode(codes, 12, "BYTE"), "i1").tolist() == [-128, -1, 0, 127]


def test_the_descriptor_has_the_guides_fields_at_their_places() -> None:
    """Name, type, counts, gain, offset, codes, interval, delay, time base and probe."""
    scale = ChannelScale(v_per_div=2.0, offset_v=-1.0, probe=10.0)
    told = describe(
        Acquisition(50e3, 1000, 0.0, 2e-3, 0.01, {2: scale}), 2, instrument="Siglent SDS",
        width="WORD", has_many_bits=True, n_sent=500, first=3, interval=2,
    )  # fmt: skip
    assert len(told) == 346
    assert told[:8] == b"WAVEDESC"
    assert struct.unpack_from("<h", told, 32) == (1,)
    assert struct.unpack_from("<i", told, 60) == (1000,)
    assert struct.unpack_from("<fff", told, 156) == pytest.approx((0.2, -0.1, 7680))
    assert struct.unpack_from("<f", told, 176) == pytest.approx((2e-5,))
    assert struct.unpack_from("<d", told, 180) == (0.01,)
    assert struct.unpack_from("<h", told, 324) == (21,)
    assert struct.unpack_from("<f", told, 328) == (10,)
    assert struct.unpack_from("<h", told, 344) == (1,)


@given(st.floats(1e-9, 1e9))
def test_a_step_is_1_2_or_5_and_not_above(value: float) -> None:
    """And the next one would be."""
    step = step_below(value)
    assert f"{step:.0e}"[0] in "125"
    assert step <= value * (1 + 1e-9) < 2.5 * step * (1 + 1e-6)


def test_the_rate_is_what_the_memory_holds() -> None:
    """50 M points of 20 s are 2 MSa/s; 40 kSa/s come down to 20."""
    assert rate_for(20, "AUTO", 10_000, 1.0) == 2e6
    assert rate_for(20, "FMDepth", 10_000, 1.0) == 500
    assert rate_for(20, "FSRate", 10_000, 20e3) == 20e3
    assert rate_for(1e4, "FSRate", 10_000, 50e3) == 5e3
