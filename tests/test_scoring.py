"""The matcher equals brute force, keeps its laws, and the score survives every odd input."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.recording import Channel, Findings, FoundUnit, MotorUnit, Recording, Truth
from emgsim.scoring import best_lag_s, compare, detectability, match_discharges, wilson

RATE_HZ = 10_000.0
TRAINS = st.lists(st.integers(0, 60), max_size=7, unique=True).map(
    lambda ticks: np.sort(np.array(ticks, float)) * 1e-4
)


def true_unit(number: int, times_s: np.ndarray, size_uv: float = 100.0) -> MotorUnit:
    """Return a unit whose spike stands 1 ms after its discharge."""
    wave = size_uv * np.array([0.0, 0.25, 0.5, 0.0, -0.5, -0.25, 0.0])
    return MotorUnit(
        id=number,
        muscle="m",
        threshold=0.0,
        n_fibres=1,
        discharge_times_s=np.asarray(times_s),
        muap_uv=wave[:, None],
        muap_start_s=0.0008,
        arrival_s=0.001,
    )


def truth_of(*trains: np.ndarray) -> Truth:
    """Return the truth of some trains."""
    units = tuple(true_unit(k, train) for k, train in enumerate(trains, start=1))
    return Truth(units=units, muap_rate_hz=RATE_HZ)


def findings_of(*trains: np.ndarray) -> Findings:
    """Return findings of some trains."""
    units = tuple(
        FoundUnit(id=k, discharge_times_s=np.asarray(t), muap_uv=np.zeros((1, 1)), muap_start_s=0.0)
        for k, t in enumerate(trains, start=1)
    )
    return Findings(units=units)


def brute_force(a: np.ndarray, b: np.ndarray, tolerance_s: float) -> int:
    """Return the size of the largest one-to-one matching, by trying every set of pairs."""
    close = [
        (i, j) for i in range(a.size) for j in range(b.size) if abs(a[i] - b[j]) <= tolerance_s
    ]
    for size in range(min(a.size, b.size), 0, -1):
        for chosen in combinations(close, size):
            if len({i for i, _ in chosen}) == size == len({j for _, j in chosen}):
                return size
    return 0


@given(
    st.lists(st.integers(0, 12), max_size=4, unique=True),
    st.lists(st.integers(0, 12), max_size=4, unique=True),
)
def test_matching_equals_brute_force(a: list[int], b: list[int]) -> None:
    """The sweep along the line is as good as trying everything."""
    one, other = np.sort(np.array(a, float)), np.sort(np.array(b, float))
    assert len(match_discharges(one, other, 2.0)) == brute_force(one, other, 2.0)


@given(TRAINS, TRAINS)
def test_matching_is_symmetric_and_bounded(a: np.ndarray, b: np.ndarray) -> None:
    """Both directions give as many pairs, never more than the shorter train has."""
    n = len(match_discharges(a, b, 5e-4))
    assert n == len(match_discharges(b, a, 5e-4))
    assert n <= min(a.size, b.size)


@given(TRAINS)
def test_identical_trains_match_wholly(a: np.ndarray) -> None:
    """A train agrees with itself, discharge by discharge."""
    assert match_discharges(a, a, 5e-4) == [(i, i) for i in range(a.size)]


@given(TRAINS, TRAINS, st.integers(-8, 8))
def test_matching_does_not_depend_on_the_clock(a: np.ndarray, b: np.ndarray, late: int) -> None:
    """Shifting both trains by whole seconds changes nothing."""
    n = len(match_discharges(a, b, 5.5e-4))
    assert n == len(match_discharges(a + late, b + late, 5.5e-4))


def regular(rate_hz: float, seed: int, seconds: float = 5.0) -> np.ndarray:
    """Return a train with a coefficient of variation of 0.15."""
    rng = np.random.default_rng(seed)
    steps = (1 + 0.15 * rng.standard_normal(int(seconds * rate_hz))) / rate_hz
    return 0.05 + np.cumsum(steps)


def test_identical_trains_score_one() -> None:
    """Found equal to true: F1 1, no lag, no error, nothing missed and nothing false."""
    trains = [regular(8.0, 1), regular(11.0, 2)]
    score = compare(findings_of(*[t + 0.001 for t in trains]), truth_of(*trains))
    assert score.f1 == 1.0
    assert [u.found_id for u in score.units] == [1, 2]
    assert (score.n_false, score.n_duplicates) == (0, 0)
    assert [u.lag_us for u in score.units] == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_constant_lag_is_reported_and_not_charged() -> None:
    """Spikes marked 1.7 ms late agree, and the report says 1700 us."""
    train = regular(9.0, 3)
    score = compare(findings_of(train + 0.001 + 0.0017), truth_of(train))
    assert score.f1 == 1.0
    assert score.units[0].lag_us == pytest.approx(1_700.0, abs=1.0)


def test_a_lag_beyond_the_limit_is_no_agreement() -> None:
    """Ten milliseconds are another event."""
    train = regular(9.0, 3)
    score = compare(findings_of(train + 0.001 + 0.010), truth_of(train))
    assert score.units[0].found_id is None
    assert score.n_false == 1


def test_timing_is_the_error_about_the_lag() -> None:
    """Gaussian jitter of 100 us SD around the lag is a median error of 67 us."""
    train = regular(9.0, 4, 100.0)
    jitter = 1e-4 * np.random.default_rng(5).standard_normal(train.size)
    score = compare(findings_of(train + 0.001 + jitter), truth_of(train))
    assert score.units[0].timing_us == pytest.approx(67.4, rel=0.1)


def test_missed_false_and_duplicate_units_are_counted() -> None:
    """Two true units; one is found twice, one is missed, and one found unit is of nobody."""
    one, two, stranger = regular(8.0, 5), regular(11.0, 6), regular(13.0, 7)
    half = one[::2]
    score = compare(findings_of(one + 0.001, half + 0.001, stranger + 0.001), truth_of(one, two))
    assert score.n_duplicates == 1
    assert score.n_false == 1
    assert [u.found_id for u in score.units] == [1, None]
    assert score.pooled.fn == two.size


def test_discharges_are_counted_one_by_one() -> None:
    """Three missed and two invented discharges are three FN and two FP."""
    train = regular(8.0, 8)
    found = np.sort(np.concatenate([train[3:], [train[5] + 0.05, train[9] + 0.05]])) + 0.001
    counts = compare(findings_of(found), truth_of(train)).units[0].counts
    assert (counts.tp, counts.fp, counts.fn) == (train.size - 3, 2, 3)


@pytest.mark.parametrize("n_true", [0, 1])
@pytest.mark.parametrize("n_found", [0, 1])
def test_empty_sides_do_not_crash(n_true: int, n_found: int) -> None:
    """No unit on either side gives NaN or zeros, a table, and all measurements."""
    trains = [regular(8.0, 9)]
    score = compare(findings_of(*trains[:n_found]), truth_of(*trains[:n_true]))
    assert str(score)
    assert len(score.measurements("truth")) == 10


def test_a_unit_without_discharges_in_the_span_is_not_charged() -> None:
    """A recording of the first second asks for the first second's discharges only."""
    early, late = np.arange(0.1, 0.9, 0.1), np.arange(3.1, 3.9, 0.1)
    recording = Recording(
        samples_uv=np.random.default_rng(1).standard_normal((10_000, 1)),
        rate_hz=RATE_HZ,
        channels=(Channel(name="n"),),
    )
    score = compare(findings_of(early + 0.001), truth_of(early, late), recording=recording)
    assert [u.counts.fn for u in score.units] == [0, 0]


def test_detectability_takes_the_unit_itself_away() -> None:
    """A lone unit over noise of 10 uV: its ratio is peak-to-peak over 10, not over the sum."""
    train = regular(9.0, 10, 4.0)
    truth = truth_of(train)
    noise = 10.0 * np.random.default_rng(2).standard_normal(50_000)
    own = np.zeros(50_000)
    for time_s in train:
        first = round((time_s + 0.0008) * RATE_HZ)
        own[first : first + 7] += truth.units[0].muap_uv[:, 0]
    recording = Recording(
        samples_uv=(noise + own)[:, None], rate_hz=RATE_HZ, channels=(Channel(name="n"),)
    )
    ratio = detectability(recording, truth)[1]
    assert ratio == pytest.approx(100.0 / 10.0, rel=0.05)
    assert detectability(recording, truth, lambda _: own)[1] == pytest.approx(ratio, rel=0.02)


def test_measurements_carry_intervals_that_hold_their_values() -> None:
    """Every interval surrounds its value, and each id names its path."""
    train = regular(8.0, 11)
    found = np.delete(train, [3, 9]) + 0.001
    for measurement in compare(findings_of(found), truth_of(train)).measurements("device"):
        assert measurement.id.endswith(".device")
        if measurement.low is not None and not math.isnan(measurement.value):
            assert measurement.low <= measurement.value <= measurement.high


def test_wilson_covers_a_proportion() -> None:
    """Averaged over a grid of p, the nominal 95 % interval holds the truth in 93 to 97 %."""
    rng = np.random.default_rng(12)
    held = []
    for p in np.linspace(0.05, 0.95, 19):
        for successes in rng.binomial(60, p, 200):
            low, high = wilson(int(successes), 60)
            held.append(low <= p <= high)
    assert 0.93 <= np.mean(held) <= 0.97


def test_the_lag_is_the_densest_difference() -> None:
    """A few coincidences elsewhere do not move it."""
    train = regular(9.0, 13)
    found = np.sort(np.concatenate([train + 0.002, train[::6] - 0.003]))
    assert best_lag_s(train, found, 5e-4, 6e-3) == pytest.approx(0.002, abs=1e-6)
