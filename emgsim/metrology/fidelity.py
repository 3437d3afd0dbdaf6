"""What a device does to motor unit potentials: amplitude, duration and shape.

The potentials are closed forms, sums of derivatives of Gaussians: the n-th has n + 1 phases, and
none has an area, so that a high-pass leaves little behind them. They are played at 0.05 to 10 mV
peak to peak, each at other instants of the device's samples, and compared with what the declared
response makes of the very same: a band limit that the data sheet tells is no fault.

True is what the test reads of the device without noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.measures import SLOWEST_RATE_HZ, MuapMeasures, muap_measures
from emgsim.metrology.noise import rooted
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.shapes import seen
from emgsim.metrology.silence import declared_band, referred
from emgsim.metrology.stimulus import Stimulus, laid_out
from emgsim.metrology.transients import worst_of, worst_sd

Floats = NDArray[np.float64]

WIDTH_S = 0.020  # of a potential's window; it stands in the middle
GAP_S = 0.010
# Peak to peak, and how often it is played: the smaller, the more noise there is to average.
LADDER_UV = ((50.0, 2), (150.0, 2), (500.0, 8), (1500.0, 4), (5000.0, 2), (10_000.0, 2))
OF_RANGE = 0.8  # of the declared range that a peak may reach
JUDGED_UV = 400.0  # peak to peak; smaller ones are noted only, as noise is what limits them
SMOOTHED_S = 1e-4  # moving mean before a duration is measured
BLOCK_S = 2e-3  # in which noise is taken as even
GRID_MS = 0.005  # of `emgsim.measures`, on which durations begin and end
LAG_STEPS = 4  # of Gauss-Newton

# Of each shape its terms: order of the derivative, sigma in ms, delay in ms, weight of its peak.
SHAPES: tuple[tuple[tuple[int, float, float, float], ...], ...] = (
    ((2, 0.45, 0.0, 1.0),),  # three phases
    ((2, 0.30, 0.0, 1.0), (2, 0.50, 0.6, -0.35)),  # three, its end drawn out
    ((3, 0.40, 0.0, 1.0),),  # four
    ((2, 0.35, 0.0, 1.0), (3, 0.45, 0.3, 0.5)),  # four, unlike flanks
    ((4, 0.40, 0.0, 1.0),),  # five
    ((5, 0.45, 0.0, 1.0),),  # six
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Potential:
    """One potential of the library as the device shows it, and as it should.

    Attributes
    ----------
    amplitude_uv
        Peak to peak, as it was played.
    halves_uv
        Of the first and of the second half of its repeats, over the gain, shape ``(2, n)``.
    should_uv
        What the declared response makes of it, over its gain, shape ``(n,)``.
    rate_hz
        Of both.
    """

    amplitude_uv: float
    halves_uv: Floats
    should_uv: Floats
    rate_hz: float

    @property
    def noise_uv(self) -> float:
        """Deviation of a sample of the mean of both halves, from their difference."""
        return float(np.std(self.halves_uv[0] - self.halves_uv[1])) / 2


def fidelity_amplitude(measuring: Measuring) -> Sequence[Reading]:
    """Measure the worst error of an amplitude, peak to peak, in per cent.

    Of the potentials of 0.5 mV or more. An amplitude is read at the instants at which the declared
    response has its extremes: there noise adds nothing to it on average.
    """
    potentials, by = _judged(measuring), referred(measuring)
    errors = np.array([_amplitude_errors(potential) for potential in potentials])
    small = [np.mean(_amplitude_errors(p)) for p in _potentials(measuring)[: -len(potentials)]]
    value, places = worst_of(errors[:, 0], errors[:, 1])
    noise = worst_sd(
        np.array([math.sqrt(2) * p.noise_uv / p.amplitude_uv for p in potentials]), places
    )
    return [
        Reading(
            id="muap.fidelity.amplitude",
            value=100 * value,
            unit="%",
            components=(
                Component(name="noise", standard=100 * noise),
                Component(name=by.noise.name, standard=100 * by.noise.standard),
            ),
            method="peak to peak against the declared response, over the gain; worst of all",
            conditions=_conditions(potentials),
            rests_on=by.rests_on,
            note=f"median {100 * float(np.median(errors)):.2g} %; of the smaller ones, which noise "
            f"limits, {100 * float(np.median(small)):.2g} %",
            curves=_overlay(potentials[places[0]]),
        )
    ]


def fidelity_duration(measuring: Measuring) -> Sequence[Reading]:
    """Measure the worst error of a duration, in milliseconds, by the rule of 20 uV.

    Of the same potentials, smoothed over 0.1 ms. A duration is uncertain by the noise over the
    slopes at its ends.
    """
    potentials = _judged(measuring)
    pairs = np.array([_duration_errors_ms(potential) for potential in potentials])
    value, places = worst_of(pairs[:, 0], pairs[:, 1])
    noise = worst_sd(np.array([_duration_sd_ms(potential) for potential in potentials]), places)
    return [
        Reading(
            id="muap.fidelity.duration",
            value=value,
            unit="ms",
            components=(
                Component(name="noise", standard=noise),
                Component(name="grid of the measure", standard=GRID_MS / math.sqrt(3)),
            ),
            method="duration by dur_20uv against the declared response; worst of all",
            conditions=_conditions(potentials),
            note=f"median {float(np.median(pairs)):.2g} ms",
        )
    ]


def fidelity_nrmse(measuring: Measuring) -> Sequence[Reading]:
    """Measure how far shapes are off after lag and gain have been aligned, in per cent rms.

    The root of the mean, over all potentials that are judged, of the squared difference to the
    declared response over its square. The product of two halves is what both have in common: noise
    is not in it.
    """
    potentials = _judged(measuring)
    shares = np.array([_left_over(potential) for potential in potentials])
    power = float(shares[:, 0].mean())
    power_sd = math.sqrt(float(shares[:, 1].sum())) / len(shares)
    value, standard = rooted(power, power_sd)
    return [
        Reading(
            id="muap.fidelity.nrmse",
            value=100 * value,
            unit="%",
            components=(Component(name="noise", standard=100 * standard),),
            method="rms difference after alignment, of the product of two halves of the repeats",
            conditions=_conditions(potentials),
            note=f"worst {100 * math.sqrt(max(0.0, float(shares[:, 0].max()))):.2g} %",
        )
    ]


def library_uv(setup: Setup) -> list[tuple[float, int, Floats]]:
    """Return each potential: its amplitude, peak to peak, repeats, and waveform to be played."""
    largest_uv = min(OF_RANGE * setup.device.range_uv, setup.states["direct"].largest_uv)
    t_ms = 1e3 * (np.arange(round(WIDTH_S * setup.play_rate_hz)) / setup.play_rate_hz)
    t_ms -= 0.5e3 * WIDTH_S
    found = []
    for k, (amplitude_uv, repeats) in enumerate(LADDER_UV):
        for terms in SHAPES[k % 2 :: 2]:
            wave = sum((w * _derivative(t_ms - delay, n, s) for n, s, delay, w in terms), 0 * t_ms)
            wave *= -math.copysign(1.0, float(wave[np.argmax(np.abs(wave))]))
            peak = float(np.max(np.abs(wave)))
            scale = min(amplitude_uv / float(np.ptp(wave)), largest_uv / peak)
            found.append((scale * float(np.ptp(wave)), repeats, scale * wave))
    return found


def muaps_of(setup: Setup) -> Stimulus:
    """Return the library, played several times; segments are named ``potential.repeat``."""
    rate_hz = setup.play_rate_hz
    parts = [
        (f"{k}.{repeat}", uv, {"amplitude_uv": amplitude_uv})
        for k, (amplitude_uv, repeats, uv) in enumerate(library_uv(setup))
        for repeat in range(repeats)
    ]
    high_hz = setup.device.band_hz[1]
    return laid_out("muaps", "direct", rate_hz, parts, corner_hz=high_hz, gap_s=GAP_S)


def _derivative(t_ms: Floats, order: int, sigma_ms: float) -> Floats:
    """Return a derivative of a Gaussian, of unit peak: a Hermite polynomial times the Gaussian."""
    x = t_ms / sigma_ms
    wave = np.polynomial.hermite_e.hermeval(x, [0.0] * order + [1.0]) * np.exp(-(x**2) / 2)
    return np.asarray(wave / np.max(np.abs(wave)))


def _judged(measuring: Measuring) -> list[Potential]:
    """Return the potentials that stand out of the noise enough."""
    return [p for p in _potentials(measuring) if p.amplitude_uv >= JUDGED_UV]


def _potentials(measuring: Measuring) -> list[Potential]:
    """Play the library and read each potential on a grid of its own."""
    setup, by = measuring.setup, referred(measuring)
    stimulus = muaps_of(setup)
    saw = seen(measuring, stimulus)
    read = saw.reader()
    declared = abs(complex(declared_band(setup).at(np.array([setup.mid_hz]))[0]))
    rate_hz = max(5 * setup.device.band_hz[1], 2 * SLOWEST_RATE_HZ)
    at_s = np.arange(round(WIDTH_S * rate_hz)) / rate_hz
    starts_s: dict[str, list[float]] = {}
    for segment in stimulus.segments:
        starts_s.setdefault(segment.name.split(".")[0], []).append(segment.begins_s)
    found = []
    for (amplitude_uv, _, _), starts in zip(library_uv(setup), starts_s.values(), strict=True):
        each = np.array([read(start_s + at_s) for start_s in starts]) / by.gain
        each -= each[:, : round(0.1 * at_s.size)].mean(axis=1, keepdims=True)
        should, _ = saw.model.at(starts[0] + at_s)
        found.append(
            Potential(
                amplitude_uv=amplitude_uv,
                halves_uv=np.stack([each[::2].mean(axis=0), each[1::2].mean(axis=0)]),
                should_uv=(should - should[: round(0.1 * at_s.size)].mean()) / declared,
                rate_hz=rate_hz,
            )
        )
    return found


def _amplitude_errors(potential: Potential) -> Floats:
    """Return the relative error of the amplitude in each half."""
    top, bottom = (int(pick(potential.should_uv)) for pick in (np.argmax, np.argmin))
    should = potential.should_uv[top] - potential.should_uv[bottom]
    return np.asarray((potential.halves_uv[:, top] - potential.halves_uv[:, bottom]) / should - 1)


def _duration_errors_ms(potential: Potential) -> tuple[float, float]:
    should = _measured(potential.should_uv, potential).duration_ms
    first, second = (_measured(half, potential).duration_ms for half in potential.halves_uv)
    return first - should, second - should


def _duration_sd_ms(potential: Potential) -> float:
    """Return how uncertain the mean of both halves' durations is."""
    found = _measured(potential.should_uv, potential)
    per_ms = potential.rate_hz / 1e3
    slopes = np.abs(np.gradient(_smooth(potential.should_uv, potential))) * per_ms
    ends = np.rint(np.array([found.start_ms, found.end_ms]) * per_ms).astype(np.int64)
    first, second = (_smooth(half, potential) for half in potential.halves_uv)
    noise_uv = float(np.std(first - second)) / 2
    return noise_uv * math.sqrt(float(np.sum(slopes[ends] ** -2.0)))


def _measured(wave_uv: Floats, potential: Potential) -> MuapMeasures:
    return muap_measures(_smooth(wave_uv, potential), potential.rate_hz, rule="dur_20uv")


def _smooth(wave_uv: Floats, potential: Potential) -> Floats:
    width = round(SMOOTHED_S * potential.rate_hz) | 1
    return np.convolve(wave_uv, np.full(width, 1 / width), "same")


def _left_over(potential: Potential) -> tuple[float, float]:
    """Return the share of the power that differs in shape, and its variance."""
    lefts = np.array([_aligned_rest(half, potential.should_uv) for half in potential.halves_uv])
    energy = float(potential.should_uv @ potential.should_uv)
    common = float(lefts[0] @ lefts[1]) / energy
    # The variance of sum(a b) is that of both noises' powers at the same place, over what is
    # independent there; how much that is, the spectrum tells, and where they are, the blocks:
    # a converter's jitter makes noise on slopes only.
    noise = np.abs(fft.fft(lefts[0] - lefts[1])) ** 2 / 2
    signal = np.maximum(np.abs(fft.fft(lefts.mean(axis=0))) ** 2 - noise / 2, 0.0)
    n, n_blocks = lefts.shape[1], round(WIDTH_S / BLOCK_S)
    independent = 2 * float(noise.sum()) ** 2 / float(noise @ noise) / n_blocks
    blocks = [float(d @ d) / 2 for d in np.array_split(lefts[0] - lefts[1], n_blocks)]
    variance = sum(power**2 for power in blocks) / (independent + 2)
    variance += 2 * float(signal @ noise) / n**2
    return common, variance / energy**2


def _aligned_rest(wave_uv: Floats, should_uv: Floats) -> Floats:
    """Return what is left of a wave when gain and lag have been fitted."""
    slope = np.gradient(should_uv)
    spectrum, turns = fft.rfft(should_uv), fft.rfftfreq(should_uv.size)
    lag = 0.0
    for _ in range(LAG_STEPS):
        shift = np.exp(-2j * np.pi * turns * lag)
        value = fft.irfft(spectrum * shift, should_uv.size)
        slope = fft.irfft(spectrum * shift * 2j * np.pi * turns, should_uv.size)
        rows = np.stack([value, -slope])
        gain, change = np.linalg.solve(rows @ rows.T, rows @ wave_uv)
        lag += change / gain
    value = fft.irfft(spectrum * np.exp(-2j * np.pi * turns * lag), should_uv.size)
    return np.asarray(wave_uv - value * float(value @ wave_uv) / float(value @ value))


def _conditions(potentials: Sequence[Potential]) -> str:
    amplitudes_uv = [potential.amplitude_uv for potential in potentials]
    return (
        f"direct, {len(potentials)} potentials of {min(amplitudes_uv) / 1e3:.3g} to "
        f"{max(amplitudes_uv) / 1e3:.3g} mV, each 2 to 8 times"
    )


def _overlay(potential: Potential) -> dict[str, Floats]:
    """Return a potential as it came out and as it should have, for a plot."""
    return {
        "time_ms": 1e3 * np.arange(potential.should_uv.size) / potential.rate_hz,
        "device_uv": potential.halves_uv.mean(axis=0),
        "declared_uv": potential.should_uv,
    }


PROCEDURES: tuple[Procedure, ...] = tuple(
    Procedure(id=f"muap.fidelity.{name}", title=title, states=("direct",), measure=measure)
    for name, title, measure in (
        ("amplitude", "Amplitude of potentials", fidelity_amplitude),
        ("duration", "Duration of potentials", fidelity_duration),
        ("nrmse", "Shape of potentials", fidelity_nrmse),
    )
)
