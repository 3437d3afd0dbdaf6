"""From a scenario to samples: exact truth, exact times, the same bytes every time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from emgsim.errors import InputError
from emgsim.johnson import johnson_density_v2_hz
from emgsim.measures import mean_consecutive_difference_us, muap_measures
from emgsim.physiology.electrodes import impedance_ohm
from emgsim.physiology.kernels import fibre_waves_uv
from emgsim.physiology.parameters import Hold, Rest
from emgsim.physiology.voices import LUMPED_UV, QUIET_UV, near_fibres
from emgsim.recording import MotorUnit, Recording, Truth
from emgsim.scenario import Scenario, load_scenario
from emgsim.simulation import Simulation, lasting, patient_of, simulate
from emgsim.stages import add_train
from emgsim.testing import RATES_HZ, scenarios

# two seconds of rest, one of effort
SHORT = lasting(load_scenario("healthy_biceps", overrides=["seed=1"]), 3.0)
PROPERTY = settings(max_examples=15, deadline=None)


def changed(scenario: Scenario, **values: Any) -> Scenario:
    """Return the scenario with values, given by dotted keys with ``__``, in place of its own."""
    table = scenario.resolved()
    for key, value in values.items():
        *path, name = key.split("__")
        part = table
        for step in path:
            part = part[step]
        part[name] = value
    return Scenario.model_validate(table)


STEADY = {"safety_factor": 20.0, "jitter_us": 0.0}  # end plates that always fire at the same moment


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
def test_without_jitter_the_recording_is_the_sum_of_its_trains(scenario: Scenario) -> None:
    """Truth is whole: every unit's MUAP at its discharges gives the samples, and nothing else."""
    scenario = changed(scenario, muscle__junctions=STEADY)
    recording, truth = simulate(scenario, for_playing=True)
    total = np.zeros(recording.n_samples)
    for unit in reversed(truth.units):
        add_train(total, recording.rate_hz, recording.start_s, unit)
    error_uv = np.abs(total - recording.samples_uv[:, 0]).max()
    # `add_train` goes straight between 16 phases a sample: 4e-3 at the highest frequency
    assert error_uv < 4e-3 * max(unit.peak_to_peak_uv for unit in truth.units) + 0.01


@given(scenario=scenarios(), block_s=st.floats(0.001, 3.0))
@PROPERTY
def test_blocks_of_any_length_are_the_same_bytes(scenario: Scenario, block_s: float) -> None:
    """Streaming gives the samples and the truth of the whole, artefacts and noise included."""
    block_s = max(block_s, 1 / scenario.acquisition.rate_hz)
    table = scenario.resolved()
    table["artefacts"] = [{"kind": "mains"}, {"kind": "pop", "per_min": 60.0}]
    scenario = Scenario.model_validate(table)
    whole, truth = simulate(scenario)
    running = Simulation(scenario, block_s=block_s)
    blocks = list(running)
    assert np.concatenate([b.samples_uv for b in blocks]).tobytes() == whole.samples_uv.tobytes()
    assert blocks[-1].start_s + blocks[-1].duration_s == pytest.approx(whole.duration_s)
    assert running.truth().events == truth.events
    for a, b in zip(running.truth().units, truth.units, strict=True):
        assert a.discharge_times_s.tobytes() == b.discharge_times_s.tobytes()
        assert a.muap_uv.tobytes() == b.muap_uv.tobytes()


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
    """No unit is heard before its motor neuron has fired, but for the ringing of the band."""
    recording, truth = simulate(scenario, for_playing=True)
    first_s = min(float(unit.discharge_times_s[0]) for unit in truth.units)
    silent_s = first_s - patient_of(scenario).sampling.ringing_s - 1e-3
    assert np.all(recording.samples_uv[recording.times_s < silent_s] == 0.0)
    # Beside an end plate a potential begins with the discharge, and the band's limit spreads that
    # edge; at 4 kHz, where potentials are loud up to the limit, by more than can be bounded here.
    if recording.rate_hz > 4000.0:
        before = recording.samples_uv[recording.times_s < first_s]
        loudest_uv = max(unit.peak_to_peak_uv for unit in truth.units)
        assert np.abs(before).max(initial=0.0) < 0.05 * loudest_uv + QUIET_UV


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


def test_a_longer_recording_begins_as_the_shorter_one() -> None:
    """Nothing that happens depends on what comes after it."""
    longer = lasting(SHORT, 4.0)
    (short, one), (long, two) = simulate(SHORT), simulate(longer)
    n = short.n_samples - round(0.1 * short.rate_hz)  # a discharge sounds before its time, a bit
    assert long.samples_uv[:n].tobytes() == short.samples_uv[:n].tobytes()
    for a, b in zip(one.units, two.units, strict=False):
        m = a.discharge_times_s.size
        assert b.discharge_times_s[:m].tobytes() == a.discharge_times_s.tobytes()


def test_a_patient_who_is_kept_gives_the_same_bytes() -> None:
    """What was built once is what would be built anew; the scenario may be a longer one."""
    patient = patient_of(SHORT)
    simulate(SHORT, patient=patient)
    longer = lasting(SHORT, 4.0)
    kept, anew = simulate(longer, patient=patient)[0], simulate(longer)[0]
    assert kept.samples_uv.tobytes() == anew.samples_uv.tobytes()


def test_force_follows_the_effort() -> None:
    """After its ramp the force of a hold at 20 % is 20 %, within half a per cent of MVC."""
    hold = Hold(duration_s=8.0, level_mvc=0.2, ramp_s=1.0)
    truth = simulate(SHORT.model_copy(update={"phases": (hold,)}))[1]
    assert truth.force.size == truth.effort.size == truth.effort_times_s.size
    settled = truth.effort_times_s > 4.0
    assert truth.force[settled].mean() == pytest.approx(0.2, abs=0.005)


def lag_s(one: Recording, two: Recording, up_to_hz: float) -> float:
    """Return how much later the same signal stands in the second one, from the phase spectrum."""
    spectra = [np.fft.rfft(r.samples_uv[:, 0]) / r.n_samples for r in (one, two)]
    f_hz = np.arange(min(s.size for s in spectra)) / one.duration_s
    used = (f_hz > 0) & (f_hz < up_to_hz)
    a, b = (s[: f_hz.size][used] for s in spectra)
    omega = 2 * np.pi * f_hz[used]
    weight = np.abs(a * b)
    return float(-np.sum(weight * omega * np.angle(b / a)) / np.sum(weight * omega**2))


RATES = (10_000.0, 12_000.0, 23_437.5, 24_000.0, 48_000.0, 100_000.0)


@pytest.fixture(scope="module")
def at_all_rates() -> dict[float, tuple[Recording, Truth]]:
    """The same contraction between two rests, at each rate, 2.56 s: whole samples at them all.

    Without jitter, whose mean over some twenty discharges is a few microseconds.
    """
    phases = (
        Rest(duration_s=0.2),
        Hold(duration_s=2.0, level_mvc=0.05, ramp_s=0.0),
        Rest(duration_s=0.36),
    )
    scenario = changed(SHORT.model_copy(update={"phases": phases}), muscle__junctions=STEADY)
    return {hz: simulate(at_rate(scenario, hz), for_playing=True) for hz in RATES}


@pytest.mark.parametrize("rate_hz", RATES[:-1])
def test_the_signal_is_the_same_at_every_rate(at_all_rates: Any, rate_hz: float) -> None:
    """Below 0.4 of the lowest rate the spectra agree with those of 100 kHz to 1e-4 of the signal.

    It begins and ends in silence, so the spectra are the whole signal's and no window's.
    """
    spectra = [
        np.fft.rfft(recording.samples_uv[:, 0])[: round(0.4 * RATES[0] * 2.56)] / recording.rate_hz
        for recording, _ in (at_all_rates[rate_hz], at_all_rates[100_000.0])
    ]
    assert np.linalg.norm(spectra[0] - spectra[1]) < 1e-4 * np.linalg.norm(spectra[1])


@pytest.mark.parametrize("rate_hz", RATES[:-1])
def test_a_discharge_stands_at_one_time_at_every_rate(at_all_rates: Any, rate_hz: float) -> None:
    """The truth is the same to the last bit, the signal within 10 ns of that at 100 kHz."""
    (coarse, same), (fine, truth) = at_all_rates[rate_hz], at_all_rates[100_000.0]
    for a, b in zip(truth.units, same.units, strict=True):
        assert a.discharge_times_s.tobytes() == b.discharge_times_s.tobytes()
    assert abs(lag_s(fine, coarse, 3_000.0)) < 1e-8


@pytest.mark.parametrize("rate_hz", RATES)
def test_the_truth_is_aligned_to_the_signal(at_all_rates: Any, rate_hz: float) -> None:
    """The trains of the truth, rendered apart from it, stand within 1 us of the samples."""
    recording, truth = at_all_rates[rate_hz]
    rendered = np.zeros((recording.n_samples, 1))
    for unit in truth.units:
        add_train(rendered[:, 0], recording.rate_hz, 0.0, unit)
    assert abs(lag_s(replace(recording, samples_uv=rendered), recording, 3_000.0)) < 1e-6


def test_the_main_spike_stands_where_the_truth_says() -> None:
    """The peak of a unit's own MUAP comes `arrival_s` after its discharge, within a sample."""
    _, truth = simulate(SHORT)
    rate_hz = truth.muap_rate_hz
    for unit in truth.units[:20]:
        peak = int(np.argmax(np.abs(unit.muap_uv[:, 0])))
        assert unit.arrival_s == pytest.approx(unit.muap_start_s + peak / rate_hz, abs=1e-9)
        assert np.abs(unit.muap_uv[:, 0]).max() > QUIET_UV


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
    recording, _ = simulate(at_rate(SHORT, 4_000.0), for_playing=True)
    power = np.abs(np.fft.rfft(recording.samples_uv[:, 0])) ** 2
    f_hz = np.arange(power.size) / recording.duration_s
    fine, _ = simulate(at_rate(SHORT, 48_000.0), for_playing=True)
    fine_power = np.abs(np.fft.rfft(fine.samples_uv[:, 0]) / 12) ** 2
    band = (f_hz > 200) & (f_hz < 1_500)
    assert power[band].sum() == pytest.approx(fine_power[: f_hz.size][band].sum(), rel=1e-3)
    top = f_hz > 1_990
    assert power[top].mean() < 0.05 * power[(f_hz > 1_700) & (f_hz < 1_790)].mean()


def test_a_patient_at_rest_is_silent() -> None:
    """No unit, no sample other than zero, and no error."""
    rest = SHORT.model_copy(update={"phases": (Rest(duration_s=1.0),)})
    recording, truth = simulate(rest, for_playing=True)
    assert not recording.samples_uv.any()
    assert truth.units == ()
    assert [event.kind for event in truth.events] == ["rest"]


def test_an_effort_that_recruits_nobody_is_told() -> None:
    """The message names the muscle, the effort and what to raise."""
    hold = Hold(duration_s=0.6, level_mvc=1e-6)
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


# -- jitter, block, and what the truth tells of fibres ---------------------------------------------


def two_fibres(duration_s: float, **junctions: float) -> Scenario:
    """Return a single-fibre recording of a unit of two fibres, the electrode between them."""
    table = load_scenario("healthy_biceps").resolved()
    table["seed"] = 4
    table["muscle"] |= {"radius_mm": 1.5, "thickness_mm": None, "fat_mm": 0.0}
    table["muscle"]["junctions"] |= {"safety_factor": 4.0, "safety_factor_spread": 0.0, **junctions}
    table["muscle"]["pool"] |= {"n_units": 1, "twitch_range": 1.5}
    table["muscle"]["fibres"] |= {
        "per_unit_smallest": 2,
        "per_unit_largest": 2,
        "density_per_mm2": 4.0,
        "end_plate_sd_mm": 3.0,
    }
    table["phases"] = [
        {"kind": "hold", "duration_s": duration_s, "level_mvc": 0.9, "ramp_s": 0.0}
    ]
    table["acquisition"]["rate_hz"] = 50_000.0
    table["electrode"] = {"kind": "single_fibre"}
    scenario = Scenario.model_validate(table)
    fibres = patient_of(scenario).fibres(0)
    tip = {"x_mm": fibres.x_mm.mean(), "y_mm": fibres.y_mm.mean(), "z_mm": 20.0}
    return changed(scenario, electrode__tip=tip)


def spike_times_s(recording: Recording, expected_s: np.ndarray) -> np.ndarray:
    """Return where the steepest fall next to each expected time crosses its middle."""
    out = np.full(expected_s.shape, np.nan)
    for where in np.ndindex(expected_s.shape):
        first = round((expected_s[where] - 0.25e-3) * recording.rate_hz)
        part = signal.resample(recording.samples_uv[first - 50 : first + 75, 0], 125 * 20)
        peak = 1000 + int(np.argmin(part[1000:1500]))
        out[where] = (first - 50 + peak / 20) / recording.rate_hz
    return out


def test_the_jitter_that_comes_out_is_the_jitter_that_was_set() -> None:
    """Peaks of two fibres in the samples: the MCD of their interval is 1.596 sigma, within 3 %.

    For independent end plates ``E|D_k - D_(k-1)| = 2 sigma * 2 / sqrt(pi) / sqrt(2)``.
    """
    scenario = two_fibres(100.0, jitter_us=17.0)
    recording, truth = simulate(scenario, for_playing=True, fibre_truth=True)
    fibres = truth.units[0].fibres
    assert fibres is not None
    assert fibres.fibre.tolist() == [0, 1]
    expected_s = np.median(fibres.arrival_s - truth.units[0].discharge_times_s[:, None], axis=0)
    delay_s = 0.4e-3  # from the passage of the front to the negative peak
    peaks_s = spike_times_s(
        recording, truth.units[0].discharge_times_s[1:-1, None] + expected_s + delay_s
    )
    interval_us = 1e6 * np.diff(peaks_s, axis=1)[:, 0]
    true_us = 1e6 * np.diff(fibres.arrival_s[1:-1], axis=1)[:, 0]
    assert np.std(interval_us - true_us) < 2.4  # a tenth: each spike rides on the other's tail
    found_us = mean_consecutive_difference_us(interval_us * 1e-6)
    assert found_us == pytest.approx(1.596 * 17.0, rel=0.03)


def test_a_blocked_fibre_is_missing_from_the_samples_and_named_in_the_truth() -> None:
    """Safety factor 1: half the discharges fail, each fibre on its own, and the spike is not there.

    The share is ``Phi(0)``; of 400 discharges its 99 % interval is 0.5 +- 0.065.
    """
    scenario = two_fibres(20.0, jitter_us=0.0, safety_factor=1.0)
    recording, truth = simulate(scenario, for_playing=True, fibre_truth=True)
    unit = truth.units[0]
    fibres = unit.fibres
    assert fibres is not None
    assert fibres.is_blocked.shape == (unit.discharge_times_s.size, 2)
    np.testing.assert_array_equal(fibres.is_blocked, np.isnan(fibres.arrival_s))
    np.testing.assert_allclose(fibres.is_blocked.mean(axis=0), 0.5, atol=0.065)
    both = np.mean(fibres.is_blocked.all(axis=1))
    assert both == pytest.approx(0.25, abs=0.06)
    delay_s = np.nanmedian(fibres.arrival_s - unit.discharge_times_s[:, None], axis=0) + 0.4e-3
    for fibre in range(2):
        at = np.rint((unit.discharge_times_s[1:-1] + delay_s[fibre]) * recording.rate_hz)
        windows = at.astype(int)[:, None] + np.arange(-10, 11)
        depth_uv = recording.samples_uv[windows, 0].min(axis=1)
        np.testing.assert_array_equal(depth_uv > -100.0, fibres.is_blocked[1:-1, fibre])


@pytest.mark.parametrize("safety_factor", [4.0, 2.0])
def test_what_lumping_leaves_out_is_below_a_tenth_of_a_microvolt(safety_factor: float) -> None:
    """Far fibres apart against together: 99.7 % of the differences are below 0.1 uV."""
    table = lasting(load_scenario("healthy_biceps"), 4.0).resolved()
    table["muscle"]["junctions"]["safety_factor"] = safety_factor
    scenario = Scenario.model_validate(table)
    patient = patient_of(scenario)
    truth = simulate(scenario, for_playing=True, patient=patient)[1]
    louder = sorted(truth.units, key=lambda u: -u.peak_to_peak_uv)[:8]
    sampling = patient.sampling
    beyond = []
    for unit in louder:
        fibres = patient.fibres(unit.id - 1)
        electrode = patient.channels(scenario.electrode.tip)[0]
        waves = fibre_waves_uv(3000, sampling.fine_hz, electrode, patient.muscle.medium, fibres)
        near = near_fibres(fibres, waves, sampling.fine_hz)
        far = np.setdiff1d(np.arange(fibres.n_fibres), near)
        rng = np.random.default_rng(unit.id)
        f_hz = np.fft.rfftfreq(4096, 1 / sampling.fine_hz)
        spectra = np.fft.rfft(waves[far], 4096)
        mean = (1 - fibres.block_probability[far]) @ spectra
        for _ in range(20):
            late_s = fibres.jitter_s[far] * rng.standard_normal(far.size)
            fires = rng.uniform(size=far.size) > fibres.block_probability[far]
            shifted = spectra * np.exp(-2j * np.pi * f_hz * late_s[:, None])
            left_out_uv = np.fft.irfft(fires @ shifted - mean)
            beyond.append(np.mean(np.abs(left_out_uv) > LUMPED_UV))
    assert np.mean(beyond) < 0.003


# -- the needle moves ------------------------------------------------------------------------------


def moving(**move: float) -> Scenario:
    """Return the biceps with the needle moving in the middle of its contraction."""
    table = load_scenario("healthy_biceps").resolved()
    table["phases"] = [{"kind": "hold", "duration_s": 4.0, "level_mvc": 0.05, "ramp_s": 0.0}]
    table["electrode"]["moves"] = [{"at_s": 2.0, "duration_s": 0.1, **move}]
    return Scenario.model_validate(table)


def test_a_moved_needle_hears_what_a_needle_there_hears() -> None:
    """Before the move the samples are those of the first place, after it those of the second."""
    scenario = moving(y_mm=-1.0)
    recording, truth = simulate(scenario, for_playing=True)
    still = changed(scenario, electrode__moves=[])
    here = simulate(still, for_playing=True)[0]
    there_tip = still.electrode.tip.model_copy(update={"y_mm": -1.0})
    there = simulate(changed(still, electrode__tip=there_tip.model_dump()), for_playing=True)[0]
    a, b = round(1.95 * 48_000), round(2.15 * 48_000)
    assert recording.samples_uv[:a].tobytes() == here.samples_uv[:a].tobytes()
    np.testing.assert_allclose(recording.samples_uv[b:], there.samples_uv[b:], atol=1e-9)
    assert np.abs(here.samples_uv[b:] - there.samples_uv[b:]).max() > 50.0
    assert [e.kind for e in truth.events] == ["contraction", "needle_move"]
    assert [(p["time_s"], p["y_mm"]) for p in truth.needle_path] == [(2.0, 0.0), (2.1, -1.0)]


def test_potentials_change_little_from_station_to_station() -> None:
    """While the needle moves no discharge jumps: twice as many stations differ by under 3 %."""
    scenario = moving(x_mm=0.5)
    coarse = simulate(scenario, for_playing=True)[0].samples_uv
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emgsim.physiology.track.STATION_MM", 0.025)
        fine = simulate(scenario, for_playing=True)[0].samples_uv
    assert np.abs(coarse - fine).max() < 0.03 * np.ptp(fine)
    assert np.abs(coarse - fine).max() > 0.0


def test_a_turned_bevel_changes_every_potential() -> None:
    """Rotation is a move, too."""
    turned = simulate(moving(rotation_deg=180.0), for_playing=True)[0]
    still = simulate(changed(moving(rotation_deg=180.0), electrode__moves=[]), for_playing=True)[0]
    a, b = round(1.95 * 48_000), round(2.15 * 48_000)
    assert turned.samples_uv[:a].tobytes() == still.samples_uv[:a].tobytes()
    assert np.abs(turned.samples_uv[b:] - still.samples_uv[b:]).max() > 20.0


def test_the_needle_seeks_a_unit_that_is_near() -> None:
    """It goes deeper, and at the place found a unit of the effort rises within 500 us."""
    scenario = changed(
        load_scenario("healthy_biceps", overrides=["seed=1"]),
        electrode__seek={"rise_us": 500.0},
        electrode__tip={"x_mm": 2.0, "y_mm": 10.0, "z_mm": 20.0},
        phases=[{"kind": "hold", "duration_s": 4.0, "level_mvc": 0.01}],
    )
    truth = simulate(scenario, for_playing=True)[1]
    found = truth.needle
    assert found["x_mm"] == 2.0
    assert 2.0 <= found["y_mm"] < 10.0
    sharp = [
        muap_measures(unit.muap_uv[:, 0], truth.muap_rate_hz)
        for unit in truth.units
        if unit.peak_to_peak_uv >= 100.0
    ]
    assert min(m.rise_time_us for m in sharp) <= 500.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_needle_does_not_seek_a_unit_that_is_lost(seed: int) -> None:
    """With 70 % of the axons cut last week, the sharp unit it stops at is one that discharges."""
    scenario = changed(
        load_scenario("healthy_biceps", overrides=[f"seed={seed}"]),
        conditions=[{"kind": "axonal_loss", "share": 0.7, "months": 0.2}],
        electrode__seek={"rise_us": 500.0, "track_mm": 12.0},
        electrode__tip={"x_mm": 2.0, "y_mm": 10.0, "z_mm": 20.0},
        phases=[{"kind": "hold", "duration_s": 3.0, "level_mvc": 0.01}],
    )
    truth = simulate(scenario, for_playing=True)[1]
    rises_us = [
        muap_measures(unit.muap_uv[:, 0], truth.muap_rate_hz).rise_time_us
        for unit in truth.units
        if unit.peak_to_peak_uv >= 100.0
    ]
    assert min(rises_us, default=np.inf) <= 500.0


def test_a_terminal_of_lems_releases_more_as_the_effort_goes_on() -> None:
    """Of the near fibres, fewer fail at the last ten discharges than at the first two."""
    scenario = changed(
        load_scenario("healthy_biceps", overrides=["seed=1"]),
        conditions=[{"kind": "lems"}],
        phases=[{"kind": "hold", "duration_s": 4.0, "level_mvc": 0.05}],
    )
    truth = simulate(scenario, for_playing=True, fibre_truth=True)[1]
    blocked = [
        unit.fibres.is_blocked
        for unit in truth.units
        if unit.fibres is not None
        and unit.fibres.fibre.size >= 5
        and len(unit.fibres.is_blocked) > 30
    ]
    assert len(blocked) >= 20
    first = np.mean([unit[:2].mean() for unit in blocked])
    last = np.mean([unit[-10:].mean() for unit in blocked])
    assert first > last + 0.1


def test_a_needle_that_finds_nobody_is_told() -> None:
    """The message names the rule, the effort, the track, and what to do."""
    scenario = changed(
        load_scenario("healthy_biceps"), electrode__seek={"rise_us": 50.0, "track_mm": 0.3}
    )
    with pytest.raises(InputError) as info:
        simulate(scenario)
    assert "no unit rises within 50 us at 0.05 of MVC along 0.3 mm" in info.value.what
    assert "electrode.seek.track_mm" in info.value.todo


# -- other electrodes, and the electrode's own noise ----------------------------------------------


@pytest.mark.parametrize(
    ("electrode", "kinds"),
    [
        ({"kind": "monopolar"}, ["monopolar"]),
        ({"kind": "single_fibre"}, ["single_fibre"]),
        ({"kind": "macro"}, ["macro", "single_fibre"]),
        ({"kind": "fine_wire"}, ["fine_wire"]),
        ({"kind": "thin_film", "n_contacts": 4}, ["thin_film"] * 4),
    ],
)
def test_every_electrode_records_its_channels(electrode: dict[str, Any], kinds: list[str]) -> None:
    """As many columns as channels, each heard, the truth's MUAPs as wide."""
    recording, truth = simulate(changed(SHORT, electrode=electrode), for_playing=True)
    assert [channel.kind for channel in recording.channels] == kinds
    assert recording.samples_uv.shape[1] == len(kinds)
    assert np.all(recording.samples_uv.std(axis=0) > 1.0)
    assert truth.units[0].muap_uv.shape[1] == len(kinds)


def test_the_electrode_adds_its_thermal_noise_unless_it_is_played() -> None:
    """At rest: Johnson noise of the core's and the cannula's spreading resistance, white."""
    rest = SHORT.model_copy(update={"phases": (Rest(duration_s=4.0),)})
    noisy = simulate(rest)[0].samples_uv[:, 0]
    resistance_ohm = impedance_ohm(rest.electrode, 1e3, rest.muscle.medium)[0, 0].real
    expected_uv = 1e6 * np.sqrt(johnson_density_v2_hz(resistance_ohm, 310.0) * 24e3)
    assert noisy.std() == pytest.approx(expected_uv, rel=0.02)
    assert not simulate(rest, for_playing=True)[0].samples_uv.any()


def test_what_the_recorder_adds_is_left_to_the_wire_when_it_is_played() -> None:
    """Mains reaches the wire; amplifier noise and the converter's steps do not."""
    rest = SHORT.model_copy(update={"phases": (Rest(duration_s=2.0),)})
    kinds = [{"kind": "mains"}, {"kind": "amplifier", "rms_uv": 50.0}, {"kind": "adc"}]
    table = rest.resolved()
    table["artefacts"] = kinds
    played = simulate(Scenario.model_validate(table), for_playing=True)[0]
    table["artefacts"] = kinds[:1]
    hum = simulate(Scenario.model_validate(table), for_playing=True)[0]
    assert played.samples_uv.tobytes() == hum.samples_uv.tobytes()
    assert hum.samples_uv.std() > 1.0


# -- conditions and spontaneous activity -----------------------------------------------------------


def resting(*activities: dict[str, Any], **values: Any) -> Scenario:
    """Return the biceps at rest for five seconds, with spontaneous activity."""
    return changed(
        load_scenario("healthy_biceps"),
        phases=[{"kind": "rest", "duration_s": 5.0}],
        spontaneous=list(activities),
        **values,
    )


def test_spontaneous_activity_is_in_the_samples_and_in_the_truth() -> None:
    """Every source's potential at its discharges gives the samples; each has its event."""
    scenario = resting({"kind": "fibrillation", "grade": 3.0}, muscle__junctions=STEADY)
    recording, truth = simulate(scenario, for_playing=True)
    assert truth.spontaneous
    assert truth.units == ()
    total = np.zeros(recording.n_samples)
    for source in truth.spontaneous:
        np.testing.assert_array_equal(source.gains, 1.0)
        unit = replace(
            spike_unit(list(source.discharge_times_s), recording.rate_hz),
            muap_uv=source.potential_uv,
            muap_start_s=source.potential_start_s,
        )
        add_train(total, recording.rate_hz, 0.0, unit)
    assert np.ptp(total) > 50.0
    # the sources' own end plates jitter by a few microseconds: that much of a fibre's slope is left
    assert np.std(total - recording.samples_uv[:, 0]) < 0.05 * np.std(total)
    events = [event for event in truth.events if event.kind == "fibrillation"]
    assert sorted(e.source for e in events) == sorted(s.name for s in truth.spontaneous)
    assert all(event.grade == 3.0 for event in events)


def test_one_more_kind_of_activity_moves_none_of_the_others() -> None:
    """Each kind draws from streams of its own."""
    alone = simulate(resting({"kind": "fibrillation", "grade": 2.0}))[1].spontaneous
    both = simulate(resting({"kind": "cramp"}, {"kind": "fibrillation", "grade": 2.0}))[1]
    kept = [source for source in both.spontaneous if source.kind == "fibrillation"]
    assert len(kept) == len(alone) < len(both.spontaneous)
    for a, b in zip(alone, kept, strict=True):
        assert a.discharge_times_s.tobytes() == b.discharge_times_s.tobytes()
        assert a.potential_uv.tobytes() == b.potential_uv.tobytes()


def test_spontaneous_activity_streams_in_blocks() -> None:
    """Blocks of any length are the same bytes here, too."""
    scenario = resting({"kind": "myotonic_discharge"}, {"kind": "end_plate_noise"})
    scenario = changed(scenario, electrode__tip={"x_mm": 0.0, "y_mm": 0.0, "z_mm": 0.0})
    whole = simulate(scenario)[0].samples_uv
    blocks = [block.samples_uv for block in Simulation(scenario, block_s=0.37)]
    assert np.concatenate(blocks).tobytes() == whole.tobytes()


def test_a_denervated_muscle_has_fewer_units_that_fire_faster() -> None:
    """At the same force: fewer active units, a faster fastest one, and the truth names why."""
    healthy = lasting(load_scenario("healthy_biceps"), 6.0)
    ill = changed(healthy, conditions=[{"kind": "axonal_loss", "share": 0.7, "months": 1.0}])
    (_, before), (_, after) = simulate(healthy), simulate(ill)
    assert after.conditions == ("axonal_loss",)
    assert len(after.units) < 0.6 * len(before.units)
    fastest = [max(u.discharge_times_s.size for u in truth.units) for truth in (before, after)]
    assert fastest[1] > 1.2 * fastest[0]


@pytest.mark.parametrize(
    ("months", "is_heard"), [(0.3, False), (2.0, True), (12.0, False)]
)
def test_denervated_fibres_fibrillate_in_their_time(months: float, is_heard: bool) -> None:
    """Ten days after the lesion not yet, after two months, and no more when all are adopted."""
    truth = simulate(
        resting(conditions=[{"kind": "axonal_loss", "share": 0.6, "months": months}])
    )[1]
    kinds = {source.kind for source in truth.spontaneous}
    assert (kinds == {"fibrillation", "positive_sharp_wave"}) is is_heard
    assert bool(kinds) is is_heard


def test_what_a_scenario_names_takes_the_place_of_what_would_follow() -> None:
    """Grade 0 silences a kind; the others stay."""
    truth = simulate(
        resting(
            {"kind": "fibrillation", "grade": 0.0},
            conditions=[{"kind": "axonal_loss", "share": 0.6, "months": 2.0}],
        )
    )[1]
    assert {source.kind for source in truth.spontaneous} == {"positive_sharp_wave"}


def test_conditions_bring_their_own_activity_at_rest() -> None:
    """Myotonia discharges on, a motor neuron disease fasciculates, a myopathy is silent."""
    found = {}
    for condition in (
        {"kind": "myotonia", "sites": 1.0},
        {"kind": "motor_neuron_disease", "months": 9.0, "fasciculations_per_min": 60.0},
        {"kind": "myopathy"},
    ):
        truth = simulate(resting(conditions=[condition]))[1]
        found[condition["kind"]] = {source.kind for source in truth.spontaneous}
    assert found["myotonia"] == {"myotonic_discharge"}
    assert "fasciculation" in found["motor_neuron_disease"]
    assert found["myopathy"] == set()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"conditions": [{"kind": "radiculopathy", "root": "L5", "weeks": 6.0}]},
            ["root", "L5", "C5"],
        ),
        (
            {"conditions": [{"kind": "entrapment", "nerve": "ulnar", "share": 0.5, "weeks": 9.0}]},
            ["nerve", "ulnar", "musculocutaneous"],
        ),
        (
            {"conditions": [{"kind": "myopathy"}, {"kind": "myositis"}]},
            ["myopathy must not occur beside myositis"],
        ),
        (
            {"spontaneous": [{"kind": "fibrillation", "onset_s": 99.0}]},
            ["onset_s of fibrillation must be < the recording's 12 s, got 99"],
        ),
        (
            {"spontaneous": [{"kind": "end_plate_noise"}]},
            ["z_mm of end-plate activity must be within the end-plate zone", "got 20"],
        ),
    ],
)
def test_what_does_not_fit_the_muscle_is_told(values: Any, words: list[str]) -> None:
    """One error each, with the thing, the rule and the value, and the scenario's name."""
    with pytest.raises(InputError) as info:
        simulate(changed(load_scenario("healthy_biceps"), **values))
    assert info.value.where == "scenario healthy_biceps"
    missing = [word for word in words if word not in info.value.what]
    assert not missing, info.value.what
