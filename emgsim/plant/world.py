"""One rig on a SimPy clock: generator, fixture, electrode, amplifier, converter and scope.

The clock is free: simulated time moves only when somebody asks for it. It moves in blocks of
10 ms of the device's own clock, as the numpy work inside a block costs far less than an event per
sample would. A trigger takes effect at the start of the next block plus the generator's latency
and a fraction of a sample; that fraction, and all noise from there on, are keyed to the trigger.
So the codes that follow a trigger depend on the seed alone, not on how long the device had been
streaming before.

Not modelled: mains, the 1/f part of the noise, the bounce of relays, and what the device's filters
remember from before the fixture changed, but for a direct voltage. Channels that are sampled late
are late in what they hear of the source; noise and mains they hear together.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator as Process
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from emgsim.plant.analog import Known, Network
from emgsim.plant.lines import settled_line
from emgsim.plant.parts import Amplifier, Floats, Generator, GeneratorSettings, Scope
from emgsim.plant.physics import (
    DECLARED_BAND_HZ,
    JITTER_SIGMAS,
    NO_DIVIDER,
    RigPhysics,
    StatePhysics,
)
from emgsim.plant.shapes import Rail, bent
from emgsim.plant.signal_faults import Part, SignalFaults
from emgsim.plant.unplayed import STEPS as NOISE_STEPS
from emgsim.plant.unplayed import Unplayed
from emgsim.plant.ways import Ways
from emgsim.seeds import stream

__all__ = ["NOISE_STEPS", "GeneratorSettings", "World"]  # who makes a world sets its generator

BLOCK_S = 0.010
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
        self._stuck = frozenset[int]()
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
        if step is not None and step.acts_in(self.generator.n_triggers):
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
        self._relays = relays - self._stuck
        self._change_state()

    def stick_relay(self, relay: int) -> None:
        """Let a relay stay off from now on, whatever it is told."""
        self._stuck |= {relay}
        self.set_relays(self._relays)

    def remove_divider(self) -> None:
        """Let the divider fall out: the device hears the whole voltage of the generator."""
        self._has_divider = False
        self._change_state()

    def open_lid(self) -> None:
        """Open the lid over the device's inputs."""
        self.lid_is_closed = False

    def _change_state(self) -> None:
        fixture = self.physics.fixture
        before_v, before = self._offset_v, self._input_gain
        self._state = fixture.at(self._relays) if self._has_divider else NO_DIVIDER
        if before_v and self._input_gain and before:
            before_v *= before / self._input_gain  # the same at the terminals as it was
        source = self._source_line
        idle = self._source_v(np.array([source.state.step]))[0]
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
        clip_v, recovery_s = p.amplifier.clip_uv * 1e-6, p.amplifier.recovery_s
        self._rail, self._monitor_rail = Rail(clip_v, recovery_s), Rail(clip_v, recovery_s)
        self._rate_hz = g.settings.rate_hz * (1 + p.source.clock_ppm * 1e-6)
        self._period_s = 1 / self._rate_hz
        first_step = int(np.floor(-self._start_s / self._period_s)) - 1
        idle_v = float(self._source_v(np.array([-1]))[0])
        self._wire_source(first_step, idle_v)
        self._unplayed = Unplayed(p, self.faults, self.seed, burst, 1 / self._true_rate_hz)
        self._wire_device(first_step, idle_v, self._offset_v)
        self._unplayed.warm_up(WARM_UP_BLOCKS * self.block_samples)

    def _wire_source(self, step: int, level_v: float) -> None:
        p, kind = self.physics, self.generator.settings.filter
        output = p.source.reconstruction(kind, self._rate_hz)
        self._source = output @ Network(gain=p.load_factor_in(self._state))
        self._source_line = settled_line(self._source, level_v, step)

    def _wire_device(self, step: int, level_v: float, offset_v: float) -> None:
        """Join source and device as the state says: what they heard before was constant."""
        state = self._state
        self._ways = Ways(self.physics, state, self._source, level_v, step)
        self._unplayed.wire(state, offset_v)

    @property
    def _offset_v(self) -> float:
        return self.physics.offset_v_in(self._state)

    @property
    def _input_gain(self) -> float:
        """Direct volts at the device's terminals for those in series with them."""
        return float(self.physics.input_network_in(self._state).response(np.zeros(1))[0].real)

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
        ahead_s = end_s + self._ways.latest_s
        n_ahead = self._step_at(ahead_s) - self._step_at(end_s)
        steps = np.arange(self._source_line.state.step, self._step_at(ahead_s) + 1)
        held = self._gained("source", self._step_times_s(steps), self._source_v(steps))
        led = self._gained("lead", self._step_times_s(steps), held)
        known: Known = {}
        source = self._source_line.drive(held, self._period_s, n_ahead, known)
        self._ways.drive(led, self._period_s, n_ahead, known if led is held else {})
        every_s = np.concatenate([times_s, scope_s])
        noise_v = self._unplayed.hear(first, n_samples, every_s, self._start_s)
        n = times_s.size
        joined_v = self._ways.joined(times_s - self._start_s, noise_v[:n])
        device_v = self._amplified(joined_v, times_s, self._rail)
        if self._may_peak(held):
            self._note_peak(source.peak(PEAK_PHASES))
        self.amplifier.put(self._convert(device_v, times_s - self._start_s))
        if scope_s.size:
            noise = self._scope_rng.standard_normal(scope_s.size)
            seen_noise_v = self._source_noise_v * np.sqrt(self.scope.n_instants)  # of their mean
            seen_v = source.at(scope_s - self._start_s) + seen_noise_v * noise
            heard_v = self._ways.first_channel(scope_s - self._start_s, noise_v[n:])
            monitor_v = self._amplified(heard_v, scope_s, self._monitor_rail)
            monitor_v = monitor_v * self.physics.amplifier.analog_out_gain
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
        """The generator's noise in the scope's band; the device's is in `_unplayed`."""
        source = self.physics.source
        bands = self.scope.rate_hz / 2 / DECLARED_BAND_HZ
        load_factor = self.physics.load_factor_in(self._state)
        return source.noise_mv_rms * 1e-3 * load_factor * float(np.sqrt(bands))

    def _source_v(self, steps: NDArray[np.int64]) -> Floats:
        """Return the staircase as the generator's output stage truly makes it."""
        p, swing_v = self.physics.source, self.generator.settings.vpp_open_v / 2
        volts = self.generator.volts(steps) * p.gain
        return bent(volts, p.second_order, p.third_order, p.gain * swing_v, np.inf)

    def _step_at(self, times_s: float) -> int:
        """Return the number of the generator's step in which a time of the device lies."""
        return int(np.floor((times_s - self._start_s) / self._period_s))

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
        peak_v = source_v * abs(self._state.differential) + abs(self._offset_v)
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
        gain = self.faults.gain(part, self.generator.n_triggers, times_s)
        if isinstance(gain, float):
            return volts * gain if gain != 1 else volts
        return np.asarray(volts * (gain if volts.ndim == 1 else gain[:, None]), dtype=np.float64)

    def _amplified(self, volts: Floats, times_s: Floats, rail: Rail) -> Floats:
        """Return volts behind the filters as the stage before the converter lets them through."""
        a, since_s = self.physics.amplifier, times_s - self._start_s
        volts = self._gained("amplifier", since_s, volts)
        clip_v, full_scale_v = a.clip_uv * 1e-6, a.range_uv * 1e-6
        volts = bent(volts, a.second_order, a.third_order, full_scale_v, clip_v)
        cut_v = rail.cut(times_s, volts)
        return self.faults.within("amplifier", self.generator.n_triggers, since_s, cut_v)

    def _convert(self, volts: Floats, times_s: Floats) -> NDArray[np.int32]:
        """Return the codes of volts at these times after the last trigger."""
        playback = self.generator.n_triggers
        volts = self._gained("converter", times_s, volts)
        volts = self.faults.within("converter", playback, times_s, volts)
        if drift_uv_s := self.physics.amplifier.drift_uv_s:
            drifted_v = 1e-6 * drift_uv_s * times_s
            volts = volts + (drifted_v if volts.ndim == 1 else drifted_v[:, None])
        said = self.amplifier.convert(volts, self._channel_rng)
        return self.faults.said(said, playback, times_s, 1 / self._true_rate_hz)

    def _end_burst(self, end_s: float) -> None:
        g = self.generator
        if g.is_playing:
            total_s = g.n_points * g.settings.cycles * self._period_s
            g.is_playing = end_s - self._start_s < total_s
