"""Twin of a Numato Lab 8-channel USB relay module, on a pseudo-terminal.

Modelled: ``ver``, ``id get``, ``relay on|off|read N``, ``relay readall``, ``relay writeall XX`` and
``gpio read N``, each echoed and followed by the prompt; of everything else only the echo and the
prompt come. One input is wired to the contact of the lid, the others to nothing. Relays switch at
once: their bounce, `gpio` outputs and analogue inputs are not modelled.
"""

from __future__ import annotations

import asyncio
import os
import re
import tty
from contextlib import suppress

from emgsim.plant.world import World

FIRMWARE = "00000008"
ID = "SIMRELAY"
N_RELAYS = 8
_LONGEST_LINE = 64  # bytes; what is longer was never a command
_READ_BYTES = 4096
_COMMAND = re.compile(r"(ver|id get|relay (?:on|off|read|readall|writeall)|gpio read)(?: (\w+))?")


class VirtualRelays:
    """Serve the relays of a `World`'s fixture on a pseudo-terminal of the running event loop.

    Parameters
    ----------
    world
        The plant.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._relays = frozenset[int]()
        self._line = bytearray()
        self._is_open = False

    def open(self) -> str:
        """Open the pseudo-terminal and return the path that a serial port is opened with."""
        # The slave stays open here too: without it the master fails whenever a host closes it.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._read)
        self._is_open = True
        return os.ttyname(self._slave)

    def close(self) -> None:
        """Hang up; the relays stay as they are."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    def answer(self, line: str) -> str | None:
        """Obey a command and return its answer; None where there is none."""
        found = _COMMAND.fullmatch(line.strip().lower())
        if found is None:
            return None
        match found.groups():
            case ("ver", None):
                return FIRMWARE
            case ("id get", None):
                return ID
            case ("relay readall", None):
                return f"{sum(1 << relay for relay in self._relays):02x}"
            case ("relay writeall", str(digits)) if re.fullmatch("[0-9a-f]{2}", digits):
                mask = int(digits, 16)
                self._switch(frozenset(n for n in range(N_RELAYS) if mask >> n & 1))
            case (command, str(digit)) if re.fullmatch("[0-7]", digit):
                return self._answer_of_one(str(command), int(digit))
        return None

    def _answer_of_one(self, command: str, number: int) -> str | None:
        match command:
            case "relay on":
                self._switch(self._relays | {number})
            case "relay off":
                self._switch(self._relays - {number})
            case "relay read":
                return "on" if number in self._relays else "off"
            case "gpio read":
                is_lid = number == self._world.physics.lid_input
                return "1" if is_lid and self._world.lid_is_closed else "0"
        return None

    def _switch(self, relays: frozenset[int]) -> None:
        self._relays = relays
        self._world.set_relays(relays)

    def _read(self) -> None:
        try:
            self._line += os.read(self._master, _READ_BYTES)
        except BlockingIOError:
            return
        while b"\r" in self._line:
            line, _, rest = self._line.partition(b"\r")
            self._line = bytearray(rest)
            self._reply(line.decode("ascii", "replace").strip("\n"))
        del self._line[:-_LONGEST_LINE]

    def _reply(self, line: str) -> None:
        answer = self.answer(line)
        lines = [line] if answer is None else [line, answer]
        with suppress(BlockingIOError):  # nobody reads: a real port loses it too
            os.write(self._master, "".join(f"{text}\n\r" for text in lines).encode() + b">")
