"""Drives serial amplifiers that stream fixed frames, as their device profile describes them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Self

import numpy as np
import serial
from numpy.typing import NDArray

from emgsim.errors import InstrumentError, LinkError
from emgsim.instruments.base import DeviceBlock, Identity, read_identity
from emgsim.instruments.block_queue import BlockQueue
from emgsim.instruments.frame_format import DeviceCommands, SetupCommand
from emgsim.instruments.profiles import DeviceProfile, decoder_of
from emgsim.instruments.serial_device import SerialDevice, known_profile
from emgsim.instruments.serial_port import as_link_error, open_port, wait_until_silent

OLD_BYTES = 1 << 15  # more than a system keeps of what nobody has read
ANSWER = re.compile(rb"[ -~]+,[ -~]*,[ -~]*,[ -~]*(?=\r?\n)")  # four printable fields, one line


class SerialFrames(SerialDevice):
    """Streams codes from a serial port.

    Use `open`. A hang-up in the middle of a stream loses nothing that came before it:
    `read_block` returns what was decoded, and the next call raises `LinkError`. The same holds
    for a counter that jumps back (the device was reset), which raises `InstrumentError`.
    """

    def __init__(self, port: serial.Serial, profile: DeviceProfile, *, timeout_s: float) -> None:
        self._port = port
        super().__init__(profile)
        self._timeout_s = timeout_s
        self._failure: InstrumentError | None = None
        self._forget()

    @classmethod
    def open(
        cls, address: str, *, profile: str | Path | DeviceProfile, timeout_s: float = 2.0
    ) -> Self:
        """Open a device at a serial port, stop it, and check that it is the one of the profile.

        Parameters
        ----------
        address
            Serial port, for example ``/dev/ttyUSB0``.
        profile
            Name or file of a device profile, or the profile itself.
        timeout_s
            Longest wait for an answer, and for a command to be taken.

        Raises
        ------
        LinkError
            When the port is missing, taken, or nothing answers there.
        """
        known = known_profile(profile)
        return cls(open_port(address, known.baud, timeout_s), known, timeout_s=timeout_s)._checked()

    @property
    def n_channels(self) -> int:
        """Tell the number of channels."""
        return self._profile.n_channels

    @property
    def scales_uv_per_count(self) -> NDArray[np.float64]:
        """Tell the size of one code at the electrode for each channel, (n_channels,)."""
        return self._profile.scales_uv_per_count

    def identify(self) -> Identity:
        """Ask who answers, and refuse a device that is not the one of the profile.

        A device without an identify command is taken for the one of the profile.
        """
        profile, commands = self._profile, self._commands
        if not commands.identify:
            return Identity(profile.maker, profile.model, "", "")
        self._send(commands.identify)
        if commands.identified_by:
            return self._identity_in(self._read_answer(commands.identify))
        identity = read_identity(self._read_identity(), where=self._where)
        if (identity.maker, identity.model) != (profile.maker, profile.model):
            raise self._stranger(str(identity))
        return identity

    def start(self) -> None:
        """Set the device up as its profile says, and start streaming.

        Sample 0 is the first sample decoded from now on.

        Raises
        ------
        InstrumentError
            When the device does not confirm a step of its setup.
        """
        self._discard()
        for step in self._commands.setup:
            self._set_up(step)
        self._forget()
        self._send(self._commands.start)

    def read_block(self, n_samples: int, timeout_s: float) -> DeviceBlock:
        """Return the next n_samples, or fewer (never none) when the time is over.

        Raises
        ------
        LinkError
            When the device sent no sample in timeout_s, or hung up. Samples that came before a
            hang-up are returned first; the call after that raises.
        InstrumentError
            When the device was reset, so the time of its samples is unknown from there on.
        """
        deadline_s = time.monotonic() + timeout_s
        while self._queue.n_samples < n_samples and self._failure is None:
            try:
                self._receive()
            except InstrumentError as failure:
                self._failure = failure
            if time.monotonic() >= deadline_s:
                break
        if self._queue.n_samples:
            return self._queue.take(n_samples)
        raise self._failure or LinkError(
            f"the device sent no frame within {timeout_s:g} s "
            f"({self._decoder.n_bad_frames} bad frames since the start)",
            where=self._where,
            todo="check that it was started, its power, and the profile's frame",
        )

    def stop(self) -> None:
        """Stop streaming, discard what was not read, and wait until the line is silent.

        Raises
        ------
        LinkError
            When the device goes on sending.
        """
        command = self._commands.stop
        self._forget()
        if not command:
            return
        self._send(command)
        wait_until_silent(
            self._port,
            command,
            after=repr(command),
            timeout_s=self._timeout_s,
            todo="check the profile's stop command",
        )

    def close(self) -> None:
        """Give the port back; closing twice is allowed."""
        with suppress(OSError):  # a dead port must not keep us from closing
            self._port.close()

    @property
    def _where(self) -> str:
        return str(self._port.port)

    @property
    def _commands(self) -> DeviceCommands:
        return self._profile.stream.commands

    def _forget(self) -> None:
        self._decoder = decoder_of(self._profile)
        self._queue = BlockQueue()
        self._failure = None

    def _discard(self) -> None:
        """Read away what came before, without a hole in a stream that nothing starts."""
        with self._as_link_error("start"):
            if self._commands.start:
                self._port.reset_input_buffer()
                return
            n_heard = 0
            while self._port.in_waiting and n_heard < OLD_BYTES:
                n_heard += len(self._port.read(self._port.in_waiting))

    def _receive(self) -> None:
        """Decode what has come, waiting a moment when nothing has."""
        with self._as_link_error("stream"):
            data = self._port.read(self._port.in_waiting or 1)
            if len(data) == 1:  # it was waited for, and did not come alone
                data += self._port.read(self._port.in_waiting)
        n_restarts = len(self._decoder.restarts)
        self._queue.put(self._decoder.feed(data))
        if len(self._decoder.restarts) > n_restarts:
            before, after = self._decoder.restarts[-1]
            raise InstrumentError(
                f"the frame counter jumped from {before} to {after}: the device was reset, or more "
                "frames were lost than its counter can tell",
                where=self._where,
                todo="check its supply and its link, then record anew",
            )

    # ---- commands and answers

    def _send(self, command: str) -> None:
        if not command:
            return
        with self._as_link_error(command):
            self._port.write((command + self._commands.terminator).encode("ascii"))

    def _set_up(self, step: SetupCommand) -> None:
        self._send(step.send)
        if not step.answers:
            return
        answer = self._read_answer(step.send)
        missing = [text for text in step.answers if text not in answer]
        if missing:
            raise InstrumentError(
                f"the answer to {step.send!r} must contain {missing[0]!r}, got {answer[:120]!r}",
                where=self._where,
                todo="check the profile's setup and the device's firmware",
            )

    def _identity_in(self, answer: str) -> Identity:
        """Find the profile's text in an answer, and the firmware's version."""
        profile, commands = self._profile, self._commands
        if commands.identified_by not in answer:
            raise self._stranger(repr(answer[:80]))
        firmware = ""
        if commands.firmware_after:
            after = answer.partition(commands.firmware_after)[2].split()
            firmware = after[0] if after else ""
        return Identity(profile.maker, profile.model, "", firmware)

    def _stranger(self, got: str) -> InstrumentError:
        return InstrumentError(
            f"the device must be {self._profile.maker},{self._profile.model}, got {got}",
            where=self._where,
            todo="check the port, or name another profile in the rig file",
        )

    def _read_identity(self) -> str:
        """Return four fields with commas between them, which stand in a line of their own."""
        return self._heard("identify", ANSWER.search)

    def _read_answer(self, command: str) -> str:
        """Return what is heard up to the text that ends an answer."""
        end = self._commands.answer_end.encode("ascii")
        whole = re.compile(b".*?(?=" + re.escape(end) + b")", re.DOTALL)
        return self._heard(command, whole.match)

    def _heard(self, doing: str, found: Callable[[bytes], re.Match[bytes] | None]) -> str:
        """Listen until something is found in what is heard."""
        deadline_s, heard = time.monotonic() + self._timeout_s, b""
        while time.monotonic() < deadline_s:
            with self._as_link_error(doing):
                heard += self._port.read(self._port.in_waiting or 1)
            if answer := found(heard):
                return answer[0].decode("ascii", "replace")
        what = (
            "identity" if doing in {"identify", self._commands.identify} else f"answer to {doing!r}"
        )
        raise LinkError(
            f"no {what} within {self._timeout_s:g} s, got {heard[:40]!r}",
            where=self._where,
            todo="check the device's power, its baud rate and the profile's commands",
        )

    def _as_link_error(self, doing: str) -> AbstractContextManager[None]:
        return as_link_error(doing, where=self._where)
