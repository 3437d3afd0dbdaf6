"""An opened station as the bench on which an amplifier is tested: playback after playback.

Every playback goes through the guarded source and is watched while it lasts, as that of a recording
is. The oscilloscope looks at its beginning: what the source really gave is compared with what was
asked of it, and what rests on a playback that was wrong says nothing about the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.exposure import device_limits
from emgsim.bench.levels import HEADROOM, SMALLEST_VPP_V
from emgsim.bench.parts import FixtureState
from emgsim.bench.playing import (
    CHECK_S,
    DEVICE_TIMEOUT_S,
    LEAD_BOUND_S,
    SCOPE_HEADROOM,
    SCOPE_OVER_BAND,
    TAIL_S,
    Catch,
    listen,
)
from emgsim.bench.program import Program, markers, source_points
from emgsim.bench.station import Station
from emgsim.bench.watch import TOO_MUCH, Watch
from emgsim.errors import SafetyError, UsageError
from emgsim.instruments.base import CaptureSettings, ChannelSetup, DeviceBlock, SourceSettings
from emgsim.metrology.acquisition import Acquired, placed
from emgsim.metrology.setup import Setup
from emgsim.metrology.stimulus import GAP_S, LEAD_S, Stimulus

Floats = NDArray[np.float64]

SETTLED = 14.0  # time constants of a high-pass: of a step of 300 mV less than a microvolt is left
SETTLE_S = (0.1, 1.5)  # at least, at most, after a change of the fixture
LOOKED_AT_S = 0.5  # of a playback without a marker: how much the oscilloscope records


@dataclass
class WiredBench:
    """A station behind its wires, as `emgsim.metrology.acquisition.Bench` has it.

    Parameters
    ----------
    station
        Opened. Whoever opened it makes it safe.
    setup
        What is declared of it.
    into
        Brings the fixture into a state, and proves that it is there; the device does not stream
        meanwhile.

    Attributes
    ----------
    stimulus_errors_pct
        What the oscilloscope saw of each stimulus over what was asked, minus one; NaN where its
        beginning is silent.
    """

    station: Station
    setup: Setup
    into: Callable[[str], None]
    stimulus_errors_pct: dict[str, float] = field(default_factory=dict)
    _state: str = field(default="", init=False)
    _is_settled: bool = field(default=False, init=False)
    _scope: CaptureSettings = field(default=CaptureSettings(1.0, 0), init=False)

    def play(self, stimulus: Stimulus) -> Acquired:
        """Bring the fixture into the state, play once, and return what the device sent.

        Raises
        ------
        EmgsimError
            What ended the playback: a limit that it would break, an instrument, the state.
        """
        station, device = self.station, self.station.device
        self._go(stimulus.state)
        settings, transfer = self._load(stimulus)
        look = self._looking(stimulus)
        source_v = settings.vpp_open_v * self.setup.states[stimulus.state].load_factor
        n_settle, before, catch = self._n_settle, Catch(), Catch()
        seconds = stimulus.duration_s + LEAD_BOUND_S + TAIL_S
        self._expect(source_v)
        station.source.energise()
        try:
            station.capture.arm()
            device.start()
            listen(device, n_settle, before, look)
            self._is_settled = True
            station.source.trigger()
            listen(device, round(seconds * device.rate_hz), catch, look)
        except SafetyError:
            station.source.safe()  # at once: whoever caught it on the way out would be later
            raise
        finally:
            station.source.off()
            device.stop()
        self._compare(stimulus, 1e-6 / transfer)
        return placed(stimulus, stimulus.state, self._microvolts(catch), device.rate_hz)

    def listen(self, state: str, duration_s: float) -> Acquired:
        """Bring the fixture into a state and return what the device sends by itself."""
        self._go(state)
        device, before, catch = self.station.device, Catch(), Catch()
        device.start()
        try:
            listen(device, self._n_settle, before, self._checking())
            self._is_settled = True
            listen(device, round(duration_s * device.rate_hz), catch, self._checking())
        finally:
            device.stop()
        return placed(None, state, self._microvolts(catch), device.rate_hz)

    def change(self, states: Sequence[str], dwell_s: float) -> Acquired:
        """Record while the fixture goes from state to state, in each for so long.

        Each of them is proved before, as nothing can be looked at while the relays switch.
        """
        device = self.station.device
        for state in dict.fromkeys(states):
            self._go(state)
        self.station.into(states[0])
        self._state, self._is_settled = "", False  # somewhere on the way
        before, catch, changed_s = Catch(), Catch(), []
        n_dwell = round(dwell_s * device.rate_hz)
        device.start()
        try:
            listen(device, self._n_settle, before, self._checking())
            for number, state in enumerate(states):
                if number:
                    self.station.into(state)
                    changed_s.append(_n_samples(catch) / device.rate_hz)
                listen(device, n_dwell, catch, self._checking())
            self._state = states[-1]
        finally:
            device.stop()
        uv = self._microvolts(catch)
        return placed(None, states[-1], uv, device.rate_hz, tuple(changed_s))

    # -- fixture and source --------------------------------------------------------------------

    def _go(self, state: str) -> None:
        """Bring the fixture into a state, if it is in another one."""
        if state != self._state:
            self._state, self._is_settled = "", False
            self.into(state)
            self._state = state

    def _load(self, stimulus: Stimulus) -> tuple[SourceSettings, float]:
        """Bring a stimulus into the generator; return its settings, and the device's volts a volt.

        The second is of the loaded source, as declared.
        """
        state, rig = self.setup.states[stimulus.state], self.station.rig
        transfer = state.differential or state.common
        if not transfer:
            raise UsageError(
                f"stimulus {stimulus.name} cannot be played: in state {state.name!r} of the "
                "fixture nothing of the source reaches the device"
            )
        holds = self.station.source_caps.holds
        volts = source_points(stimulus.uv, stimulus.rate_hz, stimulus.rate_hz, holds)
        volts *= 1e-6 / (transfer * state.load_factor)
        peak_v = max(float(volts.max()), -float(volts.min()))
        settings = SourceSettings(
            rate_hz=stimulus.rate_hz,
            vpp_open_v=max(SMALLEST_VPP_V, float(f"{2 * peak_v * HEADROOM:.4g}")),
            cycles=1,
            filter=rig.source.filter,
        )
        actual, _ = self.station.source.load(volts, settings)
        return actual, transfer

    # -- the oscilloscope ----------------------------------------------------------------------

    def _expect(self, source_v: float) -> None:
        """Set the oscilloscope for the beginning of a stimulus; it is armed with each playback."""
        self._scope = self.station.capture.configure(
            {self.station.rig.capture.source_channel: ChannelSetup(SCOPE_HEADROOM * source_v)},
            self._record_s,
            SCOPE_OVER_BAND * self.station.profile.band_hz[1],
        )

    @property
    def _record_s(self) -> float:
        """How long a record is: the same each time, as a scope that stands tells its last one's."""
        shape, _ = markers(self.setup.play_rate_hz, self.setup.device.band_hz[1])
        return max(LOOKED_AT_S, LEAD_S + shape.size / self.setup.play_rate_hz + GAP_S)

    def _compare(self, stimulus: Stimulus, volts_per_uv: float) -> None:
        """Note by how much what left the source differs from what was asked of it."""
        capture, role = self.station.capture, self.station.rig.capture
        capture.wait(DEVICE_TIMEOUT_S)
        channel = role.source_channel
        seen_v = capture.read(channel)
        rate_hz, range_v = self._scope.rate_hz, self._scope.channels[channel].range_v
        seen_v = seen_v[: round(_looked_at_s(stimulus) * rate_hz)]
        seconds = seen_v.size / rate_hz
        n = round(seconds * stimulus.rate_hz)
        asked_v2_s = float(np.sum((stimulus.uv[:n] * volts_per_uv) ** 2)) / stimulus.rate_hz
        noise_v2 = (role.noise_of_range * range_v) ** 2 + (range_v / 2**role.bits) ** 2 / 12
        seen_v2_s = max(0.0, float(np.mean(seen_v**2)) - noise_v2) * seconds
        error = math.sqrt(seen_v2_s / asked_v2_s) - 1 if asked_v2_s else math.nan
        self.stimulus_errors_pct[stimulus.name] = 100 * error

    # -- the device ----------------------------------------------------------------------------

    @property
    def _n_settle(self) -> int:
        """How many samples the device needs, if the fixture has changed since it was heard."""
        if self._is_settled:
            return 0
        low_hz = self.setup.device.band_hz[0]
        settle_s = SETTLED / (2 * math.pi * low_hz) if low_hz else 0.0
        return round(min(max(settle_s, SETTLE_S[0]), SETTLE_S[1]) * self.station.device.rate_hz)

    def _microvolts(self, catch: Catch) -> Floats:
        return catch.device_counts() * self.station.profile.scales_uv_per_count

    def _looking(self, stimulus: Stimulus) -> Callable[[DeviceBlock], None]:
        """Return what looks at each block: whether it may come of the stimulus, and at the rig."""
        station, check = self.station, self._checking()
        rig, state = station.rig, station.rig.state(stimulus.state)
        limit_mv, _ = device_limits(rig, state)
        watch = Watch(
            _audible(stimulus, state, limit_mv), station.device.rate_hz, limit_mv, f"rig {rig.id}"
        )
        scales = station.profile.scales_uv_per_count

        def look(block: DeviceBlock) -> None:
            watch.see(np.max(np.abs(block.counts * scales), axis=1))
            check(block)

        return look

    def _checking(self) -> Callable[[DeviceBlock], None]:
        """Return what looks at the lid and the permit now and then."""
        checked_at = 0

        def look(block: DeviceBlock) -> None:
            nonlocal checked_at
            if block.first_sample - checked_at >= CHECK_S * self.station.device.rate_hz:
                checked_at = block.first_sample
                self.station.check()

        return look


def _n_samples(catch: Catch) -> int:
    return sum(block.counts.shape[0] for block in catch.device_blocks)


def _looked_at_s(stimulus: Stimulus) -> float:
    """Return how much of a stimulus is compared: its marker, or its beginning."""
    if stimulus.marker is None:
        return min(LOOKED_AT_S, stimulus.duration_s)
    begins_s, shape = stimulus.marker
    return begins_s + shape.size / stimulus.rate_hz + GAP_S / 2


def _audible(stimulus: Stimulus, state: FixtureState, limit_mv: float) -> Program:
    """Return what a stimulus may let the device hear, for the watch.

    Of a common-mode voltage it may hear anything within its limit: how much is what is measured. A
    voltage in series with its inputs is heard all the time.
    """
    uv = np.abs(stimulus.uv) + 1e3 * abs(state.offset_mv)
    marker = stimulus.marker or (0.0, np.zeros(1))
    if not state.differential:
        uv = np.full(uv.size, 1e3 * limit_mv / TOO_MUCH)
    elif stimulus.marker is None:  # nobody hears where it begins
        uv = np.full(uv.size, uv.max())
    return Program(
        samples_uv=uv,
        rate_hz=stimulus.rate_hz,
        recording_start_s=0.0,
        markers=(marker, marker),
    )
