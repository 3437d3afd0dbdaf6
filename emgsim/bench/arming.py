"""What allows a rig to be energised: a named person's word, which expires.

A virtual rig that this process serves can harm nobody and needs none. A real one is armed by
``emgsim arm``: a person says that the device is connected to no person. The word is kept in a file
of the user's, is good for one rig file, one device and a limited time, and goes into the record. A
rig that runs unattended has no such person: it needs an input that is watched while it plays.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from emgsim.bench.rig import Rig
from emgsim.errors import SafetyError, UsageError

STATEMENT = "not connected to a person"
FOLDER = "EMGSIM_STATE_DIR"  # environment: where the words are kept

Now = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time on the wall."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One person's word for one rig and one device.

    ``rig_sha256`` is the digest of the rig with all its defaults: a rig file that was changed
    since is another rig.
    """

    rig: str
    rig_sha256: str
    by: str
    device_serial: str
    statement: str
    since: datetime
    until: datetime

    def table(self) -> dict[str, Any]:
        """Return the word as plain values."""
        times = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        return asdict(self) | times


@dataclass(frozen=True)
class Permit:
    """Why a rig may be energised, and until when.

    ``virtual``: everything past the wire is simulated by a server of this process. ``armed``: a
    person's word. ``unattended``: nobody is there, and an input is watched instead.
    """

    kind: Literal["virtual", "armed", "unattended"]
    arm: Arm | None = None

    def refuse_if_over(self, now: datetime) -> None:
        """Refuse when the word has expired.

        Raises
        ------
        SafetyError
            If it has.
        """
        if self.arm is not None and now >= self.arm.until:
            raise SafetyError(
                f"the word of {self.arm.by} for rig {self.arm.rig} expired at "
                f"{self.arm.until:%Y-%m-%d %H:%M} UTC",
                todo=f"look at the device again, then `emgsim arm {self.arm.rig}`",
            )

    def refuse_other_device(self, serial: str) -> None:
        """Refuse a device that is not the one that the person vouched for.

        Raises
        ------
        SafetyError
            If its serial number is another one.
        """
        if self.arm is not None and serial != self.arm.device_serial:
            raise SafetyError(
                f"rig {self.arm.rig} was armed for the device with serial number "
                f"{self.arm.device_serial!r}, and {serial!r} answers",
                todo="connect the device that was meant, or arm the rig for this one",
            )

    def table(self) -> dict[str, Any]:
        """Return it as plain values, for the record."""
        return {"kind": self.kind, "arm": None if self.arm is None else self.arm.table()}


def arm(rig: Rig, *, by: str, device_serial: str, statement: str, now: Now = utc_now) -> Arm:
    """Keep a person's word that a rig may be energised.

    Parameters
    ----------
    rig
        A real one.
    by
        Name of the person.
    device_serial
        Serial number of the device, read off the device itself.
    statement
        Must be `STATEMENT`, in the person's own typing.
    now
        Tells the time.

    Returns
    -------
    Arm
        Valid for ``interlock.arm_valid_s``.

    Raises
    ------
    UsageError
        If the rig is virtual, or a name is missing.
    SafetyError
        If the statement is another one.
    """
    if rig.kind == "virtual":
        raise UsageError(f"rig {rig.id} is virtual and needs no arming")
    for name, value in (("by", by), ("dut", device_serial)):
        if not value.strip():
            raise UsageError(f"--{name} must not be empty", todo="see `emgsim arm --help`")
    if statement.strip().lower() != STATEMENT:
        raise SafetyError(
            f"the rig was not armed: the statement must be {STATEMENT!r}, got {statement!r}",
            where=f"rig {rig.id}",
            todo="never connect a person; unplug the electrodes, look, and arm again",
        )
    since = now()
    word = Arm(
        rig=rig.id,
        rig_sha256=rig_digest(rig),
        by=by.strip(),
        device_serial=device_serial.strip(),
        statement=STATEMENT,
        since=since,
        until=since + timedelta(seconds=rig.interlock.arm_valid_s),
    )
    path = _path(rig)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(word.table(), indent=1) + "\n", encoding="utf-8")
    return word


def disarm(rig: Rig) -> bool:
    """Take the word for a rig back, and tell whether there was one."""
    path = _path(rig)
    was_there = path.exists()
    path.unlink(missing_ok=True)
    return was_there


def permit(rig: Rig, *, now: Now = utc_now) -> Permit:
    """Return why a rig may be energised; no port is opened for it.

    Raises
    ------
    SafetyError
        If nobody vouches for a real rig: it was never armed, the word has expired, or the rig file
        was changed since.
    """
    if rig.kind == "virtual":
        return Permit("virtual")
    if rig.interlock.unattended:
        return Permit("unattended")
    found = Permit("armed", _word(rig))
    found.refuse_if_over(now())
    return found


def rig_digest(rig: Rig) -> str:
    """Return the SHA-256 of a rig with all its defaults."""
    text = json.dumps(rig.resolved(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _word(rig: Rig) -> Arm:
    """Read the word for a rig."""
    path, todo = _path(rig), f"`emgsim arm {rig.id} --by NAME --dut SERIAL` by whoever is there"
    where = f"rig {rig.id}, kind = {rig.kind!r}"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        times = {name: _utc(table[name]) for name in ("since", "until")}
        word = Arm(**(table | times))
    except FileNotFoundError:
        raise SafetyError(
            f"rig {rig.id} is a real one and is not armed", where=where, todo=todo
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SafetyError(
            f"rig {rig.id} is not armed: its word cannot be read ({error})",
            where=str(path),
            todo=todo,
        ) from error
    if word.rig_sha256 != rig_digest(rig):
        raise SafetyError(
            f"rig {rig.id} was changed since {word.by} armed it", where=where, todo=todo
        )
    return word


def _path(rig: Rig) -> Path:
    own = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    folder = os.environ.get(FOLDER) or str(Path(own) / "emgsim")
    return Path(folder) / "arms" / f"{rig.id}.json"


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
