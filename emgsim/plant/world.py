"""One rig on a SimPy clock: generator, fixture, electrode, amplifier, converter and scope.

The clock is free: simulated time moves only when somebody asks for it. It moves in blocks of
10 ms of the device's own clock, as the numpy work inside a block costs far less than an event per
sample would. A trigger takes effect at the start of the next block plus the generator's latency
and a fraction of a sample; that fraction, and all noise from there on, are keyed to the trigger.
So the codes that follow a trigger depend on the seed alone, not on how long the device had been
streaming before.

Not modelled: mains, the 1/f part of the noise, the bounce of relays, and what the device's filters
remember from before the fixture changed.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator as Process
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from emgsim.johnson import johnson_density_v2_hz
from emgsim.plant.analog import Network
from emgsim.plant.lines import Noise, settled_line
from emgsim.plant.parts import Amplifier, Floats, Generator, GeneratorSettings, Scope
from emgsim.plant.physics import (
    DECLARED_BAND_HZ,
    JITTER_SIGMAS,
    NO_DIVIDER,
    RigPhysics,
    StatePhysics,
)
from emgsim.plant.signal_faults import Part, SignalFaults
from emgsim.seeds import stream

__all__ = ["GeneratorSettings", "World"]  # who makes a world sets its generator

BLOCK_S = 0.010
NOISE_STEPS = 4  # noise steps per device sample: the staircase's droop at 10 kHz is 0.04 dB
LARGEST_STEP = 1 << 15  # numbers in one array of a step, so that they stay in the cache
WARM_UP_BLOCKS = 20  # noise heard before a trigger, so that the high-pass has settled
PEAK_PHASES = (np.arange(16) + 0.5) / 16  # instants in a point at which its peak is looked for
RING_POINTS = 64  # that the generator's filter remembers
RINGING = 1.4  # above the L1 norm of its impulse response: a staircase grows by less


class World:
    """All parts of one virtual rig and the clock that they share.

    Parameters
    ----------
    physics
        How large everything is.
    seed
        Seed of the noise and of the converters' phases.
    faults
        What goes wrong on purpose on the signal's way.
    """

    def __init__(self, physics: RigPhysics, seed: int, faults: SignalFaults | None = None) -> None:
        self.physics = physics
        self.seed = seed
        self.faults = SignalFaults() if faults is None else faults
        self.generator = Generator()
        self.amplifier = Amplifier(physics.amplifier)
        self.scope = Scope(physics)
        self.lid_is_closed = True
        self.terminal_peak_v = 0.0
        self.terminal_common_peak_v = 0.0
        self.block_samples = max(1, round(physics.amplifier.rate_hz * BLOCK_S))
        self._true_rate_hz = physics.amplifier.rate_hz * (1 + physics.amplifier.clock_ppm * 1e-6)
        self._state = physics.fixture.through
        self._relays = frozenset[int]()
        self._has_divider = True
        self._recent = np.zeros(1)
        self._clock = simpy.Environment()  # counts blocks: whole numbers add up without rounding
        self._until = 0
        self._clock.process(self._run())
        self._begin_burst()

    # ---- time

    @property
    def now_s(self) -> float:
        """Simulated time."""
        return int(self._clock.now) * self.block_s

    @property
    def block_s(self) -> float:
        """True length of one block."""
        return self.block_samples / self._true_rate_hz

    def advance(self, seconds: float) -> None:
        """Move simulated time by at least ``seconds``, in whole blocks; the paced clock does not.

        Instruments ask for it with every message, so that something happens while they are asked.
        """
        if self.physics.clock == "free":
            self._move(max(1, int(np.ceil(seconds / self.block_s - 1e-3))))

    def keep_pace(self, wall_s: float) -> None:
        """Move simulated time to that of the wall, in whole blocks, and never back."""
        self._move(int(wall_s / self.block_s) - int(self._clock.now))

    def _move(self, n_blocks: int) -> None:
        if n_blocks > 0:
            self._until = int(self._clock.now) + n_blocks
            self._clock.run(until=self._until + 0.5)

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something at the start of the block in which a simulated time lies, or now."""
        block = int(seconds / self.block_s)
        if block <= int(self._clock.now):
            action()
        else:
            self._clock.process(self._later(block + 0.75 - float(self._clock.now), action))

    def sample_times_s(self, n_samples: int) -> Floats:
        """Return when, after the last trigger's first point, the device's samples were taken.

        The truth that a test of the alignment is measured against: sample 0 is the first one of
        the block in which the trigger took effect, so the first times are negative.
        """
        times_s = np.arange(n_samples) / self._true_rate_hz - self._start_s
        rng = stream(self.seed, "clock jitter", self.generator.n_triggers)
        times_s = times_s + self._jitter_s(n_samples, rng)
        step = self.faults.clock_step
        if step is not None and step.playback == self.generator.n_triggers:
            times_s[times_s >= step.at_s] += step.samples / self._true_rate_hz
        return times_s

    def _later(self, blocks: float, action: Callable[[], None]) -> Process[simpy.Event, Any, None]:
        yield self._clock.timeout(blocks)
        action()

    def _run(self) -> Process[simpy.Event, Any, None]:
        n_blocks = 1
        while True:
            yield self._clock.timeout(n_blocks)
            if self.generator.is_waiting:
                self.generator.is_waiting = False
                self.generator.is_playing = True
                self._begin_burst()
            n_blocks = self._blocks_at_once()
            self._step(n_blocks)

    def _blocks_at_once(self) -> int:
        """Return how many blocks may be made together: nothing happens before the last of them.

        A step costs far more than the samples of a short block, so a slow device would be hardly
        faster than a quick one. The codes are the same however many there are.
        """
        if self.scope.state in {"armed", "running"}:
            return 1  # the scope draws its noise block by block
        last = min(float(self._until), self._clock.peek())
        per_block = max(
            NOISE_STEPS * self.block_samples,
            self.amplifier.n_channels * self.block_samples,
            round(self.block_s / self._period_s),
        )
        most = max(1, LARGEST_STEP // per_block)
        return max(1, min(most, int(last - float(self._clock.now)) + 1))

    # ---- what somebody does to the rig

    @property
    def state(self) -> StatePhysics:
        """How generator and device are joined now."""
        return self._state

    def set_relays(self, relays: frozenset[int]) -> None:
        """Switch these relays on and all others off; no state that they make is an open one."""
        self._relays = relays
        self._change_state()

    def remove_divider(self) -> None:
        """Let the divider fall out: the device hears the whole voltage of the generator."""
        self._has_divider = False
        self._change_state()

    def open_lid(self) -> None:
        """Open the lid over the device's inputs."""
        self.lid_is_closed = False

    def _change_state(self) -> None:
        fixture = self.physics.fixture
        before_v = self._offset_v
        self._state = fixture.at(self._relays) if self._has_divider else NO_DIVIDER
        source = self._source_line
        idle = self.generator.volts(np.array([source.state.step]))[0]
        self._wire_source(source.state.step, idle)
        if source.modes.poles.size == self._source_line.modes.poles.size:
            self._source_line.state = source.state  # its filter goes on, only its load has changed
        self._wire_device(source.state.step, idle, before_v)

    # ---- wiring

    def _begin_burst(self) -> None:
        """Set every line and every stream of chance to the state that belongs to this trigger."""
        p, g, burst = self.physics, self.generator, self.generator.n_triggers
        phase = stream(self.seed, "converter phases", burst)
        latency = round(p.source.trigger_latency_s * p.amplifier.rate_hz)
        self._start_s = (latency + phase.uniform()) / self._true_rate_hz
        self._scope_phase = phase.uniform()
        self._scope_rng = stream(self.seed, "scope noise", burst)
        self._channel_rng = stream(self.seed, "channel noise", burst)
        self._jitter_rng = stream(self.seed, "clock jitter", burst)
        self._block = 0
        self._rate_hz = g.settings.rate_hz * (1 + p.source.clock_ppm * 1e-6)
        self._period_s = 1 / self._rate_hz
        first_step = int(np.floor(-self._start_s / self._period_s)) - 1
        self._wire_source(first_step, g.idle_v)
        self._noise = Noise(stream(self.seed, "amplifier noise", burst))
        self._series_noise = Noise(stream(self.seed, "series impedance noise", burst))
        self._open_noise = Noise(stream(self.seed, "open input noise", burst))
        self._wire_device(first_step, g.idle_v, self._offset_v)
        n_steps = WARM_UP_BLOCKS * self.block_samples * NOISE_STEPS
        self._noise.warm_up(n_steps, self._offset_v)
        if self._has_series_noise:
            self._series_noise.warm_up(n_steps, 0.0)
        if self.faults.broken_lead is not None:
            self._open_noise.warm_up(n_steps, 0.0)

    def _wire_source(self, step: int, level_v: float) -> None:
        p, kind = self.physics, self.generator.settings.filter
        output = p.source.reconstruction(kind, self._rate_hz)
        self._source = output @ Network(gain=p.load_factor_in(self._state))
        self._source_line = settled_line(self._source, level_v, step)

    def _wire_device(self, step: int, level_v: float, offset_v: float) -> None:
        """Join source and device as the state says: what they heard before was constant."""
        p, state, period_s = self.physics, self._state, self._noise_period_s
        amplifier = p.amplifier_network
        device = p.input_network_in(state) @ amplifier
        paths = []
        if state.differential:
            paths.append(Network(gain=state.differential) @ device)
        if state.common:
            rejected = Network(gain=state.common * 10 ** (-p.amplifier.cmrr_db / 20))
            paths.append(rejected @ amplifier)
        if state.common and state.series_ohm:
            converted = p.conversion_network_in(state) @ Network(gain=state.common)
            paths.append(converted @ amplifier)
        self._device_lines = [settled_line(self._source @ path, level_v, step) for path in paths]
        self._noise.wire(device, p.noise_density_in(state), period_s, offset_v)
        if self._has_series_noise:
            corner = 1 / (state.series_ohm * state.series_nf * 1e-9)
            shape = Network((), (-corner,), corner)  # R parallel to C
            density = johnson_density_v2_hz(state.series_ohm, p.fixture.temperature_k)
            self._series_noise.wire(shape @ amplifier, density, period_s, 0.0)
        if self.faults.broken_lead is not None:
            self._open_noise.wire(
                p.open_input_network @ amplifier, p.open_input_density_v2_hz, period_s, 0.0
            )

    @property
    def _noise_period_s(self) -> float:
        return 1 / (NOISE_STEPS * self._true_rate_hz)

    @property
    def _has_series_noise(self) -> bool:
        return self._state.series_ohm > 0 and self._state.series_nf > 0

    @property
    def _offset_v(self) -> float:
        return self._state.offset_mv * 1e-3

    # ---- one block

    def _step(self, n_blocks: int) -> None:
        """Make the next blocks of every output."""
        first, n_samples = self._block * self.block_samples, n_blocks * self.block_samples
        times_s = (first + np.arange(n_samples)) / self._true_rate_hz
        times_s = times_s + self._jitter_s(n_samples, self._jitter_rng)
        end_s = (first + n_samples) / self._true_rate_hz
        scope_s = np.zeros(0)
        if self.scope.state == "armed" and self.generator.is_playing and self._block == 0:
            self.scope.state = "running"
        if self.scope.state == "running":
            scope_s = self._start_s + self.scope.times_s(self._scope_phase, end_s - self._start_s)
        steps_end = int(np.floor((end_s - self._start_s) / self._period_s)) + 1
        steps = np.arange(self._source_line.state.step, steps_end)
        held = self._gained("source", self._step_times_s(steps), self.generator.volts(steps))
        every_s = np.concatenate([times_s, scope_s])
        led = self._gained("lead", self._step_times_s(steps), held)
        heard_v = self._play(led, every_s) + self._hear(every_s, NOISE_STEPS * n_samples)
        since_s = every_s - self._start_s
        device_v = self._clip(self._gained("amplifier", since_s, heard_v), since_s)
        source = self._source_line.drive(held, self._period_s)
        if self._may_peak(held):
            self._note_peak(source.peak(PEAK_PHASES))
        self.amplifier.put(self._convert(device_v[: times_s.size], times_s - self._start_s))
        if scope_s.size:
            noise = self._scope_rng.standard_normal(scope_s.size)
            noise_v = self._source_noise_v * np.sqrt(self.scope.n_instants)  # of their mean
            seen_v = source.at(scope_s - self._start_s) + noise_v * noise
            monitor_v = device_v[times_s.size :] * self.physics.amplifier.analog_out_gain
            self.scope.put({1: seen_v, 2: monitor_v}, self._scope_rng)
        self._end_burst(end_s)
        self._block += n_blocks

    def _jitter_s(self, n_samples: int, rng: np.random.Generator) -> Floats | float:
        """Return by how much samples are late, none of them early, shape ``(n,)``; or 0."""
        sigma_s = self.physics.amplifier.clock_jitter_s
        if not sigma_s:
            return 0.0
        deviations = np.clip(rng.standard_normal(n_samples), -JITTER_SIGMAS, JITTER_SIGMAS)
        return np.asarray(sigma_s * (deviations + JITTER_SIGMAS), dtype=np.float64)

    @property
    def _source_noise_v(self) -> float:
        """The generator's noise in the scope's band; its share in the device path is `_noise`."""
        source = self.physics.source
        bands = self.scope.rate_hz / 2 / DECLARED_BAND_HZ
        load_factor = self.physics.load_factor_in(self._state)
        return source.noise_mv_rms * 1e-3 * load_factor * float(np.sqrt(bands))

    def _play(self, held: Floats, times_s: Floats) -> Floats:
        """Return what the generator makes at the converter, the diodes of the fixture in it.

        They cut the staircase before it is smoothed: what rings above them is not cut.
        """
        state, clamp_v = self._state, self.physics.fixture.clamp_v
        if clamp_v is not None and state.differential:
            most_v = clamp_v / (state.differential * self.physics.load_factor_in(state))
            held = np.clip(held, -most_v, most_v)
        total_v = np.zeros(times_s.size)
        for line in self._device_lines:
            total_v = total_v + line.read(held, self._period_s, times_s - self._start_s)
        return total_v

    def _hear(self, times_s: Floats, n_steps: int) -> Floats:
        first = self._block * self.block_samples * NOISE_STEPS
        at_s = np.asarray((first + np.arange(n_steps)) * self._noise_period_s) - self._start_s
        level_v = self._offset_v + self.faults.hum_v(self.generator.n_triggers, at_s)
        heard_v = self._noise.hear(n_steps, level_v, first, times_s)
        if (lead := self.faults.broken_lead) is not None:
            open_v = self._open_noise.hear(n_steps, 0.0, first, times_s)
            acts = lead.acts(self.generator.n_triggers, times_s - self._start_s)
            heard_v = heard_v + acts * open_v
        if self._has_series_noise:
            heard_v = heard_v + self._series_noise.hear(n_steps, 0.0, first, times_s)
        return heard_v

    # ---- what the device's terminals have seen

    def _may_peak(self, held: Floats) -> bool:
        """Tell whether a new peak at the terminals is possible."""
        recent = np.concatenate([self._recent, held])
        self._recent = recent[-RING_POINTS:]
        differential_v, common_v = self._at_terminals(RINGING * float(np.max(np.abs(recent))))
        return differential_v > self.terminal_peak_v or common_v > self.terminal_common_peak_v

    def _note_peak(self, source_v: float) -> None:
        differential_v, common_v = self._at_terminals(source_v)
        self.terminal_peak_v = max(self.terminal_peak_v, differential_v)
        self.terminal_common_peak_v = max(self.terminal_common_peak_v, common_v)

    def _at_terminals(self, source_v: float) -> tuple[float, float]:
        """Return the largest differential and common-mode voltage that a source peak makes."""
        peak_v = source_v * self._state.differential + abs(self._offset_v)
        clamp_v = self.physics.fixture.clamp_v
        return (
            peak_v if clamp_v is None else min(peak_v, clamp_v),
            source_v * self._state.common,
        )

    # ---- from the amplifier to the codes

    def _step_times_s(self, steps: NDArray[np.int64]) -> Floats:
        return np.asarray(steps * self._period_s, dtype=np.float64)

    def _gained(self, part: Part, times_s: Floats, volts: Floats) -> Floats:
        """Return what a part makes of volts at these times after the last trigger."""
        return volts * self.faults.gain(part, self.generator.n_triggers, times_s)

    def _clip(self, volts: Floats, times_s: Floats) -> Floats:
        limit_v = self.physics.amplifier.clip_uv * 1e-6
        volts = np.clip(volts, -limit_v, limit_v)
        return self.faults.within("amplifier", self.generator.n_triggers, times_s, volts)

    def _convert(self, volts: Floats, times_s: Floats) -> NDArray[np.int32]:
        """Return the codes of volts at these times after the last trigger."""
        playback = self.generator.n_triggers
        volts = self._gained("converter", times_s, volts)
        volts = self.faults.within("converter", playback, times_s, volts)
        said = self.amplifier.convert(volts, self._channel_rng)
        return self.faults.said(said, playback, times_s, 1 / self._true_rate_hz)

    def _end_burst(self, end_s: float) -> None:
        g = self.generator
        if g.is_playing:
            total_s = g.n_points * g.settings.cycles * self._period_s
            g.is_playing = end_s - self._start_s < total_s
