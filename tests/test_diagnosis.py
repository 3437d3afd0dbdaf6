"""Diagnosis at the level of arrays: every fault by name, part, time and size, and no false alarm.

The plant plays a short program in process, and what its recorders heard is diagnosed. Times are
those of the scenario, whose effort begins at 0.1 s.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.align import Waveform
from emgsim.bench.levels import LevelPlan, plan_levels
from emgsim.bench.program import Program, program_for
from emgsim.bench.rig import Rig, load_rig
from emgsim.chain import heard_of
from emgsim.diagnosis.breaks import TOO_MUCH, too_loud
from emgsim.diagnosis.codes import CHANCE_LOG10
from emgsim.diagnosis.findings import Diagnosis, line, when
from emgsim.diagnosis.heard import Heard, located
from emgsim.diagnosis.levels import HUM_F, mains
from emgsim.diagnosis.link import Linked, hang_up, link_diagnoses
from emgsim.diagnosis.rig import Diagnosed, diagnose
from emgsim.diagnosis.tracks import change, followed, windows_of
from emgsim.instruments.base import SourceCaps
from emgsim.plant.signal_faults import SignalFaults
from emgsim.plant.world import GeneratorSettings, World
from emgsim.running.aligning import heard_paths
from emgsim.running.played import Played
from emgsim.scenario import Scenario, load_scenario
from emgsim.simulation import lasting, simulate
from emgsim.stages import BandResponse

CAPS = SourceCaps(16, 1_000_000, 8, 250e6, 20.0, 2, 50.0)
BEGIN_S = 0.55  # of the scenario after the first point played
SCOPE_HZ = 40_000.0


def at(seconds: float) -> dict[str, Any]:
    """Return when a fault begins that begins so late in the scenario."""
    return {"playback": 1, "at_s": BEGIN_S + seconds}


@pytest.fixture(scope="module")
def rig() -> Rig:
    return load_rig("virtual")


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """A tenth of a second of rest, then a light effort."""
    shipped = load_scenario("healthy_biceps")
    rest, hold = shipped.phases
    phases = (rest.model_copy(update={"duration_s": 0.1}), hold)
    return lasting(shipped.model_copy(update={"phases": phases, "limits": ()}), 1.1)


@pytest.fixture(scope="module")
def program(scenario: Scenario) -> Program:
    recording, _ = simulate(scenario)
    return program_for(recording)


def playing(
    rig: Rig, program: Program, seed: int, before_s: float, averaged: int = 1, **faults: Any
) -> tuple[World, LevelPlan]:
    """Return a rig that has been triggered, its oscilloscope armed."""
    assert rig.virtual is not None
    plan, volts = plan_levels(program, rig, CAPS, 10_000.0)
    world = World(rig.virtual, seed, SignalFaults.model_validate(faults))
    world.generator.set_waveform(np.rint(volts / (plan.vpp_open_v / 2) * 32767).astype(np.int16))
    world.generator.apply(
        GeneratorSettings(rate_hz=plan.source_rate_hz, vpp_open_v=plan.vpp_open_v, output_on=True)
    )
    world.amplifier.start()
    world.advance(before_s)
    source_v = 1.25 * plan.vpp_open_v * plan.load_factor
    monitor_v = 3e-6 * plan.peak_at_device_uv * rig.device.monitor_gain
    world.scope.arm(
        rate_hz=SCOPE_HZ,
        n_points=int(plan.duration_s * SCOPE_HZ),
        ranges_v={1: source_v, 2: monitor_v},
        offsets_v={1: 0.0, 2: 0.0},
        averaged=averaged,
    )
    world.generator.trigger()
    return world, plan


def played(
    rig: Rig,
    program: Program,
    *,
    seed: int = 3,
    before_s: float = 0.05,
    averaged: int = 1,
    **faults: Any,
) -> Played:
    """Return what the recorders of a rig hear of a program, and the device before it."""
    world, plan = playing(rig, program, seed, before_s, averaged, **faults)
    world.advance(plan.duration_s + 0.2)
    counts = world.amplifier.take().astype(float)
    codes = 2**world.scope.bits
    source_v = 1.25 * plan.vpp_open_v * plan.load_factor
    monitor_v = 3e-6 * plan.peak_at_device_uv * rig.device.monitor_gain
    return Played(
        plan=plan,
        counts=counts[:, 0],
        source_v=world.scope.codes(1) * source_v / codes,
        monitor_v=world.scope.codes(2) * monitor_v / codes,
        scope_rate_hz=SCOPE_HZ,
        scope_averaged_s=0.0 if averaged == 1 else 1 / SCOPE_HZ,
        source_range_v=source_v,
        others=counts[:, 1:],
        n_bad_frames=0,
        n_repeated_frames=0,
    )


def diagnosed(rig: Rig, program: Program, *, seed: int = 3, **faults: Any) -> Diagnosed:
    """Return the diagnoses of a rig with faults."""
    heard = heard_paths(rig, program, played(rig, program, seed=seed, **faults))
    return diagnose(heard, begins_s=program.recording_start_s)


def test_the_mean_of_many_conversions_is_no_error_of_the_source(rig: Rig, program: Program) -> None:
    """Points of high resolution are a little small where potentials are fast, and known to be."""
    box = played(rig, program, averaged=1000)
    gains = []
    for averaged_s in (box.scope_averaged_s, 0.0):
        heard = heard_paths(rig, program, replace(box, scope_averaged_s=averaged_s))
        track = followed(heard["loopback"])
        assert track is not None
        gains.append(track.fit.gain)
    assert gains[0] == pytest.approx(1.0, abs=3e-4)
    assert gains[1] < 1.0 - 6e-4


CASES: dict[str, tuple[dict[str, Any], str, float | None, float, float, float]] = {
    # fault: (its table), part, from s, within s, value, within (relative)
    "inverted_polarity": ({}, "lead or amplifier", None, 0, -1, 0),
    "inverted_polarity source": ({"part": "source"}, "generator", None, 0, -1, 0),
    "inverted_polarity late": (at(0.9) | {"part": "converter"}, "converter", 0.9, 1e-3, -1, 0),
    "gain_drift": (at(-BEGIN_S) | {"per_cent": 5, "over_s": 2.2}, "amplifier", None, 0, 5, 0.1),
    "gain_drift source": (
        at(-BEGIN_S) | {"per_cent": -4, "over_s": 2.2, "part": "source"},
        "generator", None, 0, -4, 0.1,
    ),
    "gain_drift late": (
        at(0.5) | {"per_cent": 8, "over_s": 1.15, "part": "converter"},
        "converter", 0.5, 0.3, 8, 0.1,
    ),
    "clock_step 1": (at(0.8) | {"samples": 1}, "converter", 0.8, 0.01, 1, 0.1),
    "clock_step 2000": (at(0.8) | {"samples": 2000}, "converter", 0.8, 0.002, 2000, 0.001),
    "saturation": ({"at_uv": 150, "part": "converter"}, "converter", None, 0, 150, 0.005),
    "saturation late": (at(0.8) | {"at_uv": 150}, "amplifier", 0.8, 0.05, 150, 0.005),
    "broken_lead": (at(0.8), "lead", 0.8, 0.002, 177, 0.05),
    "broken_lead quiet": (at(0.8) | {"mains_uv_pk": 0}, "lead", 0.8, 0.002, 9, 0.3),
    "broken_lead in a marker": (at(-0.25), "lead", -0.25, 0.002, 177, 0.05),
    "broken_lead before": ({}, "lead", None, 0, 177, 0.05),
    "mains": ({"uv_pk": 40}, "lead or amplifier", None, 0, 40, 0.02),
    "mains late": (at(0.8) | {"uv_pk": 15}, "lead or amplifier", 0.8, 0.02, 15, 0.05),
    "stuck_channel": (at(0.8) | {"code": 900}, "converter", 0.8, 1e-4, 1.073, 0.001),
    "stuck_channel before": ({"code": -900}, "converter", None, 0, -1.073, 0.001),
    "missing_codes": ({"every": 8}, "converter", None, 0, 8, 0),
    "missing_codes bits": (at(0.8) | {"stuck_bits": 5}, "converter", 0.8, 0.002, 5, 0),
}  # fmt: skip
NAMES = {"inverted_polarity", "clock_step", "saturation", "broken_lead", "mains", "missing_codes",
         "gain_drift", "stuck_channel"}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_fault_is_named_placed_and_measured(rig: Rig, program: Program, case: str) -> None:
    """One diagnosis and no other: its name, its part, when it begins, and how large it is."""
    fault, (values, part, start_s, within_s, value, share) = case.split(maxsplit=1)[0], CASES[case]
    (told,) = diagnosed(rig, program, **{fault: values}).diagnoses
    assert (told.name, told.part, told.path) == (fault.replace("_", " "), part, "device")
    assert told.value == pytest.approx(value, rel=share, abs=0.001)
    assert told.stop_s is None
    if start_s is None:
        assert told.start_s is None
    else:
        assert told.start_s == pytest.approx(start_s, abs=within_s)
        assert abs(told.start_s - start_s) <= max(3 * told.within_s, 1e-3)
    assert told.todo


def test_every_fault_of_the_plant_has_a_case() -> None:
    """None is left out; swapped channels need a device that has several."""
    assert set(SignalFaults.model_fields) == NAMES | {"swapped_channels"}
    assert {case.split()[0] for case in CASES} == NAMES


@pytest.fixture(scope="module")
def shortest(scenario: Scenario) -> Program:
    """As much of it as can be simulated."""
    recording, _ = simulate(lasting(scenario, 0.7))
    return program_for(recording)


@pytest.mark.slow
def test_twenty_sound_rigs_have_no_fault(rig: Rig, shortest: Program) -> None:
    """Whatever the noise, nothing is told of a rig that is as it says."""
    for seed in range(20):
        found = diagnosed(rig, shortest, seed=100 + seed)
        assert found.diagnoses == ()
        assert all(track is not None and track.ends_s is None for track in found.tracks.values())


SOUND: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    # what the device truly is, and what it wrongly says of itself
    "10 bits, +-1.6 mV": ({"adc_bits": 10, "range_uv": 1600.0}, {}),
    "16 bits, 10 kHz": ({"adc_bits": 16, "rate_hz": 10_000.0, "lowpass_hz": 2000.0}, {}),
    "noisy": ({"noise_uv_rms": 20.0}, {}),
    "gain 10 % off": ({"gain": 1.1}, {}),
    "clock 300 ppm off": ({"clock_ppm": 300.0}, {}),
    "corners 20 and 5 % off": (
        {"highpass_hz": 12.0, "lowpass_hz": 9500.0},
        {"highpass_hz": 10.0, "lowpass_hz": 10_000.0},
    ),
    "too slow for the markers": ({"rate_hz": 1000.0, "lowpass_hz": 450.0}, {}),
}


@pytest.mark.parametrize("which", SOUND)
def test_other_sound_devices_have_no_fault_either(rig: Rig, shortest: Program, which: str) -> None:
    """Few bits, low rates, noise, and small errors of what is declared are no faults."""
    assert rig.virtual is not None
    true, wrong = SOUND[which]
    amplifier = rig.virtual.amplifier.model_copy(update=true)
    other = rig.model_copy(update={"virtual": rig.virtual.model_copy(
        update={"amplifier": amplifier})})  # fmt: skip
    band = {name: getattr(amplifier, name) for name in (
        "highpass_hz", "highpass_order", "lowpass_hz", "lowpass_order")}  # fmt: skip
    lsb_uv = amplifier.range_uv / 2 ** (amplifier.adc_bits - 1)
    seen = played(other, shortest)
    heard = dict(heard_paths(rig, shortest, seen))
    heard["device"] = heard_of(
        seen.counts * lsb_uv,
        amplifier.rate_hz,
        shortest,
        noise_uv_rms=math.hypot(amplifier.noise_uv_rms, 1.4, lsb_uv / math.sqrt(12)),
        response=BandResponse(**(band | wrong)),
        band_hz=amplifier.lowpass_hz,
        lsb_uv=lsb_uv,
    )
    assert diagnose({**heard, "monitor": heard["loopback"]}, begins_s=0.0).diagnoses == ()


def test_a_signal_in_another_channel_is_told_from_one_that_is_gone(
    rig: Rig, program: Program
) -> None:
    """From an instant on, or from the beginning: swapped, and with which channel."""
    assert rig.virtual is not None
    two = rig.virtual.amplifier.model_copy(update={"channels": 2, "channel_gains": (1.0, 0.0)})
    other = rig.model_copy(update={"virtual": rig.virtual.model_copy(update={"amplifier": two})})
    (told,) = diagnosed(other, program, swapped_channels=at(0.8)).diagnoses
    assert (told.name, told.part, told.value) == ("swapped channels", "converter", 2.0)
    assert told.start_s == pytest.approx(0.8, abs=0.002)
    (told,) = diagnosed(other, program, swapped_channels={}).diagnoses
    assert (told.name, told.part, told.value, told.start_s) == (
        "swapped channels", "converter", 2.0, None)  # fmt: skip
    assert diagnosed(other, program).diagnoses == ()


def test_a_fault_that_one_channel_of_the_oscilloscope_alone_shows_is_its_own(
    rig: Rig, program: Program
) -> None:
    """A lead of the oscilloscope that fell off says nothing of generator and amplifier."""
    sound = heard_paths(rig, program, played(rig, program))
    for path in ("loopback", "monitor"):
        noise = np.random.default_rng(1).standard_normal(sound[path].uv.size)
        heard = {**sound, path: replace(sound[path], uv=0.1 * noise)}
        (told,) = diagnose(heard, begins_s=0.0).diagnoses
        assert (told.name, told.path, told.part) == ("no signal", path, "oscilloscope")
    device = replace(sound["device"], uv=-sound["device"].uv)
    (polarity, _) = sorted(
        diagnose({**heard, "device": device}, begins_s=0.0).diagnoses, key=lambda d: d.name
    )
    assert (polarity.name, polarity.part) == ("inverted polarity", "lead, amplifier or converter")


def test_a_missing_divider_is_told_from_hum(rig: Rig, program: Program) -> None:
    """Cut short by the watch, a record says which of the two it was that became too loud."""
    sound = heard_paths(rig, program, played(rig, program))["device"]
    track = followed(sound)
    assert track is not None
    assert too_loud(track) is None
    end = int(np.argmax(track.times_s > BEGIN_S + 0.8))
    for name, last_uv in (
        (TOO_MUCH, np.clip(1000 * sound.uv, -9000, 9000)),
        ("something else is heard", 4000 * np.sin(2 * np.pi * 50 * track.times_s + 1)),
    ):
        uv = np.where(track.times_s < BEGIN_S + 0.77, sound.uv, last_uv)
        track_then = followed(replace(sound, uv=uv[:end]))
        assert track_then is not None
        loud = too_loud(track_then)
        assert loud is not None
        assert loud.name == name
        assert loud.start_s == pytest.approx(BEGIN_S + 0.77, abs=0.003)


def test_how_long_the_device_ran_before_changes_no_digit(rig: Rig, program: Program) -> None:
    """The same diagnosis and the same clock, to the last bit."""
    found = []
    for before_s in (0.05, 0.17):
        seen = played(rig, program, before_s=before_s, broken_lead=at(0.8))
        diagnosis = diagnose(heard_paths(rig, program, seen), begins_s=program.recording_start_s)
        track = diagnosis.tracks["device"]
        assert track is not None
        found.append((diagnosis.diagnoses, track.fit, track.ends_s))
    assert found[0] == found[1]


def test_two_faults_at_once_are_both_told(rig: Rig, program: Program) -> None:
    """Hum and missing codes do not hide each other."""
    both = diagnosed(rig, program, mains={"uv_pk": 40}, missing_codes={"every": 8})
    assert {d.name for d in both.diagnoses} == {"mains", "missing codes"}


def test_a_path_that_breaks_is_still_aligned_by_what_came_before(
    rig: Rig, program: Program
) -> None:
    """The clock found before the break is that of the sound rig, to 1 ppm."""
    sound = diagnosed(rig, program).tracks["device"]
    broken = diagnosed(rig, program, broken_lead=at(0.8)).tracks["device"]
    assert sound is not None
    assert broken is not None
    assert broken.fit.clock_ppm == pytest.approx(sound.fit.clock_ppm, abs=1)
    assert broken.fit.offset_s == pytest.approx(sound.fit.offset_s, abs=1e-6)


# ---- the rules by themselves


def test_hum_is_found_by_chance_no_more_often_than_is_stated(program: Program) -> None:
    """In 400 records of noise the statistic seldom exceeds the F(2, 40) quantile of 1 %.

    The line is looked for within 0.5 Hz, which makes the rate some five times that in 2 s.
    """
    from emgsim.diagnosis.levels import _line

    rng, at_s = np.random.default_rng(1), np.arange(2000) * 1e-3
    found = [_line(rng.standard_normal(2000), at_s, 50.0)[0] for _ in range(400)]
    quantile = 20 * (0.01 ** (-1 / 20) - 1)
    assert np.mean(np.array(found) > quantile) < 0.10
    assert max(found) < HUM_F
    assert abs(HUM_F - 20 * (1e-8 ** (-1 / 20) - 1)) < 1


def test_a_windows_gain_has_the_standard_error_that_is_stated() -> None:
    """Over 200 windows of a known waveform in white noise the gains scatter as they say."""
    rng = np.random.default_rng(2)
    at_s = np.arange(200 * 2400) / 48_000
    value = np.sin(2 * np.pi * 700 * at_s)
    told = windows_of(at_s, 1.5 * value + rng.standard_normal(at_s.size), value, 1.0)
    z = (told.gain - 1.5) / told.error
    assert np.std(z) == pytest.approx(1.0, abs=0.15)
    assert np.max(np.abs(z)) < 5


@settings(max_examples=30, deadline=None)
@given(n=st.integers(200, 800), share=st.floats(0.1, 0.9), seed=st.integers(0, 2**16))
def test_the_instant_of_a_change_lies_where_it_says(n: int, share: float, seed: int) -> None:
    """Noise that becomes five times as loud: the instant lies within what is stated."""
    rng, k = np.random.default_rng(seed), round(n * share)
    uv = rng.standard_normal(n) * np.where(np.arange(n) < k, 1.0, 5.0)
    before, after = uv**2, (uv / 5) ** 2 + 2 * math.log(5)
    best, first, last = change(before, after)
    assert first <= best <= last
    assert first - 3 <= k <= last + 3
    assert last - first < 60


def test_a_marker_is_not_found_in_noise_hum_or_silence(program: Program) -> None:
    """Neither in a constant, nor in 300 uV of hum, nor in noise of any seed."""
    _, shape = program.markers[0]
    n, rate_hz = 100_000, program.rate_hz
    hum = 300 * np.sin(2 * np.pi * 50 * np.arange(n) / rate_hz)
    for uv in (np.zeros(n), np.full(n, 77.0), hum):
        assert located(uv, rate_hz, shape) is None
    for seed in range(5):
        noise = np.random.default_rng(seed).standard_normal(n)
        assert located(noise, rate_hz, shape) is None
        assert located(hum + noise, rate_hz, shape) is None
        begin = 40_000
        noise[begin : begin + shape.size] -= shape
        assert located(hum + noise, rate_hz, shape) == begin


def test_a_recorder_that_heard_little_is_no_reason_to_fail(program: Program) -> None:
    """Silence, NaN, and a few samples are followed nowhere, and nothing is raised."""
    for uv in (np.zeros(50), np.full(1000, np.nan), np.zeros(1)):
        heard = Heard(
            uv=uv,
            rate_hz=program.rate_hz,
            waveform=Waveform(program.samples_uv, program.rate_hz),
            markers=program.markers,
            duration_s=program.duration_s,
            noise_uv_rms=1.0,
            band_hz=10_000.0,
        )
        assert followed(heard) is None


def test_hum_below_half_the_noise_of_the_budget_is_no_fault(rig: Rig, program: Program) -> None:
    """It is there, and the rig is as good as it says."""
    found = diagnosed(rig, program, mains={"uv_pk": 0.5, "harmonics": ()})
    assert found.diagnoses == ()
    track = found.tracks["device"]
    assert track is not None
    assert mains(track) is None
    assert CHANCE_LOG10 < -9


# ---- the link


def test_lost_frames_are_told_with_when_and_how_many() -> None:
    """Two frames of 16 samples dropped here and there, from the first to the last one."""
    counts, times_s = np.zeros(48_000), np.arange(48_000) / 48_000 - 0.25
    counts[1600:1616] = counts[16_000:16_016] = np.nan
    (told,) = link_diagnoses(Linked(counts=counts, samples_per_frame=16), times_s)
    assert (told.name, told.part, told.value) == ("dropped frames", "link", 2)
    assert told.start_s == pytest.approx(1600 / 48_000 - 0.25)
    assert told.stop_s == pytest.approx(16_016 / 48_000 - 0.25)


def test_a_long_loss_is_an_overflow_and_bad_or_doubled_frames_are_told_apart() -> None:
    """By the length of the gap, and by the decoder's counters."""
    counts, times_s = np.zeros(48_000), np.arange(48_000) / 48_000
    counts[1600:4800] = counts[20_000:20_016] = np.nan
    linked = Linked(counts=counts, samples_per_frame=16, n_bad_frames=1, n_repeated_frames=3)
    told = {d.name: d for d in link_diagnoses(linked, times_s)}
    assert {name: d.value for name, d in told.items()} == {
        "FIFO overflow": 200, "corrupt frames": 1, "repeated frames": 3}  # fmt: skip
    assert told["FIFO overflow"].start_s == pytest.approx(1600 / 48_000)
    assert told["corrupt frames"].start_s == pytest.approx(20_000 / 48_000)
    assert link_diagnoses(Linked(counts=np.zeros(9)), None) == ()


# ---- words


def test_a_diagnosis_is_one_line_of_plain_words() -> None:
    """Path, name, size, time and part, as a reader wants them."""
    assert str(hang_up(1.5, 2.25)) == (
        "device: hang-up (2.25 s of streaming), from 1.500 s on; part: link"
    )
    assert str(hang_up(None, 2.25)).endswith("whole playback; part: link")
    table = hang_up(1.0, 2.0).table() | {"stop_s": 2.0, "within_s": 0.002}
    assert when(table) == "1.000 to 2.000 s (+-2 ms)"
    assert when(table | {"start_s": None}) == "until 2.000 s (+-2 ms)"
    assert line(table | {"unit": "1"}).startswith("device: hang-up, 1.000")
    assert Diagnosis(**hang_up(1.0, 2.0).table()) == hang_up(1.0, 2.0)


def test_what_rings_beside_a_marker_is_not_followed() -> None:
    """A thousandth of the marker in its sample before silence: one gain is as good as another."""
    at_s = np.arange(0, 0.2, 1e-4)
    loud = np.where(at_s < 0.1, 200.0, 0.1) * np.sin(2 * np.pi * 300 * at_s)
    marker, silence = windows_of(at_s, loud, loud, 1.0).error[[0, 3]]
    assert marker < 1e-3
    assert silence > 0.5
