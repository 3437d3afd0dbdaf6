"""Simulated items of each kind: a needle's, an array's, and the shipped set of a surface grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emgsim.cli import main
from emgsim.dataset.folder import items_in
from emgsim.dataset.loading import load_made
from emgsim.dataset.made import DatasetHead, Item, Made
from emgsim.recording import Gap, Recording
from emgsim.scenario import Scenario, load_scenario, scenario_from
from emgsim.simulation import lasting, simulate

HEAD = DatasetHead(
    id="judged", title="A set to be judged", description="Three simulated recordings.",
    licence="CC-BY-4.0", authors=("Emgsim Project",), version="1.0.0",
)  # fmt: skip
EXAMPLE = Path(__file__).parents[1] / "examples" / "dataset_surface.toml"
ARRAY = {"kind": "thin_film", "n_contacts": 8}


def scenario_of(electrode: Mapping[str, Any] | None) -> Scenario:
    """Return three seconds of a healthy biceps, with another electrode if one is given."""
    table = load_scenario("healthy_biceps").resolved()
    if electrode is not None:
        table["electrode"] = electrode
    return lasting(scenario_from(table, "healthy_biceps"), 3.0)


def device_of(clean: Recording, every: int = 12) -> Recording:
    """Return what a device of another clock made of a recording: late, offset, with a gap."""
    samples_uv = clean.samples_uv[::every] + 210.5
    gap = Gap(first_sample=3_000, n_samples=151)
    samples_uv[gap.first_sample : gap.first_sample + gap.n_samples] = np.nan
    rate_hz = clean.rate_hz / every + 0.12
    return replace(clean, samples_uv=samples_uv, rate_hz=rate_hz, start_s=0.0625, gaps=(gap,))


def made_of(number: int, electrode: Mapping[str, Any] | None = None) -> Made:
    """Simulate an item, and what a device made of it."""
    scenario = scenario_of(electrode)
    clean, truth = simulate(scenario)
    subject = f"{number + 1:04}"
    item = Item(
        index=number, id=f"{number:03}", scenario=scenario.id, overrides=(), parameters={},
        subject=subject, seed=scenario.seed, split="train",
    )  # fmt: skip
    return Made(
        item=item,
        recordings={"clean": clean, "device": device_of(clean)},
        truth=truth,
        labels={"muscle": scenario.muscle.name, "age_years": 44.0},
        scenario=scenario.resolved(),
    )


def make_surface_set(folder: Path) -> Path:
    """Make the shipped example of a surface set, as its user does."""
    assert main(["dataset", "make", str(EXAMPLE), "--out", str(folder), "--workers", "2"]) == 0
    return folder


def grid_made(folder: Path) -> Made:
    """Return the first item of that set, and what a device of another clock made of it."""
    items = items_in(folder)
    made = load_made(folder, items, items[0])
    clean = made.recordings["clean"]
    return replace(
        made,
        item=replace(made.item, index=2, id="002", subject="0003"),
        recordings={"clean": clean, "device": device_of(clean, every=1)},
    )


MADE = (made_of(0), made_of(1, ARRAY))
