"""The compiled potentials against the readable reference, fibre by fibre."""

from __future__ import annotations

from types import FunctionType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.kernels import _compiled, _end_weights, _inside, add_fibre_potentials
from emgsim.physiology.parameters import ConcentricNeedle, Medium, TipPosition
from emgsim.physiology.potential import (
    Electrode,
    concentric_electrode,
    fibre_potentials_uv,
    point_electrode,
)

MEDIUM = Medium()
STEP_MM = 0.01
NEEDLE_Z_MM = 15.0
CONCENTRIC = concentric_electrode(ConcentricNeedle(), TipPosition(z_mm=NEEDLE_Z_MM))
RATES_HZ = [10_000.0, 24_000.0, 48_000.0, 96_000.0]


def one_fibre(
    distance_mm: float,
    *,
    angle: float = 0.0,
    end_plate_mm: float = 0.0,
    half_mm: tuple[float, float] = (60.0, 60.0),
    diameter_um: float = 55.0,
    delay_s: float = 0.0,
) -> UnitFibres:
    """Return one fibre at a distance from the axis in which the core lies."""
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
    fibres: UnitFibres, rate_hz: float, electrode: Electrode = CONCENTRIC
) -> np.ndarray:
    """Return the kernel's potential."""
    out = np.zeros(samples_of(fibres, rate_hz))
    add_fibre_potentials(out, rate_hz, electrode, MEDIUM, fibres)
    return out


def reference_uv(
    fibres: UnitFibres,
    rate_hz: float,
    electrode: Electrode = CONCENTRIC,
    step_mm: float = STEP_MM,
) -> np.ndarray:
    """Return the reference's potential of one fibre, read between its steps by a cubic spline."""
    wave = fibre_potentials_uv(
        electrode,
        MEDIUM,
        x_mm=fibres.x_mm,
        y_mm=fibres.y_mm,
        end_plate_mm=fibres.end_plate_mm,
        half_lengths_mm=fibres.half_lengths_mm,
        diameter_um=fibres.diameter_um,
        step_mm=step_mm,
    )[0]
    times_s = np.arange(samples_of(fibres, rate_hz)) / rate_hz - fibres.delay_s[0]
    run_mm = 1e3 * fibres.velocity_m_s[0] * times_s
    grid_mm = step_mm * np.arange(wave.size)
    inside = (run_mm >= 0) & (run_mm <= grid_mm[-1])
    return np.where(inside, CubicSpline(grid_mm, wave)(np.clip(run_mm, 0, grid_mm[-1])), 0.0)


def error(fibres: UnitFibres, rate_hz: float, electrode: Electrode = CONCENTRIC) -> float:
    """Return the largest difference over the fibre's own peak."""
    reference = reference_uv(fibres, rate_hz, electrode)
    difference = np.abs(compiled_uv(fibres, rate_hz, electrode) - reference).max()
    return float(difference / np.abs(reference).max())


ANY_FIBRE = st.builds(
    one_fibre,
    st.floats(0.0, 18.0) | st.floats(0.0, 1.0),
    angle=st.floats(0.0, 2 * np.pi),
    end_plate_mm=st.floats(-25.0, 25.0),
    half_mm=st.tuples(st.floats(8.0, 80.0), st.floats(8.0, 80.0)),
    diameter_um=st.floats(25.0, 90.0),
    delay_s=st.floats(0.0, 2e-3),
)


@given(fibre=ANY_FIBRE, rate_hz=st.sampled_from(RATES_HZ))
@settings(max_examples=150, deadline=None)
@example(one_fibre(0.3, end_plate_mm=NEEDLE_Z_MM), 48_000.0)  # generation at the core
@example(one_fibre(0.3, end_plate_mm=NEEDLE_Z_MM - 60.0), 48_000.0)  # extinction there
@example(one_fibre(18.0, angle=1.0, diameter_um=90.0), 10_000.0)
def test_the_kernel_equals_the_reference(fibre: UnitFibres, rate_hz: float) -> None:
    """Any fibre at any rate, to a thousandth of its own peak."""
    assert error(fibre, rate_hz) < 1e-3


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(
    ("distance_mm", "within"),
    [(0.05, 1e-5), (0.3, 1e-5), (1.0, 1e-5), (1.9, 1e-5), (2.1, 5e-5), (4.0, 1e-4), (18.0, 3e-4)],
)
def test_the_error_stays_small_at_every_distance(
    distance_mm: float, within: float, rate_hz: float
) -> None:
    """Far from end plate and tendon a hundred thousandth near the core, a bit more far off."""
    for angle in (0.2, 1.8, 3.4, 5.0):
        fibre = one_fibre(distance_mm, angle=angle, delay_s=0.3e-3, diameter_um=60.0)
        assert error(fibre, rate_hz) < within


@pytest.mark.parametrize("distance_mm", [0.05, 0.5, 3.0, 12.0])
def test_a_point_against_a_remote_reference_is_the_same(distance_mm: float) -> None:
    """Without a shaft and without facets."""
    electrode = point_electrode(0.0, 0.0, NEEDLE_Z_MM)
    assert error(one_fibre(distance_mm), 48_000.0, electrode) < 2e-4


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


def test_potentials_are_added_to_what_is_there() -> None:
    """Twice the same fibre, into the same array: twice the potential."""
    fibre = one_fibre(0.5)
    once = compiled_uv(fibre, 48_000.0)
    twice = once.copy()
    add_fibre_potentials(twice, 48_000.0, CONCENTRIC, MEDIUM, fibre)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)


@pytest.mark.parametrize("n", [0, 1, 7, 300])
def test_a_short_window_holds_the_first_samples(n: int) -> None:
    """What ends early is the beginning of the same wave, and nothing is written past it."""
    whole = compiled_uv(one_fibre(0.5, delay_s=1e-3), 48_000.0)
    room = np.zeros(n + 5)
    add_fibre_potentials(room[:n], 48_000.0, CONCENTRIC, MEDIUM, one_fibre(0.5, delay_s=1e-3))
    np.testing.assert_array_equal(room[:n], whole[:n])
    assert not room[n:].any()


def test_an_excitation_before_the_window_shows_its_rest() -> None:
    """A negative delay of ten samples: the same wave, ten samples on."""
    now = compiled_uv(one_fibre(0.5), 48_000.0)
    early = np.zeros(now.size)
    add_fibre_potentials(
        early, 48_000.0, CONCENTRIC, MEDIUM, one_fibre(0.5, delay_s=-10 / 48_000.0)
    )
    np.testing.assert_allclose(early[:-10], now[10:], atol=1e-6 * np.ptp(now))
    assert np.abs(early[-10:]).max() < 1e-9 * np.ptp(now)


@pytest.mark.parametrize("half_mm", [(0.0, 60.0), (60.0, -1.0), (0.01, 60.0), (1.0, 1.0)])
def test_a_side_without_length_is_silent(half_mm: tuple[float, float]) -> None:
    """An end plate at or beyond the tendon, and sides of a few steps."""
    fibre = one_fibre(0.5, end_plate_mm=NEEDLE_Z_MM - 2.0, half_mm=half_mm)
    assert error(fibre, 48_000.0) < 1e-3


@given(
    begin=st.floats(1.0, 3.0),
    length=st.floats(0.0, 20.0),
    powers=st.tuples(*[st.floats(-1.0, 1.0)] * 4),
)
@settings(deadline=None)
def test_the_weights_integrate_a_cubic(
    begin: float, length: float, powers: tuple[float, float, float, float]
) -> None:
    """Between any two ends, even within one cell, a cubic's integral is exact."""
    end = begin + length
    weights = _inside(int(np.ceil(end)) + 3, begin, end)
    cubic = np.polynomial.Polynomial(powers)
    primitive = cubic.integ()
    total = weights @ cubic(np.arange(weights.size))
    assert total == pytest.approx(primitive(end) - primitive(begin), abs=1e-8 * end**4)


def test_whole_cells_have_the_weights_of_the_cubic() -> None:
    """At a step the cut cell is whole: -1/24, 1/2, 25/24, 1 upward from the step before."""
    np.testing.assert_allclose(_end_weights(0.0), np.array([-1, 12, 25, 24]) / 24)


def test_a_function_without_a_folder_for_its_cache_is_compiled_all_the_same() -> None:
    """Installed where nothing may be written: compiled anew in each process."""
    code = compile("def twice(x):\n    return 2 * x\n", "<nowhere>", "exec")
    names: dict[str, FunctionType] = {}
    exec(code, names)  # noqa: S102  (a function that has no file, as the rule needs one)
    assert _compiled(names["twice"])(21) == 42
