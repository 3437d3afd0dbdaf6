"""What makes a tree of recordings a BIDS dataset: who, what, which licence, which file is what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emgsim.dataset.export.electrodes import COORDINATES
from emgsim.dataset.export.tables import ABSENT, write_json, write_tsv
from emgsim.dataset.made import DatasetHead, Item
from emgsim.files.bids import SPACE

BIDS_VERSION = "1.11.1"
# BIDS has no rule for these yet, neither in raw data nor in derivatives
IGNORED = ("*_spikes.tsv", "*_motorunits.tsv", "*_simulation.json", "*_truth.npz", "croissant.json")
PARTICIPANTS = {
    "participant_id": {"Description": "One simulated person"},
    "age": {"Description": "Age of the simulated person", "Units": "years"},
    "sex": {"Description": "Not simulated"},
    "split": {"Description": "Part of the dataset; nobody is in two of them"},
}
SCANS = {
    "filename": {"Description": "The recording"},
    "item": {"Description": "Number of the item in the dataset's plan"},
    "scenario": {"Description": "Scenario that was simulated"},
    "seed": {"Description": "Seed of the simulation"},
    "split": {"Description": "Part of the dataset"},
    "pair": {"Description": "Shared by items that differ in one thing alone"},
    "variant": {"Description": "What is different in this one of a pair"},
}
EVENTS = {
    "onset": {"Description": "From the first sample of this recording", "Units": "s"},
    "duration": {"Description": "How long it lasted", "Units": "s"},
    "trial_type": {
        "Description": "Phase of effort, artefact, activity at rest or move of the needle; "
        "BAD_ACQ_SKIP: samples that never arrived, which are 0 in the file"
    },
    "grade": {"Description": "Of an effort the fraction of maximal force, else how severe it is"},
    "source": {"Description": "What caused it, where the simulator has a name for it"},
}
CHANNELS = {"electrode_kind": {"Description": "Kind of the electrode, in the simulator's words"}}


def finish_bids(root: Path, head: DatasetHead, items: Sequence[Item]) -> list[Path]:
    """Write the files of the dataset as a whole, once all items are in the tree.

    Parameters
    ----------
    root
        Of the tree that `write_bids` has filled.
    head
        Of the dataset.
    items
        Those that are in the tree.

    Returns
    -------
    list of Path
        ``dataset_description.json``, participants, scans, the tables' descriptions, ``README.md``,
        ``CHANGES`` and ``.bidsignore``.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    paths = [
        write_json(root / "dataset_description.json", _description(head)),
        write_tsv(root / "participants.tsv", list(PARTICIPANTS), _participants(root, items)),
        write_json(root / "participants.json", PARTICIPANTS),
        write_json(root / "events.json", EVENTS),
        write_json(root / "channels.json", CHANNELS),
        write_json(root / "scans.json", SCANS),
        write_json(root / f"space-{SPACE}_coordsystem.json", COORDINATES),
        _text(root / "README.md", _readme(head, items)),
        _text(root / "CHANGES", f"{head.version}\n  - Simulated by emgsim {version('emgsim')}.\n"),
        _text(root / ".bidsignore", "\n".join(IGNORED) + "\n"),
    ]
    return [*paths, *_scans(root, items)]


def _text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _description(head: DatasetHead) -> dict[str, Any]:
    return {
        "Name": head.title,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "License": head.licence,
        "Authors": list(head.authors),
        "GeneratedBy": [
            {
                "Name": "emgsim",
                "Version": version("emgsim"),
                "Description": "Simulated electromyography with exact truth; nobody was recorded.",
            }
        ],
    }


def _participants(root: Path, items: Sequence[Item]) -> list[dict[str, Any]]:
    splits = {item.subject: item.split for item in items}
    return [
        {
            "participant_id": f"sub-{subject}",
            "age": _age_years(root / f"sub-{subject}"),
            "sex": ABSENT,
            "split": splits[subject],
        }
        for subject in sorted(splits)
    ]


def _age_years(folder: Path) -> float | None:
    """Return the age that the labels of a person's recordings tell, if they do."""
    for path in sorted(folder.glob("emg/*_simulation.json")):
        age_years: float | None = json.loads(path.read_text("utf-8"))["Labels"].get("age_years")
        return age_years
    return None


def _scans(root: Path, items: Sequence[Item]) -> Iterator[Path]:
    by_run = {item.id: item for item in items}
    for subject in sorted({item.subject for item in items}):
        folder = root / f"sub-{subject}"
        rows = []
        for path in sorted(folder.glob("emg/*_emg.bdf")):
            item = by_run[path.name.partition("_run-")[2].partition("_")[0]]
            facts = {name: getattr(item, name) for name in SCANS if hasattr(item, name)}
            rows.append({"filename": f"emg/{path.name}", "item": item.id, **facts})
        yield write_tsv(folder / f"sub-{subject}_scans.tsv", list(SCANS), rows)


def _readme(head: DatasetHead, items: Sequence[Item]) -> str:
    n_subjects = len({item.subject for item in items})
    splits = sorted({item.split for item in items})
    parts = ", ".join(f"{sum(i.split == s for i in items)} {s}" for s in splits)
    return f"""# {head.title}

{head.description}

Simulated electromyography: nobody was recorded, and nothing in it identifies anybody.

- Items: {len(items)} ({parts}) of {n_subjects} simulated persons.
- Licence: {head.licence}
- Version: {head.version}

## Where is what

- `run-` is the number of the item, `recording-` how it was recorded: `clean` at the electrode,
  `loopback` and `device` through a bench, `stem...` the parts of which `clean` is the sum.
- `*_events.tsv`: effort, artefacts, activity at rest; onsets count from the recording's first
  sample. Of `BAD_ACQ_SKIP` no samples arrived: they are 0 in the file.
- The truth, which BIDS has no names for yet: `*_spikes.tsv` (the main spikes at the electrode:
  samples and seconds from the recording's first sample), `*_motorunits.tsv`, `*_simulation.json`
  (labels and the whole scenario), `*_truth.npz` (all of it, potentials too; `StartTime` of
  `*_emg.json` is the recording's first sample on its clock).
- A file's last second may be filled up with its last value: `RecordingDuration` is the true length.

`emgsim.files.reading.read_recording` gives back what was simulated.
"""
