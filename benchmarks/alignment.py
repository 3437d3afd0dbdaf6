"""Errors of alignment beside the Cramer-Rao bound, and lost samples found again.

Usage::

    python benchmarks/alignment.py [--trials 200] [--only flat filtered losses]

A program made to be aligned is recorded in process. The recorder's samples are exact: the played
waveform is a trigonometric polynomial, read at the recorder's true times by a chirp-z transform.
The noise is white; SNR is the marks' mean power, while they sound, over its power in a sample.

flat
    rms error of offset (in mid-record) and of drift over the bound, gain unknown.
filtered
    behind a high-pass (second order, 20 Hz) and a low-pass (fourth order, 0.35 of the rate) whose
    corners lie up to 10 % beside what is declared; the bound has them as unknowns. Recorders with
    drifts of 0, 50 and 200 ppm take turns.
losses
    One to three losses of 1 to 5000 samples: how many are found with their exact number of samples,
    how many of them lie in the stated interval, how many are placed at the very sample, and the
    intervals' median width; with silence between the markers, and with EMG-like noise.

Exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.align import (
    Deviations,
    Loss,
    Shaped,
    Waveform,
    cramer_rao,
    fit_response,
    shaped_by,
    synchronise,
)
from emgsim.bench.program import Program, alignment_program, program_for, stretches
from emgsim.recording import Channel, Recording
from emgsim.stages import FLAT, BandResponse, respond

Floats = NDArray[np.float64]
Span = tuple[float, float]
Row = tuple[
    float, float, float, float
]  # of a loss: its number, its place, the very sample, the width

GOAL_RATIO = 1.5
GOAL_SIZES, GOAL_PLACES = 0.99, 0.99
SNRS_DB = (0.0, 10.0, 20.0, 40.0)
DRIFTS = (0.0, 50e-6, 200e-6)
# rate of the recorder; seconds between the long markers, and between the short ones
PLAYBACKS = ((250.0, 30.0, 5.0), (1000.0, 8.0, 2.0), (4000.0, 2.0, 0.7), (20_000.0, 0.3, 0.15))
LOSS_LENGTHS = ((60.0, 5.0), (20.0, 2.5), (6.0, 1.0), (2.0, 0.5))  # playbacks with losses, as above
FEWER = 5  # recordings of a cell with losses, where so many times more are aligned
MOST_LOST = 5000
RECORDERS = 12  # different ones behind filters
FILTER_OFF = 0.1


@dataclass(frozen=True, eq=False)
class Recorder:
    """What a recorder sends without noise, and the truth about it."""

    uv: Floats
    rate_hz: float
    offset_s: float
    drift: float
    gain: float
    signal_rms: float


def made(
    program: Program,
    spans: Sequence[Span],
    rate_hz: float,
    drift: float,
    rng: np.random.Generator,
    response: BandResponse,
) -> Recorder:
    """Return a recorder that begins about 0.2 s before the program, exact to rounding."""
    offset_s, gain = (
        -0.2 - rng.uniform(0, 0.1),
        float(rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 2)),
    )
    n = round((program.duration_s + 0.6) * rate_hz)
    uv = gain * read(program, response, offset_s, (1 + drift) / rate_hz, n)
    times_s = offset_s + np.arange(n) * (1 + drift) / rate_hz
    sounds = np.zeros(n, np.bool_)
    for begin_s, end_s in spans:
        sounds |= (times_s >= begin_s) & (times_s < end_s)
    return Recorder(uv, rate_hz, offset_s, drift, gain, float(np.sqrt(np.mean(uv[sounds] ** 2))))


def read(
    program: Program, response: BandResponse, offset_s: float, step_s: float, n: int
) -> Floats:
    """Return a program behind a response at ``offset_s + k step_s``, by a chirp-z transform."""
    size = fft.next_fast_len(program.samples_uv.size + round(0.8 * program.rate_hz), real=True)
    spectrum = fft.rfft(program.samples_uv, size) * (2 / size)
    spectrum[0] /= 2
    frequencies_hz = np.arange(spectrum.size) * (program.rate_hz / size)
    spectrum *= response.at(frequencies_hz) * np.exp(2j * np.pi * frequencies_hz * offset_s)
    turns = program.rate_hz / size * step_s

    def chirped(k: NDArray[np.int64]) -> NDArray[np.complex128]:
        return np.exp(1j * np.pi * np.mod(turns * k.astype(np.float64) ** 2, 2.0))

    m = spectrum.size
    length = fft.next_fast_len(m + n - 1)
    kernel = fft.fft(np.conj(chirped(np.arange(1 - m, n))), length)
    product = fft.fft(spectrum * chirped(np.arange(m)), length) * kernel
    return np.asarray(np.real(fft.ifft(product)[m - 1 : m - 1 + n] * chirped(np.arange(n))))


def noisy(recorder: Recorder, snr_db: float, rng: np.random.Generator) -> tuple[Floats, float]:
    """Return a recording, and its noise."""
    rms = recorder.signal_rms * 10 ** (-snr_db / 20)
    return recorder.uv + rms * rng.standard_normal(recorder.uv.size), rms


def errors(recorder: Recorder, offset_s: float, drift: float, bound: Deviations) -> list[float]:
    """Return the errors of the time in mid-record and of drift, each over its bound."""
    off_s, off = offset_s - recorder.offset_s, drift - recorder.drift
    middle_s = 0.5 * recorder.uv.size / recorder.rate_hz
    return [(off_s + middle_s * off) / bound.middle_s, off / bound.drift]


def flat(n_trials: int) -> bool:
    """Print the grid of a flat device; return whether all goals are reached."""
    print(
        f"\nflat: rms error over the bound, offset and drift (goal {GOAL_RATIO:g} each), "
        f"{n_trials} trials a cell"
    )
    reached = True
    for number, (rate_hz, duration_s, every_s) in enumerate(PLAYBACKS):
        program = alignment_program(
            2 * rate_hz, (0.08 * min(rate_hz, 250), 0.4 * rate_hz), duration_s, every_s=every_s
        )
        waveform = Waveform(program.samples_uv, program.rate_hz)
        for drift in DRIFTS:
            rng = np.random.default_rng([91, number, round(1e6 * drift)])
            recorders = [
                made(program, program.marks_s, rate_hz, drift, rng, FLAT) for _ in range(4)
            ]
            for snr_db in SNRS_DB:
                began, found, bounds, over = time.process_time(), [], [], []
                for k in range(n_trials):
                    recorder = recorders[k % len(recorders)]
                    uv, rms = noisy(recorder, snr_db, rng)
                    bound = scaled(bound_of(recorder, Shaped(waveform)), rms)
                    fit = synchronise(uv, rate_hz, waveform, program.marks_s).alignment
                    found.append(errors(recorder, fit.offset_s, fit.drift, bound))
                    bounds.append((1e6 * bound.middle_s, 1e6 * bound.drift))
                    over.append(fit.middle_sd_s / bound.middle_s)
                told = f"{1e6 * drift:.0f}"
                reached &= show(named(rate_hz, told, snr_db), found, bounds, over, began)
    return reached


def filtered(n_trials: int) -> bool:
    """Print the grid of devices behind filters; return whether all goals are reached."""
    print(f"\nfiltered, corners unknown: rms error over the joint bound (goal {GOAL_RATIO:g} each)")
    reached = True
    for number, (rate_hz, duration_s, every_s) in enumerate(PLAYBACKS):
        rng = np.random.default_rng([92, number])
        declared = response_of(rate_hz, 1.0, 1.0)
        program = alignment_program(
            2 * rate_hz, (0.08 * min(rate_hz, 250), 0.4 * rate_hz), duration_s, every_s=every_s
        )
        played = program.samples_uv, program.rate_hz
        expected, recorders, shapes = Waveform(*played, declared), [], []
        for k in range(RECORDERS):
            off = 1 + FILTER_OFF * rng.uniform(-1, 1, 2)
            response = response_of(rate_hz, float(off[0]), float(off[1]))
            recorders.append(made(program, program.marks_s, rate_hz, DRIFTS[k % 3], rng, response))
            shapes.append(bound_of(recorders[-1], shaped_by(played, response)))
        for snr_db in SNRS_DB:
            began, found, bounds, over = time.process_time(), [], [], []
            for k in range(n_trials):
                recorder = recorders[k % RECORDERS]
                uv, rms = noisy(recorder, snr_db, rng)
                bound = scaled(shapes[k % RECORDERS], rms)
                near = synchronise(uv, rate_hz, expected, program.marks_s).alignment
                fit = fit_response(uv, rate_hz, played, near, declared).alignment
                found.append(errors(recorder, fit.offset_s, fit.drift, bound))
                bounds.append((1e6 * bound.middle_s, 1e6 * bound.drift))
                over.append(fit.middle_sd_s / bound.middle_s)
            reached &= show(named(rate_hz, "0-200", snr_db), found, bounds, over, began)
    return reached


def response_of(rate_hz: float, highpass: float, lowpass: float) -> BandResponse:
    """Return a device's filter, its corners so many times what is declared."""
    return BandResponse(
        highpass_hz=20.0 * highpass,
        highpass_order=2,
        lowpass_hz=0.35 * rate_hz * lowpass,
        lowpass_order=4,
    )


def bound_of(recorder: Recorder, shaped: Shaped) -> Deviations:
    """Return the bound in noise of rms 1."""
    unknowns = np.zeros(3 + len(shaped.by))
    unknowns[:3] = recorder.gain, recorder.offset_s, recorder.drift
    return cramer_rao(shaped, recorder.rate_hz, recorder.uv.size, unknowns, 1.0)


def scaled(bound: Deviations, rms: float) -> Deviations:
    """Return a bound in louder noise."""
    return Deviations(
        gain=rms * bound.gain,
        offset_s=rms * bound.offset_s,
        drift=rms * bound.drift,
        middle_s=rms * bound.middle_s,
    )


def named(rate_hz: float, drift: str, snr_db: float) -> str:
    """Return the name of a cell."""
    return f"{rate_hz:6g} Hz {drift:>5s} ppm {snr_db:3g} dB"


def show(
    cell: str,
    found: Sequence[Sequence[float]],
    bounds: Sequence[tuple[float, float]],
    over: Sequence[float],
    began: float,
) -> bool:
    """Print a cell, and return whether its goals are reached."""
    ratio = np.sqrt(np.mean(np.square(found), axis=0))
    bound, cpu_ms = np.mean(bounds, axis=0), 1e3 * (time.process_time() - began) / len(found)
    reached = bool(np.all(ratio <= GOAL_RATIO))
    print(
        f"  {cell}: {ratio[0]:.2f} {ratio[1]:.2f}   bound {bound[0]:8.3g} us {bound[1]:8.2g} ppm, "
        f"stated SD over it {np.mean(over):.2f}, {cpu_ms:4.0f} ms"
        f"{'' if reached else '   MISSED'}",
        flush=True,
    )
    return reached


def losses(n_trials: int) -> bool:
    """Print how lost samples are found again; return whether all goals are reached."""
    n_trials = max(1, n_trials // FEWER)
    print(
        f"\nlosses: exact numbers of samples (goal {GOAL_SIZES:g}), places in the stated interval, "
        f"at the very sample, median width; {n_trials} recordings a cell"
    )
    reached, every_place = True, []
    for number, (duration_s, every_s) in enumerate(LOSS_LENGTHS):
        rate_hz = PLAYBACKS[number][0]
        for kind in ("silence", "EMG"):
            rng = np.random.default_rng([93, number, kind == "EMG"])
            program, spans = program_with(kind, rate_hz, duration_s, every_s, rng)
            waveform = Waveform(program.samples_uv, program.rate_hz)
            loud = [span for span in spans if kind == "silence" or span not in program.marks_s]
            recorders = [made(program, loud, rate_hz, drift, rng, FLAT) for drift in DRIFTS]
            for snr_db in SNRS_DB:
                began, rows = time.process_time(), []
                for k in range(n_trials):
                    recorder = recorders[k % len(recorders)]
                    uv, _ = noisy(recorder, snr_db, rng)
                    while not (true := drawn(recorder, spans, rng)):
                        pass
                    sent = np.delete(uv, [i for at, n in true for i in range(at, at + n)])
                    told = synchronise(sent, rate_hz, waveform, spans)
                    rows += judged(recorder, true, spans, told.losses)
                sized, inside, exact, width = np.array(rows, np.float64).T
                share = sized.mean(), np.nanmean(inside), np.nanmean(exact)
                fine = share[0] >= GOAL_SIZES
                every_place += inside[np.isfinite(inside)].tolist() if kind == "EMG" else []
                cpu_ms = 1e3 * (time.process_time() - began) / n_trials
                print(
                    f"  {rate_hz:6g} Hz {kind:8s} {snr_db:3g} dB: {share[0]:.3f} {share[1]:.3f} "
                    f"{share[2]:.2f} {np.nanmedian(width):7g} samples, {len(rows)} losses, "
                    f"{cpu_ms:4.0f} ms{'' if fine else '   MISSED'}",
                    flush=True,
                )
                reached &= bool(fine)
    known = float(np.mean(every_place))  # one cell holds too few to tell 99 from 100 %
    print(f"  all of them in EMG: {known:.4f} of places in the interval (goal {GOAL_PLACES:g})")
    return reached and known >= GOAL_PLACES


def program_with(
    kind: str, rate_hz: float, duration_s: float, every_s: float, rng: np.random.Generator
) -> tuple[Program, tuple[Span, ...]]:
    """Return a program with silence between markers, or EMG-like noise, and its marks."""
    band_hz = 0.08 * min(rate_hz, 250), 0.4 * rate_hz
    if kind == "silence":
        program = alignment_program(2 * rate_hz, band_hz, duration_s, every_s=every_s)
        return program, program.marks_s
    noise = 100 * rng.standard_normal(round(duration_s * 2 * rate_hz))
    band = BandResponse(highpass_hz=20, highpass_order=2, lowpass_hz=0.3 * rate_hz, lowpass_order=8)
    emg = Recording(
        samples_uv=respond(noise, 2 * rate_hz, band)[:, None],
        rate_hz=2 * rate_hz,
        channels=(Channel(name="emg"),),
    )
    program = program_for(emg, rate_hz / 2)
    return program, stretches(program, every_s / 2)


def drawn(
    recorder: Recorder, spans: Sequence[Span], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Return one to three losses, each between two other marks: first sample and their number."""
    between = [(a[1], b[0]) for a, b in pairwise(spans[1:-1])]
    number = min(len(between), int(rng.integers(1, 4)))
    found: list[tuple[int, int]] = []
    rate_hz = recorder.rate_hz / (1 + recorder.drift)
    ends = int((spans[-2][0] - recorder.offset_s) * rate_hz)
    for k in sorted(rng.choice(len(between), number, replace=False)):
        at = round((rng.uniform(*between[k]) - recorder.offset_s) * rate_hz)
        n = int(np.exp(rng.uniform(0, np.log(MOST_LOST))))
        is_free = not found or at > found[-1][0] + found[-1][1]
        if is_free and at + n < ends:
            found.append((at, n))
    return found


def judged(
    recorder: Recorder,
    true: Sequence[tuple[int, int]],
    spans: Sequence[Span],
    told: Sequence[Loss],
) -> Iterator[Row]:
    """Tell of each loss whether its number is right, its place, and how well that is known.

    Several that no whole mark lies between may be told as one; then no place is asked for.
    """
    groups = grouped(true, told)
    if groups is None or not all(may_be_one(recorder, group, spans) for group in groups):
        yield from [(0.0, np.nan, np.nan, np.nan)] * len(true)
        return
    before = 0
    for group, loss in zip(groups, told, strict=True):
        at = group[0][0] - before
        before += loss.n_samples
        if len(group) > 1:
            yield 1.0, np.nan, np.nan, np.nan
        else:
            yield 1.0, loss.first <= at <= loss.last, loss.at == at, loss.last - loss.first


def grouped(
    true: Sequence[tuple[int, int]], told: Sequence[Loss]
) -> list[list[tuple[int, int]]] | None:
    """Return which true losses make up each that was told; None if the numbers are not right."""
    left, groups = list(true), []
    for loss in told:
        groups.append([left.pop(0)] if left else [])
        while left and sum(n for _, n in groups[-1]) < loss.n_samples:
            groups[-1].append(left.pop(0))
        if sum(n for _, n in groups[-1]) != loss.n_samples:
            return None
    return None if left else groups


def may_be_one(recorder: Recorder, group: Sequence[tuple[int, int]], spans: Sequence[Span]) -> bool:
    """Return whether no whole mark lies between the losses of a group."""
    rate_hz = recorder.rate_hz / (1 + recorder.drift)
    marks = [[(at_s - recorder.offset_s) * rate_hz for at_s in span] for span in spans]
    between = [(a + n, b) for (a, n), (b, _) in pairwise(group)]
    return not any(low <= a and b <= high for low, high in between for a, b in marks)


GRIDS = {"flat": flat, "filtered": filtered, "losses": losses}


def main() -> int:
    """Print all grids beside their goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200, help="of each cell")
    parser.add_argument("--only", nargs="*", choices=GRIDS, default=list(GRIDS))
    options = parser.parse_args()
    reached = [GRIDS[name](options.trials) for name in options.only]
    print(f"\nCPU {time.process_time():.0f} s; goals {'reached' if all(reached) else 'MISSED'}")
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
