"""One fibre at an electrode: against a table, and against its own source summed point by point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.parameters import ConcentricNeedle, Medium, TipPosition
from emgsim.physiology.potential import (
    NEAREST_MM,
    Electrode,
    action_potential_mv,
    action_potential_slope_mv_mm,
    concentric_electrode,
    fibre_potentials_uv,
    point_electrode,
    sensitivity_slope,
)

UNIT_GAIN = Medium(source_gain=1.0)
NEEDLE = ConcentricNeedle()
VELOCITY_MM_US = 3.7e-3  # of a fibre of 55 um
STEP_MM = 0.01
Z_MM = 60.0  # far from the end plate and from both tendons: the table's infinite fibre


def potential_uv(
    electrode: Electrode,
    *,
    medium: Medium = UNIT_GAIN,
    end_plate_mm: float = 0.0,
    half_mm: tuple[float, float] = (120.0, 120.0),
    diameter_um: float = 55.0,
    step_mm: float = STEP_MM,
) -> np.ndarray:
    """Return the potential of one fibre in the middle of the cross-section, shape ``(n,)``."""
    return fibre_potentials_uv(
        electrode,
        medium,
        x_mm=np.zeros(1),
        y_mm=np.zeros(1),
        end_plate_mm=np.array([end_plate_mm]),
        half_lengths_mm=(np.array([half_mm[0]]), np.array([half_mm[1]])),
        diameter_um=np.array([diameter_um]),
        step_mm=step_mm,
    )[0]


def passing_wave_uv(distance_mm: float) -> np.ndarray:
    """Return the wave of an infinite fibre that runs past a point electrode."""
    wave = potential_uv(point_electrode(distance_mm, 0.0, Z_MM))
    return wave[round((Z_MM - 25) / STEP_MM) : round((Z_MM + 30) / STEP_MM)]


def phases(wave: np.ndarray, least: float = 0.03) -> list[int]:
    """Return the signs of the successive phases larger than a share of the largest."""
    loud = wave[np.abs(wave) > least * np.abs(wave).max()]
    signs = np.sign(loud)
    return [int(s) for s in signs[np.flatnonzero(np.diff(signs, prepend=0.0))]]


def test_the_action_potential_peaks_at_129_mv_1_5_mm_behind_its_front() -> None:
    """A01: 129.0 +- 0.1 mV at 1.5 mm, Nandedkar & Stalberg 1983."""
    x_mm = np.linspace(-1.0, 14.0, 15001)
    potential = action_potential_mv(x_mm)
    assert x_mm[np.argmax(potential)] == pytest.approx(1.5, abs=0.001)
    assert potential.max() == pytest.approx(129.0, abs=0.1)
    assert np.all(potential[x_mm <= 0] == 0.0)


def test_the_slope_is_the_derivative_of_the_action_potential() -> None:
    """The two formulas agree with each other by central differences."""
    x_mm = np.linspace(0.01, 12.0, 500)
    h = 1e-5
    numeric = (action_potential_mv(x_mm + h) - action_potential_mv(x_mm - h)) / (2 * h)
    np.testing.assert_allclose(action_potential_slope_mv_mm(x_mm), numeric, atol=1e-5)


@pytest.mark.parametrize(
    ("distance_mm", "peak_to_peak_uv"),
    [(0.05, 4467), (0.1, 2525), (0.2, 1142), (0.3, 631), (0.5, 256), (1.0, 56.6), (2.0, 9.40)],
)
def test_peak_to_peak_falls_with_distance_as_in_the_table(
    distance_mm: float, peak_to_peak_uv: float
) -> None:
    """A04 and table C.6: +- 2 %, source gain 1, fibre of 55 um, point electrode."""
    assert np.ptp(passing_wave_uv(distance_mm)) == pytest.approx(peak_to_peak_uv, rel=0.02)


@pytest.mark.parametrize(("distance_mm", "rise_us"), [(0.1, 300), (0.5, 519)])
def test_the_spike_rises_as_fast_as_in_the_table(distance_mm: float, rise_us: float) -> None:
    """A05: from the positive to the negative peak, +- 10 us at 3.7 m/s."""
    wave = passing_wave_uv(distance_mm)
    negative = int(np.argmin(wave))
    positive = int(np.argmax(wave[:negative]))
    assert (negative - positive) * STEP_MM / VELOCITY_MM_US == pytest.approx(rise_us, abs=10)


@pytest.mark.parametrize(("near_mm", "far_mm", "slope"), [(0.5, 1.0, -2.18), (2.0, 5.0, -2.87)])
def test_amplitude_is_a_power_of_distance(near_mm: float, far_mm: float, slope: float) -> None:
    """A06: log-log slope +- 0.05, from our own table C.6."""
    ratio = np.ptp(passing_wave_uv(far_mm)) / np.ptp(passing_wave_uv(near_mm))
    assert np.log(ratio) / np.log(far_mm / near_mm) == pytest.approx(slope, abs=0.05)


def test_each_76_um_of_tissue_takes_away_almost_half() -> None:
    """A07: gain 0.55 +- 0.06 per 76 um from 0.10-0.15 mm, Gath & Stalberg 1977."""
    for near_mm in (0.10, 0.15):
        gain = np.ptp(passing_wave_uv(near_mm + 0.076)) / np.ptp(passing_wave_uv(near_mm))
        assert gain == pytest.approx(0.55, abs=0.06)


def test_the_wave_has_three_phases_away_from_the_end_plate_and_two_at_it() -> None:
    """A08: three phases beyond 1.5 mm, at the end plate negative, positive (Nandedkar 2022)."""
    away = potential_uv(point_electrode(0.2, 0.0, 20.0), half_mm=(60.0, 60.0))
    at_it = potential_uv(point_electrode(0.2, 0.0, 0.0), half_mm=(60.0, 60.0))
    assert phases(away) == [1, -1, 1]
    assert phases(at_it) == [-1, 1]


def test_near_the_tendon_the_wave_is_smaller_and_biphasic() -> None:
    """At the end of a fibre the terminal phase is missing: positive, then negative (C.7)."""
    along = potential_uv(point_electrode(0.2, 0.0, 40.0), half_mm=(60.0, 60.0))
    at_end = potential_uv(point_electrode(0.2, 0.0, 60.0), half_mm=(60.0, 60.0))
    assert phases(at_end) == [1, -1]
    assert np.ptp(at_end) < np.ptp(along)


def source(run_mm: float, dz_mm: float, half_mm: tuple[float, float]) -> tuple[np.ndarray, ...]:
    """Return places and strengths of the membrane current of a fibre with its end plate at 0.

    The slope of the membrane potential, windowed by the fibre's ends and *then* differentiated
    (Farina & Merletti 2001). Nodes lie half a step beside the end plate and the fibre's ends, so
    each of the three jumps is one point current.
    """
    up = (np.arange(round(half_mm[0] / dz_mm)) + 0.5) * dz_mm
    down = (np.arange(round(half_mm[1] / dz_mm)) + 0.5) * dz_mm
    slope = np.concatenate(
        [
            action_potential_slope_mv_mm(run_mm - down)[::-1],
            -action_potential_slope_mv_mm(run_mm - up),
        ]
    )
    current = np.diff(slope, prepend=0.0, append=0.0)
    z_mm = (np.arange(current.size) - down.size) * dz_mm
    return z_mm, current


RUNS_MM = (0.3, 1.5, 5.0, 19.0, 20.4, 29.8, 30.2, 31.0, 45.5, 51.0)


@pytest.mark.parametrize("run_mm", RUNS_MM)
def test_the_net_current_is_zero_at_every_instant(run_mm: float) -> None:
    """A09: |sum| < 1e-9 of the sum of magnitudes, during generation and extinction as well."""
    _, current = source(run_mm, 0.005, (30.0, 50.0))
    assert abs(current.sum()) < 1e-9 * np.abs(current).sum()


def picked_up(electrode: Electrode, z_mm: np.ndarray, anisotropy: float) -> np.ndarray:
    """Return W at places along a fibre in the axis, the cannula summed point by point."""
    w = np.zeros(z_mm.size)
    for (x, y, z), weight in zip(electrode.points_mm, electrode.weights, strict=True):
        w += weight / np.sqrt(anisotropy * (x * x + y * y) + (z_mm - z) ** 2)
    if electrode.shaft_mm is not None:
        x, bottom, z = electrode.shaft_mm
        n = 3000
        y = bottom + (np.arange(n) + 0.5) / n * electrode.shaft_length_mm
        q2 = max(x * x, electrode.shaft_radius_mm**2)
        for place in y:
            w -= 1 / np.sqrt(anisotropy * (q2 + place**2) + (z_mm - z) ** 2) / n
    return w


@pytest.mark.parametrize(
    "electrode",
    [
        point_electrode(0.3, 0.2, 20.0),
        concentric_electrode(NEEDLE, TipPosition(x_mm=0.5, y_mm=0.3, z_mm=20.0), (2, 5)),
    ],
    ids=["point", "concentric"],
)
def test_the_potential_is_that_of_the_source_summed_point_by_point(electrode: Electrode) -> None:
    """Two convolutions by parts give what current times distance gives: no end effect is lost."""
    half_mm = (30.0, 50.0)
    wave = potential_uv(electrode, half_mm=half_mm)
    strength = np.pi * (0.055 / 2) ** 2 * 1.01 / (4 * np.pi * 0.063)
    z_mm, _ = source(1.0, 0.005, half_mm)
    w = picked_up(electrode, z_mm, UNIT_GAIN.anisotropy)
    for run_mm in RUNS_MM:
        _, current = source(run_mm, 0.005, half_mm)
        expected = 1000 * strength * (current @ w)
        assert wave[round(run_mm / STEP_MM)] == pytest.approx(expected, abs=1e-3 * np.ptp(wave))


def test_the_wave_is_gone_after_the_last_column() -> None:
    """The last sample is nothing against the largest, so that zero may follow it."""
    wave = potential_uv(point_electrode(0.2, 0.0, 20.0), half_mm=(60.0, 40.0))
    assert abs(wave[-1]) < 1e-6 * np.abs(wave).max()


@given(
    place_mm=st.tuples(*[st.floats(-2, 2), st.floats(-2, 2), st.floats(-20, 20)]),
    z_mm=st.floats(-30, 30),
)
@settings(max_examples=100, deadline=None)
def test_the_slope_of_the_pick_up_is_its_derivative(
    place_mm: tuple[float, float, float], z_mm: float
) -> None:
    """Closed forms of core and cannula agree with central differences anywhere."""
    x, y, z = place_mm
    tip = TipPosition(x_mm=x + 3.0, y_mm=y, z_mm=z)  # 3 mm aside: no floor of distance is met
    electrode = concentric_electrode(ConcentricNeedle(), tip, (1, 4))
    h = 1e-3
    low, high = (picked_up(electrode, np.array([z_mm + d]), 5.24)[0] for d in (-h, h))
    axis = np.zeros((1, 1))
    here = sensitivity_slope(electrode, axis, axis, np.array([[z_mm]]), 5.24)
    assert here[0, 0] == pytest.approx((high - low) / (2 * h), abs=2e-6)


def test_the_core_is_an_ellipse_of_equal_facets_about_the_tip() -> None:
    """Centre and second moments are those of a uniform ellipse: semi-axis squared over 4."""
    needle, tip = ConcentricNeedle(), TipPosition(x_mm=1.0, y_mm=-2.0, z_mm=3.0)
    electrode = concentric_electrode(needle, tip)
    about = electrode.points_mm - [1.0, -2.0, 3.0]
    assert electrode.weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(electrode.weights @ about, 0.0, atol=1e-12)
    short2 = electrode.weights @ about[:, 2] ** 2
    long2 = electrode.weights @ (about[:, 0] ** 2 + about[:, 1] ** 2)
    assert short2 == pytest.approx((0.150 / 2) ** 2 / 4, rel=1e-9)
    assert long2 == pytest.approx((0.580 / 2) ** 2 / 4, rel=3e-3)  # 150 x 580 um, IFCN 2020


def test_the_core_has_the_published_area() -> None:
    """A core wire of 0.15 mm cut at 15 degrees shows 0.068 mm2 (IFCN 2020)."""
    needle = ConcentricNeedle()
    area_mm2 = np.pi / 4 * needle.core_mm * needle.core_length_mm
    assert area_mm2 == pytest.approx(0.068, abs=0.001)


def test_the_cannula_takes_away_what_both_see() -> None:
    """A far fibre is seen by core and cannula alike, so a concentric needle hears it less."""
    tip = TipPosition(x_mm=6.0, y_mm=0.0, z_mm=20.0)
    remote = potential_uv(point_electrode(6.0, 0.0, 20.0), half_mm=(60.0, 60.0), step_mm=0.1)
    needle = concentric_electrode(ConcentricNeedle(), tip)
    differential = potential_uv(needle, half_mm=(60.0, 60.0), step_mm=0.1)
    assert np.ptp(differential) < 0.7 * np.ptp(remote)


def test_no_fibre_is_closer_than_the_metal_lets_it() -> None:
    """A fibre through the electrode counts as one at the nearest distance, and stays finite."""
    through = potential_uv(point_electrode(0.0, 0.0, 20.0), half_mm=(60.0, 60.0))
    beside = potential_uv(point_electrode(NEAREST_MM, 0.0, 20.0), half_mm=(60.0, 60.0))
    np.testing.assert_array_equal(through, beside)


def test_the_amplitude_goes_with_the_square_of_the_diameter() -> None:
    """A10: exactly, as the wave's shape against distance does not know the diameter."""
    electrode = point_electrode(0.2, 0.0, 20.0)
    thin, thick = (potential_uv(electrode, diameter_um=d) for d in (30.0, 90.0))
    np.testing.assert_allclose(thick, 9.0 * thin, rtol=1e-12, atol=0.0)


def test_a_fibre_is_the_same_seen_from_either_side_of_its_end_plate() -> None:
    """Mirrored along z, the fibre gives the same wave."""
    up = potential_uv(point_electrode(0.3, 0.0, 17.0), end_plate_mm=2.0, half_mm=(58.0, 62.0))
    down = potential_uv(point_electrode(0.3, 0.0, -17.0), end_plate_mm=-2.0, half_mm=(62.0, 58.0))
    np.testing.assert_allclose(up, down, rtol=1e-9, atol=1e-9)


@given(shift_mm=st.floats(-0.5, 0.5))
@settings(max_examples=15, deadline=None)
def test_a_fibre_may_end_between_two_grid_points(shift_mm: float) -> None:
    """The last cell counts by its share: a coarse grid agrees with a fine one for any length."""
    half_mm = (30.0 + shift_mm, 40.0)
    electrode = point_electrode(1.0, 0.0, 28.0)
    fine = potential_uv(electrode, half_mm=half_mm, step_mm=0.01)
    coarse = potential_uv(electrode, half_mm=half_mm, step_mm=0.04)
    n = min(coarse.size, fine[::4].size)
    assert np.abs(coarse[:n] - fine[::4][:n]).max() < 2e-3 * np.ptp(fine)
