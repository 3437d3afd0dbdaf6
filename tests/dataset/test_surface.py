"""Items of electrodes on the skin: their stems, labels and descriptors, their card, and loaders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emgsim.cli import main
from emgsim.dataset.items import Items
from emgsim.dataset.loaders import Folder, generate
from emgsim.dataset.made import Made
from emgsim.dataset.making import make
from emgsim.dataset.plan import load_plan
from emgsim.dataset.realism import descriptors
from emgsim.errors import InputError
from emgsim.recording import Recording

from .conftest import SCENARIO

Make = Callable[..., Items]
STEMS = ("stem-near", "stem-background", "stem-noise", "stem-artefacts")
MUSCLE, AFTER = SCENARIO.split("[electrode]")
PHASES = "[[phases]]" + AFTER.split("[[phases]]", 1)[1].split("[acquisition]")[0]
GRID = f"""{MUSCLE.replace('"small_muscle"', '"small_grid"', 1)}
fat_mm = 12.0

[electrode]
kind = "surface_grid"
rows = 3
columns = 2
centre_z_mm = 12.0
angle_deg = 90.0

{PHASES}
"""
DISCS = (
    GRID.replace("_grid", "_bipolar")
    .replace("rows = 3\ncolumns = 2", "apart_mm = 12.0")
    .replace("fat_mm = 12.0", "fat_mm = 1.0")
)
ONE = "subjects = 1\nstems = true\n"
NOISE_UV = (1.4, 3.6)  # of 2 uV rms, with what half a second shows of its slow part


@pytest.fixture
def on_the_skin(write: Callable[[str], Path]) -> Make:
    """Return what makes the items of a plan whose small muscle lies under a grid of six pads."""

    def items(text: str, scenario: str = GRID) -> Items:
        path = write(text)
        (path.parent / "skin.toml").write_text(scenario, encoding="utf-8")
        path.write_text(path.read_text().replace("small_muscle.toml", "skin.toml"))
        return Items(load_plan(path))

    return items


def first_of(items: Items) -> Made:
    """Make the first item."""
    return make(items, items[0])


def total_uv(recordings: Mapping[str, Recording]) -> np.ndarray:
    """Return the sum of the stems."""
    return np.sum([recordings[path].samples_uv for path in STEMS], axis=0)


def test_the_stems_of_a_grid_sum_to_the_recording(on_the_skin: Make) -> None:
    """Four parts, each with something in it, hum and limiter among them."""
    ruined = "artefacts=[{kind='mains'}, {kind='saturation', limit_uv=60.0}]"
    made = first_of(on_the_skin(f'{ONE}set = ["{ruined}"]\n'))
    clean = made.recordings["clean"]
    assert clean.samples_uv.shape[1] == 6
    np.testing.assert_allclose(total_uv(made.recordings), clean.samples_uv, atol=1e-9)
    assert min(np.std(made.recordings[path].samples_uv) for path in STEMS) > 0.3


@pytest.mark.parametrize("fall", [0.0, 0.4])
def test_nothing_is_left_over_where_there_is_no_artefact(on_the_skin: Make, fall: float) -> None:
    """Near and far units and noise make all of it, also of fibres that slow down."""
    tired = f"muscle.pool.fatigue={{velocity_fall={fall}, time_constant_s=0.1}}"
    made = first_of(on_the_skin(f'{ONE}set = ["{tired}"]\n'))
    assert np.abs(made.recordings["stem-artefacts"].samples_uv).max() < 1e-9
    assert NOISE_UV[0] < np.std(made.recordings["stem-noise"].samples_uv) < NOISE_UV[1]


def test_the_stems_part_the_units_by_what_the_skin_hears(
    on_the_skin: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One unit that is near sounds as its MUAP does at each of its discharges, and nothing else."""
    items = on_the_skin(ONE)
    units = first_of(items).truth.units
    sizes_uv = [float(np.ptp(unit.muap_uv, axis=0).max()) for unit in units]
    loudest = units[int(np.argmax(sizes_uv))]
    monkeypatch.setattr("emgsim.dataset.stems.SKIN_NEAR_UV", max(sizes_uv))
    made = first_of(items)
    near = made.recordings["stem-near"]
    assert made.labels["n_near_units"] == 1
    first_s = loudest.discharge_times_s.min() + loudest.muap_start_s
    assert np.abs(near.cut(0.0, first_s).samples_uv).max() < 1e-3 * max(sizes_uv)
    each = near.rate_hz * (loudest.discharge_times_s + loudest.muap_start_s)
    at = np.arange(near.n_samples)[:, None] - each
    shape = [np.interp(at, np.arange(len(muap)), muap, left=0, right=0).sum(axis=1)
             for muap in loudest.muap_uv.T]  # fmt: skip
    likeness = np.corrcoef(np.concatenate(shape), near.samples_uv.T.ravel())[0, 1]
    assert likeness > 0.99


def test_a_pad_that_is_off_the_skin_hums_among_the_artefacts(on_the_skin: Make) -> None:
    """Its channel is hum in the recording, and what it would have heard in the other stems."""
    made = first_of(on_the_skin(f'{ONE}set = ["electrode.lead_off=[2]"]\n'))
    clean, artefacts = (made.recordings[p].samples_uv for p in ("clean", "stem-artefacts"))
    np.testing.assert_allclose(total_uv(made.recordings), clean, atol=1e-9)
    assert np.std(artefacts[:, 2]) > 10 * np.std(artefacts[:, 3])
    assert NOISE_UV[0] < np.std(made.recordings["stem-noise"].samples_uv[:, 2]) < NOISE_UV[1]


def test_a_rig_plays_one_channel_of_the_skin(on_the_skin: Make) -> None:
    """A grid is refused; two discs are played, the skin's noise with them, the bench's apart."""
    rig = ONE + "rig = 'virtual'\n"
    with pytest.raises(InputError, match="a rig plays one channel, and the electrode has 6"):
        first_of(on_the_skin(rig))
    made = first_of(on_the_skin(rig, DISCS))
    clean, device = made.recordings["clean"], made.recordings["device"]
    np.testing.assert_allclose(total_uv(made.recordings), clean.samples_uv, atol=1e-9)
    assert NOISE_UV[0] < np.std(made.recordings["stem-noise"].samples_uv) < NOISE_UV[1]
    assert np.abs(made.recordings["stem-artefacts"].samples_uv).max() < 1e-9
    assert np.std(device.samples_uv[:, 0]) == pytest.approx(np.std(clean.samples_uv), rel=0.2)


def test_the_labels_of_a_grid_are_plain_json(on_the_skin: Make) -> None:
    """The electrode's dimensions, no needle, the fat below, and the limit on the skin."""
    labels = json.loads(json.dumps(first_of(on_the_skin("subjects = 1\n")).labels))
    assert (labels["electrode"]["kind"], labels["electrode"]["rows"]) == ("surface_grid", 3)
    assert (labels["needle_start"], labels["needle_path"]) == ({}, [])
    assert labels["near_limit_uv"] == 20.0
    assert labels["tissue"]["fat_mm"] > 0
    assert labels["sites"][0]["n_near_units"] == labels["n_near_units"] > 0


def test_descriptors_of_the_skin_are_medians_without_those_of_needles(on_the_skin: Make) -> None:
    """Five channels of 1 to 5 uV and one of 900: the median is what most of them have."""
    made = first_of(on_the_skin("subjects = 1\n"))
    clean = made.recordings["clean"]
    phase = np.arange(clean.n_samples) / clean.rate_hz * 100
    sizes_uv = np.array([1.0, 2.0, 3.0, 5.0, 4.0, 900.0])
    hum = replace(clean, samples_uv=np.sin(2 * np.pi * phase)[:, None] * sizes_uv)
    told = descriptors(replace(made, recordings={"clean": hum}))
    assert told["peak_to_peak_uv"] == pytest.approx(7.0, rel=0.01)
    assert told["median_frequency_hz"] == pytest.approx(100, abs=2)
    assert "turns_per_s" not in told
    assert "power_below_1_khz" not in told
    needle = replace(hum, channels=tuple(replace(c, kind="thin_film") for c in hum.channels))
    assert "turns_per_s" in descriptors(replace(made, recordings={"clean": needle}))


def test_a_set_of_needle_and_grid_is_told_and_read(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    """Each class beside ranges of its own kind of electrode; loaders tell where pads lie."""
    path, out = write("subjects = 1\n"), tmp_path / "set"
    (tmp_path / "small_grid.toml").write_text(GRID, encoding="utf-8")
    text = path.read_text()
    path.write_text(text.replace("small_muscle.toml", 'small_muscle.toml", "small_grid.toml'))
    assert main(["dataset", "make", str(path), "--out", str(out), "--workers", "1"]) == 0
    assert main(["dataset", "verify", str(out)]) == 0
    assert main(["dataset", "card", str(out)]) == 0
    rows = [row.split(" | ") for row in (out / "README.md").read_text().splitlines()]
    beside = {(row[0], row[1], row[2]) for row in rows if len(row) == 6}
    assert ("| small_grid", "median_frequency_hz", "60 to 120") in beside
    assert ("| small_grid", "baseline_rms_uv", "1 to 3") in beside
    assert ("| small_muscle", "baseline_rms_uv", "1.6 to 8") in beside
    assert {row[1] for row in beside if row[0] == "| small_muscle"} >= {"turns_per_s"}
    assert "median_frequency_hz" not in {row[1] for row in beside if row[0] == "| small_muscle"}
    needle, grid = Folder(out)
    assert needle.places_mm.shape == (1, 3)
    assert grid.channels[:3] == ("surface 1.1", "surface 1.2", "surface 2.1")
    # turned by 90 degrees: rows go across, columns against the fibres; 4 mm muscle, fat and skin
    np.testing.assert_allclose(grid.places_mm[:3, 0], [-4.0, -4.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(grid.places_mm[:3, 2], [14.0, 10.0, 14.0], atol=1e-6)
    assert np.all(grid.places_mm[:, 1] > 4.0)
    fresh = list(generate(path))[1]
    np.testing.assert_array_equal(fresh.samples_uv, grid.samples_uv)
    np.testing.assert_array_equal(fresh.places_mm, grid.places_mm)
    assert fresh.channels == grid.channels
