"""Scenario files: what is shipped loads, and every mistake is told by thing, rule and value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from emgsim.configuration import read_table
from emgsim.errors import InputError
from emgsim.physiology.parameters.surface import SurfacePads
from emgsim.scenario import (
    SCHEMA,
    Scenario,
    ScenarioLimit,
    load_scenario,
    muscle_catalogue,
    scenario_from,
)
from emgsim.shipped import find, folder, names
from emgsim.testing import scenarios

SCENARIOS = [n for n in names("scenarios") if read_table(find("scenarios", n))["schema"] == SCHEMA]


@pytest.mark.parametrize("name", SCENARIOS)
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
        ("electrode.kind='concentric'", ["no kind 'concentric'", "mean 'concentric_needle'"]),
        ("electrode.kind='monopola'", ["electrode.kind:", "did you mean 'monopolar'?"]),
        ("electrode.core_m=0.1", ["electrode.core_m: unknown key", "did you mean 'core_mm'?"]),
        ("electrode.core_mm=7", ["electrode.core_mm: input should be", "got 7"]),
        ("electrode.cannula_mm=0.1", ["electrode: core_mm must be < cannula_mm (0.1), got 0.15"]),
        (
            "electrode={kind='thin_film', n_contacts=64, pitch_mm=1.0}",
            ["electrode must be smaller than the muscle's 36 mm, got 63.04 mm"],
        ),
        ("electrode.moves=[{at_s=1.0}]", ["electrode.moves.0", "a move must change one of"]),
        (
            "electrode.moves=[{at_s=1, duration_s=1, x_mm=1}, {at_s=1.5, x_mm=2}]",
            ["electrode.moves: at_s must be >= the end of the move before (2), got 1.5"],
        ),
        ("electrode.moves=[{at_s=1, y_mm=30}]", ["outside the muscle of radius 18 mm", "30"]),
        ("acquisition={rate_hz=8000, highest_hz=5000}", ["rate_hz must be >= 11111.1", "8000"]),
        ("muscle.pool.n_units=0", ["muscle.pool.n_units", "greater than or equal to 1", "got 0"]),
        ("artefacts=[{kind='main'}]", ["artefacts.0.kind: no kind 'main'", "'mains'"]),
        ("artefacts=[{kind='mains', frequency_hz=1}]", ["artefacts.0.frequency_hz:", "got 1"]),
        ("artefacts=[{kind='adc'}, {kind='mains'}]", ["artefact 2 (mains, body) must stand"]),
        ("artefacts=[{kind='crosstalk'}]", ["crosstalk needs the recording of a neighbour"]),
        ("spontaneous=[{kind='fibrillation', grade=5}]", ["spontaneous.0.grade", "one of 0, 0.5"]),
        ("spontaneous=[{kind='fibrilation'}]", ["did you mean 'fibrillation'?"]),
        (
            "conditions=[{kind='axonal_loss', share=0.5, months=-1}]",
            ["conditions.0.months:", "greater than or equal to 0", "got -1"],
        ),
        ("conditions=[{kind='axonal_loss', share=0.5}]", ["conditions.0.months: missing"]),
        ("phases=[{duration_s=1}]", ["phases.0.kind: missing"]),
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


def test_a_limit_names_the_requirements_that_it_serves() -> None:
    """One id or a list in the file; the resolved copy reads as the same."""
    table = {"measurement": "a.b", "low": 1.0, "requirement": "SRS-042"}
    one = ScenarioLimit.model_validate(table)
    assert one.limit.requirements == ("SRS-042",)
    assert ScenarioLimit.model_validate(one.model_dump(mode="json")) == one
    several = ScenarioLimit.model_validate({**table, "requirement": ["SRS-042", "SRS-043"]})
    assert several.limit.requirements == ("SRS-042", "SRS-043")
    with pytest.raises(ValidationError, match="1 to 64 letters"):
        ScenarioLimit.model_validate({**table, "requirement": "SRS-042, SRS-043"})


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


def scenario_with_effort(folder: Path, csv: str | None) -> Path:
    """Write the healthy biceps with a phase of ``kind = "file"``, and the effort's file."""
    if csv is not None:
        (folder / "effort.csv").write_text(csv)
    text = find("scenarios", "healthy_biceps").read_text()
    path = folder / "tracked.toml"
    path.write_text(text + '\n[[phases]]\nkind = "file"\npath = "effort.csv"\n')
    return path


def test_an_effort_comes_from_a_file_beside_the_scenario(tmp_path: Path) -> None:
    """Its rows become the points of a phase; its length is the last time."""
    path = scenario_with_effort(tmp_path, "time_s,effort_mvc\n0,0\n1.5,0.1\n4,0.05\n")
    phase = load_scenario(path).phases[-1]
    assert phase.kind == "points"
    assert phase.times_s == (0.0, 1.5, 4.0)
    assert phase.levels_mvc == (0.0, 0.1, 0.05)
    assert load_scenario(path).duration_s == 16.0


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        (None, "No such file"),
        ("", "line 1 must be time_s,effort_mvc"),
        ("0,0\n1,1\n", "line 1 must be time_s,effort_mvc"),
        ("time_s,effort_mvc\n0,a\n", "line 2 must be two numbers, got '0,a'"),
        ("time_s,effort_mvc\n0,0\n1,0,0\n", "line 3 must be two numbers, got '1,0,0'"),
        ("time_s,effort_mvc\n0,0\nnan,1\n", "line 3 must be two numbers, got 'nan,1'"),
        ("time_s,effort_mvc\n", "times_s: tuple should have at least 2 items"),
        ("time_s,effort_mvc\n0,0\n1,1.2\n", "levels_mvc.1"),
        ("time_s,effort_mvc\n0,0\n1,1\n1,0\n", "times_s must rise"),
    ],
)
def test_an_effort_file_with_a_mistake_is_told(tmp_path: Path, csv: str, words: str) -> None:
    """What is wrong is named with the file in which it stands."""
    with pytest.raises(InputError) as info:
        load_scenario(scenario_with_effort(tmp_path, csv))
    assert words in info.value.what
    assert str(tmp_path) in info.value.where


def scenario_with_pads(folder: Path, csv: str | None, more: str = "") -> Path:
    """Write the surface biceps with an electrode of pads, and the file of their places."""
    if csv is not None:
        (folder / "pads.csv").write_text(csv)
    text = find("scenarios", "surface_biceps").read_text()
    pads = f'kind = "surface_pads"\npath = "pads.csv"\n{more}'
    path = folder / "pads.toml"
    path.write_text(text.replace('kind = "surface_bipolar"\n', pads))
    return path


def test_pads_come_from_a_file_beside_the_scenario(tmp_path: Path) -> None:
    """Its rows become their places, along the fibres and across; the resolved copy holds them."""
    path = scenario_with_pads(
        tmp_path, "along_mm, across_mm\n-10,0\n10.5,0\n0,-8\n", "pad_mm = 4.0"
    )
    scenario = load_scenario(path)
    assert isinstance(scenario.electrode, SurfacePads)
    assert scenario.electrode.pads_mm == ((-10.0, 0.0), (10.5, 0.0), (0.0, -8.0))
    assert scenario.electrode.pad_mm == 4.0
    assert scenario_from(scenario.resolved(), "again") == scenario


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        (None, "cannot read the pads: No such file"),
        ("", "line 1 must be along_mm,across_mm"),
        ("across_mm,along_mm\n0,0\n", "line 1 must be along_mm,across_mm"),
        ("along_mm,across_mm\n0,0\n1,b\n", "line 3 must be two numbers, got '1,b'"),
        ("along_mm,across_mm\n0,inf\n", "line 2 must be two numbers, got '0,inf'"),
        ("along_mm,across_mm\n", "electrode.pads_mm: tuple should have at least 1 item"),
        ("along_mm,across_mm\n0,0\n1,0\n", "pad_mm must be < 1"),
    ],
)
def test_a_file_of_pads_with_a_mistake_is_told(tmp_path: Path, csv: str, words: str) -> None:
    """What is wrong is named with the file in which it stands."""
    with pytest.raises(InputError) as info:
        load_scenario(scenario_with_pads(tmp_path, csv))
    assert words in info.value.what
    assert str(tmp_path) in info.value.where


def test_pads_come_from_one_place(tmp_path: Path) -> None:
    """A file and a list at once may contradict each other."""
    path = scenario_with_pads(tmp_path, "along_mm,across_mm\n0,0\n", "pads_mm = [[0, 0]]")
    with pytest.raises(InputError, match="pads_mm and path must not stand together"):
        load_scenario(path)
