"""What a playback left, as it came from the wire: kept in a file until it has been aligned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.levels import LevelPlan
from emgsim.bench.playing import Catch
from emgsim.bench.rig import Rig
from emgsim.instruments.base import DeviceEvent

Floats = NDArray[np.float64]

SPOOL = "wave/played.npz"  # in the run's folder


def spool(number: int) -> str:
    """Return where one channel's playback of several is kept, in the run's folder."""
    return f"wave/played_{number}.npz"


@dataclass(frozen=True, eq=False, kw_only=True)
class Played:
    """The samples of one playback, and the levels at which it was played.

    ``counts`` are the device's codes, NaN where frames were lost; ``source_v`` and ``monitor_v``
    what the oscilloscope saw, in volts, at ``scope_rate_hz``, each value the mean of
    ``scope_averaged_s``; all of shape ``(n,)``. The codes are those of one input; ``others`` are of
    the others that could hear the same generator, and ``monitor_v`` is None where the device's
    analogue output is not of that input.
    """

    plan: LevelPlan
    counts: Floats
    source_v: Floats
    monitor_v: Floats | None
    scope_rate_hz: float
    scope_averaged_s: float
    source_range_v: float  # full scale of the oscilloscope's channel on the source
    others: Floats  # of the device's further channels, shape ``(n, n_others)``
    n_bad_frames: int
    n_repeated_frames: int
    events: tuple[DeviceEvent, ...] = ()  # that the device has detected by itself

    @classmethod
    def of(
        cls,
        catch: Catch,
        plan: LevelPlan,
        rig: Rig,
        input: int = 0,
        *,
        number: int = 0,
        others: Sequence[int] | None = None,
    ) -> Self:
        """Return a playback that came to its end, as one of the device's inputs heard it.

        Parameters
        ----------
        catch, plan
            What came of it, and its levels.
        rig
            As the generator sees it that played it.
        input
            Of the device, from 0.
        number
            Of the generator among those that played, from 0.
        others
            Further inputs that the generator drives; by default all that there are.
        """
        scope, counts = catch.scope_record(number), catch.device_counts()
        if others is None:
            others = [k for k in range(counts.shape[1]) if k != input]
        return cls(
            plan=plan,
            counts=counts[:, input],
            source_v=scope.source_v,
            monitor_v=scope.monitor_v,
            scope_rate_hz=scope.settings.rate_hz,
            scope_averaged_s=scope.settings.averaged_s,
            source_range_v=scope.settings.channels[rig.capture.source_channel].range_v,
            others=counts[:, list(others)],
            n_bad_frames=catch.device_blocks[-1].n_bad_frames,
            n_repeated_frames=catch.device_blocks[-1].n_repeated_frames,
            events=catch.device_events(),
        )

    def write(self, folder: Path, name: str = SPOOL) -> None:
        """Write it into a run's folder, to the last digit."""
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(
                file,
                plan=np.array(json.dumps(self.plan.table())),
                counts=self.counts,
                source_v=self.source_v,
                monitor_v=np.zeros(0) if self.monitor_v is None else self.monitor_v,
                scope=np.array([self.scope_rate_hz, self.source_range_v, self.scope_averaged_s]),
                others=self.others,
                frames=np.array([self.n_bad_frames, self.n_repeated_frames]),
                events=np.array(json.dumps([asdict(event) for event in self.events])),
            )

    @classmethod
    def read(cls, folder: Path, name: str = SPOOL) -> Self:
        """Read what `write` wrote; the caller has compared its digest."""
        with np.load(folder / name, allow_pickle=False) as file:
            monitor_v = file["monitor_v"]
            rate_hz, range_v, averaged_s = (float(value) for value in file["scope"])
            n_bad, n_repeated = (int(value) for value in file["frames"])
            return cls(
                plan=LevelPlan(**json.loads(str(file["plan"]))),
                counts=file["counts"],
                source_v=file["source_v"],
                monitor_v=monitor_v if monitor_v.size else None,
                scope_rate_hz=rate_hz,
                scope_averaged_s=averaged_s,
                source_range_v=range_v,
                others=file["others"],
                n_bad_frames=n_bad,
                n_repeated_frames=n_repeated,
                events=tuple(DeviceEvent(**event) for event in json.loads(str(file["events"]))),
            )
