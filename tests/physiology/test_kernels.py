"""The compiled potentials against the readable reference, fibre by fibre."""

from __future__ import annotations

from types import FunctionType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emgsim.physiology import kernels
from emgsim.physiology.compiling import compiled
from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.kernels import add_fibre_potentials, fibre_waves_uv
from emgsim.physiology.parameters import (
    ConcentricNeedle,
    ElectrodeKind,
    FineWire,
    Macro,
    Medium,
    Monopolar,
    SingleFibre,
    ThinFilm,
    TipPosition,
)
from emgsim.physiology.potential import (
    Electrode,
    difference,
    fibre_potentials_uv,
    point_electrode,
)

FULL_SCALE_UV = 1100.0  # a fibre of 55 um at 0.1 mm from a point, source gain 0.45
WITHIN_UV = 1e-6 * FULL_SCALE_UV
MEDIUM = Medium(source_gain=0.45)
ROSENFALCK = Medium(source_gain=0.45, action_potential="rosenfalck")
NEEDLE_Z_MM = 15.0
RATES_HZ = [10_000.0, 12_000.0, 23_437.5, 24_000.0, 48_000.0, 100_000.0]
KINDS: list[ElectrodeKind] = [
    ConcentricNeedle(),
    ConcentricNeedle(core_mm=0.10, cannula_mm=0.30),
    ConcentricNeedle(shielding=0.0),
    Monopolar(),
    SingleFibre(),
    Macro(),
    FineWire(),
    ThinFilm(n_contacts=2),
    ThinFilm(n_contacts=2, montage="differential"),
]
CONCENTRIC = channels(ConcentricNeedle(), TipPosition(z_mm=NEEDLE_Z_MM))[0]


def one_fibre(
    distance_mm: float,
    *,
    angle: float = 0.0,
    end_plate_mm: float = 0.0,
    half_mm: tuple[float, float] = (60.0, 60.0),
    diameter_um: float = 55.0,
    delay_s: float = 0.0,
) -> UnitFibres:
    """Return one fibre at a distance from the axis in which the electrode lies."""
    return UnitFibres(
        x_mm=np.array([distance_mm * np.cos(angle)]),
        y_mm=np.array([distance_mm * np.sin(angle)]),
        end_plate_mm=np.array([end_plate_mm]),
        half_lengths_mm=(np.array([half_mm[0]]), np.array([half_mm[1]])),
        diameter_um=np.array([diameter_um]),
        delay_s=np.array([delay_s]),
    )


def samples_of(fibres: UnitFibres, rate_hz: float) -> int:
    """Return how many samples hold the fibre's whole run."""
    run_mm = max(half.max() for half in fibres.half_lengths_mm) + 20.0
    return int(rate_hz * (fibres.delay_s.max() + run_mm / (1e3 * fibres.velocity_m_s.min())))


def compiled_uv(
    fibres: UnitFibres, rate_hz: float, electrode: Electrode = CONCENTRIC, medium: Medium = MEDIUM
) -> np.ndarray:
    """Return the kernel's potential."""
    out = np.zeros(samples_of(fibres, rate_hz))
    add_fibre_potentials(out, rate_hz, electrode, medium, fibres)
    return out


def distance_to_metal_mm(fibres: UnitFibres, electrode: Electrode) -> float:
    """Return the least distance in the cross-section, as far as the reference's grid minds."""
    x, y = fibres.x_mm[0], fibres.y_mm[0]
    away = [np.hypot(px - x, py - y) for px, py, _ in electrode.points_mm]
    for line in electrode.lines:
        along = np.linspace(0.0, line.length_mm, 301)[:, None]
        places = line.start_mm + along * line.direction
        least = np.hypot(places[:, 0] - x, places[:, 1] - y).min()
        away.append(max(least, line.radius_mm))
    return max(float(min(away)), 0.03)


def reference_uv(
    fibres: UnitFibres, rate_hz: float, electrode: Electrode, medium: Medium
) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel's and the reference's potential at the same instants.

    The reference's grid divides the way from sample to sample, so nothing is interpolated; the
    fibre must be excited on a sample.
    """
    per_sample_mm = 1e3 * fibres.velocity_m_s[0] / rate_hz
    finest_mm = np.clip(distance_to_metal_mm(fibres, electrode) / 20, 0.0015, 0.02)
    parts = int(np.ceil(per_sample_mm / finest_mm))
    wave = fibre_potentials_uv(
        electrode,
        medium,
        x_mm=fibres.x_mm,
        y_mm=fibres.y_mm,
        end_plate_mm=fibres.end_plate_mm,
        half_lengths_mm=fibres.half_lengths_mm,
        diameter_um=fibres.diameter_um,
        step_mm=per_sample_mm / parts,
    )[0, ::parts]
    first = round(float(fibres.delay_s[0]) * rate_hz)
    out = np.zeros(first + wave.size)
    add_fibre_potentials(out, rate_hz, electrode, medium, fibres)
    return out, np.concatenate([np.zeros(first), wave])


def error_uv(
    fibres: UnitFibres,
    rate_hz: float = 48_000.0,
    electrode: Electrode = CONCENTRIC,
    medium: Medium = MEDIUM,
) -> float:
    """Return the largest difference between kernel and reference."""
    out, reference = reference_uv(fibres, rate_hz, electrode, medium)
    return float(np.abs(out - reference).max())


ANY_FIBRE = st.builds(
    one_fibre,
    st.floats(0.0, 18.0) | st.floats(0.0, 1.0) | st.floats(0.0, 0.1),
    angle=st.floats(0.0, 2 * np.pi),
    end_plate_mm=st.floats(-25.0, 25.0),
    half_mm=st.tuples(st.floats(8.0, 60.0), st.floats(8.0, 60.0)),
    diameter_um=st.floats(25.0, 90.0),
)
ANY_TIP = st.builds(
    TipPosition,
    z_mm=st.just(NEEDLE_Z_MM),
    rotation_deg=st.floats(-180.0, 180.0),
    tilt_deg=st.just(0.0) | st.floats(0.0, 80.0),
    tilt_azimuth_deg=st.floats(-180.0, 180.0),
)


@given(
    fibre=ANY_FIBRE,
    kind=st.sampled_from(KINDS),
    tip=ANY_TIP,
    medium=st.sampled_from([MEDIUM, ROSENFALCK]),
    rate_hz=st.sampled_from(RATES_HZ),
)
@settings(max_examples=150, deadline=None)
@example(one_fibre(0.3, end_plate_mm=15.0), KINDS[0], TipPosition(z_mm=15), MEDIUM, 48e3)
@example(one_fibre(0.3, end_plate_mm=-45.0), KINDS[0], TipPosition(z_mm=15), MEDIUM, 48e3)
@example(one_fibre(0.0, diameter_um=90.0), KINDS[3], TipPosition(z_mm=15), MEDIUM, 48e3)
@example(one_fibre(0.43), KINDS[2], TipPosition(z_mm=15), MEDIUM, 48e3)  # a cone is not flat
@example(one_fibre(18.0, angle=1.0, diameter_um=90.0), KINDS[0], TipPosition(), MEDIUM, 10e3)
def test_the_kernel_equals_the_reference(
    fibre: UnitFibres, kind: ElectrodeKind, tip: TipPosition, medium: Medium, rate_hz: float
) -> None:
    """Any fibre at any electrode, however it stands, at any rate: to 1e-6 of full scale."""
    for electrode in channels(kind, tip):
        assert error_uv(fibre, rate_hz, electrode, medium) < WITHIN_UV


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("distance_mm", [0.05, 0.3, 1.0, 1.9, 2.9, 3.0, 4.0, 9.0, 18.0])
def test_far_fibres_are_right_against_their_own_size(distance_mm: float, rate_hz: float) -> None:
    """To 5e-5 of their own peak to peak, so that thousands of them add up to what they should."""
    for angle in (0.2, 1.8, 3.4, 5.0):
        fibre = one_fibre(distance_mm, angle=angle, delay_s=70 / rate_hz, diameter_um=60.0)
        own_uv = float(np.ptp(compiled_uv(fibre, rate_hz)))
        assert error_uv(fibre, rate_hz) < 5e-5 * own_uv


@pytest.mark.parametrize("distance_mm", [0.01, 0.03])
def test_a_fibre_that_touches_the_core_keeps_all_its_points(distance_mm: float) -> None:
    """The floor of the distance spoils the moments: far off, too, no few points stand for many."""
    assert error_uv(one_fibre(distance_mm, diameter_um=110.0)) < 1e-7 * FULL_SCALE_UV


@pytest.mark.parametrize("distance_mm", [0.03, 0.3, 2.0])
def test_all_rates_sample_one_and_the_same_signal(distance_mm: float) -> None:
    """Every fourth sample at 96 kHz is a sample at 24 kHz, to rounding: the rate is no grid."""
    fibre = one_fibre(distance_mm, delay_s=0.2e-3)
    fine, coarse = (compiled_uv(fibre, rate_hz) for rate_hz in (96_000.0, 24_000.0))
    n = min(coarse.size, fine[::4].size)
    np.testing.assert_allclose(fine[::4][:n], coarse[:n], rtol=0, atol=1e-9 * np.ptp(fine))


@given(delay_s=st.floats(0.0, 50e-6), distance_mm=st.sampled_from([0.05, 0.5, 5.0]))
@settings(max_examples=30, deadline=None)
def test_a_delay_of_any_length_is_exact(delay_s: float, distance_mm: float) -> None:
    """A fibre excited between two samples of a coarse grid is one read off a much finer grid."""
    delay_s = round(delay_s * 4.8e6) / 4.8e6
    coarse = compiled_uv(one_fibre(distance_mm, delay_s=delay_s), 48_000.0)
    fine = np.zeros(100 * coarse.size)
    add_fibre_potentials(fine, 4.8e6, CONCENTRIC, MEDIUM, one_fibre(distance_mm))
    shift = round(delay_s * 4.8e6)
    expected = np.concatenate([np.zeros(shift), fine])[::100][: coarse.size]
    np.testing.assert_allclose(coarse, expected, rtol=0, atol=1e-9 * np.ptp(fine))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("distance_mm", [0.2, 2.0, 10.0])
def test_the_net_charge_is_nought(distance_mm: float, rate_hz: float) -> None:
    """The potential has no mean: the slope of the action potential has none."""
    wave = compiled_uv(one_fibre(distance_mm, delay_s=0.2e-3), rate_hz)
    assert abs(wave.sum()) < 1e-3 * np.abs(wave).sum()


@pytest.mark.parametrize("distance_mm", [0.1, 10.0])
def test_nothing_is_seen_before_the_excitation_and_after_the_run(distance_mm: float) -> None:
    """Exactly zero before the delay, and next to zero once the wave has gone."""
    fibre, rate_hz = one_fibre(distance_mm, delay_s=5.005e-3), 48_000.0
    wave = compiled_uv(fibre, rate_hz)
    assert not wave[: int(5.005e-3 * rate_hz)].any()
    gone = int(rate_hz * (5.005e-3 + (60.0 + 14.0) / 3.7e3))
    assert np.abs(wave[gone:]).max() < 1e-6 * np.abs(wave).max()


def test_fibres_apart_add_up_to_the_sum() -> None:
    """One row per fibre, and all rows together are what the sum gives."""
    rng = np.random.default_rng(3)
    n, ones = 23, np.ones(23)
    fibres = UnitFibres(
        x_mm=rng.uniform(-3, 3, n),
        y_mm=rng.uniform(-3, 3, n),
        end_plate_mm=rng.normal(0, 1, n),
        half_lengths_mm=(50 * ones, 60 * ones),
        diameter_um=rng.uniform(40, 70, n),
        delay_s=rng.uniform(0, 1e-3, n),
    )
    apart = fibre_waves_uv(1500, 48_000.0, CONCENTRIC, MEDIUM, fibres)
    together = np.zeros(1500)
    add_fibre_potentials(together, 48_000.0, CONCENTRIC, MEDIUM, fibres)
    assert apart.shape == (n, 1500)
    np.testing.assert_allclose(apart.sum(axis=0), together, rtol=0, atol=1e-12 * np.ptp(together))


def test_potentials_are_added_to_what_is_there() -> None:
    """Twice the same fibre, into the same array: twice the potential."""
    fibre = one_fibre(0.5)
    once = compiled_uv(fibre, 48_000.0)
    twice = once.copy()
    add_fibre_potentials(twice, 48_000.0, CONCENTRIC, MEDIUM, fibre)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)


def test_the_spike_arrives_when_the_wave_has_run_to_the_needle() -> None:
    """By pencil: 15 mm at 3.7 m/s are 4.05 ms; the peak stands a bit behind the front."""
    arrival_s = np.argmin(compiled_uv(one_fibre(0.3), 48_000.0)) / 48_000.0
    behind_mm = arrival_s * 3.7e3 - NEEDLE_Z_MM
    assert 0.0 < behind_mm < 1.5  # the rising half of the action potential is 1.5 mm long


def test_no_fibre_is_silence() -> None:
    """A unit without fibres adds nothing, and does not fail."""
    none, out = one_fibre(0.5).subset(np.zeros(1, dtype=bool)), np.zeros(100)
    add_fibre_potentials(out, 48_000.0, CONCENTRIC, MEDIUM, none)
    assert not out.any()
    assert fibre_waves_uv(100, 48_000.0, CONCENTRIC, MEDIUM, none).shape == (0, 100)


@pytest.mark.parametrize("n", [0, 1, 7, 300])
def test_a_short_window_holds_the_first_samples(n: int) -> None:
    """What ends early is the beginning of the same wave, and nothing is written past it."""
    whole = compiled_uv(one_fibre(0.5, delay_s=1e-3), 48_000.0)
    room = np.zeros(n + 5)
    add_fibre_potentials(room[:n], 48_000.0, CONCENTRIC, MEDIUM, one_fibre(0.5, delay_s=1e-3))
    np.testing.assert_allclose(room[:n], whole[:n], rtol=1e-12, atol=1e-12)
    assert not room[n:].any()


def test_an_excitation_before_the_window_shows_its_rest() -> None:
    """A negative delay of ten samples: the same wave, ten samples on."""
    now = compiled_uv(one_fibre(0.5), 48_000.0)
    early = np.zeros(now.size)
    add_fibre_potentials(
        early, 48_000.0, CONCENTRIC, MEDIUM, one_fibre(0.5, delay_s=-10 / 48_000.0)
    )
    np.testing.assert_allclose(early[:-10], now[10:], atol=1e-9 * np.ptp(now))
    assert np.abs(early[-10:]).max() < 1e-6 * np.ptp(now)


@pytest.mark.parametrize("half_mm", [(0.0, 60.0), (60.0, -1.0), (0.01, 60.0), (1.0, 1.0)])
def test_a_side_without_length_is_silent(half_mm: tuple[float, float]) -> None:
    """An end plate at or beyond the tendon, and sides of a few micrometres."""
    fibre = one_fibre(0.5, end_plate_mm=NEEDLE_Z_MM - 2.0, half_mm=half_mm)
    assert error_uv(fibre) < WITHIN_UV


def test_an_electrode_without_metal_hears_nothing() -> None:
    """No point and no line: silence, and no error."""
    nothing = Electrode(points_mm=np.zeros((0, 3)), weights=np.zeros(0))
    assert not compiled_uv(one_fibre(0.5), 48_000.0, nothing).any()


def test_a_bipolar_electrode_is_the_difference_of_two_monopolar_ones() -> None:
    """To 1e-6 of full scale: the cells are others, the wave is not."""
    first, second = (point_electrode(0.1, 0.0, z) for z in (15.0, 17.0))
    both, one, other = (
        compiled_uv(one_fibre(0.0), 48_000.0, electrode)
        for electrode in (difference(first, second), first, second)
    )
    assert np.abs(both - (one - other)).max() < WITHIN_UV


def test_contacts_along_the_fibre_see_the_velocity_that_was_set() -> None:
    """10 mm apart at 3.7 m/s: the spike comes 2.7027 ms later, to 0.1 %."""
    rate_hz, peaks_s = 1e6, []
    for z_mm in (20.0, 30.0):
        wave = compiled_uv(one_fibre(0.3), rate_hz, point_electrode(0.0, 0.0, z_mm))
        k = int(np.argmin(wave))
        before, here, after = wave[k - 1 : k + 2]
        peaks_s.append((k + (before - after) / (2 * (before - 2 * here + after))) / rate_hz)
    assert 10e-3 / (peaks_s[1] - peaks_s[0]) == pytest.approx(3.7, rel=1e-3)


@given(x=st.floats(0.0, 0.3), powers=st.tuples(*[st.floats(-1.0, 1.0)] * 8))
@settings(max_examples=60, deadline=None)
def test_short_and_long_cells_are_the_same_filters(x: float, powers: tuple[float, ...]) -> None:
    """Gauss's rule and the closed form agree where both hold, for any path and any state."""
    bench = np.zeros((6, 16))
    length = kernels.SHORTEST
    path = np.polynomial.Polynomial(powers)
    for k in range(8):
        bench[kernels._LEFT, k], bench[kernels._RIGHT, k] = (
            path.deriv(k)(0.0),
            path.deriv(k)(length),
        )
    bench[kernels._STATE, :4] = [0.3, -0.2, 0.5, 0.1]
    driven = kernels._driven(length, bench)
    _, _, third, fourth = kernels._driven(x, bench)
    sample, decay = np.zeros(1), np.ones(1)
    kernels._add_long(sample, kernels._Timing(x, 0.1, length, 1.0), bench, decay)
    assert sample[0] == pytest.approx(third - fourth, abs=1e-8)
    np.testing.assert_allclose(bench[kernels._STATE, :4], driven, atol=1e-8)


def test_the_fast_root_is_a_root() -> None:
    """Over all squared distances that there are: to 1e-13."""
    for square in np.geomspace(1e-3, 1e6, 2000):
        assert kernels._inverse_root(square) * np.sqrt(square) == pytest.approx(1.0, abs=1e-13)


def test_a_function_without_a_folder_for_its_cache_is_compiled_all_the_same() -> None:
    """Installed where nothing may be written: compiled anew in each process."""
    code = compile("def twice(x):\n    return 2 * x\n", "<nowhere>", "exec")
    names: dict[str, FunctionType] = {}
    exec(code, names)  # noqa: S102  (a function that has no file, as the rule needs one)
    assert compiled(names["twice"])(21) == 42
