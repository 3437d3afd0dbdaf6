"""Needle signals with exact truth for the benchmarks of decomposition: shared cases and biceps.

`shared_case` makes n4, n6 and n8 of the shared test signals as a recording with its truth, so that
the house's scorer and the shared one see the same; `biceps` simulates a shipped healthy biceps, and
`moving` one whose needle moves slowly during a contraction of 30 s.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from emgsim.physiology.parameters import NeedleMove
from emgsim.recording import Channel, MotorUnit, Recording, Truth
from emgsim.scenario import load_scenario
from emgsim.simulation import simulate

SHARED = ("n4", "n6", "n8")
BICEPS = ("healthy_biceps", "healthy_biceps_moderate")
MOVING = {"moving_0.1mm": 0.1, "moving_0.2mm": 0.2, "moving_0.3mm": 0.3}
UV = 100.0  # the shared signals have no unit
BEFORE_S = 0.008  # from the first sample of their potentials to the discharge


def loaded(path: Path) -> ModuleType:
    """Import the shared test signals from their file."""
    spec = importlib.util.spec_from_file_location("test_signals", path)
    if spec is None or spec.loader is None:
        sys.exit(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(shared: ModuleType, case: str, seed: int | None) -> tuple[Recording, Truth]:
    """Make one recording of a shared case or a biceps; no seed means the case's own."""
    if case in MOVING:
        return moving(MOVING[case], seed)
    return biceps(case, seed) if case in BICEPS else shared_case(shared, case, seed)


def shared_case(shared: ModuleType, case: str, seed: int | None) -> tuple[Recording, Truth]:
    """Make a shared case; its far units are noise, not truth."""
    signal = shared.needle_case(case, **({} if seed is None else {"seed": seed}))
    rate_hz = float(signal["fs"])
    before = int(BEFORE_S * rate_hz)
    units = []
    for times_s, wave in zip(signal["spikes"], signal["waves"], strict=True):
        arrival_s = (int(np.argmax(np.abs(wave))) - before) / rate_hz
        units.append(
            MotorUnit(
                id=len(units) + 1,
                muscle="shared test signal",
                threshold=0.0,
                n_fibres=0,
                discharge_times_s=times_s - arrival_s,
                muap_uv=UV * wave[:, None],
                muap_start_s=-before / rate_hz,
                arrival_s=arrival_s,
            )
        )
    recording = Recording(
        samples_uv=UV * signal["x"][:, None], rate_hz=rate_hz, channels=(Channel(name="needle"),)
    )
    return recording, Truth(units=tuple(units), muap_rate_hz=rate_hz)


def biceps(name: str, seed: int | None) -> tuple[Recording, Truth]:
    """Simulate a shipped scenario."""
    return simulate(load_scenario(name), seed=seed)


def moving(distance_mm: float, seed: int | None) -> tuple[Recording, Truth]:
    """Simulate a healthy biceps whose needle moves across the fibres for 29 s."""
    scenario = load_scenario("healthy_biceps")
    phases = tuple(
        phase.model_copy(update={"duration_s": 30.0}) if phase.kind == "hold" else phase
        for phase in scenario.phases
    )
    move = NeedleMove(at_s=2.0, duration_s=29.0, x_mm=distance_mm)
    electrode = scenario.electrode.model_copy(update={"moves": (move,)})
    return simulate(
        scenario.model_copy(update={"phases": phases, "electrode": electrode}), seed=seed
    )
