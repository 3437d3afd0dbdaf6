"""What the drivers of oscilloscopes share: checks of a request and of a record, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import CaptureCaps, CaptureSettings, ChannelSetup

NOT_ARMED = "look for a setting in conflict, and for a hand at the front panel"
NOT_TRIGGERED = "check the sync cable to EXT TRIG, and that the source was triggered"
TRIGGER_LEVEL_V = 1.0  # a TTL sync is well above it, its crosstalk well below
FIRST_POLL_S, LAST_POLL_S = 0.001, 0.02

State = TypeVar("State")


def check_request(
    channels: Mapping[int, ChannelSetup], duration_s: float, caps: CaptureCaps
) -> None:
    """Refuse channels, ranges and durations that the oscilloscope does not have.

    Raises
    ------
    UsageError
        With the rule and the value.
    """
    if not 0 < duration_s <= caps.max_duration_s:
        raise UsageError(f"duration_s must be in 0..{caps.max_duration_s:g} s, got {duration_s:g}")
    if not channels or not set(channels) <= set(range(1, caps.channels + 1)):
        raise UsageError(f"channels must be some of 1..{caps.channels}, got {sorted(channels)}")
    for number, setup in channels.items():
        if not 0 < setup.range_v <= caps.max_range_v:
            raise UsageError(
                f"range_v of channel {number} must be in 0..{caps.max_range_v:g} V, "
                f"got {setup.range_v:g}"
            )


def check_length(settings: CaptureSettings, duration_s: float, where: str) -> None:
    """Refuse a record that would end early: at a rate that was asked for the memory decides.

    Raises
    ------
    InstrumentError
        With the longest record at that rate.
    """
    longest_s = settings.n_points / settings.rate_hz
    if longest_s < 0.999 * duration_s:
        raise InstrumentError(
            f"the record would hold {longest_s:.4g} s at {settings.rate_hz:g} Hz, needed are "
            f"{duration_s:.4g} s",
            where=where,
            todo="ask for a lower rate, or for a shorter record",
        )


def poll(
    ask: Callable[[], State],
    is_reached: Callable[[State], bool],
    told: Callable[[State], str],
    *,
    timeout_s: float,
    missing: str,
    todo: str,
    where: str,
) -> None:
    """Ask for the state of an oscilloscope until it is the wanted one.

    Parameters
    ----------
    ask
        Asks for the state.
    is_reached
        Tells whether it is the wanted one.
    told
        Says in words what a state means.
    timeout_s
        Longest wait.
    missing, todo, where
        What did not come, what to do about it, and the address, for the message.

    Raises
    ------
    InstrumentError
        When the time is over; the message says whether a trigger came.
    """
    deadline_s, pause_s = time.monotonic() + timeout_s, FIRST_POLL_S
    while not is_reached(state := ask()):
        if time.monotonic() >= deadline_s:
            raise InstrumentError(
                f"{missing} within {timeout_s:g} s: {told(state)}",
                where=where,
                todo=todo,
            )
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LAST_POLL_S)
