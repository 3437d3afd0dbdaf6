"""Which part of a rig a fault sits in: what the loopback and the analogue output show of it too.

The loopback sees what left the generator. The device's analogue output sees that, and what the
lead and the amplifier made of it. The codes see everything. A fault sits in front of the first of
the three that shows it, and behind the last one that does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from emgsim.diagnosis.breaks import lost, polarity, silent, stuck
from emgsim.diagnosis.clocks import clock_step
from emgsim.diagnosis.codes import missing_codes, swapped
from emgsim.diagnosis.findings import Diagnosis, Finding, Part
from emgsim.diagnosis.heard import Heard
from emgsim.diagnosis.levels import gain_drift, mains, saturation, without_full
from emgsim.diagnosis.tracks import Track, followed, followed_anew, until

Found = Mapping[str, tuple[Finding, ...]]

GONE = ("stuck channel", "broken lead", "no signal")  # or the signal is in another channel
ORDER = ("loopback", "monitor", "device")  # along the signal's way
TODO: dict[str, str] = {
    "inverted polarity": "swap the two wires there, or correct the sign in the device's profile",
    "stuck channel": "restart the device; if the converter stays stuck it needs repair",
    "clock step": "look why the converter's clock stopped: its supply, a reset, too much to do",
    "saturation": "lower the gain before that part, or repair what is full below its range",
    "gain drift": "let it warm up and look at its supply and reference; calibrate it anew",
    "mains": "look at shields, ground loops and supplies near that part",
    "broken lead": "check the lead between fixture and device, and its connectors",
    "missing codes": "the converter needs repair, or its driver throws codes away",
    "swapped channels": "swap the leads of the two channels, or their numbers in the profile",
    "too much of what is played": "look whether the divider is in place",
    "something else is heard": "check the lead between fixture and device, and what hums near it",
    "no signal": "check that this part is connected, switched on and not short-circuited",
}

PLACES: dict[str, Part] = {  # between loopback and analogue output, where it can be told
    "broken lead": "lead",
    "saturation": "amplifier",
    "gain drift": "amplifier",
}


@dataclass(frozen=True, eq=False)
class Diagnosed:
    """What was found, and how far each recorder follows; None: its playback was not found."""

    diagnoses: tuple[Diagnosis, ...]
    tracks: Mapping[str, Track | None]

    def words(self) -> str:
        """Return all diagnoses in one sentence; empty if there are none."""
        return "; ".join(str(diagnosis) for diagnosis in self.diagnoses)


def diagnose(heard: Mapping[str, Heard], *, begins_s: float) -> Diagnosed:
    """Name and locate what is wrong on the signal's way.

    Parameters
    ----------
    heard
        What "loopback", "monitor" and "device" heard of one playback; "monitor" may be absent.
    begins_s
        When the scenario begins on the player's clock: times are told on the scenario's.
    """
    tracks: dict[str, Track | None] = {}
    found: dict[str, tuple[Finding, ...]] = {}
    for name in (path for path in ORDER if path in heard):
        tracks[name], found[name] = followed_with_findings(heard[name])
    shown = {finding.name: (path, finding) for path in found for finding in found[path]}
    diagnoses = tuple(
        told(finding, path, _part(name, found, tracks), begins_s)
        for name, (path, finding) in shown.items()
    )
    return Diagnosed(diagnoses, tracks)


def followed_with_findings(heard: Heard) -> tuple[Track | None, tuple[Finding, ...]]:
    """Follow one recorder, and return the faults that it shows."""
    track = followed(heard)
    if track is None and not heard.hears_markers:
        return None, ()  # whether anything is wrong cannot be known
    if track is None:
        return None, (swapped(heard, None) or stuck(heard, None) or silent(heard),)
    found = []
    if (full := saturation(track)) is not None:
        found.append(full)
        track = followed_anew(without_full(heard, track, full.value), track.fit)
    if (step := _ends(track)) is not None:
        found.append(step)
        track = until(track, step.start_s)
    beside = (gain_drift(track), mains(track), missing_codes(track))
    found += [finding for finding in beside if finding is not None]
    return track, tuple(found)


def _ends(track: Track) -> Finding | None:
    """Return the fault with which a recorder ceases to follow, or the sign that it has."""
    found = stuck(track.heard, track) or clock_step(track) or polarity(track) or lost(track)
    if found is None or found.name not in GONE:
        return found
    other = swapped(track.heard, track)
    if other is None:
        return found
    return replace(other, start_s=found.start_s, within_s=found.within_s)


def told(finding: Finding, path: str, part: Part, begins_s: float) -> Diagnosis:
    """Return a finding on the scenario's clock, which begins so late on the player's."""
    return Diagnosis(
        name=finding.name,
        path=path,
        part=part,
        start_s=None if finding.start_s is None else finding.start_s - begins_s,
        stop_s=None if finding.stop_s is None else finding.stop_s - begins_s,
        within_s=finding.within_s,
        value=finding.value,
        unit=finding.unit,
        statistic=finding.statistic,
        threshold=finding.threshold,
        todo=TODO[finding.name],
    )


def _part(name: str, found: Found, tracks: Mapping[str, Track | None]) -> Part:
    """Return where a fault of a name sits."""
    shows = [path for path in found if name in {finding.name for finding in found[path]}]
    if shows in (["loopback"], ["monitor"]):
        return "oscilloscope"  # the signal went on without the fault
    if shows[0] == "loopback":
        return "generator"
    if shows[0] == "monitor":
        return PLACES.get(name, "lead or amplifier")
    return "converter" if tracks.get("monitor") is not None else "lead, amplifier or converter"
