"""A channel that is dead: its gain says so, and no other test makes a number of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from emgsim.bench.rig import load_rig
from emgsim.errors import NotAnalysableError
from emgsim.in_process import InProcess
from emgsim.instruments.base import SourceCaps
from emgsim.metrology.acquisition import Acquired, Bench
from emgsim.metrology.gain import PROCEDURES as GAIN
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.stimulus import Stimulus
from emgsim.metrology.table import PROCEDURES
from emgsim.running.declaring import setup_of

# what a channel that says nothing may be said of: its gain, and where its one code lies
SILENT = ("gain.accuracy", "dc.offset", "samples.missing")


class DeadChannel:
    """A bench on one of whose channels every sample is the same."""

    def __init__(self, bench: Bench, channel: int, uv: float) -> None:
        self.bench, self.channel, self.uv = bench, channel, uv
        self.setup = bench.setup

    def play(self, stimulus: Stimulus) -> Acquired:
        """Play, and lose the channel."""
        return self._lost(self.bench.play(stimulus))

    def listen(self, state: str, duration_s: float) -> Acquired:
        """Listen, and lose the channel."""
        return self._lost(self.bench.listen(state, duration_s))

    def change(self, states: Sequence[str], dwell_s: float) -> Acquired:
        """Change states, and lose the channel."""
        return self._lost(self.bench.change(states, dwell_s))

    def _lost(self, acquired: Acquired) -> Acquired:
        uv = acquired.uv.copy()
        uv[:, self.channel] = self.uv
        return replace(acquired, uv=uv)


RIG = load_rig("virtual-metrology")
GENERATOR = SourceCaps(
    code_bits=16, max_points=16_000_000, min_points=8, max_rate_hz=250e6, max_vpp_open_v=20.0,
    channels=2, output_ohm=50.0,
)  # fmt: skip


@pytest.fixture(params=[(0, 0.0), (1, 0.0), (0, 10_000.0)], ids=["first", "second", "at the rail"])
def dead(request: pytest.FixtureRequest) -> tuple[int, Measuring]:
    """Return which channel is dead, and the bench."""
    channel, uv = request.param
    assert RIG.virtual is not None
    bench = InProcess(setup_of(RIG, GENERATOR, date(2026, 6, 1)), RIG.virtual, 5)
    return channel, Measuring(DeadChannel(bench, channel, uv))


def test_a_dead_channel_has_no_gain_and_the_others_have_theirs(
    dead: tuple[int, Measuring],
) -> None:
    """It is 100 % too small, so that the limit of the gain tells it."""
    channel, measuring = dead
    found = [one.value for one in GAIN[0].measure(measuring)]
    assert found[channel] == -100
    assert all(abs(value) < 5 for k, value in enumerate(found) if k != channel)


def test_what_is_played_to_a_dead_channel_is_refused_by_its_number(
    dead: tuple[int, Measuring],
) -> None:
    """No test goes on with a channel that says nothing."""
    channel, measuring = dead
    with pytest.raises(NotAnalysableError, match=f"dead channel {channel + 1}: it sends one and"):
        GAIN[1].measure(measuring)


@pytest.mark.slow
def test_no_test_breaks_down_on_a_dead_channel_or_makes_a_number_of_it(
    dead: tuple[int, Measuring],
) -> None:
    """Each refuses it, leaves it out or has no value for it."""
    channel, measuring = dead
    suffix = f".ch{channel + 1}"
    for procedure in PROCEDURES:
        try:
            readings = procedure.measure(measuring.afresh())
        except NotAnalysableError:
            continue
        of_it = [
            one for one in readings if suffix in one.id or (not channel and ".ch" not in one.id)
        ]
        for one in of_it:
            assert math.isnan(one.value) or one.id.startswith(SILENT), one.id
