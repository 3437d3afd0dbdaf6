"""Serve one SCPI instrument over a serial line, which is a pseudo-terminal here.

Messages are cut as on a raw socket: a newline ends one, except in a block and in a quotation. Baud
rate, parity and handshake are accepted and not enforced. A message that is too long is forgotten.
"""

from __future__ import annotations

import asyncio

from emgsim.virtual.firmware import Firmware, HungUpError
from emgsim.virtual.parameters import ScpiError
from emgsim.virtual.program import MAX_MESSAGE_BYTES
from emgsim.virtual.serial_line import SerialLine


class SerialServer:
    """Serve a firmware to whoever opens the port.

    Parameters
    ----------
    firmware
        The instrument.
    """

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._splitter = firmware.engine.splitter()
        self._messages: asyncio.Queue[bytes] = asyncio.Queue()
        self._line = SerialLine(self._hear)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Open the port and return the VISA resource."""
        path = self._line.open()
        self._task = asyncio.create_task(self._answer())
        return f"ASRL{path}::INSTR"

    async def close(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._line.close()

    def _hear(self, data: bytes) -> None:
        for message in self._splitter.feed(data):
            self._messages.put_nowait(message)
        if self._splitter.n_bytes > MAX_MESSAGE_BYTES:
            self._firmware.engine.queue(ScpiError(-223, "a message may have 36 MB"))
            self._splitter = self._firmware.engine.splitter()

    async def _answer(self) -> None:
        while True:
            try:
                self._line.send(await self._firmware.run(await self._messages.get()))
            except HungUpError:
                self._line.close()
                return
