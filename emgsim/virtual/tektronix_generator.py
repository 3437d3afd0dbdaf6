"""Twin of a Tektronix AFG31052, a function generator with two channels and an edit memory.

Written from the AFG3000 and AFG31000 Series Programmer Manuals (077-0743, 077-1148). Modelled:
levels and impedance; sine, square, pulse, ramp and the edit memory, played at a frequency in steps
of 1 uHz; bursts by ``*TRG`` or ``TRIGger``; the user memories. An AFG31000 has two edit memories:
``EMEMory2`` is no part of the tree, nor are modulation, sweeps and the advanced mode. Noise and the
special functions leave the plant silent. A trigger while the source is the timer is ignored with
an error; the timer itself does not run.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from emgsim.plant.world import World
from emgsim.virtual.amplitude import amplitude_commands
from emgsim.virtual.arb_output import ArbGenerator, ArbOutput
from emgsim.virtual.levels import Levels
from emgsim.virtual.parameters import Choice, Number, ScpiError, Switch, read_block
from emgsim.virtual.scpi import Call, Command, Engine, setting
from emgsim.virtual.waveforms import FULL_SCALE, Codes

IDENTITY = "TEKTRONIX,AFG31052,SIM0000001,SCPI:99.0 FV:1.6.1"
MIN_POINTS, MAX_POINTS = 2, 131_072
MIDDLE_CODE = 8191  # of 0 to 16382
MIN_VPP_OPEN_V = 0.002
MAX_FREQUENCY_HZ = 50e6
_MEMORIES = ("EMEMory", "USER1", "USER2", "USER3", "USER4")
_SHAPES = (
    "SINusoid", "SQUare", "PULSe", "RAMP", "PRNoise", "DC", "SINC", "GAUSsian", "LORentz", "ERISe",
    "EDECay", "HAVersine", *_MEMORIES,
)  # fmt: skip
_SHAPE = Choice(_SHAPES, "SIN")
_MEMORY = Choice(_MEMORIES, "EMEM")
_POINTS = Number(MIN_POINTS, MAX_POINTS, 1000, integer=True)


@dataclass(frozen=True, slots=True)
class Ohms(Number):
    """Read a resistance, and write it as a whole number."""

    def write(self, value: float) -> str:
        """Return its digits."""
        return "9.9E+37" if math.isinf(value) else f"{value:.0f}"


class VirtualTektronixGenerator:
    """Map the instrument's settings on a generator of a `World`.

    Parameters
    ----------
    world
        The plant.
    number
        Which of its generators, from 0.
    has_source_error
        Queue ``-310,"System error"`` at every upload instead of storing it.
    is_stuck
        An output that is on stays on.
    """

    def __init__(
        self,
        world: World,
        number: int = 0,
        *,
        has_source_error: bool = False,
        is_stuck: bool = False,
    ) -> None:
        self._has_source_error = has_source_error
        self._stored: dict[str, Codes] = {"EMEM": np.zeros(1000, np.int16)}
        self._arb = ArbGenerator(world, number, _new_output, is_stuck=is_stuck)
        self.engine = Engine(IDENTITY, self._commands(), self)

    # ---- what the common commands act on

    def reset(self) -> None:
        """Take the default settings: outputs off, a sine of 1 MHz and 1 Vpp into 50 ohm."""
        self._arb.renew()

    def trigger(self) -> None:
        """Start the bursts that wait for a trigger; otherwise it is ignored."""
        armed = [channel for channel in (1, 2) if self._is_armed(channel)]
        if not armed:
            raise ScpiError(-211)
        for channel in armed:
            self._arb.start(channel)

    def is_busy(self) -> bool:
        """Tell whether a burst that will end is playing."""
        return self._arb.is_busy()

    def pass_time(self) -> None:
        """Let one block of simulated time pass."""
        self._arb.pass_time()

    def settle(self) -> Generator[None, None, None]:
        """Play the burst to its end."""
        yield from self._arb.settle()

    def _is_armed(self, channel: int) -> bool:
        output = self._arb.output(channel)
        is_external = self._arb.output(1).trigger_source == "EXT"  # the instrument has one source
        return output.is_burst and is_external and output.values.get("burst mode", "TRIG") == "TRIG"

    # ---- commands

    def _commands(self) -> list[Command]:
        arb, source = self._arb, "[SOURce#:]"
        volts = f"{source}VOLTage[:LEVel][:IMMediate]"
        load = Ohms(1, 10_000, 50, "OHM", infinite=True, integer=True)
        frequency = Number(1e-6, MAX_FREQUENCY_HZ, 1e6, "HZ")
        duty = Number(0.001, 99.999, 50, "%")
        rows = [
            arb.on_off("OUTPut#[:STATe]", Switch()),
            arb.load("OUTPut#:IMPedance", load),
            setting("OUTPut#:POLarity", Choice(("NORMal", "INVerted"), "NORM"),
                    self._polarity, self._put_polarity),
            setting(f"{source}FUNCtion[:SHAPe]", _SHAPE, self._shape, self._put_shape),
            arb.level(f"{volts}:OFFSet", "offset"),
            arb.level(f"{volts}:HIGH", "high"),
            arb.level(f"{volts}:LOW", "low"),
            arb.attribute(f"{source}PHASe[:ADJust]", "phase_deg", Number(-math.pi, math.pi, 0)),
            arb.attribute(f"{source}PULSe:DCYCle", "duty_pct", duty),
            arb.attribute(f"{source}FUNCtion:RAMP:SYMMetry", "symmetry_pct",
                          Number(0, 100, 50, "%")),
            arb.attribute(f"{source}BURSt[:STATe]", "is_burst", Switch()),
            arb.attribute(f"{source}BURSt:NCYCles", "cycles",
                          Number(1, 1e6, 5, infinite=True, integer=True)),
            setting(f"{source}BURSt:MODE", Choice(("TRIGgered", "GATed"), "TRIG"),
                    self._burst_mode, self._put_burst_mode),
            arb.plain(f"{source}BURSt:TDELay", Number(0, 85, 0, "S")),
            setting("TRIGger[:SEQuence]:SOURce", Choice(("TIMer", "EXTernal"), "TIM"),
                    self._source, self._put_source),
            *(setting(f"{source}FREQuency{name}", frequency, self._frequency, self._put_frequency)
              for name in ("[:CW]", ":FIXed")),
        ]  # fmt: skip
        amplitude = amplitude_commands(arb, f"{volts}[:AMPLitude]", f"{source}VOLTage:UNIT")
        return [*(row for pair in rows for row in pair), *amplitude, *self._actions()]

    def _actions(self) -> list[Command]:
        rows = [
            Command("TRIGger[:SEQuence][:IMMediate]", lambda _: self.trigger()),
            Command("ABORt", lambda _: self._arb.abort()),
            Command("SYSTem:BEEPer[:IMMediate]", lambda _: None),
        ]
        for name in ("TRACe", "DATA"):
            rows += [
                Command(f"{name}[:DATA]", self._store, 2, 2),
                Command(f"{name}:COPY", self._copy, 2, 2),
                Command(f"{name}:DEFine", self._define, 1, 2),
                Command(f"{name}:POINts", self._define, 1, 2),
                Command(f"{name}:POINts?", self._points, 0, 1),
                Command(f"{name}:CATalog?", self._catalogue),
            ]
        return rows

    def _frequency(self, channel: int) -> float:
        return self._arb.output(channel).frequency_hz

    def _put_frequency(self, channel: int, value: float) -> None:
        self._arb.output(channel).frequency_hz = max(round(value, 6), 1e-6)
        self._arb.tell_plant()

    def _polarity(self, channel: int) -> str:
        return "INV" if self._arb.output(channel).is_inverted else "NORM"

    def _put_polarity(self, channel: int, value: str) -> None:
        self._arb.output(channel).is_inverted = value == "INV"
        self._arb.tell_plant()

    def _burst_mode(self, channel: int) -> str:
        return str(self._arb.output(channel).values.get("burst mode", "TRIG"))

    def _put_burst_mode(self, channel: int, value: str) -> None:
        self._arb.output(channel).values["burst mode"] = value

    def _source(self, _: int) -> str:
        return self._arb.output(1).trigger_source

    def _put_source(self, _: int, value: str) -> None:
        self._arb.output(1).trigger_source = value

    # ---- waveforms

    def _shape(self, channel: int) -> str:
        return str(self._arb.output(channel).values.get("shape", "SIN"))

    def _put_shape(self, channel: int, value: str) -> None:
        is_memory = value == "EMEM" or value.startswith("USER")
        if is_memory and value not in self._stored:
            raise ScpiError(-221, "the memory is empty")
        output = self._arb.output(channel)
        output.values["shape"] = value
        output.function = "ARB" if is_memory else value
        output.waveform = self._stored.get(value)
        output.levels.put_dc(value == "DC")
        self._arb.tell_plant()

    def _keep(self, memory: str, codes: Codes) -> None:
        self._stored[memory] = codes
        for channel in (1, 2):
            if self._shape(channel) == memory:
                self._arb.output(channel).waveform = codes
        self._arb.tell_plant()

    def _store(self, call: Call) -> None:
        """Keep a block of 14-bit codes, the high byte first."""
        memory, data = _MEMORY.read(call.arguments[0]), read_block(call.arguments[1])
        if self._has_source_error:
            raise ScpiError(-310)
        if len(data) % 2:
            raise ScpiError(-161, "the block ends inside a point")
        words = np.frombuffer(data, ">u2").astype(np.float64)
        if not MIN_POINTS <= words.size <= MAX_POINTS:
            raise ScpiError(-223 if words.size > MAX_POINTS else -222)
        if words.max() > 2 * MIDDLE_CODE:
            raise ScpiError(-222, f"a code is not in 0 to {2 * MIDDLE_CODE}")
        self._keep(memory, np.rint((words / MIDDLE_CODE - 1) * FULL_SCALE).astype(np.int16))

    def _copy(self, call: Call) -> None:
        to, of = (_MEMORY.read(argument) for argument in call.arguments)
        if of not in self._stored:
            raise ScpiError(-221, "the memory is empty")
        self._keep(to, self._stored[of])

    def _define(self, call: Call) -> None:
        """Give the edit memory a number of points at the middle, or the contents of another."""
        if _MEMORY.read(call.arguments[0]) != "EMEM":
            raise ScpiError(-224)
        wanted = call.arguments[1] if len(call.arguments) > 1 else b"1000"
        if wanted[:1].isalpha():
            self._copy(call)
        else:
            self._keep("EMEM", np.zeros(round(_POINTS.read(wanted)), np.int16))

    def _points(self, call: Call) -> str:
        memory = _MEMORY.read(call.arguments[0]) if call.arguments else "EMEM"
        return str(self._stored[memory].size if memory in self._stored else 0)

    def _catalogue(self, _: Call) -> str:
        return ",".join(f'"{name}"' for name in self._stored)


def _new_output() -> ArbOutput:
    levels = Levels(vpp_open_v=2.0, min_vpp_open_v=MIN_VPP_OPEN_V)
    return ArbOutput(levels, frequency_hz=1e6, cycles=5, trigger_source="TIM")
