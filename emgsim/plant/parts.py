"""Generator, amplifier and oscilloscope as the world finds them: what they are set to and hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emgsim.plant.physics import RigPhysics

FULL_SCALE_CODE = 32767

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
        if self.settings.output_on and not (self.is_playing or self.is_waiting):
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
    """What the device has converted and nobody has taken yet."""

    n_channels = 1

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self.is_streaming = False
        self._blocks: list[NDArray[np.int32]] = []

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
    """A single-shot acquisition that starts with the generator's sync output."""

    def __init__(self, physics: RigPhysics) -> None:
        self._physics = physics.scope
        self.state: Literal["idle", "armed", "running", "done"] = "idle"
        self.rate_hz = 50_000.0
        self.n_points = 0
        self._ranges_v: dict[int, float] = {}
        self._offsets_v: dict[int, float] = {}
        self._codes: dict[int, list[NDArray[np.int16]]] = {}
        self._next = 0

    def arm(
        self,
        *,
        rate_hz: float,
        n_points: int,
        ranges_v: dict[int, float],
        offsets_v: dict[int, float],
    ) -> None:
        """Wait for the next trigger, then take ``n_points`` of each channel."""
        self.rate_hz, self.n_points = rate_hz, n_points
        self._ranges_v, self._offsets_v = dict(ranges_v), dict(offsets_v)
        self._codes = {channel: [] for channel in ranges_v}
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

    def times_s(self, phase: float, end_s: float) -> Floats:
        """Return the instants after the trigger at which it samples, up to ``end_s``."""
        rate_hz = self.rate_hz * (1 + self._physics.clock_ppm * 1e-6)
        last = min(self.n_points, max(self._next, int(np.ceil(end_s * rate_hz - phase))))
        times_s = (np.arange(self._next, last, dtype=np.float64) + phase) / rate_hz
        return times_s[times_s < end_s]

    def put(self, volts: dict[int, Floats], rng: np.random.Generator) -> None:
        """Convert the volts of each channel, shape ``(n,)``, at the next ``n`` instants."""
        half = 2 ** (self._physics.adc_bits - 1)
        for channel in self._ranges_v:
            range_v = self._ranges_v[channel]
            noise_v = self._physics.noise_of_range * range_v
            seen_v = volts[channel] + noise_v * rng.standard_normal(volts[channel].size)
            codes = np.rint((seen_v - self._offsets_v[channel]) * 2 * half / range_v)
            self._codes[channel].append(np.clip(codes, -half, half - 1).astype(np.int16))
        self._next += volts[self.channels[0]].size
        if self._next >= self.n_points:
            self.state = "done"
