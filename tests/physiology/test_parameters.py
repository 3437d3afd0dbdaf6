"""Parameter objects: defaults from the literature, and rules that name what broke them."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from emgsim.physiology.parameters import ConcentricNeedle, Fibres, Medium, Muscle, Pool, TipPosition


def test_the_default_anisotropy_is_that_of_andreassen_and_rosenfalck() -> None:
    """A02: 5.24 +- 0.01 (0.33 over 0.063 S/m)."""
    assert Medium().anisotropy == pytest.approx(5.24, abs=0.01)


def test_the_source_gain_lies_in_the_published_window() -> None:
    """All published anchors together allow 0.32-0.48 (section 0, finding 1)."""
    assert 0.32 <= Medium().source_gain <= 0.48


def test_a_pool_whose_last_unit_cannot_fire_is_refused() -> None:
    """The message names both rates, the rule and the value."""
    with pytest.raises(ValidationError, match=r"must be > minimal_rate_hz \(8\), got 5"):
        Pool(n_units=10, peak_rate_first_hz=35, peak_rate_drop_hz=30)


def test_a_territory_larger_than_the_muscle_is_refused() -> None:
    """352 fibres at 3.5 per mm2 need a radius of 5.66 mm; the message says so."""
    fibres = Fibres(per_unit_smallest=10, per_unit_largest=352, length_mm=60)
    with pytest.raises(ValidationError, match=r"radius_mm must be >= .* 5\.66 mm, got 5"):
        Muscle(name="x", radius_mm=5.0, pool=Pool(n_units=5), fibres=fibres)


def test_parameters_cannot_be_changed() -> None:
    """A frozen parameter object may be shared and hashed."""
    pool = Pool(n_units=5)
    with pytest.raises(ValidationError, match="frozen"):
        pool.n_units = 6
    assert hash(pool) == hash(Pool(n_units=5))


def test_an_unknown_parameter_is_a_mistake() -> None:
    """A misspelt name is never taken as one more attribute."""
    with pytest.raises(ValidationError, match="n_unit\n"):
        Pool.model_validate({"n_units": 5, "n_unit": 6})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_place_must_be_a_number(value: float) -> None:
    """NaN passes every comparison written as ``x >= limit``, so it has to be refused by itself."""
    with pytest.raises(ValidationError, match="finite"):
        TipPosition(x_mm=value)


def test_an_endless_fibre_is_refused() -> None:
    """Infinity is above every lower bound and would ask for endless memory."""
    with pytest.raises(ValidationError, match="finite"):
        Fibres(per_unit_smallest=1, per_unit_largest=1, length_mm=math.inf)


def test_the_core_follows_from_wire_and_bevel() -> None:
    """0.15 mm cut at 30 degrees shows 0.30 mm."""
    assert ConcentricNeedle(core_mm=0.15, bevel_deg=30.0).core_length_mm == pytest.approx(0.30)
