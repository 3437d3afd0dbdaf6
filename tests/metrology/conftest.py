"""A bench in closed form: an amplifier by its formulas, with no plant and no wires.

It shares no code with the plant, so that a test of an amplifier is tried on two that agree only
if both are right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import fft, signal

from emgsim.instruments.profiles import DeviceProfile, load_profile
from emgsim.metrology.acquisition import Acquired, placed
from emgsim.metrology.setup import Known, Setup, SourceSheet, State
from emgsim.metrology.stimulus import Stimulus

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

FINER = 8  # how many times the points of the stimulus its waveform is read by cubes
MARGIN_S = 0.15  # that the device streams before and after a playback
QUIET_S = 0.5  # in which a filter rings out behind the stimulus


def profile(
    *,
    rate_hz: float = 48_000.0,
    band_hz: tuple[float, float] = (10.0, 10_000.0),
    orders: tuple[int, int] = (2, 4),
    range_uv: float = 10_000.0,
    bits: int = 24,
    channels: int = 1,
    noise_uv_rms: float = 0.6,
) -> DeviceProfile:
    """Return a device as its maker declares it."""
    na1 = load_profile("na1")
    assert na1.frame is not None
    return na1.model_copy(
        update={
            "rate_hz": rate_hz,
            "band_hz": band_hz,
            "highpass_order": orders[0],
            "lowpass_order": orders[1],
            "range_uv": range_uv,
            "scale_uv_per_count": range_uv / 2 ** (bits - 1),
            "noise_uv_rms": noise_uv_rms,
            "frame": na1.frame.model_copy(update={"channels": channels}),
        }
    )


def known(name: str, expanded: float) -> Known:
    """Return what a certificate says of a value: as declared, to within its uncertainty."""
    return Known(certificate=name, expanded=(expanded,))


def bench_setup(device: DeviceProfile | None = None) -> Setup:
    """Return a calibrated bench: a generator, a divider and the usual states of the fixture."""
    device = device or profile()
    ratio, offset_mv = known("divider-1", 5e-4), 300.0
    usual = {"differential": 0.000999, "common": 0.0, "load_factor": 0.995, "transfer": ratio}
    silent = {"differential": 0.0, "common": 0.0, "load_factor": 1.0, "largest_uv": 0.0}
    largest = {"largest_uv": 20_000.0}
    channels = range(device.n_channels)
    series = known("series-1", 1e-3)
    states = [
        State(name="through", electrode_ohm=12_000.0, electrode_nf=14.0, **usual, **largest),
        State(name="direct", **usual, **largest),
        State(name="shorted", **silent),
        State(name="shorted_1m", series_ohm=1e6, impedance=series, **silent),
        State(
            name="series_z",
            series_ohm=620_000.0,
            series_nf=4.7,
            impedance=series,
            **usual,
            **largest,
        ),
        State(name="offset_plus", offset_mv=offset_mv, **usual, **largest),
        State(name="offset_minus", offset_mv=-offset_mv, **usual, **largest),
        State(
            name="overload",
            differential=0.1,
            common=0.0,
            load_factor=0.995,
            transfer=ratio,
            largest_uv=1e6,
        ),
        *(State(name=f"only_{c + 1}", driven=(c,), **usual, **largest) for c in channels),
    ]
    source = SourceSheet(
        gain=known("source-1", 1e-3),
        clock=known("source-1", 1e-6),
        max_rate_hz=250_000.0,
        max_points=1_000_000,
        max_vpp_open_v=20.0,
        distortion_db=-100.0,
    )
    return Setup(device=device, source=source, states={state.name: state for state in states})


@dataclass
class SyntheticBench:
    """An amplifier by its formulas: what it really is, beside what its profile declares.

    Attributes
    ----------
    setup
        What is declared.
    gain
        True over declared; negative: inverted.
    corners_hz, orders
        True ones of the Butterworth filters; order 0 leaves its side open. None: as declared.
    notch_hz, notch_q
        Of a notch; 0: none.
    noise_uv
        White at the input, rms in 10 kHz; each channel has its own.
    device_ppm, source_ppm, source_gain
        True over nominal clocks, minus 1; true over declared volts.
    source_tones
        Second and third harmonic of the source: ``v + a v**2 / peak + b v**3 / peak**2``.
    skews_us
        How late each channel's samples are.
    jitter_us
        Rms of each sample's instant.
    second_order, third_order
        ``v + a v**2 / range + b v**3 / range**2`` behind the filters.
    clip_uv
        Of the stage before the converter.
    offset_uv
        Of the converter.
    code_step
        Only codes that this divides are ever said.
    lost
        First sample and number of samples that are NaN; ``cut``: that are missing unnoticed.
    channel_gains
        Of each over the first one's.
    """

    setup: Setup = field(default_factory=bench_setup)
    seed: int = 0
    gain: float = 1.0
    corners_hz: tuple[float, float] | None = None
    orders: tuple[int, int] | None = None
    notch_hz: float = 0.0
    notch_q: float = 10.0
    noise_uv: float = 0.6
    device_ppm: float = 0.0
    source_ppm: float = 0.0
    source_gain: float = 1.0
    source_tones: tuple[float, float] = (0.0, 0.0)
    skews_us: tuple[float, ...] = ()
    jitter_us: float = 0.0
    second_order: float = 0.0
    third_order: float = 0.0
    clip_uv: float = np.inf
    offset_uv: float = 0.0
    code_step: int = 1
    lost: tuple[tuple[int, int], ...] = ()
    cut: tuple[tuple[int, int], ...] = ()
    channel_gains: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.n_played = 0

    def response(self, frequencies_hz: Floats) -> Complexes:
        """Return the true complex gain of the device at each frequency."""
        device = self.setup.device
        low_hz, high_hz = self.corners_hz or device.band_hz
        low_order, high_order = self.orders or (device.highpass_order, device.lowpass_order)
        f = np.maximum(np.asarray(frequencies_hz, float), 1e-9)
        out = np.full(f.shape, self.gain, complex)
        if low_order:
            b, a = signal.butter(low_order, low_hz, "highpass", analog=True)
            out *= signal.freqs(b, a, f)[1]
        if high_order:
            b, a = signal.butter(high_order, high_hz, analog=True)
            out *= signal.freqs(b, a, f)[1]
        if self.notch_hz:
            u = 1j * f / self.notch_hz
            out *= (u**2 + 1) / (u**2 + u / self.notch_q + 1)
        return out

    def heard_uv(self, stimulus: Stimulus) -> Floats:
        """Return what comes through the fixture, at the points: nothing, where it is silent."""
        state = self.setup.states[stimulus.state]
        peak_uv = max(stimulus.peak_uv, 1e-9)
        x = stimulus.uv / peak_uv
        x = x + self.source_tones[0] * x**2 + self.source_tones[1] * x**3
        share = 0.0 if state.is_silent or state.is_common else self.source_gain * peak_uv
        return np.asarray(share * x)

    def play(self, stimulus: Stimulus) -> Acquired:
        """Play a stimulus to the device."""
        self.n_played += 1
        rate_hz, state = self.setup.device.rate_hz, self.setup.states[stimulus.state]
        n = round((stimulus.duration_s + 2 * MARGIN_S) * rate_hz)
        uv = self._noise(n)
        start_s = -MARGIN_S + self.rng.uniform(0, 5e-3)
        at_s = start_s + np.arange(n) / (rate_hz * (1 + 1e-6 * self.device_ppm))
        read = _reader(self.heard_uv(stimulus), stimulus.rate_hz, self.response)
        jitter_s = 1e-6 * self.jitter_us * self.rng.standard_normal(n)
        skews_us = self.skews_us or (0.0,) * self.setup.device.n_channels
        for channel in state.driven or range(self.setup.device.n_channels):
            true_s = at_s + jitter_s + 1e-6 * skews_us[channel]
            uv[:, channel] += read(true_s * (1 + 1e-6 * self.source_ppm))
        return placed(stimulus, stimulus.state, self._converted(uv), rate_hz)

    def listen(self, state: str, duration_s: float) -> Acquired:
        """Hear the device's own noise."""
        rate_hz = self.setup.device.rate_hz
        uv = self._converted(self._noise(round(duration_s * rate_hz)))
        return placed(None, state, uv, rate_hz)

    def change(self, states: Sequence[str], dwell_s: float) -> Acquired:
        """Hear the device's own noise; no state changes anything here."""
        heard = self.listen(states[0], len(states) * dwell_s)
        changed_s = tuple(k * dwell_s for k in range(1, len(states)))
        return placed(None, states[0], heard.uv, heard.rate_hz, changed_s)

    def _noise(self, n: int) -> Floats:
        """Return noise of the device through its filters, shape ``(n, n_channels)``."""
        rate_hz = self.setup.device.rate_hz
        sigma_uv = self.noise_uv * np.sqrt(rate_hz / 2 / 10_000)
        size = fft.next_fast_len(n + round(QUIET_S * rate_hz), real=True)
        white = sigma_uv * self.rng.standard_normal((size, self.setup.device.n_channels))
        shape = self.response(fft.rfftfreq(size, 1 / rate_hz))
        return np.asarray(fft.irfft(fft.rfft(white, axis=0) * shape[:, None], size, axis=0)[:n])

    def _converted(self, uv: Floats) -> Floats:
        """Return the codes in declared microvolts; bends, clips and loses what it must."""
        device = self.setup.device
        full_uv, step_uv = device.range_uv, device.scale_uv_per_count
        uv = uv * np.asarray(self.channel_gains or np.ones(device.n_channels))
        uv = uv + self.second_order * uv**2 / full_uv + self.third_order * uv**3 / full_uv**2
        uv = np.clip(uv, -self.clip_uv, self.clip_uv) + self.offset_uv
        half = round(full_uv / step_uv)
        codes = np.clip(np.rint(uv / step_uv), -half, half - 1)
        said = np.floor_divide(codes, self.code_step) * self.code_step * step_uv
        for first, n in self.lost:
            said[first : first + n] = np.nan
        kept = np.ones(said.shape[0], bool)
        for first, n in self.cut:
            kept[first : first + n] = False
        return np.asarray(said[kept])


def _reader(
    uv: Floats, rate_hz: float, response: Callable[[Floats], Complexes]
) -> Callable[[Floats], Floats]:
    """Return what reads points through the generator's filter and a response at any time."""
    size = fft.next_fast_len(uv.size + round(QUIET_S * rate_hz), real=True)
    f = fft.rfftfreq(size, 1 / rate_hz)
    b, a = signal.butter(5, 0.27 * rate_hz, analog=True)
    spectrum = fft.rfft(uv, size) * signal.freqs(b, a, np.maximum(f, 1e-9))[1] * response(f)
    fine = fft.irfft(FINER * spectrum, FINER * size)

    def read(times_s: Floats) -> Floats:
        position = times_s * rate_hz * FINER
        i = np.floor(position).astype(np.int64)
        u = position - i
        before, here, after, next_but_one = (fine[(i + k) % fine.size] for k in (-1, 0, 1, 2))
        c1 = -before / 3 - here / 2 + after - next_but_one / 6
        c2 = before / 2 - here + after / 2
        c3 = (next_but_one - before) / 6 + (here - after) / 2
        return np.asarray(here + u * (c1 + u * (c2 + u * c3)))

    return read


@pytest.fixture
def synthetic() -> Callable[..., SyntheticBench]:
    """Make a bench in closed form: ``synthetic(gain=1.02)``; its fields are what is true."""
    return SyntheticBench


@pytest.fixture
def declared() -> Callable[..., Setup]:
    """Make what is declared: ``declared(rate_hz=8000, channels=4)``."""

    def make(**of_profile: object) -> Setup:
        return bench_setup(profile(**of_profile))  # type: ignore[arg-type]

    return make
