"""Where and how fast a recorder's clock ran against the clock of what was played.

A recorder took its sample k at the player's time ``offset + k (1 + drift) / rate``. The coarse
place comes from correlation with markers, the fine one from a joint least-squares fit of gain,
offset and drift to the whole waveform, which is known: the EMG itself carries more timing
information than any marker. Nothing is resampled: the answer is a start time and a true rate.

`align` places a playback by its opening and its closing marker. `synchronise` takes any number of
markers, leaves out those that were not found, and finds samples that were lost without being
counted. `fit_response` tells the delay of a filter from that of a clock. `cramer_rao` is the bound
that the errors are measured by.
"""

from __future__ import annotations

from emgsim.align.bound import cramer_rao
from emgsim.align.chirps import align, playback
from emgsim.align.fitting import Alignment, Deviations, Shaped, refine
from emgsim.align.losses import Loss, Synchrony, synchronise, with_gaps
from emgsim.align.marks import Line, Mark, line_through
from emgsim.align.response import Filtered, corners_of, fit_response, group_delay_s, shaped_by
from emgsim.align.waveform import Waveform

__all__ = [
    "Alignment",
    "Deviations",
    "Filtered",
    "Line",
    "Loss",
    "Mark",
    "Shaped",
    "Synchrony",
    "Waveform",
    "align",
    "corners_of",
    "cramer_rao",
    "fit_response",
    "group_delay_s",
    "line_through",
    "playback",
    "refine",
    "shaped_by",
    "synchronise",
    "with_gaps",
]
