"""The form of everything at rest, measured on the very samples that the gallery shows.

Each row of `ROWS` is one quantity of one kind, its limits, and a wrong form that it must refuse.
Limits are those of the table of insertional and spontaneous activity (physiology G) unless a
comment says otherwise. The truth only says about when to look: what is measured are samples.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from emgsim.exhibits import entries
from emgsim.recording import Floats
from emgsim.scenario import kinds
from tests.gallery.conftest import (
    FINE_HZ,
    PER_MS,
    Shown,
    Train,
    Wrong,
    all_at_once,
    alone,
    backwards,
    beginning_at,
    blunted,
    by_chance,
    echoing,
    evenly,
    fading,
    in_haste,
    in_step,
    inverted,
    later,
    loosely,
    louder,
    of_changing_shape,
    of_one_shape,
    of_one_size,
    one_clock,
    one_sided,
    played,
    repeating,
    restless,
    retimed,
    sharpened,
    shown,
    slower,
    speeding,
    squeezed,
    trains,
    trembling,
)

QUIET_UV = 12.0  # no noise of a recording of some seconds is larger

Measure = Callable[[Shown], Floats]


# ---- waveforms ---------------------------------------------------------------------------------


def first_signs(heard: Shown) -> Floats:
    """Return the sign of each source's first phase."""
    return np.array([np.sign(one.wave_uv[one.body(0.1).start]) for one in trains(heard)])


def durations_ms(share: float) -> Measure:
    """Measure how long each source's wave exceeds a share of its largest value."""

    def measured(heard: Shown) -> Floats:
        bodies = [one.body(share) for one in trains(heard)]
        return np.array([(part.stop - part.start) / PER_MS for part in bodies])

    return measured


def durations_at_5_uv_ms(heard: Shown) -> Floats:
    """Measure how long each source's wave exceeds 5 uV."""
    bodies = [one.body(5.0 / np.abs(one.wave_uv).max()) for one in trains(heard)]
    return np.array([(part.stop - part.start) / PER_MS for part in bodies])


def phases(heard: Shown) -> Floats:
    """Count the phases of each source's wave that exceed 5 % of the largest."""
    waves = [one.wave_uv[one.body()] for one in trains(heard)]
    loud = [np.sign(wave[np.abs(wave) > 0.05 * np.abs(wave).max()]) for wave in waves]
    return np.array([1 + np.count_nonzero(np.diff(signs)) for signs in loud])


def most_phases(heard: Shown) -> Floats:
    """Count the phases of the source that has most."""
    return phases(heard).max(keepdims=True)


def sizes_uv(heard: Shown) -> Floats:
    """Measure each source's wave from peak to peak."""
    return np.array([one.size_uv for one in trains(heard)])


def rises_ms(heard: Shown) -> Floats:
    """Measure the time from the first positive peak to the negative one that follows."""
    waves = [one.wave_uv[one.body(0.1)] for one in trains(heard)]
    ups = [int(np.argmax(wave[: int(np.argmin(wave)) + 1])) for wave in waves]
    return np.array([np.argmin(w) - up for w, up in zip(waves, ups, strict=True)]) / PER_MS


def tails_share(heard: Shown) -> Floats:
    """Return each source's negative peak over its positive one."""
    return np.array([-one.wave_uv.min() / one.wave_uv.max() for one in trains(heard)])


def sharp_ms(heard: Shown) -> Floats:
    """Measure how long each source is above half of its positive peak."""
    waves = [one.wave_uv for one in trains(heard)]
    return np.array([np.count_nonzero(w > 0.5 * w.max()) for w in waves]) / PER_MS


def likeness(heard: Shown) -> Floats:
    """Correlate each discharge's main spike with that of its source's median."""
    found = []
    for one in trains(heard):
        main = int(np.argmax(np.abs(one.wave_uv)))
        near = slice(max(0, main - round(2 * PER_MS)), main + round(2 * PER_MS))
        found.append([correlation(sweep[near], one.wave_uv[near]) for sweep in one.sweeps_uv])
    return np.concatenate([*found, np.zeros(0)])


def likeness_of_units(heard: Shown) -> Floats:
    """Return the largest correlation between the waves of two sources, at any delay."""
    waves = [one.wave_uv / np.linalg.norm(one.wave_uv) for one in trains(heard)]
    pairs = [(a, b) for k, a in enumerate(waves) for b in waves[:k]]
    return np.array([np.max(np.correlate(a, b, "full")) for a, b in pairs])


def correlation(a: Floats, b: Floats) -> float:
    """Return the correlation of two waves."""
    return float(np.corrcoef(a, b)[0, 1])


# ---- rhythms -----------------------------------------------------------------------------------


def cov(values: Floats) -> float:
    """Return the coefficient of variation."""
    return float(np.std(values) / np.mean(values))


def steady_s(times_s: Floats) -> Floats:
    """Return a train's intervals, the pauses between its runs left out."""
    intervals_s = np.diff(times_s)
    return intervals_s[intervals_s < 2.5 * np.median(intervals_s)]


def densities_hz(heard: Shown) -> Floats:
    """Return how often each source discharges, pauses among it."""
    return np.array([one.times_s.size / np.ptp(one.times_s) for one in trains(heard)])


def rates_hz(heard: Shown) -> Floats:
    """Return each source's rate."""
    return np.array([1 / steady_s(one.times_s).mean() for one in trains(heard)])


def covs(heard: Shown) -> Floats:
    """Return the CoV of each source's intervals."""
    return np.array([cov(steady_s(one.times_s)) for one in trains(heard)])


def typical_cov(heard: Shown) -> Floats:
    """Return the median of the CoVs: some generators are irregular, 10-25 % of them."""
    return np.median(covs(heard), keepdims=True)


def scatter(heard: Shown) -> Floats:
    """Return the CoV of each source's intervals, pauses among them."""
    return np.array([cov(np.diff(one.times_s)) for one in trains(heard)])


def shortest_s(heard: Shown) -> Floats:
    """Return each source's shortest interval."""
    return np.array([np.diff(one.times_s).min() for one in trains(heard)])


def site_s(heard: Shown) -> Floats:
    """Return when anything of the kind discharges."""
    return np.sort(np.concatenate([one.times_s for one in trains(heard)]))


def site_rate_hz(heard: Shown) -> Floats:
    """Return how often anything of the kind discharges."""
    return np.array([site_s(heard).size / heard.seconds])


def site_cov(heard: Shown) -> Floats:
    """Return the CoV of the intervals between any discharges of the kind."""
    return np.array([cov(np.diff(site_s(heard)))])


def groups(heard: Shown, pause_s: float, least: int = 2) -> list[tuple[Floats, Floats]]:
    """Return times and sizes of the stretches of discharges without a longer pause."""
    found = []
    for one in trains(heard):
        edges = np.flatnonzero(np.diff(one.times_s) > pause_s) + 1
        parts = (np.split(values, edges) for values in (one.times_s, one.sizes_uv))
        found += [(t, s) for t, s in zip(*parts, strict=True) if t.size >= least]
    return found


def group_counts(pause_s: float) -> Measure:
    """Count the discharges of each group."""
    return lambda heard: np.array([t.size for t, _ in groups(heard, pause_s, 1)])


def group_lengths_s(pause_s: float) -> Measure:
    """Measure the length of each group."""
    return lambda heard: np.array([np.ptp(t) for t, _ in groups(heard, pause_s)])


def group_rates_hz(pause_s: float) -> Measure:
    """Measure the rate within each group."""
    return lambda heard: np.array([1 / np.diff(t).mean() for t, _ in groups(heard, pause_s)])


def group_intervals_s(pause_s: float) -> Measure:
    """Return the intervals within all groups."""
    return lambda heard: np.concatenate([np.diff(t) for t, _ in groups(heard, pause_s, 1)])


def between_groups_s(pause_s: float) -> Measure:
    """Return the intervals between the beginnings of groups."""
    return lambda heard: np.diff([t[0] for t, _ in groups(heard, pause_s, 1)])


def group_cov(pause_s: float) -> Measure:
    """Return the CoV of the intervals between the beginnings of groups."""
    return lambda heard: np.array([cov(between_groups_s(pause_s)(heard))])


def n_sources(heard: Shown) -> Floats:
    """Count the sources that stand out of the noise."""
    return np.array([len(trains(heard))])


def joining_s(heard: Shown) -> Floats:
    """Return the time from the first source's begin to the last one's."""
    return np.array([np.ptp([one.times_s[0] for one in trains(heard)])])


def n_pauses(heard: Shown) -> Floats:
    """Count the pauses of a tenth of a second in all trains."""
    return np.array([sum(np.count_nonzero(np.diff(one.times_s) > 0.1) for one in trains(heard))])


# ---- silence and loudness ----------------------------------------------------------------------


def rms(values_uv: Floats) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values_uv))))


def largest_uv(heard: Shown) -> Floats:
    """Return the largest sample of all."""
    return np.abs(heard.samples_uv).max(keepdims=True)


def silence(*stretches_s: tuple[float, float]) -> Measure:
    """Measure the largest sample in stretches that should be silent."""
    return lambda heard: np.array([np.abs(heard.cut(*one)).max() for one in stretches_s])


def loudness(stretch_s: tuple[float, float], of_s: tuple[float, float]) -> Measure:
    """Measure the rms of a stretch over that of another."""
    return lambda heard: np.array([rms(heard.cut(*stretch_s)) / rms(heard.cut(*of_s))])


def noise_rms_uv(heard: Shown) -> Floats:
    """Return the rms about the median: of noise that lies on one side of the baseline."""
    return np.array([rms(heard.samples_uv - np.median(heard.samples_uv))])


def usual_uv(heard: Shown) -> Floats:
    """Return the size that half of the samples do not exceed."""
    return np.median(np.abs(heard.samples_uv), keepdims=True)


def skewness(heard: Shown) -> Floats:
    """Return the skewness of the samples; negative where all peaks are."""
    away = heard.samples_uv - heard.samples_uv.mean()
    return np.array([np.mean(away**3) / np.mean(away**2) ** 1.5])


def quiet_share(heard: Shown) -> Floats:
    """Return the share of 2-ms stretches without a negative peak of 10 uV."""
    per = round(2e-3 * heard.rate_hz)
    whole = heard.samples_uv[: heard.samples_uv.size // per * per].reshape(-1, per)
    return np.array([np.mean(whole.min(axis=1) > np.median(whole) - 10.0)])


def quieter_share(heard: Shown) -> Floats:
    """Return the quiet share over that of ordinary end-plate noise."""
    return quiet_share(heard) / quiet_share(shown("end_plate_noise"))


# ---- insertional activity, trigger point -------------------------------------------------------

RESTS_S = 0.5  # the needle, in both exhibits


def goes_on_s(heard: Shown) -> Floats:
    """Measure how long something is heard after the needle rests."""
    loud = np.flatnonzero(np.abs(heard.samples_uv) > QUIET_UV)
    return np.array([loud[-1] / heard.rate_hz - RESTS_S])


def dies_away(heard: Shown) -> Floats:
    """Return the rms in the first half of what is heard after the needle rests over the second."""
    (length_s,) = goes_on_s(heard)
    halves = RESTS_S + length_s * np.array([0.0, 0.5, 1.0])
    return np.array([rms(heard.cut(*halves[:2])) / rms(heard.cut(*halves[1:]))])


@cache
def three_mm_away() -> Shown:
    """Return the trigger point heard three millimetres further along the fibres."""
    entry = entries(["trigger_point"])[0]
    nidus = {**entry.scenario["spontaneous"][0], "x_mm": 0.0, "y_mm": 0.0, "z_mm": 0.0}
    there = {"electrode": {"tip": {"z_mm": 3.0}}, "spontaneous": [nidus]}
    return played(entry.model_copy(update={"scenario": {**entry.scenario, **there}}))


def inside_over_away(heard: Shown) -> Floats:
    """Return the rms where the gallery's needle is over that three millimetres away."""
    return noise_rms_uv(heard) / noise_rms_uv(three_mm_away())


# ---- complex repetitive discharge --------------------------------------------------------------


def cycles_uv(one: Train) -> Floats:
    """Return the cycles of a ring, one below the other."""
    body = one.body(0.02)
    return one.sweeps_uv[:, body]


def all_intervals_s(heard: Shown) -> Floats:
    """Return the intervals of the parts between a ring's dropouts, the parts in order."""
    return np.concatenate([np.diff(one.times_s) for one in trains(heard)])


def cycle_cov(heard: Shown) -> Floats:
    """Return the CoV of a ring's intervals over its dropouts."""
    return np.array([cov(all_intervals_s(heard))])


def cycle_likeness(heard: Shown) -> Floats:
    """Correlate each cycle with the median one."""
    pairs = [
        (c, np.median(cycles_uv(one), axis=0)) for one in trains(heard) for c in cycles_uv(one)
    ]
    return np.array([correlation(*pair) for pair in pairs])


def cycle_share(heard: Shown) -> Floats:
    """Return a cycle's length times the rate."""
    return durations_ms(0.05)(heard) / 1e3 * rates_hz(heard)


def component_jitter_us(heard: Shown) -> Floats:
    """Measure the MCD between the first and the second half of the cycles.

    Each half's delay against the median is that which explains its difference from it best.
    """
    found = []
    for one in trains(heard):
        cycles = cycles_uv(one)
        halves = np.array_split(np.arange(cycles.shape[1]), 2)
        first, second = (_late_us(cycles[:, half]) for half in halves)
        found.append(np.mean(np.abs(np.diff(second - first))))
    return np.array(found)


def _late_us(cycles: Floats) -> Floats:
    median = np.median(cycles, axis=0)
    slope = np.gradient(median) * FINE_HZ / 1e6
    return -(cycles - median) @ slope / (slope @ slope)


def ends_over_middle(heard: Shown) -> Floats:
    """Return the sizes of a ring's first and last cycle over those of their parts."""
    first, *_, last = trains(heard)
    ends = (
        first.sizes_uv[0] / np.median(first.sizes_uv),
        last.sizes_uv[-1] / np.median(last.sizes_uv),
    )
    return np.array(ends)


def end_rates(heard: Shown) -> Floats:
    """Return the rates of a ring's first and last five intervals over the mean rate."""
    intervals_s = all_intervals_s(heard)
    return intervals_s.mean() / np.array([intervals_s[:5].mean(), intervals_s[-5:].mean()])


def steps(heard: Shown) -> Floats:
    """Count the steps between a ring's cycles: where the next is unlike the one before."""
    first, *others = trains(heard)
    body = first.body(0.02)
    all_cycles = np.concatenate([one.sweeps_uv[:, body] for one in (first, *others)])
    return np.array([sum(correlation(a, b) < 0.99 for a, b in pairwise(all_cycles))])


# ---- runs and bursts that change ---------------------------------------------------------------

SMOOTH = 7  # discharges


class Course(NamedTuple):
    """How rate and size go in a myotonic run, both smoothed, and the number of its peak."""

    times_s: Floats
    rates_hz: Floats
    sizes: Floats  # over the largest
    peak: int


def course(heard: Shown) -> Course:
    """Return the course of the first run."""
    times_s, sizes = groups(heard, 0.15, 20)[0]
    window = np.ones(SMOOTH) / SMOOTH
    rates = np.convolve(1 / np.diff(times_s), window, "valid")
    smooth = np.convolve(sizes[:-1], window, "valid")
    middle = times_s[SMOOTH // 2 :][: rates.size]
    return Course(middle, rates, smooth / smooth.max(), int(np.argmax(rates)))


def run_rates_hz(heard: Shown) -> Floats:
    """Return the lowest and the highest rate of a run."""
    rates = course(heard).rates_hz
    return np.array([rates.min(), rates.max()])


def rate_change(heard: Shown) -> Floats:
    """Return a run's highest rate over its lowest."""
    rates = course(heard).rates_hz
    return np.array([rates.max() / rates.min()])


def size_change(heard: Shown) -> Floats:
    """Return a run's largest size over its smallest."""
    return np.array([1 / course(heard).sizes.min()])


def change_together(heard: Shown) -> Floats:
    """Correlate rate and size in a run."""
    one = course(heard)
    return np.array([correlation(one.rates_hz, one.sizes)])


def run_s(heard: Shown) -> Floats:
    """Return the length of a run."""
    times_s = groups(heard, 0.15, 20)[0][0]
    return np.array([np.ptp(times_s)])


def waxing_hz_s(heard: Shown) -> Floats:
    """Return the slope of the rate from a run's begin to its peak."""
    one = course(heard)
    return slope(one.times_s[: one.peak + 1], one.rates_hz[: one.peak + 1])


def waning_hz_s(heard: Shown) -> Floats:
    """Return the slope of the rate from a run's peak to its end."""
    one = course(heard)
    return slope(one.times_s[one.peak :], one.rates_hz[one.peak :])


def waxing_per_s(heard: Shown) -> Floats:
    """Return the slope of the size from a run's begin to its peak."""
    one = course(heard)
    return slope(one.times_s[: one.peak + 1], one.sizes[: one.peak + 1])


def waning_per_s(heard: Shown) -> Floats:
    """Return the slope of the size from a run's peak to its end."""
    one = course(heard)
    return slope(one.times_s[one.peak :], one.sizes[one.peak :])


def slope(times_s: Floats, values: Floats) -> Floats:
    """Return the mean change per second; none where there are no two points."""
    if times_s.size < 2:
        return np.zeros(1)
    return np.array([(values[-1] - values[0]) / (times_s[-1] - times_s[0])])


def peak_share(heard: Shown) -> Floats:
    """Return at which share of a run its rate is highest."""
    one = course(heard)
    return np.array([one.peak / one.rates_hz.size])


FAST_S = 0.04  # no pause within a neuromyotonic burst is so long


def burst_rates_hz(heard: Shown) -> Floats:
    """Return the rates at the begin and at the end of each fast burst."""
    bursts = [np.diff(t) for t, _ in groups(heard, FAST_S, 20)]
    return np.array([1 / np.median(part) for d in bursts for part in (d[:12], d[-12:])])


def begins_at_once(heard: Shown) -> Floats:
    """Return the size of each burst's first discharge over the burst's largest."""
    return np.array([sizes[0] / sizes.max() for _, sizes in groups(heard, FAST_S, 20)])


def first_sizes_uv(heard: Shown) -> Floats:
    """Return the size of each burst's first discharge."""
    return np.array([sizes[0] for _, sizes in groups(heard, FAST_S, 20)])


def decrement_per_s(heard: Shown) -> Floats:
    """Return the slope of the logarithm of size in each burst."""
    bursts = groups(heard, FAST_S, 20)
    return np.array([np.polyfit(t - t[0], np.log(sizes), 1)[0] for t, sizes in bursts])


def burst_lengths_s(heard: Shown) -> Floats:
    """Return the length of each fast burst."""
    return np.array([np.ptp(t) for t, _ in groups(heard, FAST_S, 20)])


def rate_falls(heard: Shown) -> Floats:
    """Return the rate at each fast burst's end over that at its begin."""
    begin_hz, end_hz = burst_rates_hz(heard).reshape(-1, 2).T
    return end_hz / begin_hz


# ---- tremor ------------------------------------------------------------------------------------

ENVELOPE_HZ = 500.0


def envelope_uv(heard: Shown) -> Floats:
    """Return the mean size over 30 ms, at ENVELOPE_HZ."""
    per = round(heard.rate_hz / ENVELOPE_HZ)
    whole = (
        np.abs(heard.samples_uv[: heard.samples_uv.size // per * per]).reshape(-1, per).mean(axis=1)
    )
    window = np.hanning(round(0.06 * ENVELOPE_HZ))
    return np.convolve(whole, window / window.sum(), "same")


def grouping_hz(heard: Shown) -> Floats:
    """Return the frequency between 1 and 20 Hz at which the envelope varies most."""
    envelope = envelope_uv(heard)
    power = np.abs(np.fft.rfft(envelope - envelope.mean())) ** 2
    frequencies = np.fft.rfftfreq(envelope.size, 1 / ENVELOPE_HZ)
    band = (frequencies >= 1) & (frequencies <= 20)
    return frequencies[band][[np.argmax(power[band])]]


def between_over_within(heard: Shown) -> Floats:
    """Return the envelope's 10th centile over its 90th."""
    low, high = np.percentile(envelope_uv(heard), (10, 90))
    return np.array([low / high])


def group_edges(heard: Shown) -> Floats:
    """Return first and last points of the envelope's stretches above half of its top."""
    envelope = envelope_uv(heard)
    is_in = np.concatenate([[0], (envelope > np.percentile(envelope, 95) / 2).astype(int), [0]])
    edges = np.reshape(np.flatnonzero(np.diff(is_in)), (-1, 2))
    return edges[(edges[:, 0] > 0) & (edges[:, 1] < envelope.size)]


def typical_burst_ms(heard: Shown) -> Floats:
    """Return the median length of the groups."""
    return np.median(np.diff(group_edges(heard)), keepdims=True) / ENVELOPE_HZ * 1e3


def likeness_of_groups(heard: Shown) -> Floats:
    """Return the largest correlation of each group with the next, at any delay to 50 ms."""
    starts_s = group_edges(heard)[:, 0] / ENVELOPE_HZ
    found = []
    apart = np.diff(starts_s, append=0.0) > 0.15
    for a, b in zip(starts_s[apart], starts_s[1:][apart[:-1]], strict=True):
        one, other = heard.cut(a, a + 0.1), heard.cut(b - 0.05, b + 0.15)
        sums = np.correlate(other, one, "valid")
        powers = np.convolve(other**2, np.ones(one.size), "valid")
        found.append(np.max(sums / np.sqrt(powers)) / np.linalg.norm(one))
    return np.array(found)


# ---- the table ---------------------------------------------------------------------------------


class Row(NamedTuple):
    """A quantity of a kind, its limits, and a wrong form that does not keep to them."""

    kind: str
    what: str
    measure: Measure
    low: float
    high: float
    wrong: Wrong
    only: tuple[str, ...] = ()  # exhibits; empty: all of the kind

    @property
    def shows(self) -> list[Shown]:
        """The exhibits that are measured."""
        return [shown(e.id) for e in entries([self.kind]) if not self.only or e.id in self.only]

    def holds(self, values: Floats) -> bool:
        """Tell whether all values are within the limits."""
        return bool(np.all((values >= self.low) & (values <= self.high)))


ROWS = (
    # A crisp burst while the needle moves; it dies away when the needle rests.
    Row("insertional_burst", "size, uV", largest_uv, 50, 500, louder(0.1)),
    Row("insertional_burst", "silence before, uV", silence((0.0, 0.29)), 0, QUIET_UV, restless),
    Row("insertional_burst", "normal: goes on, s", goes_on_s, 0.05, 0.3, slower(2),
        ("insertional_burst",)),
    Row("insertional_burst", "increased: goes on, s", goes_on_s, 0.3, 1.0, slower(0.5),
        ("insertional_increased",)),
    Row("insertional_burst", "dies away", dies_away, 1.1, np.inf, backwards),
    # Miniature potentials: monophasic, negative, without rhythm.
    Row("end_plate_noise", "first phase", first_signs, -1, -1, inverted),
    Row("end_plate_noise", "phases", phases, 1, 1, sharpened),
    Row("end_plate_noise", "duration, ms", durations_ms(0.1), 0.5, 2, slower(3)),
    Row("end_plate_noise", "size, uV", sizes_uv, 10, 50, louder(4)),
    Row("end_plate_noise", "rate of each, Hz", densities_hz, 20, 40, slower(3)),
    Row("end_plate_noise", "CoV", scatter, 0.7, 1.3, retimed(evenly)),
    Row("end_plate_noise", "skewness", skewness, -np.inf, -1, inverted),
    # Spikes that begin negative, biphasic, very irregular.
    Row("end_plate_spike", "first phase", first_signs, -1, -1, inverted),
    Row("end_plate_spike", "phases", phases, 2, 2, sharpened),
    Row("end_plate_spike", "duration, ms", durations_at_5_uv_ms, 2, 4, slower(2)),
    Row("end_plate_spike", "size, uV", sizes_uv, 100, 600, louder(0.2)),
    Row("end_plate_spike", "rate, Hz", rates_hz, 5, 50, retimed(squeezed(0.1))),
    Row("end_plate_spike", "CoV", scatter, 0.5, 1.2, retimed(evenly)),
    Row("end_plate_spike", "shortest interval, s", shortest_s, 2e-3, 50e-3, slower(20, 1.0)),
    # A nidus: as end-plate noise, dense, and gone three millimetres on (row A63).
    Row("trigger_point", "first phase", first_signs, -1, -1, inverted),
    Row("trigger_point", "skewness", skewness, -np.inf, -1, inverted),
    Row("trigger_point", "rate of each, Hz", densities_hz, 10, 40, slower(5)),
    Row("trigger_point", "CoV", scatter, 0.7, 1.3, retimed(evenly)),
    Row("trigger_point", "rms, uV", noise_rms_uv, 5, 50, louder(0.2)),
    Row("trigger_point", "inside over 3 mm away", inside_over_away, 3, np.inf, louder(0.5)),
    Row("trigger_point", "quiet share over end-plate noise's", quieter_share, 0, 0.8, louder(0.3)),
    # Single fibres: positive first, short, regular. Rise times of fibres within 1 mm: C.6.
    Row("fibrillation", "first phase", first_signs, +1, +1, inverted),
    Row("fibrillation", "phases", phases, 2, 3, one_sided),
    Row("fibrillation", "duration, ms", durations_ms(0.05), 1, 5, slower(2)),
    Row("fibrillation", "rise, ms", rises_ms, 0.25, 0.86, slower(2)),
    Row("fibrillation", "size, uV", sizes_uv, 20, 300, louder(8)),
    Row("fibrillation", "rate, Hz", rates_hz, 0.5, 15, retimed(squeezed(10))),
    Row("fibrillation", "CoV", covs, 0.01, 0.1, retimed(by_chance), ("fibrillation",)),
    Row("fibrillation", "median CoV", typical_cov, 0.01, 0.1, retimed(by_chance)),
    # Sharp and positive, then a long shallow tail.
    Row("positive_sharp_wave", "first phase", first_signs, +1, +1, inverted),
    Row("positive_sharp_wave", "phases", phases, 2, 2, one_sided),
    Row("positive_sharp_wave", "duration, ms", durations_ms(0.05), 10, 30, slower(0.5)),
    Row("positive_sharp_wave", "half width, ms", sharp_ms, 0, 1.2, slower(2)),
    Row("positive_sharp_wave", "negative over positive", tails_share, 0.02, 0.3, sharpened),
    Row("positive_sharp_wave", "size, uV", sizes_uv, 50, 400, louder(0.3)),
    Row("positive_sharp_wave", "rate, Hz", rates_hz, 0.5, 20, retimed(squeezed(10))),
    Row("positive_sharp_wave", "CoV", covs, 0.01, 0.1, retimed(by_chance)),
    # The same cycle over and over, abrupt at both ends (row A41).
    Row("complex_repetitive_discharge", "size, uV", sizes_uv, 100, 1000, louder(0.1)),
    Row("complex_repetitive_discharge", "phases", phases, 5, np.inf, one_sided),
    Row("complex_repetitive_discharge", "cycle, ms", durations_ms(0.05), 5, 100, slower(0.3)),
    Row("complex_repetitive_discharge", "cycle over interval", cycle_share, 0, 0.99,
        retimed(squeezed(8))),
    Row("complex_repetitive_discharge", "rate, Hz", rates_hz, 5, 100, retimed(squeezed(8))),
    Row("complex_repetitive_discharge", "CoV", cycle_cov, 0, 0.005, retimed(loosely)),
    Row("complex_repetitive_discharge", "likeness of cycles", cycle_likeness, 0.998, 1,
        of_changing_shape),
    Row("complex_repetitive_discharge", "jitter of halves, us", component_jitter_us, 0, 5,
        trembling),
    Row("complex_repetitive_discharge", "steps", steps, 1, 1, of_one_shape),  # one fibre drops
    Row("complex_repetitive_discharge", "ends' sizes over middle", ends_over_middle, 0.95, 1.05,
        fading),
    Row("complex_repetitive_discharge", "ends' rates over mean", end_rates, 0.99, 1.01,
        retimed(speeding)),
    Row("complex_repetitive_discharge", "silence about, uV", silence((0.0, 0.49), (4.55, 5.0)),
        0, QUIET_UV, restless),
    # Rate and size swell and fade together (row A40); slopes of f0 (0.4 + 0.6 bump) over the rise
    # of 0.5-2 s and the fall of 2-8 s.
    Row("myotonic_discharge", "first phase", first_signs, +1, +1, inverted),
    Row("myotonic_discharge", "duration, ms", durations_ms(0.05), 1, 5, slower(3),
        ("myotonic_discharge",)),
    Row("myotonic_discharge", "duration of sharp waves, ms", durations_ms(0.05), 5, 20,
        slower(0.3), ("myotonic_sharp_waves",)),
    Row("myotonic_discharge", "size, uV", sizes_uv, 10, 1000, louder(20)),
    Row("myotonic_discharge", "rate, Hz", run_rates_hz, 20, 80, slower(2)),
    Row("myotonic_discharge", "change of rate", rate_change, 1.3, np.inf, retimed(evenly)),
    Row("myotonic_discharge", "change of size", size_change, 1.3, np.inf, of_one_size),
    Row("myotonic_discharge", "both together", change_together, 0.9, 1, of_one_size),
    Row("myotonic_discharge", "run, s", run_s, 2, 20, retimed(squeezed(10))),
    Row("myotonic_discharge", "waxing, Hz/s", waxing_hz_s, 15, 96, retimed(evenly),
        ("myotonic_discharge",)),
    Row("myotonic_discharge", "waxing, 1/s", waxing_per_s, 0.4, 1.6, of_one_size,
        ("myotonic_discharge",)),
    Row("myotonic_discharge", "waning, Hz/s", waning_hz_s, -24, -3.75, retimed(evenly)),
    Row("myotonic_discharge", "waning, 1/s", waning_per_s, -0.4, -0.1, of_one_size),
    Row("myotonic_discharge", "peak within", peak_share, 0.1, 0.5, beginning_at(2.9),
        ("myotonic_discharge",)),
    Row("myotonic_discharge", "wanes only", peak_share, 0, 0.1, backwards,
        ("myotonic_sharp_waves",)),
    # Whole units, singly and at random; in motor neuron disease long and of many phases.
    Row("fasciculation", "size, uV", sizes_uv, 123, 1480, louder(0.1), ("fasciculation",)),
    Row("fasciculation", "duration, ms", durations_ms(0.05), 2.8, 24, slower(0.2),
        ("fasciculation",)),
    Row("fasciculation", "phases", phases, 2, 4, one_sided, ("fasciculation",)),
    Row("fasciculation", "malignant: size, uV", sizes_uv, 135, 3599, louder(0.1),
        ("fasciculation_malignant",)),
    Row("fasciculation", "malignant: duration, ms", durations_ms(0.05), 4.5, 37, slower(0.2),
        ("fasciculation_malignant",)),
    Row("fasciculation", "malignant: most phases", most_phases, 5, 15, blunted,
        ("fasciculation_malignant",)),
    Row("fasciculation", "rate, Hz", site_rate_hz, 0.05, 2, slower(0.1)),
    Row("fasciculation", "CoV of the site", site_cov, 0.3, 2, one_clock),
    Row("fasciculation", "likeness of a unit's discharges", likeness, 0.95, 1, of_changing_shape,
        ("fasciculation",)),
    Row("fasciculation", "likeness of units", likeness_of_units, -1, 0.95, of_one_shape),
    Row("fasciculation", "rms between, uV", usual_uv, 0, 5, restless),
    # One unit in bursts of some, semi-rhythmic (row A44).
    Row("myokymia", "size, uV", sizes_uv, 200, 2000, louder(0.1)),
    Row("myokymia", "discharges of a burst", group_counts(0.25), 2, 10, retimed(evenly)),
    Row("myokymia", "burst, s", group_lengths_s(0.25), 0.1, 0.9, retimed(in_haste)),
    Row("myokymia", "rate in a burst, Hz", group_rates_hz(0.25), 5, 60, retimed(in_haste)),
    Row("myokymia", "between bursts, s", between_groups_s(0.25), 0.1, 10, slower(10, 3.0)),
    Row("myokymia", "CoV of bursts", group_cov(0.25), 0.02, 0.5, retimed(in_step)),
    Row("myokymia", "likeness of discharges", likeness, 0.95, 1, of_changing_shape),
    # A tone that begins at full size, shrinks, and falls a little (row A44).
    Row("neuromyotonia", "rate, Hz", burst_rates_hz, 150, 300, retimed(squeezed(0.5))),
    Row("neuromyotonia", "burst, s", burst_lengths_s, 0.1, 3, retimed(squeezed(10))),
    Row("neuromyotonia", "begins at once", begins_at_once, 0.9, 1, backwards),
    Row("neuromyotonia", "first size, uV", first_sizes_uv, 200, 1000, louder(0.25)),
    Row("neuromyotonia", "decrement, 1/s", decrement_per_s, -np.inf, -0.5, of_one_size),
    Row("neuromyotonia", "last over first rate", rate_falls, 0.5, 0.95, retimed(evenly)),
    Row("neuromyotonia", "silence before, uV", silence((0.0, 0.49)), 0, QUIET_UV, restless),
    # Many units that join and leave one by one, at 40-60 per second.
    Row("cramp", "largest, uV", largest_uv, 200, 1500, louder(0.1)),
    Row("cramp", "units", n_sources, 4, np.inf, alone),
    Row("cramp", "rate, Hz", rates_hz, 40, 60, retimed(squeezed(3))),
    Row("cramp", "units join within, s", joining_s, 0.3, 1.5, retimed(all_at_once)),
    Row("cramp", "pauses of all", n_pauses, 2, np.inf, retimed(evenly)),
    Row("cramp", "begin over middle", loudness((0.5, 0.75), (2, 5)), 0, 0.5, later(-1.5)),
    Row("cramp", "end over middle", loudness((5.9, 6.2), (2, 5)), 0, 0.8, later(1.0)),
    Row("cramp", "silence about, uV", silence((0.0, 0.49), (6.4, 7.0)), 0, QUIET_UV, restless),
    # Sets of two and three within some milliseconds.
    Row("multiplets", "size, uV", sizes_uv, 200, 2000, louder(0.1)),
    Row("multiplets", "discharges of a set", group_counts(0.05), 2, 3, retimed(evenly)),
    Row("multiplets", "intervals, s", group_intervals_s(0.05), 2e-3, 20e-3, slower(5)),
    Row("multiplets", "between sets, s", between_groups_s(0.05), 0.2, 1, retimed(squeezed(0.3))),
    Row("multiplets", "likeness of discharges", likeness, 0.95, 1, of_changing_shape),
    # Groups of many units, no two alike.
    Row("tremor", "groups, Hz", grouping_hz, 4, 8, slower(2.5)),
    Row("tremor", "between over within", between_over_within, 0, 0.3, echoing(0.1)),
    Row("tremor", "group, ms", typical_burst_ms, 50, 120, echoing(0.05)),
    Row("tremor", "likeness of groups", likeness_of_groups, -1, 0.7, repeating),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind}: {row.what}")
def test_what_the_gallery_shows_has_the_form_of_its_kind(row):
    """Every source of every exhibit of the kind keeps to the row's limits."""
    for heard in row.shows:
        values = row.measure(heard)
        assert values.size, heard.entry.id
        assert row.holds(values), (heard.entry.id, values, (row.low, row.high))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind}: {row.what}")
def test_a_wrong_form_is_refused(row):
    """The same samples, spoilt in what the row is about, are not within its limits."""
    for heard in row.shows:
        values = row.measure(row.wrong(heard))
        assert values.size, heard.entry.id
        assert not row.holds(values), (heard.entry.id, values, (row.low, row.high))


def test_every_kind_at_rest_has_its_form_checked():
    """All that a scenario may name, and tremor; and every one of their exhibits."""
    wanted = {*kinds("activities"), "tremor"}
    assert {row.kind for row in ROWS} == wanted
    assert {one.entry.id for row in ROWS for one in row.shows} == {e.id for e in entries(wanted)}
    assert all(row.shows for row in ROWS)
