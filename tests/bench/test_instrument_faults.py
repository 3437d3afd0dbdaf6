"""Faults of instruments on a rig that is being played: who is named, in which words, output off.

Each test states the diagnosis that it expects. The rig is a real one as far as the bench can tell:
served by another process, armed, with a guard. ``ask`` looks over a session of its own.
"""

from __future__ import annotations

import pytest

from emgsim.bench.station import open_station
from emgsim.errors import EmgsimError, InstrumentError, LinkError

from .test_real_rig import ask, lab, played

WHILE_ON = 'faults.source.counted="*TRG"'  # the second one is the recording's, after the probe's
QUICK = "link_timeout_s=1"


def failed(*overrides: str) -> tuple[EmgsimError, str]:
    """Play on a rig with these faults, and return the error and the state of the output then."""
    with lab(*overrides, QUICK) as rig:
        with pytest.raises(EmgsimError) as told, open_station(rig, seed=0) as station:
            played(station)
        error = told.value
        assert error.exit_code == 4
        role = rig.capture if "capture" in " ".join(overrides) else rig.source
        assert error.where == role.resource
        return error, ask(rig, "OUTP1?")


def test_an_answer_that_never_comes_while_the_output_is_on() -> None:
    """No answer: a link error names the question and how long it was waited for; output off."""
    error, output = failed(
        'faults.source.counted="OUTP1 ON"', "faults.source.no_answer_at_query=2"
    )
    assert isinstance(error, LinkError)
    assert "no complete answer to ':OUTP1 ON;:OUTP1?' within 1 s" in error.what
    assert output == "0"


@pytest.mark.parametrize("wire", ["hislip", "socket"])
def test_an_answer_that_comes_too_late(wire: str) -> None:
    """Late answer: the same words, and it is taken for no other question's: the output is off."""
    error, output = failed(
        f"virtual.wires.source={wire}",
        'faults.source.counted="OUTP1 ON"',
        "faults.source.late_answer_at_query=2",
        "faults.source.late_by_s=1.5",
    )
    assert isinstance(error, LinkError)
    assert "no complete answer to ':OUTP1 ON;:OUTP1?' within 1 s" in error.what
    assert not getattr(error, "__notes__", [])
    assert output == "0"


@pytest.mark.parametrize("wire", ["hislip", "socket", "vxi11"])
def test_a_connection_that_drops_while_the_output_is_on(wire: str) -> None:
    """Drop: the link hung up; it is opened anew, and the output is confirmed off over it."""
    error, output = failed(
        f"virtual.wires.source={wire}", WHILE_ON, "faults.source.drop_at_message=2"
    )
    assert isinstance(error, LinkError)
    assert "the link broke at ':SYST:ERR?': the instrument hung up" in error.what
    assert not getattr(error, "__notes__", [])
    assert output == "0"


def test_a_scope_whose_blocks_are_cut_short() -> None:
    """Truncated block: the scope is named, with both lengths; the output is off."""
    error, output = failed("faults.capture.truncated_block=true")
    assert isinstance(error, InstrumentError)
    assert ":WAV:DATA? is cut short: " in error.what
    assert output == "0"


def test_a_scope_that_hangs_up_before_its_record_is_read() -> None:
    """Drop: the scope is named, and the question at which it went; the output is off."""
    error, output = failed(
        'faults.capture.counted=":WAV:DATA?"', "faults.capture.drop_at_message=1"
    )
    assert isinstance(error, LinkError)
    assert "the link broke at ':WAV:DATA?': the instrument hung up" in error.what
    assert output == "0"


def test_a_generator_that_is_not_the_one_of_the_rig_file() -> None:
    """Wrong identity: expected and found serial number; nothing was driven."""
    with lab(
        'source.expect.serial="MY00000001"',
        'faults.source.wrong_identity="Agilent Technologies,33522B,MY9,1.0"',
    ) as rig:
        with pytest.raises(InstrumentError, match=r"serial 'MY00000001', and .*,MY9,"), \
                open_station(rig, seed=0):
            pytest.fail("opened")
        assert ask(rig, "OUTP1?") == "0"


def test_a_generator_of_another_maker() -> None:
    """Wrong identity: a model that the driver does not know is refused by the driver itself."""
    with lab('faults.source.wrong_identity="Rigol,DG832,DG8,1"') as rig:
        with pytest.raises(InstrumentError, match="335 or 336, got Rigol,DG832"), \
                open_station(rig, seed=0):
            pytest.fail("opened")
        assert ask(rig, "OUTP1?") == "0"


def test_an_error_queue_that_overflows_while_the_output_is_on() -> None:
    """Error-queue overflow: how many errors, and that there were more; output off."""
    error, output = failed(WHILE_ON, "faults.source.error_queue_overflow_at_message=2")
    assert isinstance(error, InstrumentError)
    assert "reports 20 error(s) or more: its error queue has overflowed" in error.what
    assert "-310" in error.what
    assert output == "0"


def test_an_output_that_cannot_be_switched_off() -> None:
    """Stuck output: what was set and what reads back, and that the output is still on."""
    error, output = failed("faults.source.stuck_output=true")
    assert isinstance(error, InstrumentError)
    assert error.what.startswith("the output is not off: OUTP1 was set to OFF, reads back 1")
    assert error.todo.startswith("pull the plug of its output")
    assert "could NOT be confirmed off" in "".join(error.__notes__)
    assert output == "1"
