"""A rig that is opened and played over each wire."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from emgsim.bench.rig import load_rig
from emgsim.bench.served import ServedRig
from emgsim.bench.station import open_station
from emgsim.instruments.transport import VisaLink

from .test_real_rig import played

WIRES = ("hislip", "socket", "vxi11", "serial")


def heard(wire: str) -> tuple[bytes, str]:
    """Play over a wire; return the device's codes around its largest one, and the scope's digest.

    How long the device streams before the trigger is a matter of chance, so its codes are taken
    from a place that the signal itself marks.
    """
    rig = load_rig(
        "virtual", overrides=[f"virtual.wires.source={wire}", f"virtual.wires.capture={wire}"]
    )
    with open_station(rig, seed=7) as station:
        catch = played(station, 0.5)
    counts, scope = catch.device_counts()[:, 0], catch.scope_record()
    place = int(np.argmax(counts))
    assert counts[place] > 100 * np.median(np.abs(counts))
    volts = np.concatenate([scope.source_v, scope.monitor_v])
    near = counts[place - 500 : place + 20_000]
    return near.tobytes(), hashlib.sha256(volts.tobytes()).hexdigest()


@pytest.mark.slow
def test_every_wire_brings_the_same_samples_to_the_last_bit() -> None:
    """What was played, what the scope has seen and what the device says do not know of the wire."""
    assert len({heard(wire) for wire in WIRES}) == 1


@pytest.mark.parametrize("wire", WIRES)
def test_a_served_rig_can_be_used_by_others(wire: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Address as printed, opened by our own link: the model answers."""
    rig = load_rig("virtual", overrides=[f"virtual.wires.source={wire}"])
    with ServedRig(rig, 1) as served, VisaLink(served.addresses["source"]) as link:
        assert "33522B" in link.ask("*IDN?")
    assert capfd.readouterr().err == ""
