"""What an electrode on the skin hears of a unit: how loud, how late, and at any velocity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.fibres import UnitFibres, conduction_velocity, fibre_counts, place_unit
from emgsim.physiology.mixing import Muap
from emgsim.physiology.parameters import Fibres, Muscle, Pool
from emgsim.physiology.parameters.surface import SurfaceBipolar, SurfaceGrid, SurfacePads
from emgsim.physiology.skin import FILLED, FINER, Skin, crowding, muap_of
from emgsim.physiology.surface.lead_field import lead_field
from emgsim.physiology.surface.montage import pads_of
from emgsim.physiology.surface.muaps import surface_muap_uv
from emgsim.physiology.surface.placement import conductor_of
from emgsim.physiology.voices import Sampling
from emgsim.seeds import stream

SAMPLING = Sampling(rate_hz=4096.0, band_hz=1600.0)  # below the band that the kernel itself limits
PADS = SurfacePads(pads_mm=((-10.0, 0.0), (0.0, 0.0), (10.0, 4.0)))


def muscle(radius_mm: float = 8.0, n_units: int = 12, **fibres: float) -> Muscle:
    """Return a small muscle."""
    values = {"per_unit_smallest": 10, "per_unit_largest": 40, "length_mm": 80.0} | fibres
    return Muscle(
        name="small",
        radius_mm=radius_mm,
        fat_mm=5.0,
        pool=Pool(n_units=n_units),
        fibres=Fibres.model_validate(values),
    )


def together(order: int = 5) -> UnitFibres:
    """Return a unit whose fibres are excited at the same time."""
    unit = place_unit(muscle(), order, stream(1, "muscle", order))
    return replace(unit, delay_s=np.zeros(unit.n_fibres))


def drawn(muap: Muap, first: int, n: int) -> np.ndarray:
    """Return a MUAP on samples ``first`` to ``first + n``, silent where it is not."""
    whole = np.zeros((n, muap.uv.shape[1]))
    begin = muap.first - first
    whole[max(begin, 0) : begin + len(muap.uv)] = muap.uv[max(-begin, 0) :][: n - max(begin, 0)]
    return whole


# -- crowding -------------------------------------------------------------------------------------


@given(
    radius_mm=st.floats(6.0, 60.0),
    n_units=st.integers(1, 3000),
    smallest=st.integers(5, 50),
    growth=st.floats(1.0, 6.0),
)
def test_a_fibre_counts_once_or_as_often_as_fills_the_muscle(
    radius_mm: float, n_units: int, smallest: int, growth: float
) -> None:
    """What counts never falls below the pool's own, and fills four fifths where there is room."""
    some = muscle(
        radius_mm, n_units, per_unit_smallest=smallest, per_unit_largest=round(growth * smallest)
    )
    times = crowding(some)
    assert times >= 1.0
    diameter_mm = 1e-3 * np.linspace(46.0, 64.0, n_units)
    filled = times * float(fibre_counts(some) @ diameter_mm**2) / (2 * radius_mm) ** 2
    assert filled == pytest.approx(FILLED) if times > 1.0 else filled >= FILLED


def test_a_full_muscle_counts_each_fibre_once() -> None:
    """100 000 fibres of 46-64 um do not fit into 8 mm of muscle."""
    full = muscle(4.0, 1000, per_unit_smallest=100, per_unit_largest=100)
    assert crowding(full) == 1.0


def test_what_the_muscle_has_lost_does_not_make_the_rest_louder() -> None:
    """Each fibre counts as it did in health, whatever else has gone."""
    healthy, unit = muscle(), together()
    left = healthy.model_copy(update={"pool": healthy.pool.model_copy(update={"n_units": 6})})
    before = Skin(PADS, healthy, healthy, 1.0).heard(unit, SAMPLING).uv
    after = Skin(PADS, left, healthy, 1.0).heard(unit, SAMPLING).uv
    np.testing.assert_array_equal(after, before)
    assert crowding(left) > 1.2 * crowding(healthy)


# -- the potential at the unit's own velocity -----------------------------------------------------


def kernel_uv(unit: UnitFibres, n: int, velocity_scale: float = 1.0) -> np.ndarray:
    """Return what the pads hear by the kernel itself, ``(n, n_channels)``, from the discharge."""
    one = muscle()
    field = lead_field(conductor_of(PADS, one), pads_of(PADS), [unit])
    heard_uv = surface_muap_uv(
        unit, field, one.medium, n_samples=n, rate_hz=4096.0, velocity_scale=velocity_scale
    )
    return crowding(one) * heard_uv.T


def test_a_unit_is_heard_as_the_kernel_makes_it() -> None:
    """Crowding times the kernel's potential, but for what is above the band."""
    heard = Skin(PADS, muscle(), muscle(), 1.0).heard(together(), SAMPLING)
    muap = muap_of(heard, SAMPLING, 1.0)
    expected = kernel_uv(together(), 256)
    error = drawn(muap, 0, 256) - expected
    assert np.linalg.norm(error) < 0.02 * np.linalg.norm(expected)
    assert heard.rate_hz == FINER * SAMPLING.rate_hz


def test_a_fast_recording_hears_the_same_potential() -> None:
    """At 40 960 Hz every twentieth sample is that of 2048 Hz, within half a percent."""
    skin = Skin(PADS, muscle(), muscle(), 1.0)
    samplings = (Sampling(rate_hz=rate_hz, band_hz=500.0) for rate_hz in (2048.0, 40_960.0))
    slow, dense = (muap_of(skin.heard(together(), s), s, 1.0) for s in samplings)
    expected = drawn(slow, -40, 160)
    every = drawn(dense, -800, 3200)[::20]
    np.testing.assert_allclose(every, expected, atol=5e-3 * np.abs(expected).max())


def test_two_discs_hear_the_difference_of_their_pads() -> None:
    """A montage is applied to what the pads hear."""
    pads = SurfacePads(pads_mm=((-5.0, 0.0), (5.0, 0.0)), pad_mm=4.0)
    discs = SurfaceBipolar(apart_mm=10.0, pad_mm=4.0)
    one, two = (
        Skin(kind, muscle(), muscle(), 1.0).heard(together(), SAMPLING).uv for kind in (pads, discs)
    )
    np.testing.assert_allclose(two[:, 0], one[:, 0] - one[:, 1], atol=1e-9 * np.abs(one).max())


def test_channels_say_where_they_are() -> None:
    """Across, above the muscle's middle, and along: radius, 5 mm of fat and 1 of skin up."""
    grid = SurfaceGrid(rows=2, columns=1, pitch_mm=6.0, centre_z_mm=20.0, centre_across_mm=1.5)
    places = [channel.position_mm for channel in Skin(grid, muscle(), muscle(), 1.0).channels]
    assert places == [(1.5, 14.0, 17.0), (1.5, 14.0, 23.0)]


# -- other velocities -----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.6, 0.8, 0.95])
def test_a_slower_unit_sounds_as_if_its_fibres_were_slower(scale: float) -> None:
    """Stretching the potential is what the kernel does of slow fibres, within 3 %.

    What is left is the band: that of the stretched one ends at 1600 Hz times the scale.
    """
    heard = Skin(PADS, muscle(), muscle(), scale).heard(together(), SAMPLING)
    expected = kernel_uv(together(), 384, velocity_scale=scale)
    error = drawn(muap_of(heard, SAMPLING, scale), 0, 384) - expected
    assert np.linalg.norm(error) < 0.03 * np.linalg.norm(expected)


def test_a_units_delay_is_not_stretched() -> None:
    """The wait before the fibres' action potentials is the nerve's, which does not tire."""
    late_s = 64 / 4096
    one = together()
    late = replace(one, delay_s=np.full(one.n_fibres, late_s))
    slow, slow_late = (
        muap_of(Skin(PADS, muscle(), muscle(), 0.5).heard(unit, SAMPLING), SAMPLING, 0.5)
        for unit in (one, late)
    )
    expected = drawn(slow, 0, 192)
    moved = drawn(slow_late, 64, 192)
    np.testing.assert_allclose(moved, expected, atol=0.01 * np.abs(expected).max())


@given(order=st.integers(0, 11), seed=st.integers(0, 50), slowest=st.floats(0.5, 1.0))
@settings(max_examples=20, deadline=None)
def test_no_potential_is_longer_than_the_reach(order: int, seed: int, slowest: float) -> None:
    """The mixer refuses a MUAP beyond it; the slowest one of any unit fits."""
    skin = Skin(PADS, muscle(), muscle(), slowest)
    unit = place_unit(muscle(), order, stream(seed, "muscle", order))
    muap = muap_of(skin.heard(unit, SAMPLING), SAMPLING, slowest)
    first, end = skin.reach(SAMPLING)
    assert first <= muap.first
    assert muap.first + len(muap.uv) <= end


def test_fibres_as_slow_as_they_come_are_within_the_reach() -> None:
    """15 um fibres at the borders: their wave is over before the reach ends."""
    one = together()
    thin = np.full(one.n_fibres, 15.0)
    slow = replace(one, diameter_um=thin, velocity_m_s=conduction_velocity(thin))
    skin = Skin(PADS, muscle(), muscle(), 0.5)
    muap = muap_of(skin.heard(slow, SAMPLING), SAMPLING, 0.5)
    first, end = skin.reach(SAMPLING)
    assert first <= muap.first
    assert muap.first + len(muap.uv) <= end
