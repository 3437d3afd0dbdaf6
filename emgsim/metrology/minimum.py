"""Tests of the smallest signals: a sine of 10 uV, and a fibrillation potential of 20 uV.

They are played through the divider alone, and the noise is that of shorted inputs: what the
amplifier adds. An electrode adds more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from emgsim.estimators import fit_sine
from emgsim.metrology.mains import lines_hz
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.shapes import seen
from emgsim.metrology.silence import (
    band_rms,
    periodogram,
    played,
    referred,
    settling_s,
    silence,
)
from emgsim.metrology.stimulus import Stimulus, laid_out, sine

Floats = NDArray[np.float64]

STATE = "direct"
SINE_HZ, SINE_UV, SINE_S = 100.0, 5.0, 2.0  # 10 uV peak to peak
SPIKE_UV = 20.0  # peak to peak
SPIKE_SIGMA_S = 0.35e-3  # of a Gaussian whose slope is the potential: 2 ms in all
SPIKE_S = 0.006  # of a template
SPIKES, APART_S = 40, 0.025
FALSE_ALARMS_HZ = 1 / 60  # one a minute


def sine_snr(measuring: Measuring) -> Sequence[Reading]:
    """Measure a sine of 10 uV peak to peak and 100 Hz over the noise, rms over rms.

    True is the rms of that sine as it comes out, over that of the noise in the declared band with
    shorted inputs as it comes out (`emgsim.metrology.noise.noise_rms`).
    """
    setup, stimulus = measuring.setup, smallest_of(measuring.setup)
    acquired, by = measuring.played(stimulus), referred(measuring)
    times_s, uv = acquired.within(stimulus.segments[0], edge_s=settling_s(setup))
    fit = fit_sine(times_s, uv[:, 0], SINE_HZ * by.clock, is_known=True)
    by_bench, certified, rests_on = played(setup, STATE, SINE_HZ)
    still, band_hz = silence(measuring), setup.device.band_hz
    frequencies_hz, density = periodogram(still.uv[:, 0], still.rate_hz)
    noise_uv, noise_sd = band_rms(frequencies_hz, density, band_hz, lines_hz(band_hz[1]))
    value = fit.amplitude / by_bench / math.sqrt(2) / noise_uv
    relative = (
        Component(name="noise of the sine", standard=fit.amplitude_sd / fit.amplitude),
        Component(name="finite record of the noise", standard=noise_sd),
        *certified,
    )
    return [
        Reading(
            id="minimum_signal.snr",
            value=value,
            unit="1",
            components=tuple(Component(name=c.name, standard=value * c.standard) for c in relative),
            method="rms of the fitted sine over that of the noise in the declared band",
            conditions=f"{STATE} and shorted, {SINE_HZ:g} Hz, {2 * SINE_UV:g} uV peak to peak",
            rests_on=rests_on,
        )
    ]


def spike_detection(measuring: Measuring) -> Sequence[Reading]:
    """Measure how surely a spike of 20 uV is detected by its template at a false alarm a minute.

    True is ``Phi(d - z)``: d the mean of the template's output at a spike over its deviation in
    noise, z the height above which that rises once a minute, by Rice's formula from the power
    density of the output (1945, Bell Syst Tech J 24:46). The template is what the declared
    response makes of the spike.
    """
    setup, stimulus = measuring.setup, smallest_of(measuring.setup)
    saw, still = seen(measuring, stimulus), silence(measuring)
    starts_s = [segment.begins_s for segment in stimulus.segments[1:]]
    at_s = np.arange(round(SPIKE_S * still.rate_hz)) / still.rate_hz
    template, _ = saw.model.at(starts_s[0] + at_s)
    template -= template.mean()
    read = saw.reader()
    sizes = np.array([float(template @ read(start_s + at_s)) for start_s in starts_s])
    frequencies_hz, density = periodogram(still.uv[:, 0], still.rate_hz)
    sigma, sigma_sd, rises_hz = _output(frequencies_hz, density, template, still.rate_hz)
    height = math.sqrt(2 * math.log(max(math.e, rises_hz / FALSE_ALARMS_HZ)))
    over = float(sizes.mean()) / sigma
    scatter = float(sizes.std(ddof=1)) / sigma / math.sqrt(sizes.size)
    by_bench, certified, rests_on = played(setup, STATE, 1 / (2 * math.pi * SPIKE_SIGMA_S))
    steep = math.exp(-0.5 * (over / by_bench - height) ** 2) / math.sqrt(2 * math.pi)
    return [
        Reading(
            id="minimum_signal.detection",
            value=float(special.ndtr(over / by_bench - height)),
            unit="1",
            components=(
                Component(
                    name="scatter of spikes", standard=steep * scatter, freedom=sizes.size - 1
                ),
                Component(name="finite record of the noise", standard=steep * over * sigma_sd),
                *(Component(name=c.name, standard=steep * over * c.standard) for c in certified),
            ),
            method="size in a template over the noise of its output; Rice's false alarms",
            conditions=f"{STATE} and shorted, {SPIKES} spikes of {SPIKE_UV:g} uV, "
            "an alarm a minute",
            rests_on=rests_on,
            note=f"a spike stands {over / by_bench:.3g} deviations out of the noise; "
            f"{height:.3g} are asked for",
        )
    ]


def smallest_of(setup: Setup) -> Stimulus:
    """Return the sine and the spikes, each a segment of its own."""
    rate_hz = setup.play_rate_hz
    whole_s = SINE_S + 2 * settling_s(setup)
    t = np.arange(round(SPIKE_S * rate_hz)) / rate_hz
    x = (t - SPIKE_S / 2) / SPIKE_SIGMA_S
    spike = -0.5 * SPIKE_UV * x * np.exp(0.5 - x**2 / 2)
    parts: list[tuple[str, Floats, dict[str, float]]] = [
        ("sine", sine(rate_hz, SINE_HZ, SINE_UV, whole_s, ramp_s=0.01), {})
    ]
    parts += [(f"spike.{k}", spike, {}) for k in range(SPIKES)]
    return laid_out(
        "smallest",
        STATE,
        rate_hz,
        parts,
        corner_hz=setup.device.band_hz[1],
        gap_s=APART_S - SPIKE_S,
    )


def _output(
    frequencies_hz: Floats, density: Floats, template: Floats, rate_hz: float
) -> tuple[float, float, float]:
    """Return the deviation of a template's output in noise, its own relative one, and its rises.

    The rises through zero, per second, are ``sqrt(m2 / m0)`` of the output's power density.
    """
    size = 2 * frequencies_hz.size
    heard = density * np.abs(fft.rfft(template, size))[1 : frequencies_hz.size + 1] ** 2
    step_hz, total = frequencies_hz[1] - frequencies_hz[0], float(heard.sum())
    relative = 0.5 * math.sqrt(0.5 * float(heard @ heard)) / total
    rises_hz = math.sqrt(float(frequencies_hz**2 @ heard) / total)
    return math.sqrt(total * step_hz), relative, min(rises_hz, rate_hz / 2)


PROCEDURES: tuple[Procedure, ...] = (
    Procedure(
        id="minimum_signal.snr",
        title="Smallest sine",
        states=(STATE, "shorted"),
        measure=sine_snr,
    ),
    Procedure(
        id="minimum_signal.detection",
        title="Smallest spike",
        states=(STATE, "shorted"),
        measure=spike_detection,
    ),
)
