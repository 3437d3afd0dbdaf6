"""Which channels of a grid can be used, and the causal filters that they pass before separation.

All filters run forward in time only. So a stream passes the very same filters, and the phase that
they add is part of every potential and of every separation filter: it does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.errors import NotAnalysableError

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

BAND_HZ = (20.0, 500.0)  # [S] Negro et al. 2016: 20-500 Hz for surface EMG
LEAST_RATE_HZ = 1000.0  # [P] below it the band's upper half is lost
LEAST_S = 3.0  # [P] 20 discharges of a unit at 7 per second
LEAST_CHANNELS = 8  # [P] fewer sensors than units that are active together
CLIPPED = 0.001  # [P] share of samples at the limit, in runs of three
MAINS_HZ = (50.0, 60.0)
LINE = 8.0  # [P] a line's power over its neighbours; chance in 10 s of EMG stays below 4
SEGMENT_S = 1.0  # of the spectrum in which mains lines are sought
NOTCH_HZ = 2.0  # width


@dataclass(frozen=True, kw_only=True)
class Conditioner:
    """What is done to raw samples before any other thing.

    ``channels`` are the numbers of those that are used of ``n_channels``, ``sections`` the
    second-order sections of all filters in series, and ``gain`` makes the channels' common rms 1.
    """

    rate_hz: float
    n_channels: int
    channels: tuple[int, ...]
    left_out: tuple[tuple[int, str], ...]
    lines_hz: tuple[float, ...]
    sections: Floats
    gain: float

    def started(self, first_uv: Floats) -> Floats:
        """Return the filters' state as if the first sample ``(n_channels,)`` had lasted forever."""
        steady = signal.sosfilt_zi(self.sections)
        return np.asarray(steady[:, :, None] * first_uv[list(self.channels)])

    def step(self, state: Floats, block_uv: Floats) -> tuple[Floats, Floats32]:
        """Return the state after a block ``(n, n_channels)``, and the conditioned block."""
        used = block_uv[:, list(self.channels)]
        out, state = signal.sosfilt(self.sections, used, axis=0, zi=state)
        return state, np.asarray(self.gain * out, dtype=np.float32)


def conditioner(samples_uv: Floats, rate_hz: float) -> tuple[Conditioner, Floats32]:
    """Choose channels and filters for a recording, and return it conditioned.

    Parameters
    ----------
    samples_uv
        Shape ``(n_samples, n_channels)``. A channel that is flat, clipped or has missing samples
        is left out. The unit does not matter.
    rate_hz
        Sampling rate.

    Returns
    -------
    conditioner : Conditioner
        Channels left out, with the reason, and the filters.
    samples : numpy.ndarray
        Float32, shape ``(n_samples, n_used)``, of rms 1 over all channels.

    Raises
    ------
    ValueError
        If the samples have no two axes.
    NotAnalysableError
        If rate, length or number of good channels is too small.
    """
    if samples_uv.ndim != 2:
        raise ValueError(f"samples_uv must be (n_samples, n_channels), got {samples_uv.shape}")
    _require(rate_hz >= LEAST_RATE_HZ, f"{rate_hz:g} Hz", f"{LEAST_RATE_HZ:g} Hz")
    _require(
        len(samples_uv) >= LEAST_S * rate_hz, f"{len(samples_uv) / rate_hz:.3g} s", f"{LEAST_S:g} s"
    )
    faults = [_fault(column) for column in samples_uv.T]
    good = [k for k, fault in enumerate(faults) if not fault]
    _require(len(good) >= LEAST_CHANNELS, f"{len(good)} good channels", f"{LEAST_CHANNELS}")
    lines_hz = _mains_lines(samples_uv[:, good], rate_hz)
    plan = Conditioner(
        rate_hz=rate_hz,
        n_channels=samples_uv.shape[1],
        channels=tuple(good),
        left_out=tuple((k, fault) for k, fault in enumerate(faults) if fault),
        lines_hz=lines_hz,
        sections=_sections(rate_hz, lines_hz),
        gain=1.0,
    )
    _, out = plan.step(plan.started(samples_uv[0]), samples_uv)
    gain = 1.0 / float(np.sqrt(np.mean(np.square(out, dtype=np.float64))))
    plan = Conditioner(**{**plan.__dict__, "gain": gain})
    return plan, np.ascontiguousarray(out * np.float32(gain))


def _require(is_enough: bool, got: str, least: str) -> None:
    """Refuse a recording that is too small."""
    if not is_enough:
        raise NotAnalysableError(
            f"not analysable: {got}, at least {least} needed",
            todo="record longer, faster, or with more electrodes that have contact",
        )


def _fault(channel_uv: Floats) -> str:
    """Return what makes a channel useless, or nothing."""
    if not np.isfinite(channel_uv).all():
        return "missing samples"
    if np.ptp(channel_uv) == 0:
        return "flat"
    for limit in (channel_uv.min(), channel_uv.max()):
        at = channel_uv == limit
        if np.count_nonzero(at[2:] & at[1:-1] & at[:-2]) > CLIPPED * at.size:
            return "clipped"
    return ""


def _sections(rate_hz: float, lines_hz: tuple[float, ...]) -> Floats:
    """Return the band-pass, and one notch per mains line, as second-order sections."""
    upper_hz = min(BAND_HZ[1], 0.45 * rate_hz)
    band = signal.butter(2, (BAND_HZ[0], upper_hz), "bandpass", fs=rate_hz, output="sos")
    notches = [
        signal.tf2sos(*signal.iirnotch(line_hz, line_hz / NOTCH_HZ, fs=rate_hz))
        for line_hz in lines_hz
    ]
    return np.concatenate([band, *notches])


def _mains_lines(samples_uv: Floats, rate_hz: float) -> tuple[float, ...]:
    """Return the harmonics of the mains that stand out of the mean spectrum within the band."""
    n = round(SEGMENT_S * rate_hz)
    frequencies, power = signal.welch(samples_uv, rate_hz, nperseg=n, axis=0, average="median")
    total = (power / power.sum(axis=0)).mean(axis=1)
    best: tuple[float, ...] = ()
    for mains_hz in MAINS_HZ:
        found = []
        for line_hz in np.arange(mains_hz, min(BAND_HZ[1], 0.45 * rate_hz), mains_hz):
            distance = np.abs(frequencies - line_hz)
            near = total[distance <= 1.0].max()
            around = np.median(total[(distance > 2.5) & (distance <= 10)])
            if near > LINE * around:
                found.append(float(line_hz))
        best = max(best, tuple(found), key=len)
    return best
