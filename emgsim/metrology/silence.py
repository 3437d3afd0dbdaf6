"""What a device sends when nothing is played, and its gain, by which that is referred to the input.

Noise is white to nobody: whatever is said of it comes from its own periodogram, whose bins are
independent and have as many degrees of freedom as there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.estimators import fit_sine
from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.reading import Component
from emgsim.metrology.setup import Setup
from emgsim.metrology.stimulus import Stimulus, laid_out, sine
from emgsim.stages import BandResponse

Floats = NDArray[np.float64]

SILENCE_S = 10.0  # of a record of noise: 60601-2-25 and 80601-2-26 look for so long
PIECE_S = 0.5  # of it, where the scatter of pieces tells an uncertainty
GAIN_UV = 500.0  # peak of the sine by which values are referred to the input: 1 mVpp
GAIN_S = 1.0
FILTER_ORDER, FILTER_OF_RATE = 5, 0.27  # of the generator's filter NORM: a Butterworth


@dataclass(frozen=True, kw_only=True)
class Referred:
    """The gain of the first channel at mid-band: what refers a value to the input.

    Attributes
    ----------
    gain
        Microvolts that the device says for one at its inputs.
    clock
        Seconds of the source in a nominal second of the device.
    relative
        What is uncertain in it, relative to it; its noise first.
    rests_on
        Certificates of what was played.
    """

    gain: float
    clock: float
    relative: tuple[Component, ...]
    rests_on: tuple[str, ...]

    @property
    def noise(self) -> Component:
        """What is left where the same source plays what is referred, relative to the gain."""
        return self.relative[0]

    def components(self, value: float) -> tuple[Component, ...]:
        """Return what the gain makes uncertain in a value that was divided by it."""
        return tuple(
            Component(name=c.name, standard=abs(value) * c.standard, freedom=c.freedom)
            for c in self.relative
        )


def referred(measuring: Measuring) -> Referred:
    """Measure the gain at mid-band by a sine of 1 mV peak to peak through the divider alone.

    Its sign is not looked at: that is a test of its own.
    """
    setup = measuring.setup
    stimulus = gain_stimulus(setup)
    acquired = measuring.played(stimulus)
    times_s, uv = acquired.within(stimulus.segments[0], edge_s=settling_s(setup))
    fit = fit_sine(times_s, uv[:, 0], setup.mid_hz)
    played_uv, relative, rests_on = played(setup, stimulus.state, setup.mid_hz)
    gain = fit.amplitude / (stimulus.segments[0].facts["amplitude_uv"] * played_uv)
    noise = Component(name="noise of the gain", standard=fit.amplitude_sd / fit.amplitude)
    return Referred(
        gain=gain,
        clock=fit.frequency_hz / setup.mid_hz,
        relative=(noise, *relative),
        rests_on=rests_on,
    )


def gain_stimulus(setup: Setup) -> Stimulus:
    """Return the sine by which values are referred to the input."""
    rate_hz, mid_hz = setup.play_rate_hz, setup.mid_hz
    amplitude_uv = min(GAIN_UV, 0.4 * setup.device.range_uv, setup.states["direct"].largest_uv)
    duration_s = GAIN_S + 2 * settling_s(setup)
    wave = sine(rate_hz, mid_hz, amplitude_uv, duration_s, ramp_s=0.01)
    facts = {"frequency_hz": mid_hz, "amplitude_uv": amplitude_uv}
    return laid_out(
        "referred", "direct", rate_hz, [("sine", wave, facts)], corner_hz=setup.device.band_hz[1]
    )


def played(
    setup: Setup, state: str, frequency_hz: float
) -> tuple[float, tuple[Component, ...], tuple[str, ...]]:
    """Return what reaches the inputs over what was asked, what is uncertain in it, and whose word.

    The generator's filter is in it; of its hold the program has taken care.
    """
    source, transfer = setup.source.gain, setup.states[state].transfer
    by_source, source_sd = source.at(frequency_hz)
    by_state, state_sd = transfer.at(frequency_hz)
    filtered = abs(complex(source_filter(setup).at(np.array([frequency_hz]))[0]))
    known = (("gain of the source", source_sd, source), ("divider", state_sd, transfer))
    return (
        by_source * by_state * filtered,
        tuple(Component(name=name, standard=sd) for name, sd, _ in known if sd),
        tuple(known.certificate for _, _, known in known if known.certificate),
    )


def source_filter(setup: Setup) -> BandResponse:
    """Return the generator's reconstruction filter NORM at the rate at which stimuli are played."""
    return BandResponse(lowpass_hz=FILTER_OF_RATE * setup.play_rate_hz, lowpass_order=FILTER_ORDER)


def declared_band(setup: Setup) -> BandResponse:
    """Return the response that the device's profile declares."""
    device = setup.device
    return BandResponse(
        highpass_hz=device.band_hz[0],
        highpass_order=device.highpass_order if device.band_hz[0] else 0,
        lowpass_hz=device.band_hz[1],
        lowpass_order=device.lowpass_order,
    )


def settling_s(setup: Setup) -> float:
    """Return how long the declared high-pass takes to forget: to 1e-4 at two periods or less."""
    low_hz = setup.device.band_hz[0]
    return max(0.02, 1.5 / low_hz if low_hz and setup.device.highpass_order else 0.0)


def silence(measuring: Measuring, state: str = "shorted") -> Acquired:
    """Return ten seconds of what the device sends by itself in a state of the fixture."""
    return measuring.heard(state, SILENCE_S)


def periodogram(uv: Floats, rate_hz: float) -> tuple[Floats, Floats]:
    """Return frequencies and one-sided power densities of a record, its mean left out.

    Lost samples count as the mean; so many are missing in the power, and are made up for.
    """
    known = np.isfinite(uv)
    x = np.where(known, uv - np.mean(uv[known]), 0.0)
    power = np.abs(fft.rfft(x)) ** 2 * (2 / (rate_hz * max(1, int(known.sum()))))
    return fft.rfftfreq(x.size, 1 / rate_hz)[1:], power[1:]


def band_rms(
    frequencies_hz: Floats, density: Floats, band_hz: tuple[float, float], lines_hz: Floats
) -> tuple[float, float]:
    """Return the rms within a band, lines left out, and its relative standard deviation.

    Each bin is a squared Gaussian pair: its deviation is its mean, so that ``sum p^2 / 2`` is the
    variance of the sum. The band's share that lies at the lines is filled with the mean of the
    rest.

    Parameters
    ----------
    frequencies_hz, density
        Of a periodogram, evenly spaced.
    band_hz
        Low and high end.
    lines_hz
        Half a hertz on either side of each is left out.
    """
    inside = (frequencies_hz >= band_hz[0]) & (frequencies_hz <= band_hz[1])
    kept = inside.copy()
    step_hz = frequencies_hz[1] - frequencies_hz[0]
    for line_hz in lines_hz:
        first, last = np.searchsorted(frequencies_hz, [line_hz - 0.5, line_hz + 0.5])
        kept[first:last] = False
    power = density[kept]
    total = float(power.sum())
    share = int(inside.sum()) / max(1, int(kept.sum()))
    sd = 0.5 * math.sqrt(0.5 * float(power @ power)) / total if total else 0.0
    return math.sqrt(total * step_hz * share), sd
