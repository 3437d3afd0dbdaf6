"""Stretches are scored each against its own truth, and pooled by adding up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from emgsim.recording import Channel, Recording, Stay, Truth
from emgsim.scoring import (
    TOLERANCES_S,
    compare,
    compare_stretches,
    pooled_score,
    pooled_strata,
    strata,
    summarise,
)
from emgsim.stages import add_train

RATE_HZ = 10_000.0
SPANS = {"slight 1": (0.0, 5.0), "slight 2": (5.0, 10.0)}


@pytest.fixture
def truth(truth_of, regular) -> Truth:
    """Return two units that discharge for 10 s, and are heard from two places.

    Unit 1 is large at the first place and small at the second, unit 2 can be heard at the second
    place only.
    """
    trains = [regular(rate_hz, seed, 9.9) for rate_hz, seed in ((8.0, 1), (10.0, 2))]
    trains = [train[train < 9.9] for train in trains]
    first, second = (
        truth_of(*trains, sizes_uv=sizes_uv) for sizes_uv in ((400.0, 300.0), (60.0, 500.0))
    )
    stays = tuple(
        Stay(onset_s=a, offset_s=b, units=tuple(unit.between(a, b) for unit in units))
        for (a, b), units in zip(SPANS.values(), (first.units[:1], second.units), strict=True)
    )
    return replace(first, stays=stays)


@pytest.fixture
def recording(truth) -> Recording:
    """Return what the needle hears at the two places, over noise of 5 uV."""
    samples_uv = 5.0 * np.random.default_rng(1).standard_normal(round(10 * RATE_HZ))
    for stay in truth.stays:
        for unit in stay.units:
            add_train(samples_uv, RATE_HZ, 0.0, unit)
    return Recording(
        samples_uv=samples_uv[:, None], rate_hz=RATE_HZ, channels=(Channel(name="needle"),)
    )


@pytest.fixture
def found(findings_of, truth):
    """Return a detector's findings, which know of no stretch: unit 2 and some of unit 1."""
    one, two = (unit.spike_times_s for unit in truth.units)
    false_s = np.arange(0.2, 9.8, 0.13)
    return findings_of(one[one < 4.0], two[two >= 5.0], false_s)


def test_each_stretch_is_scored_against_its_own_truth(found, truth, recording) -> None:
    """A part is what `compare` says of the stretch alone."""
    score = compare_stretches(found, truth, SPANS, recording=recording)
    assert list(score.parts) == list(SPANS)
    for name, (a, b) in SPANS.items():
        part, alone = (
            score.parts[name],
            compare(found.within(a, b), truth.at(a, b), recording=recording.cut(a, b)),
        )
        assert part == alone
        assert [u.amplitude_uv for u in part.units] == [
            u.peak_to_peak_uv for u in truth.at(a, b).units
        ]


def test_a_unit_heard_from_two_places_is_two(found, truth, recording) -> None:
    """Unit 1 was found at the first place and missed at the second, where it is small."""
    score = compare_stretches(found, truth, SPANS, recording=recording)
    assert [(u.truth_id, u.found_id) for u in score.units] == [(1, 1), (1, None), (2, 2)]
    assert [round(u.amplitude_uv) for u in score.units] == [400, 60, 500]
    assert (score.n_found, score.n_false, score.n_duplicates) == (4, 2, 0)


def test_counts_of_a_pooled_score_are_the_sums_of_its_parts(found, truth, recording) -> None:
    """TP, FP and FN, at every tolerance, of detectable units and of all; found and false units."""
    score = compare_stretches(found, truth, SPANS, recording=recording)
    parts = tuple(score.parts.values())
    for of in (lambda s: s.pooled, lambda s: s.pooled_all):
        each = [of(part) for part in parts]
        assert of(score) == each[0] + each[1]
    for tolerance_s in TOLERANCES_S:
        assert score.pooled_at(tolerance_s) == (
            parts[0].pooled_at(tolerance_s) + parts[1].pooled_at(tolerance_s)
        )
    for name in ("n_found", "n_false", "n_duplicates", "n_false_discharges", "n_missed"):
        assert getattr(score, name) == sum(getattr(part, name) for part in parts)
    assert score.pooled == summarise(score.parts).gross, "EC57's gross line"
    assert 0 < score.f1 < 1


def test_every_true_discharge_of_the_stretches_is_asked_for_once(found, truth, recording) -> None:
    """TP and FN together are what the units discharge where they are heard."""
    score = compare_stretches(found, truth, SPANS, recording=recording)
    every = score.pooled_all
    n_true = sum(u.n_discharges for span in SPANS.values() for u in truth.at(*span).units)
    assert every.tp + every.fn == n_true
    assert every.tp + every.fp == sum(u.discharge_times_s.size for u in found.units)


def test_a_pooled_score_is_measured_like_any_other(found, truth, recording) -> None:
    """The same measurements under the same names, with their intervals, and a table to read."""
    score = compare_stretches(found, truth, SPANS, recording=recording)
    alone = compare(found.within(0.0, 5.0), truth.at(0.0, 5.0), recording=recording.cut(0.0, 5.0))
    for name in ("measurements", "details"):
        assert [m.id for m in getattr(score, name)("device")] == [
            m.id for m in getattr(alone, name)("device")
        ]
    measured = {m.id: m for m in score.measurements("device")}
    f1 = measured["discharges.f1.device"]
    assert f1.value == score.f1
    assert f1.low < f1.value < f1.high
    assert measured["units.found.device"].value == 4
    assert "4 found, 2 false" in str(score)


def test_splits_and_merges_are_counted_where_they_are(findings_of, truth_of, regular) -> None:
    """A unit that is split at both places is two splits; the pooled score names all parts."""
    train = regular(10.0, 3)
    halves = findings_of(train[::2] + 0.001, train[1::2] + 0.001)
    one = compare(halves, truth_of(train))
    assert one.n_split == 1
    score = pooled_score({"left": one, "right": one})
    assert (score.n_split, score.n_merged) == (2, 0)
    assert score.splits == one.splits == {1: (1, 2)}
    assert {m.id: m.value for m in score.details("x")}["units.split.x"] == 2
    other = replace(one, splits={1: (5, 6), 4: (7, 8)})
    assert pooled_score({"left": one, "right": other}).splits == {1: (1, 2, 5, 6), 4: (7, 8)}
    merged = replace(one, splits={}, merges={3: (1, 2)})
    assert pooled_score({"left": one, "right": merged}).n_merged == 1


def test_strata_of_the_stretches_add_up_to_the_pooled_counts(found, truth, recording) -> None:
    """Each stretch's table is made with its own truth."""
    score = compare_stretches(found, truth, SPANS, recording=recording)
    table = pooled_strata(
        strata(part, truth.at(*SPANS[name])) for name, part in score.parts.items()
    )
    for by in ("similarity", "collision_lag_ms"):
        counts = [stratum.counts for stratum in table if stratum.by == by]
        assert sum(counts[1:], counts[0]) == score.pooled


def test_a_device_renders_the_units_of_each_stretch(found, truth, recording) -> None:
    """Where a path halves everything, and says so, the same MUAPs stand twice as far out."""
    half = replace(recording, samples_uv=0.5 * recording.samples_uv)

    def render_in(piece: Recording):
        def render(unit):
            samples_uv = np.zeros(piece.n_samples)
            add_train(samples_uv, piece.rate_hz, piece.start_s, unit)
            return 0.5 * samples_uv

        return render

    score = compare_stretches(found, truth, SPANS, recording=half, render_in=render_in)
    clean = compare_stretches(found, truth, SPANS, recording=recording)
    assert [u.ratio for u in score.units] == pytest.approx([2 * u.ratio for u in clean.units])


def test_nothing_found_in_a_stretch_misses_all_of_it(found, truth, recording) -> None:
    """A stretch that a detector could not analyse costs what was there."""
    score = compare_stretches(found.within(0.0, 5.0), truth, SPANS, recording=recording)
    part = score.parts["slight 2"]
    assert part.n_found == 0
    assert part.pooled.tp == 0
    assert part.pooled.fn == truth.at(5.0, 10.0).units[1].n_discharges


def test_what_cannot_be_pooled_is_refused(found, truth, recording) -> None:
    """No score, two tolerances, and a stretch in which the needle moved."""
    with pytest.raises(ValueError, match="one tolerance, got none"):
        pooled_score({})
    with pytest.raises(ValueError, match="one tolerance, got none"):
        compare_stretches(found, truth, {}, recording=recording)
    one, other = (
        compare_stretches(found, truth, SPANS, recording=recording, tolerance_s=tolerance_s)
        for tolerance_s in (0.0005, 0.001)
    )
    with pytest.raises(ValueError, match=r"one tolerance, got 0\.5 ms, 1 ms"):
        pooled_score({"one": one, "other": other})
    with pytest.raises(ValueError, match="the needle must rest"):
        compare_stretches(found, truth, {"both": (4.0, 6.0)}, recording=recording)


def test_one_stretch_without_a_unit_leaves_the_others(findings_of, truth_of, regular) -> None:
    """Medians and shares are of the units that are there."""
    train = regular(8.0, 1)
    one, none = (
        compare(findings_of(train + 0.001), truth_of(train)),
        compare(findings_of(), truth_of()),
    )
    score = pooled_score({"one": one, "none": none})
    assert score.f1 == 1.0
    assert math.isnan(pooled_score({"none": none}).f1)
