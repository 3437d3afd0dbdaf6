"""The level plan: from microvolts at the electrode to volts and points at the generator."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.program import Program, source_points
from emgsim.bench.rig import Rig
from emgsim.errors import SafetyError, UsageError

Floats = NDArray[np.float64]

HEADROOM = 1.02  # the resampled peak may overshoot the samples'
OVER_BAND = 10.0  # a generator ten times as fast as the device's band neither droops nor images
SMALLEST_SHARE = 0.5  # of a recording's power that a device must pass to be judged by it
SMALLEST_VPP_V = 0.02  # that a generator makes well


class SourceLimits(Protocol):
    """What the plan must know of a generator (`emgsim.instruments` has such objects)."""

    @property
    def max_points(self) -> int:
        """Longest waveform."""

    @property
    def max_rate_hz(self) -> float:
        """Fastest sample clock."""

    @property
    def min_rate_hz(self) -> float:
        """Slowest sample clock."""

    @property
    def holds(self) -> bool:
        """Whether it holds each point until the next one."""

    @property
    def max_vpp_open_v(self) -> float:
        """Largest open-circuit swing."""


@dataclass(frozen=True, kw_only=True)
class LevelPlan:
    """How a program is put on the generator."""

    source_rate_hz: float
    n_points: int
    vpp_open_v: float
    peak_at_device_uv: float
    lsb_at_device_uv: float
    duration_s: float
    ratio: float
    load_factor: float

    def table(self) -> dict[str, float]:
        """Return the plan as plain values."""
        return asdict(self)


def plan_levels(
    program: Program, rig: Rig, source: SourceLimits, band_hz: float, code_bits: int = 16
) -> tuple[LevelPlan, Floats]:
    """Choose rate and swing for a program, and make its points.

    Parameters
    ----------
    program
        What is to be played.
    rig
        Ratio, load and limits.
    source
        What the generator can do.
    band_hz
        Upper corner of the device.
    code_bits
        Width of the generator's codes.

    Returns
    -------
    plan : LevelPlan
    volts : ndarray
        Shape ``(n_points,)``: open-circuit volts.

    Raises
    ------
    UsageError
        If the playback does not fit the generator's memory at twice the device's band, or the
        device does not pass most of the recording.
    SafetyError
        If the device or the generator would see more than the rig's limits.
    """
    longest_s = longest_playback_s(source, band_hz)
    if program.duration_s > longest_s:
        raise UsageError(
            f"a playback of {program.duration_s:.4g} s does not fit the generator's "
            f"{source.max_points} points; the longest possible is {longest_s:.4g} s",
            where=f"rig {rig.id}",
            todo="shorten the scenario, or use a generator with more memory",
        )
    share = share_in_band(program, band_hz)
    if share < SMALLEST_SHARE:
        raise UsageError(
            f"the device passes up to {band_hz:g} Hz, where {100 * share:.2g} % of the recording's "
            f"power lies; a device that is to be judged by it must pass {100 * SMALLEST_SHARE:g} %",
            where=f"rig {rig.id}, device.profile",
            todo="play what the device is made for, or use a device with a wider band",
        )
    plan, volts = laid_out(program, rig, source, band_hz, code_bits)
    _check_limits(rig, source, plan.peak_at_device_uv, plan.vpp_open_v)
    return plan, volts


def share_in_band(program: Program, band_hz: float) -> float:
    """Return how much of the power of what is between the markers lies below a frequency.

    1 where there is none at all.
    """
    first = round(program.recording_start_s * program.rate_hz)
    last = round(program.markers[1][0] * program.rate_hz)
    recorded_uv = program.samples_uv[first:last]
    powers = np.abs(np.fft.rfft(recorded_uv)) ** 2 if recorded_uv.size else np.zeros(0)
    frequencies_hz = np.fft.rfftfreq(max(1, recorded_uv.size), 1 / program.rate_hz)
    total = float(powers.sum())
    return float(powers[frequencies_hz[: powers.size] <= band_hz].sum()) / total if total else 1.0


def longest_playback_s(source: SourceLimits, band_hz: float) -> float:
    """Return what the generator's memory holds at twice the device's band."""
    return source.max_points / (2 * band_hz)


def laid_out(
    program: Program, rig: Rig, source: SourceLimits, band_hz: float, code_bits: int = 16
) -> tuple[LevelPlan, Floats]:
    """Do as `plan_levels` does, whether a limit allows it or not: for telling, not for playing."""
    fastest_hz = min(source.max_points / program.duration_s, OVER_BAND * band_hz)
    rate_hz = 1000.0 * max(1.0, np.floor(min(fastest_hz, source.max_rate_hz) / 1000))
    rate_hz = max(rate_hz, source.min_rate_hz)
    volts = source_points(program.samples_uv, program.rate_hz, rate_hz, source.holds)
    peak_uv = max(float(volts.max()), -float(volts.min()))
    volts *= 1e-6 / rig.device_volts_per_open_volt  # in place: millions of points
    peak_v = max(float(volts.max()), -float(volts.min()))
    vpp_v = max(SMALLEST_VPP_V, float(f"{2 * peak_v * HEADROOM:.4g}"))
    lsb_v = vpp_v / (2**code_bits - 1)
    return LevelPlan(
        source_rate_hz=float(rate_hz),
        n_points=int(volts.size),
        vpp_open_v=vpp_v,
        peak_at_device_uv=peak_uv,
        lsb_at_device_uv=lsb_v * rig.device_volts_per_open_volt * 1e6,
        duration_s=volts.size / float(rate_hz),
        ratio=rig.fixture.ratio,
        load_factor=rig.load_factor,
    ), volts


def _check_limits(rig: Rig, source: SourceLimits, peak_uv: float, vpp_v: float) -> None:
    device_mv = peak_uv / 1000
    if device_mv > rig.limits.device_differential_mv_pk:
        raise SafetyError(
            f"the device would see {device_mv:.4g} mV peak, more than the limit of "
            f"{rig.limits.device_differential_mv_pk:g} mV",
            where=f"rig {rig.id}, limits.device_differential_mv_pk",
            todo="lower the scenario's amplitudes; nothing was played",
        )
    most_v = min(2 * rig.limits.source_v_pk, source.max_vpp_open_v)
    if vpp_v > most_v:
        raise SafetyError(
            f"the generator would have to swing {vpp_v:.4g} Vpp, more than {most_v:g} Vpp",
            where=f"rig {rig.id}, limits.source_v_pk",
            todo="use a fixture with a smaller division; nothing was played",
        )
