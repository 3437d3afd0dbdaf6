"""How numbers, units and names are written in every report."""

from __future__ import annotations

import math
import re

from emgsim.verdict import Limit, Measurement

UNITS = {
    "uv": "µV", "mv": "mV", "v": "V", "s": "s", "ms": "ms", "us": "µs", "hz": "Hz", "db": "dB",
    "ppm": "ppm", "ohm": "Ω", "mm": "mm", "um": "µm", "pct": "%", "bits": "bit",
}  # fmt: skip
QUALIFIERS = ("rms", "pk", "pp", "pkpk")  # may follow the unit in a name: _uv_rms, _v_pk
MOST_DECIMALS = 9
WORDS = {"not_judged": "reported"}


def verdict_text(verdict: str) -> str:
    """Write a verdict in words: ``conditional_pass`` becomes ``conditional pass``."""
    return WORDS.get(verdict, verdict).replace("_", " ")


def unit_text(unit: str) -> str:
    """Write a unit with its proper letters; the unit one is left out."""
    return {
        "1": "", "uV": "µV", "us": "µs", "um": "µm", "ohm": "Ω", "Mohm": "MΩ", "uV/s": "µV/s",
        "nV/sqrt(Hz)": "nV/√Hz", "bits": "bit",
    }.get(unit, unit)  # fmt: skip


def limit_text(limit: Limit) -> str:
    """Write a limit with the signs and letters of print."""
    text = str(limit).replace("<=", "≤").replace(">=", "≥").replace(" .. ", " … ")
    return text.removesuffix(limit.unit) + unit_text(limit.unit) if limit.unit != "1" else text


def share(value: float | None) -> str:
    """Write a share between 0 and 1 with three decimals, nothing as a dash."""
    return number(value) if value is None or not math.isfinite(value) else f"{value:.3f}"


def quantity(name: str) -> tuple[str, str]:
    """Split a name with its unit into words and unit.

    Examples
    --------
    >>> quantity("source_amplitude_v_pk")
    ('source amplitude', 'V pk')
    >>> quantity("polarity")
    ('polarity', '')
    """
    words = name.split("_")
    if "per" in words:  # a quotient has more than one unit in its name
        return name.replace("_", " "), ""
    tail = [words.pop()] if len(words) > 2 and words[-1] in QUALIFIERS else []
    if len(words) > 1 and words[-1] in UNITS:
        return " ".join(words[:-1]), " ".join([UNITS[words[-1]], *tail])
    return name.replace("_", " "), ""


def number(value: object, digits: int = 4) -> str:
    """Write any value of a record; numbers with the given significant digits, nothing as a dash.

    Examples
    --------
    >>> number(0.123456), number(48000.0), number(None), number(True)
    ('0.1235', '48000', '–', 'yes')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value)
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e9 else text


def value_text(measurement: Measurement) -> str:
    """Write the value with the digits that its interval allows; see `decimals`."""
    return _fixed(measurement, measurement.value)


def interval_text(measurement: Measurement) -> str:
    """Write the 95 % interval with as many digits as the value, or nothing."""
    if measurement.low is None and measurement.high is None:
        return ""
    return f"[{_fixed(measurement, measurement.low)}, {_fixed(measurement, measurement.high)}]"


def _fixed(measurement: Measurement, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return number(value)
    places = decimals(measurement)
    if places is None:
        return number(value)
    return f"{value + 0.0:.{places}f}"


def decimals(measurement: Measurement) -> int | None:
    """Return how many decimals a measurement deserves; None where fixed decimals do not suit.

    Two significant digits of the interval's half width, or four of the value if there is no
    interval; more where rounding would move a number to the other side of its limit.
    """
    shown = [x for x in (measurement.value, measurement.low, measurement.high) if x is not None]
    if not all(math.isfinite(x) for x in shown):
        return None
    half = (max(shown) - min(shown)) / 2
    scale, digits = (half, 2) if half > 0 else (abs(measurement.value), 4)
    if half == 0 and measurement.value == int(measurement.value):
        scale, digits = 1.0, 1
    places = max(0, digits - 1 - math.floor(math.log10(scale)))
    while places < MOST_DECIMALS and not _keeps_side(measurement, shown, places):
        places += 1
    return None if places > MOST_DECIMALS or abs(measurement.value) >= 1e9 else places


def _keeps_side(measurement: Measurement, shown: list[float], places: int) -> bool:
    """Tell whether rounded numbers stand where the exact ones stand to the limit."""
    limit = measurement.limit
    bounds = [] if limit is None else [b for b in (limit.low, limit.high) if b is not None]
    return all(
        (x > b) - (x < b) == ((r := round(x, places)) > b) - (r < b) for b in bounds for x in shown
    )


def one_line(text: object) -> str:
    """Make a foreign text safe for a terminal: one line, nothing that a terminal would obey."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in str(text))).strip()
