"""Recordings with their truth as ``.npz``.

``samples_uv`` and ``rate_hz`` are all that a reader needs; a writer adds channel names, spikes, and
the truth. Nothing in the file can run code: pickles are refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from emgsim.errors import InputError
from emgsim.files.content import gaps_of
from emgsim.recording import (
    Channel,
    Event,
    FibreTruth,
    Gap,
    MotorUnit,
    Recording,
    SpontaneousSource,
    Stay,
    Truth,
)

TRUTH_SCHEMA = "emgsim.truth/1"


def write_npz(path: Path, recording: Recording, truth: Truth | None = None) -> None:
    """Write a recording, with its truth if there is one; samples become float32."""
    arrays: dict[str, Any] = {
        "samples_uv": recording.samples_uv.astype(np.float32),
        "rate_hz": np.float64(recording.rate_hz),
        "start_s": np.float64(recording.start_s),
        "channel_names": np.array([channel.name for channel in recording.channels]),
        "channels_json": np.array(json.dumps([asdict(c) for c in recording.channels])),
        "gaps": np.array([(g.first_sample, g.n_samples) for g in recording.gaps], np.int64).reshape(
            -1, 2
        ),
    }
    if truth is not None:
        arrays |= _truth_arrays(truth)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez(file, **arrays)


def read_npz(path: Path) -> tuple[Recording, Truth | None]:
    """Read a recording and its truth, if the file holds one.

    Raises
    ------
    InputError
        If the file is missing, is no npz, or lacks ``samples_uv`` or ``rate_hz``.
    """
    try:
        # A damaged file makes zipfile, zlib and numpy's header parser raise errors of many kinds.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:
        raise InputError(
            f"cannot read the recording: {getattr(error, 'strerror', None) or error or 'damaged'}",
            where=str(path),
            todo="name an .npz file with samples_uv and rate_hz",
        ) from error
    missing = [name for name in ("samples_uv", "rate_hz") if name not in arrays]
    if missing:
        raise InputError(
            f"the recording lacks {' and '.join(missing)}",
            where=str(path),
            todo="an .npz recording needs samples_uv (n_samples, n_channels) and rate_hz",
        )
    try:
        return _recording(arrays), _truth(arrays)
    except Exception as error:
        raise InputError(
            f"invalid recording: {error}",
            where=str(path),
            todo="an .npz recording needs samples_uv (n_samples, n_channels) and rate_hz",
        ) from error


def _recording(arrays: dict[str, Any]) -> Recording:
    if np.iscomplexobj(arrays["samples_uv"]):
        raise ValueError("samples_uv must be real, got complex numbers")
    samples = np.asarray(arrays["samples_uv"], dtype=np.float64)
    if samples.ndim == 0:
        raise ValueError("samples_uv: expected (n_samples, n_channels), got ()")
    samples = samples[:, None] if samples.ndim == 1 else samples
    if "channels_json" in arrays:
        rows = json.loads(str(arrays["channels_json"]))
        channels = tuple(_channel(row) for row in rows)
    else:
        names = arrays.get("channel_names", [f"channel {i + 1}" for i in range(samples.shape[1])])
        channels = tuple(Channel(name=str(name), kind="unknown", reference="") for name in names)
    listed = arrays.get("gaps")
    gaps = (
        gaps_of(samples)
        if listed is None
        else tuple(Gap(first_sample=int(first), n_samples=int(n)) for first, n in listed)
    )
    return Recording(
        samples_uv=samples,
        rate_hz=float(arrays["rate_hz"]),
        channels=channels,
        start_s=float(arrays.get("start_s", 0.0)),
        gaps=gaps,
    )


def _channel(row: dict[str, Any]) -> Channel:
    """Return a channel from its row of JSON, which has no tuples."""
    tuples = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    return Channel(**{**row, **tuples})


def _unit_arrays(units: Sequence[MotorUnit], prefix: str = "") -> tuple[dict[str, Any], list[Any]]:
    """Return motor units as arrays, and as rows of what is no array."""
    trains = [unit.spike_times_s for unit in units]
    longest = max((unit.muap_uv.shape[0] for unit in units), default=0)
    n_channels = units[0].muap_uv.shape[1] if units else 1
    muaps = np.zeros((len(units), longest, n_channels))
    for row, unit in zip(muaps, units, strict=True):
        row[: unit.muap_uv.shape[0]] = unit.muap_uv
    ids = [np.full(t.size, u.id) for t, u in zip(trains, units, strict=True)]
    arrays = {
        f"{prefix}spike_times_s": np.concatenate([*trains, np.zeros(0)]),
        f"{prefix}spike_units": np.concatenate([*ids, np.zeros(0, np.int64)]).astype(np.int64),
        f"{prefix}muaps_uv": muaps,
    }
    rows = [
        {
            "id": u.id,
            "muscle": u.muscle,
            "threshold": u.threshold,
            "n_fibres": u.n_fibres,
            "muap_start_s": u.muap_start_s,
            "arrival_s": u.arrival_s,
            "n_muap_samples": u.muap_uv.shape[0],
        }
        for u in units
    ]
    return arrays, rows


def _truth_arrays(truth: Truth) -> dict[str, Any]:
    arrays, rows = _unit_arrays(truth.units)
    stays = []
    for number, stay in enumerate(truth.stays):
        own, its_rows = _unit_arrays(stay.units, _of_stay(number))
        arrays |= own
        stays.append({"onset_s": stay.onset_s, "offset_s": stay.offset_s, "units": its_rows})
    head = {
        "schema": TRUTH_SCHEMA,
        "units": rows,
        "stays": stays,
        "muap_rate_hz": truth.muap_rate_hz,
        "events": [asdict(event) for event in truth.events],
        "needle": truth.needle,
        "needle_path": list(truth.needle_path),
        "conditions": list(truth.conditions),
        "spontaneous": [
            {
                "name": source.name,
                "kind": source.kind,
                "potential_start_s": source.potential_start_s,
                "unit_id": source.unit_id,
            }
            for source in truth.spontaneous
        ],
    }
    arrays |= {
        "effort_times_s": truth.effort_times_s,
        "effort": truth.effort,
        "force": truth.force,
        "truth_json": np.array(json.dumps(head)),
    }
    return arrays | _fibre_arrays(truth) | _source_arrays(truth)


def _of_stay(number: int) -> str:
    """Return what the names of a stay's arrays begin with."""
    return f"stay_{number}_"


def _fibre_arrays(truth: Truth) -> dict[str, Any]:
    """Return the near fibres of each unit that tells of them, its id in the arrays' names."""
    arrays: dict[str, Any] = {}
    for unit in truth.units:
        if unit.fibres is not None:
            arrays[f"fibres_{unit.id}"] = unit.fibres.fibre
            arrays[f"fibre_arrivals_s_{unit.id}"] = unit.fibres.arrival_s
            arrays[f"fibre_blocks_{unit.id}"] = unit.fibres.is_blocked
    return arrays


def _source_arrays(truth: Truth) -> dict[str, Any]:
    """Return the sources of spontaneous activity, numbered as in ``truth_json``."""
    arrays: dict[str, Any] = {}
    for number, source in enumerate(truth.spontaneous):
        arrays[f"source_times_s_{number}"] = source.discharge_times_s
        arrays[f"source_gains_{number}"] = source.gains
        arrays[f"source_potential_uv_{number}"] = source.potential_uv
    return arrays


def _sources(head: dict[str, Any], arrays: dict[str, Any]) -> tuple[SpontaneousSource, ...]:
    return tuple(
        SpontaneousSource(
            **row,
            discharge_times_s=arrays[f"source_times_s_{number}"],
            gains=arrays[f"source_gains_{number}"],
            potential_uv=arrays[f"source_potential_uv_{number}"],
        )
        for number, row in enumerate(head.get("spontaneous", ()))
    )


def _fibres(arrays: dict[str, Any], unit_id: int) -> FibreTruth | None:
    if f"fibres_{unit_id}" not in arrays:
        return None
    return FibreTruth(
        fibre=arrays[f"fibres_{unit_id}"],
        arrival_s=arrays[f"fibre_arrivals_s_{unit_id}"],
        is_blocked=arrays[f"fibre_blocks_{unit_id}"],
    )


def _truth(arrays: dict[str, Any]) -> Truth | None:
    if "truth_json" not in arrays:
        return None
    head = json.loads(str(arrays["truth_json"]))
    return Truth(
        units=_units(head["units"], arrays),
        muap_rate_hz=head["muap_rate_hz"],
        events=tuple(Event(**event) for event in head["events"]),
        effort_times_s=arrays["effort_times_s"],
        effort=arrays["effort"],
        force=arrays.get("force", np.zeros(0)),  # files of before have none
        needle=head["needle"],
        needle_path=tuple(head.get("needle_path", ())),
        conditions=tuple(head["conditions"]),
        spontaneous=_sources(head, arrays),
        stays=tuple(
            Stay(
                onset_s=stay["onset_s"],
                offset_s=stay["offset_s"],
                units=_units(stay["units"], arrays, _of_stay(number)),
            )
            for number, stay in enumerate(head.get("stays", ()))
        ),
    )


def _units(
    rows: list[dict[str, Any]], arrays: dict[str, Any], prefix: str = ""
) -> tuple[MotorUnit, ...]:
    units = []
    for index, row in enumerate(rows):
        n = row.pop("n_muap_samples")
        spikes = arrays[f"{prefix}spike_times_s"][arrays[f"{prefix}spike_units"] == row["id"]]
        units.append(
            MotorUnit(
                **row,
                discharge_times_s=spikes - row["arrival_s"],
                muap_uv=arrays[f"{prefix}muaps_uv"][index, :n],
                fibres=None if prefix else _fibres(arrays, row["id"]),
            )
        )
    return tuple(units)
