"""What must happen to MUAPs when one thing about them is changed: 60 at clinical sites.

A unit that is active at slight effort, a standard concentric needle 15 mm from the end plates, its
tip advanced by 0.1 mm inside the territory until the main spike rises within 500 us.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from emgsim.measures import MuapMeasures, muap_measures
from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres, place_unit
from emgsim.physiology.kernels import add_fibre_potentials, fibre_waves_uv
from emgsim.physiology.parameters import ConcentricNeedle, Muscle, TipPosition
from emgsim.scenario import muscle_catalogue
from emgsim.seeds import stream

RATE_HZ = 48_000.0
N_SAMPLES = 1800
BICEPS = Muscle(name="biceps_brachii", **muscle_catalogue()["biceps_brachii"])
NEEDLE = ConcentricNeedle()


@dataclass(frozen=True)
class Site:
    """A unit about the origin, the tip at its accepted place, and the territory's radius."""

    unit: UnitFibres
    tip: TipPosition
    radius_mm: float


def muap(unit: UnitFibres, tip: TipPosition) -> MuapMeasures:
    """Return the measures of a unit's MUAP at the needle."""
    wave = np.zeros(N_SAMPLES)
    add_fibre_potentials(wave, RATE_HZ, channels(NEEDLE, tip)[0], BICEPS.medium, unit)
    return muap_measures(wave, RATE_HZ)


def about_origin(unit: UnitFibres) -> UnitFibres:
    """Return a unit with its fibres about the origin."""
    return replace(unit, x_mm=unit.x_mm - unit.x_mm.mean(), y_mm=unit.y_mm - unit.y_mm.mean())


def sought(unit: UnitFibres, rng: np.random.Generator) -> Site | None:
    """Return the site on a random track through a unit's territory; None if there is none."""
    radius_mm = float(np.sqrt(unit.n_fibres / BICEPS.fibres.density_per_mm2 / np.pi))
    x_mm = 0.6 * radius_mm * rng.uniform(-1, 1)
    for y_mm in np.arange(0.5 * radius_mm, -0.5 * radius_mm, -0.1):
        tip = TipPosition(x_mm=x_mm, y_mm=float(y_mm), z_mm=15.0)
        if muap(unit, tip).rise_time_us <= 500.0:
            return Site(unit, tip, radius_mm)
    return None


@pytest.fixture(scope="module")
def sites() -> list[Site]:
    """Return sixty sites of sixty units."""
    rng = stream(5, "sites")
    found: list[Site] = []
    while len(found) < 60:
        unit = about_origin(place_unit(BICEPS, int(rng.integers(100)), rng))
        site = sought(unit, rng)
        if site is not None:
            found.append(site)
    return found


def distance_mm(site: Site) -> np.ndarray:
    """Return each fibre's distance from the tip in the cross-section."""
    return np.hypot(site.unit.x_mm - site.tip.x_mm, site.unit.y_mm - site.tip.y_mm)


def test_far_fibres_hardly_lengthen_a_muap(sites: list[Site]) -> None:
    """Without the fibres beyond 2.5 mm the median duration changes by less than 10 %."""
    whole = [muap(s.unit, s.tip).duration_ms for s in sites]
    near = [muap(s.unit.subset(distance_mm(s) <= 2.5), s.tip).duration_ms for s in sites]
    assert any(np.any(distance_mm(s) > 2.5) for s in sites)
    assert abs(np.median(near) / np.median(whole) - 1) < 0.10


def test_the_largest_potential_makes_the_amplitude(sites: list[Site]) -> None:
    """Without the fibre of the largest potential the median amplitude falls by 20 % or more."""
    whole, less = [], []
    for s in sites:
        electrode = channels(NEEDLE, s.tip)[0]
        waves = fibre_waves_uv(N_SAMPLES, RATE_HZ, electrode, BICEPS.medium, s.unit)
        rest = np.arange(s.unit.n_fibres) != np.argmax(np.ptp(waves, axis=1))
        whole.append(muap(s.unit, s.tip).amplitude_uv)
        less.append(muap(s.unit.subset(rest), s.tip).amplitude_uv)
    assert np.median(less) <= 0.80 * np.median(whole)


def test_scattered_end_plates_make_more_phases(sites: list[Site]) -> None:
    """With twice the scatter of end plates, and its delays, the mean number of phases rises."""
    phases = np.array(
        [[muap(s.unit, s.tip).phases, muap(scattered(s.unit), s.tip).phases] for s in sites]
    )
    more = phases[:, 1] - phases[:, 0]
    assert more.mean() > 1.96 * more.std() / np.sqrt(more.size)


def scattered(unit: UnitFibres) -> UnitFibres:
    """Return a unit with twice the scatter of its end plates and of the axon's delays."""
    moved_mm = unit.end_plate_mm - unit.end_plate_mm.mean()
    up_mm, down_mm = unit.half_lengths_mm
    return replace(
        unit,
        end_plate_mm=unit.end_plate_mm + moved_mm,
        half_lengths_mm=(up_mm - moved_mm, down_mm + moved_mm),
        delay_s=2 * unit.delay_s,
    )


def test_outside_the_territory_a_muap_is_blunt_or_small(sites: list[Site]) -> None:
    """The needle 2 mm beyond the edge: each rises in more than 0.5 ms, or is smaller than 50 uV.

    It is the whole needle that is outside. With the tip below the territory the cannula would run
    through it, and record.
    """
    for s in sites:
        angle = np.arctan2(abs(s.tip.y_mm), s.tip.x_mm)
        far_mm = s.radius_mm + 2.0
        tip = TipPosition(x_mm=far_mm * np.cos(angle), y_mm=far_mm * np.sin(angle), z_mm=15.0)
        found = muap(s.unit, tip)
        assert found.rise_time_us > 500.0 or found.amplitude_uv < 50.0
