"""What every test of an artefact needs: the artefact alone, on silence or on given samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from emgsim.artefacts.composition import apply
from emgsim.artefacts.parameters import Artefact
from emgsim.recording import Channel, Event, Recording

Floats = np.ndarray
Made = Callable[..., tuple[Floats, tuple[Event, ...]]]


@pytest.fixture
def made() -> Made:
    """Return a function that puts one artefact on silence: samples of channel 0, and events."""

    def make(
        artefact: Artefact, rate_hz: float = 20_000.0, duration_s: float = 20.0, *, seed: int = 1,
        samples_uv: Floats | None = None,
    ) -> tuple[Floats, tuple[Event, ...]]:
        if samples_uv is None:
            samples_uv = np.zeros(round(duration_s * rate_hz))
        clean = Recording(samples_uv=samples_uv[:, None], rate_hz=rate_hz,
                          channels=(Channel(name="needle"),))
        recording, events = apply(clean, (), [artefact], seed)
        return recording.samples_uv[:, 0], events

    return make
