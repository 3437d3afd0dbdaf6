"""The simplest detector there is: peaks of the filtered signal, sorted into units by their height.

As a command, from the folder of the repository::

    emgsim run healthy_biceps --detector "python examples/scipy_peaks.py"

As an entry point of a package of your own, after which ``--detector scipy_peaks`` is enough::

    [project.entry-points."emgsim.detectors"]
    scipy_peaks = "scipy_peaks:detect"
"""

import sys
from pathlib import Path

import numpy as np
from scipy import signal

from emgsim.files.findings import write_findings
from emgsim.files.reading import read_recording
from emgsim.recording import Findings, FoundUnit, Recording

BAND_HZ = (300.0, 3000.0)
THRESHOLD = 6.0  # times the noise
APART_S = 0.002  # of two peaks of one discharge only the higher counts
HEIGHT_RATIO = 1.35  # a peak higher by more than this belongs to another unit
LEAST_PEAKS = 20  # of a unit


def detect(recording: Recording) -> Findings:
    """Find peaks on the first channel, and call those of like height one unit."""
    samples_uv = np.nan_to_num(recording.samples_uv[:, 0])
    band = signal.butter(2, BAND_HZ, "bandpass", fs=recording.rate_hz, output="sos")
    filtered_uv = np.abs(signal.sosfiltfilt(band, samples_uv))
    noise_uv = np.median(filtered_uv) / 0.6745
    places, found = signal.find_peaks(
        filtered_uv, height=THRESHOLD * noise_uv, distance=max(1, int(APART_S * recording.rate_hz))
    )
    louder = np.log(found["peak_heights"] / (THRESHOLD * noise_uv))
    group = np.floor(louder / np.log(HEIGHT_RATIO))  # heights overlap: a crude way to tell units
    times_s = recording.start_s + places / recording.rate_hz
    trains_s = [times_s[group == g] for g in np.unique(group)]
    return Findings(
        units=tuple(
            FoundUnit(id=k, discharge_times_s=t, muap_uv=np.zeros((0, 1)), muap_start_s=0.0)
            for k, t in enumerate((t for t in trains_s if t.size >= LEAST_PEAKS), start=1)
        ),
        plan="scipy.signal.find_peaks",
    )


if __name__ == "__main__":
    recording, _ = read_recording(Path(sys.argv[1]))
    write_findings(Path(sys.argv[2]), detect(recording))
