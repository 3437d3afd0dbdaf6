"""A wrong state of the fixture is caught, whatever the relay box says, and by what is known why."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.station import open_station
from emgsim.cli import main
from emgsim.errors import InstrumentError
from emgsim.instruments.base import SourceCaps
from emgsim.metrology.fixture import (
    Looked,
    misfits,
    noise_bands_hz,
    telling,
    thermal_density_v2_hz,
)
from emgsim.metrology.setup import Setup
from emgsim.running.declaring import setup_of
from emgsim.running.fixture_check import CheckedFixture

CAPS = SourceCaps(16, 16_000_000, 8, 250e6, 20.0, 1, 50.0)


def declared(rig: Rig) -> Setup:
    return setup_of(rig, CAPS, date(2026, 7, 1))


@pytest.fixture(scope="module")
def setup() -> Setup:
    return declared(load_rig("virtual-metrology"))


def looked(setup: Setup, **changed: object) -> Looked:
    """Return a look at shorted inputs: nothing is heard, and the device has its declared noise."""
    n, density = setup.device.n_channels, 1e-12 * setup.device.noise_uv_rms**2 / 10_000.0
    values: dict[str, object] = {
        "differential": np.zeros(n), "differential_sd": np.full(n, 1e-6),
        "common": np.zeros(n), "common_sd": np.full(n, 1e-9),
        "densities_v2_hz": np.full(2, density), "density_sds": np.full(2, 0.03), "step_uv": 0.0,
    }  # fmt: skip
    return Looked(**(values | changed))  # type: ignore[arg-type]


# -- by what is declared -----------------------------------------------------------------------


def test_every_two_states_of_the_shipped_bench_can_be_told_apart(setup: Setup) -> None:
    """The features of one cannot be those of the other, before anything is played."""
    like = looked(setup)
    for one in setup.states:
        for other in setup.states:
            told = telling(setup, one, other, before="shorted", like=like, reference=like)
            assert bool(told) is (one != other), (one, other, told)


def test_a_state_of_common_mode_is_told_from_silence_by_the_large_sine_alone(setup: Setup) -> None:
    """Without it the two look the same: nothing else differs."""
    like = looked(setup)
    told = telling(setup, "node_drive", "shorted", before="shorted", like=like, reference=like)
    assert told == ("common",)


def test_resistances_are_heard_by_their_noise(setup: Setup) -> None:
    """12 kohm make 14.0 nV per root hertz in both bands, 620 kohm || 4.7 nF only in the lower."""
    low, high = noise_bands_hz(setup)
    through, series_z = setup.states["through"], setup.states["series_z"]
    for band_hz in (low, high):
        assert 1e9 * thermal_density_v2_hz(through, band_hz, 295.0) ** 0.5 == pytest.approx(
            13.98, abs=0.01
        )
    noisy, quiet = (1e9 * thermal_density_v2_hz(series_z, b, 295.0) ** 0.5 for b in (low, high))
    assert noisy > 35
    assert quiet < 3


def test_a_gain_or_a_cmrr_at_its_limit_is_no_wrong_state(setup: Setup) -> None:
    """What the tests of an amplifier are there to find does not end them."""
    n, ratio = setup.device.n_channels, setup.states["direct"].differential
    reference = looked(setup)
    for gain in (0.85, 1.15):
        heard = looked(setup, differential=np.full(n, gain * ratio))
        assert not misfits(heard, setup, "direct", before="shorted", reference=reference)
    for cmrr_db, fits in ((60, True), (125, True), (135, False)):
        heard = looked(setup, common=np.full(n, 0.28 * 10 ** (-cmrr_db / 20)))
        wrong = misfits(heard, setup, "node_drive", before="shorted", reference=reference)
        assert bool(wrong) is not fits


def test_a_step_tells_one_sign_of_an_offset_from_the_other(setup: Setup) -> None:
    """300 mV are far beyond the range, so that only the sign is certain."""
    n, ratio = setup.device.n_channels, setup.states["direct"].differential
    up = looked(setup, differential=np.full(n, ratio), step_uv=9000.0)
    reference = looked(setup)
    assert not misfits(up, setup, "offset_plus", before="direct", reference=reference)
    still = looked(setup, differential=np.full(n, ratio))
    assert misfits(still, setup, "offset_plus", before="direct", reference=reference)
    for name in ("offset_minus", "direct"):
        (said,) = misfits(up, setup, name, before="direct", reference=reference)
        assert said.startswith("step")


def test_without_a_reference_the_declared_noise_has_to_do(setup: Setup) -> None:
    """Ten times its amplitude is still the device's; 1 Mohm is not."""
    quiet, loud = looked(setup), looked(setup, densities_v2_hz=np.full(2, 1.63e-14))
    assert not misfits(quiet, setup, "shorted", before="through")
    noisy = looked(setup, densities_v2_hz=90 * quiet.densities_v2_hz)
    assert not misfits(noisy, setup, "shorted", before="through")
    assert misfits(loud, setup, "shorted", before="through")
    assert not misfits(loud, setup, "shorted_1m", before="through")


# -- over the wire -----------------------------------------------------------------------------


@pytest.mark.slow
def test_every_wrong_state_is_caught_and_no_right_one(setup: Setup) -> None:
    """All ordered pairs of the declared and the actual state, from any without an offset."""
    with open_station(load_rig("virtual-metrology"), 0) as station:
        fixture = CheckedFixture(station, setup)
        fixture.into("shorted")
        reference, before = fixture.looks["shorted"], "shorted"
        for actual in setup.states:
            if setup.states[before].offset_mv:
                fixture.look(before := "shorted")
            found = fixture.look(actual)
            for name in setup.states:
                wrong = misfits(found, setup, name, before=before, reference=reference)
                assert bool(wrong) is (name != actual), (name, actual, wrong)
            before = actual


def test_a_relay_that_says_it_obeyed_and_did_not_is_caught() -> None:
    """Relay 1 is stuck: the series impedance never comes in, and the source trusts nobody."""
    rig = load_rig("virtual-states", overrides=["faults.stuck_relay=1"])
    with open_station(rig, 0) as station:
        fixture = CheckedFixture(station, declared(rig))
        with pytest.raises(InstrumentError, match=r"not in state 'series_z': noise\.1") as caught:
            fixture.into("series_z")
        assert "relays" in caught.value.todo
        assert list(fixture.looks) == ["shorted"]
        assert not station.source.is_verified
        assert not station.source.is_on
        fixture.into("through")
        assert station.source.is_verified


def test_rig_check_names_the_states_that_are_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """All are looked at; the exit code is that of an instrument."""
    words = ["rig", "check", "virtual-states", "--states", "--set", "faults.stuck_relay=5"]
    assert main(words) == 4
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("state")]
    assert len(said) == 8
    (wrong,) = [line for line in said if "WRONG" in line]
    assert "offset_minus" in wrong
    assert "step" in wrong
