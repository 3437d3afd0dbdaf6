"""A recording of several channels: as many at once as there are generators, group after group.

A single generator is wired to all inputs of the device, so each pass could be heard by any of them:
that of the k-th channel is read from the k-th input, and from the first again where the device has
no more. A further generator has an input of its own. Each channel has the same markers, and is
aligned on its own, so that generators need no common clock; what came of all of them is put
together on the recording's clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice

from emgsim import chain
from emgsim.bench.program import Program
from emgsim.bench.rig import Rig, source_role
from emgsim.recording import Channel
from emgsim.records.journal import finite
from emgsim.records.record import RunRecord
from emgsim.running.aligning import aligned, chain_measured, recorded_uv, tell_broken_off
from emgsim.running.assembling import Floats, assembled, on_grid
from emgsim.running.excerpt import Excerpt
from emgsim.running.gating import gated
from emgsim.running.logbook import Logbook
from emgsim.running.playback import Playback, Turn
from emgsim.running.played import spool
from emgsim.verdict import Measurement

KEPT = ("loopback", "device")  # paths that are put together
SUMMED = ("link.lost_samples.",)
LEAST = ("signal.over_budget.", "amplitude.polarity.")
SQUARED = ("noise.added_uv.", "noise.budget_uv.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Came:
    """What came of one pass.

    Attributes
    ----------
    number, name
        Of the channel that was played.
    columns, rates_hz
        What each of the `KEPT` paths recorded, on its grid, and the grid's rate.
    measured
        By id, as of a recording of one channel.
    """

    number: int
    name: str
    columns: Mapping[str, Floats]
    rates_hz: Mapping[str, float]
    measured: Mapping[str, Measurement]


def play_channels(
    excerpt: Excerpt, programs: Iterable[Program], rig: Rig, playback: Playback, logbook: Logbook
) -> None:
    """Play every channel of an excerpt, align each, and keep and journal what came of them.

    Parameters
    ----------
    excerpt
        Of several channels.
    programs
        One for each of them; it is made when its turn comes.
    rig, playback, logbook
        What it is played on, and where it is written.

    Raises
    ------
    EmgsimError
        What ended it; the passes that were over by then are put together all the same.
    """
    came: list[Came] = []
    try:
        with playback.opened() as play_group:
            names = dict(zip(excerpt.numbers, excerpt.names, strict=True))
            channels = zip(excerpt.numbers, programs, strict=True)
            while group := dict(islice(channels, rig.n_sources)):
                for n, number in enumerate(group, len(came) + 1):
                    logbook.progress(f"channel     {names[number]} ({n} of {len(names)})")
                try:
                    turns = play_group(group)
                finally:
                    tell_broken_off(rig, playback.broken_off, logbook)
                for turn in turns:
                    came.append(_aligned(turn, names[turn.number], excerpt, rig, logbook))
    finally:
        _keep(came, rig, logbook)
    for measurement in pooled(came):
        logbook.journal.measurement(measurement)


def without_single_channels(record: RunRecord) -> RunRecord:
    """Return a record with the measurements of all channels together only, for the terminal."""
    numbers = [f".device_{number}" for number in record.scenario.get("numbers", ())]
    kept = tuple(m for m in record.measurements if not m.id.endswith(tuple(numbers)))
    return replace(record, measurements=kept)


def _aligned(turn: Turn, name: str, excerpt: Excerpt, rig: Rig, logbook: Logbook) -> Came:
    """Align one channel, measure it, and journal both for the device."""
    rig, duration_s = rig.of(turn.source), excerpt.recording.duration_s
    program, played = turn.program, turn.played
    with logbook.stage("align") as say:
        paths = aligned(rig, program, played, duration_s, logbook)
        measured: dict[str, Measurement] = {}
        for one in (
            *chain_measured(rig, program, played, paths, logbook),
            *(m for path in paths.values() for m in chain.fidelity_measurements(path, program)),
        ):
            measured[one.id] = gated(one, measured)
        for m in measured.values():
            if m.id.endswith(".device"):
                logbook.journal.measurement(replace(m, id=f"{m.id}_{turn.number}"))
        _keep_fit(turn, name, paths["device"], logbook)
        say(f"rms {measured['amplitude.rms_error_pct.device'].value:+.2f} %")
    uv = recorded_uv(rig, played)
    rates_hz = {"loopback": played.scope_rate_hz, "device": rig.profile.rate_hz}
    return Came(
        number=turn.number,
        name=name,
        columns={p: on_grid(uv[p], paths[p], rates_hz[p], duration_s) for p in KEPT},
        rates_hz=rates_hz,
        measured=measured,
    )


def _keep_fit(turn: Turn, name: str, path: chain.Path, logbook: Logbook) -> None:
    """Journal how a channel is aligned: the time of the recorder's first sample, and its clock."""
    found = path.aligned
    begins_s = path.recording.start_s - path.first_sample / path.recording.rate_hz
    values = path.table(turn.program.recording_start_s) | {
        "channel": name,
        "source": source_role(turn.source),
        "input": turn.input,
        "offset_s": begins_s,
        "offset_sd_us": 1e6 * found.middle_sd_s,
        "drift_ppm": 1e6 * found.drift,
        "drift_sd_ppm": 1e6 * found.drift_sd,
    }
    fit = finite(asdict(replace(found, bound=None)))
    logbook.journal.append(
        "alignment", path=f"device_{turn.number}", values=finite(values), fit=fit
    )


def _keep(came: Sequence[Came], rig: Rig, logbook: Logbook) -> None:
    """Put together what is there, and let go of what it was made of."""
    if not came:
        return
    for path in KEPT:
        band_hz = rig.profile.band_hz if path == "device" else None
        channels = [Channel(name=one.name, band_hz=band_hz) for one in came]
        columns = [one.columns[path] for one in came]
        logbook.keep(path, assembled(columns, channels, came[0].rates_hz[path]))
    for one in came:
        (logbook.folder / spool(one.number)).unlink(missing_ok=True)


def pooled(came: Sequence[Came]) -> Iterator[Measurement]:
    """Yield one measurement for all channels under the id of a single one's.

    It is the largest in size; of lost samples their sum, of noise the root mean square, and of what
    is good when it is large the smallest. If one channel's is inconclusive, so is it.
    """
    for id in came[0].measured:
        yield _pooled([(one.name, one.measured[id]) for one in came if id in one.measured])


def _pooled(measured: Sequence[tuple[str, Measurement]]) -> Measurement:
    values = [m.value for _, m in measured]
    name, first = measured[0]
    if first.id.startswith(SUMMED):
        found = replace(first, value=math.fsum(values), low=None, high=None, note="of all channels")
    elif first.id.startswith(SQUARED):
        mean = math.sqrt(math.fsum(value**2 for value in values) / len(values))
        found = replace(first, value=mean, low=None, high=None, note="rms of all channels")
    else:
        is_least = first.id.startswith(LEAST)
        name, worst = max(
            measured, key=lambda one: _size(-one[1].value if is_least else abs(one[1].value))
        )
        word = "smallest" if is_least else "largest"
        whose = f"{word} of {len(values)} channels: {name}"
        found = replace(worst, note="; ".join(filter(None, [worst.note, whose])))
    doubtful = [(name, m) for name, m in measured if m.verdict == "inconclusive"]
    if not doubtful:
        return found
    name, m = doubtful[0]
    note = f"{len(doubtful)} of {len(values)} channels inconclusive, e.g. {name}: {m.note}"
    return replace(found, verdict="inconclusive", note=note)


def _size(value: float) -> float:
    """Return a value that can be compared; what is not known is worst."""
    return math.inf if math.isnan(value) else value
