"""The virtual 33522B, without a wire."""

import itertools

import numpy as np
import pytest

from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.generator import VirtualGenerator

OK = '+0,"No error"'


class Source:
    """A generator, its plant, and text in and out."""

    def __init__(self, **faults: bool) -> None:
        self.world = World(RigPhysics(), seed=1)
        self.engine = VirtualGenerator(self.world, **faults).engine

    def ask(self, message: str) -> str:
        """Return the answer to a message."""
        return self.engine.execute(message.encode()).decode().strip()

    def number(self, message: str) -> float:
        """Return the answer as a number."""
        return float(self.ask(message))

    def error(self, message: str) -> str:
        """Return the first error that a message leads to, and clear the rest."""
        self.engine.execute(message.encode())
        error = self.ask("SYST:ERR?")
        self.ask("*CLS")
        return error

    def upload(self, name: str, codes: "np.ndarray", byte_order: str = ">") -> str:
        """Store codes as a block and return the error."""
        block = codes.astype(f"{byte_order}i2").tobytes()
        self.engine.execute(b"DATA:ARB:DAC %s,#8%08d" % (name.encode(), len(block)) + block)
        return self.ask("SYST:ERR?")

    def arm(self, codes: "np.ndarray", cycles: int = 1) -> None:
        """Upload and arm a burst of 2 Vpp at 50 kSa/s, output on."""
        assert self.upload("emg", codes) == OK
        self.ask(
            "OUTP:LOAD INF;:VOLT 2;:VOLT:OFFS 0;:FUNC:ARB emg;:FUNC ARB;:FUNC:ARB:SRAT 50 KSA/S;"
            f":BURS:MODE TRIG;NCYC {cycles};STAT ON;:TRIG:SOUR BUS;:OUTP ON"
        )


@pytest.fixture
def source() -> Source:
    return Source()


RAMP = np.arange(-500, 500, dtype=np.int16) * 60


def test_the_identity_has_four_fields_and_the_model(source: Source) -> None:
    """Drivers find the model in the second field."""
    assert source.ask("*IDN?").split(",")[:2] == ["Agilent Technologies", "33522B"]


@pytest.mark.parametrize(("load", "shown"), [("50", 0.5), ("INF", 1.0), ("10000", 10000 / 10050)])
def test_the_load_changes_what_is_displayed_and_not_what_comes_out(
    source: Source, load: str, shown: float
) -> None:
    """The open-circuit voltage is V (50 + load) / load, whatever the load."""
    source.ask("VOLT 3;:VOLT:OFFS 1")
    before = source.world.generator.settings
    source.ask(f"OUTP:LOAD {load}")
    assert source.number("VOLT?") == pytest.approx(6 * shown)
    assert source.number("VOLT:OFFS?") == pytest.approx(2 * shown)
    assert source.number("VOLT:HIGH?") == pytest.approx(5 * shown)
    assert source.number("VOLT:LOW?") == pytest.approx(-1 * shown)
    assert source.world.generator.settings == before
    assert before.vpp_open_v == pytest.approx(6)


@pytest.mark.parametrize(("load", "limit"), [("50", 10), ("INF", 20)])
def test_an_amplitude_beyond_the_limit_is_clipped_and_reported(
    source: Source, load: str, limit: float
) -> None:
    """20 Vpp come out of an open circuit, 10 into 50 ohm."""
    source.ask(f"OUTP:LOAD {load}")
    assert source.error(f"VOLT {limit}") == OK
    assert source.error(f"VOLT {limit * 1.01}").startswith("-222")
    assert source.number("VOLT?") == limit == source.number("VOLT? MAX")


def test_offset_and_half_the_amplitude_stay_within_ten_volts(source: Source) -> None:
    """The offset gives way to the amplitude, and an offset without room is clipped."""
    source.ask("OUTP:LOAD INF;:VOLT 2;:VOLT:OFFS 9")
    assert source.error("VOLT:OFFS 9.01").startswith("-222")
    assert source.number("VOLT:OFFS?") == 9
    assert source.error("VOLT 4").startswith("-221")
    assert [source.number("VOLT?"), source.number("VOLT:OFFS?")] == [4, 8]


def test_high_and_low_move_one_level_each(source: Source) -> None:
    """Setting one level leaves the other where it is."""
    source.ask("OUTP:LOAD INF;:VOLT:LOW -1;HIGH 3")
    assert [source.number("VOLT?"), source.number("VOLT:OFFS?")] == [4, 1]
    source.ask("VOLT:LOW 2")
    assert [source.number("VOLT?"), source.number("VOLT:HIGH?")] == [1, 3]


def test_output_limits_hold_the_levels(source: Source) -> None:
    """With limits in force no level gets past them, and they never cut a present signal."""
    source.ask("OUTP:LOAD INF;:VOLT 2;:VOLT:OFFS 0;:VOLT:LIM:HIGH 1.5;LOW -1.5;STAT ON")
    assert source.error("VOLT 4").startswith("-222")
    assert source.number("VOLT?") == 3
    assert source.error("VOLT:LIM:HIGH 1").startswith("-221")
    assert source.number("VOLT:LIM:HIGH?") == 1.5


@pytest.mark.parametrize(("order", "border"), [(">", "NORM"), ("<", "SWAP")])
def test_blocks_are_read_in_the_byte_order_that_was_set(
    source: Source, order: str, border: str
) -> None:
    """NORMal is big-endian, SWAPped little-endian."""
    source.ask(f"FORM:BORD {border}")
    assert source.upload("emg", RAMP, order) == OK
    source.ask("FUNC:ARB emg;:FUNC ARB")
    np.testing.assert_array_equal(source.world.generator.codes, RAMP)


def test_integers_floats_and_blocks_store_the_same_waveform(source: Source) -> None:
    """Lists and blocks, codes and values are four ways to one waveform."""
    values = (RAMP / 32767).astype(">f4")
    lists = {
        "a": b"DATA:ARB:DAC a, " + b", ".join(b"%d" % code for code in RAMP),
        "b": b"DATA:ARB b, " + b",".join(b"%.9f" % value for value in RAMP / 32767),
        "c": b"DATA:ARB c,#44000" + values.tobytes(),
        "d": b"DATA:ARB:DAC d,#42000" + RAMP.astype(">i2").tobytes(),
    }
    for name, message in lists.items():
        source.engine.execute(message + b"\n")
        source.ask(f"FUNC ARB;:FUNC:ARB {name}")
        np.testing.assert_array_equal(source.world.generator.codes, RAMP)
    assert source.ask("SYST:ERR?") == OK


def test_a_name_can_be_used_once_until_the_memory_is_cleared(source: Source) -> None:
    """Case does not tell names apart; clearing frees all of them."""
    assert source.upload("emg", RAMP) == OK
    assert source.upload("EMG", RAMP).startswith("+785")
    assert source.ask("DATA:VOL:CAT?") == '"INT:\\BUILTIN\\EXP_RISE.ARB","emg"'
    assert source.ask('DATA:ARB:POIN? "emg";:DATA:VOL:FREE?') == "+1000;+15999000"
    source.ask("DATA:VOL:CLE")
    assert source.upload("EMG", RAMP) == OK


@pytest.mark.parametrize(
    ("n_points", "error"), [(7, "-222"), (8, OK), (16_000_000, OK), (16_000_001, "+781")]
)
def test_the_memory_takes_eight_points_to_sixteen_million(
    source: Source, n_points: int, error: str
) -> None:
    """Less and more are refused."""
    assert source.upload("emg", np.zeros(n_points, np.int16)).startswith(error)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("DATA:ARB:DAC a,32768,0,0,0,0,0,0,0", "-222"),
        ("DATA:ARB a,1.1,0,0,0,0,0,0,0", "-222"),
        ("DATA:ARB a,nan,0,0,0,0,0,0,0", "-222"),
        ("DATA:ARB a,x,0,0,0,0,0,0,0", "-104"),
        ("DATA:ARB:DAC a,#3015" + "x" * 15, "-161"),
        ("DATA:ARB:DAC a,#3016" + "x" * 15, "-161"),
        ("DATA:ARB:DAC 7,0,0,0,0,0,0,0,0", "-104"),
        ("DATA:ARB:DAC a", "-109"),
        ("FUNC:ARB nowhere", "+786"),
        ("FUNC:ARB:SRAT 251e6", "-222"),
        ("FUNC:ARB:SRAT 0.9e-6", "-222"),
        ("FREQ 31 MHZ", "-222"),
        ("FUNC FOO", "-224"),
        ("VOLT 1 VRMS", "-131"),
        ("OUTP:LOAD INF;:VOLT:UNIT DBM", "-221"),
        ("FREQ 1e6;:FUNC RAMP", "-221"),
        ("FUNC:PULS:WIDT 2", "-221"),
        ("DATA:SEQ #10", "-113"),
    ],
)
def test_what_the_instrument_cannot_do_is_reported(
    source: Source, message: str, error: str
) -> None:
    """Each mistake has the number of the real instrument."""
    assert source.error(message).startswith(error)


def test_a_trigger_plays_the_burst_once(source: Source) -> None:
    """Armed and on, a bus trigger plays all cycles and ``*OPC?`` waits for their end."""
    source.arm(RAMP, cycles=5)
    played = source.world.generator
    assert (played.settings.rate_hz, played.settings.cycles) == (50e3, 5)
    assert (played.settings.vpp_open_v, played.settings.output_on) == (2.0, True)
    assert played.n_triggers == 0
    assert source.ask("*TRG;*OPC?") == "1"
    assert played.n_triggers == 1
    assert 0.1 < source.world.now_s < 0.2


@pytest.mark.parametrize("setting", ["BURS:STAT OFF", "TRIG:SOUR IMM", "BURS:MODE GAT"])
def test_a_trigger_that_nobody_waits_for_is_ignored(source: Source, setting: str) -> None:
    """Without an armed burst ``*TRG`` answers -211."""
    source.arm(RAMP)
    source.ask(setting)
    assert source.error("*TRG").startswith("-211")


def test_nothing_plays_while_the_output_is_off(source: Source) -> None:
    """A trigger with the output off is taken and plays nothing."""
    source.arm(RAMP)
    assert source.error("OUTP OFF;*TRG") == OK
    assert source.world.generator.n_triggers == 0


def test_a_reset_ends_the_burst_and_switches_off(source: Source) -> None:
    """``*RST`` is the way to the safe state."""
    source.arm(RAMP, cycles=1000)
    source.ask("*TRG;*RST")
    source.world.advance(0.02)
    assert not source.world.generator.is_playing
    assert source.ask("OUTP?;:BURS:STAT?;:FUNC?;:TRIG:SOUR?") == "0;0;SIN;IMM"


def test_a_sine_plays_without_a_trigger(source: Source) -> None:
    """Without burst mode a waveform runs as long as the output is on."""
    source.ask("FREQ 100;:OUTP ON")
    source.world.advance(0.5)
    assert source.world.generator.is_playing
    source.ask("OUTP OFF")
    assert not source.world.generator.is_playing


def test_the_second_channel_is_wired_to_nothing(source: Source) -> None:
    """Its settings are its own and reach no plant."""
    before = source.world.generator.settings
    source.ask("SOUR2:VOLT 5;:SOUR2:FREQ 2e3;:OUTP2 ON")
    assert source.world.generator.settings == before
    assert source.ask("OUTP?;:OUTP2?") == "0;1"


def test_the_amplitude_can_be_shown_as_rms_and_as_power(source: Source) -> None:
    """10 dBm into 50 ohm are 0.707 Vrms, or 2 Vpp of a sine."""
    source.ask("VOLT 2;:VOLT:UNIT VRMS")
    assert source.number("VOLT?") == pytest.approx(np.sqrt(0.5), rel=1e-4)
    source.ask("VOLT:UNIT DBM")
    assert source.number("VOLT?") == pytest.approx(10, abs=1e-3)
    source.ask("VOLT 0;:VOLT:UNIT VPP")
    assert source.number("VOLT?") == pytest.approx(0.6325, rel=1e-3)


def test_an_error_on_purpose_refuses_every_upload() -> None:
    """The fault ``source_error`` answers -310 and stores nothing."""
    source = Source(has_source_error=True)
    assert source.upload("emg", RAMP).startswith("-310")
    assert source.ask("DATA:VOL:FREE?") == "+16000000"


def test_levels_set_in_any_order_are_what_was_asked(source: Source) -> None:
    """With room for all, the order of load, amplitude and offset does not matter."""
    parts = ["OUTP:LOAD INF", "FUNC:ARB:SRAT 1e5", "BURS:NCYC 3"]
    for order in itertools.permutations(parts):
        source.ask("*RST")
        source.ask(";:".join(order) + ";:VOLT 6;:VOLT:OFFS -2")
        settings = source.world.generator.settings
        assert (settings.vpp_open_v, settings.offset_open_v) == (6, -2)


@pytest.mark.parametrize(("hold", "width_s", "duty_pct"), [("WIDT", 2e-4, 10), ("DCYC", 4e-4, 20)])
def test_a_pulse_keeps_its_width_or_its_duty_cycle(
    source: Source, hold: str, width_s: float, duty_pct: float
) -> None:
    """When the period doubles, what is held stays and the other one follows."""
    source.ask(f"FUNC PULS;:FUNC:PULS:PER 1e-3;WIDT 2e-4;HOLD {hold};PER 2e-3")
    assert source.number("FUNC:PULS:WIDT?") == pytest.approx(width_s)
    assert source.number("FUNC:PULS:DCYC?") == pytest.approx(duty_pct)


def test_a_pulse_that_no_longer_fits_is_shortened_and_reported(source: Source) -> None:
    """The width gives way to the period."""
    source.ask("FUNC PULS;:FUNC:PULS:PER 1e-3;WIDT 8e-4")
    assert source.error("FUNC:PULS:PER 5e-4").startswith("-221")
    assert source.number("FUNC:PULS:WIDT?") < 5e-4
