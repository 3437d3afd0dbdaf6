"""NWB files, read by pynwb; nwbinspector judges them in ``validators/``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emgsim.dataset.export.nwb import write_nwb

from .making import ARRAY, HEAD, SURFACE, made_of

pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed (extra nwb)")


def test_an_item_survives(tmp_path: Path) -> None:
    """Microvolts to 5 nV, the rate, the start, each unit's spikes, the labels."""
    made = made_of(ARRAY)
    write_nwb(tmp_path / "x.nwb", HEAD, made)
    with pynwb.NWBHDF5IO(str(tmp_path / "x.nwb"), "r") as io:
        file = io.read()
        for name, own in made.recordings.items():
            series = file.acquisition[f"recording_{name.replace('-', '_')}"]
            assert (series.rate, series.starting_time) == (own.rate_hz, own.start_s)
            read_uv = series.data[:] * series.conversion * 1e6
            assert np.nanmax(np.abs(read_uv - own.samples_uv)) < 0.0051
            assert len(series.electrodes) == 8
        assert "[[1000, 77]]" in file.acquisition["recording_device"].comments
        for row, unit in enumerate(made.truth.units):
            np.testing.assert_array_equal(file.units["spike_times"][row], unit.spike_times_s)
        assert json.loads(file.notes)["labels"] == made.labels
        assert file.subject.age == "P44Y"
        assert len(file.epochs) == 2
        assert len(json.loads(file.notes)["events"]) == 2


def test_contacts_lie_where_they_are_in_the_muscle(tmp_path: Path) -> None:
    """Micrometres by the axes that the group tells; where they are not known, not a number."""
    made = made_of(SURFACE)
    device = made.recordings["device"]
    lost = replace(
        device, channels=tuple(replace(c, position_mm=None) for c in device.channels)
    )
    made = replace(made, recordings={**made.recordings, "device": lost})
    write_nwb(tmp_path / "x.nwb", HEAD, made)
    with pynwb.NWBHDF5IO(str(tmp_path / "x.nwb"), "r") as io:
        file = io.read()
        rows = file.acquisition["recording_clean"].electrodes.to_dataframe()
        own_um = 1e3 * np.array([c.position_mm for c in made.recordings["clean"].channels])
        np.testing.assert_allclose(rows[["rel_x", "rel_y", "rel_z"]], own_um)
        assert "z along its fibres" in rows["group"].iloc[0].description
        unknown = file.acquisition["recording_device"].electrodes.to_dataframe()
        assert unknown["rel_x"].isna().all()


def test_an_item_without_units_or_age_is_a_file(tmp_path: Path) -> None:
    """A muscle at rest, of somebody adult."""
    made = made_of()
    truth = replace(made.truth, units=(), events=())
    made = replace(made, truth=truth, labels={**made.labels, "age_years": None})
    write_nwb(tmp_path / "x.nwb", HEAD, made)
    with pynwb.NWBHDF5IO(str(tmp_path / "x.nwb"), "r") as io:
        file = io.read()
        assert file.subject.age == "P18Y/"
        assert file.epochs is None
