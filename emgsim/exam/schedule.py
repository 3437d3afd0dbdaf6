"""The examination of a muscle as it happens: the examiner and the patient as SimPy processes.

The clock is SimPy's: on its free one a schedule is made at once, on its paced one
(`simpy.rt.RealtimeEnvironment`) the same steps come when they are due.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal

import simpy
import simpy.rt

from emgsim.exam.protocol import Protocol
from emgsim.physiology.parameters import Seek, TipPosition

Kind = Literal["insertion", "move", "seek", "rest", "slight", "strong"]
Process = Generator[simpy.Event, object, None]

LEVEL_RAMP_S = 0.4  # in which a patient reaches a level that he was asked for [P]
BETWEEN_S = 0.4  # between the end of an effort and what comes next
QUIET_S = 0.9  # heard before a slight effort, so that its beginning is seen


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of an examination, on the clock of the muscle's recording.

    ``tip`` is where a movement of the needle leads, ``level_mvc`` what an effort is to reach.
    """

    kind: Kind
    name: str
    onset_s: float
    offset_s: float
    tip: TipPosition | None = None
    seek: Seek | None = None
    level_mvc: float = 0.0

    @property
    def duration_s(self) -> float:
        """How long it takes."""
        return self.offset_s - self.onset_s


Tell = Callable[[Step], None]


def _now_s(env: simpy.Environment) -> float:
    """Return the clock's time to the microsecond: sums of steps round beyond it."""
    return round(float(env.now), 6)


class _Patient:
    """Does what he is asked for, a moment later."""

    def __init__(self, env: simpy.Environment, protocol: Protocol, tell: Tell) -> None:
        self._env, self._reaction_s, self._tell = env, protocol.reaction_s, tell

    def contract(self, kind: Kind, name: str, level_mvc: float, duration_s: float) -> Process:
        """Make an effort for some time, and let go."""
        yield self._env.timeout(self._reaction_s)
        onset_s = _now_s(self._env)
        yield self._env.timeout(duration_s)
        self._tell(
            Step(
                kind=kind,
                name=name,
                onset_s=onset_s,
                offset_s=_now_s(self._env),
                level_mvc=level_mvc,
            )
        )


class _Examiner:
    """Leads the needle, listens, and asks for efforts."""

    def __init__(self, env: simpy.Environment, protocol: Protocol, tell: Tell) -> None:
        self._env, self._protocol, self._tell = env, protocol, tell
        self._patient = _Patient(env, protocol, tell)

    def examine(self, radius_mm: float, length_mm: float) -> Process:
        """Go from place to place."""
        p = self._protocol
        strong_from = p.slight_sites - p.strong_sites
        for number, tip in enumerate(p.places(radius_mm, length_mm)):
            kind: Kind = "move" if number else "insertion"
            yield from self._lead(kind, f"{kind} {number + 1}", tip=tip)
            yield self._env.timeout(p.settle_s)
            yield from self._listen(f"rest {number + 1}")
            if number < p.slight_sites:
                yield from self._lead("seek", f"seek {number + 1}", seek=p.seek)
                yield self._env.timeout(QUIET_S)
                yield from self._ask("slight", number, p.slight_mvc, p.slight_s)
            if strong_from <= number < p.slight_sites:
                yield from self._ask("strong", number, p.strong_mvc, p.strong_s)

    def _lead(
        self, kind: Kind, name: str, tip: TipPosition | None = None, seek: Seek | None = None
    ) -> Process:
        onset_s = _now_s(self._env)
        yield self._env.timeout(self._protocol.move_s)
        self._tell(
            Step(
                kind=kind, name=name, onset_s=onset_s, offset_s=_now_s(self._env),
                tip=tip, seek=seek,
            )
        )  # fmt: skip

    def _listen(self, name: str) -> Process:
        onset_s = _now_s(self._env)
        yield self._env.timeout(self._protocol.rest_s)
        self._tell(Step(kind="rest", name=name, onset_s=onset_s, offset_s=_now_s(self._env)))

    def _ask(self, kind: Kind, number: int, level_mvc: float, duration_s: float) -> Process:
        yield self._env.process(
            self._patient.contract(kind, f"{kind} {number + 1}", level_mvc, duration_s)
        )
        yield self._env.timeout(BETWEEN_S)


def clock(*, is_paced: bool = False) -> simpy.Environment:
    """Return SimPy's free clock, or its paced one: a second for a second, never an error."""
    return simpy.rt.RealtimeEnvironment(strict=False) if is_paced else simpy.Environment()


def perform(
    protocol: Protocol, radius_mm: float, length_mm: float, env: simpy.Environment, tell: Tell
) -> float:
    """Examine a muscle on a clock, and return the time at the end.

    Parameters
    ----------
    protocol
        What is done.
    radius_mm, length_mm
        Of the muscle, and of its fibres.
    env
        SimPy's free clock, or its paced one.
    tell
        Called with each step when it is over.
    """
    begin_s = _now_s(env)
    examiner = _Examiner(env, protocol, tell)
    env.run(env.process(examiner.examine(radius_mm, length_mm)))
    return _now_s(env) - begin_s


def schedule(
    protocol: Protocol, radius_mm: float, length_mm: float
) -> tuple[tuple[Step, ...], float]:
    """Return the steps of a muscle's examination, and how long it takes in seconds.

    Examples
    --------
    >>> steps, duration_s = schedule(Protocol(), 18.0, 120.0)
    >>> [step.name for step in steps[:4]]
    ['insertion 1', 'rest 1', 'seek 1', 'slight 1']
    >>> sum(step.kind == "rest" for step in steps)
    8
    """
    steps: list[Step] = []
    duration_s = perform(protocol, radius_mm, length_mm, simpy.Environment(), steps.append)
    return tuple(steps), duration_s
