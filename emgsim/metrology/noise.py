"""Tests of a device that hears nothing: noise, mains, offset, drift.

What is true of each, for whoever knows the device: all values are those of the codes in declared
microvolts, over the gain at mid-band; the rounding to codes is in them, as a white noise of a
twelfth of a code squared over half the rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emgsim.johnson import johnson_density_v2_hz
from emgsim.metrology.mains import HARMONICS, MAINS_HZ, lines_hz, mains_power, without_mains
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import (
    PIECE_S,
    SILENCE_S,
    band_rms,
    periodogram,
    referred,
    silence,
)

Floats = NDArray[np.float64]

HALF_OCTAVE = math.sqrt(2.0)
PLOTTED = 400  # points of a spectrum's plot


def noise_rms(measuring: Measuring) -> Sequence[Reading]:
    """Measure the noise with shorted inputs, in the declared band, mains lines left out.

    True is the root of the power density at the converter, integrated over the declared band,
    over the gain at mid-band.
    """
    return [_rms(measuring, "shorted", "noise.rms", "")]


def noise_electrode(measuring: Measuring) -> Sequence[Reading]:
    """Measure the noise as `noise_rms` does, but through the divider and the electrode phantom."""
    state = measuring.setup.states["through"]
    low_hz, high_hz = measuring.setup.device.band_hz
    density = johnson_density_v2_hz(state.electrode_ohm, measuring.setup.temperature_k)
    thermal_uv = 1e6 * math.sqrt(density * (high_hz - low_hz))
    note = f"of which {state.electrode_ohm:g} ohm make {thermal_uv:.3g} uV as every resistor does"
    return [_rms(measuring, "through", "noise.electrode", note)]


def noise_density(measuring: Measuring) -> Sequence[Reading]:
    """Measure the noise density at mid-band: the root mean over the octave about it.

    True is the root of the power density at the converter, averaged from mid-band over root 2 to
    mid-band times root 2, over the gain at mid-band.
    """
    mid_hz = measuring.setup.mid_hz
    acquired, by = silence(measuring), referred(measuring)
    frequencies_hz, density = periodogram(without_mains(acquired), acquired.rate_hz)
    octave_hz = (mid_hz / HALF_OCTAVE, mid_hz * HALF_OCTAVE)
    rms_uv, relative = band_rms(frequencies_hz, density, octave_hz, lines_hz(octave_hz[1]))
    value = 1e3 * rms_uv / math.sqrt(octave_hz[1] - octave_hz[0]) / abs(by.gain)
    return [
        Reading(
            id="noise.density",
            value=value,
            unit="nV/sqrt(Hz)",
            components=(
                Component(name="finite record", standard=value * relative),
                *by.components(value),
            ),
            method="periodogram, root mean over an octave, over the gain",
            conditions=f"shorted, {SILENCE_S:g} s, {octave_hz[0]:.3g}-{octave_hz[1]:.3g} Hz",
            rests_on=by.rests_on,
            curves=_spectrum(frequencies_hz, density, abs(by.gain)),
        )
    ]


def noise_p2v(measuring: Measuring) -> Sequence[Reading]:
    """Measure the highest minus the lowest sample of ten seconds with shorted inputs.

    True is what is expected of it: the mean over many such records, over the gain at mid-band.
    The highest of ``n`` Gaussian peaks scatters as Gumbel's law says, by ``pi / sqrt(6)`` over
    ``sqrt(2 ln n)`` of their deviation, and so does the lowest.
    """
    acquired, by = silence(measuring), referred(measuring)
    uv = acquired.uv[:, 0]
    value = float(np.nanmax(uv) - np.nanmin(uv)) / abs(by.gain)
    frequencies_hz, density = periodogram(uv, acquired.rate_hz)
    total = float(density.sum())
    peaks_hz = math.sqrt(float(frequencies_hz**2 @ density) / total) if total else 1.0
    sigma_uv = float(np.nanstd(uv)) / abs(by.gain)
    level = math.sqrt(2 * math.log(peaks_hz * SILENCE_S))
    # The law is that of infinitely many peaks: the next term of it takes 1 / (2 ln n) off.
    scatter_uv = math.sqrt(2) * math.pi / math.sqrt(6) * sigma_uv / level * (1 - 1 / level**2)
    return [
        Reading(
            id="noise.p2v",
            value=value,
            unit="uV",
            components=(
                Component(name="finite record", standard=scatter_uv),
                *by.components(value),
            ),
            method="highest minus lowest sample, over the gain",
            conditions=f"shorted, {SILENCE_S:g} s, all that the device lets through",
            rests_on=by.rests_on,
        )
    ]


def noise_mains(measuring: Measuring) -> Sequence[Reading]:
    """Measure the mains with shorted inputs: at 50 and at 60 Hz, with four harmonics each.

    True is the root of the sum of the squared peaks of the fundamental and its harmonics within
    the band, as they come out, over the gain at mid-band. What noise adds to it is taken off.
    """
    acquired, by = silence(measuring), referred(measuring)
    readings = []
    for nominal_hz in MAINS_HZ:
        power, power_sd = mains_power(acquired, nominal_hz, measuring.setup)
        value, standard = rooted(power, power_sd)
        value, standard = value / abs(by.gain), standard / abs(by.gain)
        readings.append(
            Reading(
                id=f"noise.mains.{nominal_hz:g}hz",
                value=value,
                unit="uV",
                components=(Component(name="noise", standard=standard), *by.components(value)),
                method=f"fit of a line and {HARMONICS - 1} harmonics; root sum of squared peaks",
                conditions=f"shorted, {SILENCE_S:g} s",
                rests_on=by.rests_on,
                note="" if value > 2 * standard else "nothing that stands out of the noise",
            )
        )
    return readings


def dc_offset(measuring: Measuring) -> Sequence[Reading]:
    """Measure the mean with shorted inputs.

    True is the mean of the codes over the gain at mid-band: of a high-pass device, what its
    converter adds.
    """
    acquired, by = silence(measuring), referred(measuring)
    uv = acquired.uv[:, 0]
    means = np.array([np.nanmean(piece) for piece in _pieces(uv, acquired.rate_hz)])
    value = float(means.mean()) / by.gain
    scatter_uv = float(means.std(ddof=1)) / math.sqrt(means.size) / abs(by.gain)
    rounding_uv = _rounding_uv(uv, measuring.setup) / abs(by.gain)
    return [
        Reading(
            id="dc.offset",
            value=value,
            unit="uV",
            components=(
                Component(name="scatter of pieces", standard=scatter_uv, freedom=means.size - 1),
                Component(name="rounding without noise", standard=rounding_uv),
                *by.components(value),
            ),
            method="mean over the gain",
            conditions=f"shorted, {SILENCE_S:g} s",
            rests_on=by.rests_on,
        )
    ]


def baseline_drift(measuring: Measuring) -> Sequence[Reading]:
    """Measure how fast the baseline runs away with shorted inputs.

    True is the slope of the mean of the codes over the gain at mid-band: 0 of a device whose
    offset stands still. It is the mean of the slopes of pieces of half a second, whose scatter
    tells its uncertainty whatever the spectrum of the noise.
    """
    acquired, by = silence(measuring), referred(measuring)
    pieces = _pieces(acquired.uv[:, 0], acquired.rate_hz)
    slopes = np.array([_slope(piece, acquired.rate_hz) for piece in pieces]) / by.gain
    means_uv = np.array([np.nanmean(piece) for piece in pieces]) / by.gain
    value, standard = float(slopes.mean()), float(slopes.std(ddof=1)) / math.sqrt(slopes.size)
    return [
        Reading(
            id="baseline.drift",
            value=value,
            unit="uV/s",
            components=(
                Component(name="scatter of pieces", standard=standard, freedom=slopes.size - 1),
                *by.components(value),
            ),
            method=f"mean slope of pieces of {PIECE_S:g} s, over the gain",
            conditions=f"shorted, {SILENCE_S:g} s",
            rests_on=by.rests_on,
            note=f"in all {np.ptp(means_uv):.3g} uV between the means of pieces",
            curves={
                "time_s": np.asarray(PIECE_S * (np.arange(means_uv.size) + 0.5)),
                "baseline_uv": means_uv,
            },
        )
    ]


def rooted(power: float, power_sd: float) -> tuple[float, float]:
    """Return the root of a squared value, not below 0, and its standard uncertainty.

    The interval of twice the uncertainty reaches as far as the square's does on its wider side. Of
    a value that is lost in noise that makes ``sqrt(2 sd) / 2``, of one that stands out of it
    ``sd / (2 value)``.
    """
    power = max(power, 0.0)
    value = math.sqrt(power)
    upper, lower = (math.sqrt(max(power + side * 2 * power_sd, 0.0)) for side in (1, -1))
    return value, 0.5 * max(upper - value, value - lower)


def _rms(measuring: Measuring, state: str, id: str, note: str) -> Reading:
    acquired, by = silence(measuring, state), referred(measuring)
    band_hz = measuring.setup.device.band_hz
    frequencies_hz, density = periodogram(without_mains(acquired), acquired.rate_hz)
    rms_uv, relative = band_rms(frequencies_hz, density, band_hz, lines_hz(band_hz[1]))
    value = rms_uv / abs(by.gain)
    return Reading(
        id=id,
        value=value,
        unit="uV",
        components=(
            Component(name="finite record", standard=value * relative),
            *by.components(value),
        ),
        method="periodogram, summed over the band without mains lines, over the gain",
        conditions=f"{state}, {SILENCE_S:g} s, {band_hz[0]:g}-{band_hz[1]:g} Hz",
        rests_on=by.rests_on,
        note=note,
        curves=_spectrum(frequencies_hz, density, abs(by.gain)),
    )


def _pieces(uv: Floats, rate_hz: float) -> list[Floats]:
    """Cut a record into pieces of half a second; what is left over is left out."""
    n = round(PIECE_S * rate_hz)
    return [uv[first : first + n] for first in range(0, uv.size - n + 1, n)]


def _slope(uv: Floats, rate_hz: float) -> float:
    """Return the slope of the best line, per second."""
    known = np.isfinite(uv)
    run = np.arange(uv.size)[known] / rate_hz
    run -= run.mean()
    return float(run @ uv[known] / (run @ run))


def _rounding_uv(uv: Floats, setup: Setup) -> float:
    """Return how far the mean of rounded samples may be from that of what was rounded.

    With noise of ``s`` codes the mean's error goes like ``exp(-2 pi^2 s^2) / pi`` codes times the
    sine of where between two codes it lies (Widrow & Kollar 2008, quantization noise, chapter 4).
    """
    code_uv = float(setup.device.scales_uv_per_count[0])
    noise = max(0.0, float(np.nanvar(uv)) / code_uv**2 - 1 / 12)
    return code_uv * math.exp(-2 * math.pi**2 * noise) / (math.pi * math.sqrt(2))


def _spectrum(frequencies_hz: Floats, density: Floats, gain: float) -> dict[str, Floats]:
    """Return the noise density for a plot: the root mean over logarithmic steps."""
    edges = np.geomspace(frequencies_hz[0], frequencies_hz[-1], PLOTTED)
    starts = np.unique(np.searchsorted(frequencies_hz, edges[:-1]))
    n = np.diff(np.append(starts, frequencies_hz.size))
    return {
        "frequency_hz": np.add.reduceat(frequencies_hz, starts) / n,
        "density_nv_sqrt_hz": 1e3 * np.sqrt(np.add.reduceat(density, starts) / n) / gain,
    }


PROCEDURES: tuple[Procedure, ...] = (
    Procedure(id="noise.rms", title="Noise", states=("shorted", "direct"), measure=noise_rms),
    Procedure(
        id="noise.density",
        title="Noise density",
        states=("shorted", "direct"),
        measure=noise_density,
    ),
    Procedure(
        id="noise.p2v",
        title="Noise, peak to valley",
        states=("shorted", "direct"),
        measure=noise_p2v,
    ),
    Procedure(
        id="noise.electrode",
        title="Noise with an electrode",
        states=("through", "direct"),
        measure=noise_electrode,
    ),
    Procedure(
        id="noise.mains",
        title="Mains interference",
        states=("shorted", "direct"),
        measure=noise_mains,
    ),
    Procedure(id="dc.offset", title="Offset", states=("shorted", "direct"), measure=dc_offset),
    Procedure(
        id="baseline.drift",
        title="Drift of the baseline",
        states=("shorted", "direct"),
        measure=baseline_drift,
    ),
)
