"""Examples from the folder, from shards and on the fly; what `examples/loaders/` shows runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from emgsim.dataset.items import Items
from emgsim.dataset.loaders import Folder, generate
from emgsim.dataset.plan import load_plan
from emgsim.dataset.writing import make_item
from emgsim.errors import InputError, UsageError

EXAMPLES = Path(__file__).parents[2] / "examples" / "loaders"
SCENARIO = """
schema = "emgsim.scenario/1"
id = "small_muscle"
title = "A small muscle in a short contraction"
seed = 1

[muscle]
name = "small_muscle"
radius_mm = 4.0
pool = { n_units = 12 }
fibres = { per_unit_smallest = 6, per_unit_largest = 30, length_mm = 60.0 }

[electrode]
kind = "concentric_needle"
tip = { x_mm = 0.0, y_mm = 0.0, z_mm = 12.0 }

[[phases]]
kind = "hold"
duration_s = 1.2
level_mvc = 0.3
ramp_s = 0.1

[acquisition]
rate_hz = 4000.0
"""
PLAN = """
schema = "emgsim.dataset/1"
id = "small"
title = "A small set"
licence = "CC-BY-4.0"
authors = ["A. Nobody"]
seed = 7
scenarios = ["small_muscle.toml"]
subjects = 4

[splits]
train = 0.5
validation = 0.0
test = 0.5

[[parameters]]
key = "electrode.tip.x_mm"
kind = "uniform"
low = -1.0
high = 1.0

[[variants]]
name = "healthy"

[[variants]]
name = "diseased"
set = ["conditions=[{kind='myopathy', loss=0.3}]"]
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a plan of eight small items."""
    folder = tmp_path_factory.mktemp("plans")
    (folder / "small_muscle.toml").write_text(SCENARIO)
    (folder / "small.toml").write_text(PLAN)
    return folder / "small.toml"


@pytest.fixture(scope="module")
def made(plan: Path) -> Path:
    """Return the folder of its items."""
    items, folder = Items(load_plan(plan)), plan.parent / "made"
    for index in range(len(items)):
        make_item(items, folder, index)
    return folder


def example(name: str, needs: str = "") -> ModuleType:
    """Return an example as a module; skip where its library is not installed."""
    if needs:
        pytest.importorskip(needs, reason=f"{needs} is not installed, and no extra brings it")
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_folder_and_the_fly_give_the_same(made: Path, plan: Path) -> None:
    """Samples to float32, labels and parameters: whoever made them."""
    stored, fresh = Folder(made), list(generate(plan))
    assert len(stored) == len(fresh) == 8
    for one, other in zip(stored, fresh, strict=True):
        assert (one.id, one.subject, one.split) == (other.id, other.subject, other.split)
        np.testing.assert_array_equal(one.samples_uv, other.samples_uv)
        assert one.samples_uv.dtype == np.float32
        assert (one.rate_hz, one.labels["is_healthy"]) == (4000.0, other.labels["is_healthy"])
        assert dict(one.parameters) == dict(other.parameters)


def test_splits_share_nobody(made: Path) -> None:
    """What is in one split is in no other, and all of it is in some."""
    parts = {split: {e.subject for e in Folder(made, split=split)} for split in ("train", "test")}
    assert parts["train"].isdisjoint(parts["test"])
    assert sum(map(len, parts.values())) == 4
    with pytest.raises(InputError, match="no recording 'clean' of the split 'validation'"):
        Folder(made, split="validation")


def test_items_that_are_not_whole_are_left_out(made: Path, tmp_path: Path) -> None:
    """And what is not there is told."""
    with pytest.raises(InputError, match="no recording 'device'"):
        Folder(made, recording="device")
    with pytest.raises(InputError, match="no recording"):
        Folder(tmp_path)


def test_workers_share_the_items(plan: Path) -> None:
    """Each item is made once, whoever makes it."""
    ids = [e.id for worker in range(3) for e in generate(plan, worker=worker, n_workers=3)]
    assert sorted(ids) == [f"{k:06}" for k in range(8)]
    with pytest.raises(UsageError, match=r"worker must be 0\.\.1, got 2"):
        next(generate(plan, worker=2, n_workers=2))
    with pytest.raises(InputError, match="no recording 'device'"):
        next(generate(plan, recording="device"))


def test_numpy_arrays(made: Path) -> None:
    """A second of each item, and who is ill."""
    x, y = example("numpy_arrays").arrays(Folder(made), seconds=1.0)
    assert x.shape == (8, 4000, 1)
    assert y.tolist() == [0, 1] * 4


def test_scikit_learn(made: Path) -> None:
    """A forest learns from the features."""
    module = example("sklearn_features", "sklearn")
    x, y = module.features(Folder(made, split="train"))
    assert module.RandomForestClassifier(random_state=0).fit(x, y).score(x, y) == 1.0


def test_torch_dataset(made: Path) -> None:
    """Batches of tensors, channels first."""
    module = example("torch_dataset", "torch")
    batches = list(module.DataLoader(module.Recordings(Folder(made)), batch_size=4))
    assert [tuple(x.shape) for x, _ in batches] == [(4, 1, 4000)] * 2


def test_torch_stream(plan: Path) -> None:
    """Items are made as the loader asks for them."""
    module = example("torch_stream", "torch")
    batches = list(module.DataLoader(module.Stream(plan), batch_size=4))
    assert [tuple(x.shape) for x, _ in batches] == [(4, 1, 4800)] * 2
