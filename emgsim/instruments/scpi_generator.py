"""What all generators with a SCPI link have alike: opening, identity, reset, and the way out."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Self

from emgsim.errors import EmgsimError, InstrumentError, LinkError
from emgsim.instruments.base import API, Identity, SourceCaps, SourceSettings, read_identity
from emgsim.instruments.scpi import ScpiLink
from emgsim.instruments.transport import VisaLink

UPLOAD_TIMEOUT_S = 60.0
PULL = "pull the plug of its output, then look what holds it on"


class ScpiGenerator(ABC):
    """Holds the link of a generator; the dialect is a subclass.

    Use `open`; the constructor takes a link that is open already and sends nothing. Leaving the
    context switches the output off.
    """

    api: ClassVar[int] = API
    models: ClassVar[re.Pattern[str]]  # that the driver knows
    models_told: ClassVar[str]  # "the model must ..."

    def __init__(self, link: ScpiLink) -> None:
        self._link = link
        self._caps: SourceCaps | None = None
        self._settings: SourceSettings | None = None
        self._waveform = ""
        self._n_points = 0

    @classmethod
    def open(cls, address: str, *, timeout_s: float = 5.0) -> Self:
        """Open the generator at a VISA address and check its model; nothing is set or reset."""
        link = VisaLink(address, timeout_s=timeout_s, upload_timeout_s=UPLOAD_TIMEOUT_S)
        source = cls(link)
        try:
            source.identify()
        except BaseException:
            link.close()
            raise
        return source

    def identify(self) -> Identity:
        """Ask who answers, and refuse a model that this driver does not know."""
        identity = read_identity(self._link.ask("*IDN?"), where=self._link.address)
        if not self.models.match(identity.model):
            raise InstrumentError(
                f"the model must {self.models_told}, got {identity}",
                where=self._link.address,
                todo="check the address, or name another driver in the rig file",
            )
        return identity

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

    def close(self) -> None:
        """Give the link back; closing twice is allowed."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

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
