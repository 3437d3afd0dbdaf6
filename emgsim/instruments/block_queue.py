"""Keeps decoded blocks until somebody takes them, in pieces of any size."""

from __future__ import annotations

import numpy as np

from emgsim.instruments.base import DeviceBlock


class BlockQueue:
    """Holds blocks that follow each other, and cuts them anew."""

    def __init__(self) -> None:
        self._blocks: list[DeviceBlock] = []

    @property
    def n_samples(self) -> int:
        """Number of samples that wait."""
        return sum(len(block.counts) for block in self._blocks)

    def put(self, block: DeviceBlock) -> None:
        """Add the next block; an empty one is left out."""
        if len(block.counts):
            self._blocks.append(block)

    def take(self, n_samples: int) -> DeviceBlock:
        """Cut the oldest n_samples off, or all if there are fewer; there must be one.

        A gap that is cut is listed in both parts.
        """
        blocks, last = self._blocks, self._blocks[-1]
        first = blocks[0].first_sample
        counts = blocks[0].counts
        if len(blocks) > 1:
            counts = np.concatenate([block.counts for block in blocks])
        whole = DeviceBlock(
            counts,
            first,
            tuple(gap for block in blocks for gap in block.gaps),
            last.n_bad_frames,
            last.n_repeated_frames,
            tuple(event for block in blocks for event in block.events),
        )
        end = first + len(counts)
        middle = min(first + n_samples, end)
        self._blocks = [_part(whole, middle, end)] if middle < end else []
        return _part(whole, first, middle)


def _part(block: DeviceBlock, first: int, end: int) -> DeviceBlock:
    """Cut a block to the samples first..end."""
    start = first - block.first_sample
    return DeviceBlock(
        block.counts[start : start + end - first],
        first,
        _within(block.gaps, first, end),
        block.n_bad_frames,
        block.n_repeated_frames,
        tuple(event for event in block.events if first <= event.sample < end),
    )


def _within(gaps: tuple[tuple[int, int], ...], first: int, end: int) -> tuple[tuple[int, int], ...]:
    """Cut gaps to the samples first..end; what lies outside is left out."""
    cut = ((max(start, first), min(start + n, end)) for start, n in gaps)
    return tuple((start, stop - start) for start, stop in cut if stop > start)
