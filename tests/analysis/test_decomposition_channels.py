"""Several channels of one needle, looked at together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.analysis.conditioning import Conditioned, condition, stacked
from emgsim.analysis.confidence import confidences
from emgsim.analysis.decomposability import decomposability
from emgsim.analysis.decomposition import Model, decompose
from emgsim.analysis.plan import NeedlePlan
from emgsim.scoring import best_lag_s, match_discharges
from tests.analysis.conftest import played

Floats = NDArray[np.float64]

RATE_HZ, SECONDS = 24_000.0, 8.0
GAINS = ((1.0, 0.8, 0.03), (0.03, -0.5, 1.0))  # of each unit in each channel


@pytest.fixture(scope="module")
def channels(three_trains: list[Floats]) -> list[Conditioned]:
    """Two channels of three units, of which each sees but two."""
    alone = [
        played([np.zeros(0)] * k + [times_s], RATE_HZ, SECONDS, noise_uv=0.0).samples_uv[:, 0]
        for k, times_s in enumerate(three_trains)
    ]
    rng = np.random.default_rng(4)
    out = []
    for gains in GAINS:
        samples = 5.0 * rng.standard_normal(alone[0].size)
        samples += sum(g * wave for g, wave in zip(gains, alone, strict=True))
        out.append(condition(samples, RATE_HZ, 0.0, NeedlePlan()))
    return out


@pytest.fixture(scope="module")
def together(channels: list[Conditioned]) -> tuple[Model, Conditioned]:
    """What both channels show."""
    return decompose(stacked(channels), NeedlePlan())


def good(model: Model, work: Conditioned, trains: list[Floats]) -> int:
    """Return how many true trains a found unit agrees with to 0.95 or more."""
    n = 0
    for true_s in trains:
        best = 0.0
        for unit in model.units:
            found_s = work.start_s + unit.positions / work.rate_hz
            lag_s = best_lag_s(true_s, found_s, 0.0005, 0.006)
            hits = len(match_discharges(true_s, found_s, 0.0005, lag_s))
            best = max(best, hits / (true_s.size + found_s.size - hits))
        n += best >= 0.95
    return n


def test_two_channels_show_more_than_each_alone(
    channels: list[Conditioned],
    together: tuple[Model, Conditioned],
    three_trains: list[Floats],
) -> None:
    """Each channel alone gives two units, both together all three and no fourth."""
    alone = [good(*decompose(channel, NeedlePlan()), three_trains) for channel in channels]
    assert max(alone) == 2
    assert good(*together, three_trains) == 3
    assert len(together[0].units) == 3


def test_discharges_of_several_channels_are_rated(together: tuple[Model, Conditioned]) -> None:
    """Confidence and decomposability are those of all channels together."""
    model, work = together
    assert np.mean(np.concatenate(confidences(work, model)) >= 0.99) > 0.9
    assert decomposability(model).min() > 20.0


def test_one_channel_is_itself(channels: list[Conditioned]) -> None:
    """A stack of one is no stack."""
    assert stacked(channels[:1]) is channels[0]


def test_what_one_channel_misses_is_used_in_none(channels: list[Conditioned]) -> None:
    """A gap in either channel is a gap."""
    usable = channels[1].usable.copy()
    usable[100:200] = False
    both = stacked([channels[0], replace(channels[1], usable=usable)])
    assert not both.usable[100:200].any()
    assert both.n_channels == 2


def test_channels_of_different_recordings_are_refused(channels: list[Conditioned]) -> None:
    """Another start or none at all cannot be stacked."""
    with pytest.raises(ValueError, match="must share"):
        stacked([channels[0], replace(channels[1], start_s=1.0)])
    with pytest.raises(ValueError, match="at least one"):
        stacked([])
