"""Twin of the Keysight 33522B, a two-channel arbitrary waveform generator; channel 1 is wired.

Modelled: levels and loads, arbitrary waveforms in volatile memory, the standard waveforms, bursts
triggered by ``*TRG`` or ``TRIGger``, continuous play, output limits. Settings of modulation,
sweep, coupling, sequences and files are no part of the tree and answer -113. Pulse edges,
``NOISe`` and ``PRBS``, gated bursts, external, timer and immediate triggers are settings that do
not reach the plant. Volatile memory survives ``*RST``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from emgsim.plant.world import World
from emgsim.virtual.generator_tree import (
    CHANNEL_SETTINGS,
    INSTRUMENT_SETTINGS,
    LEVELS,
    LINKED_SETTINGS,
)
from emgsim.virtual.outputs import Output
from emgsim.virtual.parameters import Number, ScpiError, read_name
from emgsim.virtual.scpi import Call, Command, Engine, setting
from emgsim.virtual.waveforms import (
    MAX_POINTS,
    Codes,
    WaveformMemory,
    read_codes,
    read_values,
)
from emgsim.virtual.wired_output import WiredOutput

IDENTITY = "Agilent Technologies,33522B,MY00000001,4.00-1.19-2.00-58-00"


class VirtualGenerator:
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
        An output that is on stays on, whatever is said to it: its relay is welded.
    """

    def __init__(
        self,
        world: World,
        number: int = 0,
        *,
        has_source_error: bool = False,
        is_stuck: bool = False,
    ) -> None:
        self._wired = WiredOutput(world, number)
        self._has_source_error = has_source_error
        self._is_stuck = is_stuck
        self._memories = (WaveformMemory(), WaveformMemory())
        self._outputs: tuple[Output, ...] = ()
        self.reset()
        self.engine = Engine(IDENTITY, self._commands(), self)

    # ---- what the common commands act on

    def reset(self) -> None:
        """Take the power-on settings: outputs off, a sine of 1 kHz and 100 mVpp into 50 ohm."""
        were_on = [self._is_stuck and output.get("output_on") for output in self._outputs]
        self._outputs = tuple(Output(memory) for memory in self._memories)
        for output, was_on in zip(self._outputs, were_on, strict=False):
            output.put("output_on", was_on)
        self._shared: dict[str, Any] = {key: kind.default for _, key, kind in INSTRUMENT_SETTINGS}
        self._tell_plant()

    def trigger(self) -> None:
        """Start a burst where the bus is the trigger source; otherwise the trigger is ignored."""
        self._start([output for output in self._outputs if output.is_armed("BUS")])

    def is_busy(self) -> bool:
        """Tell whether a burst that will end is playing."""
        return self._wired.is_busy()

    def pass_time(self) -> None:
        """Let one block of simulated time pass."""
        self._wired.pass_time()

    def settle(self) -> Generator[None, None, None]:
        """Play the burst to its end."""
        yield from self._wired.settle()

    # ---- the plant

    def _tell_plant(self) -> None:
        """Give the first channel's settings to the plant."""
        output = self._outputs[0]
        self._wired.follow(
            output.plant_settings,
            output.codes,
            is_continuous=output.is_continuous,
            is_finite=output.is_finite,
        )

    def _start(self, outputs: list[Output]) -> None:
        """Trigger outputs; the second one is wired to nothing, and silence stays silence."""
        if not outputs:
            raise ScpiError(-211)
        if self._outputs[0] in outputs:
            self._wired.start()

    # ---- settings

    def _commands(self) -> list[Command]:
        rows: list[Command] = []
        for pattern, key, kind in CHANNEL_SETTINGS + LINKED_SETTINGS:
            rows += setting(pattern, kind, partial(self._get, key), partial(self._put, key))
        for pattern, key, level in LEVELS:
            allowed = partial(self._level_kind, level)
            rows += setting(pattern, allowed, partial(self._get, key), partial(self._put, key))
        for pattern, key, kind in INSTRUMENT_SETTINGS:
            rows += setting(
                pattern, kind, partial(self._get_shared, key), partial(self._put_shared, key)
            )
        rows += setting(
            "[SOURce#:]FREQuency[:CW]",
            lambda channel: self._outputs[channel - 1].frequency_kind,
            partial(self._get, "frequency_hz"),
            partial(self._put, "frequency_hz"),
        )
        return [*rows, *self._waveform_commands(), *self._action_commands()]

    def _get(self, key: str, channel: int) -> Any:
        return self._outputs[channel - 1].get(key)

    def _put(self, key: str, channel: int, value: Any) -> None:
        if key == "output_on" and self._is_stuck and self._get(key, channel):
            return
        try:
            self._outputs[channel - 1].put(key, value)
        finally:  # a value that was clipped and reported is in force all the same
            self._tell_plant()

    def _level_kind(self, level: str, channel: int) -> Number:
        return self._outputs[channel - 1].level_kind(level)

    def _get_shared(self, key: str, _: int) -> Any:
        return self._shared[key]

    def _put_shared(self, key: str, _: int, value: Any) -> None:
        self._shared[key] = value

    # ---- waveforms

    def _waveform_commands(self) -> tuple[Command, ...]:
        most = MAX_POINTS + 2  # a list that is too long is told from one that has too many words
        data = "[SOURce#:]DATA"
        return (
            Command("[SOURce#:]FUNCtion:ARBitrary", self._select, 1, 1),
            Command("[SOURce#:]FUNCtion:ARBitrary?", self._selected),
            Command("[SOURce#:]FUNCtion:ARBitrary:POINts?", self._points),
            Command(f"{data}:ARBitrary", partial(self._store, read_values), 2, most),
            Command(f"{data}:ARBitrary:DAC", partial(self._store, read_codes), 2, most),
            Command(f"{data}:ARBitrary:POINts?", self._points, 0, 1),
            Command(f"{data}:ATTRibute:POINts?", self._points, 0, 1),
            Command(f"{data}:VOLatile:CATalog?", self._catalogue),
            Command(f"{data}:VOLatile:FREE?", self._free),
            Command(f"{data}:VOLatile:CLEar", self._clear),
        )

    def _store(self, read: Callable[..., Codes], call: Call) -> None:
        if self._has_source_error:
            raise ScpiError(-310)
        name = read_name(call.arguments[0])
        codes = read(call.arguments[1:], big_endian=self._shared["byte_order"] == "NORM")
        self._memories[call.suffix - 1].store(name, codes)

    def _select(self, call: Call) -> None:
        self._put("arb_name", call.suffix, read_name(call.arguments[0]))

    def _selected(self, call: Call) -> str:
        return f'"{self._outputs[call.suffix - 1].arb_name}"'

    def _points(self, call: Call) -> str:
        output = self._outputs[call.suffix - 1]
        name = read_name(call.arguments[0]) if call.arguments else output.arb_name
        return f"{output.memory.codes(name).size:+d}"

    def _catalogue(self, call: Call) -> str:
        return ",".join(f'"{name}"' for name in self._memories[call.suffix - 1].names)

    def _free(self, call: Call) -> str:
        return f"{self._memories[call.suffix - 1].n_free:+d}"

    def _clear(self, call: Call) -> None:
        self._outputs[call.suffix - 1].clear_memory()
        self._tell_plant()

    # ---- actions

    def _action_commands(self) -> tuple[Command, ...]:
        return (
            Command("TRIGger#[:IMMediate]", self._trigger_now),
            Command("ABORt", self._abort),
            Command("INITiate#[:IMMediate]", _accept),
            Command("[SOURce#:]PHASe:SYNChronize", _accept),
            Command("DISPlay:TEXT:CLEar", lambda _: self._put_shared("display_text", 1, "")),
            Command("SYSTem:BEEPer[:IMMediate]", _accept),
            Command("SYSTem:LOCal", _accept),
            Command("SYSTem:REMote", _accept),
            Command("SYSTem:RWLock", _accept),
        )

    def _trigger_now(self, call: Call) -> None:
        output = self._outputs[call.suffix - 1]
        self._start([output] if output.is_armed() else [])

    def _abort(self, _: Call) -> None:
        """End a burst; a continuous waveform goes on."""
        if self._outputs[0].is_armed():
            self._wired.abort()


def _accept(_: Call) -> None:
    """Take a command that changes nothing in the plant."""
