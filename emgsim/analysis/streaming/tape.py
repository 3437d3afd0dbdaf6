"""The newest samples of a stream, addressed by their number since its beginning."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Tape:
    """A stretch of samples of which the oldest are forgotten.

    Parameters
    ----------
    keep
        At least so many of the newest samples are remembered.
    dtype
        Of the samples.
    first
        Number of the first sample that will be added.
    """

    def __init__(self, keep: int, dtype: type = np.float64, *, first: int = 0) -> None:
        self.keep = keep
        self.first = first
        self._room: NDArray[Any] = np.zeros(2 * keep + 1, dtype)
        self._n = 0

    @property
    def end(self) -> int:
        """Number of the sample after the last."""
        return self.first + self._n

    def append(self, samples: NDArray[Any]) -> None:
        """Add samples at the end; forget the oldest when there is no room."""
        if self._n + samples.size > self._room.size:
            kept = self._room[max(self._n - self.keep, 0) : self._n].copy()
            self.first += self._n - kept.size
            self._n = kept.size
            if kept.size + samples.size > self._room.size:
                self._room = np.zeros(2 * (kept.size + samples.size), self._room.dtype)
            self._room[: kept.size] = kept
        self._room[self._n : self._n + samples.size] = samples
        self._n += samples.size

    def cut(self, first: int, last: int) -> NDArray[Any]:
        """Return a view of samples ``first .. last - 1``, all of them remembered.

        Raises
        ------
        IndexError
            If any of them is forgotten or has not come yet.
        """
        if not self.first <= first <= last <= self.end:
            raise IndexError(
                f"samples {first} .. {last} must lie in {self.first} .. {self.end}, what is "
                "remembered"
            )
        return self._room[first - self.first : last - self.first]
