"""A SCPI instrument without its wire: command tree, error queue and IEEE 488.2 status.

`Engine.execute` takes the bytes of a message and returns the bytes of the answer. An instrument
is a tuple of `Command` rows and a `Device`, the part that is reset, triggered and waited for.
Whatever the bytes are, the engine answers or queues an error; it never raises because of them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol, TypeAlias

from emgsim.virtual.parameters import Kind, Number, ScpiError, short_form
from emgsim.virtual.program import MessageSplitter, Splitter, Unit, parse

ERROR_QUEUE_DEPTH = 20

OPERATION_COMPLETE, QUERY_ERROR, DEVICE_ERROR, EXECUTION_ERROR, COMMAND_ERROR, POWER_ON = (
    1, 4, 8, 16, 32, 128,
)  # fmt: skip
ERRORS_QUEUED, MESSAGE_AVAILABLE, EVENT_SUMMARY, MASTER_SUMMARY = 4, 16, 32, 64

Reply: TypeAlias = str | bytes | None
Steps: TypeAlias = Generator[None, None, Reply]
"""An answer that takes simulated time: whoever runs it may serve others between two steps."""


@dataclass(frozen=True, slots=True)
class Call:
    """Carry what a command was called with: the number in its header, and its arguments."""

    suffix: int
    arguments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """Bind a header pattern, such as ``[SOURce#:]VOLTage:OFFSet?``, to a handler.

    Capitals are the short form, brackets are optional nodes, ``#`` takes a channel number.
    """

    pattern: str
    handler: Callable[[Call], Reply | Steps]
    least: int = 0  # arguments
    most: int = 0


class Device(Protocol):
    """What the common commands act on."""

    def reset(self) -> None:
        """Take the power-on settings (``*RST``)."""

    def trigger(self) -> None:
        """Act on ``*TRG`` or on the trigger message of the bus."""

    def is_busy(self) -> bool:
        """Tell whether something that ``*OPC`` waits for is under way."""

    def pass_time(self) -> None:
        """Let a little simulated time pass."""

    def settle(self) -> Generator[None, None, None]:
        """Let time pass until not busy; raise `ScpiError` if that cannot come."""


def setting(
    pattern: str,
    kind: Kind | Callable[[int], Kind],
    get: Callable[[int], Any],
    put: Callable[[int, Any], None],
) -> tuple[Command, Command]:
    """Return the command and the query of one setting.

    `get`, `put`, and `kind` where what is allowed depends on other settings, take the channel
    number.
    """

    def write(call: Call) -> None:
        allowed = kind(call.suffix) if callable(kind) else kind
        put(call.suffix, allowed.read(call.arguments[0]))

    def read(call: Call) -> str:
        allowed = kind(call.suffix) if callable(kind) else kind
        if not call.arguments:
            return allowed.write(get(call.suffix))
        word = call.arguments[0].decode("latin-1")  # "FREQ? MAX"
        named = allowed.named(word) if isinstance(allowed, Number) else None
        if named is None or not isinstance(allowed, Number):
            raise ScpiError(-224)
        return allowed.write(named)

    return Command(pattern, write, 1, 1), Command(f"{pattern}?", read, 0, 1)


@dataclass(slots=True)
class _Node:
    """One place in the command tree."""

    takes_number: bool = False
    children: dict[str, _Node] = field(default_factory=dict)
    command: Command | None = None
    query: Command | None = None

    def child(self, pattern: str) -> _Node:
        name = pattern.removesuffix("#")
        node = self.children.setdefault(name.upper(), _Node())
        self.children[short_form(name)] = node
        node.takes_number |= pattern.endswith("#")
        return node

    def step(self, mnemonic: str) -> tuple[_Node, int | None]:
        """Return the child that a mnemonic such as ``SOUR2`` names, and its number."""
        if mnemonic in self.children:
            return self.children[mnemonic], None
        name = mnemonic.rstrip("0123456789")
        node = self.children.get(name)
        if node is None or not node.takes_number or len(mnemonic) - len(name) > 4:
            raise ScpiError(-113)
        return node, int(mnemonic[len(name) :])


def _paths(pattern: str) -> Iterator[list[str]]:
    """Yield every way to write a pattern, with and without its optional nodes."""
    parts = re.split(r"\[([^\]]*)\]", pattern)
    for kept in product((True, False), repeat=len(parts) // 2):
        text = "".join(
            part for place, part in enumerate(parts) if place % 2 == 0 or kept[place // 2]
        )
        yield text.strip(":").split(":")


def _grow(commands: Iterable[Command]) -> _Node:
    """Return the tree of all commands."""
    root = _Node()
    for command in commands:
        for path in _paths(command.pattern.removesuffix("?")):
            node = root
            for mnemonic in path:
                node = node.child(mnemonic)
            if command.pattern.endswith("?"):
                node.query = command
            else:
                node.command = command
    return root


class Engine:
    """Run program messages of one instrument.

    Parameters
    ----------
    identity
        The answer to ``*IDN?``.
    commands
        All commands besides the common ones and ``SYSTem:ERRor?``.
    device
        What ``*RST``, ``*TRG`` and ``*OPC`` act on.
    channels
        Largest number that a header may carry.
    splitter, parse
        How bytes are cut into messages, and a message into units, where the instrument has rules
        of its own; wires that do not mark the end of a message cut with the same splitter.
    """

    def __init__(
        self,
        identity: str,
        commands: Iterable[Command],
        device: Device,
        channels: int = 2,
        *,
        splitter: Callable[[], Splitter] = MessageSplitter,
        parse: Callable[[bytes], list[Unit]] = parse,
    ) -> None:
        self.identity = identity
        self.splitter = splitter
        self._parse = parse
        self._device = device
        self._channels = channels
        self._errors: deque[ScpiError] = deque()
        self._events = POWER_ON
        self._event_enable = self._service_enable = 0
        self._is_completion_wanted = False  # *OPC was sent and has not come true yet
        self._tree = _grow([*commands, *self._system_commands()])
        self._common = {command.pattern: command for command in self._common_commands()}

    # ---- messages

    def execute(self, payload: bytes) -> bytes:
        """Run one END-terminated payload to its end and return the answer, possibly empty."""
        steps = self.run(payload)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                answer: bytes = stop.value
                return answer

    def run(self, payload: bytes) -> Generator[None, None, bytes]:
        """Run one payload; every yield is a moment at which others may be served."""
        answers = []
        splitter = self.splitter()
        for message in (*splitter.feed(payload), splitter.end()):
            replies = yield from self._run_message(message)
            if replies:
                answers.append(b";".join(replies) + b"\n")
        return b"".join(answers)

    def _run_message(self, message: bytes) -> Generator[None, None, list[bytes]]:
        """Run the units of one message; a command error discards the rest, as the standard says."""
        replies: list[bytes] = []
        path: list[str] = []
        for unit in self._parse(message):
            try:
                command, suffix, path = self._find(unit.header, path)
                reply = self._call(command, Call(suffix, unit.arguments))
                if isinstance(reply, Generator):
                    reply = yield from reply
            except ScpiError as error:
                self.queue(error)
                if -200 < error.number < -100:
                    break
            else:
                if reply is not None:
                    replies.append(reply if isinstance(reply, bytes) else reply.encode("latin-1"))
        return replies

    def _find(self, header: str, path: list[str]) -> tuple[Command, int, list[str]]:
        """Return the command, its channel number, and the path for the next unit."""
        if header.startswith("*"):
            if header not in self._common:
                raise ScpiError(-113)
            return self._common[header], 1, path
        is_query, name = header.endswith("?"), header.removesuffix("?")
        is_absolute = name.startswith(":")
        mnemonics = name.removeprefix(":").split(":")
        mnemonics = mnemonics if is_absolute else path + mnemonics
        node, number = self._tree, 1
        for mnemonic in mnemonics:
            node, found = node.step(mnemonic)
            number = number if found is None else found
        command = node.query if is_query else node.command
        if command is None:
            raise ScpiError(-113)
        if not 1 <= number <= self._channels:
            raise ScpiError(-114)
        return command, number, mnemonics[:-1]

    def _call(self, command: Command, call: Call) -> Reply | Steps:
        given = len(call.arguments)
        if given > command.most:
            raise ScpiError(-108)
        if given < command.least or (given and not all(call.arguments)):
            raise ScpiError(-109)
        return command.handler(call)

    # ---- status

    def queue(self, error: ScpiError) -> None:
        """Put an error into the queue, and its class into the event register."""
        self._events |= _event_of(error.number)
        if len(self._errors) < ERROR_QUEUE_DEPTH:
            self._errors.append(error)
        else:
            self._errors[-1] = ScpiError(-350)

    def status_byte(self, *, has_message: bool = False) -> int:
        """Return the status byte; asking lets time pass when ``*OPC`` is still outstanding."""
        self._notice_completion()
        status = ERRORS_QUEUED if self._errors else 0
        status |= MESSAGE_AVAILABLE if has_message else 0
        status |= EVENT_SUMMARY if self._events & self._event_enable else 0
        return status | (MASTER_SUMMARY if status & self._service_enable else 0)

    def trigger(self) -> None:
        """Act on a trigger message of the bus."""
        try:
            self._device.trigger()
        except ScpiError as error:
            self.queue(error)

    def clear(self) -> None:
        """Act on a device clear: what was waited for is forgotten, settings and errors stay."""
        self._is_completion_wanted = False

    def _notice_completion(self) -> None:
        if self._is_completion_wanted and self._device.is_busy():
            self._device.pass_time()
        if self._is_completion_wanted and not self._device.is_busy():
            self._is_completion_wanted = False
            self._events |= OPERATION_COMPLETE

    # ---- commands that every instrument has

    def _system_commands(self) -> tuple[Command, ...]:
        return (
            Command("SYSTem:ERRor[:NEXT]?", self._next_error),
            Command("SYSTem:VERSion?", lambda _: "1999.0"),
        )

    def _common_commands(self) -> tuple[Command, ...]:
        return (
            Command("*IDN?", lambda _: self.identity),
            Command("*OPT?", lambda _: "0"),
            Command("*TST?", lambda _: "+0"),
            Command("*RST", lambda _: self._device.reset()),
            Command("*TRG", lambda _: self._device.trigger()),
            Command("*CLS", self._clear_status),
            Command("*OPC", self._want_completion),
            Command("*OPC?", self._wait_for_completion),
            Command("*WAI", self._wait),
            Command("*ESR?", self._take_events),
            Command("*STB?", lambda _: f"{self.status_byte():+d}"),
            Command("*ESE", self._set_event_enable, 1, 1),
            Command("*ESE?", lambda _: f"{self._event_enable:+d}"),
            Command("*SRE", self._set_service_enable, 1, 1),
            Command("*SRE?", lambda _: f"{self._service_enable:+d}"),
        )

    def _next_error(self, _: Call) -> str:
        return str(self._errors.popleft()) if self._errors else '+0,"No error"'

    def _clear_status(self, _: Call) -> None:
        self._errors.clear()
        self._events = 0
        self._is_completion_wanted = False

    def _want_completion(self, _: Call) -> None:
        self._is_completion_wanted = True
        if not self._device.is_busy():
            self._notice_completion()

    def _wait_for_completion(self, _: Call) -> Steps:
        """Answer 1 when all is done; 0, and an error, when the end can never come."""
        try:
            yield from self._device.settle()
        except ScpiError as error:
            self.queue(error)
            return "0"
        return "1"

    def _wait(self, _: Call) -> Steps:
        yield from self._device.settle()
        return None

    def _take_events(self, _: Call) -> str:
        self._notice_completion()
        events, self._events = self._events, 0
        return f"{events:+d}"

    def _set_event_enable(self, call: Call) -> None:
        self._event_enable = int(_MASK.read(call.arguments[0]))

    def _set_service_enable(self, call: Call) -> None:
        # a summary cannot ask for itself
        self._service_enable = int(_MASK.read(call.arguments[0])) & ~MASTER_SUMMARY


_MASK = Number(0, 255, 0, integer=True)


def _event_of(number: int) -> int:
    """Return the bit of the event register that an error number belongs to."""
    classes = {1: COMMAND_ERROR, 2: EXECUTION_ERROR, 4: QUERY_ERROR}
    return classes.get(-number // 100, DEVICE_ERROR) if number < 0 else DEVICE_ERROR
