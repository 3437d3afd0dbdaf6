"""Stands for PortAudio where it has to break; that the true one works is tested elsewhere."""

from __future__ import annotations

import numpy as np


class StubStream:
    """A stream that asks for one block when it is started, unless it is a dead one."""

    def __init__(self, host: StubPortAudio, shape: tuple[int, int], options: dict) -> None:
        self.host, self.active, self.options = host, False, options
        self.samplerate = host.rate_hz or options["samplerate"]
        self.block = np.zeros(shape, np.int32)

    def start(self) -> None:
        """Run, and ask for one block."""
        self.active = True
        if self.host.is_answering:
            self.options["callback"](self.block, len(self.block), None, None)

    def abort(self, **_: bool) -> None:
        """Stop, or fail to."""
        if not self.host.can_stop:
            raise StubPortAudio.PortAudioError("the device hangs")
        self.active = False

    def close(self, **_: bool) -> None:
        """Take note."""
        self.host.closed += 1


class StubPortAudio:
    """A PortAudio with one card, which fails as it is told."""

    class PortAudioError(Exception):
        """What sounddevice raises."""

    def __init__(self) -> None:
        self.is_answering, self.can_stop, self.rate_hz = True, True, 0.0
        self.streams: list[StubStream] = []
        self.closed = 0

    def query_devices(self, name: str, direction: str) -> dict:
        """Know one device."""
        if "hw:1,0" not in name and name != "pulse":
            raise ValueError(f"No {direction} device matching {name!r}")
        return {"name": name, "index": 0, "hostapi": 0, "max_output_channels": 2,
                "max_input_channels": 2}  # fmt: skip

    def query_hostapis(self, _: int) -> dict:
        """Be ALSA."""
        return {"name": "ALSA"}

    def get_portaudio_version(self) -> tuple[int, str]:
        """Be of some version."""
        return 1, "V19 stub"

    def check_output_settings(self, _: int, *, samplerate: float, **__: str) -> None:
        """Know 48 kHz."""
        if samplerate != 48_000:
            raise self.PortAudioError("Invalid sample rate")

    def OutputStream(self, **options: object) -> StubStream:  # noqa: N802 - its name there
        """Open a stream."""
        self.streams.append(StubStream(self, (64, 2), options))
        return self.streams[-1]

    InputStream = OutputStream
