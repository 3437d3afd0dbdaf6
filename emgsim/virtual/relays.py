"""Twin of a Numato Lab 8-channel USB relay module, on a pseudo-terminal.

Modelled: ``ver``, ``id get``, ``relay on|off|read N``, ``relay readall``, ``relay writeall XX`` and
``gpio read N``, each echoed and followed by the prompt; of everything else only the echo and the
prompt come. One input is wired to the contact of the lid, the others to nothing. Relays switch at
once: their bounce, `gpio` outputs and analogue inputs are not modelled.
"""

from __future__ import annotations

import re

from emgsim.plant.world import World
from emgsim.virtual.serial_line import CommandLines, SerialLine

FIRMWARE = "00000008"
ID = "SIMRELAY"
N_RELAYS = 8
_LONGEST_LINE = 64  # bytes; what is longer was never a command
_LONGEST_BACKLOG = 4096  # bytes that wait for a reader
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
        self._commands = CommandLines(b"\r", longest=_LONGEST_LINE)
        self._line = SerialLine(self._hear)

    def open(self) -> str:
        """Open the pseudo-terminal and return the path that a serial port is opened with."""
        return self._line.open()

    def close(self) -> None:
        """Hang up; the relays stay as they are."""
        self._line.close()

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

    def _hear(self, data: bytes) -> None:
        for line in self._commands.feed(data):
            self._reply(line.decode("ascii", "replace").strip("\n"))

    def _reply(self, line: str) -> None:
        answer = self.answer(line)
        lines = [line] if answer is None else [line, answer]
        if self._line.n_waiting > _LONGEST_BACKLOG:  # nobody reads: a real port loses it too
            self._line.discard()
        self._line.send("".join(f"{text}\n\r" for text in lines).encode() + b">")
