"""A generator that only keeps a diary, and the shipped virtual rig."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from emgsim.bench.rig import Rig, load_rig
from emgsim.instruments.base import Identity, SourceCaps, UploadReceipt


@dataclass
class FakeSource:
    """Notes every call and whether its output is on; `changes` falsify what is read back."""

    changes: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    is_on: bool = False
    while_arming: Callable[[], None] = lambda: None
    api = 1

    def _note(self, call: str) -> None:
        self.calls.append(call)

    def identify(self):
        """Give a name."""
        self._note("identify")
        return Identity("Fake", "Source", "0", "1")

    @property
    def caps(self):
        """Tell what it can do."""
        return SourceCaps(16, 1_000_000, 8, 250e6, 20.0, 1, 50.0)

    def configure(self, settings):
        """Switch off, and return the settings with the changes."""
        self._note("configure")
        self.is_on = False
        return replace(settings, **self.changes)

    def upload(self, name, volts, settings):  # noqa: ARG002 it takes any
        """Take the waveform."""
        self._note("upload")
        return UploadReceipt(name, volts.size, 2 * volts.size, "0" * 64, 0, 0.0)

    def arm(self):
        """Switch on, after what a test wants to happen meanwhile."""
        self._note("arm")
        self.while_arming()
        self.is_on = True

    def trigger(self):
        """Start a burst."""
        self._note("trigger")

    def off(self):
        """Switch off."""
        self._note("off")
        self.is_on = False

    def errors(self):
        """Have none."""
        return ()

    def close(self):
        """Note the end."""
        self._note("close")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep words and locks of a test to itself, and return the folder of the words."""
    monkeypatch.setenv("EMGSIM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("EMGSIM_LOCK_DIR", str(tmp_path / "locks"))
    return tmp_path / "state"


@pytest.fixture
def source() -> FakeSource:
    """Give a generator that notes its calls."""
    return FakeSource()


@pytest.fixture(scope="session")
def rig() -> Rig:
    """Load the shipped virtual rig."""
    return load_rig("virtual")


@pytest.fixture(scope="session")
def scale(rig: Rig) -> float:
    """Return volts at the device per open volt, by pencil: 1/1001 into 10 010 of 10 060 ohm."""
    return 0.000999000999 * 10_010 / 10_060 * math.copysign(1, rig.fixture.ratio)
