"""The potentials on the skin: against a readable sum, closed forms, a published table, physics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import fft

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import Medium
from emgsim.physiology.potential import (
    ACTION_POTENTIALS,
    action_potential_slope_mv_mm,
    fibre_potentials_uv,
    fibre_strength,
    point_electrode,
)
from emgsim.physiology.surface.conductor import Conductor, Layers
from emgsim.physiology.surface.lead_field import LEAST_DEPTH_MM, Pads, lead_field
from emgsim.physiology.surface.muaps import BAND_SHARE, surface_muap_uv
from emgsim.physiology.surface.planar import Plane

Floats = NDArray[np.float64]

MEDIUM = Medium(sigma_radial_s_m=0.1, sigma_axial_s_m=0.5, source_gain=0.45)
RADIUS_MM = 20.0
RATE_HZ = 4096.0
N = 256


def conductor(fat_mm: float = 3.0, **layers: float) -> Plane:
    """Return a plane of the medium's muscle."""
    sigmas = {"sigma_radial_s_m": 0.1, "sigma_axial_s_m": 0.5}
    return Plane(layers=Layers(**sigmas | {"fat_mm": fat_mm} | layers), muscle_radius_mm=RADIUS_MM)


def unit(
    depth_mm: Floats | float = 5.0, **changed: Floats | float | tuple[float, float]
) -> UnitFibres:
    """Return fibres of 2 x 50 mm below the line of the pads, all alike but for what is changed."""
    values = {
        "x_mm": 0.0,
        "y_mm": RADIUS_MM - np.asarray(depth_mm),
        "end_plate_mm": 0.0,
        "diameter_um": 50.0,
        "delay_s": 0.0,
        "up": 50.0,
        "down": 50.0,
    } | changed
    names = list(values)
    arrays = dict(
        zip(
            names,
            np.broadcast_arrays(*(np.atleast_1d(np.asarray(values[n], float)) for n in names)),
            strict=True,
        )
    )
    up, down = arrays.pop("up").copy(), arrays.pop("down").copy()
    return UnitFibres(half_lengths_mm=(up, down), **{n: a.copy() for n, a in arrays.items()})


def pads(*places: tuple[float, float], radius_mm: float = 5.0) -> Pads:
    """Return pads at places along and across."""
    return Pads(places_mm=np.array(places, float), radius_mm=radius_mm)


def muap_uv(
    fibres: UnitFibres,
    ears: Pads,
    through: Conductor,
    medium: Medium = MEDIUM,
    *,
    tilt_deg: float = 0.0,
    rate_hz: float = RATE_HZ,
    velocity_scale: float = 1.0,
) -> Floats:
    """Return the potentials of a unit that is alone in its muscle."""
    field = lead_field(through, ears, [fibres], tilt_deg)
    return surface_muap_uv(
        fibres, field, medium, n_samples=N, rate_hz=rate_hz, velocity_scale=velocity_scale
    )


def band_limited(waves: Floats, rate_hz: float, fine: int) -> Floats:
    """Return waves sampled ``fine`` times as densely as the kernel's band has them."""
    f_hz = fft.rfftfreq(waves.shape[-1], 1 / (fine * rate_hz))
    share = (f_hz * 2 / rate_hz - BAND_SHARE) / (1 - BAND_SHARE)
    gain = np.cos(np.pi / 2 * np.clip(share, 0, 1)) ** 2
    return np.asarray(fft.irfft(fft.rfft(waves) * gain, waves.shape[-1])[..., ::fine])


def reference_uv(
    fibres: UnitFibres, ears: Pads, through: Conductor, medium: Medium, tilt_deg: float = 0.0
) -> Floats:
    """Return the sum of fibres as `potential` writes it: plain, in time, by steps along z."""
    fine, step = 8, 0.1
    t_s = np.arange(fine * N) / (fine * RATE_HZ)
    shape = ACTION_POTENTIALS[medium.action_potential]
    depth, aside = through.places(fibres.x_mm, fibres.y_mm)
    tilt = np.radians(tilt_deg)
    out = np.zeros((ears.places_mm.shape[0], t_s.size))
    for i in range(fibres.n_fibres):
        run_mm = 1e3 * fibres.velocity_m_s[i] * (t_s - fibres.delay_s[i])
        strength = fibre_strength(medium, fibres.diameter_um[i : i + 1])[0]
        for sign, half in (
            (1.0, fibres.half_lengths_mm[0][i]),
            (-1.0, fibres.half_lengths_mm[1][i]),
        ):
            n = int(np.ceil(half / step))
            edges = np.linspace(0.0, half, n + 1)
            z = fibres.end_plate_mm[i] + sign * edges
            depths = np.maximum(depth[i] + np.sin(tilt) * z, LEAST_DEPTH_MM)
            wave = action_potential_slope_mv_mm(
                run_mm[:, None] - (edges[1:] + edges[:-1]) / 2, shape
            )
            for p, (along, across) in enumerate(ears.places_mm):
                far = np.array([aside[i] - across])
                places = np.cos(tilt) * z - along
                if tilt_deg == 0:
                    picked = through.pick_up(depths[:1], far, places, ears.radius_mm)[0, 0]
                else:
                    picked = np.array(
                        [
                            through.pick_up(np.array([d]), far, np.array([s]), ears.radius_mm)[
                                0, 0, 0
                            ]
                            for d, s in zip(depths, places, strict=True)
                        ]
                    )
                out[p] += strength * wave @ np.diff(picked)
    return band_limited(out, RATE_HZ, fine)


FIBRE = st.fixed_dictionaries(
    {
        "depth_mm": st.floats(0.6, 18.0),
        "x_mm": st.floats(-4.0, 4.0),
        "end_plate_mm": st.floats(-6.0, 6.0),
        "up": st.floats(15.0, 45.0),
        "down": st.floats(15.0, 45.0),
        "diameter_um": st.floats(35.0, 75.0),
        "delay_s": st.floats(0.0, 0.004),
    }
)


@settings(max_examples=8, deadline=None)
@given(
    st.lists(FIBRE, min_size=1, max_size=2),
    st.floats(0.5, 10.0),
    st.floats(-25, 25),
    st.floats(-15, 15),
    st.booleans(),
)
def test_the_kernel_agrees_with_the_readable_sum(fibres, fat, along, across, is_wide):
    """Whatever the fibres and the pads: within 0.5 % of the largest potential."""
    some = unit(**{name: np.array([f[name] for f in fibres]) for name in fibres[0]})
    inside = np.minimum(RADIUS_MM, np.hypot(some.x_mm, some.y_mm)) / np.hypot(some.x_mm, some.y_mm)
    some = replace(some, x_mm=some.x_mm * inside, y_mm=some.y_mm * inside)
    ears = pads((along, across), (along + 8.0, across), radius_mm=5.0 if is_wide else 1.0)
    found = muap_uv(some, ears, conductor(fat))
    right = reference_uv(some, ears, conductor(fat), MEDIUM)
    assert np.abs(found - right).max() < 0.005 * np.abs(right).max()


@pytest.mark.parametrize("depth", [1.5, 4.0, 10.0])
def test_bare_muscle_gives_twice_the_potential_in_endless_muscle(depth):
    """A56 with the package's own fibres: a point on an insulated half-space."""
    some = unit(depth, end_plate_mm=2.0, x_mm=1.0, up=31.0, down=42.0)
    bare = conductor(fat_mm=0.0, skin_mm=0.0)
    found = muap_uv(some, pads((20.0, 0.0), radius_mm=0.0), bare)[0]
    v_mm_s, fine = 1e3 * float(some.velocity_m_s[0]), 32
    point = point_electrode(0.0, RADIUS_MM, 20.0)
    wave = fibre_potentials_uv(
        point,
        MEDIUM,
        x_mm=some.x_mm,
        y_mm=some.y_mm,
        end_plate_mm=some.end_plate_mm,
        half_lengths_mm=some.half_lengths_mm,
        diameter_um=some.diameter_um,
        step_mm=v_mm_s / (fine * RATE_HZ),
    )[0]
    right = band_limited(
        2.0 * np.pad(wave, (0, max(0, fine * N - wave.size)))[: fine * N], RATE_HZ, fine
    )
    assert np.abs(found - right).max() < 0.005 * np.abs(right).max()


def test_a_unit_is_the_sum_of_its_fibres():
    """Each with its own depth, end plate, tendons, velocity and delay."""
    rng = np.random.default_rng(3)
    some = unit(
        rng.uniform(2, 8, 20),
        end_plate_mm=rng.normal(0, 1, 20),
        delay_s=rng.uniform(0, 1e-3, 20),
        diameter_um=rng.normal(50, 5, 20),
        up=rng.uniform(30, 50, 20),
    )
    field = lead_field(conductor(), pads((20.0, 0.0), (28.0, 4.0)), [some])
    each = [
        surface_muap_uv(some.subset(np.array([k])), field, MEDIUM, n_samples=N, rate_hz=RATE_HZ)
        for k in range(20)
    ]
    together = surface_muap_uv(some, field, MEDIUM, n_samples=N, rate_hz=RATE_HZ)
    assert together == pytest.approx(np.sum(each, axis=0), abs=1e-4 * np.abs(together).max())


def test_a_unit_without_fibres_is_silent():
    """Disease may leave none; its muscle has others."""
    field = lead_field(conductor(), pads((20.0, 0.0)), [unit()])
    none = unit().subset(np.array([False]))
    assert not surface_muap_uv(none, field, MEDIUM, n_samples=N, rate_hz=RATE_HZ).any()


def test_a_delay_moves_the_potential():
    """Ten samples later, and the same."""
    late = muap_uv(unit(delay_s=10 / RATE_HZ), pads((20.0, 0.0)), conductor())[0]
    early = muap_uv(unit(), pads((20.0, 0.0)), conductor())[0]
    assert late[10:] == pytest.approx(early[:-10], abs=1e-4 * np.ptp(early))


def test_slower_fibres_make_a_longer_potential():
    """At half the velocity the potential is the same at half the rate."""
    slow = muap_uv(unit(), pads((20.0, 0.0)), conductor(), velocity_scale=0.5, rate_hz=RATE_HZ / 2)
    usual = muap_uv(unit(), pads((20.0, 0.0)), conductor())
    assert slow == pytest.approx(usual, abs=1e-3 * np.ptp(usual))


def test_two_pads_between_zone_and_tendon_tell_the_velocity():
    """Differential channels along one fibre: its velocity within 2 %."""
    some = unit(3.0, up=90.0, down=90.0)
    along = [30.0, 35.0, 40.0, 45.0]
    mono = muap_uv(some, pads(*((z, 0.0) for z in along), radius_mm=1.0), conductor(1.0))
    one, other = mono[0] - mono[1], mono[2] - mono[3]
    cross = np.correlate(other, one, "full")
    k = int(np.argmax(cross))
    a, b, c = cross[k - 1 : k + 2]
    lag_s = (k + (a - c) / (2 * (a - 2 * b + c)) - (N - 1)) / RATE_HZ
    assert 10e-3 / lag_s == pytest.approx(float(some.velocity_m_s[0]), rel=0.02)


def test_the_end_at_the_tendon_is_heard_everywhere_at_once():
    """Far off a deep fibre, what the tendon makes does not travel: one instant on all pads."""
    some = unit(15.0, up=60.0, down=60.0)
    mono = muap_uv(some, pads(*((z, 0.0) for z in (10.0, 20.0, 30.0))), conductor())
    ends_s = 60e-3 / float(some.velocity_m_s[0])
    late = slice(int((ends_s - 0.001) * RATE_HZ), int((ends_s + 0.004) * RATE_HZ))
    peaks = np.abs(mono[:, late]).argmax(axis=1) / RATE_HZ
    passing_s = 20e-3 / float(some.velocity_m_s[0])
    assert np.ptp(peaks) < 0.1 * passing_s
    assert np.abs(mono[:, late]).max() > 0.2 * np.abs(mono).max()


def test_over_the_end_plates_the_potential_begins_negative():
    """Belly against tendon: the active electrode over the zone sees no wave come."""
    belly = muap_uv(unit(), pads((0.0, 0.0), (70.0, 0.0)), conductor())
    channel = belly[0] - belly[1]
    loud = np.flatnonzero(np.abs(channel) > 0.1 * np.abs(channel).max())
    assert channel[loud[0]] < 0


def test_a_wave_that_is_cut_off_does_not_come_in_at_the_beginning():
    """A short window is the beginning of a long one."""
    some, ears = unit(), pads((20.0, 0.0))
    field = lead_field(conductor(), ears, [some])
    short, long = (
        surface_muap_uv(some, field, MEDIUM, n_samples=n, rate_hz=RATE_HZ)[0] for n in (20, 400)
    )
    assert short == pytest.approx(long[:20], abs=1e-4 * np.ptp(long))


def test_a_constant_on_the_lead_field_changes_nothing():
    """A fibre carries no net current."""
    some = unit()
    field = lead_field(conductor(), pads((20.0, 0.0)), [some])
    shifted = replace(field, table=field.table + 1.0)
    usual, other = (
        surface_muap_uv(some, f, MEDIUM, n_samples=N, rate_hz=RATE_HZ) for f in (field, shifted)
    )
    assert other == pytest.approx(usual, abs=2e-3 * np.ptp(usual))


def test_tilted_fibres_agree_with_the_readable_sum():
    """Depth that varies along the fibre, within 1 % of the largest potential."""
    some = unit(8.0, up=30.0, down=20.0, x_mm=2.0)
    ears = pads((15.0, 0.0), (-10.0, 4.0))
    found = muap_uv(some, ears, conductor(), tilt_deg=12.0)
    right = reference_uv(some, ears, conductor(), MEDIUM, tilt_deg=12.0)
    assert np.abs(found - right).max() < 0.01 * np.abs(right).max()


def test_tilt_makes_the_deep_end_quiet():
    """Fibres that dive towards +z pass louder at -z, and those that dive the other way at +z."""
    some = unit(8.0, up=40.0, down=40.0)
    ears = pads((12.0, 0.0), (20.0, 0.0), (-12.0, 0.0), (-20.0, 0.0), radius_mm=1.0)
    down, up = (muap_uv(some, ears, conductor(), tilt_deg=tilt) for tilt in (12.0, -12.0))
    assert np.ptp(down[2] - down[3]) > 2.0 * np.ptp(down[0] - down[1])
    assert up == pytest.approx(down[[2, 3, 0, 1]], abs=1e-6)


def published_unit() -> UnitFibres:
    """Return 300 fibres of 50 um: 120 mm long, as the published amplitudes scatter them."""
    rng, n = np.random.default_rng(1), 300
    plate = rng.normal(0, 1.5, n)
    up, down = (60.0 + 6.0 * rng.standard_normal(n) for _ in range(2))
    return unit(
        np.full(n, 5.0),
        end_plate_mm=plate,
        diameter_um=rng.normal(50, 6, n),
        up=up - plate,
        down=down + plate,
    )


def published_uv(depth_mm: float, fat_mm: float) -> tuple[float, float]:
    """Return peak to peak amplitudes at 20 mm, and of 20 against 40 mm from the zone."""
    some = replace(published_unit(), y_mm=np.full(300, RADIUS_MM - depth_mm))
    mono = muap_uv(some, pads((20.0, 0.0), (40.0, 0.0)), conductor(fat_mm))
    return float(np.ptp(mono[0])), float(np.ptp(mono[0] - mono[1]))


@pytest.mark.parametrize(
    ("fat_mm", "want_uv"), [(1.0, 34.0), (3.0, 20.0), (6.0, 12.0), (10.0, 7.0), (20.0, 2.6)]
)
def test_fat_takes_the_published_share(fat_mm, want_uv):
    """A55: single differential, 5 mm under the fat, within 10 %."""
    assert published_uv(5.0, fat_mm)[1] == pytest.approx(want_uv, rel=0.10)


@pytest.mark.parametrize(
    ("depth_mm", "mono_uv", "difference_uv"),
    [(2.0, 32.0, 54.0), (5.0, 13.5, 19.0), (10.0, 6.0, 5.7), (15.0, 3.8, 2.6)],
)
def test_depth_takes_the_published_share(depth_mm, mono_uv, difference_uv):
    """E.5: monopolar and single differential under 3 mm of fat, within a quarter."""
    mono, difference = published_uv(depth_mm, 3.0)
    assert mono == pytest.approx(mono_uv, rel=0.25)
    assert difference == pytest.approx(difference_uv, rel=0.25)


@pytest.mark.parametrize(("scale", "rate"), [(0.0, 1000.0), (np.nan, 1000.0), (1.0, -1.0)])
def test_a_scale_or_rate_that_is_none_is_refused(scale, rate):
    """One clear line."""
    some = unit()
    field = lead_field(conductor(), pads((20.0, 0.0)), [some])
    with pytest.raises(ValueError, match="velocity_scale and rate_hz must be > 0"):
        surface_muap_uv(some, field, MEDIUM, n_samples=N, rate_hz=rate, velocity_scale=scale)


def test_a_medium_of_another_muscle_is_refused():
    """Source and conductor must agree on the muscle's conductivities."""
    some = unit()
    field = lead_field(conductor(), pads((20.0, 0.0)), [some])
    with pytest.raises(
        ValueError, match=r"medium.sigma_radial_s_m must be the field's 0\.1, got 0\.063"
    ):
        surface_muap_uv(some, field, Medium(), n_samples=N, rate_hz=RATE_HZ)
