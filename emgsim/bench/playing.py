"""Playing a program through a station and catching what both paths saw of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.exposure import device_limits
from emgsim.bench.levels import LevelPlan, plan_levels
from emgsim.bench.program import Program
from emgsim.bench.station import Station
from emgsim.bench.watch import Watch
from emgsim.errors import LinkError, SafetyError
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
LOOK_S = 0.02  # of the device's time, between two looks at what it hears
CHECK_S = 0.1  # the same, at the lid and at the permit
DEVICE_TIMEOUT_S = 20.0


@dataclass(frozen=True, eq=False)
class ScopeRecord:
    """What the oscilloscope saw, in volts: the source's output and the device's analogue output."""

    settings: CaptureSettings
    source_v: Floats
    monitor_v: Floats


@dataclass
class Catch:
    """Everything captured so far; what has arrived stays, even when a link breaks."""

    device_blocks: list[DeviceBlock] = field(default_factory=list)
    scope: ScopeRecord | None = None
    hung_up: bool = False  # the device's link broke, or it sent no more

    def scope_record(self) -> ScopeRecord:
        """Return the oscilloscope's record of a playback that came to its end.

        Raises
        ------
        ValueError
            If the playback broke off before.
        """
        if self.scope is None:
            raise ValueError("the playback broke off before the oscilloscope was read")
        return self.scope

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

    The device streams before the trigger, so nothing is missed; how long before does not matter,
    as the markers tell where the program begins.

    Raises
    ------
    SafetyError
        If the device hears what cannot come of the program, or the rig may not stay energised.
    """
    rig, device = station.rig, station.device
    source_v = plan.vpp_open_v * plan.load_factor
    monitor_v = 2e-6 * plan.peak_at_device_uv * rig.device.monitor_gain
    settings = station.capture.configure(
        {
            rig.capture.source_channel: ChannelSetup(SCOPE_HEADROOM * source_v),
            rig.capture.monitor_channel: ChannelSetup(MONITOR_HEADROOM * monitor_v),
        },
        plan.duration_s,
        SCOPE_OVER_BAND * station.profile.band_hz[1],
    )
    # The samples before the trigger are not known in number: read until the program, begun at
    # the latest when the trigger was acknowledged, is certainly over.
    n_samples = round((plan.duration_s + LEAD_BOUND_S + TAIL_S) * device.rate_hz)
    look = _looking(station, program)
    station.source.energise()
    station.capture.arm()
    device.start()
    station.source.trigger()
    try:
        listen(device, n_samples, catch, look)
    except SafetyError:
        station.source.safe()  # at once: whoever caught it on the way out would be later
        raise
    station.capture.wait(DEVICE_TIMEOUT_S)
    (station.source.safe if is_last else station.source.off)()
    device.stop()
    catch.scope = ScopeRecord(
        settings=settings,
        source_v=station.capture.read(rig.capture.source_channel),
        monitor_v=station.capture.read(rig.capture.monitor_channel),
    )


def _looking(station: Station, program: Program) -> Callable[[DeviceBlock], None]:
    """Return what looks at each block: whether it may come of the program, and at the rig."""
    rig, profile, device = station.rig, station.profile, station.device
    limit_mv, _ = device_limits(rig, rig.state(station.source.state))
    watch = Watch(program, device.rate_hz, limit_mv, f"rig {rig.id}")
    checked_at = 0

    def look(block: DeviceBlock) -> None:
        nonlocal checked_at
        watch.see(block.counts[:, 0].astype(np.float64) * profile.scale_uv_per_count)
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
