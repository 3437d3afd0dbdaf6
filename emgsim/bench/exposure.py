"""What a playback would do to the device at worst, and whether the rig's limits allow it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.overshoot import peak_after_filter_v
from emgsim.bench.parts import FixtureState
from emgsim.bench.rig import Rig
from emgsim.errors import SafetyError
from emgsim.instruments.base import SourceSettings

Floats = NDArray[np.float64]

# No divider, no load: all of the generator's open volts, between the inputs and against ground.
ABSENT = FixtureState(differential=1.0, common=1.0, input_ohm=1e12)


class Rule(NamedTuple):
    """One figure of a playback beside its limit."""

    value: float
    unit: str
    what: str
    limit: float
    name: str  # of the limit

    @property
    def is_kept(self) -> bool:
        """Whether the value is within the limit; NaN is not."""
        return 0 <= self.value <= self.limit


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """The worst that a playback does; of a fixture with its certificate's uncertainty on top.

    Volts at the source are open-circuit ones, those at the device are between its inputs
    (differential) or of both against ground (common mode).
    """

    source_peak_v: float
    device_peak_mv: float
    device_dc_mv: float
    device_slew_v_per_s: float
    common_mode_peak_v: float
    on_s: float


def exposure(
    volts: Floats, settings: SourceSettings, rig: Rig, state: FixtureState, *, scale: float = 1.0
) -> Exposure:
    """Return what a waveform does at worst.

    Parameters
    ----------
    volts
        Shape ``(n_points,)``: open-circuit volts without the offset, finite, one at least.
    settings
        How it is played; its filter overshoots where the waveform jumps.
    rig, state
        The limits, and what lies between source and device.
    scale
        Of the volts: those that the generator says it plays over those that were asked for.
    """
    differential, common = _transfers(rig, state)
    limit_mv, limit_v = device_limits(rig, state)
    source_v = scale * float(max(volts.max(), -volts.min())) + abs(settings.offset_open_v)
    left_mv = max(0.0, limit_mv - abs(state.offset_mv))
    allowed_v = min(
        1e-3 * left_mv / differential if differential else np.inf,
        limit_v / common if common else np.inf,
    )
    peak_v = max(source_v, _leaving_v(volts, settings, scale, allowed_v))
    steepest_v = scale * float(np.abs(np.diff(volts)).max(initial=0.0))
    mean_v = abs(scale * float(volts.mean()) + settings.offset_open_v)
    return Exposure(
        source_peak_v=source_v,
        device_peak_mv=1e3 * differential * peak_v + abs(state.offset_mv),
        device_dc_mv=1e3 * differential * mean_v + abs(state.offset_mv),
        device_slew_v_per_s=differential * steepest_v * settings.rate_hz,
        common_mode_peak_v=common * peak_v,
        on_s=playback_s(volts, settings),
    )


def rules(found: Exposure, rig: Rig, state: FixtureState) -> Iterator[Rule]:
    """Yield each figure beside its limit."""
    limits = rig.limits
    limit_mv, limit_v = device_limits(rig, state)
    yield Rule(
        found.device_peak_mv, "mV", "peak at the device", limit_mv, "device_differential_mv_pk"
    )
    yield Rule(
        found.common_mode_peak_v,
        "V",
        "of common mode at the device",
        limit_v,
        "device_common_mode_v_pk",
    )
    yield Rule(found.source_peak_v, "V", "peak at the source", limits.source_v_pk, "source_v_pk")
    yield Rule(found.on_s, "s", "of playback", limits.max_on_s, "max_on_s")
    if limits.device_slew_v_per_s is not None:
        yield Rule(
            found.device_slew_v_per_s,
            "V/s",
            "at the device",
            limits.device_slew_v_per_s,
            "device_slew_v_per_s",
        )
    if limits.device_dc_mv is not None:
        yield Rule(
            found.device_dc_mv,
            "mV",
            "of direct voltage at the device",
            limits.device_dc_mv,
            "device_dc_mv",
        )


def refuse_harm(found: Exposure, rig: Rig, state: FixtureState) -> None:
    """Refuse a playback that would break a limit.

    Raises
    ------
    SafetyError
        Naming the first limit that is broken, and the value.
    """
    for rule in rules(found, rig, state):
        if rule.is_kept:
            continue
        todo = "nothing was played; change the scenario, or a limit that is wrong"
        absent = ""
        if state is ABSENT:
            absent = ", as long as nobody has verified that the divider is there"
            todo = "nothing was played; verify the fixture's state by a probe first"
        raise SafetyError(
            f"refused {rule.value:.4g} {rule.unit} {rule.what}: the limit is "
            f"{rule.limit:g} {rule.unit}{absent}",
            where=f"rig {rig.id}, limits.{rule.name}",
            todo=todo,
        )


def device_limits(rig: Rig, state: FixtureState) -> tuple[float, float]:
    """Return the limits at the device in a state: differential in mV, common mode in V."""
    return (
        state.device_differential_mv_pk or rig.limits.device_differential_mv_pk,
        state.device_common_mode_v_pk or rig.limits.device_common_mode_v_pk,
    )


def playback_s(volts: Floats, settings: SourceSettings) -> float:
    """Return how long a waveform plays; NaN or infinite where the settings are no numbers."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.float64(volts.size) / settings.rate_hz * settings.cycles)


def _leaving_v(volts: Floats, settings: SourceSettings, scale: float, allowed_v: float) -> float:
    """Return what leaves the generator's filter at worst, exactly where it nears what is allowed.

    Settings that are no numbers leave nothing: they are refused for the length of their playback.
    """
    if not (0 < settings.rate_hz < np.inf and 0 < settings.cycles < np.inf and scale > 0):
        return 0.0
    offset_v = settings.offset_open_v / scale
    return scale * peak_after_filter_v(
        volts + offset_v if offset_v else volts,
        settings.filter,
        settings.rate_hz,
        allowed_v / scale,
        cycles=settings.cycles,
    )


def _transfers(rig: Rig, state: FixtureState) -> tuple[float, float]:
    """Return volts at the device for an open volt at the source, at worst."""
    certificate = state.certificate
    surely = 1.0 if certificate is None else certificate.at_most
    by = rig.load_factor_in(state) * surely
    return by * state.differential, by * state.common
