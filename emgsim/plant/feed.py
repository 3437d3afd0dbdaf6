"""One generator with all that is its own: output, divider, and the inputs of the device it drives.

A rig has one feed for each of its generators. What reaches an input is the sum over all of them,
as neighbouring inputs leak into one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.plant.analog import Floats, Known, Network, Track
from emgsim.plant.chance import Chance
from emgsim.plant.lines import settled_line
from emgsim.plant.parts import Generator
from emgsim.plant.physics import DECLARED_BAND_HZ, NO_DIVIDER, RigPhysics
from emgsim.plant.shapes import bent
from emgsim.plant.signal_faults import SignalFaults
from emgsim.plant.unplayed import Unplayed
from emgsim.plant.ways import Ways

WARM_UP_BLOCKS = 20  # noise heard before a trigger, so that the high-pass has settled
PEAK_PHASES = (np.arange(16) + 0.5) / 16  # instants in a point at which its peak is looked for
RING_POINTS = 64  # that the generator's filter remembers
RINGING = 1.4  # above the L1 norm of its impulse response: a staircase grows by less


@dataclass(frozen=True, eq=False)
class Span:
    """The device's next samples, counted from the first one of the burst.

    ``times_s`` are those at which they are taken, ``scope_s`` the instants at which the
    oscilloscope listens meanwhile; both on the device's clock, shape ``(n,)``. At ``zero_s`` comes
    the first point of the playback that began the burst.
    """

    first: int
    n_samples: int
    times_s: Floats
    scope_s: Floats
    end_s: float
    zero_s: float


@dataclass(frozen=True, eq=False)
class Fed:
    """What one feed makes of a span, in volts.

    ``inputs_v`` are those at the converters, shape ``(n,)`` where all channels hear the same, else
    ``(n, n_channels)``. The other two are at the oscilloscope's instants: at the loaded generator
    without its noise, and in the device's first channel.
    """

    inputs_v: Floats
    output_v: Floats
    first_channel_v: Floats


class Feed:
    """One generator, and what lies between it and the converters.

    Parameters
    ----------
    number
        Of the generator, from 0.
    physics
        The rig as this generator sees it (`emgsim.plant.physics.RigPhysics.of`).
    inputs
        Of the device, which it drives; none named: all.
    seed
        Of its noise.
    faults
        What goes wrong on its way.
    true_rate_hz, block_samples
        The device's true rate, and how many of its samples a block has.
    """

    def __init__(
        self,
        number: int,
        physics: RigPhysics,
        inputs: tuple[int, ...],
        *,
        seed: int,
        faults: SignalFaults,
        true_rate_hz: float,
        block_samples: int,
    ) -> None:
        self.number, self.physics, self.faults = number, physics, faults
        self.generator = Generator()
        self.state = physics.fixture.through
        self.terminal_peak_v = 0.0
        self.terminal_common_peak_v = 0.0
        self._inputs, self._seed = inputs, seed
        self._true_rate_hz, self._block_samples = true_rate_hz, block_samples
        self._has_divider = True
        self._relays = frozenset[int]()
        self._recent = np.zeros(1)
        self._burst = 0
        self.start_s = 0.0  # when the playback's first point comes, after the burst's first sample

    # ---- what somebody does to it

    def set_relays(self, relays: frozenset[int]) -> None:
        """Switch these relays of its fixture on and all others off."""
        self._relays = relays
        self._change_state()

    def remove_divider(self) -> None:
        """Let the divider fall out: its inputs hear the whole voltage of the generator."""
        self._has_divider = False
        self._change_state()

    def _change_state(self) -> None:
        before_v, before = self._offset_v, self._input_gain
        self.state = self.physics.fixture.at(self._relays) if self._has_divider else NO_DIVIDER
        if before_v and self._input_gain and before:
            before_v *= before / self._input_gain  # the same at the terminals as it was
        source = self._source_line
        idle = self._source_v(np.array([source.state.step]))[0]
        self._wire_source(source.state.step, idle)
        if source.modes.poles.size == self._source_line.modes.poles.size:
            self._source_line.state = source.state  # its filter goes on, only its load has changed
        self._wire_device(source.state.step, idle)
        self._unplayed.wire(self.state, before_v)

    # ---- when it begins and ends

    def begin_burst(self, burst: int) -> None:
        """Set lines and chance to the state that belongs to a trigger after all were quiet."""
        self._burst = burst
        self.begin(0)
        chance = Chance(self._seed, self.number, burst)
        self._unplayed = Unplayed(self.physics, self.faults, chance, 1 / self._true_rate_hz)
        self._unplayed.wire(self.state, self._offset_v)
        self._unplayed.warm_up(WARM_UP_BLOCKS * self._block_samples)

    def begin(self, first: int) -> None:
        """Begin a playback in the block of this sample; what was heard before was constant."""
        p, g = self.physics, self.generator
        phase = Chance(self._seed, self.number, self._burst).stream("converter phases").uniform()
        latency = round(p.source.trigger_latency_s * p.amplifier.rate_hz)
        self.start_s = (first + latency + phase) / self._true_rate_hz
        self._rate_hz = g.settings.rate_hz * (1 + p.source.clock_ppm * 1e-6)
        self._period_s = 1 / self._rate_hz
        first_step = self._step_at(first / self._true_rate_hz) - 1
        idle_v = float(self._source_v(np.array([-1]))[0])
        self._wire_source(first_step, idle_v)
        self._wire_device(first_step, idle_v)

    def end(self, end_s: float) -> None:
        """End the playback if it is over by then."""
        g = self.generator
        if g.is_playing:
            total_s = g.n_points * g.settings.cycles * self._period_s
            g.is_playing = end_s - self.start_s < total_s

    def steps_in(self, seconds: float) -> int:
        """Return how many points it plays in so much time."""
        return round(seconds / self._period_s)

    # ---- wiring

    def _wire_source(self, step: int, level_v: float) -> None:
        p, kind = self.physics, self.generator.settings.filter
        output = p.source.reconstruction(kind, self._rate_hz)
        self._source = output @ Network(gain=p.load_factor_in(self.state))
        self._source_line = settled_line(self._source, level_v, step)

    def _wire_device(self, step: int, level_v: float) -> None:
        """Join source and device as the state says: what they heard before was constant."""
        self._ways = Ways(self.physics, self.state, self._source, level_v, step, self._inputs)

    @property
    def _offset_v(self) -> float:
        return self.physics.offset_v_in(self.state)

    @property
    def _input_gain(self) -> float:
        """Direct volts at the device's terminals for those in series with them."""
        return float(self.physics.input_network_in(self.state).response(np.zeros(1))[0].real)

    # ---- one span

    def feed(self, span: Span) -> Fed:
        """Make the next samples."""
        source = self._drive(span.end_s)
        at_s, n = np.concatenate([span.times_s, span.scope_s]), span.times_s.size
        noise_v = self._unplayed.hear(span.first, span.n_samples, at_s, span.zero_s)
        inputs_v = self._ways.joined(span.times_s - self.start_s, noise_v[:n])
        if not span.scope_s.size:
            return Fed(inputs_v, np.zeros(0), np.zeros(0))
        since_s = span.scope_s - self.start_s
        return Fed(inputs_v, source.at(since_s), self._ways.first_channel(since_s, noise_v[n:]))

    def _drive(self, end_s: float) -> Track:
        """Drive all lines up to a time, and note what the terminals see of it."""
        ahead_s = end_s + self._ways.latest_s
        n_ahead = self._step_at(ahead_s) - self._step_at(end_s)
        steps = np.arange(self._source_line.state.step, self._step_at(ahead_s) + 1)
        times_s = np.asarray(steps * self._period_s, dtype=np.float64)
        held = self.faults.gained("source", self._burst, times_s, self._source_v(steps))
        led = self.faults.gained("lead", self._burst, times_s, held)
        known: Known = {}
        source = self._source_line.drive(held, self._period_s, n_ahead, known)
        self._ways.drive(led, self._period_s, n_ahead, known if led is held else {})
        if self._may_peak(held):
            self._note_peak(source.peak(PEAK_PHASES))
        return source

    def noise_v(self, rate_hz: float) -> float:
        """Return its noise in the band of a scope of that rate; the device's is in `Unplayed`."""
        source = self.physics.source
        bands = rate_hz / 2 / DECLARED_BAND_HZ
        load_factor = self.physics.load_factor_in(self.state)
        return source.noise_mv_rms * 1e-3 * load_factor * float(np.sqrt(bands))

    def _source_v(self, steps: NDArray[np.int64]) -> Floats:
        """Return the staircase as the generator's output stage truly makes it."""
        p, swing_v = self.physics.source, self.generator.settings.vpp_open_v / 2
        volts = self.generator.volts(steps) * p.gain
        return bent(volts, p.second_order, p.third_order, p.gain * swing_v, np.inf)

    def _step_at(self, time_s: float) -> int:
        """Return the number of the generator's step in which a time of the device lies."""
        return int(np.floor((time_s - self.start_s) / self._period_s))

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
        peak_v = source_v * abs(self.state.differential) + abs(self._offset_v)
        clamp_v = self.physics.fixture.clamp_v
        return (
            peak_v if clamp_v is None else min(peak_v, clamp_v),
            source_v * self.state.common,
        )
