"""Scenarios: what a virtual patient does, what is recorded, and which limits must hold."""

from emgsim.scenario.catalogues import electrode_catalogue, muscle_catalogue, nerve_catalogue
from emgsim.scenario.loading import load_scenario, scenario_from
from emgsim.scenario.model import (
    SCHEMA,
    Acquisition,
    Neighbour,
    Requirements,
    Scenario,
    ScenarioLimit,
    kinds,
)
from emgsim.scenario.placed import Needle, PlacedConcentric

__all__ = [
    "SCHEMA",
    "Acquisition",
    "Needle",
    "Neighbour",
    "PlacedConcentric",
    "Requirements",
    "Scenario",
    "ScenarioLimit",
    "electrode_catalogue",
    "kinds",
    "load_scenario",
    "muscle_catalogue",
    "nerve_catalogue",
    "scenario_from",
]
