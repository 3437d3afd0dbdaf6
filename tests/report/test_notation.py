import math

import pytest

from emgsim.report.notation import (
    decimals,
    interval_text,
    limit_text,
    number,
    one_line,
    quantity,
    share,
    value_text,
)
from emgsim.verdict import Limit, Measurement, judge


def measured(value: float, low: float | None = None, high: float | None = None) -> Measurement:
    return Measurement(id="a.b.c", value=value, unit="1", low=low, high=high)


@pytest.mark.parametrize(
    ("value", "low", "high", "text", "interval"),
    [
        (0.98765, 0.97123, 0.99534, "0.988", "[0.971, 0.995]"),
        (1581.234, 1570.0, 1592.0, "1581", "[1570, 1592]"),
        (12.3456, None, None, "12.35", ""),
        (4.0, None, None, "4", ""),
        (0.5, 0.0, 1.0, "0.50", "[0.00, 1.00]"),
        (math.nan, None, None, "–", ""),
        (1.0, 0.9, math.inf, "1", "[0.9, inf]"),
        (-0.0, -0.5, 0.5, "0.00", "[-0.50, 0.50]"),
        (3.2e-12, None, None, "3.2e-12", ""),
    ],
)
def test_the_interval_decides_how_many_digits_are_written(
    value: float, low: float | None, high: float | None, text: str, interval: str
) -> None:
    """Two digits of the half width are kept, in the value and in its bounds alike."""
    m = measured(value, low, high)
    assert (value_text(m), interval_text(m)) == (text, interval)


def test_rounding_never_moves_a_value_over_its_limit() -> None:
    """A value just below its limit is not written as the limit."""
    m = judge(measured(0.89996, 0.85, 0.95), Limit(measurement="a.b.c", low=0.9, unit="1"))
    assert m.verdict == "conditional_fail"
    assert value_text(m) == "0.89996"


def test_a_value_too_near_to_its_limit_still_has_an_end_of_digits() -> None:
    """The digits stop growing where a float has no more of them."""
    m = judge(measured(0.9 - 1e-15), Limit(measurement="a.b.c", low=0.9, unit="1"))
    assert decimals(m) == 9


def test_numbers_of_any_kind_can_be_written() -> None:
    """Nothing, truth values, texts and numbers each have their form."""
    assert [number(x) for x in (None, False, "text", 48000, 0.123456, 123456.7, math.nan)] == [
        "–", "no", "text", "48000", "0.1235", "123457", "–"]  # fmt: skip
    assert [share(x) for x in (None, math.nan, 1.0, 0.95678)] == ["–", "–", "1.000", "0.957"]


def test_a_name_gives_its_unit() -> None:
    """The unit at the end of a name is told from a word that looks like one."""
    assert quantity("noise_uv_rms") == ("noise", "µV rms")
    assert quantity("clock_ppm") == ("clock", "ppm")
    assert quantity("gain") == ("gain", "")
    assert quantity("uv_per_source_v") == ("uv per source v", "")
    assert quantity("s") == ("s", "")


def test_a_limit_is_printed_with_the_signs_of_print() -> None:
    """The unit keeps its place and the unit one is left out."""
    assert limit_text(Limit(measurement="x", high=2.0, unit="uV")) == "≤ 2 µV"
    assert limit_text(Limit(measurement="x", low=1, high=2, unit="V")) == "1 … 2 V"
    assert limit_text(Limit(measurement="x", low=0.9, unit="1")) == "≥ 0.9"


def test_a_terminal_never_obeys_a_foreign_text() -> None:
    """Escape sequences and line breaks lose their power."""
    assert one_line("a\x1b[31m\nb\tc") == "a [31m b c"
