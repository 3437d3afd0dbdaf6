"""Confidence of discharges and decomposability of units: high where clear, low where made up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.analysis.conditioning import Conditioned, condition
from emgsim.analysis.confidence import confidences, evidence, probability
from emgsim.analysis.decomposability import decomposability
from emgsim.analysis.decomposition import Model, decompose
from emgsim.analysis.learning import Unit
from emgsim.analysis.plan import NeedlePlan
from emgsim.recording import Recording

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def decomposed(three_units: Recording) -> tuple[Conditioned, Model]:
    """The working signal and the model of three clear units."""
    samples_uv = three_units.samples_uv[:, 0]
    signal = condition(samples_uv, three_units.rate_hz, 0.0, NeedlePlan())
    model, work = decompose(signal, NeedlePlan())
    return work, model


def with_train(model: Model, number: int, positions: Floats) -> Model:
    """Return the model with another train in one of its units, all amplitudes one."""
    order = np.argsort(positions)
    units = list(model.units)
    units[number] = replace(
        units[number], positions=positions[order], amplitudes=np.ones(positions.size)
    )
    return replace(model, units=tuple(units))


def test_discharges_of_clear_units_are_sure(decomposed: tuple[Conditioned, Model]) -> None:
    """Nearly all discharges of three clear units are rated 0.99 or more, one number for each."""
    work, model = decomposed
    rated = confidences(work, model)
    assert [p.size for p in rated] == [unit.positions.size for unit in model.units]
    assert np.mean(np.concatenate(rated) >= 0.99) > 0.95


def test_a_discharge_that_is_none_is_not_believed(decomposed: tuple[Conditioned, Model]) -> None:
    """Discharges put where the unit was silent are rated below 0.1, the true ones stay sure."""
    work, model = decomposed
    true = model.units[0].positions
    every = np.concatenate([unit.positions for unit in model.units])
    silent = 0.5 * (true[10:40:5] + true[11:41:5])
    apart = np.array([np.min(np.abs(every - at)) for at in silent]) > 0.008 * work.rate_hz
    made_up = silent[apart]
    assert made_up.size >= 2
    more = with_train(model, 0, np.concatenate([true, made_up]))
    p = confidences(work, more)[0]
    is_made_up = np.isin(more.units[0].positions, made_up)
    assert p[is_made_up].max() < 0.1
    assert np.median(p[~is_made_up]) >= 0.99


def test_a_misplaced_discharge_is_not_believed(decomposed: tuple[Conditioned, Model]) -> None:
    """Moved by a millisecond, a discharge leaves too much unexplained."""
    work, model = decomposed
    positions = model.units[0].positions.copy()
    sure = confidences(work, model)[0]
    positions[20] += 0.001 * work.rate_hz
    moved = confidences(work, with_train(model, 0, positions))[0]
    assert sure[20] > 0.99
    assert moved[20] < 0.2


def test_discharges_of_one_unit_at_one_place_are_rated(
    decomposed: tuple[Conditioned, Model],
) -> None:
    """Two of them, a sample apart on either side of a third, leave no place for a rival of it."""
    work, model = decomposed
    true = model.units[0].positions
    at = float(np.floor(true[20])) + 0.5
    crowded = with_train(model, 0, np.concatenate([true, [at, at + 0.1, at + 0.2]]))
    rated = confidences(work, crowded)[0]
    assert rated.size == true.size + 3
    assert np.all((rated >= 0) & (rated <= 1))


def test_confidence_does_not_depend_on_gain(decomposed: tuple[Conditioned, Model]) -> None:
    """A signal, its templates and its noise ten times as large are the same problem."""
    work, model = decomposed
    louder = replace(work, samples=10.0 * work.samples)
    units = tuple(replace(u, template=10.0 * u.template) for u in model.units)
    again = replace(model, units=units, variance=100.0 * model.variance)
    for one, other in zip(confidences(work, model), confidences(louder, again), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_more_evidence_is_more_confidence(decomposed: tuple[Conditioned, Model]) -> None:
    """Of two discharges the one worth more, or that leaves less, is never the less likely."""
    own = evidence(*decomposed)[0]
    p = probability(own)
    assert np.all(probability(replace(own, worth=own.worth + 5.0)) >= p)
    assert np.all(probability(replace(own, left=2.0 * own.left)) <= p)


def test_nothing_found_is_rated_by_nothing(decomposed: tuple[Conditioned, Model]) -> None:
    """Without units there is no confidence and no decomposability, and no error."""
    work, model = decomposed
    empty = replace(model, units=())
    assert confidences(work, empty) == ()
    assert decomposability(empty).size == 0


def shape(width: float) -> Floats:
    """Return a biphasic shape of norm 10."""
    u = (np.arange(120) - 50) / width
    wave = (1 - u**2) * np.exp(-(u**2) / 2)
    return np.asarray(10.0 * wave / np.linalg.norm(wave))


def test_a_unit_alone_is_compared_with_nothing() -> None:
    """Its decomposability is the norm of its template over the rms of the residual."""
    model = Model(before=50, units=(Unit(template=shape(4.0)),), variance=0.25)
    assert decomposability(model) == pytest.approx([20.0])


def test_units_that_are_alike_cannot_be_told_apart() -> None:
    """The index falls to zero as two templates become one, whatever the delay between them."""
    found = [
        decomposability(
            Model(before=50, units=(Unit(template=shape(4.0)), Unit(template=other)), variance=1.0)
        )[0]
        for other in (shape(9.0), shape(5.0), shape(4.2), np.roll(shape(4.0), 7))
    ]
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(0.0, abs=1e-3)
