"""Trains that keep a beat: which discharges of a weak source are likely."""

import numpy as np
import pytest

from emgsim.analysis.resting.beats import _every_second


@pytest.mark.parametrize(
    ("nats", "told"),
    [([], False), ([5.0], False), ([9.0, 1.0, 9.0, 1.0, 9.0], True), ([9.0, 8.0, 9.0], False)],
)
def test_a_train_at_twice_its_rate_has_every_second_discharge_unlikely(nats, told):
    """One discharge or none says nothing of the rate, and makes no warning."""
    assert _every_second(np.array(nats)) is told
