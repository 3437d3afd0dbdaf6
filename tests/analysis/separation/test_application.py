"""Filters in new samples: the same discharges, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.analysis.separation import SurfaceStream

RATE_HZ = 2000.0
N = 2000  # samples of the property test


def told(filters, blocks):
    """All that a stream tells of blocks."""
    stream = SurfaceStream(filters)
    return [discharge for block in blocks for discharge in stream.step(block)]


def test_online_discharges_are_the_offline_ones(grid, found):
    """The filters on their own recording tell what the decomposition told, at the same times."""
    for unit, online_s in zip(found.units, found.filters.applied(grid.samples_uv), strict=True):
        offline_s = unit.discharge_times_s
        same = np.abs(offline_s[:, None] - online_s) < 0.0005
        assert same.any(axis=1).mean() > 0.97
        assert same.any(axis=0).mean() > 0.97


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, N), max_size=12))
def test_discharges_do_not_depend_on_the_blocks(grid, found, cuts):
    """Any cut of the samples gives exactly the discharges of a single block."""
    samples_uv = grid.samples_uv[:N]
    blocks = np.split(samples_uv, sorted(cuts))
    whole = told(found.filters, [samples_uv])
    assert len(whole) > 20
    assert told(found.filters, blocks) == whole


def test_single_samples_are_blocks_too(grid, found):
    """The smallest blocks there are."""
    samples_uv = grid.samples_uv[:N]
    assert told(found.filters, samples_uv[:, None]) == told(found.filters, [samples_uv])


def test_a_discharge_is_told_within_the_stated_latency(grid, found):
    """Sample by sample: when each is told, and that the latency is at most 50 ms."""
    stream = SurfaceStream(found.filters)
    late_s = [
        k / RATE_HZ - time_s
        for k, sample in enumerate(grid.samples_uv[: 2 * N], 1)
        for _, time_s in stream.step(sample[None])
    ]
    assert max(late_s) <= found.filters.latency_s + 1 / RATE_HZ
    assert found.filters.latency_s <= 0.050


def test_blocks_of_other_channels_are_refused(found):
    """The filters belong to the electrodes they were learned from."""
    with pytest.raises(ValueError, match=r"must be \(n, 16\), got \(10, 15\)"):
        SurfaceStream(found.filters).step(np.zeros((10, 15)))
