"""BDF+ as we write it, read by our own reader; other people's read it in ``validators/``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emgsim.dataset.export.bdf import labels_of, records_of, write_bdf
from emgsim.files.edf import read_edf
from emgsim.recording import Channel, Gap, Recording

from .making import ARRAY, recording_of

RATES_HZ = (48_000.0, 23_437.5, 4_000.5, 2_048.0, 1000 / 3, 47_998.3217, 10_240.0)
LSB_UV = 12_000 / (2**23 - 1)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("n_samples", [1, 4_800, 12_345])
def test_rate_and_samples_survive(tmp_path: Path, rate_hz: float, n_samples: int) -> None:
    """Half a count is the most that is lost, and a millionth of an odd rate."""
    recording = recording_of(ARRAY, rate_hz=rate_hz, n_samples=n_samples)
    write_bdf(tmp_path / "x.bdf", recording)
    content = read_edf((tmp_path / "x.bdf").read_bytes())
    assert [s.name for s in content.signals] == [c.name for c in recording.channels]
    for k, signal in enumerate(content.signals):
        assert signal.rate_hz == pytest.approx(rate_hz, rel=1e-6)
        own = recording.samples_uv[:, k]
        assert np.abs(signal.values[:n_samples] - own).max() <= 0.5001 * LSB_UV
        assert np.ptp(signal.values[n_samples - 1 :]) == 0  # filled up with the last sample


@pytest.mark.parametrize(("rate_hz", "n_samples", "n", "text"), [
    (48_000.0, 480_000, 48_000, "1"), (48_000.0, 72_000, 24_000, "0.5"),
    (23_437.5, 93_750, 46_875, "2"), (4_000.5, 8_001, 8_001, "2"), (2_048.0, 100, 512, "0.25"),
])  # fmt: skip
def test_records_leave_least_to_fill_up(rate_hz: float, n_samples: int, n: int, text: str) -> None:
    """The rate is exact where a record of 8 characters can have it."""
    records = records_of(recording_of(rate_hz=rate_hz, n_samples=n_samples))
    assert (records.n, records.text) == (n, text)
    assert records.rate_hz == rate_hz


@pytest.mark.parametrize(("largest_uv", "full_scale_uv"),
                         [(11_999.0, 12_000), (12_001.0, 120_000), (1.19e6, 1_200_000)])
def test_the_range_grows_with_the_signal(
    tmp_path: Path, largest_uv: float, full_scale_uv: int
) -> None:
    """An electrode's offset of hundreds of millivolts is neither cut off nor refused."""
    recording = recording_of(n_samples=50)
    recording.samples_uv[7] = -largest_uv
    write_bdf(tmp_path / "x.bdf", recording)
    head = (tmp_path / "x.bdf").read_bytes()[:768]
    assert f"{-full_scale_uv:<8}".encode() in head
    signal = read_edf((tmp_path / "x.bdf").read_bytes()).signals[0]
    assert signal.values[7] == pytest.approx(-largest_uv, abs=full_scale_uv / 2**23)


def test_the_same_recording_gives_the_same_bytes(tmp_path: Path) -> None:
    """No clock, no name of a machine: two files of one recording are one."""
    for name in ("a.bdf", "b.bdf"):
        write_bdf(tmp_path / name, recording_of())
    assert (tmp_path / "a.bdf").read_bytes() == (tmp_path / "b.bdf").read_bytes()


@pytest.mark.parametrize(("value", "rule"),
                         [(np.nan, "finite"), (np.inf, "within"), (2e6, "within")])
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, value: float, rule: str) -> None:
    """Lost samples that no gap tells of, and volts, are no zeros."""
    recording = recording_of(n_samples=50)
    recording.samples_uv[3] = value
    with pytest.raises(ValueError, match=rule):
        write_bdf(tmp_path / "x.bdf", recording)


def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    """A file without samples is none."""
    with pytest.raises(ValueError, match="hold a sample"):
        write_bdf(tmp_path / "x.bdf", recording_of(n_samples=0))


def test_gaps_are_zero(tmp_path: Path) -> None:
    """Other readers see silence where samples were lost."""
    gap = Gap(first_sample=10, n_samples=5)
    write_bdf(tmp_path / "x.bdf", recording_of(n_samples=50, gaps=(gap,)))
    values = read_edf((tmp_path / "x.bdf").read_bytes()).signals[0].values
    assert not values[10:15].any()
    assert values[:10].all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=24), min_size=1, max_size=12))
def test_labels_are_ascii_and_differ(names: list[str]) -> None:
    """Whatever the channels are called, a header can hold them and a reader tell them apart."""
    labels = labels_of([Channel(name=name) for name in names])
    assert len(set(labels)) == len(names)
    assert all(0 < len(label) <= 16 and label.isascii() and label.isprintable() for label in labels)


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate_hz=st.floats(100, 60_000), n_samples=st.integers(1, 3_000))
def test_any_rate_and_length_can_be_read_again(
    tmp_path: Path, rate_hz: float, n_samples: int
) -> None:
    """The file holds together for every rate: no field overflows."""
    samples_uv = np.arange(float(n_samples))[:, None]
    recording = Recording(samples_uv=samples_uv, rate_hz=rate_hz, channels=(Channel(name="n"),))
    write_bdf(tmp_path / "x.bdf", recording)
    signal = read_edf((tmp_path / "x.bdf").read_bytes()).signals[0]
    assert signal.rate_hz == pytest.approx(rate_hz, rel=1e-6)
    assert len(signal.values) >= n_samples
