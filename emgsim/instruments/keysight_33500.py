"""Drives Keysight 33500B and 33600A waveform generators (33509B to 33622A), channel 1.

Order matters on these instruments: the load scales all voltages, so it is set first; the sample
rate belongs to the arbitrary function, so the function comes before it; the offset limits the
amplitude, so it is zeroed before the amplitude is set.

Codes are int16 of a DAC: 32767 is +vpp/2, whatever the waveform's own extent.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from emgsim.instruments.base import (
    Filter,
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
from emgsim.instruments.scpi import Block, is_word
from emgsim.instruments.scpi_generator import ScpiGenerator, Word

FULL_SCALE_CODE = 32767
MIN_POINTS = 8
MAX_VPP_OPEN_V = 20.0
MAX_RATE_HZ = {"335": 250e6, "336": 1e9}  # by the first digits of the model, data sheets
KEPT = {  # without these a playback is endless, or another one altogether
    "SOUR1:FUNC": "ARB",
    "SOUR1:VOLT:UNIT": "VPP",
    "SOUR1:BURS:MODE": "TRIG",
    "SOUR1:BURS:STAT": "ON",
    "TRIG1:SOUR": "BUS",
    "OUTP1:POL": "NORM",
}


class Keysight33500(ScpiGenerator):
    """Plays int16 waveforms from the first channel, one burst per ``*TRG``.

    Use `open`; the constructor takes a link that is open already and sends nothing.
    """

    models: ClassVar[re.Pattern[str]] = re.compile(r"335|336")
    models_told: ClassVar[str] = "begin with 335 or 336"
    off_messages: ClassVar[tuple[str, ...]] = (":OUTP1 OFF",)
    off_query: ClassVar[tuple[str, str]] = (":OUTP1?", "0")

    @property
    def caps(self) -> SourceCaps:
        """Tell what this generator can do; the memory is asked, since it is an option."""
        if self._caps is None:
            model = self.identify().model
            self.off()
            self._link.tell(":SOUR1:DATA:VOL:CLE")
            self._caps = SourceCaps(
                code_bits=16,
                max_points=int(self._link.ask_number(":SOUR1:DATA:VOL:FREE?")),
                min_points=MIN_POINTS,
                max_rate_hz=MAX_RATE_HZ[model[:3]],
                max_vpp_open_v=MAX_VPP_OPEN_V,
                channels=2 if model[4:5] in ("0", "2") else 1,
                output_ohm=OUTPUT_OHM,
            )
            self._forget_waveform()
        return self._caps

    def trigger(self) -> None:
        """Start one burst now; a trigger that the generator ignored is an error."""
        self._link.tell("*TRG")
        self._link.check_errors("*TRG")

    def _put_output(self, word: Word) -> None:
        self._link.choose("OUTP1", word)

    def _codes(self, volts: NDArray[np.float64], full_scale_v: float) -> tuple[Block, float]:
        rounded, rms_v = coded(volts, full_scale_v, -FULL_SCALE_CODE, FULL_SCALE_CODE)
        return rounded.astype("<i2"), rms_v

    def _send(self, name: str, codes: Block) -> int:
        self._link.tell(":FORM:BORD SWAP;:SOUR1:DATA:VOL:CLE")
        return self._link.tell_block(f":SOUR1:DATA:ARB:DAC {name},", codes)

    def _put_levels(self, settings: SourceSettings) -> None:
        link, factor = self._link, load_factor(settings.load_ohm)
        link.put("OUTP1:LOAD", settings.load_ohm)
        link.choose("OUTP1:POL", "NORM")
        link.choose("SOUR1:FUNC", "ARB")
        link.choose("SOUR1:VOLT:UNIT", "VPP")
        floor = 1e-4 * settings.vpp_open_v
        link.put("SOUR1:VOLT:OFFS", 0.0, floor=floor)
        link.put("SOUR1:VOLT", settings.vpp_open_v * factor)
        link.put("SOUR1:VOLT:OFFS", settings.offset_open_v * factor, floor=floor)

    def _put_timing(self, settings: SourceSettings) -> None:
        link = self._link
        link.choose("SOUR1:FUNC:ARB:FILT", settings.filter)
        link.put("SOUR1:FUNC:ARB:SRAT", settings.rate_hz)
        link.choose("SOUR1:BURS:MODE", "TRIG")
        link.put("SOUR1:BURS:NCYC", settings.cycles)
        link.choose("TRIG1:SOUR", "BUS")
        link.choose("SOUR1:BURS:STAT", "ON")

    def _select_waveform(self) -> None:
        self._link.choose("SOUR1:FUNC:ARB", self._waveform)

    def _check_length(self) -> None:
        n_points = self._link.ask_number(":SOUR1:DATA:ATTR:POIN?")
        if n_points != self._n_points:
            raise changed(
                "the waveform's length", f"{self._n_points}", f"{n_points:g}", self._link.address
            )

    def _read_back(self, wanted: SourceSettings) -> SourceSettings:
        ask = self._link.ask_number
        for header, word in KEPT.items():
            if not is_word(answer := self._link.ask(f":{header}?"), word):
                raise changed(header, word, answer, self._link.address)
        load_ohm = ask(":OUTP1:LOAD?")
        factor = load_factor(load_ohm)
        actual = replace(
            wanted,
            rate_hz=ask(":SOUR1:FUNC:ARB:SRAT?"),
            vpp_open_v=ask(":SOUR1:VOLT?") / factor,
            offset_open_v=ask(":SOUR1:VOLT:OFFS?") / factor,
            cycles=whole(ask(":SOUR1:BURS:NCYC?")),
            load_ohm=load_ohm,
            filter=cast(Filter, self._link.ask(":SOUR1:FUNC:ARB:FILT?")),
        )
        check_same(wanted, actual, self._link.address)
        return actual
