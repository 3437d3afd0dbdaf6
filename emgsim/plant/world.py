"""One rig on a SimPy clock: generators, fixture, electrodes, amplifier, converter and scope.

The clock is free: simulated time moves only when somebody asks for it. It moves in blocks of
10 ms of the device's own clock, as the numpy work inside a block costs far less than an event per
sample would. A trigger takes effect at the start of the next block plus the generator's latency
and a fraction of a sample; that fraction, and all noise from there on, are keyed to the trigger.
So the codes that follow a trigger depend on the seed alone, not on how long the device had been
streaming before. Of several generators (`emgsim.plant.feed`) each is triggered by itself: noise,
time zero and the oscilloscope go with the first trigger after all were quiet, and one that is
triggered while another plays begins at the next block, too. In the free clock a device runs ahead
between two messages, by as much as its wire holds; so a trigger waits there, for a second at most,
for those of the other generators that are on, and all take effect in the same block.

Not modelled: mains, the 1/f part of the noise, the bounce of relays, and what the device's filters
remember from before the fixture changed, but for a direct voltage. Channels that are sampled late
are late in what they hear of the source; noise and mains they hear together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Generator as Process
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from emgsim.plant.chance import Chance
from emgsim.plant.feed import Fed, Feed, Span
from emgsim.plant.parts import Amplifier, Floats, Generator, GeneratorSettings, Scope
from emgsim.plant.physics import JITTER_SIGMAS, RigPhysics, StatePhysics
from emgsim.plant.shapes import Rail, bent
from emgsim.plant.signal_faults import SignalFaults
from emgsim.plant.unplayed import STEPS as NOISE_STEPS
from emgsim.seeds import stream

__all__ = ["NOISE_STEPS", "GeneratorSettings", "World"]  # who makes a world sets its generator

BLOCK_S = 0.010
LARGEST_STEP = 1 << 15  # numbers in one array of a step, so that they stay in the cache
LONGEST_WAIT_S = 1.0  # of a trigger for others: longer than any wire holds
SOURCE, MONITOR = 1, 2  # channels of the scope; the generators beside the first follow


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
        self.amplifier = Amplifier(physics.amplifier)
        self.scope = Scope(physics)
        self.lid_is_closed = True
        self.block_samples = max(1, round(physics.amplifier.rate_hz * BLOCK_S))
        self._true_rate_hz = physics.amplifier.rate_hz * (1 + physics.amplifier.clock_ppm * 1e-6)
        self.feeds = tuple(
            Feed(
                number,
                physics.of(number),
                physics.inputs_of(number),
                seed=seed,
                faults=self.faults.elsewhere() if number else self.faults,
                true_rate_hz=self._true_rate_hz,
                block_samples=self.block_samples,
            )
            for number in range(1 + len(physics.others))
        )
        self._stuck = frozenset[int]()
        self._relays = frozenset[int]()
        self._held_since: float | None = None  # in blocks: a trigger that waits for others
        self._n_without_first = 0  # bursts that another generator has begun
        self._clock = simpy.Environment()  # counts blocks: whole numbers add up without rounding
        self._until = 0
        self._clock.process(self._run())
        self._begin_burst(self.feeds[0])

    @property
    def generator(self) -> Generator:
        """The first generator."""
        return self.feeds[0].generator

    @property
    def is_played_on(self) -> bool:
        """Whether a generator plays, or is about to."""
        return not all(feed.generator.is_quiet for feed in self.feeds)

    @property
    def terminal_peak_v(self) -> float:
        """Largest voltage between the inputs that there has been."""
        return max(feed.terminal_peak_v for feed in self.feeds)

    @property
    def terminal_common_peak_v(self) -> float:
        """Largest voltage of both inputs against ground that there has been."""
        return max(feed.terminal_common_peak_v for feed in self.feeds)

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

    def sample_times_s(self, n_samples: int, number: int = 0) -> Floats:
        """Return when, after a generator's first point, the device's samples were taken.

        The truth that a test of the alignment is measured against: sample 0 is the first one of
        the block in which the burst began, so the first times are negative.
        """
        times_s = np.arange(n_samples) / self._true_rate_hz - self._zero_s
        rng = stream(self.seed, "clock jitter", self._burst)
        times_s = times_s + self._jitter_s(n_samples, rng)
        step = self.faults.clock_step
        if step is not None and step.acts_in(self._burst):
            times_s[times_s >= step.at_s] += step.samples / self._true_rate_hz
        return times_s - (self.feeds[number].start_s - self._zero_s)

    def _later(self, blocks: float, action: Callable[[], None]) -> Process[simpy.Event, Any, None]:
        yield self._clock.timeout(blocks)
        action()

    def _run(self) -> Process[simpy.Event, Any, None]:
        n_blocks = 1
        while True:
            yield self._clock.timeout(n_blocks)
            self._begin_playbacks()
            n_blocks = self._blocks_at_once()
            self._step(n_blocks)

    def _begin_playbacks(self) -> None:
        """Begin what was triggered since the last block: a burst of its own if all were quiet."""
        if self._is_held():
            return
        waiting = [feed for feed in self.feeds if feed.generator.is_waiting]
        was_quiet = not any(feed.generator.is_playing for feed in self.feeds)
        for feed in waiting:
            feed.generator.is_waiting, feed.generator.is_playing = False, True
        if waiting and was_quiet:
            self._begin_burst(waiting[0])
        else:
            for feed in waiting:
                feed.begin(self._block * self.block_samples)

    def _is_held(self) -> bool:
        """Tell whether a trigger waits for those of other generators that are on."""
        is_on = [feed.generator for feed in self.feeds if feed.generator.settings.output_on]
        is_early = any(g.is_waiting for g in is_on) and any(g.is_quiet for g in is_on)
        if self.physics.clock == "paced" or not is_early or any(g.is_playing for g in is_on):
            self._held_since = None
            return False
        now = float(self._clock.now)
        self._held_since = now if self._held_since is None else self._held_since
        return (now - self._held_since) * self.block_s < LONGEST_WAIT_S

    def _blocks_at_once(self) -> int:
        """Return how many blocks may be made together: nothing happens before the last of them.

        A step costs far more than the samples of a short block, so a slow device would be hardly
        faster than a quick one. The codes are the same however many there are.
        """
        if self.scope.state in {"armed", "running"} or self._held_since is not None:
            return 1  # the scope draws its noise block by block; a trigger may begin at any
        last = min(float(self._until), self._clock.peek())
        per_block = max(
            NOISE_STEPS * self.block_samples,
            self.amplifier.n_channels * self.block_samples,
            *(feed.steps_in(self.block_s) for feed in self.feeds),
        )
        most = max(1, LARGEST_STEP // per_block)
        return max(1, min(most, int(last - float(self._clock.now)) + 1))

    # ---- what somebody does to the rig

    @property
    def state(self) -> StatePhysics:
        """How the first generator and the device are joined now."""
        return self.feeds[0].state

    def set_relays(self, relays: frozenset[int]) -> None:
        """Switch these relays on and all others off; no state that they make is an open one."""
        self._relays = relays - self._stuck
        self.feeds[0].set_relays(self._relays)

    def stick_relay(self, relay: int) -> None:
        """Let a relay stay off from now on, whatever it is told."""
        self._stuck |= {relay}
        self.set_relays(self._relays)

    def remove_divider(self, number: int = 0) -> None:
        """Let a generator's divider fall out: its inputs hear the whole voltage of it."""
        self.feeds[number].remove_divider()

    def open_lid(self) -> None:
        """Open the lid over the device's inputs."""
        self.lid_is_closed = False

    # ---- one burst

    def _begin_burst(self, begun_by: Feed) -> None:
        """Set every line and every stream of chance to the state that belongs to this trigger."""
        self._n_without_first += begun_by is not self.feeds[0]
        burst = self._burst = self.generator.n_triggers + self._n_without_first
        for feed in self.feeds:
            feed.begin_burst(burst)
        self._zero_s = begun_by.start_s
        # The first value of the stream is when the first generator begins.
        self._scope_phase = stream(self.seed, "converter phases", burst).uniform(size=2)[1]
        chances = [Chance(self.seed, feed.number, burst) for feed in self.feeds]
        self._scope_rngs = [chance.stream("scope noise") for chance in chances]
        self._channel_rng = stream(self.seed, "channel noise", burst)
        self._jitter_rng = stream(self.seed, "clock jitter", burst)
        self._block = 0
        a = self.physics.amplifier
        clip_v, recovery_s = a.clip_uv * 1e-6, a.recovery_s
        self._rail, self._monitor_rail = Rail(clip_v, recovery_s), Rail(clip_v, recovery_s)

    # ---- one block

    def _step(self, n_blocks: int) -> None:
        """Make the next blocks of every output."""
        span = self._span(n_blocks)
        fed = [feed.feed(span) for feed in self.feeds]
        device_v = self._amplified(_summed(one.inputs_v for one in fed), span.times_s, self._rail)
        self.amplifier.put(self._convert(device_v, span.times_s - self._zero_s))
        if span.scope_s.size:
            self._see(span.scope_s, fed)
        for feed in self.feeds:
            feed.end(span.end_s)
        self._block += n_blocks

    def _span(self, n_blocks: int) -> Span:
        """Return which samples are next, and when the scope listens meanwhile."""
        first, n_samples = self._block * self.block_samples, n_blocks * self.block_samples
        times_s = (first + np.arange(n_samples)) / self._true_rate_hz
        times_s = times_s + self._jitter_s(n_samples, self._jitter_rng)
        end_s = (first + n_samples) / self._true_rate_hz
        is_played = any(feed.generator.is_playing for feed in self.feeds)
        if self.scope.state == "armed" and is_played and self._block == 0:
            self.scope.state = "running"
        scope_s = np.zeros(0)
        if self.scope.state == "running":
            scope_s = self._zero_s + self.scope.times_s(self._scope_phase, end_s - self._zero_s)
        return Span(first, n_samples, times_s, scope_s, end_s, self._zero_s)

    def _see(self, scope_s: Floats, fed: list[Fed]) -> None:
        """Let the scope see what left each generator, and the device's analogue output."""
        seen_v = {channel: np.zeros(scope_s.size) for channel in self.scope.channels}
        for feed, one, rng in zip(self.feeds, fed, self._scope_rngs, strict=True):
            noise_v = feed.noise_v(self.scope.rate_hz) * np.sqrt(self.scope.n_instants)  # of a mean
            seen_v[SOURCE if feed.number == 0 else MONITOR + feed.number] = (
                one.output_v + noise_v * rng.standard_normal(scope_s.size)
            )
        heard_v = _summed(one.first_channel_v for one in fed)
        monitor_v = self._amplified(heard_v, scope_s, self._monitor_rail)
        seen_v[MONITOR] = monitor_v * self.physics.amplifier.analog_out_gain
        self.scope.put(seen_v, self._scope_rngs[0])

    def _jitter_s(self, n_samples: int, rng: np.random.Generator) -> Floats | float:
        """Return by how much samples are late, none of them early, shape ``(n,)``; or 0."""
        sigma_s = self.physics.amplifier.clock_jitter_s
        if not sigma_s:
            return 0.0
        deviations = np.clip(rng.standard_normal(n_samples), -JITTER_SIGMAS, JITTER_SIGMAS)
        return np.asarray(sigma_s * (deviations + JITTER_SIGMAS), dtype=np.float64)

    # ---- from the amplifier to the codes

    def _amplified(self, volts: Floats, times_s: Floats, rail: Rail) -> Floats:
        """Return volts behind the filters as the stage before the converter lets them through."""
        a, since_s = self.physics.amplifier, times_s - self._zero_s
        volts = self.faults.gained("amplifier", self._burst, since_s, volts)
        clip_v, full_scale_v = a.clip_uv * 1e-6, a.range_uv * 1e-6
        volts = bent(volts, a.second_order, a.third_order, full_scale_v, clip_v)
        cut_v = rail.cut(times_s, volts)
        return self.faults.within("amplifier", self._burst, since_s, cut_v)

    def _convert(self, volts: Floats, times_s: Floats) -> NDArray[np.int32]:
        """Return the codes of volts at these times after the last burst began."""
        volts = self.faults.gained("converter", self._burst, times_s, volts)
        volts = self.faults.within("converter", self._burst, times_s, volts)
        if drift_uv_s := self.physics.amplifier.drift_uv_s:
            drifted_v = 1e-6 * drift_uv_s * times_s
            volts = volts + (drifted_v if volts.ndim == 1 else drifted_v[:, None])
        said = self.amplifier.convert(volts, self._channel_rng)
        return self.faults.said(said, self._burst, times_s, 1 / self._true_rate_hz)


def _summed(parts: Iterable[Floats]) -> Floats:
    """Return the sum of arrays of one shape; one alone stays as it is."""
    first, *others = parts
    for part in others:
        first = first + part
    return first
