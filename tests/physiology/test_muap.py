"""MUAPs: the sum of their fibres, each in its own time; they equal the readable reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.muap import (
    SLOWEST_M_S,
    MuapGrid,
    muap_grid,
    unit_muap_uv,
    unit_muaps_uv,
)
from emgsim.physiology.parameters import ConcentricNeedle, Macro, Medium, TipPosition
from emgsim.physiology.potential import fibre_potentials_uv

LENGTH_MM = 80.0
GRID = muap_grid(48_000.0, LENGTH_MM)
NEEDLE, MEDIUM = ConcentricNeedle(), Medium()
STEP_MM = 0.01
WITHIN = 5e-4  # of the peak to peak: the reference's own error, read between its steps


def fibres_at(
    distance_mm: np.ndarray,
    *,
    angle: np.ndarray | float = 0.0,
    end_plate_mm: np.ndarray | float = 0.0,
    diameter_um: np.ndarray | float = 55.0,
    delay_s: np.ndarray | float = 0.0,
) -> UnitFibres:
    """Return fibres at distances from an axis in which the needle's tip lies."""
    one = np.ones(np.size(distance_mm))
    z0 = end_plate_mm * one
    return UnitFibres(
        x_mm=distance_mm * np.cos(angle),
        y_mm=distance_mm * np.sin(angle),
        end_plate_mm=z0,
        half_lengths_mm=(LENGTH_MM / 2 - z0, LENGTH_MM / 2 + z0),
        diameter_um=diameter_um * one,
        delay_s=delay_s * one,
    )


def muap_uv(fibres: UnitFibres, *, z_mm: float = 15.0, grid: MuapGrid = GRID) -> np.ndarray:
    """Return the MUAP at a concentric needle in the axis."""
    return unit_muap_uv(fibres, NEEDLE, TipPosition(z_mm=z_mm), MEDIUM, grid)


def reference_uv(fibres: UnitFibres, *, z_mm: float = 15.0) -> np.ndarray:
    """Return the same from the readable reference: each wave at ``v (t - delay)``, added up."""
    waves = fibre_potentials_uv(
        channels(NEEDLE, TipPosition(z_mm=z_mm))[0],
        MEDIUM,
        x_mm=fibres.x_mm,
        y_mm=fibres.y_mm,
        end_plate_mm=fibres.end_plate_mm,
        half_lengths_mm=fibres.half_lengths_mm,
        diameter_um=fibres.diameter_um,
        step_mm=STEP_MM,
    )
    times_s = np.arange(GRID.n_samples) / GRID.rate_hz
    run_mm = np.arange(waves.shape[1]) * STEP_MM
    total = np.zeros(GRID.n_samples)
    for wave, velocity_m_s, delay_s in zip(waves, fibres.velocity_m_s, fibres.delay_s, strict=True):
        total += np.interp(1e3 * velocity_m_s * (times_s - delay_s), run_mm, wave, 0.0, 0.0)
    return total


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 25),
    reach_mm=st.sampled_from([1.0, 2.0, 5.0, 12.0]),
    z_mm=st.floats(-20.0, 20.0),
)
@settings(max_examples=25, deadline=None)
def test_a_muap_equals_the_reference(seed: int, n: int, reach_mm: float, z_mm: float) -> None:
    """Random fibres anywhere: the compiled sum is that of the readable formulas."""
    rng = np.random.default_rng(seed)
    fibres = fibres_at(
        reach_mm * np.sqrt(rng.uniform(size=n)),
        angle=2 * np.pi * rng.uniform(size=n),
        end_plate_mm=rng.normal(0, 1.2, n),
        diameter_um=rng.uniform(30, 80, n),
        delay_s=rng.uniform(0, 1e-3, n),
    )
    reference = reference_uv(fibres, z_mm=z_mm)
    assert np.abs(muap_uv(fibres, z_mm=z_mm) - reference).max() < WITHIN * np.ptp(reference)


@pytest.mark.parametrize("distance_mm", [0.0, 0.3, 1.2, 1.94, 1.96, 4.0, 8.0, 15.0])
@pytest.mark.parametrize("angle_deg", [0, 90, 180, 270])
def test_a_single_fibre_equals_the_reference(distance_mm: float, angle_deg: float) -> None:
    """At the core, at the shaft, and on both sides of where few points stand for the core."""
    fibres = fibres_at(np.array([distance_mm]), angle=np.radians(angle_deg))
    reference = reference_uv(fibres)
    assert np.abs(muap_uv(fibres) - reference).max() < WITHIN * np.ptp(reference)


def test_a_muap_is_the_sum_of_its_fibres() -> None:
    """Many fibres near and far: together as in parts."""
    rng = np.random.default_rng(5)
    n = 131
    distance_mm, angle = 6 * np.sqrt(rng.uniform(size=n)), 2 * np.pi * rng.uniform(size=n)
    together = muap_uv(fibres_at(distance_mm, angle=angle))
    halves = sum(
        muap_uv(fibres_at(distance_mm[part], angle=angle[part]))
        for part in (slice(0, 50), slice(50, 51), slice(51, n))
    )
    np.testing.assert_allclose(together, halves, atol=1e-9 * np.ptp(together))


def test_a_fibre_excited_later_is_seen_later() -> None:
    """A delay of ten samples moves the wave by ten samples."""
    now = muap_uv(fibres_at(np.array([0.5])))
    later = muap_uv(fibres_at(np.array([0.5]), delay_s=10 / GRID.rate_hz))
    np.testing.assert_allclose(later[10:], now[:-10], atol=1e-6 * np.ptp(now))


def test_a_slow_fibre_is_seen_later_and_longer() -> None:
    """A10: every time goes with 1 / v, and the amplitude with the square of the diameter."""
    grid = muap_grid(400_000.0, LENGTH_MM)
    rise_s, peak_s, size_uv = {}, {}, {}
    for diameter_um in (25.0, 85.0):  # 2.2 and 5.2 m/s
        wave = muap_uv(fibres_at(np.array([0.3]), diameter_um=diameter_um), grid=grid)
        negative = int(np.argmin(wave))
        rise_s[diameter_um] = (negative - int(np.argmax(wave[:negative]))) / grid.rate_hz
        peak_s[diameter_um] = negative / grid.rate_hz
        size_uv[diameter_um] = np.ptp(wave)
    assert rise_s[25.0] / rise_s[85.0] == pytest.approx(5.2 / 2.2, rel=0.01)
    assert peak_s[25.0] / peak_s[85.0] == pytest.approx(5.2 / 2.2, rel=0.01)
    assert size_uv[85.0] / size_uv[25.0] == pytest.approx((85 / 25) ** 2, rel=0.01)


def test_the_spike_arrives_when_the_wave_has_run_to_the_needle() -> None:
    """By pencil: 15 mm at 3.7 m/s are 4.05 ms; the peak stands a bit behind the front."""
    wave = muap_uv(fibres_at(np.array([0.3])))
    arrival_s = np.argmin(wave) / GRID.rate_hz
    behind_mm = arrival_s * 3.7e3 - 15.0
    assert 0.0 < behind_mm < 1.5  # the rising half of the action potential is 1.5 mm long


@given(rate_hz=st.floats(4_000.0, 200_000.0), length_mm=st.floats(10.0, 150.0))
@settings(max_examples=100, deadline=None)
def test_the_window_holds_the_slowest_run(rate_hz: float, length_mm: float) -> None:
    """A multiple of 4 samples, long enough for 1.6 m/s over the fibre and the wave's own 20 mm."""
    grid = muap_grid(rate_hz, length_mm)
    assert grid.n_samples % 4 == 0
    assert grid.n_samples / rate_hz >= (length_mm + 20) * 1e-3 / SLOWEST_M_S - 1e-9


def test_every_channel_of_an_electrode_has_its_muap() -> None:
    """One column each; the first is what `unit_muap_uv` gives."""
    fibres = fibres_at(np.array([0.3, 1.0]), angle=1.0)
    macro, tip = Macro(), TipPosition(z_mm=15.0)
    both = unit_muaps_uv(fibres, macro, tip, MEDIUM, GRID)
    assert both.shape == (GRID.n_samples, 2)
    np.testing.assert_array_equal(both[:, 0], unit_muap_uv(fibres, macro, tip, MEDIUM, GRID))
    assert np.ptp(both[:, 1]) > 10 * np.ptp(
        both[:, 0]
    )  # a port is near one fibre, a cannula to all


def test_no_fibre_in_reach_is_silence() -> None:
    """A unit without fibres adds nothing, and does not fail."""
    none = fibres_at(np.zeros(0))
    np.testing.assert_array_equal(muap_uv(none), np.zeros(GRID.n_samples))
