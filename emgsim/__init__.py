"""Hardware-in-the-loop simulator and test bench for electromyography (EMG).

A scenario becomes a virtual patient with exact truth; the patient's EMG is played through real
wires into an amplifier; the same analysis reads the truth and what the amplifier saw; the
difference is the verdict.

The names below are loaded when they are first used, so that importing the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emgsim.analysis.core import analyse
    from emgsim.bench.rig import load_rig
    from emgsim.errors import EmgsimError
    from emgsim.files.npz import read_npz, write_npz
    from emgsim.files.reading import read_recording
    from emgsim.recording import Findings, Recording, Truth
    from emgsim.running.run import run
    from emgsim.scenario import load_scenario
    from emgsim.scoring import compare
    from emgsim.simulation import simulate

_HOMES = {
    "EmgsimError": "errors",
    "Findings": "recording",
    "Recording": "recording",
    "Truth": "recording",
    "analyse": "analysis.core",
    "compare": "scoring",
    "load_rig": "bench.rig",
    "load_scenario": "scenario",
    "read_npz": "files.npz",
    "read_recording": "files.reading",
    "run": "running.run",
    "simulate": "simulation",
    "write_npz": "files.npz",
}

__all__ = [
    "EmgsimError",
    "Findings",
    "Recording",
    "Truth",
    "analyse",
    "compare",
    "load_rig",
    "load_scenario",
    "read_npz",
    "read_recording",
    "run",
    "simulate",
    "write_npz",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'emgsim' has no attribute {name!r}")
    return getattr(import_module(f"emgsim.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
