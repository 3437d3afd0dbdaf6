"""PyMeasure's driver, which knows nothing of emgsim, on the virtual generator over every wire."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pymeasure.instruments.agilent import Agilent33500

PAIRS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("shape", ("SQU", "TRI", "RAMP", "PULS", "PRBS", "NOIS", "ARB", "DC", "SIN")),
    ("frequency", (1e-6, 12_345.5, 30e6, 1e3)),
    ("amplitude", (0.01, 10, 1)),
    ("amplitude_unit", ("VRMS", "DBM", "VPP")),
    ("offset", (-4.4, 4.4, 0)),
    ("voltage_high", (3, 1)),
    ("voltage_low", (-2, -1)),
    ("phase", (-360, 12.5, 360, 0)),
    ("square_dutycycle", (0.01, 99.98, 50)),
    ("ramp_symmetry", (0, 33.3, 100)),
    ("pulse_period", (2e-3, 1e-3)),
    ("pulse_hold", ("DCYC", "WIDT")),
    ("pulse_width", (16e-9, 2e-4)),
    ("pulse_dutycycle", (80, 10)),
    ("pulse_transition", (8.4e-9, 1e-6)),
    ("output", (True, False)),
    ("output_load", (50, 75, 10_000, 50)),
    ("burst_state", (True, False)),
    ("burst_mode", ("GAT", "TRIG")),
    ("burst_period", (1e-6, 8000)),
    ("burst_ncycles", (1, 99_999, 2)),
    ("arb_advance", ("TRIG", "SRAT")),
    ("arb_filter", ("NORM", "STEP", "OFF")),
    ("arb_srate", (1e-6, 250e6, 40e3)),
)
INSTRUMENT_PAIRS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("trigger_source", ("EXT", "BUS", "IMM")),
    ("ext_trig_out", (True, False)),
)


@pytest.fixture(scope="module", params=["hislip", "vxi11", "socket", "serial"])
def wired_rig(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    run_rig: Callable[[Path], AbstractContextManager[Any]],
) -> Iterator[Any]:
    """Serve a rig whose generator is on one of the wires that the driver can speak."""
    path = tmp_path_factory.mktemp("rig") / "rig.json"
    path.write_text(json.dumps({"virtual": {"wires": {"source": request.param}}}), "utf-8")
    with run_rig(path) as rig:
        yield rig


@pytest.fixture
def driver(wired_rig: Any) -> Iterator[Agilent33500]:
    """Open PyMeasure's driver, and reset the instrument."""
    driver = Agilent33500(
        wired_rig.source, visa_library="@py", read_termination="\n", write_termination="\n"
    )
    driver.write("*RST;*CLS;:DATA:VOL:CLE;:SOUR2:DATA:VOL:CLE")
    yield driver
    driver.shutdown()
    driver.adapter.close()
    driver.adapter.manager.close()


def targets(driver: Agilent33500) -> dict[str, Any]:
    """Return the instrument itself, whose commands are bare, and both channels."""
    return {"bare": driver, "ch_1": driver.ch_1, "ch_2": driver.ch_2}


@pytest.mark.parametrize("name", ["bare", "ch_1", "ch_2"])
def test_every_property_reads_back_what_was_set(driver: Agilent33500, name: str) -> None:
    """All pairs of the driver pass, and the error queue stays empty."""
    target = targets(driver)[name]
    pairs = PAIRS + (INSTRUMENT_PAIRS if name == "bare" else ())
    for key, values in pairs:
        for value in values:
            setattr(target, key, value)
            found = getattr(target, key)
            wanted = value if isinstance(value, str) else pytest.approx(value)
            assert (key, found) == (key, wanted)
    assert driver.ask("SYST:ERR?").strip() == '+0,"No error"'


def test_the_walk_misses_no_property_of_the_driver() -> None:
    """A property that the driver gains has to be added above."""
    walked = {key for key, _ in PAIRS + INSTRUMENT_PAIRS} | {"arb_file", "display"}
    offered = {
        key
        for key, value in vars(Agilent33500).items()
        if isinstance(value, property) and value.fset is not None
    }
    assert offered <= walked


@pytest.mark.parametrize("name", ["bare", "ch_1", "ch_2"])
def test_lists_of_points_are_stored_and_selected(driver: Agilent33500, name: str) -> None:
    """Both list formats of the driver work, on both channels."""
    target = targets(driver)[name]
    target.data_arb("dac", range(-10_000, 10_000, 20), data_format="DAC")
    target.data_arb("real", [k / 100 for k in range(-100, 101)], data_format="float")
    for waveform in ("dac", "real"):
        target.arb_file = waveform
        assert target.arb_file == f'"{waveform}"'
    target.data_volatile_clear()
    target.data_arb("dac", range(8))
    assert driver.ask("SYST:ERR?").strip() == '+0,"No error"'


def test_the_other_commands_are_known(driver: Agilent33500) -> None:
    """Display, beeper, phase and trigger leave no error."""
    driver.display = "hello, world; #15"
    driver.clear_display()
    driver.beep()
    driver.phase_sync()
    driver.trigger_source = "BUS"
    driver.burst_state = True
    driver.output = True
    driver.trigger()
    driver.wait_for_trigger()
    assert driver.ask("SYST:ERR?").strip() == '+0,"No error"'


def test_the_driver_checks_errors_by_itself(driver: Agilent33500) -> None:
    """PyMeasure's own error reader understands the queue, and it is empty."""
    reader: Callable[[], list[Any]] = driver.check_errors
    assert reader() == []
