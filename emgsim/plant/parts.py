"""Generator, amplifier and oscilloscope as the world finds them: what they are set to and hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emgsim.plant.physics import AmplifierPhysics, RigPhysics

FULL_SCALE_CODE = 32767
BOX_NODE = 0.5 / math.sqrt(3.0)  # Gauss-Legendre: two instants that stand for a box of length 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings:
    """What the generator is set to; volts are open-circuit."""

    rate_hz: float = 40_000.0
    vpp_open_v: float = 0.1
    offset_open_v: float = 0.0
    cycles: int = 1
    filter: Literal["NORM", "STEP", "OFF"] = "NORM"
    output_on: bool = False


class Generator:
    """The waveform memory and the state of the output; the world reads its staircase."""

    def __init__(self) -> None:
        self.settings = GeneratorSettings()
        self.codes = np.zeros(8, np.int16)
        self.n_triggers = 0
        self.is_waiting = False  # triggered, and the world has not yet reached the next block
        self.is_playing = False

    @property
    def is_quiet(self) -> bool:
        """Whether it neither plays nor is about to."""
        return not (self.is_playing or self.is_waiting)

    @property
    def n_points(self) -> int:
        """Length of the selected waveform."""
        return int(self.codes.size)

    def set_waveform(self, codes: NDArray[np.int16]) -> None:
        """Put codes (full scale +-32767) into the memory that will be played."""
        if codes.ndim != 1 or codes.size < 1:
            raise ValueError(f"codes: expected (n,) with n >= 1, got {codes.shape}")
        self.codes = codes.astype(np.int16)

    def apply(self, settings: GeneratorSettings) -> None:
        """Change the settings; switching the output off ends a playback."""
        if not settings.output_on:
            self.is_playing = self.is_waiting = False
        self.settings = settings

    def trigger(self) -> None:
        """Start one burst at the next block; ignored while one is playing or the output is off."""
        if self.settings.output_on and self.is_quiet:
            self.n_triggers += 1
            self.is_waiting = True

    @property
    def idle_v(self) -> float:
        """Level between bursts: the first point of the waveform, or nothing when off."""
        return float(self.volts(np.zeros(1, np.int64))[0])

    def volts(self, steps: NDArray[np.int64]) -> Floats:
        """Return the open-circuit staircase at the given step numbers since the trigger."""
        if not self.settings.output_on:
            return np.zeros(steps.size)
        total = self.n_points * self.settings.cycles
        inside = (steps >= 0) & (steps < total) & self.is_playing
        codes = self.codes[np.where(inside, steps % self.n_points, 0)]
        scale = self.settings.vpp_open_v / 2 / FULL_SCALE_CODE
        return np.asarray(codes * scale + self.settings.offset_open_v, dtype=np.float64)


class Amplifier:
    """The converters, and what they have said and nobody has taken yet.

    Attributes
    ----------
    ranges_uv
        Full scale of each channel, which a command of the device may change, shape
        ``(n_channels,)``.
    is_on
        Which channels are powered; the others say 0, shape ``(n_channels,)``.
    """

    def __init__(self, physics: AmplifierPhysics) -> None:
        self.rate_hz = physics.rate_hz
        self.n_channels = physics.channels
        self.ranges_uv = np.full(physics.channels, physics.range_uv)
        self.is_on = np.ones(physics.channels, bool)
        self.is_streaming = False
        self._half = 2 ** (physics.adc_bits - 1)
        self._gains = np.asarray(physics.channel_gains or np.ones(physics.channels))
        self._noise_uv = physics.channel_noise_uv_rms
        self._offset_uv = physics.offset_uv
        self._blocks: list[NDArray[np.int32]] = []

    def convert(self, volts: Floats, rng: np.random.Generator) -> NDArray[np.int32]:
        """Return the codes of volts at the inputs, shape ``(n, n_channels)``.

        The volts are those of all channels, shape ``(n,)``, or of each, ``(n, n_channels)``.
        """
        codes_per_uv = self._half / self.ranges_uv * self.is_on
        scales = 1e6 * codes_per_uv * self._gains
        codes = np.multiply.outer(volts, scales) if volts.ndim == 1 else volts * scales
        if self._offset_uv:
            codes += self._offset_uv * codes_per_uv
        if self._noise_uv:
            noise = rng.standard_normal(codes.shape, np.float32)
            noise *= (self._noise_uv * codes_per_uv).astype(np.float32)
            codes += noise
        np.rint(codes, out=codes)
        np.clip(codes, -self._half, self._half - 1, out=codes)
        return np.asarray(codes, np.int32)

    def start(self) -> None:
        """Begin to convert."""
        self.is_streaming = True

    def stop(self) -> None:
        """Stop converting and forget what was not taken."""
        self.is_streaming = False
        self._blocks.clear()

    def take(self) -> NDArray[np.int32]:
        """Return the codes since the last call, shape ``(n, n_channels)``."""
        if not self._blocks:
            return np.zeros((0, self.n_channels), np.int32)
        codes = np.concatenate(self._blocks)
        self._blocks.clear()
        return codes

    def put(self, codes: NDArray[np.int32]) -> None:
        """Keep new codes, while it streams."""
        if self.is_streaming:
            self._blocks.append(codes)


class Scope:
    """A single-shot acquisition that starts with the generator's sync output.

    A point of several conversions is their mean: the box of one point, centred at its instant, is
    heard at two instants whose mean is that of the box for all that bends no more than a cubic.
    """

    def __init__(self, physics: RigPhysics) -> None:
        self._physics = physics.scope
        self.state: Literal["idle", "armed", "running", "done"] = "idle"
        self.rate_hz = 50_000.0
        self.n_points = 0
        self.averaged = 1
        self.share_of_codes = 1.0
        self._ranges_v: dict[int, float] = {}
        self._offsets_v: dict[int, float] = {}
        self._codes: dict[int, list[NDArray[np.int16]]] = {}
        self._half_box: dict[int, Floats] = {}
        self._next = 0

    def arm(
        self,
        *,
        rate_hz: float,
        n_points: int,
        ranges_v: dict[int, float],
        offsets_v: dict[int, float],
        averaged: int = 1,
        share_of_codes: float = 1.0,
    ) -> None:
        """Wait for the next trigger, then take ``n_points``, each of so many conversions.

        The ranges are those of the screen, which may take less than all codes of the converter.
        """
        self.rate_hz, self.n_points, self.averaged = rate_hz, n_points, averaged
        self.share_of_codes = share_of_codes
        self._ranges_v, self._offsets_v = dict(ranges_v), dict(offsets_v)
        self._codes = {channel: [] for channel in ranges_v}
        self._half_box = {channel: np.zeros(0) for channel in ranges_v}
        self._next = 0
        self.state = "armed"

    def stop(self) -> None:
        """End the acquisition; what was taken stays readable."""
        self.state = "idle"

    def codes(self, channel: int) -> NDArray[np.int16]:
        """Return the converter's codes of one channel, shape ``(n_taken,)``."""
        blocks = self._codes.get(channel, [])
        return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels that are being acquired."""
        return tuple(self._ranges_v)

    @property
    def bits(self) -> int:
        """Bits of a point, of the full range."""
        return self._physics.point_bits(self.averaged)

    @property
    def n_instants(self) -> int:
        """How many instants one point is made of."""
        return 1 if self.averaged == 1 else 2

    def times_s(self, phase: float, end_s: float) -> Floats:
        """Return the next instants after the trigger at which it listens, up to ``end_s``."""
        rate_hz, each = self.rate_hz * (1 + self._physics.clock_ppm * 1e-6), self.n_instants
        last = min(each * self.n_points, each * (2 + max(0, math.ceil(end_s * rate_hz))))
        instants = np.arange(self._next, max(last, self._next))
        places = instants // each + phase
        if each > 1:
            places = np.maximum(places + BOX_NODE * (2 * (instants % each) - 1), 0.0)
        times_s = np.asarray(places / rate_hz, dtype=np.float64)
        return times_s[times_s < end_s]

    def put(self, volts: dict[int, Floats], rng: np.random.Generator) -> None:
        """Convert the volts of each channel, shape ``(n,)``, at the next ``n`` instants."""
        half = 2 ** (self.bits - 1)
        for channel, range_v in self._ranges_v.items():
            seen_v = self._points_of(channel, volts[channel])
            noise_v = self._physics.point_noise_of_range(self.averaged) * range_v
            seen_v = seen_v + noise_v * rng.standard_normal(seen_v.size)
            codes_per_v = 2 * half * self.share_of_codes / range_v
            codes = np.rint((seen_v - self._offsets_v[channel]) * codes_per_v)
            self._codes[channel].append(np.clip(codes, -half, half - 1).astype(np.int16))
        self._next += volts[self.channels[0]].size
        if self._next >= self.n_instants * self.n_points:
            self.state = "done"

    def _points_of(self, channel: int, volts: Floats) -> Floats:
        """Return the mean of each box that is complete; half a box waits for its other instant."""
        each = self.n_instants
        if each == 1:
            return volts
        heard = np.concatenate([self._half_box[channel], volts])
        n_whole = heard.size // each * each
        self._half_box[channel] = heard[n_whole:]
        return np.asarray(heard[:n_whole].reshape(-1, each).mean(axis=1), dtype=np.float64)
