"""The check for leaks in ``conftest.py`` is itself tested: each planted leak must be seen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PLANTED = '''
import os, socket, subprocess, sys, threading, pytest
kept = []

@pytest.fixture(scope="module")
def wide():
    with open(os.devnull) as file, socket.create_server(("127.0.0.1", 0)):
        yield file

def test_process():
    kept.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))

def test_orphan():
    child = "import subprocess; subprocess.Popen(['sleep', '20'])"
    subprocess.run([sys.executable, "-c", child], check=True)

def test_thread():
    kept.append(threading.Event())
    threading.Thread(target=kept[-1].wait, args=(10,), name="planted").start()

def test_socket():
    kept.append(socket.create_server(("127.0.0.1", 0)))

def test_pty():
    kept.append(os.openpty())

def test_file():
    kept.append(open(os.devnull))

def test_clean_one(wide, tmp_path, capfd):
    with socket.create_server(("127.0.0.1", 0)), open(tmp_path / "x", "w"):
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        thread = threading.Thread(target=print)
        thread.start()
        thread.join()

def test_clean_again(wide):
    kept.append(wide)

def teardown_module():
    for thing in kept:
        if isinstance(thing, subprocess.Popen):
            thing.communicate()
        elif isinstance(thing, threading.Event):
            thing.set()
        elif isinstance(thing, tuple):
            [os.close(number) for number in thing]
        else:
            thing.close()
    with open("/proc/self/task/%d/children" % os.getpid()) as file:
        for pid in map(int, file.read().split()):
            os.kill(pid, 9)
            os.waitpid(pid, 0)
'''


def test_every_planted_leak_fails_its_test_and_a_clean_test_passes(tmp_path: Path) -> None:
    """A run over planted leaks names each of them and passes the two clean tests."""
    check = Path(__file__).with_name("conftest.py").read_text("utf-8")
    hasty = check.replace("GRACE_S = 2.0", "GRACE_S = 0.2")
    assert hasty != check
    (tmp_path / "conftest.py").write_text(hasty, "utf-8")
    (tmp_path / "test_planted.py").write_text(PLANTED, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "--tb=short", "."],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"},
    )
    summary = done.stdout.partition("short test summary info")[2]
    for name in ("process", "orphan", "thread", "socket", "pty", "file"):
        assert f"ERROR test_planted.py::test_{name}" in summary, done.stdout
    for name in ("clean_one", "clean_again"):
        assert f"ERROR test_planted.py::test_{name}" not in summary, done.stdout
    for said in ("input()", "sleep 20", "planted", "socket:[", "/dev/ptmx", "/dev/null"):
        assert said in done.stdout
    assert "6 errors" in done.stdout
