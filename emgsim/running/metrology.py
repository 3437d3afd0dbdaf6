"""Measuring an amplifier on a rig: every test, each reading judged and journalled as it is made."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from emgsim.bench.fixture import StateUnavailableError
from emgsim.bench.rig import Rig
from emgsim.bench.station import Station, refuse_unarmed
from emgsim.configuration import nearest
from emgsim.errors import NotAnalysableError, UsageError
from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.budget import noise_limited
from emgsim.metrology.limits import limit_of
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Reading
from emgsim.metrology.table import PROCEDURES
from emgsim.records import provenance
from emgsim.records.journal import Journal, Line, finite, read_journal, write_whole
from emgsim.records.record import RECORD, RunRecord, fold
from emgsim.running.bounds import Ending, journalled, run_name
from emgsim.running.declaring import refuse_uncertified, setup_of
from emgsim.running.fixture_check import CheckedFixture
from emgsim.running.logbook import Logbook, Progress
from emgsim.running.opening import opened
from emgsim.running.readings import (
    certificates_of,
    declared_device,
    in_words,
    interval,
    reading_line,
)
from emgsim.running.self_test import self_test, why_inconclusive
from emgsim.running.wired import WiredBench
from emgsim.verdict import Measurement, judge

ID = "metrology"
SCHEMA = "emgsim.metrology/1"
STIMULUS_ERROR_PCT = 2.0  # of what the oscilloscope saw: beyond it a reading is inconclusive
CURVES = "curves"  # folder of what is plotted


def characterise(
    rig: Rig,
    *,
    procedures: Sequence[Procedure] = PROCEDURES,
    only: Sequence[str] = (),
    out: Path = Path("reports/runs"),
    seed: int = 0,
    waves: bool = False,
    files: Mapping[str, Path] | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Path, RunRecord]:
    """Measure the amplifier of a rig by every test, and write the run's folder.

    Parameters
    ----------
    rig
        With a certificate for all that the tests rest on.
    procedures
        The tests, in their order.
    only
        Ids of those that are made; ``cmrr`` means all that begin so. None named: all.
    out
        Folder in which the run's own folder is made.
    seed
        Of a virtual rig's noise.
    waves
        Whether what the device sent is kept in ``wave/*.npz``: some hundred megabytes.
    files
        The file of the ``rig``: the record holds the digest of its bytes.
    progress
        Called with one line per stage and per reading.

    Returns
    -------
    folder : Path
        Holds ``journal.jsonl, record.json, junit.xml, sheet.html, curves/*.npz``.
    record : RunRecord

    Raises
    ------
    UsageError
        If there is no such test, or nobody has certified what one rests on.
    EmgsimError
        What ended the run; journal and record keep all that was measured before.
    """
    chosen = selected(procedures, only)
    refuse_unarmed(rig)
    refuse_uncertified(rig, {state for procedure in chosen for state in procedure.states})
    began = datetime.now(UTC)
    first = _first_line(rig, chosen, began, seed, files, out)
    with Journal(out / run_name(began, ID, rig.id)) as journal:
        journal.append("run_started", **first)
        record = _carried_out(rig, chosen, seed, Logbook(journal, progress), waves)
    progress(f"data sheet  {journal.folder / 'sheet.html'}")
    return journal.folder, record


def selected(procedures: Sequence[Procedure], only: Sequence[str]) -> list[Procedure]:
    """Return the procedures whose ids are meant, in their order.

    Raises
    ------
    UsageError
        If an id means none of them.
    """
    known = [procedure.id for procedure in procedures]
    for id in only:
        if not any(_is_meant(name, id) for name in known):
            raise UsageError(
                f"no test is called {id!r}{nearest(id, known)}",
                todo=f"name one of {', '.join(known)}",
            )
    return [p for p in procedures if not only or any(_is_meant(p.id, id) for id in only)]


def _is_meant(name: str, id: str) -> bool:
    return f"{name}.".startswith(f"{id}.")


def _first_line(
    rig: Rig,
    chosen: Sequence[Procedure],
    began: datetime,
    seed: int,
    files: Mapping[str, Path] | None,
    out: Path,
) -> Line:
    what = {"schema": SCHEMA, "id": ID, "tests": [procedure.id for procedure in chosen]}
    return {
        "run_id": run_name(began, ID, rig.id),
        "started": began.isoformat(timespec="seconds"),
        "seed": seed,
        "scenario": what | {"title": f"Metrology of {rig.profile.maker} {rig.profile.model}"},
        "rig": rig.resolved(),
        **provenance.table(),
        "digests": provenance.digests({"rig": rig.resolved()}, files),
        "previous": provenance.previous(out),
    }


def _carried_out(
    rig: Rig, chosen: Sequence[Procedure], seed: int, logbook: Logbook, waves: bool
) -> RunRecord:
    ending, journal = Ending(), logbook.journal
    try:
        with (
            journalled(journal, ending, kept="all that was measured", is_resumable=False),
            opened(rig, seed, logbook) as station,
        ):
            _Run(station, logbook, waves).execute(chosen)
    finally:
        ending.append(journal, fold(read_journal(journal.folder)))
        record = _report(journal.folder)
    return record


def _report(folder: Path) -> RunRecord:
    from emgsim.report.junit import junit_xml
    from emgsim.report.sheet import write_sheet

    record = fold(read_journal(folder))
    write_whole(folder / RECORD, record.to_json())
    write_whole(folder / "junit.xml", junit_xml(record))
    write_sheet(folder, record)
    return record


class _Run:
    """The tests of one amplifier on an opened station."""

    def __init__(self, station: Station, logbook: Logbook, waves: bool) -> None:
        self.rig, self.logbook, self.journal = station.rig, logbook, logbook.journal
        today = station.now().date()
        self.setup = setup_of(self.rig, station.source_caps, today)
        self.station = station
        self.bench = WiredBench(station, self.setup, CheckedFixture(station, self.setup).into)
        self.doubts: tuple[str, ...] = ()  # in every reading
        self.waves: set[str] | None = set() if waves else None  # files of what the device sent
        self.certificates = {
            certificate.id: (of, certificate) for of, certificate in certificates_of(self.rig)
        }
        self.expired = {
            id: certificate
            for id, (_, certificate) in self.certificates.items()
            if certificate.has_expired(today)
        }

    def execute(self, chosen: Sequence[Procedure]) -> None:
        """Make every test that can be made here."""
        self.journal.append("device", values=declared_device(self.rig))
        for id, (of, certificate) in self.certificates.items():
            is_over = id in self.expired
            self.journal.append(
                "certificate", id=id, of=of, due=str(certificate.due), has_expired=is_over
            )
        self._test_bench()
        measuring = Measuring(self.bench)
        for procedure in chosen:
            self._test(procedure, measuring.afresh())

    def _test_bench(self) -> None:
        """Look whether source and oscilloscope agree; what the device says of it is measured."""
        with self.logbook.stage("self-test") as say:
            tested = [m for m in self_test(self.station) if m.id.endswith(".loopback")]
            for measurement in tested:
                self.journal.measurement(measurement)
            wrong = why_inconclusive(tested)
            self.doubts = (wrong,) if wrong else ()
            say(wrong or "source and oscilloscope agree")

    def _test(self, procedure: Procedure, measuring: Measuring) -> None:
        """Make one test, or tell why it cannot be made."""
        why = self._unreachable(procedure)
        if why:
            self._skip(procedure, why)
            return
        try:
            with self.logbook.stage(procedure.id) as say:
                readings, doubts = self._made(procedure, measuring)
                for reading in readings:
                    if reading.applies:
                        say(self._keep(procedure, reading, measuring, doubts))
                    else:
                        self._skip(procedure, reading.note)
        except StateUnavailableError as error:
            self._skip(procedure, error.what)
        for acquired in measuring.used:
            self._keep_wave(acquired)

    def _unreachable(self, procedure: Procedure) -> str:
        """Say which state of the fixture that a test needs is not there, if one is not."""
        missing = [name for name in procedure.states if name not in self.setup.states]
        return f"state unavailable: the fixture has no {', '.join(missing)}" if missing else ""

    def _made(
        self, procedure: Procedure, measuring: Measuring
    ) -> tuple[Sequence[Reading], tuple[str, ...]]:
        """Return the readings of a test; or one without a value, and why it has none."""
        overdue = self._overdue(procedure)
        if overdue:
            return [self._nothing(procedure)], (overdue,)
        try:
            return procedure.measure(measuring), ()
        except NotAnalysableError as error:
            return [self._nothing(procedure)], (error.what,)
        except (ValueError, ArithmeticError) as error:  # what came back is like no signal at all
            return [self._nothing(procedure)], (f"it could not be evaluated: {error}",)

    def _nothing(self, procedure: Procedure) -> Reading:
        limit = limit_of(procedure.id, self.setup.device)
        return Reading(id=procedure.id, value=math.nan, unit=limit.unit if limit else "1")

    def _overdue(self, procedure: Procedure) -> str:
        """Say whose certificate has expired of those that say how much reaches the device.

        Nothing is played through such a state (`emgsim.bench.guarded_source`): what is certified of
        a divider is what keeps the device from harm.
        """
        states = (self.rig.state(name) for name in procedure.states)
        due = {s.certificate.id for s in states if s.certificate is not None} & {*self.expired}
        told = ", ".join(f"{id} (due {self.expired[id].due})" for id in sorted(due))
        return f"expired: {told}; nothing is played through that state" if told else ""

    def _skip(self, procedure: Procedure, why: str) -> None:
        self.journal.append("skipped", id=procedure.id, title=procedure.title, why=why)
        self.logbook.progress(f"{procedure.id:<9} skipped: {why}")

    # -- readings ------------------------------------------------------------------------------

    def _keep(
        self,
        procedure: Procedure,
        reading: Reading,
        measuring: Measuring,
        doubts: tuple[str, ...] = (),
    ) -> str:
        """Judge and journal a reading, and return it in words."""
        errors = {
            acquired.stimulus.name: self.bench.stimulus_errors_pct[acquired.stimulus.name]
            for acquired in measuring.used
            if acquired.stimulus is not None
        }
        drowned = (
            noise_limited(procedure.id, acquired.stimulus, self.setup)
            for acquired in measuring.used
            if acquired.stimulus is not None
        )
        every = (*doubts, *self.doubts, *filter(None, drowned), *self._doubts(reading, errors))
        judged = self._judged(reading, every)
        worst = max((abs(pct) for pct in errors.values() if math.isfinite(pct)), default=None)
        self.journal.append(
            "reading",
            **finite(reading_line(reading, judged)),
            test=procedure.id,
            title=procedure.title,
            states=procedure.states,
            stimulus_error_pct=worst,
            components=[finite(vars(component)) for component in reading.components],
            curves=self._curves(reading),
        )
        self.journal.measurement(judged)
        return f"{judged.id} {in_words(reading)} {judged.verdict.replace('_', ' ')}"

    def _judged(self, reading: Reading, doubts: tuple[str, ...]) -> Measurement:
        """Return a reading beside its limit; whatever speaks against it makes it inconclusive."""
        limit = limit_of(reading.id, self.setup.device)
        low, high = interval(reading)
        measured = Measurement(
            id=reading.id,
            value=reading.value,
            unit=reading.unit,
            low=low,
            high=high,
            note="; ".join(filter(None, (reading.note, *doubts))),
        )
        judged = measured if limit is None else judge(measured, limit)
        return replace(judged, verdict="inconclusive") if doubts else judged

    def _doubts(self, reading: Reading, errors_pct: Mapping[str, float]) -> Iterator[str]:
        """Say why a reading says nothing about the device."""
        for name, pct in errors_pct.items():
            if abs(pct) > STIMULUS_ERROR_PCT:
                yield f"stimulus {name} itself was {pct:+.3g} % off"
        for id in sorted({*reading.rests_on} & {*self.expired}):
            yield f"certificate {id} was due on {self.expired[id].due}"

    def _keep_wave(self, acquired: Acquired) -> None:
        """Keep what the device sent in a file of its own, if that is wanted and not yet done."""
        what = acquired.state if acquired.stimulus is None else acquired.stimulus.name
        name = f"wave/{re.sub('[^a-z0-9_.]+', '_', what.lower())}.npz"
        if self.waves is None or name in self.waves:
            return
        self.waves.add(name)
        path = self.logbook.folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            np.savez(
                file,
                samples_uv=acquired.uv.astype(np.float32),
                rate_hz=acquired.rate_hz,
                begins_s=acquired.begins_s,
            )
        self.journal.file(name)

    def _curves(self, reading: Reading) -> str | None:
        """Keep what is plotted of a reading in a file, and return its name."""
        if not reading.curves:
            return None
        name = f"{CURVES}/{reading.id}.npz"
        path = self.logbook.folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **reading.curves)
        self.journal.file(name)
        return name
