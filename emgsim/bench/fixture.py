"""Bringing the fixture into a state: by relays, by a person who is asked, or not at all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from emgsim.bench.parts import OPERATOR, FixtureState
from emgsim.bench.rig import THROUGH, Rig
from emgsim.errors import EmgsimError, InstrumentError, SafetyError
from emgsim.instruments.base import Switch


class StateUnavailableError(EmgsimError):
    """A state of the fixture cannot be reached here: what needs it is skipped, not failed."""

    exit_code = 5


def ask_on_terminal(request: str) -> None:
    """Ask the person at the terminal to do something, and wait for the Enter key.

    Raises
    ------
    StateUnavailableError
        If nobody sits at a terminal, or the answer is no.
    """
    if not sys.stdin.isatty():
        raise StateUnavailableError(
            "state unavailable: a person has to change the fixture, and nobody is at a terminal",
            todo="start the run at a terminal, or use a rig with a relay box",
        )
    print(f"{request}\nThen press Enter, or type `no` if you cannot: ", end="", file=sys.stderr)
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if answer.strip() or not answer:  # end of input is no Enter
        raise StateUnavailableError(
            f"state unavailable: the operator answered {answer.strip() or 'nothing'!r}",
            todo="change the fixture as asked, and start again",
        )


@dataclass
class Fixture:
    """The fixture of a rig and the state that it is known to be in.

    Parameters
    ----------
    rig
        Its states, and who switches them.
    is_on
        Tells whether the source's output is on: no state is changed then.
    switch
        The relay box, where the rig has one.
    ask
        Asks a person to do something, and returns when it is done.
    sleep
        Waits so many seconds.
    """

    rig: Rig
    is_on: Callable[[], bool]
    switch: Switch | None = None
    ask: Callable[[str], None] = ask_on_terminal
    sleep: Callable[[float], None] = time.sleep
    _name: str | None = field(default=None, init=False)

    @property
    def name(self) -> str | None:
        """The state's name; None where nobody knows it."""
        return self._name

    def into(self, name: str) -> FixtureState:
        """Bring the fixture into a state, verify it, and return what the rig file says of it.

        Raises
        ------
        SafetyError
            If the output is on.
        StateUnavailableError
            If nobody can bring it there: the rig has no switch, or no person is at hand.
        InputError
            If the fixture has no such state.
        InstrumentError
            If the relays are not where they were told to be.
        """
        state = self.rig.state(name)
        if self.is_on():
            raise SafetyError(
                f"refused to bring the fixture into state {name!r} while the output is on",
                where=f"rig {self.rig.id}, fixture",
                todo="switch the source off first",
            )
        if self.rig.switch is not None and self.rig.switch.driver == OPERATOR:
            self._ask_for(name, state)
        elif self.switch is not None:
            self._switch(name, state, self.switch)
        elif name != THROUGH:  # which is how a rig without any switch is wired
            raise StateUnavailableError(
                f"state unavailable: nothing brings the fixture into state {name!r}",
                where=f"rig {self.rig.id}, switch",
                todo='add a table [switch]: a relay box, or driver = "operator"',
            )
        self._name = name
        return state

    def safe(self) -> None:
        """Bring the fixture into the rig's safe state, output on or off, if relays can do it.

        Raises
        ------
        InstrumentError
            If the relays do not obey.
        """
        name = self.rig.safe_state.fixture
        if name and self.switch is not None:
            self._switch(name, self.rig.state(name), self.switch)
            self._name = name

    def _ask_for(self, name: str, state: FixtureState) -> None:
        if self._name == name:
            return
        self._name = None
        self.ask(f"Put the fixture of rig {self.rig.id} into state {name!r}: {in_words(state)}.")

    def _switch(self, name: str, state: FixtureState, switch: Switch) -> None:
        self._name = None
        switch.set_relays(frozenset(state.relays))
        self.sleep(self.rig.switch.settle_s if self.rig.switch is not None else 0.0)
        found = switch.relays()
        if found != frozenset(state.relays):
            raise InstrumentError(
                f"state {name!r} of the fixture needs the relays {sorted(state.relays)} on, "
                f"got {sorted(found)}",
                where=f"rig {self.rig.id}, switch",
                todo="check the relays' supply, and that nothing else switches them",
            )


def in_words(state: FixtureState) -> str:
    """Say what a state is, for the person who has to plug it.

    Examples
    --------
    >>> in_words(FixtureState(differential=0.001, input_ohm=1e4, series_ohm=620e3, series_nf=4.7))
    'source x 0.001 between the inputs, 620 kohm parallel 4.7 nF in one lead'
    """
    parts = []
    if state.differential:
        parts.append(f"source x {state.differential:.4g} between the inputs")
    if state.common:
        parts.append(f"source x {state.common:.4g} at both inputs against ground")
    if not parts:
        parts.append("inputs joined, source away")
    if state.series_ohm:
        beside = f" parallel {state.series_nf:g} nF" if state.series_nf else ""
        parts.append(f"{state.series_ohm / 1e3:g} kohm{beside} in one lead")
    if state.offset_mv:
        parts.append(f"{state.offset_mv:+g} mV in series")
    return ", ".join(parts)
