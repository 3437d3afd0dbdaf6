"""Muscles beside the one under the skin: heard through the same skin, and told in the truth."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emgsim.analysis.plan import SurfacePlan
from emgsim.analysis.skin import analyse_surface
from emgsim.configuration import merged
from emgsim.errors import InputError
from emgsim.physiology.parameters import Pool
from emgsim.physiology.pool import thresholds
from emgsim.recording import Recording, Truth
from emgsim.scenario import SCHEMA, Scenario, load_scenario, scenario_from
from emgsim.seeds import stream
from emgsim.simulation import Simulation, lasting, simulate
from emgsim.stages import add_train

REST = {"kind": "rest", "duration_s": 1.0}
WORK = {"kind": "hold", "duration_s": 1.0, "level_mvc": 0.4, "ramp_s": 0.0}
OWN: dict[str, Any] = {
    "name": "own",
    "radius_mm": 6.0,
    "fat_mm": 10.0,  # so that tables of what pads pick up are small
    "pool": {"n_units": 12},
    "fibres": {"per_unit_smallest": 5, "per_unit_largest": 30, "length_mm": 80.0},
}
OTHER = merged(OWN, {"name": "other", "pool": {"n_units": 9}, "fibres": {"length_mm": 60.0}})
ASIDE: dict[str, Any] = {"muscle": OTHER, "across_mm": 15.0, "phases": [WORK]}


def table(*neighbours: dict[str, Any], phase: dict[str, Any] = WORK, **electrode: Any) -> Any:
    """Return a scenario of two discs without noise on a small muscle, and what lies beside it."""
    return {
        "schema": SCHEMA,
        "id": "beside",
        "title": "A small muscle and what lies beside it",
        "seed": 3,
        "muscle": OWN,
        "electrode": {"kind": "surface_bipolar", "noise_uv": 0.0, **electrode},
        "phases": [phase],
        "neighbours": [*neighbours],
    }


def heard(*neighbours: dict[str, Any], **others: Any) -> tuple[Recording, Truth]:
    """Simulate the scenario of `table`."""
    return simulate(Scenario.model_validate(table(*neighbours, **others)))


def same(one: NDArray[Any], two: NDArray[Any]) -> bool:
    """Tell whether two arrays are the same bytes."""
    return one.tobytes() == two.tobytes()


def assert_whole(recording: Recording, truth: Truth) -> None:
    """Assert that the units' MUAPs at their discharges make the recording."""
    total = np.zeros(recording.n_samples)
    for unit in truth.units:
        add_train(total, recording.rate_hz, 0.0, unit)
    error_uv = np.abs(total - recording.samples_uv[:, 0]).max()
    # `add_train` goes straight between 16 phases a sample
    assert error_uv < 4e-3 * max(unit.peak_to_peak_uv for unit in truth.units)


def test_a_neighbour_at_rest_is_not_heard() -> None:
    """The recording and the truth are those without it."""
    (alone, truth), (beside, told) = heard(), heard({**ASIDE, "phases": [REST]})
    assert same(alone.samples_uv, beside.samples_uv)
    assert [unit.id for unit in truth.units] == [unit.id for unit in told.units]


def test_own_muscle_and_neighbours_add_up() -> None:
    """The skin hears the sum of what it would hear of each by itself."""
    both, _ = heard(ASIDE)
    own, _ = heard()
    other, _ = heard(ASIDE, phase=REST)
    assert np.std(other.samples_uv) > 0.1
    np.testing.assert_allclose(both.samples_uv, own.samples_uv + other.samples_uv, atol=1e-9)


def test_a_neighbour_is_a_muscle_that_the_electrode_lies_beside() -> None:
    """It sounds as if it were the scenario's own, with the electrode as far from it."""
    aside = {**ASIDE, "across_mm": -14.0, "along_mm": 6.0}
    beside, _ = heard(aside, phase=REST, centre_across_mm=3.0)
    moved = table(phase=WORK, centre_across_mm=17.0, centre_z_mm=14.0, apart_mm=20.0)
    seed = int(stream(3, "neighbours").integers(2**32))
    # Discs 20 mm apart are too far for 60 mm fibres of one's own: two pads, and their difference
    moved["electrode"] |= {"kind": "surface_grid", "rows": 2, "columns": 1, "pitch_mm": 20.0}
    moved["electrode"] |= {"montage": "single_differential", "pad_mm": 10.0}
    del moved["electrode"]["apart_mm"]
    alone, _ = simulate(Scenario.model_validate({**moved, "muscle": OTHER, "seed": seed}))
    np.testing.assert_allclose(beside.samples_uv, alone.samples_uv, atol=1e-9)


def test_a_neighbour_lies_under_the_fat_of_the_limb() -> None:
    """The scenario's own muscle says how thick it is."""
    lean, fat = ({**ASIDE, "muscle": {**OTHER, "fat_mm": mm}} for mm in (0.0, 20.0))
    assert same(heard(lean, phase=REST)[0].samples_uv, heard(fat, phase=REST)[0].samples_uv)


def test_the_truth_tells_whose_unit_it_is() -> None:
    """Units of all muscles have ids of their own, and those of neighbours lie beyond the pool."""
    _, truth = heard(ASIDE, {**ASIDE, "across_mm": -20.0})
    ids = [unit.id for unit in truth.units]
    assert len(set(ids)) == len(ids)
    last_of_own = OWN["pool"]["n_units"]
    assert {(unit.muscle, unit.id > last_of_own) for unit in truth.units} == {
        ("own", False),
        ("other", True),
    }
    pool = Pool(n_units=9)
    expected = thresholds(pool) / pool.maximal_excitation
    for unit in truth.units:
        if unit.muscle == "other":
            assert unit.threshold == expected[(unit.id - last_of_own - 1) % 9]


def test_the_truth_of_a_neighbour_is_whole() -> None:
    """MUAPs of its units at their discharges make all that is heard of it."""
    recording, truth = heard(ASIDE, phase=REST)
    assert {unit.muscle for unit in truth.units} == {"other"}
    assert_whole(recording, truth)


def test_neighbours_are_different_patients() -> None:
    """Two of one name discharge differently, and the second changes nothing of the first."""
    _, one = heard(ASIDE, phase=REST)
    _, two = heard(ASIDE, ASIDE, phase=REST)
    trains = {unit.id: unit.discharge_times_s for unit in two.units}
    assert all(same(unit.discharge_times_s, trains[unit.id]) for unit in one.units)
    smallest = one.units[0].id
    assert not np.array_equal(trains[smallest], trains[smallest + 9])


@given(block_s=st.floats(0.001, 1.5), effort_s=st.floats(0.2, 1.0))
@settings(max_examples=4, deadline=None)
def test_blocks_of_any_length_are_the_same_bytes_beside_a_neighbour(
    block_s: float, effort_s: float
) -> None:
    """However short its effort is; and the truth is the same."""
    aside = {**ASIDE, "phases": [{**WORK, "duration_s": effort_s}]}
    scenario = Scenario.model_validate(table(aside, noise_uv=1.0))
    whole, truth = simulate(scenario)
    running = Simulation(scenario, block_s=block_s)
    pieces = np.concatenate([block.samples_uv for block in running])
    assert same(pieces, whole.samples_uv)
    for a, b in zip(running.truth().units, truth.units, strict=True):
        assert same(a.discharge_times_s, b.discharge_times_s)
        assert same(a.muap_uv, b.muap_uv)


def test_long_fibres_beside_short_ones_are_told_in_time() -> None:
    """Longer potentials are mixed in longer stretches: those wait for all of their discharges."""
    slow = {"temperature_c": 20.0, "fibres": {"length_mm": 150.0}, "pool": {"n_units": 2}}
    steady = {**WORK, "duration_s": 30.0}
    aside = {**ASIDE, "muscle": merged(OTHER, slow), "phases": [steady]}
    recording, truth = heard(aside, phase={**REST, "duration_s": 30.0})
    assert_whole(recording, truth)


def test_behind_its_last_phase_a_neighbour_rests() -> None:
    """So it does where the recording was cut shorter than its effort."""
    brief = {**ASIDE, "phases": [{**WORK, "duration_s": 0.5}]}
    long = {**REST, "duration_s": 3.0}
    _, truth = heard(brief, phase=long)
    assert max(unit.discharge_times_s.max() for unit in truth.units) < 0.5
    whole = Scenario.model_validate(table(ASIDE))
    _, cut = simulate(lasting(whole, 0.6))
    assert max(unit.discharge_times_s.max() for unit in cut.units) < 0.6


def test_discs_need_to_fit_the_fibres_of_their_own_muscle_alone() -> None:
    """20 mm apart they are too far for the neighbour's 60 mm fibres, on which nobody put them."""
    heard(ASIDE)
    with pytest.raises(InputError, match="apart_mm must be <= 15"):
        simulate(Scenario.model_validate({**table(), "muscle": OTHER}))


@cache
def forearm_uv(across_mm: float | None) -> NDArray[np.float64]:
    """Return three pads in a row over a flexor, which works itself, or the extensor beside it."""
    work = {**WORK, "duration_s": 2.0, "level_mvc": 0.2}
    phase = {**(work if across_mm is None else REST), "duration_s": 2.0}
    electrode = {"rows": 3, "columns": 1, "pitch_mm": 10.0, "pad_mm": 5.0, "noise_uv": 0.0}
    forearm = table(phase=phase)
    forearm |= {"muscle": {"name": "flexor_carpi_radialis"}, "electrode": electrode}
    electrode["kind"] = "surface_grid"
    if across_mm is not None:
        extensor = {"name": "extensor_digitorum"}
        forearm["neighbours"] = [{"muscle": extensor, "across_mm": across_mm, "phases": [work]}]
    recording, _ = simulate(scenario_from(forearm, "here"))
    return recording.samples_uv[recording.n_samples // 2 :]


def test_crosstalk_falls_with_distance_and_with_the_order_of_the_difference() -> None:
    """`pytest -s` prints the share that two muscles of 9 mm radius have of each other's EMG."""
    montages = {"monopolar": [0, 1, 0], "single": [1, -1, 0], "double": [-1, 2, -1]}
    share = {}
    for name, weights in montages.items():
        own, *aside = (np.std(forearm_uv(mm) @ weights) for mm in (None, 20.0, 40.0))
        share[name] = np.array(aside) / own
        print(
            f"{name:9}: {100 * share[name][0]:5.1f} % at 20 mm, {100 * share[name][1]:5.1f} at 40"
        )
    assert all(far < 0.5 * near for near, far in share.values())
    assert np.all(share["double"] < 0.7 * share["single"])
    assert np.all(share["single"] < 0.7 * share["monopolar"])
    assert 0.01 < share["single"][1] < 0.1  # 3-5 % is usual


def test_fibres_that_dive_under_an_electrode_are_heard_less() -> None:
    """They lie deeper there; rising towards it, they are heard more."""
    diving, level, rising = (
        np.std(heard(tilt_deg=tilt)[0].samples_uv) for tilt in (10.0, 0.0, -10.0)
    )
    assert 1.2 * diving < level < rising / 1.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"neighbours": [{**ASIDE, "across_mm": 0}]}, "neighbours.0: across_mm must not be 0"),
        (
            {"neighbours": [ASIDE, {**ASIDE, "phases": [WORK, REST]}]},
            "neighbours.1.phases must last no longer than the scenario's 1 s, got 2",
        ),
        (
            {"neighbours": [{**ASIDE, "muscle": {"name": "bicep"}}]},
            "neighbours.0.muscle.name: no muscle 'bicep' in the catalogue",
        ),
        ({"neighbours": [{**ASIDE, "muscle": {}}]}, "neighbours.0.muscle.name: missing"),
        ({"neighbours": [{**ASIDE, "phases": []}]}, "neighbours.0.phases: "),
        ({"electrode": {"kind": "surface_bipolar", "tilt_deg": -21}}, "electrode.tilt_deg: "),
        (
            {"electrode": {"kind": "monopolar", "tip": {"z_mm": 20.0}}},
            "neighbours must be empty for a monopolar electrode: only the skin hears them, "
            "got 'other'",
        ),
        (
            {
                "electrode": {"kind": "belly_tendon", "conductor": "cylinder", "limb_radius_mm": 9},
                "neighbours": [{**ASIDE, "across_mm": -30.0}],
            },
            "neighbours.0.across_mm must be within 28.27, half the limb's girth, got -30",
        ),
    ],
)
def test_a_mistake_about_neighbours_or_tilt_is_told(change: dict[str, Any], words: str) -> None:
    """By its place, rule and value."""
    with pytest.raises(InputError) as info:
        scenario_from(table(ASIDE) | change, "here")
    assert words in info.value.what


def test_a_neighbour_takes_muscle_and_effort_as_the_scenario_does(tmp_path: Path) -> None:
    """From the catalogue, what stands here on top of it; and from a file of efforts."""
    (tmp_path / "effort.csv").write_text("time_s,effort_mvc\n0,0\n1,0.5\n")
    muscle = {"name": "biceps_brachii", "pool": {"n_units": 7}}
    effort = [{"kind": "file", "path": "effort.csv"}]
    aside = {**ASIDE, "muscle": muscle, "phases": effort}
    neighbour = scenario_from(table(aside), "here", folder=tmp_path).neighbours[0]
    assert (neighbour.muscle.pool.n_units, neighbour.muscle.fibres.length_mm) == (7, 120.0)
    assert neighbour.phases[0].peak_mvc == 0.5


@pytest.mark.slow
def test_the_forearm_shows_activity_that_is_the_neighbours() -> None:
    """The analysis takes the extensor's effort for the resting flexor's; the truth does not."""
    scenario = load_scenario("surface_forearm_crosstalk")
    recording, truth = simulate(scenario)
    found = analyse_surface(recording, cast(SurfacePlan, scenario.analysis))
    taken_for_efforts = [e for e in found.events if e.kind == "contraction"]
    assert [round(event.onset_s) for event in taken_for_efforts] == [2, 9]
    assert [e.onset_s for e in truth.events if e.kind == "contraction"] == [9.0]
    early = {u.muscle for u in truth.units if u.discharge_times_s.min() < 8}
    assert early == {"extensor_digitorum"}
