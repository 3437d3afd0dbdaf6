"""The virtual Rigol generator against its programming guides."""

import numpy as np
import pytest

from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.rigol_generator import VirtualRigolGenerator

OK = '+0,"No error"'
RAMP = np.arange(0, 16_384, 4).astype("<u2")


class Bench:
    """A generator on a plant, spoken to without a wire."""

    def __init__(self) -> None:
        self.world = World(RigPhysics(), seed=1)
        self.engine = VirtualRigolGenerator(self.world).engine

    def ask(self, message: str) -> str:
        """Return the answer to a message."""
        return self.engine.execute(message.encode()).decode().strip()

    def packet(self, codes: np.ndarray, word: str = "END") -> str:
        """Send a packet and return the error."""
        data = codes.tobytes()
        head = b":SOUR1:TRAC:DATA:DAC16 VOLATILE,%s,#8%08d" % (word.encode(), len(data))
        self.engine.execute(head + data)
        return self.ask("SYST:ERR?")

    def arm(self) -> None:
        """Wait for a trigger with a ramp of 2 Vpp at 50 kSa/s."""
        assert self.packet(RAMP) == OK
        self.ask(
            ":OUTP1:LOAD INF;:SOUR1:VOLT 2;:SOUR1:VOLT:OFFS 0;:SOUR1:FUNC:ARB:SRAT 50000;"
            ":SOUR1:BURS:MODE TRIG;:SOUR1:BURS:NCYC 2;:SOUR1:BURS:TRIG:SOUR MAN;"
            ":SOUR1:BURS:STAT ON;:OUTP1 ON"
        )


@pytest.fixture
def bench() -> Bench:
    """Make a generator as a reset leaves it."""
    return Bench()


def test_packets_are_joined_and_the_last_one_selects_the_waveform(bench: Bench) -> None:
    """Codes 0 to 0x3FFF, the low byte first."""
    assert bench.packet(RAMP, "CON") == OK
    assert bench.ask("SOUR1:FUNC?") == "SIN"
    assert bench.packet(RAMP, "END") == OK
    assert bench.ask("SOUR1:FUNC?;:SOUR1:FUNC:ARB:MODE?") == "ARB;SRAT"
    assert bench.world.generator.codes.size == 2 * RAMP.size
    assert bench.world.generator.codes[0] == -32767
    assert bench.packet(RAMP[:8], "END") == OK
    assert bench.world.generator.codes.size == 8


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        (np.zeros(7, "<u2"), "-222"),
        (np.zeros(8193, "<u2"), "-223"),
        (np.full(8, 0x4000, "<u2"), "-222"),
        (np.zeros(17, "u1"), "-161"),
    ],
)
def test_a_packet_that_is_none_is_reported(bench: Bench, codes: np.ndarray, told: str) -> None:
    """8 to 8192 points, whole, and no code of more than 14 bits."""
    assert bench.packet(codes).startswith(told)
    assert bench.ask("SOUR1:FUNC?") == "SIN"


def test_switches_answer_in_words(bench: Bench) -> None:
    """Unlike those of other makers."""
    assert bench.ask("OUTP1?") == "OFF"
    assert bench.ask("OUTP1 1;:OUTP1?;:SOUR1:BURS?;:OUTP1:SYNC?") == "ON;OFF;ON"


def test_a_manual_trigger_plays_the_burst_once(bench: Bench) -> None:
    """By its own command or ``*TRG``; with another source it is ignored."""
    bench.arm()
    settings = bench.world.generator.settings
    assert (settings.rate_hz, settings.vpp_open_v, settings.cycles) == (50_000, 2, 2)
    bench.ask("SOUR1:BURS:TRIG")
    assert bench.world.generator.is_waiting
    bench.ask("SOUR1:BURS:TRIG:SOUR INT;:SOUR1:BURS:TRIG")
    assert bench.ask("SYST:ERR?").startswith("-211")


def test_the_load_changes_what_is_displayed_and_not_what_comes_out(bench: Bench) -> None:
    """The 50-ohm trap."""
    bench.arm()
    bench.ask("OUTP1:LOAD 50")
    assert float(bench.ask("SOUR1:VOLT?")) == 1
    assert bench.world.generator.settings.vpp_open_v == 2


def test_a_reset_switches_off_and_forgets_half_a_waveform(bench: Bench) -> None:
    """The next packet begins anew."""
    bench.packet(RAMP, "CON")
    bench.ask("OUTP1 ON;*RST")
    assert not bench.world.generator.settings.output_on
    bench.packet(RAMP, "END")
    assert bench.world.generator.codes.size == RAMP.size
