"""How late the filters are, apart from clocks, lost samples and wires."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emgsim.align import group_delay_s
from emgsim.metrology import delay
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.reading import Reading


def found(bench: Any) -> tuple[Reading, float]:
    """Return what is measured, and the true delay in microseconds."""
    (reading,) = delay.group_delay(Measuring(bench))
    stimulus, _ = delay.delay_stimulus(bench.setup)

    class Truth:
        at = staticmethod(bench.response)

    return reading, 1e6 * group_delay_s((stimulus.uv, stimulus.rate_hz), Truth())


def test_a_filter_of_one_pole_is_late_by_what_its_formula_says(
    synthetic: Any, declared: Any
) -> None:
    """Far below its corner by 1 / (2 pi fc); weighted up to it by somewhat less."""
    bench = synthetic(setup=declared(orders=(0, 1), band_hz=(0.0, 5_000.0)))
    reading, truth = found(bench)
    f = np.linspace(1.0, 4_000.0, 4_000)
    at_each_us = 1e6 / (2 * np.pi * 5_000.0) / (1 + (f / 5_000.0) ** 2)
    assert at_each_us.min() < reading.value < at_each_us.max() + reading.expanded
    # One pole does not keep out what lies beyond half the rate: it folds back, by some ns.
    assert reading.value == pytest.approx(truth, abs=0.02)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"corners_hz": (11.3, 9_200.0)},
        {"device_ppm": 180.0, "source_ppm": -3.0},
        {"jitter_us": 1.5},
        {"gain": -0.93},
    ],
    ids=["as declared", "other corners", "a fast clock", "jitter", "upside down"],
)
def test_the_delay_is_that_of_the_true_filters(
    synthetic: Any, declared: Any, how: dict[str, Any]
) -> None:
    """Whatever the clocks do, and wherever the corners truly are."""
    reading, truth = found(synthetic(setup=declared(), **how))
    assert reading.value == pytest.approx(truth, abs=1.5 * reading.expanded)
    assert reading.expanded < 0.005 * truth + 0.3


def test_skew_is_no_delay_of_a_filter(synthetic: Any, declared: Any) -> None:
    """A channel that samples 30 us late has the filters that it has."""
    reading, truth = found(synthetic(setup=declared(channels=2), skews_us=(30.0, 0.0)))
    assert reading.value == pytest.approx(truth, abs=1.5 * reading.expanded)


def test_samples_that_got_lost_between_two_marks_are_no_delay(
    synthetic: Any, declared: Any
) -> None:
    """They are counted, and nothing else changes."""
    bench = synthetic(setup=declared())
    played, name = bench.play, delay.delay_stimulus(bench.setup)[0].name

    def play(stimulus: Any) -> Any:
        bench.cut = ((70_000, 7),) if stimulus.name == name else ()
        return played(stimulus)

    bench.play = play
    reading, truth = found(bench)
    assert "7 samples lost" in reading.note
    assert reading.value == pytest.approx(truth, abs=1.5 * reading.expanded)
