"""Drives a Shimmer3 EXG: two EMG channels of 24 bits over Bluetooth's serial port.

Source of the protocol: Shimmer's open firmware LogAndStream (log-and-stream-common:
Comms/shimmer_bt_uart.c). A command is a byte and its arguments, little-endian; it is acknowledged
by FF, and an answer follows at once, beginning with the command's response byte::

    3F  hardware (25)      05 n n     rate: 32768 Hz / n       07  start streaming
    2E  firmware (2F)      08 b b b   sensors as bits          20  stop streaming
    3E  serial no. (3D)    61 c o l   write l registers of     8B m  CRC of m bytes behind all
    66  daughter card (65)            ADS1292R number c from     that is sent; 0 is none
    01  inquiry (02)                  o on;  63: read (62)

Before each start the driver sets rate, sensors and registers, reads them back, and asks for CRCs of
two bytes. The device keeps rate, sensors and registers for later, also on its memory card. Channel
1 is the chip's third input, channel 2 its second: the leads that Shimmer uses for EMG.

What is not known for sure: from which firmware on the device knows 8B; one that does not confirm it
is refused. The registers of the EMG configuration are those of Shimmer's own programs, from memory:
read them back from a unit that ConsensysPRO has set before relying on the leads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from emgsim.errors import InputError, InstrumentError
from emgsim.instruments.base import DeviceBlock, Identity
from emgsim.instruments.profiles import DeviceProfile
from emgsim.instruments.serial_device import SerialDevice, known_profile
from emgsim.instruments.serial_stream import SerialStream
from emgsim.instruments.shimmer3_packets import ACK, N_CHANNELS, TICKS_HZ, PacketDecoder

SHIMMER3 = 3  # hardware version
LOG_AND_STREAM = 3  # firmware
EXG_BOARDS = (37, 47)  # daughter cards SR37 and SR47
EXG1_24BIT = bytes((0x10, 0, 0))  # sensors
EXG1_CHANNELS = bytes((0x1D, 0x1E, 0x1F))  # status and both channels of the first chip
STOP, START, CRC_ON, CRC_OFF = b"\x20", b"\x07", b"\x8b\x02", b"\x8b\x00"

REFERENCE_UV = 2.42e6
POSITIVE_CODES = 2**23 - 1  # of the ADS1292R's full scale, reference / gain
GAINS: dict[int, int] = {6: 0, 1: 1, 2: 2, 3: 3, 4: 4, 8: 5, 12: 6}  # field of CH1SET and CH2SET
FASTEST_HZ = 8000
IN3, NORMAL = 9, 0  # the chip's inputs


class Shimmer3(SerialDevice):
    """Streams the codes of the first ADS1292R. Use `open`."""

    def __init__(self, stream: SerialStream, profile: DeviceProfile) -> None:
        self._stream = stream
        super().__init__(profile)
        self._ticks = ticks_per_sample(profile)
        self._registers = emg_registers(profile)

    @classmethod
    def open(
        cls, address: str, *, profile: str | Path | DeviceProfile, timeout_s: float = 2.0
    ) -> Self:
        """Open a device at a serial port, stop it, and check that it is the one of the profile.

        Parameters
        ----------
        address
            Serial port of the paired device, for example ``/dev/rfcomm0``.
        profile
            Name or file of a device profile, or the profile itself. Its rate and its scale tell
            the rate and the gain that are set.
        timeout_s
            Longest wait for an answer, and for a command to be taken.

        Raises
        ------
        LinkError
            When the port is missing, taken, or nothing answers there.
        InputError
            When the device has no such rate or gain.
        """
        known = known_profile(profile)
        ticks_per_sample(known), emg_registers(known)  # before the port is touched
        return cls(SerialStream(address, known.baud, timeout_s), known)._checked()

    @property
    def n_channels(self) -> int:
        """Tell the number of channels."""
        return N_CHANNELS

    def identify(self) -> Identity:
        """Ask for hardware, daughter card, firmware and serial number, and refuse what is no EXG.

        The serial number is that of the processor, as 16 hexadecimal digits.
        """
        hardware = self._ask(b"\x3f", b"\x25", 1, "identify")[0]
        board = self._ask(b"\x66\x03\x00", b"\x65\x03", 3, "identify")[0]
        firmware = self._ask(b"\x2e", b"\x2f", 6, "identify")
        serial = self._ask(b"\x3e", b"\x3d", 8, "identify")
        kind, major = (int.from_bytes(firmware[at : at + 2], "little") for at in (0, 2))
        found = (hardware, board in EXG_BOARDS, kind)
        profile = self._profile
        is_exg = (profile.maker, profile.model) == ("Shimmer", "Shimmer3 EXG")
        if found != (SHIMMER3, True, LOG_AND_STREAM) or not is_exg:
            raise InstrumentError(
                f"the device must be {profile.maker},{profile.model} with LogAndStream, got "
                f"hardware {hardware}, daughter card {board}, firmware {kind}",
                where=self._stream.where,
                todo="check the port, or name another profile or driver in the rig file",
            )
        version = f"LogAndStream {major}.{firmware[4]}.{firmware[5]}"
        return Identity(profile.maker, profile.model, serial.hex().upper(), version)

    def start(self) -> None:
        """Set the device up, read it back, and start streaming.

        Sample 0 is the first one decoded from now on.

        Raises
        ------
        InstrumentError
            When the device does not confirm rate, sensors, registers or CRCs.
        """
        self._stream.hush("start")
        self._set_up()
        self._stream.begin(PacketDecoder(self._ticks))
        self._stream.send(START, "start")

    def read_block(self, n_samples: int, timeout_s: float) -> DeviceBlock:
        """Return the next n_samples, or fewer (never none) when the time is over.

        Raises
        ------
        LinkError
            When the device sent no sample in timeout_s, or hung up. Samples that came before a
            hang-up are returned first; the call after that raises.
        """
        return self._stream.read_block(n_samples, timeout_s)

    def stop(self) -> None:
        """Stop streaming, discard what was not read, and wait until the line is silent.

        The CRCs are switched off again, which other programs do not expect.

        Raises
        ------
        LinkError
            When the device goes on sending.
        """
        self._stream.send(STOP, "stop")
        self._stream.hush("stop")
        self._stream.send(CRC_OFF, "stop")
        self._stream.hush("stop")

    def close(self) -> None:
        """Give the port back; closing twice is allowed."""
        self._stream.close()

    def _set_up(self) -> None:
        """Set rate, sensors and registers, read them back, and ask for CRCs."""
        self._tell(b"\x05" + self._ticks.to_bytes(2, "little"), "set the rate")
        self._tell(b"\x08" + EXG1_24BIT, "set the sensors")
        place = bytes((0, 0, len(self._registers)))  # of the first chip, from the first one on
        self._tell(b"\x61" + place + self._registers, "set the registers")
        head = b"\x62" + place[2:]
        self._confirm("registers", self._ask(b"\x63" + place, head, place[2], "read the registers"))
        told = self._ask(b"\x01", b"\x02", 8, "inquire")
        channels = self._stream.hear(told[6], "inquire")
        self._confirm("rate and channels", told[:2] + channels)
        self._tell(CRC_ON, "ask for CRCs")
        self._stream.hush("start")  # the acknowledgement has a CRC, or none

    def _confirm(self, what: str, told: bytes) -> None:
        wanted = {
            "registers": self._registers,
            "rate and channels": self._ticks.to_bytes(2, "little") + EXG1_CHANNELS,
        }[what]
        if told != wanted:
            raise InstrumentError(
                f"{what} must read back as {wanted.hex(' ')}, got {told.hex(' ')}",
                where=self._stream.where,
                todo="switch the device off and on, and check its daughter card",
            )

    def _tell(self, command: bytes, doing: str) -> None:
        self._stream.send(command, doing)
        if (heard := self._stream.hear(1, doing)) != bytes((ACK,)):
            raise InstrumentError(
                f"the device must acknowledge by ff what it was told ({doing}), got {heard.hex()}",
                where=self._stream.where,
                todo="switch the device off and on, and check that no other program uses it",
            )

    def _ask(self, command: bytes, head: bytes, n_bytes: int, doing: str) -> bytes:
        """Return the answer to a command without its head."""
        self._tell(command, doing)
        heard = self._stream.hear(len(head), doing)
        if heard != head:
            raise InstrumentError(
                f"the answer must begin with {head.hex(' ')} ({doing}), got {heard.hex(' ')}",
                where=self._stream.where,
                todo="check the port and that the device is a Shimmer3",
            )
        return self._stream.hear(n_bytes, doing)


def ticks_per_sample(profile: DeviceProfile) -> int:
    """Return the ticks of the device's clock from one sample to the next.

    Raises
    ------
    InputError
        When the rate is no whole part of 32768 Hz, or faster than the converter.
    """
    ticks = round(TICKS_HZ / profile.rate_hz)
    is_exact = abs(ticks * profile.rate_hz - TICKS_HZ) < 1e-6 * TICKS_HZ
    if not is_exact or not TICKS_HZ / FASTEST_HZ <= ticks < 1 << 16:
        raise InputError(
            f"rate_hz of a Shimmer3 must be 32768 / n, at most {FASTEST_HZ} Hz, "
            f"got {profile.rate_hz:g}",
            where=profile.model,
            todo="correct the profile; 1024 Hz is n = 32",
        )
    return ticks


def emg_registers(profile: DeviceProfile) -> bytes:
    """Return the ten registers of the first ADS1292R for EMG at the profile's rate and scale.

    The converter runs at the first of its rates (125 Hz doubled again and again) that is no slower.

    Raises
    ------
    InputError
        When the scale is that of no gain.
    """
    gain = REFERENCE_UV / POSITIVE_CODES / profile.scale_uv_per_count
    nearest = min(GAINS, key=lambda known: abs(known - gain))
    if abs(nearest - gain) > 1e-3 * gain:
        raise InputError(
            f"scale_uv_per_count must be that of a gain of {', '.join(map(str, sorted(GAINS)))}, "
            f"got a gain of {gain:.4g}",
            where=profile.model,
            todo=f"correct the profile: it is {REFERENCE_UV / POSITIVE_CODES:g} uV / gain",
        )
    rate_code = next(code for code in range(7) if 125 << code >= profile.rate_hz)
    field = GAINS[nearest] << 4
    # CONFIG1, CONFIG2 (reference on), LOFF, CH1SET, CH2SET, RLD_SENS, LOFF_SENS, LOFF_STAT, RESP1-2
    return bytes((rate_code, 0xA0, 0x10, field | IN3, field | NORMAL, 0x20, 0, 0, 0x02, 0x03))
