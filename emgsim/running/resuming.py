"""Going on with a run that was interrupted: what of it is done, and whether it may be gone on with.

A stage is done when the journal says so and every file that it left has the journal's digest. The
first stage that is not done is done again, and with it all that come after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emgsim.bench.rig import Rig
from emgsim.configuration import validated
from emgsim.detectors import Detector
from emgsim.errors import InputError
from emgsim.records.journal import Line, digest
from emgsim.records.provenance import checkout, versions
from emgsim.records.record import RunRecord, fold
from emgsim.running.played import SPOOL
from emgsim.scenario import Scenario
from emgsim.verdict import Measurement

STAGES = ("simulate", "play", "align", "analyse", "compare", "judge")
RECORDED = ("loopback", "device", "monitor")
ANEW = "run it anew"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What an interrupted run has done; nothing, for one that begins.

    ``measured`` are the measurements that stand. ``fits`` has for each path how it was aligned.
    ``is_safe`` tells that the output was seen off since the last playback.
    """

    stages: tuple[str, ...] = ()
    measured: Mapping[str, Measurement] = field(default_factory=dict)
    fits: Mapping[str, Line] = field(default_factory=dict)
    identities: Mapping[str, Line] = field(default_factory=dict)
    n_broken: int = 0  # playbacks that broke off and left samples
    is_safe: bool = True


def done_of(lines: Sequence[Line], folder: Path) -> Done:
    """Return what of a run is done, by its journal and by the files in its folder."""
    record = fold(lines)
    stages = _done_stages(lines, record.files, folder)
    last_spool = max((k for k, x in enumerate(lines) if x["kind"] == "spool"), default=0)
    standing = _standing(lines, stages)
    return Done(
        stages=stages,
        measured={m.id: m for m in record.measurements if m.id in standing},
        fits={line["path"]: line["fit"] for line in lines if line["kind"] == "alignment"},
        identities=record.identities,
        n_broken=sum(name.startswith("device_raw") for name in record.captures),
        is_safe=any(x["kind"] == "safe_state" and x["confirmed"] for x in lines[last_spool:]),
    )


def _done_stages(lines: Sequence[Line], files: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    spools = {line["name"]: line["sha256"] for line in lines if line["kind"] == "spool"}
    left = {
        "simulate": ["wave/truth.npz"],
        "align": [f"wave/{path}.npz" for path in RECORDED],
        "analyse": [name for name in files if name.startswith("findings-")],
    }
    done = {
        name
        for name in _told(lines)
        if all(is_intact(folder, file, files) for file in left.get(name, ()))
    }
    if "align" not in done and not is_intact(folder, SPOOL, spools):
        done -= {"play"}
    return STAGES[: _first_missing(done)]


def _first_missing(done: Collection[str]) -> int:
    """Return the number of the first stage that is not done."""
    return next((k for k, name in enumerate(STAGES) if name not in done), len(STAGES))


def _told(lines: Iterable[Line]) -> set[str]:
    """Return the stages that the journal says are done; one that goes on says what it keeps."""
    told: set[str] = set()
    for line in lines:
        if line["kind"] == "resumed":
            told = set(line["done"])
        elif line["kind"] == "stage":
            told.add(line["name"])
    return told


def _standing(lines: Iterable[Line], stages: Collection[str]) -> set[str]:
    """Return the ids of the measurements that stand when the given stages are kept.

    A measurement falls with the stage before its own: it was made of what is then made anew.
    """
    made_in: dict[str, int] = {}
    told: set[str] = set()
    for line in [*lines, {"kind": "resumed", "done": stages}]:
        if line["kind"] == "resumed":
            told = set(line["done"])
            made_in = {id: k for id, k in made_in.items() if k <= _first_missing(told)}
        elif line["kind"] == "stage":
            told.add(line["name"])
        elif line["kind"] == "measurement":
            made_in[line["id"]] = _first_missing(told)
    return set(made_in)


def is_intact(folder: Path, name: str, sha256: Mapping[str, str]) -> bool:
    """Tell whether a file of a folder is there with the digest that a journal has of it."""
    path = folder / name
    return name in sha256 and path.is_file() and digest(path) == sha256[name]


def restored(record: RunRecord, where: str) -> tuple[Scenario, Rig]:
    """Return the scenario and the rig of a run's record.

    Raises
    ------
    InputError
        If the run had not yet begun, or this version reads them otherwise.
    """
    refuse_empty(record, where)
    if str(record.scenario.get("schema", "")).startswith("emgsim.campaign/"):
        raise InputError(
            "this is the folder of a campaign",
            where=where,
            todo="go on with it by `emgsim campaign run --resume`",
        )
    if str(record.scenario.get("schema", "")).startswith(("emgsim.metrology/", "emgsim.playback/")):
        raise InputError(
            "only a run of a scenario or of an examination is gone on with",
            where=where,
            todo="begin anew; what it had measured is in its record",
        )
    scenario = validated(Scenario, record.scenario, f"{where}, its scenario")
    rig = validated(Rig, record.rig, f"{where}, its rig")
    if scenario.resolved() != record.scenario or rig.resolved() != record.rig:
        raise InputError(
            "this version reads the run's scenario or rig otherwise than the one that began it",
            where=where,
            todo=ANEW,
        )
    return scenario, rig


def refuse_empty(record: RunRecord, where: str) -> None:
    """Refuse a run that ended before its first line was written.

    Raises
    ------
    InputError
        If the record has no scenario.
    """
    if not record.scenario:
        raise InputError(
            "the journal does not say what was to be run: it ended before its first line",
            where=where,
            todo="run the scenario anew; there is nothing to go on with",
        )


def refuse_changed(record: RunRecord, detector: Detector, where: str) -> None:
    """Refuse to go on with other code than that which began the run.

    The operating system and the machine may be others.

    Raises
    ------
    InputError
        If a package, the commit of the checkout or the detector is another one; all are named.
    """
    commit, now = record.checkout.get("commit", ""), checkout().get("commit", "")
    present = versions()
    changes = [
        f"{name} {then or 'not there'}, now {present.get(name, 'not there')}"
        for name, then in record.versions.items()
        if present.get(name) != then
    ]
    if commit != now:
        changes.append(f"commit {commit[:12] or 'none'}, now {now[:12] or 'none'}")
    if detector.table() != record.detector:
        changes.append(f"another version of the detector {detector.name!r}")
    if changes:
        raise InputError(
            f"the run was begun by other code: {'; '.join(changes)}",
            where=where,
            todo=f"go on with the code that began it, or {ANEW}",
        )
