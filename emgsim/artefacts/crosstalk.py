"""A neighbour muscle's recording, as it arrives through the tissue between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.artefacts.parameters import Crosstalk
from emgsim.recording import Event, Recording

Floats = NDArray[np.float64]


class Overheard:
    """A stage that adds a given recording, scaled and low-passed without delay.

    Raises
    ------
    ValueError
        If the neighbour's rate or channels do not fit, it has lost samples, or it ends too early.
    """

    def __init__(
        self, artefact: Crosstalk, rate_hz: float, n_channels: int, neighbour: Recording
    ) -> None:
        samples_uv = neighbour.samples_uv
        if neighbour.rate_hz != rate_hz:
            raise ValueError(
                f"crosstalk: the neighbour's rate_hz must be {rate_hz:g}, got {neighbour.rate_hz:g}"
            )
        if samples_uv.shape[1] not in (1, n_channels):
            raise ValueError(
                f"crosstalk: the neighbour must have 1 or {n_channels} channels, "
                f"got {samples_uv.shape[1]}"
            )
        if not np.isfinite(samples_uv).all():
            raise ValueError("crosstalk: the neighbour must have no lost samples")
        # A volume conductor does not delay; a corner above the rate's top passes everything.
        if artefact.lowpass_hz < 0.45 * rate_hz:
            sos = signal.butter(1, artefact.lowpass_hz, fs=rate_hz, output="sos")
            samples_uv = signal.sosfiltfilt(sos, samples_uv, axis=0, padtype=None)
        self._added_uv: Floats = artefact.gain * samples_uv

    def step(self, samples_uv: Floats, start_sample: int) -> tuple[Floats, tuple[Event, ...]]:
        """Return the block with the neighbour's EMG added; it has no events of its own."""
        end = start_sample + len(samples_uv)
        if end > len(self._added_uv):
            raise ValueError(
                f"crosstalk: the neighbour must be as long as the recording, sample {end}; "
                f"it has {len(self._added_uv)}"
            )
        return samples_uv + self._added_uv[start_sample:end], ()

    def finish(self) -> tuple[Event, ...]:
        """Return nothing."""
        return ()
