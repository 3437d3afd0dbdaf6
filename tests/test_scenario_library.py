"""The library of examinations: each patient is there, says what he shows, and can be examined."""

from __future__ import annotations

import math
from functools import cache
from typing import cast

import numpy as np
import pytest

from emgsim.analysis.axes import AXES
from emgsim.exam.examination import Examination, MuscleExam, load_examination
from emgsim.localisation import lesions
from emgsim.scenario import load_scenario
from emgsim.scoring.detectability import DETECTABLE_RATIO, detectability
from emgsim.shipped import find, names
from emgsim.simulation import simulate

SKIN = {
    "surface_biceps",
    "surface_biceps_fatigue",
    "surface_forearm_crosstalk",
    "hd_tibialis_anterior",
    "trapezius_typing_healthy",
    "trapezius_typing_pain",
    "flexion_relaxation_control",
    "flexion_relaxation_back_pain",
}
# One recording each, no examination
SCENARIOS = {"healthy_biceps", "healthy_biceps_moderate"} | SKIN
HEALTHY = {
    "healthy_tibialis_anterior",
    "healthy_fdi",
    "healthy_deltoid",
    "healthy_vastus_lateralis",
    "healthy_paraspinal",
    "healthy_edb",
    "healthy_age_75",
}
TRAPS = {"end_plate_zone", "artefacts_only"}  # healthy, and look otherwise
ILL = {
    "benign_fasciculations",
    "denervation_2_weeks",
    "denervation_3_months",
    "denervation_12_months",
    "denervation_nascent",
    "radiculopathy_c6",
    "radiculopathy_c7",
    "radiculopathy_l5",
    "radiculopathy_s1",
    "carpal_tunnel",
    "ulnar_elbow",
    "fibular_head",
    "polyneuropathy_axonal",
    "polyneuropathy_demyelinating",
    "myopathy_dystrophic",
    "myopathy_inflammatory",
    "myasthenia_single_fibre",
    "myotonia",
    "als_fasciculations",
    "trapezius_trigger_point",
    "pain_inhibited_effort",
    "botulinum_follow_up",
}
FOLLOWED_UP = {"denervation_follow_up", "denervation_unchanged"}  # at several dates in one file
LIBRARY = sorted(HEALTHY | TRAPS | ILL)
NORMAL = {
    "active_denervation": "no",
    "muap_type": "normal",
    "recruitment": "normal",
    "stability": "stable",
    "special_discharges": "none",
}
WITHOUT_STRONG_EFFORTS = {"myasthenia_single_fibre", "artefacts_only"}
LOCALISING = {
    "radiculopathy_c6": ("root", "C6"),
    "radiculopathy_c7": ("root", "C7"),
    "radiculopathy_l5": ("root", "L5"),
    "radiculopathy_s1": ("root", "S1"),
    "carpal_tunnel": ("nerve", "median_wrist"),
    "ulnar_elbow": ("nerve", "ulnar_elbow"),
    "fibular_head": ("nerve", "fibular_head"),
}


@cache
def examination(name: str) -> Examination:
    return load_examination(name)


def healthy_muscle(exam: Examination, muscle: MuscleExam) -> bool:
    """Return whether nothing is wrong with the muscle, nor anything looks so."""
    return not (muscle.reached_by(exam.conditions) or muscle.spontaneous)


def rest_s(exam: Examination, muscle: MuscleExam) -> float:
    steps, _ = exam.steps(muscle)
    return sum(step.duration_s for step in steps if step.kind == "rest")


def test_the_library_is_what_is_shipped() -> None:
    """No patient is missing, and none is shipped that nothing here asks for."""
    assert set(names("scenarios")) == set(LIBRARY) | FOLLOWED_UP | SCENARIOS


@pytest.mark.parametrize("name", LIBRARY)
def test_every_patient_is_described_under_his_own_name(name: str) -> None:
    """The file's name is the id; a paragraph tells who it is, what is ill and what is hard."""
    exam = examination(name)
    assert exam.id == name
    assert exam.title
    assert len(exam.description.strip()) >= 200


@pytest.mark.parametrize("name", LIBRARY)
def test_every_muscle_says_what_it_shows_in_words_of_the_analysis(name: str) -> None:
    """Each has findings or limits, and each finding is a value of its axis."""
    for muscle in examination(name).muscles:
        assert muscle.shows or muscle.limits, muscle.muscle.name
        for axis, value in muscle.shows.items():
            assert value in AXES[axis], (muscle.muscle.name, axis)


@pytest.mark.parametrize("name", LIBRARY)
def test_the_needle_stays_inside_every_muscle(name: str) -> None:
    """All places lie within its cross-section and between the tendons; a scenario comes of it."""
    exam = examination(name)
    for muscle in exam.muscles:
        radius_mm, length_mm = muscle.muscle.radius_mm, muscle.muscle.fibres.length_mm
        for tip in exam.protocol.places(radius_mm, length_mm):
            assert math.hypot(tip.x_mm, tip.y_mm) < radius_mm, muscle.muscle.name
            assert abs(tip.z_mm) < length_mm / 2, muscle.muscle.name
        assert exam.scenario(muscle).id == f"{name}_{muscle.muscle.name}"


@pytest.mark.parametrize("name", LIBRARY)
def test_every_muscle_is_heard_long_enough(name: str) -> None:
    """Eight rests of two seconds, 90 s where fasciculations are looked for, three full efforts."""
    exam = examination(name)
    for muscle in exam.muscles:
        steps, _ = exam.steps(muscle)
        kinds = [step.kind for step in steps]
        assert kinds.count("rest") >= 8
        assert rest_s(exam, muscle) >= (90.0 if name == "als_fasciculations" else 16.0) - 1e-6
        if name not in WITHOUT_STRONG_EFFORTS:
            assert kinds.count("strong") >= 3


@pytest.mark.parametrize("name", sorted(WITHOUT_STRONG_EFFORTS))
def test_an_examination_without_strong_efforts_says_why(name: str) -> None:
    """The line that asks for none has a comment."""
    lines = find("scenarios", name).read_text("utf-8").splitlines()
    [line] = [line for line in lines if line.startswith("strong_sites = 0")]
    before = lines[lines.index(line) - 1]
    assert "#" in line or "#" in before


@pytest.mark.parametrize("name", sorted(HEALTHY))
def test_a_healthy_patient_shows_nothing(name: str) -> None:
    """All axes are judged, and all are normal."""
    assert all(muscle.shows == NORMAL for muscle in examination(name).muscles)


@pytest.mark.parametrize("name", sorted(TRAPS))
def test_a_trap_shows_nothing_that_is_ill(name: str) -> None:
    """What merely looks like a disease must not be called one."""
    for muscle in examination(name).muscles:
        assert muscle.shows.items() <= NORMAL.items()
        assert muscle.shows["active_denervation"] == "no"


@pytest.mark.parametrize("name", sorted(ILL))
def test_a_healthy_recording_would_fail_every_ill_patient(name: str) -> None:
    """One muscle at least must show what no healthy one shows, or has a limit of its own."""
    muscles = examination(name).muscles
    assert any(m.limits or not m.shows.items() <= NORMAL.items() for m in muscles)


@pytest.mark.parametrize("name", sorted(ILL))
def test_what_is_not_ill_is_expected_to_be_normal(name: str) -> None:
    """A muscle that no condition reaches shows the healthy findings."""
    exam = examination(name)
    spared = [m for m in exam.muscles if healthy_muscle(exam, m)]
    assert all(muscle.shows == NORMAL for muscle in spared)


@pytest.mark.parametrize("name", sorted(LOCALISING))
def test_a_local_lesion_is_surrounded(name: str) -> None:
    """Muscles of its root or nerve are ill, at least one other is normal."""
    exam = examination(name)
    assert exam.lesion is not None
    assert (exam.lesion.kind, exam.lesion.name) == LOCALISING[name]
    ill = [not healthy_muscle(exam, muscle) for muscle in exam.muscles]
    assert any(ill)
    assert not all(ill)
    assert 4 <= len(ill) <= 6


@pytest.mark.parametrize("root", ["c6", "c7", "l5", "s1"])
def test_a_radiculopathy_is_seen_in_several_nerves_and_beside_the_spine(root: str) -> None:
    """Two muscles of different nerves and the paraspinal one have fibrillations (J.3)."""
    exam = examination(f"radiculopathy_{root}")
    denervated = [m.muscle for m in exam.muscles if m.shows["active_denervation"] == "yes"]
    nerves = {muscle.nerve for muscle in denervated}
    assert "dorsal rami" in nerves
    assert len(nerves) >= 3
    assert all(root.upper() in muscle.roots for muscle in denervated)


@pytest.mark.parametrize("name", LIBRARY)
def test_every_lesion_is_one_that_can_be_found(name: str) -> None:
    """Its kind and name are among those of the localisation."""
    lesion = examination(name).lesion
    known = {(found.kind, found.name) for found in lesions()}
    assert lesion is None or (lesion.kind, lesion.name) in known


def test_one_patient_is_seen_three_times_after_an_injury() -> None:
    """Two weeks, three months and a year: same seed, muscle and lesion, another date."""
    visits = [examination(f"denervation_{when}") for when in ("2_weeks", "3_months", "12_months")]
    first, *later = [(visit.seed, visit.age_years, visit.muscles[0].muscle) for visit in visits]
    assert all(visit == first for visit in later)
    losses = [visit.conditions[0].model_dump() for visit in visits]
    months = [cast("float", loss.pop("months")) for loss in losses]
    assert months == sorted(months)
    assert losses[0] == losses[1] == losses[2]


def test_the_artefacts_come_from_no_muscle() -> None:
    """A short piece of them can be simulated, and its truth has no unit and no source."""
    exam = examination("artefacts_only").model_copy(deep=True)
    protocol = exam.protocol.model_copy(update={"quadrants": 1, "rest_s": 0.5, "depths": (0.5,)})
    exam = exam.model_copy(update={"protocol": protocol})
    recording, truth = simulate(exam.scenario(exam.muscles[0]))
    assert not truth.units
    assert {source.kind for source in truth.spontaneous} <= {"insertional_burst"}
    assert np.ptp(recording.samples_uv) > 20.0


@pytest.mark.parametrize("name", sorted(SCENARIOS - SKIN))
def test_the_needle_stands_where_units_can_be_told(name: str) -> None:
    """As many units stand out as the scenario is judged by: at some places there are none."""
    scenario = load_scenario(name)
    [limit] = [one for one in scenario.limits if one.measurement == "units.detectable.truth"]
    ratios = detectability(*simulate(scenario))
    assert limit.low is not None
    assert sum(ratio >= DETECTABLE_RATIO for ratio in ratios.values()) >= limit.low
