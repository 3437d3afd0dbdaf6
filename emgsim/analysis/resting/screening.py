"""Which trains and stretches are no runs of their own: chance, sums, and parts of what is dense."""

from __future__ import annotations

import numpy as np

from emgsim.analysis.resting.episodes import DenseRun
from emgsim.analysis.resting.naming import Named
from emgsim.analysis.resting.sources import WEAKEST_NORM
from emgsim.analysis.resting.trains import Train
from emgsim.recording import FoundRun

FEWEST_OF_UNKNOWN = 4
JOINS_S = {
    "insertional_burst": 0.3,
    "cramp": 1.2,
    "tremor": 0.5,
    "neuromyotonia": 1.0,
}  # sources begin and end apart
LEAKING = 0.25  # share of what is dense; a cramp has none
ONLY_NEGATIVE = 0.17
SMALL_UV = 100.0  # two or three potentials of 10-50 uV at once
MADE_OF_MANY = ("unknown", "fasciculation")  # so their sums are called
LONG_S = 5.0  # in less a weak train of some discharges may be chance
WEAKEST_IF_UNSURE = 6.0  # norm of a train in a short stretch, or over a floor of short pieces
LEAST_SNR_DB = -3.0  # of a mean potential's peak: below it a train is what others left
RARE, NO_LARGER, DENSE_HZ = 0.1, 2.0, 8.0  # of a dense train's discharges, and of its size
SUMS = ("fasciculation", "fibrillation", "unknown")  # so sums of its discharges are called
COVERING = ("myotonic_discharge", "neuromyotonia", "tremor")


def says_nothing(train: Train, name: Named, *, is_unsure: bool) -> bool:
    """Tell whether a train is too weak, or without a name and small: chance.

    ``is_unsure`` where a weak train may be chance: in a short stretch, and between pulses that come
    so fast that the floor is told from short pieces. These do not show what is slow in it, such as
    the rest of the pulses' tails, and that looks like weak discharges.
    """
    is_weak = train.norm < (WEAKEST_IF_UNSURE if is_unsure else WEAKEST_NORM)
    is_few = train.times_s.size < FEWEST_OF_UNKNOWN
    if name.kind == "unknown" and (is_few or is_weak):
        return True
    return (is_unsure and is_weak) or train.snr_db < LEAST_SNR_DB


def is_left_of(train: Train, name: Named, other: Train) -> bool:
    """Tell whether a train is as rare among another's discharges as these meet by chance.

    The sums of dense discharges come now and then, and look like a unit's.
    """
    is_rare = train.times_s.size < RARE * other.times_s.size
    size_uv = train.form.peak_to_peak_uv
    is_no_larger = size_uv < NO_LARGER * other.form.peak_to_peak_uv
    return is_rare and is_no_larger and other.rhythm.mean_hz > DENSE_HZ and name.kind in SUMS


def is_covered(span_s: tuple[float, float], runs: list[FoundRun]) -> bool:
    """Tell whether what looks like end-plate noise is the ground of a fast discharge."""
    shared_s = (
        min(span_s[1], run.offset_s) - max(span_s[0], run.onset_s)
        for run in runs
        if run.kind in COVERING
    )
    return max(shared_s, default=0.0) > 0.5 * (span_s[1] - span_s[0])


def is_within(run: DenseRun, leaks: list[tuple[float, float]]) -> bool:
    """Tell whether what is dense is end-plate noise, which is never one fast source."""
    if run.kind == "neuromyotonia":
        return False
    shared_s = sum(max(0.0, min(run.offset_s, b) - max(run.onset_s, a)) for a, b in leaks)
    return shared_s > LEAKING * (run.offset_s - run.onset_s)


def belongs(train: Train, run: DenseRun) -> bool:
    """Tell whether a train is one of the many sources of a dense run."""
    beside = JOINS_S[run.kind]
    inside = (train.times_s > run.onset_s - beside) & (train.times_s < run.offset_s + beside)
    return bool(np.mean(inside) > 0.6)


def is_noise(train: Train, name: Named, span_s: tuple[float, float]) -> bool:
    """Tell whether a train is made of the larger ones of end-plate noise's potentials."""
    middle = float(np.median(train.times_s))
    if not span_s[0] - 1 <= middle <= span_s[1] + 1:
        return False
    is_small = name.kind in MADE_OF_MANY and train.form.peak_to_peak_uv < SMALL_UV
    return train.form.positive_share < ONLY_NEGATIVE or name.kind == "end_plate_noise" or is_small
