"""One rig on a SimPy clock: generator, divider, electrode, amplifier, converter and scope.

The clock is free: simulated time moves only when somebody asks for it. It moves in blocks of
10 ms of the device's own clock, as the numpy work inside a block costs far less than an event per
sample would. A trigger takes effect at the start of the next block plus the generator's latency
and a fraction of a sample; that fraction, and all noise from there on, are keyed to the trigger.
So the codes that follow a trigger depend on the seed alone, not on how long the device had been
streaming before.

Not modelled: mains, the 1/f part of the noise, the box-car of the scope's high-resolution mode.
"""

from __future__ import annotations

from collections.abc import Generator as Process
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import simpy
from numpy.typing import NDArray

from emgsim.plant.analog import LineState, Modes, Network, advance, modes, settled
from emgsim.plant.physics import DECLARED_BAND_HZ, RigPhysics
from emgsim.seeds import stream

BLOCK_S = 0.010
NOISE_STEPS = 4  # noise steps per device sample: the staircase's droop at 10 kHz is 0.04 dB
WARM_UP_BLOCKS = 20  # noise heard before a trigger, so that the high-pass has settled
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
    """The waveform memory and the state of the output; `World` reads its staircase."""

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

    def _put(self, codes: NDArray[np.int32]) -> None:
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

    def _times_s(self, phase: float, end_s: float) -> Floats:
        """Return the instants after the trigger at which it samples, up to ``end_s``."""
        rate_hz = self.rate_hz * (1 + self._physics.clock_ppm * 1e-6)
        last = min(self.n_points, max(self._next, int(np.ceil(end_s * rate_hz - phase))))
        times_s = (np.arange(self._next, last, dtype=np.float64) + phase) / rate_hz
        return times_s[times_s < end_s]

    def _put(self, volts: dict[int, Floats], rng: np.random.Generator) -> None:
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


@dataclass
class _Line:
    """A network with its state, fed by one staircase."""

    modes: Modes
    state: LineState

    def read(self, held: Floats, period_s: float, times_s: Floats) -> Floats:
        self.state, output = advance(self.modes, self.state, held, period_s, times_s)
        return output


def _line(network: Network, level: float, step: int = 0) -> _Line:
    split = modes(network)
    return _Line(split, settled(split, level, step))


class _Noise:
    """White noise at the device's terminals on its fixed grid; a block's last step is kept."""

    def __init__(self, rng: np.random.Generator, sigma_v: float) -> None:
        self._rng, self._sigma_v = rng, sigma_v
        self._last = np.zeros(1)

    def block(self, n_steps: int) -> Floats:
        new = self._sigma_v * self._rng.standard_normal(n_steps)
        held = np.concatenate([self._last, new])
        self._last = held[-1:]
        return held


class World:
    """All parts of one virtual rig and the clock that they share.

    Parameters
    ----------
    physics
        How large everything is.
    seed
        Seed of the noise and of the converters' phases.
    """

    def __init__(self, physics: RigPhysics, seed: int) -> None:
        self.physics = physics
        self.seed = seed
        self.generator = Generator()
        self.amplifier = Amplifier(physics.amplifier.rate_hz)
        self.scope = Scope(physics)
        self.block_samples = max(1, round(physics.amplifier.rate_hz * BLOCK_S))
        self._true_rate_hz = physics.amplifier.rate_hz * (1 + physics.amplifier.clock_ppm * 1e-6)
        self._clock = simpy.Environment()  # counts blocks: whole numbers add up without rounding
        self._clock.process(self._run())
        self._begin_burst()

    @property
    def now_s(self) -> float:
        """Simulated time."""
        return int(self._clock.now) * self.block_s

    @property
    def block_s(self) -> float:
        """True length of one block."""
        return self.block_samples / self._true_rate_hz

    def advance(self, seconds: float) -> None:
        """Move simulated time by at least ``seconds``, in whole blocks."""
        blocks = max(1, int(np.ceil(seconds / self.block_s - 1e-3)))
        self._clock.run(until=int(self._clock.now) + blocks + 0.5)

    def sample_times_s(self, n_samples: int) -> Floats:
        """Return when, after the last trigger's first point, the device's samples were taken.

        The truth that a test of the alignment is measured against: sample 0 is the first one of
        the block in which the trigger took effect, so the first times are negative.
        """
        return np.arange(n_samples) / self._true_rate_hz - self._start_s

    def _run(self) -> Process[simpy.Event, Any, None]:
        while True:
            yield self._clock.timeout(1)
            if self.generator.is_waiting:
                self.generator.is_waiting = False
                self.generator.is_playing = True
                self._begin_burst()
            self._step()

    def _begin_burst(self) -> None:
        """Set every line and every stream of chance to the state that belongs to this trigger."""
        p, g, burst = self.physics, self.generator, self.generator.n_triggers
        phase = stream(self.seed, "converter phases", burst)
        latency = round(p.source.trigger_latency_s * p.amplifier.rate_hz)
        self._start_s = (latency + phase.uniform()) / self._true_rate_hz
        self._scope_phase = phase.uniform()
        self._scope_rng = stream(self.seed, "scope noise", burst)
        self._block = 0
        rate_hz = g.settings.rate_hz * (1 + p.source.clock_ppm * 1e-6)
        self._period_s = 1 / rate_hz
        source = p.source.reconstruction(g.settings.filter, rate_hz)
        source = source @ Network(gain=p.source_load_factor)
        device = p.electrode_network @ p.amplifier_network
        first_step = int(np.floor(-self._start_s / self._period_s)) - 1
        path = source @ Network(gain=p.fixture.ratio) @ device
        self._device_line = _line(path, g.idle_v, first_step)
        self._source_line = _line(source, g.idle_v, first_step)
        self._noise_line = _line(device, 0.0, -1)
        self._noise_period_s = 1 / (NOISE_STEPS * self._true_rate_hz)
        sigma_v = float(np.sqrt(p.noise_density_v2_hz / (2 * self._noise_period_s)))
        self._noise = _Noise(stream(self.seed, "amplifier noise", burst), sigma_v)
        self._warm_up()

    def _warm_up(self) -> None:
        held = self._noise.block(WARM_UP_BLOCKS * self.block_samples * NOISE_STEPS)
        self._noise_line.read(held, self._noise_period_s, np.zeros(0))
        self._noise_line.state = replace(self._noise_line.state, step=-1)

    def _step(self) -> None:
        """Make one block of every output."""
        times_s = (
            self._block * self.block_samples + np.arange(self.block_samples)
        ) / self._true_rate_hz
        end_s = (self._block + 1) * self.block_samples / self._true_rate_hz
        scope_s = np.zeros(0)
        if self.scope.state == "armed" and self.generator.is_playing and self._block == 0:
            self.scope.state = "running"
        if self.scope.state == "running":
            scope_s = self._start_s + self.scope._times_s(self._scope_phase, end_s - self._start_s)
        steps_end = int(np.floor((end_s - self._start_s) / self._period_s)) + 1
        every_s = np.concatenate([times_s, scope_s])
        device_v = self._play(self._device_line, steps_end, every_s) + self._hear(every_s)
        source_v = self._play(self._source_line, steps_end, scope_s)
        device_v = self._clip(device_v)
        self.amplifier._put(self._convert(device_v[: times_s.size]))
        if scope_s.size:
            source_v = source_v + self._source_noise_v * self._scope_rng.standard_normal(
                scope_s.size
            )
            monitor_v = device_v[times_s.size :] * self.physics.amplifier.analog_out_gain
            self.scope._put({1: source_v, 2: monitor_v}, self._scope_rng)
        self._end_burst(end_s)
        self._block += 1

    @property
    def _source_noise_v(self) -> float:
        """The generator's noise in the scope's band; its share in the device path is `_noise`."""
        source = self.physics.source
        bands = self.scope.rate_hz / 2 / DECLARED_BAND_HZ
        return source.noise_mv_rms * 1e-3 * self.physics.source_load_factor * float(np.sqrt(bands))

    def _play(self, line: _Line, steps_end: int, times_s: Floats) -> Floats:
        steps = np.arange(line.state.step, steps_end)
        return line.read(self.generator.volts(steps), self._period_s, times_s - self._start_s)

    def _hear(self, times_s: Floats) -> Floats:
        # Half a step early, so that rounding never decides in which step a sample falls.
        held = self._noise.block(self.block_samples * NOISE_STEPS)
        period_s = self._noise_period_s
        return self._noise_line.read(held, period_s, times_s - period_s / 2)

    def _clip(self, volts: Floats) -> Floats:
        limit_v = self.physics.amplifier.clip_uv * 1e-6
        return np.clip(volts, -limit_v, limit_v)

    def _convert(self, volts: Floats) -> NDArray[np.int32]:
        a = self.physics.amplifier
        half = 2 ** (a.adc_bits - 1)
        codes = np.clip(np.rint(volts / (a.range_uv * 1e-6) * half), -half, half - 1)
        return np.asarray(codes[:, None], dtype=np.int32)

    def _end_burst(self, end_s: float) -> None:
        g = self.generator
        if g.is_playing:
            total_s = g.n_points * g.settings.cycles * self._period_s
            g.is_playing = end_s - self._start_s < total_s
