"""A test of an amplifier: what it needs of the fixture, and how it measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from emgsim.errors import NotAnalysableError
from emgsim.metrology.acquisition import Acquired, Bench, dead_channels
from emgsim.metrology.reading import Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.stimulus import Stimulus


@dataclass
class Measuring:
    """A bench that plays each stimulus once, however many tests ask for what came back.

    ``used`` is what has been asked for, in its order.
    """

    bench: Bench
    used: list[Acquired] = field(default_factory=list)
    _kept: dict[tuple[object, ...], Acquired] = field(default_factory=dict)

    @property
    def setup(self) -> Setup:
        """What is declared of the bench."""
        return self.bench.setup

    def played(self, stimulus: Stimulus, *, may_be_dead: bool = False) -> Acquired:
        """Return what came back of a stimulus; the same name is the same stimulus.

        Raises
        ------
        NotAnalysableError
            If a channel that is driven sends the same code all the time, unless that is what the
            test is to find out.
        """
        acquired = self._once(("play", stimulus.name), lambda: self.bench.play(stimulus))
        dead = dead_channels(acquired, self.setup.states[stimulus.state])
        if dead and not may_be_dead:
            which = ", ".join(str(channel + 1) for channel in dead)
            raise NotAnalysableError(
                f"dead channel {which}: it sends one and the same code whatever is played",
                todo="see whether its input is connected and its range wide enough",
            )
        return acquired

    def heard(self, state: str, duration_s: float) -> Acquired:
        """Return what the device sends by itself in a state of the fixture."""
        return self._once(
            ("listen", state, duration_s), lambda: self.bench.listen(state, duration_s)
        )

    def changed(self, states: Sequence[str], dwell_s: float) -> Acquired:
        """Return what the device sends while the fixture goes from state to state."""
        names = tuple(states)
        return self._once(("change", names, dwell_s), lambda: self.bench.change(names, dwell_s))

    def afresh(self) -> Measuring:
        """Return one for the next test, which has used nothing and shares what was played."""
        return Measuring(self.bench, _kept=self._kept)

    def _once(self, key: tuple[object, ...], acquire: Callable[[], Acquired]) -> Acquired:
        if key not in self._kept:
            self._kept[key] = acquire()
        self.used.append(self._kept[key])
        return self._kept[key]


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """One test of an amplifier.

    Attributes
    ----------
    id
        As in the table of limits: ``gain.accuracy``. Its readings have it, or begin with it.
    title
        In words, for reports.
    states
        Of the fixture, all of which it needs.
    measure
        Returns the readings. What cannot be measured on this device is a reading of NaN whose note
        says why.
    """

    id: str
    title: str
    states: tuple[str, ...]
    measure: Callable[[Measuring], Sequence[Reading]]
