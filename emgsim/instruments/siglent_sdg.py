"""Drives Siglent SDG1000X and SDG2000X waveform generators, channel 1, in their TrueArb mode.

Written from the SDG Series Programming Guide (PG02-E05; sections in the comments below). Its
dialect is no SCPI: a command carries keys and values (``C1:BSWV AMP,4``), and a query answers with
all of them (``C1:BSWV WVTP,ARB,FRQ,...``). The guide knows no error queue: whatever the generator
cannot do it refuses without a word, so every setting is read back, and that is the only check.

Waveform data follow the word ``WAVEDATA,`` without any block header. On a wire that does not mark
the end of a message (a raw socket) a generator takes the next command for data (pyvisa-py issue
311), so the length is always sent too.

Not known, and to be watched on the first real generator: how its firmware rounds levels (a
difference of 1 mV is accepted, and the value read back is what counts), whether every firmware of
an SDG1000X tells ``INTER``, and how large its store for names is: a waveform stays in it until it
is deleted at the front panel. The length of a stored waveform cannot be asked for.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InstrumentError
from emgsim.instruments.base import (
    SourceCaps,
    SourceSettings,
)
from emgsim.instruments.generator_waveforms import (
    OUTPUT_OHM,
    changed,
    check_same,
    coded,
    load_factor,
    whole,
)
from emgsim.instruments.scpi import Block, is_close
from emgsim.instruments.scpi_generator import UPLOAD_TIMEOUT_S, ScpiGenerator, Word
from emgsim.instruments.siglent_fields import Fields, read_fields, read_number

FULL_SCALE_CODE = 32767  # +AMP/2, section WVDT
MIN_POINTS = 8
MAX_VPP_OPEN_V = 20.0
LEVEL_V = 1e-3  # accepted between what was set and what is read
WITHIN = 1e-4
HIGH_Z = "HZ"
KEPT = {  # without these a playback is endless, resampled, upside down, or another one altogether
    "OUTP": {"PLRT": "NOR"},
    "BSWV": {"WVTP": "ARB"},
    "SRATE": {"MODE": "TARB", "INTER": "HOLD"},
    "BTWV": {"STATE": "ON", "GATE_NCYC": "NCYC", "TRSR": "MAN"},
    "SYNC": {"STATE": "ON"},
}


@dataclass(frozen=True)
class Series:
    """What differs between the series; data sheets, those of the SDG1000X as sold by dealers."""

    code_bits: int
    max_points: int
    max_rate_hz: float


SERIES = {"SDG1": Series(14, 16_384, 30e6), "SDG2": Series(16, 8_000_000, 75e6)}


class SiglentSdg(ScpiGenerator):
    """Plays 16-bit (SDG2000X) or 14-bit (SDG1000X) waveforms, one burst per manual trigger.

    Use `open`; the constructor takes a link that is open already and sends nothing.
    """

    models: ClassVar[re.Pattern[str]] = re.compile(r"SDG[12]\d{3}X")
    models_told: ClassVar[str] = "be an SDG1000X or SDG2000X"
    off_messages: ClassVar[tuple[str, ...]] = ("C1:OUTP OFF", "C1:OUTP LOAD,HZ", "C1:OUTP PLRT,NOR")
    off_query: ClassVar[tuple[str, str]] = ("C1:OUTP?", "C1:OUTP OFF,LOAD,HZ,PLRT,NOR")
    reset_message = "*RST"  # stored waveforms stay
    only_filter = ("OFF", "Siglent SDG, which holds each point")

    @property
    def caps(self) -> SourceCaps:
        """Tell what this generator can do, by the series of its model."""
        if self._caps is None:
            series = SERIES[self.identify().model[:4]]
            self._caps = SourceCaps(
                code_bits=series.code_bits,
                max_points=series.max_points,
                min_points=MIN_POINTS,
                max_rate_hz=series.max_rate_hz,
                max_vpp_open_v=MAX_VPP_OPEN_V,
                channels=2,
                output_ohm=OUTPUT_OHM,
            )
        return self._caps

    def trigger(self) -> None:
        """Start one burst now; the dialect does not tell whether it was taken."""
        self._link.tell("C1:BTWV MTRIG")
        self._finish("the trigger")

    def errors(self) -> tuple[str, ...]:
        """Return nothing: the dialect has no error queue."""
        return ()

    def _check_errors(self, doing: str) -> None:
        """Do nothing: whatever is refused shows in what is read back alone."""

    # ---- waveforms

    def _codes(self, volts: NDArray[np.float64], full_scale_v: float) -> tuple[Block, float]:
        step = 1 << (16 - self.caps.code_bits)  # the DAC drops the bits that it does not have
        highest = FULL_SCALE_CODE / step
        rounded, rms_v = coded(volts, full_scale_v, -highest, highest)
        return (rounded * step).astype("<i2"), rms_v

    def _send(self, name: str, codes: Block) -> int:
        """Store a waveform, in place of one of the same name."""
        header = f"C1:WVDT WVNM,{name},LENGTH,{codes.nbytes}B,WAVEDATA,"
        return self._link.tell_bytes(header, codes.tobytes())

    def _select_waveform(self) -> None:
        self._put("ARWV", "NAME", self._waveform)

    # ---- settings

    def _put_levels(self, settings: SourceSettings) -> None:
        factor = load_factor(settings.load_ohm)
        self._put("OUTP", "LOAD", HIGH_Z if math.isinf(settings.load_ohm) else settings.load_ohm)
        self._put("OUTP", "PLRT", "NOR")
        self._put("BSWV", "WVTP", "ARB")
        self._put("BSWV", "OFST", 0.0, floor=LEVEL_V)  # it limits the amplitude
        self._put("BSWV", "AMP", settings.vpp_open_v * factor, floor=LEVEL_V)
        self._put("BSWV", "OFST", settings.offset_open_v * factor, floor=LEVEL_V)

    def _put_timing(self, settings: SourceSettings) -> None:
        self._put("SRATE", "MODE", "TARB")  # DDS would repeat and leave out points
        self._put("SRATE", "VALUE", settings.rate_hz)
        self._put("SRATE", "INTER", "HOLD")
        self._put("BTWV", "STATE", "ON")  # before all others, section BTWV
        self._put("BTWV", "GATE_NCYC", "NCYC")
        self._put("BTWV", "TRSR", "MAN")
        self._put("BTWV", "TIME", settings.cycles)
        self._link.tell("C1:SYNC ON,TYPE,CH1")
        if (state := self._fields("SYNC")["STATE"]) != "ON":
            raise _refused("C1:SYNC", "ON", state, self._link.address)

    def _put_output(self, word: Word) -> None:
        self._link.tell(f"C1:OUTP {word}")
        if (state := self._fields("OUTP")["STATE"]) != word:
            raise _refused("C1:OUTP", word, state, self._link.address)

    def _put(self, group: str, key: str, value: str | float, *, floor: float = 0.0) -> None:
        """Set one key, and refuse another value in the answer."""
        text = value if isinstance(value, str) else format(value, ".12g")
        self._link.tell(f"C1:{group} {key},{text}")
        answer = self._fields(group).get(key, "nothing")
        is_same = (
            answer.upper() == text.upper()
            if isinstance(value, str)
            else is_close(read_number(answer), value, within=WITHIN, floor=floor)
        )
        if not is_same:
            raise _refused(f"C1:{group} {key}", text, answer, self._link.address)

    def _read_back(self, wanted: SourceSettings) -> SourceSettings:
        found = {group: self._fields(group) for group in KEPT}
        for group, words in KEPT.items():
            for key, word in words.items():
                if (answer := found[group].get(key, "nothing")) != word:
                    raise changed(f"C1:{group} {key}", word, answer, self._link.address)
        load = found["OUTP"].get("LOAD", "")
        load_ohm = math.inf if load == HIGH_Z else read_number(load)
        factor = load_factor(load_ohm)
        actual = replace(
            wanted,
            rate_hz=read_number(found["SRATE"].get("VALUE", "")),
            vpp_open_v=read_number(found["BSWV"].get("AMP", "")) / factor,
            offset_open_v=read_number(found["BSWV"].get("OFST", "")) / factor,
            cycles=whole(read_number(found["BTWV"].get("TIME", ""))),
            load_ohm=load_ohm,
        )
        check_same(wanted, actual, self._link.address, within=WITHIN, floor_v=LEVEL_V / factor)
        return actual

    def _fields(self, group: str) -> Fields:
        """Ask for one group of the first channel."""
        return read_fields(self._link.ask(f"C1:{group}?"), f"C1:{group}", self._link.address)

    def _check_arrival(self, name: str) -> None:
        """Refuse an upload that is not among the stored waveforms."""
        stored = self._link.ask("STL? USER").removeprefix("STL").split(",")
        if name.upper() not in (word.strip().upper() for word in stored):
            raise InstrumentError(
                f"the waveform {name} was sent and is not among those that the generator has",
                where=self._link.address,
                todo="look whether its memory is full; on a raw socket use its ::INSTR address",
            )

    def _finish(self, doing: str) -> None:
        """Wait until all that was sent is done; any answer means that it is."""
        answer = self._link.ask("*OPC?", timeout_s=UPLOAD_TIMEOUT_S)
        if answer.strip() != "1":
            raise InstrumentError(
                f"the answer to *OPC? after {doing} must be 1, got {answer!r}",
                where=self._link.address,
            )


def _refused(name: str, wanted: str, actual: str, address: str) -> InstrumentError:
    return InstrumentError(
        f"{name} was set to {wanted}, reads back {actual}",
        where=address,
        todo="check the value against the generator's limits and for settings in conflict",
    )
