"""PyMeasure's drivers, which know nothing of emgsim, on the other virtual generators.

Teledyne LeCroy sells Siglent's generators under the names T3AFG: its driver speaks their dialect.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymeasure.instruments import Channel
from pymeasure.instruments.rigol.rigol_dg800 import DG800, VoltageChannel
from pymeasure.instruments.tektronix.afg3152c import AFG3152C, AFG3152CChannel
from pymeasure.instruments.teledyne.teledyneT3AFG import SignalChannel, TeledyneT3AFG

from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.rigol_generator import VirtualRigolGenerator
from emgsim.virtual.siglent_generator import VirtualSiglentGenerator
from emgsim.virtual.tektronix_generator import VirtualTektronixGenerator

pytestmark = pytest.mark.filterwarnings(
    "ignore:It is not known whether this device support:FutureWarning"
)

WIRES = ("vxi11", "socket")  # that both instruments have
NO_ERROR = '+0,"No error"'

TEKTRONIX_PAIRS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("shape", ("square", "pulse", "ramp", "prnoise", "dc", "sinc", "gaussian", "lorentz", "erise",
               "edecay", "haversine", "sinusoidal")),
    ("unit", ("VRMS", "DBM", "VPP")),
    ("amp_vpp", (0.02, 10, 1)),
    ("offset", (-1.5, 2.5, 0)),
    ("frequency", (1e-6, 12_345.678, 50e6, 1e3)),
    ("duty", (0.001, 33.3, 99.999, 50)),
)  # fmt: skip
SIGLENT_PAIRS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("output_enabled", (True, False)),
    ("wavetype", ("SQUARE", "RAMP", "PULSE", "NOISE", "ARB", "DC", "SINE")),
    ("frequency", (1e-6, 12_345.5, 40e6, 1e3)),
    ("amplitude", (0.02, 4.5, 1)),
    ("offset", (-1.5, 2.5, 0)),
    ("max_output_amplitude", (5, 10)),
)
RIGOL_PAIRS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("output_enabled", (True, False)),
    ("load", (75, 10_000, 50)),
    ("frequency", (1234.5, 10e6, 1e3)),
    ("sync_enabled", (False, True)),
    ("duty_cycle", (0.01, 33.3, 50)),
    ("pulse_width", (2e-4, 5e-4)),
)


def opened(kind: Callable[..., Any], address: str) -> Iterator[Any]:
    """Open a driver, and reset the instrument."""
    driver = kind(address, visa_library="@py", read_termination="\n", write_termination="\n")
    driver.write("*RST;*CLS")
    yield driver
    driver.shutdown()
    driver.adapter.close()
    driver.adapter.manager.close()


@pytest.fixture(params=WIRES)
def tektronix(request: pytest.FixtureRequest, on_wire: Callable[..., Any]) -> Iterator[Any]:
    """Open PyMeasure's AFG3152C on the Tektronix twin."""
    twin = VirtualTektronixGenerator(World(RigPhysics(), seed=1))
    with on_wire(request.param, twin) as instrument:
        yield from opened(AFG3152C, instrument.address)


@pytest.fixture(params=WIRES)
def siglent(request: pytest.FixtureRequest, on_wire: Callable[..., Any]) -> Iterator[Any]:
    """Open PyMeasure's TeledyneT3AFG on the Siglent twin."""
    twin = VirtualSiglentGenerator(World(RigPhysics(), seed=1))
    with on_wire(request.param, twin) as instrument:
        yield from opened(TeledyneT3AFG, instrument.address)


@pytest.mark.parametrize("name", ["ch_1", "ch_2"])
def test_siglent_reads_back_what_was_set(siglent: Any, name: str) -> None:
    """All pairs pass on both channels, and the error queue stays empty."""
    walk(getattr(siglent, name), SIGLENT_PAIRS)
    assert siglent.check_errors() == []


def test_siglent_ignores_the_waveforms_of_other_models(siglent: Any) -> None:
    """What the driver offers for all of them and this one lacks changes nothing."""
    for word in ("PRBS", "IQ"):
        siglent.ch_1.wavetype = word
        assert siglent.ch_1.wavetype == "SINE"


def test_siglent_keeps_to_the_largest_amplitude(siglent: Any) -> None:
    """No amplitude beyond the limit is taken, whichever of the two is set last."""
    siglent.ch_1.max_output_amplitude = 2
    siglent.ch_1.amplitude = 5
    assert siglent.ch_1.amplitude == pytest.approx(2)
    siglent.ch_1.max_output_amplitude = 1
    assert siglent.ch_1.amplitude == pytest.approx(1)


def test_the_walk_misses_no_property_of_a_siglent_channel() -> None:
    """A property that PyMeasure's channel gains has to be added above."""
    offered = {
        key
        for key, value in vars(SignalChannel).items()
        if isinstance(value, property) and value.fset is not None
    }
    assert offered <= {key for key, _ in SIGLENT_PAIRS}


@pytest.fixture(params=WIRES)
def rigol(request: pytest.FixtureRequest, on_wire: Callable[..., Any]) -> Iterator[Any]:
    """Open PyMeasure's DG800 on the Rigol twin."""
    twin = VirtualRigolGenerator(World(RigPhysics(), seed=1))
    with on_wire(request.param, twin) as instrument:
        yield from opened(DG800, instrument.address)


def walk(target: Any, pairs: tuple[tuple[str, tuple[Any, ...]], ...]) -> None:
    """Set and read back every value of every property."""
    for key, values in pairs:
        for value in values:
            setattr(target, key, value)
            found = getattr(target, key)
            wanted = value if isinstance(value, str) else pytest.approx(value)
            assert (key, found) == (key, wanted)


@pytest.mark.parametrize("name", ["ch1", "ch2"])
def test_tektronix_reads_back_what_was_set(tektronix: Any, name: str) -> None:
    """All pairs pass on both channels, and the error queue stays empty."""
    channel = getattr(tektronix, name)
    walk(channel, TEKTRONIX_PAIRS)
    assert tektronix.ask("SYST:ERR?").strip() == NO_ERROR


def test_tektronix_takes_an_amplitude_in_each_unit(tektronix: Any) -> None:
    """The unit behind the number counts, and the answer is in the selected one."""
    channel = tektronix.ch1
    channel.waveform("SIN", 1e3, "VRMS", 0.5, 0.1)
    assert channel.amp_vrms == pytest.approx(0.5, rel=1e-4)
    channel.unit = "VPP"
    assert channel.amp_vpp == pytest.approx(0.5 * 8**0.5, rel=1e-3)
    channel.unit = "DBM"
    channel.amp_dbm = 10.0
    assert channel.amp_dbm == pytest.approx(10.0, abs=1e-3)
    assert channel.offset == pytest.approx(0.1)
    assert tektronix.ask("SYST:ERR?").strip() == NO_ERROR


def test_tektronix_has_its_impedance_where_the_manual_has_it(tektronix: Any) -> None:
    """PyMeasure 0.16 asks under ``source1:``, where the manual knows none: undefined header."""
    for ohm in (1, 75, 10_000, 50):
        tektronix.write(f"output1:impedance {ohm}")
        assert int(tektronix.ask("output1:impedance?")) == ohm
    tektronix.ch1.impedance = 75
    assert tektronix.ask("SYST:ERR?").startswith("-113")
    assert int(tektronix.ask("output1:impedance?")) == 50


def test_tektronix_switches_beeps_and_is_done(tektronix: Any) -> None:
    """What the driver's ``enable`` would send, if its channels knew their number, and the rest."""
    for number in (1, 2):
        tektronix.write(f"output{number}:state on")
        assert tektronix.ask(f"OUTP{number}?").strip() == "1"
        tektronix.write(f"output{number}:state off")
    tektronix.beep()
    assert tektronix.opc() == 1
    assert tektronix.ask("OUTP1?").strip() == "0"
    assert tektronix.ask("SYST:ERR?").strip() == NO_ERROR


@pytest.mark.parametrize("name", ["channel_1", "channel_2"])
def test_rigol_reads_back_what_was_set(rigol: Any, name: str) -> None:
    """All pairs pass on both channels, and the error queue stays empty."""
    walk(getattr(rigol, name), RIGOL_PAIRS)
    assert rigol.ask("SYST:ERR?").strip() == NO_ERROR


def test_rigol_reads_back_the_shape_of_its_first_channel(rigol: Any) -> None:
    """The driver's own setter names channel 1 whichever channel it belongs to."""
    walk(rigol.channel_1, (("shape", ("SQU", "RAMP", "PULS", "NOIS", "DC", "SIN")),))
    assert rigol.ask("SYST:ERR?").strip() == NO_ERROR


@pytest.mark.parametrize("name", ["channel_1", "channel_2"])
def test_rigol_applies_whole_waveforms(rigol: Any, name: str) -> None:
    """Frequency, amplitude, offset and phase at once, and the descriptor of it."""
    channel = getattr(rigol, name)
    for word, told in (("sine", "SIN"), ("square", "SQU"), ("triangle", "RAMP"), ("pulse", "PULS")):
        setattr(channel, word, (1000, 2.0, 0.5, 90))
        shape, *numbers = channel.waveform
        assert shape.strip('"') == told
        values = [float(str(number).strip('"')) for number in numbers]
        assert values == pytest.approx([1000, 2.0, 0.5, 90])
    channel.noise = (1.0, 0.1)
    channel.dc = 0.25
    assert rigol.ask("SYST:ERR?").strip() == NO_ERROR


def test_rigol_takes_high_impedance(rigol: Any) -> None:
    """The driver's setter; its getter expects words where the guide has numbers."""
    rigol.channel_1.high_impedance = True
    assert rigol.channel_1.load == pytest.approx(9.9e37)
    rigol.channel_1.high_impedance = False
    assert rigol.channel_1.load == 50
    assert rigol.ask("SYST:ERR?").strip() == NO_ERROR


@pytest.mark.parametrize(
    ("kind", "walked"),
    [
        (
            AFG3152CChannel,
            {key for key, _ in TEKTRONIX_PAIRS} | {"amp_vrms", "amp_dbm", "impedance"},
        ),
        (
            VoltageChannel,
            {key for key, _ in RIGOL_PAIRS}
            | {"shape", "high_impedance", "waveform", "noise", "dc"}
            | {"sine", "square", "triangle", "pulse"},
        ),
    ],
)
def test_the_walk_misses_no_property_of_the_driver(kind: type[Channel], walked: set[str]) -> None:
    """A property that the driver gains has to be added above."""
    offered = {key for key, value in vars(kind).items() if isinstance(value, property)}
    assert offered <= walked
