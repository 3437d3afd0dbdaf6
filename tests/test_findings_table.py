"""The findings table: grades, words and means as clinicians write them."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest

from emgsim.analysis.plan import Stretch
from emgsim.findings_table import Heard, heard, muscle_row, place_rows
from emgsim.recording import AxisFinding, Event, Findings, FoundRun, FoundUnit

Kind = Literal["insertion", "rest", "slight", "strong"]


def run(kind: str, grade: float | None = None, n: int = 5) -> FoundRun:
    """Return a run of n discharges."""
    times_s = np.linspace(0.1, 1.9, n)
    return FoundRun(kind=kind, onset_s=0.1, offset_s=1.9, discharge_times_s=times_s,
                    potential_uv=np.zeros((0, 1)), potential_start_s=0.0, grade=grade)  # fmt: skip


def stretch(kind: Kind, place: int) -> Stretch:
    """Return a stretch of 2 s at a place."""
    return Stretch(name=f"{kind} {place}", kind=kind, onset_s=0.0, offset_s=2.0)


def rest(place: int, *runs: FoundRun) -> Heard:
    """Return what was found in 2 s of rest."""
    events = (Event(kind="rest", onset_s=0.0, offset_s=2.0),)
    found = Findings(units=(), events=events, runs=runs)
    return Heard(stretch=stretch("rest", place), findings=found)


def insertion(place: int, length_s: float) -> Heard:
    """Return how long insertional activity lasted at a place."""
    row: dict[str, Any] = {"id": "insertion.length_s", "value": length_s, "unit": "s"}
    found = Findings(units=(), measures=(row,))
    return Heard(stretch=stretch("insertion", place), findings=found)


def unit(n: int = 20, **measures: float) -> FoundUnit:
    """Return a unit that is near."""
    return FoundUnit(id=1, discharge_times_s=np.arange(n) / 10.0, muap_uv=np.zeros((0, 1)),
                     muap_start_s=0.0,
                     measures={"rise_time_us": 400.0, "duration_ms": 10.0} | measures)  # fmt: skip


@pytest.mark.parametrize(
    ("grades", "written"),
    [
        ([0, 0, 0, 0], "0"),
        ([0.5, 0, 0, 0], "+/-"),
        ([0.5, 0.5, 0.5, 0.5], "+/-"),
        ([1, 0, 0, 0], "+/-"),  # a lasting train in one area only
        ([1, 1, 0, 0], "1+"),
        ([3, 3, 0, 0], "1+"),
        ([2, 2, 2, 0], "2+"),
        ([3, 3, 3, 2], "2+"),
        ([3, 3, 3, 3], "3+"),
        ([4, 4, 4, 4], "4+"),
    ],
)
def test_a_muscle_has_the_grade_of_as_many_areas_as_daube_asks_for(
    grades: list[float], written: str
) -> None:
    """1+ is met in two areas, 2+ in three, more in all."""
    sites = [rest(k, *([run("fibrillation", g)] if g else [])) for k, g in enumerate(grades, 1)]
    assert muscle_row(sites, ()).fibrillation == written
    assert muscle_row(sites, ()).positive_sharp_wave == "0"


def test_each_place_has_its_own_row() -> None:
    """What is heard at a place in several stretches is put together, the worst grade counting."""
    more = rest(1, run("fibrillation", 2.0))
    rows = place_rows([rest(1, run("fibrillation", 1.0)), rest(2), more, insertion(2, 0.4)])
    assert [row.place for row in rows] == [1, 2]
    assert [row.fibrillation for row in rows] == ["2+", "0"]
    assert [row.insertional for row in rows] == ["–", "increased"]
    assert rows[0].rest_s == 4.0


@pytest.mark.parametrize(
    ("length_s", "word"), [(0.0, "reduced"), (0.05, "normal"), (0.3, "normal"), (0.31, "increased")]
)
def test_insertional_activity_is_judged_by_its_length(length_s: float, word: str) -> None:
    """50 to 300 ms after the movement are normal."""
    [row] = place_rows([insertion(1, length_s)])
    assert row.insertional == word
    lengths = [insertion(k, s) for k, s in enumerate((0.1, length_s, length_s), 1)]
    assert muscle_row(lengths, ()).insertional == word


def test_fasciculations_are_counted_by_the_minute() -> None:
    """Three in two rests of 2 s are 45 a minute."""
    row = muscle_row([rest(1, run("fasciculation", n=3)), rest(2)], ())
    assert row.fasciculations_per_min == pytest.approx(45.0)


def test_other_activity_is_named_with_its_places() -> None:
    """What has a column of its own, and what is no activity, is not said again."""
    crd = "complex_repetitive_discharge"
    site = rest(1, run(crd), run(crd), run("fibrillation", 1.0), run("artefact"))
    row = muscle_row([site, rest(2, run(crd)), rest(3)], ())
    assert row.other == ("CRD (2 of 3)",)
    assert place_rows([site])[0].other == ("CRD",)


def test_muaps_are_those_that_are_near_and_often_seen() -> None:
    """Means over them in the clinic's units; polyphasic are those of more than four phases."""
    units = (
        unit(amplitude_uv=400.0, duration_ms=9.0, phases=3.0),
        unit(amplitude_uv=800.0, duration_ms=12.0, phases=5.0),
        unit(amplitude_uv=9000.0, rise_time_us=2000.0),
        unit(n=3, amplitude_uv=9000.0),
    )
    slight = Heard(stretch=stretch("slight", 1), findings=Findings(units=units))
    row = muscle_row([slight], ())
    assert (row.n_muaps, row.amplitude_mv, row.duration_ms, row.polyphasia_pct) == (
        2, pytest.approx(0.6), pytest.approx(10.5), pytest.approx(50.0))  # fmt: skip


def test_what_was_not_heard_is_no_finding() -> None:
    """Without rest nobody says that there are no fibrillations, without MUAPs none has a size."""
    row = muscle_row([Heard(stretch=stretch("rest", 1), findings=Findings(units=()))], ())
    assert (row.fibrillation, row.insertional, row.stability) == ("–", "–", "–")
    assert row.n_muaps is None
    assert math.isnan(row.fasciculations_per_min)
    assert math.isnan(row.amplitude_mv)


def test_stability_and_recruitment_are_those_of_the_axes() -> None:
    """The most probable value, in words."""
    axis = AxisFinding(axis="recruitment", value="poor_effort", probabilities={"poor_effort": 0.8})
    assert muscle_row([rest(1)], [axis]).recruitment == "poor effort"


def test_findings_are_told_apart_by_their_stretch() -> None:
    """Runs and rows go to the stretch in which they are."""
    whole = Findings(units=(), runs=(run("fibrillation", 1.0),))
    later = Stretch(name="rest 2", kind="rest", onset_s=3.0, offset_s=5.0)
    first, second = heard(whole, [stretch("rest", 1), later])
    assert (first.place, len(first.findings.runs)) == (1, 1)
    assert (second.place, len(second.findings.runs)) == (2, 0)
