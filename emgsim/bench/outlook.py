"""What playing a program on a rig would do: volts at every node, codes, time and noise.

Nothing is driven and no port is opened, so the generator's memory, which is an option that only the
generator itself knows, is assumed, and the assumption is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from emgsim.bench.budget import Row, device_budget, loopback_budget, total_uv
from emgsim.bench.exposure import Exposure, Rule, exposure, rules
from emgsim.bench.levels import (
    SMALLEST_SHARE,
    LevelPlan,
    laid_out,
    longest_playback_s,
    share_in_band,
)
from emgsim.bench.parts import FixtureState
from emgsim.bench.playing import (
    LEAD_BOUND_S,
    MONITOR_HEADROOM,
    SCOPE_HEADROOM,
    SCOPE_OVER_BAND,
    TAIL_S,
)
from emgsim.bench.probing import PLAYED_S
from emgsim.bench.program import Program
from emgsim.bench.rig import Rig
from emgsim.instruments.base import SourceCaps, SourceSettings
from emgsim.instruments.profiles import DeviceProfile

AT_DEVICE = "device, differential at worst"
SMALLEST = SourceCaps(
    code_bits=16,
    max_points=1_000_000,
    min_points=8,
    max_rate_hz=250e6,
    max_vpp_open_v=20.0,
    channels=1,
    output_ohm=50.0,
)
"""A Keysight 33500B without options (its data sheet): what is assumed when nobody says more."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """The largest voltage at one place, and what it must not exceed there."""

    name: str
    peak_v: float
    limit_v: float | None = None
    limit: str = ""  # whose it is

    @property
    def margin_pct(self) -> float | None:
        """How much of the limit is left; negative when it is exceeded."""
        return 100 * (1 - self.peak_v / self.limit_v) if self.limit_v else None


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """All that is known of a playback before it; refusals are what would forbid it."""

    rig: str
    program: str
    caps: SourceCaps
    plan: LevelPlan
    nodes: tuple[Node, ...]
    codes: dict[str, float]
    play_s: float
    wall_s: float  # at least; uploading is not counted
    budgets: dict[str, list[Row]]
    signal: dict[str, float | None]  # silence has no decibels
    refusals: tuple[str, ...]

    @property
    def would_be_played(self) -> bool:
        """Whether no limit forbids it."""
        return not self.refusals

    @property
    def at_device(self) -> Node:
        """What counts in the end: volts between the device's inputs at worst."""
        return next(node for node in self.nodes if node.name == AT_DEVICE)

    @property
    def used(self) -> float:
        """Share of what the device may see."""
        return self.at_device.peak_v / (self.at_device.limit_v or math.inf)

    def table(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        nodes = [asdict(node) | {"margin_pct": node.margin_pct} for node in self.nodes]
        return asdict(self) | {"nodes": nodes, "would_be_played": self.would_be_played}


def foresee(
    program: Program,
    rig: Rig,
    *,
    name: str = "",
    caps: SourceCaps | None = None,
    today: date | None = None,
) -> Outlook:
    """Tell what playing a program through the divider of a rig would do.

    Parameters
    ----------
    program
        What would be played.
    rig
        Its parts as they are declared.
    name
        Of what is played, for whoever reads it.
    caps
        What the generator can do; one without options, with the memory and the bits that the rig
        file declares, when it is not given.
    today
        For the fixture's certificate; the day on the wall clock when it is not given.
    """
    profile, state = rig.profile, rig.fixture.through
    source = rig.source
    caps = caps or replace(SMALLEST, max_points=source.max_points, code_bits=source.bits)
    plan, volts = laid_out(program, rig, caps, profile.band_hz[1], caps.code_bits)
    settings = SourceSettings(
        rate_hz=plan.source_rate_hz, vpp_open_v=plan.vpp_open_v, filter=rig.source.filter
    )
    worst = exposure(volts, settings, rig, state)
    broken = [rule for rule in rules(worst, rig, state) if not rule.is_kept]
    budgets = {
        "device": device_budget(
            plan,
            rig,
            band_hz=profile.band_hz[1],
            noise_uv_rms=profile.noise_uv_rms,
            lsb_uv=profile.scale_uv_per_count,
        ),
        "loopback": loopback_budget(
            plan,
            rig,
            rate_hz=SCOPE_OVER_BAND * profile.band_hz[1],
            range_v=SCOPE_HEADROOM * plan.vpp_open_v * plan.load_factor,
        ),
    }
    around_s = LEAD_BOUND_S + TAIL_S + (PLAYED_S if rig.kind == "bench" else 0.0)
    return Outlook(
        rig=rig.id,
        program=name,
        caps=caps,
        plan=plan,
        nodes=tuple(_nodes(rig, plan, worst, profile, caps)),
        codes=_codes(rig, plan, worst, profile),
        play_s=plan.duration_s,
        wall_s=plan.duration_s + around_s,
        budgets=budgets,
        signal=_signal(program, budgets),
        refusals=(
            *(_told(rule) for rule in broken),
            *_level_refusals(program, plan, caps, rig, worst),
            *_certificate_refusals(state, today or date.today()),
        ),
    )


def _nodes(
    rig: Rig, plan: LevelPlan, worst: Exposure, profile: DeviceProfile, caps: SourceCaps
) -> Iterator[Node]:
    limits, no_damage_v = rig.limits, profile.no_damage_v
    loaded_v, device_v = worst.source_peak_v * plan.load_factor, 1e-6 * plan.peak_at_device_uv
    monitor_v = device_v * rig.device.monitor_gain
    swing_v = plan.vpp_open_v / 2
    undivided_v = min(worst.source_peak_v, rig.fixture.clamp_v or math.inf)
    data_sheet = f"data sheet of {profile.model}"
    rows: tuple[tuple[str, float, float | None, str], ...] = (
        ("generator, open output", worst.source_peak_v, limits.source_v_pk, "limits.source_v_pk"),
        ("generator, its swing", swing_v, caps.max_vpp_open_v / 2, "the generator"),
        ("generator, loaded", loaded_v, None, ""),
        ("scope, source channel", loaded_v, SCOPE_HEADROOM * swing_v * plan.load_factor, "range"),
        ("divider, output", loaded_v * plan.ratio, None, ""),
        ("device, differential", device_v, 1e-6 * profile.range_uv, f"range, {data_sheet}"),
        (
            AT_DEVICE,
            1e-3 * worst.device_peak_mv,
            1e-3 * limits.device_differential_mv_pk,
            "limits.device_differential_mv_pk",
        ),
        (
            "device, common mode at worst",
            worst.common_mode_peak_v,
            limits.device_common_mode_v_pk,
            "limits.device_common_mode_v_pk",
        ),
        ("device, were the divider gone", undivided_v, no_damage_v, f"no damage, {data_sheet}"),
        ("monitor output", monitor_v, None, ""),
        ("scope, monitor channel", monitor_v, MONITOR_HEADROOM * monitor_v, "range"),
    )
    for name, peak_v, limit_v, limit in rows:
        yield Node(name=name, peak_v=peak_v, limit_v=limit_v, limit=limit)


def _codes(rig: Rig, plan: LevelPlan, worst: Exposure, profile: DeviceProfile) -> dict[str, float]:
    """Return how finely generator and device resolve the signal."""
    to_open_v = 1e-6 / rig.device_volts_per_open_volt
    source_lsb_v = plan.lsb_at_device_uv * to_open_v
    return {
        "source_lsb_v": source_lsb_v,
        "source_lsb_at_device_uv": plan.lsb_at_device_uv,
        "source_bits": math.log2(max(1.0, 2 * worst.source_peak_v / source_lsb_v)),
        "device_lsb_uv": profile.scale_uv_per_count,
        "device_bits": math.log2(max(1.0, 2 * plan.peak_at_device_uv / profile.scale_uv_per_count)),
    }


def _signal(program: Program, budgets: dict[str, list[Row]]) -> dict[str, float | None]:
    """Return how large the recording between the markers is, and how far over the noise."""
    first = round(program.recording_start_s * program.rate_hz)
    last = round(program.markers[1][0] * program.rate_hz)
    between_uv = program.samples_uv[first:last]
    if not between_uv.size:
        between_uv = program.samples_uv
    rms_uv = float(np.sqrt(np.mean(between_uv**2)))
    over = {
        f"over_noise_{path}_db": 20 * math.log10(rms_uv / total_uv(rows)) if rms_uv else None
        for path, rows in budgets.items()
    }
    return {"peak_uv": float(np.max(np.abs(between_uv))), "rms_uv": rms_uv, **over}


def _level_refusals(
    program: Program, plan: LevelPlan, caps: SourceCaps, rig: Rig, worst: Exposure
) -> Iterator[str]:
    """Yield what `plan_levels` refuses beside the limits of a playback."""
    longest_s = longest_playback_s(caps, rig.profile.band_hz[1])
    if program.duration_s > longest_s:
        yield (
            f"a playback of {program.duration_s:.4g} s: the generator's {caps.max_points} points "
            f"hold {longest_s:.4g} s"
        )
    share = share_in_band(program, rig.profile.band_hz[1])
    if share < SMALLEST_SHARE:
        yield (
            f"a recording of whose power {100 * share:.2g} % lie in the device's band, up to "
            f"{rig.profile.band_hz[1]:g} Hz: {100 * SMALLEST_SHARE:g} % must"
        )
    if plan.vpp_open_v > caps.max_vpp_open_v:
        yield (
            f"a swing of {plan.vpp_open_v:.4g} Vpp: the generator's most is "
            f"{caps.max_vpp_open_v:g} Vpp"
        )
    elif worst.source_peak_v <= rig.limits.source_v_pk < plan.vpp_open_v / 2:
        yield (
            f"a swing of {plan.vpp_open_v:.4g} Vpp, which the peak and its headroom need: twice "
            f"the limit is {2 * rig.limits.source_v_pk:g} Vpp (limits.source_v_pk)"
        )


def _certificate_refusals(state: FixtureState, today: date) -> Iterator[str]:
    """Yield why nobody would vouch for the fixture on a day."""
    if state.certificate is None:
        yield "a fixture without a certificate: nobody vouches for its ratio"
    elif state.certificate.has_expired(today):
        yield (
            f"a fixture whose certificate {state.certificate.id} was due on {state.certificate.due}"
        )


def _told(rule: Rule) -> str:
    return (
        f"{rule.value:.4g} {rule.unit} {rule.what}: the limit is {rule.limit:g} {rule.unit} "
        f"(limits.{rule.name})"
    )
