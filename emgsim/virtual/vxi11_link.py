"""One link of a VXI-11 client: what it has written, what is run for it, and what it may read.

An answer that nobody has read when the next message comes is dropped with error -410, and so is
one that is not ready by then (IEEE 488.2 calls such a query interrupted).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from emgsim.virtual.firmware import Firmware, HungUpError
from emgsim.virtual.parameters import ScpiError
from emgsim.virtual.program import MAX_MESSAGE_BYTES

_LOOK_S = 0.2  # how often one looks whether the client is still there
REASON_COUNT, REASON_CHAR, REASON_END = 1, 2, 4  # why a device_read ended


class Link:
    """Run the messages of one link in their order, as long as it lives.

    Parameters
    ----------
    number
        Its identifier.
    firmware
        The instrument.
    hang_up
        Closes the connection that the link belongs to.
    is_gone
        Tells whether the client has closed it.
    """

    def __init__(
        self,
        number: int,
        firmware: Firmware,
        hang_up: Callable[[], None],
        is_gone: Callable[[], bool],
    ) -> None:
        self.number = number
        self._firmware = firmware
        self._hang_up = hang_up
        self._is_gone = is_gone
        self._parts: list[bytes] = []
        self._n_bytes = 0
        self._n_messages = self._n_clears = 0
        self._answer = b""
        self._has_answer = asyncio.Event()
        self._messages: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._runner = asyncio.create_task(self._run())

    @property
    def has_message(self) -> bool:
        """Whether an answer waits to be read."""
        return bool(self._answer)

    def close(self) -> None:
        """Give up whatever is under way."""
        self._runner.cancel()

    def write(self, data: bytes, *, is_end: bool) -> None:
        """Take a part of a message; the last one has it run."""
        self._n_bytes += len(data)
        if self._n_bytes <= MAX_MESSAGE_BYTES:
            self._parts.append(data)
        else:
            self._parts.clear()
        if is_end:
            self._end_message()

    async def read(
        self, n_bytes: int, timeout_s: float, term: bytes = b""
    ) -> tuple[int, bytes] | None:
        """Return why a read ended and what it read; None when there was nothing in that time."""
        if not await self._wait(timeout_s):
            return None
        found = self._answer[:n_bytes]
        place = found.find(term) if term else -1
        if place >= 0:
            found = found[: place + 1]
        self._put(self._answer[len(found) :])
        reason = REASON_COUNT * (len(found) == n_bytes) | REASON_CHAR * (place >= 0)
        return reason | REASON_END * (not self._answer), found

    async def _wait(self, timeout_s: float) -> bool:
        """Wait for an answer, and tell whether it came; a client that has gone waits no more."""
        clock = asyncio.get_running_loop().time
        due_s = clock() + timeout_s
        while not self._answer:
            left_s = due_s - clock()
            if left_s <= 0 or self._is_gone():
                return False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_answer.wait(), min(left_s, _LOOK_S))
        return True

    def clear(self) -> None:
        """Forget what was written, what is under way, and what waits to be read."""
        self._n_clears += 1
        self._forget_message()
        self._put(b"")
        while not self._messages.empty():
            self._messages.get_nowait()
        self._firmware.engine.clear()

    def _put(self, answer: bytes) -> None:
        self._answer = answer
        if answer:
            self._has_answer.set()
        else:
            self._has_answer.clear()

    def _forget_message(self) -> None:
        self._parts.clear()
        self._n_bytes = 0

    def _end_message(self) -> None:
        message, n_bytes = b"".join(self._parts), self._n_bytes
        self._forget_message()
        if n_bytes > MAX_MESSAGE_BYTES:
            self._firmware.engine.queue(ScpiError(-223, "a message may have 36 MB"))
            return
        if self._answer:
            self._interrupt()
        self._n_messages += 1
        self._messages.put_nowait((self._n_messages, message))

    def _interrupt(self) -> None:
        self._put(b"")
        self._firmware.engine.queue(ScpiError(-410))

    async def _run(self) -> None:
        while True:
            number, message = await self._messages.get()
            n_clears = self._n_clears

            def is_cleared(before: int = n_clears) -> bool:
                return self._n_clears > before

            try:
                answer = await self._firmware.run(message, is_cleared)
            except HungUpError:
                self._hang_up()
                return
            if not answer or is_cleared():
                continue
            if number < self._n_messages:
                self._interrupt()
            else:
                self._put(answer)
