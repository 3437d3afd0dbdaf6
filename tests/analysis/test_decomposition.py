"""The last rounds of a decomposition: when a revision is believed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emgsim.analysis.conditioning import Conditioned, condition
from emgsim.analysis.decomposition import Model, decompose, lost_its_way
from emgsim.analysis.plan import NeedlePlan
from emgsim.recording import Recording


@pytest.fixture(scope="module")
def decomposed(three_units: Recording) -> tuple[Conditioned, Model]:
    """The working signal of three units, and their model."""
    signal = condition(three_units.samples_uv[:, 0], three_units.rate_hz, 0.0, NeedlePlan())
    model, work = decompose(signal, NeedlePlan())
    assert len(model.units) == 3
    return work, model


def test_a_revision_that_loses_units_and_explains_less_is_not_believed(
    decomposed: tuple[Conditioned, Model],
) -> None:
    """Of three units one is left, and the potentials of two stay in what is not explained."""
    work, model = decomposed
    assert lost_its_way(work, model, replace(model, units=model.units[:1]))


def test_a_revision_that_keeps_most_units_is_believed(
    decomposed: tuple[Conditioned, Model],
) -> None:
    """One of three may go: weak trains of the murmur are meant to."""
    work, model = decomposed
    assert not lost_its_way(work, model, model)
    assert not lost_its_way(work, model, replace(model, units=model.units[:2]))


def test_units_that_explained_nothing_may_all_go(decomposed: tuple[Conditioned, Model]) -> None:
    """Two units without potentials are no loss: no more is left without them."""
    work, model = decomposed
    unit = model.units[0]
    empty = replace(unit, positions=unit.positions[:0], amplitudes=unit.amplitudes[:0])
    before = replace(model, units=(unit, empty, empty))
    assert not lost_its_way(work, before, replace(model, units=(unit,)))
