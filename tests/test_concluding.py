"""Concluding an examination: what its muscles show is judged, whoever the findings are of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emgsim.analysis.plan import Stretch
from emgsim.concluding import (
    Found,
    axes_found,
    judge_examination,
    localisation_rows,
    localised,
    rank,
)
from emgsim.exam.examination import Examination, Lesion, examination_from
from emgsim.findings_table import Heard
from emgsim.recording import Event, Findings, FoundRun, FoundUnit
from emgsim.records.examination import FINDERS
from emgsim.verdict import Measurement


def examination(**values: Any) -> Examination:
    """Return an examination of two muscles after a lesion of C7."""
    table = {
        "schema": "emgsim.examination/1",
        "id": "two",
        "title": "Two",
        "seed": 3,
        "muscles": [
            {"muscle": "triceps_brachii", "shows": {"active_denervation": "yes"}},
            {"muscle": "deltoid", "shows": {"active_denervation": "no"}},
        ],
        "lesion": {"kind": "root", "name": "C7"},
    }
    return examination_from(table | values, "two.toml")


def rests(*kinds: str, n: int = 8) -> tuple[Heard, ...]:
    """Return rests at n places, with runs of these kinds in each."""
    return tuple(_rest(place, kinds) for place in range(1, n + 1))


def _rest(place: int, kinds: tuple[str, ...]) -> Heard:
    onset_s, offset_s = 10.0 * place, 10.0 * place + 2
    stretch = Stretch(name=f"rest {place}", kind="rest", onset_s=onset_s, offset_s=offset_s)
    runs = tuple(
        FoundRun(kind=kind, onset_s=onset_s, offset_s=offset_s, grade=1.0, probability=0.9,
                 discharge_times_s=np.linspace(onset_s, offset_s, 9),
                 potential_uv=np.zeros((0, 1)), potential_start_s=0.0)
        for kind in kinds
    )  # fmt: skip
    event = Event(kind="rest", onset_s=onset_s, offset_s=offset_s)
    return Heard(stretch=stretch, findings=Findings(units=(), events=(event,), runs=runs))


def slight() -> Heard:
    """Return a slight effort with eight MUAPs, of which nothing but the size was measured."""
    measures = {"amplitude_uv": 500.0, "duration_ms": 11.0, "phases": 3.0, "rise_time_us": 400.0}
    units = tuple(
        FoundUnit(id=k, discharge_times_s=np.arange(100.0, 105.0, 0.11),
                  muap_uv=np.zeros((0, 1)), muap_start_s=0.0, measures=measures)
        for k in range(1, 9)
    )  # fmt: skip
    stretch = Stretch(name="slight 9", kind="slight", onset_s=100.0, offset_s=105.0)
    return Heard(stretch=stretch, findings=Findings(units=units))


def by_all(triceps: tuple[Heard, ...], deltoid: tuple[Heard, ...]) -> Found:
    """Return what everybody found in the two muscles."""
    return {
        "triceps_brachii": dict.fromkeys(FINDERS, triceps),
        "deltoid": dict.fromkeys(FINDERS, deltoid),
    }


def judged(examination: Examination, found: Found) -> dict[str, Measurement]:
    """Return the judged measurements by their ids."""
    measurements = judge_examination(examination, found)
    assert len({m.id for m in measurements}) == len(measurements)
    return {m.id: m for m in measurements if m.limit is not None}


ILL = by_all(rests("fibrillation"), rests())
HEALTHY = by_all(rests(), rests())


def test_what_a_muscle_shows_is_judged_on_the_clean_signal_and_on_the_device() -> None:
    """The perfect observer is not under test."""
    told = judged(examination(lesion=None), ILL)
    assert {id: m.verdict for id, m in told.items()} == {
        "triceps_brachii.active_denervation.yes.truth": "pass",
        "triceps_brachii.active_denervation.yes.device": "pass",
        "deltoid.active_denervation.no.truth": "pass",
        "deltoid.active_denervation.no.device": "pass",
    }


def test_the_findings_of_a_healthy_muscle_fail_an_ill_one() -> None:
    """The counterfactual: each fails what it does not show, and the other one passes."""
    told = judged(examination(), HEALTHY)
    assert told["triceps_brachii.active_denervation.yes.device"].verdict == "fail"
    assert told["deltoid.active_denervation.no.device"].verdict == "pass"
    other = judged(examination(), by_all(rests("fibrillation"), rests("positive_sharp_wave")))
    assert other["deltoid.active_denervation.no.truth"].verdict == "fail"


def test_every_value_of_every_axis_is_told() -> None:
    """Also of those that nobody judges, and of those that nobody measured."""
    measurements = {m.id: m for m in judge_examination(examination(), ILL)}
    yes = measurements["triceps_brachii.active_denervation.yes.observer"]
    no = measurements["triceps_brachii.active_denervation.no.observer"]
    assert yes.value + no.value == pytest.approx(1.0)
    assert np.isnan(measurements["triceps_brachii.muap_type.mixed.device"].value)


def test_what_was_not_measured_is_inconclusive() -> None:
    """An axis without a measure, a path without findings, and a muscle that was not examined."""
    shows = {"muap_type": "neurogenic", "active_denervation": "yes"}
    exam = examination(muscles=[{"muscle": "triceps_brachii", "shows": shows}])
    found = {"triceps_brachii": {"device": rests("fibrillation")}}
    assert {id: m.verdict for id, m in judged(exam, found).items()} == {
        "triceps_brachii.muap_type.neurogenic.truth": "inconclusive",
        "triceps_brachii.active_denervation.yes.truth": "inconclusive",
        "triceps_brachii.muap_type.neurogenic.device": "inconclusive",
        "triceps_brachii.active_denervation.yes.device": "pass",
        "lesion.rank.truth": "inconclusive",
        "lesion.rank.device": "pass",
    }
    assert all(m.verdict == "inconclusive" for m in judged(exam, {}).values())


def test_the_true_lesion_must_be_among_the_first_three() -> None:
    """A denervated triceps beside a normal deltoid is C7; a normal one is not."""
    assert judged(examination(), ILL)["lesion.rank.device"].verdict == "pass"
    told = localised(axes_found(examination(), ILL))
    assert {lesion.lesion.side for lesion in told["device"]} == {"right", "both"}
    assert rank(Lesion(kind="root", name="C7"), told["device"]) == 1
    other = judged(examination(lesion={"kind": "nerve", "name": "fibular_head"}), ILL)
    assert other["lesion.rank.device"].verdict == "fail"


def test_a_lesion_that_nobody_knows_is_inconclusive() -> None:
    """A name that is no lesion's is no rank, and is not a pass."""
    told = judged(examination(lesion={"kind": "root", "name": "C17"}), ILL)
    assert told["lesion.rank.truth"].verdict == "inconclusive"


def test_the_rows_of_the_localisation_are_plain() -> None:
    """The first lesions with their reasons, and the place of the true one."""
    told = localised(axes_found(examination(), ILL))
    rows: Any = localisation_rows(Lesion(kind="root", name="C7"), told, n=2)
    assert list(rows) == list(FINDERS)
    assert rows["device"]["rank"] == 1
    assert rows["device"]["lesions"][0]["name"] == "C7"
    assert {reason["what"] for reason in rows["device"]["lesions"][0]["because"]} == {
        "triceps_brachii", "deltoid"}  # fmt: skip


def test_runs_at_rest_have_limits_too() -> None:
    """They are counted by name; what was not found at all is none, and fails."""
    limits = [{"measurement": "runs.end_plate_noise.device", "low": 3.0}]
    exam = examination(lesion=None, muscles=[{"muscle": "deltoid", "limits": limits, "shows": {}}])
    [fails] = judged(exam, {"deltoid": {"device": rests()}}).values()
    assert (fails.id, fails.value, fails.verdict) == (
        "deltoid.runs.end_plate_noise.device", 0.0, "fail")  # fmt: skip
    [passes] = judged(exam, {"deltoid": {"device": rests("end_plate_noise")}}).values()
    assert (passes.value, passes.verdict) == (8.0, "pass")
    assert "runs.end_plate_noise.device" not in {
        limit.measurement for limit in exam.scenario(exam.muscles[0]).limits}  # fmt: skip


def test_muaps_are_not_typed_without_reference_values() -> None:
    """A muscle that nobody published is examined at rest all the same."""
    unknown = {"name": "deltoid_of_mine", "nerve": "axillary", "roots": {"C5": 1.0}}
    exam = examination(muscles=[{"muscle": "deltoid"}], lesion=None)
    muscle = exam.muscles[0].muscle.model_copy(update=unknown)
    own = exam.muscles[0].model_copy(update={"muscle": muscle})
    exam = exam.model_copy(update={"muscles": (own,)})
    heard = (*rests("fibrillation"), slight())
    axes = axes_found(exam, {"deltoid_of_mine": {"device": heard}})
    [told] = axes["deltoid_of_mine"].values()
    assert [axis.axis for axis in told] == ["active_denervation", "special_discharges"]
    assert localised(axes) == {}
    known = axes_found(examination(), {"deltoid": {"device": heard}})["deltoid"]["device"]
    assert [axis.axis for axis in known] == [
        "active_denervation", "muap_type", "special_discharges"]  # fmt: skip
