"""Rows of measures: right values under the right names, and no row for what was not seen."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.analysis.contractions import effort_measures
from emgsim.recording import Event, FoundUnit

Floats = NDArray[np.float64]
RATE_HZ = 12_000.0
EFFORT = (
    Event(kind="rest", onset_s=10.0, offset_s=11.0),
    Event(kind="contraction", onset_s=11.0, offset_s=15.0),
    Event(kind="artefact", onset_s=15.0, offset_s=15.5),
    Event(kind="contraction", onset_s=15.5, offset_s=19.0),
)


def zigzag(turns_per_s: float, height_uv: float, seconds: float) -> Floats:
    """Straight lines up and down."""
    position = np.arange(round(seconds * RATE_HZ)) / RATE_HZ * turns_per_s
    return height_uv * np.abs(position % 2 - 1)


def recorded() -> Floats:
    """Nine seconds from 10 s on: rest, 200 turns of 200 uV, nothing, 400 turns of 400 uV."""
    parts = [np.zeros(12_000), zigzag(200, 200, 4.0), np.zeros(6_000), zigzag(400, 400, 3.5)]
    return np.concatenate(parts)


def unit(number: int, rate_per_s: float, start_s: float = 11.0) -> FoundUnit:
    """A regular unit until 15 s."""
    return FoundUnit(
        id=number,
        discharge_times_s=np.arange(start_s, 15.0, 1 / rate_per_s),
        muap_uv=np.zeros((0, 1)),
        muap_start_s=0.0,
        measures={"rate_hz": rate_per_s, "interval_cov": 0.1},
    )


def values(**how) -> dict[str, float]:
    """The rows of the recording as a table."""
    rows = effort_measures(recorded(), RATE_HZ, start_s=10.0, **how)
    return {row["id"]: row["value"] for row in rows}


def test_the_fullest_contraction_gives_the_pattern() -> None:
    """The second one has 400 turns per second of 400 uV; the peak ratio is that of the better."""
    found = values(events=EFFORT)
    assert found["interference.turns_per_s"] == pytest.approx(400, rel=0.02)
    assert found["interference.mean_amplitude_uv"] == pytest.approx(400, rel=0.02)
    assert found["interference.peak_ratio_per_uv_s"] == pytest.approx(1.0, rel=0.02)


def test_durations_add_up() -> None:
    """One second of rest, 7.5 of contraction, a half of artefact."""
    found = values(events=EFFORT)
    assert [found[f"effort.{k}_s"] for k in ("rest", "contraction", "artefact")] == [1, 7.5, 0.5]


def test_units_give_recruitment_and_discharges() -> None:
    """8, 10 and 12 per second, the fastest starting at 12 s: interval 125 ms, ratio 12 / 3."""
    units = [unit(1, 8.0), unit(2, 10.0, 12.0), unit(3, 12.0, 13.0)]
    found = values(events=EFFORT, units=units)
    assert found["recruitment.onset_interval_ms"] == pytest.approx(125)
    assert found["recruitment.interval_ms"] == pytest.approx(125)
    assert found["recruitment.active_units"] == 3
    assert found["recruitment.ratio_hz"] == pytest.approx(4.0)
    assert found["discharges.mean_rate_hz"] == pytest.approx(10.0)


def test_the_ratio_is_that_of_the_contraction_with_the_most_units() -> None:
    """Two units at 10 and 12 per second, in the second contraction only one at 20."""
    late = FoundUnit(
        id=3,
        discharge_times_s=np.arange(15.5, 19.0, 0.05),
        muap_uv=np.zeros((0, 1)),
        muap_start_s=0.0,
    )
    found = values(events=EFFORT, units=[unit(1, 10.0), unit(2, 12.0), late])
    assert found["recruitment.active_units"] == 2
    assert found["recruitment.ratio_hz"] == pytest.approx(6.0)


@pytest.mark.parametrize(
    "doubtful",
    [
        {"confidence": np.full(60, 0.7)},  # remnants, or two neurons in one
        {"measures": {"duration_ms": 3.0}},  # a fibre that discharges by itself
        {"discharge_times_s": np.arange(13.0, 13.4, 0.05)},  # heard for too short a time
    ],
)
def test_a_unit_that_would_not_count_for_its_muap_does_not_count_here(doubtful: dict) -> None:
    """20 per second of no neuron would be the fastest of three, and is not."""
    fast = replace(unit(3, 20.0, 12.0), **doubtful)
    found = values(events=EFFORT, units=[unit(1, 10.0), unit(2, 12.0), fast])
    assert found["recruitment.active_units"] == 2
    assert found["recruitment.fastest_hz"] == pytest.approx(12.0)


def test_what_is_not_there_has_no_row() -> None:
    """Without a contraction no pattern, without units no recruitment."""
    assert set(values()) == {"effort.rest_s", "effort.contraction_s", "effort.artefact_s"}
    assert not [name for name in values(events=EFFORT) if name.startswith("recruitment")]


def test_rows_are_ready_for_findings() -> None:
    """One row for each name, with an interval around its value or none, and plain numbers."""
    rows = effort_measures(
        recorded(), RATE_HZ, start_s=10.0, events=EFFORT, units=[unit(k, 7.0 + k) for k in range(4)]
    )
    names = [row["id"] for row in rows]
    assert len(set(names)) == len(names)
    assert json.loads(json.dumps(rows, allow_nan=False)) == list(rows)
    for row in rows:
        assert row["low"] is None or row["low"] <= row["value"] <= row["high"]
