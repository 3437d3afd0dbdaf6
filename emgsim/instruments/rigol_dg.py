"""Drives Rigol DG800 and DG1000Z waveform generators, channel 1, by sample rate.

Written from the DG1000Z Programming Guide (PGB09) and the DG800 Programming Guide. A waveform goes
into volatile memory in packets of codes 0 to 0x3FFF, little-endian; all but the last packet say
``CON``, the last one says ``END`` and selects the waveform at once. The guide allows 16 384 points
in a packet, owners report that more than 8192 fail, so 8192 are sent. A packet has at least 8.

``*RST`` leaves the display on and the outputs off. Switches answer ``ON`` and ``OFF``. Known to be
odd: at the end of a burst the generator rests at a level of its own (``BURSt:IDLE``), here the
first point.

Not known: the memory of each model for certain (2 M points for a DG1022Z, 8 M for the others are
the data sheets' figures without the option), and whether a DG800 converts 16 bits, as it is sold:
its guide codes 14. What a DG1000Z answers to ``FUNCtion?`` is taken as its guide has it (``USER``),
a DG800 by what owners report (``ARB``).
"""

from __future__ import annotations

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
from emgsim.instruments.scpi_generator import UPLOAD_TIMEOUT_S, ScpiGenerator, Word

HIGHEST_CODE = 0x3FFF  # codes from 0 are -vpp/2..+vpp/2
PACKET_POINTS = 8192
MIN_POINTS = 8
MAX_POINTS = 8_000_000
MAX_POINTS_OF = {"DG1022Z": 2_000_000}
MAX_RATE_HZ = {"DG8": 30e6, "DG1": 60e6}  # by the first characters of the model, data sheets
MAX_VPP_OPEN_V = 20.0
KEPT = {  # without these a playback is endless, resampled, or another one altogether
    "OUTP1:POL": "NORM",
    "SOUR1:VOLT:UNIT": "VPP",
    "SOUR1:FUNC:ARB:MODE": "SRAT",
    "SOUR1:BURS:MODE": "TRIG",
    "SOUR1:BURS:STAT": "ON",
    "SOUR1:BURS:TRIG:SOUR": "MAN",
    "OUTP1:SYNC": "ON",
}
_LONG = {"NORMAL": "NORM", "POSITIVE": "POS", "SRATE": "SRAT", "MANUAL": "MAN", "TRIGGERED": "TRIG"}


class RigolDg(ScpiGenerator):
    """Plays 14-bit waveforms from the first channel, one burst per manual trigger.

    Use `open`; the constructor takes a link that is open already and sends nothing.
    """

    models: ClassVar[re.Pattern[str]] = re.compile(r"(?:DG8[1-3][12]|DG10\d\dZ)$")
    models_told: ClassVar[str] = "be a DG800 or DG1000Z"
    off_messages: ClassVar[tuple[str, ...]] = (":OUTP1 OFF",)
    off_query: ClassVar[tuple[str, str]] = (":OUTP1?", "OFF")
    only_filter = ("OFF", "Rigol DG, which has none to choose")

    @property
    def caps(self) -> SourceCaps:
        """Tell what this generator can do, by its model."""
        if self._caps is None:
            model = self.identify().model
            is_single = model.startswith("DG8") and model.endswith("1")
            self._caps = SourceCaps(
                code_bits=14,
                max_points=MAX_POINTS_OF.get(model, MAX_POINTS),
                min_points=MIN_POINTS,
                max_rate_hz=MAX_RATE_HZ[model[:3]],
                max_vpp_open_v=MAX_VPP_OPEN_V,
                channels=1 if is_single else 2,
                output_ohm=OUTPUT_OHM,
            )
        return self._caps

    def trigger(self) -> None:
        """Start one burst now; what the generator complains about is an error."""
        self._link.tell(":SOUR1:BURS:TRIG")
        self._link.check_errors("the trigger")

    def _put_output(self, word: Word) -> None:
        self._link.choose("OUTP1", word)

    def _codes(self, volts: NDArray[np.float64], full_scale_v: float) -> tuple[Block, float]:
        rounded, rms_v = coded(volts, full_scale_v, 0, HIGHEST_CODE)
        return rounded.astype("<u2"), rms_v

    def _send(self, name: str, codes: Block) -> int:  # noqa: ARG002 - its memory has no names
        """Send a waveform in packets; ``END`` selects it. The memory has no names."""
        n_bytes = 0
        for start, stop in packets(codes.size):
            word = "END" if stop == codes.size else "CON"
            header = f":SOUR1:TRAC:DATA:DAC16 VOLATILE,{word},"
            n_bytes += self._link.tell_block(header, codes[start:stop])
            self._link.ask("*OPC?", timeout_s=UPLOAD_TIMEOUT_S)  # it takes one at a time
        return n_bytes

    def _put_levels(self, settings: SourceSettings) -> None:
        link, factor = self._link, load_factor(settings.load_ohm)
        link.put("OUTP1:LOAD", settings.load_ohm)
        self._choose("OUTP1:POL", "NORM")
        self._choose_arb()
        self._choose("SOUR1:VOLT:UNIT", "VPP")
        floor = 1e-4 * settings.vpp_open_v
        link.put("SOUR1:VOLT:OFFS", 0.0, floor=floor)  # it limits the amplitude
        link.put("SOUR1:VOLT", settings.vpp_open_v * factor)
        link.put("SOUR1:VOLT:OFFS", settings.offset_open_v * factor, floor=floor)

    def _put_timing(self, settings: SourceSettings) -> None:
        self._choose("SOUR1:FUNC:ARB:MODE", "SRAT")
        self._link.put("SOUR1:FUNC:ARB:SRAT", settings.rate_hz)
        self._choose("SOUR1:BURS:MODE", "TRIG")
        self._link.put("SOUR1:BURS:NCYC", settings.cycles)
        self._choose("SOUR1:BURS:TRIG:SOUR", "MAN")
        self._choose("SOUR1:BURS:STAT", "ON")
        self._choose("OUTP1:SYNC", "ON")

    def _choose(self, header: str, word: str) -> None:
        """Set a word; its long form in the answer is the same word."""
        answer = self._link.ask(f":{header} {word};:{header}?")
        if not _is_word(answer, word):
            self._link.refuse(header, word, answer)

    def _choose_arb(self) -> None:
        """Select the arbitrary waveform, which the two series call differently."""
        word = "ARB" if self.identify().model.startswith("DG8") else "USER"
        answer = self._link.ask(f":SOUR1:FUNC {word};:SOUR1:FUNC?")
        if not _is_arbitrary(answer):
            self._link.refuse("SOUR1:FUNC", word, answer)

    def _read_back(self, wanted: SourceSettings) -> SourceSettings:
        ask, address = self._link.ask_number, self._link.address
        if not _is_arbitrary(answer := self._link.ask(":SOUR1:FUNC?")):
            raise changed("SOUR1:FUNC", "ARB", answer, address)
        for header, word in KEPT.items():
            if not _is_word(answer := self._link.ask(f":{header}?"), word):
                raise changed(header, word, answer, address)
        load_ohm = ask(":OUTP1:LOAD?")
        factor = load_factor(load_ohm)
        actual = replace(
            wanted,
            rate_hz=ask(":SOUR1:FUNC:ARB:SRAT?"),
            vpp_open_v=ask(":SOUR1:VOLT?") / factor,
            offset_open_v=ask(":SOUR1:VOLT:OFFS?") / factor,
            cycles=whole(ask(":SOUR1:BURS:NCYC?")),
            load_ohm=load_ohm,
        )
        check_same(wanted, actual, address)
        return actual


def packets(n_points: int) -> list[tuple[int, int]]:
    """Return where each packet of a waveform begins and ends; none has fewer than 8 points."""
    starts = list(range(0, n_points, PACKET_POINTS))
    if len(starts) > 1 and n_points - starts[-1] < MIN_POINTS:
        starts[-1] -= MIN_POINTS
    return list(zip(starts, [*starts[1:], n_points], strict=True))


def _is_word(answer: str, word: str) -> bool:
    spoken = answer.strip('"').upper()
    return is_word(_LONG.get(spoken, spoken), word)


def _is_arbitrary(answer: str) -> bool:
    return answer.strip('"').upper() in ("ARB", "USER")
