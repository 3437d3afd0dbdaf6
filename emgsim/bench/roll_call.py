"""Calling the roll: who answers for each role, and whether it is who the rig file means.

Every role is asked, also after one that does not answer, so that a person who wires a rig reads
all that is wrong at once. An instrument is opened and asked for its name, and nothing is set: what
the roll refuses has been neither driven nor reset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from emgsim.bench.arming import Permit
from emgsim.bench.parts import OPERATOR, CaptureRole, DeviceRole, Expected, SourceRole, SwitchRole
from emgsim.bench.rig import Rig, source_role
from emgsim.errors import EmgsimError, InstrumentError
from emgsim.instruments.base import Identity
from emgsim.instruments.drivers import Role

WiredRole = SourceRole | CaptureRole | DeviceRole | SwitchRole  # who has a driver


@dataclass(frozen=True)
class Answer:
    """Tells who answers for a role, and what is wrong with that, if anything is.

    Parameters
    ----------
    role, driver, address
        What was called, as the rig file has it.
    identity
        Who answers; None where nobody does.
    trouble
        Why it may not be driven; None where it is who the rig file means.
    is_named
        Whether the rig file names a model, a serial number or a firmware to compare with.
    """

    role: str
    driver: str
    address: str
    identity: Identity | None = None
    trouble: EmgsimError | None = None
    is_named: bool = False

    @property
    def verdict(self) -> str:
        """Say in a few words what the roll call found."""
        if self.identity is None:
            return "does not answer"
        if self.trouble is not None:
            return "not the one that is meant"
        return "as expected" if self.is_named else "no identity in the rig file"


Told = Callable[[Answer], None]


def wired_roles(rig: Rig) -> dict[str, WiredRole]:
    """Return what has a driver and an address, by role; a person has neither."""
    parts: dict[str, WiredRole] = {
        "source": rig.source,
        "capture": rig.capture,
        "device": rig.device,
    }
    if rig.switch is not None and rig.switch.driver != OPERATOR:
        parts["switch"] = rig.switch
    return parts | {source_role(k): other for k, other in enumerate(rig.others, 1)}


def driver_role(part: WiredRole) -> Role:
    """Return of which role the drivers of a part are: all generators have those of the source."""
    match part:
        case SourceRole():
            return "source"
        case CaptureRole():
            return "capture"
        case DeviceRole():
            return "device"
        case SwitchRole():
            return "switch"


def call_roll(
    stack: ExitStack,
    rig: Rig,
    allowed: Permit,
    openers: Mapping[str, Callable[[], Any]],
    told: Told,
) -> tuple[dict[str, Any], dict[str, Identity]]:
    """Open every role and ask who it is, and refuse the rig if one is missing or another one.

    Parameters
    ----------
    stack
        Closes what was opened.
    rig
        Whom it expects.
    allowed
        Who vouched for which device.
    openers
        Opens the driver of each role.
    told
        Hears of each role as it has answered.

    Returns
    -------
    links, identities : dict
        The open drivers and who they are, by role.

    Raises
    ------
    EmgsimError
        The trouble of the smallest exit code; the others are notes on it.
    """
    links: dict[str, Any] = {}
    answers = []
    for role, opener in openers.items():
        answers.append(_called(role, opener, stack, links, rig, allowed))
        told(answers[-1])
    _refuse_troubled(answers)
    return links, {one.role: one.identity for one in answers if one.identity is not None}


def _called(
    role: str,
    opener: Callable[[], Any],
    stack: ExitStack,
    links: dict[str, Any],
    rig: Rig,
    allowed: Permit,
) -> Answer:
    """Open one role, and tell what its instrument says of itself."""
    part, identity, trouble = wired_roles(rig)[role], None, None
    wanted = _expected(part)
    try:
        link = links[role] = opener()
        stack.callback(link.close)
        identity = link.identify()
        _refuse_stranger(identity, wanted, rig, role)
        if role == "device":
            allowed.refuse_other_device(identity.serial)
    except EmgsimError as error:
        trouble = error
    return Answer(role, part.driver, part.resource, identity, trouble, is_named=bool(wanted))


def _expected(part: WiredRole) -> dict[str, str]:
    """Return what the rig file says of an instrument's identity."""
    expect = getattr(part, "expect", Expected())
    return {name: str(value) for name, value in expect.model_dump().items() if value}


def _refuse_stranger(who: Identity, wanted: Mapping[str, str], rig: Rig, role: str) -> None:
    for name, value in wanted.items():
        if getattr(who, name) != value:
            raise InstrumentError(
                f"the {role} must have the {name} {value!r}, and {who} answers",
                where=f"rig {rig.id}, {role}.expect.{name}",
                todo="check the address, or the rig file",
            )


def _refuse_troubled(answers: Iterable[Answer]) -> None:
    troubles = [(one.role, one.trouble) for one in answers if one.trouble is not None]
    if not troubles:
        return
    (_, first), *others = sorted(troubles, key=lambda each: each[1].exit_code)
    for role, trouble in others:
        first.add_note(f"  and the {role}: {trouble.what}")
    raise first
