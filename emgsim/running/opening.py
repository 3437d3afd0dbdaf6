"""Opening a rig for a run: who answers is journalled, and the safe state on every way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from emgsim.bench.rig import Rig
from emgsim.bench.station import GUARD_LOG, OFF, Station, open_station
from emgsim.errors import InstrumentError
from emgsim.instruments.base import Identity
from emgsim.records.journal import Journal, Line
from emgsim.running.logbook import Logbook

FIELDS = ("maker", "model", "serial", "firmware")


@contextmanager
def opened(
    rig: Rig, seed: int, logbook: Logbook, before: Mapping[str, Line] | None = None
) -> Iterator[Station]:
    """Open a rig while the context lasts, and leave it in its safe state.

    Parameters
    ----------
    rig, seed
        What is driven, and the noise of a virtual one.
    logbook
        Where every step is written.
    before
        Who answered when the run was begun, by role; somebody else is refused.

    Raises
    ------
    EmgsimError
        As of `emgsim.bench.station.open_station`; or another instrument answers than before.
    """
    folder, journal = logbook.folder, logbook.journal
    station_opened = open_station(rig, seed, run_id=folder.name, log=folder / GUARD_LOG)
    with logbook.stage("open") as say, station_opened as station:
        journal.append("arm", values=station.permit.table() | station.facts)
        for role, who in station.identities.items():
            _identify(rig, journal, role, who, (before or {}).get(role))
        say(", ".join(f"{who.maker} {who.model}" for who in station.identities.values()))
        say.done()
        try:
            yield station
        finally:
            _make_safe(station, journal)


def _identify(rig: Rig, journal: Journal, role: str, who: Identity, before: Line | None) -> None:
    found = {name: getattr(who, name) for name in FIELDS}
    then = found if before is None else before
    changes = [f"{k} {then[k]!r}, now {found[k]!r}" for k in found if found[k] != then[k]]
    if changes:
        raise InstrumentError(
            f"the run was begun on another {role}: {'; '.join(changes)}",
            where=f"rig {rig.id}",
            todo="connect what was connected when it began, or run it anew",
        )
    journal.append("identity", role=role, **found)


def _make_safe(station: Station, journal: Journal) -> None:
    steps = station.make_safe()  # the station's own way out tries again, and tells
    why = "; ".join(f"{step.name}: {step.why}" for step in steps if not step.confirmed)
    is_off = all(step.confirmed for step in steps if step.name.endswith(OFF))
    journal.append("safe_state", confirmed=is_off, why=why)
