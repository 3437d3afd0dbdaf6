from dataclasses import replace

from emgsim.records.record import RunRecord
from emgsim.report.table import WIDTH, measurement_table
from emgsim.verdict import Limit, Measurement, judge


def test_the_table_ends_with_the_verdict(run) -> None:
    """The last line tells the verdict and how many measurements stand behind it."""
    lines = measurement_table(run[1]).splitlines()
    assert lines[-1] == "verdict: fail (5 judged, 3 reported)"


def test_judged_measurements_come_before_reported_ones(run) -> None:
    """What decided the verdict is read first, else the record's order is kept."""
    rows = [line.split()[0] for line in measurement_table(run[1]).splitlines()[2:-1]]
    assert rows[0] == "discharges.f1.truth"
    assert rows[-3:] == ["noise.line.device", "units.count.device", "clock.rate.device"]


def test_every_value_has_its_interval_unit_limit_and_verdict(run) -> None:
    """One row holds all that is known of a measurement."""
    text = measurement_table(run[1])
    assert "1.5812  [1.5723, 1.5901]          uV    <= 2 uV       pass" in text
    assert "0.8997  [0.8600, 0.9400]                >= 0.9        conditional fail" in text


def test_columns_stand_under_their_heads(run) -> None:
    """Each column begins where its head begins."""
    lines = measurement_table(run[1]).splitlines()
    at = lines[0].index("limit")
    assert {line[at - 2 : at] for line in lines[2:-1]} <= {"  ", ""}


def test_no_line_is_wider_than_the_terminal() -> None:
    """Long names are cut, whatever their column."""
    limit = Limit(measurement="x", low=0.123456789, high=1.23456789, unit="V" * 60)
    m = judge(Measurement(id="x" * 300, value=1.0, unit="V" * 60), limit)
    record = RunRecord(status="completed", measurements=(m,), errors=({"what": "y" * 300},))
    assert max(map(len, measurement_table(record).splitlines())) <= WIDTH


def test_a_foreign_name_cannot_steer_the_terminal() -> None:
    """Neither measurements nor errors bring escape sequences or lines of their own."""
    m = Measurement(id="a\x1b[2J\nb", value=1.0, unit="1")
    record = RunRecord(status="aborted", measurements=(m,), errors=({"what": "c\x1b]0;d\r"},))
    text = measurement_table(record)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 5


def test_an_aborted_run_says_so_and_why(run) -> None:
    """The error stands above the verdict."""
    record = replace(run[1], status="aborted", measurements=(), errors=({"what": "no answer"},))
    assert measurement_table(record) == (
        "no measurement was made\nerror: no answer\nverdict: aborted (0 judged, 0 reported)\n"
    )


def test_a_run_that_went_on_says_after_what(run) -> None:
    """What interrupted it is no error of the completed run, and is told."""
    record = replace(run[1], measurements=(), errors=({"what": "no answer"},))
    assert measurement_table(record) == (
        "no measurement was made\nwent on after: no answer\n"
        "verdict: not judged (0 judged, 0 reported)\n"
    )
