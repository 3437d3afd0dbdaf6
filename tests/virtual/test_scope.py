"""The virtual InfiniiVision, without a wire."""

import numpy as np
import pytest

from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import GeneratorSettings, World
from emgsim.virtual.acquisition import encode, rate_for
from emgsim.virtual.scope import VirtualScope

OK = '+0,"No error"'


class Bench:
    """A scope, and a generator that plays one second of a slow ramp."""

    def __init__(self) -> None:
        self.world = World(RigPhysics(), seed=1)
        self.scope = VirtualScope(self.world)
        ramp = np.linspace(-32767, 32767, 10_000).astype(np.int16)
        self.world.generator.set_waveform(ramp)
        self.world.generator.apply(GeneratorSettings(rate_hz=10e3, vpp_open_v=4.0, output_on=True))
        self.raw(
            b":TRIG:SOUR EXT;SWE NORM;:TIM:RANG 0.5;REF LEFT;POS 0.05;:CHAN1:RANG 8;"
            b":CHAN2:RANG 8;:ACQ:TYPE HRES;:WAV:FORM WORD;BYT LSBF;UNS 0;POIN:MODE RAW"
        )

    def raw(self, message: bytes) -> bytes:
        """Return the answer to a message as bytes."""
        return self.scope.engine.execute(message)

    def ask(self, message: str) -> str:
        """Return the answer to a message as text."""
        return self.raw(message.encode()).decode("latin-1").strip()

    def block(self, dtype: str, message: bytes = b":WAV:DATA?") -> "np.ndarray":
        """Return a block's data."""
        answer = self.raw(message)
        assert answer.startswith(b"#8")
        assert int(answer[2:10]) == len(answer) - 11
        return np.frombuffer(answer[10:-1], dtype)

    def volts(self, data: "np.ndarray") -> "np.ndarray":
        """Scale data by the preamble, as the manual says."""
        preamble = [float(word) for word in self.ask(":WAV:PRE?").split(",")]
        assert preamble[2] == data.size
        return (data.astype(float) - preamble[9]) * preamble[7] + preamble[8]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("range_s", "rate_hz"), [(14, 50e3), (10, 100e3), (20, 50e3), (21, 20e3), (1e-3, 1e9)]
)
def test_the_rate_is_the_largest_of_its_series_that_the_memory_holds(
    range_s: float, rate_hz: float
) -> None:
    """A record takes at most half of the 2 M points."""
    assert rate_for(range_s) == pytest.approx(rate_hz)


def test_a_record_shows_the_played_ramp_in_volts(bench: Bench) -> None:
    """Armed and triggered, the record is the ramp from the trigger on."""
    bench.ask(":SING")
    bench.world.generator.trigger()
    volts = bench.volts(bench.block("<i2"))
    assert volts.size == 1_000_000
    times_s = np.arange(volts.size) / 2e6
    late = times_s > 0.01
    slope, start = np.polyfit(times_s[late], volts[late], 1)
    assert slope == pytest.approx(4.0, rel=0.01)
    assert start == pytest.approx(-2.0, abs=0.05)
    assert bench.ask("SYST:ERR?") == OK


@pytest.mark.parametrize(
    ("form", "dtype"),
    [
        ("FORM WORD;BYT MSBF;UNS 0", ">i2"),
        ("FORM WORD;BYT MSBF;UNS 1", ">u2"),
        ("FORM WORD;BYT LSBF;UNS 1", "<u2"),
        ("FORM BYTE;UNS 1", "u1"),
        ("FORM BYTE;UNS 0", "i1"),
    ],
)
def test_every_format_tells_the_same_volts(bench: Bench, form: str, dtype: str) -> None:
    """Bytes are coarser; all else is a matter of writing."""
    bench.ask(":TIM:RANG 0.1;POS 0.01;:SING")
    bench.world.generator.trigger()
    reference = bench.volts(bench.block("<i2"))
    bench.ask(f":WAV:{form}")
    step_v = 8 / 256 if "BYTE" in form else 1e-9
    np.testing.assert_allclose(bench.volts(bench.block(dtype)), reference, atol=step_v)


def test_ascii_is_volts(bench: Bench) -> None:
    """The ASCII format needs no scale."""
    bench.ask(":TIM:RANG 0.1;POS 0.01;:WAV:POIN 1000;:SING")
    bench.world.generator.trigger()
    reference = bench.volts(bench.block("<i2"))
    text = bench.raw(b":WAV:FORM ASC;DATA?")[10:].decode()
    np.testing.assert_allclose([float(word) for word in text.split(",")], reference, atol=1e-4)


def test_words_are_left_justified_and_unsigned_ones_never_zero() -> None:
    """Twelve bits stand at the top of sixteen; 0 would say that a point is missing."""
    codes = np.array([-2048, -1, 0, 2047], np.int16)
    signed = encode(codes, "WORD", bits=12, is_unsigned=False, is_big_endian=False)
    assert np.frombuffer(signed, "<i2").tolist() == [-32768, -16, 0, 32752]
    unsigned = encode(codes, "WORD", bits=12, is_unsigned=True, is_big_endian=True)
    assert np.frombuffer(unsigned, ">u2").tolist() == [1, 32752, 32768, 65520]


def test_the_left_reference_is_one_division_from_the_edge(bench: Bench) -> None:
    """Points before the trigger are not modelled: the record is shorter and says so."""
    bench.ask(":TIM:POS 0")
    assert bench.ask(":WAV:POIN?;XOR?") == "+900000;+0.00000000E+00"
    bench.ask(":TIM:POS 0.1")
    assert bench.ask(":WAV:POIN?;XOR?") == "+1000000;+5.00000000E-02"


def test_a_delayed_screen_skips_the_time_before_it(bench: Bench) -> None:
    """The first point is where XORigin says."""
    bench.ask(":TIM:POS 0.25;:SING")
    bench.world.generator.trigger()
    volts = bench.volts(bench.block("<i2"))
    assert volts[:200].mean() == pytest.approx(-2.0 + 4 * 0.2, abs=0.03)


def test_without_a_trigger_a_query_answers_nothing_and_an_error(bench: Bench) -> None:
    """The scope does not hang when no trigger can come."""
    bench.ask(":SING")
    assert bench.ask(":WAV:DATA?") == "#800000000"
    assert bench.ask("SYST:ERR?").startswith("-230")
    assert bench.ask("*OPC?") == "0"
    assert bench.ask("SYST:ERR?").startswith("-230")


def test_without_a_record_there_are_no_data(bench: Bench) -> None:
    """Nothing is made up for a scope that never ran, or a channel that was off."""
    assert bench.ask(":WAV:DATA?") == "#800000000"
    bench.ask("*CLS;:TIM:RANG 0.1;:CHAN2:DISP OFF;:SING;:WAV:SOUR CHAN2")
    bench.world.generator.trigger()
    assert bench.ask(":WAV:DATA?") == "#800000000"
    assert bench.ask("SYST:ERR?").startswith("-230")


def test_polling_the_condition_moves_time_until_the_record_is_done(bench: Bench) -> None:
    """Bit 3 is running, bit 5 waiting; a poller sees the end without any other command."""
    assert bench.ask(":OPER:COND?") == "+0"
    bench.ask(":TIM:RANG 0.1;:SING")
    assert bench.ask(":OPER:COND?;:TER?") == "+40;+0"
    bench.world.generator.trigger()
    polls = [bench.ask(":OPER:COND?") for _ in range(20)]
    assert polls == sorted(polls, reverse=True)
    assert {"+8", "+0"} == set(polls)
    assert bench.ask(":TER?;:TER?") == "+1;+0"


def test_a_trigger_that_is_not_wired_is_refused(bench: Bench) -> None:
    """Only the external trigger leads to the generator's sync."""
    bench.ask(":TRIG:EDGE:SOUR CHAN1;:SING")
    assert bench.ask("SYST:ERR?").startswith("-221")


def test_fewer_points_are_thinned_and_the_increment_says_so(bench: Bench) -> None:
    """Points times increment stay the length of the screen."""
    bench.ask(":TIM:RANG 0.1;POS 0.01;:WAV:POIN 1000;:SING")
    bench.world.generator.trigger()
    assert bench.block("<i2").size == 1000
    assert float(bench.ask(":WAV:XINC?")) == pytest.approx(1e-4)
    bench.ask(":WAV:POIN:MODE NORM;:WAV:POIN MAX")
    assert int(bench.ask(":WAV:POIN?")) <= 62_500


def test_a_probe_scales_range_and_data(bench: Bench) -> None:
    """With a 10:1 probe set, ranges and volts are ten times as large."""
    bench.ask(":CHAN1:PROB 10")
    assert float(bench.ask(":CHAN1:RANG?")) == 80
    bench.ask(":TIM:RANG 0.5;:SING")
    bench.world.generator.trigger()
    assert np.ptp(bench.volts(bench.block("<i2"))) == pytest.approx(20, rel=0.1)


def test_a_reset_stops_and_forgets(bench: Bench) -> None:
    """After ``*RST`` there is no record."""
    bench.ask(":SING;*RST")
    assert bench.ask(":OPER:COND?;*OPC?;:CHAN1:RANG?") == "+0;1;+8.000000000000000E+00"


def test_in_digitizer_mode_the_rate_is_the_one_that_was_set(bench: Bench) -> None:
    """Two million points hold 50 s at 40 kSa/s, and 100 s at half of it."""
    bench.ask(":ACQ:DIG ON;SRAT:AUTO OFF;:ACQ:SRAT:ANAL 4E4;:TIM:RANG 50")
    assert float(bench.ask(":ACQ:SRAT?")) == 40e3
    bench.ask(":TIM:RANG 100")
    assert float(bench.ask(":ACQ:SRAT:ANAL?")) == 20e3
    bench.ask(":TIM:RANG 0.5;POS 0.05;:SING")
    bench.world.generator.trigger()
    assert bench.block("<i2").size == 20_000
    assert bench.ask("SYST:ERR?") == OK


def test_an_automatic_rate_cannot_be_set(bench: Bench) -> None:
    """Outside digitizer mode the scope chooses it."""
    bench.ask(":ACQ:SRAT 4E4")
    assert bench.ask("SYST:ERR?").startswith("-221")
