"""Transmitter from discharge to discharge: the store, the calcium, and what end plates make of it.

The courses themselves, by pencil and against the closed form of a steady train; then a unit that
discharges with them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.conditions.junctions import release_law
from emgsim.physiology.conditions.safety import safety_factors, transmission, with_safety
from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import (
    ConcentricNeedle,
    Fibres,
    Medium,
    Muscle,
    Pool,
    TipPosition,
)
from emgsim.physiology.parameters.conditions import (
    AxonalLoss,
    Botulinum,
    Condition,
    Lems,
    Myasthenia,
)
from emgsim.physiology.release import CALCIUM, Release, Terminals
from emgsim.physiology.sounding import Sounding
from emgsim.physiology.track import track
from emgsim.physiology.voices import Sampling, Voices, unit_voices

NEUTRAL = Release(
    depletion=0.0, mobilisation=0.0, refill_s=5.0, facilitation=1.0, reference_hz=10.0
)
DEPRESSING = replace(NEUTRAL, depletion=0.2, mobilisation=0.3, refill_s=1e9, reference_hz=0.0)
MYASTHENIC = release_law([Myasthenia()])
MUSCLE = Muscle(
    name="x",
    radius_mm=6.0,
    pool=Pool(n_units=10),
    fibres=Fibres(per_unit_smallest=20, per_unit_largest=80, length_mm=60.0),
)
TIP = TipPosition(x_mm=0.0, y_mm=0.0, z_mm=15.0)
N_FIBRES = 40


def weak(factor: float, n: int = N_FIBRES) -> UnitFibres:
    """Return fibres in a row of which each has one safety factor."""
    fibres = UnitFibres(
        x_mm=np.linspace(0.2, 2.0, n),
        y_mm=np.zeros(n),
        end_plate_mm=np.zeros(n),
        half_lengths_mm=(np.full(n, 50.0), np.full(n, 50.0)),
        diameter_um=np.full(n, 55.0),
        delay_s=np.zeros(n),
    )
    return with_safety(fibres, np.full(n, factor), MUSCLE)


def sounding(fibres: UnitFibres, release: Release | None) -> Sounding:
    """Return the fibres under a needle."""
    sampling = Sampling(rate_hz=48_000.0, band_hz=10_000.0)
    heard = tuple(
        unit_voices(fibres, channel, Medium(), sampling)
        for channel in channels(ConcentricNeedle(), TIP)
    )

    def hear(_: TipPosition) -> tuple[Voices, ...]:
        return heard

    return Sounding(
        fibres,
        np.arange(fibres.n_fibres),
        hear,
        track(TIP, ()),
        rate_hz=sampling.rate_hz,
        chance=np.random.default_rng(5),
        fibre_truth=True,
        release=release,
    )


def blocked(source: Sounding) -> np.ndarray:
    """Return the share of fibres that fail at each discharge so far."""
    truth = source.fibre_truth()
    assert truth is not None
    return np.asarray(truth.is_blocked.mean(axis=1))


# -- the course -----------------------------------------------------------------------------------


def test_a_store_runs_down_by_pencil() -> None:
    """A fifth is released, three tenths of what is missing come up: 1, 0.8, 0.7, 0.65, 0.625."""
    found = Terminals(DEPRESSING).factors(np.arange(5) / 3)
    np.testing.assert_allclose(found, [1.0, 0.8, 0.7, 0.65, 0.625], atol=1e-6)


def test_the_second_discharge_is_facilitated_by_pencil() -> None:
    """Magleby 1973: what the first one added, faded over 50 ms, saturating."""
    law = replace(NEUTRAL, facilitation=2.0, reference_hz=0.0)
    calcium = 0.8 * np.exp(-1) + 0.12 * np.exp(-1 / 6) + 0.025 * np.exp(-1 / 60)
    found = Terminals(law).factors(np.array([0.0, 0.05]))
    np.testing.assert_allclose(found, [1.0, 2.0 - np.exp(-calcium / 2.6)], rtol=1e-12)
    assert CALCIUM.size == 3


@given(
    depletion=st.floats(0, 0.5),
    mobilisation=st.floats(0, 0.5),
    facilitation=st.floats(1, 4),
    rate_hz=st.floats(0.2, 50),
)
@settings(max_examples=40, deadline=None)
def test_an_even_train_settles_where_the_closed_form_says(
    depletion: float, mobilisation: float, facilitation: float, rate_hz: float
) -> None:
    """After 200 s at any rate; in its reference an end plate has the body's safety factor."""
    law = Release(
        depletion=depletion,
        mobilisation=mobilisation,
        refill_s=5.0,
        facilitation=facilitation,
        reference_hz=rate_hz,
    )
    times_s = np.arange(0, 200, 1 / rate_hz)
    settled = Terminals(law).factors(times_s)
    assert settled[-1] == pytest.approx(1.0, abs=1e-6)
    assert settled[0] == pytest.approx(1 / law.at(rate_hz))


@given(cuts=st.lists(st.integers(0, 30), max_size=4).map(sorted))
def test_discharges_may_come_in_any_portions(cuts: list[int]) -> None:
    """The terminals remember from call to call, to the byte."""
    times_s = np.cumsum(np.random.default_rng(2).uniform(0.02, 0.3, 30))
    assert MYASTHENIC is not None
    whole, parts = Terminals(MYASTHENIC), Terminals(MYASTHENIC)
    found = [parts.factors(part) for part in np.split(times_s, cuts)]
    assert np.concatenate(found).tobytes() == whole.factors(times_s).tobytes()


def test_rest_makes_terminals_as_they_were() -> None:
    """A minute after a quick train the next discharge is as the first."""
    assert MYASTHENIC is not None
    times_s = np.concatenate([np.arange(100) / 20, [65.0]])
    found = Terminals(MYASTHENIC).factors(times_s)
    assert found[-1] == pytest.approx(found[0], rel=1e-3)


# -- end plates -----------------------------------------------------------------------------------


def test_only_disorders_of_the_junction_have_a_law() -> None:
    """Healthy, or with axons lost: none. Of several the last one says it."""
    others: list[Condition] = [AxonalLoss(share=0.3, months=2)]
    assert release_law([]) is None
    assert release_law(others) is None
    toxin = Botulinum(weeks=2)
    assert release_law([*others, Lems(), toxin]) == release_law([toxin])


def test_a_factor_on_the_safety_is_what_a_change_of_it_would_be() -> None:
    """Half the transmitter is half the safety factor, in jitter and block; what is sure stays."""
    fibres = weak(3.0)
    jitter_s, block = transmission(fibres, np.array([1.0, 0.5]))
    half = with_safety(fibres, 0.5 * safety_factors(fibres), MUSCLE)
    np.testing.assert_allclose(jitter_s, [fibres.jitter_s, half.jitter_s], rtol=1e-9)
    np.testing.assert_allclose(
        block, [fibres.block_probability, half.block_probability], rtol=1e-9, atol=1e-18
    )
    sure = replace(fibres, block_probability=np.zeros(N_FIBRES))
    jitter_s, block = transmission(sure, np.array([0.5]))
    np.testing.assert_array_equal(jitter_s[0], sure.jitter_s)
    assert not block.any()


# -- a unit that discharges -----------------------------------------------------------------------


def test_a_law_that_changes_nothing_changes_no_byte() -> None:
    """With neither depletion nor facilitation the samples are those without a law."""
    times_s = np.array([0.01, 0.04, 0.06])
    samples = []
    for release in (None, NEUTRAL):
        source = sounding(weak(1.2), release)
        source.discharge(times_s)
        block = np.zeros((5000, 1), order="F")
        source.sound(block, 0)
        samples.append(block.tobytes())
    assert samples[0] == samples[1]


def test_a_myasthenic_unit_blocks_more_from_discharge_to_discharge() -> None:
    """3 Hz after rest, ten such trains: by pencil from 3 % to 31 % at the fourth, and no further.

    The rested safety factor is 1.25 / 0.85, the fourth 1.25 x 0.76 / 0.85.
    """
    source = sounding(weak(1.25), MYASTHENIC)
    starts_s = 60.0 * np.arange(10)
    source.discharge((starts_s[:, None] + np.arange(10) / 3).ravel())
    share = blocked(source).reshape(10, 10).mean(axis=0)
    assert share[0] < share[1] < share[2]
    assert share[0] == pytest.approx(0.03, abs=0.02)
    assert share[3:].mean() == pytest.approx(0.31, abs=0.03)


def test_a_lambert_eaton_unit_blocks_less_with_time() -> None:
    """20 Hz after rest: half of the fibres fail at first, few after a second, fewer after ten."""
    source = sounding(weak(1.35), release_law([Lems()]))
    source.discharge(np.arange(200) / 20)
    share = blocked(source)
    assert share[:3].mean() > 0.4
    assert share[18:22].mean() < 0.5 * share[:3].mean()
    assert share[-20:].mean() < 0.5 * share[18:22].mean()


def test_the_portions_in_which_a_unit_discharges_do_not_show() -> None:
    """Epoch by epoch or at once, the unit remembers: its last discharges fail as often."""
    times_s = np.arange(400) / 3
    whole, parts = (sounding(weak(1.25), MYASTHENIC) for _ in range(2))
    whole.discharge(times_s)
    for part in np.split(times_s, [3, 50, 51]):
        parts.discharge(part)
    assert blocked(parts)[50:].mean() == pytest.approx(blocked(whole)[50:].mean(), abs=0.02)
    assert blocked(parts)[50:].mean() == pytest.approx(0.29, abs=0.03)  # by pencil
