"""The rows of a recording of surface EMG."""

from __future__ import annotations

import numpy as np
import pytest

from emgsim.analysis.surface.measuring import surface_measures
from emgsim.recording import Event

RATE_HZ = 2048.0
ALONG_MM = 5.0 * np.arange(8)
EVENTS = (
    Event(kind="rest", onset_s=10.0, offset_s=12.0),
    Event(kind="contraction", onset_s=12.0, offset_s=15.0),
    Event(kind="rest", onset_s=15.0, offset_s=15.4),
    Event(kind="contraction", onset_s=15.4, offset_s=15.6),
)


def recorded(waves) -> np.ndarray:
    """Two seconds of rest, then a wave of 30 uV, in noise of 10 uV below 450 Hz."""
    wave = 30 * waves.travelling(4.0, 6.0)
    wave[: round(2 * RATE_HZ)] = 0.0
    return wave + 10 * waves.band_noise(6.0, 7, np.linspace(0, 0.4, 8), 200.0)


def test_a_contraction_has_its_rows_and_a_short_one_has_none(waves) -> None:
    """Ids, units and span of each; values in their intervals; the first sample is at 10 s."""
    rows = surface_measures(recorded(waves), RATE_HZ, 10.0, EVENTS, along_mm=ALONG_MM)
    assert [(row["id"], row["unit"]) for row in rows] == [
        ("surface.rms_uv", "uV"),
        ("surface.arv_uv", "uV"),
        ("surface.mnf_hz", "Hz"),
        ("surface.mdf_hz", "Hz"),
        ("surface.velocity_m_s", "m/s"),
    ]
    assert {(row["onset_s"], row["offset_s"]) for row in rows} == {(12.0, 15.0)}
    assert all(row["low"] < row["value"] < row["high"] for row in rows)
    assert all(type(row["value"]) is float for row in rows)
    assert rows[4]["value"] == pytest.approx(4, rel=0.02)


def test_the_longest_rest_is_taken_off(waves) -> None:
    """30 uV remain of 31.6, though what is loud is called rest too; without rest they do not."""
    events = (*EVENTS, Event(kind="rest", onset_s=13.0, offset_s=13.6))
    rows = surface_measures(recorded(waves)[:, 0], RATE_HZ, 10.0, events)
    assert rows[0]["value"] == pytest.approx(30, rel=0.02)
    without = surface_measures(recorded(waves)[:, 0], RATE_HZ, 10.0, EVENTS[1:2])
    assert without[0]["value"] == pytest.approx(31.6, rel=0.02)
    assert len(rows) == len(without) == 4


def test_the_channel_is_that_of_the_median_rms(waves) -> None:
    """Of 1, 5 and 20 times the wave it is 5."""
    wave = recorded(waves)[:, :1]
    alone = surface_measures(wave, RATE_HZ, 10.0, EVENTS)[0]["value"]
    found = surface_measures(wave * [20.0, 1.0, 5.0], RATE_HZ, 10.0, EVENTS)[0]["value"]
    assert found == pytest.approx(5 * alone)


def test_what_is_not_known_has_no_row(waves) -> None:
    """Noise has no velocity, and what has lost most of its samples has nothing."""
    samples = recorded(waves)
    samples[round(2.5 * RATE_HZ) : round(4.2 * RATE_HZ), :] = np.nan
    assert surface_measures(samples, RATE_HZ, 10.0, EVENTS) == ()
    noise = np.random.default_rng(1).standard_normal(samples.shape)
    rows = surface_measures(noise, RATE_HZ, 10.0, EVENTS, along_mm=ALONG_MM)
    assert "surface.velocity_m_s" not in {row["id"] for row in rows}


def test_a_lost_sample_costs_no_amplitude(waves) -> None:
    """A device that loses one of six thousand is as loud as before."""
    samples = recorded(waves)
    whole = surface_measures(samples, RATE_HZ, 10.0, EVENTS)
    samples[[round(RATE_HZ), round(3 * RATE_HZ)], :] = np.nan
    found = surface_measures(samples, RATE_HZ, 10.0, EVENTS)
    for row, before in zip(found[:2], whole[:2], strict=True):
        assert row["id"] == before["id"]
        assert row["value"] == pytest.approx(before["value"], rel=0.01)


def test_no_contraction_has_no_rows_and_bad_shapes_are_refused(waves) -> None:
    """The shape is told."""
    assert surface_measures(recorded(waves), RATE_HZ, 10.0, EVENTS[:1]) == ()
    with pytest.raises(ValueError, match=r"got \(2, 2, 2\)"):
        surface_measures(np.zeros((2, 2, 2)), RATE_HZ, 0.0, EVENTS)
