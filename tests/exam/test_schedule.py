"""The examination's schedule: what is done, in which order, and that two clocks agree on it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import simpy.rt
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from emgsim.exam.protocol import Protocol
from emgsim.exam.schedule import Step, perform, schedule

BICEPS = (18.0, 120.0)  # radius and fibre length, mm
NEEDLE = ("insertion", "move", "seek")


@st.composite
def protocols(draw: st.DrawFn) -> Protocol:
    """Draw a protocol of a few places."""
    quadrants = draw(st.integers(1, 6))
    depths = draw(st.lists(st.floats(0.2, 1.4), min_size=1, max_size=3, unique=True))
    slight = draw(st.integers(0, quadrants * len(depths)))
    return Protocol(
        quadrants=quadrants,
        depths=tuple(sorted(depths)),
        rest_s=draw(st.floats(0.5, 5.0)),
        slight_sites=slight,
        strong_sites=draw(st.integers(0, slight)),
    )


def test_the_default_is_the_least_that_is_honest() -> None:
    """Eight rests of two seconds, six slight efforts, three strong ones, one hole."""
    steps, duration_s = schedule(Protocol(), *BICEPS)
    count = {kind: sum(s.kind == kind for s in steps) for kind in ("insertion", "move", "rest")}
    assert count == {"insertion": 1, "move": 7, "rest": 8}
    assert [s.name for s in steps if s.kind == "strong"] == ["strong 4", "strong 5", "strong 6"]
    assert sum(s.duration_s for s in steps if s.kind == "rest") == pytest.approx(16.0)
    assert duration_s == pytest.approx(8 * 2.9 + 6 * (0.3 + 0.9 + 0.2 + 5 + 0.4) + 3 * 3.1)


@given(protocols())
def test_steps_follow_each_other_and_nothing_overlaps(protocol: Protocol) -> None:
    """Needle, rest and effort take turns; all ends before the examination does."""
    steps, duration_s = schedule(protocol, *BICEPS)
    for before, after in pairwise(steps):
        assert before.onset_s < before.offset_s <= after.onset_s
    assert steps[-1].offset_s <= duration_s + 1e-9
    assert sum(step.kind == "slight" for step in steps) == protocol.slight_sites


@given(protocols(), st.floats(6.0, 26.0))
def test_the_needle_goes_in_by_one_hole_and_stays_in_the_muscle(
    protocol: Protocol, radius_mm: float
) -> None:
    """Each place lies on a straight shaft from the hole, at its depth."""
    hole = protocol.hole(radius_mm, 60.0)
    places = list(protocol.places(radius_mm, 60.0))
    assert len(places) == protocol.n_places
    for number, tip in enumerate(places):
        along_mm = math.dist((tip.x_mm, tip.y_mm, tip.z_mm), (hole.x_mm, hole.y_mm, hole.z_mm))
        depth = protocol.depths[number % len(protocol.depths)]
        assert along_mm == pytest.approx(depth * radius_mm)
        assert math.hypot(tip.x_mm, tip.y_mm) < radius_mm


@pytest.mark.parametrize("quadrants", [2, 3, 4, 6, 8])
def test_no_two_quadrants_hear_the_same_fibres(quadrants: int) -> None:
    """Fibres run along z: the places of one depth lie apart across them."""
    protocol = Protocol(quadrants=quadrants, depths=(0.95,), slight_sites=0, strong_sites=0)
    across_mm = sorted(tip.x_mm for tip in protocol.places(*BICEPS))
    assert min(b - a for a, b in pairwise(across_mm)) > 0.5


def test_the_shaft_leans_away_from_where_its_tip_goes() -> None:
    """The shaft's direction, by its tilt and azimuth, points from the tip to the hole."""
    hole = Protocol().hole(*BICEPS)
    for tip in Protocol().places(*BICEPS):
        tilt, azimuth = math.radians(tip.tilt_deg), math.radians(tip.tilt_azimuth_deg)
        along_mm = (hole.y_mm - tip.y_mm) / math.cos(tilt)
        assert tip.x_mm + along_mm * math.sin(tilt) * math.cos(azimuth) == pytest.approx(hole.x_mm)
        assert tip.z_mm + along_mm * math.sin(tilt) * math.sin(azimuth) == pytest.approx(hole.z_mm)


def test_the_paced_clock_gives_the_steps_of_the_free_one() -> None:
    """The same process on SimPy's real-time clock, run a thousand times too fast."""
    protocol = Protocol(quadrants=1, slight_sites=2, strong_sites=1)
    steps: list[Step] = []
    paced = simpy.rt.RealtimeEnvironment(factor=1e-3, strict=False)
    duration_s = perform(protocol, *BICEPS, paced, steps.append)
    assert (tuple(steps), duration_s) == schedule(protocol, *BICEPS)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"slight_sites": 9}, "slight_sites must be <= the 8 places, got 9"),
        ({"slight_sites": 2}, "strong_sites must be <= slight_sites (2), got 3"),
        ({"depths": (0.5, 2.0)}, "depths must be in 0..1.8 radii"),
    ],
)
def test_a_protocol_that_cannot_be_done_is_refused(values: dict[str, object], words: str) -> None:
    """The rule, the value, and what it is compared with."""
    with pytest.raises(ValidationError) as refused:
        Protocol.model_validate(values)
    assert words in str(refused.value)


def test_efforts_come_after_a_seeking_needle() -> None:
    """Before each slight effort the needle looks for a unit, and rests when it is made."""
    steps, _ = schedule(Protocol(), *BICEPS)
    for before, step in pairwise(steps):
        if step.kind == "slight":
            assert before.kind == "seek"
            assert before.seek == Protocol().seek
            assert step.onset_s - before.offset_s == pytest.approx(0.9 + 0.2)
        if step.kind in NEEDLE:
            assert (step.tip is None) == (step.kind == "seek")
