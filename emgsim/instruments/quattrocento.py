"""Drives an OT Bioelettronica Quattrocento: 96 to 384 channels of 16 bits over TCP.

The device listens; whoever is connected sends a command of 40 bytes (`quattrocento_command`) and is
answered by nothing but the stream (`quattrocento_frames`). All inputs are set alike, monopolar, by
the profile's rate, band and number of channels. Those of AUX IN on the rear are not returned.

What cannot be known: the device tells no name, no serial number and no setting; a spoilt sample,
and a loss of 65 536 samples (6.4 s at 10 240 Hz) or a multiple of it, are not seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from emgsim.errors import InputError
from emgsim.instruments.base import DeviceBlock, Identity
from emgsim.instruments.profiles import DeviceProfile
from emgsim.instruments.quattrocento_command import command
from emgsim.instruments.quattrocento_frames import FrameDecoder
from emgsim.instruments.serial_device import SerialDevice, known_profile
from emgsim.instruments.serial_stream import SerialStream
from emgsim.instruments.tcp_port import SCHEME

MADE_BY, CALLED = "OT Bioelettronica", "Quattrocento"


class Quattrocento(SerialDevice):
    """Streams the codes of the inputs, in their order: all active IN, then all MULTIPLE IN.

    Use `open`.
    """

    def __init__(self, stream: SerialStream, profile: DeviceProfile) -> None:
        self._stream = stream
        super().__init__(profile)

    @classmethod
    def open(
        cls, address: str, *, profile: str | Path | DeviceProfile, timeout_s: float = 2.0
    ) -> Self:
        """Connect to a device and stop it.

        Parameters
        ----------
        address
            ``tcp://HOST:PORT``; as delivered a Quattrocento is ``tcp://169.254.1.10:23456``.
        profile
            Name or file of a device profile, or the profile itself. Its rate, band and number of
            channels tell what is set.
        timeout_s
            Longest wait for the connection, and for a command to be taken.

        Raises
        ------
        LinkError
            When nobody listens there, or another program is served.
        InputError
            When the device has no such rate, filter or number of channels, or the address is none.
        """
        known = known_profile(profile)
        _command(known, acquires=False)  # before anybody is called
        if (known.maker, known.model) != (MADE_BY, CALLED):
            raise InputError(
                f"the profile must be that of {MADE_BY},{CALLED}, got {known.maker},{known.model}",
                where=str(profile) if isinstance(profile, str | Path) else known.model,
                todo="name another driver or profile in the rig file",
            )
        if not address.startswith(SCHEME):
            raise InputError(
                f"a Quattrocento is reached by {SCHEME}HOST:PORT, got {address!r}",
                where="device.resource",
                todo=f"write for example {SCHEME}169.254.1.10:23456",
            )
        return cls(SerialStream(address, known.baud, timeout_s), known)._checked()

    @property
    def n_channels(self) -> int:
        """Tell the number of channels."""
        return self._profile.n_channels

    def identify(self) -> Identity:
        """Return what the profile says: the device has no command that asks for its name."""
        return Identity(self._profile.maker, self._profile.model, "", "")

    def start(self) -> None:
        """Set everything and start streaming; sample 0 is the first one decoded from now on."""
        self._stream.hush("start")
        self._stream.begin(FrameDecoder(self.n_channels, self._stream.where))
        self._stream.send(_command(self._profile, acquires=True), "start")

    def read_block(self, n_samples: int, timeout_s: float) -> DeviceBlock:
        """Return the next n_samples, or fewer (never none) when the time is over.

        Raises
        ------
        LinkError
            When the device sent no sample in timeout_s, or hung up. Samples that came before a
            hang-up are returned first; the call after that raises.
        InstrumentError
            When the counter jumped back: the device was reset.
        """
        return self._stream.read_block(n_samples, timeout_s)

    def stop(self) -> None:
        """Stop streaming, discard what was not read, and wait until nothing more comes.

        Raises
        ------
        LinkError
            When the device goes on sending, or hangs up.
        """
        self._stream.send(_command(self._profile, acquires=False), "stop")
        self._stream.hush("stop")

    def close(self) -> None:
        """Close the connection; closing twice is allowed."""
        self._stream.close()


def _command(profile: DeviceProfile, *, acquires: bool) -> bytes:
    return command(profile.rate_hz, profile.n_channels, profile.band_hz, acquires=acquires)
