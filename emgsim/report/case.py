"""What a picture is made of that shows why a measurement is as it is, and what is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emgsim.recording import Recording, Truth
from emgsim.records.record import RunRecord
from emgsim.report.material import Material, read_capture
from emgsim.report.misses import wanted
from emgsim.verdict import Limit, Measurement


@dataclass(frozen=True, kw_only=True)
class Case:
    """The measurements of one path that one picture explains, and what the run has left.

    Attributes
    ----------
    folder, record, material
        Of the run.
    path
        The last part of the measurements' ids.
    measurements
        Those that are to be explained.
    """

    folder: Path
    record: RunRecord
    material: Material
    path: str
    measurements: tuple[Measurement, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths with something found, this one among them, the usual ones first."""
        return tuple(dict.fromkeys((*self.material.findings, self.path)))

    def limit(self, unit: str, kind: str = "") -> Limit | None:
        """Return the limit of the first measurement in a unit, and of a kind if that is given."""
        of = (m.limit for m in self.measurements if m.unit == unit and m.id.startswith(kind))
        return next((limit for limit in of if limit is not None), None)

    @property
    def recording(self) -> Recording | None:
        """The recording of the path; None if the folder does not have it."""
        got = self.material.recordings.get(self.path)
        return read_capture(self.folder, self.record, self.path) if got is None else got

    @property
    def reference(self) -> Recording | None:
        """What was played: the simulated recording, or the one that was played back."""
        return self.material.recordings.get("recording" if self.record.is_playback else "truth")

    @property
    def wanted(self) -> Truth | None:
        """What should have been found; None if it is not known."""
        return wanted(self.material, self.record)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture as the data address of an SVG, what is seen in it, and how it is read."""

    picture: str
    alt: str
    caption: str
