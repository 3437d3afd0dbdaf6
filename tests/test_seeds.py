"""One named random stream per role."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.seeds import occurrences, stream


@given(seed=st.integers(0, 2**64), role=st.text(max_size=20), item=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_the_same_key_gives_the_same_stream(seed: int, role: str, item: int) -> None:
    """Seed, role and item decide everything."""
    a, b = stream(seed, role, item), stream(seed, role, item)
    np.testing.assert_array_equal(a.normal(size=8), b.normal(size=8))


def test_every_part_of_the_key_counts() -> None:
    """Another seed, another role or another item is another stream."""
    keys = [(1, "discharges", 0), (2, "discharges", 0), (1, "muscle", 0), (1, "discharges", 1)]
    first = {float(stream(*key).normal()) for key in keys}
    assert len(first) == len(keys)


def test_streams_of_two_roles_are_independent() -> None:
    """Ten thousand pairs show no correlation beyond four standard errors."""
    a, b = stream(1, "discharges").normal(size=10_000), stream(1, "muscle").normal(size=10_000)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.04


def test_the_streams_are_those_of_the_first_release() -> None:
    """Golden: a changed key derivation would silently change every recording ever made."""
    assert stream(1, "discharges").integers(0, 2**32, 3).tolist() == [
        1261408638,
        79744444,
        2203295577,
    ]


def test_a_negative_seed_is_refused() -> None:
    """The error names the rule; nothing is taken modulo anything."""
    with pytest.raises(ValueError, match="non-negative"):
        stream(-1, "discharges")


def test_occurrences_number_each_kind_from_nought() -> None:
    """One more of another kind moves none of the numbers."""
    assert occurrences([]) == []
    assert occurrences(["a", "b", "a", "a", "b"]) == [0, 0, 1, 2, 1]
