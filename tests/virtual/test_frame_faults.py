"""What becomes of frames on their way: dropped, repeated, spoilt, lost in bursts, cut off."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.virtual.frame_faults import FrameFaults, Losses, Wire

FRAMES = np.arange(1, 31, dtype=np.uint8)[:, None] * np.ones(3, np.uint8)  # frame k: k k k


def numbers(sent: bytes) -> list[int]:
    """Return the first byte of each frame of three."""
    return list(sent[::3])


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (FrameFaults(), list(range(1, 31))),
        (FrameFaults(drop_every_n_frames=3), [k for k in range(1, 31) if k % 3]),
        (FrameFaults(drop_frames=(5, 10)), [1, 2, 3, 4, *range(15, 31)]),
        (FrameFaults(hang_up_after_frames=4), [1, 2, 3, 4]),
        (FrameFaults(repeat_every_n_frames=10), sorted([*range(1, 31), 10, 20, 30])),
    ],
)
@given(st.lists(st.integers(0, 30), max_size=4))
def test_the_right_frames_arrive_however_they_are_cut(
    faults: FrameFaults, expected: list[int], cuts: list[int]
) -> None:
    """Frames are counted from 1 over all pieces."""
    wire, places = Wire(faults), sorted({0, 30, *cuts})
    sent = b"".join(wire.carry(FRAMES[start:end]) for start, end in pairwise(places))
    assert numbers(sent) == expected
    assert wire.is_cut == (faults.hang_up_after_frames > 0)


def test_lines_of_any_length_are_frames_too() -> None:
    """The second of every two is dropped."""
    assert Wire(FrameFaults(drop_every_n_frames=2)).carry([b"a", b"bb", b"ccc"]) == b"accc"


def test_spoilt_frames_differ_where_it_is_said() -> None:
    """One bit in the middle, or all bits of the last byte; the others are as they were."""
    sent = Wire(FrameFaults(corrupt_every_n_frames=2, break_every_n_frames=3)).carry(FRAMES[:4])
    assert [sent[k : k + 3] for k in range(0, 12, 3)] == [
        b"\1\1\1", b"\2\x12\2", b"\3\3\xfc", b"\4\x14\4"
    ]  # fmt: skip


def test_bursts_have_the_rate_and_length_of_their_model() -> None:
    """Of 200 000 frames begin / (begin + end) are lost, in bursts of 1 / end on average."""
    begin, end = 0.01, 0.25
    arrived = Losses(begin, end, np.random.default_rng(3)).arrive(200_000)
    edges = np.flatnonzero(np.diff(np.concatenate(([True], arrived, [True])).astype(int)))
    lengths = edges[1::2] - edges[::2]
    assert np.mean(~arrived) == pytest.approx(begin / (begin + end), rel=0.1)
    assert lengths.mean() == pytest.approx(1 / end, rel=0.1)


def test_bursts_are_those_of_the_seed_however_they_are_asked_for() -> None:
    """One frame at a time, or all at once; and the wire counts what is lost."""
    whole = Losses(0.1, 0.3, np.random.default_rng(3)).arrive(500)
    single = Losses(0.1, 0.3, np.random.default_rng(3))
    np.testing.assert_array_equal([single.arrive(1)[0] for _ in range(500)], whole)
    wire = Wire(FrameFaults(), Losses(0.1, 0.3, np.random.default_rng(3)))
    sent = wire.carry([b"x"] * 500)
    assert (wire.n_frames, wire.n_lost) == (500, 500 - len(sent))
    assert wire.n_lost == int((~whole).sum())
