"""Generator and device of a plant in this process: no wire, and simulated time only."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgsim.instruments.base import (
    DeviceBlock,
    Identity,
    SourceCaps,
    SourceSettings,
    UploadReceipt,
)
from emgsim.plant.world import GeneratorSettings, World

FULL_SCALE_CODE = 32767


class PlantSource:
    """A generator that obeys at once."""

    api = 1
    off_messages: tuple[str, ...] = ()
    off_query = ("", "")

    def __init__(self, world: World) -> None:
        self.world = world

    def identify(self) -> Identity:
        """Give a name."""
        return Identity("emgsim", "plant", "0", "1")

    @property
    def caps(self) -> SourceCaps:
        """Tell what it can do."""
        return SourceCaps(16, 1_000_000, 8, 250e6, 20.0, 1, 50.0)

    def configure(self, settings: SourceSettings) -> SourceSettings:
        """Set everything, the output being off."""
        self.world.generator.apply(GeneratorSettings(
            rate_hz=settings.rate_hz, vpp_open_v=settings.vpp_open_v,
            offset_open_v=settings.offset_open_v, cycles=settings.cycles, filter=settings.filter,
        ))
        return settings

    def upload(
        self, name: str, volts: NDArray[np.float64], settings: SourceSettings
    ) -> UploadReceipt:
        """Take codes of the volts."""
        self.off()
        codes = np.rint(volts * (2 * FULL_SCALE_CODE / settings.vpp_open_v))
        self.world.generator.set_waveform(codes.clip(-FULL_SCALE_CODE, FULL_SCALE_CODE))
        digest = hashlib.sha256(codes.tobytes()).hexdigest()
        return UploadReceipt(name, volts.size, 2 * volts.size, digest, 0, 0.0)

    def arm(self) -> None:
        """Switch the output on."""
        self._switch(is_on=True)

    def trigger(self) -> None:
        """Start one burst."""
        self.world.generator.trigger()

    def off(self) -> None:
        """Switch the output off."""
        self._switch(is_on=False)

    def errors(self) -> tuple[str, ...]:
        """Have none."""
        return ()

    def close(self) -> None:
        """Have nothing to give back."""

    def __enter__(self) -> PlantSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.off()

    def _switch(self, *, is_on: bool) -> None:
        generator = self.world.generator
        generator.apply(replace(generator.settings, output_on=is_on))


class PlantDevice:
    """A device whose samples are there as soon as they are asked for."""

    api = 1
    n_channels = 1

    def __init__(self, world: World) -> None:
        self.world = world
        amplifier = world.physics.amplifier
        self.rate_hz = amplifier.rate_hz
        self.scale_uv_per_count = amplifier.range_uv / 2 ** (amplifier.adc_bits - 1)
        self._read = 0

    def identify(self) -> Identity:
        """Give a name."""
        return Identity("emgsim", "plant", "SIM-0001", "1")

    def start(self) -> None:
        """Begin to convert."""
        self.world.amplifier.start()
        self._read = 0

    def read_block(self, n_samples: int, timeout_s: float) -> DeviceBlock:  # noqa: ARG002
        """Let time pass until there are so many samples, or some more."""
        parts = [self.world.amplifier.take()]
        while sum(len(part) for part in parts) < n_samples:
            self.world.advance(self.world.block_s)
            parts.append(self.world.amplifier.take())
        counts = np.concatenate(parts)
        first, self._read = self._read, self._read + len(counts)
        return DeviceBlock(counts, first, (), 0)

    def stop(self) -> None:
        """Stop converting."""
        self.world.amplifier.stop()

    def close(self) -> None:
        """Have nothing to give back."""

    def __enter__(self) -> PlantDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
