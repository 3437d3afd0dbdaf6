"""Playing a program through a station and catching what both paths saw of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.exposure import device_limits
from emgsim.bench.levels import LevelPlan, plan_levels
from emgsim.bench.program import Program
from emgsim.bench.safe_steps import taken
from emgsim.bench.station import Station
from emgsim.bench.watch import Watch
from emgsim.errors import LinkError
from emgsim.instruments.base import (
    CaptureSettings,
    ChannelSetup,
    Device,
    DeviceBlock,
    DeviceEvent,
    SourceSettings,
    UploadReceipt,
)

Floats = NDArray[np.float64]

SCOPE_HEADROOM = 1.25
# The oscilloscope's rate over the device's band, where its memory holds that much: one that
# averages between its points lets 0.14 dB less through at a tenth of its rate, 0.9 at a quarter.
SCOPE_OVER_BAND = 10.0
MONITOR_HEADROOM = 1.5  # the monitor output carries the device's gain error and its noise too
TAIL_S = 0.15  # read past the end of the playback
LEAD_BOUND_S = 0.5  # what a serial link can hold before the trigger is acknowledged
TRIGGER_BOUND_S = 0.25  # from one generator's trigger to the next one's
LOOK_S = 0.02  # of the device's time, between two looks at what it hears
CHECK_S = 0.1  # the same, at the lid and at the permit
DEVICE_TIMEOUT_S = 20.0


@dataclass(frozen=True, eq=False)
class ScopeRecord:
    """What the oscilloscope saw, in volts: a source's output and the device's analogue output.

    That is the output of the device's first input; of a source on another one it is None.
    """

    settings: CaptureSettings
    source_v: Floats
    monitor_v: Floats | None


@dataclass
class Catch:
    """Everything captured so far; what has arrived stays, even when a link breaks."""

    device_blocks: list[DeviceBlock] = field(default_factory=list)
    scopes: tuple[ScopeRecord, ...] = ()  # one for each generator that played
    hung_up: bool = False  # the device's link broke, or it sent no more

    def scope_record(self, number: int = 0) -> ScopeRecord:
        """Return the oscilloscope's record of a playback that came to its end, of one generator.

        Raises
        ------
        ValueError
            If the playback broke off before.
        """
        if not self.scopes:
            raise ValueError("the playback broke off before the oscilloscope was read")
        return self.scopes[number]

    def device_counts(self) -> Floats:
        """Return the device's codes, shape ``(n, n_channels)``, NaN where frames were lost."""
        if not self.device_blocks:
            return np.zeros((0, 1))
        counts = np.concatenate([block.counts for block in self.device_blocks]).astype(np.float64)
        first = self.device_blocks[0].first_sample
        for start, n in self.gaps():
            counts[start - first : start - first + n] = np.nan
        return counts

    def device_events(self) -> tuple[DeviceEvent, ...]:
        """Return what the device has detected by itself; sample 0 is the first of its codes."""
        if not self.device_blocks:
            return ()
        first = self.device_blocks[0].first_sample
        events = (event for block in self.device_blocks for event in block.events)
        return tuple(replace(event, sample=event.sample - first) for event in events)

    def gaps(self) -> list[tuple[int, int]]:
        """Return the runs of lost samples as (first sample, number)."""
        return [gap for block in self.device_blocks for gap in block.gaps]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A program in a generator's memory, and the station as that generator sees it."""

    station: Station
    program: Program
    plan: LevelPlan

    def scope_channels(self) -> dict[int, ChannelSetup]:
        """Return the oscilloscope's channels that see it, and what they must bear."""
        plan, rig = self.plan, self.station.rig
        source_v = plan.vpp_open_v * plan.load_factor
        channels = {rig.capture.source_channel: ChannelSetup(SCOPE_HEADROOM * source_v)}
        if rig.capture.monitor_channel is not None:
            monitor_v = 2e-6 * plan.peak_at_device_uv * rig.device.monitor_gain
            channels[rig.capture.monitor_channel] = ChannelSetup(MONITOR_HEADROOM * monitor_v)
        return channels

    def seen(self, settings: CaptureSettings) -> ScopeRecord:
        """Read what the oscilloscope saw of it."""
        capture, channels = self.station.capture, self.station.rig.capture
        monitor = channels.monitor_channel
        return ScopeRecord(
            settings=settings,
            source_v=capture.read(channels.source_channel),
            monitor_v=None if monitor is None else capture.read(monitor),
        )

    def watch(self) -> Watch:
        """Return what it lets the device hear at the generator's input."""
        station, rig = self.station, self.station.rig
        limit_mv, _ = device_limits(rig, rig.state(station.source.state))
        return Watch(self.program, station.device.rate_hz, limit_mv, station.source.where)


def load_program(station: Station, program: Program) -> tuple[LevelPlan, UploadReceipt]:
    """Plan the levels and bring the program into the generator, its output staying off."""
    rig = station.rig
    plan, volts = plan_levels(
        program, rig, station.source_caps, station.profile.band_hz[1], station.source_caps.code_bits
    )
    settings = SourceSettings(
        rate_hz=plan.source_rate_hz,
        vpp_open_v=plan.vpp_open_v,
        cycles=1,
        filter=rig.source.filter,
    )
    _, receipt = station.source.load(volts, settings)
    return plan, receipt


def play(
    station: Station, program: Program, plan: LevelPlan, catch: Catch, *, is_last: bool = True
) -> None:
    """Play the loaded program once, and put what is captured into ``catch`` as it comes.

    Raises
    ------
    SafetyError
        If the device hears what cannot come of the program, or the rig may not stay energised.
    """
    play_together([Loaded(station, program, plan)], catch, is_last=is_last)


def play_together(loaded: Sequence[Loaded], catch: Catch, *, is_last: bool = True) -> None:
    """Play what is loaded into each generator once, and put what is captured into ``catch``.

    The generators are triggered in turn. The device streams before the first trigger, so nothing is
    missed; how long before does not matter, as the markers tell where each program begins.

    Parameters
    ----------
    loaded
        One program for each generator, that of the first one before the others: the oscilloscope
        begins with it.
    catch
        Takes what comes, as it comes.
    is_last
        Whether the generators are latched in their safe state afterwards.

    Raises
    ------
    SafetyError
        If the device hears what cannot come of the programs, or the rig may not stay energised.
    EmgsimError
        What ended it; all outputs were switched off at once.
    """
    station, device = loaded[0].station, loaded[0].station.device
    later_s = TRIGGER_BOUND_S * (len(loaded) - 1)
    longest_s = max(one.plan.duration_s for one in loaded) + later_s
    settings = station.capture.configure(
        {number: setup for one in loaded for number, setup in one.scope_channels().items()},
        longest_s,
        SCOPE_OVER_BAND * station.profile.band_hz[1],
    )
    # The samples before the trigger are not known in number: read until the program, begun at
    # the latest when the trigger was acknowledged, is certainly over.
    n_samples = round((longest_s + LEAD_BOUND_S + TAIL_S) * device.rate_hz)
    look = _looking(loaded)
    try:
        for one in loaded:
            one.station.source.energise()
        station.capture.arm()
        device.start()
        for one in loaded:
            one.station.source.trigger()
        listen(device, n_samples, catch, look)
        station.capture.wait(DEVICE_TIMEOUT_S)
        for one in loaded:
            (one.station.source.safe if is_last else one.station.source.off)()
    except BaseException:
        _switch_off(loaded)  # at once: whoever caught it on the way out would be later
        raise
    device.stop()
    catch.scopes = tuple(one.seen(settings) for one in loaded)


def _switch_off(loaded: Iterable[Loaded]) -> None:
    """Latch all generators in their safe state; what is not confirmed is told on the way out."""
    stations = [one.station for one in loaded]
    deadline_s = stations[0].rig.safe_state.deadline_s
    taken({one.source.role: one.source.safe for one in stations}, deadline_s)


def _looking(loaded: Iterable[Loaded]) -> Callable[[DeviceBlock], None]:
    """Return what looks at each block: whether it may come of the programs, and at the rig."""
    watches = [(one.station, one.watch()) for one in loaded]
    station, device = watches[0][0], watches[0][0].device
    checked_at = 0

    def look(block: DeviceBlock) -> None:
        nonlocal checked_at
        for one, watch in watches:
            counts = block.counts[:, one.input].astype(np.float64)
            watch.see(counts * one.profile.scale_uv_per_count)
        if block.first_sample - checked_at >= CHECK_S * device.rate_hz:
            checked_at = block.first_sample
            station.check()

    return look


def listen(
    device: Device, n_samples: int, catch: Catch, look: Callable[[DeviceBlock], None]
) -> None:
    """Read the device in short blocks, keep each, and let somebody look at it.

    Parameters
    ----------
    device
        Streaming already.
    n_samples
        How many; a few more may come.
    catch
        Takes every block, before it is looked at.
    look
        Raises what must end the playback.
    """
    step, n = max(1, round(LOOK_S * device.rate_hz)), 0
    while n < n_samples:
        try:
            block = device.read_block(min(step, n_samples - n), DEVICE_TIMEOUT_S)
        except LinkError:
            catch.hung_up = True
            raise
        catch.device_blocks.append(block)
        n += block.counts.shape[0]
        look(block)
