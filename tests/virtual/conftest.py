"""A virtual rig in a process of its own, and single instruments on wires in a thread."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from emgsim.plant.faults import ScpiFaults
from emgsim.virtual.firmware import Firmware
from emgsim.virtual.parameters import Number, read_block, write_block
from emgsim.virtual.scpi import Call, Command, Engine, setting
from emgsim.virtual.wires import SERVERS, Wire


@dataclass(frozen=True)
class Rig:
    """Where the servers of a running process are found."""

    source: str
    capture: str
    device: str
    process: "subprocess.Popen[str]"
    source_2: str = ""


@contextmanager
def running(rig_file: Path) -> Iterator[Rig]:
    """Start the servers, and end them by closing their input."""
    command = [sys.executable, "-m", "emgsim.virtual", str(rig_file), "--seed", "1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield Rig(**json.loads(process.stdout.readline()), process=process)
            process.communicate(timeout=10)
            assert process.returncode == 0
        finally:
            process.kill()


@pytest.fixture(scope="session")
def run_rig() -> Callable[..., Any]:
    """Serve a rig file in a process of its own: ``with run_rig(path) as rig``."""
    return running


@pytest.fixture
def serve_table(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Serve rigs of which the table ``virtual`` is given; they end with the test."""
    with ExitStack() as stack:

        def start(**table: Any) -> Rig:
            path = tmp_path / "rig.json"
            path.write_text(json.dumps({"virtual": table}), "utf-8")
            return stack.enter_context(running(path))

        yield start


@pytest.fixture
def serve(serve_table: Callable[..., Rig]) -> Callable[..., Rig]:
    """Serve rigs with the given faults; they end with the test."""

    def start(**faults: Any) -> Rig:
        return serve_table(faults=faults)

    return start


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Serve one rig without faults to all tests of a module."""
    path = tmp_path_factory.mktemp("rig") / "rig.json"
    path.write_text('{"virtual": {}}', "utf-8")
    with running(path) as rig:
        yield rig


@pytest.fixture
def visa() -> Iterator[Callable[[str], Any]]:
    """Open VISA resources, and close them after the test."""
    import pyvisa

    with ExitStack() as stack:

        def connect(address: str) -> Any:
            link = stack.enter_context(manager.open_resource(address))
            link.timeout = 5000
            link.read_termination = link.write_termination = "\n"
            return link

        manager = pyvisa.ResourceManager("@py")
        stack.callback(manager.close)
        yield connect


IDENTITY = "MAKER,MODEL,SN1,1.0"


class Echo:
    """An instrument with a level, a block memory and bus triggers, that notes what it hears."""

    def __init__(self) -> None:
        self.level = 0.0
        self.block = b""
        self.heard: list[bytes] = []
        self.n_triggers = 0
        self.is_waited_for = False  # for ever
        rows = setting("LEVel", Number(-10, 10, 0, "V"), lambda _: self.level, self._set_level)
        store = Command("DATA", self._store, 1, 1)
        fetch = Command("DATA?", lambda _: write_block(self.block))
        longer = Command("DATA:LONGer?", lambda _: write_block(self.block) + b"\n")
        name = Command("NAME?", lambda call: call.arguments[0], 1, 1)
        self.engine = Engine(IDENTITY, [*rows, store, fetch, longer, name], self)

    def _set_level(self, _: int, level: float) -> None:
        self.level = level

    def _store(self, call: Call) -> None:
        self.block = read_block(call.arguments[0])

    def reset(self) -> None:
        """Set the level to nothing."""
        self.level = 0.0

    def trigger(self) -> None:
        """Count."""
        self.n_triggers += 1

    def is_busy(self) -> bool:
        """Tell whether there is something to wait for."""
        return self.is_waited_for

    def pass_time(self) -> None:
        """Have no time."""

    def settle(self) -> Generator[None, None, None]:
        """Be done at once, or never."""
        while self.is_waited_for:
            yield


class HearingFirmware(Firmware):
    """Notes each message that arrives."""

    heard: list[bytes]

    async def run(self, message: bytes, *others: Any) -> bytes:
        """Note and run a message."""
        self.heard.append(message)
        return await super().run(message, *others)


@dataclass
class Wired:
    """An instrument on a wire, and the thread that serves it."""

    address: str
    echo: Echo
    firmware: Firmware
    loop: asyncio.AbstractEventLoop
    leave: Callable[[], None]  # hang up on everybody, and listen no more
    heard: list[bytes] = field(default_factory=list)

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Let the server do nothing at all meanwhile."""
        awake = threading.Event()
        self.loop.call_soon_threadsafe(awake.wait, 30)
        try:
            yield
        finally:
            awake.set()


@contextmanager
def wired(wire: Wire, echo: Echo | None = None, **faults: Any) -> Iterator[Wired]:
    """Serve an instrument on a wire in a thread of its own."""
    echo = echo or Echo()
    firmware = HearingFirmware(echo.engine, ScpiFaults(**faults))
    firmware.heard = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = SERVERS[wire](firmware)

    def now(step: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(step, loop).result(10)

    def leave() -> None:
        now(server.close())

    try:
        yield Wired(now(server.start()), echo, firmware, loop, leave, firmware.heard)
    finally:
        leave()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def on_wire() -> Callable[..., Any]:
    """Serve an instrument on a wire: ``with on_wire("vxi11", drop_at_message=3) as instrument``."""
    return wired
