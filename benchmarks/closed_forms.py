"""What is true of a virtual amplifier in closed form, as the tests' docstrings define it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft, optimize, special

from emgsim.align import group_delay_s
from emgsim.metrology.clocks import SLEW_DBFS, SLOW_TIMES
from emgsim.metrology.delay import delay_stimulus
from emgsim.metrology.distortion import THD_DBFS, TONES_AT
from emgsim.metrology.linearity import LADDER, LADDER_TIMES, departures
from emgsim.metrology.minimum import SINE_HZ, SINE_UV
from emgsim.metrology.response import BAND, DC_LOWEST, DELAY_BAND, DELAY_HZ, MAINS_HZ
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import GAIN_UV, SILENCE_S, declared_band
from emgsim.metrology.sines import dbfs_uv, spot_hz
from emgsim.plant.analog import Network
from emgsim.plant.physics import JITTER_SIGMAS, RigPhysics, SourcePhysics, StatePhysics
from emgsim.plant.shapes import bent
from emgsim.plant.signal_faults import SignalFaults
from emgsim.plant.world import NOISE_STEPS

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

FOLDS = 3  # of the sampling rate on either side, from which noise folds back
GRID = 4001  # of frequencies on which a largest or a mean value is looked for
RECORDS = 24  # of simulated noise, whose mean range stands for the expected one
SPREAD = 60.0  # codes of noise beyond which rounding and missing codes are but noise of their own
TURN, HARMONICS = 256, 10  # samples of a sine's turn; harmonics below this one are looked at


class _Truly:
    """A transfer function in the words of `emgsim.align`."""

    def __init__(self, at: Callable[[Floats], Complexes]) -> None:
        self.at = at


class ClosedForms:
    """The closed forms of a device on a bench, by groups of tests."""

    def __init__(self, physics: RigPhysics, faults: SignalFaults, setup: Setup) -> None:
        self.setup, self.physics, self.faults = setup, physics, faults
        self.device, self.amplifier = setup.device, physics.amplifier
        self.gains = np.asarray(
            self.amplifier.channel_gains or np.ones(self.amplifier.channels)
        ) * np.asarray(self.amplifier.shares(()))

    # ---- gain and response

    def transfer(self, frequencies_hz: Floats, channel: int = 0) -> Complexes:
        """Return the gain from the terminals to the converter, for small signals."""
        network = self.physics.amplifier_network
        return np.asarray(self.gains[channel] * network.response(frequencies_hz))

    def gain(self, channel: int = 0) -> float:
        """Return the gain at mid-band, of a sine as large as the test plays, with its sign."""
        mid_hz = np.array([self.setup.mid_hz])
        small = complex(self.transfer(mid_hz, channel)[0])
        first = abs(self.physics.amplifier_network.response(mid_hz)[0])
        played_uv = min(GAIN_UV, 0.4 * self.device.range_uv, self.setup.states["direct"].largest_uv)
        share = first * self.amplifier.shares(())[channel] * played_uv / self.amplifier.range_uv
        bent = 1 + 0.75 * self.amplifier.third_order * share**2
        return float(np.sign(self.amplifier.gain) * abs(small) * bent)

    def of_gain(self) -> dict[str, float]:
        """Return what is true of the gain."""
        told = {"gain.stability": 0.0}
        for c in range(self.amplifier.channels):
            told[_suffixed("gain.accuracy", c)] = 100 * (abs(self.gain(c)) - 1)
            told[_suffixed("gain.polarity", c)] = float(np.sign(self.amplifier.gain))
        return told

    def of_response(self) -> dict[str, float]:
        """Return corners, ripple, spread of the delay and notches."""
        mid = abs(self.transfer(np.array([self.setup.mid_hz]))[0])
        declared = declared_band(self.setup).at
        declared_mid = abs(declared(np.array([self.setup.mid_hz]))[0])

        def level(frequencies_hz: Floats) -> Floats:
            return np.asarray(np.abs(self.transfer(frequencies_hz)) / mid)

        def off_db(frequencies_hz: Floats) -> Floats:
            expected = np.abs(declared(frequencies_hz)) / declared_mid
            return np.asarray(20 * np.log10(level(frequencies_hz) / expected))

        low_hz, high_hz = self.device.band_hz
        is_high_passed = bool(self.device.highpass_order) and low_hz > 0
        told = {"freq.high_corner": _crossing(level, self.setup.mid_hz, 3 * high_hz)}
        if is_high_passed:
            told["freq.low_corner"] = _crossing(level, low_hz / 3, self.setup.mid_hz)
            told["step.tau"] = 1e3 / (2 * math.pi * self.amplifier.highpass_hz)
        first_hz = BAND[0] * low_hz if is_high_passed else DC_LOWEST * self.setup.mid_hz
        told["freq.ripple"] = float(
            np.abs(off_db(np.geomspace(first_hz, BAND[1] * high_hz, GRID))).max()
        )
        told |= {
            f"notch.depth.{hz:.0f}hz": -float(off_db(np.array([hz]))[0])
            for hz in MAINS_HZ
            if hz < BAND[1] * high_hz
        }
        last_hz = min(DELAY_HZ[1], DELAY_BAND[1] * high_hz)
        first_hz = max(min(DELAY_HZ[0], last_hz / 10), DELAY_BAND[0] * low_hz)
        at_hz = np.geomspace(first_hz, last_hz, GRID)
        step_hz = 1e-4 * at_hz
        turned = np.angle(self.transfer(at_hz + step_hz) / self.transfer(at_hz - step_hz))
        told["phase.group_delay_spread"] = float(1e6 * np.ptp(turned / (4 * np.pi * step_hz)))
        stimulus, _ = delay_stimulus(self.setup)
        played = (stimulus.uv, stimulus.rate_hz)
        told["phase.group_delay"] = 1e6 * group_delay_s(played, _Truly(self.transfer))
        return told

    def of_clocks(self) -> dict[str, float]:
        """Return rate, jitter and skew."""
        a, cut = self.amplifier, JITTER_SIGMAS
        tail = 2 * special.ndtr(-cut)
        normal = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
        kept = math.sqrt(1 - tail - 2 * cut * normal + cut**2 * tail)  # of a clipped normal
        told = {
            "fs.accuracy": a.clock_ppm,
            "fs.jitter": 1e6 * a.clock_jitter_s * kept,
            "samples.missing": 0.0,
        }
        if a.channels > 1:
            told["skew"] = float(np.ptp(a.skews_us or (0.0,)))
        return told

    # ---- silence and codes

    @property
    def spacing(self) -> int:
        """Codes from one that can occur to the next."""
        missing = self.faults.missing_codes
        return 1 if missing is None else 1 << missing.stuck_bits

    def density(self, frequencies_hz: Floats, state: StatePhysics) -> Floats:
        """Return the power density of the codes in declared microvolts, one-sided, folded."""
        p, a = self.physics, self.amplifier
        network = p.input_network_in(state) @ p.amplifier_network
        noise_hz = NOISE_STEPS * a.rate_hz
        total = np.zeros(frequencies_hz.size)
        for fold in range(-FOLDS, FOLDS + 1):
            f = np.abs(frequencies_hz + fold * a.rate_hz)
            total += np.abs(network.response(f)) ** 2 * np.sinc(f / noise_hz) ** 2
        own = self.gains[0]  # of what all channels hear, and so each of its neighbours, too
        shared = 1e12 * p.noise_density_in(state) * own**2 * total
        return np.asarray(shared + 2 * (a.channel_noise_uv_rms**2) / a.rate_hz)

    def sigma_uv(self, state: StatePhysics) -> float:
        """Return the rms of all noise before it is rounded."""
        at_hz = np.linspace(0.0, self.amplifier.rate_hz / 2, 20 * GRID)
        return math.sqrt(float(np.trapezoid(self.density(at_hz, state), at_hz)))

    def rounded(self, state: StatePhysics) -> tuple[float, float]:
        """Return mean and variance of what rounding adds to noise, microvolts and their square."""
        code_uv = float(self.device.scales_uv_per_count[0])
        sigma, mean = self.sigma_uv(state) / code_uv, self.amplifier.offset_uv / code_uv
        missing = self.faults.missing_codes
        if sigma > SPREAD * self.spacing:
            lifted = 1 / missing.every if missing is not None and missing.every else 0.0
            shift = lifted - (self.spacing - 1) / 2
            variance = self.spacing**2 / 12 + lifted * (1 - lifted)
            return shift * code_uv, variance * code_uv**2
        codes = np.arange(math.floor(mean - 8 * sigma) - 1, math.ceil(mean + 8 * sigma) + 2)
        shares = np.diff(special.ndtr((np.append(codes, codes[-1] + 1) - 0.5 - mean) / sigma))
        said = codes if missing is None else missing.seen(codes.astype(np.int32))
        average = float(shares @ said)
        variance = float(shares @ (said - average) ** 2)
        return (average - mean) * code_uv, (variance - sigma**2) * code_uv**2

    def of_silence(self) -> dict[str, float]:
        """Return noise, offset and drift."""
        gain = self.gain()
        shorted, through = self.physics.fixture.states["shorted"], self.physics.fixture.through
        mid_hz = self.setup.mid_hz
        octave_hz = (mid_hz / math.sqrt(2), mid_hz * math.sqrt(2))
        octave_uv = self._band_uv(octave_hz, shorted)
        added_uv, _ = self.rounded(shorted)
        smallest = abs(self.transfer(np.array([SINE_HZ]))[0]) * SINE_UV / math.sqrt(2)
        return {
            "minimum_signal.snr": float(smallest / self.shorted_uv()),
            "noise.rms": self.shorted_uv() / abs(gain),
            "noise.electrode": self._band_uv(self.device.band_hz, through) / abs(gain),
            "noise.density": 1e3 * octave_uv / math.sqrt(np.ptp(octave_hz)) / abs(gain),
            "noise.p2v": self._range_uv(shorted) / abs(gain),
            "noise.mains.50hz": 0.0,
            "noise.mains.60hz": 0.0,
            "dc.offset": (self.amplifier.offset_uv + added_uv) / gain,
            "baseline.drift": 0.0,
        }

    def _band_uv(self, band_hz: tuple[float, float], state: StatePhysics) -> float:
        """Return the rms of the codes within a band."""
        at_hz = np.linspace(*band_hz, 20 * GRID)
        power = float(np.trapezoid(self.density(at_hz, state), at_hz))
        rounding = 2 * self.rounded(state)[1] / self.amplifier.rate_hz
        return math.sqrt(power + rounding * (band_hz[1] - band_hz[0]))

    def _range_uv(self, state: StatePhysics) -> float:
        """Return the mean range of records of noise, of which some are made."""
        rng = np.random.default_rng(0)
        rate_hz, code_uv = self.amplifier.rate_hz, float(self.device.scales_uv_per_count[0])
        n = fft.next_fast_len(round(SILENCE_S * rate_hz), real=True)
        sizes = np.sqrt(self.density(fft.rfftfreq(n, 1 / rate_hz), state) * rate_hz * n / 2)
        missing = self.faults.missing_codes
        ranges = []
        for _ in range(RECORDS):
            turns = rng.standard_normal((2, sizes.size))
            noise_uv = fft.irfft(sizes * (turns[0] + 1j * turns[1]) / math.sqrt(2), n)
            ends = np.array([noise_uv.min(), noise_uv.max()]) + self.amplifier.offset_uv
            codes = np.rint(ends / code_uv).astype(np.int32)
            ranges.append(np.ptp(codes if missing is None else missing.seen(codes)))
        return float(np.mean(ranges)) * code_uv

    def of_codes(self) -> dict[str, float]:
        """Return the size of a code, and what is missing."""
        missing = self.faults.missing_codes
        every = 0 if missing is None else missing.every
        code_uv = float(self.device.scales_uv_per_count[0])
        return {
            "quantisation.lsb": self.spacing * code_uv / abs(self.gain()),
            "quantisation.missing_codes": 1 / every if every else 1 - 1 / self.spacing,
            "quantisation.dnl": 1.0 if every else self.spacing - 1.0,
        }

    # ---- large sines

    @property
    def largest_uv(self) -> float:
        """What the rig allows between the inputs."""
        return self.setup.states["direct"].largest_uv

    def shown(self, peak_uv: float, frequency_hz: float) -> Floats:
        """Return a sine's amplitude and those of its harmonics, as the first channel says them.

        Shape ``(n,)``, the fundamental first.
        """
        a = self.amplifier
        first = abs(self.transfer(np.array([frequency_hz]))[0]) / (a.channel_gains or (1.0,))[0]
        turns = np.arange(TURN) * (2 * np.pi / TURN)
        volts = bent(
            first * peak_uv * np.cos(turns), a.second_order, a.third_order, a.range_uv, a.clip_uv
        )
        volts = np.clip(volts, -a.clip_uv, a.clip_uv) * (a.channel_gains or (1.0,))[0]
        return np.asarray(2 / TURN * np.abs(np.fft.rfft(volts))[1:HARMONICS])

    def of_large_sines(self) -> dict[str, float]:
        """Return linearity, distortion, rails and what follows of them."""
        slow_hz = spot_hz(self.setup, SLOW_TIMES)
        levels_uv = [min(dbfs_uv(self.setup, level), self.largest_uv) for level in THD_DBFS]
        told = {}
        for level, peak_uv in zip(THD_DBFS, levels_uv, strict=True):
            sizes = self.shown(peak_uv, slow_hz)
            thd = float(np.linalg.norm(sizes[1:5]) / sizes[0])
            told[f"distortion.thd.{-level:.0f}dbfs"] = 100 * thd
        loud = self.shown(min(dbfs_uv(self.setup, SLEW_DBFS), self.largest_uv), slow_hz)
        rail_uv = self._rail_uv()
        noise_uv = self.shorted_uv()
        return told | {
            "distortion.sfdr": -20 * math.log10(loud[1:].max() / loud[0]),
            "distortion.imd": self._products_pct(),
            "enob": self._bits(loud, slow_hz),
            "linearity.inl": self._departure_pct(),
            "saturation.level": 1e-3 * rail_uv / abs(self.gain()),
            "dynamic_range": 20 * math.log10(rail_uv / math.sqrt(2) / noise_uv),
        }

    def shorted_uv(self) -> float:
        """Return the noise with shorted inputs in the declared band, as the codes say it."""
        return self._band_uv(self.device.band_hz, self.physics.fixture.states["shorted"])

    def _departure_pct(self) -> float:
        """Return how far the ladder departs from a straight line."""
        top_uv = min(self.device.range_uv, self.largest_uv / LADDER[0])
        hz = spot_hz(self.setup, LADDER_TIMES)
        played_uv = top_uv * np.array(LADDER)
        shown_uv = np.array([self.shown(peak_uv, hz)[0] for peak_uv in played_uv])
        return float(100 * np.abs(departures(played_uv, shown_uv)).max() / self.device.range_uv)

    def _products_pct(self) -> float:
        """Return what two sines make together, of a polynomial."""
        a = self.amplifier
        peak_uv = min(dbfs_uv(self.setup, SLEW_DBFS), self.largest_uv) / 2
        at_hz = np.array([spot_hz(self.setup, times) for times in TONES_AT])
        own = (a.channel_gains or (1.0,))[0]
        x, y = np.abs(self.transfer(at_hz)) / own * peak_uv / a.range_uv
        second, third = a.second_order, 0.75 * a.third_order
        made = [second * x * y] * 2 + [third * x * x * y, third * x * y * y]
        sines = [x + third * (x**3 + 2 * x * y**2), y + third * (y**3 + 2 * y * x**2)]
        return float(100 * np.linalg.norm(made) / np.linalg.norm(sines))

    def _bits(self, sizes: Floats, frequency_hz: float) -> float:
        """Return the effective number of bits of a sine and its harmonics, without a source."""
        silent = self.physics.model_copy(update={"source": SourcePhysics(noise_mv_rms=0.0)})
        alone = ClosedForms(silent, self.faults, self.setup).sigma_uv(
            silent.fixture.states["direct"]
        )
        code_uv, missing = float(self.device.scales_uv_per_count[0]), self.faults.missing_codes
        lifted = 1 / missing.every if missing is not None and missing.every else 0.0
        rounding = (self.spacing**2 / 12 + lifted * (1 - lifted)) * code_uv**2
        jitter_s = 1e-6 * self.of_clocks()["fs.jitter"]
        late = (2 * math.pi * frequency_hz * jitter_s * sizes[0]) ** 2 / 2
        power = alone**2 + rounding + late + float(np.sum(sizes[1:] ** 2)) / 2
        return (10 * math.log10(sizes[0] ** 2 / 2 / power) - 1.76) / 6.02

    def _rail_uv(self) -> float:
        """Return how far the codes go from where they rest, on the side where they go less far."""
        a, code_uv = self.amplifier, float(self.device.scales_uv_per_count[0])
        cut_uv = (a.channel_gains or (1.0,))[0] * a.clip_uv
        return min(cut_uv, a.range_uv - code_uv - a.offset_uv, a.range_uv + a.offset_uv)

    # ---- inputs

    def of_inputs(self) -> dict[str, float]:
        """Return rejection, impedance, current, tolerance of an offset, crosstalk."""
        a = self.amplifier
        told = {}
        if a.channels > 1:
            told["crosstalk"] = -math.inf if a.crosstalk_db is None else a.crosstalk_db
        is_cut = not self.device.highpass_order  # an offset of 300 mV puts it to its rail
        for sign in ("plus", "minus"):
            told[f"dc.offset_tolerance.gain.{sign}"] = -100.0 if is_cut else 0.0
            if not is_cut:
                told[f"dc.offset_tolerance.noise.{sign}"] = 0.0
        for channel in range(a.channels):
            told[_suffixed("zin.resistance", channel)] = a.input_mohm
            told[_suffixed("zin.capacitance", channel)] = a.input_pf
            told[_suffixed("input.current", channel)] = a.bias_na
            for name, hz in (("50hz", 50.0), ("60hz", 60.0), ("1khz", 1000.0)):
                for id, state in (("balanced", "node_drive"), ("imbalance", "imbalance")):
                    told[_suffixed(f"cmrr.{id}.{name}", channel)] = self._rejection_db(state, hz)
        return told

    def _rejection_db(self, state: str, frequency_hz: float) -> float:
        """Return the rejection with the impedance that is declared of a state."""
        said = self.setup.states[state]
        wired = StatePhysics(series_ohm=said.series_ohm, series_nf=said.series_nf)
        converted = Network(gain=0.0)
        if said.series_ohm:
            converted = self.physics.conversion_network_in(wired)
        at_hz = np.array([frequency_hz])
        heard = 10 ** (-self.amplifier.cmrr_db / 20) + complex(converted.response(at_hz)[0])
        return -20 * math.log10(abs(heard))


def _crossing(level: Callable[[Floats], Floats], low_hz: float, high_hz: float) -> float:
    """Return where a gain is the root of a half."""

    def off(x: float) -> float:
        return float(level(np.array([math.exp(x)]))[0]) - math.sqrt(0.5)

    return math.exp(optimize.brentq(off, math.log(low_hz), math.log(high_hz), xtol=1e-12))


def _suffixed(id: str, channel: int) -> str:
    return id if channel == 0 else f"{id}.ch{channel + 1}"
