"""How large everything is: divider, electrode and noise by pencil."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from emgsim.plant.physics import (
    AmplifierPhysics,
    ElectrodePhysics,
    FixturePhysics,
    RigPhysics,
    SourcePhysics,
)


def noise_uv(band_hz: float, **parts: object) -> float:
    """Return the rms of the white noise at the device's terminals in a band."""
    return 1e6 * float(np.sqrt(RigPhysics(**parts).noise_density_v2_hz * band_hz))


QUIET_SOURCE, QUIET_AMPLIFIER = SourcePhysics(noise_mv_rms=0), AmplifierPhysics(noise_uv_rms=0)


@pytest.mark.parametrize(
    ("resistance_kohm", "rms_uv"), [(5, 0.93), (10, 1.31), (50, 2.93), (100, 4.14)]
)
def test_johnson_noise_is_that_of_the_resistance(resistance_kohm: float, rms_uv: float) -> None:
    """A57: 1.31 uV rms +- 2 % for 10 kohm in 10 kHz at 310 K, and the other rows of section D."""
    noise = noise_uv(
        10_000,
        source=QUIET_SOURCE,
        amplifier=QUIET_AMPLIFIER,
        fixture=FixturePhysics(temperature_k=310, shunt_ohm=1e-6),
        electrode=ElectrodePhysics(r_ohm=1e3 * resistance_kohm),
    )
    assert noise == pytest.approx(rms_uv, rel=0.02)


def test_noise_adds_by_power() -> None:
    """Amplifier 3 uV and generator 4 uV behind the divider make 5 uV in the declared band."""
    fixture = FixturePhysics(series_ohm=9_990, shunt_ohm=10, temperature_k=1e-9)
    noise = noise_uv(
        10_000,
        source=SourcePhysics(noise_mv_rms=4.0 * 10_050 / 10_000, output_ohm=50),
        amplifier=AmplifierPhysics(noise_uv_rms=3.0),
        fixture=fixture,
    )
    assert fixture.ratio == pytest.approx(1e-3)
    assert noise == pytest.approx(5.0, rel=1e-6)


def test_the_divider_loads_the_generator() -> None:
    """10 010 ohm behind 50 ohm: 0.5 % of the voltage is lost inside the generator."""
    rig = RigPhysics()
    assert rig.fixture.input_ohm == 10_010
    assert rig.fixture.ratio == pytest.approx(10 / 10_010)
    assert rig.source_load_factor == pytest.approx(10_010 / 10_060)


def test_the_electrode_is_a_high_pass_into_the_input_resistance() -> None:
    """14 nF into 1 Mohm: corner at 1 / (2 pi R C) = 11.2 Hz; far above it nearly all gets in."""
    rig = RigPhysics(amplifier=AmplifierPhysics(input_mohm=1.0))
    total_ohm = 1e6 + 12_000 + 10
    corner_hz = 1 / (2 * np.pi * total_ohm * 14e-9)
    gain = rig.electrode_network.response(np.array([0.0, corner_hz, 1e6]))
    share = 1e6 / total_ohm
    assert gain[0] == 0
    assert abs(gain[1]) == pytest.approx(share * np.sqrt(0.5))
    assert np.degrees(np.angle(gain[1])) == pytest.approx(45.0)
    assert abs(gain[2]) == pytest.approx(share)


@pytest.mark.parametrize(("kind", "corner"), [("NORM", 0.27), ("STEP", 0.13)])
def test_the_output_filter_goes_with_the_sample_rate(kind: str, corner: float) -> None:
    """-3 dB at 27 % of the rate in NORM, at 13 % in STEP."""
    network = SourcePhysics().reconstruction(kind, 40_000.0)
    gain = np.abs(network.response(np.array([0.0, corner * 40_000.0])))
    assert gain == pytest.approx([1.0, np.sqrt(0.5)])


def test_without_the_output_filter_the_staircase_comes_out() -> None:
    """OFF is a plain wire."""
    gain = SourcePhysics().reconstruction("OFF", 40_000.0).response(np.array([0.0, 15e3]))
    assert gain.tolist() == [1.0, 1.0]


def test_the_amplifier_passes_its_band_with_its_true_gain() -> None:
    """In the middle of 10 Hz-10 kHz the gain is the declared one times 1.002; negative inverts."""
    middle = np.array([316.0])
    gain = RigPhysics().amplifier_network.response(middle)
    assert abs(gain[0]) == pytest.approx(1.002, rel=1e-3)
    inverted = RigPhysics(amplifier=AmplifierPhysics(gain=-1.002)).amplifier_network
    assert inverted.response(middle)[0] == pytest.approx(-gain[0])


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (SourcePhysics, "clock_ppm", 600.0),
        (FixturePhysics, "shunt_ohm", 0.0),
        (AmplifierPhysics, "adc_bits", 25),
        (AmplifierPhysics, "noise_uv_rms", -1.0),
        (RigPhysics, "amp", {}),
    ],
)
def test_an_impossible_part_is_refused_by_name(model: type, name: str, value: object) -> None:
    """The message names the field and the rule."""
    with pytest.raises(ValidationError, match=rf"(?s){name}.*(should be|not permitted)"):
        model.model_validate({name: value})
