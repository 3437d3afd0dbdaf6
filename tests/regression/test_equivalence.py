"""Three answers about a difference: by pencil, by the tables of TOST, and by many repeats."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.regression.equivalence import answered_together, compare_means

values = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


def test_the_interval_of_a_difference_is_students() -> None:
    """1, 2, 3 against 2, 3, 4: a difference of 1, pooled variance 1, four degrees of freedom."""
    found = compare_means([1, 2, 3], [2, 3, 4], 5.0)
    wide = 2.131846786 * math.sqrt(2 / 3)  # t(0.95; 4) of the tables
    assert found.difference == pytest.approx(1.0)
    assert (found.low, found.high) == pytest.approx((1 - wide, 1 + wide))
    assert found.answer == "equivalent"


@pytest.mark.parametrize(
    ("shift", "answer"),
    [(0.0, "equivalent"), (1.0, "not enough data"), (-1.0, "not enough data"), (3.0, "changed")],
)
def test_the_answer_follows_the_interval(shift: float, answer: str) -> None:
    """Within the margin, astride it, beyond it."""
    old = np.linspace(-0.5, 0.5, 10)
    found = compare_means(old, old + shift, 1.0)
    assert found.answer == answer
    if answer == "equivalent":
        assert max(abs(found.low), abs(found.high)) < 1
    if answer == "changed":
        assert found.low > 1


def test_one_new_run_is_compared_with_the_scatter_of_many_old_ones() -> None:
    """Its own scatter is unknown, and that of the baseline stands for it."""
    old = np.linspace(-0.1, 0.1, 10)
    assert compare_means(old, [0.02], 1.0).answer == "equivalent"
    assert compare_means(old, [2.0], 1.0).answer == "changed"


def test_from_three_runs_on_each_side_has_a_scatter_of_its_own() -> None:
    """Welch by pencil: variances 1 of three and 500/3 of four, errors 1/3 and 125/3."""
    found = compare_means([1, 2, 3], [10, 20, 30, 40], 1.0)
    student, welch = found.errors
    assert student == pytest.approx((math.sqrt(502 / 5 * (1 / 3 + 1 / 4)), 5))
    assert welch == pytest.approx((math.sqrt(42), 42**2 / ((1 / 3) ** 2 / 2 + (125 / 3) ** 2 / 3)))
    wide = 2.015048373 * student.standard  # t(0.95; 5) of the tables; by Welch it is narrower
    assert found.high - found.difference == pytest.approx(wide)
    assert len(compare_means([1, 2, 3], [10, 40], 1.0).errors) == 1


@pytest.mark.parametrize("n_now", [3, 5])
def test_runs_that_scatter_more_are_told_with_the_same_certainty(n_now: int) -> None:
    """A change of the margin itself that makes new runs scatter six times as much.

    By Student's test alone, either answer would come in 14 to 21 % of them.
    """
    rng = np.random.default_rng(6)
    answers = [
        compare_means(rng.normal(0, 0.05, 10), rng.normal(1, 0.3, n_now), 1.0).answer
        for _ in range(2000)
    ]
    assert answers.count("changed") / 2000 == pytest.approx(0.05, abs=0.016)
    assert answers.count("equivalent") / 2000 == pytest.approx(0.05, abs=0.016)


def test_the_power_of_a_family_is_that_of_a_lone_change_in_it() -> None:
    """Of ten measurements one has changed by 1.5 margins: found as often as was foretold."""
    rng = np.random.default_rng(7)
    away = np.r_[1.5, np.zeros(9)]
    found, foretold = [], []
    for _ in range(400):
        old, new = rng.normal(0, 0.4, (10, 12)), rng.normal(away[:, None], 0.4, (10, 12))
        family = [compare_means(a, b, 1.0) for a, b in zip(old, new, strict=True)]
        told = answered_together(family)[0]
        found.append(told.answer == "changed")
        foretold.append(told.power)
        assert told.power < family[0].power
    assert np.mean(found) == pytest.approx(np.mean(foretold), abs=0.06)


def test_without_any_scatter_nothing_is_known() -> None:
    """One run against two: a scatter of one degree of freedom is none."""
    found = compare_means([0.0, 0.0], [5.0], 1.0)
    assert (found.answer, found.power) == ("not enough data", 0.0)


def test_values_that_never_scatter_are_told_apart_exactly() -> None:
    """Counts that are always nought."""
    assert compare_means([0.0] * 5, [0.0] * 5, 0.5).answer == "equivalent"
    assert compare_means([0.0] * 5, [1.0] * 5, 0.5).answer == "changed"


def test_tost_has_the_power_that_is_known_of_it() -> None:
    """Margin 1, scatter 0.6, ten runs a side: equality is proven nine times in ten (bench.md 1)."""
    rng = np.random.default_rng(1)
    draws = rng.normal(0, 0.6, (2000, 2, 10))
    proven = np.mean([compare_means(a, b, 1.0).answer == "equivalent" for a, b in draws])
    assert 0.90 < proven < 0.97


def test_a_change_of_the_margin_itself_is_told_in_five_per_cent() -> None:
    """Which is what the one-sided tests are set to, for either answer."""
    rng = np.random.default_rng(2)
    draws = rng.normal(0, 0.3, (4000, 2, 8))
    answers = [compare_means(a, b + 1.0, 1.0).answer for a, b in draws]
    assert answers.count("changed") / 4000 == pytest.approx(0.05, abs=0.012)
    assert answers.count("equivalent") / 4000 == pytest.approx(0.05, abs=0.012)


def test_the_power_is_the_share_of_changes_that_are_found() -> None:
    """A change of 1.5 margins, found as often as was foretold."""
    rng = np.random.default_rng(3)
    draws = rng.normal(0, 0.5, (3000, 2, 10))
    found = np.mean([compare_means(a, b + 1.5, 1.0).answer == "changed" for a, b in draws])
    foretold = np.mean([compare_means(a, b, 1.0).power for a, b in draws])
    assert found == pytest.approx(foretold, abs=0.03)


def test_a_family_is_judged_as_one() -> None:
    """Holm by pencil: 0.01, 0.02, 0.04 of three become 0.03, 0.04, 0.04."""
    rng = np.random.default_rng(4)
    one = compare_means(rng.normal(0, 1, 9), rng.normal(1.6, 1, 9), 1.0)
    three = [
        one.__class__(**{**vars(one), "p_changed": p, "p_equivalent": 1.0})
        for p in (0.04, 0.01, 0.02)
    ]
    answered = answered_together(three)
    assert [a.p_changed for a in answered] == pytest.approx([0.04, 0.03, 0.04])
    assert {a.answer for a in answered} == {"changed"}


def test_many_unchanged_measurements_seldom_seem_changed() -> None:
    """Of families of forty at half their margin, at most one in twenty."""
    rng = np.random.default_rng(5)
    seen = 0
    for _ in range(100):
        draws = rng.normal(0, 0.6, (40, 2, 10))
        family = answered_together([compare_means(a, b + 0.5, 1.0) for a, b in draws])
        seen += any(one.answer == "changed" for one in family)
    assert seen <= 5


@given(values, values, st.floats(0.01, 10))
def test_the_answer_does_not_depend_on_the_sign(
    before: list[float], now: list[float], margin: float
) -> None:
    """A gain that rose and one that fell by as much are judged alike."""
    one = compare_means(before, now, margin)
    other = compare_means([-x for x in before], [-x for x in now], margin)
    assert one.answer == other.answer
    assert one.difference == pytest.approx(-other.difference)


@pytest.mark.parametrize(
    ("before", "now", "margin"), [([], [1.0], 1.0), ([1.0], [math.nan], 1.0), ([1.0], [1.0], 0.0)]
)
def test_nothing_is_compared_with_nothing(
    before: list[float], now: list[float], margin: float
) -> None:
    """No values, no number, no margin."""
    with pytest.raises(ValueError, match=r"finite values|margin must be"):
        compare_means(before, now, margin)
