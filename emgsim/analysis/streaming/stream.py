"""Decomposition of a stream: first learn the units from some seconds, then follow them live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.conditioning import Conditioned
from emgsim.analysis.decomposition import decompose, learned
from emgsim.analysis.plan import NeedlePlan
from emgsim.analysis.quality import LOWEST_RATE_HZ, SHORTEST_S, require_analysable
from emgsim.analysis.resolution import PHASES
from emgsim.analysis.streaming.filters import BandPass, grid_of, whitening
from emgsim.analysis.streaming.newcomers import Newcomer, searched
from emgsim.analysis.streaming.summaries import summary
from emgsim.analysis.streaming.tape import Tape
from emgsim.analysis.streaming.tracking import LOOKAHEAD_S, Tracked, Tracker
from emgsim.errors import NotAnalysableError
from emgsim.recording import Channel, Findings, Recording

Floats = NDArray[np.float64]

HOP_S = 0.025
TAUGHT_S = 1.0  # templates follow the newest discharges so often
AGAIN_S = 2.0  # learning that found no unit is tried again so often
SOUGHT_S = 2.0  # a new unit is looked for so often
SEARCHED_S = 6.0  # in so much of what is left over
REMEMBERED_S = 60.0  # of the unfiltered samples, for potentials and events


@dataclass(frozen=True, kw_only=True, order=True)
class UnitDischarge:
    """One discharge as it is reported: when, of which unit, and how large beside its template."""

    time_s: float  # of the main spike, on the stream's clock
    unit_id: int
    amplitude: float


class StreamingDecomposition:
    """Find motor units in samples that are still coming, and tell their discharges live.

    The first seconds are gathered and decomposed as a whole; from then on the units found are
    followed with a fixed latency, their templates adapting, and new ones are looked for. All work
    is done on a fixed grid of hops: the result does not depend on the blocks of samples.

    Parameters
    ----------
    rate_hz
        Of the samples, from 2 kHz.
    plan
        What to look for.
    learning_s
        Seconds that are gathered before anything is reported.
    start_s
        Time of the first sample.
    channel
        Name and kind of what is recorded.

    Raises
    ------
    ValueError
        If a rate or a duration is impossible.

    Examples
    --------
    >>> import numpy as np
    >>> stream = StreamingDecomposition(24_000.0, learning_s=2.0)
    >>> stream.step(np.zeros(1_200))
    ()
    >>> stream.latency_s < 0.1
    True
    """

    def __init__(
        self,
        rate_hz: float,
        plan: NeedlePlan | None = None,
        *,
        learning_s: float = 10.0,
        start_s: float = 0.0,
        channel: Channel | None = None,
    ) -> None:
        if not (np.isfinite(rate_hz) and rate_hz >= LOWEST_RATE_HZ):
            raise ValueError(f"rate_hz must be >= {LOWEST_RATE_HZ:g} Hz, got {rate_hz}")
        if not (np.isfinite(learning_s) and learning_s >= SHORTEST_S):
            raise ValueError(f"learning_s must be >= {SHORTEST_S:g} s, got {learning_s}")
        self.plan = plan or NeedlePlan()
        self.start_s = start_s
        self.learning_s = learning_s
        self.channel = channel or Channel(name="stream")
        self.grid = grid_of(rate_hz, self.plan, HOP_S)
        self._band = BandPass(self.grid, self.plan)
        self._waiting: list[Floats] = []
        self._n_waiting = 0
        self._hop = 0
        keep = round(max(learning_s, SEARCHED_S) * self.grid.work_hz) + 4 * self.grid.delay
        self._conditioned = Tape(keep)
        self._usable = Tape(keep, np.bool_)
        self._raw = Tape(round(max(REMEMBERED_S, learning_s) * rate_hz), np.float32)
        self._tracker: Tracker | None = None
        self._taps = np.zeros(0)
        self._search: Iterator[Newcomer | None] = iter(())
        self._is_looking = False
        self._refusal: NotAnalysableError | None = None
        self._learn_at = self._hops(learning_s)

    @property
    def latency_s(self) -> float:
        """Seconds after which a known unit's discharge is reported at the latest.

        When every sample up to ``time_s + latency_s`` has been given, `step` has returned it.
        """
        filters_s = 2 * self.grid.delay / self.grid.work_hz
        return self.grid.hop / self.grid.rate_hz + filters_s + LOOKAHEAD_S + 2 / self.grid.work_hz

    @property
    def is_learning(self) -> bool:
        """Whether no unit is known yet, so that nothing is reported."""
        return self._tracker is None

    def step(self, samples_uv: Floats) -> tuple[UnitDischarge, ...]:
        """Take the next samples; return the discharges that are now decided, in order of time.

        With the first samples after a unit became known come all of its earlier discharges.

        Parameters
        ----------
        samples_uv
            Shape ``(n,)``, any ``n``; NaN where samples are missing.

        Raises
        ------
        ValueError
            If the samples have another shape.
        """
        samples_uv = np.asarray(samples_uv, dtype=np.float64)
        if samples_uv.ndim != 1:
            raise ValueError(f"samples_uv: expected (n_samples,), got {samples_uv.shape}")
        self._waiting.append(samples_uv.copy())
        self._n_waiting += samples_uv.size
        if self._n_waiting < self.grid.hop:
            return ()
        pending = np.concatenate(self._waiting)
        n = self._n_waiting // self.grid.hop * self.grid.hop
        self._waiting, self._n_waiting = [pending[n:]], self._n_waiting - n
        out: list[UnitDischarge] = []
        for hop in pending[:n].reshape(-1, self.grid.hop):
            out += self._hop_done(hop)
        return tuple(sorted(out))

    def finish(self) -> tuple[UnitDischarge, ...]:
        """End the stream: return what is decided once no more samples come."""
        n = self._n_waiting + self._hop * self.grid.hop
        rest = -(-round(self.latency_s * self.grid.rate_hz) // self.grid.hop) + 1
        if self.is_learning:
            self._learn_at = self._hop + rest
        missing = rest * self.grid.hop - n % self.grid.hop
        return self.step(np.full(missing, np.nan))

    def findings(self) -> Findings:
        """Return what has been found so far, as `analyse` does for a recording.

        Discharges are those of the whole stream; potentials and events those of the newest
        minute. A unit that was silent in it has a potential of NaN.

        Raises
        ------
        NotAnalysableError
            If nothing was learned yet, with the reason.
        """
        if not self._is_looking:
            raise self._refusal or NotAnalysableError(
                f"not analysable: {self._given_s:.3g} s of samples, {self.learning_s:g} s are "
                "learned from",
                where=f"channel {self.channel.name!r}",
                todo="give more samples, or finish the stream",
            )
        known = self._tracker.units if self._tracker else []
        plan = f"{self.plan.kind}: followed live after {self.learning_s:g} s of learning"
        return summary(self._remembered(), [self._times_s(one) for one in known], plan)

    @property
    def _given_s(self) -> float:
        return (self._n_waiting + self._hop * self.grid.hop) / self.grid.rate_hz

    def _hops(self, seconds: float) -> int:
        """Return the hops that hold some seconds of samples."""
        return max(1, round(seconds * self.grid.rate_hz / self.grid.hop))

    def _remembered(self) -> Recording:
        """Return the newest minute of samples."""
        first = max(self._raw.first, self._raw.end - self._raw.keep)
        samples = self._raw.cut(first, self._raw.end).astype(np.float64)
        return Recording(
            samples_uv=samples[:, None],
            rate_hz=self.grid.rate_hz,
            channels=(self.channel,),
            start_s=self.start_s + first / self.grid.rate_hz,
        )

    def _time_s(self, position: float) -> float:
        """Return the time of a position in working samples, which are one filter late."""
        return self.start_s + (position - self.grid.delay) / self.grid.work_hz

    def _times_s(self, tracked: Tracked) -> Floats:
        return self.start_s + (tracked.positions - self.grid.delay) / self.grid.work_hz

    def _hop_done(self, samples_uv: Floats) -> list[UnitDischarge]:
        """Do all the work of one hop."""
        self._hop += 1
        self._raw.append(samples_uv)
        samples, usable = self._band.step(samples_uv)
        self._conditioned.append(samples)
        self._usable.append(usable)
        if self._tracker is None:
            return self._learned() if self._hop >= self._learn_at else []
        return self._tracked(self._tracker)

    def _tracked(self, tracker: Tracker) -> list[UnitDischarge]:
        """Follow the known units over one hop, and do one slice of the work beside it."""
        last = self._conditioned.end - self.grid.delay
        samples, usable = self._whitened(last - self.grid.work_hop, last)
        out = [
            self._reported(number, one.tick, one.amplitude)
            for number, own in enumerate(tracker.step(samples, usable))
            for one in own
        ]
        if self._hop % self._hops(TAUGHT_S) == 0:
            tracker.learn()
        elif self._hop % self._hops(SOUGHT_S) == 1:
            self._search = searched(tracker, self.plan, SEARCHED_S)
        else:
            out += self._joined(tracker, next(self._search, None))
        return out

    def _joined(self, tracker: Tracker, new: Newcomer | None) -> list[UnitDischarge]:
        """Follow a new unit from now on, and report where it has been so far."""
        if new is None:
            return []
        tracker.add(new.unit, new.ticks, new.amplitudes)
        number = len(tracker.units) - 1
        pairs = zip(new.ticks, new.amplitudes, strict=True)
        return [self._reported(number, tick, amplitude) for tick, amplitude in pairs]

    def _reported(self, number: int, tick: int, amplitude: float) -> UnitDischarge:
        time_s = self._time_s(tick / PHASES)
        return UnitDischarge(time_s=time_s, unit_id=number + 1, amplitude=amplitude)

    def _whitened(self, first: int, last: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Return whitened working samples, and which are usable."""
        half = self.grid.delay
        fed = self._conditioned.cut(first - half, last + half)
        return np.convolve(fed, self._taps, "valid"), self._usable.cut(first, last)

    def _learned(self) -> list[UnitDischarge]:
        """Decompose what was gathered; begin to follow what was found."""
        self._learn_at = self._hop + self._hops(AGAIN_S)
        try:
            require_analysable(self._remembered(), 0)
        except NotAnalysableError as refusal:
            self._refusal = refusal
            return []
        self._refusal, self._is_looking = None, True
        half, end = self.grid.delay, self._conditioned.end
        first = max(self._conditioned.first, end - self._conditioned.keep, half)
        signal = Conditioned(
            samples=self._conditioned.cut(first, end).copy(),
            usable=self._usable.cut(first, end).copy(),
            rate_hz=self.grid.work_hz,
            start_s=self._time_s(first),
        )
        model, work = decompose(signal, self.plan)
        if not model.units:
            return []
        self._taps = whitening(signal, work, half)
        work = replace(work, samples=np.convolve(signal.samples, self._taps, "same"))
        model = learned(work, model)  # the templates as this filter shapes them
        cut = slice(0, end - first - half)  # beyond it the filter has not yet seen enough
        samples, usable = work.samples[cut], work.usable[cut]
        keep = self._conditioned.keep
        return self._begun(
            Tracker(model, samples, usable, self.grid.work_hz, first=first, keep=keep)
        )

    def _begun(self, tracker: Tracker) -> list[UnitDischarge]:
        """Follow what was learned from now on; report its discharges so far."""
        self._tracker = tracker
        return [
            self._reported(number, tick, amplitude)
            for number, tracked in enumerate(tracker.units)
            for tick, amplitude in zip(tracked.ticks, tracked.amplitudes, strict=True)
        ]
