"""Drives the USB relay modules of Numato Lab, which speak lines of text over a serial port.

A command ends with CR. The module echoes it, and after a line end follow its answer, if it has one,
and the prompt ``>``. One hexadecimal digit of ``relay readall`` and ``relay writeall`` stands for
four relays, so its length tells how many there are.

Wire a contact between an input and the supply, and a resistor from the input to ground: then a
broken wire reads as open.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, suppress
from typing import ClassVar, Self

import serial

from emgsim.errors import InputError, InstrumentError, LinkError
from emgsim.instruments.base import API, Identity
from emgsim.instruments.serial_port import as_link_error, open_port

BAUD = 19_200  # a USB port ignores it
PROMPT = b">"
MAKER, MODEL = "Numato Lab", "USB relay module"  # no command tells them


class NumatoRelays:
    """Switches relays and reads inputs over a serial port; use `open`."""

    api: ClassVar[int] = API

    def __init__(self, port: serial.Serial, *, timeout_s: float) -> None:
        self._port = port
        self._timeout_s = timeout_s

    @classmethod
    def open(cls, address: str, *, timeout_s: float = 2.0) -> Self:
        """Open a module at a serial port and see that it answers; its relays stay as they are.

        Parameters
        ----------
        address
            Serial port, for example ``/dev/ttyACM0``.
        timeout_s
            Longest wait for an answer, and for a command to be taken.

        Raises
        ------
        LinkError
            When the port is missing, taken, or nothing answers there.
        InstrumentError
            When what answers is no such module.
        """
        switch = cls(open_port(address, BAUD, timeout_s), timeout_s=timeout_s)
        try:
            switch._exchange("")  # ends a line that somebody left half typed
            switch.relays()
        except BaseException:
            switch.close()
            raise
        return switch

    def identify(self) -> Identity:
        """Ask for the module's id and its firmware; maker and model it does not tell."""
        return Identity(MAKER, MODEL, self._ask("id get"), self._ask("ver"))

    def set_relays(self, relays: frozenset[int]) -> None:
        """Switch these relays on and all others off, and verify it by a query.

        Raises
        ------
        InputError
            When the module has no such relay.
        InstrumentError
            When other relays are on afterwards.
        """
        digits = len(self._read_all())
        if any(not 0 <= relay < 4 * digits for relay in relays):
            raise InputError(
                f"relays must be in 0..{4 * digits - 1}, got {sorted(relays)}",
                where=self._where,
                todo="correct the relays of the fixture's states in the rig file",
            )
        mask = sum(1 << relay for relay in relays)
        self._exchange(f"relay writeall {mask:0{digits}x}")
        found = self.relays()
        if found != relays:
            raise InstrumentError(
                f"the relays that are on must be {sorted(relays)}, got {sorted(found)}",
                where=self._where,
                todo="check the module's supply, and that nothing else switches it",
            )

    def relays(self) -> frozenset[int]:
        """Read which relays are on."""
        mask = int(self._read_all(), 16)
        return frozenset(relay for relay in range(mask.bit_length()) if mask >> relay & 1)

    def input_closed(self, number: int) -> bool:
        """Read a contact: closed while its input is high."""
        answer = self._ask(f"gpio read {number:X}")
        if answer not in {"0", "1"}:
            raise self._unexpected(f"gpio read {number:X}", answer)
        return answer == "1"

    def close(self) -> None:
        """Give the port back and leave the relays as they are; closing twice is allowed."""
        with suppress(OSError):  # a dead port must not keep us from closing
            self._port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def _where(self) -> str:
        return str(self._port.port)

    def _read_all(self) -> str:
        answer = self._ask("relay readall")
        if not answer or any(digit not in "0123456789abcdefABCDEF" for digit in answer):
            raise self._unexpected("relay readall", answer)
        return answer

    def _ask(self, command: str) -> str:
        lines = self._exchange(command)
        if len(lines) != 1:
            raise self._unexpected(command, " ".join(lines))
        return lines[0]

    def _exchange(self, command: str) -> list[str]:
        """Send a command and return the lines between its echo and the prompt."""
        with self._as_link_error(command):
            self._port.reset_input_buffer()
            self._port.write(command.encode("ascii") + b"\r")
        heard = self._read_to_prompt(command).decode("ascii", "replace")
        lines = [line.strip() for line in heard.splitlines() if line.strip()]
        if command and lines[:1] != [command]:
            raise self._unexpected(command, heard)
        return lines[1:]

    def _read_to_prompt(self, command: str) -> bytes:
        """Return what is heard before the prompt."""
        deadline_s, heard = time.monotonic() + self._timeout_s, b""
        while PROMPT not in heard:
            if time.monotonic() > deadline_s:
                raise LinkError(
                    f"no prompt after {command!r} within {self._timeout_s:g} s, got {heard[:40]!r}",
                    where=self._where,
                    todo="check the module's power, and that the port is the module's",
                )
            with self._as_link_error(command):
                heard += self._port.read(self._port.in_waiting or 1)
        return heard.partition(PROMPT)[0]

    def _unexpected(self, command: str, answer: str) -> InstrumentError:
        return InstrumentError(
            f"the answer to {command!r} is none of a relay module: {answer!r}",
            where=self._where,
            todo="check the port, or name another driver in the rig file",
        )

    def _as_link_error(self, doing: str) -> AbstractContextManager[None]:
        return as_link_error(
            repr(doing),
            where=self._where,
            to="the relays",
            todo="check cable and power, then open the module anew",
        )
