"""A client that knows nothing but bytes, for twins on a pseudo-terminal."""

import asyncio
import os
from typing import Protocol

Turn = bytes | tuple[bytes, int]
"""What is said, with how many bytes are enough of an answer."""

SETTLED_TURNS = 200  # turns of the event loop without a byte: nothing more is coming


class Port(Protocol):
    """A twin on a pseudo-terminal."""

    def open(self) -> str:
        """Open it."""

    def close(self) -> None:
        """Hang up."""


def conversation(twin: Port, *said: Turn) -> list[bytes]:
    """Say something, collect what comes until nothing does, then say the next thing.

    What starts a stream, which has no end, is said with a number of bytes, which are enough.
    """
    return asyncio.run(_conversation(twin, said))


async def _conversation(twin: Port, said: tuple[Turn, ...]) -> list[bytes]:
    port = os.open(twin.open(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        answers = []
        for turn in said:
            words, n_bytes = turn if isinstance(turn, tuple) else (turn, 0)
            os.write(port, words)
            answers.append(await _heard(port, n_bytes))
        return answers
    finally:
        os.close(port)
        twin.close()


async def _heard(port: int, n_bytes: int) -> bytes:
    heard, n_silent = b"", 0
    async with asyncio.timeout(20):
        while n_silent < SETTLED_TURNS and not 0 < n_bytes <= len(heard):
            await asyncio.sleep(0 if heard else 0.0005)
            try:
                heard += os.read(port, 4096)
                n_silent = 0
            except BlockingIOError:
                n_silent += 1
    return heard
