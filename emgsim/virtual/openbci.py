"""Twin of an OpenBCI Cyton, with or without its Daisy module, on a pseudo-terminal.

Written after OpenBCI's documents (Cyton Data Format; Cyton Board SDK) and its firmware 3.1
(OpenBCI_32bit_Library.cpp). Commands are single characters or short runs of them, and an answer
ends with ``$$$``; while it streams it answers nothing::

    v       reset, and say who it is          b s   begin and stop to stream
    d D     settings to default; report them  ?     report the registers of the channels
    xCPGTBSRX  channel C: power, gain, input, bias, SRB2, SRB1
    1..8 q..i  channels off    !..* Q..I  channels on
    C c     16 or 8 channels                  ~~    report the sample rate    V  the version

A frame has 33 bytes: A0, counter, eight 24-bit codes (big-endian), six bytes of the accelerometer,
C0. A code is 4.5 V / (2^23 - 1) / gain. With a Daisy each of the two boards converts at the full
rate and sends the mean of its last two codes, rounded to 0: the Daisy in frames with an even
counter, of which the first is 0, the Cyton in those with an odd one. Before the first code was 0.

The sample rate is that of the plant: ``~`` with another one is refused, where the real board would
follow. Not modelled: the radio, the accelerometer (its bytes are 0), test signals, lead-off
currents, time stamps, the other board modes, SD card and Wi-Fi; of ``?`` only the registers CHnSET;
what the real board says to a channel or a value that does not exist (here ``Failure``). An input
that is not the normal one, and a channel that is off, read 0. The clock is free: what a reader does
not take is not made.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InputError
from emgsim.plant.world import World
from emgsim.virtual.device_port import DevicePort
from emgsim.virtual.frame_faults import FrameFaults

FIRMWARE = "v3.1.2"
VREF_UV = 4.5e6
FULL_CODE = 2**23 - 1
GAINS = (1, 2, 4, 6, 8, 12, 24)  # by the digit of the command, which is also that of the register
END = "$$$"
_CHANNELS = "12345678QWERTYUI"
_OFF, _ON = "12345678qwertyui", "!@#$%^&*QWERTYUI"
_RATES_HZ = (16_000, 8_000, 4_000, 2_000, 1_000, 500, 250)
_DEFAULT = "060110"  # power on, gain 24, normal input, in the bias, SRB2 on, SRB1 off
_PER_BOARD = 8
_SETTING = re.compile("[01][0-6][0-7][01][01][01]")
_LONGEST = {"x": 9, "z": 5, "~": 2, "/": 2}  # characters of the commands that have more than one


class FrameEncoder:
    """Turn codes into frames, the counter of which begins with 0."""

    def __init__(self, n_channels: int) -> None:
        self._has_daisy = n_channels > _PER_BOARD
        self._last = np.zeros((1, n_channels), np.int32)
        self.n_frames = 0

    def encode(self, codes: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return one row of 33 bytes for each sample of `codes`, ``(n, n_channels)``."""
        counters = self.n_frames + np.arange(len(codes))
        self.n_frames += len(codes)
        sent = self._by_turns(codes, counters) if self._has_daisy else codes
        frames = np.zeros((len(codes), 33), np.uint8)
        frames[:, 0], frames[:, 1], frames[:, 32] = 0xA0, counters % 256, 0xC0
        frames[:, 2:26] = sent.astype(">i4")[..., None].view(np.uint8)[..., 1:].reshape(-1, 24)
        return frames

    def _by_turns(self, codes: NDArray[np.int32], counters: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return what the board whose turn it is sends: the mean of its last two codes."""
        every = np.concatenate([self._last, codes])
        self._last = every[-1:]
        means = np.trunc((every[:-1] + every[1:]) / 2).astype(np.int32)
        is_cyton = (counters % 2 == 1)[:, None]
        return np.asarray(np.where(is_cyton, means[:, :_PER_BOARD], means[:, _PER_BOARD:]))


class VirtualCyton:
    """Serve the amplifier of a `World` as a Cyton in the running event loop.

    Parameters
    ----------
    world
        The plant; its amplifier must have 8 channels, or 16 for a Cyton with a Daisy, and 24 bits.
    faults
        What goes wrong on purpose.

    Raises
    ------
    InputError
        If the plant's amplifier is not that of a Cyton.
    """

    def __init__(self, world: World, faults: FrameFaults | None = None) -> None:
        physics = world.physics.amplifier
        if physics.channels not in {_PER_BOARD, 2 * _PER_BOARD} or physics.adc_bits != 24:
            raise InputError(
                "a Cyton has 8 channels, or 16 with a Daisy, and 24 bits, "
                f"got {physics.channels} and {physics.adc_bits}",
                where="virtual.amplifier",
                todo="correct channels and adc_bits in the rig file",
            )
        self._world = world
        self._n_channels = physics.channels
        self._command = ""
        self._settings = [_DEFAULT] * self._n_channels
        self._port = DevicePort(
            world,
            faults or FrameFaults(),
            hear=self._hear,
            encoder=lambda: FrameEncoder(self._n_channels),
        )
        self._answers: dict[str, Callable[[str], str | None]] = {
            "v": self._reset,
            "b": self._begin,
            "s": self._end,
            "d": self._set_default,
            "D": lambda _: _DEFAULT,
            "x": self._set_channel,
            "?": self._registers,
            "C": lambda _: str(self._n_channels),
            "V": lambda _: FIRMWARE,
            "~": self._rate,
        }
        self._set(range(self._n_channels), _DEFAULT)

    def open(self) -> str:
        """Open the pseudo-terminal and return the path that a serial port is opened with."""
        return self._port.open()

    def close(self) -> None:
        """Hang up."""
        self._port.close()

    def _apply(self) -> None:
        """Set the plant's converters as the channels are set."""
        amplifier = self._world.amplifier
        for channel, setting in enumerate(self._settings):
            full_uv = VREF_UV / GAINS[int(setting[1])]
            amplifier.ranges_uv[channel] = full_uv * (FULL_CODE + 1) / FULL_CODE
            amplifier.is_on[channel] = setting[0] == "0" and setting[2] == "0"

    # ---- commands

    def _hear(self, data: bytes) -> None:
        for character in data.decode("latin-1"):
            self._command += character
            if len(self._command) >= _LONGEST.get(self._command[0], 1):
                command, self._command = self._command, ""
                self._obey(command)

    def _obey(self, command: str) -> None:
        answer = self._answers.get(command[0], self._switch)(command)
        if answer is not None and not self._port.is_streaming:
            self._port.send((answer + END).encode("ascii"))

    def _reset(self, _: str) -> str:
        self._port.stop()
        self._set(range(self._n_channels), _DEFAULT)
        daisy = "On Daisy ADS1299 Device ID: 0x3E\n" if self._n_channels > _PER_BOARD else ""
        return (
            "OpenBCI V3 8-16 channel\nOn Board ADS1299 Device ID: 0x3E\n"
            f"{daisy}LIS3DH Device ID: 0x33\nFirmware: {FIRMWARE}\n"
        )

    def _begin(self, _: str) -> None:
        if not self._port.is_streaming:
            self._port.start()

    def _end(self, _: str) -> None:
        self._port.stop()

    def _set_default(self, _: str) -> str:
        self._set(range(self._n_channels), _DEFAULT)
        return "updating channel settings to default"

    def _registers(self, _: str) -> str:
        """Report CHnSET: power, gain and SRB2 in its upper bits, the input in its lower ones."""
        lines = ["", "Board ADS Registers"]
        for channel, setting in enumerate(self._settings):
            if channel == _PER_BOARD:
                lines += ["", "Daisy ADS Registers"]
            power, gain, inputs, _bias, srb2, _srb1 = map(int, setting)
            value = power << 7 | gain << 4 | srb2 << 3 | inputs
            number = channel % _PER_BOARD
            bits = ", ".join(f"{value:08b}")
            lines.append(f"CH{number + 1}SET, {5 + number:02X}, {value:02X}, {bits}")
        return "\n".join(lines) + "\n"

    def _set_channel(self, command: str) -> str:
        letter, setting = command[1], command[2:8]
        if command[8] != "X":
            return "Failure: Err: 9th char not X"
        if letter not in _CHANNELS[: self._n_channels] or not _SETTING.fullmatch(setting):
            return "Failure: no such channel or value"
        channel = _CHANNELS.index(letter)
        self._set(range(channel, channel + 1), setting)
        return f"Success: Channel set for {channel + 1}\n"

    def _switch(self, command: str) -> None:
        """Switch a channel off or on; any other character means nothing."""
        for power_down, characters in (("1", _OFF), ("0", _ON)):
            channel = characters[: self._n_channels].find(command[0])
            if channel >= 0:
                setting = power_down + self._settings[channel][1:]
                self._set(range(channel, channel + 1), setting)

    def _set(self, channels: range, setting: str) -> None:
        """Change channels; a stream is stopped for that, and begun anew."""
        was_streaming = self._port.is_streaming
        self._port.stop()
        for channel in channels:
            self._settings[channel] = setting
        self._apply()
        if was_streaming:
            self._port.start()

    def _rate(self, command: str) -> str:
        rate_hz, digit = round(self._world.amplifier.rate_hz), command[1]
        wanted = digit == "~" or (digit in "0123456" and _RATES_HZ[int(digit)] == rate_hz)
        return f"Success: Sample rate is {rate_hz}Hz" if wanted else "Failure: other sample rate"
