"""Parameter objects: defaults from the literature, and rules that name what broke them."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from emgsim.physiology.parameters import (
    ConcentricNeedle,
    Fibres,
    Medium,
    Muscle,
    Pool,
    TipPosition,
    aged,
)

FIBRES = Fibres(per_unit_smallest=40, per_unit_largest=200, length_mm=60)
MUSCLE = Muscle(name="x", radius_mm=9.0, pool=Pool(n_units=100), fibres=FIBRES)


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


def test_a_muscle_is_no_thicker_than_round_and_no_flatter_than_a_third() -> None:
    """A radius of 9 mm allows 5.4 to 18 mm; left out, it is round."""
    assert MUSCLE.flatness == 1.0
    assert Muscle(**{**dict(MUSCLE), "thickness_mm": 9.0}).flatness == 0.5
    for thickness_mm in (5.3, 18.1):
        with pytest.raises(ValidationError, match=r"thickness_mm must be in 5\.4\.\.18, .* got "):
            Muscle(**{**dict(MUSCLE), "thickness_mm": thickness_mm})


def test_the_largest_territory_need_not_be_the_last_units() -> None:
    """A pool whose first unit is the largest is held to the same rule."""
    fibres = Fibres(per_unit_smallest=352, per_unit_largest=10, length_mm=60)
    with pytest.raises(ValidationError, match=r"radius_mm must be >= .* 5\.66 mm, got 5"):
        Muscle(name="x", radius_mm=5.0, pool=Pool(n_units=5), fibres=fibres)


@pytest.mark.parametrize(("shape", "widest"), [("disc", "0.381"), ("gaussian", "0.145")])
def test_an_impossible_packing_is_refused(shape: str, widest: str) -> None:
    """Spacings may cover 40 % of the territory; a Gaussian is 6.9 times as dense in its middle."""
    with pytest.raises(ValidationError, match=rf"spacing_mm must be <= {widest} mm .*, got 0\.4"):
        Fibres(
            per_unit_smallest=1,
            per_unit_largest=9,
            length_mm=60,
            spacing_mm=0.4,
            territory=shape,  # type: ignore[arg-type]
        )


def test_end_plates_beyond_the_tendons_are_refused() -> None:
    """A band of 10 mm and three SD of 0.8 and of 0.6 mm at either end need 16 mm; 12 are short."""
    with pytest.raises(ValidationError, match=r"length_mm must be > 16 mm, .*, got 12"):
        Fibres(per_unit_smallest=1, per_unit_largest=9, length_mm=12)


def test_age_takes_units_and_gives_their_fibres_to_the_rest() -> None:
    """By pencil at 71 years: 60 % of the units, 150 % of their fibres at 150 % of the density."""
    old = aged(MUSCLE, 71)
    assert old.pool.n_units == 60
    assert (old.fibres.per_unit_smallest, old.fibres.per_unit_largest) == (60, 300)
    assert old.fibres.density_per_mm2 == pytest.approx(5.25)
    assert old.fibres.diameter_largest_unit_um == pytest.approx(0.92 * 64)
    half = aged(MUSCLE, 50.5)
    assert (half.pool.n_units, half.fibres.per_unit_largest) == (80, 250)


def test_a_young_adult_is_the_muscle_of_the_catalogue() -> None:
    """Up to the reference age nothing changes; it is a pure function."""
    assert aged(MUSCLE, 30) == aged(MUSCLE, 18) == MUSCLE
    assert aged(MUSCLE, 71) == aged(MUSCLE, 71)


@pytest.mark.parametrize("years", [17, 101, math.nan])
def test_an_age_that_is_none_of_an_adult_is_refused(years: float) -> None:
    """Children's muscles are not a smaller share of these laws."""
    with pytest.raises(ValueError, match=r"years must be in 18\.\.100, got"):
        aged(MUSCLE, years)


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
