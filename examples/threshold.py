"""A program that knows nothing of emgsim: it reads two arrays, and writes a list of times.

    emgsim run healthy_biceps --detector "python examples/threshold.py {recording} {findings}"

Any language will do: the recording is an .npz file, whose ``samples_uv`` has a column per channel;
the findings are JSON, of which a unit's ``discharge_times_s`` are all that is required.
"""

import json
import sys

import numpy as np

REFRACTORY_S = 0.02  # no motor unit discharges again sooner
STEEPEST = 0.999  # share of all slopes that are less steep than a spike of the nearest unit


def main(recording: str, findings: str) -> None:
    """Call each crossing of a high threshold a discharge of one and the same unit."""
    with np.load(recording) as file:
        samples_uv = file["samples_uv"][:, 0].astype(float)
        rate_hz, start_s = float(file["rate_hz"]), float(file["start_s"])
    slope = np.abs(np.diff(np.nan_to_num(samples_uv)))  # what is sharp is near
    threshold = np.quantile(slope, STEEPEST)
    times_s: list[float] = []
    for place in np.flatnonzero(slope > threshold):
        time_s = start_s + place / rate_hz
        if not times_s or time_s - times_s[-1] > REFRACTORY_S:
            times_s.append(time_s)
    with open(findings, "w", encoding="utf-8") as out:
        json.dump({"units": [{"discharge_times_s": times_s}]}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
