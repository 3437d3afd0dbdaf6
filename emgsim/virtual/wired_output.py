"""What a generator's wired output is set to, told to the plant; the plant plays it."""

from __future__ import annotations

from collections.abc import Generator

from emgsim.plant.parts import GeneratorSettings
from emgsim.plant.world import World
from emgsim.virtual.waveforms import Codes

STEP_S = 0.010


class WiredOutput:
    """Hand what one output is set to on to a generator of a `World`, from 0."""

    def __init__(self, world: World, number: int = 0) -> None:
        self._world = world
        self._generator = world.feeds[number].generator
        self._told: tuple[GeneratorSettings, Codes | None] = (GeneratorSettings(), None)
        self._is_finite = False

    def follow(
        self,
        settings: GeneratorSettings,
        codes: Codes | None,
        *,
        is_continuous: bool,
        is_finite: bool,
    ) -> None:
        """Give settings and codes to the plant; continuous waveforms start anew."""
        self._is_finite = is_finite
        (old, old_codes), self._told = self._told, (settings, codes)
        if settings == old and codes is old_codes:
            return
        source = self._generator
        if codes is not None:
            source.set_waveform(codes)
        if is_continuous or settings.cycles != old.cycles:
            source.apply(GeneratorSettings(output_on=False))  # whatever plays ends here
        source.apply(settings)
        if is_continuous and codes is not None:
            source.trigger()

    def start(self) -> None:
        """Start a burst; silence stays silence."""
        if self._told[1] is not None:
            self._generator.trigger()

    def abort(self) -> None:
        """End whatever plays."""
        self._generator.apply(GeneratorSettings(output_on=False))
        self._generator.apply(self._told[0])

    def is_busy(self) -> bool:
        """Tell whether a burst that will end is playing."""
        source = self._generator
        return self._is_finite and (source.is_playing or source.is_waiting)

    def pass_time(self) -> None:
        """Let one block of simulated time pass."""
        self._world.advance(STEP_S)

    def settle(self) -> Generator[None, None, None]:
        """Play the burst to its end."""
        while self.is_busy():
            self.pass_time()
            yield
