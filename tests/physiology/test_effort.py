"""The effort over time: exact at the borders of phases, and refused where it is impossible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from emgsim.errors import InputError
from emgsim.physiology.effort import effort_at, lasting
from emgsim.physiology.parameters import (
    Hold,
    LowLoad,
    Phase,
    Points,
    Ramp,
    Rest,
    Sinusoid,
    Trapezoid,
    Tremor,
)
from emgsim.physiology.parameters.effort import total_s

PHASE: TypeAdapter[Phase] = TypeAdapter(Phase)
GRID_S = np.arange(4000) * 1e-3


def levels(*phases: Phase) -> np.ndarray:
    """Return the effort on a grid of 1 ms over 4 s."""
    return effort_at(phases, GRID_S)


def test_a_hold_rises_along_its_ramp_and_stays() -> None:
    """By pencil: rest 0.1 s, then 20 % over 50 ms."""
    effort = levels(Rest(duration_s=0.1), Hold(duration_s=0.2, level_mvc=0.2, ramp_s=0.05))
    assert np.all(effort[:101] == 0.0)
    assert effort[125] == pytest.approx(0.1)
    assert effort[150:300] == pytest.approx(0.2)
    assert np.all(effort[300:] == 0.0)


def test_a_border_belongs_to_the_phase_that_begins_there() -> None:
    """0.1 + 0.2 s, which no grid of 1 ms meets exactly: a step stands on its sample, not after."""
    rests = (Rest(duration_s=0.1), Rest(duration_s=0.2))
    effort = levels(*rests, Hold(duration_s=1, level_mvc=0.3, ramp_s=0.0))
    assert effort[299] == 0.0
    assert effort[300] == 0.3
    assert levels(*rests, Hold(duration_s=1, level_mvc=0.1)).min() == 0.0


def test_a_ramp_goes_evenly_from_level_to_level() -> None:
    """10 to 50 % in 2 s: 30 % in the middle; downward as well."""
    effort = levels(
        Ramp(duration_s=2, from_mvc=0.1, to_mvc=0.5), Ramp(duration_s=2, from_mvc=0.5, to_mvc=0.0)
    )
    assert effort[[0, 1000, 2000, 3000]] == pytest.approx([0.1, 0.3, 0.5, 0.25])


def test_a_trapezoid_rises_holds_and_falls() -> None:
    """1 s up, 2 s at 40 %, 1 s down."""
    effort = levels(Trapezoid(duration_s=4, level_mvc=0.4, rise_s=1, fall_s=1))
    assert effort[[0, 500, 1000, 2000, 3000, 3500]] == pytest.approx([0, 0.2, 0.4, 0.4, 0.4, 0.2])
    at_once = levels(Trapezoid(duration_s=4, level_mvc=0.4, rise_s=0, fall_s=0))
    assert np.all(at_once == 0.4)


def test_a_sinusoid_begins_at_its_mean_and_rises() -> None:
    """30 +- 20 % at 0.5 Hz: crest after 0.5 s, trough after 1.5 s."""
    swing = Sinusoid(duration_s=4, mean_mvc=0.3, amplitude_mvc=0.2, frequency_hz=0.5)
    assert levels(swing)[[0, 500, 1500, 2000]] == pytest.approx([0.3, 0.5, 0.1, 0.3])
    assert swing.peak_mvc == pytest.approx(0.5)


def test_a_tremor_waxes_and_wanes_about_its_level() -> None:
    """20 % at 5 Hz, depth a half: between 10 and 30 %, the mean kept."""
    effort = levels(Tremor(duration_s=4, level_mvc=0.2, depth=0.5, frequency_hz=5.0))
    assert (effort.min(), effort.max()) == pytest.approx((0.1, 0.3))
    assert effort.mean() == pytest.approx(0.2)
    power = np.abs(np.fft.rfft(effort - effort.mean()))
    assert np.argmax(power) / 4.0 == 5.0


def test_points_are_joined_by_straight_lines() -> None:
    """Three points; after the last one the phase is over."""
    effort = levels(Points(times_s=(0, 1, 2), levels_mvc=(0.0, 0.4, 0.2)))
    assert effort[[0, 500, 1000, 1500, 1999]] == pytest.approx([0, 0.2, 0.4, 0.3, 0.2002])
    assert np.all(effort[2000:] == 0.0)


def test_times_need_no_order_and_no_grid() -> None:
    """The effort is a function of time, zero before the first phase and after the last."""
    hold = Hold(duration_s=1, level_mvc=0.2, ramp_s=0.5)
    found = effort_at([hold], np.array([2.0, 0.25, -1.0, 0.75]))
    assert found == pytest.approx([0.0, 0.1, 0.0, 0.2])


@st.composite
def phases(draw: st.DrawFn) -> tuple[Phase, ...]:
    """Draw some phases of all kinds."""
    level, duration_s = st.floats(0.01, 0.5), st.floats(0.2, 3.0)
    kinds = [
        st.builds(Rest, duration_s=duration_s),
        st.builds(Hold, duration_s=duration_s, level_mvc=level, ramp_s=st.floats(0, 0.1)),
        st.builds(Ramp, duration_s=duration_s, from_mvc=level, to_mvc=level),
        st.builds(
            Trapezoid,
            duration_s=duration_s,
            level_mvc=level,
            rise_s=st.floats(0, 0.1),
            fall_s=st.floats(0, 0.1),
        ),
        st.builds(
            Sinusoid,
            duration_s=duration_s,
            mean_mvc=st.just(0.5),
            amplitude_mvc=level,
            frequency_hz=st.floats(0.1, 2),
        ),
        st.builds(Tremor, duration_s=duration_s, level_mvc=level, depth=st.floats(0.1, 1)),
    ]
    return tuple(draw(st.lists(st.one_of(kinds), min_size=1, max_size=4)))


@given(phases=phases())
def test_an_effort_stays_between_nothing_and_the_peak(phases: tuple[Phase, ...]) -> None:
    """No phase is ever above its `peak_mvc`, below zero, or active after its end."""
    times_s = np.linspace(0, total_s(phases) + 0.5, 2000)
    effort = effort_at(phases, times_s)
    assert effort.min() >= 0.0
    assert effort.max() <= max(phase.peak_mvc for phase in phases) + 1e-12
    assert np.all(effort[times_s >= total_s(phases)] == 0.0)


@given(phases=phases(), more_s=st.floats(0.01, 5.0))
def test_what_is_held_can_be_cut_and_stretched(phases: tuple[Phase, ...], more_s: float) -> None:
    """A last phase that is no ramp takes what is wanted; what was before it stays as it was."""
    longer = (*phases, Rest(duration_s=1.0))
    wanted_s = total_s(phases) + more_s
    changed = lasting(longer, wanted_s)
    assert total_s(changed) == pytest.approx(wanted_s)
    assert changed[: len(phases)] == phases
    times_s = np.linspace(0, total_s(phases), 500)
    np.testing.assert_allclose(effort_at(changed, times_s), effort_at(longer, times_s), atol=1e-9)


REST, HOLD = Rest(duration_s=2), Hold(duration_s=10, level_mvc=0.05)


@pytest.mark.parametrize(
    ("duration_s", "lengths"),
    [(1.0, [1.0]), (2.0, [2.0]), (2.6, [2.0, 0.6]), (12.0, [2.0, 10.0]), (30.0, [2.0, 28.0])],
)
def test_later_phases_go_first(duration_s: float, lengths: list[float]) -> None:
    """The last one makes up what is missing."""
    changed = lasting((REST, HOLD), duration_s)
    assert [phase.duration_s for phase in changed] == pytest.approx(lengths)


RAMP = Ramp(duration_s=3, to_mvc=0.5)


@pytest.mark.parametrize(
    ("phases", "duration_s", "words"),
    [
        ((REST, HOLD), 0.0, "duration_s must be > 0, got 0"),
        ((REST, HOLD), float("nan"), "duration_s must be > 0, got nan"),
        ((REST, HOLD), 2.3, "duration_s = 2.3 ends phase 2 within its ramp of 0.5 s"),
        (
            (Trapezoid(duration_s=9, level_mvc=0.2, rise_s=2, fall_s=2),),
            3.0,
            "duration_s = 3 ends phase 1 within its ramps of 4 s",
        ),
        ((RAMP,), 2.0, "ends phase 1 otherwise than after its 3 s: ramp keeps its length"),
        ((RAMP,), 5.0, "ends phase 1 otherwise than after its 3 s: ramp keeps its length"),
    ],
)
def test_a_length_that_fits_no_phase_is_refused(
    phases: tuple[Phase, ...], duration_s: float, words: str
) -> None:
    """The message names the length and the rule, and where it stands."""
    with pytest.raises(InputError) as info:
        lasting(phases, duration_s, where="scenario x")
    assert words in str(info.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "rest", "duration_s": 1, "level_mvc": 0.1}, "level_mvc must be 0 at rest"),
        ({"kind": "hold", "duration_s": 1}, "level_mvc must be > 0 in a hold"),
        (
            {"kind": "hold", "duration_s": 1, "level_mvc": 0.1, "ramp_s": 1},
            r"ramp_s must be < duration_s \(1\), got 1",
        ),
        ({"kind": "hold", "duration_s": 1, "level_mvc": 1.2}, "less than or equal to 1"),
        (
            {"kind": "trapezoid", "duration_s": 1, "level_mvc": 0.1, "rise_s": 1, "fall_s": 1},
            r"rise_s \+ fall_s must be <= duration_s \(1\), got 2",
        ),
        (
            {
                "kind": "sinusoid",
                "duration_s": 1,
                "mean_mvc": 0.1,
                "amplitude_mvc": 0.2,
                "frequency_hz": 1,
            },
            r"must stay in 0\.\.1, got -0\.1\.\.0\.3",
        ),
        ({"kind": "tremor", "duration_s": 1, "level_mvc": 0.8}, r"must be <= 1, got 1\.2"),
        (
            {"kind": "points", "times_s": [0, 1], "levels_mvc": [0, 0, 0]},
            r"as many values as times_s \(2\), got 3",
        ),
        ({"kind": "points", "times_s": [1, 2], "levels_mvc": [0, 0]}, "begin at 0, got 1"),
        ({"kind": "points", "times_s": [0, 2, 2], "levels_mvc": [0, 0, 0]}, "must rise"),
        ({"kind": "stroll", "duration_s": 1}, "'rest', 'hold'"),
    ],
)
def test_an_impossible_phase_is_refused(table: dict[str, object], words: str) -> None:
    """Thing, rule and value."""
    with pytest.raises(ValidationError, match=words):
        PHASE.validate_python(table)


def test_a_phase_is_read_by_its_kind() -> None:
    """A table of a file becomes the model of that name, and goes back the same."""
    table = {"kind": "hold", "name": "", "duration_s": 10.0, "level_mvc": 0.05, "ramp_s": 0.5}
    assert PHASE.validate_python(table) == HOLD
    assert HOLD.model_dump() == table


def test_light_work_is_left_for_gaps_as_often_and_as_long_as_asked() -> None:
    """An hour of it: six gaps a minute of one second each, between ramps of 0.1 s."""
    phase = LowLoad(duration_s=3600, level_mvc=0.04, gaps_per_min=6, gap_s=1.0)
    effort = effort_at([phase], np.arange(3_600_000) * 1e-3)
    is_gap = effort == 0.0
    begins = np.count_nonzero(np.diff(is_gap.astype(int)) == 1)
    assert begins / 60 == pytest.approx(6, rel=0.1)
    assert is_gap.sum() * 1e-3 / begins == pytest.approx(1.0, rel=0.05)
    assert effort.max() == 0.04


def test_longer_light_work_has_the_same_gaps_and_more() -> None:
    """And another pattern has others."""
    work = LowLoad(duration_s=30, level_mvc=0.04, gaps_per_min=10)
    times_s = np.arange(30_000) * 1e-3
    first = effort_at([work], times_s)
    np.testing.assert_array_equal(first, effort_at(lasting([work], 90.0), times_s))
    assert np.any(first != effort_at([work.model_copy(update={"pattern": 2})], times_s))


def test_gaps_that_fill_the_minute_are_refused() -> None:
    """20 gaps of 3 s leave no time for work."""
    with pytest.raises(ValidationError, match=r"must be <= 45 s of a minute, got 94"):
        LowLoad(duration_s=60, level_mvc=0.04, gaps_per_min=20, gap_s=3.0)
