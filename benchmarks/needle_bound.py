"""How many discharges of clear units a matched filter finds that is told all but the discharges.

Usage::

    python benchmarks/needle_bound.py [--seeds N] [--precisions 0.98 ...] [--cases NAME ...]

Prints it for the healthy biceps of seeds 1 .. N; `needle.py` prints it beside what is found.
`found_at_best` is told of each clear unit its exact potential, where all the other clear units
discharge, and the spectrum of what is left: the murmur of all that are not clear, and the noise. It
filters for the potential, and for each unit its threshold is set with the truth in hand, so that of
all units together as many as possible are found at the precision that is asked. What it does not
know is the beat. No filter does better where the murmur is a Gaussian noise (Kay 1998, Fundamentals
of statistical signal processing II, chapter 4).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from needle_signals import BICEPS, biceps
from numpy.typing import NDArray
from scipy import fft, ndimage

from emgsim.recording import MotorUnit, Recording, Truth
from emgsim.scoring.detectability import clean_train, detectability

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BAND_HZ = (15.0, 9900.0)
SMOOTHED_HZ = 20.0  # of the spectrum of what is left
AT_ONE_PLACE_S = 0.003  # of two answers nearer than this the larger one counts
TOLERANCE_S = 0.0005
MARGIN_S = 0.1  # before a unit's first discharge and after its last one
CLEAR_RATIO = 2.5  # peak-to-peak over the rms of everything else (McGill 2005)
PRICES = np.geomspace(1e-4, 1.0, 200)  # of a missed discharge, in false ones


def main() -> None:
    """Print the largest share of discharges that is found, case by case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--precisions", type=float, nargs="*", default=[0.98])
    parser.add_argument("--cases", nargs="*", default=BICEPS)
    options = parser.parse_args()
    for case in options.cases:
        units = [u for seed in range(1, options.seeds + 1) for u in answers(*biceps(case, seed))]
        for precision in options.precisions:
            share = 100 * found_at_best(units, precision)
            print(
                f"{case}: {share:.1f} % of the discharges of {len(units)} units at a precision of "
                f"{100 * precision:g} %"
            )


def answers(recording: Recording, truth: Truth) -> list[tuple[int, Ints]]:
    """Return of each clear unit its number of discharges and what a filter hears of them.

    Returns
    -------
    list of (int, ndarray of int, shape (2, n))
        With the ``k`` strongest answers of the filter, so many discharges are found, and so many
        other places; ``k`` from 0 on.
    """
    ratios = detectability(recording, truth)
    clear = [unit for unit in truth.units if ratios[unit.id] >= CLEAR_RATIO]
    own = {unit.id: clean_train(recording, truth, unit) for unit in clear}
    left = recording.samples_uv[:, 0] - sum(own.values(), np.zeros(recording.n_samples))
    return [
        (unit.discharge_times_s.size, heard(recording, left, own[unit.id], unit)) for unit in clear
    ]


def heard(recording: Recording, left: Floats, own: Floats, unit: MotorUnit) -> Ints:
    """Return how many of a unit's discharges, and of other places, the strongest answers are."""
    rate_hz, times_s = recording.rate_hz, recording.times_s
    true_s = unit.discharge_times_s
    edges = unit.spike_times_s.min() - MARGIN_S, unit.spike_times_s.max() + MARGIN_S
    span = slice(*np.searchsorted(times_s, edges))
    noise, samples = left[span], (left + own)[span]
    n = fft.next_fast_len(samples.size, real=True)
    density = np.abs(fft.rfft(noise * np.hanning(noise.size), n)) ** 2
    density = ndimage.uniform_filter1d(density, max(3, round(SMOOTHED_HZ * n / rate_hz)))
    frequency = fft.rfftfreq(n, 1 / rate_hz)
    inside = (frequency > BAND_HZ[0]) & (frequency < BAND_HZ[1])
    potential = fft.rfft(unit.muap_uv[:, 0], n)
    weight = inside / np.maximum(density, 1e-9 * density.max())
    answer = fft.irfft(fft.rfft(samples, n) * np.conj(potential) * weight, n)[: samples.size]
    places = strongest(answer, round(AT_ONE_PLACE_S * rate_hz))
    found_s = times_s[span][places] - unit.muap_start_s
    is_true = np.min(np.abs(found_s[:, None] - true_s), axis=1, initial=np.inf) <= TOLERANCE_S
    return np.stack([np.cumsum([0, *is_true]), np.cumsum([0, *~is_true])])


def strongest(answer: Floats, apart: int) -> Ints:
    """Return the places of the maxima that none larger stands near, the strongest first."""
    highest = ndimage.maximum_filter1d(answer, 2 * apart + 1)
    places = np.flatnonzero((answer == highest) & (answer > 0))
    return places[np.argsort(-answer[places])]


def found_at_best(units: Sequence[tuple[int, Ints]], precision: float) -> float:
    """Return the largest share of all discharges that can be found at a precision."""
    best = 0
    for price in PRICES:
        chosen = [counts[:, np.argmax(price * counts[0] - counts[1])] for _, counts in units]
        true, false = np.sum(chosen, axis=0)
        if true >= precision * (true + false):
            best = max(best, int(true))
    return best / max(sum(n for n, _ in units), 1)


if __name__ == "__main__":
    main()
