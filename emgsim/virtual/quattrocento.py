"""Twin of an OT Bioelettronica Quattrocento, on a TCP port of loopback.

Written after its configuration protocol v1.7 (see `quattrocento_frames` for what it sends). A
command has 40 bytes, of which the last is a CRC; one that is wrong in its CRC, or in the bits that
are fixed, is ignored, as the protocol has no answer. A command sets all, and its lowest bit starts
or stops the stream::

    1 | decimator | trigger out | rate (2 bits) | inputs (2) | acquire
    2 bytes for the analogue output, then three for each of IN1..IN8 and MULTIPLE IN1..IN4
    CRC

The plant's amplifier has the channels of the inputs that it makes active (96, 192, 288 or 384), in
the order in which they are sent; inputs beyond them read 0, as does AUX IN. The converters run at
10 240 Hz, and a lower rate is every n-th sample, whatever the decimator's bit says. The plant's
band is the widest: a narrower filter of an input acts on its codes.

Not modelled: differential and bipolar detection (the plant's channels are voltages between two
leads), the analogue output's channel and gain, the trigger input. When its client leaves, the twin
stops. In the free clock no buffer overflows, and the channel that tells its free space is constant.
"""

from __future__ import annotations

from emgsim.errors import InputError
from emgsim.plant.world import World
from emgsim.virtual.device_port import DevicePort
from emgsim.virtual.frame_faults import FrameFaults
from emgsim.virtual.quattrocento_frames import FrameEncoder, InputFilter, Layout
from emgsim.virtual.tcp_line import TcpLine

CONVERTER_HZ = 10240.0
ADC_BITS = 16
COMMAND_BYTES = 40
_KEEP_ONE_IN = (20, 5, 2, 1)  # by the code of the rate
_HIGHPASS_HZ = (0.7, 10.0, 100.0, 200.0)
_LOWPASS_HZ = (130.0, 500.0, 900.0, 4400.0)
_FIXED_ONE = 0x80  # of the first byte; the same bits of the second and third are 0
_FIXED_ZERO = 0xC0


class VirtualQuattrocento:
    """Serve the amplifier of a `World` as a Quattrocento in the running event loop.

    Parameters
    ----------
    world
        The plant; its amplifier must have 16 bits, 10 240 Hz and a Quattrocento's channels.
    faults
        What goes wrong on purpose.

    Raises
    ------
    InputError
        If the plant's amplifier is not that of a Quattrocento.
    """

    def __init__(self, world: World, faults: FrameFaults | None = None) -> None:
        physics = world.physics.amplifier
        known = (ADC_BITS, CONVERTER_HZ)
        if (physics.adc_bits, physics.rate_hz) != known or physics.channels not in Layout.SIZES:
            raise InputError(
                f"a Quattrocento has adc_bits = {ADC_BITS}, rate_hz = {CONVERTER_HZ:g} and "
                f"channels of {', '.join(map(str, Layout.SIZES))}, got {physics.adc_bits}, "
                f"{physics.rate_hz:g} and {physics.channels}",
                where="virtual.amplifier",
                todo="correct the rig file",
            )
        self._physics = physics
        self._heard = b""
        self._setting = bytes([_FIXED_ONE]) + bytes(COMMAND_BYTES - 1)
        self._port = DevicePort(
            world,
            faults or FrameFaults(),
            hear=self._hear,
            encoder=self._encoder,
            line=TcpLine,
        )

    def open(self) -> str:
        """Listen, and return the address that a client connects to."""
        return self._port.open()

    def close(self) -> None:
        """Hang up."""
        self._port.close()

    def _hear(self, data: bytes) -> None:
        if not data:  # the client has left
            self._heard = b""
            self._port.stop()
            return
        self._heard += data
        while len(self._heard) >= COMMAND_BYTES:
            command, self._heard = self._heard[:COMMAND_BYTES], self._heard[COMMAND_BYTES:]
            if is_command(command):
                self._obey(command)

    def _obey(self, command: bytes) -> None:
        self._port.stop()
        self._setting = command
        if command[0] & 1:
            self._port.start()

    def _encoder(self) -> FrameEncoder:
        first = self._setting[0]
        layout = Layout(self._physics.channels, first >> 1 & 3)
        return FrameEncoder(
            layout,
            keep_one_in=_KEEP_ONE_IN[first >> 3 & 3],
            filters=[
                InputFilter(columns, *corners_hz, CONVERTER_HZ)
                for columns, socket in layout.sockets
                if any(corners_hz := self._narrower(socket))
            ],
            trigger_is_high=bool(first & 0x20),
        )

    def _narrower(self, socket: int) -> tuple[float | None, float | None]:
        """Return the corners of a socket that lie within the plant's band, else None."""
        filters = self._setting[3 + 3 * socket + 2]
        highpass_hz, lowpass_hz = _HIGHPASS_HZ[filters >> 4 & 3], _LOWPASS_HZ[filters >> 2 & 3]
        own = self._physics
        return (
            highpass_hz if not own.highpass_order or highpass_hz > own.highpass_hz else None,
            lowpass_hz if lowpass_hz < own.lowpass_hz else None,
        )


def is_command(command: bytes) -> bool:
    """Tell whether 40 bytes are a command: fixed bits and CRC."""
    settings, *analogue_output = command[:3]
    fixed = settings & _FIXED_ONE and not any(byte & _FIXED_ZERO for byte in analogue_output)
    return bool(fixed) and _crc(command) == 0


def _crc(data: bytes) -> int:
    """Return the CRC of bytes; 0 for those that end with their own."""
    crc = 0
    for byte in data:
        crc = _NEXT[crc ^ byte]
    return crc


def _next(crc: int) -> int:
    """Shift a CRC by 8 bits, the lowest first: x^8 = x^5 + x^4 + 1."""
    for _ in range(8):
        crc = crc >> 1 ^ (0b1000_1100 if crc & 1 else 0)
    return crc


_NEXT = tuple(_next(crc) for crc in range(256))
