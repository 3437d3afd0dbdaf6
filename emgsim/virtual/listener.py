"""Listen on loopback for clients of one protocol, and let none of them outlive the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

READ_AHEAD_BYTES = 1 << 20


class Listener:
    """Run `serve` for every connection until the client or the server ends it.

    Parameters
    ----------
    serve
        Serves one connection; what it raises because the peer has gone is expected.
    """

    def __init__(self, serve: Serve) -> None:
        self._serve_one = serve
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen on a port of 127.0.0.1 that the system chooses, and return it."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=READ_AHEAD_BYTES
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening and hang up on every client."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._serve_one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client, or the whole server, went away
        finally:
            with suppress(ConnectionError):
                writer.close()
