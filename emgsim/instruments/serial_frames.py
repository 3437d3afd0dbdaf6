"""Drives serial amplifiers that stream fixed frames, as their device profile describes them."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import serial

from emgsim.errors import InstrumentError, LinkError
from emgsim.instruments.base import API, DeviceBlock, Identity, read_identity
from emgsim.instruments.frames import FrameDecoder
from emgsim.instruments.profiles import DeviceProfile, load_profile

POLL_S = 0.05  # longest wait of one read: how late a time-out is noticed
SILENCE_S = 0.1  # a device that has been silent for so long has stopped
ANSWER = re.compile(rb"[ -~]+,[ -~]*,[ -~]*,[ -~]*(?=\r?\n)")  # four printable fields, one line
WHAT_TO_DO = {
    errno.ENOENT: "check the name of the port and that the device is plugged in",
    errno.EACCES: "join the group that may use serial ports (often dialout)",
    errno.EAGAIN: "close the other program that holds the port",
    errno.EBUSY: "close the other program that holds the port",
    errno.EIO: "check cable and power, then open the device anew",
}


class SerialFrames:
    """Streams codes from a serial port.

    Use `open`. A hang-up in the middle of a stream loses nothing that came before it:
    `read_block` returns what was decoded, and the next call raises `LinkError`. The same holds
    for a counter that jumps back (the device was reset), which raises `InstrumentError`.
    """

    api: ClassVar[int] = API

    def __init__(self, port: serial.Serial, profile: DeviceProfile, *, timeout_s: float) -> None:
        self._port = port
        self._profile = profile
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
        known = profile if isinstance(profile, DeviceProfile) else load_profile(profile)
        device = cls(_open_port(address, known.baud, timeout_s), known, timeout_s=timeout_s)
        try:
            device.stop()
            device.identify()
        except BaseException:
            device.close()
            raise
        return device

    @property
    def profile(self) -> DeviceProfile:
        """Tell what is known about the device."""
        return self._profile

    @property
    def rate_hz(self) -> float:
        """Tell the nominal sampling rate."""
        return self._profile.rate_hz

    @property
    def n_channels(self) -> int:
        """Tell the number of channels."""
        return self._profile.frame.channels

    @property
    def scale_uv_per_count(self) -> float:
        """Tell the size of one code at the electrode."""
        return self._profile.scale_uv_per_count

    def identify(self) -> Identity:
        """Ask who answers, and refuse a device that is not the one of the profile.

        A device without an identify command is taken for the one of the profile.
        """
        profile = self._profile
        if not profile.frame.commands.identify:
            return Identity(profile.maker, profile.model, "", "")
        self._send(profile.frame.commands.identify)
        identity = read_identity(self._read_answer(), where=self._where)
        if (identity.maker, identity.model) != (profile.maker, profile.model):
            raise InstrumentError(
                f"the device must be {profile.maker},{profile.model}, got {identity}",
                where=self._where,
                todo="check the port, or name another profile in the rig file",
            )
        return identity

    def start(self) -> None:
        """Start streaming; sample 0 is the first sample decoded from now on."""
        self._forget()
        with self._as_link_error("start"):
            self._port.reset_input_buffer()
        self._send(self._profile.frame.commands.start)

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
        while self._n_pending < n_samples and self._failure is None:
            try:
                self._receive()
            except InstrumentError as failure:
                self._failure = failure
            if time.monotonic() >= deadline_s:
                break
        if self._n_pending:
            return self._taken(n_samples)
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
        command = self._profile.frame.commands.stop
        self._forget()
        if not command:
            return
        self._send(command)
        deadline_s = time.monotonic() + self._timeout_s
        silent_s = 0.0
        while silent_s < SILENCE_S:
            began_s = time.monotonic()
            with self._as_link_error(command):
                heard = self._port.read(self._port.in_waiting or 1)
            silent_s = 0.0 if heard else silent_s + time.monotonic() - began_s
            if time.monotonic() > deadline_s + SILENCE_S:
                raise LinkError(
                    f"the device still streams {self._timeout_s:g} s after {command!r}",
                    where=self._where,
                    todo="check the profile's stop command",
                )

    def close(self) -> None:
        """Give the port back; closing twice is allowed."""
        with suppress(OSError):  # a dead port must not keep us from closing
            self._port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            with suppress(LinkError):  # a device that hung up streams no more
                self.stop()
        finally:
            self.close()

    @property
    def _where(self) -> str:
        return str(self._port.port)

    @property
    def _n_pending(self) -> int:
        return sum(len(block.counts) for block in self._pending)

    def _forget(self) -> None:
        self._decoder = FrameDecoder(self._profile.frame)
        self._pending: list[DeviceBlock] = []
        self._failure = None

    def _receive(self) -> None:
        """Decode what has come, waiting a moment when nothing has."""
        with self._as_link_error("stream"):
            data = self._port.read(self._port.in_waiting or 1)
        n_restarts = len(self._decoder.restarts)
        block = self._decoder.feed(data)
        if len(block.counts):
            self._pending.append(block)
        if len(self._decoder.restarts) > n_restarts:
            before, after = self._decoder.restarts[-1]
            raise InstrumentError(
                f"the frame counter jumped from {before} to {after}: the device was reset",
                where=self._where,
                todo="check its supply, then record anew",
            )

    def _taken(self, n_samples: int) -> DeviceBlock:
        """Cut the oldest n_samples off; a gap that is cut is listed in both parts."""
        first = self._pending[0].first_sample
        counts = np.concatenate([block.counts for block in self._pending])
        gaps = [gap for block in self._pending for gap in block.gaps]
        n_bad = self._decoder.n_bad_frames
        end = first + min(n_samples, len(counts))
        rest = counts[n_samples:]
        later = DeviceBlock(rest, end, _within(gaps, end, first + len(counts)), n_bad)
        self._pending = [later] if len(rest) else []
        return DeviceBlock(counts[:n_samples], first, _within(gaps, first, end), n_bad)

    def _send(self, command: str) -> None:
        if not command:
            return
        with self._as_link_error(command):
            self._port.write((command + self._profile.frame.commands.terminator).encode("ascii"))

    def _read_answer(self) -> str:
        deadline_s, heard = time.monotonic() + self._timeout_s, b""
        while time.monotonic() < deadline_s:
            with self._as_link_error("identify"):
                heard += self._port.read(self._port.in_waiting or 1)
            if answer := ANSWER.search(heard):
                return answer[0].decode("ascii")
        raise LinkError(
            f"no identity within {self._timeout_s:g} s, got {heard[:40]!r}",
            where=self._where,
            todo="check the device's power, its baud rate and the profile's identify command",
        )

    @contextmanager
    def _as_link_error(self, doing: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # SerialException, OSError, and termios.error, which is neither
            raise LinkError(
                f"the link to the device broke during {doing} ({error})",
                where=self._where,
                todo=WHAT_TO_DO[errno.EIO],
            ) from error


def _open_port(address: str, baud: int, timeout_s: float) -> serial.Serial:
    try:
        return serial.Serial(address, baud, timeout=POLL_S, write_timeout=timeout_s, exclusive=True)
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        raise LinkError(
            f"the port cannot be opened: {error}",
            where=address,
            todo=WHAT_TO_DO.get(number or 0, "check the port and its settings"),
        ) from error


def _within(gaps: list[tuple[int, int]], first: int, end: int) -> tuple[tuple[int, int], ...]:
    """Cut gaps to the samples first..end; what lies outside is left out."""
    cut = ((max(start, first), min(start + n, end)) for start, n in gaps)
    return tuple((start, stop - start) for start, stop in cut if stop > start)
