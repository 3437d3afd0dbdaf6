"""Drives Keysight InfiniiVision oscilloscopes (DSO-X, MSO-X, EDUX), one record per trigger.

The trigger is an edge at EXT TRIG, where the generator's sync goes. The time reference is left
and the position one division, so the record begins at the trigger: with position 0 the last
tenth of the window would be lost to a pre-trigger that nobody wants, and the scope would be
blind to triggers until that tenth had been filled.

High resolution averages neighbouring samples into 12 and more bits; words are sent unsigned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import (
    CaptureCaps,
    CaptureSettings,
    ChannelSetup,
)
from emgsim.instruments.scopes import (
    NOT_ARMED,
    NOT_TRIGGERED,
    TRIGGER_LEVEL_V,
    check_length,
    check_request,
    poll,
)
from emgsim.instruments.scpi import ScpiLink, is_close, scpi_number
from emgsim.instruments.scpi_instrument import ScpiInstrument

MODEL_RULE = re.compile(r"(?:[DM]SO-?X|EDUX) ?\d{3}(\d)")  # the last digit counts the channels
RUN_BIT, WAIT_TRIGGER_BIT = 8, 32  # of :OPERegister:CONDition
DIVISIONS = 10.0  # across the screen; LEFT is one division from its edge
MAX_RANGE_V = 40.0  # 8 divisions of 5 V, probe 1:1
MAX_DURATION_S = 500.0  # 10 divisions of 50 s
LOWEST_CODE, HIGHEST_CODE = 2, 0xFEFF  # 0 is a hole, 1 and 0xFF.. are clipped samples


class Preamble(NamedTuple):
    """Scales a record: the fields of ``:WAVeform:PREamble?`` that do so."""

    n_points: int
    x_increment_s: float
    x_origin_s: float
    y_increment_v: float
    y_origin_v: float
    y_reference: float


class KeysightInfiniivision(ScpiInstrument):
    """Records volts after an edge at EXT TRIG.

    Use `open`; the constructor takes a link that is open already and sends nothing.
    """

    models: ClassVar[re.Pattern[str]] = MODEL_RULE
    models_told: ClassVar[str] = "begin with DSO-X, MSO-X or EDUX"

    def __init__(self, link: ScpiLink) -> None:
        super().__init__(link)
        self._caps: CaptureCaps | None = None
        self._settings: CaptureSettings | None = None
        self._start_s = 0.0

    def _note_model(self, model: re.Match[str]) -> None:
        self._caps = CaptureCaps(int(model[1]), 12, MAX_RANGE_V, MAX_DURATION_S)

    def reset(self) -> None:
        """Return to the factory settings, stopped."""
        self._settings = None
        self._link.tell("*RST;*CLS;:STOP")
        self._link.finish("reset")

    @property
    def caps(self) -> CaptureCaps:
        """Tell what this oscilloscope can do."""
        if self._caps is None:
            self.identify()
        if self._caps is None:
            raise UsageError("the oscilloscope has not been identified")
        return self._caps

    @property
    def start_s(self) -> float:
        """Tell when the first sample of the last record read was taken; the trigger is 0."""
        return self._start_s

    def configure(
        self,
        channels: Mapping[int, ChannelSetup],
        duration_s: float,
        rate_hz: float | None = None,
    ) -> CaptureSettings:
        """Set the channels and the window after the trigger, and return what was read back.

        A rate is set in digitizer mode, which newer firmware has and in which one record may fill
        the whole memory; it comes back smaller than asked when the memory holds no more.

        Raises
        ------
        UsageError
            When a channel, range or duration is beyond what the oscilloscope can do.
        InstrumentError
            When the oscilloscope made a range or the window smaller than asked.
        """
        check_request(channels, duration_s, self.caps)
        self._link.tell(":STOP")
        self._link.choose("ACQ:TYPE", "HRES")
        self._put_trigger()
        self._put_window(duration_s)
        if rate_hz is not None:
            self._put_rate(rate_hz)
        actual = {number: self._put_channel(number, channels.get(number))
                  for number in range(1, self.caps.channels + 1)}  # fmt: skip
        self._link.check_errors("configure")
        actual_hz = self._link.ask_number(":ACQ:SRAT?")
        self._settings = CaptureSettings(
            rate_hz=actual_hz,
            n_points=round(self._link.ask_number(":ACQ:POIN?")),
            channels={number: setup for number, setup in actual.items() if setup},
            averaged_s=1 / actual_hz,
        )
        check_length(self._settings, duration_s, self._link.address)
        return self._settings

    def arm(self) -> None:
        """Start a single acquisition and return when it waits for the trigger."""
        if self._settings is None:
            raise UsageError("arm() needs configure() before it", where=self._link.address)
        self._link.tell(":SING")
        self._poll(RUN_BIT | WAIT_TRIGGER_BIT, RUN_BIT | WAIT_TRIGGER_BIT, timeout_s=5.0,
                   missing="the oscilloscope did not arm", todo=NOT_ARMED)  # fmt: skip

    def wait(self, timeout_s: float) -> None:
        """Return when the record is complete.

        Raises
        ------
        InstrumentError
            When it is not after timeout_s; the message says whether a trigger came.
        """
        self._poll(RUN_BIT, 0, timeout_s=timeout_s, missing="the record is not complete",
                   todo=NOT_TRIGGERED)  # fmt: skip
        self._link.check_errors("the acquisition")

    def read(self, channel: int) -> NDArray[np.float64]:
        """Return the volts of one channel, (n_points,).

        Raises
        ------
        InstrumentError
            When samples are missing or clipped, or the rate is not the configured one.
        """
        if self._settings is None or channel not in self._settings.channels:
            raise UsageError(f"channel {channel} was not configured", where=self._link.address)
        preamble = self._read_preamble(channel)
        codes = self._link.ask_block(":WAV:DATA?")
        self._check_record(channel, codes, preamble)
        self._start_s = preamble.x_origin_s
        steps = codes.astype(np.float64) - preamble.y_reference
        return steps * preamble.y_increment_v + preamble.y_origin_v

    def _put_trigger(self) -> None:
        link = self._link
        link.choose("TRIG:MODE", "EDGE")
        link.choose("TRIG:SWE", "NORM")  # AUTO would record without a trigger
        link.choose("TRIG:EDGE:SOUR", "EXT")
        link.choose("TRIG:EDGE:SLOP", "POS")
        link.put("TRIG:EDGE:LEV", TRIGGER_LEVEL_V, within=0.1)

    def _put_window(self, duration_s: float) -> None:
        link = self._link
        link.choose("TIM:MODE", "MAIN")
        link.choose("TIM:REF", "LEFT")
        actual_s = link.put("TIM:RANG", duration_s, within=1.0)  # scopes round to nice numbers
        if actual_s < 0.999 * duration_s:
            link.refuse("TIM:RANG", scpi_number(duration_s), scpi_number(actual_s))
        link.put("TIM:POS", actual_s / DIVISIONS, within=0.01)

    def _put_rate(self, rate_hz: float) -> None:
        link = self._link
        link.choose("ACQ:DIG", "ON")
        link.choose("ACQ:SRAT:ANAL:AUTO", "OFF")
        link.put("ACQ:SRAT:ANAL", rate_hz, within=1.0)

    def _put_channel(self, number: int, setup: ChannelSetup | None) -> ChannelSetup | None:
        link, channel = self._link, f"CHAN{number}"
        link.choose(f"{channel}:DISP", "OFF" if setup is None else "ON")
        if setup is None:
            return None
        link.choose(f"{channel}:COUP", "DC")
        link.put(f"{channel}:PROB", 1.0)  # before the range, which it scales
        range_v = link.put(f"{channel}:RANG", setup.range_v, within=1.0)
        if range_v < 0.99 * setup.range_v:
            link.refuse(f"{channel}:RANG", scpi_number(setup.range_v), scpi_number(range_v))
        offset_v = link.put(f"{channel}:OFFS", setup.offset_v, floor=0.01 * setup.range_v)
        return ChannelSetup(range_v, offset_v)

    def _poll(self, mask: int, wanted: int, *, timeout_s: float, missing: str, todo: str) -> None:
        """Ask for the condition register until the masked bits are the wanted ones."""
        poll(
            lambda: round(self._link.ask_number(":OPER:COND?")),
            lambda condition: condition & mask == wanted,
            _told_state,
            timeout_s=timeout_s,
            missing=missing,
            todo=todo,
            where=self._link.address,
        )

    def _read_preamble(self, channel: int) -> Preamble:
        link = self._link
        link.choose("WAV:SOUR", f"CHAN{channel}")
        link.choose("WAV:FORM", "WORD")
        link.choose("WAV:BYT", "LSBF")
        link.choose("WAV:UNS", "ON")
        link.tell(":WAV:POIN MAX;:WAV:POIN:MODE RAW")  # in this order: MAX changes the mode
        answer = link.ask(":WAV:PRE?")
        try:
            _, _, n_points, _, x_inc, x_orig, _, y_inc, y_orig, y_ref = map(
                float, answer.split(",")
            )
        except ValueError as error:
            raise InstrumentError(
                f"a preamble must be 10 numbers, got {answer!r}", where=link.address
            ) from error
        return Preamble(int(n_points), x_inc, x_orig, y_inc, y_orig, y_ref)

    def _check_record(self, channel: int, codes: NDArray[np.uint16], preamble: Preamble) -> None:
        wrong = _why_refused(channel, codes, preamble, self._settings)
        if wrong:
            raise InstrumentError(
                wrong, where=self._link.address, todo="raise the range, or record anew"
            )


def _why_refused(
    channel: int, codes: NDArray[np.uint16], preamble: Preamble, settings: CaptureSettings | None
) -> str:
    """Say what is wrong with a record, or nothing."""
    if len(codes) != preamble.n_points:
        return f"channel {channel} sent {len(codes)} points, its preamble says {preamble.n_points}"
    rate_hz = 1.0 / preamble.x_increment_s if preamble.x_increment_s else 0.0
    if settings and not is_close(rate_hz, settings.rate_hz, within=1e-4, floor=0.0):
        return (
            f"channel {channel} was recorded at {rate_hz:g} Hz, configured was "
            f"{settings.rate_hz:g} Hz"
        )
    n_out = int(np.count_nonzero((codes < LOWEST_CODE) | (codes > HIGHEST_CODE)))
    if n_out:
        return f"channel {channel} has {n_out} of {len(codes)} samples clipped or missing"
    return ""


def _told_state(condition: int) -> str:
    if condition & WAIT_TRIGGER_BIT:
        return "it still waits for a trigger"
    return "it is still recording" if condition & RUN_BIT else "it is stopped"
