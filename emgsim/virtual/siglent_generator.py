"""Twin of a Siglent waveform generator with two channels: an SDG2042X, or of 14 bits an SDG1062X.

Written from the SDG Series Programming Guide (PG02-E05) and from answers that owners have recorded
(`_basic_fields`, `_burst_fields`). Modelled: load, polarity and levels; sine, square, ramp, pulse
and arbitrary waveforms, the latter by frequency (DDS) or by sample rate (TARB); bursts of cycles by
manual trigger; the store of waveforms, which survives ``*RST``. What this dialect cannot do it
ignores without a word; so does the twin. The guide knows no error queue; the one that every twin
has (``SYSTem:ERRor?``) is there for people who look for their mistake.

Not known, and chosen here: levels out of range are brought into it; numbers are told in six
digits. Not modelled: modulation, sweeps, gated bursts, external and internal triggers, noise,
``WVDT?``, and ``INTER,LINE``, which plays as ``HOLD`` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import suppress

import numpy as np

from emgsim.plant.world import World
from emgsim.virtual.arb_output import ArbGenerator, ArbOutput
from emgsim.virtual.levels import Levels
from emgsim.virtual.parameters import ScpiError
from emgsim.virtual.scpi import Call, Command, Engine, Reply
from emgsim.virtual.siglent_messages import (
    Pairs,
    SiglentSplitter,
    read_number,
    read_pairs,
    read_units,
)
from emgsim.virtual.waveforms import Codes

MODELS = {  # bits, points, largest sample rate
    "SDG2042X": (16, 8_000_000, 75e6),
    "SDG1062X": (14, 16_384, 30e6),
}
MIN_POINTS = 8
MIN_VPP_OPEN_V = 0.004  # 2 mVpp into 50 ohm
MAX_VPP_OPEN_V = 20.0
MAX_FREQUENCY_HZ = 40e6
MAX_CYCLES = 1_000_000
_FUNCTIONS = {
    "SINE": "SIN", "SQUARE": "SQU", "RAMP": "RAMP", "PULSE": "PULS", "NOISE": "NOIS",
    "ARB": "ARB", "DC": "DC",
}  # fmt: skip
_LONG = {
    "OUTP": "OUTPUT", "BSWV": "BASIC_WAVE", "BTWV": "BURSTWAVE", "ARWV": "ARBWAVE",
    "SRATE": "SAMPLERATE", "SYNC": "SYNC",
}  # fmt: skip


class Channel:
    """What a channel has besides its output."""

    def __init__(self) -> None:
        self.arb_name = ""
        self.mode = "DDS"
        self.most_vpp = MAX_VPP_OPEN_V
        self.rate_hz = 1e6
        self.inter = "LINE"
        self.gate = "NCYC"
        self.period_s = 0.01
        self.delay_s = 0.0
        self.trigger_out = "OFF"
        self.is_synced = False


class VirtualSiglentGenerator:
    """Map the instrument's settings on a generator of a `World`.

    Parameters
    ----------
    world
        The plant.
    number
        Which of its generators, from 0.
    model
        One of `MODELS`.
    has_source_error
        Ignore every upload.
    is_stuck
        An output that is on stays on.
    """

    def __init__(
        self,
        world: World,
        number: int = 0,
        *,
        model: str = "SDG2042X",
        has_source_error: bool = False,
        is_stuck: bool = False,
    ) -> None:
        self._bits, self._max_points, self._max_rate_hz = MODELS[model]
        self._has_source_error = has_source_error
        self._stored: dict[str, tuple[str, Codes]] = {}
        self._channels = (Channel(), Channel())
        self._arb = ArbGenerator(world, number, _new_output, is_stuck=is_stuck)
        self.engine = Engine(
            f"Siglent Technologies,{model},SDG0SIM0000001,2.01.01.37R6",
            self._commands(),
            self,
            splitter=SiglentSplitter,
            parse=read_units,
        )

    # ---- what the common commands act on

    def reset(self) -> None:
        """Take the default settings: outputs off, a sine of 1 kHz and 4 Vpp, high impedance."""
        self._channels = (Channel(), Channel())
        self._arb.renew()

    def trigger(self) -> None:
        """Refuse: the guide knows no ``*TRG``."""
        raise ScpiError(-113)

    def is_busy(self) -> bool:
        """Tell that nothing is pending: ``*OPC?`` does not wait for a burst."""
        return False

    def pass_time(self) -> None:
        """Let one block of simulated time pass."""
        self._arb.pass_time()

    def settle(self) -> Generator[None, None, None]:
        """Be done at once."""
        yield from ()

    # ---- commands

    def _commands(self) -> list[Command]:
        groups: dict[str, tuple[Callable[[int, Pairs], None], Callable[[int], str]]] = {
            "OUTP": (self._put_output, self._output_fields),
            "BSWV": (self._put_basic, self._basic_fields),
            "BTWV": (self._put_burst, self._burst_fields),
            "ARWV": (self._put_arb, self._arb_fields),
            "SRATE": (self._put_rate, self._rate_fields),
            "SYNC": (self._put_sync, self._sync_fields),
        }
        rows = [
            Command("C#:WVDT", self._store, 2, 20),
            Command("STL?", self._names, 0, 1),
        ]
        for short, (put, fields) in groups.items():
            for name in {short, _LONG[short]}:
                rows.append(Command(f"C#:{name}", self._setter(put), 1, 40))
                rows.append(Command(f"C#:{name}?", _asker(short, fields)))
        return rows

    def _setter(self, put: Callable[[int, Pairs], None]) -> Callable[[Call], Reply]:
        def write(call: Call) -> None:
            put(call.suffix, read_pairs(call.arguments))
            self._tell_plant(call.suffix)

        return write

    def _tell_plant(self, channel: int) -> None:
        own, output = self._channels[channel - 1], self._arb.output(channel)
        stored = self._stored.get(own.arb_name.upper())
        output.waveform = None if stored is None else stored[1]
        output.rate_hz = own.rate_hz if own.mode == "TARB" else None
        self._arb.tell_plant()

    # ---- OUTP

    def _put_output(self, channel: int, pairs: Pairs) -> None:
        output = self._arb.output(channel)
        for key, value in pairs:
            if key in ("ON", "OFF"):
                self._arb.switch(channel, key == "ON")
            elif key == "LOAD" and value == "HZ":
                output.levels.load_ohm = math.inf
            elif key == "LOAD" and 50 <= (load_ohm := read_number(value)) <= 100_000:
                output.levels.load_ohm = load_ohm
            elif key == "PLRT" and value in ("NOR", "INVT"):
                output.is_inverted = value == "INVT"

    def _output_fields(self, channel: int) -> str:
        output = self._arb.output(channel)
        load_ohm = output.levels.load_ohm
        load = "HZ" if math.isinf(load_ohm) else f"{load_ohm:.6g}"
        return (
            f"{'ON' if output.is_on else 'OFF'},LOAD,{load},"
            f"PLRT,{'INVT' if output.is_inverted else 'NOR'}"
        )

    # ---- BSWV

    def _put_basic(self, channel: int, pairs: Pairs) -> None:
        own, output = self._channels[channel - 1], self._arb.output(channel)
        levels = {"AMP": "vpp", "OFST": "offset", "HLEV": "high", "LLEV": "low"}
        for key, value in pairs:
            if key == "WVTP" and value in _FUNCTIONS:
                output.function = _FUNCTIONS[value]
                with suppress(ScpiError):
                    output.levels.put_dc(value == "DC")
            elif key == "MAX_OUTPUT_AMP":
                own.most_vpp = min(max(read_number(value), MIN_VPP_OPEN_V), MAX_VPP_OPEN_V)
            elif key in levels:
                with suppress(ScpiError):  # brought into range without a word
                    output.levels.put(levels[key], read_number(value))
            elif key == "FRQ":
                output.frequency_hz = min(max(read_number(value), 1e-6), MAX_FREQUENCY_HZ)
            elif key == "PERI":
                output.frequency_hz = min(max(1 / read_number(value), 1e-6), MAX_FREQUENCY_HZ)
            elif key == "PHSE":
                output.phase_deg = read_number(value) % 360
            elif key == "DUTY":
                output.duty_pct = min(max(read_number(value), 0.001), 99.999)
            elif key == "SYM":
                output.symmetry_pct = min(max(read_number(value), 0.0), 100.0)
        if output.levels.get("vpp") > own.most_vpp:
            with suppress(ScpiError):
                output.levels.put("vpp", own.most_vpp)

    def _basic_fields(self, channel: int) -> str:
        own, output = self._channels[channel - 1], self._arb.output(channel)
        word = next(word for word, name in _FUNCTIONS.items() if name == output.function)
        levels = output.levels
        if word == "DC":
            return f"WVTP,DC,OFST,{levels.get('offset'):.6g}V"
        frequency_hz = output.frequency_hz
        if word == "ARB" and own.mode == "TARB" and output.waveform is not None:
            frequency_hz = own.rate_hz / output.waveform.size
        fields = [
            f"WVTP,{word},FRQ,{frequency_hz:.9g}HZ,PERI,{1 / frequency_hz:.6g}S",
            f"AMP,{levels.get('vpp'):.6g}V,OFST,{levels.get('offset'):.6g}V",
            f"HLEV,{levels.get('high'):.6g}V,LLEV,{levels.get('low'):.6g}V",
            f"PHSE,{output.phase_deg:.6g}",
        ]
        if own.most_vpp < MAX_VPP_OPEN_V:  # at its largest, owners' answers do not tell it
            fields.append(f"MAX_OUTPUT_AMP,{own.most_vpp:.6g}V")
        if word in ("SQUARE", "PULSE"):
            fields.append(f"DUTY,{output.duty_pct:.6g}")
        if word == "RAMP":
            fields.append(f"SYM,{output.symmetry_pct:.6g}")
        return ",".join(fields)

    # ---- BTWV

    def _put_burst(self, channel: int, pairs: Pairs) -> None:
        own, output = self._channels[channel - 1], self._arb.output(channel)
        for key, value in pairs:
            if key == "STATE" and value in ("ON", "OFF"):
                output.is_burst = value == "ON"
            elif not output.is_burst:
                continue  # "STATE must be ON before the others"
            elif key == "MTRIG":
                self._trigger(channel)
            elif key == "TRSR" and value in ("EXT", "INT", "MAN"):
                output.trigger_source = value
            elif key == "TIME":
                cycles = math.inf if value == "INF" else round(read_number(value))
                if math.isinf(cycles) or 1 <= cycles <= MAX_CYCLES:
                    output.cycles = cycles
            elif key == "GATE_NCYC" and value in ("GATE", "NCYC"):
                own.gate = value
            elif key == "PRD":
                own.period_s = max(read_number(value), 1e-6)
            elif key == "DLAY":
                own.delay_s = max(read_number(value), 0.0)
            elif key == "TRMD" and value in ("RISE", "FALL", "OFF"):
                own.trigger_out = value
            else:  # a carrier's, behind the word CARR
                self._put_basic(channel, [(key, value)])

    def _trigger(self, channel: int) -> None:
        own, output = self._channels[channel - 1], self._arb.output(channel)
        if output.trigger_source == "MAN" and own.gate == "NCYC" and output.is_on:
            self._tell_plant(channel)
            self._arb.start(channel)

    def _burst_fields(self, channel: int) -> str:
        own, output = self._channels[channel - 1], self._arb.output(channel)
        if not output.is_burst:
            return "STATE,OFF"
        cycles = "INF" if math.isinf(output.cycles) else f"{output.cycles:g}"
        return (
            f"STATE,ON,PRD,{own.period_s:.6g}S,STPS,0,TRSR,{output.trigger_source},"
            f"TRMD,{own.trigger_out},TIME,{cycles},DLAY,{own.delay_s:.6g}S,GATE_NCYC,{own.gate},"
            f"CARR,{self._basic_fields(channel)}"
        )

    # ---- waveforms

    def _put_arb(self, channel: int, pairs: Pairs) -> None:
        for key, value in pairs:
            if key == "NAME" and value in self._stored:
                self._channels[channel - 1].arb_name = self._stored[value][0]

    def _arb_fields(self, channel: int) -> str:
        own = self._channels[channel - 1]
        return f"INDEX,{60 if own.arb_name else 0},NAME,{own.arb_name}"

    def _put_rate(self, channel: int, pairs: Pairs) -> None:
        own = self._channels[channel - 1]
        for key, value in pairs:
            if key == "MODE" and value in ("DDS", "TARB"):
                own.mode = value
            elif own.mode != "TARB":
                continue  # there is no sample rate to set
            elif key == "VALUE" and 1e-6 <= (rate_hz := read_number(value)) <= self._max_rate_hz:
                own.rate_hz = rate_hz
            elif key == "INTER" and value in ("LINE", "HOLD"):
                own.inter = value

    def _rate_fields(self, channel: int) -> str:
        own = self._channels[channel - 1]
        if own.mode == "DDS":
            return "MODE,DDS"
        return f"MODE,TARB,VALUE,{own.rate_hz:.12g}Sa/s,INTER,{own.inter}"

    def _put_sync(self, channel: int, pairs: Pairs) -> None:
        for key, _ in pairs:
            if key in ("ON", "OFF"):
                self._channels[channel - 1].is_synced = key == "ON"

    def _sync_fields(self, channel: int) -> str:
        return f"{'ON' if self._channels[channel - 1].is_synced else 'OFF'},TYPE,CH1"

    def _store(self, call: Call) -> None:
        """Keep a waveform; what is too long, too short or cut in a point is not kept."""
        *words, data = call.arguments
        names = [value for key, value in read_pairs(tuple(words), keep_case=True) if key == "WVNM"]
        is_whole = len(data) % 2 == 0 and MIN_POINTS <= len(data) // 2 <= self._max_points
        if not names or not is_whole or self._has_source_error:
            return
        codes = np.maximum(np.frombuffer(data, "<i2"), -32767)
        codes = codes & np.int16(-(1 << (16 - self._bits)))
        self._stored[names[0].upper()] = (names[0], codes)
        for channel in (1, 2):
            self._tell_plant(channel)

    def _names(self, _: Call) -> str:
        return ",".join(("STL WVNM", *(name for name, _ in self._stored.values())))


def _new_output() -> ArbOutput:
    levels = Levels(vpp_open_v=4.0, load_ohm=math.inf, min_vpp_open_v=MIN_VPP_OPEN_V)
    return ArbOutput(levels, trigger_source="INT")


def _asker(group: str, fields: Callable[[int], str]) -> Callable[[Call], Reply]:
    return lambda call: f"C{call.suffix}:{group} {fields(call.suffix)}"
