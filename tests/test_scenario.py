"""Scenario files: what is shipped loads, and every mistake is told by thing, rule and value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from emgsim.errors import InputError
from emgsim.scenario import Scenario, ScenarioLimit, load_scenario, muscle_catalogue
from emgsim.shipped import find, folder, names
from emgsim.testing import scenarios


@pytest.mark.parametrize("name", names("scenarios"))
def test_every_shipped_scenario_loads_under_its_own_name(name: str) -> None:
    """Its id is its file's name, and it says what it is."""
    scenario = load_scenario(name)
    assert scenario.id == name
    assert scenario.title
    assert scenario.description


def test_the_healthy_biceps_is_as_described() -> None:
    """Two seconds of rest, ten at 5 % of maximal force, biceps of the catalogue."""
    scenario = load_scenario("healthy_biceps")
    assert [(p.kind, p.duration_s, p.level_mvc) for p in scenario.phases] == [
        ("rest", 2.0, 0.0),
        ("hold", 10.0, 0.05),
    ]
    assert scenario.duration_s == 12.0
    assert scenario.muscle.pool.n_units == 300


@pytest.mark.parametrize("name", sorted(muscle_catalogue()))
def test_every_muscle_of_the_catalogue_is_valid_by_its_name_alone(name: str) -> None:
    """The catalogue gives all that has no default."""
    overrides = [f"muscle.name='{name}'", "electrode.tip.z_mm=8"]  # inside the shortest fibres
    assert load_scenario("healthy_biceps", overrides=overrides).muscle.name == name


def test_a_scenario_may_change_its_muscle() -> None:
    """What the scenario says lies on top of the catalogue; the rest stays."""
    scenario = load_scenario("healthy_biceps", overrides=["muscle.pool.n_units=120"])
    assert scenario.muscle.pool.n_units == 120
    assert scenario.muscle.fibres.length_mm == 120.0


@given(scenario=scenarios())
@settings(max_examples=30, deadline=None)
def test_a_resolved_scenario_is_the_scenario(scenario: Scenario) -> None:
    """Through JSON and back nothing is lost: a run can be repeated from its record."""
    again = Scenario.model_validate(json.loads(json.dumps(scenario.resolved())))
    assert again == scenario


def test_a_resolved_scenario_can_be_loaded_from_its_file(tmp_path: Path) -> None:
    """The copy in a run's folder works as a scenario file."""
    scenario = load_scenario("healthy_biceps")
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(scenario.resolved()), encoding="utf-8")
    assert load_scenario(path) == scenario


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed=-1", ["seed:", "greater than or equal to 0", "got -1"]),
        ("acquisition.rate_hz=100", ["acquisition.rate_hz:", "2000", "got 100"]),
        ("muscle.name='bicep_brachii'", ["muscle.name", "did you mean 'biceps_brachii'?"]),
        ("muscle.pool.n_unit=3", ["muscle.pool.n_unit: unknown key", "did you mean 'n_units'?"]),
        ("muscle.pool.isi_cov=0.9", ["muscle.pool.isi_cov:", "0.5", "got 0.9"]),
        ("electrode.kind='surface'", ["electrode.kind:", "'concentric_needle'", "'surface'"]),
        ("electrode.tip.y_mm=18", ["outside the muscle of radius 18 mm", "y_mm = 18"]),
        ("electrode.tip.z_mm=-60", ["half length of 60 mm", "got -60"]),
        ("electrode.tip.x_mm=nan", ["electrode.tip.x_mm", "finite", "nan"]),
        ("electrode.tip.z_mm=nan", ["electrode.tip.z_mm", "finite", "nan"]),
        ("id='Healthy Biceps'", ["id:", "pattern", "'Healthy Biceps'"]),
        ("schema='emgsim.scenario/9'", ["schema:", "emgsim.scenario/1", "emgsim.scenario/9"]),
        ("phases=[]", ["phases:", "at least 1"]),
        ("phases=[{kind='rest', duration_s=1, level_mvc=0.1}]", ["phases.0", "0 at rest", "0.1"]),
        ("phases=[{kind='hold', duration_s=1}]", ["phases.0", "level_mvc must be > 0 in a hold"]),
        (
            "phases=[{kind='hold', duration_s=1, level_mvc=0.1, ramp_s=1}]",
            ["phases.0", "ramp_s must be < duration_s (1), got 1"],
        ),
        ("phases=[{kind='hold', duration_s=1, level_mvc=1.2}]", ["phases.0.level_mvc", "got 1.2"]),
        ("limits=[{measurement='x'}]", ["limits.0", "a limit needs low or high"]),
        ("limits=[{measurement='x', low=2, high=1}]", ["limits.0", "low must be <= high (1)"]),
    ],
)
def test_a_mistake_is_told_with_its_path_and_value(override: str, words: list[str]) -> None:
    """One mistake each, in the words of its rule."""
    with pytest.raises(InputError) as info:
        load_scenario("healthy_biceps", overrides=[override])
    assert info.value.what.startswith("1 mistake:")
    assert info.value.where.endswith("healthy_biceps.toml")
    missing = [word for word in words if word not in info.value.what]
    assert not missing, info.value.what


@pytest.mark.parametrize("bound", ["nan", "inf"])
def test_a_limit_must_be_a_number(bound: str) -> None:
    """A bound that no value can be compared with is no limit."""
    with pytest.raises(ValidationError):
        ScenarioLimit(measurement="x", low=float(bound))


def test_a_limit_of_a_scenario_is_the_limit_that_judges() -> None:
    """Same bounds, unit and source."""
    limit = ScenarioLimit(measurement="a.b", low=1.0, unit="mV", source="us").limit
    assert (limit.measurement, limit.low, limit.high) == ("a.b", 1.0, None)
    assert (limit.unit, limit.source) == ("mV", "us")


def test_a_path_is_found_before_a_name(tmp_path: Path) -> None:
    """A file of the user wins over nothing but itself; a shipped name needs no suffix."""
    mine = tmp_path / "mine.toml"
    mine.write_text("", encoding="utf-8")
    assert find("scenarios", mine) == mine
    assert find("scenarios", "healthy_biceps") == folder("scenarios") / "healthy_biceps.toml"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("healthy_bicep", ["scenario 'healthy_bicep'", "did you mean 'healthy_biceps'?"]),
        ("no/such/file.toml", ["scenario file not found", "no/such/file.toml"]),
        ("nothere.toml", ["scenario file not found", "nothere.toml"]),
    ],
)
def test_an_unknown_scenario_is_answered_with_the_nearest(name: str, words: list[str]) -> None:
    """A name gets a hint, a path is said back."""
    with pytest.raises(InputError) as info:
        find("scenarios", name)
    assert all(word in str(info.value) for word in words)
    assert info.value.todo


def test_other_kinds_are_named_as_they_are() -> None:
    """A missing rig is a rig, a missing device a device."""
    with pytest.raises(InputError, match="rig 'qqq' is neither"):
        find("rigs", "qqq")
    with pytest.raises(InputError, match="device 'qqq' is neither"):
        find("rigs/devices", "qqq")
