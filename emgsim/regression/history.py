"""How measurements went over time: of each device, rig or fixture, from the records of its runs.

A series is one measurement of one scenario at one device, rig or fixture. Its runs need not be made
alike: another firmware, another commit, another rig begin a segment of their own, which is marked,
and values are compared within a segment only (`emgsim.regression.drift`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from emgsim.configuration import nearest
from emgsim.errors import UsageError
from emgsim.regression.drift import (
    LEAST_RUNS,
    Chart,
    Trend,
    chart,
    days_until,
    scores,
    threshold,
    trend,
)

By = Literal["device", "rig", "fixture"]
Answer = Literal["drift", "steady", "not enough runs"]
Record = Mapping[str, Any]

RUNS_BETWEEN_ALARMS = 1000.0  # false ones, of all series together: nightly, one in three years
SETTINGS = ("device", "firmware", "rig", "fixture", "detector", "code", "scenario")
OF_CHANCE = ("seed", "limits", "title", "description")  # of a scenario: no other measurement


@dataclass(frozen=True, kw_only=True)
class Point:
    """A measurement's value in one run."""

    run_id: str
    started: str  # ISO 8601
    value: float
    verdict: str
    settings: Mapping[str, str] = field(default_factory=dict)  # how it was made, by `SETTINGS`


@dataclass(frozen=True, kw_only=True)
class Series:
    """A measurement over time; ``low`` and ``high`` are its newest limit."""

    subject: str
    scenario: str
    measurement: str
    unit: str
    low: float | None
    high: float | None
    points: tuple[Point, ...]

    def alike(self, across: Collection[str] = ()) -> list[tuple[str, ...]]:
        """Return how each point was made, but for the settings that make no difference."""
        names = [name for name in SETTINGS if name not in across]
        return [tuple(point.settings.get(name, "") for name in names) for point in self.points]

    def changes(self, across: Collection[str] = ()) -> Iterator[tuple[int, list[str]]]:
        """Yield the index of each point that was made otherwise than the one before, and how."""
        names = [name for name in SETTINGS if name not in across]
        for index in range(1, len(self.points)):
            old, new = (self.points[i].settings for i in (index - 1, index))
            said = [
                f"{name} {old.get(name) or '-'} -> {new.get(name) or '-'}"
                for name in names
                if old.get(name) != new.get(name)
            ]
            if said:
                yield index, said

    def enough(self, across: Collection[str] = ()) -> bool:
        """Tell whether there are runs enough to see a drift."""
        alike = self.alike(across)
        return len(alike) - len(set(alike)) >= LEAST_RUNS


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A series and what is to be said of it; ``chart`` and ``trend`` are None if it is too short.

    ``days`` until its limit: at best, the soonest, the latest; infinite if it is not on its way.
    """

    series: Series
    answer: Answer
    changes: tuple[tuple[int, list[str]], ...] = ()
    chart: Chart | None = None
    trend: Trend | None = None
    days: tuple[float, float, float] = (math.inf, 0.0, math.inf)

    def table(self) -> dict[str, Any]:
        """Return it as plain values; what is not known, or never comes, is None."""
        one = self.series
        changed = dict(self.changes)
        index = None if self.chart is None else self.chart.since
        return {
            "subject": one.subject,
            "scenario": one.scenario,
            "measurement": one.measurement,
            "unit": one.unit,
            "low": one.low,
            "high": one.high,
            "answer": self.answer,
            "drifts_since": None if index is None else one.points[index].started,
            "cusum": None if self.chart is None else self.chart.sums[-1],
            "threshold": None if self.chart is None else self.chart.threshold,
            **_trend_table(self),
            "points": [
                {
                    **{key: value for key, value in asdict(p).items() if key != "settings"},
                    "cusum": None if self.chart is None else self.chart.sums[i],
                    "changed": changed.get(i, []),
                }
                for i, p in enumerate(one.points)
            ],
        }


def histories(
    records: Iterable[Record], by: By = "device", only: Collection[str] = ()
) -> list[Series]:
    """Return the series of the runs.

    Parameters
    ----------
    records
        Of completed runs, as `emgsim.records.folders.record_table` returns them.
    by
        What the series are of.
    only
        Measurements, or beginnings of their ids: ``align`` for all that begin so. None: those that
        a limit judges.

    Raises
    ------
    UsageError
        If a name of ``only`` is no measurement's.
    """
    rows: dict[tuple[str, ...], list[tuple[Point, Mapping[str, Any]]]] = {}
    known: set[str] = set()
    for record in sorted(records, key=lambda r: (str(r.get("started")), str(r.get("run_id")))):
        settings, scenario = settings_of(record), _scenario(record)
        for m in record.get("measurements", ()):
            known.add(m["id"])
            if m["value"] is not None and _is_meant(m, only):
                key = (subject_of(settings, by), str(scenario.get("id", "")), m["id"], m["unit"])
                rows.setdefault(key, []).append((_point(record, m, settings), m))
    for name in only:
        if not any(_begins(id, name) for id in known):
            raise UsageError(
                f"no run has a measurement {name!r}{nearest(name, known)}",
                todo="see the runs' record.json for what they have measured",
            )
    return [_series(key, found) for key, found in sorted(rows.items())]


def judged(series: Sequence[Series], across: Collection[str] = ()) -> list[Judged]:
    """Tell which series have drifted.

    Parameters
    ----------
    series
        They are one family: `RUNS_BETWEEN_ALARMS` is of all those that are long enough together.
    across
        Settings whose change begins no segment: the caller says that they make no difference.

    Raises
    ------
    UsageError
        If a setting is none of `SETTINGS`.
    """
    if strangers := sorted(set(across) - {*SETTINGS}):
        raise UsageError(
            f"no setting is called {strangers[0]!r}", todo=f"name one of {', '.join(SETTINGS)}"
        )
    n_watched = sum(one.enough(across) for one in series)
    limit = threshold(RUNS_BETWEEN_ALARMS * max(1, n_watched))
    return [_judged(one, across, limit) for one in series]


def settings_of(record: Record) -> dict[str, str]:
    """Return how a run was made, by `SETTINGS`, each in a word or two."""
    who = record.get("identities", {}).get("device", {})
    rig = record.get("rig", {})
    detector, code = record.get("detector", {}), record.get("checkout", {})
    commit = str(code.get("commit", ""))[:10] + ("+" if code.get("is_dirty") else "")
    return {
        "device": " ".join(str(who[k]) for k in ("maker", "model", "serial") if who.get(k)),
        "firmware": str(who.get("firmware", "")),
        "rig": str(rig.get("id", "")),
        "fixture": _fixture(rig.get("fixture") or {}),
        "detector": f"{detector.get('name', '')} {detector.get('version', '')}".strip(),
        "code": commit or str(record.get("versions", {}).get("emgsim", "")),
        "scenario": _digest(_scenario(record)),
    }


def subject_of(settings: Mapping[str, str], by: By) -> str:
    """Return the name of the device, rig or fixture of a run; ``-`` if it has none."""
    return settings[by] or "-"


def _scenario(record: Record) -> Mapping[str, Any]:
    return record.get("scenario") or record.get("examination") or {}


def _fixture(fixture: Mapping[str, Any]) -> str:
    """Return a fixture's serial number and the ids of its certificates."""
    states = [fixture, *(fixture.get("states") or {}).values()]
    ids = [
        str(state[key]["id"])
        for state in states
        for key in ("certificate", "impedance_certificate")
        if state.get(key)
    ]
    return " ".join(filter(None, [str(fixture.get("serial") or ""), *sorted(set(ids))]))


def _digest(scenario: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in scenario.items() if key not in OF_CHANCE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def _is_meant(m: Mapping[str, Any], only: Collection[str]) -> bool:
    if not only:
        return m.get("limit") is not None
    return any(_begins(m["id"], name) for name in only)


def _begins(id: str, name: str) -> bool:
    return f"{id}.".startswith(f"{name}.")


def _point(record: Record, m: Mapping[str, Any], settings: Mapping[str, str]) -> Point:
    return Point(
        run_id=str(record.get("run_id", "")),
        started=str(record.get("started", "")),
        value=float(m["value"]),
        verdict=str(m["verdict"]),
        settings=settings,
    )


def _series(key: tuple[str, ...], found: Sequence[tuple[Point, Mapping[str, Any]]]) -> Series:
    subject, scenario, measurement, unit = key
    limit = found[-1][1].get("limit") or {}
    return Series(
        subject=subject,
        scenario=scenario,
        measurement=measurement,
        unit=unit,
        low=limit.get("low"),
        high=limit.get("high"),
        points=tuple(point for point, _ in found),
    )


def _judged(one: Series, across: Collection[str], limit: float) -> Judged:
    alike, values = one.alike(across), [point.value for point in one.points]
    told = Judged(series=one, answer="not enough runs", changes=tuple(one.changes(across)))
    if not one.enough(across):
        return told
    found = chart(scores(values, alike), limit)
    line = trend(_days([point.started for point in one.points]), values, alike)
    return replace(
        told,
        answer="steady" if found.signal is None else "drift",
        chart=found,
        trend=line,
        days=told.days if line is None else days_until(line, one.low, one.high),
    )


def _days(started: Sequence[str]) -> list[float]:
    """Return when each run began, in days after the first."""
    times = [datetime.fromisoformat(text).timestamp() for text in started]
    return [(time - times[0]) / 86_400 for time in times]


def _trend_table(one: Judged) -> dict[str, float | None]:
    line, days = one.trend, [day if math.isfinite(day) else None for day in one.days]
    if line is None or not line.is_certain:
        days = [None, None, None]
    return {
        "slope_per_day": None if line is None else line.slope_per_day,
        "slope_low_per_day": None if line is None else line.low_per_day,
        "slope_high_per_day": None if line is None else line.high_per_day,
        "days_to_limit": days[0],
        "days_soonest": days[1],
        "days_latest": days[2],
    }
