"""The form of fibres' and end plates' activity, as the needle hears it: rows A38-A41 and A63.

Limits are those of the table of insertional and spontaneous activity (physiology G), unless a test
says otherwise. Nothing here reads a generator's parameters or its list of discharges, except to
count how often something happened.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from emgsim.physiology.parameters import TipPosition
from emgsim.physiology.parameters.spontaneous import (
    ComplexRepetitiveDischarge,
    EndPlateNoise,
    EndPlateSpike,
    Fibrillation,
    InsertionalBurst,
    MyotonicDischarge,
    PositiveSharpWave,
    TriggerPoint,
)
from emgsim.physiology.spontaneous.activities import sources
from emgsim.physiology.spontaneous.source import Wave

PER_MS = 96.0  # points of the fine grid


def cov(times_s: np.ndarray) -> float:
    """Return the coefficient of variation of the intervals."""
    intervals = np.diff(times_s)
    return float(np.std(intervals) / np.mean(intervals))


def first_sign(wave: np.ndarray, share: float = 0.05) -> float:
    """Return the sign of the first excursion beyond a share of the largest."""
    return float(np.sign(wave[np.argmax(np.abs(wave) > share * np.abs(wave).max())]))


def lasts_ms(wave: np.ndarray, share: float) -> float:
    """Return the time from the first to the last point beyond a share of the largest."""
    loud = np.flatnonzero(np.abs(wave) > share * np.abs(wave).max())
    return float(loud[-1] - loud[0]) / PER_MS


def waves(room, activity, *, seeds: int, least_uv: float = 0.0):
    """Return the discharges of all sources of some patients that are large enough."""
    found = [
        room.wave_uv(source)
        for seed in range(seeds)
        for source in room.sources(activity, 20.0, seed)
    ]
    return [wave for wave in found if np.ptp(wave) >= least_uv]


def test_fibrillations_begin_positive_and_last_as_long_as_a_fibre_does(room):
    """A39, first half: G has them positive first, 1-5 ms, 10-1000 uV."""
    found = waves(room, Fibrillation(grade=3), seeds=8)
    assert len(found) > 30
    assert all(first_sign(wave) > 0 for wave in found)
    durations = [lasts_ms(wave, 0.05) for wave in found]
    assert 1 <= min(durations) <= max(durations) <= 5
    sizes = [np.ptp(wave) for wave in found]
    assert 10 <= min(sizes) <= max(sizes) <= 1000
    assert 20 <= np.median(sizes) <= 300


def test_fibrillations_begin_positive_at_the_end_plate_zone_too(room):
    """A denervated fibre near the end plates is excited elsewhere along its length."""
    site = room.site(0.0)
    heard = [source for k in range(5) for source in sources(Fibrillation(grade=4), site, 20.0, k)]
    assert len(heard) > 50
    assert all(first_sign(room.wave_uv(source, site.tip)) > 0 for source in heard)


def test_end_plate_spikes_begin_negative_and_have_two_phases(room):
    """A39, second half: G has them biphasic and negative first, 2-4 ms, 100-300 (to 600) uV."""
    found = waves(room, EndPlateSpike(grade=4), seeds=8)
    for wave in found:
        assert first_sign(wave) < 0
        loud = np.sign(wave[np.abs(wave) > 0.05 * np.abs(wave).max()])
        assert np.count_nonzero(np.diff(loud)) == 1
    durations = np.array([lasts_ms(wave, 5.0 / np.abs(wave).max()) for wave in found])  # > 5 uV
    assert np.mean((durations >= 2) & (durations <= 4)) > 0.95  # behind the bevel some are shorter
    assert durations.max() <= 4
    assert 100 <= np.median([np.ptp(wave) for wave in found]) <= 300


def test_positive_sharp_waves_are_sharp_and_positive_with_a_long_shallow_tail(room):
    """The main phase is positive and short, the negative tail shallow, the whole 10-30 ms.

    It falls abruptly, in a time that the fibre's distance sets, and returns more slowly.
    """
    found = waves(room, PositiveSharpWave(grade=3), seeds=8)
    assert len(found) > 30
    falls, returns = [], []
    for wave in found:
        top = wave.max()
        assert first_sign(wave) > 0
        assert -wave.min() < 0.3 * top
        sharp = np.flatnonzero(wave > 0.5 * top)
        assert (sharp[-1] - sharp[0]) / PER_MS < 1.2
        falls.append(int(np.argmax(wave)) - sharp[0])
        returns.append(sharp[-1] - int(np.argmax(wave)))
        tail = np.flatnonzero(wave < -0.01 * top)
        assert (tail[-1] - int(np.argmax(wave))) / PER_MS > 8.0
        assert 10 <= lasts_ms(wave, 0.01) <= 30
    assert 50 <= np.median([wave.max() for wave in found]) <= 400
    assert np.mean(np.array(returns) > falls) > 0.9


def test_the_block_alone_does_not_make_a_positive_sharp_wave(room):
    """A membrane that repolarises as ever makes two phases within 6 ms: the tail is the wound's."""
    for source in room.sources(PositiveSharpWave(grade=3), 20.0, 1):
        wave = room.wave_uv(replace(source, membrane=Wave()))
        assert lasts_ms(wave, 0.01) < 6.0
        assert -wave.min() > 0.4 * wave.max()


def test_end_plate_noise_is_monophasic_and_negative(room):
    """G: negative only, 0.5-2 ms, 10-50 uV."""
    found = waves(room, EndPlateNoise(grade=4), seeds=5)
    for wave in found:
        assert first_sign(wave, 0.1) < 0
        assert wave.max() < 0.05 * -wave.min()  # the ringing of the band
        assert 0.5 <= lasts_ms(wave, 0.1) <= 2.0
    assert 10 <= np.median([-wave.min() for wave in found]) <= 50


def test_end_plate_noise_comes_at_random_20_to_40_times_a_second(room):
    """Each end plate's intervals have a CoV of 1: Poisson; together they are as many times more."""
    for source in room.sources(EndPlateNoise(grade=2), 60.0, 1):
        assert 20 <= source.times_s.size / 60.0 <= 40
        assert cov(source.times_s) == pytest.approx(1.0, abs=0.08)


def test_fibrillations_are_regular_and_end_plate_spikes_are_not(room, peak_times_s):
    """A38: ISI CoV below 0.1 and above 0.5, on the signal of one generator each."""
    regular = Fibrillation(grade=2, irregular_share=0, train_s=600)
    steady = [
        cov(peak_times_s(room.signal_uv([source], 40.0)))
        for seed in range(6)
        for source in room.sources(regular, 40.0, seed)
        if source.times_s.size >= 20 and source.offset_s > 39.9
    ]
    assert len(steady) >= 6
    assert max(steady) < 0.1
    spiky = [
        cov(peak_times_s(room.signal_uv([source], 30.0), dead_s=1e-3))
        for seed in range(6)
        for source in room.sources(EndPlateSpike(), 30.0, seed)
    ]
    assert min(spiky) > 0.5
    assert max(spiky) < 1.2


def test_fibrillations_keep_to_the_published_rates_and_some_are_irregular(room):
    """0.5-30 per second, most of them 0.5-15; 10-25 % of the generators are irregular."""
    irregular, rates = 0, []
    for seed in range(40):
        for source in room.sources(Fibrillation(grade=4, train_s=600), 60.0, seed):
            if source.times_s.size < 30:
                continue
            intervals = np.diff(source.times_s)
            rates.append(1 / np.mean(intervals))
            irregular += np.std(intervals) / np.mean(intervals) > 0.25
    assert 0.5 <= min(rates) <= max(rates) <= 30
    assert np.percentile(rates, 90) < 15
    assert 0.10 <= irregular / len(rates) <= 0.25


def runs_of(times_s: np.ndarray, pause_s: float) -> list[np.ndarray]:
    """Return the stretches of discharges without a longer pause, those of some length."""
    parts = np.split(times_s, np.flatnonzero(np.diff(times_s) > pause_s) + 1)
    return [part for part in parts if part.size > 20]


@pytest.mark.parametrize("form", ["fibrillation", "positive_sharp_wave"])
def test_myotonic_discharges_wax_and_wane_in_rate_and_amplitude_together(
    room, peak_times_s, form
):
    """A40: 20-80 Hz, both change by 30 % or more in phase; runs last 2-20 s."""
    activity = MyotonicDischarge(form=form)
    signal = room.signal_uv(room.sources(activity, 30.0, 4), 30.0)
    times_s = peak_times_s(signal, share=0.15, dead_s=8e-3)
    runs = [run for run in runs_of(times_s, 0.09) if run[0] > 0.01 and run[-1] < 29.9]
    assert runs
    for run in runs:
        rate_hz = 1 / np.diff(run)
        at = (48_000 * run).astype(int)
        size_uv = np.array([np.abs(signal[a - 24 : a + 24]).max() for a in at])
        slow_hz = np.convolve(rate_hz, np.ones(5) / 5, "valid")
        assert 20 <= slow_hz.min() <= slow_hz.max() <= 80
        assert slow_hz.max() > 1.3 * slow_hz.min()
        assert size_uv.max() > 1.3 * size_uv.min()
        assert np.corrcoef(size_uv[2:-3], slow_hz)[0, 1] > 0.9
        assert 2 <= run[-1] - run[0] <= 20
        peak = int(np.argmax(slow_hz))
        assert 0.02 * run.size < peak < 0.8 * run.size


def test_a_myotonic_discharge_that_only_wanes_begins_at_its_peak(room, peak_times_s):
    """As in DM2: amplitude and rate fall from the first discharges on."""
    signal = room.signal_uv(room.sources(MyotonicDischarge(does_wax=False), 20.0, 2), 20.0)
    run = runs_of(peak_times_s(signal, share=0.15, dead_s=8e-3), 0.09)[0]
    rate_hz = np.convolve(1 / np.diff(run), np.ones(9) / 9, "valid")
    assert np.argmax(rate_hz) < 0.2 * rate_hz.size
    assert np.polyfit(run[: rate_hz.size], rate_hz, 1)[0] < -2


RING = ComplexRepetitiveDischarge(onset_s=0.5, offset_s=3.5, drops=0)


def cycles(room, activity, seed, *, rng=None):
    """Return a discharge's signal, and where each cycle begins, in samples and parts of them."""
    signal = room.signal_uv(room.sources(activity, 4.0, seed), 4.0, rng=rng)
    level = 0.1 * np.abs(signal).max()
    loud = np.flatnonzero(np.abs(signal) > level)
    firsts = loud[np.concatenate([[0], np.flatnonzero(np.diff(loud) > 0.006 * 48_000) + 1])]
    share = np.linspace(-1, 0, 201)
    fine = np.abs(CubicSpline(np.arange(signal.size), signal)(firsts[:, None] + share))
    return signal, firsts + share[np.argmax(fine > level, axis=1)]


def aligned(signal, begins, n):
    """Return ``n`` points of each cycle from a millisecond before its beginning."""
    fine = CubicSpline(np.arange(signal.size), signal)
    return np.array([fine(begin - 48 + np.arange(n)) for begin in begins])


@pytest.mark.parametrize("seed", range(4))
def test_a_complex_repetitive_discharge_repeats_the_same_cycle_and_is_abrupt(room, seed):
    """A41, first half: ISI CoV < 0.005; cycles alike to 0.998; full size at once, and silence."""
    signal, begins = cycles(room, RING, seed, rng=np.random.default_rng(seed))
    period = np.diff(begins).mean()
    assert 5 <= 48_000 / period <= 100
    assert cov(begins / 48_000.0) < 0.005
    shapes = aligned(signal, begins[1:-1], int(0.8 * period))
    assert np.corrcoef(shapes)[0].min() > 0.998  # 2 us of jitter cost 0.001 at 2.5 kHz
    first = signal[int(begins[0]) - 48 :][: shapes.shape[1]]
    assert np.ptp(first) == pytest.approx(np.ptp(shapes[0]), rel=0.05)
    assert np.abs(signal[: int(0.49 * 48_000)]).max() == 0
    assert np.abs(signal[int(3.56 * 48_000) :]).max() < 1.0
    assert 5 <= lasts_ms(np.repeat(shapes[0], 2), 0.02) <= 100
    assert 100 <= np.ptp(signal) <= 1000


def test_the_components_of_a_ring_jitter_less_than_5_us(room):
    """A41, second half: MCD between the spikes of two fibres, each heard alone."""
    source = room.sources(RING, 4.0, 1)[0]
    rng = np.random.default_rng(8)
    late_s = source.fibres.jitter_s * rng.standard_normal((400, source.fibres.n_fibres))
    mcd_s = np.mean(np.abs(np.diff(late_s[:, 1] - late_s[:, 0])))
    assert 0.5e-6 < mcd_s < 5e-6
    one, other = (
        room.signal_uv([subset(source, k)], 4.0, rng=np.random.default_rng(k)) for k in (0, 1)
    )
    between = spike_times(one) - spike_times(other)
    assert np.mean(np.abs(np.diff(between))) < 5e-6


def subset(source, fibre):
    """Return a source of one of its fibres."""
    return replace(source, fibres=source.fibres.subset(np.array([fibre])))


def spike_times(signal):
    """Return where each spike crosses half of its negative peak, between samples, seconds."""
    low = 0.5 * signal.min()
    falls = np.flatnonzero((signal[:-1] > low) & (signal[1:] <= low))
    share = (signal[falls] - low) / (signal[falls] - signal[falls + 1])
    return (falls + share) / 48_000.0


def test_a_ring_changes_in_steps_when_a_fibre_drops(room):
    """Before and after, cycles are alike; across the step they are not."""
    activity = RING.model_copy(update={"drops": 1})
    before, after = room.sources(activity, 4.0, 2)
    assert before.offset_s == after.onset_s
    assert after.fibres.n_fibres == before.fibres.n_fibres - 1
    signal, begins = cycles(room, activity, 2)
    shapes = aligned(signal, begins[1:-1], int(0.6 * np.diff(begins).mean()))
    change = np.linalg.norm(np.diff(shapes, axis=0), axis=1)
    step = int(np.argmax(change))
    assert change[step] > 5 * np.delete(change, step).max()


@pytest.mark.parametrize(
    ("after_s", "low_s", "high_s"), [(0.15, 0.03, 0.16), (0.8, 0.3, 0.81), (0.03, 0.0, 0.05)]
)
def test_insertional_activity_dies_away_when_the_needle_rests(room, after_s, low_s, high_s):
    """Normal: silent 50-300 ms after the movement; increased more, reduced less than 50 ms."""
    activity = InsertionalBurst(onset_s=0.2, movement_s=0.2, after_s=after_s)
    ends, early, late, sizes = [], 0.0, 0.0, []
    for seed in range(10):
        heard = room.sources(activity, 2.0, seed)
        ends.append(max(source.times_s[-1] for source in heard) - 0.4)
        signal = room.signal_uv(heard, 2.0)
        assert np.abs(signal[: int(0.19 * 48_000)]).max() == 0
        assert np.abs(signal[int((0.4 + after_s + 0.06) * 48_000) :]).max() < 1.0
        times_s = np.concatenate([source.times_s for source in heard])
        middle_s = 0.4 + after_s / 2
        early += np.count_nonzero((times_s > 0.4) & (times_s < middle_s))
        late += np.count_nonzero(times_s >= middle_s)
        sizes.append(np.abs(signal).max())
    assert low_s <= np.median(ends) <= high_s
    assert early > late
    assert 50 <= np.median(sizes) <= 500


def test_an_insertional_burst_that_is_cut_is_silent_at_once(room):
    """An end inside the movement ends all."""
    heard = room.sources(InsertionalBurst(onset_s=0.2, movement_s=1.0, offset_s=0.5), 2.0, 1)
    assert 0.45 < max(source.times_s[-1] for source in heard) < 0.5


def test_a_trigger_points_noise_is_loud_inside_and_gone_3_mm_away(room):
    """A63: RMS inside over RMS 3 mm away > 3; inside 5-50 uV in the median of some patients."""
    for grade in (1, 2, 3, 4):
        inside_uv = []
        for seed in range(4):
            activity = TriggerPoint(grade=grade, x_mm=1.0, y_mm=0.5, z_mm=0.0)
            heard = room.sources(activity, 2.0, seed)
            inside_uv.append(room.signal_uv(heard, 2.0).std())
            for tip in (TipPosition(x_mm=1.0, y_mm=3.5, z_mm=0.0), room.site(3.0).tip):
                away_uv = room.signal_uv(heard, 2.0, tip=tip).std()
                assert inside_uv[-1] / away_uv > 3, (grade, seed, tip)
        assert 5 <= np.median(inside_uv) <= 50
