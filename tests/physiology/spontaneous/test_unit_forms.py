"""The form of motor units' spontaneous activity, as the needle hears it: rows A42-A44.

Limits are those of the table of insertional and spontaneous activity (physiology G), unless a test
says otherwise.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from emgsim.measures import muap_measures
from emgsim.physiology.fibres import place_unit
from emgsim.physiology.parameters import Muscle, TipPosition
from emgsim.physiology.parameters.spontaneous import (
    Cramp,
    Fasciculation,
    Multiplets,
    Myokymia,
    Neuromyotonia,
)
from emgsim.physiology.spontaneous.activities import sources
from emgsim.physiology.spontaneous.surroundings import Site
from emgsim.scenario import muscle_catalogue
from emgsim.seeds import stream


def cov(times_s: np.ndarray) -> float:
    """Return the coefficient of variation of the intervals."""
    intervals = np.diff(times_s)
    return float(np.std(intervals) / np.mean(intervals))


def runs_of(times_s: np.ndarray, pause_s: float) -> list[np.ndarray]:
    """Return the stretches of discharges without a longer pause, those of some length."""
    parts = np.split(times_s, np.flatnonzero(np.diff(times_s) > pause_s) + 1)
    return [part for part in parts if part.size > 20]


TIBIALIS = Muscle.model_validate(
    {"name": "tibialis_anterior", **muscle_catalogue()["tibialis_anterior"]}
)


@cache
def tibialis_unit(order):
    """Return a unit of the tibialis anterior."""
    return place_unit(TIBIALIS, order, stream(3, "muscle", order))


def tibialis_site(r_mm, angle):
    """Return a needle in the tibialis anterior."""
    tip = TipPosition(x_mm=r_mm * np.cos(angle), y_mm=r_mm * np.sin(angle), z_mm=15.0)
    return Site(muscle=TIBIALIS, tip=tip, unit_fibres=tibialis_unit)


def test_fasciculations_have_the_size_and_length_of_motor_units(room):
    """A42: normal units in ALS 561 +- 367 uV and 12.6 +- 4.4 ms; means within one SD."""
    sizes, durations = [], []
    rng = np.random.default_rng(1)
    for seed in range(20):  # the paper's muscle, a new place of the needle each time
        site = tibialis_site(8 * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi))
        for source in sources(Fasciculation(grade=3, nature="malignant"), site, 60.0, seed):
            found = muap_measures(room.wave_uv(source, site.tip), 96_000.0)
            if found.amplitude_uv >= 50:
                sizes.append(found.amplitude_uv)
                durations.append(found.duration_ms)
    assert len(sizes) >= 40
    assert 561 - 367 <= np.mean(sizes) <= 561 + 367
    assert 12.6 - 4.4 <= np.mean(durations) <= 12.6 + 4.4


def test_fasciculations_stay_away_as_often_as_poisson_says(room):
    """A43: at one per 20 s, 1.1 % of 90-s stretches have none (Mills)."""
    activity = Fasciculation(grade=3, mean_interval_s=20.0)
    silent = n = 0
    for seed in range(4):
        heard = [source.times_s for source in room.sources(activity, 90.0 * 2000, seed)]
        counts = np.bincount(np.concatenate(heard).astype(int) // 90, minlength=2000)
        silent, n = silent + np.count_nonzero(counts[:2000] == 0), n + 2000
    expected = math.exp(-90 / 20)
    sd = math.sqrt(expected * (1 - expected) / n)
    assert abs(silent / n - expected) < 3 * sd


def test_fasciculations_have_the_published_median_intervals(room):
    """Benign 0.8 s, malignant 3.5 s (Trojaborg & Buchthal; de Carvalho & Swash), within 10 %."""
    for nature, median_s in (("benign", 0.8), ("malignant", 3.5)):
        heard = room.sources(Fasciculation(grade=3, nature=nature), 3600.0, 1)
        times_s = np.sort(np.concatenate([source.times_s for source in heard]))
        assert np.median(np.diff(times_s)) == pytest.approx(median_s, rel=0.1)


def test_clusters_and_f_wave_repeats_follow_a_fasciculation(room):
    """Repeats stand 32-35 ms after the first; clusters raise the CoV of the intervals above 1."""
    plain, repeated, clustered = (
        room.sources(Fasciculation(**more), 3600.0, 1)[0].times_s
        for more in ({}, {"repeat_share": 0.3}, {"cluster_share": 0.5})
    )
    intervals = np.diff(repeated)
    late = np.count_nonzero((intervals >= 0.032) & (intervals <= 0.035))
    assert late / np.count_nonzero(intervals > 0.035) == pytest.approx(0.3, abs=0.05)
    assert cov(plain) == pytest.approx(1.0, abs=0.1)
    assert cov(clustered) > 1.2


def test_neuromyotonic_bursts_are_fast_abrupt_and_shrinking(room, peak_times_s):
    """A44, first half: 150-300 Hz; the amplitude falls from the first discharge on."""
    signal = room.signal_uv(room.sources(Neuromyotonia(), 12.0, 3), 12.0)
    size = np.abs(signal).max()
    for run in runs_of(peak_times_s(signal, share=0.08, dead_s=2.5e-3), 0.04):
        rate_hz = 1 / np.median(np.diff(run))
        assert 150 <= rate_hz <= 300
        assert 150 <= 1 / np.median(np.diff(run[-12:])) <= 1 / np.median(np.diff(run[:12])) <= 300
        blocks = [np.abs(signal[int(t * 48e3) : int((t + 0.02) * 48e3)]).max() for t in run[::8]]
        assert blocks[0] > 0.9 * size
        assert np.polyfit(np.arange(len(blocks)), np.log(blocks), 1)[0] < 0
        assert blocks[-2] < 0.8 * blocks[0]


def test_myokymic_bursts_are_grouped_and_semi_rhythmic(room, peak_times_s):
    """A44, second half: 5-60 Hz in bursts of 2-10 within 100-900 ms, 0.1-10 s apart."""
    signal = room.signal_uv(room.sources(Myokymia(), 60.0, 5), 60.0)
    times_s = peak_times_s(signal, share=0.5, dead_s=5e-3)
    bursts = np.split(times_s, np.flatnonzero(np.diff(times_s) > 0.4) + 1)[1:-1]
    assert len(bursts) > 20
    for burst in bursts:
        assert 2 <= burst.size <= 10
        assert 0.0999 <= burst[-1] - burst[0] <= 0.9001
        assert 4.99 <= 1 / np.mean(np.diff(burst)) <= 60.01
    onsets = np.array([burst[0] for burst in bursts])
    assert 0.1 <= np.diff(onsets).min() <= np.diff(onsets).max() <= 10
    assert 0.02 < cov(onsets) < 0.5


def test_myokymic_bursts_keep_to_their_length_whatever_chance_makes_of_them(room):
    """Bursts of 2 to 10 discharges, 100-900 ms each, over many of them."""
    for seed in range(3):
        (source,) = room.sources(Myokymia(), 600.0, seed)
        bursts = np.split(source.times_s, np.flatnonzero(np.diff(source.times_s) > 0.4) + 1)
        for burst in bursts[:-1]:  # the recording may cut the last one
            assert 2 <= burst.size <= 10
            assert 0.0999 <= burst[-1] - burst[0] <= 0.9001


def test_multiplets_come_in_sets_of_a_few(room, peak_times_s):
    """Intervals of 2-20 ms within a set, sets at 1-5 per second."""
    signal = room.signal_uv(room.sources(Multiplets(), 20.0, 1), 20.0)
    times_s = peak_times_s(signal, share=0.6, dead_s=1.5e-3)
    sets = np.split(times_s, np.flatnonzero(np.diff(times_s) > 0.05) + 1)[1:-1]
    assert {part.size for part in sets} == {3}
    inside = np.concatenate([np.diff(part) for part in sets])
    assert 2e-3 <= inside.min() <= inside.max() <= 20e-3
    assert 1 <= 1 / np.mean(np.diff([part[0] for part in sets])) <= 5


def test_a_cramp_recruits_many_units_one_by_one_and_lets_them_go(room):
    """Units at 40-60 per second begin and end within a second of each other; silence about it."""
    heard = room.sources(Cramp(grade=3, onset_s=1.0, offset_s=6.0), 7.0, 2)
    assert len(heard) >= 12
    rates = [1 / np.median(np.diff(source.times_s)) for source in heard]
    assert 40 <= np.median(rates) <= 60
    assert 0.3 < max(s.times_s[0] for s in heard) - min(s.times_s[0] for s in heard) < 1.5
    signal = room.signal_uv(heard, 7.0)
    loud = np.sqrt(np.mean(signal.reshape(14, -1) ** 2, axis=1))
    assert loud[:2].max() == 0
    assert loud[3] < loud[5:10].mean()
    assert loud[13] < 1e-3
