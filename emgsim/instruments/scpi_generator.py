"""What all generators with a SCPI link have alike: the order in which a playback becomes real.

The output is off before anything changes; whatever is set is read back; a memory that is written
anew belongs to nobody until it has arrived; settings are read back once more before the output goes
on; and it is off in the end. A dialect says how each step is spoken, not when.
"""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import EmgsimError, InstrumentError, LinkError
from emgsim.instruments.base import Filter, SourceCaps, SourceSettings, UploadReceipt
from emgsim.instruments.generator_waveforms import (
    check_filter,
    check_name,
    check_ready,
    check_settings,
    check_waveform,
    receipt,
)
from emgsim.instruments.scpi import Block, ScpiLink
from emgsim.instruments.scpi_instrument import ScpiInstrument

UPLOAD_TIMEOUT_S = 60.0  # longest wait until an upload or a reset is done
Word = Literal["ON", "OFF"]
PULL = "pull the plug of its output, then look what holds it on"


class ScpiGenerator(ScpiInstrument):
    """Holds the link of a generator; leaving the context switches the output off."""

    reset_message: ClassVar[str] = "*RST;*CLS"
    only_filter: ClassVar[tuple[Filter, str] | None] = None  # and whose it is; None: any

    def __init__(self, link: ScpiLink) -> None:
        super().__init__(link)
        self._caps: SourceCaps | None = None
        self._settings: SourceSettings | None = None
        self._waveform = ""
        self._n_points = 0

    @property
    @abstractmethod
    def caps(self) -> SourceCaps:
        """What this generator can do, by its model."""

    def reset(self) -> None:
        """Return to the default settings: output off."""
        self._settings = None
        self._forget_waveform()
        self._link.tell(self.reset_message)
        self._finish("reset")

    def configure(self, settings: SourceSettings) -> SourceSettings:
        """Switch the output off, set everything, and return the settings as read back.

        Raises
        ------
        UsageError
            When a setting is beyond what the generator can do, or it has no such filter.
        InstrumentError
            When a setting reads back differently by more than the dialect allows.
        """
        check_settings(settings, self.caps)
        if self.only_filter is not None:
            check_filter(settings, *self.only_filter)
        self.off()
        self._settings = None
        self._put_levels(settings)
        self._put_timing(settings)
        self._check_errors("configure")
        self._settings = settings
        return self._read_back(settings)

    def upload(
        self, name: str, volts: NDArray[np.float64], settings: SourceSettings
    ) -> UploadReceipt:
        """Replace the waveform that is played; the output is switched off first.

        Parameters
        ----------
        name
            At most 12 letters, digits and underscores, the first a letter; kept on this side
            where the memory has no names.
        volts
            Open-circuit volts without the offset, (n_points,), within +-vpp/2.
        settings
            The settings that the waveform will be played with.

        Raises
        ------
        UsageError
            When the waveform is too long or too short, not finite, or would be clipped.
        InstrumentError
            When the generator tells afterwards that it has another one.
        """
        check_name(name)
        check_waveform(volts, settings, self.caps)
        codes, rms_v = self._codes(volts, settings.vpp_open_v / 2)
        self.off()
        self._forget_waveform()
        n_bytes = self._send(name, codes)
        self._finish(f"the upload of {codes.size} points")
        self._n_points = codes.size
        self._check_arrival(name)
        self._waveform = name
        return receipt(name, codes, n_bytes, rms_v)

    def arm(self) -> None:
        """Select the uploaded waveform and switch the output on, waiting for a trigger.

        The settings are read back once more before the output goes on: selecting a waveform is
        what an instrument may take as a reason to change them.
        """
        settings = check_ready(self._settings, self._waveform, self._link.address)
        self._select_waveform()
        self._read_back(settings)
        self._check_length()
        self._check_errors("arm")
        self._put_output("ON")

    @abstractmethod
    def trigger(self) -> None:
        """Start one burst now."""

    def off(self) -> None:
        """Switch the output off and verify it by a query.

        Raises
        ------
        InstrumentError
            When the generator says that its output is still on.
        """
        try:
            self._put_output("OFF")
        except LinkError:  # whether it is off is not known
            raise
        except InstrumentError as error:
            raise InstrumentError(
                f"the output is not off: {error.what}", where=error.where, todo=PULL
            ) from error

    def errors(self) -> tuple[str, ...]:
        """Read and clear the error queue."""
        return self._link.errors()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.off()
        except EmgsimError as failure:
            if error is None:
                raise
            error.add_note(f"and the output could not be switched off: {failure.what}")
        finally:
            self.close()

    # ---- the dialect

    @abstractmethod
    def _put_levels(self, settings: SourceSettings) -> None:
        """Set load, function and voltages: they come first, as the load scales all voltages."""

    @abstractmethod
    def _put_timing(self, settings: SourceSettings) -> None:
        """Set filter, rate, burst and trigger."""

    @abstractmethod
    def _read_back(self, wanted: SourceSettings) -> SourceSettings:
        """Read all settings at once, and refuse a set that is not what was configured."""

    @abstractmethod
    def _codes(self, volts: NDArray[np.float64], full_scale_v: float) -> tuple[Block, float]:
        """Return a waveform in the codes that are sent, and the rms of its rounding in volts."""

    @abstractmethod
    def _send(self, name: str, codes: Block) -> int:
        """Send a waveform, and return the number of its bytes."""

    @abstractmethod
    def _put_output(self, word: Word) -> None:
        """Switch the output and verify it by a query."""

    def _check_arrival(self, name: str) -> None:
        """Refuse an upload that did not arrive, and do what waits for its length."""

    def _select_waveform(self) -> None:
        """Select the uploaded waveform."""

    def _check_length(self) -> None:
        """Refuse a selected waveform of another length; its codes cannot be asked for."""

    def _check_errors(self, doing: str) -> None:
        self._link.check_errors(doing)

    def _finish(self, doing: str) -> None:
        """Wait until all that was sent is done."""
        self._link.finish(doing, timeout_s=UPLOAD_TIMEOUT_S)

    def _forget_waveform(self) -> None:
        self._waveform, self._n_points = "", 0
