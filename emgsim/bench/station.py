"""Opening a rig: nobody else holds it, every instrument is the right one, the source is guarded.

In this order, and closed in reverse: the permit, the locks, the virtual rig's server if it is one,
the guard, the instruments and who they are; then the source and the capture are reset, and there
follow the fixture's state and the proof that the divider is there. Nothing is driven or reset
before all that came earlier has succeeded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from emgsim.bench.arming import Now, Permit, permit, utc_now
from emgsim.bench.fixture import Fixture
from emgsim.bench.guard import Guard
from emgsim.bench.guarded_source import GuardedSource
from emgsim.bench.locks import hold
from emgsim.bench.probing import probe
from emgsim.bench.rig import THROUGH, Rig, source_role
from emgsim.bench.roll_call import Answer, Told, call_roll, driver_role, wired_roles
from emgsim.bench.safe_steps import SafeStep, taken
from emgsim.bench.served import ServedRig
from emgsim.errors import SafetyError
from emgsim.instruments.base import Capture, Device, Identity, Source, SourceCaps
from emgsim.instruments.drivers import load as load_driver
from emgsim.instruments.off import OffOrder
from emgsim.instruments.profiles import DeviceProfile

GUARD_LOG = "guard.jsonl"
OFF = ".off"  # ends the names of the steps that must be confirmed: one for each generator
OFF_TIMEOUT_S = 2.0  # how long the guard tries


@dataclass(frozen=True)
class Station:
    """An opened rig, as one of its generators sees it: the first, or that of `of`."""

    rig: Rig
    permit: Permit
    sources: tuple[GuardedSource, ...]
    capture: Capture
    device: Device
    fixture: Fixture
    profile: DeviceProfile
    identities: dict[str, Identity]
    facts: dict[str, float] = field(default_factory=dict)  # for the record
    now: Now = utc_now  # tells the time on the wall
    number: int = 0  # of the generator, from 0
    input: int = 0  # of the device, at which that generator is heard

    @property
    def source(self) -> GuardedSource:
        """The generator."""
        return self.sources[0]

    @property
    def source_caps(self) -> SourceCaps:
        """What the generator can do."""
        return self.source.caps

    def of(self, number: int) -> Self:
        """Return the station with one of its generators alone, from 0."""
        return replace(
            self,
            rig=self.rig.of(number),
            sources=(self.sources[number],),
            number=number,
            input=self.rig.inputs_of(number, self.device.n_channels)[0],
        )

    def check(self) -> None:
        """Look whether the rig may stay energised: who vouches for it, and the watched input.

        Raises
        ------
        SafetyError
            If the permit has expired, or the input is open.
        """
        self.permit.refuse_if_over(self.now())
        number, switch = self.rig.interlock.monitored_input, self.fixture.switch
        if number is not None and switch is not None and not switch.input_closed(number):
            raise SafetyError(
                f"input {number} is open: the lid was opened, or a lead came off",
                where=f"rig {self.rig.id}, interlock.monitored_input",
                todo="the output was switched off; close the lid, look, and begin a new run",
            )

    def make_safe(self) -> tuple[SafeStep, ...]:
        """Take the steps into the safe state, each within its time, whatever became of the others.

        All generators go off at once. Nothing can be energised with this station afterwards.
        """
        steps: dict[str, dict[str, Callable[[], None]]] = {
            "source.off": {source.role + OFF: source.safe for source in self.sources},
            "fixture.safe": {"fixture.safe": self.fixture.safe},
            "device.idle": {"device.idle": self.device.stop},
        }
        safe = self.rig.safe_state
        return tuple(step for name in safe.order for step in taken(steps[name], safe.deadline_s))

    def prove_divider(self) -> float:
        """Probe the generator's divider, unless it was, and note what it lets through.

        Returns
        -------
        float
            Volts at the device for one volt at the loaded generator.

        Raises
        ------
        SafetyError
            If it is not what its file declares.
        """
        name = f"divider_ratio_{self.number + 1}" if self.number else "divider_ratio"
        if name not in self.facts:
            self.facts[name] = probe(self.source, self.device, self.profile, self.input)
        return self.facts[name]

    def into(self, state: str) -> None:
        """Bring the fixture into a state, and count volts through it from now on.

        Raises
        ------
        EmgsimError
            As of `emgsim.bench.fixture.Fixture.into`.
        """
        self.fixture.into(state)
        for source in self.sources:
            source.goes_through(state)


def refuse_unarmed(rig: Rig) -> None:
    """Refuse a real rig that nobody vouches for, before anything is done for it.

    Raises
    ------
    SafetyError
        If it is not armed.
    """
    permit(rig)


def _tell_nobody(_: Answer) -> None:
    """Take note of nothing: who is missing is raised."""


@contextmanager
def open_station(
    rig: Rig,
    seed: int,
    *,
    run_id: str = "",
    log: Path | None = None,
    now: Now = utc_now,
    told: Told = _tell_nobody,
) -> Iterator[Station]:
    """Open a rig, and leave its output off and its ports closed on every way out.

    Parameters
    ----------
    rig
        A virtual rig is served for it; a real one must be armed.
    seed
        Of the virtual rig's noise.
    run_id
        What the rig is held for, told to those who wait for it.
    log
        Where the guard process writes; by default into a temporary folder. That of each further
        generator writes beside it, into a file that has the generator's name too.
    now
        Tells the time on the wall.
    told
        Hears who answers for each role, before the rig is refused because of one.

    Raises
    ------
    SafetyError
        If nobody vouches for a real rig, or the divider is not there.
    LinkError, InstrumentError
        If somebody else holds it, or an instrument does not answer or is not the one that the rig
        file names.
    """
    allowed = permit(rig, now=now)
    drivers = {
        role: load_driver(driver_role(part), part.driver) for role, part in wired_roles(rig).items()
    }
    with ExitStack() as stack:
        lock = rig.lock
        held = stack.enter_context(
            hold(_lock_keys(rig), wait_s=lock.wait_s, run_id=run_id, expires_s=lock.expires_s)
        )
        addresses = {role: part.resource for role, part in wired_roles(rig).items()}
        if rig.kind == "virtual":
            served = stack.enter_context(ServedRig(rig, seed)).addresses
            addresses = {role: served[role] for role in addresses}
        guarding = _Guarding(allowed, held, log, now)
        station = _wired(stack, rig, drivers, addresses, guarding, told)
        station.into(THROUGH)
        station.check()
        for number, source in enumerate(station.sources):
            if not source.is_verified:
                station.of(number).prove_divider()
        yield station


@dataclass(frozen=True)
class _Guarding:
    """What a source is guarded with."""

    permit: Permit
    locks: tuple[int, ...]
    log: Path | None
    now: Now


def _wired(
    stack: ExitStack,
    rig: Rig,
    drivers: dict[str, type[Any]],
    addresses: dict[str, str],
    guarding: _Guarding,
    told: Told,
) -> Station:
    """Open every part, the guards before them all, and reset what may be driven."""
    names = [source_role(number) for number in range(rig.n_sources)]
    guards = {
        name: _guard(stack, name, drivers[name], addresses[name], guarding)
        for name in names
        if rig.has_guard
    }
    profile = rig.profile
    openers = {
        role: partial(driver.open, addresses[role], timeout_s=rig.link_timeout_s)
        for role, driver in drivers.items()
    }
    openers["device"] = partial(openers["device"], profile=profile)
    links, identities = call_roll(stack, rig, guarding.permit, openers, told)
    # Only now: to leave a source's context is to send to it.
    for link in links.values():
        stack.enter_context(link)
    capture: Capture = links["capture"]
    sources = tuple(
        stack.enter_context(
            GuardedSource(
                links[name],
                rig.of(number),
                guarding.permit,
                guard=guards.get(name),
                now=guarding.now,
                role=name,
            )
        )
        for number, name in enumerate(names)
    )
    for name in names:
        links[name].reset()
    capture.reset()
    return Station(
        rig=rig,
        permit=guarding.permit,
        sources=sources,
        capture=capture,
        device=links["device"],
        fixture=Fixture(rig, lambda: any(source.is_on for source in sources), links.get("switch")),
        profile=profile,
        identities=identities,
        now=guarding.now,
    )


def _lock_keys(rig: Rig) -> tuple[str, ...]:
    """Return what only one process may hold; the parts of a virtual rig are nobody else's."""
    if rig.kind == "virtual":
        return ()
    return rig.lock.keys or tuple(part.resource for part in wired_roles(rig).values())


def _off_orders(driver: type[Source], address: str) -> tuple[OffOrder, ...]:
    """Return how the guard switches a generator off; one that dies with us needs no order."""
    messages = getattr(driver, "off_messages", None)
    query = getattr(driver, "off_query", None)
    if messages == ():
        return ()
    if not messages or not query:
        raise SafetyError(
            f"the driver {driver.__name__} does not say how its output is switched off by another "
            "process",
            todo="give it off_messages and off_query, or set safe_state.guard = false",
        )
    question, answer = query
    return (OffOrder(address, tuple(messages), question, answer, timeout_s=OFF_TIMEOUT_S),)


def _guard(
    stack: ExitStack, name: str, driver: type[Source], address: str, guarding: _Guarding
) -> Guard:
    """Start the process that switches a generator off when this one cannot."""
    log = guarding.log
    if log is None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="emgsim-guard-"))
        log = Path(folder) / GUARD_LOG
    if name != source_role(0):
        log = log.with_stem(f"{log.stem}-{name}")
    orders = _off_orders(driver, address)
    return stack.enter_context(Guard(orders, log, pass_fds=guarding.locks))
