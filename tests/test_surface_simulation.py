"""From a scenario to what the skin hears: exact truth, the same bytes, fatigue, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import fft

from emgsim.errors import InputError
from emgsim.recording import Recording, Truth
from emgsim.scenario import Scenario, load_scenario, scenario_from
from emgsim.simulation import Simulation, simulate

Floats = NDArray[np.float64]

PROPERTY = settings(max_examples=12, deadline=None)
N_FFT = 4096  # a frequency every half hertz
COLUMN = {
    "kind": "surface_grid",
    "rows": 4,
    "columns": 1,
    "pitch_mm": 5.0,
    "centre_z_mm": 20.0,
    "noise_uv": 0.0,
}
HOLD = {"kind": "hold", "duration_s": 1.5, "level_mvc": 0.4, "ramp_s": 0.2}


def scenario(**changed: Any) -> Scenario:
    """Return four pads along a small muscle, half a second of rest and then effort."""
    table = {
        "schema": "emgsim.scenario/1",
        "id": "small_muscle",
        "title": "A small muscle",
        "seed": 1,
        "muscle": muscle(),
        "electrode": COLUMN,
        "phases": [{"kind": "rest", "duration_s": 0.5}, HOLD],
    }
    return scenario_from(table | changed, "scenario small_muscle")


def muscle(n_units: int = 12, velocity_fall: float = 0.0, tires_s: float = 1.0) -> dict[str, Any]:
    """Return a small muscle, whose fibres may tire."""
    pool = {
        "n_units": n_units,
        "peak_rate_first_hz": 15.0,  # one discharge after the other
        "peak_rate_drop_hz": 0.0,
        "fatigue": {"velocity_fall": velocity_fall, "time_constant_s": tires_s},
    }
    return {
        "name": "small",
        "radius_mm": 8.0,
        "fat_mm": 2.0,
        "pool": pool,
        "fibres": {"per_unit_smallest": 10, "per_unit_largest": 40, "length_mm": 80.0},
    }


def rendered_uv(recording: Recording, truth: Truth) -> Floats:
    """Return the sum of each unit's MUAP at each of its discharges, put there in frequency."""
    n, rate_hz = recording.n_samples, recording.rate_hz
    size = fft.next_fast_len(2 * n, real=True)  # the last discharge may end after the recording
    f_hz = fft.rfftfreq(size, 1 / rate_hz)
    spectrum = np.zeros((f_hz.size, len(recording.channels)), np.complex128)
    for unit in truth.units:
        starts_s = unit.discharge_times_s + unit.muap_start_s
        train = np.exp(-2j * np.pi * np.outer(f_hz, starts_s)).sum(axis=1)
        spectrum += train[:, None] * fft.rfft(unit.muap_uv, size, axis=0)
    return np.asarray(fft.irfft(spectrum, size, axis=0)[:n])


def at_discharge(recording: Recording, time_s: float, length_s: float = 0.05) -> Floats:
    """Return what is recorded from the sample after a time on."""
    first = int(np.ceil(time_s * recording.rate_hz))
    return recording.samples_uv[first : first + round(length_s * recording.rate_hz)]


# -- the same bytes, and the truth -----------------------------------------------------------------


@given(
    seed=st.integers(0, 5),
    block_s=st.floats(0.001, 2.5),
    velocity_fall=st.sampled_from([0.0, 0.4]),
)
@PROPERTY
def test_blocks_of_any_length_are_the_same_bytes(
    seed: int, block_s: float, velocity_fall: float
) -> None:
    """Streaming gives the samples and the truth of the whole, noise and a lost lead included."""
    electrode = COLUMN | {"noise_uv": 2.0, "lead_off": [1]}
    one = scenario(seed=seed, electrode=electrode, muscle=muscle(12, velocity_fall, 0.2))
    whole, truth = simulate(one)
    running = Simulation(one, block_s=block_s)
    samples_uv = np.concatenate([block.samples_uv for block in running])
    assert samples_uv.tobytes() == whole.samples_uv.tobytes()
    assert running.truth().events == truth.events
    for a, b in zip(running.truth().units, truth.units, strict=True):
        assert a.discharge_times_s.tobytes() == b.discharge_times_s.tobytes()
        assert a.muap_uv.tobytes() == b.muap_uv.tobytes()


@given(seed=st.integers(0, 1000), level_mvc=st.floats(0.1, 1.0))
@PROPERTY
def test_the_recording_is_the_sum_of_its_trains(seed: int, level_mvc: float) -> None:
    """Truth is whole: every unit's MUAP at its discharges gives the samples, and nothing else.

    MUAPs end while the band's limit still rings, by a thousandth: that lies above the band.
    """
    recording, truth = simulate(scenario(seed=seed, phases=[HOLD | {"level_mvc": level_mvc}]))
    largest_uv = max(float(np.ptp(unit.muap_uv)) for unit in truth.units)
    error_uv = rendered_uv(recording, truth) - recording.samples_uv
    assert np.abs(error_uv).max() < 3e-3 * largest_uv
    spectrum = fft.rfft(error_uv, axis=0)
    spectrum[fft.rfftfreq(recording.n_samples, 1 / recording.rate_hz) > 490.0] = 0.0
    assert np.abs(fft.irfft(spectrum, recording.n_samples, axis=0)).max() < 2e-4 * largest_uv


def test_two_discs_record_the_difference_of_two_pads() -> None:
    """The same patient under discs of the same size at the same places."""
    place = {"pad_mm": 6.0, "centre_z_mm": 18.0, "centre_across_mm": 2.0, "noise_uv": 0.0}
    pads = {"kind": "surface_pads", "pads_mm": [[-7.0, 0.0], [7.0, 0.0]]}
    discs = {"kind": "surface_bipolar", "apart_mm": 14.0}
    (two, of_two), (one, of_one) = (simulate(scenario(electrode=e | place)) for e in (pads, discs))
    expected_uv = two.samples_uv[:, 0] - two.samples_uv[:, 1]
    scale_uv = np.abs(two.samples_uv).max()
    np.testing.assert_allclose(one.samples_uv[:, 0], expected_uv, atol=1e-9 * scale_uv)
    for a, b in zip(of_two.units, of_one.units, strict=True):
        assert a.discharge_times_s.tobytes() == b.discharge_times_s.tobytes()


@pytest.mark.parametrize("angle_deg", [0.0, 180.0])
def test_the_main_spike_stands_where_the_truth_says(angle_deg: float) -> None:
    """Each discharge of a lone unit is largest `arrival_s` later, on the pad that hears it best."""
    electrode = COLUMN | {"angle_deg": angle_deg, "centre_z_mm": 25.0}
    recording, truth = simulate(scenario(muscle=muscle(1), electrode=electrode))
    (unit,) = truth.units
    loudest = int(np.argmax(np.ptp(unit.muap_uv, axis=0)))
    assert loudest == (3 if angle_deg else 0)  # towards the end plates
    for time_s in unit.discharge_times_s[:-1]:
        seen_uv = np.abs(at_discharge(recording, time_s)[:, loudest])
        spike_s = (np.ceil(time_s * recording.rate_hz) + np.argmax(seen_uv)) / recording.rate_hz
        assert spike_s - time_s == pytest.approx(unit.arrival_s, abs=1.01 / recording.rate_hz)


def test_the_truth_is_as_wide_as_the_recording() -> None:
    """Shape, rate, force, and the phases as events."""
    recording, truth = simulate(scenario())
    assert recording.samples_uv.shape == (4096, 4)
    assert truth.muap_rate_hz == recording.rate_hz == 2048.0
    assert {unit.muap_uv.shape[1] for unit in truth.units} == {4}
    assert [(e.kind, e.onset_s, e.offset_s) for e in truth.events] == [
        ("rest", 0.0, 0.5),
        ("contraction", 0.5, 2.0),
    ]
    assert truth.effort.max() == pytest.approx(0.4)


# -- fatigue ---------------------------------------------------------------------------------------


def between_rows_s(recording: Recording, time_s: float) -> float:
    """Return how much later a discharge passes the last pad than the first, from its phases."""
    first, last = fft.rfft(at_discharge(recording, time_s)[:, [0, 3]], N_FFT, axis=0).T
    omega = 2 * np.pi * fft.rfftfreq(N_FFT, 1 / recording.rate_hz)
    band = slice(40, 240)  # 20 to 120 Hz
    cross = first[band] * np.conj(last[band])
    weight = np.abs(cross)
    phase = np.unwrap(np.angle(cross))
    return float(np.sum(weight * omega[band] * phase) / np.sum(weight * omega[band] ** 2))


def tiring(velocity_fall: float) -> tuple[Recording, Truth]:
    """Return eight seconds of a lone unit at full effort; it tires within the first six."""
    column = COLUMN | {"montage": "single_differential", "rows": 5, "centre_z_mm": 45.0}
    alone = muscle(1, velocity_fall, 1.5)
    alone["fibres"]["length_mm"] = 180.0  # pads hear neither end plates nor tendons
    hold = {"kind": "hold", "duration_s": 8.0, "level_mvc": 1.0, "ramp_s": 0.0}
    return simulate(scenario(muscle=alone, electrode=column, phases=[hold]))


def median_hz(samples_uv: Floats, rate_hz: float) -> float:
    """Return the frequency below which half the power lies."""
    power = np.cumsum(np.abs(fft.rfft(samples_uv, N_FFT)) ** 2)
    return float(np.searchsorted(power, power[-1] / 2)) * rate_hz / N_FFT


@pytest.mark.parametrize(("velocity_fall", "slower"), [(0.0, 1.0), (0.3, 0.7)])
def test_tired_fibres_are_slower_by_what_the_scenario_says(
    velocity_fall: float, slower: float
) -> None:
    """The last discharge passes the pads more slowly than the first, and so its spectrum falls."""
    recording, truth = tiring(velocity_fall)
    times_s = truth.units[0].discharge_times_s
    first_s, last_s = (between_rows_s(recording, time_s) for time_s in times_s[[0, -3]])
    assert first_s / last_s == pytest.approx(slower, abs=0.02)
    first_hz, last_hz = (
        median_hz(at_discharge(recording, time_s)[:, 0], recording.rate_hz)
        for time_s in times_s[[0, -3]]
    )
    assert last_hz / first_hz == pytest.approx(slower, abs=0.08)


def test_the_muap_of_a_tiring_unit_is_its_mean() -> None:
    """No discharge is as the truth's MUAP, which the fibres are too fast for, and then too slow."""
    recording, truth = tiring(0.3)
    (unit,) = truth.units
    told = replace(recording, samples_uv=rendered_uv(recording, truth))
    times_s = unit.discharge_times_s[:-2]
    seen_uv, told_uv = (
        np.array([at_discharge(one, time_s) for time_s in times_s]) for one in (recording, told)
    )
    largest_uv = np.abs(told_uv).max()
    np.testing.assert_allclose(seen_uv.mean(axis=0), told_uv.mean(axis=0), atol=0.03 * largest_uv)
    assert np.abs(seen_uv - told_uv).max() > 0.2 * largest_uv


# -- the patient and the electrode -----------------------------------------------------------------


def test_a_denervated_muscle_is_not_louder_than_it_was() -> None:
    """Before any fibre is adopted, a unit that is left sounds as it did in health."""
    ill = [{"kind": "axonal_loss", "share": 0.5, "months": 0.1}]
    (_, before), (_, after) = simulate(scenario()), simulate(scenario(conditions=ill))
    left = {unit.id: unit for unit in after.units}
    both = [(unit, left[unit.id]) for unit in before.units if unit.id in left]
    assert 3 <= len(both) < len(before.units)
    for healthy, ill_one in both:
        np.testing.assert_allclose(ill_one.muap_uv, healthy.muap_uv, atol=1e-9)


def test_a_lost_lead_hums_and_is_told() -> None:
    """Its channel holds no EMG but the mains; the others are as they were, to the last bit."""
    bare, _ = simulate(scenario())
    off, truth = simulate(scenario(electrode=COLUMN | {"lead_off": [2]}))
    others = [0, 1, 3]
    assert off.samples_uv[:, others].tobytes() == bare.samples_uv[:, others].tobytes()
    power = np.abs(fft.rfft(off.samples_uv[:, 2] * np.hanning(off.n_samples))) ** 2
    f_hz = fft.rfftfreq(off.n_samples, 1 / off.rate_hz)
    above = f_hz > 10.0
    assert f_hz[above][np.argmax(power[above])] == pytest.approx(50.0, abs=0.5)
    assert [(e.kind, e.onset_s, e.offset_s) for e in truth.events if "lead_off" in e.kind] == [
        ("artefact.lead_off", 0.0, 2.0)
    ]


REST = [{"kind": "rest", "duration_s": 4.0}]


def test_the_skins_noise_is_recorded_and_played() -> None:
    """A bench has no skin: what the contact makes is left in the program that it plays."""
    resting = scenario(phases=REST, electrode=COLUMN | {"noise_uv": 3.0})
    recorded, played = (simulate(resting, for_playing=one)[0] for one in (False, True))
    np.testing.assert_allclose(recorded.samples_uv.std(axis=0), 3.0, rtol=0.4)  # slow, most of it
    assert played.samples_uv.tobytes() == recorded.samples_uv.tobytes()


def test_what_the_recorder_adds_is_left_to_the_wire() -> None:
    """Played, the amplifier and its converter have noise and steps of their own."""
    recorder = [{"kind": "amplifier", "rms_uv": 50.0}, {"kind": "adc"}]
    bare, _ = simulate(scenario(phases=REST), for_playing=True)
    played, _ = simulate(scenario(phases=REST, artefacts=recorder), for_playing=True)
    recorded, _ = simulate(scenario(phases=REST, artefacts=recorder))
    assert not bare.samples_uv.any()
    assert not played.samples_uv.any()
    assert recorded.samples_uv.std() > 10.0


def test_noise_that_a_scenario_names_takes_the_place_of_the_electrodes() -> None:
    """Two contacts of one pad would be one too many."""
    named = [{"kind": "skin_electrode", "rms_uv": 9.0}]
    electrode = COLUMN | {"noise_uv": 3.0}
    own, _ = simulate(scenario(phases=REST, electrode=electrode))
    other, _ = simulate(scenario(phases=REST, electrode=electrode, artefacts=named))
    np.testing.assert_allclose(other.samples_uv, 3.0 * own.samples_uv, atol=1e-6)


# -- what a scenario says, and what is refused -----------------------------------------------------


def test_the_plans_steps_are_the_named_phases() -> None:
    """Twice four phases of 4, 3, 4 and 3 s; what has no name is no step."""
    steps = load_scenario("flexion_relaxation_control").analysis.steps
    names = ("standing", "flexion", "full flexion", "re-extension")
    assert tuple(step.name for step in steps) == 2 * names
    assert [step.onset_s for step in steps] == pytest.approx([0, 4, 7, 11, 14, 18, 21, 25])
    assert [step.offset_s for step in steps] == pytest.approx([4, 7, 11, 14, 18, 21, 25, 28])
    named = scenario(phases=[{"kind": "rest", "duration_s": 0.5}, HOLD | {"name": "work"}])
    assert [(s.name, s.onset_s, s.offset_s) for s in named.analysis.steps] == [("work", 0.5, 2.0)]


def test_a_plan_of_its_own_steps_keeps_them() -> None:
    """Named phases do not take the place of what the scenario says."""
    plan = {"kind": "surface", "steps": [{"name": "all", "onset_s": 0.0, "offset_s": 2.0}]}
    one = scenario(phases=[HOLD | {"name": "work"}], analysis=plan)
    assert [step.name for step in one.analysis.steps] == ["all"]


def test_left_to_itself_the_skin_is_sampled_as_surface_amplifiers_do() -> None:
    """2048 Hz up to 500 Hz, and the plan of surface EMG."""
    one = scenario()
    assert (one.acquisition.rate_hz, one.acquisition.band_hz) == (2048.0, 500.0)
    assert one.analysis.kind == "surface"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"spontaneous": [{"kind": "fibrillation"}]},
            ["spontaneous must be empty for a surface_grid electrode", "got 'fibrillation'"],
        ),
        (
            {"analysis": {"kind": "needle"}},
            ["analysis.kind must be 'surface' for a surface_grid electrode, got 'needle'"],
        ),
        (
            {"electrode": {"kind": "concentric_needle"}, "analysis": {"kind": "surface"}},
            ["analysis.kind must be 'needle' for a concentric_needle electrode, got 'surface'"],
        ),
        ({"acquisition": {"rate_hz": 1000.0}}, ["acquisition.rate_hz", "2000", "got 1000"]),
        (
            {"acquisition": {"rate_hz": 2000.0, "highest_hz": 1000.0}},
            ["rate_hz must be >= 2222.22", "highest_hz = 1000, got 2000"],
        ),
        (
            {"electrode": COLUMN | {"columns": 64, "rows": 2, "conductor": "cylinder"}},
            ["the limb's girth of 314.2 mm", "its ends overlap", "got 317"],
        ),
        (
            {"electrode": COLUMN | {"pad_mm": 5.0}},
            ["pad_mm must be < 5", "or they touch"],
        ),
        (
            {"analysis": {"kind": "surface", "task": "low_load"}},
            ["mvc_uv and noise_uv must be given for task = 'low_load'"],
        ),
    ],
)
def test_a_scenario_that_does_not_fit_the_skin_is_refused(
    changed: dict[str, Any], words: list[str]
) -> None:
    """One error each, before anything is simulated: the thing, the rule and the value."""
    with pytest.raises(InputError) as info:
        scenario(**changed)
    assert info.value.where == "scenario small_muscle"
    missing = [word for word in words if word not in info.value.what]
    assert not missing, info.value.what


@pytest.mark.parametrize(
    ("electrode", "words"),
    [
        (
            {"kind": "surface_bipolar", "apart_mm": 30.0},
            ["apart_mm must be <= 20, a quarter of the 80 mm long fibres of small", "got 30"],
        ),
        (COLUMN | {"lead_off": [4]}, ["lead_off must name channels in 0..3, got 4"]),
        (
            COLUMN | {"rows": 1, "montage": "single_differential"},
            ["montage must find all pads of a channel on a grid of 1 x 1"],
        ),
        (
            COLUMN | {"conductor": "cylinder", "limb_radius_mm": 9.0},
            ["limb_radius_mm must be >= 11", "got 9"],
        ),
    ],
)
def test_an_electrode_that_does_not_fit_the_muscle_is_refused(
    electrode: dict[str, Any], words: list[str]
) -> None:
    """What only both together tell, with the scenario's name."""
    with pytest.raises(InputError) as info:
        simulate(scenario(electrode=electrode))
    assert info.value.where == "scenario small_muscle"
    missing = [word for word in words if word not in info.value.what]
    assert not missing, info.value.what


def test_an_effort_that_recruits_nobody_is_told() -> None:
    """As under a needle: the message names the muscle, and what to do."""
    with pytest.raises(InputError, match=r"no unit of small discharges at 0\.001 of MVC"):
        simulate(scenario(phases=[HOLD | {"level_mvc": 0.001}]))
