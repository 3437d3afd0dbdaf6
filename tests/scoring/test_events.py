"""Events of one line against the discharges of several units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.recording import MotorUnit, Truth
from emgsim.scoring import score_events


def truth(*trains_s: list[float]) -> Truth:
    """Units 1, 2, ... with these discharges."""
    units = tuple(
        MotorUnit(id=k, muscle="m", threshold=0.0, n_fibres=1, muap_uv=np.zeros((1, 1)),
                  discharge_times_s=np.array(train), muap_start_s=0.0, arrival_s=0.0)
        for k, train in enumerate(trains_s, start=1)
    )  # fmt: skip
    return Truth(units=units, muap_rate_hz=48_000.0)


TRUE = truth([0.1, 0.2, 0.3, 0.4], [0.15, 0.25, 0.35])


def test_each_unit_has_its_own_delay() -> None:
    """One unit is told 2 ms late, the other 1 ms early; all are heard, and nothing is false."""
    events_s = np.array([0.102, 0.202, 0.302, 0.402, 0.149, 0.249, 0.349])
    found = score_events(events_s, TRUE, {1, 2})
    assert (found.heard, found.discharges, found.explained, found.events) == (7, 7, 7, 7)


def test_missed_and_false_events_are_counted() -> None:
    """Of seven discharges three were told, and one event is nobody's."""
    found = score_events(np.array([0.1, 0.2, 0.35, 0.5]), TRUE, {1, 2})
    sensitivity, precision = found.measurements("device_reported")
    assert (sensitivity.id, sensitivity.value) == (
        "events.sensitivity.device_reported", pytest.approx(3 / 7)
    )  # fmt: skip
    assert precision.value == pytest.approx(3 / 4)
    assert precision.low < 0.75 < precision.high


def test_two_units_may_share_an_event() -> None:
    """A single line says one thing of two discharges at once."""
    found = score_events(np.array([0.1]), truth([0.1], [0.1]), {1, 2})
    assert (found.heard, found.explained) == (2, 1)


def test_units_that_cannot_be_heard_do_not_count() -> None:
    """What is told of them is false, and what is not told is not missed."""
    found = score_events(np.array([0.15, 0.25, 0.35]), TRUE, {1})
    assert (found.heard, found.discharges, found.explained, found.events) == (0, 4, 0, 3)


def test_a_silent_detector_has_no_precision() -> None:
    """Nothing was told: no share of it is right or wrong."""
    sensitivity, precision = score_events(np.zeros(0), TRUE, {1, 2}).measurements("x")
    assert sensitivity.value == 0.0
    assert np.isnan(precision.value)


@given(st.permutations(range(7)))
def test_the_order_of_the_events_does_not_matter(order: list[int]) -> None:
    """Events of several fields come field by field."""
    events_s = np.array([0.102, 0.202, 0.302, 0.402, 0.149, 0.249, 0.5])
    assert score_events(events_s[order], TRUE, {1, 2}) == score_events(events_s, TRUE, {1, 2})
