"""The sound card drivers with the true PortAudio, through a PulseAudio null sink."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import ChannelSetup, SourceSettings
from emgsim.instruments.sound_blocks import FULL_SCALE_CODE
from emgsim.instruments.sound_capture import SoundCardCapture
from emgsim.instruments.sound_card import SoundCardSource

from .null_sink import ADDRESS, FULL_V, RATE_HZ, heard_by_portaudio, serving, why_missing

PAGE = Path(__file__).parents[2] / "docs" / "sound_card.md"
INPUTS = {1: ChannelSetup(2.0), 2: ChannelSetup(2.0)}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sink(tmp_path_factory) -> Iterator[dict[str, str]]:
    """Run a null sink for the tests of this module."""
    if why := why_missing():
        pytest.skip(why)
    with serving(tmp_path_factory.mktemp("sink")) as environment, heard_by_portaudio(environment):
        yield environment


@pytest.fixture
def card(sink) -> Iterator[SimpleNamespace]:
    """Open both roles of the null sink."""
    with SoundCardSource.open(ADDRESS) as source, SoundCardCapture.open(ADDRESS) as capture:
        yield SimpleNamespace(source=source, capture=capture)


def noise(seconds: float) -> np.ndarray:
    """Return noise of every code."""
    return np.random.default_rng(5).uniform(-FULL_V, FULL_V, round(seconds * RATE_HZ)) * 0.999


def unhurried(attempt: Callable[[], Any]) -> Any:
    """Return what came of it; a machine too busy to play says so, and gets three attempts."""
    for _ in range(3):
        try:
            return attempt()
        except InstrumentError as error:
            if "samples were lost" not in error.what:
                raise
    pytest.fail("samples were lost three times in a row")


def heard(card: SimpleNamespace) -> np.ndarray:
    """Return both inputs, (n, 2), of a record that is whole."""
    card.capture.wait(10.0)
    return np.column_stack([card.capture.read(1), card.capture.read(2)])


def play(card: SimpleNamespace, volts: np.ndarray, cycles: int = 1) -> None:
    """Play and record, up to the trigger."""
    wanted = SourceSettings(rate_hz=RATE_HZ, vpp_open_v=2 * FULL_V, cycles=cycles)
    card.source.upload("e1", volts, wanted)
    card.source.configure(wanted)
    card.capture.configure(INPUTS, cycles * volts.size / RATE_HZ)
    card.source.arm()
    card.capture.arm()
    card.source.trigger()


def test_every_sample_comes_back_as_it_was_played(card):
    """To half a step of 24 bits, twice over; start_s is the sample at which it begins."""
    step_v = FULL_V / FULL_SCALE_CODE
    volts = noise(0.5)


    def attempt() -> np.ndarray:
        play(card, volts, cycles=2)
        return heard(card)

    loopback, silent = unhurried(attempt).T
    first = round(-card.capture.start_s * RATE_HZ)
    wanted = np.zeros(loopback.size)
    wanted[first : first + 2 * volts.size] = np.tile(volts, 2)
    assert loopback.size == RATE_HZ * 2.5
    assert np.abs(loopback - wanted).max() <= 0.5000001 * step_v
    assert not silent.any()
    assert card.source.errors() == ()


def test_off_silences_at_once_and_the_record_goes_on(card):
    """Of 4 s hardly more is heard than was on the way when it was switched off."""
    def attempt() -> np.ndarray:
        play(card, noise(4.0))
        time.sleep(1.2)
        card.source.off()
        return heard(card)

    loud = np.flatnonzero(unhurried(attempt)[:, 0])
    assert 0.25 * RATE_HZ < loud[-1] - loud[0] < 2.0 * RATE_HZ
    with pytest.raises(InstrumentError, match="nothing is armed"):
        card.source.trigger()


def test_a_starved_playback_is_an_error_that_names_when(card):
    """Held up for longer than the buffers last: told, never closed up."""
    play(card, noise(2.5))
    time.sleep(0.3)
    ctypes.PyDLL(None).usleep(1_500_000)  # with the interpreter's lock: nobody fills a block
    with pytest.raises(InstrumentError, match=r"samples were lost: .* s after the trigger"):
        card.capture.wait(10.0)
    told = card.source.errors()
    assert told
    assert all("underflow" in one and "s after the trigger" in one for one in told)
    assert card.source.errors() == ()
    with pytest.raises(InstrumentError, match="samples were lost"):  # told or not
        card.capture.read(1)


def test_a_record_without_a_trigger_says_so(card):
    """The message knows what it waits for."""
    card.capture.configure(INPUTS, 0.1)
    card.capture.arm()
    with pytest.raises(InstrumentError, match="it still waits for a trigger"):
        card.capture.wait(0.05)
    card.capture.reset()
    with pytest.raises(UsageError, match=r"wait\(\) needs arm\(\)"):
        card.capture.wait(0.05)


@pytest.mark.usefixtures("sink")
def test_the_calibration_of_the_page_runs_as_it_stands(capsys):
    """Its program, shortened and through the null sink, hears as much as it plays."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    address = ADDRESS.replace(f"full_scale_v={FULL_V}", "full_scale_v=1")
    code, n = re.subn(r'ADDRESS = "[^"]*"', f'ADDRESS = "{address}"', code)
    code, m = re.subn(r"SECONDS, RATE_HZ = 20, 96000", f"SECONDS, RATE_HZ = 1, {RATE_HZ}", code)
    assert (n, m) == (1, 1)
    unhurried(lambda: exec(code, {}))  # noqa: S102 - our own page
    assert "hears 1.000000 of its full scale" in capsys.readouterr().out


WORKER = f"""\
import sys, time
import numpy as np
from emgsim.instruments.base import SourceSettings
from emgsim.instruments.sound_card import SoundCardSource
wanted = SourceSettings(rate_hz={RATE_HZ}, vpp_open_v=1.0)
source = SoundCardSource.open({ADDRESS!r})
source.upload("e1", np.full({60 * RATE_HZ}, 0.5), wanted)
source.configure(wanted)
source.arm()
source.trigger()
print("playing", flush=True)
time.sleep(60)
"""


def test_the_output_falls_silent_when_the_process_is_killed(sink):
    """Long before the waveform is over, and nobody switches it off: the stream dies with it."""
    listener = ["parec", "--raw", "--format=s32le", f"--rate={RATE_HZ}", "--channels=1",
                "--latency-msec=20", "--device=emg.monitor"]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], stdout=subprocess.PIPE, env=os.environ | sink
    ) as worker, subprocess.Popen(
        listener, stdout=subprocess.PIPE, env=os.environ | sink
    ) as heard:
        try:
            assert worker.stdout is not None
            assert heard.stdout is not None
            assert worker.stdout.readline() == b"playing\n"
            _read_until(heard.stdout, lambda block: block.all())
            worker.kill()
            _read_until(heard.stdout, lambda block: not block.any())
            assert not any(np.frombuffer(heard.stdout.read(4 * RATE_HZ), "<i4"))
        finally:
            worker.kill()
            heard.kill()


def _read_until(pipe, is_there) -> None:
    """Read blocks of 10 ms until one is as wanted, for 10 s at most."""
    ends_s = time.monotonic() + 10.0
    while time.monotonic() < ends_s:
        if is_there(np.frombuffer(pipe.read(4 * RATE_HZ // 100), "<i4")):
            return
    raise AssertionError("not heard within 10 s")
