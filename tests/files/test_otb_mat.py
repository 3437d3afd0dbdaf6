"""Exports of OTBiolab+, as SciPy writes what the maker's program is said to write."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from emgsim.errors import InputError
from emgsim.files.reading import read_recording

TEXTS = ["Biceps - GR08MM1305 (1)[mV]", "Biceps - GR08MM1305 (2)[mV]", "acquired data[%]",
         "performed path[%]", "Source for decomposition of MU 1", "Decomposition of Biceps 1",
         "Decomposition of Biceps 2"]  # fmt: skip


def written(path: Path, **changes: object) -> Path:
    """Write an export of two channels with two units, changed in something."""
    rng = np.random.default_rng(1)
    data = rng.normal(0, 0.2, (4096, len(TEXTS)))
    data[:, 5:] = 0
    data[[100, 300, 900], 5] = 1
    data[[200, 700], 6] = 1
    table = {"Data": data, "Description": np.array(TEXTS, object)[:, None],
             "SamplingFrequency": 2048.0, "Time": np.arange(4096) / 2048}  # fmt: skip
    table |= changes
    savemat(path, {key: value for key, value in table.items() if value is not None})
    return path


def test_channels_and_discharges_are_read(tmp_path: Path) -> None:
    """Millivolts become microvolts; force and sources are no EMG; units are truth."""
    recording, truth = read_recording(written(tmp_path / "x.mat"))
    assert recording.rate_hz == 2048.0
    assert [c.name for c in recording.channels] == [t[: -len("[mV]")] for t in TEXTS[:2]]
    assert recording.samples_uv.shape == (4096, 2)
    assert np.std(recording.samples_uv) == pytest.approx(200, rel=0.05)
    assert truth is not None
    assert [unit.n_discharges for unit in truth.units] == [3, 2]
    np.testing.assert_allclose(truth.units[0].spike_times_s, np.array([100, 300, 900]) / 2048)


def test_without_units_the_scale_is_asked_for(tmp_path: Path) -> None:
    """Whether it is millivolts or microvolts is not for us to guess."""
    path = written(tmp_path / "x.mat", Data=np.ones((9, 1)), Description="Biceps (1)")
    with pytest.raises(InputError, match="scale to microvolts"):
        read_recording(path)
    recording, truth = read_recording(path, scale_uv_per_unit=1000.0)
    assert recording.samples_uv.max() == 1000.0
    assert truth is None
    texts = np.array(["Biceps (1)", "acquired data"])
    path = written(path, Data=np.ones((9, 2)), Description=texts)
    recording, _ = read_recording(path, scale_uv_per_unit=1000.0)
    assert [c.name for c in recording.channels] == ["Biceps (1)"]


@pytest.mark.parametrize(("changes", "said"), [
    ({"SamplingFrequency": None}, "no SamplingFrequency"),
    ({"SamplingFrequency": 0.0}, "one number > 0"),
    ({"Description": np.array(TEXTS[:2], object)}, "7 texts, got 2"),
    ({"Data": np.zeros((2, 2, 2))}, "one table of numbers"),
    ({"Data": "words"}, "one table of numbers"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    """One error with the rule and the value."""
    with pytest.raises(InputError, match=said):
        read_recording(written(tmp_path / "x.mat", **changes))


def test_the_newest_form_of_matlab_is_named(tmp_path: Path) -> None:
    """It is HDF5, and the way out is told."""
    (tmp_path / "x.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(600))
    with pytest.raises(InputError, match="save it again with -v7"):
        read_recording(tmp_path / "x.mat")


@settings(max_examples=100, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(8, 2000), with_what=st.binary(min_size=1, max_size=8),
       cut=st.integers(0, 900))
def test_damaged_files_are_read_or_refused(
    tmp_path: Path, where: int, with_what: bytes, cut: int
) -> None:
    """Nothing else happens, whichever bytes are wrong."""
    path = tmp_path / "x.mat"
    if not path.exists():
        written(path, Data=np.zeros((20, 7)), Time=None)
    data = bytearray(path.read_bytes())
    data[where : where + len(with_what)] = with_what
    broken = tmp_path / "broken.mat"
    broken.write_bytes(bytes(data[: len(data) - cut]))
    with suppress(InputError):
        read_recording(broken)
