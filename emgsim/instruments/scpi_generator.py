"""What all generators with a SCPI link have alike: reset, and that the output is off in the end."""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType

from emgsim.errors import EmgsimError, InstrumentError, LinkError
from emgsim.instruments.base import SourceCaps, SourceSettings
from emgsim.instruments.scpi import ScpiLink
from emgsim.instruments.scpi_instrument import ScpiInstrument

UPLOAD_TIMEOUT_S = 60.0  # longest wait until an upload or a reset is done
PULL = "pull the plug of its output, then look what holds it on"


class ScpiGenerator(ScpiInstrument):
    """Holds the link of a generator; leaving the context switches the output off."""

    def __init__(self, link: ScpiLink) -> None:
        super().__init__(link)
        self._caps: SourceCaps | None = None
        self._settings: SourceSettings | None = None
        self._waveform = ""
        self._n_points = 0

    def reset(self) -> None:
        """Return to the factory settings: output off."""
        self._settings, self._waveform = None, ""
        self._link.tell("*RST;*CLS")
        self._link.finish("reset", timeout_s=UPLOAD_TIMEOUT_S)

    def off(self) -> None:
        """Switch the output off and verify it by a query.

        Raises
        ------
        InstrumentError
            When the generator says that its output is still on.
        """
        try:
            self._switch_off()
        except LinkError:  # whether it is off is not known
            raise
        except InstrumentError as error:
            raise InstrumentError(
                f"the output is not off: {error.what}", where=error.where, todo=PULL
            ) from error

    @abstractmethod
    def _switch_off(self) -> None:
        """Switch the output off and verify it by a query, in the instrument's dialect."""

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
