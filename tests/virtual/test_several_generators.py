"""The twins of a rig of several generators: whom each of them drives, and what the scope hears."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emgsim.errors import InputError
from emgsim.plant.faults import Faults, GeneratorFaults, ScpiFaults, SourceFaults
from emgsim.plant.physics import AmplifierPhysics, OtherPhysics, RigPhysics
from emgsim.plant.world import GeneratorSettings, World
from emgsim.virtual import twins
from emgsim.virtual.scope import VirtualScope
from emgsim.virtual.server import RigFile, VirtualRig, read_rig, source_role

TWO = RigPhysics(amplifier=AmplifierPhysics(channels=2), others=(OtherPhysics(input=1),))
OUTPUT = {
    "keysight.33500": b"OUTP %s",
    "siglent.sdg": b"C1:OUTP %s",
    "tektronix.afg": b"OUTP1 %s",
    "rigol.dg": b":OUTP1 %s",
}
SECOND = {"virtual": {"amplifier": {"channels": 2}, "others": [{"input": 1}]}}


def is_on(world: World) -> list[bool]:
    """Return which generators are on."""
    return [feed.generator.settings.output_on for feed in world.feeds]


@pytest.mark.parametrize("driver", twins.SOURCES)
def test_a_twin_drives_the_generator_of_its_number(driver: str) -> None:
    """What is said to the second one does nothing to the first."""
    world = World(TWO, seed=1)
    first, second = (twins.source(driver)(world, Faults(), number) for number in (0, 1))
    second.execute(OUTPUT[driver] % b"ON")
    assert is_on(world) == [False, True]
    first.execute(OUTPUT[driver] % b"ON")
    second.execute(OUTPUT[driver] % b"OFF")
    assert is_on(world) == [True, False]


@pytest.mark.parametrize("driver", twins.SOURCES)
def test_an_output_that_sticks_is_that_of_one_generator(driver: str) -> None:
    """The second one's relay is welded."""
    world = World(TWO, seed=1)
    faults = Faults(others=(GeneratorFaults(source=SourceFaults(stuck_output=True)),))
    for number in (0, 1):
        twin = twins.source(driver)(world, faults, number)
        twin.execute(OUTPUT[driver] % b"ON")
        twin.execute(OUTPUT[driver] % b"OFF")
    assert is_on(world) == [False, True]


def test_each_generator_has_the_faults_of_its_own_table() -> None:
    """The tables beside it are the first one's; a generator without a table has none."""
    first = {"source_error": True, "source_silent": True, "divider_removed_at_s": 2.0}
    faults = Faults.model_validate(
        first | {"source": {"counted": "*TRG"}, "others": [{"source_silent": True}]}
    )
    assert faults.of(0).model_dump(exclude_defaults=True) == first | {"source": {"counted": "*TRG"}}
    assert faults.of(1) == GeneratorFaults(source_silent=True)
    assert faults.of(2) == GeneratorFaults()


def test_the_divider_that_falls_out_is_the_named_one() -> None:
    """That of the second generator, from the start."""
    faults = Faults(others=(GeneratorFaults(divider_removed_at_s=0.0),))
    make = (twins.SOURCES["keysight.33500"],) * 2
    feeds = VirtualRig(RigFile(TWO, faults, make_sources=make), seed=1).world.feeds
    assert [feed.state.differential > 0.5 for feed in feeds] == [False, True]


def test_the_scope_of_two_generators_has_four_channels() -> None:
    """The second generator's volts are on channel 3; a scope at one generator has no such one."""
    world = World(TWO, seed=1)
    scope = VirtualScope(world).engine
    scope.execute(b":TRIG:SOUR EXT;:TIM:RANG 0.2;REF LEFT;:CHAN1:RANG 8;:CHAN3:RANG 8")
    scope.execute(b":ACQ:TYPE HRES;:WAV:FORM WORD;BYT LSBF;UNS 0;POIN:MODE RAW")
    for number, volts in enumerate((1.0, 2.0)):
        generator = world.feeds[number].generator
        generator.set_waveform(np.full(10_000, 32767, np.int16))
        generator.apply(GeneratorSettings(rate_hz=20e3, vpp_open_v=2 * volts, output_on=True))
    scope.execute(b":SING")
    world.feeds[1].generator.trigger()
    world.generator.trigger()
    for channel, volts in ((1, 1.0), (3, 2.0)):
        answer = scope.execute(b":WAV:SOUR CHAN%d;DATA?" % channel)
        codes = np.frombuffer(answer[10:-1], "<i2")
        assert codes.mean() * 8 / 2**16 == pytest.approx(volts * 10_010 / 10_060, rel=5e-3)
    assert b"DSO-X 3014G" in scope.execute(b"*IDN?")
    assert scope.execute(b"SYST:ERR?").startswith(b"+0")
    alone = VirtualScope(World(RigPhysics(), seed=1)).engine
    assert b"DSO-X 3012G" in alone.execute(b"*IDN?")
    alone.execute(b":CHAN3:RANG 8")
    assert alone.execute(b"SYST:ERR?").startswith(b"-114")


def test_the_scope_waits_for_the_trigger_of_any_generator() -> None:
    """The second one alone is triggered, and the record comes to its end."""
    world = World(TWO, seed=1)
    scope = VirtualScope(world).engine
    scope.execute(b":TRIG:SOUR EXT;:TIM:RANG 0.1;REF LEFT;:SING")
    generator = world.feeds[1].generator
    generator.apply(GeneratorSettings(rate_hz=80.0, output_on=True))
    generator.trigger()
    assert scope.execute(b"*OPC?") == b"1\n"
    assert scope.execute(b"SYST:ERR?").startswith(b"+0")
    assert world.scope.state == "done"


def test_both_are_served_each_at_its_address(
    serve_table: Callable[..., Any], visa: Callable[[str], Any]
) -> None:
    """A fault of the second, in its own table, is told by the second."""
    wrong = ScpiFaults(wrong_identity="WRONG,ONE,0,0").model_dump(include={"wrong_identity"})
    rig = serve_table(**SECOND["virtual"], faults={"others": [{"source": wrong}]})
    assert visa(rig.source).query("*IDN?").split(",")[1] == "33522B"
    assert visa(rig.source_2).query("*IDN?") == "WRONG,ONE,0,0"
    assert visa(rig.capture).query("*IDN?").split(",")[1] == "DSO-X 3014G"


def test_generators_are_named_by_their_numbers() -> None:
    """The second one is source_2, and the first has no number."""
    assert [source_role(number) for number in range(3)] == ["source", "source_2", "source_3"]


def read(folder: Path, **content: Any) -> RigFile:
    """Read a rig file of that content."""
    path = folder / "rig.json"
    path.write_text(json.dumps(content), "utf-8")
    return read_rig(path)


def test_each_generator_may_have_a_driver_of_its_own(tmp_path: Path) -> None:
    """As named in its table; where none is, it is that of a rig that names none."""
    rig = read(tmp_path, **SECOND, others=[{"driver": "siglent.sdg"}])
    assert rig.make_sources == (twins.SOURCES["keysight.33500"], twins.SOURCES["siglent.sdg"])
    assert read(tmp_path, **SECOND).make_sources == (twins.SOURCES["keysight.33500"],) * 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"others": [{}, {}]}, "as many as virtual.others, which are 1, got 2"),
        ({"others": [{"driver": "x.y"}]}, "source_2.driver"),
        ({"faults": {"others": [{}, {}]}}, "at most as many as virtual.others, which are 1, got 2"),
    ],
)
def test_generators_that_do_not_fit_together_are_refused(
    tmp_path: Path, content: dict[str, Any], said: str
) -> None:
    """One message, which names the table."""
    with pytest.raises(InputError) as told:
        read(tmp_path, **SECOND, **content)
    assert said in str(told.value)
