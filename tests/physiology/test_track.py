"""Where the needle is at each moment."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from emgsim.physiology.parameters import NeedleMove, TipPosition
from emgsim.physiology.track import track

TIP = TipPosition(x_mm=1.0, y_mm=2.0, z_mm=20.0)


def test_a_needle_that_rests_has_one_station() -> None:
    """At any time it is there, wholly."""
    still = track(TIP, ())
    station, share = still.shares(np.array([-1.0, 0.0, 1e6]))
    assert still.tips == (TIP,)
    assert station.tolist() == [0, 0, 0]
    assert share.tolist() == [0.0, 0.0, 0.0]


def test_a_move_passes_stations_of_a_twentieth_of_a_millimetre() -> None:
    """By pencil: 0.2 mm in 1 s from 3 s on; half-way it is at the third of five stations."""
    moved = track(TIP, [NeedleMove(at_s=3.0, duration_s=1.0, y_mm=1.8)])
    assert [round(tip.y_mm, 6) for tip in moved.tips] == [2.0, 1.95, 1.9, 1.85, 1.8]
    assert all((tip.x_mm, tip.z_mm) == (1.0, 20.0) for tip in moved.tips)
    station, share = moved.shares(np.array([0.0, 2.9, 3.0, 3.5, 3.625, 4.0, 9.0]))
    assert station.tolist() == [0, 0, 0, 2, 2, 4, 4]
    np.testing.assert_allclose(share, [0, 0, 0, 0, 0.5, 0, 0], atol=1e-9)
    assert [(time_s, tip.y_mm) for time_s, tip in moved.ends] == [(3.0, 2.0), (4.0, 1.8)]


def test_moves_follow_each_other_from_where_the_last_one_ended() -> None:
    """The second begins at the first one's end; a rotation passes stations of five degrees."""
    moves = [
        NeedleMove(at_s=1.0, duration_s=0.5, y_mm=1.9),
        NeedleMove(at_s=2.0, duration_s=0.5, rotation_deg=10.0),
    ]
    moved = track(TIP, moves)
    assert [(round(tip.y_mm, 3), tip.rotation_deg) for tip in moved.tips] == [
        (2.0, 0.0), (1.95, 0.0), (1.9, 0.0), (1.9, 5.0), (1.9, 10.0),
    ]
    assert moved.shares(np.array([1.8]))[0].tolist() == [2]


def test_what_the_needle_has_left_is_not_kept() -> None:
    """From the middle of a move on, the stations before it are no longer heard."""
    moved = track(TIP, [NeedleMove(at_s=3.0, duration_s=1.0, y_mm=1.8)])
    assert moved.tips_from(3.5) == set(moved.tips[2:])
    assert moved.tips_from(0.0) == set(moved.tips)


def test_a_move_that_begins_within_another_is_refused() -> None:
    """The message names both times."""
    moves = [NeedleMove(at_s=1.0, duration_s=1.0, x_mm=0.0), NeedleMove(at_s=1.5, x_mm=1.0)]
    with pytest.raises(ValueError, match=r"ended at 2 s, got at_s = 1.5"):
        track(TIP, moves)


def test_a_move_to_nowhere_is_refused() -> None:
    """It must change something."""
    with pytest.raises(ValidationError, match="a move must change one of x_mm, y_mm"):
        NeedleMove(at_s=1.0)
