"""A sound card of software: a PulseAudio null sink, whose monitor hears what is played to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RATE_HZ, FULL_V = 48_000, 1.25
SCRIPT = f"""\
load-module module-native-protocol-unix
load-module module-null-sink sink_name=emg format=s32le rate={RATE_HZ} channels=2
set-default-sink emg
set-default-source emg.monitor
"""
ADDRESS = f"audio:pulse?rate_hz={RATE_HZ}&full_scale_v={FULL_V}&via_server=1"
START_S = 10.0


def why_missing() -> str:
    """Say what a null sink needs and this machine has not; nothing when all is there."""
    if shutil.which("pulseaudio") is None:
        return "the program pulseaudio is missing (Debian: pulseaudio, libasound2-plugins)"
    try:
        import sounddevice  # noqa: F401
    except ImportError:
        return "the package sounddevice is missing (pip install emgsim[audio])"
    except OSError:
        return "the library libportaudio is missing (Debian: libportaudio2)"
    return ""


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """Run a PulseAudio of one's own, and yield the environment in which it is the only one."""
    folder.chmod(0o700)
    (folder / "null.pa").write_text(SCRIPT)
    native = folder / "pulse" / "native"
    environment = {
        "XDG_RUNTIME_DIR": str(folder),
        "HOME": str(folder),
        "PULSE_SERVER": f"unix:{native}",
    }
    words = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
             "--realtime=no", "--high-priority=no", "-F", str(folder / "null.pa")]  # fmt: skip
    with (folder / "log").open("wb") as log, subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | environment
    ) as server:
        try:
            _await(native, server, folder / "log")
            yield environment
        finally:
            server.terminate()
            try:
                server.wait(5.0)
            except subprocess.TimeoutExpired:
                server.kill()


def _await(native: Path, server: subprocess.Popen[bytes], log: Path) -> None:
    ends_s = time.monotonic() + START_S
    while not native.exists():
        if server.poll() is not None or time.monotonic() > ends_s:
            raise RuntimeError(f"pulseaudio does not start:\n{log.read_text()}")
        time.sleep(0.05)
    time.sleep(0.2)  # the script goes on after the socket is there


@contextmanager
def heard_by_portaudio(environment: dict[str, str]) -> Iterator[None]:
    """Let PortAudio of this process see the server, whatever it saw before."""
    import sounddevice

    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    sounddevice._terminate()  # PortAudio lists devices once, when it is initialised
    sounddevice._initialize()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        sounddevice._terminate()
        sounddevice._initialize()
