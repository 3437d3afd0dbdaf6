"""The server's process of a virtual rig: what it refuses, and what becomes of its last words."""

from __future__ import annotations

import os
import signal

import pytest

from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.served import ServedRig
from emgsim.errors import InputError


def with_driver(role: str, driver: str) -> Rig:
    """Return the virtual rig with another driver, which may not exist."""
    rig = load_rig("virtual")
    part = getattr(rig, role).model_copy(update={"driver": driver})
    return rig.model_copy(update={role: part})


@pytest.mark.parametrize(
    ("role", "known"),
    [("source", "keysight.33500"), ("capture", "keysight.infiniivision"), ("device", "with na1")],
)
def test_a_driver_without_a_twin_cannot_be_served(
    role: str, known: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The driver may be there, its twin is not: which have one, where it stands, exit code 3."""
    with pytest.raises(InputError) as told, ServedRig(with_driver(role, "lab.own"), 1):
        pytest.fail("served")
    assert told.value.exit_code == 3
    assert "rig virtual cannot be served: a virtual rig has no twin for 'lab.own" in told.value.what
    assert f"{role}.driver" in told.value.what
    assert known in told.value.what
    assert capfd.readouterr().err == ""


def test_what_a_server_says_when_it_dies_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its last words come on our own standard error, when it is closed."""
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    with ServedRig(load_rig("virtual"), 1) as served:
        os.kill(served.pid, signal.SIGABRT)
    assert "Fatal Python error: Aborted" in capfd.readouterr().err
