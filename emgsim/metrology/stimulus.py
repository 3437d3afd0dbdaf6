"""What is played for a test: segments one after the other behind a marker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.program import markers

Floats = NDArray[np.float64]

LEAD_S = 0.05  # silence before the marker, and after the last segment
GAP_S = 0.05  # silence between segments
QUIETEST_MARKER_UV = 200.0


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a stimulus, and what is played in it.

    ``facts`` are the numbers that whoever evaluates it needs: frequencies in hertz, amplitudes in
    microvolts.
    """

    name: str
    begins_s: float
    ends_s: float
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return self.ends_s - self.begins_s


@dataclass(frozen=True, eq=False, kw_only=True)
class Stimulus:
    """One playback through one state of the fixture.

    Attributes
    ----------
    name
        Unique among the tests: what has the same name is played once, for all that ask for it.
    state
        Of the fixture.
    uv
        Shape ``(n,)``: microvolts between the device's inputs, or of both against ground in a
        state that drives them together.
    rate_hz
        Points per second on the source's clock.
    segments
        Times count from the first point.
    marker
        Where the marker begins and its waveform; none where the device does not hear the source.
    """

    name: str
    state: str
    uv: Floats
    rate_hz: float
    segments: tuple[Segment, ...] = ()
    marker: tuple[float, Floats] | None = None

    @property
    def duration_s(self) -> float:
        """How long the playback is."""
        return self.uv.size / self.rate_hz

    @property
    def peak_uv(self) -> float:
        """Largest absolute value."""
        return float(np.max(np.abs(self.uv), initial=0.0))


def laid_out(
    name: str,
    state: str,
    rate_hz: float,
    parts: Sequence[tuple[str, Floats, Mapping[str, float]]],
    *,
    corner_hz: float,
    has_marker: bool = True,
    gap_s: float = GAP_S,
    marker_uv: float | None = None,
) -> Stimulus:
    """Lay waveforms one after the other, silence between them, behind a marker.

    Parameters
    ----------
    name, state, rate_hz
        As in `Stimulus`.
    parts
        Of each segment its name, waveform in microvolts, shape ``(n,)``, and facts.
    corner_hz
        Upper corner of the device's band, in which it must hear the marker.
    has_marker
        Whether it hears the source at all.
    gap_s
        Silence between segments.
    marker_uv
        Peak of the marker; None: that of the loudest part.
    """
    lead, gap = np.zeros(round(LEAD_S * rate_hz)), np.zeros(round(gap_s * rate_hz))
    pieces, segments, marker = [lead], [], None
    n = lead.size
    if has_marker:
        peak_uv = marker_uv or max(float(np.max(np.abs(uv))) for _, uv, _ in parts)
        peak_uv = max(QUIETEST_MARKER_UV, peak_uv)
        shape = peak_uv * markers(rate_hz, corner_hz)[0]
        marker = (n / rate_hz, shape)
        pieces += [shape, gap]
        n += shape.size + gap.size
    for part_name, uv, facts in parts:
        begins_s, ends_s = n / rate_hz, (n + uv.size) / rate_hz
        segments.append(
            Segment(name=part_name, begins_s=begins_s, ends_s=ends_s, facts=dict(facts))
        )
        pieces += [uv, gap]
        n += uv.size + gap.size
    pieces.append(lead)
    # The generator's memory holds whole milliseconds, so that any rate in kSa/s divides it.
    whole = int(np.ceil((n + lead.size) / rate_hz * 1000)) * rate_hz / 1000
    pieces.append(np.zeros(max(0, int(np.ceil(whole)) - n - lead.size)))
    return Stimulus(
        name=name,
        state=state,
        uv=np.concatenate(pieces),
        rate_hz=rate_hz,
        segments=tuple(segments),
        marker=marker,
    )


def sine(
    rate_hz: float, frequency_hz: float, amplitude_uv: float, duration_s: float, ramp_s: float = 0.0
) -> Floats:
    """Return a sine, shape ``(n,)``, whose ends rise and fall within ``ramp_s``."""
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    uv = amplitude_uv * np.sin(2 * np.pi * frequency_hz * t)
    if ramp_s > 0:
        rise = np.sin(0.5 * np.pi * np.minimum(1.0, (np.arange(t.size) + 0.5) / rate_hz / ramp_s))
        uv *= rise**2 * rise[::-1] ** 2
    return np.asarray(uv)
