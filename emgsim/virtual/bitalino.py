"""Twin of a BITalino (r)evolution, firmware ``BITalino_v5.1``, on a pseudo-terminal.

Written after PLUX's open firmware (firmware-bitalino-revolution: uart.c for the commands, live.c
for the frames, timer.c for the counter). Every byte is a command, and none is acknowledged::

    in every mode   A3 b       the PWM output becomes b, whatever b is
                    B3..BF     digital outputs O1 (04) and O2 (08)
    idle            xxxxxx00   threshold of the battery's LED
                    xxxxxx01   stream the analogue ports A1 (04) to A6 (80)
                    07 0F      answer the version    0B   answer the state of all ports
                    03 43 83 C3  sampling at 1, 10, 100, 1000 Hz
                    FF         nothing
    streaming       00 FF      back to idle
                    xxxxxx11   digital outputs, as in the first BITalino

The first ports are the plant's channels; nothing is connected to the others, which read 0 here (the
real ones float). The converter always has 10 bits and runs at 1000 Hz: a slower rate leaves samples
out, as the device has no filter that would follow. The frame of one to four ports has 10 bits of
each; the fifth and sixth port send the upper 6.

Not modelled: the simulated signals (command xxxxxx10, ignored here), and streaming without any port
(ignored too; the real frames then hold a port of an earlier start). The clock is free: the transmit
buffer of 1500 bytes never overflows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InputError
from emgsim.plant.world import World
from emgsim.virtual.device_port import DevicePort
from emgsim.virtual.frame_faults import FrameFaults

VERSION = b"BITalino_v5.1\n"
RATE_HZ = 1000.0
ADC_BITS = 10
BATTERY_CODE = 574  # 3.7 V, as the threshold's codes are 527 at 3.4 V and 590 at 3.8 V
N_PORTS = 6
_PER_SAMPLE = {0x03: 1000, 0x43: 100, 0x83: 10, 0xC3: 1}


class VirtualBitalino:
    """Serve the amplifier of a `World` as a BITalino in the running event loop.

    Parameters
    ----------
    world
        The plant; its amplifier must have 10 bits and 1000 Hz.
    faults
        What goes wrong on purpose.

    Raises
    ------
    InputError
        If the plant's converter is not that of a BITalino.
    """

    def __init__(self, world: World, faults: FrameFaults | None = None) -> None:
        physics = world.physics.amplifier
        if (physics.adc_bits, physics.rate_hz) != (ADC_BITS, RATE_HZ):
            raise InputError(
                f"a BITalino has adc_bits = {ADC_BITS} and rate_hz = {RATE_HZ:g}, "
                f"got {physics.adc_bits} and {physics.rate_hz:g}",
                where="virtual.amplifier",
                todo="correct the rig file",
            )
        self._n_connected = min(world.amplifier.n_channels, N_PORTS)
        self._ports = [0]
        self._keep_one_in = 1
        self._waits_for_pwm = False
        self._battery_threshold = 0
        self._outputs = 0  # O1 and O2 as bits 1 and 0
        self._port = DevicePort(
            world, faults or FrameFaults(), hear=self._hear, encoder=self._encoder
        )

    def open(self) -> str:
        """Open the pseudo-terminal and return the path that a serial port is opened with."""
        return self._port.open()

    def close(self) -> None:
        """Hang up."""
        self._port.close()

    def _encoder(self) -> FrameEncoder:
        return FrameEncoder(self._ports, self._keep_one_in, lambda: self._digital)

    def _hear(self, data: bytes) -> None:
        for command in data:
            self._obey(command)

    def _obey(self, command: int) -> None:
        if self._waits_for_pwm:
            self._waits_for_pwm = False
        elif command == 0xA3:
            self._waits_for_pwm = True
        elif command & 0xA3 == 0xA3 and command != 0xFF:
            if command & 0xF3 == 0xB3:
                self._set_outputs(command)
        elif self._port.is_streaming:
            self._obey_streaming(command)
        else:
            self._obey_idle(command)

    def _obey_streaming(self, command: int) -> None:
        if command in (0x00, 0xFF):
            self._port.stop()
        elif command & 0x03 == 0x03:
            self._set_outputs(command)

    def _obey_idle(self, command: int) -> None:
        if command & 0x03 == 0x00:
            self._battery_threshold = command >> 2
        elif command & 0x03 == 0x01 and command > 0x01:
            self._ports = [port for port in range(N_PORTS) if command >> 2 + port & 1]
            self._port.start()
        elif command in (0x07, 0x0F):
            self._port.send(VERSION)
        elif command == 0x0B:
            self._port.send(self._state())
        elif command in _PER_SAMPLE:
            self._keep_one_in = _PER_SAMPLE[command]

    def _set_outputs(self, command: int) -> None:
        self._outputs = (command >> 2 & 1) << 1 | command >> 3 & 1

    def _state(self) -> bytes:
        """Return what the ports read: A1 to A6, battery, its threshold, and the digital ones."""
        analogue = [512] * self._n_connected + [0] * (N_PORTS - self._n_connected)
        content = np.array([*analogue, BATTERY_CODE], "<u2").tobytes()
        content += bytes([self._battery_threshold, self._digital << 4])
        return _checked(np.frombuffer(content, np.uint8)[None].copy()).tobytes()

    @property
    def _digital(self) -> int:
        """I1, I2, O1 and O2 as bits 3 to 0; the inputs have pull-ups and nothing is connected."""
        return 0b1100 | self._outputs


class FrameEncoder:
    """Turn codes into the frames of one stream.

    Parameters
    ----------
    ports
        Numbers of the analogue ports, 0 to 5, in rising order.
    keep_one_in
        How many samples of the converter make one frame.
    digital
        Gives the digital ports as 4 bits.
    """

    def __init__(self, ports: list[int], keep_one_in: int, digital: Callable[[], int]) -> None:
        self._ports = ports
        self._keep_one_in = keep_one_in
        self._digital = digital
        self._n_converted = self._n_framed = 0

    def encode(self, codes: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return one row of bytes per frame of codes, shape ``(n, n_channels)``."""
        numbers = self._n_converted + np.arange(len(codes))
        self._n_converted += len(codes)
        kept = codes[numbers % self._keep_one_in == 0, :N_PORTS]
        values = np.zeros((len(kept), N_PORTS), np.int32)
        values[:, : kept.shape[1]] = kept + 2 ** (ADC_BITS - 1)
        counters = self._n_framed + np.arange(len(kept))
        self._n_framed += len(kept)
        return frames(values[:, self._ports], counters, self._digital())


def frames(
    values: NDArray[np.int32], counters: NDArray[np.int64], digital: int
) -> NDArray[np.uint8]:
    """Return one row of bytes per frame.

    Parameters
    ----------
    values
        Shape ``(n, n_ports)``: what the converter says, 0 to 1023.
    counters
        Shape ``(n,)``: the number of each frame, of which 4 bits are sent.
    digital
        The digital ports as 4 bits.
    """
    row = np.zeros((len(values), 8), np.uint8)
    row[:, 7] = counters % 16 << 4
    row[:, 6] = digital << 4
    # As in the firmware: each code is or-ed into two neighbouring bytes, the lower one first.
    for value, (lower, shift) in zip(values.T, ((5, 2), (4, 0), (2, 6), (1, 4)), strict=False):
        row[:, lower] |= (value << shift & 0xFF).astype(np.uint8)
        row[:, lower + 1] |= (value << shift >> 8).astype(np.uint8)
    n_ports = values.shape[1]
    if n_ports > 4:
        upper = values[:, 4] >> 4
        row[:, 0] |= (upper << 6 & 0xFF).astype(np.uint8)
        row[:, 1] |= (upper >> 2).astype(np.uint8)
    if n_ports > 5:
        row[:, 0] |= (values[:, 5] >> 4).astype(np.uint8)
    first = 6 - n_ports - (3 <= n_ports <= 5)
    return _checked(row[:, first:])


def _checked(row: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put the CRC into the lower half of the last byte of each row, which must be 0."""
    crc = np.zeros(len(row), np.uint8)
    for column in row.T[:-1]:
        crc = _NEXT[crc] ^ column >> np.uint8(4)
        crc = _NEXT[crc] ^ column & np.uint8(0x0F)
    crc = _NEXT[crc] ^ row[:, -1] >> np.uint8(4)
    row[:, -1] |= _NEXT[crc]
    return row


def _next(crc: int) -> int:
    """Shift a CRC by 4 bits: x^4 = x + 1."""
    for _ in range(4):
        crc = crc << 1 ^ (0b10011 if crc & 0b1000 else 0)
    return crc


_NEXT = np.array([_next(crc) for crc in range(16)], np.uint8)
