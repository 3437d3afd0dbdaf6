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
    UploadReceipt,
)
from emgsim.instruments.generator_waveforms import (
    OUTPUT_OHM,
    changed,
    check_filter,
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

    def configure(self, settings: SourceSettings) -> SourceSettings:
        """Switch the output off, set everything, and return the settings as read back.

        Before the first upload the rate comes back as asked: it is not in force yet.

        Raises
        ------
        UsageError
            When a setting is beyond what the generator can do, or the filter is not OFF.
        InstrumentError
            When a setting reads back differently by more than 1e-4 of its value.
        """
        check_settings(settings, self.caps)
        check_filter(settings, "OFF", "Tektronix AFG, which has none to choose")
        self.off()
        self._settings = None
        self._put_levels(settings)
        self._put_burst(settings)
        self._settings = settings
        self._put_rate()
        self._link.check_errors("configure")
        return self._read_back(settings)

    def upload(
        self, name: str, volts: NDArray[np.float64], settings: SourceSettings
    ) -> UploadReceipt:
        """Replace the edit memory, which has no names; the output is switched off first.

        Parameters
        ----------
        name
            At most 12 letters, digits and underscores, the first a letter; kept on this side.
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
        rounded, rms_v = coded(volts, settings.vpp_open_v / 2, 0, HIGHEST_CODE)
        codes = rounded.astype(">u2")
        self.off()
        self._waveform = ""
        n_bytes = self._link.tell_block(":TRAC:DATA EMEM,", codes)
        self._link.finish(f"the upload of {len(codes)} points", timeout_s=UPLOAD_TIMEOUT_S)
        self._waveform, self._n_points = name, len(codes)
        self._check_length()
        self._put_rate()
        return receipt(name, codes, n_bytes, rms_v)

    def arm(self) -> None:
        """Select the edit memory and switch the output on, waiting for a trigger.

        The settings are read back once more before the output goes on: selecting a waveform is
        what an instrument may take as a reason to change them.
        """
        settings = check_ready(self._settings, self._waveform, self._link.address)
        self._select()
        self._read_back(settings)
        self._check_length()
        self._link.check_errors("arm")
        self._link.choose("OUTP1:STAT", "ON")

    def trigger(self) -> None:
        """Start one burst now; what the generator complains about is an error."""
        self._link.tell("*TRG")
        self._link.check_errors("*TRG")

    def _switch_off(self) -> None:
        self._link.choose("OUTP1:STAT", "OFF")

    def _put_levels(self, settings: SourceSettings) -> None:
        link, factor = self._link, load_factor(settings.load_ohm)
        link.put("OUTP1:IMP", settings.load_ohm)
        link.choose("OUTP1:POL", "NORM")
        self._select()
        link.choose("SOUR1:VOLT:UNIT", "VPP")
        floor = 1e-4 * settings.vpp_open_v
        link.put("SOUR1:VOLT:OFFS", 0.0, floor=floor)  # it limits the amplitude
        link.put("SOUR1:VOLT", settings.vpp_open_v * factor)
        link.put("SOUR1:VOLT:OFFS", settings.offset_open_v * factor, floor=floor)

    def _put_burst(self, settings: SourceSettings) -> None:
        link = self._link
        link.choose("SOUR1:BURS:STAT", "ON")
        link.choose("SOUR1:BURS:MODE", "TRIG")
        link.put("SOUR1:BURS:NCYC", settings.cycles)
        link.choose("TRIG:SOUR", "EXT")

    def _put_rate(self) -> None:
        """Set the frequency when both rate and number of points are known."""
        if self._settings is not None and self._waveform:
            frequency_hz = self._settings.rate_hz / self._n_points
            self._link.put("SOUR1:FREQ", frequency_hz, floor=FREQUENCY_STEP_HZ)

    def _select(self) -> None:
        """Select the edit memory, which an AFG31000 calls its first one."""
        answer = self._link.ask(":SOUR1:FUNC EMEM;:SOUR1:FUNC?")
        if not _is_edit_memory(answer):
            self._link.refuse("SOUR1:FUNC", "EMEM", answer)

    def _check_length(self) -> None:
        """Refuse a memory of another length; it is how a block that was cut short shows."""
        n_points = self._link.ask_number(":TRAC:POIN? EMEM")
        if n_points != self._n_points:
            raise changed(
                "the waveform's length", f"{self._n_points}", f"{n_points:g}", self._link.address
            )

    def _read_back(self, wanted: SourceSettings) -> SourceSettings:
        """Read all settings, and refuse a set that is not what was configured."""
        ask, address = self._link.ask_number, self._link.address
        if not _is_edit_memory(answer := self._link.ask(":SOUR1:FUNC?")):
            raise changed("SOUR1:FUNC", "EMEM", answer, address)
        for header, word in KEPT.items():
            if not is_word(answer := self._link.ask(f":{header}?"), word):
                raise changed(header, word, answer, address)
        load_ohm = ask(":OUTP1:IMP?")
        load_ohm = math.inf if load_ohm > MAX_LOAD_OHM else load_ohm
        factor = load_factor(load_ohm)
        rate_hz = ask(":SOUR1:FREQ?") * self._n_points if self._waveform else wanted.rate_hz
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
