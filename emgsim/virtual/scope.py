"""Twin of a Keysight InfiniiVision scope with two channels, or four at a rig of several generators.

Channel 1 listens to the generator, channel 2 to the amplifier's monitor output, and the external
trigger to the generator's sync; channels 3 and 4 to further generators. Modelled: single
acquisitions of that trigger, normal ones and those of high resolution, which averages the
conversions between two points. Not modelled: points before the trigger (the record begins there,
and ``XORigin`` says so), triggers from a channel or by the automatic sweep, other types and time
bases, segments, measurements, pictures.

A query that needs a finished record lets simulated time pass until there is one; if it can never
come it answers an empty block, or 0, and queues -230.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgsim.plant.world import World
from emgsim.virtual.acquisition import (
    MAX_RATE_HZ,
    MEMORY_POINTS,
    Acquisition,
    Scale,
    encode,
    listed,
    plan,
    scale_of,
)
from emgsim.virtual.parameters import Kind, Number, ScpiError, write_block
from emgsim.virtual.scope_tree import CHANNEL_SETTINGS, settings
from emgsim.virtual.scpi import Call, Command, Engine, Steps, setting

IDENTITY = "KEYSIGHT TECHNOLOGIES,DSO-X 3012G,MY00000002,07.60.2023120100"
IDENTITY_OF_FOUR = "KEYSIGHT TECHNOLOGIES,DSO-X 3014G,MY00000004,07.60.2023120100"
STEP_S = 0.010
RUNNING, WAITING_FOR_TRIGGER = 8, 32  # of the operation condition register

DIVISIONS_S, DIVISIONS_V = 10, 8
_PROBE = Number(0.001, 10_000, 1)
_RATE = Number(1.0, MAX_RATE_HZ, MAX_RATE_HZ, "SA/S")
_NORMAL_POINTS = 62_500  # a record is thinned to this many points unless the mode is RAW
_SCREEN = {"LEFT": 0.1, "CENT": 0.5, "RIGH": 0.9}  # where on the screen the reference is


class VirtualScope:
    """Map the instrument's settings on the scope of a `World`."""

    def __init__(self, world: World) -> None:
        self._world = world
        has_four = len(world.feeds) > 1
        self._n_channels = 4 if has_four else 2
        self._settings = settings(self._n_channels)
        self._values: dict[str, Any] = {}
        self._channels: list[dict[str, Any]] = []
        self._acquisition: Acquisition | None = None
        self._has_trigger_event = False
        self.reset()
        identity = IDENTITY_OF_FOUR if has_four else IDENTITY
        self.engine = Engine(identity, self._commands(), self, self._n_channels)

    # ---- what the common commands act on

    def reset(self) -> None:
        """Stop, forget the record and take the power-on settings."""
        self._values = {key: kind.default for _, key, kind in self._settings}
        self._values |= {"points": None, "rate_hz": MAX_RATE_HZ}
        plain = {key: kind.default for _, key, kind in CHANNEL_SETTINGS}
        self._channels = [
            plain | {"range_v": 8.0, "probe": 1.0, "label": str(number)}
            for number in range(1, self._n_channels + 1)
        ]
        self._acquisition = None
        self._has_trigger_event = False
        self._world.scope.stop()

    def trigger(self) -> None:
        """Start a single acquisition, as ``:DIGitize`` does."""
        self._single()

    def is_busy(self) -> bool:
        """Tell whether an acquisition is waiting for its trigger or running."""
        return self._world.scope.state in ("armed", "running")

    def pass_time(self) -> None:
        """Let one block of simulated time pass."""
        self._world.advance(STEP_S)

    def settle(self) -> Generator[None, None, None]:
        """Acquire to the end; raise when no trigger is on its way."""
        while self.is_busy():
            if self._world.scope.state == "armed" and not self._world.is_played_on:
                raise ScpiError(-230, "no trigger came")
            self.pass_time()
            yield

    # ---- the command tree

    def _commands(self) -> list[Command]:
        rows: list[Command] = []
        for pattern, key, kind in self._settings:
            rows += setting(pattern, kind, partial(self._get, key), partial(self._put, key))
        for pattern, key, kind in CHANNEL_SETTINGS:
            rows += self._of_channel(pattern, key, kind)
        rows += setting("CHANnel#:RANGe", self._range_kind, partial(self._get_channel, "range_v"),
                        partial(self._put_channel, "range_v"))  # fmt: skip
        rows += setting("CHANnel#:SCALe", self._scale_kind, self._get_scale, self._put_scale)
        rows += setting(
            "CHANnel#:PROBe", _PROBE, partial(self._get_channel, "probe"), self._put_probe
        )
        rows += setting("TIMebase:SCALe", Number(1e-7, 50, 1e-4, "S"), self._get_time_scale,
                        self._put_time_scale)  # fmt: skip
        return [*rows, *self._run_commands(), *self._waveform_commands()]

    def _of_channel(self, pattern: str, key: str, kind: Kind) -> tuple[Command, Command]:
        return setting(
            pattern, kind, partial(self._get_channel, key), partial(self._put_channel, key)
        )

    def _get(self, key: str, _: int) -> Any:
        return self._values[key]

    def _put(self, key: str, _: int, value: Any) -> None:
        self._values[key] = value

    def _get_channel(self, key: str, channel: int) -> Any:
        return self._channels[channel - 1][key]

    def _put_channel(self, key: str, channel: int, value: Any) -> None:
        self._channels[channel - 1][key] = value

    def _range_kind(self, channel: int) -> Number:
        probe = self._channels[channel - 1]["probe"]
        return Number(0.008 * probe, 40 * probe, 8 * probe, "V")

    def _scale_kind(self, channel: int) -> Number:
        probe = self._channels[channel - 1]["probe"]
        return Number(0.001 * probe, 5 * probe, probe, "V")

    def _get_scale(self, channel: int) -> float:
        return float(self._channels[channel - 1]["range_v"]) / DIVISIONS_V

    def _put_scale(self, channel: int, value: float) -> None:
        self._channels[channel - 1]["range_v"] = value * DIVISIONS_V

    def _put_probe(self, channel: int, value: float) -> None:
        """Change the attenuation; range and offset are volts at the tip, so they follow."""
        values = self._channels[channel - 1]
        factor = value / values["probe"]
        values |= {
            "probe": value,
            "range_v": values["range_v"] * factor,
            "offset_v": values["offset_v"] * factor,
        }

    def _get_time_scale(self, _: int) -> float:
        return float(self._values["range_s"]) / DIVISIONS_S

    def _put_time_scale(self, _: int, value: float) -> None:
        self._values["range_s"] = value * DIVISIONS_S

    def _channel_setup(self, call: Call) -> str:
        """Answer all settings of a channel, in the form in which they could be sent back."""
        values = self._channels[call.suffix - 1]
        return (
            f":CHAN{call.suffix}:RANG {values['range_v']:+.2E};OFFS {values['offset_v']:+.5E};"
            f"COUP {values['coupling']};IMP {values['impedance']};DISP {values['is_shown']:d};"
            f"BWL {values['is_band_limited']:d};INV {values['is_inverted']:d};"
            f'LAB "{values["label"]}";UNIT {values["unit"]};PROB {values["probe"]:+.4E};'
            f"PROB:SKEW +0.00E+00;STYP SING"
        )

    def _time_base_setup(self, _: Call) -> str:
        values = self._values
        return (
            f":TIM:MODE {values['timebase_mode']};REF {values['reference']};"
            f"MAIN:RANG {values['range_s']:+.2E};POS {values['position_s']:+.5E}"
        )

    # ---- run control

    def _run_commands(self) -> tuple[Command, ...]:
        return (
            Command("SINGle", lambda _: self._single()),
            Command("DIGitize", lambda _: self._single(), 0, 2),
            Command("RUN", lambda _: self._single()),
            Command("STOP", lambda _: self._world.scope.stop()),
            Command("OPERegister:CONDition?", self._condition),
            Command("TER?", self._trigger_event),
            Command("CHANnel#?", self._channel_setup),
            Command("TIMebase?", self._time_base_setup),
            Command("ACQuire:SRATe[:ANALog]", self._put_rate, 1, 1),
            Command("ACQuire:SRATe[:ANALog]?", lambda _: f"{self._present().rate_hz:+.9E}"),
            Command("ACQuire:POINts?", lambda _: f"{self._present().n_points:+d}"),
            Command("ACQuire:COUNt?", lambda _: "+1"),
        )

    def _put_rate(self, call: Call) -> None:
        """Take the rate of digitizer mode, which is the only one that has one."""
        if not self._values["digitizer_on"] or self._values["rate_auto"]:
            raise ScpiError(-221, "the rate is automatic")
        self._values["rate_hz"] = _RATE.read(call.arguments[0])

    def _planned(self) -> Acquisition:
        """Return what the present settings would acquire."""
        values = self._values
        shown = {n: c for n, c in enumerate(self._channels, 1) if c["is_shown"]}
        is_set = values["digitizer_on"] and not values["rate_auto"]
        return plan(
            range_s=values["range_s"],
            first_s=values["position_s"] - _SCREEN[values["reference"]] * values["range_s"],
            ranges_v={number: channel["range_v"] for number, channel in shown.items()},
            offsets_v={number: channel["offset_v"] for number, channel in shown.items()},
            wanted_hz=values["rate_hz"] if is_set else None,
        )

    def _present(self) -> Acquisition:
        return self._planned() if self._acquisition is None else self._acquisition

    def _single(self) -> None:
        """Arm; the plant counts from the trigger, so what is skipped is acquired too."""
        if self._values["trigger_source"] != "EXT":
            raise ScpiError(-221, "only the external trigger is wired")
        is_known = self._values["acquire_type"] in ("NORM", "HRES")
        plain = self._values["acquire_mode"] == "RTIM" and self._values["timebase_mode"] == "MAIN"
        if not (is_known and plain):
            raise ScpiError(-221, "only normal and high resolution, in real time, are modelled")
        planned = self._planned()
        if not planned.n_points or not planned.ranges_v:
            raise ScpiError(-221, "nothing after the trigger is on the screen")
        probes = {number: self._channels[number - 1]["probe"] for number in planned.ranges_v}
        self._acquisition = planned
        self._has_trigger_event = True
        self._world.scope.arm(
            rate_hz=planned.rate_hz,
            n_points=planned.n_skipped + planned.n_points,
            ranges_v={n: value / probes[n] for n, value in planned.ranges_v.items()},
            offsets_v={n: value / probes[n] for n, value in planned.offsets_v.items()},
            averaged=self._averaged(planned.rate_hz),
        )

    def _averaged(self, rate_hz: float) -> int:
        """Return how many conversions one point is made of."""
        is_averaging = self._values["acquire_type"] == "HRES"
        return self._world.physics.scope.averaged_at(rate_hz) if is_averaging else 1

    def _poll(self) -> str:
        """Return the state of the plant's scope; a poll lets time pass while it is running."""
        world, scope = self._world, self._world.scope
        if self.is_busy() and (world.is_played_on or scope.state == "running"):
            self.pass_time()
        return scope.state

    def _condition(self, _: Call) -> str:
        state = self._poll()
        waiting = WAITING_FOR_TRIGGER if state == "armed" else 0
        return f"{waiting + (RUNNING if state in ('armed', 'running') else 0):+d}"

    def _trigger_event(self, _: Call) -> str:
        """Answer 1 once after each trigger."""
        has_come = self._has_trigger_event and self._poll() in ("running", "done")
        self._has_trigger_event &= not has_come
        return f"{has_come:+d}"

    # ---- the record

    def _waveform_commands(self) -> tuple[Command, ...]:
        return (
            Command("WAVeform:POINts", self._put_points, 1, 1),
            Command("WAVeform:POINts?", lambda _: f"{self._n_sent():+d}"),
            Command("WAVeform:TYPE?", lambda _: self._values["acquire_type"]),
            Command("WAVeform:COUNt?", lambda _: "+1"),
            Command("WAVeform:XINCrement?", lambda _: f"{self._x_increment_s():+.8E}"),
            Command("WAVeform:XORigin?", lambda _: f"{self._present().start_s:+.8E}"),
            Command("WAVeform:XREFerence?", lambda _: "+0"),
            Command("WAVeform:YINCrement?", lambda _: f"{self._scale().increment_v:+.8E}"),
            Command("WAVeform:YORigin?", lambda _: f"{self._scale().origin_v:+.8E}"),
            Command("WAVeform:YREFerence?", lambda _: f"{self._scale().reference:+d}"),
            Command("WAVeform:PREamble?", self._preamble),
            Command("WAVeform:DATA?", self._data),
        )

    @property
    def _channel(self) -> int:
        return int(self._values["source"][-1])

    def _put_points(self, call: Call) -> None:
        word = call.arguments[0]
        number = Number(100, MEMORY_POINTS, MEMORY_POINTS, integer=True)
        self._values["points"] = int(number.read(word))

    def _stride(self) -> int:
        """Return how many points become one: all are sent only in RAW or MAXimum mode."""
        most = _NORMAL_POINTS if self._values["points_mode"] == "NORM" else 10**9
        most = min(most, self._values["points"] or most)
        return max(1, -(-self._present().n_points // most))

    def _n_sent(self) -> int:
        return -(-self._present().n_points // self._stride())

    def _x_increment_s(self) -> float:
        return self._stride() / self._present().rate_hz

    def _scale(self) -> Scale:
        acquisition, values = self._present(), self._channels[self._channel - 1]
        return scale_of(
            self._values["form"],
            is_unsigned=self._values["is_unsigned"],
            range_v=acquisition.ranges_v.get(self._channel, values["range_v"]),
            offset_v=acquisition.offsets_v.get(self._channel, values["offset_v"]),
        )

    def _preamble(self, _: Call) -> str:
        form = {"BYTE": 0, "WORD": 1, "ASC": 4}[self._values["form"]]
        kind = {"NORM": 0, "PEAK": 1, "AVER": 2, "HRES": 3}[self._values["acquire_type"]]
        scale = self._scale()
        return (
            f"{form:+d},{kind:+d},{self._n_sent():+d},+1,"
            f"{self._x_increment_s():+.8E},{self._present().start_s:+.8E},+0,"
            f"{scale.increment_v:+.8E},{scale.origin_v:+.8E},{scale.reference:+d}"
        )

    def _data(self, _: Call) -> Steps:
        codes = yield from self._finished()
        values, bits = self._values, self._world.scope.bits
        if values["form"] == "ASC":
            return write_block(listed(codes, self._scale(), bits))
        data = encode(
            codes,
            values["form"],
            bits=bits,
            is_unsigned=values["is_unsigned"],
            is_big_endian=values["byte_order"] == "MSBF",
        )
        return write_block(data)

    def _finished(self) -> Generator[None, None, NDArray[np.int16]]:
        """Wait for the record and return the codes of the selected channel, or none at all."""
        try:
            yield from self.settle()
            codes = self._world.scope.codes(self._channel)
            wanted = self._acquisition
            if wanted is None or codes.size != wanted.n_skipped + wanted.n_points:
                raise ScpiError(-230, "there is no record of this channel")
        except ScpiError as error:
            self.engine.queue(error)
            return np.zeros(0, np.int16)
        return codes[wanted.n_skipped :: self._stride()]
