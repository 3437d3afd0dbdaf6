"""What a run measures of surface EMG: the analysis' own values by path, and what the chain changed.

There are no single discharges to be scored where the skin hears all units at once. What the same
analysis measures on each path stands for itself, and beside what it measures on the truth's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from emgsim import chain
from emgsim.recording import Findings
from emgsim.verdict import Measurement

CHANGES = ("surface.rms_uv", "surface.arv_uv", "surface.mnf_hz", "surface.mdf_hz")
NOTHING = (0.0, "")  # in percent of which there is no change


def skin_measurements(found: Mapping[str, Findings]) -> Iterator[Measurement]:
    """Yield the mean of each measure over a path's contractions, and its change from the truth.

    Parameters
    ----------
    found
        Of each path, the truth's among them. Paths without rows of measures yield nothing.
    """
    wanted = _means(found["truth"])
    for path, findings in found.items():
        for name, (value, unit) in _means(findings).items():
            yield chain.measured(f"{name}.{path}", value, unit, note="mean over the contractions")
            if name in CHANGES and path != "truth" and wanted.get(name, NOTHING)[0] > 0:
                change = 100 * (value / wanted[name][0] - 1)
                yield chain.measured(
                    f"{name.rsplit('_', 1)[0]}_change_pct.{path}",
                    change,
                    "%",
                    note="of what the same analysis finds on the truth path",
                )


def _means(findings: Findings) -> dict[str, tuple[float, str]]:
    """Return the mean of the rows of each id, and their unit."""
    rows: dict[str, list[float]] = {}
    units: dict[str, str] = {}
    for row in findings.measures:
        rows.setdefault(row["id"], []).append(float(row["value"]))
        units[row["id"]] = row["unit"]
    return {name: (float(np.mean(values)), units[name]) for name, values in rows.items()}
