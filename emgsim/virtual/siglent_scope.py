"""Twin of a Siglent oscilloscope with two channels: an SDS1102X HD, or of 8 bits an SDS2102X Plus.

Written from the SDS Series Programming Guide (EN11) and from what owners report of an SDS824X HD
(`siglent_scope_record.describe`, `siglent_scope_values`). Channel 1 listens to the generator,
channel 2 to the amplifier's monitor output, and the external trigger to the generator's sync.
Modelled: single acquisitions of that trigger, of the type NORMal, and these quirks:

- A stopped oscilloscope tells rate and points of its last record and not of the next.
- A fixed rate or depth is ignored without an error where the memory's management is another one.
- A trigger source that is switched off becomes LINE.
- A block ends with a line feed of its own before that of the message.

Not modelled: points before the trigger, so a single acquisition whose screen begins earlier is
refused; acquisitions in the modes AUTO and NORMal; other types; sequences; measurements; pictures.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import numpy as np

from emgsim.plant.world import World
from emgsim.virtual.parameters import ScpiError
from emgsim.virtual.scpi import Call, Command, Engine
from emgsim.virtual.siglent_scope_record import (
    DEPTHS,
    DIVISIONS_S,
    MAX_RATE_HZ,
    MEMORY_POINTS,
    POINTS_OF_PIECE,
    SHARE_OF_CODES,
    Acquisition,
    ChannelScale,
    describe,
    encode,
    rate_for,
)
from emgsim.virtual.siglent_scope_tree import CHANNEL_SETTINGS, CHANNELS, SETTINGS
from emgsim.virtual.siglent_scope_values import Real, Word, setting, step_below, three_digits

MAKER = "Siglent Technologies"
STEP_S = 0.1  # of one question about the state: a window may end long after the playback
_EXTERNAL_V = {"EX": 0.61, "EX5": 3.05}  # most of a trigger level

_MANAGEMENT = Word(("AUTO", "FSRate", "FMDepth"), "AUTO")
_DEPTH = Word(("AUTO", *DEPTHS), "AUTO")
_MODE = Word(("AUTO", "NORMal", "SINGle", "FTRIG"), "AUTO")
_SOURCE = Word((*CHANNELS, *_EXTERNAL_V, "LINE"), "C1")
_TYPE = Word(("NORMal", "PEAK", "AVERage", "ERES"), "NORMal")
_LEVEL = Real(-100, 100, 0)
_PROBE = Real(1e-6, 1e6, 1)


class VirtualSiglentScope:
    """Map the instrument's settings on the scope of a `World`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._values: dict[str, Any] = {}
        self._channels: list[dict[str, Any]] = []
        self._held: Acquisition | None = None  # what a stopped one tells of
        self._is_running = True
        self._has_many_bits = world.physics.scope.adc_bits > 8
        self._model = "SDS1102X HD" if self._has_many_bits else "SDS2102X Plus"
        self.reset()
        self.engine = Engine(f"{MAKER},{self._model},SDS0SIM0000001,1.1.3.8",
                             self._commands(), self)  # fmt: skip

    # ---- what the common commands act on

    def reset(self) -> None:
        """Forget the record and take the factory settings, with which it runs."""
        self._values = {key: kind.default for _, key, kind in SETTINGS}
        self._values |= {"management": "AUTO", "depth": "AUTO", "mode": "AUTO", "rate_hz": 1e9,
                         "trigger_source": "C1", "level_v": 0.0, "type": "NORMal"}  # fmt: skip
        plain = {key: kind.default for _, key, kind in CHANNEL_SETTINGS}
        self._channels = [plain | {"v_per_div": 1.0, "probe": 1.0} for _ in CHANNELS]
        self._channels[1]["switch"] = "OFF"
        self._held, self._is_running = None, True
        self._world.scope.stop()

    def trigger(self) -> None:
        """Refuse: the guide knows no ``*TRG``."""
        raise ScpiError(-113)

    def is_busy(self) -> bool:
        """Tell that nothing is pending: no command of this dialect is overlapped."""
        return False

    def pass_time(self) -> None:
        """Let one block of simulated time pass."""
        self._world.advance(STEP_S)

    def settle(self) -> Generator[None, None, None]:
        """Have nothing to wait for."""
        yield from ()

    # ---- the command tree

    def _commands(self) -> list[Command]:
        rows: list[Command] = []
        for pattern, key, kind in SETTINGS:
            rows += setting(pattern, kind, partial(self._get, key), partial(self._put, key))
        for pattern, key, kind in CHANNEL_SETTINGS:
            rows += setting(
                pattern, kind, partial(self._get_channel, key), partial(self._put_channel, key)
            )
        for pattern, key, kind, put in (
            ("ACQuire:MMANagement", "management", _MANAGEMENT, self._put_management),
            ("ACQuire:MDEPth", "depth", _DEPTH, self._put_depth),
            ("TRIGger:MODE", "mode", _MODE, self._put_mode),
            ("TRIGger:EDGE:SOURce", "trigger_source", _SOURCE, self._put_source),
            ("TRIGger:EDGE:LEVel", "level_v", _LEVEL, self._put_level),
        ):
            rows += setting(pattern, kind, partial(self._get, key), put)
        return [*rows, *self._other_commands(), *self._waveform_commands()]

    def _other_commands(self) -> tuple[Command, ...]:
        return (
            Command("CHANnel#:SCALe", self._put_scale, 1, 1),
            Command("CHANnel#:SCALe?", partial(self._tell_channel, "v_per_div")),
            Command("CHANnel#:PROBe", self._put_probe, 1, 2),
            Command("CHANnel#:PROBe?", partial(self._tell_channel, "probe")),
            Command("ACQuire:TYPE", self._put_type, 1, 2),
            Command("ACQuire:TYPE?", lambda _: str(self._values["type"])),
            Command("ACQuire:SRATe", self._put_rate, 1, 1),
            Command("ACQuire:SRATe?", lambda _: three_digits(self._present().rate_hz)),
            Command("ACQuire:POINts?", lambda _: three_digits(self._present().n_points)),
            Command("TRIGger:FREQuency?", lambda _: three_digits(0)),
            Command("TRIGger:STATus?", self._status),
            Command("TRIGger:RUN", lambda _: self._run()),
            Command("TRIGger:STOP", lambda _: self._stop()),
        )

    def _get(self, key: str, _: int) -> Any:
        return self._values[key]

    def _put(self, key: str, _: int, value: Any) -> None:
        self._values[key] = value

    def _get_channel(self, key: str, channel: int) -> Any:
        return self._channels[channel - 1][key]

    def _put_channel(self, key: str, channel: int, value: Any) -> None:
        self._channels[channel - 1][key] = value

    def _tell_channel(self, key: str, call: Call) -> str:
        return three_digits(self._channels[call.suffix - 1][key])

    def _put_scale(self, call: Call) -> None:
        values = self._channels[call.suffix - 1]
        probe = values["probe"]
        volts = Real(5e-4 * probe, 10 * probe, probe).read(call.arguments[0])
        values["v_per_div"] = step_below(volts / probe) * probe

    def _put_probe(self, call: Call) -> None:
        """Take ``VALue,<x>``, or the bare number of older guides; scale and offset follow."""
        *words, number = call.arguments
        if words and Word(("VALue",), "VALue").read(words[0]) != "VALue":
            raise ScpiError(-224)
        values, probe = self._channels[call.suffix - 1], _PROBE.read(number)
        factor = probe / values["probe"]
        values |= {
            "probe": probe,
            "v_per_div": values["v_per_div"] * factor,
            "offset_v": values["offset_v"] * factor,
        }

    def _put_management(self, _: int, value: str) -> None:
        self._values["management"] = value

    def _put_depth(self, _: int, value: str) -> None:
        if self._values["management"] == "FMDepth":
            self._values["depth"] = value

    def _put_rate(self, call: Call) -> None:
        if self._values["management"] == "FSRate":
            self._values["rate_hz"] = Real(1, MAX_RATE_HZ, 1e9, has_steps=True).read(
                call.arguments[0]
            )

    def _put_type(self, call: Call) -> None:
        """Take a type, with the number of averages or the bits that some have."""
        word, *number = call.arguments
        kind = _TYPE.read(word)
        self._values["type"] = ",".join((kind, *(each.decode("ascii") for each in number)))

    def _put_source(self, _: int, value: str) -> None:
        is_off = value in CHANNELS and self._channels[int(value[1]) - 1]["switch"] == "OFF"
        self._values["trigger_source"] = "LINE" if is_off else value

    def _put_level(self, _: int, value: float) -> None:
        most_v = _EXTERNAL_V.get(self._values["trigger_source"], _LEVEL.high)
        self._values["level_v"] = min(max(value, -most_v), most_v)

    # ---- run control

    def _put_mode(self, _: int, value: str) -> None:
        self._world.scope.stop()
        self._values["mode"] = value
        if value == "SINGle":
            self._run()

    def _run(self) -> None:
        self._is_running, self._held = True, None
        if self._values["mode"] == "SINGle":
            self._arm()

    def _stop(self) -> None:
        if self._is_running:
            self._held = self._planned()
        self._is_running = False
        if self._world.scope.state in ("armed", "running"):
            self._world.scope.stop()

    def _planned(self) -> Acquisition:
        """Return what the present settings would acquire."""
        values = self._values
        window_s = DIVISIONS_S * values["s_per_div"]
        depth = DEPTHS.get(values["depth"], MEMORY_POINTS)
        rate_hz = rate_for(window_s, values["management"], depth, values["rate_hz"])
        return Acquisition(
            rate_hz=rate_hz,
            n_points=round(rate_hz * window_s),
            start_s=values["delay_s"] - values["position_pct"] / 100 * window_s,
            s_per_div=values["s_per_div"],
            delay_s=values["delay_s"],
            channels={
                number: ChannelScale(each["v_per_div"], each["offset_v"], each["probe"])
                for number, each in enumerate(self._channels, 1)
                if each["switch"] == "ON"
            },
        )

    def _present(self) -> Acquisition:
        return self._planned() if self._held is None else self._held

    def _arm(self) -> None:
        """Wait for the trigger; the plant counts from it, so what is skipped is acquired too."""
        planned, values = self._planned(), self._values
        if values["trigger_source"] not in _EXTERNAL_V:
            raise ScpiError(-221, "only the external trigger is wired")
        if values["type"] != "NORMal" or planned.start_s < -0.5 / planned.rate_hz:
            raise ScpiError(-221, "no points before the trigger, and only NORMal")
        if not planned.channels:
            raise ScpiError(-221, "no channel is on")
        self._held = planned
        self._world.scope.arm(
            rate_hz=planned.rate_hz,
            n_points=planned.n_skipped + planned.n_points,
            ranges_v={number: scale.range_v for number, scale in planned.channels.items()},
            offsets_v={number: scale.centre_v for number, scale in planned.channels.items()},
            share_of_codes=SHARE_OF_CODES,
        )

    def _status(self, _: Call) -> str:
        """Tell the state; asking lets time pass while something is under way."""
        scope = self._world.scope
        is_under_way = self._world.is_played_on or scope.state == "running"
        if scope.state in ("armed", "running") and is_under_way:
            self.pass_time()
        if scope.state == "done":
            self._is_running = False
        if not self._is_running:
            return "Stop"
        waiting = {"armed": "Ready", "running": "Trig'd"}
        return waiting.get(scope.state, "Auto" if self._values["mode"] == "AUTO" else "Ready")

    # ---- the record

    def _waveform_commands(self) -> tuple[Command, ...]:
        return (
            Command("WAVeform:MAXPoint?", lambda _: three_digits(POINTS_OF_PIECE)),
            Command("WAVeform:PREamble?", self._descriptor),
            Command("WAVeform:DATA?", self._data),
        )

    @property
    def _channel(self) -> int:
        return int(self._values["source"][1])

    def _n_sent(self) -> int:
        """Return how many points the next answer holds."""
        values, there = self._values, self._present().n_points
        left = max(0, -(-(there - values["start"]) // values["interval"]))
        return int(min(left, values["point"] or left, POINTS_OF_PIECE))

    def _descriptor(self, _: Call) -> bytes:
        present = self._present()
        if self._channel not in present.channels:
            raise ScpiError(-224)
        return _block(describe(
            present,
            self._channel,
            instrument="Siglent SDS",
            width=self._values["width"],
            has_many_bits=self._has_many_bits,
            n_sent=self._n_sent(),
            first=self._values["start"],
            interval=self._values["interval"],
        ))  # fmt: skip

    def _data(self, _: Call) -> bytes:
        """Return the points that were asked for, or none at all of what is no record."""
        scope, held, values = self._world.scope, self._held, self._values
        codes = scope.codes(self._channel)
        if held is None or scope.state != "done" or not codes.size:
            self.engine.queue(ScpiError(-230, "there is no record of this channel"))
            return _block(b"")
        first = held.n_skipped + values["start"]
        chosen = np.asarray(codes[first :: values["interval"]][: self._n_sent()])
        return _block(encode(chosen, scope.bits, values["width"]))


def _block(data: bytes) -> bytes:
    """Return a block with nine digits of length, and the line feed that ends it."""
    return b"#9%09d" % len(data) + data + b"\n"
