"""Twin of a Rigol DG812, a waveform generator with two channels.

Written from the DG1000Z and DG800 Programming Guides and from what owners report (`PACKET_POINTS`).
Modelled: levels and load; sine, square, ramp, pulse and the volatile waveform of each channel,
by frequency or by sample rate; bursts by ``BURSt:TRIGger`` or ``*TRG``. Switches answer ``ON`` and
``OFF``. Noise and the built-in waveforms leave the plant silent; modulation, sweeps, coupling and
files are no part of the tree. A burst ends at the first point, whatever ``BURSt:IDLE`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from emgsim.plant.world import World
from emgsim.virtual.amplitude import amplitude_commands
from emgsim.virtual.arb_output import ArbGenerator, ArbOutput
from emgsim.virtual.levels import Levels
from emgsim.virtual.parameters import Choice, Number, ScpiError, Switch, read_block
from emgsim.virtual.scpi import Call, Command, Engine, setting
from emgsim.virtual.waveforms import FULL_SCALE, Codes

IDENTITY = "Rigol Technologies,DG812,DG8SIM000001,00.02.06.00.01"
MAX_POINTS = 8_000_000
PACKET_POINTS = 8192  # the guide allows 16384; owners report that it fails above this
MIN_POINTS = 8
HIGHEST_CODE = 0x3FFF
MIN_VPP_OPEN_V = 0.004
MAX_FREQUENCY_HZ = 10e6
MAX_RATE_HZ = 30e6
_FUNCTIONS = ("SINusoid", "SQUare", "RAMP", "PULSe", "NOISe", "ARB", "DC", "HARMonic", "PRBS")
_TRIGGERS = Choice(("INTernal", "EXTernal", "MANual"), "INT")


@dataclass(frozen=True, slots=True)
class OnOff(Switch):
    """Read ON, OFF or a number, and write ON or OFF."""

    def write(self, value: bool) -> str:
        """Return ON or OFF."""
        return "ON" if value else "OFF"


class VirtualRigolGenerator:
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
        self._packets: tuple[list[Codes], list[Codes]] = ([], [])
        self._arb = ArbGenerator(world, number, _new_output, is_stuck=is_stuck)
        self.engine = Engine(IDENTITY, self._commands(), self)

    # ---- what the common commands act on

    def reset(self) -> None:
        """Take the default settings: outputs off, a sine of 1 kHz and 5 Vpp into 50 ohm."""
        self._packets = ([], [])
        self._arb.renew()

    def trigger(self) -> None:
        """Start the bursts that wait for a manual trigger; otherwise it is ignored."""
        armed = [channel for channel in (1, 2) if self._is_armed(channel)]
        if not armed:
            raise ScpiError(-211)
        for channel in armed:
            self._arb.start(channel)

    def is_busy(self) -> bool:
        """Tell that nothing is pending: ``*OPC?`` does not wait for a burst."""
        return False

    def pass_time(self) -> None:
        """Let one block of simulated time pass."""
        self._arb.pass_time()

    def settle(self) -> Generator[None, None, None]:
        """Be done at once."""
        yield from ()

    def _is_armed(self, channel: int) -> bool:
        output = self._arb.output(channel)
        mode = output.values.get("[SOURce#:]BURSt:MODE", "TRIG")
        return output.is_burst and output.trigger_source == "MAN" and mode != "GAT"

    # ---- commands

    def _commands(self) -> list[Command]:
        arb, source = self._arb, "[SOURce#:]"
        volts = f"{source}VOLTage[:LEVel][:IMMediate]"
        load = Number(1, 10_000, 50, "OHM", infinite=True)
        frequency = Number(1e-6, MAX_FREQUENCY_HZ, 1e3, "HZ")
        duty = Number(0.01, 99.99, 50, "%")
        rows = [
            arb.on_off("OUTPut#[:STATe]", OnOff()),
            arb.load("OUTPut#:LOAD", load),
            arb.load("OUTPut#:IMPedance", load),
            setting("OUTPut#:POLarity", Choice(("NORMal", "INVerted"), "NORM"),
                    self._polarity, self._put_polarity),
            arb.plain("OUTPut#:SYNC[:STATe]", OnOff(True)),
            setting(f"{source}FUNCtion[:SHAPe]", Choice(_FUNCTIONS, "SIN"),
                    self._function, self._put_function),
            arb.attribute(f"{source}FREQuency[:FIXed]", "frequency_hz", frequency),
            arb.level(f"{volts}:OFFSet", "offset"),
            arb.level(f"{volts}:HIGH", "high"),
            arb.level(f"{volts}:LOW", "low"),
            arb.attribute(f"{source}PHASe[:ADJust]", "phase_deg", Number(0, 360, 0)),
            arb.attribute(f"{source}PULSe:DCYCle", "duty_pct", duty),
            arb.attribute(f"{source}FUNCtion:SQUare:DCYCle", "duty_pct", duty),
            arb.attribute(f"{source}FUNCtion:RAMP:SYMMetry", "symmetry_pct",
                          Number(0, 100, 50, "%")),
            setting(f"{source}PULSe:WIDTh", Number(16e-9, 1e6, 5e-4, "S"),
                    self._width_s, self._put_width_s),
            setting(f"{source}FUNCtion:ARB:MODE", Choice(("SRATe", "FREQ"), "FREQ"),
                    self._mode, self._put_mode),
            setting(f"{source}FUNCtion:ARB:SRATe", Number(1e-6, MAX_RATE_HZ, 1e6, "SA/S"),
                    self._rate_hz, self._put_rate_hz),
            arb.attribute(f"{source}BURSt[:STATe]", "is_burst", OnOff()),
            arb.plain(f"{source}BURSt:MODE", Choice(("TRIGgered", "INFinity", "GATed"), "TRIG")),
            arb.attribute(f"{source}BURSt:NCYCles", "cycles", Number(1, 1e6, 1, integer=True)),
            arb.attribute(f"{source}BURSt:TRIGger:SOURce", "trigger_source", _TRIGGERS),
            arb.plain(f"{source}BURSt:IDLE",
                      Choice(("FPT", "TOP", "CENTER", "BOTTOM"), "FPT")),
            arb.plain(f"{source}BURSt:TDELay", Number(0, 100, 0, "S")),
        ]  # fmt: skip
        amplitude = amplitude_commands(arb, f"{volts}[:AMPLitude]", f"{source}VOLTage:UNIT")
        return [*(row for pair in rows for row in pair), *amplitude, *self._actions(source)]

    def _actions(self, source: str) -> list[Command]:
        rows = [
            Command(f"{source}BURSt:TRIGger[:IMMediate]", self._trigger_now),
            Command(f"{source}[TRACe:]DATA:DAC16", self._store, 3, 3),
            Command(f"{source}APPLy?", self._applied),
        ]
        for shape in ("SINusoid", "SQUare", "RAMP", "PULSe", "NOISe", "DC", "ARBitrary"):
            name = shape.removesuffix("itrary") if shape.startswith("ARB") else shape
            rows.append(Command(f"{source}APPLy:{shape}", self._applier(name), 0, 4))
        return rows

    def _polarity(self, channel: int) -> str:
        return "INV" if self._arb.output(channel).is_inverted else "NORM"

    def _put_polarity(self, channel: int, value: str) -> None:
        self._arb.output(channel).is_inverted = value == "INV"
        self._arb.tell_plant()

    def _function(self, channel: int) -> str:
        return self._arb.output(channel).function

    def _put_function(self, channel: int, value: str) -> None:
        output = self._arb.output(channel)
        output.function = value
        output.levels.put_dc(value == "DC")
        self._arb.tell_plant()

    def _width_s(self, channel: int) -> float:
        output = self._arb.output(channel)
        return output.duty_pct / 100 / output.frequency_hz

    def _put_width_s(self, channel: int, value: float) -> None:
        output = self._arb.output(channel)
        output.duty_pct = min(max(100 * value * output.frequency_hz, 0.01), 99.99)
        self._arb.tell_plant()

    # ---- arbitrary waveforms

    def _mode(self, channel: int) -> str:
        return "FREQ" if self._arb.output(channel).rate_hz is None else "SRAT"

    def _put_mode(self, channel: int, value: str) -> None:
        rate_hz = self._rate_hz(channel)
        self._arb.output(channel).rate_hz = rate_hz if value == "SRAT" else None
        self._arb.tell_plant()

    def _rate_hz(self, channel: int) -> float:
        output = self._arb.output(channel)
        return float(output.values.get("rate", 1e6)) if output.rate_hz is None else output.rate_hz

    def _put_rate_hz(self, channel: int, value: float) -> None:
        output = self._arb.output(channel)
        output.values["rate"] = value
        if output.rate_hz is not None:
            output.rate_hz = value
            self._arb.tell_plant()

    def _store(self, call: Call) -> None:
        """Take a packet; the last one makes the waveform, selects it and plays it by rate."""
        if self._has_source_error:
            raise ScpiError(-310)
        name, word = (argument.decode("latin-1").upper() for argument in call.arguments[:2])
        if name != "VOLATILE" or word not in ("CON", "END"):
            raise ScpiError(-224)
        waiting = self._packets[call.suffix - 1]
        waiting.append(_codes(read_block(call.arguments[2])))
        if sum(codes.size for codes in waiting) > MAX_POINTS:
            waiting.clear()
            raise ScpiError(-223)
        if word == "END":
            output = self._arb.output(call.suffix)
            output.waveform = np.concatenate(waiting)
            waiting.clear()
            output.rate_hz = self._rate_hz(call.suffix)
            self._put_function(call.suffix, "ARB")

    # ---- actions

    def _trigger_now(self, call: Call) -> None:
        if not self._is_armed(call.suffix):
            raise ScpiError(-211)
        self._arb.start(call.suffix)

    def _applier(self, name: str) -> Callable[[Call], None]:
        def apply(call: Call) -> None:
            output = self._arb.output(call.suffix)
            values = [_ANY.read(argument) for argument in call.arguments]
            self._put_function(call.suffix, Choice(_FUNCTIONS, "SIN").read(name.encode()))
            if name == "NOISe":
                values.insert(0, output.frequency_hz)
            if name == "ARB" and values:
                output.rate_hz = output.values["rate"] = values[0]
            elif values:
                output.frequency_hz = values[0]
            if len(values) > 1 and name != "DC":
                self._arb.put_level("vpp", call.suffix, values[1])
            if len(values) > 2:
                self._arb.put_level("offset", call.suffix, values[2])
            if len(values) > 3:
                output.phase_deg = values[3]
            self._arb.tell_plant()

        return apply

    def _applied(self, call: Call) -> str:
        output = self._arb.output(call.suffix)
        levels = output.levels
        fields = (output.frequency_hz, levels.get("vpp"), levels.get("offset"), output.phase_deg)
        return f'"{output.function},' + ",".join(f"{value:.6E}" for value in fields) + '"'


_ANY = Number(-1e12, 1e12, 0.0, clipped=True)


def _codes(data: bytes) -> Codes:
    """Return a packet of 14-bit codes, the low byte first, at full scale +-32767."""
    if len(data) % 2:
        raise ScpiError(-161, "the block ends inside a point")
    words = np.frombuffer(data, "<u2").astype(np.float64)
    if not MIN_POINTS <= words.size <= PACKET_POINTS:
        raise ScpiError(-223 if words.size > PACKET_POINTS else -222)
    if words.max() > HIGHEST_CODE:
        raise ScpiError(-222, f"a code is not in 0 to {HIGHEST_CODE}")
    return np.rint((2 * words / HIGHEST_CODE - 1) * FULL_SCALE).astype(np.int16)


def _new_output() -> ArbOutput:
    levels = Levels(vpp_open_v=10.0, min_vpp_open_v=MIN_VPP_OPEN_V)
    return ArbOutput(levels, waveform=np.zeros(MIN_POINTS, np.int16), trigger_source="INT")
