"""The pursuit's bookkeeping: what is put in and taken out leaves no trace, and priors are right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.analysis.detection import snippets
from emgsim.analysis.learning import add_discharges, unit_at
from emgsim.analysis.resolution import PHASES, Dictionary, Discharge, Pursuit, inserted, insertion
from emgsim.analysis.revision import revise
from emgsim.analysis.trains import UNKNOWN, Intervals, checked, intervals_of, locked, log_density

RATE_HZ = 16_000.0


def bump(at: float, width: float, n: int = 120) -> np.ndarray:
    """Return a biphasic shape whose spectrum ends below a quarter of the rate."""
    u = (np.arange(n) - at) / width
    return (1 - u**2) * np.exp(-(u**2) / 2)


def two_units():
    """Return a narrow and a wide unit without discharges."""
    from dataclasses import replace

    shapes = (5.0 * bump(50, 3), 4.0 * bump(53, 5) - 2.0 * bump(70, 4))
    return tuple(replace(unit_at(np.zeros(0), 120), template=shape) for shape in shapes)


def pursuit_of(samples: np.ndarray) -> Pursuit:
    """Return a pursuit of both units with nothing known of their trains."""
    tables = [log_density(UNKNOWN, RATE_HZ)] * 2
    usable = np.ones(samples.size, dtype=bool)
    return Pursuit(Dictionary(two_units(), 50, 0.5), samples, usable, tables)


def rendered(places: list[tuple[int, float]], n: int = 4_000) -> np.ndarray:
    """Return samples with unit ``k`` at each position."""
    from dataclasses import replace

    out = np.zeros(n)
    for k, position in places:
        at = np.array([position])
        unit = replace(two_units()[k], positions=at, amplitudes=np.ones(1))
        add_discharges(out, unit, 50)
    return out


@given(st.floats(200.0, 300.0))
def test_a_rendered_discharge_is_read_back(position: float) -> None:
    """Delaying a template by a fraction and reading it back at that fraction are inverse."""
    samples = rendered([(0, position)], 600)
    piece = snippets(samples, np.array([position]), 50, 70)[0]
    assert piece == pytest.approx(two_units()[0].template, abs=0.02)


def test_what_is_put_in_and_taken_out_leaves_no_trace() -> None:
    """Correlations and priors return to what they were."""
    pursuit = pursuit_of(rendered([(0, 1_000.3), (1, 1_030.0)]))
    before, prior = pursuit.correlation.copy(), pursuit.prior.copy()
    one = Discharge(1_000 * PHASES + 3, 0, 1.1)
    pursuit.put(one)
    pursuit.take(one)
    assert np.allclose(pursuit.correlation, before, atol=1e-9)
    assert np.allclose(pursuit.prior, prior)


def test_the_correlation_is_that_of_the_residual() -> None:
    """After a pursuit it equals the correlation of the samples minus all rendered discharges."""
    from dataclasses import replace

    samples = rendered([(0, 800.0), (1, 1_500.0), (0, 2_600.5), (1, 2_620.25)])
    pursuit = pursuit_of(samples)
    pursuit.fill()
    left = samples.copy()
    for one in pursuit.discharges.values():
        unit = two_units()[one.unit]
        at, size = np.array([one.position]), np.array([one.amplitude])
        add_discharges(left, replace(unit, positions=at, amplitudes=size), 50, -1.0)
    again = pursuit.dictionary.correlations(left)
    assert np.abs(again - pursuit.correlation)[:, 200:-200].max() < 0.5


@pytest.mark.parametrize("apart", [2.5, 7.0, 12.0, 20.0, 33.0])
def test_superpositions_are_resolved(apart: float) -> None:
    """Two overlapping discharges of two units are found within a tenth of a sample."""
    samples = rendered([(0, 2_000.0), (1, 2_000.0 + apart)])
    samples += 0.05 * np.random.default_rng(1).standard_normal(samples.size)
    pursuit = pursuit_of(samples)
    pursuit.fill()
    revise(pursuit, 48)
    found = sorted((d.unit, d.position) for d in pursuit.discharges.values())
    assert [unit for unit, _ in found] == [0, 1]
    assert [at for _, at in found] == pytest.approx([2_000.0, 2_000.0 + apart], abs=0.3)


def test_no_discharge_lies_where_samples_are_missing() -> None:
    """A barred sample takes no discharge, however well it fits."""
    samples = rendered([(0, 1_000.0), (0, 3_000.0)])
    usable = np.ones(samples.size, dtype=bool)
    usable[900:1_100] = False
    tables = [log_density(UNKNOWN, RATE_HZ)] * 2
    pursuit = Pursuit(Dictionary(two_units(), 50, 0.5), samples, usable, tables)
    pursuit.fill()
    assert [round(d.position) for d in pursuit.discharges.values()] == [3_000]


@given(
    st.integers(0, 3_000),
    st.one_of(st.none(), st.integers(-4_000, -1)),
    st.one_of(st.none(), st.integers(3_001, 30_000)),
)
def test_the_prior_at_one_sample_is_that_of_the_array(
    sample: int, low: int | None, high: int | None
) -> None:
    """The fast array and the single value agree, with neighbours on either side or none."""
    table = log_density(Intervals(mean_s=0.1, sd_s=0.015), RATE_HZ)
    array = insertion(table, 0, 3_001, low, high)
    assert array[sample] == pytest.approx(inserted(table, sample, low, high))


def test_an_expected_discharge_is_favoured_over_a_doublet() -> None:
    """In a gap of two intervals the middle is likely, five milliseconds after a discharge not."""
    table = log_density(Intervals(mean_s=0.1, sd_s=0.015), RATE_HZ)
    gain = insertion(table, 0, 3_200, 0, 3_200)
    assert gain[1_600] > gain[1_000] > gain[80]


def test_intervals_are_estimated_in_spite_of_missed_discharges() -> None:
    """A tenth missing leaves mean and spread within a few percent."""
    rng = np.random.default_rng(2)
    times = np.cumsum(0.1 * (1 + 0.15 * rng.standard_normal(300)))
    kept = times[rng.uniform(size=300) > 0.1]
    model = intervals_of(kept)
    assert model.mean_s == pytest.approx(0.1, rel=0.04)
    assert model.sd_s == pytest.approx(0.015, rel=0.25)


def test_random_times_are_no_train() -> None:
    """A Poisson process has few of its intervals near its most frequent one."""
    rng = np.random.default_rng(4)
    assert checked(np.cumsum(rng.exponential(0.1, 300))).expected < 0.6
    assert checked(np.cumsum(0.1 * (1 + 0.15 * rng.standard_normal(300)))).expected > 0.95


def test_followers_are_seen_and_strangers_are_not() -> None:
    """A train that follows another by 3 ms is locked to it; an independent one is not."""
    rng = np.random.default_rng(6)
    one = np.cumsum(0.1 * (1 + 0.15 * rng.standard_normal(200))) * RATE_HZ
    other = np.cumsum(0.09 * (1 + 0.15 * rng.standard_normal(220))) * RATE_HZ
    assert locked(one, one + 0.003 * RATE_HZ, RATE_HZ)
    assert not locked(one, other, RATE_HZ)


def test_no_discharge_follows_within_twenty_milliseconds() -> None:
    """Even when nothing is known of a train, its neuron does not repeat at once."""
    table = log_density(UNKNOWN, RATE_HZ)
    assert table[80] < table[800] - 10.0


@pytest.mark.parametrize("position", [-1e4, -30.0, 1030.0, 1e6])
def test_a_discharge_beyond_the_ends_finds_silence(position: float) -> None:
    """A position may be pushed out of the recording by its alignment: no sample, and no error."""
    piece = snippets(np.ones(1000), np.array([position, 500.0]), 12, 14)
    assert not piece[0].any()
    np.testing.assert_allclose(piece[1], 1.0)
