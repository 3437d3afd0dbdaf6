"""A dataset as an EMG-BIDS tree (BIDS 1.11.1): BDF+ files, their sidecars, the truth beside them.

``sub-0007/emg/sub-0007_task-healthybiceps_run-000123_recording-clean_emg.bdf`` is the recording
``clean`` of item ``000123``: the run is the item's own number, the recording its path. The truth
has the names and columns of MUniverse's files (``_spikes.tsv``, ``_motorunits.tsv``,
``_simulation.json``) and, whole, our own (``_truth.npz``); ``.bidsignore`` names all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from emgsim.dataset.export.bdf import labels_of, write_bdf
from emgsim.dataset.export.bids_head import finish_bids
from emgsim.dataset.export.electrodes import electrode_keys, pad_places_mm
from emgsim.dataset.export.tables import ABSENT, write_json, write_tsv
from emgsim.dataset.made import DatasetHead, Item, Made
from emgsim.errors import InputError
from emgsim.files.bids import SPACE
from emgsim.files.npz import write_npz
from emgsim.recording import Channel, Recording, Truth

__all__ = ["finish_bids", "prefix_of", "write_bids"]

GAP = "BAD_ACQ_SKIP"  # MNE's name of samples that there are not: its readers leave them out
EVENT_COLUMNS = ("onset", "duration", "trial_type", "grade", "source")
CHANNEL_COLUMNS = (
    "name", "type", "units", "description", "sampling_frequency", "signal_electrode", "reference",
    "target_muscle", "low_cutoff", "high_cutoff", "electrode_kind",
)  # fmt: skip
SPIKE_COLUMNS = ("source_id", "spike_time", "spike_time_s")
ELECTRODE_COLUMNS = ("name", "x", "y", "z", "coordinate_system", "type")
UNIT_COLUMNS = (
    "source_id", "recruitment_threshold", "depth", "innervation_zone", "fibre_density",
    "fibre_length", "conduction_velocity", "angle", "n_fibres", "peak_to_peak_uv", "arrival_s",
)  # fmt: skip


def write_bids(root: Path, head: DatasetHead, made: Made) -> list[Path]:
    """Write the files of one item into the tree; `finish_bids` then makes it a dataset.

    Writing an item twice gives the same bytes. Items may be written by several processes at once.

    Parameters
    ----------
    root
        Of the tree; made if it is not there.
    head
        Of the dataset.
    made
        The item.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        If a recording cannot be written as BDF: see `write_bdf`.
    OSError
        If a file cannot be written.
    """
    folder = root / f"sub-{made.item.subject}" / "emg"
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, recording in made.recordings.items():
        stem = folder / f"{prefix_of(made.item)}_recording-{_label(name)}"
        paths += _recording_files(stem, head, made, name, recording)
        if not name.startswith("stem-"):
            paths += _truth_tables(stem, made, recording)
    whole = folder / f"{prefix_of(made.item)}_truth.npz"
    first = next(iter(made.recordings.values()))
    write_npz(whole, first.cut(first.start_s, first.start_s), made.truth)
    return [*paths, whole]


def prefix_of(item: Item) -> str:
    """Return what the names of an item's files begin with."""
    return f"sub-{item.subject}_task-{_label(item.scenario)}_run-{item.id}"


def _label(name: str) -> str:
    """Return a name as BIDS lets it be a label: letters and digits alone."""
    return re.sub(r"[^0-9A-Za-z]", "", name)


def _beside(stem: Path, suffix: str) -> Path:
    return stem.with_name(f"{stem.name}_{suffix}")


def _recording_files(
    stem: Path, head: DatasetHead, made: Made, name: str, recording: Recording
) -> Iterator[Path]:
    path = _beside(stem, "emg.bdf")
    try:
        write_bdf(path, recording, subject=f"sub-{made.item.subject}")
    except ValueError as error:
        path.unlink(missing_ok=True)
        raise InputError(
            f"the recording {name!r} of item {made.item.id} cannot be a BDF file: {error}",
            where=str(path),
            todo="mend the scenario, or leave bids out of the formats",
        ) from error
    yield path
    yield write_json(_beside(stem, "emg.json"), _sidecar(head, made, name, recording))
    labels = labels_of(recording.channels)
    yield write_tsv(
        _beside(stem, "channels.tsv"),
        CHANNEL_COLUMNS,
        [
            {**_channel(label, channel, made), "sampling_frequency": recording.rate_hz}
            for label, channel in zip(labels, recording.channels, strict=True)
        ],
    )
    if _is_placed(recording):
        places = [*_electrodes(labels, recording), *_pads(made, recording)]
        yield write_tsv(_beside(stem, "electrodes.tsv"), ELECTRODE_COLUMNS, places)
    rows = [*_gaps(recording), *_events(made.truth, recording)]
    rows.sort(key=lambda row: (row["onset"], row["trial_type"]))
    yield write_tsv(_beside(stem, "events.tsv"), EVENT_COLUMNS, rows)


def _sidecar(head: DatasetHead, made: Made, name: str, recording: Recording) -> dict[str, Any]:
    references = {channel.reference or ABSENT for channel in recording.channels}
    mains = [a for a in made.scenario.get("artefacts", ()) if a.get("kind") == "mains"]
    return {
        "TaskName": made.item.scenario,
        "TaskDescription": made.scenario.get("title", ABSENT),
        "EMGPlacementScheme": "Measured" if _is_placed(recording) else "Other",
        "EMGPlacementSchemeDescription": "Placed by the simulation.",
        "EMGReference": references.pop() if len(references) == 1 else "Of each channel its own",
        "EMGGround": ABSENT,
        "EMGChannelCount": len(recording.channels),
        "SamplingFrequency": recording.rate_hz,
        "RecordingDuration": recording.duration_s,
        "RecordingType": "discontinuous" if recording.gaps else "continuous",
        "StartTime": recording.start_s,  # as BIDS' physio has it: on the clock of the truth
        "PowerLineFrequency": mains[0]["frequency_hz"] if mains else ABSENT,
        "SoftwareFilters": ABSENT,
        "HardwareFilters": ABSENT,
        "Manufacturer": "emgsim (simulated)",
        "ManufacturersModelName": ABSENT,
        "SoftwareVersions": _version(),
        "SignalPath": name,
        "DatasetVersion": head.version,
        **electrode_keys(made.scenario["electrode"]),
    }


def _channel(label: str, channel: Channel, made: Made) -> dict[str, Any]:
    low_hz, high_hz = channel.band_hz or (None, None)
    return {
        "name": label,
        "type": "EMG",
        "units": "uV",
        "description": channel.name if channel.name != label else "",
        "signal_electrode": label,
        "reference": channel.reference,
        "target_muscle": made.labels.get("muscle", _muscle(made)),
        "low_cutoff": low_hz,
        "high_cutoff": high_hz,
        "electrode_kind": channel.kind,
    }


def _is_placed(recording: Recording) -> bool:
    """Tell whether it is known where each channel's electrode lies."""
    return all(channel.position_mm is not None for channel in recording.channels)


def _muscle(made: Made) -> str:
    return str(made.scenario.get("muscle", {}).get("name", ABSENT))


def _electrodes(labels: Sequence[str], recording: Recording) -> Iterator[dict[str, Any]]:
    for label, channel in zip(labels, recording.channels, strict=True):
        place = dict(zip("xyz", channel.position_mm or (), strict=True))
        kind = channel.kind.replace("_", " ")
        yield {"name": label, **place, "coordinate_system": SPACE, "type": kind}


def _pads(made: Made, recording: Recording) -> Iterator[dict[str, Any]]:
    """Yield the pads of a surface electrode, unless each channel stands for one of them."""
    pads_mm = pad_places_mm(made.scenario["electrode"])
    if len(pads_mm) == len(made.recordings["clean"].channels):
        return
    for name, (along_mm, across_mm) in pads_mm.items():
        _, up_mm, _ = recording.channels[0].position_mm or (0.0, 0.0, 0.0)
        place = {"x": across_mm, "y": up_mm, "z": along_mm}
        yield {"name": name, **place, "coordinate_system": SPACE, "type": "pad"}


def _gaps(recording: Recording) -> Iterator[dict[str, Any]]:
    for gap in recording.gaps:
        yield {
            "onset": gap.first_sample / recording.rate_hz,
            "duration": gap.n_samples / recording.rate_hz,
            "trial_type": GAP,
        }


def _events(truth: Truth, recording: Recording) -> Iterator[dict[str, Any]]:
    """Yield the truth's events on the recording's own clock, as BIDS counts time."""
    for event in truth.events:
        yield {
            "onset": event.onset_s - recording.start_s,
            "duration": event.offset_s - event.onset_s,
            "trial_type": event.kind,
            "grade": event.grade,
            "source": event.source,
        }


def _truth_tables(stem: Path, made: Made, recording: Recording) -> Iterator[Path]:
    """Write the truth as MUniverse names it, its times on the recording's own clock.

    NOTE: ``spike_time`` counts samples, as in MUniverse's simulated sets, whose reports divide it
    by the rate; exact seconds stand beside it.
    """
    spikes = sorted(
        (spike_s - recording.start_s, unit.id)
        for unit in made.truth.units
        for spike_s in np.asarray(unit.spike_times_s).tolist()
    )
    yield write_tsv(
        _beside(stem, "spikes.tsv"),
        SPIKE_COLUMNS,
        [
            {"source_id": id, "spike_time": round(own_s * recording.rate_hz), "spike_time_s": own_s}
            for own_s, id in spikes
        ],
    )
    fibres = made.scenario.get("muscle", {}).get("fibres", {})
    yield write_tsv(
        _beside(stem, "motorunits.tsv"),
        UNIT_COLUMNS,
        [
            {
                "source_id": unit.id,
                "recruitment_threshold": unit.threshold,
                "fibre_length": fibres.get("length_mm"),
                "n_fibres": unit.n_fibres,
                "peak_to_peak_uv": unit.peak_to_peak_uv,
                "arrival_s": unit.arrival_s,
            }
            for unit in made.truth.units
        ],
    )
    item = made.item
    yield write_json(
        _beside(stem, "simulation.json"),
        {
            "Generator": {"Name": "emgsim", "Version": _version()},
            "Item": {name: getattr(item, name) for name in item.__dataclass_fields__},
            "Labels": made.labels,
            "Scenario": made.scenario,
            # where MUniverse's reports look for the rate
            "InputData": {
                "Configuration": {
                    "RecordingConfiguration": {"SamplingFrequency": recording.rate_hz}
                }
            },
        },
    )


def _version() -> str:
    return version("emgsim")
