"""What the markers of a test mean on a rig."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from emgsim.bench.rig import Rig

MARKERS = (
    "needs(*features): skip unless the rig has them: 'bench', 'virtual', 'switch', "
    "'state:NAME', 'channels>=2', 'rate_hz>=10000'",
    "energises(max_mv=None): drives the device; on a real rig only with --allow-energise",
    "metrology(id): which test of the amplifier it stands for; kept with the result",
    "quarantine(until, issue): may fail until that date, written 2026-12-31; then it must pass",
)
NAMES = {"channels": "n_channels", "rate_hz": "rate_hz", "range_uv": "range_uv"}
CONDITION = re.compile(r"(\w+)\s*>=\s*([\d.]+)")


def quarantine(item: pytest.Item, marker: pytest.Mark) -> None:
    """Let a test fail until a date; afterwards it is a test like the others, and says why."""
    until, issue = str(marker.kwargs.get("until", "")), str(marker.kwargs.get("issue", ""))
    try:
        ends = date.fromisoformat(until)
    except ValueError as error:
        raise pytest.UsageError(
            f"{item.nodeid}: quarantine needs until='YYYY-MM-DD', got {until!r}"
        ) from error
    if not issue:
        raise pytest.UsageError(f"{item.nodeid}: quarantine needs issue='...', which explains it")
    if datetime.now(UTC).date() <= ends:
        reason = f"in quarantine until {ends}: {issue}"
        item.add_marker(pytest.mark.xfail(reason=reason, strict=False))
    else:
        item.user_properties.append(("emgsim.quarantine", f"expired on {ends}: {issue}"))


def has_feature(rig: Rig, feature: str) -> bool:
    """Tell whether a rig has a feature.

    Raises
    ------
    UsageError
        If there is no such feature.
    """
    if feature in ("bench", "virtual"):
        return rig.kind == feature
    if feature == "switch":
        return rig.switch is not None
    if feature.startswith("state:"):
        return feature.removeprefix("state:") in {"through", *rig.fixture.states}
    found = CONDITION.fullmatch(feature)
    if found is None or found[1] not in NAMES:
        raise pytest.UsageError(
            f"needs({feature!r}): there is 'bench', 'virtual', 'switch', 'state:NAME', and "
            f"NAME>=NUMBER of {', '.join(NAMES)}"
        )
    return float(getattr(rig.profile, NAMES[found[1]])) >= float(found[2])


def refuse_energising(item: pytest.Item, marker: pytest.Mark, rig: Rig, is_allowed: bool) -> None:
    """Skip a test that would drive more than the rig allows, or a real rig that nobody allowed."""
    most_mv = marker.kwargs.get("max_mv")
    if rig.kind == "bench" and not is_allowed:
        item.add_marker(pytest.mark.skip(reason="drives a real rig: give --allow-energise"))
    elif most_mv is not None and most_mv > rig.limits.device_differential_mv_pk:
        limit_mv = rig.limits.device_differential_mv_pk
        reason = f"needs {most_mv:g} mV at the device, rig {rig.id} allows {limit_mv:g}"
        item.add_marker(pytest.mark.skip(reason=reason))
