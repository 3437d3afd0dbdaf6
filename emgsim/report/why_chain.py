"""Pictures that show why amplitude, noise, time or samples are not what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emgsim.align import Waveform
from emgsim.recording import Floats, Recording
from emgsim.records.journal import Line
from emgsim.report.case import Case, Shown
from emgsim.report.material import COLOURS, GREY
from emgsim.report.pictures import (
    INK,
    LIMIT,
    draw_budget,
    draw_limits,
    drawn,
    envelope,
)
from emgsim.scoring import bland_altman
from emgsim.stages import FLAT, BandResponse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AMPLIFIED = ("device", "monitor")  # paths behind the device's amplifier
# Whose limit can be drawn over excursions: the others are of the whole record.
OF_EXCURSIONS = ("amplitude.error_pct.", "amplitude.peaks_error_pct.",
                 "amplitude.worst_peak_error_pct.")  # fmt: skip
HALF_S = 0.004  # of an excursion on each side of its peak
EXCURSIONS = 60  # largest ones that are compared
LEAST_REST_S = 0.2  # for a spectrum
SEGMENT_S = 0.1
AROUND_S = 0.25  # of a gap that is shown on each side


def excursions(case: Case) -> Shown | None:
    """Show the largest excursion as played and as recorded, and the bias over the largest ones."""
    found = case.recording
    expected_uv = None if found is None else _expected(case, found)
    if found is None or expected_uv is None:
        return None
    uv = found.samples_uv[:, 0]
    places = _largest(expected_uv, max(2, round(HALF_S * found.rate_hz)))
    true_uv, off_pct = _slopes(uv, expected_uv, places)
    if not true_uv.size:
        return None
    agreed = bland_altman(off_pct, np.zeros(off_pct.size))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.25))
        at = places[0]
        times_ms = 1e3 * (found.times_s[at] - found.times_s[at].mean())
        left.plot(times_ms, expected_uv[at], color=COLOURS[0], linewidth=3, alpha=0.5,
                  label="expected")  # fmt: skip
        left.plot(times_ms, uv[at], color=INK, linewidth=1, label=case.path)
        left.invert_yaxis()
        left.set_xlabel("time (ms)")
        left.set_ylabel("µV, negative up")
        left.set_title(f"largest excursion, at {found.times_s[at].mean():.3f} s")
        left.legend(fontsize=8)
        right.plot(true_uv, off_pct, "o", color=COLOURS[0], markersize=4, alpha=0.7)
        for value, style in ((agreed.bias, "-"), (agreed.lower, ":"), (agreed.upper, ":")):
            right.axhline(value, color=INK, linestyle=style, linewidth=1.2)
        for kind in OF_EXCURSIONS:
            draw_limits(right, case.limit("%", kind))
        right.set_xlabel("expected, peak to peak (µV)")
        right.set_ylabel("recorded minus expected (%)")
        right.set_title(f"bias {agreed.bias:+.2f} %, limits of agreement "
                        f"{agreed.lower:+.2f} to {agreed.upper:+.2f} %")  # fmt: skip

    is_flat = _response(case) == FLAT
    through = "as it is" if is_flat else "through the band that the device declares"
    return Shown(
        picture=drawn(draw, 2.9),
        alt=f"The largest excursion on {case.path} over the expected one, and the difference of "
        f"{off_pct.size} excursions against their size: bias {agreed.bias:+.2f} per cent",
        caption=f"Expected is what was played, {through}. Right: the {off_pct.size} largest "
        "excursions of 8 ms, each by the slope of recorded on expected; solid: bias, dotted: 95 % "
        "limits of agreement, dashed: the limit, if it is one in per cent.",
    )


def _expected(case: Case, found: Recording) -> Floats | None:
    """Return what was played, through the declared response, at the recording's times."""
    played = case.reference
    if played is None or played is found:
        return None
    samples_uv = np.nan_to_num(played.samples_uv[:, 0])
    waveform = Waveform(samples_uv, played.rate_hz, _response(case))
    return waveform.at(found.times_s - played.start_s)[0]


def _response(case: Case) -> BandResponse:
    """Return what the device's profile declares, for what its amplifier put out."""
    declared = case.record.device
    if case.path not in AMPLIFIED or "band_hz" not in declared:
        return FLAT
    return BandResponse(
        highpass_hz=declared["band_hz"][0],
        highpass_order=declared["highpass_order"],
        lowpass_hz=declared["band_hz"][1],
        lowpass_order=declared["lowpass_order"],
    )


def _largest(expected_uv: Floats, half: int) -> list[slice]:
    """Return the places of the largest excursions, the largest first, none overlapping."""
    left, places = np.abs(expected_uv), []
    for _ in range(EXCURSIONS):
        at = int(np.argmax(left))
        if left[at] == 0.0:
            break
        places.append(slice(max(0, at - half), at + half + 1))
        left[max(0, at - 2 * half) : at + 2 * half + 1] = 0.0
    return places


def _slopes(uv: Floats, expected_uv: Floats, places: list[slice]) -> tuple[Floats, Floats]:
    """Return the size of each excursion, and by how many per cent the recorded one is larger."""
    sizes, off = [], []
    for at in places:
        true, got = expected_uv[at], uv[at]
        if np.all(np.isfinite(got)) and np.any(true):
            sizes.append(float(np.ptp(true)))
            off.append(100 * (float(got @ true) / float(true @ true) - 1))
    return np.array(sizes), np.array(off)


def noise(case: Case) -> Shown | None:
    """Show the noise budget beside what was measured, and the spectrum of the path at rest."""
    rows, rest_uv = case.record.budgets.get(case.path, []), _rest_uv(case)
    if not rows and rest_uv is None:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, bool(rows) + (rest_uv is not None), squeeze=False)[0]
        if rows:
            draw_budget(axes[0], rows)
            draw_limits(axes[0], case.limit("uV"), is_upright=True)
        if rest_uv is not None and case.recording is not None:
            _draw_spectrum(axes[-1], rest_uv, case.recording.rate_hz, _total_uv(rows))

    what = " and ".join(("its budget as bars",) * bool(rows)
                        + ("its spectrum at rest",) * (rest_uv is not None))  # fmt: skip
    return Shown(
        picture=drawn(draw, max(2.6, 0.7 + 0.3 * len(rows))),
        alt=f"Noise of {case.path}: {what}",
        caption="Left: the declared contributions, their total, and what was measured. Right: the "
        "density at rest; dashed, the budget's total if it were white. Peaks are interference."
        if rows and rest_uv is not None
        else f"Noise of {case.path}: {what}.",
    )


def _total_uv(rows: list[Line]) -> float:
    return next((float(row["uv_rms"] or 0) for row in rows if row.get("name") == "total"), 0.0)


def _rest_uv(case: Case) -> Floats | None:
    """Return the longest stretch before the first discharge that has no lost samples."""
    found, truth = case.recording, case.material.truth
    onsets_s = [] if truth is None else [u.spike_times_s.min() for u in truth.units
                                         if u.spike_times_s.size]  # fmt: skip
    if found is None or not onsets_s:
        return None
    uv = found.cut(found.start_s, min(onsets_s) - 0.02).samples_uv[:, 0]
    pieces = np.split(uv, np.flatnonzero(np.diff(np.isnan(uv))) + 1)
    whole = max((piece for piece in pieces if np.all(np.isfinite(piece))), key=np.size, default=uv)
    is_long = whole.size >= LEAST_REST_S * found.rate_hz and np.all(np.isfinite(whole))
    return whole if is_long else None


def _draw_spectrum(ax: Axes, uv: Floats, rate_hz: float, total_uv: float) -> None:
    from matplotlib.ticker import StrMethodFormatter
    from scipy.signal import welch

    segment = min(uv.size, round(SEGMENT_S * rate_hz))
    frequencies_hz, power = welch(uv - uv.mean(), rate_hz, nperseg=segment)
    frequencies_hz, density = frequencies_hz[1:], 1e3 * np.sqrt(power[1:])
    kept = np.unique(np.geomspace(1, frequencies_hz.size, 300).astype(np.int64)) - 1
    ax.semilogx(frequencies_hz[kept], density[kept], color=INK, linewidth=0.9)
    ax.set_ylim(bottom=0)
    if total_uv:
        white = 1e3 * total_uv / np.sqrt(rate_hz / 2)
        ax.axhline(white, color=COLOURS[0], linestyle="--")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.set_xlabel("frequency (Hz)")
    ax.set_ylabel("density at rest (nV/√Hz)")


def lags(case: Case) -> Shown | None:
    """Show the lag that is left in each window, with the limit."""
    windows = _windows(case)
    if windows is None:
        return None
    times_s, lags_us = windows

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        ax.plot(times_s, lags_us, "o-", color=COLOURS[0], markersize=4, linewidth=1)
        ax.axhline(0.0, color=GREY, linewidth=0.8)
        limit = case.limit("us")
        draw_limits(ax, limit)
        if limit is not None and limit.high is not None:
            ax.axhline(-limit.high, color=LIMIT, linestyle="--")
        ax.set_xlabel("time on the scenario's clock (s)")
        ax.set_ylabel("lag left (µs)")

    worst = int(np.argmax(np.abs(lags_us)))
    return Shown(
        picture=drawn(draw, 2.4),
        alt=f"Lag left on {case.path} in {lags_us.size} windows, largest {lags_us[worst]:+.3g} "
        f"microseconds at {times_s[worst]:.2f} s",
        caption="Lag that is left when offset and clock have been taken out. A step: samples were "
        "lost or repeated; a slope that changes: the clock is not steady. Dashed: the limit.",
    )


def clock(case: Case) -> Shown | None:
    """Show how the path runs away from the scenario's clock, with the slopes of the limit."""
    windows, ppm = _windows(case), _aligned(case).get("clock_ppm")
    if windows is None or ppm is None:
        return None
    times_s, lags_us = windows
    since_s = times_s - times_s[0]

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        ax.plot(times_s, ppm * since_s + lags_us, "o", color=COLOURS[0], markersize=4)
        ax.plot(times_s, ppm * since_s, color=INK, linewidth=1)
        limit = case.limit("ppm")
        for bound in () if limit is None else (limit.low, limit.high):
            if bound is not None:
                ax.plot(times_s, bound * since_s, color=LIMIT, linestyle="--")
        ax.set_xlabel("time on the scenario's clock (s)")
        ax.set_ylabel("ahead (µs)")

    return Shown(
        picture=drawn(draw, 2.4),
        alt=f"How far the clock of {case.path} runs ahead: {ppm:+.3g} microseconds a second",
        caption=f"The slope is the clock's deviation, {ppm:+.4g} ppm, from the first "
        "window on. Dashed: the limit's slopes.",
    )


def _aligned(case: Case) -> Line:
    line = case.record.alignments.get(case.path, {})
    return dict(line.get("values", line))


def _windows(case: Case) -> tuple[Floats, Floats] | None:
    rows = [row for row in _aligned(case).get("windows", []) if None not in row]
    if len(rows) < 2:
        return None
    times_s, lags_us = np.asarray(rows, dtype=np.float64).T
    return times_s, lags_us


def lost(case: Case) -> Shown | None:
    """Show where samples were lost over the record, and the longest gap from near."""
    found = case.recording
    if found is None:
        return None
    gaps = sorted(found.gaps, key=lambda gap: -gap.n_samples)
    spans_s = [(found.start_s + g.first_sample / found.rate_hz, g.n_samples / found.rate_hz)
               for g in gaps]  # fmt: skip

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1 + bool(gaps), 1, squeeze=False)[:, 0]
        _draw_gaps(axes[0], found, spans_s)
        if gaps:
            middle_s = spans_s[0][0] + spans_s[0][1] / 2
            near = found.cut(middle_s - AROUND_S, middle_s + AROUND_S)
            _draw_gaps(axes[1], near, spans_s)
            axes[1].set_xlim(middle_s - AROUND_S, middle_s + AROUND_S)
        axes[-1].set_xlabel("time on the scenario's clock (s)")

    n = sum(gap.n_samples for gap in gaps)
    return Shown(
        picture=drawn(draw, 1.9 + 1.8 * bool(gaps)),
        alt=f"The recording of {case.path} with its lost samples: {n} in {len(gaps)} gaps",
        caption=f"{n} samples were lost, in {len(gaps)} gaps"
        + (" (orange). Below: the longest one." if gaps else "."),
    )


def _draw_gaps(ax: Axes, shown: Recording, spans_s: list[tuple[float, float]]) -> None:
    ax.plot(*envelope(shown.times_s, shown.samples_uv[:, 0]), color=INK, linewidth=0.6)
    ax.set_xlim(shown.start_s, shown.start_s + shown.duration_s)
    for start_s, duration_s in spans_s:
        ax.axvspan(start_s, start_s + duration_s, color="#c24e00", alpha=0.35, linewidth=1.5)
    ax.set_ylabel("µV, negative up")
    ax.invert_yaxis()
