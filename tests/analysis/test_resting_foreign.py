"""What is not of the muscle is called artefact, and what is of it stays."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, takewhile

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from emgsim.analysis.resting import resting_runs
from emgsim.analysis.resting.floor import conditioned, has_long_piece, white
from emgsim.analysis.resting.foreign import STEEP, foreign, steepness_of
from emgsim.analysis.resting.leaking import end_plate_noise
from emgsim.analysis.resting.measuring import form_of, rhythm_of
from emgsim.analysis.resting.naming import Named, name_train
from emgsim.analysis.resting.screening import is_covered, is_left_of, says_nothing
from emgsim.analysis.resting.trains import Train
from emgsim.artefacts.composition import apply
from emgsim.artefacts.parameters import Artefact
from emgsim.recording import Channel, Recording

Floats = NDArray[np.float64]

RATE_HZ = 48_000.0
SECONDS = 4.0
T_MS = np.arange(-480, 960) / RATE_HZ * 1e3


def bell(at_ms: float, width_ms: float) -> Floats:
    """A Gaussian of height one."""
    return np.exp(-(((T_MS - at_ms) / width_ms) ** 2) / 2)


FIBRE = 0.6 * bell(-0.45, 0.18) - bell(0, 0.2) + 0.25 * bell(0.6, 0.3)


def times(first_s: float, period_s: float) -> Floats:
    """Return a clock's times in the recording, a millisecond early and late by turns."""
    beats = (first_s + k * period_s for k in count())
    found = np.array(list(takewhile(lambda t: t < SECONDS - 0.05, beats)))
    return found + 0.004 * np.sin(np.arange(found.size))


def muscle(discharges_s: Floats, size_uv: float = 80.0, noise_uv: float = 3.0) -> Recording:
    """Return a fibre's discharges over white noise up to 10 kHz."""
    rng = np.random.default_rng(1)
    n = round(SECONDS * RATE_HZ)
    spectrum = np.fft.rfft(noise_uv * rng.standard_normal(n) * np.sqrt(2.4))
    spectrum[np.fft.rfftfreq(n, 1 / RATE_HZ) > 10_000] = 0
    samples = np.fft.irfft(spectrum, n)
    for time_s in discharges_s:
        first = round(time_s * RATE_HZ) - 480
        samples[first : first + FIBRE.size] += size_uv * FIBRE
    return Recording(
        samples_uv=samples[:, None], rate_hz=RATE_HZ, channels=(Channel(name="needle"),)
    )


def disturbed(recording: Recording, **table: object) -> Recording:
    """Return a recording with one artefact."""
    artefact: TypeAdapter[Artefact] = TypeAdapter(Artefact)
    return apply(recording, (), [artefact.validate_python(table)], 3)[0]


ARTEFACTS = [
    {"kind": "stimulus", "rate_hz": 3.0},
    {"kind": "pulses", "rate_hz": 1.1},
    {"kind": "pulses", "rate_hz": 25.0},
    {"kind": "pulses", "rate_hz": 90.0},
    {"kind": "pulses", "rate_hz": 130.0, "width_ms": 0.1},
    {"kind": "rf_burst", "per_min": 40.0},
    {"kind": "rf_burst", "per_min": 40.0, "peak_uv": 15.0},
    {"kind": "pop", "per_min": 40.0},
    {"kind": "needle_movement", "per_min": 40.0},
    {"kind": "movement", "per_min": 40.0},
]
RARE = {"movement": {"per_min": 40.0}, "stimulus": {"rate_hz": 1.0}}


@pytest.mark.parametrize("table", ARTEFACTS, ids=lambda table: "-".join(map(str, table.values())))
def test_an_artefact_over_a_silent_muscle_is_called_artefact(table):
    """Pulses, packets, pops, jerks and swings are found, and are nothing else."""
    runs = resting_runs(disturbed(muscle(np.zeros(0)), **table))
    assert {run.kind for run in runs} == {"artefact"}


@pytest.mark.parametrize("kind", ["movement", "stimulus"])
def test_what_the_amplifier_cuts_off_is_an_artefact(kind):
    """Swings and pulses that end at the amplifier's limit are artefacts, its recovery too."""
    beyond = disturbed(muscle(np.zeros(0)), kind=kind, **RARE[kind])
    runs = resting_runs(disturbed(beyond, kind="saturation", limit_uv=200.0))
    assert {run.kind for run in runs} == {"artefact"}


def test_a_stimulators_pulses_are_told_with_their_rate():
    """Every pulse has its time, and the run its rate."""
    (run,) = resting_runs(disturbed(muscle(np.zeros(0)), kind="stimulus", rate_hz=2.0))
    np.testing.assert_allclose(run.discharge_times_s, np.arange(0.5, SECONDS, 0.5), atol=5e-4)
    assert run.measures["rate_hz"] == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize("rate_hz", [1.1, 25.0])
def test_a_fibrillation_is_heard_between_pulses(rate_hz):
    """Most discharges of a fibre are found though a stimulator is on."""
    there_s = times(0.2, 0.17)
    runs = resting_runs(disturbed(muscle(there_s), kind="pulses", rate_hz=rate_hz))
    assert [run.kind for run in runs if run.kind != "artefact"] == ["fibrillation"]
    (run,) = [run for run in runs if run.kind == "fibrillation"]
    near = np.abs(run.discharge_times_s[:, None] - there_s[None, :]).min(axis=1) < 1e-3
    assert np.all(near)
    assert np.count_nonzero(near) > 0.7 * there_s.size


def test_a_muscle_alone_has_nothing_foreign():
    """Potentials of any size are no edges and no swings, and the samples stay as they are."""
    for size_uv in (50.0, 2_000.0):
        samples = muscle(times(0.2, 0.17), size_uv).samples_uv[:, 0]
        found, left = foreign(samples, RATE_HZ)
        assert found == []
        np.testing.assert_array_equal(left, samples)


def test_edges_are_steeper_than_fibres():
    """A rectangle's mean is beyond the border, a fibre's is not, and a slow rate cannot tell."""
    at = times(0.2, 0.17) * RATE_HZ
    fibre = muscle(times(0.2, 0.17)).samples_uv[:, 0]
    pulses = muscle(np.zeros(0)).samples_uv[:, 0]
    for place in np.rint(at).astype(int):
        pulses[place : place + 24] += 20.0
    assert steepness_of(fibre, RATE_HZ).edge_share(at) < STEEP / 2
    assert steepness_of(pulses, RATE_HZ).edge_share(at) > STEEP
    assert steepness_of(pulses, RATE_HZ).edge_share(at + 20, are_placed=False) > STEEP
    assert steepness_of(pulses[::4], RATE_HZ / 4).edge_share(at / 4) == 0


def test_a_floor_without_a_stretch_to_tell_it_is_silent():
    """Gaps every 4 ms leave nothing that a floor could be measured on."""
    samples = muscle(np.zeros(0)).samples_uv[:, 0].copy()
    samples.reshape(-1, 192)[:, :10] = np.nan
    assert not np.any(white(conditioned(samples, RATE_HZ, 0.0)).samples)


def test_a_cramp_that_fills_the_stretch_is_no_floor():
    """Activity that is never quiet is loud; noise as loud, which has no peaks, is a floor."""
    rng = np.random.default_rng(2)
    samples = muscle(np.zeros(0)).samples_uv[:, 0]
    crowd = samples.copy()
    for _ in range(40):
        parts = zip(rng.uniform(-1.5, 1.5, 5), rng.uniform(-1, 1, 5), strict=True)
        shape = sum((size * bell(at_ms, 0.2) for at_ms, size in parts), np.zeros(T_MS.size))
        for at in rng.integers(480, samples.size - 1000, 80):
            crowd[at - 480 : at + 960] += rng.lognormal(5, 0.7) * shape
    (run,) = resting_runs(_as_recording(crowd))
    assert run.kind == "cramp"
    assert resting_runs(_as_recording(10 * samples)) == ()


def test_a_fibre_is_found_in_noise_that_no_muscle_makes():
    """Loud noise of a bad electrode is a floor, spikes or not: only its discharges are found."""
    there_s = times(0.2, 0.17)
    (run,) = resting_runs(muscle(there_s, size_uv=1_000.0, noise_uv=60.0))
    assert run.kind == "fibrillation"
    assert run.discharge_times_s.size == there_s.size


def test_a_range_that_ends_again_and_again_tells_nothing():
    """Twelve ends of the range per second are one artefact, and no sample is trusted."""
    samples = np.clip(muscle(times(0.2, 0.17)).samples_uv[:, 0], -40, 40)
    for at in range(2_000, samples.size, 4_000):
        samples[at : at + 5] = 50.0
    (found,), left = foreign(samples, RATE_HZ)
    assert (found.onset_s, found.offset_s) == (0.0, SECONDS)
    assert np.all(np.isnan(left))


def test_in_a_short_stretch_a_few_discharges_have_the_name_of_their_form():
    """Two discharges of a fibre in 2 s are a fibrillation; noise of 2 s has no train at all."""
    (run,) = resting_runs(muscle(np.array([0.4, 1.3]), size_uv=350.0), stop_s=2.0)
    assert run.kind == "fibrillation"
    assert run.discharge_times_s.size == 2
    assert resting_runs(muscle(np.zeros(0)), stop_s=2.0) == ()


def test_how_many_discharges_there_are_tells_nothing_where_they_are_cut():
    """Two discharges of a large fibre speak for a fasciculation only where more could be heard."""
    form = form_of(350 * FIBRE, RATE_HZ, 480)
    rhythm = rhythm_of(np.array([0.4, 1.3]), np.ones(2))
    assert name_train(form, rhythm).kind == "fasciculation"
    assert name_train(form, rhythm, is_cut=True).kind == "fibrillation"


def test_end_plate_noise_is_small():
    """Shots of 20 uV tilt the floor, shots of 150 uV are no end-plate noise."""
    at = np.sort(np.random.default_rng(4).uniform(0.02, SECONDS - 0.03, 1500))
    for size_uv, is_noise in ((20.0, True), (150.0, False)):
        shots = np.zeros(round(SECONDS * RATE_HZ))
        for time_s in at:
            first = round(time_s * RATE_HZ) - 480
            shots[first : first + T_MS.size] -= size_uv * bell(0, 0.4)
        samples = muscle(np.zeros(0)).samples_uv[:, 0] + shots
        signal = conditioned(samples, RATE_HZ, 0.0)
        assert bool(end_plate_noise(signal, white(signal))) == is_noise


def test_the_ground_of_a_fast_discharge_is_no_end_plate_noise():
    """What lies within a neuromyotonic run is covered, what lies beside it is not."""
    (found,) = resting_runs(muscle(times(0.2, 0.17)))
    fast = replace(found, kind="neuromyotonia", onset_s=1.0, offset_s=3.0)
    assert is_covered((1.5, 2.5), [fast])
    assert not is_covered((3.0, 3.5), [fast])
    assert not is_covered((1.5, 2.5), [found])


def test_what_dense_spikes_leave_is_not_reported():
    """A few sums among hundreds of spikes are dropped, a much larger potential is kept."""
    dense = _train(400, 200.0)
    few, name = _train(8, 300.0), Named(kind="fasciculation", probability=1, probabilities={})
    assert is_left_of(few, name, dense)
    assert not is_left_of(_train(8, 900.0), name, dense)
    assert not is_left_of(_train(80, 300.0), name, dense)
    assert not is_left_of(few, name, _train(20, 200.0))


def test_a_weak_train_is_believed_only_where_the_floor_is_sure():
    """A norm of 5 may be chance where that is unsure; without a name a weak train is nothing."""
    weak = replace(_train(30, 20.0), norm=5.0)
    named, unnamed = (
        Named(kind=kind, probability=1, probabilities={}) for kind in ("fibrillation", "unknown")
    )
    assert says_nothing(weak, named, is_unsure=True)
    assert not says_nothing(replace(weak, norm=7.0), named, is_unsure=True)
    assert not says_nothing(weak, named, is_unsure=False)
    assert not says_nothing(replace(weak, norm=4.0), named, is_unsure=False)
    assert not says_nothing(weak, unnamed, is_unsure=False)
    assert says_nothing(replace(weak, norm=4.0), unnamed, is_unsure=False)


@pytest.mark.parametrize(("rate_hz", "is_there"), [(25.0, True), (90.0, False)])
def test_pulses_that_come_fast_leave_no_long_piece(rate_hz, is_there):
    """Gaps of 2 ms leave pieces of 16 ms at 25 per second and none at 90."""
    samples = np.random.default_rng(1).standard_normal(round(RATE_HZ))
    at_s = np.arange(samples.size) / RATE_HZ
    samples[at_s % (1 / rate_hz) < 0.002] = np.nan
    assert has_long_piece(conditioned(samples, RATE_HZ, 0.0)) is is_there


def _train(n: int, size_uv: float) -> Train:
    """Return a train of 10 s of which only number, rate and size are looked at."""
    times_s = np.linspace(0, 10, n)
    wave = size_uv * FIBRE / np.ptp(FIBRE)
    return Train(
        times_s=times_s,
        gains=np.ones(n),
        potential_uv=wave[:, None],
        start_s=-0.01,
        form=form_of(wave, RATE_HZ, 480),
        rhythm=rhythm_of(times_s, np.ones(n)),
        snr_db=30.0,
        norm=50.0,
    )


def _as_recording(samples_uv: Floats) -> Recording:
    return Recording(
        samples_uv=samples_uv[:, None], rate_hz=RATE_HZ, channels=(Channel(name="needle"),)
    )
