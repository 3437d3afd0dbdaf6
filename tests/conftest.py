"""Hypothesis profiles, and a check after every test that it left nothing running or open.

Profiles: ``dev`` is the default; ``HYPOTHESIS_PROFILE=ci`` draws the same examples every time.
"""

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))

GRACE_S = 2.0  # for what is ending by itself when its test returns
PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc/self")
LASTING = "/mpl-data/fonts/"  # matplotlib keeps each font open that it has drawn with once

if sys.platform == "linux":
    # A process whose parent died becomes our child, so that it is seen below.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options with which contract tests run against hardware."""
    group = parser.getgroup("emgsim hardware")
    group.addoption("--source-address", default="", help="VISA address of a real generator")
    group.addoption("--source-driver", default="keysight.33500", help="driver of that generator")
    group.addoption("--capture-address", default="", help="VISA address of a real oscilloscope")
    group.addoption("--capture-driver", default="siglent.sds", help="driver of that oscilloscope")
    group.addoption("--device-address", default="", help="serial port of a real device")
    group.addoption("--device-driver", default="serial.frames", help="driver of that device")
    group.addoption("--device-profile", default="na1", help="profile of that device")


def pytest_configure(config: pytest.Config) -> None:
    """Have the files handed out as they are collected, not those of many tests first."""
    if hasattr(config.option, "loadscopereorder"):  # of pytest-xdist
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests, so that no core waits for the last of them."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def _open_descriptors() -> set[str]:
    """Return what is open: files, pipes, ptys, and sockets, listening or connected."""
    found = set()
    for number in os.listdir(PROC / "fd"):
        try:
            target = os.readlink(PROC / "fd" / number)
        except FileNotFoundError:  # the descriptor of this very listing
            continue
        if LASTING not in target:
            found.add(f"descriptor {number}: {target}")
    return found


def _children() -> set[str]:
    """Return the running children, orphans of children among them; reap those that have ended."""
    found = set()
    for task in os.listdir(PROC / "task"):
        try:
            numbers = (PROC / "task" / task / "children").read_text().split()
        except FileNotFoundError:  # a thread that has just ended
            continue
        found.update(_child(int(number)) for number in numbers)
    return found - {""}


def _child(pid: int) -> str:
    """Name a child, or return nothing when it has ended; an ended one is no process left behind."""
    try:
        # The name stands in parentheses and may hold any character; the state follows it.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    if state != "Z":
        return f"process {pid}: {words.strip()}"
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return ""


def _threads() -> set[str]:
    """Return Python's threads; those of numerical libraries start once and serve all tests."""
    return {f"thread {thread.ident}: {thread.name}" for thread in threading.enumerate()}


def _held() -> set[str]:
    return _open_descriptors() | _children() | _threads()


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a process, a thread, a socket or another descriptor behind.

    What fixtures of a wider scope hold was there before the test and is none of its business.
    """
    if sys.platform != "linux":
        yield
        return
    before = _held()
    yield
    if not (left := _held() - before):
        return
    gc.collect()
    ends_s = time.monotonic() + GRACE_S
    while (left := _held() - before) and time.monotonic() < ends_s:
        time.sleep(0.01)
    if left:
        pytest.fail("the test left behind:\n  " + "\n  ".join(sorted(left)), pytrace=False)


def _closed(form: Any) -> Any:
    """Return a form that allows no keys but those that it describes."""
    if isinstance(form, list):
        return [_closed(item) for item in form]
    if not isinstance(form, dict):
        return form
    closed = {key: _closed(value) for key, value in form.items()}
    if form.get("type") == "object" and "properties" in form:
        closed.setdefault("additionalProperties", False)
    return closed


@pytest.fixture(scope="session")
def form_mistakes() -> Callable[[Any], list[str]]:
    """Return where a record has not the published form, keys that it does not know among them."""
    from jsonschema import Draft202012Validator

    from emgsim.schemas import schema_of

    forms = {f"emgsim.{kind}/1": Draft202012Validator(_closed(schema_of(kind)))
             for kind in ("run", "exam_run", "findings")}

    def found(table: Any) -> list[str]:
        return [f"{e.json_path}: {e.message}" for e in forms[table["schema"]].iter_errors(table)]

    return found


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Give the signals back that a command takes."""
    taken = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in taken}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
