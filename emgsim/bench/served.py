"""The virtual rig's own process: started for one run, and ended with it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from emgsim.bench.rig import Rig
from emgsim.errors import EmgsimError, InputError, LinkError

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
SERVER = "python -m emgsim.virtual"


class ServedRig:
    """Runs ``python -m emgsim.virtual`` while the context lasts; ``addresses`` is keyed by role.

    The server ends when its standard input does, so it cannot outlive this process.

    Raises
    ------
    InputError
        On entering, if the server refuses the rig: a driver has no twin, for example.
    LinkError
        On entering, if it does not start.
    """

    def __init__(self, rig: Rig, seed: int) -> None:
        self.addresses: dict[str, str] = {}
        self._id = rig.id
        self._folder = tempfile.TemporaryDirectory(prefix="emgsim-rig-")
        path = Path(self._folder.name) / "rig.json"
        path.write_text(json.dumps(rig.resolved()), encoding="utf-8")
        self._said = Path(self._folder.name) / "stderr"
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(  # noqa: S603 - our own package, no shell
                [sys.executable, "-m", "emgsim.virtual", str(path), "--seed", str(seed)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            self.addresses = json.loads(self._first_line())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and wait for it; one that does not end by itself is killed.

        What it has said meanwhile is told on this process's own standard error.
        """
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._said.exists():
            sys.stderr.write(self._said.read_text("utf-8", "replace"))
        self._folder.cleanup()

    def _first_line(self) -> str:
        pipe = self._process.stdout
        if pipe is None:
            raise LinkError("the virtual rig has no output")
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([pipe], [], [], START_TIMEOUT_S)
            chunk = os.read(pipe.fileno(), 4096) if ready else b""
            if not chunk:
                raise self._refusal() if ready else _too_slow()
            line += chunk
        return line.decode()

    def _refusal(self) -> EmgsimError:
        """Say why the server has ended before it gave an address."""
        code = self._process.wait()
        text = self._said.read_text("utf-8", "replace").strip()
        text = text.replace(f"{self._folder.name}/", "")  # a folder that will be gone
        self._said.unlink()  # it is told by the error, once
        if code == InputError.exit_code:
            return InputError(f"rig {self._id} cannot be served: {text}")
        return LinkError(
            f"the virtual rig did not start (exit code {code}): {text or 'it said nothing'}",
            where=SERVER,
        )


def _too_slow() -> LinkError:
    return LinkError(
        f"the virtual rig gave no address within {START_TIMEOUT_S:g} s",
        where=SERVER,
        todo="look whether the machine is overloaded, and try again",
    )
