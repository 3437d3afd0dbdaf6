"""Drives Tektronix AFG3000 and AFG31000 function generators, channel 1, from their edit memory.

Written from the AFG3000 Series Programmer Manual (077-0743) and the AFG31000 Series Programmer
Manual (077-1148). The edit memory (``EMEMory``) holds 2 to 131 072 points of 14 bits: codes 0 to
16382, big-endian, 8191 is the middle. The 16 M points and more that the AFG31000's data sheet names
belong to its advanced mode, which plays files of its own disk; a waveform cannot be sent there by a
documented command, so it is not used.

There is no sample rate: a waveform of n points is repeated at a frequency, in steps of 1 uHz. The
rate is that frequency times n, so it can only be set and read when the waveform is there:
`TektronixAfg.configure` before the first upload returns the rate as asked, and `TektronixAfg.arm`
reads it in any case. The step makes an error of up to n * 0.5 uHz.

Not known: whether every AFG3000 without a C answers ``OUTPut:IMPedance?`` with 9.9E+37 for
infinity, as the manual has it.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

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
from emgsim.instruments.scpi import Block, is_word
from emgsim.instruments.scpi_generator import ScpiGenerator, Word

HIGHEST_CODE = 16_382  # the lowest is 0
MIN_POINTS = 2
MAX_POINTS = 131_072
MAX_VPP_OPEN_V = 20.0
MAX_RATE_HZ = 250e6  # of the slowest models that hold 131 072 points, data sheets
MAX_LOAD_OHM = 10_000.0
FREQUENCY_STEP_HZ = 1e-6
KEPT = {  # without these a playback is endless, or another one altogether
    "OUTP1:POL": "NORM",
    "SOUR1:VOLT:UNIT": "VPP",
    "SOUR1:BURS:MODE": "TRIG",
    "SOUR1:BURS:STAT": "ON",
    "TRIG:SOUR": "EXT",
}


class TektronixAfg(ScpiGenerator):
    """Plays 14-bit waveforms from the first channel, one burst per ``*TRG``.

    Use `open`; the constructor takes a link that is open already and sends nothing. The trigger
    output gives a pulse at each burst by itself.
    """

    models: ClassVar[re.Pattern[str]] = re.compile(r"AFG3\d{3,4}[A-Z]?$")
    models_told: ClassVar[str] = "be an AFG3000 or AFG31000"
    off_messages: ClassVar[tuple[str, ...]] = (":OUTP1:STAT OFF",)
    off_query: ClassVar[tuple[str, str]] = (":OUTP1:STAT?", "0")
    only_filter = ("OFF", "Tektronix AFG, which has none to choose")

    @property
    def caps(self) -> SourceCaps:
        """Tell what this generator can do; the last digit of its model is that of channels."""
        if self._caps is None:
            model = self.identify().model
            self._caps = SourceCaps(
                code_bits=14,
                max_points=MAX_POINTS,
                min_points=MIN_POINTS,
                max_rate_hz=MAX_RATE_HZ,
                max_vpp_open_v=MAX_VPP_OPEN_V,
                channels=2 if model.rstrip("ABC").endswith("2") else 1,
                output_ohm=OUTPUT_OHM,
            )
        return self._caps

    def trigger(self) -> None:
        """Start one burst now; what the generator complains about is an error."""
        self._link.tell("*TRG")
        self._link.check_errors("*TRG")

    def _put_output(self, word: Word) -> None:
        self._link.choose("OUTP1:STAT", word)

    def _codes(self, volts: NDArray[np.float64], full_scale_v: float) -> tuple[Block, float]:
        rounded, rms_v = coded(volts, full_scale_v, 0, HIGHEST_CODE)
        return rounded.astype(">u2"), rms_v

    def _send(self, name: str, codes: Block) -> int:  # noqa: ARG002 - its memory has no names
        """Send a waveform to the edit memory, which has no names."""
        return self._link.tell_block(":TRAC:DATA EMEM,", codes)

    def _check_arrival(self, name: str) -> None:  # noqa: ARG002 - as above
        """Refuse a block that was cut short, and bring the rate in force."""
        self._check_length()
        if self._settings is not None:
            self._put_rate(self._settings)

    def _put_levels(self, settings: SourceSettings) -> None:
        link, factor = self._link, load_factor(settings.load_ohm)
        link.put("OUTP1:IMP", settings.load_ohm)
        link.choose("OUTP1:POL", "NORM")
        self._select_waveform()
        link.choose("SOUR1:VOLT:UNIT", "VPP")
        floor = 1e-4 * settings.vpp_open_v
        link.put("SOUR1:VOLT:OFFS", 0.0, floor=floor)  # it limits the amplitude
        link.put("SOUR1:VOLT", settings.vpp_open_v * factor)
        link.put("SOUR1:VOLT:OFFS", settings.offset_open_v * factor, floor=floor)

    def _put_timing(self, settings: SourceSettings) -> None:
        link = self._link
        link.choose("SOUR1:BURS:STAT", "ON")
        link.choose("SOUR1:BURS:MODE", "TRIG")
        link.put("SOUR1:BURS:NCYC", settings.cycles)
        link.choose("TRIG:SOUR", "EXT")
        self._put_rate(settings)

    def _put_rate(self, settings: SourceSettings) -> None:
        """Set the frequency if the number of points is known; before, no rate is in force."""
        if self._n_points:
            frequency_hz = settings.rate_hz / self._n_points
            self._link.put("SOUR1:FREQ", frequency_hz, floor=FREQUENCY_STEP_HZ)

    def _select_waveform(self) -> None:
        """Select the edit memory, which an AFG31000 calls its first one."""
        answer = self._link.ask(":SOUR1:FUNC EMEM;:SOUR1:FUNC?")
        if not _is_edit_memory(answer):
            self._link.refuse("SOUR1:FUNC", "EMEM", answer)

    def _check_length(self) -> None:
        n_points = self._link.ask_number(":TRAC:POIN? EMEM")
        if n_points != self._n_points:
            raise changed(
                "the waveform's length", f"{self._n_points}", f"{n_points:g}", self._link.address
            )

    def _read_back(self, wanted: SourceSettings) -> SourceSettings:
        ask, address = self._link.ask_number, self._link.address
        if not _is_edit_memory(answer := self._link.ask(":SOUR1:FUNC?")):
            raise changed("SOUR1:FUNC", "EMEM", answer, address)
        for header, word in KEPT.items():
            if not is_word(answer := self._link.ask(f":{header}?"), word):
                raise changed(header, word, answer, address)
        load_ohm = ask(":OUTP1:IMP?")
        load_ohm = math.inf if load_ohm > MAX_LOAD_OHM else load_ohm
        factor = load_factor(load_ohm)
        rate_hz = ask(":SOUR1:FREQ?") * self._n_points if self._n_points else wanted.rate_hz
        actual = replace(
            wanted,
            rate_hz=rate_hz,
            vpp_open_v=ask(":SOUR1:VOLT?") / factor,
            offset_open_v=ask(":SOUR1:VOLT:OFFS?") / factor,
            cycles=whole(ask(":SOUR1:BURS:NCYC?")),
            load_ohm=load_ohm,
        )
        check_same(wanted, actual, address)
        return actual


def _is_edit_memory(answer: str) -> bool:
    return re.fullmatch(r"EMEM(ORY)?1?", answer.strip('"').upper()) is not None
