"""From a scenario to samples: exact truth, exact times, the same bytes every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.errors import InputError
from emgsim.physiology.pool import rates_hz
from emgsim.recording import MotorUnit, Recording, Truth
from emgsim.scenario import Phase, Scenario, load_scenario
from emgsim.simulation import QUIET_UV, add_train, effort_profile, lasting, simulate
from emgsim.testing import RATES_HZ, scenarios

SHORT = lasting(load_scenario("healthy_biceps"), 3.0)  # two seconds of rest, one of effort
PROPERTY = settings(max_examples=15, deadline=None)


def at_rate(scenario: Scenario, rate_hz: float) -> Scenario:
    """Return the scenario sampled at another rate."""
    acquisition = scenario.acquisition.model_copy(update={"rate_hz": rate_hz})
    return scenario.model_copy(update={"acquisition": acquisition})


def spike_unit(times_s: list[float], rate_hz: float, f_hz: float = 800.0) -> MotorUnit:
    """Return a unit with a smooth MUAP of 10 ms whose centre comes 5 ms after the discharge."""
    t = np.arange(round(0.010 * rate_hz)) / rate_hz - 0.005
    muap_uv = 100 * np.exp(-((t / 1e-3) ** 2)) * np.cos(2 * np.pi * f_hz * t)
    return MotorUnit(
        id=1,
        muscle="x",
        threshold=0.1,
        n_fibres=1,
        discharge_times_s=np.array(times_s),
        muap_uv=muap_uv[:, None],
        muap_start_s=0.0,
        arrival_s=0.005,
    )


@given(scenario=scenarios())
@PROPERTY
def test_the_same_scenario_gives_the_same_bytes(scenario: Scenario) -> None:
    """Simulating is a function of the scenario: recording, discharges and MUAPs repeat."""
    (one, truth), (two, again) = simulate(scenario), simulate(scenario)
    assert one.samples_uv.tobytes() == two.samples_uv.tobytes()
    for a, b in zip(truth.units, again.units, strict=True):
        assert a.discharge_times_s.tobytes() == b.discharge_times_s.tobytes()
        assert a.muap_uv.tobytes() == b.muap_uv.tobytes()


@given(scenario=scenarios())
@PROPERTY
def test_the_recording_is_the_sum_of_its_units(scenario: Scenario) -> None:
    """Truth is whole: rendering every unit's train again gives the samples, and nothing else."""
    recording, truth = simulate(scenario)
    total = np.zeros(recording.n_samples)
    for unit in reversed(truth.units):
        add_train(total, recording.rate_hz, recording.start_s, unit)
    np.testing.assert_allclose(total, recording.samples_uv[:, 0], atol=1e-9)


@given(scenario=scenarios())
@PROPERTY
def test_what_comes_out_has_the_form_that_is_promised(scenario: Scenario) -> None:
    """Shape, rate, finite samples, ascending discharges inside the recording, events that fit."""
    recording, truth = simulate(scenario)
    assert recording.n_samples == round(scenario.duration_s * scenario.acquisition.rate_hz)
    assert recording.samples_uv.shape[1] == len(recording.channels) == 1
    assert truth.muap_rate_hz == recording.rate_hz
    assert np.isfinite(recording.samples_uv).all()
    assert truth.units
    assert truth.events[0].onset_s == 0.0
    assert truth.events[-1].offset_s == pytest.approx(scenario.duration_s)
    for unit in truth.units:
        times_s = unit.discharge_times_s
        assert np.all(np.diff(times_s) > 0)
        assert times_s[0] >= 0
        assert times_s[-1] <= scenario.duration_s + 1e-3
        assert 0 < unit.threshold <= 1


@given(scenario=scenarios())
@PROPERTY
def test_the_line_is_silent_until_the_first_discharge(scenario: Scenario) -> None:
    """No unit is heard before its motor neuron has fired."""
    recording, truth = simulate(scenario)
    first_s = min(float(unit.discharge_times_s[0]) for unit in truth.units)
    assert np.all(recording.samples_uv[recording.times_s < first_s] == 0.0)


def test_another_seed_is_another_patient() -> None:
    """The argument takes the place of the scenario's own seed."""
    (_, a), (_, b) = simulate(SHORT, seed=1), simulate(SHORT, seed=2)
    assert SHORT.seed == 1
    assert a.units[0].discharge_times_s[0] != b.units[0].discharge_times_s[0]
    assert a.units[0].peak_to_peak_uv != b.units[0].peak_to_peak_uv


def test_more_effort_does_not_move_the_fibres() -> None:
    """Each role has its own stream: units recruited before keep their MUAPs to the last bit."""
    hold = SHORT.phases[-1].model_copy(update={"level_mvc": 0.10})
    harder = SHORT.model_copy(update={"phases": (SHORT.phases[0], hold)})
    (_, slight), (_, strong) = simulate(SHORT), simulate(harder)
    assert len(strong.units) > len(slight.units)
    for a, b in zip(slight.units, strong.units, strict=False):
        assert a.id == b.id
        assert a.muap_uv.tobytes() == b.muap_uv.tobytes()


def test_a_longer_rest_before_moves_everything_by_its_length() -> None:
    """One second more of rest, the rest of the patient's life one second later."""
    longer = SHORT.phases[0].model_copy(update={"duration_s": 3.0})
    later = SHORT.model_copy(update={"phases": (longer, SHORT.phases[1])})
    (early, one), (late, two) = simulate(SHORT), simulate(later)
    for a, b in zip(one.units, two.units, strict=True):
        np.testing.assert_allclose(b.discharge_times_s, a.discharge_times_s + 1.0, atol=1e-9)
    np.testing.assert_allclose(late.samples_uv[48_000:], early.samples_uv, atol=1e-6)


def test_units_discharge_at_the_rates_of_the_pool() -> None:
    """Ten seconds at 5 %: each unit's mean rate is within 4 standard errors of the equation's."""
    scenario = load_scenario("healthy_biceps")
    _, truth = simulate(scenario)
    pool = scenario.muscle.pool
    level = np.interp(0.05, *_force_curve(scenario))
    rates = rates_hz(pool, np.array([level]))[:, 0]
    for unit in truth.units[::10]:
        held = unit.discharge_times_s[unit.discharge_times_s > 3.0]
        if held.size < 20:
            continue  # at the brink of recruitment
        rate = 1 / np.diff(held).mean()
        error = pool.isi_cov / np.sqrt(held.size)
        assert rate == pytest.approx(rates[unit.id - 1], rel=4 * error + 0.01)


def _force_curve(scenario: Scenario) -> tuple[np.ndarray, np.ndarray]:
    from emgsim.physiology.pool import maximal_excitation, steady_force

    levels = np.linspace(1.2, maximal_excitation(scenario.muscle.pool), 20_001)
    return steady_force(scenario.muscle.pool, levels), levels


def lag_s(one: Recording, two: Recording, up_to_hz: float) -> float:
    """Return how much later the same signal stands in the second one, from the phase spectrum."""
    spectra = [np.fft.rfft(r.samples_uv[:, 0]) / r.n_samples for r in (one, two)]
    f_hz = np.arange(min(s.size for s in spectra)) / one.duration_s
    used = (f_hz > 0) & (f_hz < up_to_hz)
    a, b = (s[: f_hz.size][used] for s in spectra)
    omega = 2 * np.pi * f_hz[used]
    weight = np.abs(a * b)
    return float(-np.sum(weight * omega * np.angle(b / a)) / np.sum(weight * omega**2))


@pytest.mark.parametrize("rate_hz", [10_000.0, 23_437.5, 48_000.0])
def test_a_discharge_stands_at_the_same_time_at_every_rate(rate_hz: float) -> None:
    """Against 100 kHz, within 1 us, from the phases of all that lies below 3 kHz."""
    fine, truth = simulate(at_rate(SHORT, 100_000.0))
    coarse, same = simulate(at_rate(SHORT, rate_hz))
    for a, b in zip(truth.units, same.units, strict=True):
        assert a.discharge_times_s.tobytes() == b.discharge_times_s.tobytes()
    duration_s = 1.28  # a whole number of samples at all four rates
    window = (1.6, 1.6 + duration_s)
    assert abs(lag_s(fine.cut(*window), coarse.cut(*window), 3_000.0)) < 1e-6


def test_the_main_spike_stands_where_the_truth_says() -> None:
    """The peak of a unit's own MUAP comes `arrival_s` after its discharge, within a sample."""
    _, truth = simulate(SHORT)
    rate_hz = truth.muap_rate_hz
    for unit in truth.units[:20]:
        peak = int(np.argmax(np.abs(unit.muap_uv[:, 0])))
        assert unit.arrival_s == pytest.approx(unit.muap_start_s + peak / rate_hz, abs=1e-9)
        assert unit.muap_start_s >= 0
        assert abs(unit.muap_uv[0, 0]) > QUIET_UV
        assert abs(unit.muap_uv[-1, 0]) > QUIET_UV


@given(time_s=st.floats(0.02, 0.06), rate_hz=st.sampled_from([*RATES_HZ[1:], 100_000.0]))
@settings(max_examples=100, deadline=None)
def test_a_train_is_rendered_between_the_samples(time_s: float, rate_hz: float) -> None:
    """A known MUAP at any time: samples are its formula's values, within 1e-3 of its peak."""
    samples = np.zeros(round(0.1 * rate_hz))
    add_train(samples, rate_hz, 0.0, spike_unit([time_s], rate_hz))
    t = np.arange(samples.size) / rate_hz - time_s - 0.005
    expected = 100 * np.exp(-((t / 1e-3) ** 2)) * np.cos(2 * np.pi * 800.0 * t)
    np.testing.assert_allclose(samples, expected, atol=0.1)


@given(start_s=st.floats(-5.0, 5.0))
@settings(max_examples=30, deadline=None)
def test_rendering_knows_only_the_difference_of_times(start_s: float) -> None:
    """Train and first sample moved together give the same samples."""
    rate_hz = 48_000.0
    here, there = np.zeros(4800), np.zeros(4800)
    unit = spike_unit([0.01, 0.05], rate_hz)
    add_train(here, rate_hz, 0.0, unit)
    moved = replace(unit, discharge_times_s=unit.discharge_times_s + start_s)
    add_train(there, rate_hz, start_s, moved)
    np.testing.assert_allclose(there, here, atol=1e-6)


def test_a_discharge_is_cut_at_the_edges_and_lost_beyond_them() -> None:
    """Half a MUAP at each end, none far outside, and no error."""
    rate_hz = 48_000.0
    whole, part = np.zeros(4800), np.zeros(2400)
    unit = spike_unit([-0.2, -0.004, 0.0455, 0.3], rate_hz)
    add_train(whole, rate_hz, -0.02, unit)
    add_train(part, rate_hz, 0.0, unit)
    np.testing.assert_allclose(part, whole[960:3360], atol=1e-6)
    assert np.abs(part[:200]).max() > 50
    assert np.abs(part[-100:]).max() > 1


def test_rendering_adds_to_what_is_there() -> None:
    """Samples are added to in place."""
    samples = np.full(4800, 7.0)
    add_train(samples, 48_000.0, 0.0, spike_unit([0.05], 48_000.0))
    assert samples[0] == 7.0
    assert samples.max() == pytest.approx(107.0, abs=0.5)


def test_a_low_rate_folds_nothing_back() -> None:
    """At 4 kHz the spectrum has fallen away at 2 kHz: above it all was taken off before."""
    recording, _ = simulate(at_rate(SHORT, 4_000.0))
    power = np.abs(np.fft.rfft(recording.samples_uv[:, 0])) ** 2
    f_hz = np.arange(power.size) / recording.duration_s
    fine, _ = simulate(at_rate(SHORT, 48_000.0))
    fine_power = np.abs(np.fft.rfft(fine.samples_uv[:, 0]) / 12) ** 2
    band = (f_hz > 200) & (f_hz < 1_500)
    assert power[band].sum() == pytest.approx(fine_power[: f_hz.size][band].sum(), rel=1e-3)
    top = f_hz > 1_990
    assert power[top].mean() < 0.05 * power[(f_hz > 1_700) & (f_hz < 1_790)].mean()


def test_effort_rises_along_its_ramp_and_is_held() -> None:
    """By pencil: rest 0.1 s, then 20 % over 50 ms, in steps of 1 ms."""
    phases = (
        Phase(kind="rest", duration_s=0.1),
        Phase(kind="hold", duration_s=0.2, level_mvc=0.2, ramp_s=0.05),
    )
    times_s, effort = effort_profile(phases)
    assert times_s.size == 300
    assert np.all(effort[:101] == 0.0)
    assert effort[125] == pytest.approx(0.1)
    assert np.all(effort[150:] == pytest.approx(0.2))


def test_effort_never_falls_below_nothing() -> None:
    """A hold that begins at 0.1 + 0.2 s, which no grid of 1 ms meets exactly, starts from zero."""
    phases = (
        Phase(kind="rest", duration_s=0.1),
        Phase(kind="rest", duration_s=0.2),
        Phase(kind="hold", duration_s=1.0, level_mvc=0.1),
    )
    assert effort_profile(phases)[1].min() == 0.0


def test_a_hold_without_a_ramp_is_there_at_once() -> None:
    """ramp_s = 0 is a step."""
    _, effort = effort_profile((Phase(kind="hold", duration_s=0.1, level_mvc=0.3, ramp_s=0.0),))
    assert np.all(effort == 0.3)


def test_a_patient_at_rest_is_silent() -> None:
    """No unit, no sample other than zero, and no error."""
    rest = SHORT.model_copy(update={"phases": (Phase(kind="rest", duration_s=1.0),)})
    recording, truth = simulate(rest)
    assert not recording.samples_uv.any()
    assert truth.units == ()
    assert [event.kind for event in truth.events] == ["rest"]


def test_an_effort_that_recruits_nobody_is_told() -> None:
    """The message names the muscle, the effort and what to raise."""
    hold = Phase(kind="hold", duration_s=0.6, level_mvc=1e-6)
    with pytest.raises(InputError) as info:
        simulate(SHORT.model_copy(update={"phases": (hold,)}))
    assert "no unit of biceps_brachii discharges at 1e-06 of MVC" in info.value.what
    assert "healthy_biceps" in info.value.where
    assert "level_mvc" in info.value.todo


def test_events_follow_the_phases() -> None:
    """Rest without a grade, contraction with its level, end to end."""
    truth: Truth = simulate(SHORT)[1]
    found = [(e.kind, e.onset_s, e.offset_s, e.grade) for e in truth.events]
    assert found == [("rest", 0.0, 2.0, None), ("contraction", 2.0, 3.0, 0.05)]


@pytest.mark.parametrize(
    ("duration_s", "lengths"),
    [(1.0, [1.0]), (2.0, [2.0]), (2.6, [2.0, 0.6]), (12.0, [2.0, 10.0]), (30.0, [2.0, 28.0])],
)
def test_a_scenario_can_be_cut_and_stretched(duration_s: float, lengths: list[float]) -> None:
    """Later phases go first; the last one makes up what is missing."""
    changed = lasting(load_scenario("healthy_biceps"), duration_s)
    assert [phase.duration_s for phase in changed.phases] == pytest.approx(lengths)
    assert changed.duration_s == pytest.approx(duration_s)


@pytest.mark.parametrize(
    ("duration_s", "words"),
    [
        (0.0, "duration_s must be > 0, got 0"),
        (-1.0, "duration_s must be > 0, got -1"),
        (float("nan"), "duration_s must be > 0, got nan"),
        (2.3, "duration_s = 2.3 ends phase 2 within its ramp of 0.5 s"),
    ],
)
def test_a_length_that_fits_no_phase_is_refused(duration_s: float, words: str) -> None:
    """The message names the length and the rule."""
    with pytest.raises(InputError) as info:
        lasting(load_scenario("healthy_biceps"), duration_s)
    assert words in str(info.value)
