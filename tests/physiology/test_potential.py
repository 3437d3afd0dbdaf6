"""One fibre at an electrode: against tables, Bessel functions, and its source point by point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from emgsim.physiology.electrodes import channels
from emgsim.physiology.parameters import ConcentricNeedle, Medium, TipPosition
from emgsim.physiology.potential import (
    ACTION_POTENTIALS,
    NEAREST_MM,
    ActionPotential,
    Electrode,
    Line,
    Shield,
    action_potential_mv,
    action_potential_slope_mv_mm,
    difference,
    fibre_potentials_uv,
    fibre_strength,
    heard_share,
    line_electrode,
    point_electrode,
    sensitivity_slope,
)

UNIT_GAIN = Medium(source_gain=1.0)
ROSENFALCK = Medium(source_gain=1.0, action_potential="rosenfalck")
FULL_SCALE_UV = 1100.0  # a fibre of 55 um at 0.1 mm from a point, source gain 0.45
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


def concentric(tip: TipPosition) -> Electrode:
    """Return a standard concentric needle."""
    return channels(NEEDLE, tip)[0]


def passing_wave_uv(distance_mm: float, medium: Medium = UNIT_GAIN) -> np.ndarray:
    """Return the wave of an infinite fibre that runs past a point electrode."""
    wave = potential_uv(point_electrode(distance_mm, 0.0, Z_MM), medium=medium)
    return wave[round((Z_MM - 25) / STEP_MM) : round((Z_MM + 30) / STEP_MM)]


def rise_us(wave: np.ndarray) -> float:
    """Return the time from the positive to the negative peak of a fibre of 55 um."""
    negative = int(np.argmin(wave))
    positive = int(np.argmax(wave[:negative]))
    return (negative - positive) * STEP_MM / VELOCITY_MM_US


def phases(wave: np.ndarray, least: float = 0.03) -> list[int]:
    """Return the signs of the successive phases larger than a share of the largest."""
    loud = wave[np.abs(wave) > least * np.abs(wave).max()]
    signs = np.sign(loud)
    return [int(s) for s in signs[np.flatnonzero(np.diff(signs, prepend=0.0))]]


@pytest.mark.parametrize("shape", ACTION_POTENTIALS.values(), ids=list(ACTION_POTENTIALS))
def test_the_slope_is_the_derivative_of_the_action_potential(shape: ActionPotential) -> None:
    """The two formulas agree with each other by central differences."""
    x_mm = np.linspace(0.01, 12.0, 500)
    h = 1e-5
    up, down = (action_potential_mv(x_mm + d, shape) for d in (h, -h))
    slope = action_potential_slope_mv_mm(x_mm, shape)
    np.testing.assert_allclose(slope, (up - down) / (2 * h), atol=1e-5)


@pytest.mark.parametrize(
    ("distance_mm", "peak_to_peak_uv"),
    [(0.05, 4467), (0.2, 1142), (0.5, 256), (2.0, 9.40)],
)
def test_peak_to_peak_falls_with_distance_as_in_the_table(
    distance_mm: float, peak_to_peak_uv: float
) -> None:
    """Table C.6, what row A04 leaves: +- 2 %, source gain 1, fibre of 55 um, point electrode."""
    assert np.ptp(passing_wave_uv(distance_mm)) == pytest.approx(peak_to_peak_uv, rel=0.02)


@pytest.mark.parametrize(
    ("distance_mm", "expected_us"), [(0.05, 281), (0.3, 397), (1.0, 859)]
)
def test_the_spike_rises_as_fast_as_in_the_table(distance_mm: float, expected_us: float) -> None:
    """Table C.6, what row A05 leaves: positive to negative peak, +- 10 us at 3.7 m/s."""
    assert rise_us(passing_wave_uv(distance_mm)) == pytest.approx(expected_us, abs=10)


@pytest.mark.parametrize(
    ("distance_mm", "peak_to_peak_uv", "expected_us"),
    [(0.1, 1117, 562), (0.3, 410, 641), (0.5, 209, 738), (1.0, 64, 1035)],
)
def test_rosenfalcks_action_potential_gives_his_table(
    distance_mm: float, peak_to_peak_uv: float, expected_us: float
) -> None:
    """Table C.6, last line: +- 2 % and +- 10 us, source gain 1."""
    wave = passing_wave_uv(distance_mm, ROSENFALCK)
    assert np.ptp(wave) == pytest.approx(peak_to_peak_uv, rel=0.02)
    assert rise_us(wave) == pytest.approx(expected_us, abs=10)


def bessel_wave_uv(distance_mm: float, run_mm: np.ndarray, shape: ActionPotential) -> np.ndarray:
    """Return the potential of an infinite fibre in closed form, at places behind the front.

    The Fourier transform of ``1 / sqrt(a^2 + z^2)`` is ``2 K_0(a |k|)``, that of the action
    potential ``6 A / (decay + i k)^4``, and a second derivative is ``-k^2``.
    """
    a_mm = np.sqrt(UNIT_GAIN.anisotropy) * distance_mm
    k, dk = np.linspace(0.0, 60.0 + 30.0 / a_mm, 200_001, retstep=True)
    spectrum = np.zeros(k.size, np.complex128)
    transform = 6 * shape.amplitude_mv_mm3 / (shape.decay_per_mm + 1j * k[1:]) ** 4
    spectrum[1:] = -(k[1:] ** 2) * 2 * special.k0(a_mm * k[1:]) * transform
    wave = [integrate.simpson((spectrum * np.exp(1j * k * x)).real, dx=dk) / np.pi for x in run_mm]
    return fibre_strength(UNIT_GAIN, np.array(55.0)) * np.array(wave)


@pytest.mark.parametrize("name", list(ACTION_POTENTIALS))
@pytest.mark.parametrize("distance_mm", [0.05, 0.1, 0.3, 1.0, 2.0])
def test_a_passing_wave_is_the_closed_form_of_an_infinite_fibre(
    distance_mm: float, name: str
) -> None:
    """Bessel functions, to 1e-6 of full scale: neither grid, window nor convolution in common."""
    behind_mm = np.array([-2.0, -0.5, -0.1, 0.0, 0.2, 0.5, 1.0, 1.5, 2.5, 4.0, 8.0])
    medium, shape = Medium(source_gain=1.0, action_potential=name), ACTION_POTENTIALS[name]
    step_mm = 0.1 / np.ceil(4.0 / distance_mm)
    wave = potential_uv(point_electrode(distance_mm, 0.0, Z_MM), medium=medium, step_mm=step_mm)
    here = wave[np.rint((Z_MM + behind_mm) / step_mm).astype(int)]
    passing, leaving = (
        bessel_wave_uv(distance_mm, mm, shape) for mm in (behind_mm, 2 * Z_MM + behind_mm)
    )
    np.testing.assert_allclose(here, passing + leaving, rtol=0, atol=1e-6 * FULL_SCALE_UV / 0.45)


def test_close_to_the_fibre_the_potential_grows_with_the_logarithm_of_the_distance() -> None:
    """The analytic near field: half the distance adds ``2 K e''(x) ln 2``, here to 3 %."""
    step_mm = 0.0005
    near, nearer = (
        potential_uv(point_electrode(r, 0.0, 12.0), half_mm=(20.0, 20.0), step_mm=step_mm)
        for r in (0.06, 0.03)
    )
    strength = float(fibre_strength(UNIT_GAIN, np.array(55.0)))
    for x in (1.5, 3.5, 4.0):
        k = round((12.0 + x) / step_mm)
        curvature = 768.0 * (6 * x - 12 * x**2 + 4 * x**3) * np.exp(-2 * x)
        expected = 2 * strength * curvature * np.log(2.0)
        assert nearer[k] - near[k] == pytest.approx(expected, rel=0.03)


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


def picked_up(electrode: Electrode, z_mm: np.ndarray, anisotropy: float) -> np.ndarray:
    """Return W at places along a fibre in the axis, its lines summed point by point."""
    w = np.zeros(z_mm.size)
    for (x, y, z), weight in zip(electrode.points_mm, electrode.weights, strict=True):
        w += weight / np.sqrt(anisotropy * (x * x + y * y) + (z_mm - z) ** 2)
    w *= heard_share(electrode, np.zeros(1), np.zeros(1))  # the lines are not shielded
    nodes, shares = np.polynomial.legendre.leggauss(400)
    for line in electrode.lines:
        s = line.length_mm * (nodes + 1) / 2
        for place, share in zip(line.start_mm + np.outer(s, line.direction), shares, strict=True):
            square = anisotropy * (place[0] ** 2 + place[1] ** 2) + (z_mm - place[2]) ** 2
            w += line.weight * share / 2 / np.sqrt(square)
    return w


TILTED = TipPosition(
    x_mm=0.5, y_mm=0.3, z_mm=20.0, rotation_deg=50, tilt_deg=35, tilt_azimuth_deg=70
)


@pytest.mark.parametrize(
    "electrode",
    [
        point_electrode(0.3, 0.2, 20.0),
        concentric(TipPosition(x_mm=0.5, y_mm=0.3, z_mm=20.0)),
        concentric(TILTED),
    ],
    ids=["point", "concentric", "tilted"],
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


ANGLE_DEG = st.floats(-180.0, 180.0)


# -- the needle's own body -------------------------------------------------------------------------

PLACES_MM = st.floats(-3.0, 3.0)


def shielded(share: float = 0.5, radius_mm: float = 0.23) -> Electrode:
    """Return a point in the axis with a cylinder behind it; it faces +x."""
    shield = Shield(
        centre_mm=np.zeros(2), facing=np.array([1.0, 0.0]), radius_mm=radius_mm, share=share
    )
    return replace(point_electrode(0.0, 0.0, 20.0), shield=shield)


def heard(electrode: Electrode, *x_mm: float, y_mm: float = 0.0) -> np.ndarray:
    """Return the share that is heard of fibres in a row."""
    return heard_share(electrode, np.array(x_mm), np.full(len(x_mm), y_mm))


def test_the_shield_takes_its_share_right_behind_and_half_of_it_aside() -> None:
    """At the body's surface, as the law says; ahead all is heard, to 1 %."""
    behind, ahead = heard(shielded(), -0.23, 0.23)
    assert behind == pytest.approx(0.5, abs=0.01)
    assert ahead == pytest.approx(1.0, abs=0.01)
    assert heard(shielded(), 0.0, y_mm=-0.23) == pytest.approx(0.75)


def test_the_shield_fades_with_the_square_of_the_distance() -> None:
    """Twice as far behind, a quarter is lost, to 1 %; and with a thinner body by its radius."""
    near, far = 1 - heard(shielded(), -5.0, -10.0)
    assert near / far == pytest.approx(4.0, rel=0.01)
    thin = 1 - heard(shielded(radius_mm=0.115), -5.0)
    assert near / thin == pytest.approx(4.0, rel=0.01)


@given(x_mm=PLACES_MM, y_mm=PLACES_MM, share=st.floats(0.0, 0.5), radius_mm=st.floats(0.1, 1.0))
def test_no_fibre_is_heard_upside_down_or_louder(
    x_mm: float, y_mm: float, share: float, radius_mm: float
) -> None:
    """Whatever the place and the body: from nothing to all; and never less ahead than behind."""
    ahead, behind = heard(shielded(share, radius_mm), abs(x_mm), -abs(x_mm), y_mm=y_mm)
    assert 0.0 <= behind <= ahead <= 1.0


@given(x_mm=PLACES_MM, y_mm=PLACES_MM)
def test_a_needle_that_moves_hears_no_jump(x_mm: float, y_mm: float) -> None:
    """1 um farther, through the bevel's plane and the centre as well, hardly anything changes."""
    here, there = heard(shielded(), x_mm, x_mm + 1e-3, y_mm=y_mm)
    assert abs(here - there) < 0.02


def test_a_shield_that_cannot_be_is_refused() -> None:
    """Its share, its radius and its directions have limits; two cannot be one behind another."""
    with pytest.raises(ValueError, match=r"share in 0\.\.0\.5, got 0\.23 and 0\.6"):
        shielded(share=0.6)
    with pytest.raises(ValueError, match="radius_mm must be > 0"):
        shielded(radius_mm=0.0)
    with pytest.raises(ValueError, match="facing must not be longer than 1, got 2"):
        Shield(centre_mm=np.zeros(2), facing=np.array([2.0, 0.0]), radius_mm=1.0, share=0.5)
    with pytest.raises(ValueError, match=r"expected \(2,\) and \(2,\)"):
        Shield(centre_mm=np.zeros(3), facing=np.zeros(2), radius_mm=1.0, share=0.5)
    with pytest.raises(ValueError, match="both electrodes must have no shield"):
        difference(shielded(), point_electrode(0.0, 0.0, 0.0))


@given(
    place_mm=st.tuples(*[st.floats(-2, 2), st.floats(-2, 2), st.floats(-20, 20)]),
    turns_deg=st.tuples(ANGLE_DEG, st.floats(0.0, 80.0), ANGLE_DEG),
    z_mm=st.floats(-30, 30),
)
@settings(max_examples=100, deadline=None)
def test_the_slope_of_the_pick_up_is_its_derivative(
    place_mm: tuple[float, float, float], turns_deg: tuple[float, float, float], z_mm: float
) -> None:
    """Closed forms of core and cannula agree with central differences, however the shaft stands."""
    x, y, z = place_mm
    turn, tilt, azimuth = turns_deg
    tip = TipPosition(
        x_mm=x, y_mm=y, z_mm=z, rotation_deg=turn, tilt_deg=tilt, tilt_azimuth_deg=azimuth
    )
    electrode = concentric(tip)
    line = electrode.lines[0]
    aside_mm = np.cross(line.direction, [0.0, 0.0, 1.0]) @ line.start_mm
    points_mm = np.hypot(electrode.points_mm[:, 0], electrode.points_mm[:, 1])
    across = np.hypot(line.direction[0], line.direction[1])
    assume(abs(aside_mm) / across > 0.3 and points_mm.min() > 0.1)  # no floor of distance is met
    h = 1e-3
    low, high = (picked_up(electrode, np.array([z_mm + d]), 5.24)[0] for d in (-h, h))
    axis = np.zeros((1, 1))
    here = sensitivity_slope(electrode, axis, axis, np.array([[z_mm]]), 5.24)
    assert here[0, 0] == pytest.approx((high - low) / (2 * h), rel=1e-3, abs=2e-5)


@pytest.mark.parametrize("tilt_deg", [0.0, 30.0, 80.0, 90.0])
def test_a_line_is_smooth_where_its_distance_meets_the_floor(tilt_deg: float) -> None:
    """A fibre through the conductor: the slope along it has no jump, for any tilt."""
    tilt = np.radians(tilt_deg)
    line = Line(
        start_mm=np.array([0.05, -3.0, 1.0]),
        direction=np.array([0.0, np.cos(tilt), np.sin(tilt)]),
        length_mm=15.0,
        radius_mm=0.23,
        weight=1.0,
    )
    z_mm = np.linspace(-10.0, 30.0, 80_001)[None, :]
    axis = np.zeros((1, 1))
    slope = sensitivity_slope(line_electrode(line), axis, axis, z_mm, 5.24)[0]
    assert np.all(np.isfinite(slope))
    assert np.abs(np.diff(slope)).max() < 3e-3 * np.abs(slope).max()


def test_a_short_line_is_a_point() -> None:
    """Its mean over a micrometre is the potential in its middle."""
    line = Line(
        start_mm=np.array([0.3, 0.4, 2.0]),
        direction=np.array([0.6, 0.48, 0.64]),
        length_mm=1e-3,
        radius_mm=0.01,
        weight=1.0,
    )
    axis, z_mm = np.zeros((1, 1)), np.linspace(-3.0, 6.0, 50)[None, :]
    middle = line.start_mm + 0.5e-3 * line.direction
    of_line, of_point = (
        sensitivity_slope(electrode, axis, axis, z_mm, 5.24)
        for electrode in (line_electrode(line), point_electrode(*middle))
    )
    np.testing.assert_allclose(of_line, of_point, rtol=1e-5, atol=1e-5)


def test_a_bipolar_electrode_is_the_difference_of_two_monopolar_ones() -> None:
    """Exact to rounding, of points and of lines."""
    bare = ConcentricNeedle(shielding=0.0)
    first, second = (channels(bare, TipPosition(z_mm=z, x_mm=0.3))[0] for z in (20.0, 22.0))
    both, one, other = (
        potential_uv(electrode, half_mm=(60.0, 60.0))
        for electrode in (difference(first, second), first, second)
    )
    np.testing.assert_allclose(both, one - other, rtol=0, atol=1e-12 * np.ptp(one))


@pytest.mark.parametrize("contact_mm", [0.1, 0.5, 2.0])
def test_two_contacts_see_the_velocity_that_was_set(contact_mm: float) -> None:
    """10 mm apart along the fibre, the spike's peak comes 10 mm later: to 0.1 %."""
    step_mm = 0.002
    peaks_mm = []
    for z_mm in (30.0, 40.0):
        wave = potential_uv(point_electrode(contact_mm, 0.0, z_mm), step_mm=step_mm)
        k = int(np.argmin(wave))
        before, here, after = wave[k - 1 : k + 2]
        peaks_mm.append(step_mm * (k + (before - after) / (2 * (before - 2 * here + after))))
    assert peaks_mm[1] - peaks_mm[0] == pytest.approx(10.0, rel=1e-3)


@pytest.mark.parametrize("medium", [UNIT_GAIN, ROSENFALCK], ids=["nandedkar", "rosenfalck"])
@pytest.mark.parametrize("end_mm", [0.0, 0.013, 0.3, 30.0])
@pytest.mark.parametrize("distance_mm", [0.05, 0.3, 1.0])
def test_halving_the_grid_changes_nothing(
    distance_mm: float, end_mm: float, medium: Medium
) -> None:
    """Converged to 2.5e-7 of full scale, also where the fibre ends beside the electrode."""
    electrode = point_electrode(distance_mm, 0.0, 20.0)
    step_mm = min(distance_mm / 25, 0.01)
    coarse, fine = (
        potential_uv(electrode, medium=medium, half_mm=(20.0 + end_mm, 10.0), step_mm=step)
        for step in (step_mm, step_mm / 2)
    )
    n = min(coarse.size, fine[::2].size)
    assert np.abs(coarse[:n] - fine[::2][:n]).max() < 2.5e-7 * FULL_SCALE_UV / 0.45


def test_the_cannula_takes_away_what_both_see() -> None:
    """A far fibre is seen by core and cannula alike, so a concentric needle hears it less."""
    tip = TipPosition(x_mm=6.0, y_mm=0.0, z_mm=20.0)
    remote = potential_uv(point_electrode(6.0, 0.0, 20.0), half_mm=(60.0, 60.0), step_mm=0.1)
    differential = potential_uv(concentric(tip), half_mm=(60.0, 60.0), step_mm=0.1)
    assert np.ptp(differential) < 0.7 * np.ptp(remote)


def test_no_fibre_is_closer_than_the_metal_lets_it() -> None:
    """A fibre through the electrode counts as one beside it: 30 um off, or by its own radius."""
    for diameter_um, nearest_mm in ((55.0, NEAREST_MM), (90.0, 0.045)):
        through, beside = (
            potential_uv(
                point_electrode(x_mm, 0.0, 20.0), half_mm=(60.0, 60.0), diameter_um=diameter_um
            )
            for x_mm in (0.0, nearest_mm)
        )
        np.testing.assert_allclose(through, beside, rtol=1e-9, atol=1e-9)


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
