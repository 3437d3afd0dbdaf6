"""Follow-up: what a visit shows, what of it changes beyond chance, and what that means."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from emgsim.analysis.plan import Stretch
from emgsim.errors import InputError
from emgsim.exam.examination import Examination, examination_from, load_examination
from emgsim.follow_up import (
    MeasureRepeatability,
    Repeatability,
    ScoreRepeatability,
    changes,
    mean_directed,
    progress,
    repeatability,
    visit_measures,
)
from emgsim.observer import observe
from emgsim.recording import Findings, FoundRun, FoundUnit
from emgsim.simulation import simulate

FOLLOWED = ("denervation_follow_up", "denervation_unchanged")
NOTHING = np.zeros((0, 1))
REPEATS = Repeatability(
    measures={
        "denervation_grade": MeasureRepeatability(sem=0.2, better="lower"),
        "polyphasic_share": MeasureRepeatability(sem=0.1, better="lower"),
        "amplitude_uv": MeasureRepeatability(sem=0.1, scale="log"),
    },
    scores={
        "neurogenic": ScoreRepeatability(
            primary=("denervation_grade", "polyphasic_share"),
            sd=1.0,
            repair={"polyphasic_share": "lower", "amplitude_uv": "higher"},
            repair_sd=1.0,
        ),
        "myopathic": ScoreRepeatability(primary=("denervation_grade",), sd=math.sqrt(2)),
    },
)
ILL = {"denervation_grade": 2.0, "polyphasic_share": 0.6, "amplitude_uv": 500.0}


# -- one visit -------------------------------------------------------------------------------------


def stretch(kind: Any, number: int, onset_s: float) -> Stretch:
    return Stretch(name=f"{kind} {number}", kind=kind, onset_s=onset_s, offset_s=onset_s + 1.0)


def run_at(onset_s: float, grade: float | None, probability: float = 1.0, **more: Any) -> FoundRun:
    return FoundRun(
        **{"kind": "fibrillation"} | more,
        onset_s=onset_s,
        offset_s=onset_s + 0.9,
        discharge_times_s=np.array([onset_s]),
        potential_uv=NOTHING,
        potential_start_s=0.0,
        grade=grade,
        probability=probability,
    )


def unit_at(onset_s: float, amplitude_uv: float, phases: float) -> FoundUnit:
    return FoundUnit(
        id=1,
        discharge_times_s=onset_s + np.linspace(0.05, 0.95, 12),
        muap_uv=NOTHING,
        muap_start_s=0.0,
        measures={
            "amplitude_uv": amplitude_uv,
            "duration_ms": 10.0,
            "phases": phases,
            "rise_time_us": 300.0,
            "widest_jiggle_us": 30.0,
        },
    )


def row(name: str, value: float, onset_s: float) -> dict[str, Any]:
    return {"id": name, "value": value, "onset_s": onset_s, "offset_s": onset_s + 1.0}


STRETCHES = (
    stretch("insertion", 1, 0.0),
    stretch("rest", 1, 1.0),
    stretch("slight", 1, 2.0),
    stretch("insertion", 2, 3.0),
    stretch("rest", 2, 4.0),
    stretch("slight", 2, 5.0),
)


def test_a_visit_is_told_in_the_measures_of_the_clinic() -> None:
    """Two places: grades 2+ and none, two units, their amplitudes' geometric mean."""
    findings = Findings(
        units=(unit_at(2.0, 400.0, 6.0), unit_at(5.0, 900.0, 3.0)),
        runs=(run_at(1.0, 1.0), run_at(1.0, 2.0, kind="positive_sharp_wave")),
        measures=(
            row("insertion.length_s", 0.2, 0.0),
            row("insertion.length_s", 0.6, 3.0),
            row("recruitment.active_units", 4.0, 2.0),
            row("recruitment.fastest_hz", 12.0, 2.0),
            row("recruitment.active_units", 2.0, 5.0),
            row("recruitment.fastest_hz", 10.0, 5.0),
        ),
    )
    found = visit_measures(findings, STRETCHES)
    assert found["denervated_share"] == 0.5
    assert found["denervation_grade"] == 1.0
    assert found["insertion_s"] == pytest.approx(0.4)
    assert found["amplitude_uv"] == pytest.approx(600.0)
    assert found["polyphasic_share"] == 0.5
    assert found["widest_jiggle_us"] == 30.0
    assert found["active_units"] == 3.0
    assert found["fastest_hz"] == 11.0
    assert "turns_per_s" not in found


def test_what_is_improbable_or_no_denervation_does_not_count() -> None:
    """A run of probability 0.4, and a fasciculation; one that nobody graded is unsustained."""
    runs = (run_at(1.0, 3.0, 0.4), run_at(4.0, None), run_at(1.0, 3.0, kind="fasciculation"))
    found = visit_measures(Findings(units=(), runs=runs), STRETCHES)
    assert found["denervation_grade"] == 0.25


def test_what_was_not_heard_is_not_told() -> None:
    """Without a rest there is no grade, and without any stretch no visit."""
    slight = visit_measures(Findings(units=(unit_at(2.0, 400.0, 3.0),)), STRETCHES[2:3])
    assert "amplitude_uv" in slight
    assert "denervation_grade" not in slight
    with pytest.raises(ValueError, match="stretches must hold"):
        visit_measures(Findings(units=()), ())


# -- two visits ------------------------------------------------------------------------------------


def test_a_change_is_detected_from_2_77_standard_errors_on() -> None:
    """SDC = 1.96 sqrt(2) SEM, of logarithms where the scale says so."""
    for step, is_beyond in ((2.7 * 0.2, False), (2.8 * 0.2, True)):
        [grade] = changes({"denervation_grade": 2.0}, {"denervation_grade": 2.0 - step}, REPEATS)
        assert grade.is_beyond is is_beyond
        assert grade.direction == "better"
    [size] = changes({"amplitude_uv": 500.0}, {"amplitude_uv": 500.0 * math.e}, REPEATS)
    assert size.value == pytest.approx(1.0)
    assert size.sdc == pytest.approx(0.2772, abs=1e-4)
    assert size.direction == "neither"


def test_a_measure_of_one_visit_only_does_not_change() -> None:
    """Nor does one without a logarithm."""
    assert changes(ILL, {}, REPEATS) == ()
    assert changes({"amplitude_uv": 0.0}, {"amplitude_uv": 500.0}, REPEATS) == ()


def verdict(process: Any, **after: float) -> str:
    return progress(changes(ILL, ILL | after, REPEATS), process, REPEATS).verdict


def test_silence_and_repair_are_an_improvement_and_their_opposite_is_worse() -> None:
    """Both ways the score must be beyond its own smallest detectable change."""
    assert verdict("neurogenic", denervation_grade=1.0, polyphasic_share=0.2) == "improved"
    assert verdict("neurogenic", denervation_grade=3.0, polyphasic_share=0.8) == "worse"
    assert verdict("neurogenic", denervation_grade=1.8, polyphasic_share=0.55) == "unchanged"


def test_fibres_that_fall_silent_have_perished_unless_axons_took_them_up() -> None:
    """Fewer fibrillations improve a myositis, but an ill nerve only if its MUAPs show repair."""
    assert verdict("myopathic", denervation_grade=0.5) == "improved"
    assert verdict("neurogenic", denervation_grade=0.5) == "unchanged"
    assert verdict("neurogenic", denervation_grade=0.5, amplitude_uv=800.0) == "improved"


def test_larger_muaps_alone_are_neither_better_nor_worse() -> None:
    """They are the scar of a repair, and no part of the score."""
    assert verdict("neurogenic", amplitude_uv=2000.0) == "unchanged"
    assert verdict("neurogenic", amplitude_uv=125.0) == "unchanged"


def test_a_score_of_fewer_measures_scatters_more() -> None:
    """One of two primary measures: its standard deviation is the square root of two larger."""
    whole = progress(changes(ILL, ILL, REPEATS), "neurogenic", REPEATS)
    part = {"denervation_grade": 2.0}
    alone = progress(changes(part, part, REPEATS), "neurogenic", REPEATS)
    assert alone.sdc == pytest.approx(math.sqrt(2) * whole.sdc)
    assert math.isnan(alone.repair)
    assert all(math.isnan(one) for one in mean_directed({}, {"denervation_grade": "lower"}, 1.0))
    with pytest.raises(ValueError, match="heard at both visits"):
        progress((), "neurogenic", REPEATS)


def test_chance_improves_one_stable_patient_in_forty() -> None:
    """Measures that scatter as the table says: 2.5 % improved, 2.5 % worse, of 20 000."""
    rng = np.random.default_rng(5)
    seen = [
        progress(
            changes({"denervation_grade": a}, {"denervation_grade": b}, REPEATS),
            "myopathic",
            REPEATS,
        ).verdict
        for a, b in rng.normal(2.0, 0.2, (20_000, 2))
    ]
    for one in ("improved", "worse"):
        assert seen.count(one) / len(seen) == pytest.approx(0.025, abs=0.005)


def test_the_catalogue_gives_each_primary_measure_a_way_to_health() -> None:
    """What counts must be in the table, and better one way."""
    table = repeatability()
    for rule in table.scores.values():
        assert all(table.measures[name].better != "neither" for name in rule.primary)
        assert set(rule.repair) <= set(table.measures)


# -- visits of an examination ----------------------------------------------------------------------


def examination(**values: Any) -> Examination:
    def at(months: float) -> list[dict[str, Any]]:
        return [{"kind": "axonal_loss", "share": 0.6, "months": months}]

    table = {
        "schema": "emgsim.examination/1",
        "id": "one",
        "title": "One",
        "seed": 3,
        "protocol": {"quadrants": 2, "depths": [0.5], "slight_sites": 0, "strong_sites": 0},
        "acquisition": {"rate_hz": 24000.0},
        "muscles": [{"muscle": "first_dorsal_interosseous"}],
        "visits": [
            {"name": "early", "weeks": 13, "conditions": at(3.0)},
            {"name": "late", "weeks": 52, "conditions": at(12.0), "expect": "improved"},
        ],
    }
    return examination_from(table | values, "one.toml")


def test_a_visit_is_an_examination_of_the_same_patient_on_a_later_day() -> None:
    """Identity and seed stay; conditions and id are the visit's."""
    exam = examination()
    late = exam.at_visit(1)
    assert (late.id, late.seed, late.visits) == ("one_late", exam.seed, ())
    assert late.conditions == exam.visits[1].conditions
    assert late.scenario(late.muscles[0]).id == "one_late_first_dorsal_interosseous"


def test_a_visit_shows_what_is_there_by_then() -> None:
    """Its findings take the place of what each muscle shows; without them that stays."""
    then = {"active_denervation": "yes"}
    late = {"name": "late", "weeks": 52}
    muscles = [{"muscle": "first_dorsal_interosseous", "shows": then}]
    for shows, expected in ((None, then), ({"stability": "stable"}, {"stability": "stable"})):
        exam = examination(muscles=muscles, visits=[{**late, "shows": shows}])
        assert exam.at_visit(0).muscles[0].shows == expected
    with pytest.raises(InputError, match="shows must name axes"):
        examination(visits=[{**late, "shows": {"colour": "red"}}])


@pytest.mark.parametrize("name", FOLLOWED)
def test_no_visit_finds_the_places_of_another(name: str) -> None:
    """All are further apart than a needle hears fibrillations, 0.6 mm; the first are as written."""
    exam = load_examination(name)
    muscle = exam.muscles[0].muscle
    size_mm = muscle.radius_mm, muscle.fibres.length_mm
    days = [exam.at_visit(k) for k in range(len(exam.visits))]
    assert days[0].protocol == exam.protocol
    for one, other in combinations(days, 2):
        for here in one.protocol.places(*size_mm):
            for there in other.protocol.places(*size_mm):
                assert math.hypot(here.x_mm - there.x_mm, here.y_mm - there.y_mm) > 0.6
    for day in days:
        assert day.scenario(day.muscles[0]).seed == exam.seed
        for tip in day.protocol.places(*size_mm):
            assert math.hypot(tip.x_mm, tip.y_mm) < muscle.radius_mm


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weeks": 13}, "visits.weeks must increase, got [13.0, 13.0]"),
        ({"name": "early"}, "visits must have names that differ"),
        ({"name": "Late visit"}, "visits"),
        ({"expect": "cured"}, "expect"),
    ],
)
def test_mistakes_in_visits_are_told(change: dict[str, Any], words: str) -> None:
    """Dates run on, names differ, and what is expected is a verdict."""
    late = {"name": "late", "weeks": 52} | change
    with pytest.raises(InputError) as refused:
        examination(visits=[{"name": "early", "weeks": 13}, late])
    assert words in refused.value.what


def test_the_first_visit_has_nothing_to_be_compared_with() -> None:
    """Nothing can be expected of it, and there is no visit beyond the last one."""
    with pytest.raises(InputError, match="must not be given for the first one"):
        examination(visits=[{"name": "only", "weeks": 1, "expect": "worse"}])
    with pytest.raises(InputError, match=r"one of 0\.\.1, got 2"):
        examination().at_visit(2)
    with pytest.raises(InputError, match="no visits"):
        examination(visits=[]).at_visit(0)


def test_reinnervation_silences_a_simulated_muscle_beyond_chance() -> None:
    """Fibrillations of three months are gone at twelve, by the catalogue's own figures."""
    exam, found = examination(), []
    for day in (exam.at_visit(0), exam.at_visit(1)):
        scenario = day.scenario(day.muscles[0])
        stretches = scenario.analysis.stretches
        recording, truth = simulate(scenario)
        found.append(visit_measures(observe(recording, truth, stretches), stretches))
    grade = next(c for c in changes(*found) if c.measure == "denervation_grade")
    assert grade.is_beyond
    assert grade.direction == "better"
