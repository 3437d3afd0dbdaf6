"""Two outputs that play what a memory or a table holds; the first one is wired to the plant.

What the twins of simpler generators share: levels, functions, bursts and their way to the plant.
How all that is said belongs to each twin. Noise, other functions than those of
`waveforms.standard`, and gated bursts are settings that leave the plant silent or untouched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from emgsim.plant.parts import GeneratorSettings
from emgsim.plant.world import World
from emgsim.virtual.levels import Levels
from emgsim.virtual.outputs import FOREVER
from emgsim.virtual.parameters import Kind, Number
from emgsim.virtual.scpi import Command, setting
from emgsim.virtual.waveforms import Codes, standard
from emgsim.virtual.wired_output import WiredOutput

TABLE_POINTS = 200  # of the functions that are made here


@dataclass
class ArbOutput:
    """Hold what one output is set to.

    Attributes
    ----------
    function
        As `waveforms.standard` names it, or ``ARB``.
    waveform
        Codes of the selected arbitrary waveform, full scale +-32767; None for silence.
    rate_hz
        Sample rate of the arbitrary waveform; None: the frequency times its points.
    cycles
        Of a burst; may be infinite.
    trigger_source
        What starts a burst, in the words of the dialect.
    values
        Settings that only hold their value.
    """

    levels: Levels
    is_on: bool = False
    is_inverted: bool = False
    function: str = "SIN"
    frequency_hz: float = 1000.0
    phase_deg: float = 0.0
    duty_pct: float = 50.0
    symmetry_pct: float = 50.0
    waveform: Codes | None = None
    rate_hz: float | None = None
    is_burst: bool = False
    cycles: float = 1
    trigger_source: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def codes(self) -> Codes | None:
        """Codes of what is selected, or None when nothing of it is modelled."""
        if self.function == "ARB":
            return self.waveform
        return standard(
            self.function,
            n_points=TABLE_POINTS,
            duty_pct=self.duty_pct,
            symmetry_pct=self.symmetry_pct,
        )

    @property
    def is_finite(self) -> bool:
        """Whether a burst ends by itself."""
        return self.is_burst and not math.isinf(self.cycles)

    @property
    def plant_settings(self) -> GeneratorSettings:
        """What the plant's generator has to be set to; silent when nothing is modelled."""
        codes = self.codes
        n_points = 1 if codes is None else codes.size
        is_sampled = self.function == "ARB" and self.rate_hz is not None
        is_flat = codes is None or self.function == "DC"
        sign = -1 if self.is_inverted else 1
        return GeneratorSettings(
            rate_hz=self.rate_hz if is_sampled and self.rate_hz else self.frequency_hz * n_points,
            vpp_open_v=0.0 if is_flat else sign * self.levels.vpp_open_v,
            offset_open_v=sign * self.levels.offset_open_v,
            cycles=int(self.cycles) if self.is_finite else FOREVER,
            filter="OFF",
            output_on=self.is_on,
        )


class ArbGenerator:
    """Keep the outputs of a twin, and tell the plant what the first one is set to.

    Parameters
    ----------
    world
        The plant.
    number
        Which of its generators, from 0.
    make_output
        Returns an output as a reset leaves it.
    is_stuck
        An output that is on stays on, whatever is said to it: its relay is welded.
    """

    def __init__(
        self,
        world: World,
        number: int,
        make_output: Callable[[], ArbOutput],
        *,
        is_stuck: bool = False,
    ) -> None:
        self._wired = WiredOutput(world, number)
        self._make_output = make_output
        self._is_stuck = is_stuck
        self._outputs = (make_output(), make_output())
        self.tell_plant()

    def output(self, channel: int) -> ArbOutput:
        """Return the output of a channel, 1 or 2."""
        return self._outputs[channel - 1]

    def renew(self) -> None:
        """Set all outputs to what a reset leaves."""
        were_on = [self._is_stuck and output.is_on for output in self._outputs]
        self._outputs = (self._make_output(), self._make_output())
        for output, was_on in zip(self._outputs, were_on, strict=True):
            output.is_on = was_on
        self.tell_plant()

    def switch(self, channel: int, is_on: bool) -> None:
        """Switch an output on or off; a stuck one stays on."""
        output = self.output(channel)
        output.is_on = is_on or (self._is_stuck and output.is_on)
        self.tell_plant()

    def tell_plant(self) -> None:
        """Give the first output's settings to the plant; call it after every change."""
        first = self._outputs[0]
        self._wired.follow(
            first.plant_settings,
            first.codes,
            is_continuous=not first.is_burst,
            is_finite=first.is_finite,
        )

    def start(self, channel: int) -> None:
        """Start a burst; the second channel is wired to nothing."""
        if channel == 1:
            self._wired.start()

    def abort(self) -> None:
        """End what the first channel plays."""
        self._wired.abort()

    def is_busy(self) -> bool:
        """Tell whether a burst that will end is playing."""
        return self._wired.is_busy()

    def pass_time(self) -> None:
        """Let one block of simulated time pass."""
        self._wired.pass_time()

    def settle(self) -> Generator[None, None, None]:
        """Play the burst to its end."""
        yield from self._wired.settle()

    # ---- commands of SCPI dialects

    def attribute(self, pattern: str, name: str, kind: Kind) -> tuple[Command, Command]:
        """Return command and query of an attribute of `ArbOutput`."""

        def put(channel: int, value: Any) -> None:
            setattr(self.output(channel), name, value)
            self.tell_plant()

        return setting(pattern, kind, lambda channel: getattr(self.output(channel), name), put)

    def on_off(self, pattern: str, kind: Kind) -> tuple[Command, Command]:
        """Return command and query of the output's switch."""
        return setting(pattern, kind, lambda channel: self.output(channel).is_on, self.switch)

    def load(self, pattern: str, kind: Kind) -> tuple[Command, Command]:
        """Return command and query of the load that the output is said to have."""

        def put(channel: int, value: float) -> None:
            self.output(channel).levels.load_ohm = value

        return setting(pattern, kind, lambda channel: self.output(channel).levels.load_ohm, put)

    def level(self, pattern: str, name: str) -> tuple[Command, Command]:
        """Return command and query of the offset, or of the high or the low level."""
        return setting(
            pattern, partial(self._level_kind, name), partial(self._level, name),
            partial(self.put_level, name),
        )  # fmt: skip

    def plain(self, pattern: str, kind: Kind) -> tuple[Command, Command]:
        """Return command and query of a setting that only holds its value."""

        def get(channel: int) -> Any:
            return self.output(channel).values.get(pattern, kind.default)

        def put(channel: int, value: Any) -> None:
            self.output(channel).values[pattern] = value

        return setting(pattern, kind, get, put)

    def put_level(self, name: str, channel: int, value: float) -> None:
        """Set a level as displayed; one that is clipped is in force all the same."""
        try:
            self.output(channel).levels.put(name, value)
        finally:
            self.tell_plant()

    def _level(self, name: str, channel: int) -> float:
        return self.output(channel).levels.get(name)

    def _level_kind(self, name: str, channel: int) -> Number:
        low, high = self.output(channel).levels.bounds(name)
        return Number(low, high, 0.0, "V", clipped=True)
