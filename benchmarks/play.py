"""What the virtual rig does to a stand-in for a clinical record: rms, amplitudes, added noise.

``python benchmarks/play.py [--seeds N]``. The stand-in is simulated at 23 437.5 Hz and scaled to
+-2.5 mV, as some clinical machines export; each seed is one record and one rig's noise. Prints the
worst of all seeds beside its goal, and exits with 1 if one is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from emgsim.bench.rig import load_rig
from emgsim.files.npz import write_npz
from emgsim.running.excerpt import excerpt_of
from emgsim.running.playing_back import play_back
from emgsim.scenario import load_scenario
from emgsim.simulation import lasting, simulate

RATE_HZ = 23_437.5
PEAK_UV = 2500.0
GOALS = {
    "amplitude.rms_error_pct.device": 1.0,
    "amplitude.error_pct.device": 2.0,
    "amplitude.peaks_error_pct.device": 2.0,
    "amplitude.worst_peak_error_pct.device": 2.0,
    "noise.over_budget_pct.device": 20.0,
}


def stand_in(file: Path, *, seed: int, duration_s: float) -> None:
    """Write a simulated record that looks like a clinical one, without its truth."""
    scenario = load_scenario("healthy_biceps", overrides=[f"acquisition.rate_hz={RATE_HZ}"])
    recording, _ = simulate(lasting(scenario, duration_s), seed=seed, for_playing=True)
    uv = recording.samples_uv * (PEAK_UV / np.max(np.abs(recording.samples_uv)))
    write_npz(file, replace(recording, samples_uv=uv))


def main() -> int:
    """Play each stand-in, print the worst of each figure, and tell whether all goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--duration-s", type=float, default=6.0)
    given = parser.parse_args()
    worst = dict.fromkeys(GOALS, 0.0)
    began_s = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        for seed in range(1, given.seeds + 1):
            file = Path(place) / f"record_{seed}.npz"
            stand_in(file, seed=seed, duration_s=given.duration_s)
            _, record = play_back(excerpt_of(file), load_rig("virtual"), out=Path(place), seed=seed)
            found = {m.id: m.value for m in record.measurements}
            worst = {id: max(worst[id], abs(found[id]), key=_nan_last) for id in worst}
    print(f"{given.seeds} records of {given.duration_s:g} s at {RATE_HZ:g} Hz, +-{PEAK_UV:g} uV")
    print(f"{'worst of all, without sign':<40} {'found':>8} {'goal':>8}")
    for id, value in worst.items():
        print(f"{id:<40} {value:8.3f} {GOALS[id]:8.1f} %  {'' if value <= GOALS[id] else 'MISSED'}")
    print(f"{(time.process_time() - began_s) / given.seeds:.1f} CPU s a record, without the rig's")
    return 0 if all(value <= GOALS[id] for id, value in worst.items()) else 1


def _nan_last(value: float) -> float:
    return float("inf") if np.isnan(value) else value


if __name__ == "__main__":
    sys.exit(main())
