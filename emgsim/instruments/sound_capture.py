"""Records inputs of a sound card from the trigger of its source on.

The address is that of `emgsim.instruments.sound_card`, whose clock it shares; its full scale is
that of the inputs. Where the waveform begins in the record depends on buffers, and is measured in
every record by the input that is wired to the output (`SoundCardCapture.start_s`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import API, CaptureCaps, CaptureSettings, ChannelSetup, Identity
from emgsim.instruments.sound_blocks import CODE_BITS, FULL_SCALE_CODE, SHIFT, Take, find_lag
from emgsim.instruments.sound_streams import (
    MAX_POINTS,
    Card,
    CardAddress,
    join,
    leave,
    read_address,
)

LONGEST_LAG_S = 1.5  # a record is longer by it: two buffers of half a second, and the converters


class SoundCardCapture:
    """Records inputs of the card from the trigger of its source on.

    Use `open`. Only a `SoundCardSource` at the same card triggers it.
    """

    api: ClassVar[int] = API

    def __init__(self, card: Card, address: CardAddress, *, timeout_s: float) -> None:
        self._card, self._address, self._timeout_s = card, address, timeout_s
        self._settings: CaptureSettings | None = None
        self._take: Take | None = None
        self._lag: int | None = None

    @classmethod
    def open(cls, address: str, *, timeout_s: float = 5.0) -> Self:
        """Find the card and see that it has inputs; no stream is opened."""
        known = read_address(address)
        card = join(known.name, known.rate_hz, "input")
        capture = cls(card, known, timeout_s=timeout_s)
        try:
            capture.identify()
        except BaseException:
            capture.close()
            raise
        return capture

    def identify(self) -> Identity:
        """Tell which device PortAudio found, and refuse a sound server that nobody allowed."""
        return self._card.identify("input", via_server=self._address.via_server)

    def reset(self) -> None:
        """Stop listening and forget settings and record."""
        self._card.stop("input")
        self._settings, self._take = None, None

    @property
    def caps(self) -> CaptureCaps:
        """Tell what the inputs can do; their range is fixed."""
        return CaptureCaps(
            channels=int(self._card.about("input")["max_input_channels"]),
            code_bits=CODE_BITS,
            max_range_v=2 * self._address.full_scale_v,
            max_duration_s=MAX_POINTS / self._address.rate_hz,
        )

    @property
    def start_s(self) -> float:
        """Tell when the first sample was taken; at 0 the waveform's first sample arrived.

        It is measured in every record, on the input that hears the source's output best.

        Raises
        ------
        InstrumentError
            When no recorded input hears it.
        """
        self._complete()
        if self._lag is None:
            raise InstrumentError(
                "no input hears the output, so nobody knows where the waveform begins",
                where=self._card.name,
                todo="wire the output to an input of the record, and play what is not silent",
            )
        return -self._lag / self._address.rate_hz

    def configure(
        self,
        channels: Mapping[int, ChannelSetup],
        duration_s: float,
        rate_hz: float | None = None,
    ) -> CaptureSettings:
        """Choose the inputs; range and rate come back as the card has them.

        The record is 1.5 s longer than asked: it begins with the trigger, and the sound arrives
        when it has gone through the buffers both ways.

        Raises
        ------
        UsageError
            When an input does not exist, or a range, a centre or a duration cannot be had.
        """
        _check_request(channels, duration_s, rate_hz, self.caps)
        self.reset()
        range_v = 2 * self._address.full_scale_v
        self._settings = CaptureSettings(
            rate_hz=self._address.rate_hz,
            n_points=math.ceil((duration_s + LONGEST_LAG_S) * self._address.rate_hz),
            channels={number: ChannelSetup(range_v) for number in sorted(channels)},
        )
        return self._settings

    def arm(self) -> None:
        """Start to listen, and return when the inputs are heard."""
        if self._settings is None:
            raise UsageError("arm() needs configure() before it", where=self._card.name)
        numbers = tuple(self._settings.channels)
        self._take = Take(self._settings.n_points, numbers, self._settings.rate_hz)
        self._lag = None
        self._card.record(self._take, self._timeout_s)

    def wait(self, timeout_s: float) -> None:
        """Return when the record is complete, and stop listening.

        Raises
        ------
        InstrumentError
            When it is not after timeout_s, or when samples were lost on either way; the message
            says when.
        """
        take = self._take
        if take is None:
            raise UsageError("wait() needs arm() before it", where=self._card.name)
        if not take.complete.wait(timeout_s):
            raise InstrumentError(
                f"the record is not complete within {timeout_s:g} s: {self._told_state(take)}",
                where=self._card.name,
                todo="check that the source at the same card was triggered",
            )
        self._card.stop("input")
        if take.playback is not None:
            try:
                self._lag = find_lag(take.playback, take.words)
            except InstrumentError as error:
                take.losses.append(error.what)
        self._complete()

    def read(self, channel: int) -> NDArray[np.float64]:
        """Return the volts of one input, (n_points,).

        Raises
        ------
        InstrumentError
            When samples were lost on either way, or the input was driven beyond full scale.
        """
        take = self._complete()
        if channel not in take.channels:
            raise UsageError(f"input {channel} was not configured", where=self._card.name)
        codes = take.words[:, take.channels.index(channel)] >> SHIFT
        n_out = int(np.count_nonzero(np.abs(codes) >= FULL_SCALE_CODE))
        if n_out:
            raise InstrumentError(
                f"input {channel} has {n_out} of {codes.size} samples at full scale",
                where=self._card.name,
                todo="lower the input's gain and calibrate it anew, or play less",
            )
        volts: NDArray[np.float64] = codes * (self._address.full_scale_v / FULL_SCALE_CODE)
        return volts

    def close(self) -> None:
        """Stop listening and give the card back; closing twice is allowed."""
        leave(self._card, "input")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _complete(self) -> Take:
        """Return the record, or refuse one that is not whole."""
        take = self._take
        if take is None or not take.complete.is_set():
            raise UsageError("there is no complete record", where=self._card.name)
        losses = [*take.losses, *(take.playback.losses if take.playback else ())]
        if losses:
            raise InstrumentError(
                f"samples were lost: {'; '.join(losses)}",
                where=self._card.name,
                todo="let nothing else use this machine, then play it anew",
            )
        return take

    def _told_state(self, take: Take) -> str:
        if not self._card.is_alive("input"):
            return "the card has stopped"
        return "it is still recording" if take.is_triggered else "it still waits for a trigger"


def _check_request(
    channels: Mapping[int, ChannelSetup],
    duration_s: float,
    rate_hz: float | None,
    caps: CaptureCaps,
) -> None:
    if rate_hz is not None and not rate_hz > 0:
        raise UsageError(f"rate_hz must be positive, got {rate_hz:g}")
    if not 0 < duration_s <= caps.max_duration_s:
        raise UsageError(f"duration_s must be in 0..{caps.max_duration_s:g} s, got {duration_s:g}")
    if not channels or not set(channels) <= set(range(1, caps.channels + 1)):
        raise UsageError(f"channels must be some of 1..{caps.channels}, got {sorted(channels)}")
    for number, setup in channels.items():
        if not 0 < setup.range_v <= caps.max_range_v:
            raise UsageError(
                f"range_v of channel {number} must be in 0..{caps.max_range_v:g} V, twice the "
                f"input's full scale, got {setup.range_v:g}",
                todo="play less, or put a divider before the input and calibrate it with that",
            )
        if setup.offset_v:
            raise UsageError(
                f"offset_v of channel {number} must be 0 V, got {setup.offset_v:g}: a sound card "
                "blocks direct voltage"
            )
