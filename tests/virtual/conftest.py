"""A virtual rig in a process of its own, and its instruments."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Rig:
    """Where the servers of a running process are found."""

    source: str
    capture: str
    device: str
    process: "subprocess.Popen[str]"


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


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Serve rigs with the given faults; they end with the test."""
    with ExitStack() as stack:

        def start(**faults: Any) -> Rig:
            path = tmp_path / "rig.json"
            path.write_text(json.dumps({"virtual": {"faults": faults}}), "utf-8")
            return stack.enter_context(running(path))

        yield start


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
