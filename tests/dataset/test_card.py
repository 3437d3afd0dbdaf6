"""What is told of a dataset: before it is made, on its card, and to whoever is to be scored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from emgsim.cli import main
from emgsim.dataset.carrying_out import make_dataset
from emgsim.dataset.foreseeing import foresee
from emgsim.dataset.items import Items
from emgsim.dataset.plan import Plan
from emgsim.dataset.realism import UNITS
from emgsim.dataset.statistics import chance_of, largest_difference, published
from emgsim.errors import InputError
from emgsim.files.npz import read_npz
from emgsim.recording import Recording

from .conftest import HEAD, PAIRS, SCENARIO, SIX, TIP

TWELVE = SIX + PAIRS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset of six pairs."""
    from emgsim.dataset.plan import load_plan

    folder = tmp_path_factory.mktemp("dataset")
    (folder / "small_muscle.toml").write_text(SCENARIO)
    (folder / "plan.toml").write_text(HEAD + TWELVE)
    make_dataset(load_plan(folder / "plan.toml"), folder / "set")
    return folder / "set"


def test_a_plan_is_told_before_anything_starts(
    write: Callable[[str], Path], load: Callable[[str], Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    """Items, bytes, time and balance; the bytes are those that are then written."""
    foreseen = foresee(Items(load(TWELVE)))
    assert (foreseen.n_items, foreseen.n_subjects) == (12, 3)
    assert foreseen.hours == pytest.approx(12 * 0.6 / 3600)
    assert sum(foreseen.balance["small_muscle"].values()) == 12
    assert foreseen.core_s == pytest.approx(12 * foreseen.cpu_s)
    assert main(["dataset", "plan", str(write(TWELVE))]) == 0
    said = capsys.readouterr().out
    for words in ("12 items of 3 subjects", "core-hours", "as npz", "small_muscle", "2 variants",
                  "electrode.tip.x_mm: uniform, -"):  # fmt: skip
        assert words in said
    assert main(["dataset", "plan", str(write(TWELVE)), "--list"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["index"] for row in rows] == list(range(12))
    assert main(["dataset", "plan", str(write(TWELVE)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_items"] == 12


def test_the_bytes_that_are_foreseen_are_those_that_are_written(
    made: Path, load: Callable[[str], Plan]
) -> None:
    """Within a tenth: items differ in the number of their units."""
    foreseen = sum(foresee(Items(load(TWELVE))).format_bytes.values())
    files = (path for path in (made / "items").rglob("*") if path.is_file())
    written = sum(path.stat().st_size for path in files if path.name != ".done")
    assert foreseen == pytest.approx(written, rel=0.1)


def test_values_that_do_not_fit_are_named_before_anything_starts(
    load: Callable[[str], Plan],
) -> None:
    """A key that no scenario has, and a needle that may leave the muscle."""
    text = "subjects = 9\n" + TIP.replace("x_mm", "u_mm")
    with pytest.raises(InputError, match=r"u_mm: unknown key; did you mean"):
        foresee(Items(load(text)))
    with pytest.raises(InputError, match="outside the muscle"):
        foresee(Items(load("subjects = 60\n" + TIP.replace("= 1.0", "= 4.3"))))


def test_the_card_says_what_is_in_a_dataset(made: Path) -> None:
    """Licence, classes, parameters, descriptors by class, limits; and the columns for tools."""
    assert main(["dataset", "card", str(made)]) == 0
    text = (made / "README.md").read_text()
    for words in ("# A small set", "CC-BY-4.0", "A. Nobody", "12 of 3 simulated subjects",
                  "small_muscle diseased", "turns_per_s (1/s)", "electrode.tip.x_mm",
                  "Tracy 2005", "It is simulated", "Known limits"):  # fmt: skip
        assert words in text
    table = json.loads((made / "croissant.json").read_text())
    assert table["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    columns = (made / "index.tsv").read_text().splitlines()[0].split("\t")
    fields = table["recordSet"][0]["field"]
    assert [field["source"]["extract"]["column"] for field in fields] == columns
    assert {field["source"]["fileObject"]["@id"] for field in fields} == {"index.tsv"}
    ids = {file["@id"] for file in table["distribution"]}
    assert ids == {"index.tsv", "npz"}
    by_name = {field["name"]: field["dataType"] for field in fields}
    assert by_name["electrode.tip.x_mm"] == "sc:Float"
    assert by_name["seed"] == "sc:Integer"


def test_a_dataset_is_compared_with_recordings_that_somebody_names(
    made: Path, tmp_path: Path
) -> None:
    """Two classes beside its own recordings of one class: that one differs by chance alone."""
    real = [str(path) for path in sorted(made.glob("items/*/*/clean.npz"))[1::2]]
    words = [word for path in real for word in ("--real", path)]
    assert main(["dataset", "card", str(made), *words]) == 0
    text = (made / "README.md").read_text()
    assert "## Beside 6 real recordings" in text
    own = [
        row.split(" | ") for row in text.splitlines() if row.startswith("| small_muscle healthy |")
    ]
    compared = [row for row in own if len(row) == 6 and row[4] == "0.00"]
    assert {row[1] for row in compared} >= {"rms_uv (uV)", "turns_per_s (1/s)"}
    assert main(["dataset", "card", str(made), "--real", str(tmp_path / "none.edf")]) == 3


def test_published_ranges_are_of_descriptors_that_there_are() -> None:
    """Each has a source, and values inside and outside are counted."""
    ranges = {one.descriptor: one for one in published()}
    assert {*ranges} <= {*UNITS}
    assert all(one.low < one.high and one.source and one.of for one in ranges.values())
    assert ranges["interval_cv"].share([0.05, 0.1, 0.2, 0.5]) == 0.5


def test_the_two_sample_distance_is_that_of_scipy() -> None:
    """Kolmogorov and Smirnov's, and about its asymptotic chance."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=80), rng.normal(0.4, 1.0, size=60)
    meant = stats.ks_2samp(first, second, method="asymp")
    distance = largest_difference(first.tolist(), second.tolist())
    assert distance == pytest.approx(meant.statistic, abs=1e-12)
    assert chance_of(distance, 80, 60) == pytest.approx(meant.pvalue, rel=0.35)
    assert chance_of(0.0, 5, 5) == 1.0


def test_people_are_scored_by_a_key_that_they_do_not_have(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The blind files hold samples and nothing of the truth; `compare` scores with the key."""
    out = tmp_path / "blind"
    assert main(["dataset", "blind", str(made), "--out", str(out)]) == 0
    key = json.loads((out / "key/key.json").read_text())["items"]
    assert sorted(key) == [f"b{k:04d}" for k in range(1, 13)]
    assert sorted(row["id"] for row in key.values()) == [f"{k:06d}" for k in range(12)]
    for path in (out / "blind").iterdir():
        with np.load(path) as file:
            assert not {"truth_json", "spike_times_s", "muaps_uv"} & set(file.files)
    blind, nothing = read_npz(out / "blind/b0003.npz")
    known, truth = read_npz(out / "key/b0003.npz")
    assert nothing is None
    assert truth is not None
    assert isinstance(blind, Recording)
    assert np.array_equal(blind.samples_uv, known.samples_uv)
    units = [{"id": u.id, "discharge_times_s": u.spike_times_s.tolist()} for u in truth.units]
    (tmp_path / "findings.json").write_text(json.dumps({"units": units}))
    capsys.readouterr()
    found = main(["compare", str(tmp_path / "findings.json"), str(out / "key/b0003.npz")])
    assert found == 0
    assert "F1 " in capsys.readouterr().out
    assert main(["dataset", "blind", str(made), "--out", str(out)]) == 2
    device = ["dataset", "blind", str(made), "--out", str(tmp_path / "d"), "--path", "device"]
    assert main(device) == 3


def test_the_command_makes_shards_and_single_items(
    write: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """By a queue's environment, merged, verified; an item made alone has the same digest."""
    path, out = write("subjects = 3\n"), tmp_path / "set"
    for number in range(2):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(number))
        words = ["--out", str(out), "--workers", "1", "--shard", "auto/2", "--resume"]
        assert main(["dataset", "make", str(path), *words]) == 0
    assert main(["dataset", "merge", str(out)]) == 0
    assert main(["dataset", "verify", str(out)]) == 0
    capsys.readouterr()
    digests = []
    for words in ([str(path), "1"], [str(out), "1"],
                  [str(out), "1", "--out", str(tmp_path / "alone")]):  # fmt: skip
        assert main(["dataset", "item", *words]) == 0
        digests.append(json.loads(capsys.readouterr().out)["events_sha256"])
    there = json.loads((out / "items/000/000001/.done").read_text())["events_sha256"]
    assert digests == [there] * 3
    assert (tmp_path / "alone/items/000/000001/clean.npz").is_file()
    assert main(["dataset", "item", str(out), "3"]) == 2
    assert main(["dataset", "item", str(out), "1", "--out", str(out)]) == 2
    assert main(["dataset", "make", str(path), "--out", str(out), "--workers", "1"]) == 2
    assert main(["dataset", "make", str(path), "--out", str(out), "--workers", "0"]) == 2
