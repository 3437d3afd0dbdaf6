"""The streams of chance of one generator's burst, each named by what it is for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgsim.seeds import stream


@dataclass(frozen=True)
class Chance:
    """A seed, the generator's number from 0, and the burst's: together they name a stream."""

    seed: int
    source: int
    burst: int

    def stream(self, purpose: str) -> np.random.Generator:
        """Return the stream of a purpose, from its beginning."""
        whose = f" of source {self.source + 1}" if self.source else ""
        return stream(self.seed, purpose + whose, self.burst)
