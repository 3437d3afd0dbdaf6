"""One item as a file of Neurodata Without Borders (extra ``nwb``).

Each recording is an ``ElectricalSeries`` in counts, the truth's discharges are the ``Units``, its
events the epochs. Where contacts lie is in ``rel_x``, ``rel_y`` and ``rel_z``, as ``x`` and its kin
are of a brain: in micrometres, as NWB counts them, by the axes that the electrode group tells.
NWB's best practices keep ``ElectricalSeries`` for neural signals (nwbinspector issue 579, open,
proposes all bioelectric ones); there is no EMG extension yet. Files of one item differ from one
writing to the next: NWB gives every object a random identity.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from emgsim.dataset.export.electrodes import COORDINATES
from emgsim.dataset.made import DatasetHead, Made
from emgsim.errors import UsageError
from emgsim.recording import Channel, Recording

VOLTS_PER_COUNT = 1e-8  # 10 nV
BEGINS = datetime(2000, 1, 1, tzinfo=UTC)  # nobody was recorded, and a file must have a date

UNKNOWN_MM = (math.nan, math.nan, math.nan)
ADULT = "P18Y/"  # 18 years or more: what a scenario without an age simulates


def write_nwb(path: Path, head: DatasetHead, made: Made) -> None:
    """Write an item as an NWB file: its recordings, its units, its events and its labels.

    Parameters
    ----------
    path
        Of the file, which ends in ``.nwb``.
    head
        Of the dataset.
    made
        The item.

    Raises
    ------
    UsageError
        If pynwb is not installed.
    OSError
        If the file cannot be written.
    """
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise UsageError(
            "NWB files need the package pynwb", todo='pip install "emgsim[nwb]"'
        ) from error
    file = _file(head, made)
    for name, recording in made.recordings.items():
        _add_recording(file, made, name, recording)
    _add_units(file, made)
    _add_events(file, made)
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)


def _file(head: DatasetHead, made: Made) -> Any:
    from pynwb import NWBFile
    from pynwb.file import Subject

    item, age_years = made.item, made.labels.get("age_years")
    return NWBFile(
        session_description=f"Simulated EMG: {made.scenario.get('title', item.scenario)}",
        identifier=f"{head.id}-{head.version}-{item.id}",
        session_start_time=BEGINS,
        session_id=item.id,
        experimenter=[_last_name_first(author) for author in head.authors],
        experiment_description=head.description or head.title,
        institution="none: simulated by emgsim",
        keywords=["EMG", "simulated", item.split],
        notes=_notes(made),
        subject=Subject(
            subject_id=item.subject,
            species="Homo sapiens",
            sex="U",
            age=ADULT if age_years is None else f"P{age_years:g}Y",
            description="A simulated person",
        ),
    )  # fmt: skip


def _notes(made: Made) -> str:
    events = [asdict(event) for event in made.truth.events]
    table = {"labels": made.labels, "parameters": dict(made.item.parameters), "events": events}
    return json.dumps(table, sort_keys=True)


def _last_name_first(author: str) -> str:
    """Return a name as NWB wants it, ``Last, First``; one word is taken for a group's."""
    first, _, last = author.rpartition(" ")
    return author if "," in author else f"{last}, {first or 'Group'}"


def _add_recording(file: Any, made: Made, name: str, recording: Recording) -> None:
    """Add a recording with electrodes of its own: its montage may be another one."""
    from hdmf.backends.hdf5.h5_utils import H5DataIO
    from pynwb.ecephys import ElectricalSeries

    kind = recording.channels[0].kind.replace("_", " ")
    device = file.create_device(name=f"{name} electrode", description=f"{kind}, simulated")
    group = file.create_electrode_group(
        name=f"{name} electrodes",
        description=f"{kind}. {COORDINATES['EMGCoordinateSystemDescription']}",
        location=_muscle(made),
        device=device,
    )
    first = 0 if file.electrodes is None else len(file.electrodes)
    is_placed = any(c.position_mm for r in made.recordings.values() for c in r.channels)
    for channel in recording.channels:
        file.add_electrode(
            group=group,
            location=_muscle(made),
            reference=channel.reference or "unknown",
            **(_place_um(channel) if is_placed else {}),
        )
    rows = list(range(first, first + len(recording.channels)))
    counts = np.rint(recording.samples_uv * (1e-6 / VOLTS_PER_COUNT))
    file.add_acquisition(
        ElectricalSeries(
            name=f"recording_{name.replace('-', '_')}",
            description=f"Signal path {name!r}, channels {[c.name for c in recording.channels]}",
            comments=_gaps(recording),
            data=H5DataIO(
                np.where(np.isfinite(counts), counts, 0).astype(np.int32),
                compression="gzip",
                shuffle=True,
                chunks=True,
            ),
            electrodes=file.create_electrode_table_region(rows, f"Of the signal path {name!r}"),
            rate=recording.rate_hz,
            starting_time=recording.start_s,
            conversion=VOLTS_PER_COUNT,
        )
    )


def _place_um(channel: Channel) -> dict[str, float]:
    place_mm = channel.position_mm or UNKNOWN_MM
    return {f"rel_{axis}": 1e3 * mm for axis, mm in zip("xyz", place_mm, strict=True)}


def _muscle(made: Made) -> str:
    return str(made.labels.get("muscle", "unknown"))


def _gaps(recording: Recording) -> str:
    """Return where samples never arrived: they are 0 in the file."""
    spans = [[gap.first_sample, gap.n_samples] for gap in recording.gaps]
    return f"lost samples, 0 here, as [first, number]: {spans}" if spans else "no lost samples"


def _add_events(file: Any, made: Made) -> None:
    """Add what lasts as epochs; the notes have all events.

    By NWB's best practices one row alone is no table, and rows must not all begin at once.
    """
    lasting = sorted(
        (event.onset_s, event.offset_s, event.kind)
        for event in made.truth.events
        if event.offset_s > event.onset_s
    )
    if len({onset_s for onset_s, _, _ in lasting}) > 1:
        for onset_s, offset_s, kind in lasting:
            file.add_epoch(onset_s, offset_s, tags=[kind])


def _add_units(file: Any, made: Made) -> None:
    """Add the truth's motor units: when their main spikes stand at the electrode."""
    if not made.truth.units:  # a muscle at rest: NWB has no table without rows
        return
    clean = made.recordings.get("clean") or next(iter(made.recordings.values()))
    until_s = clean.start_s + clean.duration_s
    file.add_unit_column("threshold", "fraction of maximal excitation at which it is recruited")
    file.add_unit_column("n_fibres", "number of its muscle fibres")
    file.add_unit_column("peak_to_peak_uv", "of its potential on the first channel, microvolts")
    for unit in made.truth.units:
        file.add_unit(
            id=unit.id,
            spike_times=unit.spike_times_s,
            obs_intervals=[[clean.start_s, until_s]],
            threshold=unit.threshold,
            n_fibres=unit.n_fibres,
            peak_to_peak_uv=unit.peak_to_peak_uv,
        )
    file.units.resolution = 1.0 / made.truth.muap_rate_hz
