"""Needle decomposition on signals with exact truth: ours beside the peers.

Usage::

    python benchmarks/needle.py PATH_TO_TEST_SIGNALS [--more N] [--seeds N] [--cases n4 n6 ...]

The file holds ``needle_case`` and ``score_trains``: the shared test signals n4, n6 and n8 and a
scorer that is not ours (0.5 ms, lag of each unit within 6 ms). ``--more`` adds seeds 1 .. N of each
case, ``--seeds`` the number of seeds of the shipped healthy biceps. A missed unit counts as an
agreement of 0; CPU seconds are those of one process per second of signal.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
from scipy import signal

from emgsim.analysis.core import analyse
from emgsim.recording import Channel, MotorUnit, Recording
from emgsim.scenario import Scenario, load_scenario
from emgsim.scoring import Score, compare
from emgsim.simulation import simulate
from emgsim.stages import add_train

PEERS = {
    "n4": "Montreal 2009: 4/4, 0.991, RTF 8.9; best spike sorter 0-1/4",
    "n6": "Montreal 2009: 2/6, 0.746, 2 duplicates, RTF 8.5-9.4; spike sorters 1/6",
    "n8": "best spike sorter 0/8, 0.73 of the units it found",
}
NOISE_UV, BAND_HZ = 1.6, (10.0, 10_000.0)  # an amplifier of today


def main() -> None:
    """Print one line per signal and one per group."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("test_signals", type=Path)
    parser.add_argument("--more", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", nargs="*", default=list(PEERS))
    options = parser.parse_args()
    shared = loaded(options.test_signals)
    for case in options.cases:
        lines = [shared_case(shared, case, seed) for seed in [None, *range(1, options.more + 1)]]
        summary(case, np.array(lines), PEERS[case])
    scenario = load_scenario("healthy_biceps")
    for level in (0.05, 0.20):
        for device in (False, True) if options.seeds else ():
            biceps(at_level(scenario, level), options.seeds, device=device)


def loaded(path: Path) -> ModuleType:
    """Import the shared test signals from their file."""
    spec = importlib.util.spec_from_file_location("test_signals", path)
    if spec is None or spec.loader is None:
        sys.exit(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shared_case(shared: ModuleType, case: str, seed: int | None) -> list[float]:
    """Run one shared case; return true, found, good, mean agreement, false, CPU s per s."""
    made = shared.needle_case(case, **({} if seed is None else {"seed": seed}))
    recording = Recording(
        samples_uv=100.0 * made["x"][:, None],
        rate_hz=made["fs"],
        channels=(Channel(name="needle"),),
    )
    began = time.process_time()
    findings = analyse(recording)
    cpu = (time.process_time() - began) / recording.duration_s
    trains = [unit.discharge_times_s for unit in findings.units]
    score = shared.score_trains(made["spikes"], trains, tol=0.0005, max_lag=0.006)
    n_true = len(made["spikes"])
    mean = sum(pair["roa"] for pair in score["pairs"]) / n_true
    false = score["n_false"] + score["n_dup"]
    line = [n_true, len(trains), score["n_roa90"], mean, false, cpu]
    name = "named" if seed is None else f"seed {seed}"
    print(
        f"{case} {name:>8}: {score['n_roa90']}/{n_true} units >= 0.9, mean agreement {mean:.3f}, "
        f"{false} false or duplicate, {cpu:.2f} CPU s/s",
        flush=True,
    )
    return line


def summary(case: str, lines: np.ndarray, peers: str) -> None:
    """Print the group's totals with the peers' figures."""
    true, found, good, mean, false, cpu = lines.T
    print(
        f"{case} all {len(lines)}: {good.sum():.0f}/{true.sum():.0f} units >= 0.9, mean agreement "
        f"{mean.mean():.3f} (worst {mean.min():.3f}), {false.sum():.0f} of {found.sum():.0f} found "
        f"false or duplicate, {cpu.mean():.2f} CPU s/s\n    peers on the named case: {peers}\n"
    )


def at_level(scenario: Scenario, level: float) -> Scenario:
    """Return the scenario with another effort in its holds."""
    phases = tuple(
        phase.model_copy(update={"level_mvc": level}) if phase.kind == "hold" else phase
        for phase in scenario.phases
    )
    return scenario.model_copy(update={"phases": phases})


def as_a_device_sees(samples: np.ndarray, rate_hz: float) -> np.ndarray:
    """Second-order high-pass and fourth-order low-pass of a needle amplifier."""
    high = signal.butter(2, BAND_HZ[0], "highpass", fs=rate_hz, output="sos")
    low = signal.butter(4, BAND_HZ[1], fs=rate_hz, output="sos")
    return np.asarray(signal.sosfilt(np.concatenate([high, low]), samples))


def biceps(scenario: Scenario, seeds: int, *, device: bool) -> None:
    """Score the biceps over seeds, clean or as a device with noise sees it."""
    level = max(phase.level_mvc for phase in scenario.phases)
    name = f"biceps {100 * level:.0f} % MVC, {'device' if device else 'truth'}"
    counts, false, found, cpus, low = [], 0, 0, [], []
    for seed in range(1, seeds + 1):
        recording, truth = simulate(scenario, seed=seed)
        render = None
        if device:
            noise = np.random.default_rng(seed).standard_normal(recording.n_samples)
            noise = as_a_device_sees(noise, recording.rate_hz)
            samples = as_a_device_sees(recording.samples_uv[:, 0], recording.rate_hz)
            samples = samples + NOISE_UV * noise / noise.std()
            recording = replace(recording, samples_uv=samples[:, None])

            def render(unit: MotorUnit, of: Recording = recording) -> np.ndarray:
                own = np.zeros(of.n_samples)
                add_train(own, of.rate_hz, of.start_s, unit)
                return as_a_device_sees(own, of.rate_hz)

        began = time.process_time()
        findings = analyse(recording, scenario.analysis)
        cpus.append((time.process_time() - began) / recording.duration_s)
        score: Score = compare(findings, truth, recording=recording, render=render)
        counts.append(score.pooled)
        low.append(score.f1)
        false += score.n_false + score.n_duplicates
        found += score.n_found
        print(
            f"{name}, seed {seed}: F1 {score.f1:.3f} on {len(score.detectable)} detectable, "
            f"{score.n_found} found, {score.n_false} false, {score.n_duplicates} duplicate, "
            f"{cpus[-1]:.2f} CPU s/s",
            flush=True,
        )
    pooled = sum(counts[1:], counts[0])
    print(
        f"{name}, all {seeds}: F1 {pooled.f1:.3f} pooled, worst {np.nanmin(low):.3f}; {false} of "
        f"{found} found false or duplicate; {np.mean(cpus):.2f} CPU s/s\n"
    )


if __name__ == "__main__":
    main()
