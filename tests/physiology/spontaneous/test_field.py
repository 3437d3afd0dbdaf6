"""What an electrode hears of a wounded fibre and of an end-plate current: point by point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.kernels import fibre_waves_uv
from emgsim.physiology.parameters import ConcentricNeedle, Medium, TipPosition
from emgsim.physiology.potential import NANDEDKAR_STALBERG, point_electrode
from emgsim.physiology.spontaneous.field import (
    end_plate_field_uv_na,
    slow_slope_mv_mm,
    source_wave_uv,
)
from emgsim.physiology.spontaneous.source import EndPlateCurrent, Source, Wave
from emgsim.physiology.voices import Sampling

MEDIUM = Medium()
SAMPLING = Sampling(rate_hz=48_000.0, band_hz=10_000.0)
POINT = point_electrode(0.2, 0.0, 10.0)


def fibre(end_plate_mm=0.0, up_mm=60.0, down_mm=60.0, diameter_um=50.0) -> UnitFibres:
    """Return one fibre in the axis."""
    return UnitFibres(
        x_mm=np.zeros(1),
        y_mm=np.zeros(1),
        end_plate_mm=np.array([end_plate_mm]),
        half_lengths_mm=(np.array([up_mm]), np.array([down_mm])),
        diameter_um=np.array([diameter_um]),
        delay_s=np.array([0.5e-3]),
    )


def wave_uv(fibres: UnitFibres, membrane: Wave | EndPlateCurrent, electrode=POINT) -> np.ndarray:
    """Return the wave of a source of one fibre."""
    source = Source(
        kind="test",
        name="test 0.0",
        fibres=fibres,
        times_s=np.zeros(1),
        gains=np.ones(1),
        onset_s=0.0,
        offset_s=1.0,
        grade=1.0,
        membrane=membrane,
    )
    return source_wave_uv(source, electrode, MEDIUM, SAMPLING)[0]


@settings(max_examples=15)
@given(
    r_mm=st.floats(0.05, 3.0),
    z_mm=st.floats(-4.0, 4.0),
    length_mm=st.floats(0.5, 3.0),
    up_mm=st.floats(0.5, 20.0),
    down_mm=st.floats(0.5, 20.0),
)
def test_an_end_plate_current_is_a_sink_whose_return_is_spread_along_the_fibre(
    r_mm, z_mm, length_mm, up_mm, down_mm
):
    """Source by source: -I at the end plate, what leaves per mm, and the rest at sealed ends."""
    d_um, a = 50.0, MEDIUM.anisotropy

    def weight(u: float) -> float:
        return 1 / np.sqrt(a * r_mm**2 + (u - z_mm) ** 2)

    total = -weight(0.0)
    for sign, end in ((1.0, up_mm), (-1.0, down_mm)):
        reach = min(end, 8 * length_mm)
        out = integrate.quad(
            lambda u, s=sign: np.exp(-u / length_mm) / length_mm * weight(s * u),
            0.0,
            reach,
            points=[min(abs(z_mm), reach)],
            limit=400,
        )[0]
        total += 0.5 * out + 0.5 * np.exp(-reach / length_mm) * weight(sign * reach)
    strength_uv = MEDIUM.source_gain * 1e-9 / (4e-3 * np.pi * MEDIUM.sigma_radial_s_m) * 1e6
    found = end_plate_field_uv_na(
        point_electrode(r_mm, 0.0, z_mm), MEDIUM, fibre(0.0, up_mm, down_mm, d_um), length_mm
    )
    near = strength_uv * weight(0.0)
    assert found[0] == pytest.approx(strength_uv * total, abs=2e-3 * near)


def test_an_end_plate_current_does_not_depend_on_the_fibre_it_enters():
    """A given current makes the same potential whatever the diameter."""
    thin, thick = (
        end_plate_field_uv_na(POINT, MEDIUM, fibre(10.0, diameter_um=d), 1.5)[0] for d in (25, 59)
    )
    assert thin == pytest.approx(thick, rel=1e-12)


def test_an_end_plate_current_peaks_at_its_size_and_dies_away():
    """The largest value is the field of the peak current; before the discharge there is none."""
    current = EndPlateCurrent(peak_na=20.0, rise_s=0.3e-3, decay_s=1e-3, length_mm=1.5)
    wave = wave_uv(fibre(10.0), current)
    field = end_plate_field_uv_na(POINT, MEDIUM, fibre(10.0), 1.5)[0]
    assert field < 0
    assert wave.min() == pytest.approx(20.0 * field, rel=1e-3)
    assert wave.max() <= 0
    assert wave[: int(0.5e-3 * SAMPLING.fine_hz)].min() == 0
    assert wave[-1] == pytest.approx(0.0, abs=1e-3 * -wave.min())


def test_one_quantum_makes_5_uv_at_a_concentric_needle():
    """3.9 nA at 0.05 mm before the core: why end-plate noise of 10-50 uV needs several at once."""
    needle = channels(ConcentricNeedle(), TipPosition(x_mm=-0.05, y_mm=0.0, z_mm=10.0))[0]
    field = end_plate_field_uv_na(needle, MEDIUM, fibre(10.0), 1.5)[0]
    assert -3.9 * field == pytest.approx(5.3, abs=0.5)


def test_the_slow_action_potential_rises_and_returns_to_rest():
    """Its slope adds up to the peak on the rise, and to nothing in all."""
    x_mm = np.arange(0.0, 200.0, 1e-3) + 0.5e-3
    slope = slow_slope_mv_mm(x_mm, NANDEDKAR_STALBERG, 10.0)
    assert slope[x_mm < 1.5].sum() * 1e-3 == pytest.approx(129.0, abs=0.1)
    assert slope.sum() * 1e-3 == pytest.approx(0.0, abs=0.01)
    behind = x_mm > 1.5
    mean_mm = np.sum((x_mm[behind] - 1.5) * slope[behind]) / slope[behind].sum()
    assert mean_mm == pytest.approx(10.5, rel=0.01)  # it bends within half a millimetre


def test_a_wounded_fibre_is_the_integral_of_its_parts():
    """Some instants of the wave by quadrature of the formula, to 1e-3 of the peak."""
    tau_s, fibres = 6e-3, fibre(0.0, up_mm=10.1, down_mm=20.0)
    wave = wave_uv(fibres, Wave(repolarisation_s=tau_s))
    v = 1e3 * float(fibres.velocity_m_s[0])
    area = np.pi * (0.025) ** 2 * MEDIUM.sigma_intracellular_s_m
    k = 1000 * MEDIUM.source_gain * area / (4 * np.pi * MEDIUM.sigma_radial_s_m)

    def part(u: float, way: float, sign: float) -> float:
        dz = 10.0 - sign * u
        pull = dz / (MEDIUM.anisotropy * 0.2**2 + dz**2) ** 1.5
        return sign * pull * float(
            slow_slope_mv_mm(np.array(way - u), NANDEDKAR_STALBERG, v * tau_s)
        )

    for time_s in (2.5e-3, 3.3e-3, 4e-3, 6e-3, 12e-3):
        way = (time_s - 0.5e-3) * v
        total = sum(
            integrate.quad(part, 0.0, min(end, way), args=(way, sign), limit=500, points=points)[0]
            for sign, end, points in (
                (1.0, 10.1, sorted({min(p, way, 10.1) for p in (9.0, 10.0, max(way - 1.5, 0))})),
                (-1.0, 20.0, [min(max(way - 1.5, 0.0), 20.0)]),
            )
        )
        at = np.interp(time_s, np.arange(wave.size) / SAMPLING.fine_hz, wave)
        assert at == pytest.approx(k * total, abs=1e-3 * wave.max())


def test_both_phases_of_a_blocked_wave_have_the_same_area():
    """What flows in at the front flows back in the tail: at the end no charge is left."""
    wave = wave_uv(fibre(0.0, up_mm=10.05), Wave(repolarisation_s=6e-3))
    gained, lost = wave[wave > 0].sum(), -wave[wave < 0].sum()
    assert lost == pytest.approx(gained, rel=0.02)


def test_a_healthy_wave_is_the_kernel_s():
    """The default membrane adds nothing of its own, and the window holds the whole wave."""
    wave = wave_uv(fibre(), Wave())
    longer = fibre_waves_uv(2 * wave.size, SAMPLING.fine_hz, POINT, MEDIUM, fibre())[0]
    np.testing.assert_array_equal(wave, longer[: wave.size])
    assert np.abs(longer[wave.size :]).max() < 1e-3
