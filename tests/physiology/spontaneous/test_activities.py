"""From an activity's model to its sources: grades, places, streams, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import TipPosition
from emgsim.physiology.parameters.spontaneous import (
    GRADES,
    Activity,
    ComplexRepetitiveDischarge,
    Cramp,
    EndPlateNoise,
    EndPlateSpike,
    Fasciculation,
    Fibrillation,
    Generators,
    InsertionalBurst,
    Multiplets,
    Myokymia,
    PositiveSharpWave,
    SpontaneousActivity,
    TriggerPoint,
)
from emgsim.physiology.spontaneous.activities import sources
from emgsim.physiology.spontaneous.source import EndPlateCurrent, Source, Wave
from emgsim.recording import Event

KINDS = get_args(get_args(SpontaneousActivity)[0])
CAN_BE_LONGER = [kind for kind in KINDS if kind is not ComplexRepetitiveDischarge]


def same(one: Source, other: Source) -> bool:
    """Return whether two sources do the same."""
    return (
        one.name == other.name
        and np.array_equal(one.times_s, other.times_s)
        and np.array_equal(one.gains, other.gains)
        and np.array_equal(one.fibres.x_mm, other.fibres.x_mm)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_sources_that_hold_together(room, kind):
    """Times rise inside the source's own span, gains belong to them, names are unique."""
    heard = room.sources(kind(onset_s=1.0, offset_s=7.0, grade=2), 8.0, seed=5)
    assert heard
    assert len({source.name for source in heard}) == len(heard)
    for source in heard:
        assert source.kind == kind.model_fields["kind"].default
        assert 1.0 <= source.onset_s <= source.times_s[0]
        assert source.times_s[-1] < source.offset_s <= 7.0
        assert np.all(np.diff(source.times_s) > 0)
        assert np.all((source.gains > 0) & (source.gains < 10))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_sources_and_another_gives_others(room, kind):
    """A patient is a function of the seed."""
    first, again, other = (room.sources(kind(), 6.0, seed) for seed in (1, 1, 2))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not (len(other) == len(first) and all(map(same, first, other)))


@pytest.mark.parametrize("kind", CAN_BE_LONGER)
def test_a_longer_recording_begins_as_a_shorter_one_does(room, kind):
    """The discharges before the shorter one's end are the same, to rounding."""
    short = {source.name: source for source in room.sources(kind(grade=3), 5.0, 3)}
    long = {source.name: source for source in room.sources(kind(grade=3), 11.0, 3)}
    assert set(short) <= set(long)
    for name, source in long.items():
        before = source.times_s[source.times_s < 5.0]
        known = short[name].times_s if name in short else np.zeros(0)
        np.testing.assert_allclose(before, known, atol=1e-12)


def test_a_second_activity_of_a_kind_has_a_stream_of_its_own(room):
    """Its index makes it another one, and leaves the first as it was."""
    site = room.site()
    first, second = (sources(Fibrillation(grade=2), site, 5.0, 0, index) for index in (0, 1))
    assert first[0].name == "fibrillation 0.0"
    assert second[0].name.startswith("fibrillation 1.")
    assert not np.array_equal(first[0].times_s, second[0].times_s)


@pytest.mark.parametrize("grade", [1.0, 2.0, 3.0, 4.0])
def test_a_grade_is_the_mean_number_of_generators_at_once(room, grade):
    """Over a long time so many trains run as the table says, within 15 %."""
    duration_s = 3000.0
    activity = Fibrillation(grade=grade, rate_hz=20.0, rate_spread=0.1, irregular_share=0.0)
    at_once = 0.0
    for source in room.sources(activity, duration_s, 2):
        gaps = np.diff(source.times_s)
        at_once += np.sum(gaps[gaps < 0.5]) / duration_s
    assert at_once == pytest.approx(Generators().at(grade), rel=0.15)


def test_grade_plus_minus_is_one_train_that_does_not_last(room):
    """Less than a second, and nothing after it; grade 0 is silence."""
    (source,) = room.sources(Fibrillation(grade=0.5, rate_hz=15), 60.0, 1)
    assert source.times_s[-1] - source.times_s[0] < 1.0
    for kind in KINDS:
        assert room.sources(kind(grade=0), 5.0) == ()


def test_generators_are_configuration(room):
    """A table of one's own takes the default's place."""
    many = Generators(plus_minus=1, one=7, two=8, three=9, four=10)
    assert len(room.sources(Fibrillation(grade=1, generators=many), 60.0)) == 7


def test_fibrillating_fibres_lie_evenly_over_the_uptake_area(room):
    """Half of them lie beyond 0.71 of the reach, none beyond it."""
    site = room.site()
    off_mm = [
        np.hypot(source.fibres.x_mm - site.tip.x_mm, source.fibres.y_mm - site.tip.y_mm)[0]
        for seed in range(25)
        for source in sources(Fibrillation(grade=4, reach_mm=0.6), site, 30.0, seed)
    ]
    assert max(off_mm) <= 0.6
    assert np.median(off_mm) == pytest.approx(0.6 * np.sqrt(0.5), rel=0.08)


def orphans(n: int, at_mm: float, end_plate_mm: float) -> UnitFibres:
    """Return denervated fibres in a row beside the tip of `room.site`."""
    return UnitFibres(
        x_mm=1.0 + at_mm + 0.01 * np.arange(n),
        y_mm=np.full(n, 0.5),
        end_plate_mm=np.full(n, end_plate_mm),
        half_lengths_mm=(np.full(n, 60.0), np.full(n, 60.0)),
        diameter_um=np.full(n, 33.0),
        delay_s=np.full(n, 2e-3),
        block_probability=np.full(n, 0.5),
    )


def test_a_body_s_own_denervated_fibres_fibrillate(room):
    """With orphans given, only they do, each once, as many as there are, without junctions."""
    site = room.site(orphans=orphans(3, 0.1, 0.0))
    heard = sources(Fibrillation(grade=4), site, 60.0, 1)
    assert sorted(float(source.fibres.x_mm[0]) for source in heard) == pytest.approx(
        [1.1, 1.11, 1.12]
    )
    for source in heard:
        assert source.fibres.diameter_um[0] == 33.0
        assert source.fibres.delay_s[0] == source.fibres.block_probability[0] == 0.0
        assert source.fibres.end_plate_mm[0] == 0.0
    ring = sources(ComplexRepetitiveDischarge(drops=0), site, 5.0, 1)[0]
    assert set(ring.fibres.diameter_um) == {33.0}


@pytest.mark.parametrize(("at_mm", "end_plate_mm"), [(2.0, 0.0), (0.1, 14.5)])
def test_orphans_far_off_or_excited_at_the_needle_do_not_fibrillate(room, at_mm, end_plate_mm):
    """Too far from the tip, or end plate within 2 mm of it: nothing is made up in their place."""
    site = room.site(orphans=orphans(3, at_mm, end_plate_mm))
    assert sources(PositiveSharpWave(grade=4), site, 10.0, 1) == ()


def test_positive_sharp_waves_end_just_past_the_needle(room):
    """The half of the fibre that holds the tip is cut; the other is whole."""
    for source in room.sources(PositiveSharpWave(grade=4), 30.0, 1):
        f = source.fibres
        ends_mm = f.end_plate_mm + f.half_lengths_mm[0], f.end_plate_mm - f.half_lengths_mm[1]
        past_mm = min(abs(float(end[0]) - 15.0) for end in ends_mm)
        assert 0 <= past_mm <= 0.15
        assert isinstance(source.membrane, Wave)
        assert source.membrane.repolarisation_s > 0


def test_motor_unit_activity_names_its_unit(room):
    """Whole units have an order and all its fibres; single fibres and end plates have none."""
    for source in room.sources(Fasciculation(grade=2), 60.0):
        assert source.unit is not None
        assert source.fibres is room.site().unit_fibres(source.unit)
    (spike,) = room.sources(EndPlateSpike(), 5.0)
    assert spike.unit is None
    assert all(isinstance(s.membrane, EndPlateCurrent) for s in room.sources(EndPlateNoise(), 5.0))


def test_a_source_is_an_event_of_the_truth(room):
    """Kind, span, grade and name."""
    source = room.sources(Fibrillation(grade=2, onset_s=0.5, train_s=600), 5.0)[0]
    assert source.event == Event(
        kind="fibrillation", onset_s=0.5, offset_s=5.0, grade=2.0, source="fibrillation 0.0"
    )


def test_a_source_refuses_what_does_not_belong_together(room):
    """Times that fall, and gains of another number."""
    (source,) = room.sources(EndPlateSpike(), 5.0)
    with pytest.raises(ValueError, match=r"times_s of end_plate_spike 0\.0 must rise"):
        replace(source, times_s=source.times_s[::-1])
    with pytest.raises(ValueError, match=r"times_s, gains: expected \(n,\) both"):
        replace(source, gains=np.ones(2))


def test_an_onset_after_the_recording_is_refused(room):
    """Thing, rule, value."""
    with pytest.raises(ValueError, match=r"onset_s of cramp must be < the recording's 5 s, got 5"):
        room.sources(Cramp(onset_s=5), 5.0)


@pytest.mark.parametrize("kind", [EndPlateNoise, EndPlateSpike, TriggerPoint])
def test_end_plate_activity_is_refused_where_there_are_no_end_plates(room, kind):
    """15 mm from the middle of a band of 10 mm."""
    with pytest.raises(ValueError, match=r"z_mm of end-plate activity must be within .*, got 15"):
        sources(kind(), room.site(15.0), 5.0, 0)


def test_a_needle_outside_the_muscle_is_refused(room):
    """Nothing lies about it."""
    with pytest.raises(ValueError, match=r"the tip must lie in the muscle, within 18 mm .* got 30"):
        replace(room.site(), tip=TipPosition(x_mm=30.0, y_mm=0.0, z_mm=0.0))


def test_motor_unit_activity_without_a_unit_is_refused(room):
    """A muscle whose units are all gone cannot fasciculate."""
    none = room.site().unit_fibres(0).subset(np.zeros(0, np.int64))
    site = replace(room.site(), unit_fibres=lambda _: none)
    with pytest.raises(ValueError, match="a motor unit must have a fibre within 1 mm of the tip"):
        sources(Fasciculation(), site, 5.0, 0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "fibrillation", "grade": 5}, r"grade must be one of 0, 0.5, 1, 2, 3, 4 .*got 5"),
        ({"kind": "fibrillation", "grade": 1.5}, r"got 1\.5"),
        ({"kind": "cramp", "onset_s": 3, "offset_s": 2}, r"offset_s must be > onset_s .*, got 2"),
        ({"kind": "fibrillation", "isi_cov": 0.3}, "less than or equal to 0.1"),
        ({"kind": "end_plate_noise", "rise_s": 1e-3}, r"rise_s must be < decay_s"),
        (
            {"kind": "complex_repetitive_discharge", "rate_hz": 90, "ring_fibres": 20},
            r"ring_fibres \* delay_s must be < 1 / rate_hz",
        ),
        (
            {"kind": "complex_repetitive_discharge", "ring_fibres": 3, "drops": 2},
            "drops must leave two of 3 ring_fibres, got 2",
        ),
        ({"kind": "myokymia", "spikes": 2}, r"a burst, must be 0\.1\.\.0\.9 s, got 0\.04"),
        ({"kind": "myokymia", "bursts_hz": 4}, "bursts_hz must be < 2.5"),
        ({"kind": "dive_bomber"}, "dive_bomber"),
        ({"kind": "cramp", "loud": True}, "loud"),
    ],
)
def test_impossible_activities_are_refused(table, message):
    """One clear error each."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(SpontaneousActivity).validate_python(table)


def test_every_kind_and_grade_can_be_written_down(room):
    """Tables go in and come out the same; every default is inside its own range."""
    adapter = TypeAdapter(SpontaneousActivity)
    for kind in KINDS:
        for grade in GRADES:
            activity = kind.model_validate(kind(grade=grade).model_dump())
            assert isinstance(activity, Activity)
            assert adapter.validate_python(activity.model_dump()) == activity


@pytest.mark.parametrize("kind", [Multiplets, Myokymia, InsertionalBurst, EndPlateNoise])
def test_the_limits_of_the_ranges_make_sources_too(room, kind):
    """The densest and the sparsest of what may be asked for."""
    extremes = {
        Multiplets: [{"sets_hz": 5, "spikes": 8, "interval_s": 20e-3}, {"sets_hz": 1, "spikes": 2}],
        Myokymia: [{"bursts_hz": 2.4}, {"bursts_hz": 0.1, "spikes": 10, "rate_hz": 60}],
        InsertionalBurst: [{"after_s": 0.0}, {"after_s": 10.0, "rate_hz": 200}],
        EndPlateNoise: [{"rate_hz": 1000, "current_cov": 0}, {"rate_hz": 0.5}],
    }
    for limits in extremes[kind]:
        for source in room.sources(kind(grade=4, **limits), 20.0):
            assert np.all(np.diff(source.times_s) > 0)
