"""How large codes are, which are missing, how unequal they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emgsim.metrology import quantisation
from emgsim.metrology.procedure import Measuring

SMALL = {"rate_hz": 8_000.0, "band_hz": (20.0, 2_000.0)}


def _lacking(bench: Any, every: int) -> Any:
    """Let every n-th code be said as the one above it, whatever is played."""
    step_uv = bench.setup.device.scale_uv_per_count
    converted = bench._converted

    def said(uv: Any) -> Any:
        codes = np.rint(converted(uv) / step_uv)
        return (codes + (codes % every == 0)) * step_uv

    bench._converted = said
    return bench


@pytest.mark.parametrize(("bits", "step"), [(24, 1), (24, 8), (16, 1), (14, 2)])
def test_the_size_of_a_code_is_that_of_those_that_occur(
    synthetic: Any, declared: Any, bits: int, step: int
) -> None:
    """Low bits that never change make codes as much larger."""
    bench = synthetic(setup=declared(**SMALL, bits=bits), gain=0.95, code_step=step)
    measuring = Measuring(bench)
    (size,) = quantisation.quantisation_lsb(measuring)
    gain = abs(bench.response(np.array([bench.setup.mid_hz]))[0])
    assert size.value == pytest.approx(step * 10_000 / 2 ** (bits - 1) / gain, rel=2e-3)
    (missing,) = quantisation.quantisation_missing_codes(measuring)
    assert missing.value == pytest.approx(1 - 1 / step, abs=max(1e-9, missing.expanded))
    (dnl,) = quantisation.quantisation_dnl(measuring)
    # Noise spreads the samples over thousands of codes of 24 bits: none is met often enough.
    assert dnl.applies == (bits < 24 or step > 1)
    if dnl.applies:
        assert dnl.value == pytest.approx(step - 1, abs=1.5 * dnl.expanded)


@pytest.mark.parametrize("bits", [24, 16])
def test_every_seventh_code_is_missed(synthetic: Any, declared: Any, bits: int) -> None:
    """Also below noise of a thousand codes, which comes before the converter."""
    measuring = Measuring(_lacking(synthetic(setup=declared(**SMALL, bits=bits)), 7))
    (missing,) = quantisation.quantisation_missing_codes(measuring)
    assert missing.value == pytest.approx(1 / 7, abs=missing.expanded)
    assert missing.expanded < 0.02
    (dnl,) = quantisation.quantisation_dnl(measuring)
    assert dnl.applies == (bits < 24)
    if dnl.applies:
        assert dnl.value == pytest.approx(1.0, abs=1.5 * dnl.expanded)


def test_a_sound_converter_lacks_nothing(synthetic: Any, declared: Any) -> None:
    """No code is missing by chance, in any of 6 devices of 14 to 24 bits."""
    for seed, bits in enumerate((14, 16, 18, 20, 22, 24)):
        setup = declared(**SMALL, bits=bits)
        measuring = Measuring(synthetic(setup=setup, seed=seed, noise_uv=0.3))
        (missing,) = quantisation.quantisation_missing_codes(measuring)
        assert (missing.value, missing.expanded) == (0.0, 0.0)


def test_the_worst_of_many_codes_is_not_the_worst_of_the_noise() -> None:
    """Of 40 converters without fault the worst code scatters about 0 by what is stated."""
    rng = np.random.default_rng(3)
    off = []
    for _ in range(40):
        found = quantisation.histogram([rng.integers(-200, 200, 60_000)], 1)
        share = found.expected / 2
        first, second = (half / share - 1 for half in found.halves)
        worst = int(np.argmax(np.abs(first)))
        assert abs(first[worst]) > 0.15
        off.append(second[worst] * np.sqrt(share[worst]))
    assert abs(np.mean(off)) < 0.5
    assert 0.7 < np.std(off) < 1.3


def test_the_histogram_of_few_codes_has_one_mean() -> None:
    """Where there are too few for a smooth one."""
    found = quantisation.histogram([np.repeat(np.arange(10), 100)], 1)
    assert np.ptp(found.expected) == 0
    assert found.expected[0] == 100


def test_lost_samples_are_no_codes(synthetic: Any, declared: Any) -> None:
    """NaN in the record changes nothing."""
    bench = synthetic(setup=declared(**SMALL, bits=16), lost=((9_000, 500),))
    (size,) = quantisation.quantisation_lsb(Measuring(bench))
    assert size.value == pytest.approx(10_000 / 2**15, rel=2e-3)
