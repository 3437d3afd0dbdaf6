"""The way of bytes out of a device in the paced clock: its FIFO, its UART and the USB adapter.

All times are given by the caller, so that it is the same in a test as on the wall clock.
"""

from __future__ import annotations

import math
from collections import deque

from emgsim.plant.physics import LinePhysics

BITS_PER_BYTE = 10  # 8N1


class Uart:
    """Queue frames and let their bytes out at the line's speed.

    Parameters
    ----------
    physics
        Speed, size of the FIFO, latency of the USB adapter.

    Attributes
    ----------
    n_overflowed
        Frames that found no room and were dropped.
    """

    def __init__(self, physics: LinePhysics) -> None:
        self._byte_s = BITS_PER_BYTE / physics.baud if physics.baud else 0.0
        self._fifo_bytes = physics.fifo_bytes
        self._latency_s = physics.usb_latency_s
        self._sent = bytearray()  # on the line, and still in the adapter
        self._queue: deque[tuple[float, bytes]] = deque()  # when its first bit goes out
        self._free_s = 0.0  # when the line has sent all that is queued
        self.n_overflowed = 0

    def owed_bytes(self, now_s: float) -> int:
        """Return how many bytes wait in the FIFO."""
        if not self._byte_s:
            return 0
        return max(0, math.ceil((self._free_s - now_s) / self._byte_s - 1e-9))

    def put(self, frame: bytes, now_s: float, *, blocked_bytes: int = 0) -> bool:
        """Queue a frame, or drop it when the FIFO has no room; tell whether it was queued.

        Parameters
        ----------
        frame
            It is queued whole or not at all.
        now_s
            Now.
        blocked_bytes
            Bytes that the host does not take, and that stay in the FIFO.
        """
        if self.owed_bytes(now_s) + blocked_bytes + len(frame) > self._fifo_bytes:
            self.n_overflowed += 1
            return False
        self.say(frame, now_s)
        return True

    def say(self, answer: bytes, now_s: float) -> None:
        """Queue an answer to a command: the device waits with it as long as the FIFO is full."""
        start_s = max(self._free_s, now_s)
        self._queue.append((start_s, answer))
        self._free_s = start_s + len(answer) * self._byte_s

    def taken(self, now_s: float) -> bytes:
        """Return what the host gets now and did not get before.

        The adapter hands over at multiples of its latency what the line had brought by then.
        """
        seen_s = now_s
        if self._latency_s:
            seen_s = math.floor(now_s / self._latency_s + 1e-9) * self._latency_s
        while self._queue:
            start_s, frame = self._queue[0]
            whole = len(frame)
            if self._byte_s:
                whole = min(whole, max(0, int((seen_s - start_s) / self._byte_s + 1e-9)))
            elif start_s > seen_s:
                whole = 0
            self._sent += frame[:whole]
            if whole < len(frame):
                self._queue[0] = (start_s + whole * self._byte_s, frame[whole:])
                break
            self._queue.popleft()
        data, self._sent = bytes(self._sent), bytearray()
        return data
