"""The virtual Tektronix generator against its programmer manuals."""

import numpy as np
import pytest

from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.tektronix_generator import VirtualTektronixGenerator

OK = '+0,"No error"'
RAMP = np.arange(0, 16_383, 2).astype(">u2")


class Bench:
    """A generator on a plant, spoken to without a wire."""

    def __init__(self) -> None:
        self.world = World(RigPhysics(), seed=1)
        self.engine = VirtualTektronixGenerator(self.world).engine

    def ask(self, message: str) -> str:
        """Return the answer to a message."""
        return self.engine.execute(message.encode()).decode().strip()

    def upload(self, codes: np.ndarray, memory: str = "EMEM") -> str:
        """Store codes and return the error."""
        data = codes.tobytes()
        self.engine.execute(b"TRAC:DATA %s,#8%08d" % (memory.encode(), len(data)) + data)
        return self.ask("SYST:ERR?")

    def arm(self) -> None:
        """Wait for a trigger with a ramp of 2 Vpp, 6 times a second."""
        assert self.upload(RAMP) == OK
        self.ask(
            ":OUTP1:IMP INF;:SOUR1:FUNC EMEM;:SOUR1:VOLT 2;:SOUR1:FREQ 6;:SOUR1:BURS:STAT ON;"
            ":SOUR1:BURS:NCYC 2;:TRIG:SOUR EXT;:OUTP1 ON"
        )


@pytest.fixture
def bench() -> Bench:
    """Make a generator as a reset leaves it."""
    return Bench()


def test_a_block_is_14_bits_high_byte_first_around_8191(bench: Bench) -> None:
    """0 is the bottom, 16382 the top."""
    assert bench.upload(np.array([0, 8191, 16_382], ">u2")) == OK
    bench.ask("SOUR1:FUNC EMEM")
    assert bench.world.generator.codes.tolist() == [-32767, 0, 32767]
    assert bench.ask("TRAC:POIN? EMEM") == "3"


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        (np.zeros(1, ">u2"), "-222"),
        (np.zeros(131_073, ">u2"), "-223"),
        (np.full(4, 16_383, ">u2"), "-222"),
        (np.zeros(5, "u1"), "-161"),
    ],
)
def test_what_does_not_fit_the_edit_memory_is_reported(
    bench: Bench, codes: np.ndarray, told: str
) -> None:
    """2 to 131 072 points, whole, and no code above 16382."""
    assert bench.upload(codes).startswith(told)
    assert bench.ask("TRAC:POIN? EMEM") == "1000"


def test_the_rate_is_the_frequency_times_the_points(bench: Bench) -> None:
    """There is no sample rate; the frequency has steps of 1 uHz."""
    bench.arm()
    assert bench.world.generator.settings.rate_hz == 6 * RAMP.size
    bench.ask("SOUR1:FREQ 0.12345678")
    assert float(bench.ask("SOUR1:FREQ?")) == 0.123457


def test_a_trigger_plays_the_burst_once(bench: Bench) -> None:
    """``*TRG`` where the source is external; the timer's bursts do not wait for it."""
    bench.arm()
    assert not bench.world.generator.is_waiting
    bench.ask("*TRG")
    assert bench.world.generator.is_waiting
    assert bench.world.generator.settings.cycles == 2
    bench.ask("TRIG:SOUR TIM;*TRG")
    assert bench.ask("SYST:ERR?").startswith("-211")


def test_the_load_changes_what_is_displayed_and_not_what_comes_out(bench: Bench) -> None:
    """The 50-ohm trap."""
    bench.arm()
    bench.ask("OUTP1:IMP 50")
    assert float(bench.ask("SOUR1:VOLT?")) == 1
    assert bench.world.generator.settings.vpp_open_v == 2


def test_a_memory_is_copied_and_an_empty_one_refused(bench: Bench) -> None:
    """The user memories of the AFG3000."""
    bench.ask("SOUR1:FUNC USER1")
    assert bench.ask("SYST:ERR?").startswith("-221")
    assert bench.upload(RAMP) == OK
    bench.ask("DATA:COPY USER1,EMEM;:SOUR1:FUNC USER1")
    assert bench.ask("SYST:ERR?") == OK
    assert bench.world.generator.codes.size == RAMP.size


def test_a_reset_switches_off(bench: Bench) -> None:
    """And sets the load back to 50 ohm."""
    bench.arm()
    bench.ask("*RST")
    assert not bench.world.generator.settings.output_on
    assert bench.ask("OUTP1:IMP?") == "50"
