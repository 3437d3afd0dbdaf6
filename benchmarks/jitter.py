"""Jitter and blocking of fibre pairs against the realised arrival times, at 20 dB.

Usage::

    python benchmarks/jitter.py [--seeds 201 202 ...]

Sites are those of simulated healthy, neurogenic and myasthenic biceps at 1 % of maximal force, a
single-fibre or a concentric needle between two fibres of one unit that lie within 0.24 mm; every
unit that is near and discharges 50 times or more is looked at, in the noise of
`benchmarks/muaps.py` (half of it the other units' murmur, 20 dB). The share of a fibre in a spike
is that of the noise-free waves of all fibres, high-passed, in the spike's window. What is measured
is the time of the spike, which is that of all its fibres, each weighed with its slope: the first
figure is against it. Jitter is meant to be that of two fibres: the second figure is against the
fibres with the largest shares. The goal is judged with both, on pairs of which one fibre gives each
spike 0.8 or more; those of bundles of fibres are printed beside.
Constants were set on seeds 101 to 106, which must not be given here. Exits with 1 if the goal is
missed with the single-fibre needle.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import muaps
import numpy as np
from muaps import Voice, mixture, scenario_of, site
from numpy.typing import NDArray

from emgsim.analysis import single_fibres
from emgsim.analysis.jitter import FibrePair, jitter_pairs
from emgsim.analysis.single_fibres import Spike, fibre_spikes, high_passed
from emgsim.measures import mean_consecutive_difference_us
from emgsim.physiology.parameters import TipPosition
from emgsim.physiology.patient import Patient
from emgsim.physiology.sounding import travel_s
from emgsim.physiology.voices import healthy_waves_uv
from emgsim.seeds import stream
from emgsim.simulation import patient_of

Floats = NDArray[np.float64]

SET_ON = range(101, 107)
ELECTRODES = ("single_fibre", "concentric_needle")
KINDS = ("healthy", "neurogenic", "myasthenic")
SMALLEST_UV, FEWEST = 200.0, 50
ONE_FIBRE = 0.8  # of a spike: it is that fibre's
GOAL_PCT = 8.0
PLACES = 2  # of the needle in each patient
LEVEL, ACTIVE = 0.01, 0.1  # of maximal force; of the pool that then discharges
CLOSE_MM, REACH_MM = (
    0.12,
    0.3,
)  # of the two fibres; of the nearest fibre of a unit that is looked at
SOONEST_S, LATEST_S = 0.0005, 0.004  # between the two


def main() -> int:
    """Print a table per electrode; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203, 204])
    options = parser.parse_args()
    if known := sorted(set(options.seeds) & set(SET_ON)):
        sys.exit(f"seeds {known} were used to set the constants; give others")
    muaps.CONDITIONS["myasthenic"] = [{"kind": "myasthenia"}]
    passed = True
    for electrode in ELECTRODES:
        lines = [
            line
            for kind in KINDS
            for seed in options.seeds
            for line in of_site(electrode, kind, seed)
        ]
        met = show(electrode, np.array(lines).reshape(-1, 10))
        passed &= met or electrode != "single_fibre"  # a concentric needle hears fibres in bundles
    return 0 if passed else 1


def of_site(electrode: str, kind: str, seed: int) -> list[list[float]]:
    """Return a line per pair of all units that are near at the places of a patient."""
    lines = []
    for place in places(kind, seed):
        scenario = scenario_of(kind, {"kind": electrode, "tip": place}, LEVEL)
        patient, tip, voices = site(scenario, seed)
        near = [
            v
            for v in voices
            if v.unit.peak_to_peak_uv >= SMALLEST_UV
            and v.unit.discharge_times_s.size >= FEWEST
            and patient.distance_mm(v.unit.id - 1, tip) < REACH_MM
        ]
        lines += [line for v in near for line in of_unit(electrode, patient, tip, v, voices, seed)]
    return lines


def places(kind: str, seed: int) -> list[dict[str, float]]:
    """Return places between two fibres of one unit whose potentials come apart.

    An examiner moves a single-fibre needle until he has found such a pair.
    """
    scenario = scenario_of(kind)
    patient = patient_of(scenario, seed=seed)
    rng = stream(seed, "benchmark places", 0)
    z_mm, found = scenario.electrode.tip.z_mm, []
    for order in rng.permutation(int(ACTIVE * patient.muscle.pool.n_units)).tolist():
        fibres = patient.fibres(order)
        arrival_s = fibres.delay_s + travel_s(fibres, z_mm)
        x, y = fibres.x_mm, fibres.y_mm
        apart_mm = np.hypot(x[:, None] - x, y[:, None] - y)
        apart_s = np.abs(arrival_s[:, None] - arrival_s)
        fits = (apart_mm < 2 * CLOSE_MM) & (apart_s > SOONEST_S) & (apart_s < LATEST_S)
        first, second = np.nonzero(np.triu(fits))
        inside = [
            (i, j)
            for i, j in zip(first.tolist(), second.tolist(), strict=True)
            if np.hypot(x[i], y[i]) < 0.9 * patient.muscle.radius_mm
        ]
        if inside:
            i, j = inside[int(rng.integers(len(inside)))]
            at = {"x_mm": float(x[i] + x[j]) / 2, "y_mm": float(y[i] + y[j]) / 2, "z_mm": z_mm}
            found.append(at)
        if len(found) == PLACES:
            break
    return found


def of_unit(
    electrode: str, patient: Patient, tip: TipPosition, voice: Voice, voices: list[Voice], seed: int
) -> list[list[float]]:
    """Return a line per pair: error, raw error, shares, held, true and found blocking, ..."""
    rng = stream(seed, "benchmark noise", voice.unit.id)
    made = mixture(voice, voices, None, 0.5, rng, electrode)
    own, *others = made["trains_s"]
    began = time.process_time()
    pairs = jitter_pairs(made["recording"], own, others_s=others)
    cpu_s = time.process_time() - began
    spikes = fibre_spikes(made["recording"], own, others_s=others)
    if not pairs:
        return []
    known = {id(s): true_spike(s, patient, tip, voice, electrode) for s in spikes}
    first = known[id(spikes[0])]
    lines = []
    for pair in pairs:
        second = known[id(next(s for s in spikes[1:] if is_of(pair, s, spikes[0])))]
        true_us = mean_consecutive_difference_us(second.arrival_s - first.arrival_s)
        spike_us = mean_consecutive_difference_us(second.centre_s - first.centre_s)
        blocked = float(second.is_blocked.mean())
        lines.append(
            [
                100 * (pair.mcd_us / true_us - 1) if second.fibre != first.fibre else np.nan,
                100 * (pair.mcd_us / spike_us - 1),
                100 * (pair.raw_mcd_us / spike_us - 1),
                min(first.share, second.share),
                pair.mcd_95_us[0] <= spike_us <= pair.mcd_95_us[1],
                pair.blocking_share - blocked,
                pair.blocking_95[0] <= blocked <= pair.blocking_95[1],
                spike_us,
                pair.noise_us,
                cpu_s,
            ]
        )
    return lines


def is_of(pair: FibrePair, other: Spike, first: Spike) -> bool:
    """Return whether a pair is that of two spikes."""
    return bool(np.array_equal(pair.intervals_s, other.at_s - first.at_s, equal_nan=True))


@dataclass(frozen=True, kw_only=True)
class TrueSpike:
    """What truly makes a spike: the near fibre with the largest share, and all of them together."""

    fibre: int
    share: float
    arrival_s: Floats  # of that fibre, at each discharge
    centre_s: Floats  # of the spike as the sum of its fibres, as each arrived
    is_blocked: NDArray[np.bool_]


def true_spike(
    spike: Spike, patient: Patient, tip: TipPosition, voice: Voice, electrode: str
) -> TrueSpike:
    """Return what makes a spike; a fibre's weight in its time is that of its slope."""
    order, truth = voice.unit.id - 1, voice.unit.fibres
    fibres, sampling = patient.fibres(order), patient.sampling
    waves = healthy_waves_uv(fibres, patient.channels(tip)[0], patient.muscle.medium, sampling)
    pad = round(0.02 * sampling.fine_hz)
    lowest = single_fibres.HIGHPASS_HZ.get(electrode, single_fibres.CONCENTRIC_HIGHPASS_HZ)
    after_s = float(np.nanmedian(spike.at_s - voice.unit.discharge_times_s))
    centre = pad + round(after_s * sampling.fine_hz)
    half = round(single_fibres.CORE_S * sampling.fine_hz)

    def seen(wave_uv: Floats) -> Floats:
        passed = high_passed(np.pad(wave_uv, pad), sampling.fine_hz, lowest)
        return passed[centre - half : centre + half + 1]

    whole, parts = seen(waves.sum(axis=0)), [seen(waves[f]) for f in truth.fibre]
    slope = np.gradient(whole)
    weights = np.array([np.gradient(part) @ slope for part in parts]) / (slope @ slope)
    shares = np.array([part @ whole for part in parts]) / (whole @ whole)
    best = int(np.argmax(shares))
    after = truth.arrival_s - voice.unit.discharge_times_s[:, None]
    late_s = after - np.nanmean(after, axis=0)
    return TrueSpike(
        fibre=best,
        share=float(shares[best]),
        arrival_s=truth.arrival_s[:, best],
        centre_s=np.nan_to_num(late_s) @ weights + np.where(np.isnan(late_s[:, best]), np.nan, 0),
        is_blocked=truth.is_blocked[:, best],
    )


def show(electrode: str, lines: Floats) -> bool:
    """Print the figures of an electrode; return whether the goal is met."""
    same = np.isnan(lines[:, 0])
    single = (lines[:, 3] >= ONE_FIBRE) & ~same
    print(f"{electrode}: {len(lines)} pairs, {same.sum()} of them one fibre twice")
    groups = {"each spike of one fibre": single, "a spike of several fibres": ~single & ~same}
    met = False
    for name, chosen in groups.items():
        if not chosen.any():
            print(f"  {name}: none")
            continue
        fibre, own, raw, _, held, blocked, blocked_held, true_us, noise_us, cpu_s = lines[chosen].T
        error, own_error = np.abs(fibre), np.abs(own)
        print(
            f"  {name}: {chosen.sum()} pairs; error of the MCD, median (90th percentile), bias\n"
            f"    against the spikes' times {np.median(own_error):.1f} % "
            f"({np.percentile(own_error, 90):.0f}), {np.median(own):+.1f} %; goal {GOAL_PCT:g}; "
            f"noise not taken off {np.median(np.abs(raw)):.1f} %\n"
            f"    against the two fibres' times {np.median(error):.1f} % "
            f"({np.percentile(error, 90):.0f}), {np.median(fibre):+.1f} %; goal {GOAL_PCT:g}\n"
            f"    true MCD {np.median(true_us):.0f} us, noise {np.median(noise_us):.0f} us; "
            f"true in the 95 % interval {100 * held.mean():.0f} %; blocking error "
            f"{np.abs(blocked).mean():.3f}, in its interval {100 * blocked_held.mean():.0f} %; "
            f"{cpu_s.mean():.2f} CPU s/unit",
            flush=True,
        )
        if name == "each spike of one fibre":
            met = bool(max(np.median(error), np.median(own_error)) <= GOAL_PCT)
    return met


if __name__ == "__main__":
    sys.exit(main())
