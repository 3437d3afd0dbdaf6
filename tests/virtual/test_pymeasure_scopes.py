"""PyMeasure's drivers of oscilloscopes, which know nothing of emgsim, on the virtual ones."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pymeasure.instruments.keysight import KeysightDSOX1102G
from pymeasure.instruments.keysight.keysightDSOX1102G import Channel
from pymeasure.instruments.siglenttechnologies.siglent_sds1000xhd import (
    SDS1000XHD,
    AcquisitionChannel,
    AnalogChannel,
    TimebaseChannel,
    TriggerChannel,
    WaveformChannel,
)

from emgsim.plant.physics import RigPhysics, ScopePhysics
from emgsim.plant.world import GeneratorSettings, World
from emgsim.virtual.scope import VirtualScope
from emgsim.virtual.siglent_scope import VirtualSiglentScope

Pairs = tuple[tuple[str, tuple[Any, ...]], ...]
RAMP_V = 4.0
RATE_HZ = 10e3

SIGLENT: dict[str, tuple[type, Pairs]] = {
    "channel_2": (AnalogChannel, (
        ("probe", (0.001, 10, 1000, 1)),
        ("scale", (1e-3, 0.5, 10, 1)),
        ("coupling", ("AC", "GND", "DC")),
        ("offset", (-1.5, 0.25, 0)),
        ("visible_enabled", (False, True)),
        ("display_enabled", (False, True)),
        ("bandwidth_limit_enabled", (True, False)),
        ("invert", (True, False)),
        ("label", ("loop; back", "x")),
        ("unit", ("A", "V")),
    )),
    "wf_C1": (WaveformChannel, (
        ("source", ("C2", "C1")),
        ("start_point", (1000, 0)),
        ("interval", (5, 1)),
        ("point", (100, 0)),
        ("width", ("WORD", "BYTE")),
    )),
    "acquisition": (AcquisitionChannel, (
        ("fast_mode_enabled", (False, True)),
        ("interpolation_enabled", (False, True)),
        ("memory_management", ("AUTO", "FSRate", "FMDepth")),
        ("plot_mode", ("XY", "ROLL", "YT")),
        ("memory_depth", ("10K", "100K", "1M", "10M", "50M", "AUTO")),
        ("count", (16, 1)),
        ("resolution_high_enabled", (True, False)),
        ("sequence_mode", (True, False)),
        ("sequence_count", (20, 1)),
        ("type", ("PEAK", "AVERage", "ERES", "NORMal")),
    )),
    "timebase": (TimebaseChannel, (
        ("delay", (-0.5, 1e-6, 0)),
        ("reference", ("POSition", "DELay")),
        ("reference_position", (0, 100, 50)),
        ("scale", (1e-9, 2e-3, 1000, 1e-6)),
        ("window", (True, False)),
        ("window_delay", (1e-3, 0)),
        ("window_scale", (1e-9, 5e-4)),
    )),
    "trigger": (TriggerChannel, (
        ("mode", ("NORMal", "AUTO")),
        ("edge_coupling", ("AC", "LFREJect", "HFREJect", "DC")),
        ("edge_hld_event", (100_000_000, 1)),
        ("edge_hld_time", (30, 1e-3)),
        ("edge_hld_off", ("EVENTS", "TIME", "OFF")),
        ("edge_hld_start", ("ACQ_START", "LAST_TRIG")),
        ("edge_high_impedance", (False, True)),
        ("edge_source", ("C1", "EX", "LINE", "EX5")),
        ("edge_level", (-0.5, 1.0)),
        ("edge_noise_reject", (True, False)),
        ("edge_slope", ("FALLing", "ALTernate", "RISing")),
    )),
}  # fmt: skip
KEYSIGHT: Pairs = (
    ("timebase_mode", ("window", "xy", "roll", "main")),
    ("timebase_range", (1e-3, 500, 0.5)),
    ("timebase_scale", (0.05,)),
    ("timebase_offset", (-0.1, 0.25)),
    ("acquisition_type", ("average", "peak", "hresolution", "normal")),
    ("acquisition_mode", ("segmented", "realtime")),
    ("waveform_points_mode", ("maximum", "raw", "normal")),
    ("waveform_source", ("channel2", "channel1")),
    ("waveform_format", ("ascii", "word", "byte")),
)
KEYSIGHT_CHANNEL: Pairs = (
    ("bwlimit", (True, False)),
    ("coupling", ("ac", "dc")),
    ("display", (False, True)),
    ("invert", (True, False)),
    ("probe_attenuation", (10, 1)),
    ("range", (0.008, 40, 8)),
    ("scale", (0.5, 1)),
    ("offset", (-1.5, 0)),
)


def settable(kind: type) -> set[str]:
    """Return the properties of a class that can be set."""
    found = (
        name for one in kind.__mro__ for name, value in vars(one).items()
        if isinstance(value, property) and value.fset is not None
    )
    return {name for name in found if not name.startswith("_")}


def walk(target: Any, pairs: Pairs) -> None:
    """Set every value and read it back."""
    for key, values in pairs:
        for value in values:
            setattr(target, key, value)
            found = getattr(target, key)
            wanted = value if isinstance(value, str) else pytest.approx(value)
            assert (key, found) == (key, wanted)


def world(bits: int = 12) -> World:
    """Return a rig whose generator plays a second of a ramp."""
    made = World(RigPhysics(scope=ScopePhysics(adc_bits=bits)), seed=1)
    made.generator.set_waveform(np.linspace(-32767, 32767, int(RATE_HZ)).astype(np.int16))
    made.generator.apply(
        GeneratorSettings(rate_hz=RATE_HZ, vpp_open_v=RAMP_V, output_on=True)
    )
    return made


@pytest.fixture(params=["hislip", "vxi11", "socket"])
def siglent(
    request: pytest.FixtureRequest, on_wire: Callable[..., Any]
) -> Iterator[tuple[SDS1000XHD, World]]:
    """Open PyMeasure's Siglent driver over each wire that it can speak."""
    played = world()
    with on_wire(request.param, VirtualSiglentScope(played)) as instrument:
        # VXI-11 marks the end of an answer; elsewhere the line feed does, and ends data early.
        end = {} if request.param == "vxi11" else {"read_termination": "\n"}
        driver = SDS1000XHD(
            instrument.address, visa_library="@py", write_termination="\n", **end
        )
        yield driver, played
        driver.adapter.close()
        driver.adapter.manager.close()


@pytest.fixture
def keysight(on_wire: Callable[..., Any]) -> Iterator[tuple[KeysightDSOX1102G, World]]:
    """Open PyMeasure's Keysight driver."""
    played = world()
    with on_wire("hislip", VirtualScope(played)) as instrument:
        with pytest.warns(FutureWarning, match="not known whether this device support SCPI"):
            driver = KeysightDSOX1102G(
                instrument.address, visa_library="@py", read_termination="\n"
            )
        yield driver, played
        driver.adapter.close()
        driver.adapter.manager.close()


def test_every_property_of_the_siglent_reads_back_what_was_set(
    siglent: tuple[SDS1000XHD, World],
) -> None:
    """All pairs of its subsystems pass, and the error queue stays empty."""
    driver, _ = siglent
    for name, (_, pairs) in SIGLENT.items():
        walk(getattr(driver, name), pairs)
    assert driver.trigger.status == "Auto"
    assert driver.trigger.frequency == 0
    assert driver.wf_C1.max_point == 5e6
    assert driver.ask("SYST:ERR?").strip().endswith('0,"No error"')


@pytest.mark.parametrize("name", SIGLENT)
def test_the_siglent_walk_misses_no_property(name: str) -> None:
    """A property that the driver gains has to be added above; measurements are not modelled."""
    kind, pairs = SIGLENT[name]
    read_only = {"max_point", "points", "sample_rate", "frequency", "status", "type"}
    assert settable(kind) - read_only <= {key for key, _ in pairs}


@pytest.mark.parametrize("siglent", ["vxi11"], indirect=True)
def test_a_record_of_the_siglent_is_the_ramp(siglent: tuple[SDS1000XHD, World]) -> None:
    """Volts and seconds as the client's own formula has them, with a probe and an offset.

    Over VXI-11: over HiSLIP pyvisa-py never ends its reading "until the time is over".
    """
    driver, played = siglent
    driver.channel_1.probe = 10
    driver.channel_1.scale = 10
    driver.channel_1.offset = 5
    driver.timebase.scale = 0.05
    driver.timebase.delay = 0.25
    driver.acquisition.memory_management = "FMDepth"
    driver.acquisition.memory_depth = "10K"
    driver.trigger.edge_source = "EX5"
    driver.trigger.mode = "SINGle"
    assert driver.trigger.status == "Ready"
    played.generator.trigger()
    states = {driver.trigger.status for _ in range(80)}
    assert states == {"Trig'd", "Stop"}
    driver.write(":WAVeform:SOURce C1")
    assert driver.acquisition.points == 10_000
    assert driver.acquisition.sample_rate == 20e3
    times_s, volts = (np.array(values) for values in driver.wf_C1.get_data())
    # The client takes a last byte that looks like white space for a line end.
    assert volts.size >= 9_990
    assert times_s[0] == pytest.approx(0, abs=1e-9)
    assert times_s[-1] == pytest.approx((times_s.size - 1) / 20e3)
    inside = times_s > 0.01
    slope, start = np.polyfit(times_s[inside], volts[inside], 1)
    assert slope == pytest.approx(10 * RAMP_V * 10_010 / 10_060, rel=0.01)
    assert start == pytest.approx(-5 * RAMP_V, abs=0.3)


def test_every_property_of_the_keysight_reads_back_what_was_set(
    keysight: tuple[KeysightDSOX1102G, World],
) -> None:
    """All pairs of the instrument and of a channel pass, and the error queue stays empty."""
    driver, _ = keysight
    walk(driver, KEYSIGHT)
    walk(driver.ch(2), KEYSIGHT_CHANNEL)
    driver.ch(2).label = "LOOP"
    assert driver.ch(2).label.strip('"') == "LOOP"  # the client leaves the marks on
    assert driver.ch(2).current_configuration["RANG"] == 8
    assert driver.ch(2).current_configuration["LAB"] == '"LOOP"'
    assert driver.timebase == {"MODE": "MAIN", "REF": "CENT", "MAIN:RANG": 0.5, "POS": 0.25}
    assert driver.ask("SYST:ERR?").strip() == '+0,"No error"'


def test_the_keysight_walk_misses_no_property() -> None:
    """A property that the driver gains has to be added above."""
    walked = {key for key, _ in KEYSIGHT} | {"waveform_points", "system_setup"}
    assert settable(KeysightDSOX1102G) - settable(KeysightDSOX1102G.__mro__[1]) <= walked | {
        "adapter"}
    assert settable(Channel) <= {key for key, _ in KEYSIGHT_CHANNEL} | {"label"}


def test_a_record_of_the_keysight_is_the_ramp(keysight: tuple[KeysightDSOX1102G, World]) -> None:
    """The client's own download gives the volts."""
    driver, played = keysight
    driver.timebase_range = 0.5
    driver.timebase_offset = 0.25
    driver.write(":TRIG:SOUR EXT;SWE NORM")
    driver.single()
    played.generator.trigger()
    volts, preamble = driver.download_data("channel1", points=1000)
    assert (preamble["type"], preamble["points"], volts.size) == ("HRES", 1000, 1000)
    times_s = preamble["xorigin"] + preamble["xincrement"] * np.arange(volts.size)
    slope, start = np.polyfit(times_s[20:], volts[20:], 1)
    assert slope == pytest.approx(RAMP_V * 10_010 / 10_060, rel=0.01)
    assert start == pytest.approx(-RAMP_V / 2, abs=0.03)
