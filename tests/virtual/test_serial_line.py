"""The serial line from the device's end: back-pressure, hanging up, and lines of commands."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.virtual.serial_line import CommandLines, SerialLine

CONTENT = bytes(range(256)) * 400  # six times what a terminal holds


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's body in an event loop, for ten seconds at most."""

    async def bounded() -> None:
        async with asyncio.timeout(10):
            await body()

    asyncio.run(bounded())


def opened(path: str) -> int:
    """Open a terminal as a client does."""
    return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


async def heard(port: int, n_bytes: int) -> bytes:
    """Read until so many bytes have come, or the line was cut."""
    data = b""
    while len(data) < n_bytes:
        await asyncio.sleep(0.001)
        try:
            piece = os.read(port, 4096)
        except BlockingIOError:
            continue
        except OSError:
            break
        if not piece:
            break
        data += piece
    return data


def test_a_slow_reader_loses_nothing_and_is_waited_for() -> None:
    """What the terminal does not hold waits; nobody is asked for more before it is gone."""

    async def body() -> None:
        asked = []

        def more() -> bytes | None:
            asked.append(line.n_waiting)
            return b"!" if len(asked) == 1 else None

        line = SerialLine(lambda _: None, more)
        port = opened(line.open())
        try:
            line.send(CONTENT)
            await asyncio.sleep(0.1)
            assert not asked
            assert line.n_refused == line.n_waiting > 50_000
            assert await heard(port, len(CONTENT) + 1) == CONTENT + b"!"
            assert asked[0] == 0
        finally:
            line.close()
            os.close(port)

    run(body)


def test_hanging_up_waits_for_the_reader() -> None:
    """All that was sent is read, and only then is the line cut."""

    async def body() -> None:
        line = SerialLine(lambda _: None)
        port = opened(line.open())
        try:
            line.send(CONTENT[:50_000])
            line.hang_up()
            assert await heard(port, 60_000) == CONTENT[:50_000]
            assert not line.is_open
        finally:
            line.close()
            os.close(port)

    run(body)


def test_hanging_up_waits_for_what_a_busy_kernel_holds_back() -> None:
    """One look that finds nothing unread is no proof: what comes 30 ms later is read as well."""

    async def body() -> None:
        line = SerialLine(lambda _: None)
        port = opened(line.open())
        try:
            line.hang_up()
            asyncio.get_running_loop().call_later(0.03, line.send, CONTENT[:500])
            assert await heard(port, 600) == CONTENT[:500]
        finally:
            line.close()
            os.close(port)

    run(body)


@pytest.mark.slow
def test_hanging_up_does_not_wait_for_ever() -> None:
    """Nobody reads: after half a second without a byte the line is cut."""

    async def body() -> None:
        line = SerialLine(lambda _: None)
        port = opened(line.open())
        try:
            line.send(CONTENT)
            line.hang_up()
            while line.is_open:
                await asyncio.sleep(0.01)
        finally:
            os.close(port)

    run(body)


def test_a_client_may_close_and_open_again() -> None:
    """The device hears both, and closing twice is allowed."""

    async def body() -> None:
        said = bytearray()
        line = SerialLine(said.extend)
        path = line.open()
        for word in (b"one", b"two"):
            port = opened(path)
            os.write(port, word)
            while not said.endswith(word):
                await asyncio.sleep(0.001)
            os.close(port)
        line.close()
        line.close()
        assert said == b"onetwo"

    run(body)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_commands_are_the_same_however_they_come(data: bytes, cuts: list[int]) -> None:
    """Cut at line ends; what is too long keeps its last bytes."""
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    commands = CommandLines(b"\n", longest=64)
    found = [line for a, b in pairwise(places) for line in commands.feed(data[a:b])]
    assert found == data.split(b"\n")[:-1]


def test_a_command_that_never_ends_does_not_fill_the_memory() -> None:
    """Of a million bytes without an end the last few are kept."""
    commands = CommandLines(b"\r", longest=8)
    for _ in range(1000):
        assert commands.feed(b"x" * 1000) == []
    assert commands.feed(b"\r") == [b"x" * 8]
