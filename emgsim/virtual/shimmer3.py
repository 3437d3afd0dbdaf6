"""Twin of a Shimmer3 with its EXG daughter card, firmware LogAndStream 0.16.0, on a pty.

Written after Shimmer's open firmware (log-and-stream-common: Comms/shimmer_bt_uart.c for the
commands, Sensing/ for the packets, CRC/ with its test values; EXG/exg.c for the status byte). A
command is a byte and its arguments; FF acknowledges it, before the answer in the same packet. While
it streams it obeys in the same way, between data packets::

    00 | time, 24 bits of 1/32768 s, little-endian | status and two codes of each chip that is on

A code has 24 bits, big-endian; the status is 80 for new data without a lead off. With `SET_CRC` all
that is sent, also the acknowledgement of that very command, ends with one or two bytes of CRC.

The plant runs at the 32768 Hz of the device's crystal, and the device keeps every n-th code, as its
rate command says. The plant's first two channels are those of the first chip; nothing is connected
to the second. The plant's range is that of a gain of 12; another gain, as registers set it, takes
effect at the next start.

Not modelled: all other sensors (their bits are stored and add no channel), the 16-bit mode, the
chip's own filter and rate (the plant's low-pass stands for them), its inputs other than normal and
IN3 (they read 0), messages that nobody asked for, the memory card. A command that the twin does not
know is ignored, without an acknowledgement. The clock is free: no buffer overflows.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InputError
from emgsim.plant.world import World
from emgsim.virtual.device_port import DevicePort
from emgsim.virtual.frame_faults import FrameFaults

CRYSTAL_HZ = 32768.0
ADC_BITS = 24
PLANT_GAIN = 12
SERIAL = bytes.fromhex("0011223344556677")
_GAIN_OF = (6, 1, 2, 3, 4, 8, 12, 12)
_CONNECTED_INPUTS = (0, 9)  # normal and IN3
_ACK = b"\xff"
_DEFAULT_REGISTERS = bytes.fromhex("00801000000000000201")
_N_ARGUMENTS = {0x05: 2, 0x08: 3, 0x61: 3, 0x63: 3, 0x66: 2, 0x79: 1, 0x8B: 1, 0x8F: 8, 0xA3: 1}
_LONG = {0x61: 2, 0x79: 0}  # which argument tells how many bytes follow
_EXG1, _EXG2 = 0x10, 0x08  # bits of the first sensor byte
_CHIPS = ((_EXG1, b"\x1d\x1e\x1f"), (_EXG2, b"\x20\x21\x22"))  # and their channels' names


class VirtualShimmer3:
    """Serve the amplifier of a `World` as a Shimmer3 EXG in the running event loop.

    Parameters
    ----------
    world
        The plant; its amplifier must have 24 bits and 32768 Hz.
    faults
        What goes wrong on purpose.

    Raises
    ------
    InputError
        If the plant's converter is not that of a Shimmer3.
    """

    def __init__(self, world: World, faults: FrameFaults | None = None) -> None:
        physics = world.physics.amplifier
        if (physics.adc_bits, physics.rate_hz) != (ADC_BITS, CRYSTAL_HZ):
            raise InputError(
                f"a Shimmer3 has adc_bits = {ADC_BITS} and a plant at rate_hz = {CRYSTAL_HZ:g}, "
                f"got {physics.adc_bits} and {physics.rate_hz:g}",
                where="virtual.amplifier",
                todo="correct the rig file",
            )
        self._world = world
        self._heard = b""
        self._ticks = 640  # 51.2 Hz, as it leaves the factory
        self._sensors = bytes(3)
        self._registers = [bytearray(_DEFAULT_REGISTERS), bytearray(_DEFAULT_REGISTERS)]
        self._n_crc_bytes = 0
        self._name = b"Shimmer_SIM1"
        self._clock_offset = 0
        self._port = DevicePort(
            world, faults or FrameFaults(), hear=self._hear, encoder=self._encoder
        )

    def open(self) -> str:
        """Open the pseudo-terminal and return the path that a serial port is opened with."""
        return self._port.open()

    def close(self) -> None:
        """Hang up."""
        self._port.close()

    def _encoder(self) -> PacketEncoder:
        chips = [chip for chip, (bit, _) in enumerate(_CHIPS) if self._sensors[0] & bit]
        return PacketEncoder(self._clock_ticks, self._ticks, chips, self._n_crc_bytes)

    @property
    def _clock_ticks(self) -> int:
        return round(self._world.now_s * CRYSTAL_HZ)

    # ---- commands

    def _hear(self, data: bytes) -> None:
        self._heard += data
        while self._heard and (n_bytes := self._command_bytes()) <= len(self._heard):
            command, self._heard = self._heard[:n_bytes], self._heard[n_bytes:]
            self._obey(command[0], command[1:])

    def _command_bytes(self) -> int:
        """Return the length of the command that has begun, as far as it can be told yet."""
        code = self._heard[0]
        n_bytes = 1 + _N_ARGUMENTS.get(code, 0)
        if code in _LONG and len(self._heard) >= n_bytes:
            n_bytes += self._heard[1 + _LONG[code]]
        return n_bytes

    def _obey(self, code: int, arguments: bytes) -> None:
        if code in _ANSWERS:
            self._say(_ACK + _ANSWERS[code](self, arguments))
        elif code in _ACTIONS:
            _ACTIONS[code](self, arguments)

    def _say(self, packet: bytes) -> None:
        self._port.send(packet + _crc(packet).to_bytes(2, "little")[: self._n_crc_bytes])

    def _start(self, _: bytes) -> None:
        self._say(_ACK)
        if not self._port.is_streaming:
            self._set_gains()
            self._port.start()

    def _set_gains(self) -> None:
        """Set range and power of the first chip's channels as its registers say."""
        amplifier, range_uv = self._world.amplifier, self._world.physics.amplifier.range_uv
        settings = self._registers[0][3:5]
        for i, setting in enumerate(settings[: amplifier.n_channels]):
            amplifier.ranges_uv[i] = range_uv * PLANT_GAIN / _GAIN_OF[setting >> 4 & 7]
            amplifier.is_on[i] = not setting & 0x80 and setting & 0x0F in _CONNECTED_INPUTS

    def _stop(self, _: bytes) -> None:
        self._port.stop()
        self._say(_ACK)

    def _set_rate(self, arguments: bytes) -> None:
        self._ticks = max(1, int.from_bytes(arguments, "little"))
        self._say(_ACK)

    def _set_sensors(self, arguments: bytes) -> None:
        self._sensors = arguments
        self._say(_ACK)

    def _set_registers(self, arguments: bytes) -> None:
        chip, start, n_bytes = arguments[:3]
        if chip < 2 and start + n_bytes <= len(_DEFAULT_REGISTERS):
            self._registers[chip][start : start + n_bytes] = arguments[3:]
        self._say(_ACK)

    def _set_crc(self, arguments: bytes) -> None:
        self._n_crc_bytes = min(arguments[0], 2)
        self._say(_ACK)

    def _set_name(self, arguments: bytes) -> None:
        self._name = arguments[1:13]
        self._say(_ACK)

    def _set_clock(self, arguments: bytes) -> None:
        self._clock_offset = int.from_bytes(arguments, "little") - self._clock_ticks
        self._say(_ACK)

    def _acknowledge(self, _: bytes) -> None:
        self._say(_ACK)

    # ---- answers

    def _inquiry(self, _: bytes) -> bytes:
        channels = b"".join(names for bit, names in _CHIPS if self._sensors[0] & bit)
        return (
            b"\x02" + self._ticks.to_bytes(2, "little") + bytes(4)
            + bytes((len(channels), 1)) + channels
        )  # fmt: skip

    def _rate(self, _: bytes) -> bytes:
        return b"\x04" + self._ticks.to_bytes(2, "little")

    def _read_registers(self, arguments: bytes) -> bytes:
        chip, start, n_bytes = arguments
        if chip > 1 or start + n_bytes > len(_DEFAULT_REGISTERS):
            return b"\x62\x00"
        return bytes((0x62, n_bytes)) + self._registers[chip][start : start + n_bytes]

    def _daughter_card(self, arguments: bytes) -> bytes:
        """Tell number, revision and special revision of the card: SR47-4-0, the EXG."""
        n_bytes, start = arguments
        memory = bytes((47, 4, 0)).ljust(16, b"\xff")
        return bytes((0x65, n_bytes)) + memory[start : start + n_bytes]

    def _status(self, _: bytes) -> bytes:
        return bytes((0x8A, 0x71, 0x12 if self._port.is_streaming else 0x00))

    def _clock(self, _: bytes) -> bytes:
        return b"\x90" + (self._clock_ticks + self._clock_offset).to_bytes(8, "little")

    def _device_name(self, _: bytes) -> bytes:
        return bytes((0x7A, len(self._name))) + self._name


class PacketEncoder:
    """Turn codes into the packets of one stream.

    Parameters
    ----------
    start_ticks
        Time of the first code.
    ticks
        Codes of the plant, of which the first makes a packet, and ticks of the clock from one
        packet to the next.
    chips
        Numbers of the chips that are on, in rising order.
    n_crc_bytes
        Bytes of CRC behind each packet.
    """

    def __init__(self, start_ticks: int, ticks: int, chips: list[int], n_crc_bytes: int) -> None:
        self._start_ticks = start_ticks
        self._ticks = ticks
        self._chips = chips
        self._n_crc_bytes = n_crc_bytes
        self._n_converted = 0

    def encode(self, codes: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return one row of bytes per packet of codes, shape ``(n, n_channels)``."""
        numbers = self._n_converted + np.arange(len(codes))
        self._n_converted += len(codes)
        is_kept = numbers % self._ticks == 0
        times, kept = self._start_ticks + numbers[is_kept], codes[is_kept]
        parts = [np.zeros((len(times), 1), np.uint8), _bytes_of(times, "<u4")[:, :3]]
        for chip in self._chips:
            parts.append(np.full((len(times), 1), 0x80, np.uint8))
            parts += [_channel(kept, chip, number) for number in (0, 1)]
        return self._checked(np.hstack(parts))

    def _checked(self, packets: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if not self._n_crc_bytes:
            return packets
        sums = np.array([_crc(packet.tobytes()) for packet in packets], "<u2")
        return np.hstack([packets, sums.view(np.uint8).reshape(-1, 2)[:, : self._n_crc_bytes]])


def _channel(codes: NDArray[np.int32], chip: int, number: int) -> NDArray[np.uint8]:
    """Return the three bytes of each code of one channel."""
    if chip or number >= codes.shape[1]:
        return np.zeros((len(codes), 3), np.uint8)
    return _bytes_of(codes[:, number], ">i4")[:, 1:]


def _bytes_of(values: NDArray[np.int32] | NDArray[np.int64], kind: str) -> NDArray[np.uint8]:
    """Return the four bytes of each value, shape ``(n, 4)``."""
    return values.astype(kind)[:, None].view(np.uint8)


def _crc(packet: bytes) -> int:
    """Return what the processor's CRC unit makes of a packet; it is fed with words."""
    return crc_hqx(packet if len(packet) % 2 == 0 else packet + b"\x00", 0xB0CA)


_ANSWERS: dict[int, Callable[[VirtualShimmer3, bytes], bytes]] = {
    0x01: VirtualShimmer3._inquiry,
    0x03: VirtualShimmer3._rate,
    0x24: lambda *_: b"\x25\x03",
    0x2E: lambda *_: b"\x2f\x03\x00\x00\x00\x10\x00",
    0x36: lambda *_: b"\x35\x01",
    0x3E: lambda *_: b"\x3d" + SERIAL,
    0x3F: lambda *_: b"\x25\x03",
    0x63: VirtualShimmer3._read_registers,
    0x66: VirtualShimmer3._daughter_card,
    0x72: VirtualShimmer3._status,
    0x7B: VirtualShimmer3._device_name,
    0x91: VirtualShimmer3._clock,
    0x95: lambda *_: b"\x8a\x94\x7c\x0b\x80",  # 4.2 V
}
_ACTIONS: dict[int, Callable[[VirtualShimmer3, bytes], None]] = {
    0x05: VirtualShimmer3._set_rate,
    0x06: VirtualShimmer3._acknowledge,  # toggles a LED
    0x07: VirtualShimmer3._start,
    0x08: VirtualShimmer3._set_sensors,
    0x20: VirtualShimmer3._stop,
    0x61: VirtualShimmer3._set_registers,
    0x79: VirtualShimmer3._set_name,
    0x8B: VirtualShimmer3._set_crc,
    0x8F: VirtualShimmer3._set_clock,
    0x96: VirtualShimmer3._acknowledge,  # does nothing
    0xA3: VirtualShimmer3._acknowledge,  # about messages that nobody asked for
}
