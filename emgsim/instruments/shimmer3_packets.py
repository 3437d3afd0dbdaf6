"""Decodes the data packets of a Shimmer3 EXG in its mode with checks.

A packet is ``00 | time | status | channel 1 | channel 2 | CRC``: 24 bits of time in ticks of
1/32768 s (little-endian), the status of the ADS1292R, two codes of 24 bits (big-endian), and the
CRC of all that (little-endian). Between packets an acknowledgement (FF) or a status message (8A 71
and a byte, with or without FF before it) may stand, each with its CRC. Source: Shimmer's open
firmware LogAndStream (log-and-stream-common: Sensing/, Comms/shimmer_bt_uart.c, CRC/).

The time tells how many packets were lost. It comes round after 512 s, so a loss of 512 s or more
is told too short by a multiple of that; such a long silence ends a reading by its time-out before.
"""

from __future__ import annotations

from binascii import crc_hqx

import numpy as np
from numpy.typing import NDArray

from emgsim.instruments.base import DeviceBlock

TICKS_HZ = 32768
TICKS = 1 << 24  # after so many the time is 0 again
N_CHANNELS = 2
PACKET_BYTES = 13
DATA_PACKET = b"\x00"
ACK = 0xFF
MESSAGES = (b"\xff\x8a\x71", b"\x8a\x71", b"\xff")  # a byte of status follows the first two
CRC_BYTES = 2
LONGEST_MESSAGE = 6


def crc(data: bytes) -> int:
    """Compute the CRC of the firmware: CRC-16 with 0x1021 from 0xB0CA on, over an even length.

    An odd one is filled up with a zero, as the firmware feeds its CRC unit with words.
    """
    return crc_hqx(data + bytes(len(data) % 2), 0xB0CA)


class PacketDecoder:
    """Turns bytes into blocks of samples; any split of the stream gives the same samples.

    Parameters
    ----------
    ticks_per_sample
        Ticks of the device's clock from one packet to the next.
    """

    def __init__(self, ticks_per_sample: int) -> None:
        self._ticks = ticks_per_sample
        self._rest = b""
        self._last: int | None = None  # time of the last packet
        self._skipped_bytes = 0  # since then
        self._n_bad = self._n_repeated = 0
        self._next_sample = 0

    @property
    def n_bad_frames(self) -> int:
        """Number of packets' worth of bytes that were no packets."""
        return self._n_bad + -(-self._skipped_bytes // PACKET_BYTES)

    def feed(self, data: bytes) -> DeviceBlock:
        """Decode what became complete with these bytes.

        Returns
        -------
        DeviceBlock
            The samples with zeros for lost ones; it may be empty.
        """
        stream, position, found = self._rest + data, 0, []
        while len(stream) - position >= PACKET_BYTES:
            end = position + PACKET_BYTES
            if _is_checked(stream, position, PACKET_BYTES) and stream[position] == 0:
                found.append(stream[position:end])
                self._n_bad, self._skipped_bytes = self.n_bad_frames, 0
                position = end
            else:
                position = self._past_no_packet(stream, position)
        self._rest = stream[position:]
        return self._laid_out(np.frombuffer(b"".join(found), np.uint8).reshape(-1, PACKET_BYTES))

    def _past_no_packet(self, stream: bytes, position: int) -> int:
        """Return the next place to try after one that holds no packet, perhaps a message."""
        if not self._skipped_bytes and (n_bytes := _message_bytes(stream, position)):
            return position + n_bytes
        found = stream.find(DATA_PACKET, position + 1)
        place = found if found >= 0 else len(stream)
        self._skipped_bytes += place - position
        return place

    def _laid_out(self, packets: NDArray[np.uint8]) -> DeviceBlock:
        """Place packets by their times, with zeros for lost ones."""
        times = packets[:, 1:4].astype(np.int64) @ (1, 1 << 8, 1 << 16)
        steps = self._steps(times)
        packets, steps = packets[steps > 0], steps[steps > 0]
        self._n_repeated += len(times) - len(steps)
        first, ends = self._next_sample, np.cumsum(steps)
        counts = np.zeros((int(ends[-1]) if len(ends) else 0, N_CHANNELS), np.int32)
        counts[ends - 1] = _codes(packets[:, 5:11])
        gaps = tuple(
            (first + int(ends[i] - steps[i]), int(steps[i]) - 1) for i in np.flatnonzero(steps > 1)
        )
        self._next_sample += len(counts)
        return DeviceBlock(counts, first, gaps, self.n_bad_frames, self._n_repeated)

    def _steps(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many samples after the one before each packet was taken; 0: it came twice."""
        if not len(times):
            return times
        before = times[0] - self._ticks if self._last is None else self._last
        self._last = int(times[-1])
        ticks = np.diff(times, prepend=before) % TICKS
        return np.asarray((ticks + self._ticks // 2) // self._ticks)


def _is_checked(stream: bytes, position: int, n_bytes: int) -> bool:
    """Tell whether bytes end with the CRC of those before it."""
    end = position + n_bytes - CRC_BYTES
    sent = stream[end] | stream[end + 1] << 8
    return crc(stream[position:end]) == sent


def _message_bytes(stream: bytes, position: int) -> int:
    """Return the length of the message that starts here, or 0."""
    for start in MESSAGES:
        n_bytes = len(start) + (len(start) > 1) + CRC_BYTES
        if stream.startswith(start, position) and _is_checked(stream, position, n_bytes):
            return n_bytes
    return 0


def _codes(fields: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Read signed numbers of 3 bytes, big-endian: to the high end of 32 bits and shifted down."""
    padded = np.zeros((len(fields), N_CHANNELS, 4), np.uint8)
    padded[..., :3] = fields.reshape(-1, N_CHANNELS, 3)
    return padded.view(">i4")[..., 0].astype(np.int32) >> np.int32(8)
