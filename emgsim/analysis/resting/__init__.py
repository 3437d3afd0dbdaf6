"""Activity at rest: every discharge found, grouped into runs, measured and named."""

from emgsim.analysis.resting.insertion import insertional_length_s
from emgsim.analysis.resting.runs import resting_runs

__all__ = ["insertional_length_s", "resting_runs"]
