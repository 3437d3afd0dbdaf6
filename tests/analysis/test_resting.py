"""Resting activity on signals made here, whose discharges are known, and on the gallery's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim import simulate
from emgsim.analysis.learning import add_discharges, unit_at
from emgsim.analysis.resting import insertional_length_s, resting_runs
from emgsim.analysis.resting.beats import period_of
from emgsim.analysis.resting.cycles import one_of_each_cycle
from emgsim.analysis.resting.episodes import share_of_shapes
from emgsim.analysis.resting.families import correlations
from emgsim.analysis.resting.floor import hum
from emgsim.analysis.resting.joining import parted
from emgsim.analysis.resting.measuring import form_of, rhythm_of
from emgsim.analysis.resting.naming import name_train
from emgsim.analysis.resting.pursuit import _courses, _take_away
from emgsim.errors import NotAnalysableError
from emgsim.exhibits import entries, scenario_of
from emgsim.recording import Channel, FoundRun, Gap, Recording

Floats = NDArray[np.float64]

RATE_HZ = 24_000.0
T_MS = np.arange(-240, 721) / RATE_HZ * 1e3  # about the main spike


def bell(at_ms: float, width_ms: float) -> Floats:
    """A Gaussian of height one."""
    return np.exp(-(((T_MS - at_ms) / width_ms) ** 2) / 2)


FIBRE = 0.6 * bell(-0.45, 0.18) - bell(0, 0.2) + 0.25 * bell(0.6, 0.3)
WIDER_FIBRE = 0.5 * bell(-0.8, 0.35) - bell(0, 0.4) + 0.3 * bell(1.1, 0.5)
END_PLATE = -bell(0, 0.2) + 0.45 * bell(0.6, 0.35)
LATE = np.maximum(T_MS - 0.6, 0)
SHARP_WAVE = bell(0, 0.4) - 0.25 * (1 - np.exp(-LATE / 0.8)) * np.exp(-LATE / 6.0)
RING = sum((-1.0) ** k * (0.5 + 0.1 * k) * bell(0.9 * k - 3, 0.22) for k in range(9))


def recorded(
    *sources: tuple[Floats, Floats, float], seconds: float = 6.0, noise_uv: float = 3.0
) -> Recording:
    """Lay potentials (shape, times, size in uV) over white noise."""
    rng = np.random.default_rng(1)
    samples = noise_uv * rng.standard_normal(round(seconds * RATE_HZ))
    for shape, times_s, size_uv in sources:
        for time_s in times_s:
            first = round(time_s * RATE_HZ) - 240
            a, b = max(first, 0), min(first + shape.size, samples.size)
            samples[a:b] += size_uv * shape[a - first : b - first]
    return Recording(
        samples_uv=samples[:, None], rate_hz=RATE_HZ, channels=(Channel(name="needle"),)
    )


def clock(rate_hz: float, cov: float, seconds: float = 6.0, seed: int = 2) -> Floats:
    """Return the times of a train with gamma intervals."""
    steps = np.random.default_rng(seed).gamma(cov**-2, cov**2 / rate_hz, 2000)
    times_s = 0.05 + np.cumsum(steps)
    return times_s[times_s < seconds - 0.05]


def agree(found: FoundRun, times_s: Floats, within_s: float = 5e-4) -> bool:
    """Tell whether a run has just these discharges."""
    return found.discharge_times_s.size == times_s.size and bool(
        np.all(np.abs(found.discharge_times_s - times_s) < within_s)
    )


@pytest.mark.parametrize(
    ("shape", "rate_hz", "cov", "size_uv", "kind"),
    [
        (FIBRE, 6.0, 0.04, 60.0, "fibrillation"),
        (SHARP_WAVE, 6.0, 0.04, 100.0, "positive_sharp_wave"),
        (END_PLATE, 18.0, 0.8, 150.0, "end_plate_spike"),
        (RING, 25.0, 0.002, 200.0, "complex_repetitive_discharge"),
    ],
)
def test_every_discharge_is_found_and_the_run_is_named(shape, rate_hz, cov, size_uv, kind):
    """One source, all its discharges, the right kind, and nothing else."""
    times_s = clock(rate_hz, cov)
    times_s = times_s[np.diff(times_s, prepend=-1) > 4e-3]
    (run,) = resting_runs(recorded((shape, times_s, size_uv)))
    assert run.kind == kind
    assert agree(run, times_s + T_MS[np.argmax(np.abs(shape))] / 1e3)
    assert run.probability > 0.9


def test_two_fibres_are_told_apart():
    """Of two fibrillating fibres each has its own run."""
    one, other = clock(5.0, 0.04), clock(7.3, 0.04, seed=3)
    runs = resting_runs(recorded((FIBRE, one, 80.0), (WIDER_FIBRE, other, 70.0)))
    assert [run.kind for run in runs] == ["fibrillation"] * 2
    sizes = {run.discharge_times_s.size for run in runs}
    assert sizes <= {one.size, other.size, one.size - 1, other.size - 1}
    assert all(run.grade == 2.0 for run in runs)


@pytest.mark.parametrize("hum_uv", [0.0, 30.0])
def test_nothing_is_found_in_noise_and_hum(hum_uv):
    """Noise alone, and noise with mains hum, hold no activity."""
    recording = recorded()
    line = hum_uv * np.sin(2 * np.pi * 50 * recording.times_s)
    assert resting_runs(replace(recording, samples_uv=recording.samples_uv + line[:, None])) == ()


def test_what_stands_at_an_edge_of_the_stretch_is_no_run():
    """The discharge at the first sample, and the one with which an effort begins, say nothing."""
    edges_s = np.array([0.001, 5.99])
    assert resting_runs(recorded((WIDER_FIBRE, edges_s, 300.0))) == ()


def test_few_discharges_that_nothing_explains_are_no_run_and_one_fasciculation_is():
    """Two waves of no muscle's form are dropped; a single discharge of a unit is kept."""
    odd = np.tanh(6 * bell(0, 0.5) - 3) * bell(0, 3.0) + bell(4.0, 0.1) - bell(6.0, 2.0)
    assert resting_runs(recorded((odd, np.array([1.0, 3.3]), 40.0))) == ()
    unit = 0.3 * bell(-1.6, 0.6) - bell(0, 0.5) + 0.5 * bell(1.8, 0.9)
    (run,) = resting_runs(recorded((unit, np.array([2.0]), 500.0)))
    assert run.kind == "fasciculation"
    assert run.discharge_times_s.size == 1


def test_a_unit_of_two_clocks_and_two_sizes_is_parted():
    """Each clock is a unit with its size; one clock, or one size, stays a unit."""
    one, other = clock(5.4, 0.03), clock(6.7, 0.03, seed=3)
    times_s = np.concatenate([one, other])
    order = np.argsort(times_s)
    gains = np.concatenate([np.full(one.size, 0.8), np.full(other.size, 1.4)])[order]
    unit = replace(
        unit_at(times_s[order] * RATE_HZ, FIBRE.size), template=20 * FIBRE, amplitudes=gains
    )
    large, small = parted((unit,))
    np.testing.assert_allclose(large.positions, other * RATE_HZ)
    np.testing.assert_allclose(small.positions, one * RATE_HZ)
    np.testing.assert_allclose(large.template, 28 * FIBRE)
    np.testing.assert_allclose(small.template, 16 * FIBRE)
    alone = replace(unit_at(one * RATE_HZ, FIBRE.size), template=20 * FIBRE)
    assert parted((alone,)) == (alone,)


def test_of_a_ring_one_discharge_is_taken_from_each_cycle():
    """Two like fibres of a ring give two discharges a cycle; a fibrillation keeps all."""
    starts_s = np.arange(0.1, 4, 0.03)
    both_s = np.sort(np.concatenate([starts_s, starts_s[40:] + 0.011]))
    np.testing.assert_allclose(both_s[one_of_each_cycle(both_s)], starts_s)
    assert np.all(one_of_each_cycle(starts_s))
    assert np.all(one_of_each_cycle(clock(12.0, 0.05)))


def test_a_few_shapes_make_all_peaks_of_a_few_sources():
    """Three fibres have three shapes; of fifty units no three make most."""
    rng = np.random.default_rng(5)
    shapes = [FIBRE, WIDER_FIBRE, END_PLATE]
    few = recorded(*[(s, clock(5.0, 0.1, seed=k), 100.0) for k, s in enumerate(shapes)])
    crowd = []
    for _ in range(50):
        parts = zip(rng.uniform(-1.2, 1.2, 5), rng.uniform(-1, 1, 5), strict=True)
        shape = sum((size * bell(at_ms, 0.15) for at_ms, size in parts), np.zeros(T_MS.size))
        crowd.append((shape, rng.uniform(0.1, 5.9, 6), 100.0))
    assert share_of_shapes(few.samples_uv[:, 0] / 3, RATE_HZ, 3) > 0.9
    assert share_of_shapes(recorded(*crowd).samples_uv[:, 0] / 3, RATE_HZ, 3) < 0.8


def test_pursuit_takes_a_discharge_out_of_all_correlations():
    """Of two large sources whose discharges overlap nothing is left to be explained."""
    templates = np.array([300 * wave * (np.abs(T_MS) < 6) for wave in (FIBRE, WIDER_FIBRE)])
    samples = np.zeros(round(2 * RATE_HZ))
    events = []
    for k, template in enumerate(templates):
        at = np.sort(np.random.default_rng(k).uniform(0.1, 1.9, 30)) * RATE_HZ
        gains = np.linspace(0.7, 1.3, at.size)
        unit = replace(unit_at(at, template.size), template=template, amplitudes=gains)
        add_discharges(samples, unit, 240)
        events.append(np.column_stack([at, gains]))
    rows = correlations(samples, templates, 240)
    before = np.abs(rows).max()
    for courses, own in zip(_courses(templates), events, strict=True):
        _take_away(rows, courses, own)
    assert np.abs(rows).max() < 1e-5 * before


def test_hum_is_followed_and_a_train_is_left_alone():
    """A line at 50 Hz that strays goes; a train of spikes keeps all its power."""
    t = np.arange(round(4 * RATE_HZ)) / RATE_HZ
    line = 40 * np.sin(2 * np.pi * 50.05 * t)
    noise = np.random.default_rng(1).standard_normal(t.size)
    assert np.std((line + noise) - hum(line + noise, RATE_HZ)) < 1.2
    spikes = recorded((FIBRE, clock(6.0, 0.04), 60.0)).samples_uv[:, 0]
    assert not np.any(hum(spikes, RATE_HZ))


def test_findings_follow_the_clock_and_not_the_gain():
    """A later recording has later runs; twice the size has the same times."""
    times_s = clock(6.0, 0.04)
    recording = recorded((FIBRE, times_s, 60.0))
    (here,) = resting_runs(recording)
    (later,) = resting_runs(replace(recording, start_s=100.0))
    (louder,) = resting_runs(replace(recording, samples_uv=2 * recording.samples_uv))
    np.testing.assert_allclose(later.discharge_times_s, here.discharge_times_s + 100, atol=1e-6)
    np.testing.assert_allclose(louder.discharge_times_s, here.discharge_times_s, atol=1e-4)


def test_only_the_stretch_is_searched_and_gaps_are_not():
    """Discharges outside the stretch and within lost samples are not found, all others are."""
    times_s = clock(6.0, 0.04)
    recording = recorded((FIBRE, times_s, 60.0))
    recording.samples_uv[round(2 * RATE_HZ) : round(2.5 * RATE_HZ)] = np.nan
    lost = Gap(first_sample=round(2 * RATE_HZ), n_samples=round(0.5 * RATE_HZ))
    runs = resting_runs(replace(recording, gaps=(lost,)), start_s=1.0, stop_s=5.0)
    found_s = np.concatenate([run.discharge_times_s for run in runs])
    there = (times_s > 1.01) & (times_s < 4.99) & ~((times_s > 1.98) & (times_s < 2.52))
    assert np.all(np.abs(found_s[:, None] - times_s[there]).min(axis=0) < 5e-4)
    assert np.all((found_s >= 1.0) & (found_s < 5.0))


# A relaxed muscle's floor; each exhibit's own kind must be what its runs are called.
EXHIBITS = {
    "end_plate_noise": "end_plate_noise",
    "trigger_point": "end_plate_noise",
    "myotonic_discharge": "myotonic_discharge",
    "neuromyotonia": "neuromyotonia",
    "myokymia": "myokymia",
    "fasciculation": "fasciculation",
    "cramp": "cramp",
    "insertional_burst": "insertional_burst",
    "tremor": "tremor",
}


@pytest.mark.parametrize("exhibit", EXHIBITS)
def test_the_gallery_is_called_by_its_name(exhibit):
    """Most of what is found in an exhibit, by time, is what it shows."""
    entry = next(entry for entry in entries() if entry.id == exhibit)
    recording, _ = simulate(scenario_of(entry, 1), for_playing=True)
    noise_uv = 3.0 * np.random.default_rng(1).standard_normal(recording.samples_uv.shape)
    noisy = replace(recording, samples_uv=recording.samples_uv + noise_uv)
    lengths: dict[str, float] = {}
    for run in resting_runs(noisy):
        length_s = max(run.offset_s - run.onset_s, 0.01)
        lengths[run.kind] = lengths.get(run.kind, 0.0) + length_s
    assert max(lengths, key=lambda kind: lengths[kind]) == EXHIBITS[exhibit], lengths


def test_the_length_of_insertional_activity_counts_from_the_rest_of_the_needle():
    """The gallery's burst moves for 0.2 s from 0.3 s on and goes on for some 0.15 s."""
    (entry,) = entries(["insertional_burst"])[:1]
    recording, _ = simulate(scenario_of(entry, 1), for_playing=True)
    noise_uv = 3.0 * np.random.default_rng(1).standard_normal(recording.samples_uv.shape)
    noisy = replace(recording, samples_uv=recording.samples_uv + noise_uv)
    after_s = insertional_length_s(noisy, 0.5)
    assert 0.03 < after_s < 0.2
    assert insertional_length_s(noisy) == pytest.approx(0.2 + after_s, abs=0.05)
    assert insertional_length_s(noisy, 1.5) == 0


def test_a_period_is_seen_through_missed_beats():
    """A third of the discharges are missing, and some are put in: the period stays."""
    rng = np.random.default_rng(4)
    beats_s = np.arange(0.1, 10, 0.2) + 0.004 * rng.standard_normal(50)
    kept = beats_s[rng.uniform(size=50) > 0.3]
    assert period_of(kept) == pytest.approx(0.2, rel=0.03)
    assert np.isnan(period_of(np.sort(rng.uniform(0, 10, 40))))


def test_groups_are_seen_only_where_they_are_even():
    """Bursts of four are groups; a Poisson train and a clock have none."""
    bursts_s = (np.arange(10)[:, None] + 0.03 * np.arange(4)).ravel()
    grouped = rhythm_of(bursts_s, np.ones(40))
    assert grouped.group_size == pytest.approx(4)
    assert grouped.rate_hz == pytest.approx(1 / 0.03)
    for cov in (0.05, 1.0):
        train_s = clock(8.0, cov)
        assert rhythm_of(train_s, np.ones(train_s.size)).group_size == 1


def test_a_form_tells_which_phase_comes_first():
    """A passing wave begins positive, one from the end plate does not, a sharp wave stays so."""
    at = 240
    forms = [form_of(100 * wave, RATE_HZ, at) for wave in (FIBRE, END_PLATE, SHARP_WAVE)]
    assert forms[0].first_share > 0.25
    assert forms[1].first_share < 0.05
    assert forms[2].positive_share > 0.75
    assert forms[2].tail_share < -0.02
    assert forms[2].duration_ms > 2 * forms[0].duration_ms


def test_probabilities_are_of_all_kinds_and_sum_to_one():
    """A named run carries what else it might be."""
    named = name_train(form_of(60 * FIBRE, RATE_HZ, 240), rhythm_of(clock(6, 0.04), np.ones(36)))
    assert sum(named.probabilities.values()) == pytest.approx(1)
    assert named.probabilities["unknown"] < 0.01
    assert named.kind == "fibrillation"


def test_impossible_wishes_are_refused():
    """No such channel, an empty stretch, and a stretch too short to say anything."""
    recording = recorded()
    with pytest.raises(ValueError, match=r"channel must be in 0\.\.0, got 1"):
        resting_runs(recording, channel=1)
    with pytest.raises(ValueError, match="stop_s must be >"):
        resting_runs(recording, start_s=3.0, stop_s=2.0)
    with pytest.raises(NotAnalysableError, match=r"at least 0\.5 s"):
        resting_runs(recording, start_s=1.0, stop_s=1.3)
    with pytest.raises(ValueError, match="move_end_s must be within"):
        insertional_length_s(recording, 7.0)
