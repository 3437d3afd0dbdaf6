"""Drives a BITalino (r)evolution: one EMG channel of 10 bits at up to 1 kHz over a serial port.

Source of the protocol: PLUX's open firmware ``BITalino_v5.1`` (firmware-bitalino-revolution:
uart.c, live.c, timer.c). Commands are single bytes without an acknowledgement::

    FF  stop (ignored when idle)    07  version, a text line    03 43 83 C3  1, 10, 100, 1000 Hz
    01 | ports << 2                 stream these of the analogue ports A1..A6

How its frames are found is told in `bitalino_frames`.

What cannot be known: the device tells no serial number and confirms no setting. While its transmit
buffer (1500 bytes) is full it leaves frames out and counts on modulo 16, so when the link stalls
for long, a multiple of 16 frames may go unnoticed. The host's clock does not help: how long the
link was silent is known to some 50 ms, three rounds of the counter. The alignment with what was
played shows such a step.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from emgsim.errors import InputError, InstrumentError
from emgsim.instruments.base import DeviceBlock, Identity
from emgsim.instruments.bitalino_frames import FrameDecoder
from emgsim.instruments.profiles import DeviceProfile
from emgsim.instruments.serial_device import SerialDevice, known_profile
from emgsim.instruments.serial_stream import SerialStream

STOP = b"\xff\xff"  # the second one for a device that took the first as the value of its PWM output
VERSION = b"\x07"
RATES: dict[float, bytes] = {1: b"\x03", 10: b"\x43", 100: b"\x83", 1000: b"\xc3"}
START_A1 = b"\x05"
OLDEST_FIRMWARE = 4.2  # before it a BITalino has other commands, and cannot be stopped when idle
LONGEST_LINE = 64


class Bitalino(SerialDevice):
    """Streams the codes of port A1, 0 at the middle of the range. Use `open`."""

    def __init__(self, stream: SerialStream, profile: DeviceProfile) -> None:
        self._stream = stream
        super().__init__(profile)

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
            Name or file of a device profile, or the profile itself.
        timeout_s
            Longest wait for an answer, and for a command to be taken.

        Raises
        ------
        LinkError
            When the port is missing, taken, or nothing answers there.
        InputError
            When the profile's rate is none of the device's.
        """
        known = known_profile(profile)
        if known.rate_hz not in RATES:
            raise InputError(
                f"rate_hz of a BITalino must be one of {sorted(RATES)}, got {known.rate_hz:g}",
                where=str(profile) if isinstance(profile, str | Path) else known.model,
                todo="correct the profile",
            )
        return cls(SerialStream(address, known.baud, timeout_s), known)._checked()

    @property
    def n_channels(self) -> int:
        """Tell the number of channels."""
        return 1

    def identify(self) -> Identity:
        """Ask for the version, and refuse what is no BITalino of the profile or is too old.

        The device has no serial number on the wire, so that field stays empty.
        """
        self._stream.send(VERSION, "identify")
        line = self._stream.hear_line("identify", longest=LONGEST_LINE)
        found = re.fullmatch(rb"BITalino_v(\d+\.\d+)", line.strip())
        profile = self._profile
        if not found or (profile.maker, profile.model) != ("PLUX", "BITalino (r)evolution"):
            raise InstrumentError(
                f"the device must be {profile.maker},{profile.model}, got {line[:40]!r}",
                where=self._stream.where,
                todo="check the port, or name another profile or driver in the rig file",
            )
        firmware = found[1].decode("ascii")
        if float(firmware) < OLDEST_FIRMWARE:
            raise InstrumentError(
                f"the firmware must be {OLDEST_FIRMWARE} or later, got {firmware}",
                where=self._stream.where,
                todo="use a BITalino (r)evolution, or update its firmware",
            )
        return Identity(profile.maker, profile.model, "", firmware)

    def start(self) -> None:
        """Set the rate and start streaming; sample 0 is the first one decoded from now on."""
        self._stream.hush("start")
        self._stream.begin(FrameDecoder(self.n_channels))
        self._stream.send(RATES[self._profile.rate_hz] + START_A1, "start")

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

        Raises
        ------
        LinkError
            When the device goes on sending.
        """
        self._stream.send(STOP, "stop")
        self._stream.hush("stop")

    def close(self) -> None:
        """Give the port back; closing twice is allowed."""
        self._stream.close()
