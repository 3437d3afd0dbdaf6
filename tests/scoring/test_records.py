"""Records each for themselves, pooled and averaged, as EC57's tables have them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emgsim.scoring import average_interval, compare, pooled_interval, summarise


@pytest.fixture
def scores(findings_of, truth_of):
    """Return a long record half of which was found, a short perfect one, and an empty one."""
    long, short = np.arange(1.0, 101.0) / 10, np.arange(1.0, 11.0) / 10
    return {
        "long": compare(findings_of(long[::2] + 0.001), truth_of(long)),
        "short": compare(findings_of(short + 0.001), truth_of(short)),
        "empty": compare(findings_of(), truth_of()),
    }


def test_gross_weighs_discharges_and_average_weighs_records(scores) -> None:
    """50 of 100 and 10 of 10: gross 60/110, average 0.75; the empty record has no part in it."""
    summary = summarise(scores)
    sensitivity = summary.estimates["sensitivity"]
    assert sensitivity.gross == pytest.approx(60 / 110)
    assert sensitivity.average == pytest.approx(0.75)
    assert summary.estimates["precision"].average == 1.0
    assert summary.estimates["f1"].gross == pytest.approx(summary.gross.f1)
    found, true = [50, 10], [100, 10]
    assert sensitivity.gross_interval == pooled_interval(found, true)
    assert sensitivity.average_interval == average_interval(found, true)
    assert summary.values("jaccard")[:2] == pytest.approx([0.5, 1.0])
    assert math.isnan(summary.values("jaccard")[2])


def test_the_table_has_a_line_for_each_record_and_both_lines_below(scores) -> None:
    """Record by record, gross, average, and the intervals of F1."""
    lines = str(summarise(scores)).splitlines()
    heads = [line.split()[0] for line in lines[1:6]]
    assert heads == ["long", "short", "empty", "gross", "average"]
    assert lines[4].split()[1:4] == ["60", "0", "50"]


def test_measurements_carry_both_lines_with_their_intervals(scores) -> None:
    """Each value lies in its interval, and says over how many recordings it goes."""
    measured = {m.id: m for m in summarise(scores).measurements("truth")}
    assert len(measured) == 8
    for measurement in measured.values():
        assert measurement.low <= measurement.value <= measurement.high
        assert "3 recordings" in measurement.note


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_records_have_no_interval(n: int, scores) -> None:
    """One record's spread is unknown, and of none there is not even a value."""
    summary = summarise(dict(list(scores.items())[:n]))
    assert math.isnan(summary.estimates["f1"].gross_interval.low)
    assert math.isnan(summary.estimates["f1"].gross) == (n == 0)
    assert str(summary)
