"""Streams of a sound card, found by its address and shared by its source and its capture.

Playing and recording are two PortAudio streams of one card, not one stream in both directions. The
converters share a clock, so the two keep in step by themselves; where the record begins against the
waveform differs from one playback to the next, and is found in the loopback (`find_lag`). One
stream in both directions would tie them from the start, but through ALSA's pulse plugin PortAudio
19.6 then repeats stale samples without a word (``benchmarks/sound_card.py --both-ways`` shows it).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal
from urllib.parse import parse_qsl

from emgsim.errors import InputError, InstrumentError, LinkError
from emgsim.instruments.base import Identity
from emgsim.instruments.sound_blocks import Playback, Take, Words

LATENCY_S = 0.5  # of buffers each way: a busy machine lets a thread wait for a quarter of a second
MAX_POINTS = 100_000_000  # 400 MB of words; 17 min at 96 kHz
SETTLE_S = 0.25  # after the first block: what a sound server had in store has come by then

Direction = Literal["output", "input"]


@dataclass(frozen=True)
class CardAddress:
    """What the address of a sound card says.

    Parameters
    ----------
    name
        PortAudio's name of the device, or a part of it.
    rate_hz
        Sampling rate of both directions.
    full_scale_v
        Volts of the largest code: open-circuit at the output, or at the input.
    via_server
        Whether a sound server may stand between.
    """

    name: str
    rate_hz: float
    full_scale_v: float
    via_server: bool = False


def read_address(address: str) -> CardAddress:
    """Read an address such as ``audio:USB Audio?rate_hz=96000&full_scale_v=1.31``.

    Raises
    ------
    InputError
        When something is missing, unknown or no positive number.
    """
    kind, _, rest = address.partition(":")
    name, _, options = rest.partition("?")
    given = dict(parse_qsl(options, keep_blank_values=True))
    unknown = sorted(set(given) - {"rate_hz", "full_scale_v", "via_server"})
    if kind != "audio" or not name or unknown:
        raise _misread(address, f"unknown: {', '.join(unknown)}" if unknown else "no name")
    if (server := given.get("via_server", "0")) not in ("0", "1"):
        raise _misread(address, f"via_server must be 0 or 1, got {server!r}")
    return CardAddress(
        name,
        _positive("rate_hz", given, address),
        _positive("full_scale_v", given, address),
        server == "1",
    )


def _positive(name: str, given: dict[str, str], address: str) -> float:
    try:
        value = float(given[name])
    except (KeyError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        raise _misread(address, f"{name} must be a positive number, got {given.get(name)!r}")
    return value


def _misread(address: str, why: str) -> InputError:
    return InputError(
        f"the address of a sound card cannot be read: {why}",
        where=address,
        todo="write audio:NAME?rate_hz=96000&full_scale_v=1.31",
    )


@dataclass(eq=False)
class Running:
    """Holds a PortAudio stream and tells when its first block has come."""

    stream: Any
    begun: threading.Event


@dataclass(eq=False)
class Card:
    """A sound card that one source and one capture of this process may share.

    Parameters
    ----------
    name
        As PortAudio names the device, or a part of it that no other one has.
    rate_hz
        Of its one clock.
    """

    name: str
    rate_hz: float
    users: set[Direction] = field(default_factory=set)
    playback: Playback | None = None
    take: Take | None = None
    _running: dict[Direction, Running] = field(default_factory=dict)
    _turn: threading.RLock = field(default_factory=threading.RLock)

    def about(self, direction: Direction) -> dict[str, Any]:
        """Return what PortAudio knows of the device.

        Raises
        ------
        LinkError
            When there is none of that name, or several.
        """
        with self.as_link_error("look it up"):
            found: dict[str, Any] = portaudio().query_devices(self.name, direction)
            return found

    def identify(self, direction: Direction, *, via_server: bool) -> Identity:
        """Tell which device PortAudio found: its host API, its name, and PortAudio's version.

        Raises
        ------
        LinkError
            When there is no such device, or it has no such direction.
        InstrumentError
            When a sound server stands before the card, which nobody allowed. It is known by its
            name under ALSA; under other host APIs it is not noticed.
        """
        about = self.about(direction)
        with self.as_link_error("tell its host"):
            host = str(portaudio().query_hostapis(about["hostapi"])["name"])
            version = str(portaudio().get_portaudio_version()[1])
        name = str(about["name"])
        if host == "ALSA" and "(hw:" not in name and not via_server:
            raise InstrumentError(
                f"{name!r} is a sound server or a plugin, which may mix, scale and resample",
                where=self.name,
                todo="name the device with (hw: in its name, or add via_server=1 to the address",
            )
        return Identity(host, name, "", version)

    def play(self, playback: Playback, timeout_s: float) -> None:
        """Play silence from now on, and the waveform from the trigger on."""

        def callback(block: Words, _n: int, _times: object, status: object) -> None:
            playback.fill(block, str(status) if status else "")

        self.stop("output")
        with self._turn:
            self.playback = playback
            running = self._start("output", callback)
        self._await("output", running, timeout_s)

    def record(self, take: Take, timeout_s: float) -> None:
        """Listen from now on, and keep what is heard from the trigger on."""

        def callback(block: Words, _n: int, _times: object, status: object) -> None:
            take.keep(block, str(status) if status else "")

        self.stop("input")
        with self._turn:
            self.take = take
            running = self._start("input", callback, max(take.channels))
        self._await("input", running, timeout_s)

    def trigger(self) -> None:
        """Begin to record, then to play: so the record holds the waveform's first sample.

        Raises
        ------
        InstrumentError
            When nothing is armed, or the waveform is being played already.
        """
        with self._turn:
            playback = self.playback if self.is_alive("output") else None
            if playback is None or playback.is_running:
                why = "nothing is armed" if playback is None else "a playback is under way"
                raise InstrumentError(f"the trigger was refused: {why}", where=self.name)
            if self.take is not None:
                self.take.trigger(playback)
            playback.trigger()

    def stop(self, direction: Direction) -> None:
        """End a stream at once, whatever is left in its buffers; what was recorded stays."""
        with self._turn:
            running = self._running.pop(direction, None)
            if running is None:
                return
            with self.as_link_error("stop it"):
                try:
                    running.stream.abort(ignore_errors=False)
                finally:
                    running.stream.close(ignore_errors=True)

    def is_alive(self, direction: Direction) -> bool:
        """Tell whether a stream runs; one whose card was unplugged does not."""
        running = self._running.get(direction)
        return running is not None and bool(running.stream.active)

    @contextmanager
    def as_link_error(self, doing: str) -> Iterator[None]:
        """Turn what PortAudio raises into a `LinkError`."""
        try:
            yield
        except (portaudio().PortAudioError, ValueError) as error:
            raise LinkError(
                f"the sound card could not {doing}: {error}",
                where=self.name,
                todo="look whether it is plugged in and whether another program holds it; "
                "`python -m sounddevice` lists all devices by name",
            ) from error

    def _start(
        self, direction: Direction, callback: Callable[..., None], n_channels: int = 1
    ) -> Running:
        """Start a stream of at least two channels: one would be sent to all of them."""
        begun = threading.Event()

        def noticed(*block: Any) -> None:
            callback(*block)
            begun.set()

        about = self.about(direction)
        kinds = {"output": "OutputStream", "input": "InputStream"}
        with self.as_link_error(f"start its {direction}"):
            stream = getattr(portaudio(), kinds[direction])(
                samplerate=self.rate_hz,
                device=about["index"],
                channels=min(max(2, n_channels), about[f"max_{direction}_channels"]),
                dtype="int32",
                latency=LATENCY_S,
                clip_off=True,
                dither_off=True,
                callback=noticed,
            )
            running = self._running[direction] = Running(stream, begun)
            stream.start()
        if abs(stream.samplerate / self.rate_hz - 1) > 1e-6:
            self.stop(direction)
            raise InstrumentError(
                f"the sound card runs at {stream.samplerate:g} Hz, asked were {self.rate_hz:g} Hz",
                where=self.name,
                todo="put a rate of the card into the address",
            )
        return running

    def _await(self, direction: Direction, running: Running, timeout_s: float) -> None:
        """Wait for the first block without holding the lock: to stop must not wait."""
        if not running.begun.wait(timeout_s):
            raise LinkError(
                f"the sound card moved no sample within {timeout_s:g} s",
                where=self.name,
                todo="look whether the sound server runs, and whether another program holds it",
            )
        time.sleep(SETTLE_S)
        if not self.is_alive(direction):
            raise LinkError(
                f"the {direction} of the sound card has stopped while it was being armed",
                where=self.name,
                todo="look whether somebody switched it off, or pulled its plug",
            )


_cards: dict[str, Card] = {}
_turn = threading.Lock()


def join(name: str, rate_hz: float, direction: Direction) -> Card:
    """Return the card of a name, the same one for its source and its capture.

    Raises
    ------
    LinkError
        When this process uses that direction of the card already.
    InstrumentError
        When the card is in use at another rate: it has one clock.
    """
    with _turn:
        card = _cards.get(name) or Card(name, rate_hz)
        if direction in card.users:
            raise LinkError(
                f"the {direction} of the sound card is in use already",
                where=name,
                todo="close the driver that holds it",
            )
        if card.rate_hz != rate_hz:
            raise InstrumentError(
                f"the sound card has one clock: it runs at {card.rate_hz:g} Hz, asked were "
                f"{rate_hz:g} Hz",
                where=name,
                todo="give source and capture the same rate_hz",
            )
        card.users.add(direction)
        _cards[name] = card
    return card


def leave(card: Card, direction: Direction) -> None:
    """Give a direction of a card back, its stream stopped; doing so twice is allowed."""
    try:
        if direction in card.users:
            card.stop(direction)
    finally:
        with _turn:
            card.users.discard(direction)
            if not card.users:
                _cards.pop(card.name, None)


def portaudio() -> ModuleType:
    """Return the sounddevice package, which is loaded only now.

    Raises
    ------
    LinkError
        When the package or the PortAudio library is missing.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise LinkError(
            f"sound cards need the sounddevice package and the PortAudio library: {error}",
            todo="run `pip install emgsim[audio]`; on Debian also `apt-get install libportaudio2`",
        ) from error
    found: ModuleType = sounddevice
    return found
