"""What a run measures of surface EMG, by pencil."""

from __future__ import annotations

import pytest

from emgsim.recording import Findings
from emgsim.running.skin import skin_measurements


def found(**values: float | list[float]) -> Findings:
    """Return findings with a row for each value: ``rms_uv`` is ``surface.rms_uv``."""
    units = {"uv": "uV", "hz": "Hz", "s": "m/s", "min": "1/min"}
    rows = [
        {"id": name.replace("__", "."), "value": value, "unit": units[name.rsplit("_", 1)[1]]}
        for name, several in values.items()
        for value in (several if isinstance(several, list) else [several])
    ]
    return Findings(units=(), measures=tuple(rows))


def measured(**paths: Findings) -> dict[str, tuple[float, str]]:
    """Return what a run measures of its paths: value and unit by id."""
    return {one.id: (one.value, one.unit) for one in skin_measurements(paths)}


def test_a_path_has_the_mean_of_its_contractions() -> None:
    """20 and 40 uV are 30; each measure has its unit."""
    wanted = measured(truth=found(surface__rms_uv=[20.0, 40.0], surface__velocity_m_s=4.0))
    assert wanted == {
        "surface.rms_uv.truth": (30.0, "uV"),
        "surface.velocity_m_s.truth": (4.0, "m/s"),
    }


def test_a_path_has_its_change_from_the_truth() -> None:
    """33 uV for 30 are 10 % more, 76 Hz for 80 are 5 % less."""
    wanted = measured(
        truth=found(surface__rms_uv=[20.0, 40.0], surface__mdf_hz=80.0),
        device=found(surface__rms_uv=33.0, surface__mdf_hz=76.0),
    )
    assert wanted["surface.rms_change_pct.device"] == (pytest.approx(10.0), "%")
    assert wanted["surface.mdf_change_pct.device"] == (pytest.approx(-5.0), "%")
    assert wanted["surface.rms_uv.device"] == (33.0, "uV")
    assert not [name for name in wanted if name.endswith("change_pct.truth")]


def test_only_amplitude_and_frequency_have_a_change() -> None:
    """A velocity or a count of gaps stands for itself."""
    both = found(surface__velocity_m_s=4.0, load__gaps_per_min=7.0)
    wanted = measured(truth=both, device=both)
    assert set(wanted) == {
        "surface.velocity_m_s.truth",
        "surface.velocity_m_s.device",
        "load.gaps_per_min.truth",
        "load.gaps_per_min.device",
    }


def test_what_the_truth_has_not_has_no_change() -> None:
    """A path may measure what the truth has none of, or nothing at all."""
    wanted = measured(truth=found(), device=found(surface__rms_uv=2.0), loopback=found())
    assert wanted == {"surface.rms_uv.device": (2.0, "uV")}


def test_there_is_no_percent_of_nothing() -> None:
    """Rest explains all of the truth's contraction: its rms is 0."""
    wanted = measured(truth=found(surface__rms_uv=0.0), device=found(surface__rms_uv=2.0))
    assert set(wanted) == {"surface.rms_uv.truth", "surface.rms_uv.device"}
