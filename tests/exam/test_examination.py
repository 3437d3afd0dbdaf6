"""Examinations: files become a scenario per muscle, and lesions reach their own muscles only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emgsim.errors import InputError
from emgsim.exam.examination import (
    IRRITABLE_AFTER_S,
    NORMAL_AFTER_S,
    Examination,
    examination_from,
    expected,
    load_examination,
)


def examination(**values: Any) -> Examination:
    """Return an examination of triceps and deltoid after a lesion of C7."""
    table = {
        "schema": "emgsim.examination/1",
        "id": "one",
        "title": "One",
        "seed": 3,
        "conditions": [{"kind": "radiculopathy", "root": "C7", "share": 0.5, "weeks": 9}],
        "muscles": [
            {"muscle": "triceps_brachii", "shows": {"active_denervation": "yes"}},
            {"muscle": {"name": "deltoid", "temperature_c": 34.0}},
        ],
    }
    return examination_from(table | values, "one.toml")


def test_a_lesion_reaches_the_muscles_of_its_root_only() -> None:
    """The triceps has C7, the deltoid has not; a condition of its own a muscle always has."""
    exam = examination()
    triceps, deltoid = exam.muscles
    assert [c.kind for c in exam.scenario(triceps).conditions] == ["radiculopathy"]
    assert exam.scenario(deltoid).conditions == ()
    own = {"muscle": "deltoid", "conditions": [{"kind": "axonal_loss", "share": 0.2, "months": 3}]}
    [alone] = examination(muscles=[own]).muscles
    assert [c.kind for c in examination().scenario(alone).conditions] == ["axonal_loss"]


def test_an_entrapment_is_named_by_its_site() -> None:
    """Nerve and muscles come from the catalogue; the worst muscle loses the whole share."""
    exam = examination(
        conditions=[{"kind": "entrapment", "site": "ulnar_elbow", "share": 0.6, "weeks": 12}],
        muscles=[{"muscle": "first_dorsal_interosseous"}, {"muscle": "abductor_pollicis_brevis"}],
    )
    hand, thumb = (exam.scenario(m) for m in exam.muscles)
    [entrapment] = hand.conditions
    assert entrapment.model_dump()["nerve"] == "ulnar"
    assert entrapment.model_dump()["muscles"]["abductor_digiti_minimi"] == 0.8
    assert thumb.conditions == ()


def test_the_scenario_has_the_schedule_in_its_phases_moves_and_stretches() -> None:
    """Efforts and rests fill the time; each stretch lies between two moves of the needle."""
    exam = examination()
    scenario = exam.scenario(exam.muscles[0])
    steps, duration_s = exam.steps(exam.muscles[0])
    assert scenario.duration_s == pytest.approx(duration_s)
    assert [p.peak_mvc for p in scenario.phases if p.peak_mvc] == [
        s.level_mvc for s in steps if s.level_mvc
    ]
    moves = scenario.electrode.moves
    assert len(moves) == 8 + 6
    assert sum(move.seek is not None for move in moves) == 6
    for stretch in scenario.analysis.stretches:
        for move in moves:
            ends_s = move.at_s + move.duration_s
            assert stretch.offset_s <= move.at_s + 1e-9 or stretch.onset_s >= ends_s - 1e-9
    kinds = [stretch.kind for stretch in scenario.analysis.stretches]
    assert [kinds.count(k) for k in ("insertion", "rest", "slight", "strong")] == [8, 8, 6, 3]


def test_each_movement_provokes_a_burst_and_irritable_fibres_a_longer_one() -> None:
    """Normal where nothing is wrong, increased in the muscle that the lesion reaches."""
    exam = examination()
    for muscle, after_s in zip(exam.muscles, (IRRITABLE_AFTER_S, NORMAL_AFTER_S), strict=True):
        bursts = exam.scenario(muscle).spontaneous
        assert [burst.kind for burst in bursts] == ["insertional_burst"] * 8
        assert {burst.model_dump()["after_s"] for burst in bursts} == {after_s}


def test_activity_of_a_muscle_is_there_while_the_needle_is_at_its_places() -> None:
    """At place 2 only: from the arrival to the next movement to another place."""
    plate = {"kind": "end_plate_spike", "grade": 2}
    exam = examination(
        conditions=[], muscles=[{"muscle": "deltoid", "spontaneous": [plate], "at_places": [2]}]
    )
    steps, _ = exam.steps(exam.muscles[0])
    arrivals = [step for step in steps if step.kind in ("insertion", "move")]
    [own] = [a for a in exam.scenario(exam.muscles[0]).spontaneous if a.kind == "end_plate_spike"]
    assert (own.onset_s, own.offset_s) == (arrivals[1].offset_s, arrivals[2].onset_s)


def test_what_a_muscle_shows_is_a_limit_on_each_path() -> None:
    """The probability of the value must be one half at least."""
    [limit] = expected(examination().muscles[0], "device")
    assert limit.measurement == "triceps_brachii.active_denervation.yes.device"
    assert (limit.low, limit.high) == (0.5, None)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"muscles": [{"muscle": "delltoid"}]}, "no muscle 'delltoid' in the catalogue; did you"),
        ({"muscles": []}, "muscles"),
        ({"muscles": [{"muscle": "deltoid"}, {"muscle": "deltoid"}]}, "muscles must differ"),
        (
            {"conditions": [{"kind": "entrapment", "site": "elbow", "share": 1, "weeks": 1}]},
            "no site 'elbow' in the catalogue",
        ),
        ({"muscles": [{"muscle": "deltoid", "shows": {"colour": "red"}}]}, "shows must name axes"),
        ({"protocol": {"rest_s": 0.1}}, "protocol.rest_s"),
    ],
)
def test_a_mistake_is_told_with_its_place(values: dict[str, Any], words: str) -> None:
    """One clear error that names the file, the rule and the value."""
    with pytest.raises(InputError) as refused:
        examination(**values)
    assert words in refused.value.what
    assert refused.value.where == "one.toml"


def test_a_file_is_loaded_with_overrides(tmp_path: Path) -> None:
    """As scenarios are: by path, with values in place of the file's."""
    path = tmp_path / "one.toml"
    path.write_text(
        'schema = "emgsim.examination/1"\nid = "one"\ntitle = "One"\nseed = 3\n'
        '[[muscles]]\nmuscle = "deltoid"\n'
    )
    loaded = load_examination(path, overrides=["protocol.rest_s=3.0", "seed=5"])
    assert (loaded.protocol.rest_s, loaded.seed) == (3.0, 5)
    assert loaded.resolved()["muscles"][0]["muscle"]["name"] == "deltoid"


def test_one_visit_of_several_is_named() -> None:
    """Never the patient of no date; a name that is none is told with those that there are."""
    visits = [
        {"name": name, "weeks": weeks, "conditions": []}
        for name, weeks in (("early", 2.0), ("late", 52.0))
    ]
    exam = examination(visits=visits)
    assert exam.on("late").id == "one_late"
    assert examination().on(None) == examination()
    for name, asked, words in (
        (None, exam, "the visits early, late, and none was named"),
        ("never", exam, "the visits early, late, and got 'never'"),
        ("late", examination(), "no visits, and got 'late'"),
    ):
        with pytest.raises(InputError, match=words):
            asked.on(name)
