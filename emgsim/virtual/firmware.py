"""What stands between an instrument's command tree and its wires: one message at a time.

Every wire hands its messages to the same `Firmware`, so that an instrument behaves, and misbehaves,
in the same way whichever wire it is reached by.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from emgsim.plant.faults import ScpiFaults
from emgsim.virtual.parameters import ScpiError
from emgsim.virtual.scpi import ERROR_QUEUE_DEPTH, Engine

_LOOK_S = 0.01  # how often a late answer looks whether anybody still waits for it
_LONGEST_HEADER = 256  # bytes of a message that are looked at to know whether it counts
_BLOCK = re.compile(rb"#[1-9]")


class HungUpError(ConnectionError):
    """The instrument closes the connection that a message came by."""


def _never() -> bool:
    return False


class Firmware:
    """Run the messages of all connections to one instrument, each when the one before is done.

    Parameters
    ----------
    engine
        The instrument.
    faults
        What goes wrong on purpose.
    is_silent
        Accept messages and never run one: a hung firmware behind a network side that lives.
    """

    def __init__(
        self, engine: Engine, faults: ScpiFaults | None = None, *, is_silent: bool = False
    ) -> None:
        self.engine = engine
        self._faults = faults or ScpiFaults()
        self._is_silent = is_silent
        self._turn = asyncio.Lock()
        self._n_messages = self._n_queries = 0
        engine.identity = self._faults.wrong_identity or engine.identity

    async def run(self, message: bytes, is_given_up: Callable[[], bool] = _never) -> bytes:
        """Run a message and return its answer, which is empty when there is none.

        Parameters
        ----------
        message
            One or more program messages.
        is_given_up
            Tells whether nobody waits any more, after a device clear or when the client has gone:
            what would have to be waited for is then left undone.

        Raises
        ------
        HungUpError
            When the connection is to be closed.
        """
        if self._is_silent:
            return b""
        is_counted = self._faults.counted.upper().encode() in message[:_LONGEST_HEADER].upper()
        if is_counted:
            self._count_message()
        async with self._turn:
            answer = await self._obey(message, is_given_up)
            if answer and is_counted:
                answer = await self._spoilt(answer, is_given_up)
            return answer

    def trigger(self) -> None:
        """Act on a trigger message of the bus."""
        if not self._is_silent:
            self.engine.trigger()

    def _count_message(self) -> None:
        self._n_messages += 1
        if self._n_messages == self._faults.drop_at_message:
            raise HungUpError
        if self._n_messages == self._faults.error_queue_overflow_at_message:
            for _ in range(ERROR_QUEUE_DEPTH + 1):
                self.engine.queue(ScpiError(-310))

    async def _obey(self, message: bytes, is_given_up: Callable[[], bool]) -> bytes:
        steps = self.engine.run(message)
        try:
            while True:
                try:
                    next(steps)
                except StopIteration as stop:
                    answer: bytes = stop.value
                    return answer
                if is_given_up():
                    return b""
                await asyncio.sleep(0)
        finally:
            steps.close()

    async def _spoilt(self, answer: bytes, is_given_up: Callable[[], bool]) -> bytes:
        """Return what becomes of an answer on its way out."""
        faults = self._faults
        self._n_queries += 1
        if self._n_queries == faults.no_answer_at_query:
            return b""
        if self._n_queries == faults.late_answer_at_query:
            clock = asyncio.get_running_loop().time
            due_s = clock() + faults.late_by_s
            while clock() < due_s and not is_given_up():
                await asyncio.sleep(_LOOK_S)
        if faults.truncated_block and _BLOCK.match(answer):
            return answer[: len(answer) // 2]
        return answer
