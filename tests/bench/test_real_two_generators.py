"""Two generators on a real rig, as far as the bench can tell: what goes wrong with the second one.

Both are served by another process. ``outputs`` looks over sessions of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import pyvisa

from emgsim.bench.arming import STATEMENT, arm
from emgsim.bench.playing import Catch, Loaded, load_program, play_together
from emgsim.bench.program import program_for
from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.served import ServedRig
from emgsim.bench.station import Station, open_station
from emgsim.errors import EmgsimError, InstrumentError, LinkError, SafetyError
from emgsim.recording import Channel, Recording

TWO = "virtual-two-generators"
RATE_HZ = 48_000.0
OTHER_MAKE = (  # the second generator's, with a wire that both know
    'others.0.driver="siglent.sdg"',
    'others.0.filter="OFF"',
    'virtual.wires.source="vxi11"',
)


@contextmanager
def lab(folder: Path, *overrides: str, expect: str = "") -> Iterator[Rig]:
    """Serve the rig in another process, and give a real rig of its addresses that is armed."""
    rig = load_rig(TWO, overrides=[*OTHER_MAKE, *overrides])
    with ServedRig(rig, seed=3) as served:
        table = rig.resolved() | {"kind": "bench", "id": "lab", "link_timeout_s": 1.0}
        del table["virtual"]
        for role in ("source", "capture", "device"):
            table[role]["resource"] = served.addresses[role]
        table["others"][0]["resource"] = served.addresses["source_2"]
        table["others"][0]["expect"]["serial"] = expect
        path = folder / "lab.json"
        path.write_text(json.dumps(table))
        lab = load_rig(path)
        arm(lab, by="M. Curie", device_serial="SIM-0004", statement=STATEMENT)
        yield lab


def outputs(rig: Rig) -> list[bool]:
    """Ask both generators whether their output is on."""
    questions = ((rig.source.resource, "OUTP1?"), (rig.others[0].resource, "C1:OUTP?"))
    found = []
    for address, question in questions:
        with pyvisa.ResourceManager("@py").open_resource(address) as session:
            session.read_termination = session.write_termination = "\n"
            answer = session.query(question)
        found.append(answer.strip() == "1" or " ON," in answer)
    return found


def played(station: Station, seconds: float = 0.2) -> Catch:
    """Play a sine with each generator, of different frequencies."""
    loaded, catch = [], Catch()
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    for k, frequency_hz in enumerate((200, 700)):
        uv = 900 * np.sin(2 * np.pi * frequency_hz * t)[:, None]
        recording = Recording(samples_uv=uv, rate_hz=RATE_HZ, channels=(Channel(name="sine"),))
        program = program_for(recording, 10_000.0)
        plan, _ = load_program(station.of(k), program)
        loaded.append(Loaded(station.of(k), program, plan))
    play_together(loaded, catch)
    return catch


def refused(rig: Rig) -> EmgsimError:
    """Open a station that must not be opened or played on, and return why."""
    with pytest.raises(EmgsimError) as caught, open_station(rig, seed=0) as station:
        played(station)
    return caught.value


@pytest.mark.slow
def test_each_divider_is_proved_and_each_output_has_a_guard(tmp_path: Path) -> None:
    """Both are heard at once on inputs of their own, and both are off afterwards."""
    with lab(tmp_path) as rig:
        with open_station(rig, seed=0, log=tmp_path / "guard.jsonl") as station:
            assert set(station.facts) == {"divider_ratio", "divider_ratio_2"}
            for ratio in station.facts.values():
                assert ratio == pytest.approx(1 / 1001, rel=0.01)
            catch = played(station)
        assert outputs(rig) == [False, False]
    uv = catch.device_counts() * rig.profile.scale_uv_per_count
    assert (np.ptp(uv, axis=0) > 1700).all()
    np.testing.assert_allclose(uv[:, 0], uv[:, 2], atol=20)
    for name in ("guard.jsonl", "guard-source_2.jsonl"):
        lines = (tmp_path / name).read_text().splitlines()
        said = [json.loads(line)["event"] for line in lines]
        assert said[-1] == "bye"
        assert "killed" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("divider_removed_at_s=0", SafetyError, "lets 1"),
        ("source_silent=true", LinkError, "1 s"),
        ('source={wrong_identity="Siglent Technologies,SDG2042X,SDG9,2.0"}', InstrumentError,
         "the source_2 must have the serial"),
        ('source={counted="MTRIG",drop_at_message=2}', LinkError, "hung up"),
        ("source_error=true", InstrumentError, ""),
    ],
)  # fmt: skip
def test_a_fault_of_the_second_generator_leaves_both_outputs_off(
    tmp_path: Path, fault: str, kind: type[EmgsimError], said: str
) -> None:
    """One error says whose it is; a generator that never answers was never on."""
    expect = "SDG2XSIM000001" if "identity" in fault else ""
    with lab(tmp_path, f"faults.others=[{{{fault}}}]", expect=expect) as rig:
        error = refused(rig)
        assert isinstance(error, kind)
        assert said in error.what
        assert "source_2" in error.where + error.what or error.where == rig.others[0].resource
        if "silent" not in fault:
            assert outputs(rig) == [False, False]


@pytest.mark.slow
def test_a_second_output_that_sticks_is_named_and_the_first_is_off(tmp_path: Path) -> None:
    """The exit code is that of an instrument, and a note says which output it is."""
    with lab(tmp_path, "faults.others=[{source={stuck_output=true}}]") as rig:
        error = refused(rig)
        assert error.exit_code == 4
        assert error.where == rig.others[0].resource
        notes = "".join(error.__notes__)
        assert "the output of the source_2 could NOT be confirmed off" in notes
        assert "output of the source could" not in notes
        assert outputs(rig) == [False, True]


@pytest.mark.slow
def test_the_second_divider_that_falls_out_while_playing_ends_both(tmp_path: Path) -> None:
    """It is the second one's input that is too loud."""
    falls_out = "faults.others=[{divider_removed_at_s=9}]"
    with lab(tmp_path, falls_out) as rig, open_station(rig, seed=0) as station:
        with pytest.raises(SafetyError, match="the divider may have fallen out") as caught:
            played(station, 8.0)
        assert caught.value.where == "rig lab, source_2"
        assert outputs(rig) == [False, False]
