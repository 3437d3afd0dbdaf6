"""A needle that moves slowly: potentials that change are followed, those that do not are left."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.analysis.conditioning import Conditioned, condition
from emgsim.analysis.decomposition import Model, decompose
from emgsim.analysis.drift import pieces, rejoined, with_courses
from emgsim.analysis.learning import Unit
from emgsim.analysis.plan import NeedlePlan
from emgsim.scoring import best_lag_s, match_discharges
from tests.analysis.conftest import SHAPES, potential, train

Floats = NDArray[np.float64]

RATE_HZ, SECONDS = 16_000.0, 20.0
LOSS = 0.4  # of the amplitude, from beginning to end


def drifting(loss: float) -> tuple[Floats, list[Floats]]:
    """Return samples and trains of two units that lose amplitude and change their shape."""
    rng = np.random.default_rng(8)
    trains = [train(rng, rate, 0.1, SECONDS - 0.1) for rate in (9.0, 11.0)]
    samples = 5.0 * rng.standard_normal(round(SECONDS * RATE_HZ))
    for k, times_s in enumerate(trains):
        for time_s in times_s:
            first = int(np.floor((time_s - 0.008) * RATE_HZ))
            late_ms = ((time_s - 0.008) * RATE_HZ - first) / RATE_HZ * 1e3
            moved = loss * time_s / SECONDS
            wave = (1 - moved) * potential(RATE_HZ, delayed(SHAPES[k], late_ms))
            wave += 0.5 * moved * potential(RATE_HZ, delayed(SHAPES[2], late_ms))
            a, b = max(first, 0), min(first + wave.size, samples.size)
            samples[a:b] += wave[a - first : b - first]
    return samples, trains


def delayed(
    lobes: tuple[tuple[float, float, float], ...], late_ms: float
) -> tuple[tuple[float, float, float], ...]:
    """Return the lobes of a potential that comes later."""
    return tuple((at + late_ms, width, height) for at, width, height in lobes)


@pytest.fixture(scope="module")
def followed() -> tuple[Conditioned, Model, list[Floats]]:
    """The working signal, the model and the true trains of two units that change."""
    samples, trains = drifting(LOSS)
    model, work = decompose(condition(samples, RATE_HZ, 0.0, NeedlePlan()), NeedlePlan())
    return work, model, trains


def agreement(work: Conditioned, true_s: Floats, unit: Unit) -> float:
    """Return the Jaccard agreement of a unit with a train."""
    found_s = work.start_s + unit.positions / work.rate_hz
    lag_s = best_lag_s(true_s, found_s, 0.0005, 0.006)
    n = len(match_discharges(true_s, found_s, 0.0005, lag_s))
    return n / (true_s.size + found_s.size - n)


def test_units_that_change_are_found_whole(
    followed: tuple[Conditioned, Model, list[Floats]],
) -> None:
    """Each is one unit from beginning to end, with nearly every discharge."""
    work, model, trains = followed
    assert len(model.units) == 2
    best = [max(agreement(work, true_s, unit) for unit in model.units) for true_s in trains]
    assert min(best) >= 0.98


def size_at(k: int, time_s: float) -> float:
    """Return the true peak-to-peak amplitude of a unit at a time."""
    moved = LOSS * time_s / SECONDS
    wave = (1 - moved) * potential(RATE_HZ, SHAPES[k])
    return float(np.ptp(wave + 0.5 * moved * potential(RATE_HZ, SHAPES[2])))


def test_the_course_shows_the_change_of_amplitude(
    followed: tuple[Conditioned, Model, list[Floats]],
) -> None:
    """The last template is smaller than the first by about as much as the true potential is."""
    work, model, trains = followed
    for k, true_s in enumerate(trains):
        unit = max(model.units, key=partial(agreement, work, true_s))
        assert unit.course is not None
        size = np.ptp(unit.course.templates, axis=1)
        expected = size_at(k, SECONDS - 2.0) / size_at(k, 2.0)
        assert size[-1] / size[0] == pytest.approx(expected, abs=0.08)


def test_units_that_stay_have_no_course() -> None:
    """Noise alone does not make a potential change."""
    samples, _ = drifting(0.0)
    model, _ = decompose(condition(samples, RATE_HZ, 0.0, NeedlePlan()), NeedlePlan())
    assert len(model.units) == 2
    assert all(unit.course is None for unit in model.units)


def test_pieces_share_the_discharges_among_them(
    followed: tuple[Conditioned, Model, list[Floats]],
) -> None:
    """Every discharge is one piece's own, at its place."""
    work, model, _ = followed
    cut = pieces(work, model.units)
    assert len(cut) > 2
    for k, unit in enumerate(model.units):
        again = np.concatenate([p.own(p.units[k]).positions + p.start for p in cut])
        assert again == pytest.approx(unit.positions)


def test_the_whole_signal_is_one_piece_of_steady_units() -> None:
    """Without a course nothing is cut, and the very same units come back."""
    work = Conditioned(
        samples=np.zeros(1_000), usable=np.ones(1_000, dtype=bool), rate_hz=RATE_HZ, start_s=0.0
    )
    units = (Unit(template=np.ones(10)),)
    (piece,) = pieces(work, units)
    assert piece.work is work
    assert piece.units is units


def halves(likeness: float) -> tuple[Unit, Unit]:
    """Return a train cut in two after 10 s, with templates more or less alike."""
    rng = np.random.default_rng(3)
    positions = train(rng, 10.0, 0.1, SECONDS - 0.1) * RATE_HZ
    t = np.arange(150) - 60
    shape = np.exp(-(t**2) / 200) * np.sin(t / 6)
    other = np.exp(-(t**2) / 200) * np.cos(t / 3)
    early = positions < 10.0 * RATE_HZ
    mixed = likeness * shape + np.sqrt(1 - likeness**2) * other
    one = Unit(template=shape, positions=positions[early], amplitudes=np.ones(early.sum()))
    two = Unit(template=mixed, positions=positions[~early], amplitudes=np.ones((~early).sum()))
    return one, two


@pytest.mark.parametrize(("likeness", "n"), [(0.95, 1), (0.2, 2)])
def test_halves_of_a_train_are_joined_if_alike(likeness: float, n: int) -> None:
    """A train that ends where one of like shape begins is one; of another shape it is another."""
    work = Conditioned(
        samples=np.zeros(round(SECONDS * RATE_HZ)),
        usable=np.ones(round(SECONDS * RATE_HZ), dtype=bool),
        rate_hz=RATE_HZ,
        start_s=0.0,
    )
    assert len(rejoined(with_courses(work, halves(likeness)), RATE_HZ)) == n


def test_trains_at_the_same_time_are_not_joined() -> None:
    """Two units that discharge side by side are two, however alike."""
    one, two = halves(0.99)
    beside = replace(two, positions=one.positions + 700.0, amplitudes=one.amplitudes)
    work = Conditioned(
        samples=np.zeros(round(SECONDS * RATE_HZ)),
        usable=np.ones(round(SECONDS * RATE_HZ), dtype=bool),
        rate_hz=RATE_HZ,
        start_s=0.0,
    )
    assert len(rejoined(with_courses(work, (one, beside)), RATE_HZ)) == 2
