"""Alignment by many marks: the bound, what was lost, and the filter in front of the clock."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.align import (
    Alignment,
    Shaped,
    Waveform,
    cramer_rao,
    fit_response,
    group_delay_s,
    line_through,
    refine,
    shaped_by,
    synchronise,
    with_gaps,
)
from emgsim.align.losses import Loss
from emgsim.bench.program import Program, alignment_program, program_for, stretches
from emgsim.errors import NotAnalysableError
from emgsim.recording import Channel, Recording
from emgsim.stages import BandResponse

RATE_HZ = 1000.0
OFFSET_S = -0.217


@cache
def program() -> Program:
    """Return 20 s of silence with a short code about every 2.5 s."""
    return alignment_program(2 * RATE_HZ, (20.0, 400.0), 20.0, every_s=2.5)


@cache
def waveform() -> Waveform:
    """Return what the recorder should have seen of it."""
    return Waveform(program().samples_uv, program().rate_hz)


@cache
def emg() -> tuple[Program, Waveform]:
    """Return a program with EMG-like noise between two markers."""
    noise = np.random.default_rng(5).standard_normal(20_000)
    smooth = np.convolve(noise, np.hanning(9), mode="same")
    one = Recording(samples_uv=50 * smooth[:, None], rate_hz=2 * RATE_HZ,
                    channels=(Channel(name="emg"),))
    made = program_for(one, 400.0)
    return made, Waveform(made.samples_uv, made.rate_hz)


def recorded(
    wave: Waveform, duration_s: float, *, drift: float = 2e-4, noise_uv: float = 10.0,
    gain: float = -0.8, seed: int = 0,
) -> np.ndarray:
    """Return what a recorder takes that starts 0.217 s before the program."""
    n = round((duration_s + 0.5) * RATE_HZ)
    clean = gain * wave.at(OFFSET_S + np.arange(n) * (1 + drift) / RATE_HZ)[0]
    return clean + noise_uv * np.random.default_rng(seed).standard_normal(n)


def lost(samples: np.ndarray, true: list[tuple[int, int]]) -> np.ndarray:
    """Return samples without runs of them: first sample and number of each run."""
    gone = np.concatenate([np.arange(at, at + n) for at, n in true])
    return np.delete(samples, gone)


def test_the_bound_on_a_delay_is_that_of_a_sine_with_a_pencil() -> None:
    """N samples of A sin(wt) in noise s: the bound on a delay is s sqrt(2 / N) / (A w).

    Gain and time are in quadrature over whole cycles. Over T seconds the drift's bound is
    sqrt(12) / T times that of the time in the middle.
    """
    rate_hz, f_hz, amplitude, rms, n = 10_000.0, 50.0, 3.0, 0.7, 40_000
    t = np.arange(n + 20_000) / rate_hz
    shaped = Shaped(Waveform(amplitude * np.sin(2 * np.pi * f_hz * t), rate_hz))
    bound = cramer_rao(shaped, rate_hz, n, np.array([1.0, 1.0, 0.0]), rms)
    delay_s = rms * np.sqrt(2 / n) / (amplitude * 2 * np.pi * f_hz)
    assert bound.middle_s == pytest.approx(delay_s, rel=1e-3)
    assert bound.drift == pytest.approx(np.sqrt(12) / (n / rate_hz) * delay_s, rel=1e-3)
    assert bound.offset_s == pytest.approx(2 * delay_s, rel=1e-3)
    assert bound.gain == pytest.approx(rms * np.sqrt(2 / n) / amplitude, rel=1e-3)


def test_the_bound_scales_with_the_noise() -> None:
    """Ten times the noise, ten times the bound."""
    unknowns = np.array([0.8, OFFSET_S, 1e-4])
    one, ten = (cramer_rao(Shaped(waveform()), RATE_HZ, 22_000, unknowns, x) for x in (1.0, 10.0))
    assert ten.middle_s == pytest.approx(10 * one.middle_s)
    assert ten.drift == pytest.approx(10 * one.drift)


@pytest.mark.parametrize("drift", [0.0, 2e-4])
@pytest.mark.parametrize("noise_uv", [1.0, 120.0])
def test_errors_are_as_small_as_the_bound_allows(drift: float, noise_uv: float) -> None:
    """Thirty noises each: rms error of time and drift within 1.5 times the bound, and no less."""
    bound = cramer_rao(Shaped(waveform()), RATE_HZ, 23_000, np.array([0.8, OFFSET_S, drift]),
                       noise_uv)
    errors = []
    for seed in range(30):
        uv = recorded(waveform(), program().duration_s, drift=drift, noise_uv=noise_uv, seed=seed)
        found = synchronise(uv, RATE_HZ, waveform(), program().marks_s)
        assert not found.losses
        clock = found.alignment
        off = clock.drift - drift
        middle_s = clock.offset_s - OFFSET_S + off * uv.size / 2 / RATE_HZ
        errors.append([middle_s / bound.middle_s, off / bound.drift])
    ratio = np.sqrt(np.mean(np.square(errors), axis=0))
    assert (ratio < 1.5).all()
    assert (ratio > 0.6).all()


def test_the_stated_deviation_is_the_bound_in_white_noise() -> None:
    """The spectrum of what is left says that nothing is to be added: a ratio of 1 within 5 %."""
    found = refine(recorded(waveform(), 22.0), RATE_HZ, waveform(), OFFSET_S, 2e-4)
    assert found.over_bound == pytest.approx(1.0, abs=0.05)
    assert found.bound is not None
    assert found.middle_sd_s == pytest.approx(found.bound.middle_s, rel=0.05)
    assert found.middle_sd_s < found.offset_sd_s  # the middle is known best


def test_hum_below_the_waveform_counts_as_little_as_it_disturbs() -> None:
    """Forty loud hums below 8 Hz: errors scatter by what is stated, a fifth of the white bound."""
    rng, clean = np.random.default_rng(2), recorded(waveform(), 22.0, noise_uv=0.0)
    run_s, scores = np.arange(clean.size) / RATE_HZ, []
    for _ in range(40):
        hum = 150 * np.sin(2 * np.pi * rng.uniform(1, 7.5) * run_s + rng.uniform(0, 2 * np.pi))
        found = refine(clean + hum, RATE_HZ, waveform(), OFFSET_S, 2e-4)
        error_s = found.offset_s - OFFSET_S + (found.drift - 2e-4) * 0.5 * run_s[-1]
        scores.append(error_s / found.middle_sd_s)
        assert found.over_bound < 0.2
    assert np.sqrt(np.mean(np.square(scores))) == pytest.approx(1.0, abs=0.4)


def test_the_stated_deviation_is_true_in_coloured_noise() -> None:
    """Low-passed noise all in the waveform's band: forty errors scatter by what is stated."""
    scores, over = [], []
    for seed in range(40):
        rough = np.random.default_rng(seed).standard_normal(23_000)
        noise = np.convolve(rough, np.full(4, 20.0), mode="same")
        uv = recorded(waveform(), 22.0, noise_uv=0.0)
        uv += noise[: uv.size]
        found = refine(uv, RATE_HZ, waveform(), OFFSET_S, 2e-4)
        middle_s = 0.5 * uv.size / RATE_HZ
        error_s = found.offset_s - OFFSET_S + (found.drift - 2e-4) * middle_s
        scores.append(error_s / found.middle_sd_s)
        over.append(found.over_bound)
    assert np.std(scores) == pytest.approx(1.0, abs=0.35)
    assert abs(np.mean(over) - 1) > 0.1  # the white bound would not have done


@given(
    places=st.lists(st.tuples(st.sampled_from([0, 2, 4]), st.floats(0.1, 0.9),
                              st.integers(1, 600)),
                    min_size=1, max_size=3, unique_by=lambda one: one[0]),
    seed=st.integers(0, 2**32 - 1),
    noise_uv=st.sampled_from([1.0, 10.0, 40.0]),
)
@settings(max_examples=25, deadline=None, derandomize=True)  # one interval in 200 may be wrong
def test_lost_samples_are_counted_exactly_beside_any_drift(
    places: list[tuple[int, float, int]], seed: int, noise_uv: float
) -> None:
    """Runs lost in different silences: each number is right, each place in its interval.

    Two marks lie between two losses: one alone is taken for a stray one if few samples are lost
    on either side of it, and both are told as one. Nor is a single sample always told in noise as
    loud as a short mark (120 uV); `benchmarks/alignment.py` counts how often.
    """
    marks = program().marks_s
    true = []
    for gap, share, n in sorted(places):
        low_s, high_s = marks[1 + gap][1], marks[2 + gap][0]
        at_s = low_s + 0.02 + share * (high_s - low_s - 0.65)  # and ends before the next mark
        true.append((round((at_s - OFFSET_S) * RATE_HZ / (1 + 2e-4)), n))
    uv = recorded(waveform(), program().duration_s, noise_uv=noise_uv, seed=seed)
    found = synchronise(lost(uv, true), RATE_HZ, waveform(), marks)
    assert [loss.n_samples for loss in found.losses] == [n for _, n in true]
    before = 0
    for (at, n), loss in zip(true, found.losses, strict=True):
        assert loss.first <= at - before <= loss.last
        before += n
    assert abs(found.alignment.drift - 2e-4) < 5 * found.alignment.drift_sd
    assert abs(found.alignment.offset_s - OFFSET_S) < 5 * found.alignment.offset_sd_s


@pytest.mark.parametrize("n_lost", [1, 17, 900])
def test_the_waveform_tells_the_very_sample_of_a_loss(n_lost: int) -> None:
    """EMG on both sides at 30 dB: the first sample behind the loss within two samples."""
    made, wave = emg()
    uv = recorded(wave, made.duration_s, noise_uv=3.0)
    found = synchronise(lost(uv, [(5_321, n_lost)]), RATE_HZ, wave, stretches(made, 1.0))
    (loss,) = found.losses
    assert loss.n_samples == n_lost
    assert loss.first <= 5_321 <= loss.last
    assert loss.last - loss.first <= 3


def test_a_large_loss_swallows_marks_and_the_rest_is_still_known() -> None:
    """Five seconds are gone with two short codes: 5000 samples, and the clock as before."""
    uv = recorded(waveform(), program().duration_s)
    found = synchronise(lost(uv, [(7_000, 5_000)]), RATE_HZ, waveform(), program().marks_s)
    assert [loss.n_samples for loss in found.losses] == [5_000]
    assert len(found.line.marks) < len(program().marks_s)
    assert abs(found.alignment.drift - 2e-4) < 5 * found.alignment.drift_sd


@pytest.mark.parametrize("late", [0.3, 1.4])
def test_a_mark_in_the_wrong_place_is_left_out(late: float) -> None:
    """A short code comes late, by some fault: the line goes through the others."""
    uv = recorded(waveform(), program().duration_s, noise_uv=1.0)
    begin_s, end_s = program().marks_s[4]
    first, last = (round((at_s - OFFSET_S) * RATE_HZ) for at_s in (begin_s - 0.05, end_s + 0.05))
    times_s = OFFSET_S + (np.arange(first, last) - late) * (1 + 2e-4) / RATE_HZ
    uv[first:last] = -0.8 * waveform().at(times_s)[0]
    line = line_through(uv, RATE_HZ, waveform(), program().marks_s)
    assert begin_s not in [mark.start_s for mark in line.marks]
    assert len(line.marks) == len(program().marks_s) - 1
    assert not any(line.lost)
    assert line.drift == pytest.approx(2e-4, abs=1e-6)


def test_gaps_put_lost_samples_back_as_unknown() -> None:
    """By pencil: two samples lost before index 3, which may as well be 2 or 4."""
    whole = with_gaps(np.arange(6.0), [Loss(at=3, n_samples=2, first=2, last=4)])
    np.testing.assert_array_equal(whole, [0, 1, np.nan, np.nan, np.nan, np.nan, 4, 5])


def test_a_constant_of_the_device_is_no_signal() -> None:
    """200 uV of offset change nothing but the residual."""
    uv = recorded(waveform(), program().duration_s)
    plain = synchronise(uv, RATE_HZ, waveform(), program().marks_s)
    found = synchronise(uv + 200.0, RATE_HZ, waveform(), program().marks_s)
    assert found.alignment.offset_s == pytest.approx(plain.alignment.offset_s, abs=1e-9)


@pytest.mark.parametrize("level_uv", [0.0, 50.0])
def test_a_recording_without_marks_is_not_aligned(level_uv: float) -> None:
    """Silence or noise: how many were found, how many are needed, what to check."""
    noise = level_uv * np.random.default_rng(3).standard_normal(20_000)
    with pytest.raises(NotAnalysableError, match="markers found in the recording") as info:
        line_through(noise, RATE_HZ, waveform(), program().marks_s)
    assert "wired" in info.value.todo


DECLARED = BandResponse(highpass_hz=20.0, highpass_order=2, lowpass_hz=350.0, lowpass_order=4)
TRUE = BandResponse(highpass_hz=21.6, highpass_order=2, lowpass_hz=322.0, lowpass_order=4)


@pytest.mark.slow
def test_clock_and_group_delay_are_told_apart() -> None:
    """Corners 8 % beside what is declared: offset, drift, corners and delay within their SD.

    Twenty noises: the errors over the stated deviations scatter by 1, and the rms error of the
    clock lies within 1.5 times the joint bound.
    """
    played = program().samples_uv, program().rate_hz
    behind, expected = Waveform(*played, TRUE), Waveform(*played, DECLARED)
    unknowns = np.array([0.8, OFFSET_S, 2e-4, 0.0, 0.0])
    bound = cramer_rao(shaped_by(played, TRUE), RATE_HZ, 23_000, unknowns, 20.0)
    delay_s, scores, errors = group_delay_s(played, TRUE), [], []
    for seed in range(20):
        uv = recorded(behind, program().duration_s, noise_uv=20.0, seed=seed)
        near = synchronise(uv, RATE_HZ, expected, program().marks_s).alignment
        found = fit_response(uv, RATE_HZ, played, near, DECLARED)
        clock, half_s = found.alignment, 0.5 * uv.size / RATE_HZ
        error_s = clock.offset_s - OFFSET_S + (clock.drift - 2e-4) * half_s
        errors.append([error_s / bound.middle_s, (clock.drift - 2e-4) / bound.drift])
        scores.append([
            error_s / clock.middle_sd_s,
            (found.response.highpass_hz - 21.6) / found.highpass_sd_hz,
            (found.response.lowpass_hz - 322.0) / found.lowpass_sd_hz,
            (found.group_delay_s - delay_s) / found.group_delay_sd_s,
        ])
    assert (np.sqrt(np.mean(np.square(errors), axis=0)) < 1.5).all()
    assert np.sqrt(np.mean(np.square(scores), axis=0)) == pytest.approx(np.ones(4), abs=0.5)


def test_a_wrong_filter_alone_would_shift_the_clock() -> None:
    """With the declared corners the offset is wrong by 20 SD and more; fitted, it is right."""
    played = program().samples_uv, program().rate_hz
    uv = recorded(Waveform(*played, TRUE), program().duration_s, noise_uv=2.0)
    wrong = synchronise(uv, RATE_HZ, Waveform(*played, DECLARED), program().marks_s).alignment
    right = fit_response(uv, RATE_HZ, played, wrong, DECLARED).alignment
    assert abs(wrong.offset_s - OFFSET_S) > 20 * wrong.offset_sd_s
    assert abs(right.offset_s - OFFSET_S) < 4 * right.offset_sd_s


def test_the_group_delay_of_a_first_order_filter_is_the_textbooks() -> None:
    """A tone f through a first-order low-pass at c is late by 1 / (2 pi c (1 + (f/c)^2))."""
    t = np.arange(4_000) / RATE_HZ
    tone = np.sin(np.pi * t / 4) ** 4 * np.sin(2 * np.pi * 100 * t)
    band = BandResponse(lowpass_hz=150.0, lowpass_order=1)
    expected_s = 1 / (2 * np.pi * 150 * (1 + (100 / 150) ** 2))
    assert group_delay_s((tone, RATE_HZ), band) == pytest.approx(expected_s, rel=1e-3)


def test_an_alignment_without_a_bound_has_no_ratio_to_it() -> None:
    """NaN, which never passes a limit."""
    bare = Alignment(offset_s=0.0, drift=0.0, gain=1.0, offset_sd_s=0.0, drift_sd=0.0,
                     gain_sd=0.0, residual_rms=0.0, windows=())
    assert np.isnan(bare.over_bound)
