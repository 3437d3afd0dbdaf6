"""Serve one SCPI instrument over a raw TCP socket, on loopback.

A newline ends a message, except in a block and in a quotation. Nothing else marks anything: there
is no device clear, no status byte and no trigger, and an answer that nobody waits for any more is
sent all the same. A message that is too long ends the connection.
"""

from __future__ import annotations

import asyncio

from emgsim.virtual.firmware import Firmware
from emgsim.virtual.listener import READ_AHEAD_BYTES, Listener
from emgsim.virtual.parameters import ScpiError
from emgsim.virtual.program import MAX_MESSAGE_BYTES


class SocketServer:
    """Serve a firmware to any number of clients.

    Parameters
    ----------
    firmware
        The instrument.
    """

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._listener = Listener(self._serve)

    async def start(self) -> str:
        """Listen on loopback and return the VISA resource."""
        return f"TCPIP::127.0.0.1::{await self._listener.start()}::SOCKET"

    async def close(self) -> None:
        """Stop listening and hang up on every client."""
        await self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = self._firmware.engine.splitter()
        while data := await reader.read(READ_AHEAD_BYTES):
            for message in splitter.feed(data):
                writer.write(await self._firmware.run(message, reader.at_eof))
                await writer.drain()
            if splitter.n_bytes > MAX_MESSAGE_BYTES:
                self._firmware.engine.queue(ScpiError(-223, "a message may have 36 MB"))
                return
