"""History: series by device, rig and fixture from run folders, their changes, what drifts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emgsim.cli import main
from emgsim.errors import UsageError
from emgsim.records.record import RunRecord
from emgsim.regression.history import histories, judged, settings_of
from emgsim.report.history_page import history_page
from emgsim.report.history_table import days_text
from emgsim.verdict import Limit, Measurement, judge

GAIN, F1 = "amplitude.error_pct.device", "discharges.f1.device"
NIGHTS = 60


def night(n: int, gain: float = 0.0, *, firmware: str = "1.0", serial: str = "7",
          commit: str = "c0ffee", rig: str = "virtual", **more: Any) -> RunRecord:  # fmt: skip
    """Return the record of one night's run, with a judged gain and a reported count."""
    limit = Limit(measurement=GAIN, low=-1.0, high=1.0, unit="%")
    when = datetime(2026, 8, 1, 2, tzinfo=UTC) + timedelta(days=n)
    run = {
        "run_id": f"{when:%Y%m%d}-{rig}-{serial}", "status": "completed", "exit_code": 0,
        "started": when.isoformat(), "seed": n,
        "scenario": {"id": "healthy_biceps", "seed": n, "limits": [{}] * (n % 2)},
        "rig": {"id": rig, "fixture": {"serial": "ATT-03", "certificate": {"id": "CAL-7"},
                "states": {"short": {"impedance_certificate": {"id": "CAL-9"}}}}},
        "detector": {"name": "emgsim", "version": ""},
        "checkout": {"commit": commit, "is_dirty": False},
        "identities": {"device": {"maker": "EMGSIM", "model": "NA-1", "serial": serial,
                                  "firmware": firmware}},
    }  # fmt: skip
    measured = (
        judge(Measurement(id=GAIN, value=gain, unit="%"), limit),
        Measurement(id="units.found.device", value=float(n), unit="1"),
    )
    return RunRecord(**{**run, "measurements": measured, **more})  # type: ignore[arg-type]


def tables(*records: RunRecord) -> list[Any]:
    """Return the records as their files have them."""
    return [json.loads(record.to_json()) for record in records]


def drifting(per_night: float, nights: int = NIGHTS) -> list[RunRecord]:
    """Return nights of a gain that drifts and scatters by 0.05 %."""
    rng = np.random.default_rng(21)
    return [night(n, per_night * n + 0.05 * rng.standard_normal()) for n in range(nights)]


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., Path]:
    """Write records as a folder of runs."""

    def write(*records: RunRecord) -> Path:
        for record in records:
            folder = tmp_path / "runs" / record.run_id
            folder.mkdir(parents=True)
            (folder / "record.json").write_text(record.to_json(), "utf-8")
        return tmp_path / "runs"

    return write


def test_what_a_limit_judges_is_watched_and_the_rest_on_request() -> None:
    """By its id or the beginning of it; a name that nobody measures is a mistake."""
    records = tables(night(0), night(1))
    assert [one.measurement for one in histories(records)] == [GAIN]
    assert [one.measurement for one in histories(records, only=["units"])] == ["units.found.device"]
    with pytest.raises(UsageError, match="no run has a measurement 'amplitud'"):
        histories(records, only=["amplitud"])


@pytest.mark.parametrize(
    ("by", "subjects"),
    [
        ("device", ["EMGSIM NA-1 7", "EMGSIM NA-1 8"]),
        ("rig", ["bench", "virtual"]),
        ("fixture", ["ATT-03 CAL-7 CAL-9"]),
    ],
)
def test_series_are_of_devices_rigs_or_fixtures(by: Any, subjects: list[str]) -> None:
    """A fixture is known by its serial number and the ids of its certificates."""
    records = tables(night(0), night(1, serial="8"), night(2, rig="bench"))
    assert [one.subject for one in histories(records, by)] == subjects


def test_the_points_stand_in_the_order_of_time_and_without_what_was_not_measured() -> None:
    """Whatever the folders' names."""
    (one,) = histories(tables(night(2, 0.2), night(0, 0.0), night(1, float("nan"))))
    assert [point.value for point in one.points] == [0.0, 0.2]


def test_a_change_of_anything_else_is_marked() -> None:
    """Firmware and commit are told with old and new; another seed or limit is no change."""
    new = {"firmware": "1.1"}
    records = tables(night(0), night(1), night(2, **new), night(3, **new, commit="f"))
    (one,) = histories(records)
    assert list(one.changes()) == [(2, ["firmware 1.0 -> 1.1"]), (3, ["code c0ffee -> f"])]
    assert list(one.changes(across=["code"])) == [(2, ["firmware 1.0 -> 1.1"])]
    assert settings_of(records[0])["scenario"] == settings_of(records[1])["scenario"]


def test_a_drift_is_told_with_its_slope_and_the_days_until_the_limit() -> None:
    """0.01 % a night from 0, after 59 nights: the limit of 1 % comes in about 41 days."""
    (one,) = judged(histories(tables(*drifting(0.01))))
    row = one.table()
    assert (row["answer"], one.answer) == ("drift", "drift")
    assert row["slope_per_day"] == pytest.approx(0.01, abs=0.001)
    assert row["slope_low_per_day"] < 0.01 < row["slope_high_per_day"]
    assert row["days_soonest"] < 41 < row["days_latest"]
    assert row["drifts_since"] < "2026-08-31"
    assert re.fullmatch(r"\d\d d \[\d\d, \d\d\]", days_text(row))


def test_a_steady_series_is_steady_and_a_short_one_is_nothing() -> None:
    """Eleven runs of one kind are enough: ten with another one before them."""
    steady = drifting(0.0)
    assert [one.answer for one in judged(histories(tables(*steady)))] == ["steady"]
    assert [one.answer for one in judged(histories(tables(*steady[:10])))] == ["not enough runs"]
    assert [one.answer for one in judged(histories(tables(*steady[:11])))] == ["steady"]


def test_a_commit_every_night_leaves_nothing_to_compare_unless_the_user_says_so() -> None:
    """Nobody is told that all is steady when all was always new."""
    records = tables(*(night(n, 0.1 * n, commit=f"c{n}") for n in range(30)))
    series = histories(records)
    assert [one.answer for one in judged(series)] == ["not enough runs"]
    assert [one.answer for one in judged(series, across=["code"])] == ["drift"]
    with pytest.raises(UsageError, match="no setting is called 'commit'"):
        judged(series, across=["commit"])


def test_the_more_series_the_farther_the_threshold() -> None:
    """False alarms are counted of all series that are watched together."""
    steady = tables(*drifting(0.0))
    (alone,) = judged(histories(steady))
    both = judged(histories(steady, only=[GAIN, "units"]))
    assert alone.chart is not None
    assert both[0].chart is not None
    assert both[0].chart.threshold > alone.chart.threshold


@pytest.mark.parametrize(("per_night", "nights", "code"), [(0.01, 60, 1), (0, 60, 0), (0, 5, 5)])
def test_the_command_ends_as_its_answers_are(
    per_night: float, nights: int, code: int, runs: Callable[..., Path], capsys
) -> None:
    """1 where one drifts, 5 where nothing can be told; as lines and as JSON."""
    folder = runs(*drifting(per_night, nights))
    assert main(["history", "--runs", str(folder)]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "EMGSIM NA-1 7, healthy_biceps"
    assert lines[2].split()[:2] == [GAIN, str(nights)]
    assert main(["history", "--runs", str(folder), "--json"]) == code
    (row,) = json.loads(capsys.readouterr().out)
    assert len(row["points"]) == nights


def test_what_was_looked_into_is_left_out(runs: Callable[..., Path], capsys) -> None:
    """An alarm stays until somebody says from when on to look; runs that broke do not count."""
    broken = night(60, 50.0, status="aborted")
    folder = runs(*(night(n, 9.0 * (n >= 30) + 0.01 * (n % 7)) for n in range(60)), broken)
    assert main(["history", "--runs", str(folder)]) == 1
    capsys.readouterr()
    assert main(["history", "--runs", str(folder), "--since", "2026-08-31"]) == 0
    assert f"{GAIN}  30 " in capsys.readouterr().out
    assert main(["history", "--runs", str(folder), "--since", "last week"]) == 2
    assert "ISO 8601" in capsys.readouterr().err


def test_what_is_no_record_is_left_out_and_named(runs: Callable[..., Path], capsys) -> None:
    """One damaged file does not hide the others."""
    folder = runs(*drifting(0.0))
    (folder / "torn").mkdir()
    (folder / "torn" / "record.json").write_text('{"status": "comp')
    assert main(["history", "--runs", str(folder)]) == 0
    assert "torn" in capsys.readouterr().err
    assert main(["history", "--runs", str(folder / "nowhere")]) == 3
    assert "no such folder of runs" in capsys.readouterr().err


def test_the_page_shows_each_series_and_asks_for_nothing(runs: Callable[..., Path]) -> None:
    """What drifts stands first; a run that failed is a ring; a change is marked and told."""
    changed = [night(n, 2.0 * (n == 5), serial="5", firmware=f"1.{n // 20}") for n in range(40)]
    folder = runs(*drifting(0.01), *changed)
    page = folder / "history.html"
    assert main(["history", "--runs", str(folder), "--page", str(page)]) == 1
    text = page.read_text("utf-8")
    assert text.index("drift since") < text.index("steady</span> <span")
    assert text.count("<circle") == 100
    assert text.count('class="poor-run"') == 1
    assert "Changed 2026-08-21: firmware 1.0 -&gt; 1.1" in text
    assert not re.search(r'(src|href)="?http|url\(', text)
    assert "NaN" not in text


def test_a_page_of_hostile_names_shows_them_as_text() -> None:
    """Whatever a device calls itself."""
    records = tables(*(night(n, serial="<script>") for n in range(12)))
    text = history_page([one.table() for one in judged(histories(records))], "History")
    assert "<script>" not in text
