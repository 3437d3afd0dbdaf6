"""Decomposition while the samples still come: the units learned once, then followed."""

from emgsim.analysis.streaming.stream import StreamingDecomposition, UnitDischarge

__all__ = ["StreamingDecomposition", "UnitDischarge"]
