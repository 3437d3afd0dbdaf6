"""A dataset's file: what it says, and every mistake in it at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from emgsim.dataset.items import Items
from emgsim.dataset.made import Item
from emgsim.dataset.making import scenario_of
from emgsim.dataset.parameters import Choice, Drawn, LogNormal, Normal, Uniform
from emgsim.dataset.plan import Plan, load_plan, plan_from
from emgsim.dataset.shards import shard_of
from emgsim.errors import InputError, UsageError

from .conftest import HEAD, PAIRS, TIP

Make = Callable[[str], Items]


def test_every_mistake_of_a_plan_is_named_at_once(write: Callable[[str], Path]) -> None:
    """Bounds, keys, kinds, shares and names, each with its path."""
    path = write("""
subjects = 0
recording = 2
formats = ["zarr"]
splits = { train = 0.5, validation = 0.5, test = 0.5 }

[[parameters]]
key = "electrode.tip.x_mm"
kind = "uniform"
low = 1.0
high = -1.0

[[parameters]]
key = "x"
kind = "gaussian"
""")
    with pytest.raises(InputError) as caught:
        load_plan(path)
    said = str(caught.value)
    for words in ("subjects", "recording: unknown key; did you mean 'recordings'", "sum to 1",
                  "low must be below high", "no kind 'gaussian'"):  # fmt: skip
        assert words in said
    assert caught.value.where == str(path)


@pytest.mark.parametrize(("text", "words"), [
    ("subjects = 1\n[[parameters]]\nkey='seed'\nkind='list'\nvalues=[1, 1]\n",
     "two items of one seed would clash"),
    ("subjects = 1\nset = ['seed=3']\n", "seed must not be varied"),
    ("subjects = 1\n" + TIP + TIP, "electrode.tip.x_mm more than once"),
    ("subjects = 1\nformats = ['zarr']\n", "name npz too"),
    ("subjects = 1\n" + TIP + "scenarios = ['small']\n", "did you mean 'small_muscle'"),
    ("subjects = 1\nset = ['phases']\n", "needs key.path=value"),
    ("subjects = 1\nrig = 'virtuel'\n", "did you mean 'virtual'"),
    ("subjects = 1\nset = ['electrode.tip.x=1']\n", "x: unknown key"),
    ("subjects = 1\n[[parameters]]\nkey='a'\nkind='normal'\nmean=0.0\nsd=1.0\nlow=9.0\nhigh=10.0\n",
     "must hold some of the distribution"),
])  # fmt: skip
def test_a_plan_that_cannot_work_is_refused(
    write: Callable[[str], Path], text: str, words: str
) -> None:
    """One clear sentence for each."""
    with pytest.raises(InputError, match=words):
        load_plan(write(text))


def test_an_item_does_not_depend_on_the_others(items: Make) -> None:
    """It is the same whether all were listed before, or none; and after a trip through JSON."""
    text = "subjects = 4\nrecordings = 3\n" + TIP + PAIRS
    every, again = list(items(text)), Items(plan_from(items(text).plan.resolved(), "here"))
    assert len(every) == 4 * 3 * 2
    for k in (23, 0, 11):
        assert again[k] == every[k]
    assert again.plan.digest == items(text).plan.digest


def test_seeds_differ_but_within_a_pair(items: Make) -> None:
    """A counterfactual is the same person and the same chance with one thing changed."""
    every = list(items("subjects = 5\nrecordings = 4\n" + PAIRS))
    pairs: dict[str, list[Item]] = {}
    for item in every:
        pairs.setdefault(item.pair, []).append(item)
    assert len({item.seed for item in every}) == len(pairs) == 20
    for one, other in pairs.values():
        assert (one.seed, one.subject, one.split) == (other.seed, other.subject, other.split)
        assert (one.variant, other.variant) == ("diseased", "healthy")


def test_no_subject_is_in_two_splits_and_every_class_is_in_each(items: Make) -> None:
    """Ten subjects of two scenarios each: seven, one or two, and one or two."""
    text = "subjects = 10\nrecordings = 2\n"
    two = items(text).plan.model_copy()
    table = two.resolved()
    table["scenarios"] = ["small_muscle.toml", "other_muscle.toml"]
    table["sources"] = [table["sources"][0], table["sources"][0] | {"id": "other_muscle"}]
    both = Items(plan_from(table, "here"))
    of: dict[str, set[str]] = {}
    for item in both:
        of.setdefault(item.subject, set()).add(item.split)
    assert len(of) == 20
    assert all(len(splits) == 1 for splits in of.values())
    assert Counter(item.split for item in both) == {"train": 28, "validation": 6, "test": 6}
    for counts in both.balance().values():
        assert min(counts.values()) >= 2
        assert sum(counts.values()) == 20


def test_grids_are_crossed_and_lists_are_taken_in_turn(items: Make) -> None:
    """Two grids of 2 and 3 values make six recordings of each subject."""
    every = list(
        items("""
subjects = 2
[[parameters]]
key = "a"
kind = "grid"
values = [1.0, 2.0]
[[parameters]]
key = "b"
kind = "grid"
values = ["x", "y", "z"]
[[parameters]]
key = "c"
kind = "list"
values = [true, false]
""")
    )
    assert [tuple(i.parameters[k] for k in "ab") for i in every[:6]] == [
        (a, b) for a in (1.0, 2.0) for b in "xyz"
    ]
    assert [item.parameters["c"] for item in every[:3]] == [True, False, True]
    assert every[0].overrides == ("a=1.0", 'b="x"', "c=true")


def test_a_value_of_a_subject_is_that_of_all_its_recordings(items: Make) -> None:
    """What is drawn per subject is a property of the person."""
    every = list(items("subjects = 6\nrecordings = 3\n" + TIP + 'per = "subject"\n'))
    values = {(item.subject, item.parameters["electrode.tip.x_mm"]) for item in every}
    assert len(values) == 6


def test_a_hypercube_puts_one_value_into_each_part(items: Make) -> None:
    """Of 40 draws each key has one in each fortieth of its distribution, in an order of its own."""
    every = list(
        items("""
subjects = 8
recordings = 5
[[parameters]]
kind = "latin_hypercube"
over = [
  { key = "a", kind = "uniform", low = 0.0, high = 1.0 },
  { key = "b", kind = "normal", mean = 0.0, sd = 1.0, low = -9.0, high = 9.0 },
]
""")
    )
    a = np.array([item.parameters["a"] for item in every], float)
    b = np.array([item.parameters["b"] for item in every], float)
    assert sorted(np.floor(a * 40).astype(int)) == list(range(40))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.5
    assert abs(np.mean(b)) < 0.05


LAWS = st.one_of(
    st.builds(
        lambda low, width: Uniform(key="a", low=low, high=low + width),
        st.floats(-1e3, 1e3), st.floats(1e-3, 1e3),
    ),
    st.builds(
        lambda mean, sd, low, high: Normal(key="a", mean=mean, sd=sd, low=mean - low * sd,
                                           high=mean + high * sd),
        st.floats(-100, 100), st.floats(0.01, 10), st.floats(0.1, 5), st.floats(0.1, 5),
    ),
    st.builds(
        lambda m, sd, f: LogNormal(key="a", median=m, log_sd=sd, low=m / f, high=m * f),
        st.floats(0.01, 100), st.floats(0.05, 2), st.floats(1.1, 10),
    ),
)  # fmt: skip


@given(law=LAWS, first=st.floats(0, 1), second=st.floats(0, 1))
def test_no_draw_leaves_its_bounds_and_quantiles_rise(
    law: Uniform | Normal | LogNormal, first: float, second: float
) -> None:
    """Whatever the distribution; a value has six digits, or is a bound."""
    low, high = (law.at(share) for share in sorted((first, second)))
    assert law.low <= low <= high <= law.high
    assert high in (law.low, law.high, float(f"{high:.6g}"))


def test_choices_come_as_often_as_they_weigh() -> None:
    """Three to one."""
    law = Choice(key="a", values=("x", "y"), weights=(3.0, 1.0))
    assert Counter(law.at((k + 0.5) / 100) for k in range(100)) == {"x": 75, "y": 25}


def test_kinds_are_told_apart_by_their_name() -> None:
    """A table's ``kind`` decides what it is."""
    one: Drawn = TypeAdapter(Drawn).validate_python(
        {"key": "a", "kind": "choice", "values": [1, "b", True]}
    )
    assert isinstance(one, Choice)
    assert [type(value) for value in one.values] == [float, str, bool]


@given(st.text(max_size=12))
def test_a_shard_is_read_or_refused(words: str) -> None:
    """Never another error, and never a shard outside its number."""
    try:
        shard = shard_of(words, {})
    except UsageError:
        return
    assert 1 <= shard.number <= shard.count


def test_a_queue_says_which_shard_it_is() -> None:
    """SLURM counts from anywhere in any step, Kubernetes from 0."""
    slurm = {"SLURM_ARRAY_TASK_ID": "14", "SLURM_ARRAY_TASK_MIN": "10",
             "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": "3"}  # fmt: skip
    assert str(shard_of("auto", slurm)) == "3-3"
    assert str(shard_of("auto/4", {"JOB_COMPLETION_INDEX": "3"})) == "4-4"
    with pytest.raises(UsageError, match="JOB_COMPLETION_INDEX is not set"):
        shard_of("auto/4", {})
    parts = [shard_of(f"{k}/3", {}).indices(10) for k in (1, 2, 3)]
    assert sorted(index for part in parts for index in part) == list(range(10))


def test_an_item_that_is_not_there_is_refused(items: Make) -> None:
    """The plan says how many there are."""
    with pytest.raises(UsageError, match="0 to 2, got 3"):
        items("subjects = 3\n")[3]


def test_a_plan_with_its_files_filled_in_is_refused_as_a_file(write: Callable[[str], Path]) -> None:
    """What is read from files cannot be written by hand."""
    with pytest.raises(InputError, match="filled in when the plan is read"):
        load_plan(write("subjects = 1\n[[sources]]\nid = 'x'\n[sources.table]\n"))


def test_the_examples_load() -> None:
    """The datasets of the docs: their scenarios, their parameters, their splits."""
    for name, n_items in {"needle": 32, "surface": 2}.items():
        plan = load_plan(Path(__file__).parents[2] / "examples" / f"dataset_{name}.toml")
        assert isinstance(plan, Plan)
        assert len(Items(plan)) == n_items


DOCS = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()


@pytest.mark.parametrize("number", range(DOCS.count("```text")))
def test_what_the_page_shows_is_part_of_a_plan(number: int, tmp_path: Path) -> None:
    """Each piece of a dataset's file loads, with the rest of the example around it."""
    piece = DOCS.split("```text\n")[number + 1].split("```")[0]
    head = "\n".join(HEAD.splitlines()[:6]) + "\n"
    if 'scenarios = ["healthy_biceps", ' not in piece:
        head += 'seed = 1\nscenarios = ["healthy_biceps"]\nsubjects = 1\n'
    (tmp_path / "plan.toml").write_text(head + piece)
    items = Items(load_plan(tmp_path / "plan.toml"))
    for item in (items[0], items[len(items) - 1]):
        assert scenario_of(items.source_of(item), item)[0].phases
