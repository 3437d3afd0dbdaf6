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

from emgsim.errors import UsageError
from emgsim.instruments.base import (
    Filter,
    SourceCaps,
    SourceSettings,
    UploadReceipt,
)
from emgsim.instruments.generator_waveforms import (
    OUTPUT_OHM,
    changed,
    check_name,
    check_ready,
    check_same,
    check_settings,
    check_waveform,
    coded,
    load_factor,
    receipt,
    whole,
)
from emgsim.instruments.scpi import is_word
from emgsim.instruments.scpi_generator import UPLOAD_TIMEOUT_S, ScpiGenerator

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
            self._waveform = ""
        return self._caps

    def configure(self, settings: SourceSettings) -> SourceSettings:
        """Switch the output off, set everything, and return the settings as read back.

        Raises
        ------
        UsageError
            When a setting is beyond what the generator can do.
        InstrumentError
            When a setting reads back differently by more than 1e-4 of its value.
        """
        check_settings(settings, self.caps)
        self.off()
        self._settings = None
        self._put_voltage_frame(settings)
        self._put_timing(settings)
        self._link.check_errors("configure")
        self._settings = settings
        return self._read_back()

    def upload(
        self, name: str, volts: NDArray[np.float64], settings: SourceSettings
    ) -> UploadReceipt:
        """Replace the waveform memory by one waveform; the output is switched off first.

        Parameters
        ----------
        name
            At most 12 letters, digits and underscores, the first a letter.
        volts
            Open-circuit volts without the offset, (n_points,), within +-vpp/2.
        settings
            The settings that the waveform will be played with.

        Raises
        ------
        UsageError
            When the waveform is too long or too short, not finite, or would be clipped.
        """
        check_name(name)
        check_waveform(volts, settings, self.caps)
        rounded, quantisation_rms_v = coded(
            volts, settings.vpp_open_v / 2, -FULL_SCALE_CODE, FULL_SCALE_CODE
        )
        codes = rounded.astype("<i2")
        self.off()
        self._waveform = ""
        self._link.tell(":FORM:BORD SWAP;:SOUR1:DATA:VOL:CLE")
        n_bytes = self._link.tell_block(f":SOUR1:DATA:ARB:DAC {name},", codes)
        self._link.finish(f"the upload of {len(codes)} points", timeout_s=UPLOAD_TIMEOUT_S)
        self._waveform, self._n_points = name, len(codes)
        return receipt(name, codes, n_bytes, quantisation_rms_v)

    def arm(self) -> None:
        """Select the uploaded waveform and switch the output on, waiting for a trigger.

        The settings are read back once more before the output goes on: selecting a waveform is
        what an instrument may take as a reason to change them.
        """
        check_ready(self._settings, self._waveform, self._link.address)
        self._link.choose("SOUR1:FUNC:ARB", self._waveform)
        self._read_back()
        self._check_length()
        self._link.check_errors("arm")
        self._link.choose("OUTP1", "ON")

    def trigger(self) -> None:
        """Start one burst now; a trigger that the generator ignored is an error."""
        self._link.tell("*TRG")
        self._link.check_errors("*TRG")

    def _switch_off(self) -> None:
        self._link.choose("OUTP1", "OFF")

    def _put_voltage_frame(self, settings: SourceSettings) -> None:
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

    def _check_length(self) -> None:
        """Refuse a waveform of the right name and another length; its codes cannot be asked for."""
        n_points = self._link.ask_number(":SOUR1:DATA:ATTR:POIN?")
        if n_points != self._n_points:
            raise changed(
                "the waveform's length", f"{self._n_points}", f"{n_points:g}", self._link.address
            )

    def _read_back(self) -> SourceSettings:
        """Read all settings at once, and refuse a set that is not what was configured."""
        wanted, ask = self._settings, self._link.ask_number
        if wanted is None:
            raise UsageError("no settings to compare with", where=self._link.address)
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
