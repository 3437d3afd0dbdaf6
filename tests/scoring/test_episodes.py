"""Episodes are matched by overlap, counted, timed, and never taken twice."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.recording import Event
from emgsim.scoring import score_episodes


def event(onset_s: float, offset_s: float, kind: str = "run") -> Event:
    """Return an episode."""
    return Event(kind=kind, onset_s=onset_s, offset_s=offset_s)


EVENTS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 6)).map(lambda x: event(x[0], x[0] + x[1])),
    max_size=4,
)


def test_an_episode_by_pencil() -> None:
    """True 1-3 s and 5-6 s; found 1.5-4 s and 8-9 s: one TP, 1.5 s of 3 s, 1.5 s of 3.5 s."""
    score = score_episodes([event(1.5, 4), event(8, 9)], [event(1, 3), event(5, 6)])
    assert (score.counts.tp, score.counts.fp, score.counts.fn) == (1, 1, 1)
    assert (score.episode_sensitivity, score.episode_precision) == (0.5, 0.5)
    assert score.duration_sensitivity == pytest.approx(1.5 / 3)
    assert score.duration_precision == pytest.approx(1.5 / 3.5)
    (pair,) = score.pairs
    errors = pair.onset_error_s, pair.offset_error_s, pair.duration_error_s
    assert errors == pytest.approx((0.5, 1.0, 0.5))


def test_a_run_found_in_pieces_is_found_once() -> None:
    """Three pieces of one run: EC57's sensitivity and precision are 1, but two are surplus."""
    score = score_episodes([event(0, 3), event(4, 6), event(7, 8)], [event(0, 10)])
    assert (score.episode_sensitivity, score.episode_precision) == (1.0, 1.0)
    assert (score.counts.tp, score.counts.fp, score.counts.fn) == (1, 2, 0)
    assert score.pairs[0].found == event(0, 3), "the longest overlap is the match"
    assert score.duration_sensitivity == pytest.approx(0.6)


def test_what_was_taken_for_what_is_told() -> None:
    """One run named rightly, one wrongly."""
    true = [event(0, 1, "fibrillation"), event(2, 3, "fibrillation")]
    found = [event(0, 1, "fibrillation"), event(2, 3, "end_plate_spike")]
    kinds = score_episodes(found, true).kinds
    assert kinds["fibrillation", "fibrillation"] == 1
    assert kinds["fibrillation", "end_plate_spike"] == 1


def test_episodes_that_only_touch_do_not_overlap() -> None:
    """An end is another's beginning: no common time, no match."""
    assert score_episodes([event(1, 2)], [event(0, 1)]).counts.tp == 0


@given(EVENTS, EVENTS)
def test_matching_episodes_equals_brute_force(found: list[Event], true: list[Event]) -> None:
    """The overlap in all is the largest of any one-to-one matching; time agrees with counting."""
    size = max(len(found), len(true))
    overlap_s = np.zeros((size, size))
    for i, a in enumerate(true):
        for j, b in enumerate(found):
            common_s = min(a.offset_s, b.offset_s) - max(a.onset_s, b.onset_s)
            overlap_s[i, j] = max(0.0, common_s)
    best = max(sum(overlap_s[i, j] for i, j in enumerate(p)) for p in permutations(range(size)))
    score = score_episodes(found, true)
    chosen = [
        min(p.true.offset_s, p.found.offset_s) - max(p.true.onset_s, p.found.onset_s)
        for p in score.pairs
    ]
    assert sum(chosen) == best
    grid = np.arange(0.5, 30)
    in_true, in_found = (
        np.any([np.zeros(grid.size, bool), *((e.onset_s < grid) & (grid < e.offset_s)
                for e in side)], axis=0)
        for side in (true, found)
    )  # fmt: skip
    times_s = score.true_s, score.found_s, score.both_s
    assert times_s == (in_true.sum(), in_found.sum(), (in_true & in_found).sum())


@given(EVENTS, EVENTS)
def test_sides_that_change_places_change_fp_and_fn(found: list[Event], true: list[Event]) -> None:
    """Symmetric: sensitivity becomes precision."""
    there, back = score_episodes(found, true), score_episodes(true, found)
    assert there.both_s == back.both_s
    assert (there.n_true_touched, there.n_found_touched) == (
        back.n_found_touched,
        back.n_true_touched,
    )


def test_no_episode_on_either_side_is_no_number() -> None:
    """Of nothing there is no share."""
    score = score_episodes([], [])
    assert score.pairs == ()
    assert math.isnan(score.episode_sensitivity)
    assert math.isnan(score.duration_precision)


@pytest.mark.parametrize("bad", [event(2, 1), event(math.nan, 1), event(0, math.inf)])
def test_an_episode_that_ends_before_it_begins_is_an_error(bad: Event) -> None:
    """Thing, rule and value."""
    with pytest.raises(ValueError, match="finite onset and an offset not before it"):
        score_episodes([bad], [])
