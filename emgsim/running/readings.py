"""What a run of metrology journals of a reading, of the device and of what all of it rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from emgsim.bench.parts import Certificate
from emgsim.bench.rig import THROUGH, Rig
from emgsim.metrology.reading import Reading
from emgsim.records.journal import Line
from emgsim.verdict import Measurement


def ratio(measurement: Measurement) -> float | None:
    """Return the test-uncertainty ratio: of the limit's half width, or distance, to uncertainty.

    None without a limit, a value or an uncertainty.
    """
    limit, low, high = measurement.limit, measurement.low, measurement.high
    if limit is None or low is None or high is None or not math.isfinite(high - low):
        return None
    expanded = (high - low) / 2
    bounds = [bound for bound in (limit.low, limit.high) if bound is not None]
    if not expanded or not bounds:
        return None
    width = (bounds[1] - bounds[0]) / 2 if len(bounds) > 1 else abs(bounds[0] - measurement.value)
    return width / expanded


def interval(reading: Reading) -> tuple[float, float]:
    """Return between which bounds the true value lies; infinite where it is only bounded."""
    expanded = reading.expanded if reading.components else 0.0
    low = -math.inf if reading.bound == "<=" else reading.value - expanded
    high = math.inf if reading.bound == ">=" else reading.value + expanded
    return low, high


def reading_line(reading: Reading, judged: Measurement) -> Line:
    """Return how a value was measured, as a line of the journal has it."""
    has_spread = bool(reading.components) and math.isfinite(reading.value)
    return {
        "id": reading.id,
        "bound": reading.bound,
        "uncertainty": reading.expanded if has_spread else math.nan,
        "coverage_factor": reading.coverage_factor if has_spread else math.nan,
        "freedom": reading.freedom,
        "ratio": ratio(judged),
        "method": reading.method,
        "conditions": reading.conditions,
        "rests_on": [*reading.rests_on],
    }


def in_words(reading: Reading) -> str:
    """Write a value with its expanded uncertainty for a line of progress."""
    unit = "" if reading.unit == "1" else f" {reading.unit}"
    if math.isnan(reading.value):
        return "–"
    if reading.bound:
        return f"{reading.bound} {reading.value:.4g}{unit}"
    return f"{reading.value:.4g} +- {reading.expanded if reading.components else 0.0:.2g}{unit}"


def certificates_of(rig: Rig) -> Iterator[tuple[str, Certificate]]:
    """Yield every certificate of a rig file, and what it is of."""
    parts = [
        ("gain of the source", rig.source.certificate),
        ("clock of the source", rig.source.clock_certificate),
    ]
    for name, state in {THROUGH: rig.fixture.through, **rig.fixture.states}.items():
        parts.append((f"transfer in state {name}", state.certificate))
        parts.append((f"impedance in state {name}", state.impedance_certificate))
    known = [(of, certificate) for of, certificate in parts if certificate is not None]
    for id in dict.fromkeys(certificate.id for _, certificate in known):
        those = [(of, certificate) for of, certificate in known if certificate.id == id]
        # One document may be named several times: it is as good as its earliest date.
        yield ", ".join(of for of, _ in those), min((c for _, c in those), key=lambda c: c.due)


def declared_device(rig: Rig) -> Line:
    """Return what a device's profile declares, without what it sends."""
    profile = rig.profile
    table = profile.model_dump(mode="json", exclude={"frame", "lines", "format"})
    n_codes = 2 * profile.range_uv / profile.scale_uv_per_count
    return table | {"n_channels": profile.n_channels, "code_bits": round(math.log2(n_codes))}
