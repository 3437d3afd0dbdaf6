"""Needles that move: where they rest, what is heard there, and what the truth says of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from emgsim.files.npz import read_npz, write_npz
from emgsim.physiology.parameters import NeedleMove
from emgsim.physiology.track import track
from emgsim.placing import needle_way, rests
from emgsim.recording import Recording, Truth
from emgsim.scenario import Scenario, load_scenario
from emgsim.simulation import patient_of, simulate

PHASES = (
    "phases=[{kind='hold',duration_s=1.2,level_mvc=0.03,ramp_s=0.1},"
    "{kind='rest',duration_s=0.8},{kind='hold',duration_s=1.5,level_mvc=0.03,ramp_s=0.1}]"
)
LOST = "conditions=[{kind='axonal_loss',share=0.6,months=2,reinnervation=0.2}]"


def moving(move: str, *more: str) -> Scenario:
    """Return two efforts with a movement of the needle in the rest between them."""
    moves = f"electrode.moves=[{{at_s=1.4,duration_s=0.2,{move}}}]"
    return load_scenario("healthy_biceps", overrides=[PHASES, moves, *more])


@cache
def examined() -> tuple[Scenario, Recording, Truth]:
    """Return a denervated muscle at two places."""
    scenario = moving("x_mm=4.0", LOST)
    return scenario, *simulate(scenario, seed=4)


def test_the_truth_of_a_place_is_what_was_heard_there() -> None:
    """At each place: the discharges of that time, the MUAP that a needle put there hears."""
    scenario, _, truth = examined()
    assert [(s.onset_s, s.offset_s) for s in truth.stays] == [(0.0, 1.4), (1.6, 3.5)]
    tip = scenario.electrode.tip.model_copy(update={"x_mm": 4.0})
    patient = patient_of(scenario, seed=4)
    assert truth.stays[1].units
    for unit in truth.stays[1].units:
        heard = patient.voices(unit.id - 1, tip)[0].muap_uv
        np.testing.assert_allclose(unit.muap_uv[:, 0], heard, rtol=0, atol=1e-9)
        assert unit.peak_to_peak_uv >= 20.0
        assert unit.discharge_times_s.min() >= 1.6
    there = {unit.id: unit.peak_to_peak_uv for unit in truth.stays[0].units}
    here = {unit.id: unit.peak_to_peak_uv for unit in truth.stays[1].units}
    assert any(abs(there[k] / here[k] - 1) > 0.2 for k in there.keys() & here.keys())


def test_what_is_cut_out_of_the_truth_is_of_that_time() -> None:
    """`Truth.at` keeps units and sources with what they discharged then, and no others."""
    _, _, truth = examined()
    part = truth.at(2.5, 3.0)
    assert part.units
    assert part.spontaneous
    assert not part.stays
    for unit in part.units:
        assert np.all((unit.spike_times_s >= 2.5) & (unit.spike_times_s < 3.0))
    for source in part.spontaneous:
        assert np.all((source.discharge_times_s >= 2.5) & (source.discharge_times_s < 3.0))
    assert {event.kind for event in part.events} >= {"contraction"}
    with pytest.raises(ValueError, match="the needle must rest from onset_s to offset_s"):
        truth.at(1.0, 2.0)


def test_what_follows_from_a_condition_is_found_at_every_place() -> None:
    """Fibres fibrillate where the needle is, each source while it rests there."""
    _, _, truth = examined()
    found = [event for event in truth.events if event.kind == "fibrillation"]
    assert {event.onset_s for event in found} == {0.0, 1.6}
    for event in found:
        assert event.offset_s <= (1.4 if event.onset_s == 0.0 else 3.5)


def test_named_activity_lies_where_the_needle_is_when_it_begins() -> None:
    """A burst of the movement is heard loudly at the second place."""
    burst = (
        "spontaneous=[{kind='insertional_burst',onset_s=1.4,movement_s=0.2,after_s=0.3,grade=3}]"
    )
    recording, _ = simulate(moving("x_mm=4.0", burst), seed=4, for_playing=True)
    quiet, _ = simulate(moving("x_mm=4.0"), seed=4, for_playing=True)
    difference_uv = recording.samples_uv - quiet.samples_uv
    before, after = (
        difference_uv[round(a * 48e3) : round(b * 48e3)] for a, b in ((0, 1.4), (1.6, 2))
    )
    assert not before.any()
    assert np.ptp(after) > 50.0


def test_a_needle_that_seeks_on_its_way_stops_at_a_unit() -> None:
    """It advances from where it was led, and the place is in the truth; without a unit it stays."""
    scenario = moving("x_mm=4.0,y_mm=4.0,seek={track_mm=6.0}")
    patient = patient_of(scenario, seed=1)
    _, [move] = needle_way(scenario, patient)
    assert move.seek is None
    assert move.y_mm is not None
    assert -2.0 - 1e-9 <= move.y_mm <= 4.0
    deaf = moving("x_mm=4.0,seek={track_mm=1.0,amplitude_uv=1e5}")
    _, [stays] = needle_way(deaf, patient)
    assert (stays.x_mm, stays.y_mm) == (4.0, deaf.electrode.tip.y_mm)


def test_a_needle_rests_between_its_moves() -> None:
    """From the end of one move to the beginning of the next, at the place it was led to."""
    scenario = load_scenario("healthy_biceps")
    moves = (NeedleMove(at_s=0.0, x_mm=1.0), NeedleMove(at_s=2.0, duration_s=1.0, x_mm=2.0))
    found = rests(track(scenario.electrode.tip, moves), moves, 5.0)
    assert [(r.onset_s, r.offset_s, r.tip.x_mm) for r in found] == [
        (0.2, 2.0, 1.0),
        (3.0, 5.0, 2.0),
    ]


def test_a_file_keeps_the_truth_of_every_place(tmp_path: Path) -> None:
    """What is written is read again, units and their MUAPs included."""
    _, recording, truth = examined()
    write_npz(tmp_path / "moved.npz", recording, truth)
    _, again = read_npz(tmp_path / "moved.npz")
    assert again is not None
    for one, two in zip(truth.stays, again.stays, strict=True):
        assert (one.onset_s, one.offset_s, len(one.units)) == (
            two.onset_s, two.offset_s, len(two.units),
        )  # fmt: skip
        for a, b in zip(one.units, two.units, strict=True):
            np.testing.assert_allclose(a.spike_times_s, b.spike_times_s, rtol=0, atol=1e-12)
            np.testing.assert_array_equal(a.muap_uv, b.muap_uv)
