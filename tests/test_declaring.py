"""What a rig file declares of a bench: states, certificates, and the levels that it allows."""

from datetime import date

import numpy as np
import pytest

from emgsim.bench.parts import Certificate
from emgsim.bench.rig import Rig, load_rig
from emgsim.errors import UsageError
from emgsim.instruments.base import SourceCaps
from emgsim.running.declaring import refuse_uncertified, setup_of

TODAY = date(2026, 11, 23)
CAPS = SourceCaps(16, 1_000_000, 8, 250e6, 20.0, 1, 50.0)


@pytest.fixture(scope="module")
def rig() -> Rig:
    """Load the shipped rig for the tests of an amplifier."""
    return load_rig("virtual-metrology")


def test_a_state_is_declared_with_its_certificates(rig: Rig):
    """Transfer and impedance are two certificates, and one point says the same everywhere."""
    state = setup_of(rig, CAPS, TODAY).states["series_z"]
    declared = rig.fixture.states["series_z"]
    assert declared.certificate is not None
    assert declared.impedance_certificate is not None
    assert (state.differential, state.series_ohm, state.series_nf) == (
        declared.differential, 620_000.0, 4.7)
    assert state.transfer.certificate == declared.certificate.id
    assert state.impedance.certificate == declared.impedance_certificate.id
    value, standard = state.transfer.at(1234.0)
    assert (value, standard) == (1.0, declared.certificate.expanded_uncertainty / 2)


def test_only_states_with_the_phantom_have_its_impedance(rig: Rig):
    """Most sines are played without it."""
    states = setup_of(rig, CAPS, TODAY).states
    assert (states["through"].electrode_ohm, states["through"].electrode_nf) == (12_000.0, 14.0)
    assert (states["direct"].electrode_ohm, states["direct"].electrode_nf) == (0.0, 0.0)


def test_the_largest_level_holds_the_limits_at_worst(rig: Rig):
    """Divided by what the certificate leaves open, by what is in series, and by the source."""
    states = setup_of(rig, CAPS, TODAY).states
    assert states["direct"].largest_uv < 1e3 * rig.limits.device_differential_mv_pk / 1.0005
    source_v = 10.0 * rig.load_factor
    assert states["direct"].largest_uv < 1e6 * source_v * rig.fixture.states["direct"].differential
    assert states["shorted"].largest_uv == 0.0
    assert states["node_drive"].is_common
    assert states["node_drive"].largest_uv > 1e5


def test_what_is_in_series_takes_its_part_of_a_limit():
    """Of 301 mV beside 300 mV there is 1 mV left for a signal."""
    tight = load_rig("virtual-metrology", overrides=[
        "fixture.states.offset_plus.device_differential_mv_pk=301.0"])
    assert 900.0 < setup_of(tight, CAPS, TODAY).states["offset_plus"].largest_uv < 1000.0


def test_an_expired_certificate_is_known_to_be(rig: Rig):
    """The day on which it is due is still good."""
    gain = rig.source.certificate
    assert gain is not None
    assert not setup_of(rig, CAPS, gain.due).source.gain.has_expired
    late = date(gain.due.year + 1, 1, 1)
    assert setup_of(rig, CAPS, late).source.gain.has_expired


def test_points_of_a_certificate_are_those_of_the_setup():
    """Value and uncertainty over frequency, and the largest that they leave possible."""
    points = [
        {"frequency_hz": 10.0, "relative": 1.001, "expanded_uncertainty": 0.002},
        {"frequency_hz": 1000.0, "relative": 1.01, "expanded_uncertainty": 0.001},
    ]
    overridden = load_rig("virtual-metrology", overrides=[
        "fixture.states.direct.certificate.points=["
        "{frequency_hz = 10.0, relative = 1.001, expanded_uncertainty = 0.002},"
        "{frequency_hz = 1000.0, relative = 1.01, expanded_uncertainty = 0.001}]"
    ])
    certificate = overridden.fixture.states["direct"].certificate
    assert certificate is not None
    assert [point.model_dump() for point in certificate.points] == points
    assert certificate.at_most == pytest.approx(1.01 * 1.001)
    value, standard = setup_of(overridden, CAPS, TODAY).states["direct"].transfer.at(100.0)
    assert value == pytest.approx(np.mean([1.001, 1.01]))
    assert standard == 0.001


def test_points_must_rise_in_frequency():
    """A table in any other order was typed wrongly."""
    with pytest.raises(ValueError, match="must rise in frequency_hz"):
        Certificate(
            id="A", issued=TODAY, due=date(2027, 1, 1), expanded_uncertainty=0.001,
            points=[{"frequency_hz": f, "expanded_uncertainty": 0.001} for f in (100.0, 10.0)],
        )


def test_all_that_is_not_certified_is_named_at_once():
    """The virtual rig for recordings has neither source nor impedances certified."""
    with pytest.raises(UsageError) as caught:
        refuse_uncertified(load_rig("virtual-states"), ["series_z", "shorted", "no such state"])
    assert caught.value.exit_code == 2
    for name in ("source.certificate", "source.clock_certificate",
                 "fixture.states.series_z.impedance_certificate"):
        assert name in caught.value.what
    assert "shorted" not in caught.value.what


def test_a_rig_with_all_certificates_is_not_refused(rig: Rig):
    """Every state of it may be used."""
    refuse_uncertified(rig, setup_of(rig, CAPS, TODAY).states)
