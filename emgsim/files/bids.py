"""Recordings of an EMG-BIDS tree (BIDS 1.11.1): the file, and what its sidecars say of it.

A sidecar may stand beside the recording or, by BIDS' principle of inheritance, in a folder above it
under a shorter name. ``_emg.json`` gives the rate and the true length, ``_channels.tsv`` the units,
``_events.tsv`` what happened. The truth, for which BIDS has no names, is read from ``_truth.npz``
or from MUniverse's ``_spikes.tsv``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emgsim.errors import InputError
from emgsim.files.content import (
    Mark,
    Signal,
    gaps_of,
    places,
    recording_of,
    truth_of,
    truth_of_channels,
    uv_per_unit,
)
from emgsim.files.edf import read_edf
from emgsim.files.npz import read_npz
from emgsim.files.sidecars import ABSENT, Row, bad_table, number, read_json, read_tsv
from emgsim.recording import Channel, Recording, Truth

RECORDING = re.compile(r"sub-[0-9A-Za-z]+_(?:[a-z]+-[0-9A-Za-z]+_)*emg\.(?:bdf|edf)")
DESCRIPTION = "dataset_description.json"
SPACE = "muscle"  # x across it, y from its middle to the skin, z along its fibres, mm
GAP = "BAD_ACQ_SKIP"  # MNE's word for samples that never arrived
RATE_TOLERANCE = 1e-5  # between sidecar and header, whose record length has 8 characters


def bids_root(path: Path) -> Path | None:
    """Return the tree that a path is in, if it is the tree itself or one of its recordings.

    A file is one by its name (``sub-..._emg.bdf``) and by a ``dataset_description.json`` above it.
    """
    if path.is_dir():
        return path if (path / DESCRIPTION).is_file() else None
    if not RECORDING.fullmatch(path.name):
        return None
    return next((up for up in path.resolve().parents if (up / DESCRIPTION).is_file()), None)


def read_bids(
    path: Path, *, channels: Sequence[str] = (), scale_uv_per_unit: float | None = None
) -> tuple[Recording, Truth | None]:
    """Read one recording of a tree in microvolts, with the truth beside it if there is any.

    Parameters
    ----------
    path
        Of the recording (``sub-..._emg.bdf`` or ``.edf``), or of a tree that holds only one.
    channels, scale_uv_per_unit
        As of `emgsim.files.reading.read_recording`.

    Returns
    -------
    recording : Recording
        NaN where ``_events.tsv`` says ``BAD_ACQ_SKIP``; ``start_s`` from ``StartTime``.
    truth : Truth or None
        The simulator's own, on its clock; else spikes and events as real annotations.

    Raises
    ------
    InputError
        If a required sidecar or key is missing, or sidecar and recording contradict each other.
    ValueError
        If the recording is damaged or a channel cannot be read: see `recording_of`.
    """
    root = bids_root(path)
    if root is None:
        raise InputError(
            f"no {DESCRIPTION} is above the recording",
            where=str(path),
            todo="name a recording sub-..._emg.bdf of a whole BIDS tree",
        )
    path = _only_recording(path) if path.is_dir() else path
    sidecar = _sidecar(root, path)
    content = read_edf(path.read_bytes())
    table = _inherited(root, path, "channels.tsv")
    rows = read_tsv(table[-1], ("name", "type", "units")) if table else []
    if rows:
        content = replace(content, signals=_with_units(content.signals, rows, table[-1]))
    recording = recording_of(content, channels, scale_uv_per_unit)
    recording = _as_told(recording, sidecar, path)
    electrodes = _inherited(root, path, "electrodes.tsv")
    places_mm = _places_mm(electrodes[-1]) if electrodes else {}
    recording = replace(recording, channels=_described(recording.channels, rows, places_mm))
    events = _inherited(root, path, "events.tsv")
    marks = list(_marks(events[-1])) if events else []
    recording = _with_gaps(recording, marks)
    rest = [mark for mark in marks if mark.text != GAP]
    truth = _truth(path, recording, [*content.marks, *rest])
    if channels and truth is not None and _whole_truth(path).is_file():
        truth = truth_of_channels(truth, places([s.name for s in content.signals], channels))
    return recording, truth


def _only_recording(root: Path) -> Path:
    found = sorted(p for p in root.rglob("*_emg.?df") if RECORDING.fullmatch(p.name))
    if len(found) != 1:
        first = f", the first {found[0].relative_to(root)}" if found else ""
        raise InputError(
            f"the tree must hold one recording to be read by its folder, got {len(found)}{first}",
            where=str(root),
            todo="name the recording itself: sub-.../emg/sub-..._emg.bdf",
        )
    return found[0]


def _inherited(root: Path, path: Path, suffix: str) -> list[Path]:
    """Return the files of a suffix that hold for a recording, the nearest and longest name last."""
    own = _entities(path.name)
    inside = [path.resolve().parent, *path.resolve().parent.parents]
    found = []
    for folder in reversed(inside[: inside.index(root.resolve()) + 1]):
        here = folder.glob(f"*{suffix}")
        fitting = [p for p in here if _entities(p.name) <= own and _suffix(p.name) == suffix]
        found += sorted(fitting, key=lambda p: len(p.name))
    return found


def _entities(name: str) -> set[str]:
    return {part for part in name.split("_")[:-1] if "-" in part}


def _suffix(name: str) -> str:
    return name.rsplit("_", maxsplit=1)[-1]


def _sidecar(root: Path, path: Path) -> dict[str, Any]:
    """Return ``_emg.json``, a nearer file's keys before a farther one's."""
    files = _inherited(root, path, "emg.json")
    merged: dict[str, Any] = {}
    for file in files:
        merged |= read_json(file)
    rate_hz = merged.get("SamplingFrequency")
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, (int, float)) or not rate_hz > 0:
        said = f"got {rate_hz!r}" if "SamplingFrequency" in merged else "it is missing"
        raise InputError(
            f"SamplingFrequency must be a number of hertz > 0, {said}",
            where=str(files[-1] if files else path.with_suffix(".json")),
            todo="write the recording's _emg.json: BIDS requires it",
        )
    return merged


def _with_units(signals: Sequence[Signal], rows: Sequence[Row], table: Path) -> tuple[Signal, ...]:
    """Return the signals with the units of ``_channels.tsv``, which must not contradict theirs."""
    if len(rows) != len(signals):
        raise InputError(
            f"_channels.tsv must name each of the file's {len(signals)} channels, got {len(rows)}",
            where=str(table),
            todo="write a row for each channel, in the file's order",
        )
    return tuple(_with_unit(s, row, table) for s, row in zip(signals, rows, strict=True))


def _with_unit(signal: Signal, row: Row, table: Path) -> Signal:
    told, own = uv_per_unit(row["units"]), signal.uv_per_unit
    if told is not None and own is not None and told != own:
        raise InputError(
            f"{signal.name!r} is in {signal.unit} in the file, in {row['units']} in _channels.tsv",
            where=str(table),
            todo="find out which is right, and correct the other",
        )
    # a file of other software may say nothing in its header, or have cut the name to 16 letters
    unit = signal.unit if told is None or own is not None else row["units"]
    return replace(signal, name=row["name"], unit=unit)


def _places_mm(table: Path) -> dict[str, tuple[float, float, float]]:
    """Return where electrodes lie in the muscle's own space; other spaces are others' concern."""
    return {
        row["name"]: (number(row, "x", table), number(row, "y", table), number(row, "z", table))
        for row in read_tsv(table, ("name",))
        if row.get("coordinate_system") == SPACE
    }


def _described(
    channels: tuple[Channel, ...],
    rows: Sequence[Row],
    places_mm: Mapping[str, tuple[float, float, float]],
) -> tuple[Channel, ...]:
    """Return the channels with what our own columns tell of them, each where its electrode is."""
    by_name = {row["name"]: row for row in rows}
    return tuple(
        replace(
            _described_one(channel, by_name.get(channel.name, {})),
            position_mm=places_mm.get(by_name.get(channel.name, {}).get("signal_electrode", "")),
        )
        for channel in channels
    )


def _described_one(channel: Channel, row: Row) -> Channel:
    told = {key: value for key, value in row.items() if value != ABSENT}
    try:
        band_hz = (float(told["low_cutoff"]), float(told["high_cutoff"]))
    except (KeyError, ValueError):  # absent, or words: as BIDS allows
        band_hz = None
    return Channel(
        name=told["description"] if "electrode_kind" in told and "description" in told
        else channel.name,
        kind=told.get("electrode_kind", channel.kind),
        reference=told.get("reference", channel.reference),
        band_hz=band_hz,
    )  # fmt: skip


def _as_told(recording: Recording, sidecar: dict[str, Any], path: Path) -> Recording:
    """Return the recording at the sidecar's rate, start and length."""
    rate_hz = float(sidecar["SamplingFrequency"])
    if abs(rate_hz / recording.rate_hz - 1) > RATE_TOLERANCE:
        raise InputError(
            f"SamplingFrequency must be the file's rate of {recording.rate_hz:.9g} Hz, "
            f"got {rate_hz:.9g} Hz",
            where=str(path),
            todo="correct _emg.json, or name a channel of that rate",
        )
    start_s = sidecar.get("StartTime", 0.0)
    if (
        isinstance(start_s, bool)
        or not isinstance(start_s, (int, float))
        or not np.isfinite(start_s)
    ):
        raise InputError(
            f"StartTime must be a finite number of seconds, got {start_s!r}",
            where=str(path),
            todo="correct it in _emg.json, or leave it out",
        )
    told_s = sidecar.get("RecordingDuration")
    n = recording.n_samples
    if isinstance(told_s, (int, float)) and not isinstance(told_s, bool):
        n = _true_length(recording, round(told_s * rate_hz), path)
    return replace(
        recording,
        samples_uv=recording.samples_uv[:n],
        rate_hz=rate_hz,
        start_s=float(start_s),
    )


def _true_length(recording: Recording, told: int, path: Path) -> int:
    """Return how many samples are the recording's: without what fills up the last record.

    Only samples that repeat the last one are taken for filling: a duration that somebody has
    rounded cuts nothing off.
    """
    there = recording.n_samples
    if told > there + recording.rate_hz:  # durations are often rounded to whole seconds
        raise InputError(
            f"the file must hold RecordingDuration = {told / recording.rate_hz:g} s, "
            f"it holds {recording.duration_s:g} s",
            where=str(path),
            todo="copy the file again: it is cut off",
        )
    tail = recording.samples_uv[max(told, 1) - 1 :]
    return told if 0 < told < there and np.all(tail == tail[0]) else there


def _marks(path: Path) -> Iterator[Mark]:
    """Yield the rows of ``_events.tsv``; one with a unit's number is a discharge of it."""
    for row in read_tsv(path, ("onset", "duration")):
        if row["onset"] == ABSENT:  # as BIDS allows: it happened at an unknown time
            continue
        duration_s = number(row, "duration", path)
        text = row.get("trial_type", ABSENT)
        if row.get("unit_id", ABSENT).isdigit():
            text, duration_s = f"MU {row['unit_id']}", 0.0
        yield Mark(onset_s=number(row, "onset", path), duration_s=duration_s, text=text)


def _with_gaps(recording: Recording, marks: Sequence[Mark]) -> Recording:
    samples_uv = recording.samples_uv.copy()
    for mark in marks:
        if mark.text == GAP:
            first = round(mark.onset_s * recording.rate_hz)
            samples_uv[max(first, 0) : first + round(mark.duration_s * recording.rate_hz)] = np.nan
    return replace(recording, samples_uv=samples_uv, gaps=gaps_of(samples_uv))


def _truth(path: Path, recording: Recording, marks: Sequence[Mark]) -> Truth | None:
    """Return the simulator's truth if it is there, else what marks and spikes tell."""
    whole = _whole_truth(path)
    if whole.is_file():
        return read_npz(whole)[1]
    spikes = path.with_name(f"{path.name.rpartition('_')[0]}_spikes.tsv")
    found = [*marks, *(_discharges(spikes, recording) if spikes.is_file() else ())]
    # the marks count from the recording's first sample
    shifted = [replace(mark, onset_s=mark.onset_s + recording.start_s) for mark in found]
    return truth_of(shifted, recording)


def _discharges(path: Path, recording: Recording) -> list[Mark]:
    """Return the discharges of ``_spikes.tsv``.

    Our own files tell seconds. MUniverse's ``spike_time`` is a sample's number in its simulated
    sets and seconds elsewhere, and no file says which: times beyond the end are samples.
    """
    rows = read_tsv(path, ("source_id", "spike_time"))
    column = "spike_time_s" if rows and "spike_time_s" in rows[0] else "spike_time"
    times_s = [number(row, column, path) for row in rows]
    if column == "spike_time" and max(times_s, default=0.0) > recording.duration_s:
        times_s = [time / recording.rate_hz for time in times_s]
    return [
        Mark(onset_s=time_s, duration_s=0.0, text=f"MU {_whole(row, path)}")
        for row, time_s in zip(rows, times_s, strict=True)
    ]


def _whole_truth(path: Path) -> Path:
    """Return where the simulator leaves the truth of all recordings of one item."""
    item = re.sub(r"(?:_recording-[0-9A-Za-z]+)?_emg\..df$", "", path.name)
    return path.with_name(f"{item}_truth.npz")


def _whole(row: Row, path: Path) -> int:
    value = number(row, "source_id", path)
    if value < 0 or value != int(value):
        raise bad_table(path, f"source_id must be a whole number >= 0, got {value:g}")
    return int(value)
