"""The virtual Siglent generator against its guide and what owners have recorded of real ones."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.siglent_generator import VirtualSiglentGenerator
from emgsim.virtual.siglent_messages import SiglentSplitter

RAMP = (np.arange(-500, 500) * 60).astype("<i2")


class Bench:
    """A generator on a plant, spoken to without a wire."""

    def __init__(self, **options: str) -> None:
        self.world = World(RigPhysics(), seed=1)
        self.engine = VirtualSiglentGenerator(self.world, **options).engine

    def ask(self, *messages: str) -> str:
        """Send messages and return the answer to the last one."""
        answer = b""
        for message in messages:
            answer = self.engine.execute(message.encode())
        return answer.decode().strip()

    def upload(self, name: str, codes: np.ndarray, fields: str = "") -> str:
        """Store codes and return the names that are stored."""
        head = f"C1:WVDT WVNM,{name},{fields}WAVEDATA,".encode()
        self.engine.execute(head + codes.tobytes())
        return self.ask("STL? USER")

    def arm(self) -> None:
        """Play a ramp by sample rate at each manual trigger."""
        self.upload("ramp", RAMP)
        self.ask(
            "C1:ARWV NAME,ramp", "C1:BSWV WVTP,ARB", "C1:BSWV AMP,2", "C1:SRATE MODE,TARB",
            "C1:SRATE VALUE,50000", "C1:BTWV STATE,ON", "C1:BTWV TRSR,MAN", "C1:BTWV TIME,2",
            "C1:OUTP ON",
        )  # fmt: skip


@pytest.fixture
def bench() -> Bench:
    """Make a generator as a reset leaves it."""
    return Bench()


def test_answers_have_the_form_that_owners_have_recorded(bench: Bench) -> None:
    """Header, and keys with values in the order of the guide."""
    assert bench.ask("C1:OUTP?") == "C1:OUTP OFF,LOAD,HZ,PLRT,NOR"
    assert bench.ask("C1:BTWV?") == "C1:BTWV STATE,OFF"
    assert bench.ask("C1:SRATE?") == "C1:SRATE MODE,DDS"
    assert bench.ask("C1:ARWV?") == "C1:ARWV INDEX,0,NAME,"
    assert bench.ask("C1:SYNC?") == "C1:SYNC OFF,TYPE,CH1"
    assert bench.ask("C1:BSWV FRQ,1000", "C1:BSWV?") == (
        "C1:BSWV WVTP,SINE,FRQ,1000HZ,PERI,0.001S,AMP,4V,OFST,0V,HLEV,2V,LLEV,-2V,PHSE,0"
    )
    assert bench.ask("C2:BTWV STATE,ON", "C2:BTWV?").startswith(
        "C2:BTWV STATE,ON,PRD,0.01S,STPS,0,TRSR,INT,TRMD,OFF,TIME,1,DLAY,0S,GATE_NCYC,NCYC,"
        "CARR,WVTP,SINE,FRQ,1000HZ"
    )
    assert bench.ask("*OPC?") == "1"


def test_long_headers_and_several_pairs_in_one_command_are_understood(bench: Bench) -> None:
    """As the guide allows them; units behind numbers too."""
    bench.ask("C1:BASIC_WAVE WVTP,SQUARE,FRQ,2KHZ,AMP,3V,DUTY,30")
    answer = bench.ask("C1:BSWV?")
    assert "WVTP,SQUARE,FRQ,2000HZ" in answer
    assert "AMP,3V" in answer
    assert answer.endswith("DUTY,30")


def test_the_load_changes_what_is_displayed_and_not_what_comes_out(bench: Bench) -> None:
    """The 50-ohm trap: half the number, the same volts."""
    bench.ask("C1:BSWV AMP,4", "C1:OUTP LOAD,50")
    assert "AMP,2V" in bench.ask("C1:BSWV?")
    assert bench.world.generator.settings.vpp_open_v == 4


@pytest.mark.parametrize(
    ("message", "query", "told"),
    [
        ("C1:OUTP LOAD,10", "C1:OUTP?", "LOAD,HZ"),
        ("C1:BSWV WVTP,TRIANGLE", "C1:BSWV?", "WVTP,SINE"),
        ("C1:ARWV NAME,nothere", "C1:ARWV?", "NAME,"),
        ("C1:BTWV TRSR,MAN", "C1:BTWV?", "STATE,OFF"),
        ("C1:SRATE VALUE,50000", "C1:SRATE?", "MODE,DDS"),
        ("C1:BSWV AMP,30", "C1:BSWV?", "AMP,20V"),
    ],
)
def test_what_it_cannot_do_it_ignores_without_a_word(
    bench: Bench, message: str, query: str, told: str
) -> None:
    """The state tells; there is no queue in the guide."""
    assert bench.ask(message, query).find(told) > 0


def test_a_manual_trigger_plays_the_cycles_that_were_set(bench: Bench) -> None:
    """Only there, and only while the output is on."""
    bench.arm()
    assert not bench.world.generator.is_waiting
    bench.ask("C1:BTWV MTRIG")
    assert bench.world.generator.is_waiting
    settings = bench.world.generator.settings
    assert (settings.cycles, settings.rate_hz, settings.vpp_open_v) == (2, 50_000, 2)
    assert np.array_equal(bench.world.generator.codes, RAMP)
    bench.ask("C1:OUTP OFF", "C1:BTWV MTRIG")
    assert bench.world.generator.n_triggers == 1


def test_stored_waveforms_survive_a_reset_and_settings_do_not(bench: Bench) -> None:
    """The output is off, and the load high impedance."""
    bench.arm()
    bench.ask("C1:OUTP LOAD,50", "*RST")
    assert bench.ask("STL? USER") == "STL WVNM,ramp"
    assert bench.ask("C1:OUTP?") == "C1:OUTP OFF,LOAD,HZ,PLRT,NOR"
    assert not bench.world.generator.settings.output_on


def test_by_frequency_a_waveform_is_repeated_so_often(bench: Bench) -> None:
    """DDS: the sample rate is the frequency times the points."""
    bench.arm()
    bench.ask("C1:SRATE MODE,DDS", "C1:BSWV FRQ,25")
    assert bench.world.generator.settings.rate_hz == 25_000


def test_a_waveform_of_8_points_to_8_million_is_stored(bench: Bench) -> None:
    """Anything else is not, and nobody is told."""
    assert bench.upload("short", RAMP[:7]) == "STL WVNM"
    assert bench.upload("eight", RAMP[:8]) == "STL WVNM,eight"
    assert bench.upload("long", np.zeros(8_000_001, "<i2")) == "STL WVNM,eight"


def test_the_small_model_has_14_bits_and_16384_points() -> None:
    """The last two bits of a code are lost."""
    bench = Bench(model="SDG1062X")
    assert ",SDG1062X," in bench.ask("*IDN?")
    assert bench.upload("long", np.zeros(16_385, "<i2")) == "STL WVNM"
    bench.arm()
    assert set(bench.world.generator.codes & 3) == {0}
    assert np.abs(bench.world.generator.codes - RAMP).max() <= 3


def test_with_a_length_a_stream_goes_on_after_the_data() -> None:
    """Line feeds in the data are data."""
    data = struct.pack("<4h", 0x0A0A, 10, 0x0A, 2570)
    stream = b"C1:WVDT WVNM,x,LENGTH,8B,WAVEDATA," + data + b"\n*OPC?\n"
    assert SiglentSplitter().feed(stream) == [stream[: -len(b"\n*OPC?\n")], b"*OPC?"]


def test_without_a_length_a_stream_takes_the_next_command_for_data() -> None:
    """pyvisa-py issue 311: only the end of the message, where the wire marks it, ends the data."""
    splitter = SiglentSplitter()
    assert splitter.feed(b"C1:WVDT WVNM,x,WAVEDATA," + bytes(16) + b"\n*OPC?\n") == []
    assert splitter.end().endswith(b"*OPC?\n")


MESSAGES = st.lists(
    st.one_of(
        st.sampled_from([b"*IDN?", b"C1:OUTP ON,LOAD,HZ", b"C1:BSWV?", b""]),
        st.binary(max_size=20).map(
            lambda data: b"C1:WVDT WVNM,x,LENGTH,%dB,WAVEDATA," % len(data) + data
        ),
    ),
    max_size=5,
)


@given(MESSAGES, st.lists(st.integers(1, 30), max_size=20))
def test_any_split_of_a_stream_gives_the_same_messages(
    messages: list[bytes], sizes: list[int]
) -> None:
    """Commands and data, cut anywhere."""
    stream = b"".join(message + b"\n" for message in messages)
    splitter, found, rest = SiglentSplitter(), [], stream
    for size in (*sizes, len(stream)):
        found += splitter.feed(rest[:size])
        rest = rest[size:]
    assert found == messages
    assert splitter.end() == b""


@given(st.binary(max_size=200))
def test_no_bytes_crash_it(data: bytes) -> None:
    """Behind headers that it knows, too."""
    bench = Bench()
    for head in (b"", b"C1:BSWV ", b"C1:BTWV STATE,ON,", b"C1:WVDT WVNM,"):
        bench.engine.execute(head + data)
    assert bench.ask("*OPC?") == "1"
