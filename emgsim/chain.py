"""What the chain did to the signal: each path on the scenario's clock, and its measurements.

A recorder's samples are never resampled: alignment gives them their true start and rate. What is
expected of a path is the known waveform through the response that the device *declares*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.align import Alignment, Waveform, align, playback
from emgsim.bench.budget import Row, is_noise_limited, over_budget, total_uv
from emgsim.bench.program import Program
from emgsim.diagnosis.heard import Heard
from emgsim.instruments.profiles import DeviceProfile
from emgsim.recording import Channel, Gap, MotorUnit, Recording
from emgsim.stages import FLAT, BandResponse, add_train
from emgsim.verdict import Measurement

Floats = NDArray[np.float64]

PEAKS = 20  # of the largest excursions, at which amplitudes are compared
PEAK_HALF_S = 0.005  # on either side of one
LEAST_PEAK = 200.0  # times the path's noise, peak to peak: it changes one by 0.7 % (rms)
RENDER_MARGIN_S = 0.1  # the declared response rings; its ends must lie outside the recording


@dataclass(frozen=True, kw_only=True)
class Path:
    """What one path recorded, on the scenario's clock, and how it sees a clean waveform."""

    name: str
    recording: Recording
    response: BandResponse = FLAT
    alignment: Alignment | None = None  # None: the truth, which was not recorded by anything
    first_sample: int = 0  # of the recording, counted from the first that the recorder sent
    noise_uv_rms: float = 0.0  # recorded minus expected, over the scenario, not the markers

    def render(self, unit: MotorUnit, rate_hz: float) -> Floats:
        """Return one unit's contribution to this path's samples, shape ``(n_samples,)``.

        ``rate_hz`` is that of the unit's MUAP.
        """
        n = round((self.recording.duration_s + 2 * RENDER_MARGIN_S) * rate_hz)
        begin_s = self.recording.start_s - RENDER_MARGIN_S
        clean = np.zeros(n)
        add_train(clean, rate_hz, begin_s, unit)
        if self.alignment is None:
            skip = round(RENDER_MARGIN_S * rate_hz)
            return clean[skip : skip + self.recording.n_samples]
        value, _ = Waveform(clean, rate_hz, self.response).at(self.recording.times_s - begin_s)
        return self.alignment.gain * value

    @property
    def aligned(self) -> Alignment:
        """The alignment of a recorded path.

        Raises
        ------
        ValueError
            If the path was not recorded by anything.
        """
        if self.alignment is None:
            raise ValueError(f"path {self.name} has no alignment")
        return self.alignment

    def table(self, recording_start_s: float) -> dict[str, object]:
        """Return the alignment as plain values; the recording begins so late in the program."""
        found = self.aligned
        return {
            "clock_ppm": found.clock_ppm,
            "gain": found.gain,
            "polarity": int(np.sign(found.gain)),
            "residual_us": found.worst_lag_us[0],
            "residual_uv_rms": self.noise_uv_rms,
            "windows": [[t - recording_start_s, lag] for t, lag, _ in found.windows],
        }


def heard_of(
    uv: Floats,
    rate_hz: float,
    program: Program,
    *,
    noise_uv_rms: float,
    response: BandResponse = FLAT,
    band_hz: float | None = None,
    lsb_uv: float = 0.0,
    others_uv: tuple[Floats, ...] = (),
) -> Heard:
    """Put what a recorder saw of a program beside what it should have seen.

    Parameters
    ----------
    uv
        Shape ``(n,)``: microvolts referred to the device's input, NaN where samples were lost.
    rate_hz
        The recorder's nominal rate.
    program
        What was played.
    noise_uv_rms
        What the path's budget allows.
    response
        What the recorder declares of its response.
    band_hz
        Upper corner of its noise; by default half its rate.
    lsb_uv, others_uv
        Of a converter: the size of a code, and its other channels.
    """
    return Heard(
        uv=uv,
        rate_hz=rate_hz,
        waveform=Waveform(program.samples_uv, program.rate_hz, response),
        markers=_markers_at(program, rate_hz),
        duration_s=program.duration_s,
        noise_uv_rms=noise_uv_rms,
        band_hz=rate_hz / 2 if band_hz is None else band_hz,
        lsb_uv=lsb_uv,
        others_uv=others_uv,
    )


def path_of(
    name: str,
    heard: Heard,
    program: Program,
    *,
    duration_s: float,
    response: BandResponse = FLAT,
    band_hz: tuple[float, float] | None = None,
    fit: Alignment | None = None,
) -> Path:
    """Align what a recorder saw of a program, and cut it to the scenario.

    Parameters
    ----------
    name
        The path: "loopback", "device", "monitor".
    heard
        What it saw.
    program
        What was played.
    duration_s
        Length of the scenario.
    response, band_hz
        What the recorder declares of its response.
    fit
        How the recorder is aligned, if that is known: of a part that is sound.

    Raises
    ------
    NotAnalysableError
        If the program's markers are not in the recording.
    """
    first, uv, found = _cut(heard, fit)
    whole = Recording(
        samples_uv=uv[:, None],
        rate_hz=heard.rate_hz / (1 + found.drift),
        channels=(Channel(name=name, band_hz=band_hz),),
        start_s=found.offset_s - program.recording_start_s,
        gaps=_gaps(uv),
    )
    recording = whole.cut(0.0, duration_s)
    expected, _ = heard.waveform.at(recording.times_s + program.recording_start_s)
    left_uv = recording.samples_uv[:, 0] - found.gain * expected
    return Path(
        name=name,
        recording=recording,
        response=response,
        alignment=found,
        first_sample=first + round((recording.start_s - whole.start_s) * whole.rate_hz),
        noise_uv_rms=float(np.sqrt(np.nanmean(left_uv**2))),
    )


def _cut(heard: Heard, fit: Alignment | None) -> tuple[int, Floats, Alignment]:
    """Return the samples of the playback, which the first of them is, and how they are aligned."""
    uv, rate_hz = heard.uv, heard.rate_hz
    if fit is None:
        span = playback(uv, rate_hz, heard.markers[0], heard.duration_s)
        uv = uv[span]
        found = align(uv, rate_hz, heard.waveform, heard.markers)
        return heard.n_before + span.start, uv, found
    first = max(0, round(-fit.offset_s * rate_hz))
    begins_s = fit.offset_s + first * (1 + fit.drift) / rate_hz
    n = round(heard.duration_s * rate_hz)
    return heard.n_before + first, uv[first : first + n], replace(fit, offset_s=begins_s)


def declared_response(profile: DeviceProfile) -> BandResponse:
    """Return the response that a device's profile declares."""
    return BandResponse(
        highpass_hz=profile.band_hz[0],
        highpass_order=profile.highpass_order,
        lowpass_hz=profile.band_hz[1],
        lowpass_order=profile.lowpass_order,
    )


def chain_measurements(path: Path, budget: list[Row]) -> list[Measurement]:
    """Return alignment, amplitude and noise of a path beside what its budget declares."""
    found, name, n = path.aligned, path.name, path.recording.n_samples
    lag_us, lag_sd = found.worst_lag_us
    noise_uv, budget_uv = path.noise_uv_rms, total_uv(budget)
    relative = noise_uv / budget_uv
    lost = sum(gap.n_samples for gap in path.recording.gaps)
    times = over_budget(signal_uv(path), budget)
    return [
        measured(
            f"signal.over_budget.{name}",
            times,
            "1",
            note="noise-limited: too small for amplitude and shape"
            if is_noise_limited(times)
            else "rms of what was played, over the noise budget",
        ),
        measured(f"align.residual_us.{name}", lag_us, "us", lag_sd),
        measured(f"align.clock_ppm.{name}", found.clock_ppm, "ppm", 1e6 * found.drift_sd),
        amplitude_error(path),
        measured(f"amplitude.polarity.{name}", float(np.sign(found.gain)), "1"),
        measured(f"noise.added_uv.{name}", noise_uv, "uV", noise_uv / np.sqrt(n)),
        measured(f"noise.budget_uv.{name}", budget_uv, "uV", note="computed from declarations"),
        measured(
            f"noise.over_budget_pct.{name}",
            100 * (relative - 1),
            "%",
            100 * relative / np.sqrt(n),
        ),
        measured(f"link.lost_samples.{name}", float(lost), "1"),
    ]


def signal_uv(path: Path) -> float:
    """Return the rms of what was played, at the device's input, as a path recorded it."""
    square = float(np.nanmean(path.recording.samples_uv[:, 0] ** 2)) - path.noise_uv_rms**2
    return math.sqrt(max(0.0, square)) / abs(path.aligned.gain)


def fidelity_measurements(path: Path, program: Program) -> list[Measurement]:
    """Return how rms and amplitudes compare with what the declared response makes of the program.

    Amplitudes are those, peak to peak, of the largest excursions that stand well above the noise.
    """
    expected, _ = Waveform(program.samples_uv, program.rate_hz, path.response).at(
        path.recording.times_s + program.recording_start_s
    )
    uv, name = path.recording.samples_uv[:, 0], path.name
    known = np.isfinite(uv)
    rms = [float(np.sqrt(np.mean(x[known] ** 2))) for x in (uv, expected)]
    errors = _peak_errors_pct(path, expected)
    worst = float(errors[np.argmax(np.abs(errors))]) if errors.size else math.nan
    sd = float(errors.std(ddof=1)) / math.sqrt(errors.size) if errors.size > 1 else 0.0
    n_peaks = f"{errors.size} largest excursions, peak to peak"
    return [
        measured(
            f"amplitude.rms_error_pct.{name}",
            100 * (rms[0] / rms[1] - 1) if rms[1] else math.nan,
            "%",
            note="rms against the declared response, added noise included",
        ),
        measured(
            f"amplitude.peaks_error_pct.{name}",
            float(errors.mean()) if errors.size else math.nan,
            "%",
            sd,
            note=f"mean of the {n_peaks}",
        ),
        measured(
            f"amplitude.worst_peak_error_pct.{name}", worst, "%", note=f"worst of the {n_peaks}"
        ),
    ]


def _peak_errors_pct(path: Path, expected: Floats) -> Floats:
    """Return by how much each large excursion is off, shape ``(n_peaks,)``."""
    uv, half = path.recording.samples_uv[:, 0], max(2, round(PEAK_HALF_S * path.recording.rate_hz))
    left, errors = np.abs(expected), []
    for _ in range(PEAKS):
        at = int(np.argmax(left))
        span = slice(max(0, at - half), at + half + 1)
        left[span] = 0.0
        recorded, wanted = float(np.ptp(uv[span])), float(np.ptp(expected[span]))
        if wanted >= LEAST_PEAK * path.noise_uv_rms and np.isfinite(recorded):
            errors.append(100 * (recorded / wanted - 1))
    return np.asarray(errors)


def raw_measurements(path: Path, program: Program) -> list[Measurement]:
    """Return what the declared response explains: group delay, and the raw difference."""
    uv = path.recording.samples_uv[:, 0]
    known = np.isfinite(uv)
    times_s = path.recording.times_s[known] + program.recording_start_s
    value, slope = Waveform(program.samples_uv, program.rate_hz).at(times_s)
    left_uv = uv[known] - value
    delay_us = -1e6 * float(left_uv @ slope) / float(slope @ slope)
    share = float(np.sqrt(np.mean(left_uv**2) / np.mean(value**2)))
    return [
        measured(
            f"align.group_delay_us.{path.name}",
            delay_us,
            "us",
            note="of the EMG, against the clean truth at the fitted clock offset",
        ),
        measured(
            f"amplitude.raw_difference_pct.{path.name}",
            100 * share,
            "%",
            note="rms of device minus clean truth, of the truth's rms",
        ),
    ]


def monitor_measurements(path: Path) -> list[Measurement]:
    """Return what tells amplifier and converter apart: the analogue output saw no converter."""
    return [
        amplitude_error(path),
        measured(
            f"noise.added_uv.{path.name}",
            path.noise_uv_rms,
            "uV",
            note="of the device's analogue output, the scope's own noise included",
        ),
    ]


def amplitude_error(path: Path) -> Measurement:
    """Return the size of the gain against what is declared, in per cent."""
    gain = path.aligned.gain
    return measured(
        f"amplitude.error_pct.{path.name}", 100 * (abs(gain) - 1), "%", 100 * path.aligned.gain_sd
    )


def measured(id: str, value: float, unit: str, sd: float = 0.0, note: str = "") -> Measurement:
    """Return a measurement with the 95 % interval of a standard deviation, if there is one."""
    wide = 1.96 * sd
    return Measurement(
        id=id,
        value=value,
        unit=unit,
        note=note,
        low=value - wide if sd else None,
        high=value + wide if sd else None,
    )


def _gaps(uv: Floats) -> tuple[Gap, ...]:
    """Return the runs of NaN."""
    edges = np.flatnonzero(np.diff(np.isnan(uv).astype(np.int8), prepend=0, append=0))
    return tuple(Gap(first_sample=int(a), n_samples=int(b - a)) for a, b in edges.reshape(-1, 2))


def _markers_at(
    program: Program, rate_hz: float
) -> tuple[tuple[float, Floats], tuple[float, Floats]]:
    """Return the markers as a recorder of another nominal rate sees them."""
    opening, closing = (
        (
            start_s,
            Waveform(shape, program.rate_hz).at(
                np.arange(int(shape.size / program.rate_hz * rate_hz)) / rate_hz
            )[0],
        )
        for start_s, shape in program.markers
    )
    return opening, closing
