"""A score says what was found, of whom, how late, and survives every odd input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

from emgsim.recording import Channel, Findings, FoundUnit, Recording, Truth
from emgsim.scoring import TOLERANCES_S, compare, detectability
from emgsim.stages import add_train
from emgsim.testing import findings, truths

RATE_HZ = 10_000.0


def test_identical_trains_score_one(findings_of, truth_of, regular) -> None:
    """Found equal to true: F1 1, no lag, no error, nothing missed and nothing false."""
    trains = [regular(8.0, 1), regular(11.0, 2)]
    score = compare(findings_of(*[t + 0.001 for t in trains]), truth_of(*trains))
    assert score.f1 == 1.0
    assert [u.found_id for u in score.units] == [1, 2]
    assert (score.n_false, score.n_duplicates, score.splits, score.merges) == (0, 0, {}, {})
    assert [u.lag_us for u in score.units] == pytest.approx([0.0, 0.0], abs=1e-6)


@given(truths(max_units=3))
def test_every_truth_scores_one_against_itself(truth: Truth) -> None:
    """Whatever the truth, to have found just that is perfect."""
    found = Findings(
        units=tuple(
            FoundUnit(
                id=u.id, discharge_times_s=u.spike_times_s, muap_uv=u.muap_uv, muap_start_s=0.0
            )
            for u in truth.units
        )
    )
    score = compare(found, truth)
    n = sum(unit.discharge_times_s.size for unit in truth.units)
    assert (score.pooled.tp, score.pooled.fp, score.pooled.fn) == (n, 0, 0)
    assert score.n_duplicates == 0


@given(findings(max_units=3), truths(max_units=3))
def test_every_discharge_is_counted_once(found: Findings, truth: Truth) -> None:
    """At every tolerance TP and FN are the true discharges, TP and FP the found ones."""
    score = compare(found, truth)
    n_true = sum(unit.discharge_times_s.size for unit in truth.units)
    n_found = sum(unit.discharge_times_s.size for unit in found.units)
    every = score.pooled_all
    assert (every.tp + every.fn, every.tp + every.fp) == (n_true, n_found)
    n_matched = sum(unit.found_id is not None for unit in score.units)
    assert n_matched + score.n_false + score.n_duplicates == score.n_found
    for unit in score.units:
        tps = [unit.counts_at[t].tp for t in TOLERANCES_S]
        assert tps == sorted(tps)
        assert unit.counts_at[score.tolerance_s] == unit.counts
        assert np.count_nonzero(unit.is_found) == unit.counts.tp
        assert (unit.true_times_s.size, unit.false_times_s.size) == (
            unit.counts.tp + unit.counts.fn,
            unit.counts.fp,
        )


def test_a_constant_lag_is_reported_and_not_charged(findings_of, truth_of, regular) -> None:
    """Spikes marked 1.7 ms late agree, and the report says 1700 us."""
    train = regular(9.0, 3)
    score = compare(findings_of(train + 0.001 + 0.0017), truth_of(train))
    assert score.f1 == 1.0
    assert score.units[0].lag_us == pytest.approx(1_700.0, abs=1.0)


def test_without_leave_to_be_late_a_lag_is_charged(findings_of, truth_of, regular) -> None:
    """With max_lag_s 0 the same spikes are no agreement: nothing is removed silently."""
    train = regular(9.0, 3)
    found, truth = findings_of(train + 0.001 + 0.0017), truth_of(train)
    assert compare(found, truth, max_lag_s=0.0).f1 == 0.0


def test_a_lag_beyond_the_limit_is_no_agreement(findings_of, truth_of, regular) -> None:
    """Ten milliseconds are another event."""
    train = regular(9.0, 3)
    score = compare(findings_of(train + 0.001 + 0.010), truth_of(train))
    assert score.units[0].found_id is None
    assert score.n_false == 1


def test_timing_is_the_error_about_the_lag(findings_of, truth_of, regular) -> None:
    """Gaussian jitter of 100 us SD around the lag is a median error of 67 us."""
    train = regular(9.0, 4, 100.0)
    jitter = 1e-4 * np.random.default_rng(5).standard_normal(train.size)
    score = compare(findings_of(train + 0.001 + jitter), truth_of(train))
    assert score.units[0].timing_us == pytest.approx(67.4, rel=0.1)


def test_each_tolerance_counts_what_lies_within_it(findings_of, truth_of) -> None:
    """Of ten discharges six are on time, two 0.4 ms late and two 0.8 ms: 6, 8 and 10 agree."""
    train = np.arange(1.0, 11.0) / 10
    late = np.repeat([0.0, 4e-4, 8e-4], [6, 2, 2])
    unit = compare(findings_of(train + 0.001 + late), truth_of(train), max_lag_s=0.0).units[0]
    assert [unit.counts_at[t].tp for t in TOLERANCES_S] == [6, 8, 10]


def test_missed_false_and_duplicate_units_are_counted(findings_of, truth_of, regular) -> None:
    """Two true units; one is found twice, one is missed, and one found unit is of nobody."""
    one, two, stranger = regular(8.0, 5), regular(11.0, 6), regular(13.0, 7)
    half = one[::2]
    score = compare(findings_of(one + 0.001, half + 0.001, stranger + 0.001), truth_of(one, two))
    assert (score.n_duplicates, score.n_false, score.n_missed) == (1, 1, 1)
    assert score.splits == {}, "the same discharges twice are a duplicate, and no split"
    assert [u.found_id for u in score.units] == [1, None]
    assert score.pooled.fn == two.size


def test_a_split_unit_is_named_with_its_parts(findings_of, truth_of, regular) -> None:
    """Two found units that share one true unit's discharges, beside a third unit found whole."""
    one, two = regular(8.0, 5), regular(11.0, 6)
    score = compare(findings_of(one[::2] + 0.001, two + 0.001, one[1::2] + 0.001),
                    truth_of(one, two))  # fmt: skip
    assert (score.splits, score.merges) == ({1: (1, 3)}, {})
    assert score.n_duplicates == 1, "the surplus part is charged as before"


def test_a_merged_unit_is_named_with_its_parts(findings_of, truth_of, regular) -> None:
    """One found unit that holds two true units' discharges, each at a lag of its own."""
    one, two = regular(8.0, 5), regular(9.0, 6)
    both = np.sort(np.concatenate([one, two + 0.002]))
    score = compare(findings_of(both + 0.001), truth_of(one, two))
    assert (score.splits, score.merges) == ({}, {1: (1, 2)})
    assert score.n_missed == 1


def test_a_few_stolen_discharges_merge_nothing(findings_of, truth_of, regular) -> None:
    """A unit that also holds a tenth of another one's discharges is impure, not merged."""
    one, two = regular(8.0, 5), regular(9.0, 6)
    stolen = np.sort(np.concatenate([one, two[::10]]))
    score = compare(findings_of(stolen + 0.001, two + 0.001), truth_of(one, two))
    assert (score.splits, score.merges) == ({}, {})


def test_a_mixture_that_holds_half_a_unit_is_no_part_of_it(findings_of, truth_of) -> None:
    """Half of a unit among thrice as many strange discharges: false ones, and no split."""
    true = np.arange(1.0, 21.0) / 10
    mixed = np.sort(np.concatenate([true[::2], true + 0.03, true[::2] + 0.06]))
    score = compare(findings_of(true[1::2] + 0.001, mixed + 0.001), truth_of(true))
    assert score.splits == {}


def test_discharges_are_counted_one_by_one(findings_of, truth_of, regular) -> None:
    """Three missed and two invented discharges are three FN and two FP."""
    train = regular(8.0, 8)
    found = np.sort(np.concatenate([train[3:], [train[5] + 0.05, train[9] + 0.05]])) + 0.001
    unit = compare(findings_of(found), truth_of(train)).units[0]
    assert (unit.counts.tp, unit.counts.fp, unit.counts.fn) == (train.size - 3, 2, 3)
    assert unit.is_found.tolist() == [False] * 3 + [True] * (train.size - 3)
    assert unit.false_times_s == pytest.approx([train[5] + 0.051, train[9] + 0.051])


@pytest.mark.parametrize("n_true", [0, 1])
@pytest.mark.parametrize("n_found", [0, 1])
def test_empty_sides_do_not_crash(n_true: int, n_found: int, findings_of, truth_of, regular):
    """No unit on either side gives NaN or zeros, a table, and all measurements."""
    trains = [regular(8.0, 9)]
    score = compare(findings_of(*trains[:n_found]), truth_of(*trains[:n_true]))
    assert str(score)
    assert len(score.measurements("truth")) == 10
    assert len(score.details("truth")) == 7


def test_a_unit_without_discharges_in_the_span_is_not_charged(findings_of, truth_of) -> None:
    """A recording of the first second asks for the first second's discharges only."""
    early, late = np.arange(0.1, 0.9, 0.1), np.arange(3.1, 3.9, 0.1)
    recording = Recording(
        samples_uv=np.random.default_rng(1).standard_normal((10_000, 1)),
        rate_hz=RATE_HZ,
        channels=(Channel(name="n"),),
    )
    score = compare(findings_of(early + 0.001), truth_of(early, late), recording=recording)
    assert [u.counts.fn for u in score.units] == [0, 0]


def test_detectability_takes_the_unit_itself_away(truth_of, findings_of, regular) -> None:
    """A lone unit over noise of 10 uV: its ratio is peak-to-peak over 10, not over 26."""
    train = regular(9.0, 10, 4.0)
    truth = truth_of(train, sizes_uv=(1000.0,))
    noise = 10.0 * np.random.default_rng(2).standard_normal(50_000)
    own = np.zeros(50_000)
    add_train(own, RATE_HZ, 0.0, truth.units[0])
    recording = Recording(
        samples_uv=(noise + own)[:, None], rate_hz=RATE_HZ, channels=(Channel(name="n"),)
    )
    ratio = detectability(recording, truth)[1]
    assert ratio == pytest.approx(1000.0 / 10.0, rel=0.05)
    assert detectability(recording, truth, lambda _: own)[1] == pytest.approx(ratio, rel=0.02)
    unit = compare(findings_of(train), truth, recording=recording).units[0]
    assert unit.snr_db == pytest.approx(20 * math.log10(500.0 / 10.0), abs=0.5)


def test_measurements_carry_intervals_that_hold_their_values(findings_of, truth_of, regular):
    """Every interval surrounds its value, and each id names its path and is there once."""
    train = regular(8.0, 11)
    score = compare(findings_of(np.delete(train, [3, 9]) + 0.001), truth_of(train))
    every = (*score.measurements("device"), *score.details("device"))
    assert len({m.id for m in every}) == len(every)
    for measurement in every:
        assert measurement.id.endswith(".device")
        if measurement.low is not None and not math.isnan(measurement.value):
            assert measurement.low <= measurement.value <= measurement.high


def test_details_tell_the_lag_and_its_range(findings_of, truth_of, regular) -> None:
    """Three units 1, 2 and 4 ms late: 2 ms in the middle, 3 ms apart."""
    trains = [regular(8.0, k) for k in (1, 2, 3)]
    found = [t + 0.001 + late for t, late in zip(trains, (0.001, 0.002, 0.004), strict=True)]
    told = {m.id: m.value for m in compare(findings_of(*found), truth_of(*trains)).details("truth")}
    assert told["discharges.lag_us.truth"] == pytest.approx(2000.0, abs=1e-3)
    assert told["discharges.lag_range_us.truth"] == pytest.approx(3000.0, abs=1e-3)


@pytest.mark.parametrize("name", ["tolerance_s", "max_lag_s"])
@pytest.mark.parametrize("value", [-0.001, math.nan, math.inf])
def test_a_tolerance_must_be_a_length_of_time(name: str, value: float, findings_of, truth_of):
    """Thing, rule and value are in the message."""
    with pytest.raises(ValueError, match=rf"{name} must be finite and >= 0, got {value}"):
        compare(findings_of(), truth_of(), **{name: value})


def test_a_discharge_at_no_time_is_an_error(findings_of, truth_of) -> None:
    """NaN would sort to the end and be counted as a false discharge."""
    with pytest.raises(ValueError, match="unit 1: discharge times must be finite"):
        compare(findings_of(np.array([0.1, math.nan])), truth_of(np.array([0.1])))
