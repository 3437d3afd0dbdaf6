"""What all instruments with a SCPI link have alike: opening, identity, and giving the link back."""

from __future__ import annotations

import re
from abc import ABC
from types import TracebackType
from typing import ClassVar, Self

from emgsim.errors import InstrumentError
from emgsim.instruments.base import API, Identity, read_identity
from emgsim.instruments.scpi import ScpiLink
from emgsim.instruments.transport import VisaLink


class ScpiInstrument(ABC):
    """Holds the link of an instrument; the dialect is a subclass.

    Use `open`; the constructor takes a link that is open already and sends nothing.
    """

    api: ClassVar[int] = API
    models: ClassVar[re.Pattern[str]]  # that the driver knows
    models_told: ClassVar[str]  # "the model must ..."

    def __init__(self, link: ScpiLink) -> None:
        self._link = link

    @classmethod
    def open(cls, address: str, *, timeout_s: float = 5.0) -> Self:
        """Open the instrument at a VISA address and check its model; nothing is set or reset."""
        link = VisaLink(address, timeout_s=timeout_s)
        instrument = cls(link)
        try:
            instrument.identify()
        except BaseException:
            link.close()
            raise
        return instrument

    def identify(self) -> Identity:
        """Ask who answers, and refuse a model that this driver does not know."""
        identity = read_identity(self._link.ask("*IDN?"), where=self._link.address)
        model = self.models.match(identity.model)
        if model is None:
            raise InstrumentError(
                f"the model must {self.models_told}, got {identity}",
                where=self._link.address,
                todo="check the address, or name another driver in the rig file",
            )
        self._note_model(model)
        return identity

    def _note_model(self, model: re.Match[str]) -> None:  # noqa: B027 - most need not know it
        """Take note of which of the models it is."""

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
        self.close()
