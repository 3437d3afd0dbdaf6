"""Drives Siglent oscilloscopes SDS1000X HD, SDS2000X HD and SDS2000X Plus, one record per trigger.

The dialect is that of the SDS Series Programming Guide (EN11): ``:CHANnel``, ``:TIMebase``,
``:TRIGger``, ``:ACQuire`` and ``:WAVeform``. The trigger is an edge at EXT TRIG, where the
generator's sync goes, through its divider by five (``EX5``), as a TTL edge is beyond the 0.6 V of
the plain input. The four-channel SDS800X HD has no such input and is not driven.

What the guide and owners of these oscilloscopes say, and this driver therefore does:

- One command per message: the guide shows no message of several.
- Volts and seconds per division come in steps of 1, 2 and 5 and are rounded *down*, so the next
  larger step is asked for, and both are read back.
- Values are read back in three digits (``5.00E-02``), words in long or short form.
- A stopped oscilloscope tells rate and length of its last record and not of the next: they are read
  while it runs. In the trigger mode AUTO it ignores its memory settings: NORMal is set before.
- A rate is taken only with ``:ACQuire:MMANagement FSRate``.
- The descriptor's field of bits says 16 on a 12-bit model, its time base counts a table that
  depends on the model, and the sign of its delay is disputed: bits are taken from the model, times
  from ``:TIMebase``.
- The screen's centre lies at the negative of ``:CHANnel:OFFSet``, which moves the trace.
- A record that a model cannot send comes as an empty block without an error.

Not known for certain: at which code a clipped sample stands. A sample of more than 4.2 of the 4
divisions on either side counts as clipped: the converter of 8 bits ends at 4.23.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import ClassVar

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
from emgsim.instruments.siglent_descriptor import (
    DESCRIPTOR_BYTES,
    DIVISIONS_V,
    Descriptor,
    read_descriptor,
)

MODEL_RULE = re.compile(r"SDS[12]\d\d(\d)X[ -]?(HD|Plus)", re.IGNORECASE)
CODE_BITS = {"HD": 12, "PLUS": 8}  # of the converter, data sheets
DIVISIONS_S = 10.0
SMALLEST_V_DIV, LARGEST_V_DIV, LARGEST_S_DIV = 5e-4, 10.0, 1000.0  # probe 1:1
CLIPPED_DIV = 4.2  # from the centre
STATES = {
    "arm": "it fills its memory before the trigger",
    "ready": "it still waits for a trigger",
    "trig'd": "it is still recording",
    "stop": "it is stopped",
}


class SiglentSds(ScpiInstrument):
    """Records volts after an edge at EXT TRIG.

    Use `open`; the constructor takes a link that is open already and sends nothing.
    """

    models: ClassVar[re.Pattern[str]] = MODEL_RULE
    models_told: ClassVar[str] = "be an SDS1000X HD, SDS2000X HD or SDS2000X Plus"

    def __init__(self, link: ScpiLink) -> None:
        super().__init__(link)
        self._caps: CaptureCaps | None = None
        self._settings: CaptureSettings | None = None
        self._start_s = 0.0
        self._longer_s = 0.0

    def _note_model(self, model: re.Match[str]) -> None:
        self._caps = CaptureCaps(
            channels=int(model[1]),
            code_bits=CODE_BITS[model[2].upper()],
            max_range_v=DIVISIONS_V * LARGEST_V_DIV,
            max_duration_s=DIVISIONS_S * LARGEST_S_DIV,
        )

    def reset(self) -> None:
        """Return to the factory settings, stopped."""
        self._settings = None
        self._tell("*RST", "*CLS", ":TRIGger:STOP")
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
        """Tell when the first sample of the record was taken; the trigger is 0."""
        return self._start_s

    def configure(
        self,
        channels: Mapping[int, ChannelSetup],
        duration_s: float,
        rate_hz: float | None = None,
    ) -> CaptureSettings:
        """Set the channels and the window after the trigger, and return what was read back.

        The window comes in steps, so the record is up to 2.5 times as long as asked. A rate is
        rounded up to 1, 2 or 5 times a power of ten.

        Raises
        ------
        UsageError
            When a channel, range or duration is beyond what the oscilloscope can do.
        InstrumentError
            When the oscilloscope made a range, the window or the record smaller than asked.
        """
        check_request(channels, duration_s, self.caps)
        self._settings = None
        self._choose("ACQuire:TYPE", "NORMal")
        self._put_trigger()
        self._tell(":TRIGger:RUN")
        actual = {number: self._put_channel(number, channels.get(number))
                  for number in range(1, self.caps.channels + 1)}  # fmt: skip
        window_s = self._put_window(duration_s)
        self._put_rate(rate_hz)
        settings = CaptureSettings(
            rate_hz=self._link.ask_number(":ACQuire:SRATe?"),
            n_points=round(self._link.ask_number(":ACQuire:POINts?")),
            channels={number: setup for number, setup in actual.items() if setup},
        )
        self._tell(":TRIGger:STOP")
        self._link.check_errors("configure")
        check_length(settings, duration_s, self._link.address)
        self._settings, self._longer_s = settings, window_s - duration_s
        return settings

    def arm(self) -> None:
        """Start a single acquisition and return when it waits for the trigger."""
        if self._settings is None:
            raise UsageError("arm() needs configure() before it", where=self._link.address)
        self._choose("TRIGger:MODE", "SINGle")
        self._tell(":TRIGger:RUN")
        self._poll("ready", timeout_s=5.0, missing="the oscilloscope did not arm", todo=NOT_ARMED)

    def wait(self, timeout_s: float) -> None:
        """Return when the record is complete.

        The time counts on top of what the window is longer than was asked for.

        Raises
        ------
        InstrumentError
            When it is not after timeout_s; the message says whether a trigger came.
        """
        longest_s = timeout_s + self._longer_s
        self._poll("stop", timeout_s=longest_s, missing="the record is not complete",
                   todo=NOT_TRIGGERED)  # fmt: skip
        self._link.check_errors("the acquisition")

    def read(self, channel: int) -> NDArray[np.float64]:
        """Return the volts of one channel, (n_points,).

        Raises
        ------
        InstrumentError
            When samples are missing or clipped, or the rate is not the configured one.
        """
        settings = self._settings
        if settings is None or channel not in settings.channels:
            raise UsageError(f"channel {channel} was not configured", where=self._link.address)
        self._tell(f":WAVeform:SOURce C{channel}", ":WAVeform:STARt 0", ":WAVeform:POINt 0")
        self._tell(":WAVeform:INTerval 1")
        self._choose("WAVeform:WIDTh", "WORD" if self.caps.code_bits > 8 else "BYTE")
        scale = self._read_scale()
        codes = self._read_codes(settings.n_points, scale)
        wrong = _why_refused(channel, codes, scale, settings)
        if wrong:
            raise InstrumentError(
                wrong, where=self._link.address, todo="raise the range, or record anew"
            )
        return codes * (scale.v_per_div / scale.codes_per_div) - scale.offset_v

    def _tell(self, *messages: str) -> None:
        for message in messages:
            self._link.tell(message)

    def _choose(self, header: str, word: str) -> None:
        """Set a word and verify it by its query, which may answer in long or in short form."""
        self._tell(f":{header} {word}")
        answer = self._link.ask(f":{header}?")
        if answer.upper() not in (word.upper(), _short(word)):
            self._link.refuse(header, word, answer)

    def _put(self, header: str, value: float, *, argument: str = "", floor: float = 0.0) -> float:
        """Set a number and verify it within the three digits of its query."""
        self._tell(f":{header} {argument}{scpi_number(value)}")
        actual = self._link.ask_number(f":{header}?")
        if not is_close(actual, value, within=0.006, floor=floor):
            self._link.refuse(header, scpi_number(value), scpi_number(actual))
        return actual

    def _put_trigger(self) -> None:
        self._choose("TRIGger:MODE", "NORMal")  # AUTO would record without a trigger
        self._choose("TRIGger:TYPE", "EDGE")
        self._choose("TRIGger:EDGE:SOURce", "EX5")
        self._choose("TRIGger:EDGE:COUPling", "DC")
        self._choose("TRIGger:EDGE:SLOPe", "RISing")
        self._put("TRIGger:EDGE:LEVel", TRIGGER_LEVEL_V, floor=0.1)

    def _put_window(self, duration_s: float) -> float:
        """Set a window that begins at the trigger, and return its length."""
        s_per_div = self._put("TIMebase:SCALe", _step_above(duration_s / DIVISIONS_S))
        delay_s = self._put("TIMebase:DELay", s_per_div * DIVISIONS_S / 2)
        self._start_s = delay_s - s_per_div * DIVISIONS_S / 2
        return s_per_div * DIVISIONS_S

    def _put_rate(self, rate_hz: float | None) -> None:
        self._choose("ACQuire:MMANagement", "AUTO" if rate_hz is None else "FSRate")
        if rate_hz is not None:
            self._tell(f":ACQuire:SRATe {scpi_number(_step_above(rate_hz))}")

    def _put_channel(self, number: int, setup: ChannelSetup | None) -> ChannelSetup | None:
        channel = f"CHANnel{number}"
        self._choose(f"{channel}:SWITch", "OFF" if setup is None else "ON")
        if setup is None:
            return None
        self._choose(f"{channel}:COUPling", "DC")
        self._put(f"{channel}:PROBe", 1.0, argument="VALue,")  # before the scale, which it scales
        v_per_div = max(_step_above(setup.range_v / DIVISIONS_V), SMALLEST_V_DIV)
        range_v = DIVISIONS_V * self._put(f"{channel}:SCALe", v_per_div)
        offset_v = -self._put(f"{channel}:OFFSet", -setup.offset_v, floor=0.01 * range_v)
        return ChannelSetup(range_v, offset_v)

    def _poll(self, wanted: str, *, timeout_s: float, missing: str, todo: str) -> None:
        """Ask for the state of the trigger until it is the wanted one."""
        poll(
            lambda: self._link.ask(":TRIGger:STATus?").lower(),
            lambda state: state == wanted,
            lambda state: STATES.get(state, f"its state is {state!r}"),
            timeout_s=timeout_s,
            missing=missing,
            todo=todo,
            where=self._link.address,
        )

    def _read_scale(self) -> Descriptor:
        data = self._link.ask_bytes(":WAVeform:PREamble?")
        try:
            return read_descriptor(data)
        except ValueError as error:
            raise InstrumentError(
                f"the descriptor of a record must be {DESCRIPTOR_BYTES} bytes from WAVEDESC on, "
                f"got {error}",
                where=self._link.address,
                todo="check that the model is one that this driver knows",
            ) from error

    def _read_codes(self, n_points: int, scale: Descriptor) -> NDArray[np.float64]:
        """Read a record piece by piece; a piece that is short ends it."""
        most = max(1, int(self._link.ask_number(":WAVeform:MAXPoint?")))
        parts: list[NDArray[np.int16] | NDArray[np.int8]] = []
        for first in range(0, n_points, most):
            wanted = min(most, n_points - first)
            self._tell(f":WAVeform:STARt {first}", f":WAVeform:POINt {wanted}")
            data = self._link.ask_bytes(":WAVeform:DATA?")
            parts.append(np.frombuffer(data, "<i2" if scale.is_word else "i1"))
            if len(parts[-1]) < wanted:
                break
        return np.concatenate(parts).astype(np.float64)


def _why_refused(
    channel: int, codes: NDArray[np.float64], scale: Descriptor, settings: CaptureSettings
) -> str:
    """Say what is wrong with a record, or nothing."""
    if len(codes) != settings.n_points:
        return f"channel {channel} sent {len(codes)} points of {settings.n_points}"
    rate_hz = 1.0 / scale.interval_s
    if not is_close(rate_hz, settings.rate_hz, within=0.006, floor=0.0):
        return (
            f"channel {channel} was recorded at {rate_hz:g} Hz, configured was "
            f"{settings.rate_hz:g} Hz"
        )
    n_out = int(np.count_nonzero(np.abs(codes) > CLIPPED_DIV * scale.codes_per_div))
    if n_out:
        return f"channel {channel} has {n_out} of {len(codes)} samples clipped"
    return ""


def _short(word: str) -> str:
    """Return the short form of a word of the guide: NORM of NORMal, AUTO of AUTO."""
    return "".join(letter for letter in word if not letter.islower())


def _step_above(value: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below a value."""
    decade = 10.0 ** math.floor(math.log10(value))
    steps = (float(f"{step * decade:.1e}") for step in (1, 2, 5, 10))
    return next(step for step in steps if step >= value * (1 - 1e-9))
