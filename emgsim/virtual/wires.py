"""The wires by which an instrument with a command tree can be reached; each has a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from emgsim.virtual.firmware import Firmware
from emgsim.virtual.hislip import HislipServer
from emgsim.virtual.raw_socket import SocketServer
from emgsim.virtual.serial_scpi import SerialServer
from emgsim.virtual.vxi11 import Vxi11Server

Wire = Literal["hislip", "socket", "vxi11", "serial"]


class Server(Protocol):
    """What answers at the end of a wire."""

    async def start(self) -> str:
        """Begin to serve in the running event loop, and return the VISA resource."""

    async def close(self) -> None:
        """Hang up on everybody."""


SERVERS: dict[Wire, Callable[[Firmware], Server]] = {
    "hislip": HislipServer,
    "socket": SocketServer,
    "vxi11": Vxi11Server,
    "serial": SerialServer,
}


class Wires(BaseModel):
    """Say by which wire each instrument is reached: the table ``virtual.wires`` of a rig file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Wire = "hislip"
    capture: Wire = "hislip"
