"""Likelihoods of measures that depend on each other, and reference values that fit each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from emgsim.analysis.comparison import FURTHEST_SD, Reference, Spread, log_likelihood, shares

TABLE = {
    "amplitude_uv": Spread(mean=6.0, sd=0.4, scale="log"),
    "thickness_ms": Spread(mean=1.1, sd=0.3),
}
TOGETHER = {"amplitude_uv thickness_ms": -0.6}
EMPTY: dict[str, Any] = {"muscle": "", "likeness": 0.0, "recruitment": {}}


def test_the_likelihood_is_that_of_a_gaussian_with_these_correlations() -> None:
    """Differences of log likelihoods are those of scipy's multivariate normal."""
    sd = np.array([0.4, 0.3])
    likeness = np.array([[1.0, -0.6], [-0.6, 1.0]])
    known = stats.multivariate_normal([6.0, 1.1], np.outer(sd, sd) * likeness)
    rows = [(400.0, 1.0), (700.0, 1.3), (250.0, 1.5)]
    ours = [
        log_likelihood({"amplitude_uv": a, "thickness_ms": t}, TABLE, 40.0, TOGETHER)
        for a, t in rows
    ]
    theirs = [known.logpdf([np.log(a), t]) for a, t in rows]
    assert np.diff(ours) == pytest.approx(np.diff(theirs))


def test_without_correlations_measures_count_each_for_itself() -> None:
    """The sum of two is the likelihood of both; a missing one is left out."""
    one, other = {"amplitude_uv": 700.0}, {"thickness_ms": 1.4}
    both = log_likelihood(one | other, TABLE, 40.0)
    assert both == pytest.approx(
        log_likelihood(one, TABLE, 40.0) + log_likelihood(other, TABLE, 40.0)
    )
    assert log_likelihood(one | {"thickness_ms": np.nan}, TABLE, 40.0, TOGETHER) == pytest.approx(
        log_likelihood(one, TABLE, 40.0)
    )
    assert log_likelihood({}, TABLE, 40.0) == 0


def test_what_is_far_counts_as_no_farther() -> None:
    """Ten SD away is as likely as the farthest that counts."""
    far = log_likelihood({"thickness_ms": 1.1 + 10 * 0.3}, TABLE, 40.0)
    assert far == pytest.approx(
        log_likelihood({"thickness_ms": 1.1 + FURTHEST_SD * 0.3}, TABLE, 40.0)
    )


def test_shares_are_those_of_equal_chances_before() -> None:
    """A class twice as likely has two thirds."""
    assert shares({"a": np.log(2.0), "b": 0.0}) == pytest.approx({"a": 2 / 3, "b": 1 / 3})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stability": {"steady": TABLE, "unsteady": {}}}, "must all have the same measures"),
        ({"mixtures": {"stable": {"firm": 1.0}}}, "mixtures.stable must be of normal, or of"),
        ({"mixtures": {"stable": {"steady": 1.0}}}, "untold must have a share for stable"),
        ({"beside": {"normal": {"early": 2.0}}}, "beside.normal must be a value"),
    ],
    ids=["measures", "class", "untold", "beside"],
)
def test_reference_values_that_do_not_fit_each_other_are_refused(
    change: dict[str, Any], message: str
) -> None:
    """Other measures in one class, a class, share or form that does not exist."""
    tables = {"muaps": {"normal": TABLE}, "stability": {"steady": TABLE}, "mixtures": {}}
    with pytest.raises(ValidationError, match=message):
        Reference(**(EMPTY | tables | change))
