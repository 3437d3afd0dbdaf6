"""A rig with each generator, opened as a run opens it, and played."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from emgsim.bench.rig import load_rig
from emgsim.bench.station import open_station
from emgsim.cli import main
from emgsim.instruments import rigol_dg, siglent_sdg, tektronix_afg

from .test_real_rig import played

OTHERS = ("virtual-siglent", "virtual-tektronix", "virtual-rigol")


@cache
def heard(name: str) -> tuple[float, float]:
    """Play half a second, and return the swing at the device and the rms at the oscilloscope."""
    with open_station(load_rig(name), seed=7) as station:
        catch = played(station, 0.5)
    return float(np.ptp(catch.device_counts())), float(np.std(catch.scope_record().source_v))


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_generator_is_heard_as_the_first_one_is(name: str) -> None:
    """The largest swing at the device within 0.5 %; at the oscilloscope the rms within 1 %."""
    swing, rms_v = heard(name)
    first_swing, first_rms_v = heard("virtual")
    assert swing == pytest.approx(first_swing, rel=0.005)
    assert rms_v == pytest.approx(first_rms_v, rel=0.01)


def test_too_long_a_scenario_is_foreseen_with_the_longest_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Planned for the small memory of a Tektronix: said before anything is driven."""
    code = main(["rig", "plan", "virtual-tektronix", "healthy_biceps"])
    assert code == 5
    assert "a playback of 13.1 s: the generator's 131072 points hold 6.554 s" in (
        capsys.readouterr().out
    )


POINTS = {
    "Keysight 33500B": 1_000_000,  # what the instrument answers, data sheet
    "Keysight 33500B, memory option": 16_000_000,
    "Siglent SDG2000X": siglent_sdg.SERIES["SDG2"].max_points,
    "Siglent SDG1000X": siglent_sdg.SERIES["SDG1"].max_points,
    "Tektronix AFG3000, AFG31000": tektronix_afg.MAX_POINTS,
    "Rigol DG1022Z": rigol_dg.MAX_POINTS_OF["DG1022Z"],
    "Rigol DG800, DG1032Z, DG1062Z": rigol_dg.MAX_POINTS,
}


def test_the_page_tells_the_longest_record_of_each_generator() -> None:
    """Points over rate, to four digits, as the drivers have them."""
    text = (Path(__file__).parents[2] / "docs" / "generators.md").read_text("utf-8")
    for name, points in POINTS.items():
        seconds = " | ".join(f"{points / rate_hz:.4g}" for rate_hz in (10e3, 50e3, 100e3))
        assert f"| {name} | {points} | {seconds} |" in text
