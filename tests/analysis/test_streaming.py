"""What a stream of samples tells while it comes, and that blocks do not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emgsim.analysis.conditioning import condition
from emgsim.analysis.core import analyse
from emgsim.analysis.plan import NeedlePlan
from emgsim.analysis.streaming import StreamingDecomposition, UnitDischarge
from emgsim.analysis.streaming.filters import BandPass, grid_of
from emgsim.analysis.streaming.tape import Tape
from emgsim.errors import NotAnalysableError
from emgsim.recording import Recording
from emgsim.scoring import best_lag_s, match_discharges
from tests.analysis.conftest import played, train

Floats = NDArray[np.float64]
RATE_HZ = 10_000.0
LEARNING_S = 4.0
Told = list[tuple[float, UnitDischarge]]  # seconds given so far, and what was told then


@pytest.fixture(scope="module")
def trains() -> list[Floats]:
    """Three units of 8, 10 and 12 per second for 9 s."""
    rng = np.random.default_rng(31)
    return [train(rng, rate, 0.1, 8.95) for rate in (8.0, 10.0, 12.0)]


@pytest.fixture(scope="module")
def recording(trains: list[Floats]) -> Recording:
    """Their recording at 10 kHz."""
    return played(trains, RATE_HZ, 9.0, seed=3)


@pytest.fixture(scope="module")
def whole(recording: Recording) -> tuple[UnitDischarge, ...]:
    """What a stream tells that is given all samples at once."""
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    return stream.step(recording.samples_uv[:, 0]) + stream.finish()


def fed(stream: StreamingDecomposition, samples_uv: Floats, block: int) -> Told:
    """Give samples in blocks; return each discharge with the time when it was told."""
    told: Told = []
    for first in range(0, samples_uv.size, block):
        given_s = min(first + block, samples_uv.size) / stream.grid.rate_hz
        told += [(given_s, one) for one in stream.step(samples_uv[first : first + block])]
    return told + [(np.inf, one) for one in stream.finish()]


def trains_of(told: Told) -> list[Floats]:
    """Return the trains of the units in order of their numbers."""
    ones = [one for _, one in told]
    numbers = sorted({one.unit_id for one in ones})
    return [np.array(sorted(d.time_s for d in ones if d.unit_id == k)) for k in numbers]


def agreement(true_s: Floats, found: list[Floats], start_s: float, stop_s: float) -> float:
    """Return the best Jaccard agreement of a true train with any found one, 0.5 ms, in a span."""
    best = 0.0
    true_s = true_s[(true_s >= start_s) & (true_s < stop_s)]
    for train_s in found:
        lag = best_lag_s(true_s, train_s, 0.0005, 0.006)
        moved = train_s - lag
        moved = moved[(moved >= start_s) & (moved < stop_s)]
        n = len(match_discharges(true_s, moved, 0.0005))
        best = max(best, n / (true_s.size + moved.size - n))
    return best


@settings(max_examples=5, deadline=None, derandomize=True)
@given(sizes=st.lists(st.integers(0, 20_000), min_size=1, max_size=12))
def test_blocks_do_not_matter(
    sizes: list[int], recording: Recording, whole: tuple[UnitDischarge, ...]
) -> None:
    """Any split of the samples into blocks tells the same discharges, bit for bit."""
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    edges = np.minimum(np.cumsum(sizes), recording.n_samples)
    told: list[UnitDischarge] = []
    for block in np.split(recording.samples_uv[:, 0], edges):
        told += stream.step(block)
    told += stream.finish()
    assert sorted(told) == sorted(whole)


def test_single_samples_are_blocks_too(recording: Recording) -> None:
    """Sample by sample nothing is lost between two hops."""
    given_all = StreamingDecomposition(RATE_HZ, learning_s=2.0)
    given_each = StreamingDecomposition(RATE_HZ, learning_s=2.0)
    samples_uv = recording.samples_uv[:25_003, 0]
    told = list(given_all.step(samples_uv))
    assert told
    assert told == [one for k in range(25_003) for one in given_each.step(samples_uv[k : k + 1])]


def test_units_are_followed_after_learning(
    trains: list[Floats], whole: tuple[UnitDischarge, ...]
) -> None:
    """All three units, in the learning period and after it, and no fourth."""
    found = trains_of([(0.0, one) for one in whole])
    assert len(found) == 3
    assert min(agreement(true, found, 0.0, LEARNING_S) for true in trains) >= 0.97
    assert min(agreement(true, found, LEARNING_S, 8.9) for true in trains) >= 0.97


def test_a_discharge_is_told_within_the_latency(recording: Recording) -> None:
    """After learning no discharge comes later than promised, and none before it happened."""
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    told = fed(stream, recording.samples_uv[:, 0], 7)
    late_s = [given_s - one.time_s for given_s, one in told if LEARNING_S < one.time_s < 8.8]
    assert len(late_s) > 100
    assert min(late_s) > 0
    assert max(late_s) <= stream.latency_s + 7 / RATE_HZ <= 0.1 + 7 / RATE_HZ


def test_findings_are_those_of_the_whole_recording(recording: Recording) -> None:
    """Units, potentials and events agree with `analyse`, which sees all at once."""
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S, start_s=100.0)
    stream.step(recording.samples_uv[:, 0])
    stream.finish()
    live, offline = stream.findings(), analyse(replace(recording, start_s=100.0))
    assert len(live.units) == len(offline.units) == 3
    for unit in offline.units:
        trains_s = [one.discharge_times_s for one in live.units]
        assert agreement(unit.discharge_times_s, trains_s, 100.0, 108.9) >= 0.95
    sizes = [sorted(u.measures["peak_to_peak_uv"] for u in f.units) for f in (live, offline)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.03)
    assert [e.kind for e in live.events] == [e.kind for e in offline.events]


def test_a_unit_that_begins_later_is_found(trains: list[Floats]) -> None:
    """A unit recruited after the learning period is followed from some seconds later on."""
    late_s = trains[2][trains[2] > 4.5]
    samples_uv = played([*trains[:2], late_s], RATE_HZ, 9.0, seed=4).samples_uv[:, 0]
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    told = fed(stream, samples_uv, 500)
    found = trains_of(told)
    assert len(found) == 3
    first_told_s = min(given_s for given_s, one in told if one.unit_id == 3)
    assert 4.5 < first_told_s < 7.0
    assert agreement(late_s, found[2:], first_told_s, 8.9) >= 0.95


def test_a_unit_that_fades_is_followed(trains: list[Floats]) -> None:
    """When the needle leaves slowly, and potentials fall to two thirds, templates follow."""
    recording = played(trains, RATE_HZ, 9.0, noise_uv=0.0)
    fading = np.interp(np.arange(recording.n_samples) / RATE_HZ, [LEARNING_S, 9.0], [1.0, 0.65])
    noise_uv = 5.0 * np.random.default_rng(6).standard_normal(recording.n_samples)
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    found = trains_of(fed(stream, recording.samples_uv[:, 0] * fading + noise_uv, 1_000))
    assert len(found) == 3
    assert min(agreement(true, found, 7.0, 8.9) for true in trains) >= 0.97


def test_a_gap_holds_no_discharge(recording: Recording, trains: list[Floats]) -> None:
    """Lost samples are not invented; after them the units go on."""
    samples_uv = recording.samples_uv[:, 0] + 20_000.0
    samples_uv[60_000:67_000] = np.nan
    samples_uv[:500] = np.nan
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    found = trains_of(fed(stream, samples_uv, 333))
    every = np.concatenate(found)
    assert len(found) == 3
    assert not np.any((every > 6.0) & (every < 6.7))
    assert not np.any(every < 0.05)
    assert min(agreement(true, found, 4.0, 5.95) for true in trains) >= 0.97
    assert min(agreement(true, found, 6.75, 8.9) for true in trains) >= 0.97


def test_an_offset_does_not_matter(recording: Recording, whole: tuple[UnitDischarge, ...]) -> None:
    """Electrodes carry direct voltages of many millivolts, from the first sample on."""
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    told = stream.step(recording.samples_uv[:, 0] + 20_000.0) + stream.finish()
    assert [one.unit_id for one in told] == [one.unit_id for one in whole]
    times_s = [[one.time_s for one in ones] for ones in (told, whole)]
    assert times_s[0] == pytest.approx(times_s[1], abs=1e-6)


def test_a_potential_cut_by_a_gap_is_not_told(
    recording: Recording, trains: list[Floats], whole: tuple[UnitDischarge, ...]
) -> None:
    """What lies within 3 ms of missing samples is half a guess: it is left out."""
    samples_uv = recording.samples_uv[:, 0].copy()
    starts = [round((time_s + 0.001) * RATE_HZ) for time_s in trains[0][40:60:4]]
    for first in starts:
        samples_uv[first : first + 200] = np.nan
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    told = [*stream.step(samples_uv), *stream.finish()]
    for first in starts:
        inside = (first / RATE_HZ - 0.003, (first + 200) / RATE_HZ + 0.003)
        assert any(inside[0] < one.time_s < inside[1] for one in whole)
        assert not any(inside[0] < one.time_s < inside[1] for one in told)


def test_what_has_fallen_silent_has_no_potential(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no discharge is remembered any more the train is known, and no potential."""
    monkeypatch.setattr("emgsim.analysis.streaming.stream.REMEMBERED_S", 1.0)
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    stream.step(recording.samples_uv[:, 0])
    stream.step(5.0 * np.random.default_rng(9).standard_normal(45_000))
    findings = stream.findings()
    assert [unit.discharge_times_s.size > 60 for unit in findings.units] == [True] * 3
    assert all(np.isnan(unit.measures["peak_to_peak_uv"]) for unit in findings.units)
    assert [event.kind for event in findings.events] == ["rest"]
    stream.step(np.full(45_000, np.nan))
    assert stream.findings().events == ()


def test_rest_and_noise_tell_nothing() -> None:
    """Noise has no units: nothing is told, and the findings say so."""
    stream = StreamingDecomposition(RATE_HZ, learning_s=2.0)
    noise_uv = 5.0 * np.random.default_rng(8).standard_normal(50_000)
    assert fed(stream, noise_uv, 1_000) == []
    assert stream.is_learning
    assert stream.findings().units == ()


def test_learning_begins_again_until_there_are_units(trains: list[Floats]) -> None:
    """Units that begin after a quiet learning period are learned when there are enough."""
    late = [t[t > 3.0] for t in trains]
    samples_uv = played(late, RATE_HZ, 9.0, seed=5).samples_uv[:, 0]
    stream = StreamingDecomposition(RATE_HZ, learning_s=2.5)
    told = fed(stream, samples_uv, 1_000)
    found = trains_of(told)
    assert 3.0 < min(given_s for given_s, _ in told) < 7.0
    assert min(agreement(true, found, 7.0, 8.9) for true in late) >= 0.95


@pytest.mark.parametrize(
    ("samples_uv", "words"),
    [
        (np.zeros(0), "0 s of samples, 4 s are learned from"),
        (np.zeros(20_000), "2 s of samples, 4 s are learned from"),
        (np.full(50_000, 3.0), "flat at 3 uV"),
        (np.full(50_000, np.nan), "every sample is missing"),
    ],
)
def test_nothing_is_found_in_nothing(samples_uv: Floats, words: str) -> None:
    """Before anything was learned, findings are refused with the reason."""
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    assert stream.step(samples_uv) == ()
    with pytest.raises(NotAnalysableError, match=words):
        stream.findings()


def test_a_short_stream_is_learned_when_it_ends(recording: Recording, trains: list[Floats]) -> None:
    """Three seconds and the end: what was gathered is decomposed as it is."""
    stream = StreamingDecomposition(RATE_HZ, learning_s=LEARNING_S)
    assert stream.step(recording.samples_uv[:30_000, 0]) == ()
    found = trains_of([(0.0, one) for one in stream.finish()])
    assert min(agreement(true, found, 0.0, 2.95) for true in trains) >= 0.95


def test_impossible_input_is_refused() -> None:
    """Rates, durations and shapes from which nothing can come are errors."""
    with pytest.raises(ValueError, match="rate_hz must be >= 9500 Hz, got 1000"):
        StreamingDecomposition(1_000.0)
    with pytest.raises(ValueError, match=r"learning_s must be >= 2 s, got 0\.5"):
        StreamingDecomposition(RATE_HZ, learning_s=0.5)
    with pytest.raises(ValueError, match=r"expected \(n_samples,\), got \(5, 1\)"):
        StreamingDecomposition(RATE_HZ).step(np.zeros((5, 1)))


@pytest.mark.parametrize("rate_hz", [10_000.0, 23_437.5, 48_000.0])
def test_the_filter_is_that_of_a_recording(rate_hz: float) -> None:
    """Hop by hop the band-passed samples are those of `condition`, within 0.2 % of their rms."""
    plan, rng = NeedlePlan(), np.random.default_rng(2)
    grid = grid_of(rate_hz, plan, 0.025)
    samples_uv = rng.standard_normal(20 * grid.hop)
    band = BandPass(grid, plan)
    live = np.concatenate([band.step(hop)[0] for hop in samples_uv.reshape(20, -1)])
    offline = condition(samples_uv, rate_hz, 0.0, plan)
    inside = slice(6 * grid.work_hop, 12 * grid.work_hop)
    times_s = (np.arange(live.size)[inside] - grid.delay) / grid.work_hz
    spectrum = np.fft.rfft(offline.samples)
    turns = np.arange(spectrum.size) / offline.samples.size * offline.rate_hz
    phases = np.exp(2j * np.pi * np.outer(times_s - offline.start_s, turns))
    expected = (2 * np.real(phases @ spectrum) - np.real(spectrum[0])) / offline.samples.size
    error = np.sqrt(np.mean((live[inside] - expected) ** 2) / np.mean(expected**2))
    assert error < 0.002


def test_a_tape_remembers_the_newest_samples() -> None:
    """Whatever the sizes of what is added, the last ones can be read, the oldest cannot."""
    tape = Tape(10)
    for n in (3, 0, 30, 1, 12, 45):
        tape.append(np.arange(tape.end, tape.end + n, dtype=float))
    assert tape.end == 91
    assert tape.cut(81, 91).tolist() == list(range(81, 91))
    with pytest.raises(IndexError, match="must lie in"):
        tape.cut(0, 5)
    with pytest.raises(IndexError, match="must lie in"):
        tape.cut(90, 92)
