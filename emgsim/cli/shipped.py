"""The command that lists what is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def list_(
    kind: Literal[
        "scenarios",
        "rigs",
        "devices",
        "drivers",
        "detectors",
        "muscles",
        "electrodes",
        "conditions",
        "activities",
        "artefacts",
    ] = "scenarios",
) -> int:
    """List what is shipped, or what a scenario may name.

    Parameters
    ----------
    kind
        scenarios, rigs, devices, drivers, detectors, muscles or electrodes; or the kinds of
        conditions, of (spontaneous) activities and of artefacts.
    """
    from emgsim import shipped

    match kind:
        case "drivers":
            from emgsim.instruments.drivers import GROUPS, driver_names, proof

            rows = {  # a sound card is both a source and a capture
                f"{name:<22} {role:<7}": proof(role, name)
                for role in GROUPS
                for name in driver_names(role)
            }
        case "detectors":
            from emgsim.detectors import detector_names

            rows = detector_names()
        case "muscles":
            from emgsim.scenario import muscle_catalogue

            rows = {name: table["nerve"] for name, table in sorted(muscle_catalogue().items())}
        case "electrodes":
            from emgsim.scenario import electrode_catalogue

            rows = {name: table["kind"] for name, table in electrode_catalogue().items()}
        case "conditions" | "activities" | "artefacts":
            from emgsim.scenario import kinds

            rows = kinds(kind)
        case _:
            folder: shipped.Kind = "rigs/devices" if kind == "devices" else kind
            rows = {n: _title(shipped.find(folder, n)) for n in shipped.names(folder)}
    for name, words in rows.items():
        print(f"{name:<28} {words}")
    return 0


def _title(path: Path) -> str:
    from emgsim.configuration import read_table

    table = read_table(path)
    return str(table.get("title") or table.get("group") or "")
